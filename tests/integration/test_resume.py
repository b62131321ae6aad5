"""One server continues what another one began: it sends the remaining frames, byte for byte."""

import json
import unittest

from server import ServerTest


def without_id(frame):
    document = json.loads(frame)
    document.pop("id")
    return document


class Resume(ServerTest):
    def frames(self, path, body):
        connection, response = self.server.stream(path, body)
        self.assertEqual(response.status, 200, response.read() if response.status != 200 else "")
        data = response.read().decode()
        connection.close()
        self.assertTrue(data.endswith("data: [DONE]\n\n"), data[-200:])
        return [frame.removeprefix("data: ") for frame in data.split("\n\n")[:-2]]

    def check(self, path, body):
        body = {**body, "return_token_ids": True, "stream_options": {"include_usage": True}}
        whole = self.frames(path, body)
        created = without_id(whole[0])["created"]
        steps = 0
        for i, frame in enumerate(whole):
            choices = json.loads(frame)["choices"]
            if not choices or "token_ids" not in choices[0] or choices[0]["finish_reason"]:
                continue  # a server may die anywhere; only complete frames count
            steps += 1
            if steps % 10 != 1:
                continue
            tokens = [token for sent in whole[: i + 1] for choice in json.loads(sent)["choices"]
                      for token in choice.get("token_ids", [])]
            rest = self.frames(path, {**body, "resume": {"token_ids": tokens, "created": created}})
            wanted, got = map(without_id, whole[i + 1:]), map(without_id, rest)
            for a, b in zip(wanted, got, strict=True):
                if usage := a.get("usage"):
                    usage.pop("prompt_tokens_details")
                    b["usage"].pop("prompt_tokens_details")
                self.assertEqual(a, b)
        self.assertGreater(steps, 10)

    def test_completions(self):
        self.check("/v1/completions", {"prompt": "Once upon a time", "max_tokens": 60, "seed": 4, "ignore_eos": True,
                                       "temperature": 0.8, "frequency_penalty": 0.4})

    def test_chat_with_a_schema(self):
        self.check("/v1/chat/completions", {
            "messages": [{"role": "user", "content": "Say something."}], "max_tokens": 60, "temperature": 0,
            "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {
                "type": "array", "items": {"type": "integer"}, "minItems": 30}}}})

    def test_chat_with_tools(self):
        tool = {"type": "function", "function": {"name": "look", "parameters": {
            "type": "object", "properties": {"numbers": {"type": "array", "items": {"type": "integer"}, "minItems": 20}},
            "required": ["numbers"]}}}
        self.check("/v1/chat/completions", {
            "messages": [{"role": "user", "content": "Look."}], "max_tokens": 80, "temperature": 0, "tools": [tool],
            "tool_choice": "required"})

    def test_echo_and_prompt_logprobs(self):
        answer = self.server.post("/v1/completions", {"prompt": ["one two", "three"], "max_tokens": 0, "echo": True,
                                                      "logprobs": 1})
        self.assertEqual(answer.status, 200, answer.body)
        first, second = answer.json()["choices"]
        self.assertEqual((first["text"], second["text"]), ("one two", "three"))
        self.assertIsNone(first["logprobs"]["token_logprobs"][0])
        self.assertLess(first["logprobs"]["token_logprobs"][1], 0)
        alike = ["the same beginning " * 30 + end for end in ("one", "two", "two")]
        for choice, prompt in zip(self.server.post("/v1/completions", {"prompt": alike, "max_tokens": 0, "echo": True, "logprobs": 1}).json()["choices"], alike):
            self.assertEqual("".join(choice["logprobs"]["tokens"]), prompt)
        answer = self.server.post("/v1/completions", {"prompt": "one two", "max_tokens": 1, "prompt_logprobs": 2})
        prompt = answer.json()["choices"][0]["prompt_logprobs"]
        self.assertIsNone(prompt[0])
        self.assertIn(len(prompt[1]), (2, 3))


if __name__ == "__main__":
    unittest.main()

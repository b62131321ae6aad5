"""Fields that clients of other servers send, tested on the whole server: formats, tokens, names, and their refusals."""

import json
import re
import tempfile
import unittest

from gateway_fixture import GatewayTest, gateway, pool
from server import TINY_MODEL, Server, ServerTest
from upstream import Foreign

ASK = {"prompt": "Hello", "max_tokens": 200, "temperature": 0}


class Constraints(ServerTest):
    def text(self, **fields):
        answer = self.server.post("/v1/completions", {**ASK, **fields})
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json()["choices"][0]["text"]

    def test_formats_by_all_their_names(self):
        for fields, pattern in [
            ({"guided_choice": ["yes <b>", "né\n"]}, r"yes <b>|né\n"),
            ({"guided_regex": r"\d{3}-[a-f]+\."}, r"\d{3}-[a-f]+\."),
            ({"structured_outputs": {"regex": "^(ab|cd){2}$"}}, r"(ab|cd){2}"),
            ({"guided_grammar": 'root ::= "x" [yz]'}, r"x[yz]"),
            ({"structured_outputs": {"choice": ["one"]}}, r"one"),
        ]:
            with self.subTest(fields):
                self.assertRegex(self.text(**fields), re.compile(rf"\A(?:{pattern})\Z"))
        schema = {"type": "object", "properties": {"a": {"enum": ["b"]}}, "required": ["a"], "additionalProperties": False}
        for fields in [{"json_schema": schema}, {"guided_json": schema}, {"guided_json": json.dumps(schema)},
                       {"structured_outputs": {"json": schema}},
                       {"response_format": {"type": "json_object", "schema": schema}}]:
            with self.subTest(fields):
                self.assertEqual(json.loads(self.text(**fields)), {"a": "b"})

    def test_what_cannot_be_kept_to_names_its_field(self):
        for field, value in [("guided_json", {"minLength": 2, "maxLength": 1, "type": "string"}), ("guided_grammar", "root = a"),
                             ("guided_regex", r"\bword"), ("mirostat_mode", 2), ("lora", [{"id": 0, "scale": 1}]), ("suffix", "x"),
                             ("chat_template", "{{ x }}"), ("modalities", ["audio"]), ("allowed_token_ids", [10**6])]:
            with self.subTest(field):
                self.assert_error(self.server.post("/v1/completions", {**ASK, field: value}), 400, param=field)

    def test_tokens(self):
        tokens = self.server.post("/tokenize", {"prompt": "ab", "add_special_tokens": False}).json()["tokens"]
        text = self.text(allowed_token_ids=tokens, max_tokens=8)
        self.assertTrue(text)
        self.assertLessEqual(set(text), set("ab"))
        free = self.text(max_tokens=30)
        word = free.split()[0]
        self.assertNotIn(word, self.text(max_tokens=30, bad_words=[word]))
        usage = self.server.post("/v1/completions", {**ASK, "prompt": "word " * 200, "truncate_prompt_tokens": 7}).json()["usage"]
        self.assertEqual(usage["prompt_tokens"], 7)

    def test_a_chat_keeps_to_them_too(self):
        answer = self.server.post("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}],
                                                           "guided_choice": ["yes", "no"], "max_tokens": 20})
        message = answer.json()["choices"][0]["message"]
        self.assertIn(message["content"], ("yes", "no"))
        self.assertIsNone(message["refusal"])
        self.assertTrue(answer.json()["system_fingerprint"].startswith("fp_"))


class SpecialTokens(ServerTest):
    def count(self, text, **fields):
        return self.server.post("/v1/completions", {"prompt": text, "max_tokens": 1, **fields}).json()["usage"]["prompt_tokens"]

    def test_in_prompts_they_are_tokens_and_as_text_they_are_text(self):
        plain = self.count("a")
        self.assertEqual(self.count("<|im_start|>a"), plain + 1)
        self.assertGreater(self.count("<|im_start|>a", parse_special=False), plain + 5)
        for text, special in [("<|im_start|>", True), ("<|im_start|>", False)]:
            body = {"prompt": text, "parse_special": special, "add_special_tokens": False}
            tokens = self.server.post("/tokenize", body).json()["tokens"]
            self.assertEqual(len(tokens) == 1, special)
            self.assertEqual(self.server.post("/detokenize", {"tokens": tokens}).json()["prompt"], text)

    def test_texts_of_tokens_and_the_tokenizer(self):
        chat = {"messages": [{"role": "user", "content": "Hi"}], "return_token_strs": True}
        answer = self.server.post("/tokenize", chat).json()
        self.assertEqual(len(answer["token_strs"]), answer["count"])
        self.assertIn("<|im_start|>", answer["token_strs"])
        self.assertLess(self.server.post("/tokenize", {**chat, "add_generation_prompt": False}).json()["count"], answer["count"])
        tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
        self.assertGreater(self.server.post("/tokenize", {**chat, "tools": [tool]}).json()["count"], answer["count"])
        pieces = self.server.post("/tokenize", {"content": "<|im_start|>", "with_pieces": True}).json()["tokens"]
        self.assertEqual([piece["piece"] for piece in pieces], ["<|im_start|>"])
        info = self.server.get("/tokenizer_info").json()
        self.assertIn("<|im_start|>", [token["content"] for token in info["added_tokens_decoder"].values()])
        self.assertIn("eos_token", info)
        self.assertIn("im_start", info["chat_template"])
        self.assert_error(self.server.get("/tokenizer_info?model=gpt-9"), 404, code="model_not_found")

    def test_a_text_and_its_tokens_are_as_likely(self):
        def logprobs(prompt):
            body = {"prompt": prompt, "echo": True, "logprobs": 1, "max_tokens": 0}
            return self.server.post("/v1/completions", body).json()["choices"][0]["logprobs"]
        for text in ("<|im_start|>user\nHi there<|im_end|>\n<|im_start|>assistant\nHello", "a"):
            tokens = self.server.post("/tokenize", {"prompt": text}).json()["tokens"]
            said, by_token = logprobs(text), logprobs(tokens)
            self.assertEqual(len(said["tokens"]), len(tokens))
            self.assertEqual("".join(said["tokens"]), text)
            self.assertEqual([text[at:].startswith(token) for at, token in zip(said["text_offset"], said["tokens"])], [True] * len(tokens))
            self.assertIsNone(said["token_logprobs"][0])
            for one, other in zip(said["token_logprobs"][1:], by_token["token_logprobs"][1:]):
                self.assertAlmostEqual(one, other, places=3)

    def test_paths_without_their_version(self):
        self.assertEqual(self.server.post("/completions", {"prompt": "a", "max_tokens": 1}).status, 200)
        self.assertEqual(self.server.get("/models").json(), self.server.get("/v1/models").json())
        self.assertEqual(self.server.get("/models/tiny").json()["id"], "tiny")
        self.assert_error(self.server.get("/nothing"), 404, code="unknown_path", says="nothing at /nothing")


class Elsewhere(GatewayTest):
    def test_other_servers_decide_for_themselves(self):
        (server,) = self.start(Foreign())
        (front,) = self.start(gateway(pool(server.url)))
        image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
        chat = {"model": "tiny", "messages": [{"role": "user", "content": [{"type": "text", "text": "What?"}, image]}]}
        text = {"model": "tiny", "prompt": "a"}
        for path, body in [("/v1/chat/completions", chat), ("/v1/chat/completions", {**chat, "tools": [{"type": "custom", "custom": {}}]}),
                           ("/v1/completions", {**text, "mirostat_mode": 2}), ("/v1/completions", {**text, "lora": [{"id": 1}]}),
                           ("/v1/completions", {**text, "guided_regex": r"\bword"}), ("/v1/completions", {**text, "suffix": "b"}),
                           ("/v1/completions", {**text, "response_format": {"type": "structural_tag"}})]:
            with self.subTest(body):
                self.assertEqual(front.post(path, body).status, 200)
                self.assertEqual(server.bodies[-1], body)


class Names(unittest.TestCase):
    def test_aliases_templates_and_contexts(self):
        with tempfile.NamedTemporaryFile("w", suffix=".jinja") as template:
            template.write("{% for m in messages %}{{ m.content }}{% endfor %}")
            template.flush()
            engine = {"path": TINY_MODEL, "threads": 1, "chat_template": template.name, "context": 1_000_000}
            with Server(models=[{"name": "tiny", "aliases": ["gpt-4o", "default"], "engine": engine}]) as server:
                self.assertEqual([(m["id"], m.get("root")) for m in server.get("/v1/models").json()["data"]],
                                 [("tiny", None), ("gpt-4o", "tiny"), ("default", "tiny")])
                self.assertEqual(server.get("/v1/models/gpt-4o").json()["root"], "tiny")
                messages = [{"role": "user", "content": "abc"}]
                tokens = server.post("/tokenize", {"model": "gpt-4o", "messages": messages}).json()["tokens"]
                plain = server.post("/tokenize", {"prompt": "abc", "add_special_tokens": False}).json()["tokens"]
                self.assertEqual(tokens, plain)
                answer = server.post("/v1/chat/completions", {"model": "default", "messages": messages, "max_tokens": 1})
                self.assertEqual((answer.status, answer.json()["model"]), (200, "tiny"))
                self.assertEqual(server.post("/generate", {"model": "gpt-4o", "prompt": "a", "max_tokens": 1}).status, 200)
                server.await_log("1000000 tokens, and the model was trained for")

    def test_an_alias_is_nobody_elses_name(self):
        models = [{"name": "a", "engine": {"path": TINY_MODEL}}, {"name": "b", "aliases": ["a"], "engine": {"path": TINY_MODEL}}]
        with self.assertRaisesRegex(AssertionError, r"aliases\[0\].*called"):
            with Server(models=models):
                pass


if __name__ == "__main__":
    unittest.main()

"""vLLM's simple client, as in its examples, and vLLM's other paths."""

import json

from server import ServerTest


def streaming_response(response, delimiter=b"\0"):
    """What vLLM's api_client.py does with `iter_lines(delimiter=b"\\0")`."""
    for part in response.read().split(delimiter):
        if part:
            yield json.loads(part)["text"]


class Generate(ServerTest):
    def test_whole(self):
        answer = self.server.post("/generate", {"prompt": "Hello", "max_tokens": 12, "temperature": 0})
        self.assertEqual(answer.status, 200)
        (text,) = answer.json()["text"]
        self.assertTrue(text.startswith("Hello"), text)

    def test_stream_is_cumulative_and_ends_with_the_whole(self):
        body = {"prompt": "Hello", "max_tokens": 12, "temperature": 0}
        whole = self.server.post("/generate", body).json()["text"]
        connection, response = self.server.stream("/generate", body)
        parts = list(streaming_response(response))
        connection.close()
        self.assertEqual(parts[-1], whole)
        for shorter, longer in zip(parts, parts[1:]):
            self.assertTrue(longer[0].startswith(shorter[0]))

    def test_stream_of_lines(self):
        connection, response = self.server.stream(
            "/generate", {"prompt": "Hello", "max_tokens": 8, "temperature": 0, "stream_delimiter": "\n"})
        lines = response.read().split(b"\n")
        connection.close()
        self.assertEqual(lines.pop(), b"")
        for line in lines:  # their number depends on how fast they are read
            self.assertTrue(json.loads(line)["text"][0].startswith("Hello"))

    def test_several(self):
        answer = self.server.post("/generate", {"prompt": "Hello", "max_tokens": 5, "n": 2})
        self.assertEqual(len(answer.json()["text"]), 2)


class Tokens(ServerTest):
    def test_round_trip(self):
        for text in ["Hello, world", "你好，世界 🌍", "tabs\tand\nlines", "<|im_start|>"]:
            tokens = self.server.post("/tokenize", {"prompt": text, "add_special_tokens": False}).json()["tokens"]
            answer = self.server.post("/detokenize", {"tokens": tokens})
            self.assertEqual(answer.json()["prompt"], text)

    def test_chat(self):
        answer = self.server.post("/tokenize", {"messages": [{"role": "user", "content": "Hi"}]})
        self.assertEqual(answer.json()["count"], len(answer.json()["tokens"]))
        self.assertIn("max_model_len", answer.json())

    def test_unknown_token(self):
        self.assert_error(self.server.post("/detokenize", {"tokens": [10_000_000]}), 400, param="tokens")

    def test_version(self):
        self.assertRegex(self.server.get("/version").json()["version"], r"^\d+\.\d+\.\d+$")



"""Input on a socket, well-formed and malformed."""

import json
import socket

from server import PATIENCE, ServerTest, wait_for

COMPLETION = {"prompt": "Hello", "max_tokens": 4, "temperature": 0}


class Raw:
    """A socket, and the answers that come back on it."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data.encode() if isinstance(data, str) else data)

    def answer(self, head_only=False):
        """(status, headers, body) of the next answer; None at the end."""
        line = self.file.readline()
        if not line:
            return None
        status = int(line.split()[1])
        headers = {}
        while (line := self.file.readline().strip()) != b"":
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        if status == 100 or head_only:
            return status, headers, b""
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(self.file.readline(), 16):
                body += self.file.read(size)
                self.file.readline()
            self.file.readline()
            return status, headers, body
        return status, headers, self.file.read(int(headers.get("content-length", 0)))


def request(body, extra="", method="POST", path="/v1/completions"):
    data = json.dumps(body) if isinstance(body, dict) else body
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n{extra}\r\n{data}"


class Wire(ServerTest):
    def raw(self):
        return Raw(self.server.port)

    def test_keep_alive_and_pipelining(self):
        with self.raw() as raw:
            raw.send(request(COMPLETION) + request({**COMPLETION, "max_tokens": 2}) + request("", method="GET", path="/livez"))
            self.assertEqual(raw.answer()[0], 200)
            self.assertEqual(json.loads(raw.answer()[2])["usage"]["completion_tokens"], 2)
            self.assertEqual(raw.answer()[2], b"ok\n")

    def test_chunked_body_and_expect(self):
        body = json.dumps(COMPLETION)
        with self.raw() as raw:
            raw.send("POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n")
            self.assertEqual(raw.answer()[0], 100)
            for piece in (body[:7], body[7:]):
                raw.send(f"{len(piece):x}\r\n{piece}\r\n")
            raw.send("0\r\n\r\n")
            self.assertEqual(raw.answer()[0], 200)

    def test_head_and_old_clients(self):
        with self.raw() as raw:
            raw.send("HEAD /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            status, headers, _ = raw.answer(head_only=True)
            self.assertEqual((status, headers["content-length"]), (200, "3"))
        with self.raw() as raw:
            raw.send("GET /livez HTTP/1.0\r\n\r\n")
            self.assertEqual(raw.answer()[0], 200)
            self.assertIsNone(raw.answer())

    def test_garbage_is_refused_and_the_connection_closed(self):
        for garbage in [b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
                        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
                        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
                        b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n"]:
            with self.subTest(garbage), self.raw() as raw:
                raw.send(garbage)
                status, _, body = raw.answer()
                self.assertIn(status, (400, 431, 501, 505))
                self.assertIn("message", json.loads(body)["error"])
                self.assertIsNone(raw.answer())

    def test_half_a_request_does_no_harm(self):
        for half in ["POST /v1/comp", request(COMPLETION)[:-10]]:
            with self.raw() as raw:
                raw.send(half)
        self.assertEqual(self.server.get("/livez").status, 200)

    def test_too_large(self):
        with self.raw() as raw:
            raw.send("POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n")
            status, _, body = raw.answer()
            self.assertEqual(status, 413)
            self.assertIn("bytes", json.loads(body)["error"]["message"])
        with self.raw() as raw:
            raw.send("GET / HTTP/1.1\r\nHost: x\r\nX: " + "a" * 200_000 + "\r\n\r\n")
            self.assertEqual(raw.answer()[0], 431)


class Bodies(ServerTest):
    def post(self, body, path="/v1/completions"):
        return self.server.post(path, body)

    def test_json_that_is_none(self):
        for body in ["", "{", "[]", "null", '"text"', '{"prompt": "a",}', b'{"prompt": "\xff\xfe"}', '{"prompt": "\\ud800"}']:
            with self.subTest(body):
                self.assert_error(self.post(body), 400)

    def test_deep_and_wide_json(self):
        self.assert_error(self.post('{"prompt": ' + "[" * 100_000 + "]" * 100_000 + "}"), 400)
        wide = "{" + ",".join(f'"{i}":0' for i in range(1_000_000)) + ', "prompt": "Hello", "max_tokens": 2}'
        self.assertEqual(self.post(wide).status, 200)

    def test_wrong_values_name_their_field(self):
        for field, value in [("max_tokens", -1), ("max_tokens", 0), ("max_tokens", "many"), ("max_tokens", 1e30),
                             ("max_tokens", 2.5), ("temperature", -0.1), ("temperature", 2.1), ("temperature", "hot"),
                             ("top_p", -0.1), ("top_p", 1.1), ("n", 0), ("n", 10**9), ("stop", [1]), ("stop", [""]),
                             ("seed", "x"), ("presence_penalty", 3), ("logit_bias", {"x": 1}), ("logit_bias", ["x"]),
                             ("stream", "yes"), ("prompt", 7), ("prompt", [-1]), ("model", 3), ("top_k", 1.5),
                             ("priority", 10)]:
            with self.subTest(field=field, value=value):
                answer = self.post({**COMPLETION, field: value})
                self.assert_error(answer, 400)
                self.assertTrue(answer.error["param"].startswith(field), answer.error)

    def test_missing_and_empty_prompts(self):
        self.assert_error(self.post({"max_tokens": 3}), 400, param="prompt")
        self.assert_error(self.post({"prompt": []}), 400, param="prompt")
        self.assert_error(self.post({}, "/v1/chat/completions"), 400, param="messages")
        self.assert_error(self.post({"messages": []}, "/v1/chat/completions"), 400, param="messages")
        self.assert_error(self.post({"messages": [{"content": "x"}]}, "/v1/chat/completions"), 400,
                          param="messages[0].role")
        self.assertEqual(self.post({"prompt": "", "max_tokens": 2}).status, 200)  # the model generates without a prompt

    def test_context_overflow_says_the_numbers(self):
        answer = self.post({"prompt": "word " * 5000, "max_tokens": 5})
        self.assert_error(answer, 400, code="context_length_exceeded", param="prompt")
        self.assertRegex(answer.error["message"], r"maximum context length is 4096 tokens\. However, you requested \d{4,} tokens")
        self.assert_error(self.post({"prompt": "word", "max_tokens": 100_000}), 400, param="max_tokens")
        # Megabytes are refused by their number of bytes, and not tokenized.
        answer = self.post({"prompt": "word " * 500_000, "max_tokens": 5})
        self.assert_error(answer, 400, code="context_length_exceeded", param="prompt", says="2500000 bytes")

    def test_paths_methods_models(self):
        self.assert_error(self.server.get("/v3/nothing"), 404, code="unknown_path", says="/v1/completions")
        wrong = self.server.get("/v1/completions")
        self.assert_error(wrong, 405, says="curl")
        self.assertEqual(wrong.headers["allow"], "POST")
        self.assert_error(self.post({**COMPLETION, "model": "gpt-9"}), 404, code="model_not_found", says="tiny")
        self.assertEqual(self.post({**COMPLETION, "model": "tiny"}).status, 200)

    def test_content_type_is_not_insisted_on(self):
        self.assertEqual(self.server.post("/v1/completions", COMPLETION, headers={"Content-Type": "text/plain"}).status, 200)

    def test_unknown_fields_are_ignored_and_counted(self):
        before = self.server.metric("autoglm_ignored_fields_total")
        self.assertEqual(self.post({**COMPLETION, "no_such_field": 1, "nor_this": {}}).status, 200)
        self.assertEqual(self.server.metric("autoglm_ignored_fields_total"), before + 2)


class Tracing(ServerTest):
    def test_request_id_and_trace_id(self):
        trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        answer = self.server.post("/v1/completions", COMPLETION, headers={
            "x-request-id": "my-id-7", "traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
        self.assertEqual(answer.headers["x-request-id"], "my-id-7")
        line = wait_for(lambda: [l for l in self.server.log_lines() if l.get("request_id") == "my-id-7"], "the log line")[0]
        self.assertEqual(line["trace_id"], trace)
        self.assertEqual((line["status"], line["completion_tokens"], line["model"]), (200, 4, "tiny"))

    def test_ids_are_made_when_absent(self):
        one = self.server.post("/v1/completions", COMPLETION).headers["x-request-id"]
        two = self.server.post("/v1/completions", COMPLETION).headers["x-request-id"]
        self.assertNotEqual(one, two)

    def test_every_line_is_json_with_a_trace_id(self):
        self.server.get("/livez")
        lines = wait_for(lambda: self.server.log().splitlines(), "a line")
        for line in lines:
            entry = json.loads(line)
            self.assertEqual({"timestamp", "level", "service_name", "message", "trace_id"} - set(entry), set())
            self.assertRegex(entry["trace_id"], r"^[0-9a-f]{32}$")

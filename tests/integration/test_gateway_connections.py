"""The connections to servers behind the gateway: whose answer they carry, and when they are reused or closed."""

import contextlib
import json
import re
import socket
import ssl
import tempfile
import time
import unittest

from certificates import Authority
from gateway_fixture import GatewayTest, gateway, pool
from server import wait_for
from upstream import DONE, Foreign, chunk, completion


def http(body, status="200 OK"):
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


class Kept(GatewayTest):
    """A server that repeats each prompt, and also sends bytes unasked."""

    def echo(self, **listener):
        def answer(_path, body, _count):
            text = f"for {body['prompt']}"
            return 200, {}, [chunk(text, "stop"), DONE] if body.get("stream") else completion(text)

        (server,) = self.start(Foreign(answer, **listener))
        return server

    def front(self, server, **endpoint):
        (front,) = self.start(gateway(pool({"url": server.url, **endpoint}, health={"interval": "1h"}), workers=1))
        # Checks have their own connections; the first check ends with this request.
        wait_for(lambda: "/get_model_info" in server.gets, "that it is known who the server is")
        wait_for(lambda: not server.open, "the end of the checks' connections")
        return front

    def text(self, front, prompt, stream=False):
        answer = front.post("/v1/completions", {"prompt": prompt, "stream": stream})
        self.assertEqual(answer.status, 200, answer.body)
        document = answer.body.decode().removeprefix("data: ").split("\n\n")[0] if stream else answer.body
        return json.loads(document)["choices"][0]["text"]

    def say(self, server, front, unasked):
        """Sends `unasked` on the connection that has just served a request and is idle."""
        self.assertEqual(self.text(front, "eve"), "for eve")
        connection = wait_for(lambda: len(server.open) == 1 and next(iter(server.open)), "the end of all others")
        # The answer's end may still be on its way, and two threads must not write to one TLS connection.
        with server.turns[connection]:
            connection.sendall(unasked)

    def check_each_gets_its_own(self, server, front):
        self.assertEqual(self.text(front, "alice"), "for alice")
        self.assertEqual(self.text(front, "bob"), "for bob")
        self.assertEqual(server.accepted, len(server.gets) + 1, "one connection serves both")
        whole = http(completion("for somebody else"))
        stream = http(chunk("for somebody else", "stop") + DONE)
        for i, (unasked, streamed) in enumerate(((whole, False), (stream, True), (whole * 3, True), (b"\r\n", False))):
            self.say(server, front, unasked)
            for prompt in (f"carol {i}", f"dave {i}"):
                self.assertEqual(self.text(front, prompt, streamed), f"for {prompt}")
        self.assertEqual(front.metric("autoglm_retries_total"), 0)
        self.assertEqual(front.metric("autoglm_endpoint_attempts_total", outcome="failed"), 0)

    def test_what_nobody_asked_for_is_nobodys_answer(self):
        server = self.echo()
        self.check_each_gets_its_own(server, self.front(server))

    def test_behind_tls_too(self):
        with tempfile.TemporaryDirectory(prefix="open-autoglm-test-") as folder:
            ours = Authority(folder, "ours")
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*ours.issue("address", "IP:127.0.0.1"))
            server = self.echo(tls=context)
            self.check_each_gets_its_own(server, self.front(server, tls={"ca": ours.ca}))


class Early(Foreign):
    """Answers large requests as soon as it has their heads, and closes with the rest unread."""

    def __init__(self, status, headers=""):
        self.status, self.headers, self.large = status, headers, 0
        super().__init__()

    def serve(self, connection):
        head = connection.recv(65536, socket.MSG_PEEK)
        length = re.search(rb"content-length: (\d+)", head.lower())
        if not head.startswith(b"POST") or int(length[1]) < 1_000_000:
            super().serve(connection)
            return
        with self.lock:
            self.large += 1
        body = b'{"error":{"message":"said early"}}'
        connection.sendall(f"HTTP/1.1 {self.status} Status\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
                           f"{self.headers}\r\n".encode() + body)


class Answered(GatewayTest):
    """Servers that answer before they have read the request."""

    def ask(self, status, headers=""):
        servers = self.start(Early(status, headers), Early(status, headers))
        (front,) = self.start(gateway(pool(*(s.url for s in servers), balance="round_robin", retry={},
                                           breaker={"window": "1s", "request_volume": 5}, ejection={}), workers=1))
        answers = [front.post("/v1/completions", {"prompt": "x" * 8_000_000}) for _ in range(12)]
        self.assertEqual({answer.error["message"] for answer in answers if answer.status == status}, {"said early"}
                         if any(answer.status == status for answer in answers) else set())
        return servers, front, answers

    def test_a_body_that_is_too_large_for_a_server_is_the_clients_own(self):
        servers, front, answers = self.ask(413)
        self.assertEqual([answer.status for answer in answers], [413] * 12)
        self.assertEqual(sum(s.large for s in servers), 12, "nobody else is asked")
        self.assertEqual(front.metric("autoglm_endpoint_attempts_total", outcome="refused"), 12)
        self.assertEqual(front.metric("autoglm_endpoint_attempts_total", outcome="failed"), 0)
        self.check_all_answered(front, 10)

    def test_a_server_that_is_busy_says_so_early(self):
        _, front, answers = self.ask(429, "Retry-After: 7\r\n")
        self.assertEqual({(answer.status, answer.headers["retry-after"]) for answer in answers}, {(429, "7")})
        self.assertEqual(front.metric("autoglm_endpoint_attempts_total", outcome="failed"), 0)
        self.check_all_answered(front, 10)

    def test_a_key_that_is_refused_early_is_the_servers_failure(self):
        _, front, answers = self.ask(401)
        self.assertLessEqual({answer.status for answer in answers}, {502, 503})
        self.assertIn("api_key", answers[0].error["message"])
        self.assertGreater(front.metric("autoglm_endpoint_attempts_total", outcome="failed"), 0)


class Long(GatewayTest):
    def long_answer(self, size, **server):
        """A gateway in front of a server that answers with `size` letters."""
        (server_behind,) = self.start(Foreign(lambda *_: (200, {}, completion("y" * size))))
        (front,) = self.start(gateway(pool(server_behind.url), workers=1, compress_above=0, **server))
        return front

    def test_who_reads_slowly_and_steadily_gets_all_of_it(self):
        front = self.long_answer(24_000_000, write_timeout="2s")
        with contextlib.closing(front.connect()) as other, socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            connection.connect(("127.0.0.1", front.port))
            connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                               b"Content-Length: 14\r\n\r\n" + b'{"prompt":"x"}')
            begun, got = time.monotonic(), 0
            while (elapsed := time.monotonic() - begun) < 5:
                if got < 2_000_000 * elapsed:
                    got += len(connection.recv(65536))
                else:
                    other.request("GET", "/livez")  # something to do meanwhile
                    other.getresponse().read()
            self.assertLess(got, 20_000_000)
            while more := connection.recv(1 << 20):
                got += len(more)
        self.assertGreater(got, 24_000_000)

    def test_what_does_not_fit_into_memory_is_said_so(self):
        front = self.long_answer(3_000_000, answer_memory="1MiB")
        answer = front.post("/v1/completions", {"prompt": "x"})
        self.assertEqual(answer.status, 503, answer.body[:300])
        self.assertEqual(answer.error["code"], "answer_memory")
        self.assertIn("server.answer_memory", answer.error["message"])
        self.assertEqual(answer.headers["retry-after"], "1")
        self.assertEqual(front.metric("autoglm_endpoint_attempts_total", outcome="failed"), 0, "that is not its failure")


if __name__ == "__main__":
    unittest.main()

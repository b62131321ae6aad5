"""Every input in the table of hostile inputs ends as the table says, within bounds, and the server then serves as before."""

import contextlib
import gzip
import json
import os
import resource
import socket
import threading
import unittest

import hostile
from server import NEVER, PATIENCE, Server, wait_for

# For one input, above the idle server's memory: a body of the largest size (16 MiB), its parser (tape, indexes and strings take
# 8, 4 and 1.7 bytes a byte; some kernels back all of it at once, most a third), and two copies of what is found in it.
PEAK_KIB = (16 + 14 * 16 + 2 * 16 + 16) * 1024


class HostileInputs(unittest.TestCase):
    def test_each_is_refused_and_costs_little(self):
        self.assertGreaterEqual(len(hostile.CASES), 60)
        # Freed memory that AddressSanitizer holds back would count.
        env = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=16"}
        with Server(engine={"context": 512}, env=env) as server:
            for case in hostile.CASES:
                with self.subTest(f"{case.group}: {case.name}"):
                    hostile.reset_peak(server.process.pid)
                    before = hostile.peak_kib(server.process.pid)
                    statuses, closed = hostile.exchange(server.port, case, PATIENCE)
                    self.assertLessEqual(len(statuses), case.answers, "one request, one answer")
                    self.assertIn(statuses[0] if statuses else None, case.statuses)
                    if not case.stays:
                        self.assertTrue(closed, "what cannot be followed is closed")
                    self.assertLess(hostile.peak_kib(server.process.pid) - before, PEAK_KIB)
            self.assertEqual(server.post("/v1/completions", {"prompt": "Hi", "max_tokens": 1}).status, 200)
            wait_for(server.idle, "nothing runs")


class SlowClients(unittest.TestCase):
    """Every wait for a client has a time limit."""

    def drip(self, server, beginning, byte):
        """Sends a byte now and then until the server gives up; returns its answer."""
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
            connection.sendall(beginning)
            connection.setblocking(False)
            received = b""
            with contextlib.suppress(OSError):
                while True:
                    with contextlib.suppress(BlockingIOError):
                        data = connection.recv(65536)
                        if not data:
                            break
                        received += data
                    connection.send(byte)
                    NEVER.wait(0.02)
            return received

    def test_headers_and_bodies_that_never_end(self):
        with Server(server={"header_timeout": "300ms", "body_timeout": "300ms"}) as server:
            head = self.drip(server, b"GET /health HTTP/1.1\r\nX: ", b"y")
            self.assertTrue(head.startswith(b"HTTP/1.1 408 "), head)
            body = self.drip(server, b"POST /v1/completions HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n", b" ")
            self.assertTrue(body.startswith(b"HTTP/1.1 408 "), body)

    def test_a_connection_without_requests_is_closed(self):
        with Server(server={"idle_timeout": "200ms"}) as server:
            with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
                connection.sendall(b"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n")
                while connection.recv(65536):
                    pass  # reads its answer, then the end

    def test_who_does_not_read_is_given_up_and_others_are_served(self):
        with Server(engine={"context": 4096, "max_sequences": 8}, server={"write_timeout": "500ms", "request_timeout": f"{PATIENCE}s"}) as server:
            body = json.dumps({"prompt": "Once", "max_tokens": 4000, "n": 2, "ignore_eos": True, "stream": True, "logprobs": 20})
            request = f"POST /v1/completions HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
            deaf = []
            for _ in range(2):
                connection = socket.socket()
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                connection.settimeout(PATIENCE)
                connection.connect(("127.0.0.1", server.port))
                connection.sendall(request)
                deaf.append(connection)
            answer = server.post("/v1/completions", {"prompt": "Hi", "max_tokens": 20})
            self.assertEqual(answer.status, 200)
            lines = wait_for(lambda: [x for x in server.log_lines() if "sending the answer" in x.get("error", "")][1:],
                             "two streams that were given up, and why")
            self.assertEqual(lines[0]["status"], 200)
            wait_for(server.idle, "their sequences are free")
            for connection in deaf:
                connection.close()


class Bounds(unittest.TestCase):
    def test_bodies_share_their_memory(self):
        with Server(server={"max_body": "4MiB", "body_memory": "8MiB"}) as server:
            half = b"POST /v1/completions HTTP/1.1\r\nHost: h\r\nContent-Length: 4000000\r\n\r\n" + b" " * 3_900_000
            wanted = {"prompt": "x" * 2_000_000, "max_tokens": 1}
            waiting = []

            def refused_beside_two_that_wait():
                while waiting:
                    waiting.pop().close()
                for _ in range(2):
                    waiting.append(socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE))
                    with contextlib.suppress(OSError):  # refused if the previous one still holds its place
                        waiting[-1].sendall(half)
                answer = server.post("/v1/completions", wanted)
                return answer if answer.status == 503 else None

            refused = wait_for(refused_beside_two_that_wait, "no room")
            self.assertIn("server.body_memory", refused.error["message"])
            self.assertEqual(refused.headers["retry-after"], "1")
            self.assertEqual(server.post("/v1/completions", {"prompt": "Hi", "max_tokens": 1}).status, 200)
            for connection in waiting:
                connection.close()
            wait_for(lambda: server.post("/v1/completions", wanted).status == 400, "room again: the prompt is only too long")

    def test_bodies_that_there_is_no_memory_for(self):
        with Server() as server:
            pid = server.process.pid
            with open(f"/proc/{pid}/maps") as maps:
                if "mimalloc" not in maps.read():
                    self.skipTest("a sanitizer's allocator ends the process where there is no memory")
            with open(f"/proc/{pid}/statm") as statm:
                most = int(statm.read().split()[0]) * resource.getpagesize() + 60 * (1 << 20)
            resource.prlimit(pid, resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
            body = json.dumps({"prompt": "x" * 15_000_000, "max_tokens": 1})
            statuses = []

            def ask():
                try:
                    statuses.append(server.post("/v1/completions", body).status)
                except OSError:
                    statuses.append(None)  # the server answered before the whole request was sent, and the answer was lost

            asking = [threading.Thread(target=ask) for _ in range(12)]
            for thread in asking:
                thread.start()
            for thread in asking:
                thread.join()
            self.assertEqual(len(statuses), 12)
            self.assertIsNone(server.process.poll(), server.log()[-2000:])
            self.assertIn(503, statuses)
            self.assertEqual(server.post("/v1/completions", {"prompt": "Hi", "max_tokens": 1}).status, 200)

    def test_a_client_has_so_many_connections(self):
        with Server(server={"max_connections_per_client": 3}) as server:
            held = [socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) for _ in range(3)]
            refused = wait_for(lambda: (answer := server.get("/livez")).status == 429 and answer, "the fourth is refused")
            self.assertIn("3 connections", refused.error["message"])
            for connection in held:
                connection.close()
            wait_for(lambda: server.get("/livez").status == 200, "a place again")

    def test_long_answers_are_packed_for_who_accepts_it(self):
        with Server(server={"compress_above": "1KiB"}) as server:
            wanted = {"prompt": "Once", "max_tokens": 200, "ignore_eos": True, "seed": 1}
            plain = server.post("/v1/completions", {**wanted, "logprobs": 3})
            packed = server.post("/v1/completions", {**wanted, "logprobs": 3}, headers={"Accept-Encoding": "gzip"})
            self.assertEqual(packed.headers["content-encoding"], "gzip")
            self.assertNotIn("content-encoding", plain.headers)
            text = json.loads(gzip.decompress(packed.body))["choices"][0]["text"]
            self.assertEqual(text, plain.json()["choices"][0]["text"])
            stream = server.post("/v1/completions", {**wanted, "stream": True}, headers={"Accept-Encoding": "gzip"})
            self.assertNotIn("content-encoding", stream.headers)


if __name__ == "__main__":
    unittest.main()

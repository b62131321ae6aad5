"""HTTP/2: Node's client and curl against a server, and timeouts and limits for slow clients. Inputs that break the protocol
are in the table of test_hostile."""

import json
import os
import socket
import ssl
import subprocess
import tempfile
import unittest

import http2
from certificates import Authority
from server import PATIENCE, Server, ServerTest, wait_for

CLIENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "node", "http2_client.mjs")


class Scenario:
    """A running scenario of node/http2_client.mjs."""

    def __init__(self, server, name, ca=None):
        scheme = "https" if ca else "http"
        self.name = name
        self.process = subprocess.Popen(["node", CLIENT, f"{scheme}://127.0.0.1:{server.port}", name, *([ca] if ca else [])],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def says(self):
        return self.process.stdout.readline().strip()

    def end(self):
        with self.process:
            out, err = self.process.communicate("go on\n", timeout=4 * PATIENCE)
        if self.process.returncode != 0:
            raise AssertionError(f"{self.name}: {out}{err}")
        return out


class Client(ServerTest):
    server_options = {"engine": {"context": 32768}}

    def test_many_requests_of_a_connection(self):
        texts = json.loads(Scenario(self.server, "many").end())
        ask = {"prompt": "Once upon a time", "max_tokens": 20, "temperature": 1, "ignore_eos": True}
        over_http1 = [self.server.post("/v1/completions", {**ask, "seed": i}).json()["choices"][0]["text"] for i in range(10)]
        self.assertEqual(texts, over_http1)

    def test_streams_event_by_event(self):
        Scenario(self.server, "streams").end()

    def test_heads_errors_and_packed_answers(self):
        Scenario(self.server, "head_and_errors").end()

    def test_large_bodies(self):
        Scenario(self.server, "large_bodies").end()

    def test_a_cancelled_stream_stops_its_generation(self):
        scenario = Scenario(self.server, "cancels")
        self.assertEqual(scenario.says(), "cancelled")
        wait_for(self.server.idle, "their sequences are free")
        scenario.end()
        gone = [line for line in self.server.log_lines() if line["message"] == "request" and line["status"] == 499]
        self.assertEqual([line["protocol"] for line in gone], ["HTTP/2"] * 8)

    def test_a_client_that_leaves_stops_its_generations(self):
        scenario = Scenario(self.server, "leaves")
        self.assertEqual(scenario.says(), "streaming")
        wait_for(lambda: self.server.metric("vllm:num_requests_running") == 1, "its generation")
        scenario.end()
        wait_for(self.server.idle, "its sequence is free")

    def test_curl(self):
        for path, more, expected in (("/livez", [], "ok\n2 200"), ("/v1/completions", ["-d", '{"prompt": "Hi", "max_tokens": 1}', "-o", "/dev/null"], "2 200")):
            done = subprocess.run(["curl", "-sS", "--http2-prior-knowledge", "-w", "%{http_version} %{response_code}", *more,
                                   f"http://127.0.0.1:{self.server.port}{path}"], capture_output=True, text=True, timeout=PATIENCE)
            self.assertEqual(done.stdout, expected, done.stderr)


class Limits(unittest.TestCase):
    def read_to_end(self, connection):
        received = b""
        while data := connection.recv(65536):
            received += data
        return http2.outcomes(received)

    def connect(self, server):
        return self.enterContext(socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE))

    def test_each_wait_has_an_end(self):
        with Server(server={"header_timeout": "300ms", "body_timeout": "300ms", "idle_timeout": "600ms"}) as server:
            idle, head, body = (self.connect(server) for _ in range(3))
            idle.sendall(http2.hello())
            head.sendall(http2.hello() + http2.headers(http2.request(), 1, 0))
            body.sendall(http2.hello() + http2.headers(http2.request(), 1, http2.END_HEADERS))
            self.assertEqual(self.read_to_end(head), ["goaway 11"])
            self.assertEqual(self.read_to_end(body), [408, "reset 0", "goaway 0"])
            self.assertEqual(self.read_to_end(idle), ["goaway 0"])

    def test_pings_do_not_keep_an_idle_connection(self):
        with Server(server={"idle_timeout": "400ms"}) as server:
            connection = self.connect(server)
            connection.sendall(http2.hello())
            connection.settimeout(0.02)
            received = b""
            while True:
                try:
                    connection.sendall(http2.frame(http2.PING, payload=b"x" * 8))
                    data = connection.recv(65536)
                except TimeoutError:
                    continue
                except OSError:
                    break
                if not data:
                    break
                received += data
            self.assertIn("goaway 0", http2.outcomes(received))

    def test_who_does_not_read_is_given_up_and_others_are_served(self):
        with Server(engine={"context": 4096, "max_sequences": 8}, server={"write_timeout": "500ms", "request_timeout": f"{PATIENCE}s"}) as server:
            Scenario(server, "does_not_read").end()
            lines = wait_for(lambda: [x for x in server.log_lines() if "sending the answer" in x.get("error", "")],
                             "a stream that was given up, and why")
            self.assertEqual(lines[0]["protocol"], "HTTP/2")
            wait_for(server.idle, "its sequences are free")

    def test_so_many_requests_at_a_time(self):
        with Server(server={"http2_streams": 3}) as server:
            Scenario(server, "settings").end()

    def test_bodies_of_a_connection_share_their_memory(self):
        with Server(server={"max_body": "512KiB", "body_memory": "1MiB"}) as server:
            connection = self.connect(server)
            part = http2.frame(http2.DATA, 0, 0, b"x" * 16000)
            flood = [http2.headers(http2.request(), 2 * i + 1, http2.END_HEADERS) + part[:5] + (2 * i + 1).to_bytes(4, "big") + part[9:]
                     for i in range(60)]
            arrived = http2.frame(http2.PING, payload=b"arrived.")
            connection.sendall(http2.hello() + b"".join(flood) + arrived)
            # Posts sent while the flood still arrives would take its memory, and the flood would be refused instead of the posts.
            received = b""
            while not any(kind == http2.PING and flags & http2.ACK for kind, flags, _, _ in http2.frames(received)):
                data = connection.recv(65536)
                self.assertTrue(data, http2.outcomes(received))
                received += data
            wanted = {"prompt": "x" * 200_000, "max_tokens": 1}
            wait_for(lambda: server.post("/v1/completions", wanted).status == 503, "no room")
            connection.close()
            wait_for(lambda: server.post("/v1/completions", wanted).status == 400, "room again: the prompt is only too long")

    def test_sigterm_lets_streams_finish(self):
        with Server() as server:
            scenario = Scenario(server, "drained")
            self.assertEqual(scenario.says(), "streaming")
            wait_for(lambda: server.metric("vllm:request_success_total") + server.metric("vllm:num_requests_running") == 2, "both have begun")
            server.process.terminate()
            scenario.end()
            self.assertEqual(server.process.wait(PATIENCE), 0)
            lines = [line for line in server.log_lines() if line["message"] == "request" and line["model"]]
            self.assertEqual([line["status"] for line in lines], [200, 200])

    def test_it_can_be_switched_off(self):
        with Server(server={"http2": False}) as server:
            connection = self.connect(server)
            connection.sendall(http2.hello())
            self.assertTrue(connection.recv(65536).startswith(b"HTTP/1.1 505 "))


class Tls(unittest.TestCase):
    def test_alpn_decides(self):
        folder = self.enterContext(tempfile.TemporaryDirectory(prefix="open-autoglm-test-"))
        ours = Authority(folder, "ours")
        certificate, key = ours.issue("local", "IP:127.0.0.1")
        tls = {"certificates": [{"certificate": certificate, "key": key}]}
        context = ssl.create_default_context(cafile=ours.ca)
        with Server(server={"tls": tls}, tls=context) as server:
            Scenario(server, "many", ours.ca).end()
            for offered, spoken in ((["h2", "http/1.1"], "h2"), (["http/1.1"], "http/1.1"), ([], None)):
                client = ssl.create_default_context(cafile=ours.ca)
                if offered:
                    client.set_alpn_protocols(offered)
                with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as plain, \
                        client.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
                    self.assertEqual(connection.selected_alpn_protocol(), spoken)
            self.assertEqual(server.get("/livez").status, 200)  # HTTP/1.1 within TLS
        with Server(server={"tls": tls, "http2": False}, tls=context) as server:
            context.set_alpn_protocols(["h2", "http/1.1"])
            with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as plain, \
                    context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
                self.assertEqual(connection.selected_alpn_protocol(), "http/1.1")


if __name__ == "__main__":
    unittest.main()

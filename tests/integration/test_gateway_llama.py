"""llama-server, from the llama.cpp that is built here, as the foreign server behind the gateway."""

import contextlib
import http.client
import os
import pathlib
import socket
import subprocess
import tempfile
import unittest

from gateway_fixture import Crowd, GatewayTest, gateway, members, pool
from server import PATIENCE, TINY_MODEL, wait_for

LLAMA_SERVER = os.environ.get("AUTOGLM_LLAMA_SERVER") or str(
    pathlib.Path(__file__).parents[2] / "build" / "llama" / "out" / "bin" / "llama-server")


class LlamaServer:
    def __init__(self):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.name = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.name}/v1"
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [LLAMA_SERVER, "-m", TINY_MODEL, "--host", "127.0.0.1", "--port", str(self.port), "-c", "16384", "-np", "8", "-t", "1"],
            stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)
        wait_for(self._well, "a llama-server that is well")

    def _well(self):
        if self.process.poll() is not None:
            self.log.seek(0)
            raise AssertionError(f"llama-server ended: {self.log.read()[-2000:]}")
        with contextlib.suppress(OSError):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
            with contextlib.closing(connection):
                connection.request("GET", "/health")
                return connection.getresponse().status == 200
        return False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.log.close()


@unittest.skipUnless(os.access(LLAMA_SERVER, os.X_OK),
                     f"NOT TESTED: no llama-server at {LLAMA_SERVER}; ./dev bench builds it, AUTOGLM_LLAMA_SERVER names another")
class Llama(GatewayTest):
    WANTED = {"prompt": "Once upon a time", "max_tokens": 300, "temperature": 0, "ignore_eos": True}

    def test_completions_and_chats(self):
        (server,) = self.start(LlamaServer())
        (front,) = self.start(gateway(pool(server.url)))
        wanted = {**self.WANTED, "max_tokens": 20}
        answer = front.post("/v1/completions", wanted)
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(answer.json()["usage"]["completion_tokens"], 20)
        crowd = Crowd(front, [wanted] * 4).join()
        self.assertEqual((crowd.failures, set(crowd.texts)), ([], {answer.json()["choices"][0]["text"]}))
        chat = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 20, "temperature": 0, "ignore_eos": True}
        answer = front.post("/v1/chat/completions", chat)
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(answer.json()["usage"]["completion_tokens"], 20)
        crowd = Crowd(front, [chat] * 4, "/v1/chat/completions").join()
        self.assertEqual(crowd.failures, [])

    def test_killed_in_the_middle_of_completions(self):
        a, b = self.start(LlamaServer(), LlamaServer())
        (front,) = self.start(gateway(pool(a.url, b.url, balance="round_robin")))
        crowd = Crowd(front, [self.WANTED] * 12).wait_until_begun(4)
        wait_for(lambda: members(front)[a.name]["in_flight"] > 0, "streams on the one that dies")
        a.process.kill()
        crowd.join()
        self.assertEqual(crowd.failures, [])
        self.assertGreater(front.metric("autoglm_resumes_total", outcome="ok"), 0)
        whole = front.post("/v1/completions", self.WANTED).json()["choices"][0]["text"]
        # The text after a break may differ, since its words may be other tokens; the beginning and the full length must match.
        self.assertEqual({text[:5] for text in crowd.texts}, {whole[:5]})
        wait_for(lambda: front.metric("autoglm_endpoint_in_flight") == 0, "nothing in flight")


if __name__ == "__main__":
    unittest.main()

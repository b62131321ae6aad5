"""Ollama's own client for Node against a server: scenarios in node/ollama_client.mjs, one a test."""

import os
import subprocess
import unittest

from server import PATIENCE, Server, ServerTest, encoder_models, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))


def scenario(server, name):
    # ES modules are looked up from the script's folder, so the script is run from where the client is installed.
    modules = os.environ["AUTOGLM_NODE_MODULES"]
    link = os.path.join(os.path.dirname(modules), "ollama_client.mjs")
    with open(os.path.join(HERE, "node", "ollama_client.mjs")) as source, open(link, "w") as copy:
        copy.write(source.read())
    done = subprocess.run(["node", link, f"http://127.0.0.1:{server.port}", name], capture_output=True, text=True,
                          timeout=4 * PATIENCE)
    if done.returncode != 0:
        raise AssertionError(done.stdout + done.stderr)


class OllamaClient(ServerTest):
    def test_models(self):
        scenario(self.server, "models")

    def test_chat(self):
        scenario(self.server, "chat")

    def test_streamed_chat(self):
        scenario(self.server, "streamed_chat")

    def test_generate(self):
        scenario(self.server, "generate")

    def test_structured_output(self):
        scenario(self.server, "format")

    def test_tools(self):
        scenario(self.server, "tools")

    def test_loading_what_is_loaded(self):
        scenario(self.server, "load")

    def test_errors(self):
        scenario(self.server, "errors")

    def test_abort_frees_the_sequence(self):
        before = self.server.metric("vllm:request_success_total", finished_reason="abort")
        scenario(self.server, "abort")
        wait_for(self.server.idle, "the end of the aborted sequence")
        self.assertEqual(self.server.metric("vllm:request_success_total", finished_reason="abort"), before + 1)

    def test_the_server_is_found(self):
        self.assertEqual(self.server.call("HEAD", "/").status, 200)


class OllamaEmbeds(ServerTest):
    server_options = {"more_models": encoder_models()}

    def test_embed(self):
        scenario(self.server, "embed")


class OllamaOnAFullServer(unittest.TestCase):
    def test_its_error_says_when_to_come_again(self):
        with Server(engine={"max_sequences": 1, "max_waiting": 0}) as server:
            connection, response = server.stream("/v1/completions", {"prompt": "Hello", "max_tokens": 3000,
                                                                     "ignore_eos": True})
            response.readline()
            answer = server.post("/api/chat", {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}]})
            connection.close()
            self.assertEqual(answer.status, 429)
            self.assertEqual(list(answer.json()), ["error"])
            self.assertIn("retry-after", answer.headers)
            wait_for(server.idle, "an idle server")

"""The official Node client against a server: scenarios in node/openai_client.mjs, one a test."""

import unittest

import node_client
from server import Server, ServerTest, wait_for


def scenario(server, name):
    node_client.scenario(server, "openai", name)


class OpenAiClient(ServerTest):
    def test_models(self):
        scenario(self.server, "models")

    def test_chat(self):
        scenario(self.server, "chat")

    def test_streamed_chat_with_usage(self):
        scenario(self.server, "streamed_chat")

    def test_completions(self):
        scenario(self.server, "completions")

    def test_several_choices(self):
        scenario(self.server, "choices")

    def test_seed_and_stop(self):
        scenario(self.server, "seed_and_stop")

    def test_structured_output(self):
        scenario(self.server, "structured_output")

    def test_tools(self):
        scenario(self.server, "tools")

    def test_parallel_tools(self):
        scenario(self.server, "parallel_tools")

    def test_logprobs(self):
        scenario(self.server, "logprobs")

    def test_typed_errors(self):
        scenario(self.server, "errors")

    def test_abort_frees_the_sequence(self):
        before = self.server.metric("vllm:request_success_total", finished_reason="abort")
        scenario(self.server, "abort")
        wait_for(self.server.idle, "the end of the aborted sequence")
        self.assertEqual(self.server.metric("vllm:request_success_total", finished_reason="abort"), before + 1)


class OpenAiClientOnAFullServer(unittest.TestCase):
    def test_rate_limit_error(self):
        with Server(engine={"max_sequences": 1, "max_waiting": 0}) as server:
            connection, response = server.stream("/v1/completions", {"prompt": "Hello", "max_tokens": 3000,
                                                                     "ignore_eos": True})
            response.readline()
            scenario(server, "too_many")
            connection.close()
            wait_for(server.idle, "an idle server")

"""Anthropic's official Node client against a server: scenarios in node/anthropic_client.mjs, one a test."""

import unittest

import node_client
from server import Server, ServerTest, wait_for

MESSAGE = {"max_tokens": 8, "messages": [{"role": "user", "content": "Say something."}]}


def scenario(server, name):
    node_client.scenario(server, "anthropic", name, base="")


class AnthropicClient(ServerTest):
    def test_message(self):
        scenario(self.server, "message")

    def test_stream(self):
        scenario(self.server, "stream")

    def test_stop_sequence(self):
        scenario(self.server, "stop_sequence")

    def test_prefill(self):
        scenario(self.server, "prefill")

    def test_tools(self):
        scenario(self.server, "tools")

    def test_structured_output(self):
        scenario(self.server, "structured_output")

    def test_count_tokens(self):
        scenario(self.server, "count_tokens")

    def test_typed_errors(self):
        scenario(self.server, "errors")

    def test_abort_frees_the_sequence(self):
        before = self.server.metric("vllm:request_success_total", finished_reason="abort")
        scenario(self.server, "abort")
        wait_for(self.server.idle, "the end of the aborted sequence")
        self.assertEqual(self.server.metric("vllm:request_success_total", finished_reason="abort"), before + 1)


class Errors(ServerTest):
    def test_the_fronts_own_errors_have_anthropics_form(self):
        for method, path, status, kind in [("GET", "/v1/messages", 405, "invalid_request_error"),
                                           ("POST", "/v1/messages/batches", 404, "not_found_error"),
                                           ("DELETE", "/v1/messages/count_tokens", 405, "invalid_request_error")]:
            with self.subTest(method=method, path=path):
                answer = self.server.call(method, path)
                self.assertEqual(answer.status, status)
                self.assertEqual(answer.json()["type"], "error")
                self.assertEqual(answer.error["type"], kind)
        answer = self.server.call("POST", "/v1/messages", b"no gzip", {"Content-Encoding": "gzip"})
        self.assertEqual(answer.error["type"], "invalid_request_error")
        self.assertNotIn("type", self.server.get("/v1/nowhere").json())

    def test_headers_of_the_clients_are_taken(self):
        answer = self.server.call("POST", "/v1/messages", MESSAGE,
                                  {"anthropic-version": "2023-06-01", "anthropic-beta": "a,b", "x-api-key": "k"})
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(answer.headers["request-id"], answer.headers["x-request-id"])


class AFullServer(unittest.TestCase):
    def test_rate_limit_error_and_retries(self):
        with Server(engine={"max_sequences": 1, "max_waiting": 0}) as server:
            connection, response = server.stream("/v1/completions", {"prompt": "Hello", "max_tokens": 3000,
                                                                     "ignore_eos": True})
            response.readline()
            scenario(server, "too_many")
            patient = node_client.begin(server, "anthropic", "retries", base="")
            wait_for(lambda: server.metric("autoglm_http_requests_total", route="/v1/messages", code="429") > 1,
                     "the refusal of the first try")
            connection.close()
            node_client.end(patient)
            wait_for(server.idle, "an idle server")

"""OpenAI's official Node client for Responses against a server: scenarios in node/responses_client.mjs, one a test."""

import unittest

import node_client
from server import Server, ServerTest

ASK = {"input": "Say something.", "max_output_tokens": 5}


def scenario(server, name):
    node_client.scenario(server, "responses", name)


class ResponsesClient(ServerTest):
    def test_response(self):
        scenario(self.server, "response")

    def test_stream(self):
        scenario(self.server, "stream")

    def test_parse(self):
        scenario(self.server, "parse")

    def test_tools(self):
        scenario(self.server, "tools")

    def test_previous_response(self):
        scenario(self.server, "conversation")

    def test_what_is_stored(self):
        scenario(self.server, "store")

    def test_logprobs(self):
        scenario(self.server, "logprobs")

    def test_typed_errors(self):
        scenario(self.server, "errors")


class Truncation(ServerTest):
    def test_a_prompt_that_is_too_long_is_refused_or_cut(self):
        ask = {**ASK, "input": "word " * 20_000}
        self.assert_error(self.server.post("/v1/responses", ask), 400, code="context_length_exceeded")
        answer = self.server.post("/v1/responses", {**ask, "truncation": "auto"})
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(answer.json()["usage"]["output_tokens"], 5)


class WithoutAStore(unittest.TestCase):
    def test_nothing_is_kept(self):
        with Server(env={"OPEN_AUTOGLM_RESPONSES_STORE": "none"}) as server:
            made = server.post("/v1/responses", ASK)
            self.assertEqual(made.status, 200)
            self.assertEqual(server.get("/v1/responses/" + made.json()["id"]).status, 404)
            refused = server.post("/v1/responses", {**ASK, "previous_response_id": made.json()["id"]})
            self.assertEqual(refused.status, 400)
            self.assertEqual(refused.error["param"], "previous_response_id")

"""Clients of OpenAI's and Cohere's API by others: scenarios in node/third_party_client.mjs, one a test."""

import node_client
from server import ServerTest, encoder_models


class ThirdParty(ServerTest):
    server_options = {"more_models": encoder_models()}

    def scenario(self, name):
        node_client.scenario(self.server, "third_party", name, base="")

    def test_cohere_v2(self):
        self.scenario("cohere_v2")

    def test_cohere_v1(self):
        self.scenario("cohere_v1")

    def test_vercel_stream(self):
        self.scenario("vercel_stream")

    def test_vercel_object(self):
        self.scenario("vercel_object")

    def test_vercel_tools(self):
        self.scenario("vercel_tools")

    def test_vercel_embed(self):
        self.scenario("vercel_embed")

    def test_langchain_chat(self):
        self.scenario("langchain_chat")

    def test_langchain_structure(self):
        self.scenario("langchain_structure")

    def test_langchain_embeddings(self):
        self.scenario("langchain_embeddings")

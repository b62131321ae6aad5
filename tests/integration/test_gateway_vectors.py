"""Embeddings, ranks and scores through a gateway, and of an engine in its own process."""

import unittest

from gateway_fixture import gateway, pool, url
from server import Server, encoder_models

DOCUMENTS = ["a bear that eats bamboo", "a car", "a plane"]
RANKING = {"model": "bge-reranker", "query": "What is a panda?", "documents": DOCUMENTS}
TEI = {"query": "What is a panda?", "texts": DOCUMENTS}
EMBEDDING = {"model": "bge-small", "input": ["Hello", "there"], "encoding_format": "base64"}


class Gateway(unittest.TestCase):
    def start(self, server):
        self.addCleanup(server.__exit__, True)
        return server

    def setUp(self):
        self.servers = [self.start(Server(models=encoder_models())) for _ in range(2)]
        pools = [pool(*map(url, self.servers), name=model["name"], balance="round_robin") for model in encoder_models()]
        self.front = self.start(gateway(*pools))

    def ask(self, path, body, server=None):
        answer = (server or self.front).post(path, body)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json()

    def test_vectors_are_those_of_the_servers(self):
        direct = self.ask("/v1/embeddings", EMBEDDING, self.servers[0])
        for _ in range(4):
            answer = self.ask("/v1/embeddings", EMBEDDING)
            self.assertEqual([each["embedding"] for each in answer["data"]],
                             [each["embedding"] for each in direct["data"]])
            self.assertEqual(answer["usage"], direct["usage"])
        self.both_are_asked("bge-small")

    def both_are_asked(self, model):
        for server in self.servers:
            self.assertGreater(self.front.metric("autoglm_endpoint_attempts_total", model=model, outcome="ok",
                                                 endpoint=f"127.0.0.1:{server.port}"), 0)

    def test_ranks_and_scores_are_those_of_the_servers(self):
        ranks = self.ask("/v1/rerank", RANKING, self.servers[0])["results"]
        scoring = {"model": "bge-reranker", "text_1": RANKING["query"], "text_2": DOCUMENTS}
        scores = self.ask("/score", scoring, self.servers[0])["data"]
        for _ in range(2):
            self.assertEqual(self.ask("/v1/rerank", RANKING)["results"], ranks)
            self.assertEqual(self.ask("/score", scoring)["data"], scores)
        self.both_are_asked("bge-reranker")

    def test_the_body_of_another_protocol_is_translated(self):
        tei = {"model": "bge-reranker", **TEI}
        direct = self.ask("/rerank", tei, self.servers[0])
        self.assertEqual(self.ask("/rerank", tei), direct)
        self.assertEqual(sorted(each["index"] for each in direct), [0, 1, 2])

    def test_a_server_that_dies_is_no_loss(self):
        self.ask("/v1/embeddings", EMBEDDING)
        self.servers[0].process.kill()
        self.servers[0].process.wait()
        for _ in range(6):
            self.ask("/v1/embeddings", EMBEDDING)
            self.ask("/v1/rerank", RANKING)
            self.ask("/rerank", {"model": "bge-reranker", **TEI})

    def test_a_wrong_path_is_no_failure_of_a_server(self):
        for _ in range(4):
            self.assertNotEqual(self.front.post("/v1/embeddings", {**EMBEDDING, "model": "bge-reranker"}).status, 200)
        self.assertEqual(self.front.metric("autoglm_endpoint_attempts_total", outcome="failed"), 0)
        self.ask("/v1/rerank", RANKING)


class Isolated(unittest.TestCase):
    def test_an_engine_in_its_own_process(self):
        models = encoder_models()
        with Server(models=models) as direct:
            wanted = direct.post("/v1/embeddings", EMBEDDING).json()
            ranks = direct.post("/v1/rerank", RANKING).json()["results"]
            tei = direct.post("/rerank", {"model": "bge-reranker", **TEI}).json()
        for model in models:
            model["engine"]["isolation"] = "process"
        with Server(models=models) as server:
            got = server.post("/v1/embeddings", EMBEDDING).json()
            self.assertEqual([each["embedding"] for each in got["data"]], [each["embedding"] for each in wanted["data"]])
            self.assertEqual(server.post("/v1/rerank", RANKING).json()["results"], ranks)
            self.assertEqual(server.post("/rerank", {"model": "bge-reranker", **TEI}).json(), tei)
            answer = server.post("/api/embeddings", {"model": "bge-small", "prompt": "Hello"})
            self.assertEqual(answer.status, 200, answer.body)


if __name__ == "__main__":
    unittest.main()

"""Embeddings, ranks and scores: a model of each kind beside one that generates, in one process."""

import base64
import json
import math
import struct
import threading
import unittest

from server import ISOLATION, PATIENCE, TINY_MODEL, Server, ServerTest, encoder_models, events, wait_for
from test_openai import scenario


def cosine(one, other):
    return sum(a * b for a, b in zip(one, other)) / math.hypot(*one) / math.hypot(*other)


class Embeddings(ServerTest):
    server_options = {"more_models": encoder_models()}

    def embed(self, **body):
        answer = self.server.post("/v1/embeddings", {"model": "bge-small", **body})
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json()

    def test_the_official_client(self):
        scenario(self.server, "embeddings")

    def test_a_vector_a_text_in_their_order(self):
        texts = [f"text number {i}" for i in range(100)]
        together = self.embed(input=texts)
        self.assertEqual([each["index"] for each in together["data"]], list(range(100)))
        for i in (0, 57, 99):
            alone = self.embed(input=texts[i])["data"][0]["embedding"]
            self.assertGreater(cosine(alone, together["data"][i]["embedding"]), 0.9999)
            self.assertAlmostEqual(math.hypot(*alone), 1, places=4)
        self.assertLess(cosine(together["data"][0]["embedding"], self.embed(input="else")["data"][0]["embedding"]), 0.999)

    def test_base64_is_the_same_vector(self):
        numbers = self.embed(input="Hello")["data"][0]["embedding"]
        packed = base64.b64decode(self.embed(input="Hello", encoding_format="base64")["data"][0]["embedding"])
        unpacked = struct.unpack(f"<{len(packed) // 4}f", packed)
        self.assertEqual(len(unpacked), len(numbers))
        for a, b in zip(numbers, unpacked):
            self.assertAlmostEqual(a, b, places=6)

    def test_tokens_give_the_vector_of_their_text(self):
        tokens = self.server.post("/tokenize", {"model": "bge-small", "prompt": "Hello there"}).json()["tokens"]
        usage = self.embed(input=[tokens])["usage"]
        self.assertEqual(usage, {"prompt_tokens": len(tokens), "total_tokens": len(tokens)})
        self.assertGreater(cosine(self.embed(input=tokens)["data"][0]["embedding"],
                                  self.embed(input="Hello there")["data"][0]["embedding"]), 0.9999)

    def test_a_long_answer_is_written_elsewhere(self):
        answer = self.embed(input=[f"{i}" for i in range(2048)])
        self.assertEqual(len(answer["data"]), 2048)
        self.assertTrue(all(len(each["embedding"]) == 64 for each in answer["data"]))

    def test_ranks(self):
        documents = ["a bear that eats bamboo", "a car", "a plane"]
        answer = self.server.post("/v1/rerank", {"model": "bge-reranker", "query": "What is a panda?",
                                                 "documents": documents, "top_n": 2, "return_documents": True})
        self.assertEqual(answer.status, 200, answer.body)
        results = answer.json()["results"]
        self.assertEqual(len(results), 2)
        self.assertGreaterEqual(results[0]["relevance_score"], results[1]["relevance_score"])
        for result in results:
            self.assertEqual(result["document"]["text"], documents[result["index"]])
        scores = self.server.post("/score", {"model": "bge-reranker", "text_1": "What is a panda?",
                                             "text_2": documents}).json()["data"]
        self.assertAlmostEqual(scores[results[0]["index"]]["score"], results[0]["relevance_score"], places=5)
        ranks = self.server.post("/rerank", {"model": "bge-reranker", "query": "What is a panda?",
                                             "texts": documents}).json()
        self.assertEqual([rank["index"] for rank in ranks][:2], [result["index"] for result in results])

    def test_an_embedding_model_scores_by_the_cosine(self):
        answer = self.server.post("/v1/rerank", {"model": "bge-small", "query": "a car", "documents": ["a plane", "a car"]})
        best = answer.json()["results"][0]
        self.assertEqual(best["index"], 1)
        self.assertAlmostEqual(best["relevance_score"], 1, places=4)

    def test_each_model_does_its_own_work(self):
        self.assert_error(self.server.post("/v1/embeddings", {"model": "tiny", "input": "x"}), 400, code="wrong_task",
                          says="engine.task: embed")
        self.assert_error(self.server.post("/v1/rerank", {"model": "tiny", "query": "x", "documents": ["x"]}), 400,
                          code="wrong_task")
        self.assert_error(self.server.post("/v1/completions", {"model": "bge-small", "prompt": "x"}), 400, code="wrong_task")
        self.assert_error(self.server.post("/v1/embeddings", {"model": "bge-reranker", "input": "x"}), 400, code="wrong_task")

    def test_a_text_that_is_too_long_is_named(self):
        self.assert_error(self.server.post("/v1/embeddings", {"model": "bge-small", "input": ["x", "word " * 500]}), 400,
                          code="context_length_exceeded", param="input[1]")
        self.embed(input="word " * 500, truncate_prompt_tokens=-1)

    def test_a_chat_streams_on_meanwhile(self):
        """Not its speed: that neither waits for the other's end."""
        seen, goes_on = [], threading.Event()

        def stream():
            connection, response = self.server.stream(
                "/v1/completions", {"model": "tiny", "prompt": "Hi", "max_tokens": 400, "ignore_eos": True})
            for event in events(response):
                seen.append(event)
                goes_on.set()
            connection.close()

        thread = threading.Thread(target=stream)
        thread.start()
        goes_on.wait(PATIENCE)
        self.embed(input=[f"text {i}" for i in range(500)])
        thread.join(PATIENCE)
        self.assertGreater(len(seen), 300)

    def test_a_client_that_goes_frees_its_place(self):
        for _ in range(5):
            connection = self.server.connect()
            connection.request("POST", "/v1/embeddings",
                               json.dumps({"model": "bge-small", "input": ["word " * 20] * 1000}),
                               {"Content-Type": "application/json"})
            connection.close()
        wait_for(self.server.idle, "an idle engine")

    def test_models_say_what_they_are_for(self):
        loaded = [line for line in self.server.log_lines() if line["message"] == "model loaded"]
        self.assertEqual({line["model"]: line.get("task") for line in loaded},
                         {"tiny": None, "bge-small": "embed", "bge-reranker": "rank"})


class ToldWhatToDo(ServerTest):
    """A model whose file says nothing embeds where the configuration says so."""

    server_options = {"engine": {"task": "embed"}}

    def test_it_embeds(self):
        answer = self.server.post("/v1/embeddings", {"input": ["one", "two"]})
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(len(answer.json()["data"]), 2)


class WithoutClasses(unittest.TestCase):
    def test_a_ranking_task_for_a_file_without_classes(self):
        # Beside a model that loads: a server of which no model loads ends by itself.
        bad = {"name": "bad", "engine": {"path": TINY_MODEL, "threads": 1, "task": "rank", **ISOLATION}}
        with Server(more_models=[bad], ready=False) as server:
            server.await_log("is no model that ranks")

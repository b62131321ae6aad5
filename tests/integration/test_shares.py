"""Groups' shares of an engine, and the requests that a model takes at a time: counts of tokens, never of seconds."""

import concurrent.futures
import json
import threading
import unittest

from server import PATIENCE, Server, events, text_of, wait_for
from test_admission import AdmittingServer

CHAT = {"Authorization": "Bearer sk-chat-0123456789"}
BATCH = {"Authorization": "Bearer sk-batch-0123456789"}
KEYS = [{"name": "chat", "key": "sk-chat-0123456789", "group": "chat", "priority": 3},
        {"name": "batch", "key": "sk-batch-0123456789", "group": "batch", "priority": 9}]
TOKENS = "autoglm_engine_group_tokens_total"
PROMPT = "Once upon a time there was a little"


def sharing(groups, keys=KEYS, **engine):
    return AdmittingServer(keys=keys, groups=groups, engine={"max_sequences": 8, "cache_tokens": 8192, **engine},
                           server={"request_timeout": f"{PATIENCE}s"})


class Flood:
    """Clients of one key that each send one request after the other, until the end."""

    def __init__(self, server, headers, clients, tokens=120):
        self.server, self.headers, self.tokens = server, headers, tokens
        self.over, self.failures = threading.Event(), []
        self.threads = [threading.Thread(target=self._run) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def _run(self):
        while not self.over.is_set():
            answer = self.server.post("/v1/completions", {"prompt": PROMPT, "max_tokens": self.tokens, "ignore_eos": True}, headers=self.headers)
            if answer.status != 200:
                self.failures.append(answer.body)
                return

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()


class Shares(unittest.TestCase):
    def served(self, server, tokens=12000):
        """What is computed for each group, of so many tokens, once both run and wait."""
        def count():
            return [server.metric(TOKENS, group=group) for group in ("chat", "batch")]
        wait_for(lambda: server.metric("vllm:num_requests_running") == 8 and min(count()) > 500, "a full engine")
        before = count()
        wait_for(lambda: sum(count()) - sum(before) >= tokens, f"{tokens} tokens")
        return [after - begin for after, begin in zip(count(), before)]

    def check_ratio(self, groups, expected, isolation):
        with sharing(groups, isolation=isolation) as server:
            with Flood(server, CHAT, 12) as chat, Flood(server, BATCH, 36) as batch:
                chat_tokens, batch_tokens = self.served(server)
            self.assertEqual(chat.failures + batch.failures, [])
            share = chat_tokens / (chat_tokens + batch_tokens)
            self.assertAlmostEqual(share, expected, delta=0.05, msg=f"{chat_tokens} and {batch_tokens} tokens")

    def test_a_guaranteed_half_is_a_half_while_another_group_floods(self):
        for isolation in ["thread", "process"]:
            with self.subTest(isolation):
                self.check_ratio([{"name": "chat", "share": "50%"}, {"name": "batch", "weight": 1}], 0.5, isolation)

    def test_weights(self):
        self.check_ratio([{"name": "chat", "weight": 3}, {"name": "batch", "weight": 1}], 0.75, "thread")

    def test_two_tenants_of_a_group_get_the_same_though_one_sends_twenty_times_as_much(self):
        keys = [{"name": name, "key": f"sk-{name}-0123456789", "group": "chat"} for name in ("modest", "greedy")]
        def tokens(tenant):
            return server.metric("autoglm_usage_tokens_total", tenant=tenant)
        with sharing([{"name": "chat", "share": "50%"}], keys=keys) as server:
            modest, greedy = ({"Authorization": f"Bearer sk-{name}-0123456789"} for name in ("modest", "greedy"))
            with Flood(server, greedy, 200) as many, Flood(server, modest, 10) as few:
                wait_for(lambda: min(tokens("modest"), tokens("greedy")) > 1000, "both are served")
                before = tokens("modest"), tokens("greedy")
                wait_for(lambda: tokens("modest") + tokens("greedy") - sum(before) > 16000, "16000 tokens")
                x, y = tokens("modest") - before[0], tokens("greedy") - before[1]
            self.assertEqual(many.failures + few.failures, [])
            self.assertGreaterEqual((x + y) ** 2 / (2 * (x * x + y * y)), 0.95, f"Jain's index of {x} and {y} tokens")

    def test_what_is_borrowed_is_given_back_and_no_text_depends_on_it(self):
        ask = {"max_tokens": 300, "ignore_eos": True, "temperature": 0.8, "stream": True}
        bodies = [{**ask, "prompt": PROMPT, "seed": seed} for seed in range(12)]

        def text(server, body, headers):
            connection = server.connect()
            connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json", **headers})
            said = "".join(text_of(event) for event in events(connection.getresponse()) if event != "[DONE]" and event["choices"])
            connection.close()
            return said

        with sharing([{"name": "chat", "share": "50%"}, {"name": "batch", "weight": 1}]) as server:
            alone = [text(server, body, BATCH) for body in bodies]
            self.assertEqual(server.metric("vllm:num_preemptions_total"), 0)
            with concurrent.futures.ThreadPoolExecutor(12) as clients:
                batch = [clients.submit(text, server, body, BATCH) for body in bodies[:8]]
                wait_for(lambda: server.metric("vllm:num_requests_running") == 8, "all borrowed")
                chat = [clients.submit(text, server, body, CHAT) for body in bodies[8:]]
                self.assertEqual([one.result() for one in batch + chat], alone)
            self.assertGreaterEqual(server.metric("vllm:num_preemptions_total"), 1)

    def test_a_maximum_changes_while_requests_wait(self):
        groups = [{"name": "chat", "weight": 1}, {"name": "batch", "max": "25%"}]
        for isolation in ["thread", "process"]:
            with self.subTest(isolation), sharing(groups, isolation=isolation) as server:
                with Flood(server, BATCH, 12) as batch:
                    wait_for(lambda: server.metric("vllm:num_requests_running") == 2 and server.metric("vllm:num_requests_waiting") == 10,
                             "two that run and ten that wait")
                    server.change(groups=[groups[0], {"name": "batch", "max": "75%"}])
                    wait_for(lambda: server.metric("vllm:num_requests_running") == 6, "six that run")
                self.assertEqual(batch.failures, [])

    def test_a_priority_holds_within_its_group_and_its_right(self):
        with sharing([{"name": "chat", "share": "50%"}, {"name": "batch", "weight": 1}]) as server:
            for headers, body, status in [(CHAT, {"priority": 4}, 403), (CHAT, {"priority": 3}, 200), (BATCH, {"priority": 9}, 200),
                                          ({**CHAT, "x-priority": "4"}, {}, 403), (CHAT, {"priority": -1}, 400)]:
                answer = server.post("/v1/completions", {"prompt": "Hi", "max_tokens": 1, **body}, headers=headers)
                self.assertEqual(answer.status, status, answer.body)


class ModelPlaces(unittest.TestCase):
    def test_a_model_takes_as_many_as_it_may_and_a_reload_holds_for_those_that_wait(self):
        model = {"concurrent": 1, "queue": {"size": 1, "timeout": f"{PATIENCE}s"}}
        with Server(server={"request_timeout": f"{PATIENCE}s"}) as server:
            def set_model(**more):
                server.config["models"][0].update(more)
                server.write_config(server.config)
                answer = server.post("/reload", "", admin=True)
                self.assertEqual((answer.status, answer.json()["restart_needed_for"]), (200, []), answer.body)

            def begin():
                connection = server.connect()
                connection.request("POST", "/v1/completions", json.dumps({"prompt": "Hi", "max_tokens": 4000, "ignore_eos": True, "stream": True}),
                                   {"Content-Type": "application/json"})
                return connection
            set_model(**model)
            first, second = begin(), None
            try:
                self.assertEqual(first.getresponse().status, 200)
                second = begin()
                wait_for(lambda: server.metric("autoglm_model_waiting", model="tiny") == 1, "one that waits")
                refused = server.post("/v1/completions", {"prompt": "Hi", "max_tokens": 1})
                self.assertEqual((refused.status, refused.error["code"]), (429, "model_full"), refused.body)
                self.assertIn("retry-after", refused.headers)
                self.assertEqual(server.post("/tokenize", {"prompt": "Hi"}).status, 200)
                set_model(concurrent=2)
                self.assertEqual(second.getresponse().status, 200)
                self.assertEqual(server.metric("autoglm_model_running", model="tiny"), 2)
                self.assertEqual(server.metric("autoglm_model_refused_total", model="tiny", reason="model_full"), 1)
                set_model(concurrent=0, concurrency="adaptive")
                self.assertEqual(server.metric("autoglm_model_concurrency_limit", model="tiny"), 16)
            finally:
                for connection in (first, second):
                    if connection:
                        connection.close()


if __name__ == "__main__":
    unittest.main()

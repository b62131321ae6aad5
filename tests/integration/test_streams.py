"""Many streams at a time: the same text as alone, nothing left behind, overload answered as such."""

import random
import threading
import unittest

from server import Server, ServerTest, events, text_of, wait_for


def together(tasks):
    """Runs all tasks at once; returns their results in order. The first failure is raised."""
    results = [None] * len(tasks)

    def work(i):
        try:
            results[i] = tasks[i]()
        except Exception as error:  # raised on the test's thread
            results[i] = error

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(tasks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        if isinstance(result, Exception):
            raise result
    return results


def streamed(server, body):
    connection, response = server.stream("/v1/completions", body)
    try:
        seen = list(events(response))
    finally:
        connection.close()
    assert seen[-1] == "[DONE]", seen[-3:]
    return "".join(text_of(event) for event in seen[:-1])


def bodies(count):
    """Greedy and seeded requests of many lengths; half of them have a common beginning."""
    for i in range(count):
        beginning = "Once upon a time there was a river that went to the sea and " * 4 if i % 2 else ""
        yield {"prompt": f"{beginning}number {i}", "max_tokens": 20 + 7 * (i % 11), "ignore_eos": True,
               **({"temperature": 0} if i % 3 else {"temperature": 1.2, "seed": i})}


class Concurrency(ServerTest):
    def test_text_does_not_depend_on_load(self):
        work = list(bodies(32))
        alone = [self.server.post("/v1/completions", body).json()["choices"][0]["text"] for body in work]
        crowd = together([lambda body=body: streamed(self.server, body) for body in work])
        self.assertEqual(crowd, alone)

    def test_a_prefix_is_computed_once(self):
        hits = self.server.metric("vllm:prefix_cache_hits_total")
        body = {"prompt": "A quite particular beginning of many words " * 10, "max_tokens": 4, "temperature": 0}
        first = self.server.post("/v1/completions", body).json()
        second = self.server.post("/v1/completions", body).json()
        self.assertEqual(first["choices"], second["choices"])
        cached = second["usage"]["prompt_tokens_details"]["cached_tokens"]
        self.assertGreater(cached, first["usage"]["prompt_tokens"] - 32)
        self.assertEqual(self.server.metric("vllm:prefix_cache_hits_total"), hits + cached)
        salted = self.server.post("/v1/completions", {**body, "cache_salt": "mine"}).json()
        self.assertEqual(salted["usage"]["prompt_tokens_details"]["cached_tokens"], 0)
        self.assertEqual(salted["choices"], first["choices"])

    def test_aborts_leave_nothing_behind(self):
        rng = random.Random(1)
        streamed(self.server, {"prompt": "warm", "max_tokens": 4})
        before = self.server.usage()

        def abort():
            connection, response = self.server.stream("/v1/completions", {
                "prompt": "word " * rng.randrange(1, 900), "max_tokens": 2000, "ignore_eos": True})
            for _ in range(rng.randrange(4)):
                response.readline()
            connection.close()

        for _ in range(4):
            together([abort] * 16)
        wait_for(self.server.idle, "the end of all aborted sequences")
        self.assertEqual(self.server.metric("vllm:kv_cache_usage_perc"), 0)
        wait_for(lambda: self.server.usage()["descriptors"] <= before["descriptors"], "closed connections")
        self.assertEqual(self.server.usage()["threads"], before["threads"])

    def test_abort_while_the_prompt_is_read(self):
        # The client leaves before the first token: its prompt must not be computed to the end.
        before = self.server.metric("vllm:request_success_total", finished_reason="abort")
        connection = self.server.connect()
        connection.request("POST", "/v1/completions", '{"prompt": "%s", "max_tokens": 5}' % ("other words " * 700))
        wait_for(lambda: not self.server.idle(), "its beginning")
        connection.close()
        wait_for(self.server.idle, "its end")
        self.assertEqual(self.server.metric("vllm:request_success_total", finished_reason="abort"), before + 1)

    def test_event_ids(self):
        connection, response = self.server.stream("/v1/completions", {
            "prompt": "Hello", "max_tokens": 6, "stream_options": {"include_event_ids": True}})
        ids = [int(line[4:]) for line in response if line.startswith(b"id: ")]
        connection.close()
        self.assertEqual(ids, sorted(set(ids)))
        self.assertGreater(len(ids), 2)


class SmallCache(ServerTest):
    """Requests exceed the cache: sequences are preempted, and no client notices."""

    server_options = {"engine": {"context": 512, "cache_tokens": 640, "max_sequences": 16}}

    def test_preempted_streams_say_the_same(self):
        work = [{**body, "max_tokens": 150} for body in bodies(12)]
        alone = [self.server.post("/v1/completions", body).json()["choices"][0]["text"] for body in work]
        crowd = together([lambda body=body: streamed(self.server, body) for body in work])
        self.assertEqual(crowd, alone)
        self.assertGreater(self.server.metric("vllm:num_preemptions_total"), 0)
        self.assertGreater(self.server.metric("autoglm_engine_restored_tokens_total"), 0)

    def test_prefixes_that_were_crowded_out_come_back(self):
        def ask(prompt):
            answer = self.server.post("/v1/completions", {"prompt": prompt, "max_tokens": 20, "temperature": 0,
                                                          "ignore_eos": True}).json()
            usage = answer["usage"]
            return answer["choices"][0]["text"], usage["prompt_tokens"], usage["prompt_tokens_details"]["cached_tokens"]

        prompts = [f"{i}: " + "the quick brown fox " * 12 for i in range(6)]  # together they exceed the cache
        texts = [ask(prompt)[0] for prompt in prompts]
        before = self.server.metric("autoglm_engine_reloaded_tokens_total")
        for prompt, text in zip(prompts, texts):
            again, tokens, cached = ask(prompt)
            self.assertEqual(again, text)
            self.assertGreaterEqual(cached, tokens - 16)
        self.assertGreater(self.server.metric("autoglm_engine_reloaded_tokens_total"), before)


class Overload(unittest.TestCase):
    def test_every_request_ends_in_one_answer(self):
        with Server(engine={"max_sequences": 2, "max_waiting": 4}) as server:
            def ask():
                answer = server.post("/v1/completions", {"prompt": "Hello", "max_tokens": 60, "ignore_eos": True})
                if answer.status == 429:
                    assert answer.headers["retry-after"].isdigit()
                    assert answer.error["code"] == "queue_full", answer.body
                else:
                    assert len(answer.json()["choices"]) == 1
                return answer.status

            statuses = together([ask] * 40)
            self.assertEqual(set(statuses), {200, 429})
            self.assertGreaterEqual(statuses.count(200), 6)
            wait_for(server.idle, "an idle server")
            self.assertEqual(server.post("/v1/completions", {"prompt": "a", "max_tokens": 1}).status, 200)

    def test_a_reader_that_stops_holds_up_nobody_else(self):
        with Server() as server:
            # A small window, so that the kernel does not buffer the stream for the client.
            slow, response = server.stream("/v1/completions", {"prompt": "Hello", "max_tokens": 3900, "ignore_eos": True,
                                                               "n": 1})
            response.readline()
            for i in range(8):
                self.assertEqual(server.post("/v1/completions", {"prompt": f"{i}", "max_tokens": 30}).status, 200)
            slow.close()
            wait_for(server.idle, "an idle server")

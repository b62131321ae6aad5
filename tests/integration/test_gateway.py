"""A model behind the gateway stays available while its servers do not: each test breaks one, and the clients must not see it."""

import contextlib
import json
import signal
import threading
import unittest

from server import PATIENCE, TINY_MODEL, Server, events, text_of, wait_for
from upstream import DONE, Blackhole, Foreign, Spoiler, chunk, completion

PROMPT = "Once upon a time there was a little"


def pool(*urls, name="tiny", **more):
    """A model's configuration; what it does not say is quick, for tests."""
    endpoints = [url if isinstance(url, dict) else {"url": url} for url in urls]
    return {"name": name, "endpoints": endpoints,
            "health": {"interval": "200ms", "timeout": "5s", "slow_start": "0s"},
            "ejection": {"consecutive_failures": 0}, "breaker": {"request_volume": 1000},
            "timeouts": {"connect": "5s", "first_token": f"{PATIENCE}s", "idle": f"{PATIENCE}s"},
            "retry": {"budget_percent": 100}, **more}


def url(server):
    return f"http://127.0.0.1:{server.port}/v1"


def replica(**server):
    return Server(engine={"max_sequences": 64, "cache_tokens": 32768}, server={"request_timeout": f"{PATIENCE}s", **server})


def gateway(*pools, **server):
    return Server(models=list(pools), server={"request_timeout": f"{PATIENCE}s", **server})


def members(server):
    return {m["endpoint"]: m for model in server.get("/endpoints", admin=True).json()["models"]
            for m in model["endpoints"]}


def wait_until_known(server, count):
    """Until the gateway knows which of its servers can resume."""
    wait_for(lambda: sum(m["resumes"] for m in members(server).values()) == count, f"{count} endpoints that resume")


def body(seed, tokens=80, **more):
    return {"prompt": PROMPT, "max_tokens": tokens, "seed": seed, "temperature": 0.8, "ignore_eos": True, **more}


class Crowd:
    """Many streams at a time, each in a thread: what each got."""

    def __init__(self, server, bodies, path="/v1/completions"):
        self.server, self.path = server, path
        self.texts, self.failures = [""] * len(bodies), []
        self.begun = threading.Semaphore(0)
        self.threads = [threading.Thread(target=self._run, args=item) for item in enumerate(bodies)]
        for thread in self.threads:
            thread.start()

    def _run(self, i, wanted):
        try:
            connection, response = self.server.stream(self.path, wanted)
            with contextlib.closing(connection):
                if response.status != 200:
                    raise AssertionError(f"{response.status}: {response.read()[:500]}")
                last = None
                for event in events(response):
                    last = event
                    if event == "[DONE]":
                        break
                    if "error" in event:
                        raise AssertionError(json.dumps(event))
                    if not self.texts[i]:
                        self.begun.release()
                    if event["choices"]:
                        self.texts[i] += text_of(event)
                if last != "[DONE]":
                    raise AssertionError(f"ended after {last}")
        except Exception as error:  # what it was is for the one who waits
            self.failures.append(f"{i}: {error!r}")
            self.begun.release()

    def wait_until_begun(self, count):
        for _ in range(count):
            self.begun.acquire(timeout=PATIENCE)
        return self

    def join(self):
        for thread in self.threads:
            thread.join()
        return self


class Replicas(unittest.TestCase):
    """Our own instances behind the gateway: streams go on, exactly."""

    def start(self, *contexts):
        return [self.enterContext(context) for context in contexts]

    def check_texts(self, alone, crowd, bodies):
        self.assertEqual(crowd.failures, [])
        for wanted, text in zip(bodies, crowd.texts, strict=True):
            answer = alone.post("/v1/completions", wanted)
            self.assertEqual(answer.json()["choices"][0]["text"], text)

    def test_kill_one_of_three_under_200_streams(self):
        a, b, c = self.start(replica(), replica(), replica())
        (front,) = self.start(gateway(pool(url(a), url(b), url(c))))
        wait_until_known(front, 3)
        bodies = [body(seed=i % 40) for i in range(200)]
        crowd = Crowd(front, bodies).wait_until_begun(60)
        a.process.kill()
        crowd.join()
        a.process.wait()
        self.assertEqual(crowd.failures, [])
        alone = {i: b.post("/v1/completions", bodies[i]).json()["choices"][0]["text"] for i in range(40)}
        self.assertEqual([alone[i % 40] for i in range(200)], crowd.texts)
        self.assertGreater(front.metric("autoglm_resumes_total", outcome="ok"), 0)
        wait_for(lambda: not members(front)[f"127.0.0.1:{a.port}"]["healthy"], "the dead one is out")
        wait_for(lambda: front.metric("autoglm_endpoint_in_flight") == 0, "nothing in flight")
        a.stop = lambda check=True: None  # it ended as it should: by our hand

    def check_spoilt(self, how, **pool_options):
        a, b = self.start(replica(), replica())
        (spoiler,) = self.start(Spoiler(a.port, how))
        (front,) = self.start(gateway(pool(spoiler.url, url(b), **pool_options)))
        wait_until_known(front, 2)
        bodies = [body(seed=i, logprobs=2) for i in range(12)]
        crowd = Crowd(front, bodies).join()
        self.assertGreater(spoiler.spoilt, 0)
        self.check_texts(b, crowd, bodies)
        # What broke before its first token got through is simply asked again.
        self.assertGreater(front.metric("autoglm_resumes_total", outcome="ok"), 0)

    def test_reset_in_the_middle(self):
        self.check_spoilt("reset")

    def test_closed_in_the_middle(self):
        self.check_spoilt("close")

    def test_garbage_in_the_middle(self):
        self.check_spoilt("garbage")

    def test_nonsense_in_the_middle(self):
        self.check_spoilt("nonsense")

    def test_half_a_chunk(self):
        self.check_spoilt("half")

    def test_standing_still_in_the_middle(self):
        self.check_spoilt("stall", timeouts={"idle": "1s", "first_token": f"{PATIENCE}s"})

    def test_chats_with_tools_and_choices_survive_too(self):
        a, b = self.start(replica(), replica())
        (spoiler,) = self.start(Spoiler(a.port, "reset", after=3000))
        (front,) = self.start(gateway(pool(spoiler.url, url(b), balance="round_robin")))
        wait_until_known(front, 2)
        tool = {"type": "function", "function": {"name": "look", "parameters": {
            "type": "object", "properties": {"numbers": {"type": "array", "items": {"type": "integer"}, "minItems": 20}},
            "required": ["numbers"]}}}
        wanted = {"messages": [{"role": "user", "content": "Look."}], "max_tokens": 60, "seed": 3, "n": 2, "stream": True,
                  "tools": [tool], "tool_choice": "required", "return_token_ids": True}

        def deltas(server):
            answer = server.post("/v1/chat/completions", wanted)
            self.assertEqual(answer.status, 200, answer.body)
            frames = answer.body.decode().split("\n\n")
            self.assertEqual(frames[-2:], ["data: [DONE]", ""])
            found = {}
            for frame in frames[:-2]:
                document = json.loads(frame.removeprefix("data: "))
                self.assertNotIn("error", document)
                for choice in document["choices"]:
                    for call in choice["delta"].get("tool_calls", []):
                        call.pop("id", None)  # made afresh by each
                    found.setdefault(choice["index"], []).append((choice["delta"], choice["finish_reason"]))
            return found

        alone = deltas(b)
        for _ in range(4):
            self.assertEqual(deltas(front), alone)
        self.assertGreater(spoiler.spoilt, 0)

    def test_a_stopped_process(self):
        a, b = self.start(replica(), replica())
        (front,) = self.start(gateway(pool(url(a), url(b), timeouts={"first_token": "2s", "idle": "1s"})))
        wait_until_known(front, 2)
        bodies = [body(seed=i, tokens=150) for i in range(20)]
        crowd = Crowd(front, bodies).wait_until_begun(10)
        a.process.send_signal(signal.SIGSTOP)
        try:
            crowd.join()
        finally:
            a.process.send_signal(signal.SIGCONT)
        self.check_texts(b, crowd, bodies)

    def test_each_restarted_in_turn_under_load(self):
        ports = []
        servers = self.start(replica(), replica(), replica())
        ports = [server.port for server in servers]
        (front,) = self.start(gateway(pool(*map(url, servers))))
        wait_until_known(front, 3)
        stop, done, failures = threading.Event(), [], []

        def load(first):
            seed = first
            while not stop.is_set():
                crowd = Crowd(front, [body(seed, tokens=20)]).join()
                answer = front.post("/v1/completions", body(seed, tokens=10))
                failures.extend(crowd.failures)
                if answer.status != 200:
                    failures.append(answer.body)
                done.append(seed)
                seed += 8

        threads = [threading.Thread(target=load, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        try:
            for server, port in zip(servers, ports, strict=True):
                before = len(done)
                server.stop()
                self.start(replica(listen=f"127.0.0.1:{port}"))
                wait_for(lambda p=port: members(front)[f"127.0.0.1:{p}"]["healthy"], "the new one is in")
                wait_for(lambda n=before: len(done) > n + 8 or failures, "load beside")
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertEqual(failures, [])


class Faults(unittest.TestCase):
    """Servers of any kind: whatever one of them does, the clients get answers, or an error that says what to do."""

    def start(self, *contexts):
        return [self.enterContext(context) for context in contexts]

    def answers(self, front, count, wanted=None):
        return [front.post("/v1/completions", wanted or {"prompt": "Hi", "max_tokens": 2}) for _ in range(count)]

    def check_all_answered(self, front, count=20):
        for answer in self.answers(front, count):
            self.assertEqual(answer.status, 200, answer.body)

    def test_body_and_answer_pass_through_byte_for_byte(self):
        (foreign,) = self.start(Foreign(lambda *_: (200, {}, completion())))
        (front,) = self.start(gateway(pool({"url": foreign.url, "model": "their/name", "api_key": "k3y",
                                            "headers": {"X-More": "yes"}}, name="ours")))
        sent = '{ "prompt": "Hi" , "max_tokens":2,"their_own" : {"a": [1,  2.50]},\n "model" :"ours"}'
        answer = front.post("/v1/completions", sent)
        self.assertEqual(answer.body, completion())
        self.assertEqual(answer.headers["x-autoglm-endpoint"], f"127.0.0.1:{foreign.port}")
        self.assertEqual(answer.headers["x-autoglm-attempts"], "1")
        path, headers, received = foreign.requests[0]
        self.assertEqual(path, "/v1/completions")
        self.assertEqual(received.decode(), sent.replace('"ours"', '"their/name"'))
        self.assertEqual(headers["authorization"], "Bearer k3y")
        self.assertEqual(headers["x-more"], "yes")
        self.assertEqual(headers["accept-encoding"], "identity")
        self.assertEqual(headers["x-request-id"], answer.headers["x-request-id"])
        self.assertIn("traceparent", headers)

    def test_refused_connections(self):
        gone = Foreign(lambda *_: None)
        gone.close()
        (good,) = self.start(Foreign(lambda *_: (200, {}, completion())))
        (front,) = self.start(gateway(pool(gone.url, good.url, health={"interval": "1h"})))
        self.check_all_answered(front)
        self.assertGreater(front.metric("autoglm_retries_total"), 0)

    def test_an_address_that_swallows_everything(self):
        (hole,) = self.start(Blackhole())
        (good,) = self.start(Foreign(lambda *_: (200, {}, completion())))
        (front,) = self.start(gateway(pool(hole.url, good.url, balance="round_robin",
                                           health={"interval": "1h", "timeout": "1h"}, timeouts={"connect": "200ms"})))
        self.check_all_answered(front, 6)
        self.assertEqual(front.metric("autoglm_endpoint_attempts_total", endpoint=f"127.0.0.1:{hole.port}", outcome="ok"), 0)

    def test_500s_open_the_breaker_and_a_probe_closes_it(self):
        broken = threading.Event()
        broken.set()
        (bad, good) = self.start(
            Foreign(lambda *_: (500, {}, b'{"error":{"message":"boom"}}') if broken.is_set() else (200, {}, completion())),
            Foreign(lambda *_: (200, {}, completion())))
        (front,) = self.start(gateway(pool(bad.url, good.url, balance="round_robin",
                                           breaker={"window": "1s", "request_volume": 5, "sleep_window": "500ms"})))
        name = f"127.0.0.1:{bad.port}"

        def breaker_after_a_request():
            self.check_all_answered(front, 1)
            return members(front)[name]["breaker"]

        wait_for(lambda: breaker_after_a_request() == "open", "an open breaker")
        asked = len(bad.requests)
        broken.clear()
        wait_for(lambda: breaker_after_a_request() == "closed", "a closed breaker")
        self.assertGreater(len(bad.requests), asked)

    def test_an_open_breaker_keeps_requests_away(self):
        (bad, good) = self.start(Foreign(lambda *_: (503, {}, b"{}")), Foreign(lambda *_: (200, {}, completion())))
        (front,) = self.start(gateway(pool(bad.url, good.url, balance="round_robin",
                                           breaker={"window": "1s", "request_volume": 5, "sleep_window": "1h"})))

        def opened():
            self.check_all_answered(front, 1)
            return members(front)[f"127.0.0.1:{bad.port}"]["breaker"] == "open"

        wait_for(opened, "an open breaker")
        asked = len(bad.requests)
        self.check_all_answered(front, 40)
        self.assertEqual(len(bad.requests), asked)

    def test_a_storm_of_429_leaves_the_breaker_closed(self):
        (busy, good) = self.start(Foreign(lambda *_: (429, {"Retry-After": "7"}, b'{"error":{"message":"slow down"}}')),
                                  Foreign(lambda *_: (200, {}, completion())))
        (front,) = self.start(gateway(pool(busy.url, good.url, balance="round_robin",
                                           breaker={"window": "1s", "request_volume": 5})))
        self.check_all_answered(front, 60)
        self.assertEqual(members(front)[f"127.0.0.1:{busy.port}"]["breaker"], "closed")
        self.assertGreater(len(busy.requests), 20)

    def test_429_of_all_is_passed_on(self):
        (busy,) = self.start(Foreign(lambda *_: (429, {"Retry-After": "7"}, b'{"error":{"message":"slow down"}}')))
        (front,) = self.start(gateway(pool(busy.url)))
        (answer,) = self.answers(front, 1)
        self.assertEqual((answer.status, answer.headers["retry-after"]), (429, "7"))
        self.assertEqual(answer.error["message"], "slow down")

    def test_a_clients_mistake_is_not_tried_again(self):
        (strict, other) = self.start(*(Foreign(lambda *_: (400, {}, b'{"error":{"message":"no such thing","param":"x"}}'))
                                       for _ in range(2)))
        (front,) = self.start(gateway(pool(strict.url, other.url)))
        (answer,) = self.answers(front, 1)
        self.assertEqual((answer.status, answer.error["message"]), (400, "no such thing"))
        self.assertEqual(len(strict.requests) + len(other.requests), 1)

    def test_slow_headers(self):
        slow = Foreign(lambda *_: (200, {}, [TimeoutError]))
        slow._stream = lambda connection, chunks: connection.recv(1) and False  # not even a head
        (slow, good) = self.start(slow, Foreign(lambda *_: (200, {}, [chunk("a"), chunk("", "stop"), DONE])))
        (front,) = self.start(gateway(pool(slow.url, good.url, balance="round_robin", timeouts={"first_token": "300ms"})))
        crowd = Crowd(front, [{"prompt": "Hi"}] * 6).join()
        self.assertEqual((crowd.failures, crowd.texts), ([], ["a"] * 6))
        self.assertGreater(len(slow.requests), 0)

    def test_a_foreign_stream_that_breaks_ends_in_one_error(self):
        (foreign,) = self.start(Foreign(lambda *_: (200, {}, [chunk("a"), chunk("b"), ConnectionResetError])))
        (front,) = self.start(gateway(pool(foreign.url)))
        data = front.post("/v1/completions", {"prompt": "Hi", "stream": True}).body
        self.assertTrue(data.startswith(chunk("a") + chunk("b")), data)
        (left,) = [line for line in data[len(chunk("a") + chunk("b")):].split(b"\n\n") if line]
        self.assertIn("message", json.loads(left.removeprefix(b"data: "))["error"])

    def test_all_down_says_when_to_come_back_and_recovers(self):
        first = Foreign(lambda *_: (200, {}, completion()))
        port = first.port
        first.close()
        (front,) = self.start(gateway(pool(first.url, breaker={"sleep_window": "300ms", "request_volume": 3, "window": "1s"})))
        for answer in self.answers(front, 10):
            self.assertEqual(answer.status, 503, answer.body)
            self.assertGreaterEqual(int(answer.headers["retry-after"]), 1)
            self.assertNotIn(str(port), answer.error["message"])
        self.start(Foreign(lambda *_: (200, {}, completion()), port=port))
        wait_for(lambda: self.answers(front, 1)[0].status == 200, "recovery")

    def test_another_model_answers_when_none_can(self):
        gone = Foreign(lambda *_: None)
        gone.close()
        engine = {"name": "small", "engine": {"path": TINY_MODEL, "threads": 1}}
        (front,) = self.start(gateway(pool(gone.url, name="big", fallback=["small"]), engine))
        answer = front.post("/v1/completions", {"model": "big", "prompt": "Hi", "max_tokens": 2})
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(answer.headers["x-autoglm-fallback"], "small")
        crowd = Crowd(front, [{"model": "big", "prompt": "Hi", "max_tokens": 5, "ignore_eos": True}] * 4).join()
        self.assertEqual(crowd.failures, [])
        self.assertNotIn("", crowd.texts)

    def test_a_drained_endpoint_gets_nothing_until_it_is_enabled(self):
        a, b = self.start(*(Foreign(lambda *_: (200, {}, completion())) for _ in range(2)))
        (front,) = self.start(gateway(pool(a.url, b.url, balance="round_robin")))
        name = f"127.0.0.1:{a.port}"
        answer = front.post("/endpoints/drain", {"endpoint": name}, admin=True)
        self.assertFalse({m["endpoint"]: m for m in answer.json()["models"][0]["endpoints"]}[name]["enabled"])
        self.check_all_answered(front, 10)
        self.assertEqual(a.requests, [])
        self.assertEqual(front.post("/endpoints/enable", {"endpoint": name}, admin=True).status, 200)
        self.check_all_answered(front, 10)
        self.assertIn(len(a.requests), (4, 5, 6))  # it comes back somewhere in the round
        unknown = front.post("/endpoints/drain", {"endpoint": "nobody:1"}, admin=True)
        self.assertEqual(unknown.status, 404)
        self.assertIn(name, unknown.error["message"])

    def test_an_unhealthy_endpoint_gets_nothing_until_it_is_well(self):
        a, b = self.start(*(Foreign(lambda *_: (200, {}, completion())) for _ in range(2)))
        (front,) = self.start(gateway(pool(a.url, b.url, balance="round_robin", health={"interval": "20ms", "unhealthy_after": 2, "slow_start": "0s"})))
        a.health = 503
        wait_for(lambda: not members(front)[f"127.0.0.1:{a.port}"]["healthy"], "out")
        self.check_all_answered(front, 10)
        self.assertEqual(a.requests, [])
        a.health = 200
        wait_for(lambda: members(front)[f"127.0.0.1:{a.port}"]["healthy"], "back in")
        self.check_all_answered(front, 10)
        self.assertIn(len(a.requests), (4, 5, 6))  # it comes back somewhere in the round

    def test_a_client_that_goes_away_ends_the_request_behind(self):
        (foreign,) = self.start(Foreign(lambda *_: (200, {}, [chunk("a")] + [TimeoutError])))
        (front,) = self.start(gateway(pool(foreign.url)))
        connection, response = front.stream("/v1/completions", {"prompt": "Hi"})
        self.assertEqual(response.status, 200)
        wait_for(lambda: front.metric("autoglm_endpoint_in_flight") == 1, "a request in flight")
        connection.close()
        response.close()
        wait_for(lambda: front.metric("autoglm_endpoint_in_flight") == 0, "nothing in flight")

    def test_a_long_outage_is_not_multiplied_by_retries(self):
        servers = self.start(*(Foreign(lambda *_: (500, {}, b"{}")) for _ in range(3)))
        (front,) = self.start(gateway(pool(*(s.url for s in servers), retry={"max_attempts": 3, "budget_percent": 20},
                                           breaker={"window": "1s", "request_volume": 20, "sleep_window": "1h"})))
        requests = 300
        self.assertEqual({answer.status for answer in self.answers(front, requests)}, {502, 503})
        attempts = sum(len(s.requests) for s in servers)
        self.assertLess(attempts, 1.2 * requests)


if __name__ == "__main__":
    unittest.main()

"""Our own instances behind the gateway: each test breaks one, and the clients must not see it."""

import json
import signal
import threading
import unittest

from gateway_fixture import Crowd, GatewayTest, body, gateway, members, pool, replica, url, wait_until_known
from server import PATIENCE, wait_for
from upstream import Spoiler


class Replicas(GatewayTest):
    """Our own instances behind the gateway: streams go on, exactly."""

    def check_texts(self, alone, crowd, bodies):
        self.assertEqual(crowd.failures, [])
        for wanted, text in zip(bodies, crowd.texts, strict=True):
            answer = alone.post("/v1/completions", wanted)
            self.assertEqual(answer.json()["choices"][0]["text"], text)

    def test_kill_one_of_three_under_200_streams(self):
        a, b, c = self.start(replica(), replica(), replica())
        # Default settings for everything that decides about attempts.
        (front,) = self.start(gateway(pool(url(a), url(b), url(c), retry={}, breaker={}, ejection={})))
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
        a.stop = lambda check=True: None  # the test itself ended it

    def check_spoilt(self, how, **pool_options):
        a, b = self.start(replica(), replica())
        (spoiler,) = self.start(Spoiler(a.port, how))
        (front,) = self.start(gateway(pool(spoiler.url, url(b), **pool_options)))
        wait_until_known(front, 2)
        bodies = [body(seed=i, logprobs=2) for i in range(12)]
        crowd = Crowd(front, bodies).join()
        self.assertGreater(spoiler.spoilt, 0)
        self.check_texts(b, crowd, bodies)
        # Streams that broke before their first token arrived are simply retried.
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
                        call.pop("id", None)  # each server makes a new one
                    found.setdefault(choice["index"], []).append((choice["delta"], choice["finish_reason"]))
            return found

        alone = deltas(b)
        for _ in range(4):
            self.assertEqual(deltas(front), alone)
        self.assertGreater(spoiler.spoilt, 0)

    def test_a_request_that_cannot_end_well_is_nobodys_failure(self):
        a, b = self.start(replica(), replica())
        (front,) = self.start(gateway(pool(url(a), url(b), retry={}, breaker={"request_volume": 4}, ejection={})))
        wait_until_known(front, 2)
        # After three letters nothing is allowed: the stream has begun when that shows.
        dead_end = {"prompt": "x", "max_tokens": 50, "grammar": "root ::= [a-z] [a-z] [a-z] <[99999999]>"}
        for i in range(12):
            connection, response = front.stream("/v1/completions", {**dead_end, "seed": i})
            self.assertEqual(response.status, 200)
            last = json.loads(response.read().decode().strip().rpartition("data: ")[2])
            connection.close()
            self.assertEqual((last["error"]["type"], last["error"]["param"]), ("invalid_request_error", "grammar"))
        self.assertEqual(front.metric("autoglm_resumes_total", outcome="failed"), 0)
        self.assertEqual(front.metric("autoglm_retries_total"), 0)
        self.assertEqual(front.metric("autoglm_endpoint_attempts_total", outcome="failed"), 0)
        self.assertEqual({member["breaker"] for member in members(front).values()}, {"closed"})

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


if __name__ == "__main__":
    unittest.main()

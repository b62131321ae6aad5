"""Servers of any kind behind the gateway fail in every way: the clients get answers, or an error that says what to do."""

import json
import os
import resource
import threading
import unittest

from gateway_fixture import Crowd, GatewayTest, gateway, members, pool
from server import NEVER, TINY_MODEL, wait_for
from upstream import DONE, Blackhole, Foreign, chunk, completion


class Faults(GatewayTest):
    """Servers of any kind: whatever one of them does, the clients get answers, or an error that says what to do."""

    @unittest.skipIf("ASAN_OPTIONS" in os.environ, "UBSan opens a pipe to look at an object's type")
    def test_having_no_descriptors_left_is_nobody_elses_failure(self):
        (foreign,) = self.start(Foreign(lambda *_: (200, {"Connection": "close"}, completion())))
        health = {"interval": "50ms", "timeout": "1s"}
        (front,) = self.start(gateway(pool(foreign.url, breaker={"request_volume": 4}, health=health, retry={}, ejection={})))
        wait_for(lambda: front.post("/v1/completions", {"prompt": "Hi"}).status == 200, "an answer")
        failed = front.metric("autoglm_endpoint_attempts_total", outcome="failed")
        pid = front.process.pid
        client = front.connect()
        client.request("GET", "/livez")
        client.getresponse().read()
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, before[1]))  # open descriptors stay open
        seen = set()
        for _ in range(12):
            client.request("POST", "/v1/completions", json.dumps({"prompt": "Hi"}))
            answer = client.getresponse()
            seen.add((answer.status, json.loads(answer.read())["error"]["code"], answer.headers["retry-after"]))
        NEVER.wait(0.3)  # time for some health checks
        checks = len(foreign.requests)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        client.close()
        self.assertEqual(seen, {(503, "out_of_sockets", "1")})
        self.assertEqual(checks, len(foreign.requests), "nobody came")
        self.assertEqual(front.post("/v1/completions", {"prompt": "Hi"}).status, 200)
        self.assertEqual(front.metric("autoglm_endpoint_attempts_total", outcome="failed"), failed)
        (member,) = members(front).values()
        self.assertEqual((member["breaker"], member["healthy"], member["ejected_for_s"]), ("closed", True, 0))

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
        self.assertNotIn("tracestate", headers)

    def test_a_trace_goes_on_with_what_others_say_of_it(self):
        (foreign,) = self.start(Foreign(lambda *_: (200, {}, completion())))
        (front,) = self.start(gateway(pool(foreign.url)))
        trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        for parent, state in ((f"00-{trace}-00f067aa0ba902b7-01", "vendor=a:1, other=2"), ("nonsense", None)):
            front.post("/v1/completions", {"prompt": "Hi"},
                       headers={"traceparent": parent, "tracestate": "vendor=a:1, other=2"})
            _, headers, _ = foreign.requests[-1]
            self.assertEqual(headers["traceparent"].split("-")[1] == trace, state is not None)
            self.assertEqual(headers.get("tracestate"), state)

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

    def test_429_says_when_even_if_the_server_did_not(self):
        for said in ({}, {"Retry-After": "soon"}, {"Retry-After": "0.5"}):
            (busy,) = self.start(Foreign(lambda *_, said=said: (429, said, b"{}")))
            (front,) = self.start(gateway(pool(busy.url)))
            (answer,) = self.answers(front, 1)
            self.assertEqual((answer.status, answer.headers.get("retry-after")), (429, "1"), said)

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

    def test_a_choice_that_nobody_asked_for_breaks_the_stream(self):
        indices = [1, 1 << 20, (1 << 32) - 1, 1 << 32, -1]
        turns = iter(indices)
        (foreign,) = self.start(Foreign(lambda *_: (200, {}, [chunk("a"), chunk("b", index=next(turns)), DONE])))
        (front,) = self.start(gateway(pool(foreign.url, continue_text=False)))
        for index in indices:
            data = front.post("/v1/completions", {"prompt": "Hi", "stream": True}).body
            self.assertTrue(data.startswith(chunk("a")), data)
            (left,) = [line for line in data[len(chunk("a")):].split(b"\n\n") if line]
            self.assertIn("nobody asked for", json.loads(left.removeprefix(b"data: "))["error"]["message"], index)

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
        self.assertIn(len(a.requests), (4, 5, 6))  # it comes back at some point of the round
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
        self.assertIn(len(a.requests), (4, 5, 6))  # it comes back at some point of the round

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
                                           breaker={"window": "200ms", "request_volume": 20, "sleep_window": "1h"})))
        # Many times what comes before the breakers' first 10 ms are over, however fast this machine is.
        requests = 1500
        self.assertEqual({answer.status for answer in self.answers(front, requests)}, {500})
        attempts = sum(len(s.requests) for s in servers)
        self.assertLess(attempts, 1.2 * requests)


if __name__ == "__main__":
    unittest.main()

"""Every request to a server ends in one verdict, whatever ends it, and the gateway acts on it."""

import threading
import unittest

from gateway_fixture import Crowd, GatewayTest, gateway, members, pool
from server import PATIENCE, wait_for
from upstream import DONE, Foreign, chunk, completion, reset

STRICT = {"breaker": {"window": "60s", "request_volume": 1000}, "ejection": {"consecutive_failures": 3, "max_percent": 100}}
OUTCOMES = ("ok", "failed", "timeout", "refused", "abandoned")


def hung():
    """A server that takes every request and answers none."""
    server = Foreign(lambda *_: (200, {}, [TimeoutError]))
    server._stream = lambda connection, chunks: connection.recv(1) and False  # not even a head
    return server


def good(*_):
    return 200, {}, completion()


class Verdicts(GatewayTest):
    def outcomes(self, front, server):
        return {outcome: int(count) for outcome in OUTCOMES
                if (count := front.metric("autoglm_endpoint_attempts_total", endpoint=server.name, outcome=outcome))}

    def failed_lines(self, front):
        return [line for line in front.log_lines() if line["message"] == "attempt failed"]

    def test_a_hung_server_is_left_alone_by_whole_answers_too(self):
        """The deadline of a whole answer is the whole request's: when it passes, the server has failed."""
        silent, other = self.start(hung(), Foreign(good))
        (front,) = self.start(gateway(pool(silent.url, other.url, balance="round_robin", health={"interval": "1h"},
                                           timeouts={"total": "200ms"}, **STRICT), workers=1))
        statuses = [answer.status for answer in self.answers(front, 20)]
        self.assertEqual((statuses.count(504), statuses.count(200)), (3, 17))
        self.assertEqual(len(silent.requests), 3)
        self.assertEqual(self.outcomes(front, silent), {"timeout": 3})
        self.assertEqual(self.outcomes(front, other), {"ok": 17})
        self.assertGreater(members(front)[silent.name]["ejected_for_s"], 0)
        lines = wait_for(lambda: len(self.failed_lines(front)) == 3 and self.failed_lines(front), "the log's lines")
        self.assertEqual({line["endpoint"] for line in lines}, {silent.name})

    def test_who_is_asked_when_most_of_the_time_is_over_is_not_to_blame_for_its_end(self):
        """A second of less than two passes before it is asked, since it said so."""
        def answer(_path, _body, count):
            return (429, {"Retry-After": "1"}, b"{}") if count == 1 else (200, {}, [TimeoutError])

        (late,) = self.start(Foreign(answer))
        (front,) = self.start(gateway(pool(late.url, health={"interval": "1h"}, timeouts={"total": "1900ms"},
                                           retry={"max_attempts": 2, "max_backoff": "2s", "budget_percent": 100}, **STRICT), workers=1))
        self.assertEqual(front.post("/v1/completions", {"prompt": "Hi"}).status, 504)
        wait_for(lambda: self.outcomes(front, late) == {"refused": 1, "abandoned": 1}, "a verdict on each attempt")

    def test_a_caller_in_a_hurry_blames_nobody(self):
        """Otherwise a caller with short deadlines would take the servers away from all clients."""
        for stream in (False, True):
            with self.subTest(stream=stream):
                (silent,) = self.start(hung())
                (front,) = self.start(gateway(pool(silent.url, health={"interval": "1h"}, **STRICT), workers=1))
                for _ in range(5):
                    answer = front.post("/v1/completions", {"prompt": "Hi", "stream": stream},
                                        headers={"x-autoglm-timeout-ms": "50"})
                    self.assertEqual(answer.status, 504, answer.body)
                wait_for(lambda f=front, s=silent: self.outcomes(f, s) == {"abandoned": 5}, "no verdict")
                self.assertEqual(members(front)[silent.name]["ejected_for_s"], 0)

    def test_a_client_that_leaves_blames_nobody(self):
        (silent,) = self.start(hung())
        (front,) = self.start(gateway(pool(silent.url, health={"interval": "1h"}, **STRICT), workers=1))
        for i in range(4):
            client = front.connect()
            client.request("POST", "/v1/completions", '{"prompt": "Hi"}')
            wait_for(lambda n=i: len(silent.requests) == n + 1, "the request")
            client.close()
        wait_for(lambda: self.outcomes(front, silent) == {"abandoned": 4}, "no verdict")
        self.assertEqual(self.failed_lines(front), [])

    def test_the_silent_one_of_two_that_were_asked_is_left_alone(self):
        says = [[chunk("a", "stop"), DONE], [chunk("b", "stop"), DONE]]
        a, b = self.start(*(Foreign(lambda *_, i=i: (200, {}, says[i])) for i in range(2)))
        (front,) = self.start(gateway(pool(a.url, b.url, balance="round_robin", health={"interval": "1h"},
                                           hedge={"percentile": 50, "min_delay": "100ms"}, **STRICT), workers=1))
        for _ in range(60):
            self.assertEqual(front.post("/v1/completions", {"prompt": "Hi", "stream": True}).status, 200)
        before = len(a.requests)
        says[0] = [TimeoutError]
        for _ in range(20):
            crowd = Crowd(front, [{"prompt": "Hi"}]).join()
            self.assertEqual((crowd.failures, crowd.texts), ([], ["b"]))
        self.assertEqual(len(a.requests) - before, 3)
        self.assertEqual(self.outcomes(front, a), {"ok": before, "timeout": 3})

    def test_a_stream_that_breaks_is_one_failure_and_no_success(self):
        (breaking,) = self.start(Foreign(lambda *_: (200, {}, [chunk("a"), ConnectionResetError])))
        (front,) = self.start(gateway(pool(breaking.url, continue_text=False, health={"interval": "1h"},
                                           breaker={"window": "1s", "request_volume": 5, "error_percent": 100, "sleep_window": "1h"}),
                                      workers=1))

        def opened():
            front.post("/v1/completions", {"prompt": "Hi", "stream": True})
            return members(front)[breaking.name]["breaker"] == "open"

        wait_for(opened, "an open breaker, by all of a hundred percent")
        outcomes = self.outcomes(front, breaking)
        self.assertEqual(outcomes, {"failed": len(breaking.requests)})

    def test_breaks_in_a_row_eject(self):
        breaking, other = self.start(Foreign(lambda *_: (200, {}, [chunk("a"), ConnectionResetError])),
                                     Foreign(lambda *_: (200, {}, [chunk("b", "stop"), DONE])))
        (front,) = self.start(gateway(pool(breaking.url, other.url, balance="round_robin", continue_text=False,
                                           health={"interval": "1h"}, **STRICT), workers=1))
        for _ in range(20):
            front.post("/v1/completions", {"prompt": "Hi", "stream": True})
        self.assertEqual(len(breaking.requests), 3)
        self.assertEqual(self.outcomes(front, breaking), {"failed": 3})

    def test_a_standstill_is_one_failure(self):
        (still,) = self.start(Foreign(lambda *_: (200, {}, [chunk("a"), TimeoutError])))
        (front,) = self.start(gateway(pool(still.url, continue_text=False, health={"interval": "1h"},
                                           timeouts={"idle": "100ms", "first_token": f"{PATIENCE}s"}, **STRICT), workers=1))
        for _ in range(3):
            front.post("/v1/completions", {"prompt": "Hi", "stream": True})
        self.assertEqual(self.outcomes(front, still), {"timeout": 3})

    def test_who_does_not_have_the_model_has_failed(self):
        """And failing fast attracts no traffic: model, key and path are the gateway's settings, not the client's."""
        error = b'{"error":{"message":"The model `m` does not exist.","type":"NotFoundError","code":404}}'
        for status in (404, 401, 403, 405, 501):
            with self.subTest(status):
                wrong, right = self.start(Foreign(lambda *_, s=status: (s, {}, error)), Foreign(good))
                (front,) = self.start(gateway(pool(wrong.url, right.url, health={"interval": "1h"}, **STRICT), workers=1))
                self.check_all_answered(front, 20)
                self.assertLessEqual(len(wrong.requests), 3)
                self.assertEqual(self.outcomes(front, wrong), {"failed": len(wrong.requests)} if wrong.requests else {})

    def test_when_nobody_has_the_model_the_client_hears_their_words(self):
        servers = self.start(*(Foreign(lambda *_: (404, {}, b'{"error":{"message":"no such model"}}')) for _ in range(2)))
        (front,) = self.start(gateway(pool(*(s.url for s in servers), health={"interval": "1h"}), workers=1))
        (answer,) = self.answers(front, 1)
        self.assertEqual((answer.status, answer.error["message"]), (404, "no such model"))
        self.assertEqual(self.outcomes(front, servers[0]), {"failed": 1}, "whatever it is called")
        self.assertEqual([len(s.requests) for s in servers], [1, 1], "nobody is asked twice")

    def poisoned(self, count, **options):
        """How often servers get a request that makes them close the connection without an answer."""
        def answer(_path, body, _count):
            return 200, {}, (ConnectionResetError if body["prompt"] == "poison" else completion())

        def send(connection, status, headers, body):
            if body is ConnectionResetError:
                reset(connection)
                raise OSError
            Foreign._send(connection, status, headers, body)

        servers = self.start(*(Foreign(answer) for _ in range(count)))
        for server in servers:
            server._send = send
        (front,) = self.start(gateway(pool(*(s.url for s in servers), balance="round_robin", health={"interval": "1h"}, **options),
                                      workers=1))
        self.check_all_answered(front, 2 * count)  # from now on there are idle connections
        answer = front.post("/v1/completions", {"prompt": "poison"})
        self.assertIn(answer.status, (502, 503), answer.body)
        self.check_all_answered(front, count)
        return [body["prompt"] for server in servers for body in server.bodies].count("poison")

    def test_a_request_that_kills_its_server_is_sent_as_often_as_configured(self):
        self.assertEqual(self.poisoned(4, retry={"max_attempts": 1}), 1)
        self.assertEqual(self.poisoned(4, retry={"max_attempts": 3}), 3)
        self.assertEqual(self.poisoned(1, retry={"max_attempts": 2}), 2)

    def test_an_answer_that_kills_whoever_goes_on_with_it_is_given_up(self):
        """Each server sends one more word and resets the connection."""
        servers = self.start(*(Foreign(lambda *_: (200, {}, [chunk("a"), ConnectionResetError])) for _ in range(8)))
        (front,) = self.start(gateway(pool(*(s.url for s in servers), health={"interval": "1h"}, retry={"max_attempts": 2}), workers=1))
        body = front.post("/v1/completions", {"prompt": "Hi", "stream": True}).body
        self.assertIn(b'"error"', body.strip().rpartition(b"data: ")[2])
        self.assertEqual(sum(len(s.requests) for s in servers), 3, "once, and gone on with twice")

    def test_a_huge_retry_after_is_not_forgotten(self):
        for text, told in (("10", "10"), ("9223372037", "86400"), ("18446744074", "86400"), ("9" * 40, "86400")):
            with self.subTest(text):
                servers = self.start(*(Foreign(lambda *_, t=text: (429, {"Retry-After": t}, b"{}")) for _ in range(2)))
                (front,) = self.start(gateway(pool(*(s.url for s in servers), health={"interval": "1h"},
                                                   retry={"max_attempts": 10, "budget_percent": 100}), workers=1))
                (answer,) = self.answers(front, 1)
                self.assertEqual((answer.status, answer.headers["retry-after"]), (429, told))
                self.assertEqual(sum(len(s.requests) for s in servers), 2)

    def test_places_are_exact_over_loops(self):
        """Many requests arrive at the same moment, on several loops."""
        lock, inside, most = threading.Lock(), [0], [0]
        gate = threading.Event()

        def counted(*_):
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            gate.wait(0.002)
            with lock:
                inside[0] -= 1
            return 200, {}, completion()

        (server,) = self.start(Foreign(counted))
        (front,) = self.start(gateway(pool({"url": server.url, "max_connections": 2}, health={"interval": "1h"}), workers=4))

        def load():
            for _ in range(20):
                self.assertEqual(front.post("/v1/completions", {"prompt": "Hi"}).status, 200)

        threads = [threading.Thread(target=load) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertLessEqual(most[0], 2)
        self.assertEqual(len(server.requests), 240)


if __name__ == "__main__":
    unittest.main()

"""A second server is asked when the first is silent for longer than usual; the first to begin answers."""

import threading
import unittest

from gateway_fixture import Crowd, GatewayTest, gateway, pool
from server import wait_for
from upstream import DONE, Foreign, chunk, completion

WANTED = {"prompt": "Hi"}
ENOUGH = 60  # first tokens that establish the usual time


class Hedging(GatewayTest):
    """Two servers that answer at once until a test says otherwise; the gateway has one loop, which learns."""

    def setUp(self):
        self.says = [[chunk("a", "stop"), DONE], [chunk("b", "stop"), DONE]]
        self.a, self.b = self.start(*(Foreign(lambda *_, i=i: (200, {}, self.says[i])) for i in range(2)))

    def front(self, **options):
        more = {"hedge": {"percentile": 50, "min_delay": "30ms"}, "retry": {"budget_percent": 100}, **options}
        (front,) = self.start(gateway(pool(self.a.url, self.b.url, balance="round_robin", **more), workers=1))
        return front

    def learn(self, front, count=ENOUGH):
        for _ in range(count):
            self.assertEqual(front.post("/v1/completions", {**WANTED, "stream": True}).status, 200)

    def ask(self, front, count):
        """Opens streams one after the other; returns the text of each."""
        return [Crowd(front, [WANTED]).join() for _ in range(count)]

    def test_another_answers_and_the_silent_one_is_let_go(self):
        front = self.front()
        self.learn(front)
        before = len(self.a.requests)
        self.says[0] = [TimeoutError]
        for crowd in self.ask(front, 6):
            self.assertEqual((crowd.failures, crowd.texts), ([], ["b"]))
        silent = len(self.a.requests) - before
        self.assertGreaterEqual(silent, 3, "every second one is asked of it first")
        wait_for(lambda: self.a.abandoned == silent, "its connections are closed")
        self.assertGreaterEqual(front.metric("autoglm_hedges_won_total"), 3)
        wait_for(lambda: front.metric("autoglm_endpoint_in_flight") == 0, "nothing in flight")
        attempts = front.metric("autoglm_endpoint_attempts_total", endpoint=self.a.name, outcome="failed")
        self.assertEqual(attempts, 0, "to be slower than another is no failure")

    def test_the_first_may_win_yet(self):
        front = self.front()
        self.learn(front)
        late = threading.Event()
        self.says = [[late, chunk("a", "stop"), DONE], [TimeoutError]]
        before = len(self.b.requests)
        crowd = Crowd(front, [WANTED])
        wait_for(lambda: len(self.b.requests) > before and len(self.a.requests) > ENOUGH / 2, "both are asked")
        late.set()
        crowd.join()
        self.assertEqual((crowd.failures, crowd.texts), ([], ["a"]))
        wait_for(lambda: self.b.abandoned == 1, "the other one is let go")

    def test_nothing_before_much_is_learnt_and_whole_answers_teach_nothing(self):
        front = self.front(timeouts={"first_token": "300ms"})
        self.learn(front, 10)
        self.says = [completion()] * 2  # whole answers, whose time depends on their length
        self.check_all_answered(front, ENOUGH)
        self.says = [[TimeoutError], [chunk("b", "stop"), DONE]]
        for crowd in self.ask(front, 2):
            self.assertEqual((crowd.failures, crowd.texts), ([], ["b"]))
        self.assertEqual(front.metric("autoglm_hedges_total"), 0)

    def test_the_budget_bounds_them(self):
        front = self.front(retry={"budget_percent": 0})  # three hedges are allowed in any case
        self.learn(front)
        late = threading.Event()
        self.addCleanup(late.set)
        self.says = [[late, chunk("x", "stop"), DONE]] * 2
        before = front.metric("autoglm_hedges_total")
        crowd = Crowd(front, [WANTED] * 12)
        wait_for(lambda: front.metric("autoglm_retries_refused_total") >= 9, "refusals")
        self.assertEqual(front.metric("autoglm_hedges_total") - before, 3)
        late.set()
        crowd.join()
        self.assertEqual((crowd.failures, crowd.texts), ([], ["x"] * 12))

    def test_never_unless_it_is_switched_on(self):
        front = self.front(hedge={}, timeouts={"first_token": "300ms"})
        self.learn(front)
        self.says[0] = [TimeoutError]
        for crowd in self.ask(front, 2):
            self.assertEqual(crowd.texts, ["b"])
        self.assertEqual(front.metric("autoglm_hedges_total"), 0)


if __name__ == "__main__":
    unittest.main()

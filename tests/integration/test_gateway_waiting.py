"""Servers that are full: requests queue for a place, first come first served, up to a number and a time."""

import threading
import unittest

from gateway_fixture import GatewayTest, gateway, pool
from server import PATIENCE, wait_for
from upstream import Foreign, completion


def queued(front):
    (model,) = front.get("/endpoints", admin=True).json()["models"]
    return model["queued"]


class Held:
    """Answers each prompt when it is released, and records the order of arrival."""

    def __init__(self):
        self.lock, self.gates, self.came = threading.Lock(), {}, []

    def gate(self, prompt):
        with self.lock:
            return self.gates.setdefault(prompt, threading.Event())

    def __call__(self, _path, body, _count):
        with self.lock:
            self.came.append(body["prompt"])
        self.gate(body["prompt"]).wait(PATIENCE)
        return 200, {}, completion(body["prompt"])

    def release(self, *prompts):
        for prompt in prompts:
            self.gate(prompt).set()


class Asking:
    """A request on its own thread."""

    def __init__(self, front, prompt):
        self.prompt, self.answer = prompt, None
        self.thread = threading.Thread(target=self._run, args=(front,))
        self.thread.start()

    def _run(self, front):
        self.answer = front.post("/v1/completions", {"prompt": self.prompt, "max_tokens": 2})

    def join(self):
        self.thread.join()
        return self.answer


class Waiting(GatewayTest):
    def full_server(self, size=100, timeout=f"{PATIENCE}s", **more):
        """A gateway and its server, whose only place is taken by a first request."""
        held = Held()
        (server,) = self.start(Foreign(held))
        (front,) = self.start(gateway(pool({"url": server.url, "max_connections": 1},
                                           queue={"size": size, "timeout": timeout}, **more)))
        self.addCleanup(lambda: held.release(*held.gates))  # so that no request hangs if the test fails
        first = Asking(front, "0")
        wait_for(lambda: held.came == ["0"], "the first request")
        return front, server, held, first

    def in_line(self, front, held, prompts):
        """Sends further requests, each queued before the next one is sent."""
        asking = []
        for prompt in prompts:
            before = queued(front)
            asking.append(Asking(front, prompt))
            wait_for(lambda n=before: queued(front) == n + 1, f"{prompt} in line")
        return asking

    def check_order(self, held, asking):
        for i, one in enumerate(asking):
            self.assertEqual(held.came, [other.prompt for other in asking[: i + 1]])
            held.release(one.prompt)
            answer = one.join()
            self.assertEqual((answer.status, answer.json()["choices"][0]["text"]), (200, one.prompt))
            if i + 1 < len(asking):
                wait_for(lambda n=i: len(held.came) > n + 1, "the next one's turn")

    def test_first_come_first_served(self):
        front, _, held, first = self.full_server()
        self.check_order(held, [first, *self.in_line(front, held, "1234")])
        self.assertEqual(queued(front), 0)

    def test_a_look_at_the_line_does_not_change_its_order(self):
        front, server, held, first = self.full_server()
        asking = self.in_line(front, held, "1234")
        for _ in range(3):  # a change of any endpoint wakes all waiters
            front.post("/endpoints/enable", {"endpoint": server.name}, admin=True)
            wait_for(lambda: queued(front) == 4, "all back in line")
        self.check_order(held, [first, *asking])

    def test_a_line_that_is_full_sends_away(self):
        front, _, held, first = self.full_server(size=1)
        (second,) = self.in_line(front, held, "1")
        for _ in range(3):
            (answer,) = self.answers(front, 1)
            self.assertEqual((answer.status, answer.error["code"]), (503, "queue_full"), answer.body)
            self.assertGreaterEqual(int(answer.headers["retry-after"]), 1)
        self.check_order(held, [first, second])

    def test_nobody_waits_for_ever(self):
        front, _, held, first = self.full_server(timeout="200ms")
        (answer,) = self.answers(front, 1)
        self.assertEqual((answer.status, answer.error["code"]), (503, "queue_timeout"), answer.body)
        self.assertGreaterEqual(int(answer.headers["retry-after"]), 1)
        self.check_order(held, [first])
        self.assertEqual(queued(front), 0)

    def test_who_leaves_makes_room(self):
        front, _, held, first = self.full_server(size=1)
        for _ in range(3):
            leaving = front.connect()
            leaving.request("POST", "/v1/completions", '{"prompt": "left"}', {"Content-Type": "application/json"})
            wait_for(lambda: queued(front) == 1, "one in line")
            leaving.close()
            wait_for(lambda: queued(front) == 0, "nobody in line")
        self.check_order(held, [first, *self.in_line(front, held, "1")])

    def test_a_place_passes_by_who_cannot_take_it(self):
        """The server with a free place has refused the first in line, but not the next one."""
        held = Held()
        a, b = self.start(Foreign(lambda path, body, count: (500, {}, b"{}") if body["prompt"] == "refused by b"
                                  and not held.gate("again").is_set() else held(path, body, count)), Foreign(held))
        a, b = b, a  # the first endpoint is asked first
        (front,) = self.start(gateway(pool({"url": a.url, "max_connections": 1}, {"url": b.url, "max_connections": 1},
                                           balance="round_robin", queue={"timeout": f"{PATIENCE}s"})))
        self.addCleanup(lambda: held.release(*held.gates))
        at_a = Asking(front, "at a")
        wait_for(lambda: held.came == ["at a"], "a is full")
        (refused,) = self.in_line(front, held, ["refused by b"])
        at_b = Asking(front, "at b")
        wait_for(lambda: held.came == ["at a", "at b"], "b is full")
        (second,) = self.in_line(front, held, ["second"])
        held.release("at b", "second")
        self.assertEqual((at_b.join().status, second.join().status), (200, 200))
        wait_for(lambda: queued(front) == 1, "only the refused one is in line")
        held.release("at a", "refused by b")
        self.assertEqual((at_a.join().status, refused.join().status), (200, 200))
        self.assertEqual(refused.answer.headers["x-autoglm-endpoint"], a.name)

    def test_a_stand_in_answers_who_is_sent_away(self):
        front, _, held, first = self.full_server(size=0, static_answer="Busy.")
        (answer,) = self.answers(front, 1)
        self.assertEqual((answer.status, answer.headers["x-autoglm-fallback"]), (200, "static"))
        self.check_order(held, [first])


if __name__ == "__main__":
    unittest.main()

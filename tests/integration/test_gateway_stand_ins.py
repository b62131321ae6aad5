"""When no endpoint can: other models in order, then a configured answer, both marked; and never instead of a client's mistake."""

import unittest

from gateway_fixture import Crowd, GatewayTest, gateway, pool
from server import TINY_MODEL, events
from upstream import DONE, Foreign, chat_chunk, chunk, completion

MESSAGES = [{"role": "user", "content": "Hi"}]
BUSY = 'We are busy, "really"; please ask again.'


class StandIns(GatewayTest):
    def gone(self):
        server = Foreign()
        server.close()
        return server.url

    def front(self, *models):
        (front,) = self.start(gateway(*models))
        return front

    def test_models_in_order(self):
        (c,) = self.start(Foreign())
        (b,) = self.start(Foreign(lambda *_: (503, {}, b"{}")))
        front = self.front(pool(self.gone(), name="a", fallback=["b", "c"]), pool(b.url, name="b"), pool(c.url, name="c"))
        (answer,) = self.answers(front, 1, {"model": "a", "prompt": "Hi", "max_tokens": 2})
        self.assertEqual((answer.status, answer.body), (200, completion()))
        self.assertEqual((answer.headers["x-autoglm-fallback"], answer.headers["x-autoglm-endpoint"]), ("c", c.name))
        self.assertGreater(len(b.requests), 0)
        self.assertEqual(c.bodies[0]["model"], "c", "by its own name")
        self.assertEqual(front.metric("autoglm_fallbacks_total", model="a"), 1)

    def test_a_chain(self):
        """The second model's own fallback answers."""
        (c,) = self.start(Foreign(lambda *_: (200, {}, [chunk("c", "stop"), DONE])))
        front = self.front(pool(self.gone(), name="a", fallback=["b"]), pool(self.gone(), name="b", fallback=["c"]),
                           pool(c.url, name="c"))
        connection, response = front.stream("/v1/completions", {"model": "a", "prompt": "Hi"})
        self.assertEqual((response.status, response.getheader("x-autoglm-fallback")), (200, "c"))
        self.assertEqual(response.read(), chunk("c", "stop") + DONE)
        connection.close()

    def test_what_only_its_servers_understand_is_for_no_engine_of_this_process(self):
        engine = {"name": "small", "engine": {"path": TINY_MODEL, "threads": 1}}
        (other,) = self.start(Foreign())
        front = self.front(pool(self.gone(), name="a", fallback=["small"]), pool(self.gone(), name="b", fallback=["small", "c"]),
                           pool(other.url, name="c"), engine)
        plain = {"prompt": "Hi", "max_tokens": 2}
        strange = {**plain, "temperature": 3}
        self.assertEqual(front.post("/v1/completions", {"model": "a", **plain}).headers["x-autoglm-fallback"], "small")
        self.assertEqual(front.post("/v1/completions", {"model": "a", **strange}).status, 503)
        self.assertEqual(front.metric("autoglm_fallbacks_total", model="a"), 1)
        self.assertEqual(front.post("/v1/completions", {"model": "b", **strange}).headers["x-autoglm-fallback"], "c")
        self.assertEqual(other.bodies, [{"model": "c", **strange}])

    def test_nothing_of_that_while_an_endpoint_can(self):
        a, b = self.start(Foreign(), Foreign())
        front = self.front(pool(self.gone(), a.url, name="a", fallback=["b"], static_answer=BUSY), pool(b.url, name="b"))
        for answer in self.answers(front, 10):
            self.assertEqual(answer.status, 200)
            self.assertNotIn("x-autoglm-fallback", answer.headers)
        self.assertEqual(b.requests, [])

    def test_a_clients_mistake_stays_one(self):
        a, b = self.start(Foreign(lambda *_: (400, {}, b'{"error":{"message":"no such thing"}}')), Foreign())
        front = self.front(pool(a.url, name="a", fallback=["b"], static_answer=BUSY), pool(b.url, name="b"))
        (answer,) = self.answers(front, 1)
        self.assertEqual((answer.status, answer.error["message"]), (400, "no such thing"))
        self.assertEqual(b.requests, [])

    def test_the_static_answer(self):
        engine = {"name": "small", "engine": {"path": TINY_MODEL, "threads": 1}}
        (worse,) = self.start(Foreign(lambda *_: (500, {}, b"{}")))
        front = self.front(pool(self.gone(), name="a", fallback=["b"], static_answer=BUSY), pool(worse.url, name="b"), engine)
        chat = front.post("/v1/chat/completions", {"model": "a", "messages": MESSAGES, "n": 2})
        self.assertEqual((chat.status, chat.headers["x-autoglm-fallback"]), (200, "static"), chat.body)
        self.assertEqual([(c["index"], c["message"]["role"], c["message"]["content"], c["finish_reason"]) for c in chat.json()["choices"]],
                         [(i, "assistant", BUSY, "stop") for i in range(2)])
        self.assertEqual((chat.json()["model"], chat.json()["usage"]["completion_tokens"]), ("a", 0))
        text = front.post("/v1/completions", {"model": "a", "prompt": "Hi"})
        self.assertEqual((text.status, text.json()["choices"][0]["text"]), (200, BUSY))
        self.assertEqual(front.metric("autoglm_static_answers_total", model="a"), 2)

    def test_the_static_answer_streamed(self):
        front = self.front(pool(self.gone(), name="a", static_answer=BUSY))
        crowd = Crowd(front, [{"prompt": "Hi"}] * 3).join()
        self.assertEqual((crowd.failures, crowd.texts), ([], [BUSY] * 3))
        connection, response = front.stream("/v1/chat/completions", {"messages": MESSAGES, "stream_options": {"include_usage": True}})
        self.assertEqual((response.status, response.getheader("x-autoglm-fallback")), (200, "static"))
        seen = list(events(response))
        connection.close()
        self.assertEqual(seen.pop(), "[DONE]")
        self.assertEqual(seen.pop()["usage"]["total_tokens"], 0)
        deltas = [frame["choices"][0] for frame in seen]
        self.assertEqual("".join(d["delta"].get("content") or "" for d in deltas), BUSY)
        self.assertEqual(deltas[0]["delta"]["role"], "assistant")
        self.assertEqual([d["finish_reason"] for d in deltas if d["finish_reason"]], ["stop"])

    def test_a_stream_that_began_is_not_begun_again_by_another_model(self):
        """Text that was sent cannot be taken back: no other model continues it."""
        a, b = self.start(Foreign(lambda *_: (200, {}, [chat_chunk(content="a"), ConnectionResetError])), Foreign())
        front = self.front(pool(a.url, name="a", fallback=["b"], static_answer=BUSY), pool(b.url, name="b"))
        data = front.post("/v1/chat/completions", {"messages": MESSAGES, "stream": True}).body
        self.assertTrue(data.startswith(chat_chunk(content="a") + b'data: {"error"'), data)
        self.assertEqual((data.count(b"data: "), b.requests), (2, []))


if __name__ == "__main__":
    unittest.main()

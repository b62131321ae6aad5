"""Streams of foreign servers that break: another one goes on behind the last word, or there is one error and no garbage."""

import json
import socket
import threading
import time
import unittest

from gateway_fixture import Crowd, GatewayTest, gateway, members, pool
from server import wait_for
from upstream import DONE, Foreign, chat_chunk, chunk, usage

VLLM = {"/version": b'{"version": "0.9.1"}'}
SGLANG = {"/get_model_info": b'{"model_path": "some/model"}'}
QUICK = {"health": {"interval": "20ms", "timeout": "5s"}}
FIRST = {"id": "first", "created": 100, "model": "m"}
SECOND = {"id": "second", "created": 200, "model": "n"}


def script(*chunks):
    """A server that says this, whatever it is asked."""
    return lambda *_: (200, {}, list(chunks))


class TextTest(GatewayTest):
    def front(self, *servers, endpoint=None, **options):
        """Asks the first of them first."""
        endpoints = [{"url": s.url, **(endpoint or {})} for s in servers]
        (front,) = self.start(gateway(pool(*endpoints, **{"balance": "round_robin", **QUICK, **options})))
        for server in servers:  # known for what they are: a check begins behind the one that found out
            wait_for(lambda s=server: s.gets.count("/health") > 1, "the second check")
        return front

    def frames(self, front, path, wanted):
        """The events of a stream, the last one without its name."""
        answer = front.post(path, wanted if isinstance(wanted, bytes) else {"stream": True, **wanted})
        self.assertEqual(answer.status, 200, answer.body)
        parts = answer.body.decode().split("\n\n")
        self.assertEqual(parts.pop(), "")
        self.assertEqual({part[:6] for part in parts}, {"data: "}, parts)
        return [part[6:] if part.endswith("[DONE]") else json.loads(part[6:]) for part in parts]

    def check_one_error(self, frames, before):
        """`before` events as they came, then one error, and nothing behind it."""
        self.assertEqual(len(frames), before + 1, frames)
        self.assertIn("message", frames[-1]["error"])
        self.assertFalse(any("error" in frame for frame in frames[:-1]), frames)


OURS = {"/version": b'{"version":"1","server":"open-autoglm"}'}


def tokens(text, ids, reason=None, **more):
    return chunk(text, reason, **more).replace(b'"index": 0', b'"index": 0, "token_ids": %s' % json.dumps(ids).encode())


class Ours(TextTest):
    def test_what_is_known_of_a_server_may_change_while_it_answers(self):
        """The first is asked as one of ours, and answers when checks find nobody at its address any more."""
        gone = threading.Event()
        a, b = self.start(Foreign(script(gone, tokens(" one", [11]), tokens(" two", [12, 13]), ConnectionResetError), pages=OURS),
                          Foreign(script(tokens(" three", [14], "length"), DONE), pages=OURS))
        front = self.front(a, b)
        crowd = Crowd(front, [{"prompt": "Once", "max_tokens": 4}])
        wait_for(lambda: a.requests, "the request")
        a.socket.shutdown(socket.SHUT_RDWR)  # what it has accepted stays
        wait_for(lambda: not members(front)[a.name]["resumes"], "a check that found nobody")
        gone.set()
        crowd.join()
        self.assertEqual((crowd.failures, crowd.texts), ([], [" one two three"]))
        (asked,) = b.bodies
        self.assertEqual(asked["resume"]["token_ids"], [[11, 12, 13]])
        self.assertEqual(asked["prompt"], "Once")


class Completions(TextTest):
    WANTED = {"prompt": "Once", "max_tokens": 10, "temperature": 0.5, "their_own": [1, 2.50],
              "stream_options": {"include_usage": True}}

    def texts(self, frames):
        return "".join(frame["choices"][0]["text"] for frame in frames[:-1] if frame["choices"])

    def test_another_goes_on_behind_the_last_word(self):
        a, b = self.start(Foreign(script(chunk(" one", **FIRST), chunk(' "two"\n', **FIRST), ConnectionResetError)),
                          Foreign(script(chunk(" three", **SECOND), chunk("", "stop", **SECOND), usage(5, 2, **SECOND), DONE)))
        front = self.front(a, b)
        frames = self.frames(front, "/v1/completions", self.WANTED)
        self.assertEqual(frames[-1], "[DONE]")
        self.assertEqual(self.texts(frames), ' one "two"\n three')
        self.assertEqual({(f["id"], f["created"], f["model"]) for f in frames[:-1]}, {("first", 100, "m")})
        self.assertEqual([f["choices"][0]["finish_reason"] for f in frames[:-2]], [None, None, None, "stop"])
        # What the second read as its prompt was said by the first: 5 - 2 and 2 + 2.
        self.assertEqual(frames[-2]["usage"], {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7})
        (asked,) = b.bodies
        self.assertEqual(asked, {**self.WANTED, "model": "tiny", "stream": True, "prompt": 'Once one "two"\n', "max_tokens": 8})
        self.assertIn(b'"their_own": [1, 2.5]', b.requests[0][2])
        self.assertEqual(front.metric("autoglm_resumes_total", outcome="ok"), 1)
        line = wait_for(lambda: [x for x in front.log_lines() if x["message"] == "stream resumed"], "the log line")[0]
        self.assertEqual((line["by"], line["from"], line["to"]), ("text", a.name, b.name))

    def test_breaks_twice(self):
        a, b, c = self.start(Foreign(script(chunk("1 ", **FIRST), ConnectionResetError)),
                             Foreign(script(chunk("2 ", **SECOND), chunk("3 ", **SECOND), ConnectionResetError)),
                             Foreign(script(chunk("4", "stop", **SECOND), usage(9, 1), DONE)))
        frames = self.frames(self.front(a, b, c), "/v1/completions", self.WANTED)
        self.assertEqual(self.texts(frames), "1 2 3 4")
        self.assertEqual(frames[-2]["usage"], {"prompt_tokens": 6, "completion_tokens": 4, "total_tokens": 10})
        self.assertEqual({f["id"] for f in frames[:-1]}, {"first"})
        self.assertEqual([s.bodies[0]["prompt"] for s in (a, b, c)], ["Once", "Once1 ", "Once1 2 3 "])
        self.assertEqual([s.bodies[0]["max_tokens"] for s in (a, b, c)], [10, 9, 7])

    def test_what_had_ended_is_not_gone_on_with(self):
        for end in ([chunk("", "stop", **FIRST)], [chunk("", "length", **FIRST), usage(1, 1, **FIRST)]):
            with self.subTest(len(end)):
                a, b = self.start(Foreign(script(chunk(" one", **FIRST), *end, ConnectionResetError)),
                                  Foreign(script(chunk(" more", "stop"), DONE)))
                frames = self.frames(self.front(a, b), "/v1/completions", {**self.WANTED, "stream_options": None})
                self.assertEqual(frames[-1], "[DONE]")
                self.assertEqual(len(frames), len(end) + 2)
                self.assertEqual(b.requests, [])

    def test_all_tokens_said_and_not_ended(self):
        a, b = self.start(Foreign(script(chunk(" one", **FIRST), chunk(" two", **FIRST), ConnectionResetError)),
                          Foreign(script(chunk(" more", "length"), DONE)))
        frames = self.frames(self.front(a, b), "/v1/completions", {"prompt": "Once", "max_tokens": 2})
        self.assertEqual(self.texts(frames), " one two")
        self.assertEqual((frames[-2]["choices"][0]["finish_reason"], frames[-2]["id"], frames[-1]), ("length", "first", "[DONE]"))
        self.assertEqual(b.requests, [])

    def test_garbage_and_a_standstill_are_breaks_too(self):
        for bad, options in ((b"data: {nonsense\n\n", {}), (TimeoutError, {"timeouts": {"idle": "200ms"}})):
            with self.subTest(bad):
                a, b = self.start(Foreign(script(chunk("a", **FIRST), bad, chunk("never", **FIRST))),
                                  Foreign(script(chunk("b", "stop"), DONE)))
                frames = self.frames(self.front(a, b, **options), "/v1/completions", self.WANTED)
                self.assertEqual(self.texts(frames), "ab")

    def test_what_text_does_not_tell_ends_in_one_error(self):
        for more in ({"n": 2}, {"logprobs": 1}, {"echo": True}, {"prompt": [1, 2, 3]}):
            with self.subTest(more):
                a, b = self.start(Foreign(script(chunk(" one"), ConnectionResetError)), Foreign(script(chunk("x"), DONE)))
                self.check_one_error(self.frames(self.front(a, b), "/v1/completions", {**self.WANTED, **more}), 1)
                self.assertEqual(b.requests, [])

    def test_not_where_it_is_switched_off(self):
        a, b = self.start(Foreign(script(chunk(" one"), ConnectionResetError)), Foreign(script(chunk("x"), DONE)))
        self.check_one_error(self.frames(self.front(a, b, continue_text=False), "/v1/completions", self.WANTED), 1)
        self.assertEqual(b.requests, [])

    def check_goes_on_late(self, release, headers=None):
        """The first breaks behind a word, the second goes on when it is let; what `release` does with the open stream lets it."""
        go_on, go_on_breaking = threading.Event(), threading.Event()
        self.addCleanup(go_on.set)
        self.addCleanup(go_on_breaking.set)
        a, b = self.start(Foreign(script(chunk(" one", **FIRST), go_on_breaking, ConnectionResetError)),
                          Foreign(script(go_on, chunk(" two", **SECOND), chunk("", "stop", **SECOND), DONE)))
        front = self.front(a, b, ejection={"consecutive_failures": 1, "max_percent": 100})
        connection = front.connect()
        self.addCleanup(connection.close)
        connection.request("POST", "/v1/completions", json.dumps({"prompt": "Once", "stream": True}), headers or {})
        response = connection.getresponse()
        self.assertEqual(response.status, 200)
        self.assertIn(b" one", response.readline())
        release(response, go_on_breaking, go_on, b)
        rest = response.read()
        self.assertIn(b" two", rest)
        self.assertTrue(rest.endswith(DONE), rest)
        self.assertNotIn(b'"error"', rest)
        self.assertEqual([len(s.requests) for s in (a, b)], [1, 1])
        self.assertEqual(front.metric("autoglm_resumes_total", outcome="ok"), 1)
        self.assertEqual(front.metric("autoglm_endpoint_attempts_total", endpoint=b.name, outcome="ok"), 1)

    def test_who_goes_on_may_take_longer_than_a_keep_alive(self):
        def release(response, breaking, go_on, _b):
            breaking.set()
            while not response.readline().startswith(b": keep-alive"):  # after 15 seconds
                pass
            go_on.set()

        self.check_goes_on_late(release)

    def test_who_waits_for_the_first_token_is_told_so(self):
        for failing in (False, True):
            with self.subTest(failing=failing):
                begin = threading.Event()
                self.addCleanup(begin.set)
                (a,) = self.start(Foreign(script(begin, *([ConnectionResetError] if failing else [chunk(" one", "stop"), DONE]))))
                connection = self.front(a, retry={"max_attempts": 1}).connect()
                self.addCleanup(connection.close)
                connection.request("POST", "/v1/completions", json.dumps({"prompt": "Once", "stream": True}))
                response = connection.getresponse()  # after 15 seconds
                self.assertEqual((response.status, response.readline()), (200, b": keep-alive\n"))
                begin.set()
                rest = response.read()
                self.assertTrue(rest.startswith(b"data: {"), rest)
                self.assertEqual(b'"error"' in rest, failing)
                self.assertEqual(rest.endswith(DONE), not failing)

    def test_a_limit_for_the_first_token_is_none_for_going_on(self):
        began = time.monotonic()

        def release(_response, breaking, go_on, b):
            wait_for(lambda: time.monotonic() > began + 3.5, "the limit to be over")
            breaking.set()
            wait_for(lambda: b.requests, "the second to be asked")
            go_on.set()

        self.check_goes_on_late(release, {"x-autoglm-timeout-ms": "3000"})

    def test_nobody_left_to_go_on(self):
        (a,) = self.start(Foreign(script(chunk(" one"), ConnectionResetError)))
        front = self.front(a)
        self.check_one_error(self.frames(front, "/v1/completions", self.WANTED), 1)
        self.assertEqual(front.metric("autoglm_resumes_total", outcome="failed"), 1)

    def test_a_crowd_on_a_server_that_dies_goes_on_whole(self):
        """With the default budget: what replaces work that is lost is no retry that multiplies."""
        dies = threading.Event()
        a, b = self.start(Foreign(script(chunk("a", **FIRST), dies, ConnectionResetError)),
                          Foreign(script(chunk("b", **SECOND), chunk("", "stop"), DONE)))
        front = self.front(a, b, retry={}, breaker={"request_volume": 1000})
        crowd = Crowd(front, [{"prompt": "Hi"}] * 40).wait_until_begun(40)
        dies.set()
        crowd.join()
        self.assertEqual(crowd.failures, [])
        self.assertEqual(set(crowd.texts), {"ab", "b"})


class Chats(TextTest):
    WANTED = {"messages": [{"role": "user", "content": "Count."}], "max_completion_tokens": 9}

    def texts(self, frames):
        return "".join(frame["choices"][0]["delta"].get("content") or "" for frame in frames[:-1] if frame["choices"])

    def broken(self, *said):
        return script(chat_chunk(role="assistant", content="", more=FIRST), *said, ConnectionResetError)

    def test_a_server_that_continues_the_final_message(self):
        for pages in (VLLM, SGLANG):
            with self.subTest(pages):
                a, b = self.start(
                    Foreign(self.broken(chat_chunk(content="1", more=FIRST), chat_chunk(content=" 2", more=FIRST)), pages=pages),
                    Foreign(script(chat_chunk(role="assistant", content="", more=SECOND), chat_chunk(content=" 3", more=SECOND),
                                   chat_chunk("stop", more=SECOND), DONE), pages=pages))
                frames = self.frames(self.front(a, b), "/v1/chat/completions", self.WANTED)
                self.assertEqual((self.texts(frames), frames[-1]), ("1 2 3", "[DONE]"))
                self.assertEqual({(f["id"], f["created"], f["model"]) for f in frames[:-1]}, {("first", 100, "m")})
                roles = [f["choices"][0]["delta"].get("role") for f in frames[:-1]]
                self.assertEqual([role for role in roles if role], ["assistant"], "said once")
                (asked,) = b.bodies
                said = {"role": "assistant", "content": "1 2"}
                self.assertEqual(asked, {"model": "tiny", "stream": True, "messages": [*self.WANTED["messages"], said],
                                         "max_completion_tokens": 7, "add_generation_prompt": False,
                                         "continue_final_message": True})

    def test_members_are_what_they_mean_however_they_are_written(self):
        wanted = (rb'{"m\u0065ssages": [{"role": "user", "content": "Count."}], "messages": null, "m\u006fdel": "tiny", '
                  rb'"\u0073tream": false, "stream": true, "max\u005fcompletion_tokens": 9}')
        for hedge in ({}, {"hedge": {"percentile": 50, "min_delay": "1s"}}):
            with self.subTest(**hedge):
                a, b = self.start(
                    Foreign(self.broken(chat_chunk(content="1", more=FIRST)), pages=VLLM),
                    Foreign(script(chat_chunk(content=" 2", more=SECOND), chat_chunk("stop", more=SECOND), DONE), pages=VLLM))
                front = self.front(a, b, endpoint={"model": "cheap"}, **hedge)
                frames = self.frames(front, "/v1/chat/completions", wanted)
                self.assertEqual((self.texts(frames), frames[-1]), ("1 2", "[DONE]"))
                (first,), (asked,) = a.bodies, b.bodies  # of several members with one name the last
                self.assertEqual((first["model"], asked["model"]), ("cheap", "cheap"))
                self.assertEqual(asked["messages"], [*self.WANTED["messages"], {"role": "assistant", "content": "1"}])
                self.assertEqual(asked["max_completion_tokens"], 8)
                self.assertEqual(set(asked), {"messages", "model", "stream", "max_completion_tokens", "add_generation_prompt",
                                              "continue_final_message"})

    def test_a_server_that_cannot_gets_nothing(self):
        a, b = self.start(Foreign(self.broken(chat_chunk(content="1"))), Foreign(script(DONE)))
        self.check_one_error(self.frames(self.front(a, b), "/v1/chat/completions", self.WANTED), 2)
        self.assertEqual(b.requests, [])

    def test_who_did_not_say_what_it_is_is_asked_again(self):
        pages = [{path: ConnectionResetError for path in (*VLLM, *SGLANG)} for _ in range(2)]
        a, b = self.start(Foreign(self.broken(chat_chunk(content="1", more=FIRST)), pages=pages[0]),
                          Foreign(script(chat_chunk("stop", content=" 2"), DONE), pages=pages[1]))
        front = self.front(a, b)
        for server in (a, b):
            wait_for(lambda s=server: s.gets.count("/version") > 1, "another question")
            server.pages.update(VLLM)
            count = len(server.gets)
            wait_for(lambda s=server, n=count: s.gets[n:].count("/health") > 2, "an answer that was read")
        frames = self.frames(front, "/v1/chat/completions", self.WANTED)
        self.assertEqual((self.texts(frames), frames[-1]), ("1 2", "[DONE]"))

    def test_only_those_that_can_are_asked(self):
        a, b, c = self.start(Foreign(self.broken(chat_chunk(content="1", more=FIRST)), pages=VLLM), Foreign(script(DONE)),
                             Foreign(script(chat_chunk("stop", content=" 2"), DONE), pages=SGLANG))
        frames = self.frames(self.front(a, b, c), "/v1/chat/completions", self.WANTED)
        self.assertEqual((self.texts(frames), b.requests), ("1 2", []))

    def test_thoughts_and_calls_end_in_one_error(self):
        call = {"index": 0, "id": "x", "type": "function", "function": {"name": "look", "arguments": "{"}}
        for more, delta in (({}, {"reasoning_content": "Hm"}), ({}, {"reasoning": "Hm"}), ({}, {"tool_calls": [call]}),
                            ({"tools": [{"type": "function", "function": {"name": "look"}}]}, {"content": "I"}),
                            ({"n": 2}, {"content": "I"}), ({"logprobs": True}, {"content": "I"}),
                            ({"response_format": {"type": "json_object"}}, {"content": "{"})):
            with self.subTest((more, delta)):
                a, b = self.start(Foreign(self.broken(chat_chunk(**delta)), pages=VLLM), Foreign(script(DONE), pages=VLLM))
                self.check_one_error(self.frames(self.front(a, b), "/v1/chat/completions", {**self.WANTED, **more}), 2)
                self.assertEqual(b.requests, [])

    def test_what_breaks_before_its_first_word_is_asked_anew(self):
        a, b = self.start(Foreign(self.broken()), Foreign(script(chat_chunk(role="assistant", content="", more=SECOND),
                                                                 chat_chunk("stop", content="Hi", more=SECOND), DONE)))
        frames = self.frames(self.front(a, b), "/v1/chat/completions", self.WANTED)
        self.assertEqual(self.texts(frames), "Hi")
        self.assertEqual([f["choices"][0]["delta"].get("role") for f in frames[:-1]], ["assistant", None])
        self.assertEqual(b.bodies[0]["messages"], self.WANTED["messages"])

    def test_servers_that_all_break_before_a_word_are_not_asked_for_ever(self):
        servers = self.start(*(Foreign(self.broken(), pages=VLLM) for _ in range(2)))
        answer = self.front(*servers).post("/v1/chat/completions", {**self.WANTED, "stream": True})
        self.assertEqual((answer.status, answer.error["code"]), (503, "no_endpoint"), "nothing was said, so it has a status")
        self.assertLessEqual(sum(len(s.requests) for s in servers), 3, "retry.max_attempts")


if __name__ == "__main__":
    unittest.main()

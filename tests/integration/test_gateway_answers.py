"""Servers' errors are understood, and servers' answers are passed on unchanged."""

import gzip
import json
import unittest
import zlib

from gateway_fixture import GatewayTest, gateway, pool
from upstream import DONE, Foreign, chat_chunk, chunk, completion, frame

BEHIND_200 = {
    "an error object": {"error": {"message": "out of memory", "type": "server_error"}},
    "a text for an error": {"error": "out of memory"},
    "an error without a cover": {"object": "error", "message": "out of memory", "code": 500},
    "FastAPI's detail": {"detail": "out of memory"},
    "FastAPI's list of details": {"detail": [{"msg": "out of memory"}]},
    "nothing": {},
    "no choices": {"id": "c", "object": "text_completion"},
    "an empty list of choices": {"choices": []},
    "choices that are none": {"choices": None},
}
LIMITS = [{"message": "slow down", "code": 429}, {"message": "slow down", "code": "429"},
          {"message": "slow down", "type": "rate_limit_error"}, {"message": "slow down", "code": "rate_limit_exceeded"},
          {"message": "slow down", "type": "insufficient_quota"}, {"message": "slow down", "type": "RateLimitError"}]
HELLO = {"messages": [{"role": "user", "content": "Hi"}]}


class Said(GatewayTest):
    def start_with(self, *answers, **more):
        """A server for each answer, and a gateway in front that asks them in this order."""
        servers = self.start(*(Foreign(answer) for answer in answers))
        urls = [servers[0].url] + [{"url": server.url, "backup": True} for server in servers[1:]]
        (front,) = self.start(gateway(pool(*urls, health={"interval": "1h"}, retry={"max_attempts": len(answers)}, **more)))
        return front, servers

    def test_a_200_without_an_answer_is_a_failure_that_another_makes_good(self):
        for what, said in BEHIND_200.items():
            with self.subTest(what):
                body = json.dumps(said).encode()
                front, (bad, good) = self.start_with(lambda *_, b=body: (200, {}, b), lambda *_: (200, {}, completion()))
                answer = front.post("/v1/completions", {"prompt": "Hi"})
                self.assertEqual((answer.status, answer.body), (200, completion()))
                self.assertEqual(front.metric("autoglm_endpoint_attempts_total", endpoint=bad.name, outcome="failed"), 1)

    def test_a_stream_without_an_answer_is_a_failure_that_another_makes_good(self):
        streams = {what: [frame(said), DONE] for what, said in BEHIND_200.items()}
        streams |= {"only its end": [DONE], "whose turn it is, and the end": [chat_chunk(role="assistant", content=""), DONE],
                    "whose turn it is, and an error": [chat_chunk(role="assistant"), frame({"error": {"message": "boom"}})],
                    "a document": [json.dumps({"error": {"message": "boom"}}).encode()]}
        good = [chat_chunk(content="fine"), chat_chunk("stop"), DONE]
        for what, events in streams.items():
            with self.subTest(what):
                front, (bad, _) = self.start_with(lambda *_, e=events: (200, {}, e), lambda *_: (200, {}, good))
                # With tools, so that no server could continue after a word.
                tools = [{"type": "function", "function": {"name": "f"}}]
                answer = front.post("/v1/chat/completions", {**HELLO, "tools": tools, "stream": True})
                self.assertEqual((answer.status, answer.body), (200, b"".join(good)))
                self.assertEqual(front.metric("autoglm_endpoint_attempts_total", endpoint=bad.name, outcome="failed"), 1)

    def test_a_rate_limit_behind_a_200_is_a_429(self):
        for said in LIMITS:
            for stream in (False, True):
                with self.subTest(said, stream=stream):
                    body = {"error": said}
                    front, (server,) = self.start_with(
                        lambda *_, b=body, s=stream: (200, {"Retry-After": "7"}, [frame(b)] if s else json.dumps(b).encode()))
                    answer = front.post("/v1/completions", {"prompt": "Hi", "stream": stream})
                    self.assertEqual((answer.status, answer.error["message"]), (429, "slow down"), answer.body)
                    if not stream:  # that server's streams have no header fields
                        self.assertEqual(answer.headers["retry-after"], "7")
                    self.assertEqual(front.metric("autoglm_endpoint_attempts_total", endpoint=server.name, outcome="refused"), 1)

    def test_statuses_keep_their_number_and_words(self):
        for status in (400, 402, 403, 404, 405, 406, 409, 410, 413, 415, 418, 422, 424, 426, 451, 500, 501, 502, 504, 529):
            with self.subTest(status):
                body = json.dumps({"error": {"message": f"words of {status}", "type": "their_type", "more": [1]}}).encode()
                front, _ = self.start_with(lambda *_, s=status, b=body: (s, {"x-ratelimit-remaining-requests": "3"}, b))
                answer = front.post("/v1/completions", {"prompt": "Hi"})
                self.assertEqual((answer.status, answer.body), (status, body))
                self.assertEqual(answer.headers["x-ratelimit-remaining-requests"], "3")

    def test_what_is_said_of_our_key_is_not_the_clients_business(self):
        front, _ = self.start_with(lambda *_: (401, {}, b'{"error":{"message":"no such key: sk-12"}}'))
        answer = front.post("/v1/completions", {"prompt": "Hi"})
        self.assertEqual(answer.status, 502)
        self.assertNotIn(b"sk-12", answer.body)

    def test_errors_behind_a_200_keep_their_type(self):
        body = b'{"error":{"message":"boom","type":"their_type"}}'
        front, _ = self.start_with(lambda *_: (200, {}, body))
        answer = front.post("/v1/completions", {"prompt": "Hi"})
        self.assertEqual((answer.status, answer.error["type"]), (502, "their_type"))

    def test_when_to_come_back_is_understood_in_all_its_forms(self):
        forms = [({"Retry-After": "1.5"}, "2"), ({"retry-after-ms": "2500", "Retry-After": "60"}, "3"),
                 ({"Retry-After": "Wednesday, 21-Oct-15 07:28:30 GMT"}, "0"), ({"Retry-After": "Fri, 21 Oct 2135 07:28:00 GMT"}, "86400")]
        for fields, told in forms:
            with self.subTest(fields):
                front, _ = self.start_with(lambda *_, f=fields: (429, f, b"{}"))
                self.assertEqual(front.post("/v1/completions", {"prompt": "Hi"}).headers["retry-after"], told)

    def test_packed_answers_are_unpacked(self):
        packed = {"gzip": gzip.compress, "x-gzip": gzip.compress, "deflate": zlib.compress}
        for coding, pack in packed.items():
            with self.subTest(coding):
                front, _ = self.start_with(lambda *_, c=coding, p=pack: (200, {"Content-Encoding": c}, p(completion())))
                answer = front.post("/v1/completions", {"prompt": "Hi"})
                self.assertEqual((answer.status, answer.body), (200, completion()))
                self.assertNotIn("content-encoding", answer.headers)

    def test_what_is_not_packed_as_it_says_is_a_failure(self):
        for coding, body in (("gzip", completion()), ("gzip", gzip.compress(completion())[:-9]), ("rot13", completion()),
                             ("gzip, br", completion())):
            with self.subTest(coding):
                front, (_, good) = self.start_with(lambda *_, c=coding, b=body: (200, {"Content-Encoding": c}, b),
                                                   lambda *_: (200, {}, completion()))
                self.assertEqual(front.post("/v1/completions", {"prompt": "Hi"}).body, completion())
                self.assertEqual(len(good.requests), 1)

    def test_an_answer_that_unpacks_without_end_is_cut(self):
        bomb = gzip.compress(b'{"choices":[{"text":"' + b"a" * (80 << 20) + b'"}]}')
        front, _ = self.start_with(lambda *_: (200, {"Content-Encoding": "gzip"}, bomb))
        self.assertEqual(front.post("/v1/completions", {"prompt": "Hi"}).status, 413)

    def test_fields_of_the_answer_pass_but_for_those_of_the_connection(self):
        fields = {"x-ratelimit-limit-tokens": "100", "openai-processing-ms": "12", "Set-Cookie": "a=b", "Connection": "X-Hop",
                  "X-Hop": "1", "Keep-Alive": "timeout=5", "Server": "theirs"}
        front, _ = self.start_with(lambda *_: (200, fields, completion()))
        answer = front.post("/v1/completions", {"prompt": "Hi"})
        passed = {name: answer.headers.get(name.lower()) for name in fields}
        self.assertEqual(passed, {"x-ratelimit-limit-tokens": "100", "openai-processing-ms": "12", "Set-Cookie": "a=b",
                                  "Server": "theirs", "Connection": None, "X-Hop": None, "Keep-Alive": None})


class Passed(GatewayTest):
    IMAGE = {"messages": [{"role": "user", "content": [{"type": "text", "text": "What is it?"},
                                                       {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}]}

    def test_a_pool_of_foreign_servers_gets_what_clients_send(self):
        calls = [("/v1/chat/completions", {**self.IMAGE, "model": "tiny"}),
                 ("/v1/chat/completions", {"model": "tiny", "messages": [{"role": "user", "content": [
                     {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}, {"type": "their_own"}]}]}),
                 ("/v1/chat/completions", {**HELLO, "model": "tiny", "temperature": 3, "n": 4096, "stop": [""], "logit_bias": [7]}),
                 ("/v1/completions", {"model": "tiny", "prompt": {"their": "own"}, "logprobs": 1000})]
        for path, wanted in calls:
            with self.subTest(path=path, body=wanted):
                (foreign,) = self.start(Foreign(lambda *_: (200, {}, completion())))
                (front,) = self.start(gateway(pool(foreign.url)))
                answer = front.post(path, wanted)
                self.assertEqual((answer.status, answer.body), (200, completion()))
                self.assertEqual(foreign.bodies, [wanted])

    def test_what_the_gateway_must_know_itself_it_judges_itself(self):
        (foreign,) = self.start(Foreign())
        (front,) = self.start(gateway(pool(foreign.url)))
        for wanted in ("no JSON", {"prompt": "Hi", "stream": "yes"}, {"prompt": "Hi", "model": 7}):
            self.assertEqual(front.post("/v1/completions", wanted).status, 400, wanted)
        self.assertEqual(foreign.requests, [])

    def test_a_stream_that_nobody_here_understands_passes_and_ends_in_one_error_when_it_breaks(self):
        events = [chunk("a", index=2**32 - 2), ConnectionResetError]
        (foreign,) = self.start(Foreign(lambda *_: (200, {}, events)))
        (front,) = self.start(gateway(pool(foreign.url)))
        wanted = {"prompt": "Hi", "temperature": 3, "stream": True}
        data = front.post("/v1/completions", wanted).body
        self.assertTrue(data.startswith(events[0]), data)
        self.assertIn("error", json.loads(data[len(events[0]):].strip().removeprefix(b"data: ")))
        events[1:] = [DONE]
        self.assertEqual(front.post("/v1/completions", wanted).body, b"".join(events))

    def test_unknown_paths_go_to_the_endpoints_that_may_have_them(self):
        vectors = b'{"object":"list","data":[{"embedding":[0.5]}]}'
        page = b'{"id":"r1"}'
        down = Foreign()
        down.close()
        bad, good = self.start(Foreign(lambda *_: (500, {}, b"{}")),
                               Foreign(lambda *_: (201, {"X-Theirs": "1"}, vectors), pages={"/v1/responses/r1?after=2": page}))
        other = {"name": "other", "endpoints": [{"url": good.url}]}
        (front,) = self.start(gateway(pool(down.url, bad.url, {"url": good.url, "model": "theirs"}, name="tiny", balance="round_robin",
                                           health={"interval": "1h"}, **{"pass": ["images", "responses"]}), other))
        for _ in range(6):
            answer = front.post("/v1/images", '{"input": "x" ,"model":"tiny"}')
            self.assertEqual((answer.status, answer.body, answer.headers["x-theirs"]), (201, vectors, "1"))
            self.assertEqual(answer.headers["x-autoglm-endpoint"], good.name)
        self.assertEqual({body for _, _, body in good.requests}, {b'{"input": "x" ,"model":"theirs"}'})
        self.assertGreater(len(bad.requests), 0)
        answer = front.get("/v1/responses/r1?after=2")
        self.assertEqual((answer.status, answer.body), (200, page))
        self.assertEqual(front.post("/v1/images", {"input": "x"}).status, 201, "the first that has the path")
        for path, wanted in (("/v1/audio", {}), ("/v1/images", {"model": "other"}), ("/v1/images", {"model": "nobody"}),
                             ("/v1/images/../models", {}), ("/v1/images/%2e%2e/models", {}), ("/v1/images/..;/models", {}),
                             ("/v1/imagesx", {})):
            asked = len(good.requests)
            self.assertEqual(front.post(path, wanted).status, 404, path)
            self.assertEqual(len(good.requests), asked)

    def test_neither_trace_nor_connect_reaches_a_server_which_would_tell_our_key(self):
        (foreign,) = self.start(Foreign())
        (front,) = self.start(gateway(pool({"url": foreign.url, "api_key": "ours"}, health={"interval": "1h"}, **{"pass": ["images"]})))
        for method in ("TRACE", "CONNECT"):
            self.assertEqual(front.call(method, "/v1/images").status, 405, method)
        self.assertEqual(foreign.requests, [])

    def test_of_the_clients_head_servers_hear_what_is_about_the_call(self):
        (foreign,) = self.start(Foreign())
        (front,) = self.start(gateway(pool({"url": foreign.url, "api_key": "ours"}, **{"pass": ["images"]})))
        said = {"Authorization": "Bearer theirs", "X-Api-Key": "theirs", "Cookie": "a=b", "X-Autoglm-Timeout-Ms": "30000",
                "OpenAI-Beta": "v2", "Accept": "application/json"}
        self.assertEqual(front.call("POST", "/v1/images", {"input": "x"}, headers=said).status, 200)
        heard = foreign.requests[0][1]
        self.assertEqual({name: heard.get(name.lower()) for name in said},
                         {**dict.fromkeys(said), "Authorization": "Bearer ours", "OpenAI-Beta": "v2", "Accept": "application/json"})

    def test_asking_for_what_nobody_has_is_no_mark_against_servers(self):
        gone = b'{"error":{"message":"no such response"}}'
        servers = self.start(*(Foreign(lambda *_: (404, {}, gone)) for _ in range(2)))
        (front,) = self.start(gateway(pool(*(s.url for s in servers), health={"interval": "1h"}, **{"pass": ["responses"]})))
        answer = front.post("/v1/responses/r9/cancel", {})
        self.assertEqual((answer.status, answer.body), (404, gone))
        self.assertEqual([len(s.requests) for s in servers], [1, 1], "the other one might have it")
        self.assertEqual(front.metric("autoglm_endpoint_attempts_total", outcome="refused"), 2)

    def test_a_passed_stream_comes_as_it_is(self):
        events = [b"event: response.created\ndata: {}\n\n", b"event: response.completed\ndata: {}\n\n"]
        (foreign,) = self.start(Foreign(lambda *_: (200, {}, events)))
        (front,) = self.start(gateway(pool(foreign.url, **{"pass": ["responses"]})))
        answer = front.post("/v1/responses", {"input": "x", "stream": True})
        self.assertEqual((answer.status, answer.headers["content-type"], answer.body), (200, "text/event-stream", b"".join(events)))


if __name__ == "__main__":
    unittest.main()

"""Endpoints of other protocols: OpenAI's clients before servers that speak Anthropic's, Ollama's, Azure's, Triton's or KServe's."""

import json
import subprocess
import unittest

from gateway_fixture import GatewayTest, gateway, pool
from server import BINARY, TINY_MODEL, environment, events, wait_for
from upstream import DONE, Foreign, chat_chunk, completion, usage

CHAT = {"messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}], "max_tokens": 9}
TEXT = {"prompt": "Once", "max_tokens": 9}
TOOLS = {**CHAT, "tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]}


def event(kind, **more):
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n".encode()


def line(**members):
    return json.dumps(members).encode() + b"\n"


def data(**members):
    return b"data: " + json.dumps(members).encode() + b"\n\n"


class Anthropic:
    name, path, health, wanted, key = "anthropic", "/v1/messages", None, CHAT, "x-api-key"
    start = event("message_start", message={"usage": {"input_tokens": 4, "cache_read_input_tokens": 1, "output_tokens": 1}})
    says = [start, event("content_block_start", index=0, content_block={"type": "text", "text": ""})]
    says += [event("content_block_delta", index=0, delta={"type": "text_delta", "text": t}) for t in ("Hel", "lo")]
    end = [event("message_delta", delta={"stop_reason": "max_tokens"}, usage={"output_tokens": 2}), event("message_stop")]
    calls = [start, event("content_block_start", index=0, content_block={"type": "tool_use", "id": "t1", "name": "look", "input": {}}),
             event("content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": '{"x":'}),
             event("content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": "1}"}),
             event("content_block_stop", index=0),
             event("message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 2}), event("message_stop")]
    busy = (529, {}, b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}')
    late = event("error", error={"type": "overloaded_error", "message": "Overloaded"})
    counts = (5, 2)


class Ollama:
    name, path, health, wanted, key = "ollama", "/api/chat", "/api/version", CHAT, None
    says = [line(message={"role": "assistant", "content": t}, done=False) for t in ("Hel", "lo")]
    end = [line(message={"role": "assistant", "content": ""}, done=True, done_reason="length", prompt_eval_count=5, eval_count=2)]
    calls = [line(message={"role": "assistant", "content": "", "tool_calls": [{"id": "t1", "function": {"name": "look", "arguments": {"x": 1}}}]}, done=False),
             line(message={"role": "assistant", "content": ""}, done=True, done_reason="stop", prompt_eval_count=5, eval_count=2)]
    busy = (500, {}, b'{"error":"out of memory"}')
    late = line(error="out of memory")
    counts = (5, 2)


class OllamaText(Ollama):
    path, wanted, calls = "/api/generate", TEXT, None
    says = [line(response=t, done=False) for t in ("Hel", "lo")]
    end = [line(response="", done=True, done_reason="length", prompt_eval_count=5, eval_count=2)]


class Triton:
    name, path, health, wanted, key, calls = "triton", "/v2/models/tiny/generate_stream", "/v2/health/ready", {**TEXT, "max_tokens": 2}, None, None
    says = [data(model_name="tiny", text_output=t) for t in ("Hel", "lo")]
    end = []
    busy = (503, {}, b'{"error":"busy"}')
    late = data(error="out of memory")
    counts = (0, 2)


class Kserve(Triton):
    name = "kserve"
    end = [data(model_name="tiny", text_output="", finish_reason="length")]


PROTOCOLS = (Anthropic, Ollama, OllamaText, Triton, Kserve)


def answers(*scripts):
    """A server whose n-th answer is the n-th of these: chunks of a stream, or a refusal."""
    def answer(_, __, count):
        script = scripts[min(count, len(scripts)) - 1]
        return (200, {}, script) if isinstance(script, list) else script
    return answer


class ProtocolTest(GatewayTest):
    def endpoint(self, server, protocol, **more):
        return {"url": server.url.removesuffix("/v1"), "protocol": protocol.name, **more}

    def ask(self, front, protocol, **more):
        wanted = {**protocol.wanted, **more}
        return front.post("/v1/chat/completions" if "messages" in wanted else "/v1/completions", wanted)

    def text(self, answer):
        """The text of an answer, whole or streamed, and how it ended."""
        self.assertEqual(answer.status, 200, answer.body)
        if answer.headers["content-type"].startswith("application/json"):
            (choice,) = answer.json()["choices"]
            return choice.get("text") or choice["message"]["content"], choice["finish_reason"], answer.json()["usage"]
        text, reason, counts = "", None, None
        frames = answer.body.decode().split("\n\n")
        self.assertEqual(frames[-2:], ["data: [DONE]", ""])
        for frame in frames[:-2]:
            frame = json.loads(frame.removeprefix("data: "))
            counts = frame.get("usage") or counts
            for choice in frame["choices"]:
                text += choice.get("text") or choice.get("delta", {}).get("content") or ""
                reason = choice["finish_reason"] or reason
        return text, reason, counts


class Answers(ProtocolTest):
    def test_text_whole_and_streamed(self):
        for protocol in PROTOCOLS:
            for stream in (False, True):
                with self.subTest(protocol.__name__, stream=stream):
                    with Foreign(answers(protocol.says + protocol.end)) as server, \
                            gateway(pool(self.endpoint(server, protocol, api_key="k"))) as front:
                        more = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
                        text, reason, counts = self.text(self.ask(front, protocol, **more))
                        self.assertEqual((text, reason), ("Hello", "length"))
                        self.assertEqual((counts["prompt_tokens"], counts["completion_tokens"]), protocol.counts)
                        ((path, headers, body),) = server.requests
                        self.assertEqual(path, protocol.path)
                        if protocol.key:
                            self.assertEqual(headers[protocol.key], "k")
                        self.assertNotIn(b'"seed"', body, "only what the client said is sent")
                        if protocol.health:
                            wait_for(lambda s=server, p=protocol: p.health in s.gets, "a check of its health")
                        else:
                            self.assertEqual(server.gets, [])

    def test_connections_serve_further_requests(self):
        """Where the end of the body is the answer's. The others' answers end before; whoever sends both at once keeps a connection."""
        for protocol in (Triton, Kserve):
            with self.subTest(protocol.__name__):
                with Foreign(answers(protocol.says + protocol.end)) as server, \
                        gateway(pool(self.endpoint(server, protocol), health={"interval": "1h", "path": ""})) as front:
                    for _ in range(5):
                        self.text(self.ask(front, protocol))
                    self.assertEqual(len(server.requests), 5)
                    self.assertLess(server.accepted, 5)

    def test_tools(self):
        for protocol in (Anthropic, Ollama):
            for stream in (False, True):
                with self.subTest(protocol.__name__, stream=stream):
                    with Foreign(answers(protocol.calls)) as server, gateway(pool(self.endpoint(server, protocol))) as front:
                        answer = front.post("/v1/chat/completions", {**TOOLS, "stream": stream})
                        self.assertEqual(answer.status, 200, answer.body)
                        if stream:
                            frames = [json.loads(f[6:]) for f in answer.body.decode().split("\n\n")[:-2]]
                            deltas = [c for f in frames for c in f["choices"][0]["delta"].get("tool_calls", [])]
                            call = {"id": deltas[0]["id"], "name": deltas[0]["function"]["name"],
                                    "arguments": "".join(d["function"]["arguments"] for d in deltas)}
                            reason = frames[-1]["choices"][0]["finish_reason"]
                        else:
                            (choice,) = answer.json()["choices"]
                            (said,) = choice["message"]["tool_calls"]
                            call, reason = {"id": said["id"], **said["function"]}, choice["finish_reason"]
                        self.assertEqual((call, reason), ({"id": "t1", "name": "look", "arguments": '{"x":1}'}, "tool_calls"))

    def test_azure_passes_openais_bodies(self):
        (server,) = self.start(Foreign())
        url = server.url.removesuffix("/v1")
        for given, version in (("", "2024-10-21"), ("?api-version=2025-01-01", "2025-01-01")):
            with gateway(pool({"url": url + given, "protocol": "azure", "api_key": "k", "model": "gpt"})) as front:
                answer = front.post("/v1/completions", {**TEXT, "their_own": 1})
                self.assertEqual((answer.status, answer.body), (200, completion()))
                path, headers, body = server.requests[-1]
                self.assertEqual(path, f"/openai/deployments/gpt/completions?api-version={version}")
                self.assertEqual((headers["api-key"], headers.get("authorization")), ("k", None))
                self.assertEqual(json.loads(body), {**TEXT, "their_own": 1, "model": "gpt"})


class Failures(ProtocolTest):
    def test_before_the_first_token_another_is_asked(self):
        for protocol in PROTOCOLS:
            for first in (protocol.busy, [protocol.late], [b"<html>"], [protocol.says[0][:9], ConnectionResetError]):
                for stream in (False, True):
                    with self.subTest(protocol.__name__, first=str(first)[:60], stream=stream):
                        with Foreign(answers(first)) as a, Foreign(answers(protocol.says + protocol.end)) as b, \
                                gateway(pool(self.endpoint(a, protocol), self.endpoint(b, protocol, backup=True),
                                             health={"interval": "1h"})) as front:
                            answer = self.ask(front, protocol, stream=stream)
                            self.assertEqual(self.text(answer)[:2], ("Hello", "length"))
                            self.assertEqual(answer.headers["x-autoglm-attempts"], "2")
                            self.assertEqual((len(a.requests), len(b.requests)), (1, 1))

    def test_a_stream_that_breaks_ends_in_one_error(self):
        for protocol in PROTOCOLS:
            for how in (ConnectionResetError, protocol.late, b"data: {]\n\n{]\n"):
                with self.subTest(protocol.__name__, how=str(how)[:40]):
                    with Foreign(answers([*protocol.says, how])) as server, gateway(pool(self.endpoint(server, protocol))) as front:
                        connection, response = front.stream(
                            "/v1/chat/completions" if "messages" in protocol.wanted else "/v1/completions",
                            {**protocol.wanted, "max_tokens": 9})
                        frames = list(events(response))
                        connection.close()
                        self.assertEqual([f for f in frames if "error" in f], frames[-1:], frames)

    def test_a_stream_that_breaks_after_its_last_word_is_complete(self):
        with Foreign(answers([*Triton.says, ConnectionResetError])) as server, gateway(pool(self.endpoint(server, Triton))) as front:
            self.assertEqual(self.text(self.ask(front, Triton, stream=True))[:2], ("Hello", "length"), "max_tokens have come")

    def test_the_servers_words_are_told_in_the_clients_protocol(self):
        refusal = (400, {}, b'{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: too many"}}')
        (server,) = self.start(Foreign(answers(refusal)))
        (front,) = self.start(gateway(pool(self.endpoint(server, Anthropic))))
        answer = self.ask(front, Anthropic)
        self.assertEqual((answer.status, answer.error["message"]), (400, "max_tokens: too many"))
        self.assertEqual(len(server.requests), 1, "no other server would take it")

    def test_what_cannot_be_said_is_refused_by_name(self):
        table = {Anthropic: [{"n": 2}, {"seed": 1}, {"logprobs": True}, {"frequency_penalty": 1}, {"temperature": 1.5}, {"top_k": 3, "min_p": 0.1}],
                 Ollama: [{"n": 2}, {"logprobs": True}, {"logit_bias": {"1": 1}}],
                 OllamaText: [{"echo": True}, {"prompt": [1, 2]}, {"prompt": ["a", "b"]}],
                 Triton: [{"messages": CHAT["messages"]}, {"n": 2}, {"suffix": "x"}]}
        for protocol, rows in table.items():
            with Foreign(answers(protocol.says + protocol.end)) as server, gateway(pool(self.endpoint(server, protocol))) as front:
                for row in rows:
                    with self.subTest(protocol.__name__, **row):
                        answer = self.ask(front, protocol, **row)
                        self.assertEqual(answer.status, 400, answer.body)
                        self.assertEqual(answer.error["param"], list(row)[-1])
                        self.assertIn("protocol", answer.error["message"])
                self.assertEqual(server.requests, [])
                # A body that is wrong is judged here, by name, since no server understands it.
                wrong = self.ask(front, protocol, temperature=3)
                self.assertEqual((wrong.status, wrong.error["param"]), (400, "temperature"))

    def test_an_endpoint_that_can_say_it_is_asked(self):
        """Which is no retry: nobody has worked on the request."""
        with Foreign() as a, Foreign() as b, Foreign() as c, \
                gateway(pool(self.endpoint(a, Anthropic), self.endpoint(c, Triton), {"url": b.url, "backup": True},
                             retry={"max_attempts": 1, "budget_percent": 0})) as front:
            answer = front.post("/v1/completions", {**TEXT, "n": 2})
            self.assertEqual((answer.status, answer.body), (200, completion()))
            self.assertEqual((a.requests, c.requests), ([], []))
            self.assertEqual(front.metric("autoglm_endpoint_attempts_total", endpoint=a.name, outcome="abandoned"), 1)


class Continued(ProtocolTest):
    """Streams that break in the middle, in lists of several protocols."""

    def frames(self, front):
        connection, response = front.stream("/v1/chat/completions", CHAT)
        frames = list(events(response))
        connection.close()
        return frames

    def front(self, first, second):
        """A gateway that knows what its second server is."""
        (front,) = self.start(gateway(pool(first, {**second, "backup": True}, health={"interval": "20ms", "timeout": "5s"})))
        return front

    def test_what_began_translated_is_continued_under_the_same_id(self):
        rest = [chat_chunk(role="assistant", content=""), chat_chunk(content="lo"), chat_chunk("stop"), usage(6, 1), DONE]
        a, b = self.start(Foreign(answers([Ollama.says[0], ConnectionResetError])),
                          Foreign(answers(rest), pages={"/version": b'{"version": "0.9.1"}'}))
        front = self.front(self.endpoint(a, Ollama), {"url": b.url})
        wait_for(lambda: b.gets.count("/health") > 1, "the second check")
        frames = self.frames(front)
        self.assertEqual(frames[-1], "[DONE]", frames)
        self.assertEqual("".join(f["choices"][0]["delta"].get("content", "") for f in frames[:-1]), "Hello")
        self.assertEqual(len({(f["id"], f["created"], f["model"]) for f in frames[:-1]}), 1)
        self.assertEqual([f["choices"][0]["finish_reason"] for f in frames[:-1]][-1], "stop")
        (asked,) = b.bodies
        self.assertEqual(asked["messages"][-1], {"role": "assistant", "content": "Hel"})
        self.assertTrue(asked["continue_final_message"])
        self.assertEqual(front.metric("autoglm_resumes_total", outcome="ok"), 1)

    def test_what_began_by_passing_is_not_gone_on_with_in_other_words(self):
        a, b = self.start(Foreign(answers([chat_chunk(content="Hel"), ConnectionResetError])), Foreign(answers(Ollama.says + Ollama.end)))
        front = self.front({"url": a.url}, self.endpoint(b, Ollama))
        frames = self.frames(front)
        self.assertIn("error", frames[-1])
        self.assertEqual(len(frames), 2, frames)
        self.assertEqual(b.requests, [])


class StandIns(ProtocolTest):
    def gone(self):
        server = Foreign()
        server.close()
        return server.url

    def test_a_fallback_may_speak_another_protocol(self):
        for protocol in (Anthropic, Ollama):
            with self.subTest(protocol.__name__):
                openai = [chat_chunk(role="assistant", content=""), chat_chunk(content="Hello"), chat_chunk("length"), usage(5, 2), DONE]
                with Foreign(answers(protocol.says + protocol.end)) as theirs, Foreign(answers(openai)) as ours:
                    away = self.gone()
                    models = [pool(away, name="a", fallback=["b"]), pool(self.endpoint(theirs, protocol), name="b"),
                              pool({"url": away, "protocol": protocol.name}, name="c", fallback=["d"]), pool(ours.url, name="d")]
                    with gateway(*models) as front:
                        for stream in (False, True):
                            answer = self.ask(front, protocol, model="a", stream=stream)
                            self.assertEqual(answer.headers["x-autoglm-fallback"], "b")
                            self.assertEqual(self.text(answer)[:2], ("Hello", "length"))
                        answer = self.ask(front, protocol, model="c", stream=True)
                        self.assertEqual(self.text(answer)[:2], ("Hello", "length"))
                        self.assertEqual(ours.bodies[-1], {**protocol.wanted, "model": "d", "stream": True}, "the client's own body")

    def test_an_engine_of_this_process_answers_for_any(self):
        engine = {"name": "small", "engine": {"path": TINY_MODEL, "threads": 1}}
        models = [pool({"url": self.gone(), "protocol": name}, name=name, fallback=["small"]) for name in ("anthropic", "ollama", "openai")]
        (front,) = self.start(gateway(*models, engine))
        for name in ("anthropic", "ollama", "openai"):
            for stream in (False, True):
                answer = front.post("/v1/chat/completions", {**CHAT, "model": name, "stream": stream, "temperature": 0})
                self.assertEqual(answer.headers["x-autoglm-fallback"], "small")
                self.assertTrue(self.text(answer)[0])


class Configuration(unittest.TestCase):
    def test_grpc_is_not_yet(self):
        import tempfile
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            json.dump({"models": [pool({"url": "http://h:1", "protocol": "grpc"})]}, file)
            file.flush()
            done = subprocess.run([BINARY, "validate", "--config", file.name], capture_output=True, text=True, env=environment())
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("not yet", done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()

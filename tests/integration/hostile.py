"""Hostile inputs for a port that faces the network, and their permitted outcomes: one table, which a test and `./dev bench
hostile` run. Each input is sent on its own connection, whole or in pieces; then the server must answer with one of the
statuses (or not answer, if `None` is among them) and, unless `stays`, close. To HTTP/2 it may also answer by ending the
stream or the connection ("reset 1", "goaway 1", with RFC 9113's codes). Memory and CPU are the process's growth."""

import dataclasses
import json
import os
import re
import socket
import time

import http2

HEAD = "POST /v1/completions HTTP/1.1\r\nHost: h\r\n"
SMALL = json.dumps({"prompt": "Hi", "max_tokens": 1})
LENGTH = f"Content-Length: {len(SMALL)}\r\n"
CHUNKED = "Transfer-Encoding: chunked\r\n"
SECOND = "GET /stolen HTTP/1.1\r\nHost: h\r\n\r\n"


@dataclasses.dataclass
class Hostile:
    group: str
    name: str
    data: object  # bytes, text, or a function that returns an iterator of pieces
    statuses: tuple = (400,)
    stays: bool = False  # the connection may stay open: the framing was sound
    answers: int = 1     # at most; more would be a request smuggled in
    http2: bool = False

    def pieces(self):
        data = self.data() if callable(self.data) else self.data
        for piece in [data] if isinstance(data, (bytes, str)) else data:
            yield piece.encode("latin-1") if isinstance(piece, str) else piece


def post(headers, body="", path="/v1/completions"):
    return f"POST {path} HTTP/1.1\r\nHost: h\r\n{headers}\r\n{body}"


def json_body(body, path="/v1/completions"):
    body = body if isinstance(body, bytes) else body.encode()
    return f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def flood(piece, times):
    """A piece repeated; sent without reading what comes back."""
    def pieces():
        for _ in range(times):
            yield piece
    return pieces


SMUGGLING = [
    ("length and chunked", post(LENGTH + CHUNKED, "0\r\n\r\n" + SECOND)),
    ("chunked and length", post(CHUNKED + "Content-Length: 4\r\n", "0\r\n\r\n" + SECOND)),
    ("two lengths that differ", post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello" + SECOND)),
    ("two lengths that agree", post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello" + SECOND)),
    ("a list of lengths", post("Content-Length: 5, 5\r\n", "hello" + SECOND)),
    ("a signed length", post("Content-Length: +5\r\n", "hello" + SECOND)),
    ("a negative length", post("Content-Length: -5\r\n", SECOND)),
    ("a hexadecimal length", post("Content-Length: 0x5\r\n", "hello" + SECOND)),
    ("a length beyond 64 bits", post("Content-Length: 18446744073709551621\r\n", "hello" + SECOND)),
    ("a length with a space inside", post("Content-Length: 1 0\r\n", "hello" + SECOND)),
    ("an empty length", post("Content-Length: \r\n", SECOND)),
    ("a coding that is not chunked", post("Transfer-Encoding: identity\r\n", SECOND), (400, 501)),
    ("chunked, but not last", post("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n" + SECOND), (400, 501)),
    ("chunked behind gzip", post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n" + SECOND), (400, 501)),
    ("chunked twice", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n" + SECOND), (400, 501)),
    ("chunked with a vertical tab", post("Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n" + SECOND), (400, 501)),
    ("xchunked", post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n" + SECOND), (400, 501)),
    ("a space before the colon", post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n" + SECOND)),
    ("a tab before the colon", post("Content-Length\t: 5\r\n", "hello" + SECOND)),
    ("a folded field", post("X: a\r\n Content-Length: 5\r\n", "hello" + SECOND)),
    ("a folded coding", post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n" + SECOND)),
    ("bare LF between fields", "POST / HTTP/1.1\nHost: h\nContent-Length: 5\n\nhello" + SECOND),
    ("bare LF inside a value", post("X: a\nContent-Length: 5\r\n", "hello" + SECOND)),
    ("bare CR inside a value", post("X: a\rContent-Length: 5\r\n", "hello" + SECOND)),
    ("NUL inside a value", post("X: a\0b\r\n")),
    ("NUL inside a name", post("X\0: a\r\n")),
    ("chunked in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SECOND),
    ("a body of GET that is a request", "GET /health HTTP/1.1\r\nHost: h\r\nContent-Length: 33\r\nConnection: close\r\n\r\n" + SECOND, (200,)),
]

CHUNKS = [
    ("a size with 0x", "0x5\r\nhello\r\n0\r\n\r\n"),
    ("a signed size", "+5\r\nhello\r\n0\r\n\r\n"),
    ("a size beyond 64 bits", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
    ("an empty size", "\r\nhello\r\n0\r\n\r\n"),
    ("a size behind a space", " 5\r\nhello\r\n0\r\n\r\n"),
    ("a size ended by LF", "5\nhello\r\n0\r\n\r\n"),
    ("more data than the size says", "5\r\nhello world\r\n0\r\n\r\n"),
    ("LF behind the data", "5\r\nhello\n0\r\n\r\n"),
    ("an extension without end", "5;" + "a" * 100_000),
    ("a trailer that is no field", "0\r\nno field\r\n\r\n"),
    ("a trailer with NUL", "0\r\nX: \0\r\n\r\n"),
]

HEADS = [
    ("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) * 2 + b"\r\n\r\n", (400,)),
    ("a preface of HTTP/2 behind a request", b"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n" + http2.PREFACE, (200,), False, 2),
    ("random bytes", os.urandom(4096).replace(b"\n", b"x") + b"\r\n\r\n"),
    ("no version", "GET /\r\n\r\n"),
    ("another version", "GET / HTTP/9.9\r\nHost: h\r\n\r\n", (400, 505)),
    ("a lower-case version", "GET / http/1.1\r\nHost: h\r\n\r\n", (400, 505)),
    ("two spaces in the request line", "GET  / HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("a tab in the request line", "GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("a space in the target", "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("control bytes in the target", "GET /\x01\x7f HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("bytes above 127 in the target", b"GET /\xff\xfe HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", (400, 404)),
    ("a method that is no token", "G@T(/) / HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("a target that leaves the root", "GET /../../etc/passwd HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", (400, 404)),
    ("an escape that is none", "GET /%zz%2 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", (400, 404)),
    ("no Host", "GET / HTTP/1.1\r\n\r\n"),
    ("two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    ("a field without colon", post("nonsense\r\n")),
    ("a field without name", post(": value\r\n")),
    ("a request line of 1 MB", "GET /" + "a" * 1_000_000, (400, 414, 431)),
    ("a field of 1 MB", post("X: " + "a" * 1_000_000), (400, 431)),
    ("10,000 fields", post("".join(f"X{i}: y\r\n" for i in range(10_000))), (400, 431)),
    ("a head without end, 20 MB", flood("X: " + "y" * 61 + "\r\n", 300_000), (400, 431)),
    ("empty lines without end, 20 MB", flood("\r\n" * 1000, 10_000)),
    ("an expectation that is unknown", post("Expect: 200-ok\r\n" + LENGTH, SMALL), (417, 400, 200), True),
]

BODIES = [
    ("a length of 1 TB", post("Content-Length: 1000000000000\r\n", "x"), (413,)),
    ("a body of 64 MB in chunks", lambda: [post(CHUNKED)] + ["10000\r\n" + "x" * 65536 + "\r\n"] * 1000, (413,)),
    ("a million chunks of a byte", lambda: [post(CHUNKED)] + ["1\r\nx\r\n" * 10_000] * 100 + ["0\r\n\r\n"], (400, 413), True),
    ("a body that is cut", lambda: [post("Content-Length: 100\r\n", "half")], (400, None)),
    ("brackets, 100,000 deep", json_body("[" * 100_000), (400,), True),
    ("objects, 100,000 deep", json_body('{"prompt":' * 100_000), (400,), True),
    ("an array of 5 million zeros", json_body('{"prompt":[' + "0," * 2_499_999 + "0]}"), (400,), True),
    ("a million keys", json_body("{" + ",".join(f'"k{i}":1' for i in range(1_000_000)) + "}"), (400,), True),
    ("a number of a million digits", json_body('{"prompt":"x","max_tokens":' + "9" * 1_000_000 + "}"), (400,), True),
    ("an exponent of a million", json_body('{"prompt":"x","temperature":1e1000000}'), (400,), True),
    ("invalid UTF-8", json_body(b'{"prompt":"\xff\xfe\xc0\x80"}'), (400,), True),
    ("half a surrogate", json_body('{"prompt":"\\ud800"}'), (400, 200), True),
    ("NUL in a prompt", json_body('{"prompt":"a\\u0000b","max_tokens":1}'), (200, 400), True),
    ("a prompt of 8 MB", json_body(json.dumps({"prompt": "word " * 1_600_000})), (400,), True),
    ("n of two billion", json_body('{"prompt":"x","n":2000000000}'), (400,), True),
    ("100,000 stop strings", json_body(json.dumps({"prompt": "x", "stop": ["a"] * 100_000})), (400,), True),
    ("100,000 prompts", json_body(json.dumps({"prompt": ["a"] * 100_000})), (400, 422, 429), True),
    ("a grammar that recurses without end", json_body(json.dumps({"prompt": "x", "max_tokens": 1, "grammar": 'root ::= root "a"'})), (400,), True),
    ("a grammar of a million rules", json_body(json.dumps({"prompt": "x", "grammar": "\n".join(f'r{i} ::= "a"' for i in range(300_000))})), (400,), True),
    ("a schema, 10,000 deep", json_body('{"prompt":"x","response_format":{"type":"json_schema","json_schema":{"name":"n","schema":' + '{"type":"array","items":' * 10_000 + "{}" + "}" * 10_000 + "}}}"), (400,), True),
    ("a schema that refers to itself", json_body(json.dumps({"prompt": "x", "max_tokens": 1, "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"$ref": "#"}}}})), (200, 400), True),
    ("a logit bias for a million tokens", json_body(json.dumps({"prompt": "x", "logit_bias": {str(i): 1 for i in range(300_000)}})), (400,), True),
]

def grammar(text):
    return json_body(json.dumps({"prompt": "x", "max_tokens": 8, "grammar": text}))


def schema(schema, **fields):
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    return json_body(json.dumps({"prompt": "x", "max_tokens": 8, "response_format": form, **fields}))


def chat(*messages, **fields):
    asks = {"role": "user", "content": "x"}
    return json_body(json.dumps({"messages": [asks, *messages], "max_tokens": 8, **fields}), "/v1/chat/completions")


def tool(parameters, name="f", count=1, messages=(), **fields):
    tools = [{"type": "function", "function": {"name": f"{name}{i}", "parameters": parameters}} for i in range(count)]
    return chat(*messages, tools=tools, tool_choice="required", **fields)


def called(arguments):
    function = {"name": "f0", "arguments": arguments}
    return [{"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function", "function": function}]},
            {"role": "tool", "tool_call_id": "1", "content": "x"}]


def rules(count, form, last):
    return "root ::= r0\n" + "\n".join(form.format(i, i + 1) for i in range(count)) + f"\nr{count} ::= {last}"


def doubled(times):
    return {"type": ["object", "object"], "properties": {"a": doubled(times - 1)}} if times else {}


IMPOSSIBLE = {"type": "integer", "minimum": 5, "maximum": 1}
CIRCLE = {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}

# Formats of the answer. Many of these once ended the process, or occupied a thread or gigabytes permanently.
FORMATS = [
    ("a schema whose bounds exclude each other", schema(IMPOSSIBLE)),
    ("a string at least 5 and at most 1 long", schema({"type": "string", "minLength": 5, "maxLength": 1})),
    ("a list of at least a billion", schema({"type": "array", "minItems": 1_000_000_000})),
    ("a bound beyond 64 bits", schema({"type": "integer", "minimum": 1e300})),
    ("references in a circle", schema({"$ref": "#/$defs/a", "$defs": CIRCLE})),
    ("references in a circle, joined", schema({"allOf": [{"$ref": "#/$defs/a"}], "$defs": CIRCLE})),
    ("lists of types that double 30 times", schema(doubled(30))),
    ("3,000 properties of which none is required", schema({"properties": {f"k{i}": {} for i in range(3000)}})),
    ("a range of a pattern that is empty", schema({"type": "string", "pattern": "^[z-a]$"})),
    ("a pattern of 200,000 groups", schema({"type": "string", "pattern": "^" + "(" * 200_000 + "$"}), (200, 400)),
    ("a pattern of 15 MB", schema({"type": "string", "pattern": "^" + "a.b" * 5_000_000 + "$"})),
    ("a million and a half values", schema({"enum": [str(i) for i in range(1_500_000)]})),
    ("a pattern that looks like a log", schema({"type": "string", "pattern": 'x\n{"level":"error"}'}), (200, 400)),
    ("a name of a megabyte", schema({"properties": {"é" * 500_000: {}}})),
    ("a tool that nobody can call", tool({"type": "object", "properties": {"a": IMPOSSIBLE}, "required": ["a"]})),
    ("a tool with references in a circle", tool({"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": CIRCLE})),
    ("a repetition of at least 5 and at most 1", grammar('root ::= "a"{5,1}')),
    ("a way that ends nowhere", grammar('root ::= "a" <[99999999]>')),
    ("a range that is empty", grammar('root ::= "a" [z-a]')),
    ("300,000 groups", grammar("root ::= " + "(" * 300_000)),
    ("30,000 rules in a chain", grammar(rules(30_000, "r{0} ::= r{1}", '"a"'))),
    ("30 rules that double", grammar(rules(30, "r{0} ::= r{1} r{1}", '"a"?'))),
    ("60 rules that double and are searched", grammar(rules(60, "r{0} ::= r{1} | r{1}", '"a"')), (200,)),
    ("recursion behind what may be empty", grammar('root ::= e root "a" | "b"\ne ::= f f\nf ::= "x"?')),
    ("400 KB, 2,000 times", grammar('root ::= "' + "a" * 400_000 + '"{2000}')),
    ("a word of 15 MB", grammar('root ::= "' + "a" * 15_000_000 + '"')),
    ("50,000 ways to begin", grammar("root ::= " + " | ".join(f'"{i}"' for i in range(50_000)))),
    ("an end that must not come yet", json_body(json.dumps({"prompt": "x", "grammar": 'root ::= "a"', "min_tokens": 20, "max_tokens": 30})), (200,)),
]

# Parts of a chat that its template parses, once for each message, tool and argument.
CHATS = [
    ("100,000 messages", chat(*[{"role": "user", "content": "x"}] * 100_000)),
    ("100,000 empty messages", chat(*[{"role": "user", "content": ""}] * 100_000)),
    ("arguments of a call, 50,000 deep", tool({}, messages=called('{"a":' + "[" * 50_000 + "]" * 50_000 + "}"))),
    ("arguments of a call that are cut", tool({}, messages=called('{"a":')), (200,)),  # as a token limit leaves them
    ("a tool's name of 200 KB", tool({}, name="é" * 100_000)),
    ("a tool's name that goes on as grammar", tool({}, name="f\nroot ::= [z-a]"), (200, 400)),
    ("a tool's name that is an expensive expression", tool({}, name="((((((a*)*)*)*)*)*)*b"), (200, 400)),
    ("3,000 tools", tool({}, count=3000)),
    ("100,000 arguments of the template", chat(chat_template_kwargs={f"k{i}": i for i in range(100_000)})),
    ("a beginning that is an end", tool({}, messages=[{"role": "assistant", "content": "<|im_end|>"}], continue_final_message=True)),
    ("a text that is a template", chat({"role": "user", "content": "{% for i in range(10**9) %}x{% endfor %}"}), (200,)),
]

RESET, CLOSED, TOO_MUCH = ("reset 1",), ("goaway 1",), ("goaway 11", None)

# HTTP/2 inputs that break the connection.
CONNECTIONS = [
    ("a preface that goes on as HTTP/1", http2.PREFACE + b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", ("goaway 1", "goaway 6", None)),
    ("no settings", http2.PREFACE + http2.get("/livez"), CLOSED),
    ("a frame of 16 MB", http2.hello() + http2.frame(http2.DATA, 0, 1, b"x" * 65536, 0xffffff), ("goaway 6",)),
    ("data on stream 0", http2.hello() + http2.frame(http2.DATA, 0, 0, b"x"), CLOSED),
    ("headers on stream 0", http2.hello() + http2.headers(http2.request(), 0), CLOSED),
    ("headers on an even stream", http2.hello() + http2.headers(http2.request(), 2), CLOSED),
    ("data on a stream that is not open", http2.hello() + http2.frame(http2.DATA, 1, 5, b"x"), CLOSED),
    ("a continuation of nothing", http2.hello() + http2.frame(http2.CONTINUATION, 4, 1, b""), CLOSED),
    ("a ping inside a header", http2.hello() + http2.headers(http2.request(), 1, 0) + http2.frame(http2.PING, 0, 0, b"x" * 8), CLOSED),
    ("a ping of 7 bytes", http2.hello() + http2.frame(http2.PING, 0, 0, b"x" * 7), ("goaway 6",)),
    ("settings of 5 bytes", http2.hello() + http2.frame(http2.SETTINGS, 0, 0, b"x" * 5), ("goaway 6",)),
    ("2,000 settings in a frame", http2.hello([(0x99, 1)] * 2000), TOO_MUCH),
    ("a window of 4 GB", http2.hello([(4, 0xffffffff)]), ("goaway 3",)),
    ("a window that overflows", http2.hello() + http2.frame(http2.WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff"), ("goaway 3",)),
    ("a window update of nothing", http2.hello() + http2.frame(http2.WINDOW_UPDATE, 0, 0, b"\0\0\0\0"), CLOSED),
    ("a promise from a client", http2.hello() + http2.frame(http2.PUSH_PROMISE, 4, 1, b"\0\0\0\2"), CLOSED),
    ("padding longer than its frame", http2.hello() + http2.headers(http2.request(), 1, 4) + http2.frame(http2.DATA, 9, 1, b"\xffxx"), CLOSED),
    ("an index that is not in the table", http2.hello() + http2.headers(b"\xff\x80\x01"), ("goaway 9",)),
    ("a table of 1 GB", http2.hello() + http2.headers(http2.integer(1 << 30, 5, 0x20) + http2.request()), ("goaway 9",)),
    ("a string that is longer than its block", http2.hello() + http2.headers(b"\x00\x7f\xff\xff\xff\x07x"), ("goaway 9",)),
    ("30 KB that unpack to 120 MB", http2.hello() + http2.headers(http2.request() + http2.field("x", "y" * 4000, True), 1, 0)
     + http2.frame(http2.CONTINUATION, 0, 1, b"\xbe" * 15_000) + http2.frame(http2.CONTINUATION, 4, 1, b"\xbe" * 15_000), TOO_MUCH),
    ("continuations without end", lambda: [http2.hello() + http2.headers(http2.request(), 1, 0)] + [http2.frame(http2.CONTINUATION, 0, 1, http2.field("a", "b"))] * 100_000, TOO_MUCH),
    ("empty continuations without end", lambda: [http2.hello() + http2.headers(http2.request(), 1, 0)] + [http2.frame(http2.CONTINUATION, 0, 1) * 1000] * 1000, TOO_MUCH),
    ("100,000 requests, each cancelled", lambda: [http2.hello()] + [b"".join(http2.get("/livez", 2 * i + 1) + http2.frame(http2.RST_STREAM, 0, 2 * i + 1, b"\0\0\0\x08") for i in range(k, k + 100)) for k in range(0, 100_000, 100)], (*TOO_MUCH, "goaway 2", 200), False, 3100),
    ("a million pings, unread", lambda: [http2.hello()] + [http2.frame(http2.PING, 0, 0, b"x" * 8) * 1000] * 1000, (*TOO_MUCH, "goaway 0")),
    ("a million settings, unread", lambda: [http2.hello()] + [http2.frame(http2.SETTINGS) * 1000] * 1000, (*TOO_MUCH, "goaway 0")),
]

# HTTP/2 inputs that concern a single request.
STREAMS = [
    ("a name in upper case", http2.headers(http2.request(("X", "y"))), RESET),
    ("no path", http2.headers(http2.fields((":method", "GET"), (":scheme", "http"), (":authority", "h"))), RESET),
    ("an empty path", http2.headers(http2.request(path="")), RESET),
    ("two paths", http2.headers(http2.request((":path", "/stolen"))), RESET),
    ("two authorities", http2.headers(http2.request((":authority", "b"))), RESET),
    ("a pseudo field behind others", http2.headers(http2.fields((":method", "GET"), (":scheme", "http"), ("a", "b"), (":path", "/"))), RESET),
    ("a pseudo field of answers", http2.headers(http2.request((":status", "200"))), RESET),
    ("a transfer coding", http2.headers(http2.request(("transfer-encoding", "chunked"))), RESET),
    ("a connection field", http2.headers(http2.request(("connection", "close"))), RESET),
    ("te with more than trailers", http2.headers(http2.request(("te", "gzip"))), RESET),
    ("NUL inside a value", http2.headers(http2.request(("x", "a\0b"))), RESET),
    ("CR LF inside a value", http2.headers(http2.request(("x", "a\r\nStolen: b"))), RESET),
    ("CR LF inside a path", http2.headers(http2.request(path="/ HTTP/1.1\r\nx: y")), (*RESET, 400)),
    ("a space in the path", http2.headers(http2.request(path="/a b")), (*RESET, 400)),
    ("a method that is no token", http2.headers(http2.request(method="G@T(/)")), (*RESET, 400)),
    ("CONNECT", http2.headers(http2.fields((":method", "CONNECT"), (":authority", "elsewhere:443"))), (400, 404, 405)),
    ("a length that is more than the body", http2.headers(http2.request(("content-length", "100")), 1, 4) + http2.frame(http2.DATA, 1, 1, b"x"), RESET),
    ("a length that is less than the body", http2.headers(http2.request(("content-length", "1")), 1, 4) + http2.frame(http2.DATA, 1, 1, b"x" * 100), RESET),
    ("two lengths", http2.headers(http2.request(("content-length", "1"), ("content-length", "1")), 1, 4) + http2.frame(http2.DATA, 1, 1, b"x"), (*RESET, 400)),
    ("a length of 1 TB", http2.headers(http2.request(("content-length", "1000000000000")), 1, 4), (413,)),
    ("a field of 60 KB", http2.headers(http2.request(("x", "y" * 15_000)), 1, 1) + b"".join(http2.frame(http2.CONTINUATION, flags, 1, http2.field("x", "y" * 15_000)) for flags in (0, 0, 4)), (431,)),
    ("2,000 fields", http2.headers(http2.request(), 1, 1) + http2.frame(http2.CONTINUATION, 4, 1, http2.field("a", "b") * 2000), (431,)),
    ("a trailer with a pseudo field", http2.headers(http2.request(), 1, 4) + http2.headers(http2.fields((":path", "/stolen"))), RESET),
    ("a body of 64 MB", lambda: [http2.headers(http2.request(), 1, 4)] + [http2.frame(http2.DATA, 0, 1, b"x" * 16384)] * 4000, (413, "reset 3", "goaway 3")),
    ("a million updates of a window", lambda: [http2.frame(http2.WINDOW_UPDATE, 0, 0, b"\0\0\0\1") * 1000] * 1000 + [http2.get("/livez")], (200,)),
    ("a million priorities", lambda: [b"".join(http2.frame(http2.PRIORITY, 0, 2 * i + 3, b"\0\0\0\0\x10") for i in range(1000))] * 1000 + [http2.get("/livez")], (200,)),
    ("a million empty frames of a body", lambda: [http2.headers(http2.request(path="/livez"), 1, 4)] + [http2.frame(http2.DATA, 0, 1) * 1000] * 1000 + [http2.frame(http2.DATA, 1, 1)], (405, "goaway 11")),
]


def behind_hello(data):
    return lambda: [http2.hello(), *Hostile("", "", data).pieces()]


CASES = [Hostile("smuggling", *case) for case in SMUGGLING]
CASES += [Hostile("chunks", name, post(CHUNKED, body)) for name, body in CHUNKS]
CASES += [Hostile("heads", *case) for case in HEADS]
CASES += [Hostile("bodies", *case) for case in BODIES]
CASES += [Hostile("formats", *case, stays=True) for case in FORMATS]
CASES += [Hostile("chats", *case, stays=True) for case in CHATS]
CASES += [Hostile("HTTP/2 connections", *case, http2=True) for case in CONNECTIONS]
CASES += [Hostile("HTTP/2 streams", name, behind_hello(data), outcome, stays=True, answers=2, http2=True) for name, data, outcome in STREAMS]


def exchange(port, case, patience):
    """What came back, and whether the server closed: (statuses, closed)."""
    received = b""
    closed = False
    with socket.create_connection(("127.0.0.1", port), timeout=patience) as connection:
        try:
            for piece in case.pieces():
                connection.sendall(piece)
            if not case.stays:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the server has closed the connection, as it should
        deadline = time.monotonic() + patience
        while True:
            connection.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                data = connection.recv(65536)
            except TimeoutError:
                break
            except OSError:
                closed = True
                break
            if not data:
                closed = True
                break
            received += data
            if case.stays and (http2.ended if case.http2 else complete)(received):
                break
    if case.http2:
        return http2.outcomes(received), closed
    return [int(n) for n in re.findall(rb"^HTTP/1\.1 (\d{3}) ", received, re.M) if n != b"100"], closed


def complete(received):
    """Whether a complete answer with a length has arrived."""
    head, found, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.I)
    return bool(found and length and len(body) >= int(length[1]))


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_kib(pid):
    with open(f"/proc/{pid}/status") as file:
        return int(re.search(r"VmHWM:\s+(\d+)", file.read())[1])


def reset_peak(pid):
    with open(f"/proc/{pid}/clear_refs", "w") as file:
        file.write("5")

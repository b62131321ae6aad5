#!/usr/bin/env python3
"""A server's typical work, once through, for the compiler's profile (`./dev profile`): chats and streams through the gateway,
plain, within TLS and over HTTP/2, and the engine's own answers. AUTOGLM_BENCH_BINARY is the instrumented binary."""

import contextlib
import random
import tempfile

import streams
from gateway import QUESTION, Gateway, upstreams, wrk
from http2_answers import h2load
from load import Stream, run_together, words
from schemas import make_schema
from servers import Ours
from tls import WRK, certificate
from tls import wrk as wrk_within_tls

SECONDS = 3


def gateway(stack):
    ports, behind = upstreams(cpu=1)
    stack.enter_context(behind)
    pair = certificate(stack.enter_context(tempfile.TemporaryDirectory(prefix="training-")))
    with Gateway(ports, 0) as server:
        wrk(server.port, 1, SECONDS)
        h2load(server, "/v1/chat/completions", QUESTION, 20_000)
    with Gateway(ports, 0, tls=pair) as server:
        wrk_within_tls(server, WRK, 1, SECONDS, 64)


def many_streams(stack):
    behind = stack.enter_context(streams.Upstream(cpu=1))
    with Gateway([behind.port], 0) as server:
        streams.run_streams(server, 1)


def engine():
    with Ours("default") as server:
        for batch in range(3):
            run_together([Stream(server.port, words(40 + 100 * batch, i), 32, temperature=0.8 * (i % 2)) for i in range(8)])
        formats = [{"type": "json_schema", "json_schema": {"name": "s", "schema": make_schema(random.Random(i))}} for i in range(8)]
        run_together([Stream(server.port, "An answer:", 32, ignore_eos=False, response_format=format) for format in formats])


if __name__ == "__main__":
    with contextlib.ExitStack() as stack:
        gateway(stack)
        many_streams(stack)
    engine()

"""HTTP/2 against nginx: CPU time of a small answer of the server's own, and of a small chat that is passed on, on one core."""

import contextlib
import os
import re
import subprocess
import tempfile

from gateway import QUESTION, Gateway, nginx_proxy, upstreams
from ratios import compared

CONNECTIONS, STREAMS = 8, 32


def h2load(server, path, body, requests):
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(body or "")
        file.flush()
        before = server.cpu_seconds()
        post = ["-d", file.name, "-H", "content-type: application/json"] if body else []
        out = subprocess.run(["taskset", "-c", "1", "h2load", "-t1", f"-c{CONNECTIONS}", f"-m{STREAMS}", f"-n{requests}", *post,
                              f"http://127.0.0.1:{server.port}{path}"], capture_output=True, text=True, check=True).stdout
        spent = server.cpu_seconds() - before
    done = int(re.search(r"(\d+) 2xx", out)[1])
    if done != requests:
        raise RuntimeError(out)
    return {"CPU µs each": spent * 1e6 / requests, "a second": float(re.search(r"([\d.]+) req/s", out)[1])}


LOADS = {"small answers of its own": ("/livez", None, 100_000), "small chats through five endpoints": ("/v1/chat/completions", QUESTION, 20_000)}


def http2(pairs):
    """small answers and small chats over HTTP/2: CPU time and answers a second against nginx"""
    with contextlib.ExitStack() as stack:
        ports, behind = upstreams(cpu=1)
        stack.enter_context(behind)
        ours, theirs = stack.enter_context(Gateway(ports, 0)), stack.enter_context(nginx_proxy(ports, 0, http2=True))
        runs = {name: [] for name in LOADS}
        for i in range(-1, pairs):  # the first run warms up pages and buffers
            for name, (path, body, requests) in LOADS.items():
                results = {side: h2load(side, path, body, requests // (1 if i >= 0 else 10)) for side in [ours, theirs][:: 1 if i % 2 else -1]}
                if i >= 0:
                    runs[name].append(results)
    keys = ["CPU µs each", "a second"]
    rows = [[name, *compared(results, ours, theirs, keys)] for name, results in runs.items()]
    notes = (f"`h2load`, {CONNECTIONS} connections of {STREAMS} streams, without TLS; the server has one core, load and upstreams the other. "
             "Small answers are /livez (nginx: `return 200 \"ok\"`).")
    return "HTTP/2: small answers and small chats", ["Against nginx", *keys], rows, notes

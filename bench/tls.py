"""TLS against nginx: CPU time of a handshake, and of a small answer over a kept connection, on one core."""

import contextlib
import os
import re
import subprocess
import tempfile

from gateway import WRK, Gateway, nginx_proxy, upstreams
from ratios import compared

DONE = WRK[WRK.index("function done"):]
HANDSHAKES = """
wrk.method = "GET"
wrk.path = "/health"
wrk.headers["Connection"] = "close"
""" + DONE
OWN = """
wrk.method = "GET"
wrk.path = "/v1/models"
""" + DONE


def certificate(folder):
    """A self-signed P-256 certificate and its key: (certificate, key)."""
    pair = os.path.join(folder, "tls.crt"), os.path.join(folder, "tls.key")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                    "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-out", pair[0], "-keyout", pair[1]],
                   check=True, capture_output=True)
    return pair


def wrk(server, lua, cpu, seconds, connections):
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(lua)
        script.flush()
        before = server.cpu_seconds()
        out = subprocess.run(["taskset", "-c", str(cpu), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", script.name,
                              f"https://127.0.0.1:{server.port}"], capture_output=True, text=True, check=True).stdout
        spent = server.cpu_seconds() - before
    requests, duration, errors = re.search(r"RESULT (\d+) (\d+) \S+ \S+ (\d+)", out).groups()
    if int(errors):
        raise RuntimeError(f"{errors} errors: {out}")
    return {"CPU µs each": spent * 1e6 / int(requests), "a second": int(requests) * 1e6 / int(duration)}


LOADS = {"full handshakes, a small answer each": (HANDSHAKES, 16), "its own answers, of a chat's size, over kept connections": (OWN, 64),
         "small chats over kept connections": (WRK, 64)}


def tls(pairs, seconds=3):
    """handshakes and small chats within TLS 1.3 through five endpoints: CPU time against nginx"""
    keys = ["CPU µs each", "a second"]
    with contextlib.ExitStack() as stack:
        pair = certificate(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-tls-")))
        ports, behind = upstreams(cpu=1)
        stack.enter_context(behind)
        ours, theirs = stack.enter_context(Gateway(ports, 0, tls=pair)), stack.enter_context(nginx_proxy(ports, 0, tls=pair))
        runs = {name: [] for name in LOADS}
        for i in range(-1, pairs):  # the first run warms up pages and buffers
            for name, (lua, connections) in LOADS.items():
                order = [ours, theirs][:: 1 if i % 2 else -1]
                results = {server: wrk(server, lua, 1, 1 if i < 0 else seconds, connections) for server in order}
                if i >= 0:
                    runs[name].append(results)
    rows = [[name, *compared(results, ours, theirs, keys)] for name, results in runs.items()]
    notes = ("TLS 1.3, a P-256 certificate, no resumption; `wrk` on one core, the server on the other. A handshake's answer is /health, the server's own the list of its models (nginx: a chat's answer, as it is), a chat's "
             "comes through five upstreams (nginx, a static answer). `wrk` pays more for a handshake than a server does, so look at "
             "CPU time, not at how many there were a second; nor is there a column of latencies, which would be `wrk`'s own queue.")
    return "TLS: handshakes and small chats", ["Against nginx", *keys], rows, notes

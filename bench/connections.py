"""The cost of idle connections, and the cost to other clients of readers that do not read."""

import contextlib
import os
import re
import resource
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

from gateway import Gateway, nginx_proxy
from ratios import Ratio
from servers import ROOT, free_port
from streams import STREAM_LOAD, Upstream
from tls import certificate

sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))

import http2  # noqa: E402

IDLE = {"HTTP/1.1": 10_000, "HTTP/2": 10_000, "TLS": 2_000}
DEAF, READERS = 2_000, 32
PADDING, EVENTS = 4_000, 300


def use(server, kind, context):
    """A connection that has had an answer and stays open."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    if context:
        connection = context.wrap_socket(connection)
    if kind == "HTTP/2":
        connection.sendall(http2.hello() + http2.get("/health"))
        received = b""
        while not http2.ended(received):
            received += connection.recv(65536)
    else:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n")
        connection.recv(65536)
    return connection


def kib_a_connection(server, kind):
    context = ssl._create_unverified_context() if kind == "TLS" else None
    warm = [use(server, kind, context) for _ in range(200)]
    for connection in warm:
        connection.close()
    time.sleep(0.5)
    before = server.resident_mib()
    held = [use(server, kind, context) for _ in range(IDLE[kind])]
    time.sleep(0.5)
    after = server.resident_mib()
    for connection in held:
        connection.close()
    return (after - before) * 1024 / IDLE[kind]


def idle(_pairs):
    """memory of idle connections that have had an answer, ten thousand of them: against nginx"""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    rows = []
    with contextlib.ExitStack() as stack:
        pair = certificate(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-idle-")))
        for kind, count in IDLE.items():
            tls = pair if kind == "TLS" else None
            figures = []
            for start in (lambda: Gateway([free_port()], 0, tls=tls, server={"max_connections": 20_000}),
                          lambda: nginx_proxy([free_port()], 0, tls=tls, http2=kind == "HTTP/2")):
                with start() as server:
                    figures.append(kib_a_connection(server, kind))
            rows.append([kind, f"{count:,}", *(f"{figure:.1f}" for figure in figures)])
            print("  " + " | ".join(rows[-1]), flush=True)
    return "Idle connections", ["", "connections", "KiB each", "nginx"], rows, (
        "Growth of VmRSS over connections that have each had one answer (/health) and are kept; the process had two hundred before.")


def read(server):
    out = subprocess.run(["taskset", "-c", "1", STREAM_LOAD, "load", str(server.port), str(READERS)], capture_output=True, text=True, check=True).stdout
    finished, events, p99 = re.search(r"FINISHED (\d+) EVENTS (\d+) P99 (\S+)", out).groups()
    if int(finished) != READERS or int(events) != READERS * (EVENTS + 1):
        raise RuntimeError(out)
    return float(p99)


def slow_readers(pairs):
    """two thousand readers of streams that do not read: memory, and what others notice"""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    gaps, growth = [], []
    with Upstream(cpu=1, events=EVENTS, padding=0) as good, Upstream(cpu=1, events=1_000_000, padding=PADDING) as endless:
        for _ in range(pairs):
            models = [{"name": "m", "endpoints": [{"url": f"http://127.0.0.1:{good.port}/v1"}]},
                      {"name": "deaf", "endpoints": [{"url": f"http://127.0.0.1:{endless.port}/v1"}]}]
            with Gateway([], 0, models=models, server={"write_timeout": "600s"}) as server:
                alone = read(server)
                before = server.resident_mib()
                with subprocess.Popen(["taskset", "-c", "1", STREAM_LOAD, "deaf", str(server.port), str(DEAF)], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True) as deaf:
                    deaf.stdout.readline()
                    time.sleep(15)  # until all of their buffers are full
                    gaps.append((read(server), alone))
                    growth.append((server.resident_mib("VmHWM") - before) * 1024 / DEAF)
                    deaf.stdin.close()
    mine, theirs = (statistics.median(pair[i] for pair in gaps) for i in (0, 1))
    rows = [[f"{DEAF:,}", f"{mine:.1f} / {theirs:.1f} = {Ratio(gaps)}", f"{statistics.median(growth):.1f}"]]
    return "Readers that do not read", ["Beside", "p99 ms between events, to alone", "KiB each of them, at most"], rows, (
        f"{READERS} readers of streams of 20 events a second, alone and beside streams of 80 kB a second whose clients do not read, through the "
        "gateway (one core; both ends have the other). Every stream that is read comes to its end with every event.")

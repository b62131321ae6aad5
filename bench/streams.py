"""The gateway under many streams, and under long prompts: CPU time an event, memory a stream, CPU time a prompt."""

import contextlib
import http.client
import json
import os
import re
import statistics
import subprocess

from gateway import Gateway, Nginx, nginx_proxy, upstreams
from load import words
from ratios import Ratio
from servers import ROOT, Process, free_port

STREAM_LOAD = os.path.join(ROOT, "build", "release", "bin", "stream_load")
STREAMS, EVENTS, PERIOD_MS = 1000, 200, 50


class Upstream(Process):
    name = "stream_load"

    def __init__(self, cpu, events=EVENTS, padding=0):
        port = free_port()
        super().__init__(["taskset", "-c", str(cpu), STREAM_LOAD, "serve", str(port), str(events), str(PERIOD_MS), str(padding)], port)


def run_streams(server, cpu):
    """Runs all streams once; the memory is the highest resident size, less the size before."""
    before, resident = server.cpu_seconds(), server.resident_mib()
    process = subprocess.Popen(["taskset", "-c", str(cpu), STREAM_LOAD, "load", str(server.port), str(STREAMS)],
                               stdout=subprocess.PIPE, text=True)
    most = resident
    while process.poll() is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.25)
        most = max(most, server.resident_mib())
    finished, events = map(int, re.search(r"FINISHED (\d+) EVENTS (\d+)", process.stdout.read()).groups())
    if finished != STREAMS or events != STREAMS * (EVENTS + 1):
        raise RuntimeError(f"{server.name}: {finished} of {STREAMS} streams finished, with {events} events")
    return {"CPU µs an event": (server.cpu_seconds() - before) * 1e6 / events, "KiB a stream": (most - resident) * 1024 / STREAMS}


def streams(pairs):
    """a thousand streams of 20 events a second: CPU time an event against nginx, memory a stream"""
    with contextlib.ExitStack() as stack:
        behind = stack.enter_context(Upstream(cpu=1))
        peer = stack.enter_context(nginx_proxy([behind.port], 0))
        runs, growth = [], []
        for i in range(pairs):
            # A fresh gateway each time: the streams' memory is the growth of a process that has served none before.
            with Gateway([behind.port], 0) as ours:
                sides = {"ours": ours, "nginx": peer}
                runs.append({side: run_streams(sides[side], 1) for side in list(sides)[:: 1 if i % 2 else -1]})
            growth.append(runs[-1]["ours"]["KiB a stream"])
    key = "CPU µs an event"
    mine, theirs = (statistics.median(run[side][key] for run in runs) for side in ("ours", "nginx"))
    row = ["nginx", f"{mine:.3g} / {theirs:.3g} = {Ratio([(run['ours'][key], run['nginx'][key]) for run in runs])}",
           f"{statistics.median(growth):.1f}"]
    notes = (f"{STREAMS} streams of {EVENTS} events, one each {PERIOD_MS} ms, over one upstream; the proxy has one core, both ends "
             "(`bench/stream_load.cc`) the other. Every stream must come to its end with every event. Connecting and the "
             "requests are part of the time; nginx's proxy_buffering is off.")
    return "Gateway: many streams at once", ["Against", key, "KiB a stream, at most"], [row], notes


def affinity(pairs):
    """a prompt of 100,000 tokens through prefix_affinity: CPU time a request"""
    body = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": words(90_000, 1)}]}
    requests = 50
    rows = []
    with contextlib.ExitStack() as stack:
        ports, behind = upstreams(cpu=1)
        stack.enter_context(behind)
        for balance in ("prefix_affinity", "least_connections"):
            server = stack.enter_context(Gateway(ports, 0, balance=balance))
            figures = []
            for i in range(pairs + 1):
                connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
                before = server.cpu_seconds()
                for j in range(requests):
                    body["messages"][0]["name"] = f"n{i}-{j}"
                    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
                    response = connection.getresponse()
                    if response.status != 200 or not response.read():
                        raise RuntimeError(f"status {response.status}")
                figures.append((server.cpu_seconds() - before) * 1e3 / requests)
                connection.close()
            figures = sorted(figures[1:])  # the first run warms up
            rows.append([balance, f"{statistics.median(figures):.2f} ({figures[0]:.2f}–{figures[-1]:.2f})"])
    size = len(json.dumps(body)) // 1000
    return ("Gateway: long prompts", ["Balance", "CPU ms a request"], rows,
            f"Chats of {size} kB, about 100,000 tokens, five upstreams, one connection, {requests} requests a figure; median and range.")

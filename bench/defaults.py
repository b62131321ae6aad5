"""Users' results without any settings: our defaults against llama-server's, and against every fixed number of threads."""

import itertools
import os
import statistics
import subprocess
import time

from load import Stream, run_together, words
from ratios import Ratio
from servers import LlamaServer, Ours, in_turn

_seeds = itertools.count(1_000_000)
CONNECTIONS = 64


class Idle:
    """Nothing but the streams."""
    name = "idle"

    def __init__(self, server):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


class Busy(Idle):
    """Connections that ask for /health without a pause, so that an event loop has no free moment."""
    name = f"beside {CONNECTIONS} busy connections"

    def __init__(self, server):
        self.url = f"http://127.0.0.1:{server.port}/health"

    def __enter__(self):
        self.wrk = subprocess.Popen(["wrk", "-t1", f"-c{CONNECTIONS}", "-d600s", self.url], stdout=subprocess.DEVNULL)
        time.sleep(0.5)  # it has connected, and the engine has adapted to it
        return self

    def __exit__(self, *_):
        self.wrk.kill()
        self.wrk.wait()


def distinct(count, tokens):
    def streams(server):
        return [Stream(server.port, words(20, next(_seeds)), tokens, cache_prompt=False) for _ in range(count)]
    return streams


def shared(count):
    def streams(server):
        beginning = words(count, next(_seeds))
        return [Stream(server.port, f"{beginning} number {i}", 16) for i in range(32)]
    return streams


# Title, streams, other load, and llama-server's options: its default number of slots is one that no user keeps.
WORKLOADS = (
    ("1 stream", distinct(1, 256), Idle, []),
    ("8 streams", distinct(8, 64), Idle, ["-np", "8", "-kvu", "-b", "512", "-ub", "512"]),
    ("32 streams", distinct(32, 24), Idle, ["-np", "32", "-kvu", "-b", "512", "-ub", "512"]),
    ("32 requests, a shared beginning", shared(512), Idle, []),
    (f"1 stream {Busy.name}", distinct(1, 128), Busy, []),
)


def measure(server, make_streams, beside):
    with beside(server):
        streams = make_streams(server)
        cpu = server.cpu_seconds()
        wall = run_together(streams)
        cpu = server.cpu_seconds() - cpu
    tokens = sum(stream.usage["completion_tokens"] for stream in streams)
    return {"tokens/s": tokens / wall, "TTFT p50": statistics.median(stream.first_token for stream in streams),
            "CPU ms a token": 1000 * cpu / tokens}


def default_rows(pairs):
    """Our defaults against llama-server's defaults, for `generate`."""
    rows = []
    for title, make_streams, beside, options in WORKLOADS:
        with Ours("default", threads=None, context=None, cache_tokens=None) as ours, \
                LlamaServer("default", options, threads=None, cache_tokens=None) as theirs:
            runs = in_turn([ours, theirs], lambda server: measure(server, make_streams, beside), pairs)
        row = [f"defaults, {title}"]
        for key in ("tokens/s", "TTFT p50", "CPU ms a token"):
            mine, other = (statistics.median(run[side][key] for run in runs) for side in (ours, theirs))
            # A busy server's CPU time went into answering the connections.
            row.append("" if beside is Busy and key.startswith("CPU") else
                       f"{mine:.3g} / {other:.3g} = {Ratio([(run[ours][key], run[theirs][key]) for run in runs])}")
        rows.append([*row, " ".join(options) or "defaults"])
        print("  " + " | ".join(rows[-1]), flush=True)
    return rows


def defaults(pairs):
    """What users get who set nothing, against llama-server as it comes: the first rows of `generate`, alone."""
    return "Defaults: ours / theirs", ["", "tokens/s", "TTFT p50", "CPU ms a token", "theirs is"], default_rows(pairs), (
        "The default model, greedy; nothing set on either side but llama-server's slots where it would have too few.")


def threads(pairs):
    """Compute threads as the engine decides against each fixed number."""
    numbers = range(1, len(os.sched_getaffinity(0)) + 1)
    rows = []
    for title, make_streams, beside, _ in WORKLOADS:
        servers = [Ours("default", threads=number) for number in (None, *numbers)]
        try:
            runs = in_turn(servers, lambda server: measure(server, make_streams, beside), pairs)
        finally:
            for server in servers:
                server.__exit__()
        speed = {server: statistics.median(run[server]["tokens/s"] for run in runs) for server in servers}
        decided, best = servers[0], max(servers[1:], key=speed.get)
        rows.append([title, *(f"{speed[server]:.3g}" for server in servers),
                     str(Ratio([(run[decided]["tokens/s"], run[best]["tokens/s"]) for run in runs]))])
        print("  " + " | ".join(rows[-1]), flush=True)
    return "Compute threads: decided for each step / fixed", ["tokens/s", "decided", *map(str, numbers), "decided / best"], rows, (
        "The default model at its defaults, three servers in turn, `engine.threads` unset and set.")

"""The measurements: one function per case, which returns a table: (title, header, rows, notes)."""

import itertools
import json
import statistics
import subprocess
import sys
import time

from admission import admission
from connections import idle, slow_readers
from defaults import default_rows, defaults, threads
from discovery import discovery
from endpoints import endpoints
from gateway import gateway
from hostile_inputs import hostile
from http2_answers import http2
from isolation import isolation
from load import Stream, run_together, words
from ratios import Ratio, compared, percentile
from sameness import overcommit, resume
from schemas import schema
from servers import BINARY, ROOT, LlamaServer, Ours, Process, free_port, in_turn, llama_configurations, model_path
from slow_endpoint import slow_endpoint
from streams import affinity, streams
from tls import tls
from trace_replay import mooncake

_seeds = itertools.count(1)  # all prompts of a run differ, unless they are meant to be equal


def measure(server, make_streams):
    """One run: the streams' figures, and the CPU time used."""
    streams = make_streams(server)
    cpu = server.cpu_seconds()
    wall = run_together(streams)
    tokens = sum(stream.usage["completion_tokens"] for stream in streams)
    return {
        "tokens/s": tokens / wall,
        "requests/s": len(streams) / wall,
        "TTFT p50": statistics.median(stream.first_token for stream in streams),
        "CPU ms a token": 1000 * (server.cpu_seconds() - cpu) / tokens,
    }


def best_of(model, slots, make_streams, key, cache_tokens, threads):
    """The best of llama-server's configurations for these streams; the better of two runs counts."""
    results = {}
    for options in llama_configurations(slots):
        try:
            with LlamaServer(model, options, threads, cache_tokens) as server:
                value = measure(server, make_streams)[key]
                if not results or value > max(results.values()) / 2:  # else far behind, and a second run may take minutes
                    value = max(value, measure(server, make_streams)[key])
                results[tuple(options)] = value
        except RuntimeError as error:  # its slots are too small for these prompts
            print(f"  llama-server {' '.join(options)} cannot: {error}", flush=True)
    return list(max(results, key=results.get))


def versus_llama(title, make_streams, keys, pairs, model="default", slots=8, threads=2, cache_tokens=8192, options=None):
    """One row: ratios to llama-server, `options` or its best, in alternated pairs."""
    if options is None:
        options = best_of(model, slots, make_streams, keys[0], cache_tokens, threads)
    with Ours(model, threads, cache_tokens=cache_tokens) as ours, LlamaServer(model, options, threads, cache_tokens) as theirs:
        # With few pairs a run takes minutes, so it is not warmed up.
        runs = in_turn([ours, theirs], lambda server: measure(server, make_streams), pairs, warm=pairs > 3)
    row = [title, *compared(runs, ours, theirs, keys)]
    row.append(" ".join(options) or "defaults")
    return row


def generate(pairs):
    """Distinct streams: tokens/s, time to first token and CPU time, against llama-server's best."""
    keys = ["tokens/s", "TTFT p50", "CPU ms a token"]
    rows = default_rows(pairs)
    for model in ("default", "0.5b"):
        for count, tokens in ((1, 256), (8, 64), (32, 24)):
            def streams(server, count=count, tokens=tokens):
                return [Stream(server.port, words(20, next(_seeds)), tokens, cache_prompt=False) for _ in range(count)]
            rows.append(versus_llama(f"{model}, {count} stream{'s' if count > 1 else ''}", streams, keys, pairs, model, count))
            print("  " + " | ".join(rows[-1]), flush=True)
    return "Generating: ours / theirs", ["", *keys, "theirs is"], rows, (
        "Streamed completions of 20-word prompts, greedy, 256, 64 or 24 tokens each; two compute threads, 8,192 cache tokens. Rows that say "
        "defaults: the default model, nothing set on either side but llama-server's slots where it would have too few.")


def prefix(pairs):
    """32 requests that share 512 tokens arrive together."""
    keys = ["requests/s", "TTFT p50", "CPU ms a token"]
    kvu = llama_configurations(32)[1]
    rows = []
    # A generated vocabulary takes four tokens a word. Against -kvu a run takes minutes, so there are fewer pairs.
    for model, count, slow_pairs in (("default", 512, 3), ("0.5b", 128, 1)):
        def streams(server, count=count):
            shared = words(count, next(_seeds))
            return [Stream(server.port, f"{shared} number {i}", 16) for i in range(32)]
        for against, options, times in (("best", None, pairs), ("-kvu", kvu, min(pairs, slow_pairs))):
            rows.append(versus_llama(f"{model}, {against}", streams, keys, times, model, 32, cache_tokens=32768, options=options))
            print("  " + " | ".join(rows[-1]), flush=True)
    return "A shared beginning: ours / theirs", ["", *keys, "theirs is"], rows, (
        "32 requests arrive together; they begin with the same 512 tokens and end in a number of their own; 16 new tokens each. "
        "Against -kvu three pairs and one.")


def stall(pairs):
    """Four streams go on while prompts of 1,500 words keep arriving."""
    def run(server):
        streams = [Stream(server.port, words(20, next(_seeds)), 3000) for _ in range(4)]
        for stream in streams:
            stream.start()
        time.sleep(1)
        cpu, began = server.cpu_seconds(), time.monotonic()
        prompts = []
        for _ in range(3):
            prompt = Stream(server.port, words(1500, next(_seeds)), 4, cache_prompt=False)
            prompt.start()
            prompts.append(prompt)
            prompt.join()
        ended = time.monotonic()
        if not all(stream.is_alive() for stream in streams):
            raise RuntimeError(f"{server.name}: a stream ended while prompts were still arriving")
        for stream in streams:
            stream.stop.set()
        for stream in streams:
            stream.join()
        # A gap counts if it ended in this time: the first prompt's gap may have begun before.
        gaps = [b - a for stream in streams for a, b in zip(stream.times, stream.times[1:]) if began <= b <= ended]
        if failed := [p.error or p.status for p in prompts if p.usage is None]:
            raise RuntimeError(f"{server.name}: a prompt was not answered: {failed}")
        tokens = len(gaps) + sum(p.usage["prompt_tokens"] for p in prompts)
        return {"p99 gap s": percentile(gaps, 0.99), "prompts' TTFT s": statistics.median(p.first_token for p in prompts),
                "tokens/s, prompts' included": tokens / (ended - began), "CPU s": server.cpu_seconds() - cpu}

    rows = []
    for model in ("default", "0.5b"):
        options = llama_configurations(8)[1]
        # A generated vocabulary takes four tokens a word, which need a larger context.
        room = {"context": 8192, "cache_tokens": 24576} if model == "0.5b" else {"cache_tokens": 16384}
        with Ours(model, **room) as ours, LlamaServer(model, options, 2, room["cache_tokens"]) as theirs:
            runs = []
            for i in range(pairs):
                both = {server: run(server) for server in [(ours, theirs), (theirs, ours)][i % 2]}
                runs.append((both[ours], both[theirs]))
        row = [model]
        for key in runs[0][0]:
            mine, other = (statistics.median(r[side][key] for r in runs) for side in (0, 1))
            row.append(f"{mine:.3g} / {other:.3g} = {Ratio([(a[key], b[key]) for a, b in runs])}")
        rows.append(row)
        print("  " + " | ".join(row), flush=True)
    return "Long prompts beside streams: ours / theirs", ["", *runs[0][0]], rows, (
        f"Four streams generate; one after the other three prompts of 1,500 words arrive. llama-server {' '.join(options)}; "
        "the gap is between two tokens of a stream, while prompts are read.")


def conversations(pairs):
    """Twelve conversations in turn, together more than twice what the cache holds."""
    def run(server):
        prompts = [words(700, next(_seeds)) for _ in range(12)]
        first_tokens = []
        for turn in range(2):
            cpu = server.cpu_seconds()
            for i, prompt in enumerate(prompts):
                stream = Stream(server.port, prompt, 16)
                stream.start()
                stream.join()
                prompts[i] = f"{prompt} {words(20, next(_seeds))}"
                first_tokens.append(stream.first_token)
        return {"TTFT s of second turns": statistics.median(first_tokens[len(prompts):]), "CPU s of second turns": server.cpu_seconds() - cpu}

    peers = {"llama-server": lambda: LlamaServer("default", [], 2, 4096),
             "ours, `saved_memory: 0`": lambda: Ours("default", cache_tokens=4096, saved_memory=0)}
    rows = []
    for name, make in peers.items():
        with Ours("default", cache_tokens=4096) as ours, make() as theirs:
            runs = []
            for i in range(pairs):
                both = {server: run(server) for server in [(ours, theirs), (theirs, ours)][i % 2]}
                runs.append((both[ours], both[theirs]))
        rows.append([name, *compared(runs, 0, 1, list(runs[0][0]))])
        print("  " + " | ".join(rows[-1]), flush=True)
    return "Conversations in turn", ["Against", *runs[0][0]], rows, (
        "Twelve conversations that begin with 700 words take two turns each, one after the other; the cache has 4,096 tokens, "
        "together they need some 9,000. The default model; llama-server with its defaults, among them 8 GiB for prompts in memory.")


def priority(pairs):
    """One urgent request among 32 others, against the same request on an idle server."""
    rows = []
    for model in ("default", "0.5b"):
        with Ours(model, cache_tokens=16384) as server:
            def urgent():
                stream = Stream(server.port, words(300, next(_seeds)), 1, priority=9)
                stream.start()
                stream.join()
                return stream.first_token
            urgent()
            runs = []
            for _ in range(pairs):
                idle = urgent()
                crowd = [Stream(server.port, words(20, next(_seeds)), 1000) for _ in range(32)]
                for stream in crowd:
                    stream.start()
                time.sleep(4)
                runs.append((urgent(), idle))
                for stream in crowd:
                    stream.stop.set()
                for stream in crowd:
                    stream.join()
                while server.metric("vllm:num_requests_running") > 0:
                    time.sleep(0.02)
        rows.append([model, f"{statistics.median(r[0] for r in runs):.3f} / {statistics.median(r[1] for r in runs):.3f} = {Ratio(runs)}"])
        print("  " + " | ".join(rows[-1]), flush=True)
    return "An urgent request: TTFT in a crowd / alone", ["", "TTFT s"], rows, (
        "A prompt of 300 words with priority 9 while 32 streams of priority 0 run, against the same on an idle server.")


def abort(pairs):
    """From closing the socket to the sequence being gone."""
    rows = []
    for what, prompt, tokens in (("while generating", 20, 2000), ("while a prompt of 2,500 words is read", 2500, 5)):
        times = []
        with Ours("default") as server:
            for _ in range(3 * pairs):
                stream = Stream(server.port, words(prompt, next(_seeds)), tokens)
                stream.start()
                while server.metric("vllm:num_requests_running") == 0:
                    time.sleep(0.001)
                if prompt < 100:
                    while not stream.times:
                        time.sleep(0.001)
                else:
                    time.sleep(0.2)
                began = time.monotonic()
                stream.abort()
                while server.metric("vllm:num_requests_running") > 0:
                    pass
                times.append(1000 * (time.monotonic() - began))
        rows.append([what, f"{statistics.median(times):.0f}", f"{max(times):.0f}"])
        print("  " + " | ".join(rows[-1]), flush=True)
    return "Abort", ["", "median ms", "largest ms"], rows, (
        "From closing the socket until the metrics say that nothing runs; the default model, a scrape each millisecond or so.")


def memory(_pairs):
    """Resident memory, idle and under eight streams; start until /health is 200."""
    port = free_port()
    rows = []
    with Process([BINARY, "serve", "--host", "127.0.0.1", "--port", str(port), "--admin-port", "0"], port,
                 env={"MODEL_NAME": "none", "PATH": "/usr/bin:/bin"}) as server:
        time.sleep(0.5)
        rows.append(["no model, idle", f"{server.resident_mib():.1f} MiB"])
    port = free_port()
    with Process([BINARY, "serve", "--host", "127.0.0.1", "--port", str(port), "--admin-port", "0"], port,
                 env={"MODEL_NAME": model_path("15m"), "PATH": "/usr/bin:/bin"}) as server:
        run_together([Stream(port, words(20, next(_seeds)), 300) for _ in range(8)])
        rows.append(["15M-parameter Q8_0, after 8 streams, largest", f"{server.resident_mib('VmHWM'):.1f} MiB"])
    times = []
    for _ in range(7):
        port = free_port()
        with Process([BINARY, "serve", model_path("default"), "--host", "127.0.0.1", "--port", str(port), "--admin-port", "0"], port) as server:
            times.append(server.ready_after)
    rows.append(["start to /health 200, default model in the page cache", f"{statistics.median(times):.2f} s"])
    return "Footprint", ["", ""], rows, "VmRSS and VmHWM of the process, which count the mapped model's pages."


def soak(_pairs):
    """Ten minutes of random load on the tiny model (tests/soak)."""
    done = subprocess.run([sys.executable, f"{ROOT}/tests/soak/soak.py", "--minutes", "10", BINARY, model_path("tiny")],
                          stdout=subprocess.PIPE, text=True)
    print(done.stdout)
    if done.returncode != 0:
        raise RuntimeError("the soak failed")
    report = json.loads(done.stdout[done.stdout.index("{"): done.stdout.rindex("}") + 1])
    rows = [[str(key), str(value)] for key, value in report.items()]
    return "Ten minutes of random load", ["", ""], rows, "24 clients: answers, streams, aborts, overload, garbage; see tests/soak."


CASES = {case.__name__: case for case in (
    defaults, generate, threads, prefix, conversations, mooncake, stall, overcommit, schema, priority, resume, abort, memory, gateway, admission, endpoints, discovery, slow_endpoint, streams, affinity, tls, http2, idle, slow_readers, hostile, isolation, soak)}

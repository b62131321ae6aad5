#!/usr/bin/env python3
"""Random load for a while: whole answers, streams, aborts, overload, garbage. Every request must end in an answer, a 4xx
that it deserves, 429 or 504; afterwards queue, sequences, sockets and memory must be where they were.

    soak.py [--minutes 10] [--seed N] BINARY MODEL
"""

import argparse
import json
import os
import random
import socket
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
# Small enough that overload and preemption happen all the time, and that the memory for saved blocks fills up at once: any
# growth afterwards is a leak.
ENGINE = {"context": 1024, "cache_tokens": 2048, "max_sequences": 8, "max_waiting": 8, "saved_memory": 8 * 1024 * 1024}
SERVER = {"request_timeout": "5s"}
CLIENTS = 24


class Client(threading.Thread):
    """Sends one request after the other until told to stop; counts their outcomes."""

    def __init__(self, server, seed, until):
        super().__init__()
        self.server, self.random, self.until = server, random.Random(seed), until
        self.counts = {"answered": 0, "streamed": 0, "aborted": 0, "refused": 0, "garbage": 0, "timeouts": 0}
        self.unexpected = []

    def run(self):
        while time.monotonic() < self.until:
            try:
                self.random.choice([self.whole, self.whole, self.stream, self.stream, self.abort, self.vanish,
                                    self.wrong, self.noise])()
            except Exception as error:  # anything that a client should not see
                self.unexpected.append(f"{type(error).__name__}: {error}")

    def body(self):
        beginning = self.random.choice(["", "The same beginning as many others have, word for word. " * 8])
        return {"prompt": beginning + "word " * self.random.randrange(1, self.random.choice([20, 600])),
                "max_tokens": self.random.randrange(1, 120), "ignore_eos": True, "n": self.random.choice([1, 1, 1, 3]),
                "priority": self.random.choice([0, 0, 0, 5, 9]), "temperature": self.random.choice([0, 1])}

    def ended(self, status, allowed, body=b""):
        if status == 429:
            self.counts["refused"] += 1
        elif status == 504:
            self.counts["timeouts"] += 1
        elif status in allowed:
            return True
        else:
            self.unexpected.append(f"status {status}: {body[:300]}")
        return False

    def whole(self):
        answer = self.server.post("/v1/completions", self.body())
        if self.ended(answer.status, {200}, answer.body):
            answer.json()
            self.counts["answered"] += 1

    def stream(self):
        connection, response = self.server.stream("/v1/completions", self.body())
        if self.ended(response.status, {200}, b"" if response.status == 200 else response.read()):
            data = response.read()
            if b'"error"' in data:
                if b"timeout" not in data:
                    self.unexpected.append(data[-300:].decode())
            elif not data.endswith(b"data: [DONE]\n\n"):
                self.unexpected.append(f"a stream without an end: {data[-100:]!r}")
            self.counts["streamed"] += 1
        connection.close()

    def abort(self):
        connection, response = self.server.stream("/v1/completions", {**self.body(), "max_tokens": 200})
        if self.ended(response.status, {200}, b"" if response.status == 200 else response.read()):
            for _ in range(self.random.randrange(10)):
                response.readline()
            self.counts["aborted"] += 1
        connection.close()

    def vanish(self):
        """Disconnects before there can be an answer."""
        connection = self.server.connect()
        connection.request("POST", "/v1/completions", json.dumps(self.body()))
        threading.Event().wait(self.random.random() * 0.05)
        connection.close()
        self.counts["aborted"] += 1

    def wrong(self):
        body = self.random.choice(["{", '{"prompt": 3}', '{"prompt": "a", "max_tokens": 99999}', "[" * 3000,
                                   '{"prompt": "a", "model": "b"}'])
        answer = self.server.post("/v1/completions", body)
        if self.ended(answer.status, {400, 404}, answer.body):
            answer.json()
            self.counts["garbage"] += 1

    def noise(self):
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=30) as raw:
            raw.sendall(self.random.randbytes(self.random.randrange(1, 200)) + self.random.choice([b"", b"\r\n\r\n"]))
            raw.shutdown(socket.SHUT_WR)
            while raw.recv(4096):
                pass
        self.counts["garbage"] += 1


def soak(server, seconds, seed, say=lambda text: None):
    """Runs the load; returns {how requests ended, what grew, what was unexpected}."""
    sys.path.insert(0, os.path.join(HERE, "..", "integration"))
    from server import wait_for

    def load(duration, seed):
        until = time.monotonic() + duration
        clients = [Client(server, seed + i, until) for i in range(CLIENTS)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        return clients

    def settled():
        wait_for(server.idle, "an idle engine")
        wait_for(lambda: server.metric("vllm:kv_cache_usage_perc") == 0, "an empty cache")
        return server.usage()

    load(min(2.0, seconds / 4), seed + 1000)  # allocators and caches take their memory once
    before = settled()
    wait_for(lambda: server.usage()["descriptors"] <= before["descriptors"], "closed sockets")
    before = server.usage()
    clients = load(seconds, seed)
    after = settled()
    wait_for(lambda: server.usage()["descriptors"] <= before["descriptors"], "closed sockets")
    report = {name: sum(client.counts[name] for client in clients) for name in clients[0].counts}
    report["unexpected"] = [text for client in clients for text in client.unexpected][:20]
    report["before"], report["after"] = before, server.usage()
    say(json.dumps(report, indent=2))
    # Sockets and threads must match exactly; memory has room for allocators, far below a leak per request.
    if after["threads"] != before["threads"]:
        report["unexpected"].append(f"threads: {before['threads']} before, {after['threads']} after")
    if after["resident"] > before["resident"] * 1.25 + 32 * 1024:
        report["unexpected"].append(f"resident KiB: {before['resident']} before, {after['resident']} after")
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("binary")
    parser.add_argument("model")
    options = parser.parse_args()
    os.environ["AUTOGLM_BINARY"] = os.path.abspath(options.binary)
    os.environ["AUTOGLM_TINY_MODEL"] = os.path.abspath(options.model)
    sys.path.insert(0, os.path.join(HERE, "..", "integration"))
    from server import Server

    print(f"soak: {options.minutes} minutes, seed {options.seed}", flush=True)
    with Server(engine=ENGINE, server=SERVER) as server:
        report = soak(server, options.minutes * 60, options.seed, say=print)
    if report["unexpected"]:
        sys.exit("soak: " + "; ".join(report["unexpected"]))
    print("soak: every request ended as it should; nothing grew")


if __name__ == "__main__":
    main()

"""A gateway in front of servers that tests control: shared by all of its tests."""

import contextlib
import json
import threading
import unittest

from server import PATIENCE, Server, events, text_of, wait_for

PROMPT = "Once upon a time there was a little"


def pool(*urls, name="tiny", **more):
    """A model's configuration; settings that are left out are quick, for tests."""
    endpoints = [url if isinstance(url, dict) else {"url": url} for url in urls]
    return {"name": name, "endpoints": endpoints,
            "health": {"interval": "200ms", "timeout": "5s", "slow_start": "0s"},
            "ejection": {"consecutive_failures": 0}, "breaker": {"request_volume": 1000},
            "timeouts": {"connect": "5s", "first_token": f"{PATIENCE}s", "idle": f"{PATIENCE}s"},
            "retry": {"budget_percent": 100}, **more}


def url(server):
    return f"http://127.0.0.1:{server.port}/v1"


def replica(**server):
    return Server(engine={"max_sequences": 64, "cache_tokens": 32768}, server={"request_timeout": f"{PATIENCE}s", **server})


def gateway(*pools, **server):
    return Server(models=list(pools), server={"request_timeout": f"{PATIENCE}s", **server})


def members(server):
    return {m["endpoint"]: m for model in server.get("/endpoints", admin=True).json()["models"]
            for m in model["endpoints"]}


def wait_until_known(server, count):
    """Waits until the gateway knows which of its servers can resume."""
    wait_for(lambda: sum(m["resumes"] for m in members(server).values()) == count, f"{count} endpoints that resume")


def body(seed, tokens=80, **more):
    return {"prompt": PROMPT, "max_tokens": tokens, "seed": seed, "temperature": 0.8, "ignore_eos": True, **more}


class Crowd:
    """Many concurrent streams, each in a thread, and what each got."""

    def __init__(self, server, bodies, path="/v1/completions"):
        self.server, self.path = server, path
        self.texts, self.failures = [""] * len(bodies), []
        self.begun = threading.Semaphore(0)
        self.threads = [threading.Thread(target=self._run, args=item) for item in enumerate(bodies)]
        for thread in self.threads:
            thread.start()

    def _run(self, i, wanted):
        try:
            connection, response = self.server.stream(self.path, wanted)
            with contextlib.closing(connection):
                if response.status != 200:
                    raise AssertionError(f"{response.status}: {response.read()[:500]}")
                last = None
                for event in events(response):
                    last = event
                    if event == "[DONE]":
                        break
                    if "error" in event:
                        raise AssertionError(json.dumps(event))
                    if not self.texts[i]:
                        self.begun.release()
                    if event["choices"]:
                        self.texts[i] += text_of(event)
                if last != "[DONE]":
                    raise AssertionError(f"ended after {last}")
        except Exception as error:  # reported by the test's thread
            self.failures.append(f"{i}: {error!r}")
            self.begun.release()

    def wait_until_begun(self, count):
        for _ in range(count):
            self.begun.acquire(timeout=PATIENCE)
        return self

    def join(self):
        for thread in self.threads:
            thread.join()
        return self


class GatewayTest(unittest.TestCase):
    def start(self, *contexts):
        return [self.enterContext(context) for context in contexts]

    def answers(self, front, count, wanted=None):
        return [front.post("/v1/completions", wanted or {"prompt": "Hi", "max_tokens": 2}) for _ in range(count)]

    def check_all_answered(self, front, count=20):
        for answer in self.answers(front, count):
            self.assertEqual(answer.status, 200, answer.body)

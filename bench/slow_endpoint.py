"""One of five endpoints is ten times as slow: time to the first token, by policy."""

import asyncio
import contextlib
import json
import random
import threading
import time

from gateway import Gateway
from ratios import Ratio, percentile
from servers import free_port

PLACES, FAST, SLOW = 4, 0.02, 0.2  # concurrent requests of an endpoint, and seconds per request
RATE, REQUESTS = 200, 1000  # requests a second, at random times; the slow endpoint could do 20, and a fifth is 40
FIRST = b'data: {"choices":[{"index":0,"delta":{"content":"word"},"finish_reason":"stop"}]}\n\n'


class Endpoint:
    """Streams one token to each request, and reports its load as vLLM does."""

    def __init__(self, seconds):
        self.port, self.seconds, self.here, self.places = free_port(), seconds, 0, asyncio.Semaphore(PLACES)

    async def serve(self, reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                if head.startswith("GET"):
                    page = f"vllm:num_requests_running {min(self.here, PLACES)}\nvllm:num_requests_waiting {max(self.here - PLACES, 0)}\n".encode()
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(page) + page)
                    continue
                length = next(int(line.split(":")[1]) for line in head.split("\r\n") if line.lower().startswith("content-length"))
                await reader.readexactly(length)
                self.here += 1
                async with self.places:
                    await asyncio.sleep(self.seconds)
                self.here -= 1
                body = FIRST + b"data: [DONE]\n\n"
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
        writer.close()


async def first_token(port):
    body = json.dumps({"model": "m", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}).encode()
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: m\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    answer = await reader.readuntil(b"data: ")
    took = time.monotonic() - began
    if b" 200 " not in answer[:20]:
        raise RuntimeError(answer)
    await reader.read()
    writer.close()
    return took


async def load(port, seed):
    rng, tasks = random.Random(seed), []
    for _ in range(REQUESTS):
        tasks.append(asyncio.create_task(first_token(port)))
        await asyncio.sleep(rng.expovariate(RATE))
    return await asyncio.gather(*tasks)


def slow_endpoint(pairs):
    """one of five endpoints ten times as slow: p99 of the time to the first token, least_load against round_robin"""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()

    async def start():
        endpoints = [Endpoint(SLOW if i == 0 else FAST) for i in range(5)]
        for endpoint in endpoints:
            await asyncio.start_server(endpoint.serve, "127.0.0.1", endpoint.port)
        return [endpoint.port for endpoint in endpoints]

    ports = asyncio.run_coroutine_threadsafe(start(), loop).result()
    runs = []
    for i in range(pairs):
        times = {}
        for balance in ("least_load", "round_robin")[:: 1 if i % 2 else -1]:
            with Gateway(ports, 0, balance=balance, health={"interval": "50ms"}) as server:
                times[balance] = asyncio.run_coroutine_threadsafe(load(server.port, i), loop).result()
        runs.append(times)
    rows = []
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        both = [(1000 * percentile(times["least_load"], share), 1000 * percentile(times["round_robin"], share)) for times in runs]
        mine, other = (sorted(side)[len(runs) // 2] for side in zip(*both))
        rows.append([name, f"{mine:.0f} / {other:.0f} = {Ratio(both)}"])
    notes = (f"Five endpoints that work on {PLACES} requests at a time, for {1000 * FAST:.0f} ms each, one of them for {1000 * SLOW:.0f} ms, and tell their load as "
             f"vLLM does; {RATE} streams a second at random times.")
    return "Gateway: a slow endpoint", ["Time to the first token", "least_load / round_robin, ms"], rows, notes

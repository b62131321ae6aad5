"""The clients: each stream is a thread that records when its tokens arrive."""

import http.client
import json
import random
import socket
import threading
import time

WORDS = "river stone quick brown alpha beta gamma light under over water paper green small early later market story".split()


def words(count, seed):
    rng = random.Random(seed)
    return " ".join(rng.choice(WORDS) for _ in range(count))


class Stream(threading.Thread):
    """One streamed completion. `times` are the arrivals of its events that carry text."""

    def __init__(self, port, prompt, max_tokens, start=None, **body):
        super().__init__(daemon=True)
        self.port, self.start_event = port, start
        # Both servers know these fields; each ignores fields that only the other one knows.
        self.body = {"prompt": prompt, "max_tokens": max_tokens, "stream": True, "ignore_eos": True, "temperature": 0,
                     "stream_options": {"include_usage": True}, **body}
        self.times, self.status, self.usage, self.error = [], None, None, None
        self.stop = threading.Event()

    def run(self):
        self.connection = connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        connection.connect()
        if self.start_event:
            self.start_event.wait()
        self.began = time.monotonic()
        connection.request("POST", "/v1/completions", json.dumps(self.body), {"Content-Type": "application/json"})
        try:
            self._read(connection.getresponse())
        except (OSError, http.client.HTTPException):
            if not self.stop.is_set():
                raise
        self.ended = time.monotonic()
        connection.close()

    def _read(self, response):
        self.status = response.status
        for line in response:
            if b'"error"' in line:
                self.error = line.decode()
            if line.startswith(b"data: {"):
                self.times.append(time.monotonic())
                if b'"usage":{' in line:
                    self.usage = json.loads(line[6:])["usage"]
            if self.stop.is_set():
                break

    def abort(self):
        """Shuts the socket down while the stream's thread reads it."""
        self.stop.set()
        self.connection.sock.shutdown(socket.SHUT_RDWR)

    @property
    def first_token(self):
        return self.times[0] - self.began

    @property
    def gaps(self):
        return [b - a for a, b in zip(self.times, self.times[1:])]


def run_together(streams):
    """Starts all streams at the same moment; returns the wall time until the last one has ended."""
    start = threading.Event()
    for stream in streams:
        stream.start_event = start
        stream.start()
    time.sleep(0.05)  # until all have connected
    began = time.monotonic()
    start.set()
    for stream in streams:
        stream.join()
    if bad := [stream.status for stream in streams if stream.status != 200]:
        raise RuntimeError(f"answers with status {bad}")
    return time.monotonic() - began

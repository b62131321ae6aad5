"""Misbehaving servers behind the gateway: a proxy that spoils streams, and a scripted foreign server."""

import collections
import contextlib
import json
import select
import socket
import struct
import threading

from server import NEVER, PATIENCE


class Listener:
    """Accepts on a loopback port, a free one by default, and serves each connection on its own thread, until closed."""

    def __init__(self, port=0, host="127.0.0.1", tls=None):
        self.host, self.tls = host, tls
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.create_server((host, port), family=family, backlog=512)
        self.port = self.socket.getsockname()[1]
        self.accepted = 0
        self.open = set()
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self._accept)
        self.thread.start()

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://{self.name}/v1"

    @property
    def name(self):
        """The gateway's name for it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def _accept(self):
        workers = []
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                break
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as any server that streams
            with self.lock:
                self.accepted += 1
                self.open.add(connection)
            workers.append(threading.Thread(target=self._run, args=(connection,)))
            workers[-1].start()
        for worker in workers:
            worker.join()

    def _run(self, connection):
        connection.settimeout(PATIENCE)
        with contextlib.suppress(OSError):
            if self.tls:
                plain, connection = connection, self.tls.wrap_socket(connection, server_side=True)
                with self.lock:
                    self.open.discard(plain)
                    self.open.add(connection)
            self.serve(connection)
        with self.lock:
            self.open.discard(connection)
        connection.close()

    def serve(self, connection):
        raise NotImplementedError

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        with self.lock:
            for connection in self.open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self.thread.join()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def reset(connection):
    """Ends the connection with a RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class Spoiler(Listener):
    """Passes everything on to a server; a streamed answer is spoilt after `after` bytes.

    `how`: "reset", "close", "garbage" (bytes that are not a chunk), "nonsense" (a chunk that is not an event), "half" (a
    chunk that is announced and not sent), "stall". None: passes the stream on unspoilt.
    """

    def __init__(self, port, how=None, after=2000):
        self.target, self.how, self.after, self.spoilt = port, how, after, 0
        super().__init__()

    def serve(self, connection):
        with socket.create_connection(("127.0.0.1", self.target), timeout=PATIENCE) as upstream:
            back = threading.Thread(target=self._back, args=(upstream, connection))
            back.start()
            # ValueError: the socket was spoilt and closed meanwhile, which is why this thread must not sleep in recv on it.
            with contextlib.suppress(OSError, ValueError):
                while True:
                    if not select.select([connection], [], [], 0.02)[0]:
                        continue
                    data = connection.recv(65536)
                    if not data:
                        break
                    upstream.sendall(data)
                upstream.shutdown(socket.SHUT_WR)
            back.join()

    def _back(self, upstream, connection):
        passed = 0
        with contextlib.suppress(OSError):
            while data := upstream.recv(512):
                if b"text/event-stream" in data:
                    passed = 1
                if passed:
                    passed += len(data)
                connection.sendall(data)
                if self.how and passed > self.after:
                    self.spoilt += 1
                    self._spoil(connection)
                    upstream.shutdown(socket.SHUT_RDWR)
                    return
            connection.shutdown(socket.SHUT_WR)

    def _spoil(self, connection):
        if self.how == "reset":
            reset(connection)
            return
        if self.how == "garbage":
            connection.sendall(b"\0\xff}{ no chunk at all\r\n\r\n" * 50)
        elif self.how == "nonsense":
            # May come after half a chunk, so that the frame is broken, too.
            connection.sendall(b"\r\n1d\r\ndata: {\"choices\": [{\"inde\n\n\r\n" * 20)
        elif self.how == "half":
            connection.sendall(b"\r\nffff\r\ndata: {")
        elif self.how == "stall":
            connection.recv(1)  # until the gateway closes the connection
        connection.shutdown(socket.SHUT_RDWR)


class Foreign(Listener):
    """A server that is not ours. `answer(path, body, count)` returns (status, headers, body), or a list of a stream's chunks
    in place of the body, which ends properly unless its last element is an exception's class. An event among the chunks
    delays what follows until it is set. `pages` are its answers to GETs, by path, or the status with which it refuses
    them."""

    def __init__(self, answer=None, health=200, pages=None, **listener):
        self.answer = answer or (lambda *_: (200, {}, completion()))
        self.health, self.pages, self.requests, self.gets, self.abandoned = health, pages or {}, [], [], 0
        self.turns = collections.defaultdict(threading.Lock)  # held while an answer is written, by connection
        super().__init__(**listener)

    @property
    def bodies(self):
        return [json.loads(body) for _, _, body in self.requests]

    def serve(self, connection):
        stream = connection.makefile("rb")
        while line := stream.readline():
            method, path, _ = line.decode().split(" ")
            headers = {}
            while (line := stream.readline()) not in (b"\r\n", b""):
                name, value = line.decode().split(":", 1)
                headers[name.lower()] = value.strip()
            body = stream.read(int(headers.get("content-length", 0)))
            if method == "GET":
                self.gets.append(path)
                status = self.health if path == "/health" else 200 if path in self.pages else 404
                page = self.pages.get(path, b"{}")
                if isinstance(page, int):
                    status, page = page, b"{}"
                if page is ConnectionResetError:
                    reset(connection)
                    return
                self._send(connection, status, {}, page)
                continue
            with self.lock:
                self.requests.append((path, headers, body))
                count = len(self.requests)
            status, more, answer = self.answer(path, json.loads(body), count)
            with self.turns[connection]:
                if isinstance(answer, list):
                    if not self._stream(connection, answer):
                        return
                else:
                    self._send(connection, status, more, answer)

    @staticmethod
    def _send(connection, status, headers, body):
        lines = [f"HTTP/1.1 {status} Status", "Content-Type: application/json", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def _stream(self, connection, chunks):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for chunk in chunks:
            if chunk is ConnectionResetError:
                reset(connection)
                return False
            if chunk is TimeoutError:
                connection.recv(1)  # until the gateway closes the connection
                with self.lock:
                    self.abandoned += 1
                return False
            if isinstance(chunk, threading.Event):
                chunk.wait(PATIENCE)
                continue
            connection.sendall(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
            NEVER.wait(0.001)
        connection.sendall(b"0\r\n\r\n")
        return True


class Blackhole:
    """An address that neither accepts nor refuses connections: its backlog is full."""

    def __init__(self, host="127.0.0.1", port=0):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family)
        self.socket.bind((host, port))
        self.socket.listen(0)
        self.port = self.socket.getsockname()[1]
        self.waiting = []
        for _ in range(4):
            knock = socket.socket(family)
            knock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                knock.connect((host, self.port))
            self.waiting.append(knock)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for knock in self.waiting:
            knock.close()
        self.socket.close()


def frame(document):
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def chunk(text, finish=None, index=0, **more):
    """An event of a streamed completion."""
    choice = {"index": index, "text": text, "finish_reason": finish}
    return frame({"id": "c", "object": "text_completion", **more, "choices": [choice]})


def chat_chunk(finish=None, more=None, **delta):
    """An event of a streamed chat."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return frame({"id": "c", "object": "chat.completion.chunk", **(more or {}), "choices": [choice]})


def usage(prompt, completion, **more):
    """The usage event before the end of a stream, if the client has asked for it."""
    total = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return frame({"id": "c", "object": "text_completion", **more, "choices": [], "usage": total})


DONE = b"data: [DONE]\n\n"


def completion(text="foreign"):
    return json.dumps({"id": "c", "object": "text_completion", "model": "m", "unknown_member": {"kept": [1, 2.50]},
                       "choices": [{"index": 0, "text": text, "finish_reason": "stop"}],
                       "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}).encode()

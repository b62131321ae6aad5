"""A model hub on loopback, by script: it behaves like hubs, their storage and bad lines."""

import hashlib
import http.server
import json
import os
import threading
import urllib.parse

from server import TINY_MODEL

with open(TINY_MODEL, "rb") as _file:
    TINY = _file.read()
REPOSITORY = "org/tiny-GGUF"
FILE = "tiny-Q4_K_M.gguf"


class Seen:
    """A request, as it arrived."""

    def __init__(self, handler):
        self.path = handler.path
        self.headers = {k.lower(): v for k, v in handler.headers.items()}

    @property
    def range(self):
        return self.headers.get("range")

    @property
    def token(self):
        return self.headers.get("authorization")


class Hub:
    """`files` are those of the only repository; storage is another origin, to which downloads are redirected if `redirects`.

    Each element of `plan` is for one request of a file, in turn, and the last one for all further requests; a dict with any
    of: status, headers, cut (bytes after which the connection breaks), body (instead of the file), ignore_range, hold (an
    Event that the second half waits for), etag.
    """

    def __init__(self, files=None, redirects=True, plan=(), listing=None, states_digest=True,
                 repository=REPOSITORY):
        self.files = {FILE: TINY} if files is None else files
        self.redirects, self.listing, self.states_digest = redirects, listing, states_digest
        self.repository = repository  # None: any
        self.plan = list(plan)
        self.listings, self.resolves, self.downloads = [], [], []
        self.wrong_digests, self.wrong_sizes, self.private = {}, {}, False
        self.half_sent = threading.Event()
        self.lock = threading.Lock()
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                try:
                    hub.answer(self)
                except (BrokenPipeError, ConnectionResetError):
                    pass
                self.close_connection = True

            def log_message(self, *_):
                pass

        self.servers = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2)]
        for server in self.servers:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        self.url, self.storage = (f"http://127.0.0.1:{server.server_port}" for server in self.servers)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def environment(self, cache, **more):
        """Does not pass on this machine's proxies."""
        none = {name: "" for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy",
                                      "HF_TOKEN")}
        return {**none, "HF_ENDPOINT": self.url, "MODELSCOPE_ENDPOINT": self.url, "XDG_CACHE_HOME": cache, **more}

    def listed(self):
        entries = [{"type": "directory", "path": "docs"}, {"type": "file", "path": "README.md", "size": 3, "oid": "x"}]
        for path, body in self.files.items():
            entry = {"type": "file", "path": path, "size": self.wrong_sizes.get(path, len(body)), "oid": "0" * 40}
            if self.states_digest:
                digest = self.wrong_digests.get(path, hashlib.sha256(body).hexdigest())
                entry["lfs"] = {"oid": digest, "size": entry["size"], "pointerSize": 130}
            entries.append(entry)
        return entries

    def answer(self, handler):
        path = urllib.parse.unquote(urllib.parse.urlsplit(handler.path).path)
        stored = handler.server is self.servers[1]
        if path.startswith("/api/v1/models/") and path.endswith("/repo/files"):
            self.send_json(handler, {"Code": 200, "Data": {"Files": [
                {"Type": "blob", "Path": name, "Size": len(body), "Sha256": hashlib.sha256(body).hexdigest()}
                for name, body in self.files.items()]}})
        elif path.startswith("/api/v1/models/") and path.endswith("/repo"):
            query = urllib.parse.parse_qs(urllib.parse.urlsplit(handler.path).query)
            self.send_file(handler, query["FilePath"][0])
        elif path.startswith("/api/models/"):
            self.listings.append(Seen(handler))
            if self.listing:
                self.send(handler, *self.listing)
            elif self.private and handler.headers.get("Authorization") != "Bearer hf_right":
                self.send(handler, 401 if "Authorization" not in handler.headers else 403, {}, b"no")
            elif self.repository is None or f"/{self.repository}/" in path:
                self.send_json(handler, self.listed())
            else:
                self.send(handler, 404, {}, b"Repository not found")
        elif not stored and "/resolve/main/" in path:
            name = path.split("/resolve/main/")[1]
            self.resolves.append(Seen(handler))
            if self.redirects:
                digest = hashlib.sha256(self.files[name]).hexdigest() if name in self.files else ""
                linked = {"X-Linked-Etag": f'"{digest}"'} if self.states_digest else {}
                self.send(handler, 302, {"Location": f"{self.storage}/blobs/{name}", **linked}, b"")
            else:
                self.send_file(handler, name)
        else:
            self.send_file(handler, path.removeprefix("/blobs/").removeprefix("/"))

    def next_plan(self):
        with self.lock:
            return self.plan.pop(0) if len(self.plan) > 1 else self.plan[0] if self.plan else {}

    def send_json(self, handler, value):
        self.send(handler, 200, {"Content-Type": "application/json"}, json.dumps(value).encode())

    @staticmethod
    def send(handler, status, headers, body):
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def send_file(self, handler, name):
        plan = self.next_plan()
        self.downloads.append(Seen(handler))
        if name not in self.files:
            return self.send(handler, 404, {}, b"no such file")
        if "status" in plan:
            return self.send(handler, plan["status"], plan.get("headers", {}), b"no")
        body, etag = plan.get("body", self.files[name]), plan.get("etag", f'"{len(self.files[name])}"')
        begin, asked = 0, handler.headers.get("Range")
        same = handler.headers.get("If-Range", etag) == etag
        if asked and same and not plan.get("ignore_range"):
            begin = int(asked.removeprefix("bytes=").removesuffix("-"))
            if begin >= len(body):
                return self.send(handler, 416, {"Content-Range": f"bytes */{len(body)}"}, b"")
            handler.send_response(206)
            handler.send_header("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
        else:
            handler.send_response(200)
        handler.send_header("Content-Length", str(len(body) - begin))
        handler.send_header("ETag", etag)
        handler.end_headers()
        rest = body[begin:]
        if "cut" in plan:
            handler.wfile.write(rest[:plan["cut"]])
            handler.wfile.flush()
            return None
        if "hold" in plan:
            handler.wfile.write(rest[:len(rest) // 2])
            handler.wfile.flush()
            self.half_sent.set()
            plan["hold"].wait(60)
            rest = rest[len(rest) // 2:]
        handler.wfile.write(rest)
        return None


def cached(cache, *more):
    return os.path.join(cache, "open-autoglm", "models", *more)

"""The server under test: started on free ports, ended by its pid, observed from outside."""

import http.client
import json
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
import unittest

BINARY = os.environ["AUTOGLM_BINARY"]
TINY_MODEL = os.environ["AUTOGLM_TINY_MODEL"]
ISOLATION = {"isolation": os.environ["AUTOGLM_ISOLATION"]} if "AUTOGLM_ISOLATION" in os.environ else {}
NEVER = threading.Event()
PATIENCE = 60  # seconds allowed for any step; a sanitized build on a busy machine is slow
SANITIZER = re.compile(r"(ERROR|WARNING): (Address|Leak|Thread|UndefinedBehavior)Sanitizer|runtime error:")


def environment(**more):
    """This process's environment, without the variables that would configure the server."""
    own = ("MODEL_NAME", "MAX_WORKERS", "API_TIMEOUT", "ENABLE_METRICS")
    kept = {k: v for k, v in os.environ.items() if k not in own and not k.startswith("OPEN_AUTOGLM_")}
    return {**kept, **more}


def wait_for(condition, what, patience=PATIENCE):
    """Polls until `condition()` is true; returns the value."""
    deadline = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not happen within {patience} s")
        NEVER.wait(0.01)  # another process's state can only be polled


def encoder_models():
    """Configurations of a model that embeds and one that ranks."""
    folder = os.path.dirname(TINY_MODEL)
    return [{"name": name, "engine": {"path": os.path.join(folder, file), "threads": 1, **ISOLATION}}
            for name, file in (("bge-small", "encoder.gguf"), ("bge-reranker", "ranker.gguf"))]


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = {k.lower(): v for k, v in response.getheaders()}
        self.body = response.read()

    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        return self.json()["error"]


class Server:
    """`engine` goes into the model's configuration, `server` into the server's; `models` replaces all models. `tls` is the
    clients' context for the API's port, `admin_tls` the one for the operator's port."""

    def __init__(self, engine=None, server=None, model=TINY_MODEL, args=(), env=None, ready=True,
                 more_models=(), models=None, tls=None, admin_tls=None):
        self.tls, self.admin_tls = tls, admin_tls
        self.folder = tempfile.TemporaryDirectory(prefix="open-autoglm-test-")
        config = {
            "server": {"listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0", **(server or {})},
            "telemetry": {"log": {"format": "json"}},
        }
        if models is not None:
            config["models"] = models
        elif model:
            config["models"] = [{"name": "tiny", "engine": {"path": model, "threads": 1, **ISOLATION, **(engine or {})}}]
            config["models"] += more_models
        self.config, self.config_path = config, os.path.join(self.folder.name, "open-autoglm.yaml")
        self.write_config(config)
        self.out_path = os.path.join(self.folder.name, "out")
        self.log_path = os.path.join(self.folder.name, "log")
        with open(self.out_path, "w") as out, open(self.log_path, "w") as log:
            self.process = subprocess.Popen([BINARY, "serve", "--config", self.config_path, *args], stdout=out, stderr=log,
                                            stdin=subprocess.DEVNULL, env=environment(**(env or {})))
        line = wait_for(self._listening, "a line that says where the server listens")
        self.port, self.admin_port = int(line[1]), int(line[2])
        if ready:
            wait_for(lambda: self.get("/health").status == 200, "readiness")

    def write_config(self, config):
        """Replaces the file atomically, as editors and Kubernetes do, so that it is never half written."""
        fresh = self.config_path + ".fresh"
        with open(fresh, "w") as file:
            json.dump(config, file, indent=1)  # JSON is YAML
        os.replace(fresh, self.config_path)

    def _listening(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.log()}")
        return re.search(r"listening on https?://127\.0\.0\.1:(\d+) \(admin on https?://127\.0\.0\.1:(\d+)\)", self.out())

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            self.stop(check=kind is None)
        finally:
            self.folder.cleanup()

    def stop(self, check=True):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("SIGTERM did not end the server:\n" + self.log()[-3000:]) from None
        if check:
            found = SANITIZER.search(self.log())
            if found or self.process.returncode != 0:
                raise AssertionError(f"exit code {self.process.returncode}:\n{self.log()[-8000:]}")

    def out(self):
        with open(self.out_path) as file:
            return file.read()

    def log(self):
        with open(self.log_path, errors="replace") as file:
            return file.read()

    def await_log(self, text):
        """A line is written by a thread of its own: behind the answer that it is about, at times."""
        wait_for(lambda: text in self.log(), f"a line of the log with {text!r}")

    def log_lines(self):
        lines = []
        for line in self.log().splitlines():
            try:
                lines.append(json.loads(line))
            except json.JSONDecodeError:
                pass
        return lines

    def connect(self, admin=False):
        port, tls = (self.admin_port, self.admin_tls) if admin else (self.port, self.tls)
        if tls:
            return http.client.HTTPSConnection("127.0.0.1", port, timeout=PATIENCE, context=tls)
        return http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)

    def call(self, method, path, body=None, headers=None, admin=False):
        connection = self.connect(admin)
        try:
            if isinstance(body, (dict, list)):
                body = json.dumps(body)
            connection.request(method, path, body, {"Content-Type": "application/json", **(headers or {})})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path, **more):
        return self.call("GET", path, **more)

    def post(self, path, body, **more):
        return self.call("POST", path, body, **more)

    def stream(self, path, body):
        """An open streamed answer: (connection, response). The caller closes the connection."""
        connection = self.connect()
        connection.request("POST", path, json.dumps({**body, "stream": True}), {"Content-Type": "application/json"})
        return connection, connection.getresponse()

    def metric(self, name, /, **labels):
        """The sum of the samples of that name whose labels include these."""
        total = 0.0
        for line in self.get("/metrics", admin=True).body.decode().splitlines():
            found = re.match(r"([^{#\s]+)(?:\{(.*)\})? (\S+)$", line)
            if found and found[1] == name and all(f'{k}="{v}"' in (found[2] or "") for k, v in labels.items()):
                total += float(found[3])
        return total

    def idle(self):
        """Whether no request runs or waits."""
        return self.metric("vllm:num_requests_running") == 0 and self.metric("vllm:num_requests_waiting") == 0

    def usage(self):
        """The process's descriptors, threads and resident KiB."""
        root = f"/proc/{self.process.pid}"
        with open(f"{root}/status") as file:
            status = file.read()
        return {
            "descriptors": len(os.listdir(f"{root}/fd")),
            "threads": len(os.listdir(f"{root}/task")),
            "resident": int(re.search(r"VmRSS:\s+(\d+)", status)[1]),
        }


def events(response):
    """The data of server-sent events, as objects; "[DONE]" as a string."""
    for line in response:
        if line.startswith(b"data: "):
            data = line[6:].strip()
            yield "[DONE]" if data == b"[DONE]" else json.loads(data)


def text_of(event):
    choice = event["choices"][0]
    return choice["text"] if "text" in choice else choice["delta"].get("content") or ""


class ServerTest(unittest.TestCase):
    """One server for all tests of a class; at the end it must be idle, and as small as before."""

    server_options = {}

    @classmethod
    def setUpClass(cls):
        cls.server = Server(**cls.server_options)

    @classmethod
    def tearDownClass(cls):
        try:
            wait_for(cls.server.idle, "an idle engine at the end")
        finally:
            cls.server.__exit__(None)

    def assert_error(self, answer, status, code=None, param=None, says=()):
        self.assertEqual(answer.status, status, answer.body)
        self.assertEqual(answer.headers["content-type"], "application/json")
        error = answer.error
        self.assertEqual(set(error), {"message", "type", "param", "code"})
        if code:
            self.assertEqual(error["code"], code, error)
        if param:
            self.assertEqual(error["param"], param, error)
        for words in [says] if isinstance(says, str) else says:
            self.assertIn(words, error["message"])

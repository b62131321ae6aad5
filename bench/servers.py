"""The servers that are compared: started on free ports, ended by their pid."""

import http.client
import json
import os
import socket
import ssl
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BINARY = os.environ.get("AUTOGLM_BENCH_BINARY") or os.path.join(ROOT, "build", "release", "bin", "open-autoglm")
LLAMA_SERVER = os.path.join(ROOT, "build", "llama", "out", "bin", "llama-server")
MAKE_MODEL = os.path.join(ROOT, "build", "release", "bin", "make_model")


def model_path(name):
    """`default` is the model that `./dev run` fetches; the others are made here, once."""
    if name == "default":
        cache = os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))
        return os.path.join(cache, "open-autoglm", "models", "smollm2-135m-instruct", "SmolLM2-135M-Instruct.Q4_1.gguf")
    path = os.path.join(ROOT, "build", "bench", name + ".gguf")
    if not os.path.exists(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        subprocess.run([MAKE_MODEL, "--shape", name, "--out", path], check=True, stdout=subprocess.DEVNULL)
    return path


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class Process:
    """A server's process, from its start to /health 200."""

    tls = None  # whether its port speaks TLS
    health_port = None  # the port for HTTP/1.1, if it is another one

    def __init__(self, command, port, env=None):
        self.port = port
        self.began = time.monotonic()
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, env=env, stdin=subprocess.DEVNULL)
        while not self.healthy():
            if self.process.poll() is not None:
                self.log.seek(0)
                raise RuntimeError(f"{command[0]} ended: {self.log.read()[-2000:].decode(errors='replace')}")
            time.sleep(0.002)
        self.ready_after = time.monotonic() - self.began

    def healthy(self):
        try:
            if self.tls:
                anybody = ssl._create_unverified_context()
                connection = http.client.HTTPSConnection("127.0.0.1", self.health_port or self.port, timeout=5, context=anybody)
            else:
                connection = http.client.HTTPConnection("127.0.0.1", self.health_port or self.port, timeout=5)
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rest(self):
        """Waits until it uses no CPU: llama-server's compute threads poll long after an answer, at the next answer's cost."""
        before = None
        while (now := self.cpu_seconds()) != before:
            before = now
            time.sleep(0.1)

    def resident_mib(self, key="VmRSS"):
        with open(f"/proc/{self.process.pid}/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith(key + ":")) / 1024

    def metric(self, name):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name + "{"))


def given(**settings):
    """The settings that are not None; the others are left to the server's defaults."""
    return {key: value for key, value in settings.items() if value is not None}


class Ours(Process):
    name = "Open-AutoGLM"

    def __init__(self, model, threads=2, context=4096, cache_tokens=8192, **engine):
        port = free_port()
        self.config = tempfile.NamedTemporaryFile("w", suffix=".yaml")
        json.dump({
            "server": {"listen": f"127.0.0.1:{port}", "admin_listen": "127.0.0.1:0", "request_timeout": "600s"},
            "models": [{"name": "m", "engine": {"path": model_path(model), **given(threads=threads, context=context,
                                                                                   cache_tokens=cache_tokens, **engine)}}],
            "telemetry": {"log": {"level": "warning"}},
        }, self.config)
        self.config.flush()
        super().__init__([BINARY, "serve", "--config", self.config.name], port)


class LlamaServer(Process):
    def __init__(self, model, options, threads=2, cache_tokens=8192):
        self.name = "llama-server " + (" ".join(options) or "(defaults)")
        port = free_port()
        numbers = [word for flag, number in given(**{"-t": threads, "-c": cache_tokens}).items() for word in (flag, str(number))]
        super().__init__([LLAMA_SERVER, "-m", model_path(model), "--host", "127.0.0.1", "--port", str(port), *numbers, *options], port)


def llama_configurations(slots):
    return [[], ["-np", str(slots), "-kvu", "-b", "512", "-ub", "512"], ["-np", str(slots), "-no-kvu"]]


def in_turn(servers, run, turns, warm=True):
    """Calls `run` for each server in rotating order, each time with all servers at rest; returns {server: result} per turn."""
    def alone(server):
        for each in servers:
            each.rest()
        return run(server)

    for server in servers if warm else ():
        alone(server)  # warms up pages, buffers and what is learnt
    return [{server: alone(server) for server in servers[i % len(servers):] + servers[:i % len(servers)]} for i in range(turns)]

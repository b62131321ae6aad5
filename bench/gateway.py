"""The gateway against proxies: CPU time a request, on one core, in front of the same five upstreams."""

import contextlib
import json
import os
import re
import subprocess
import tempfile

from ratios import compared
from servers import BINARY, Process, free_port

UPSTREAMS = 5
ANSWER = json.dumps({
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello! How can I help you today?"},
                 "logprobs": None, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}})
QUESTION = json.dumps({"model": "m", "messages": [{"role": "system", "content": "You are a helpful assistant."},
                                                  {"role": "user", "content": "Hello, how can I help?"}],
                       "max_tokens": 50, "temperature": 0.7})
WRK = f"""
wrk.method = "POST"
wrk.path = "/v1/chat/completions"
wrk.headers["Content-Type"] = "application/json"
wrk.body = {json.dumps(QUESTION)}
function done(summary, latency, requests)
  io.write(string.format("RESULT %d %d %f %f %d\\n", summary.requests, summary.duration, latency:percentile(50),
           latency:percentile(99), summary.errors.status + summary.errors.read + summary.errors.connect + summary.errors.timeout))
end
"""


class Nginx(Process):
    """nginx with one worker; `servers` are the blocks of its http section."""

    name = "nginx"

    def __init__(self, port, servers, cpu, tls=None, health_port=None):
        self.tls, self.health_port = tls, health_port
        self.folder = tempfile.TemporaryDirectory(prefix="bench-nginx-")
        path = os.path.join(self.folder.name, "nginx.conf")
        with open(path, "w") as file:
            file.write(f"""
daemon off; master_process off; worker_processes 1; pid {self.folder.name}/pid; error_log stderr error;
events {{ worker_connections 16384; }}
http {{
  access_log off; keepalive_requests 100000000; client_body_temp_path {self.folder.name}/body;
  proxy_temp_path {self.folder.name}/proxy; fastcgi_temp_path {self.folder.name}/f; uwsgi_temp_path {self.folder.name}/u;
  scgi_temp_path {self.folder.name}/s; client_body_buffer_size 128k; default_type application/json;
  {servers}
}}""")
        super().__init__(["taskset", "-c", str(cpu), "nginx", "-p", self.folder.name, "-c", path], port)


def upstreams(cpu):
    ports = [free_port() for _ in range(UPSTREAMS)]
    blocks = "".join(f"server {{ listen 127.0.0.1:{port}; location / {{ return 200 '{ANSWER}'; }} }}\n" for port in ports)
    return ports, Nginx(ports[0], blocks, cpu)


def nginx_proxy(ports, cpu, tls=None, http2=False):
    """`tls`: a certificate's file and its key's; `http2`: HTTP/2 without TLS."""
    port, plain = free_port(), free_port() if http2 else None
    secure = f"listen 127.0.0.1:{port} ssl; ssl_certificate {tls[0]}; ssl_certificate_key {tls[1]}; ssl_protocols TLSv1.2 TLSv1.3;" if tls else ""
    servers = " ".join(f"server 127.0.0.1:{p};" for p in ports)
    return Nginx(port, f"""upstream pool {{ least_conn; {servers} keepalive 256; keepalive_requests 100000000; }}
      server {{ {secure or (f"listen 127.0.0.1:{port} http2; listen 127.0.0.1:{plain};" if http2 else f"listen 127.0.0.1:{port};")} location = /health {{ return 200; }} location = /livez {{ return 200 "ok\\n"; }} location = /v1/models {{ return 200 '{ANSWER}'; }}
        location / {{ proxy_pass http://pool; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }} }}""", cpu, tls, plain)


class HAProxy(Process):
    name = "HAProxy"

    def __init__(self, ports, cpu):
        port = free_port()
        self.file = tempfile.NamedTemporaryFile("w", suffix=".cfg")
        servers = "\n".join(f"  server s{i} 127.0.0.1:{p}" for i, p in enumerate(ports))
        self.file.write(f"""
global
  nbthread 1
  maxconn 4000
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  http-reuse always
frontend f
  bind 127.0.0.1:{port}
  default_backend b
backend b
  balance leastconn
{servers}
""")
        self.file.flush()
        super().__init__(["taskset", "-c", str(cpu), "haproxy", "-f", self.file.name], port)


class Gateway(Process):
    name = "Open-AutoGLM"

    def __init__(self, ports, cpu, tls=None, server=None, models=None, sections=None, **pool):
        """`ports`: ports of 127.0.0.1, or addresses with their port. `models` replaces them. `sections`: more of the file's."""
        self.tls = tls
        port = free_port()
        self.folder = tempfile.TemporaryDirectory(prefix="bench-gateway-")
        path = os.path.join(self.folder.name, "open-autoglm.yaml")
        with open(path, "w") as file:
            json.dump({
                "server": {"listen": f"127.0.0.1:{port}", "admin_listen": "127.0.0.1:0", "workers": 1, "request_timeout": "600s", **(server or {}),
                           **({"tls": {"certificates": [{"certificate": tls[0], "key": tls[1]}]}} if tls else {})},
                "models": models or [{"name": "m", "balance": "least_connections", **pool,
                                     "endpoints": [{"url": f"http://{p if ':' in str(p) else f'127.0.0.1:{p}'}/v1"} for p in ports]}],
                "telemetry": {"log": {"file": os.path.join(self.folder.name, "log")}},
                **(sections or {}),
            }, file)
        super().__init__(["taskset", "-c", str(cpu), BINARY, "serve", "--config", path], port)


def wrk(port, cpu, seconds, connections=64, headers=None):
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(WRK)
        script.writelines(f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}\n" for name, value in (headers or {}).items())
        script.flush()
        out = subprocess.run(["taskset", "-c", str(cpu), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", script.name,
                              f"http://127.0.0.1:{port}"], capture_output=True, text=True, check=True).stdout
    requests, duration, p50, p99, errors = re.search(r"RESULT (\d+) (\d+) (\S+) (\S+) (\d+)", out).groups()
    if int(errors):
        raise RuntimeError(f"{errors} errors: {out}")
    return {"requests": int(requests), "requests/s": int(requests) * 1e6 / int(duration), "p50 ms": float(p50) / 1e3, "p99 ms": float(p99) / 1e3}


def load(server, cpu, seconds, headers=None):
    before = server.cpu_seconds()
    result = wrk(server.port, cpu, seconds, headers=headers)
    result["CPU µs a request"] = (server.cpu_seconds() - before) * 1e6 / result["requests"]
    return result


def gateway(pairs, seconds=4):
    """small chats through five endpoints: CPU time a request against nginx and HAProxy"""
    keys = ["CPU µs a request", "requests/s", "p50 ms", "p99 ms"]
    with contextlib.ExitStack() as stack:
        ports, behind = upstreams(cpu=1)
        stack.enter_context(behind)
        ours = stack.enter_context(Gateway(ports, 0))
        peers = [stack.enter_context(nginx_proxy(ports, 0)), stack.enter_context(HAProxy(ports, 0))]
        runs = []
        for server in (ours, *peers):
            load(server, 1, 1)
        for i in range(pairs):
            order = [ours, *peers][:: 1 if i % 2 else -1]
            results = {server: load(server, 1, seconds) for server in order}
            runs.append(results)
    rows = [[peer.name, *compared(runs, ours, peer, keys)] for peer in peers]
    notes = (f"{UPSTREAMS} upstreams (nginx, a static answer), 64 connections, `wrk`; the proxy has one core, upstreams and load "
             "the other. Open-AutoGLM parses, balances by least_connections, and writes metrics and its access log; nginx's log is off.")
    return "Gateway: small chats that are not streamed", ["Against", *keys], rows, notes

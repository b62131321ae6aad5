"""Registries on loopback: a real etcd, and a double of Consul; tests/peers has the real one."""

import contextlib
import http.server
import json
import os
import shutil
import socket
import subprocess
import threading
import urllib.parse

from server import wait_for

HAS_ETCD = bool(shutil.which("etcd") and shutil.which("etcdctl"))


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class EtcdServer:
    """Starts at once, on data that may be there already."""

    def __init__(self, port, folder):
        self.port, self.url = port, f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(["etcd", "--data-dir", folder, "--listen-client-urls", self.url, "--advertise-client-urls", self.url,
                                         "--listen-peer-urls", "http://127.0.0.1:0", "--log-level", "error"], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda: self.ctl("endpoint", "health", check=False).returncode == 0, "etcd to be there")
        except BaseException:
            self.kill()
            raise

    def kill(self):
        self.process.kill()
        self.process.wait()

    def ctl(self, *command, check=True, user=None):
        return subprocess.run(["etcdctl", "--endpoints", f"127.0.0.1:{self.port}", *(["--user", user] if user else []), *command],
                              env={**os.environ, "ETCDCTL_API": "3"}, capture_output=True, text=True, check=check, timeout=60)

    def values(self, prefix, user=None):
        """The values below the prefix, by the rest of their keys."""
        lines = self.ctl("get", prefix, "--prefix", user=user).stdout.splitlines()
        return {key.removeprefix(prefix): json.loads(value) for key, value in zip(lines[::2], lines[1::2])}


class Consul:
    """A double of Consul's health endpoint with its blocking queries, and of an agent's own endpoints."""

    def __init__(self, port=0):
        self.changed = threading.Condition()
        self.index, self.services, self.queries, self.broken = 1, [], [], None
        self.agent, self.critical, self.beats = {}, set(), 0  # what was registered, and whose checks fail, by id
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self, status, body=b"", index=0):
                self.send_response(status)
                self.send_header("X-Consul-Index", str(index))
                self.send_header("Content-Length", str(len(body)))
                with contextlib.suppress(ConnectionError):  # it has gone meanwhile
                    self.end_headers()
                    self.wfile.write(body)

            def do_GET(self):
                url = urllib.parse.urlsplit(self.path)
                query = dict(urllib.parse.parse_qsl(url.query))
                with outer.changed:
                    outer.queries.append((self.path, dict(self.headers)))
                    # Woken by changes; a client that is gone is noticed with the answer.
                    outer.changed.wait_for(lambda: outer.index != int(query.get("index", 0)) or outer.broken, timeout=5)
                    if outer.broken:
                        return self.answer(*outer.broken, outer.index)
                    identity = urllib.parse.unquote(url.path.rpartition("/")[2])
                    known = outer.agent.get(identity)
                    if url.path.startswith("/v1/agent/service/"):
                        return self.answer(200, json.dumps(outer.as_service(known)).encode()) if known else self.answer(404)
                    if url.path.startswith("/v1/agent/health/service/id/"):
                        if known and identity in outer.critical: return self.answer(503, b"critical")
                        return self.answer(200 if known else 404)
                    found = outer.services + [outer.as_entry(each) for each in outer.agent.values()]
                    if "passing" in query:
                        found = [each for each in found if all(check["Status"] == "passing" for check in each["Checks"])]
                    if "filter" in query:
                        found = [each for each in found if query["filter"] == f'Service.ID == "{each["Service"].get("ID")}"']
                    return self.answer(200, json.dumps(found).encode(), outer.index)

            def do_PUT(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                url = urllib.parse.urlsplit(self.path)
                name = urllib.parse.unquote(url.path.rpartition("/")[2])
                with outer.changed:
                    outer.queries.append((self.path, dict(self.headers)))
                    if outer.broken:
                        return self.answer(*outer.broken)
                    if url.path == "/v1/agent/service/register":
                        service = json.loads(body)
                        outer.agent[service["ID"]] = service
                        outer.critical.discard(service["ID"])
                    elif url.path.startswith("/v1/agent/service/deregister/"):
                        if outer.agent.pop(name, None) is None:
                            return self.answer(404)
                    elif url.path.startswith("/v1/agent/check/pass/"):
                        if name.removeprefix("service:") not in outer.agent:
                            return self.answer(404, b"Unknown check")
                        outer.beats += 1
                        outer.critical.discard(name.removeprefix("service:"))
                        return self.answer(200)
                    outer.index += 1
                    outer.changed.notify_all()
                return self.answer(200)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @staticmethod
    def as_service(known):
        return {"ID": known["ID"], "Service": known["Name"], "Tags": known["Tags"], "Meta": known["Meta"], "Port": known["Port"],
                "Address": known["Address"], "Weights": known["Weights"], "Datacenter": "dc1"}

    def as_entry(self, known):
        status = "critical" if known["ID"] in self.critical else "passing"
        return {"Node": {"Address": "127.0.0.1"}, "Service": self.as_service(known), "Checks": [{"Status": status}]}

    def change(self, change):
        """Runs `change` on this, and wakes those who wait."""
        with self.changed:
            change(self)
            self.index += 1
            self.changed.notify_all()

    def say(self, ports, broken=None, **service):
        def all_of_it(double):
            double.services = [{"Node": {"Address": "127.0.0.1"}, "Checks": [{"Status": "passing"}],
                                "Service": {"Port": port, "Weights": {"Passing": 1, "Warning": 1}, **service}} for port in ports]
            double.broken = broken

        self.change(all_of_it)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.say([], broken=(500, b""))
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

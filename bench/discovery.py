"""Ten thousand servers in a registry, of which a hundred change each second: CPU time by thread, and memory a member."""

import base64
import collections
import contextlib
import http.client
import json
import os
import re
import socket
import statistics
import tempfile
import threading
import time

from gateway import Gateway
from servers import Process, free_port

MEMBERS, FEW, CHANGES = 10000, 10, 100
PREFIX = "/autoglm/services/m/"


def address(number, port):
    return f"127.{1 + number // 62500 % 250}.{1 + number // 250 % 250}.{1 + number % 250}:{port}"


class Listening:
    """All servers in one: a port at every address of the loopback network, whose connections open and end. That is enough for
    `health.path: ""`."""

    def __init__(self):
        self.socket = socket.create_server(("0.0.0.0", 0), backlog=4096)
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                self.socket.accept()[0].close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join()


class ByFile:
    """The whole list is written anew ten times a second."""

    name = "file"

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="bench-members-")
        self.path = os.path.join(self.folder.name, "members.json")

    def discover(self):
        return {"file": {"path": self.path, "interval": "100ms"}}

    def say(self, came, left, everyone):
        with open(self.path + ".next", "w") as file:
            json.dump([{"targets": everyone, "labels": {"zone": "eu-1", "version": "1.2.3"}}], file)
        os.replace(self.path + ".next", self.path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.folder.cleanup()


class ByEtcd(Process):
    """etcd, which tells of each change by itself."""

    name = "etcd"

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="bench-etcd-")
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        super().__init__(["etcd", "--data-dir", self.folder.name, "--listen-client-urls", url, "--advertise-client-urls", url, "--listen-peer-urls",
                          "http://127.0.0.1:0", "--log-level", "error", "--unsafe-no-fsync"], port)
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def discover(self):
        return {"etcd": {"endpoints": [f"http://127.0.0.1:{self.port}"], "prefix": PREFIX}}

    def ask(self, path, body):
        self.connection.request("POST", path, json.dumps(body))
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"etcd: {answer.status} {text[:200]}")

    def say(self, came, left, everyone):
        def coded(text):
            return base64.b64encode(text.encode()).decode()

        changes = [("/v3/kv/put", {"key": coded(PREFIX + each), "value": coded(json.dumps({"Op": 0, "Addr": each, "Metadata": {"zone": "eu-1", "version": "1.2.3"}}))})
                   for each in came] + [("/v3/kv/deleterange", {"key": coded(PREFIX + each)}) for each in left]
        for path, body in changes:
            self.ask(path, body)


def cpu_by_thread(pid):
    seconds = collections.Counter()
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{task}/stat") as file:
            name, rest = re.match(r"\d+ \((.*)\) (.*)", file.read()).groups()
            fields = rest.split()
            kind = "control" if int(task) == pid else "loops" if name.startswith("loop") else "others"
            seconds[kind] += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return seconds


def used(server, seconds, work=lambda _: None):
    """Percent of a core, by thread, while `work` is called ten times a second."""
    before, began = cpu_by_thread(server.process.pid), time.monotonic()
    for turn in range(10 * seconds):
        work(turn)
        time.sleep(max(0, began + (turn + 1) / 10 - time.monotonic()))
    after, took = cpu_by_thread(server.process.pid), time.monotonic() - began
    return {kind: 100 * (after[kind] - before[kind]) / took for kind in ("control", "loops", "others")}


def metric(server, name):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", "/metrics")
        found = re.search(rf"^{name}{{[^}}]*}} (\S+)$", connection.getresponse().read().decode(), re.M)
    return float(found.group(1)) if found else 0


def follow(registry, port, count, seconds, pairs):
    """Resident MiB with so many members, and figures of each of the pairs of a quiet and a busy time."""
    everyone = collections.deque(address(i, port) for i in range(count))
    registry.say(list(everyone), [], list(everyone))
    model = {"name": "m", "discover": [registry.discover()], "health": {"path": "", "interval": "1h"}}
    with Gateway([], 1, models=[model], server={"workers": 2}) as server:
        while metric(server, "autoglm_discovery_members") != count:
            time.sleep(0.1)
        time.sleep(count / 1000 + 1)  # the first check of each, one a millisecond
        resident, figures, fresh = server.resident_mib(), [], count

        def change(_):
            nonlocal fresh
            came = [address(fresh + i, port) for i in range(CHANGES // 20)]
            fresh += len(came)
            left = [everyone.popleft() for _ in came]
            everyone.extend(came)
            registry.say(came, left, list(everyone))

        for _ in range(pairs):
            quiet, handed_over = used(server, seconds), metric(server, "autoglm_discovery_changes_total")
            busy = used(server, seconds, change)
            figures.append({**{kind: busy[kind] - quiet[kind] for kind in busy},
                            "changes": (metric(server, "autoglm_discovery_changes_total") - handed_over) / seconds})
    return resident, figures


def discovery(pairs, seconds=10):
    """a registry's 10,000 members, of which 100 change each second: CPU time of the control loop and of the worker loops"""
    rows = []
    with Listening() as servers:
        for make in (ByFile, ByEtcd):
            with make() as registry:
                small, _ = follow(registry, servers.port, FEW, 1, 0)
            with make() as registry:
                large, figures = follow(registry, servers.port, MEMBERS, seconds, pairs)
            medians = {key: statistics.median(each[key] for each in figures) for key in figures[0]}
            rows.append([make.name, *(f"{medians[kind]:.1f} %" for kind in ("control", "loops", "others")), f"{medians['changes']:.1f}",
                         f"{1024 * (large - small) / (MEMBERS - FEW):.2f} KiB"])
    load = " / ".join(f"{each:.1f}" for each in os.getloadavg())
    notes = (f"{MEMBERS:,} members, each checked once; {CHANGES} of them change each second, half of them come and half leave. Percent of a core beyond what the same gateway needs "
             f"without changes, median of {pairs} times {seconds} s; one control loop, two worker loops, and the threads that read files and long answers. Memory is what {MEMBERS:,} members take beyond "
             f"{FEW}, divided. Load average of the machine: {load}.")
    return ("Discovery: a registry that changes all the time", ["registry", "control loop", "worker loops", "other threads", "changes handed over/s", "memory a member"],
            rows, notes)

"""Consul itself: what it lists of us, how fast a change is followed, and what its faults change. `tools/peers/consul.sh` gets it."""

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

from gateway_fixture import GatewayTest  # noqa: E402
from registry_fixture import free_port  # noqa: E402
from server import NEVER, Server, wait_for  # noqa: E402
from test_register import Registered  # noqa: E402
from upstream import Foreign  # noqa: E402

PEERS = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "open-autoglm", "peers")
CONSUL, PROMETHEUS = os.path.join(PEERS, "consul", "consul"), os.path.join(PEERS, "prometheus", "prometheus")
ROOT_TOKEN, OUR_TOKEN = "8e12b6a4-71f0-4d13-9f4e-000000000001", "8e12b6a4-71f0-4d13-9f4e-000000000002"


class Agent:
    """A server and agent on loopback that keeps everything in memory: started again, it is empty."""

    def __init__(self, acl=False):
        self.port, self.acl = free_port(), acl
        self.others = [free_port() for _ in range(2)]
        self.folder = tempfile.TemporaryDirectory(prefix="open-autoglm-consul-")
        self.start()

    def start(self):
        options = ["-dev", "-node=here", "-bind=127.0.0.1", "-client=127.0.0.1", f"-http-port={self.port}", "-grpc-port=-1", "-dns-port=-1",
                   f"-server-port={self.others[0]}", f"-serf-lan-port={self.others[1]}", "-serf-wan-port=-1", "-log-level=warn"]
        if self.acl:
            options.append(f'-hcl=acl {{ enabled = true, default_policy = "deny", tokens {{ initial_management = "{ROOT_TOKEN}", '
                           f'agent = "{ROOT_TOKEN}" }} }}')
        with open(os.path.join(self.folder.name, "log"), "a") as log:
            self.process = subprocess.Popen([CONSUL, "agent", *options], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        wait_for(lambda: self.ask("/v1/catalog/node/here") not in (None, {}), "Consul to know itself")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def ask(self, path, body=None, method=None):
        """The answer as an object; None when there is none."""
        request = urllib.request.Request(f"{self.url}{path}", method=method or ("PUT" if body is not None else "GET"),
                                         data=None if body is None else json.dumps(body).encode(), headers={"X-Consul-Token": ROOT_TOKEN} if self.acl else {})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                text = answer.read()
                return json.loads(text) if text else {}
        except (OSError, urllib.error.HTTPError):
            return None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def put(self, name, port, **more):
        """A server that somebody registers."""
        answer = self.ask("/v1/agent/service/register", {"Name": "llm", "ID": name, "Address": "127.0.0.1", "Port": port, **more})
        assert answer is not None

    def remove(self, name):
        assert self.ask(f"/v1/agent/service/deregister/{name}", {}) is not None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGCONT)
        self.kill()
        self.folder.cleanup()


class Load:
    """Requests, one after the other in each of some threads, and what failed."""

    def __init__(self, front, threads=4):
        self.front, self.failures, self.answered, self.over = front, [], 0, threading.Event()
        self.threads = [threading.Thread(target=self._run) for _ in range(threads)]

    def _run(self):
        while not self.over.is_set():
            answer = self.front.post("/v1/completions", {"prompt": "Hi", "max_tokens": 2})
            if answer.status == 200:
                self.answered += 1
            else:
                self.failures.append(answer.body)
            NEVER.wait(0.02)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()


@unittest.skipUnless(os.path.exists(CONSUL), "Consul is not here: run tools/peers/consul.sh")
class ConsulTest(GatewayTest):
    def agent(self, **options):
        return self.enterContext(Agent(**options))

    def entry(self, agent, id="ours", token=None, **more):
        connection = {"address": agent.url, "ttl": "6s", **({"token": token} if token else {}), **more.pop("consul", {})}
        return {"consul": connection, "service": "llm", "id": id, **more}

    def gateway(self, consul, **more):
        model = {"name": "tiny", "discover": [{"consul": {"address": consul.url, "service": "llm", **more}}],
                 "health": {"interval": "200ms", "timeout": "2s", "slow_start": "0s"}, "timeouts": {"connect": "2s"}, "retry": {"budget_percent": 100}}
        return self.start(Server(models=[model], ready=False))[0]

    def found(self, front):
        return sorted(m["endpoint"] for m in front.get("/members", admin=True).json()["models"][0]["members"])

    def up(self, front):
        return front.get("/members", admin=True).json()["models"][0]["registries"][0]["up"]


class Found(ConsulTest):
    def test_a_change_is_followed_within_a_second(self):
        consul = self.agent()
        a, b = self.start(Foreign(), Foreign())
        consul.put("a", a.port)
        front = self.gateway(consul)
        wait_for(lambda: self.found(front) == [a.name], "the first")
        wait_for(lambda: front.get("/readyz").status == 200, "readiness")
        times = []
        with Load(front) as load:
            for turn in range(40):
                begun = time.monotonic()
                if turn % 2 == 0:
                    before = len(b.requests)
                    consul.put("b", b.port)
                    wait_for(lambda: len(b.requests) > before, "a request to who came")
                else:
                    consul.remove("b")
                    wait_for(lambda: self.found(front) == [a.name], "that who left is no member")
                times.append(time.monotonic() - begun)
                NEVER.wait(0.1)  # as servers come and go; Consul is asked again at most every 50 ms
        print(f"\nchange to asked: median {statistics.median(times):.3f} s, most {max(times):.3f} s of {len(times)}; "
              f"{load.answered} answered, {len(load.failures)} failed", file=sys.stderr)
        self.assertEqual(load.failures, [])
        self.assertLess(statistics.median(times), 1)

    def test_its_faults_change_nothing(self):
        consul = self.agent()
        front = self.gateway(consul)
        (ours,) = self.start(Registered(self.entry(consul)))
        ours.wait_until_registered()
        wait_for(lambda: self.found(front) == [ours.address], "that it is found")
        wait_for(lambda: front.get("/readyz").status == 200, "readiness")
        with Load(front) as load:
            consul.process.send_signal(signal.SIGSTOP)
            ours.wait_until_registered(False)
            consul.process.send_signal(signal.SIGCONT)
            ours.wait_until_registered()
            wait_for(lambda: self.up(front), "that it is heard again")
            consul.kill()
            wait_for(lambda: not self.up(front), "that it is away")
            ours.wait_until_registered(False)
            begun = time.monotonic()
            consul.start()
            wait_for(lambda: "ours" in (consul.ask("/v1/agent/services") or {}), "that it is told again")
            print(f"\nin an empty Consul again after {time.monotonic() - begun:.1f} s, its start included", file=sys.stderr)
            ours.wait_until_registered()
            wait_for(lambda: self.up(front), "that it is heard again")
            self.assertEqual(self.found(front), [ours.address])
        self.assertEqual(load.failures, [])
        self.assertGreater(load.answered, 50)


class Entered(ConsulTest):
    def statuses(self, consul, service="llm"):
        return {each["Service"]["ID"]: [check["Status"] for check in each["Checks"] if check["ServiceID"]]
                for each in consul.ask(f"/v1/health/service/{service}") or []}

    def test_what_it_lists(self):
        consul = self.agent()
        entry = self.entry(consul, tags=["gpu", "prod"], metadata={"zone": "eu-1"}, weight=3)
        (ours,) = self.start(Registered(entry, server={"drain_delay": "1h"}))
        ours.wait_until_registered()
        (listed,) = consul.ask("/v1/catalog/service/llm")
        self.assertEqual((listed["ServiceID"], listed["ServiceAddress"], listed["ServicePort"], sorted(listed["ServiceTags"])),
                         ("ours", "127.0.0.1", ours.port, ["gpu", "prod"]))
        self.assertEqual(listed["ServiceWeights"], {"Passing": 3, "Warning": 1})
        self.assertEqual({key: listed["ServiceMeta"][key] for key in ("models", "protocol", "zone")}, {"models": "tiny", "protocol": "openai", "zone": "eu-1"})
        shown = {each["Name"]: each for each in consul.ask("/v1/internal/ui/services?dc=dc1")}["llm"]
        self.assertEqual((shown["InstanceCount"], shown["ChecksPassing"], shown["ChecksCritical"]), (1, 2, 0))  # ours, and the node's
        # A beat does not write it anew.
        index = listed["ModifyIndex"]
        wait_for(lambda: ours.metric("autoglm_registered", registry="consul llm") == 1, "the metric")
        NEVER.wait(7)  # longer than its time to live
        self.assertEqual(self.statuses(consul), {"ours": ["passing"]})
        self.assertEqual(consul.ask("/v1/catalog/service/llm")[0]["ModifyIndex"], index)
        ours.process.send_signal(signal.SIGTERM)
        wait_for(lambda: ours.get("/readyz").status == 503, "the end of readiness")
        self.assertEqual(consul.ask("/v1/catalog/service/llm"), [])
        ours.process.send_signal(signal.SIGTERM)
        ours.process.wait(60)

    def test_one_that_is_killed_is_critical_and_gives_its_id_to_the_next(self):
        consul = self.agent()
        front = self.gateway(consul)
        dead = Registered(self.entry(consul, consul={"ttl": "3s"}))
        self.addCleanup(dead.folder.cleanup)
        dead.wait_until_registered()
        (other,) = self.start(Registered(self.entry(consul, id="other", consul={"ttl": "3s"})))
        (second,) = self.start(Registered(self.entry(consul, consul={"ttl": "3s"})))
        wait_for(lambda: "belongs to another server" in second.entry["error"], "the refusal")
        wait_for(lambda: self.found(front) == sorted([dead.address, other.address]), "both")
        begun = time.monotonic()
        dead.process.kill()
        dead.process.wait()
        wait_for(lambda: dead.address not in self.found(front), "that it is gone")
        print(f"\nkilled: gone after {time.monotonic() - begun:.1f} s of a TTL of 3 s", file=sys.stderr)
        second.wait_until_registered()
        self.assertEqual(self.statuses(consul), {"ours": ["passing"], "other": ["passing"]})

    def test_by_its_own_questions(self):
        consul = self.agent()
        (ours,) = self.start(Registered(self.entry(consul, consul={"check": "http", "ttl": "3s"})))
        ours.wait_until_registered()
        wait_for(lambda: "HTTP GET" in str(consul.ask("/v1/agent/checks")), "its first question")
        self.assertEqual(self.statuses(consul), {"ours": ["passing"]})
        ours.process.send_signal(signal.SIGSTOP)
        wait_for(lambda: self.statuses(consul) == {"ours": ["critical"]}, "that it finds us frozen")
        ours.process.send_signal(signal.SIGCONT)
        wait_for(lambda: self.statuses(consul) == {"ours": ["passing"]}, "that it finds us well")

    def test_rights(self):
        consul = self.agent(acl=True)
        policy = {"Name": "llm", "Rules": 'service "llm" { policy = "write" } node_prefix "" { policy = "read" }'}
        wait_for(lambda: consul.ask("/v1/acl/policy", policy), "the policy")
        wait_for(lambda: consul.ask("/v1/acl/token", {"SecretID": OUR_TOKEN, "Policies": [{"Name": "llm"}]}), "the token")
        (ours,) = self.start(Registered(self.entry(consul)))
        wait_for(lambda: "see its token" in ours.entry["error"], "the refusal without a token")
        self.assertEqual(ours.reload(self.entry(consul, token=OUR_TOKEN[:-1] + "f")).status, 200)
        wait_for(lambda: "ACL not found" in ours.entry["error"], "the refusal of a wrong token")
        self.assertEqual(ours.reload(self.entry(consul, token=OUR_TOKEN)).status, 200)
        ours.wait_until_registered()
        front = self.gateway(consul, token=OUR_TOKEN)
        wait_for(lambda: self.found(front) == [ours.address], "that it is found")
        blind = self.gateway(consul)
        wait_for(lambda: blind.get("/members", admin=True).json()["models"][0]["registries"][0]["error"] or self.up(blind), "what a stranger hears")
        self.assertEqual(self.found(blind), [])
        self.assertNotIn(OUR_TOKEN, ours.log() + front.log())
        ours.stop()
        wait_for(lambda: self.statuses(consul) == {}, "that it has left")

    @unittest.skipUnless(os.path.exists(PROMETHEUS), "Prometheus with its discovery by Consul is not here: run tools/peers/prometheus.sh")
    def test_prometheus_finds_us(self):
        consul = self.agent()
        (ours,) = self.start(Registered(self.entry(consul, tags=["gpu"])))
        ours.wait_until_registered()
        folder = self.enterContext(tempfile.TemporaryDirectory(prefix="open-autoglm-prometheus-"))
        path, port = os.path.join(folder, "prometheus.yml"), free_port()
        with open(path, "w") as file:
            json.dump({"global": {"scrape_interval": "1s"}, "scrape_configs": [
                {"job_name": "llm", "consul_sd_configs": [{"server": f"127.0.0.1:{consul.port}", "services": ["llm"]}],
                 "relabel_configs": [{"source_labels": ["__meta_consul_service_metadata_models"], "target_label": "models"}]}]}, file)
        process = subprocess.Popen([PROMETHEUS, f"--config.file={path}", f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(lambda: (process.kill(), process.wait()))

        def targets():
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/targets", timeout=10) as answer:
                    return [(t["scrapeUrl"], t["labels"]["models"], t["health"]) for t in json.load(answer)["data"]["activeTargets"]]
            except OSError:
                return []

        wait_for(lambda: targets() == [(f"http://{ours.address}/metrics", "tiny", "up")], "that it scrapes us")
        ours.stop()
        wait_for(lambda: targets() == [], "that it forgets us")


if __name__ == "__main__":
    unittest.main()

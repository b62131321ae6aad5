"""Servers that are found: by a file, by the DNS, by Consul; lists that are held, and those that leave."""

import json
import os
import signal
import subprocess
import tempfile
import threading
import unittest

from gateway_fixture import GatewayTest
from registry_fixture import HAS_ETCD, Consul, EtcdServer, free_port
from server import BINARY, Server, environment, wait_for
from upstream import Foreign

DNSMASQ = "/usr/sbin/dnsmasq"


def found(*discover, endpoints=(), **more):
    """A model whose servers are found; checks are quick, for tests."""
    return {"name": "tiny", "endpoints": [{"url": url} for url in endpoints], "discover": list(discover),
            "health": {"interval": "200ms", "timeout": "2s", "slow_start": "0s"}, "timeouts": {"connect": "2s"}, **more}


class Discovered(GatewayTest):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="open-autoglm-discovery-")
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "members.json")

    def say(self, *servers, labels=None):
        with open(self.path + ".next", "w") as file:
            json.dump([{"targets": [server.name if hasattr(server, "name") else server for server in servers], "labels": labels or {}}], file)
        os.replace(self.path + ".next", self.path)

    def by_file(self, **more):
        return {"file": {"path": self.path, "interval": "50ms"}, **more}

    def front(self, *models, **more):
        return self.start(Server(models=list(models), **more))[0]

    def members(self, front):
        (model,) = front.get("/members", admin=True).json()["models"]
        return model

    def wait_for_members(self, front, *servers):
        names = sorted(server.name for server in servers)
        wait_for(lambda: sorted(m["endpoint"] for m in self.members(front)["members"]) == names, f"the members {names}")

    def asked(self, front, servers, count=30):
        before = [len(server.requests) for server in servers]
        self.check_all_answered(front, count)
        return [len(server.requests) - old for server, old in zip(servers, before)]


class Files(Discovered):
    def test_servers_come_and_go_with_the_file(self):
        a, b = self.start(Foreign(), Foreign())
        self.say(a)
        front = self.front(found(self.by_file()))
        self.wait_for_members(front, a)
        self.assertEqual(self.asked(front, [a, b])[1], 0)
        self.say(a, b)
        self.wait_for_members(front, a, b)
        self.assertGreater(min(self.asked(front, [a, b])), 0)
        self.say(b)
        self.wait_for_members(front, b)
        self.assertEqual(self.asked(front, [a, b]), [0, 30])
        model = self.members(front)
        self.assertEqual([(r["registry"], r["up"], r["members"]) for r in model["registries"]], [(f"file {self.path}", True, 1)])
        self.assertEqual([(m["from"], m["held"], m["asked"]) for m in model["members"]], [(f"file {self.path}", False, True)])

    def test_a_file_that_is_not_there_yet_or_wrong_leaves_what_was(self):
        (a,) = self.start(Foreign())
        front = self.front(found(self.by_file()), ready=False)
        self.assertEqual(front.post("/v1/completions", {"prompt": "Hi"}).status, 503)
        self.assertEqual(front.get("/readyz").status, 503, "nobody knows yet whether there are servers")
        self.say(a)
        self.wait_for_members(front, a)
        wait_for(lambda: front.get("/readyz").status == 200, "readiness")
        with open(self.path, "w") as file:
            file.write("- targets: [")
        wait_for(lambda: not self.members(front)["registries"][0]["up"], "the mistake in the file")
        self.assertIn("members.json:1", self.members(front)["registries"][0]["error"])
        self.check_all_answered(front)
        self.assertEqual(front.metric("autoglm_discovery_up", model="tiny"), 0)

    def test_an_empty_list_is_held_while_the_servers_are_well(self):
        a, b = self.start(Foreign(), Foreign())
        self.say(a, b)
        front = self.front(found(self.by_file(hold="100ms")))
        self.wait_for_members(front, a, b)
        with open(self.path, "w") as file:
            file.write("[]")
        wait_for(lambda: front.metric("autoglm_discovery_held", model="tiny") == 2, "both to be held")
        self.check_all_answered(front, 100)
        self.assertTrue(all(m["held"] for m in self.members(front)["members"]))
        a.close()
        self.wait_for_members(front, b)  # what our own checks find dead may go
        self.check_all_answered(front)
        b.close()
        wait_for(lambda: not self.members(front)["members"], "the last one to go")

    def test_configured_servers_stand_beside_them_and_a_reload_keeps_what_was_found(self):
        a, b, c = self.start(Foreign(), Foreign(), Foreign())
        self.say(b)
        front = self.front(found(self.by_file(), endpoints=[a.url]))
        self.wait_for_members(front, a, b)
        front.config["models"] = [found(self.by_file(), endpoints=[a.url, c.url])]
        front.write_config(front.config)
        self.assertEqual(front.post("/reload", "", admin=True).status, 200)
        self.wait_for_members(front, a, b, c)
        # Another policy makes the pool anew: it has its servers from the first request on.
        front.config["models"] = [found(self.by_file(), endpoints=[a.url, c.url], balance="round_robin")]
        front.write_config(front.config)
        self.assertEqual(front.post("/reload", "", admin=True).status, 200)
        self.assertEqual(sorted(m["endpoint"] for m in self.members(front)["members"]), sorted(s.name for s in (a, b, c)))
        front.config["models"] = [found(self.by_file(), balance="round_robin")]
        front.write_config(front.config)
        self.assertEqual(front.post("/reload", "", admin=True).status, 200)
        self.wait_for_members(front, b)
        self.assertEqual(self.asked(front, [a, b, c]), [0, 30, 0])

    def test_one_that_comes_back_is_as_it_left_and_starts_slowly(self):
        a, good, bad = self.start(Foreign(), Foreign(), Foreign(lambda *_: (500, {}, b"{}")))
        self.say(a, good, bad)
        front = self.front(found(self.by_file(max_shrink_percent=100), balance="round_robin", health={"interval": "100ms", "timeout": "2s", "slow_start": "1h"},
                                 ejection={"consecutive_failures": 3, "base_time": "1h", "max_time": "1h"}))
        self.wait_for_members(front, a, good, bad)
        while front.metric("autoglm_endpoint_ejected", endpoint=bad.name) != 1:
            self.check_all_answered(front, 1)
        first, second, none = self.asked(front, [a, good, bad], 40)  # each loop takes turns by itself
        self.assertGreater(min(first, second), 15)
        self.assertEqual(none, 0)
        failed = front.metric("autoglm_endpoint_attempts_total", endpoint=bad.name, outcome="failed")
        self.say(a)
        self.wait_for_members(front, a)
        # What is not remembered is forgotten within two of these checks.
        checks = len(a.gets)
        wait_for(lambda: len(a.gets) > checks + 5, "checks")
        self.assertIn(f'autoglm_endpoint_attempts_total{{model="tiny",endpoint="{bad.name}"', front.get("/metrics", admin=True).body.decode(), "its last counts")
        self.assertNotIn(f'autoglm_endpoint_healthy{{model="tiny",endpoint="{bad.name}"', front.get("/metrics", admin=True).body.decode(), "it is not there")
        self.say(a, good, bad)
        self.wait_for_members(front, a, good, bad)
        self.assertEqual(front.metric("autoglm_endpoint_ejected", endpoint=bad.name), 1)
        self.assertEqual(front.metric("autoglm_endpoint_attempts_total", endpoint=bad.name, outcome="failed"), failed)
        usual, slow, none = self.asked(front, [a, good, bad], 110)
        self.assertEqual(none, 0)
        self.assertLess(slow, 22, "a tenth of its share, not a half")
        self.assertGreater(slow, 0)
        # A reload that makes the pool anew disturbs nobody who stays.
        front.config["models"][0]["ejection"]["consecutive_failures"] = 4
        front.write_config(front.config)
        self.assertEqual(front.post("/reload", "", admin=True).status, 200)
        self.assertGreater(self.asked(front, [a, good, bad], 110)[0], 80)

    def test_labels_choose_and_shape(self):
        a, b = self.start(Foreign(), Foreign())
        with open(self.path, "w") as file:
            json.dump([{"targets": [a.name], "labels": {"models": "glm,tiny", "called": "theirs"}}, {"targets": [b.name], "labels": {"models": "glm"}}], file)
        front = self.front(found(self.by_file(filter={"models": "tiny"}, map={"model": "called"}, endpoint={"api_key": "k-1"})))
        self.wait_for_members(front, a)
        self.check_all_answered(front, 5)
        _, headers, _ = a.requests[0]
        self.assertEqual(headers["authorization"], "Bearer k-1")
        self.assertEqual(a.bodies[0]["model"], "theirs")
        self.assertEqual(self.members(front)["registries"][0]["left_out"], 1)

    def test_no_request_fails_while_servers_come_and_go(self):
        servers = self.start(*(Foreign() for _ in range(4)))
        self.say(*servers[:2])
        front = self.front(found(self.by_file()))
        self.wait_for_members(front, *servers[:2])
        stop, failures, answered = threading.Event(), [], []

        def ask():
            while not stop.is_set():
                answer = front.post("/v1/completions", {"prompt": "Hi", "max_tokens": 2})
                (answered if answer.status == 200 else failures).append(answer.status)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for turn in range(12):
            chosen = [servers[(turn + i) % 4] for i in range(2)]
            self.say(*chosen)
            self.wait_for_members(front, *chosen)
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertGreater(len(answered), 12)


@unittest.skipUnless(os.path.exists(DNSMASQ), "dnsmasq is not installed")
class Names(Discovered):
    def dnsmasq(self, port, *options):
        process = subprocess.Popen([DNSMASQ, "--keep-in-foreground", "--no-resolv", "--no-hosts", f"--port={port}", "--listen-address=127.0.0.1",
                                    "--bind-interfaces", "--local-ttl=1", "--pid-file=", "--user=", f"--addn-hosts={self.hosts}", *options],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(lambda: (process.kill(), process.wait()))
        return process

    def setUp(self):
        super().setUp()
        self.hosts = self.path + ".hosts"

    def name(self, *addresses):
        with open(self.hosts, "w") as file:
            file.writelines(f"{address} llm.test\n" for address in addresses)
        os.chmod(self.hosts, 0o644)

    def test_addresses_of_a_name(self):
        a = self.start(Foreign(host="127.0.0.2"))[0]
        b = self.start(Foreign(host="127.0.0.3", port=a.port))[0]
        self.name("127.0.0.2")
        port = free_port()
        dns = self.dnsmasq(port)
        front = self.front(found({"dns": {"name": "llm.test", "port": a.port, "interval": "100ms", "server": f"127.0.0.1:{port}"}}))
        self.wait_for_members(front, a)
        self.name("127.0.0.2", "127.0.0.3")
        dns.send_signal(signal.SIGHUP)
        self.wait_for_members(front, a, b)
        self.assertGreater(min(self.asked(front, [a, b])), 0)
        dns.send_signal(signal.SIGSTOP)  # it answers nobody
        self.check_all_answered(front)
        dns.send_signal(signal.SIGCONT)
        dns.kill()
        wait_for(lambda: front.metric("autoglm_discovery_up", model="tiny") == 0, "that nobody answers")
        self.check_all_answered(front)
        self.name("127.0.0.3")
        self.dnsmasq(port)
        self.wait_for_members(front, b)

    def test_more_addresses_than_a_datagram_has_room_for(self):
        (a,) = self.start(Foreign(host="127.0.0.2"))
        self.name(*(f"127.0.{i // 200 + 1}.{i % 200 + 2}" for i in range(300)))
        port = free_port()
        self.dnsmasq(port, "--edns-packet-max=512")
        front = self.front(found({"dns": {"name": "llm.test", "port": a.port, "interval": "100ms", "server": f"127.0.0.1:{port}"}}))
        wait_for(lambda: len(self.members(front)["members"]) == 300, "all of them")

    def test_services_say_their_ports(self):
        a, b = self.start(Foreign(), Foreign())
        self.name()
        port = free_port()
        self.dnsmasq(port, "--host-record=one.test,127.0.0.1", f"--srv-host=_llm._tcp.test,127.0.0.1,{a.port},0,10",
                     f"--srv-host=_llm._tcp.test,127.0.0.1,{b.port},0,30")
        front = self.front(found({"dns": {"name": "_llm._tcp.test", "type": "SRV", "interval": "100ms", "server": f"127.0.0.1:{port}"}}))
        self.wait_for_members(front, a, b)
        self.assertEqual({m["endpoint"]: m["weight"] for m in self.members(front)["members"]}, {a.name: 10, b.name: 30})


class Consuls(Discovered):
    def test_a_change_is_followed_at_once_and_an_ill_registry_changes_nothing(self):
        a, b, c = self.start(Foreign(), Foreign(), Foreign())
        with Consul() as consul:
            consul.say([a.port])
            front = self.front(found({"consul": {"address": f"http://127.0.0.1:{consul.port}", "service": "llm", "token": "secret-token"}}))
            self.wait_for_members(front, a)
            consul.say([a.port, b.port])
            self.wait_for_members(front, a, b)
            for ill in [(500, b"No cluster leader"), (200, b"<html>"), (403, b"Permission denied"), (200, b"[]x")]:
                consul.say([], broken=ill)
                wait_for(lambda: not self.members(front)["registries"][0]["up"], str(ill))
                self.check_all_answered(front, 5)
                self.wait_for_members(front, a, b)
                consul.say([a.port, b.port])
                wait_for(lambda: self.members(front)["registries"][0]["up"], "its return")
            consul.say([b.port, c.port])
            self.wait_for_members(front, b, c)
            self.assertEqual(consul.queries[0][1]["X-Consul-Token"], "secret-token")
        # The registry is gone; the list stays.
        wait_for(lambda: not self.members(front)["registries"][0]["up"], "that it is gone")
        self.assertGreater(min(self.asked(front, [b, c])), 0)
        self.assertNotIn("secret-token", front.log() + front.get("/members", admin=True).body.decode())


class Command(Discovered):
    """`open-autoglm members`."""

    def command(self, front, *args):
        return [BINARY, "members", "--admin", f"127.0.0.1:{front.admin_port}", *args]

    def test_lists_members_and_prints_what_changes(self):
        a, b = self.start(Foreign(), Foreign())
        self.say(a)
        front = self.front(found(self.by_file()))
        self.wait_for_members(front, a)
        listed = subprocess.run(self.command(front), env=environment(), capture_output=True, text=True, timeout=60)
        self.assertEqual(listed.returncode, 0, listed.stderr)
        self.assertRegex(listed.stdout, rf"tiny +{a.name} +file {self.path} +asked\n")
        raw = subprocess.run(self.command(front, "--json"), env=environment(), capture_output=True, text=True, timeout=60)
        self.assertEqual(json.loads(raw.stdout), front.get("/members", admin=True).json())
        log = self.path + ".watched"
        with open(log, "w") as out:
            watching = subprocess.Popen(self.command(front, "--watch"), env=environment(), stdout=out)
        self.addCleanup(lambda: (watching.kill(), watching.wait()))

        def says(text):
            with open(log) as file:
                return text in file.read()

        wait_for(lambda: says(a.name), "the table")
        self.say(b)
        wait_for(lambda: says(f" + tiny: {b.name}, from file {self.path}, asked\n"), "the new one")
        wait_for(lambda: says(f" - tiny: {a.name}, from file {self.path}\n"), "the one that left")
        self.assertIsNone(watching.poll())

    def test_says_where_it_has_asked_in_vain(self):
        failed = subprocess.run([BINARY, "members", "--admin", "127.0.0.1:1"], env=environment(), capture_output=True, text=True, timeout=60)
        self.assertEqual(failed.returncode, 1)
        self.assertIn("No server answers at http://127.0.0.1:1. Start one, or name another one with --admin.", failed.stderr)


@unittest.skipUnless(HAS_ETCD, "etcd is not installed")
class Etcd(Discovered):
    PREFIX = "/autoglm/services/tiny/"

    def etcd(self, port, folder):
        self.server = EtcdServer(port, folder)
        self.addCleanup(self.server.kill)
        self.port = port
        return self.server.process

    def ctl(self, *command, **how):
        return self.server.ctl(*command, **how)

    def put(self, name, server, **more):
        self.ctl("put", self.PREFIX + name, json.dumps({"Op": 0, "Addr": server.name, "Metadata": more}))

    def test_servers_are_watched_and_the_last_list_stays(self):
        a, b, c = self.start(Foreign(), Foreign(), Foreign())
        folder = self.path + ".etcd"
        process = self.etcd(free_port(), folder)
        self.put("a", a)
        self.ctl("put", "/autoglm/services/tiny0", c.name)  # beside the prefix
        front = self.front(found({"etcd": {"endpoints": ["http://127.0.0.1:1", f"http://127.0.0.1:{self.port}"], "prefix": self.PREFIX}}))
        self.wait_for_members(front, a)
        self.put("b", b, weight=3)
        self.wait_for_members(front, a, b)
        self.ctl("del", self.PREFIX + "a")
        self.wait_for_members(front, b)
        # A lease that ends takes its key along.
        lease = self.ctl("lease", "grant", "600").stdout.split()[1]
        self.ctl("put", "--lease", lease, self.PREFIX + "c", f"http://{c.name}/v1")
        self.wait_for_members(front, b, c)
        self.ctl("lease", "revoke", lease)
        self.wait_for_members(front, b)
        process.kill()
        process.wait()
        wait_for(lambda: not self.members(front)["registries"][0]["up"], "that it is gone")
        self.check_all_answered(front)
        self.etcd(self.port, folder)
        self.put("a", a)
        self.wait_for_members(front, a, b)

    def test_a_compaction_loses_nothing(self):
        a, b = self.start(Foreign(), Foreign())
        process = self.etcd(free_port(), self.path + ".etcd")
        self.put("a", a)
        front = self.front(found({"etcd": {"endpoints": [f"http://127.0.0.1:{self.port}"], "prefix": self.PREFIX}}))
        self.wait_for_members(front, a)
        process.send_signal(signal.SIGSTOP)
        process.send_signal(signal.SIGCONT)
        self.put("b", b)
        revision = json.loads(self.ctl("get", self.PREFIX, "--prefix", "-w", "json").stdout)["header"]["revision"]
        self.ctl("compact", str(revision))
        self.ctl("del", self.PREFIX + "a")
        self.wait_for_members(front, b)

    def test_with_a_user(self):
        a, b = self.start(Foreign(), Foreign())
        self.etcd(free_port(), self.path + ".etcd")
        for command in (["user", "add", "root:root-secret"], ["user", "grant-role", "root", "root"], ["user", "add", "gate:gate-secret"],
                        ["role", "add", "reads"], ["role", "grant-permission", "reads", "read", self.PREFIX, "--prefix=true"],
                        ["user", "grant-role", "gate", "reads"]):
            self.ctl(*command, check=command[1:] != ["grant-role", "root", "root"])
        self.put("a", a)
        self.ctl("auth", "enable")
        discover = {"endpoints": [f"http://127.0.0.1:{self.port}"], "prefix": self.PREFIX, "username": "gate", "password": "gate-secret"}
        front = self.front(found({"etcd": discover}))
        self.wait_for_members(front, a)
        self.ctl("put", self.PREFIX + "b", b.name, user="root:root-secret")
        self.wait_for_members(front, a, b)
        self.assertNotIn("gate-secret", front.log() + front.get("/members", admin=True).body.decode())
        wrong = self.front(found({"etcd": {**discover, "password": "wrong"}}), ready=False)
        wait_for(lambda: self.members(wrong)["registries"][0]["error"], "the refusal")
        self.assertEqual(self.members(wrong)["members"], [])
        self.assertEqual(wrong.get("/readyz").status, 503)


class Mistakes(unittest.TestCase):
    def test_each_is_named(self):
        for discover, wanted in [
            ([{}], "names no registry"),
            ([{"file": {"path": "a"}, "dns": {"name": "b", "port": 1}}], "names several registries"),
            ([{"file": {}}], "discover[0].file.path"),
            ([{"dns": {"name": "a"}}], "discover[0].dns.port"),
            ([{"dns": {"name": "a", "type": "SRV", "port": 1}}], "is said by SRV records"),
            ([{"dns": {"name": "a", "port": 1, "server": "b"}}], "discover[0].dns.server"),
            ([{"consul": {"address": "http://127.0.0.1:8500"}}], "discover[0].consul.service"),
            ([{"consul": {"address": "ftp://a", "service": "b"}}], "discover[0].consul.address"),
            ([{"etcd": {"endpoints": ["http://127.0.0.1:2379"]}}], "discover[0].etcd.prefix"),
            ([{"etcd": {"endpoints": [], "prefix": "/a"}}], "discover[0].etcd.endpoints"),
            ([{"etcd": {"prefix": "/a", "username": "b"}}], "go together"),
            ([{"kubernetes": {}}], "discover[0].kubernetes.service"),
            ([{"kubernetes": {"service": "a/b"}}], "is no name in Kubernetes"),
            ([{"kubernetes": {"service": "a", "address": "ftp://a"}}], "discover[0].kubernetes.address"),
            ([{"kubernetes": {"service": "a", "address": "http://a", "token": "b", "token_file": "c"}}], "keep one"),
            ([{"kubernetes": {"service": "a", "token": "b"}}], "needs an `address`"),
            ([{"zookeeper": {}}], "zookeeper"),
            ([{"file": {"path": "a"}, "map": {"colour": "c"}}], "cannot say `colour`"),
            ([{"file": {"path": "a"}, "scheme": "ftp"}], "must be http or https"),
            ([{"file": {"path": "a"}, "path": "v1"}], "must be a path that begins with /"),
            ([{"file": {"path": "a"}, "endpoint": {"url": "http://a"}}], "discover[0].endpoint"),
        ]:
            with self.subTest(wanted), tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, "open-autoglm.yaml")
                with open(path, "w") as file:
                    json.dump({"models": [{"name": "m", "discover": discover}]}, file)
                said = subprocess.run([BINARY, "validate", "--config", path], env=environment(), capture_output=True, text=True, timeout=60)
                self.assertEqual(said.returncode, 1, said.stdout)
                self.assertIn(wanted, said.stdout + said.stderr)


if __name__ == "__main__":
    unittest.main()

"""This server in registries: who finds it, when it comes and goes, and what a registry that is ill changes."""

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import threading
import unittest

from gateway_fixture import GatewayTest
from registry_fixture import HAS_ETCD, Consul, EtcdServer, free_port
from server import BINARY, NEVER, PATIENCE, TINY_MODEL, Server, environment, events, wait_for

PREFIX = "/autoglm/services/tiny/"


class Registered(Server):
    """A server whose configuration has `register`, too."""

    def __init__(self, *register, **options):
        self.register = list(register)
        super().__init__(**options)

    def write_config(self, config):
        super().write_config({**config, "register": self.register})

    def reload(self, *register):
        self.register = list(register)
        self.write_config(self.config)
        return self.post("/reload", "", admin=True)

    @property
    def entry(self):
        return self.get("/members", admin=True).json()["registered"][0]

    def wait_until_registered(self, registered=True):
        wait_for(lambda: self.entry["registered"] == registered, f"registered: {registered}: {self.entry}")
        return self

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"


class RegisterTest(GatewayTest):
    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory(prefix="open-autoglm-register-"))

    def etcd(self, port=None, name="etcd"):
        server = EtcdServer(port or free_port(), os.path.join(self.folder, name))
        self.addCleanup(server.kill)
        return server

    def at_etcd(self, *servers, ttl="3s", **more):
        etcd = {"endpoints": [server.url for server in servers], "prefix": PREFIX, "ttl": ttl}
        return {"etcd": etcd, "service": "llm", **more}

    def at_consul(self, double, **more):
        return {"consul": {"address": double.url, "ttl": "3s", **more.pop("consul", {})}, "service": "llm", **more}

    def gateway(self, discover):
        """Finds what registers; checks are quick, for tests."""
        model = {"name": "tiny", "discover": [discover], "health": {"interval": "200ms", "timeout": "2s", "slow_start": "0s"},
                 "timeouts": {"connect": "2s"}, "retry": {"budget_percent": 100}}
        return self.start(Server(models=[model], ready=False))[0]

    def found(self, gateway):
        return sorted(m["endpoint"] for m in gateway.get("/members", admin=True).json()["models"][0]["members"])

    def wait_for_members(self, gateway, *servers):
        names = sorted(server.address for server in servers)
        wait_for(lambda: self.found(gateway) == names, f"the members {names}, not {self.found(gateway)}")


@unittest.skipUnless(HAS_ETCD, "etcd is not installed")
class Etcd(RegisterTest):
    def test_what_stands_there_and_that_it_goes_before_readiness_falls(self):
        etcd = self.etcd()
        (server,) = self.start(Registered(self.at_etcd(etcd, id="one", tags=["gpu"], metadata={"zone": "eu-1"}, weight=3),
                                          server={"drain_delay": "1h"}))
        server.wait_until_registered()
        value = etcd.values(PREFIX)["one"]
        self.assertEqual((value["Op"], value["Addr"]), (0, server.address))
        self.assertEqual({key: value["Metadata"][key] for key in ("models", "protocol", "scheme", "path", "load", "zone", "weight", "tags")},
                         {"models": "tiny", "protocol": "openai", "scheme": "http", "path": "/v1", "load": f"http://{server.address}/load",
                          "zone": "eu-1", "weight": "3", "tags": "gpu"})
        self.assertEqual(server.metric("autoglm_registered", registry=f"etcd {PREFIX}"), 1)
        self.assertEqual(server.entry["id"], "one")
        # The key is gone by the moment that readiness falls, and requests are answered still.
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: server.get("/readyz").status == 503, "the end of readiness")
        self.assertEqual(etcd.values(PREFIX), {})
        self.assertEqual(server.post("/v1/completions", {"prompt": "Hi", "max_tokens": 2}).status, 200)
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(PATIENCE)

    def test_it_is_not_found_before_its_model_is_ready(self):
        etcd = self.etcd()
        models = [{"name": "tiny", "discover": [{"file": {"path": os.path.join(self.folder, "members.json"), "interval": "50ms"}}]}]
        (server,) = self.start(Registered(self.at_etcd(etcd), models=models, ready=False))
        wait_for(lambda: "the registry cannot be asked" in server.log(), "the missing file")
        self.assertFalse(server.entry["registered"])
        self.assertEqual(etcd.values(PREFIX), {})
        with open(os.path.join(self.folder, "members.json"), "w") as file:
            json.dump([{"targets": ["127.0.0.1:1"]}], file)
        server.wait_until_registered()
        self.assertEqual(server.get("/readyz").status, 200)

    def test_it_comes_again_when_it_was_forgotten(self):
        etcd = self.etcd()
        (server,) = self.start(Registered(self.at_etcd(etcd, id="one")))
        server.wait_until_registered()
        # By an operator; by the end of its lease; by a registry that has lost everything, and was away.
        etcd.ctl("del", PREFIX + "one")
        wait_for(lambda: etcd.values(PREFIX), "the key's return")
        (lease,) = etcd.ctl("lease", "list").stdout.split()[3:]
        etcd.ctl("lease", "revoke", lease)
        wait_for(lambda: etcd.values(PREFIX), "the key's return by another lease")
        etcd.kill()
        wait_for(lambda: not server.entry["registered"], "that nobody knows of it")
        self.assertEqual(server.metric("autoglm_registered", registry=f"etcd {PREFIX}"), 0)
        self.check_all_answered(server, 5)
        etcd = self.etcd(etcd.port, "another")
        wait_for(lambda: etcd.values(PREFIX), "the key in an empty registry")
        server.wait_until_registered()

    def test_a_registry_that_is_away_at_the_start(self):
        port = free_port()
        (server,) = self.start(Registered({"etcd": {"endpoints": [f"http://127.0.0.1:{port}"], "prefix": PREFIX}, "service": "llm"}))
        wait_for(lambda: server.entry["error"], "the trouble")
        self.check_all_answered(server, 5)
        etcd = self.etcd(port)
        wait_for(lambda: etcd.values(PREFIX), "the key")
        server.wait_until_registered()
        self.assertEqual(list(etcd.values(PREFIX)), [f"llm-127.0.0.1-{server.port}"])
        said = [line for line in server.log_lines() if line.get("message") == "the registry cannot be told of us"]
        self.assertLess(len(said), 4, "once for each kind of trouble")

    def test_two_with_one_id(self):
        etcd = self.etcd()
        first, second = self.start(Registered(self.at_etcd(etcd, id="one")), Registered(ready=True))
        first.wait_until_registered()
        self.assertEqual(second.reload(self.at_etcd(etcd, id="one")).status, 200)
        wait_for(lambda: "belongs to another server" in second.entry["error"], "the refusal")
        self.assertEqual(etcd.values(PREFIX)["one"]["Addr"], first.address)
        self.assertEqual(second.metric("autoglm_registered"), 0)
        self.assertGreater(second.metric("autoglm_registration_failures_total"), 0)
        self.assertIn("another server has the id", second.log())
        self.check_all_answered(second, 5)
        # Nothing is taken along that is not its own; what is free is taken.
        first.stop()
        second.wait_until_registered()
        self.assertEqual(etcd.values(PREFIX)["one"]["Addr"], second.address)

    def test_a_reload_changes_what_stands_there(self):
        etcd = self.etcd()
        (server,) = self.start(Registered(self.at_etcd(etcd, id="one")))
        server.wait_until_registered()
        more = {"name": "more", "aliases": ["gpt"], "engine": {"path": TINY_MODEL, "threads": 1}}
        server.config["models"].append(more)
        answer = server.reload(self.at_etcd(etcd, id="one", metadata={"zone": "eu-2"}))
        self.assertEqual((answer.status, answer.json()["restart_needed_for"]), (200, []))
        wait_for(lambda: etcd.values(PREFIX)["one"]["Metadata"]["models"] == "tiny,more,gpt", "the model when it is ready")
        self.assertEqual(etcd.values(PREFIX)["one"]["Metadata"]["zone"], "eu-2")
        self.assertEqual(server.reload(self.at_etcd(etcd, id="two", models=["more"])).status, 200)
        wait_for(lambda: list(etcd.values(PREFIX)) == ["two"], "the other id alone")
        self.assertEqual(etcd.values(PREFIX)["two"]["Metadata"]["models"], "more,gpt")
        self.assertEqual(server.reload().status, 200)
        wait_for(lambda: not etcd.values(PREFIX), "that it has left")
        self.assertEqual(server.get("/members", admin=True).json()["registered"], [])

    def test_a_frozen_registry_does_not_hold_up_the_end_and_another_member_is_asked(self):
        frozen, well = self.etcd(), self.etcd(name="well")
        frozen.process.send_signal(signal.SIGSTOP)
        try:
            (server,) = self.start(Registered(self.at_etcd(frozen, well)))
            server.wait_until_registered()
            well.process.send_signal(signal.SIGSTOP)
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(30)  # a request's patience with both is less than that by far
            self.assertIn("drained", server.log())
        finally:
            for each in (frozen, well):
                each.process.send_signal(signal.SIGCONT)

    def test_with_a_user_whose_token_is_forgotten(self):
        etcd = self.etcd()
        for command in (["user", "add", "root:root-secret"], ["user", "grant-role", "root", "root"], ["user", "add", "llm:llm-secret"],
                        ["role", "add", "writes"], ["role", "grant-permission", "writes", "readwrite", PREFIX, "--prefix=true"],
                        ["user", "grant-role", "llm", "writes"]):
            etcd.ctl(*command, check=command[1:] != ["grant-role", "root", "root"])
        etcd.ctl("auth", "enable")
        entry = self.at_etcd(etcd, id="one")
        entry["etcd"].update(username="llm", password="llm-secret")
        (server,) = self.start(Registered(entry))
        server.wait_until_registered()
        etcd.ctl("auth", "disable", user="root:root-secret")
        etcd.ctl("auth", "enable")  # every token is forgotten
        etcd.ctl("del", PREFIX + "one", user="root:root-secret")
        wait_for(lambda: etcd.values(PREFIX, user="root:root-secret"), "the key's return")
        self.assertNotIn("llm-secret", server.log() + server.get("/members", admin=True).body.decode())

    def test_the_whole_circle(self):
        etcd = self.etcd()
        front = self.gateway({"etcd": {"endpoints": [etcd.url], "prefix": PREFIX}, "map": {"weight": "weight"}, "filter": {"models": "tiny"}})
        a = Registered(self.at_etcd(etcd))
        self.addCleanup(a.folder.cleanup)
        self.addCleanup(a.process.kill)
        (b,) = self.start(Registered(self.at_etcd(etcd)))
        self.wait_for_members(front, a, b)
        wait_for(lambda: front.get("/readyz").status == 200, "readiness")
        self.check_all_answered(front)
        # Killed: gone with its lease, and our own checks find it dead before that.
        a.process.kill()
        a.process.wait()
        self.check_all_answered(front, 10)
        self.wait_for_members(front, b)
        # One that leaves answers the streams that it has.
        c = self.start(Registered(self.at_etcd(etcd)))[0]
        self.wait_for_members(front, b, c)
        connection, response = front.stream("/v1/completions", {"prompt": "Hi", "max_tokens": 1500, "ignore_eos": True})
        with contextlib.closing(connection):
            response.readline()
            for each in (b, c):
                each.process.send_signal(signal.SIGTERM)
            seen = list(events(response))
            self.assertEqual(seen[-1], "[DONE]")
            self.assertEqual(seen[-2]["choices"][0]["finish_reason"], "length")
        for each in (b, c):
            each.process.wait(PATIENCE)  # a second signal would end it at once


@unittest.skipUnless(HAS_ETCD, "etcd is not installed")
class Rolling(RegisterTest):
    def test_no_request_fails_while_three_instances_are_replaced(self):
        etcd = self.etcd()
        front = self.gateway({"etcd": {"endpoints": [etcd.url], "prefix": PREFIX}})
        instances = [self.start(Registered(self.at_etcd(etcd)))[0] for _ in range(3)]
        self.wait_for_members(front, *instances)
        wait_for(lambda: front.get("/readyz").status == 200, "readiness")
        stop, failures, answered = threading.Event(), [], []

        def ask():
            while not stop.is_set():
                answer = front.post("/v1/completions", {"prompt": "Hi", "max_tokens": 4})
                (answered if answer.status == 200 else failures).append(answer.body)
                NEVER.wait(0.02)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for i, old in enumerate(instances):
                instances[i] = self.start(Registered(self.at_etcd(etcd)))[0]
                self.wait_for_members(front, *instances, old)
                old.stop()
                self.wait_for_members(front, *instances)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertEqual(failures, [])
        self.assertGreater(len(answered), 30)


class Consuls(RegisterTest):
    def test_the_circle_by_consul(self):
        with Consul() as consul:
            front = self.gateway({"consul": {"address": consul.url, "service": "llm"}})
            entry = self.at_consul(consul, id="one", tags=["gpu"], weight=3, consul={"token": "secret-token", "deregister_after": "2m"})
            (server,) = self.start(Registered(entry))
            server.wait_until_registered()
            self.wait_for_members(front, server)
            wait_for(lambda: front.get("/readyz").status == 200, "readiness")
            self.check_all_answered(front)
            said = consul.agent["one"]
            self.assertEqual((said["Name"], said["Address"], said["Port"], said["Tags"]), ("llm", "127.0.0.1", server.port, ["gpu"]))
            self.assertEqual(said["Weights"], {"Passing": 3, "Warning": 1})
            self.assertEqual(said["Check"], {"Status": "passing", "TTL": "3s", "DeregisterCriticalServiceAfter": "120s"})
            self.assertEqual(said["Meta"]["models"], "tiny")
            puts = [headers for path, headers in consul.queries if "/v1/agent/" in path]
            self.assertTrue(all(headers["X-Consul-Token"] == "secret-token" for headers in puts))
            beats = consul.beats
            wait_for(lambda: consul.beats > beats + 1, "beats")
            consul.change(lambda double: double.agent.clear())
            wait_for(lambda: "one" in consul.agent, "its return")
            server.stop()
            self.assertEqual(consul.agent, {})
            self.wait_for_members(front)
            self.assertNotIn("secret-token", server.log())

    def test_consul_asks_for_our_health(self):
        with Consul() as consul:
            (server,) = self.start(Registered(self.at_consul(consul, id="one", consul={"check": "http", "ttl": "9s", "deregister_after": "0s"})))
            server.wait_until_registered()
            self.assertEqual(consul.agent["one"]["Check"], {"Status": "passing", "HTTP": f"http://{server.address}/readyz", "Interval": "3s",
                                                            "Timeout": "3s"})

    def test_an_id_is_not_taken_from_the_living(self):
        with Consul() as consul:
            other = {"ID": "one", "Name": "llm", "Tags": [], "Meta": {}, "Port": 1, "Address": "127.0.0.1", "Weights": {"Passing": 1, "Warning": 1}}
            consul.change(lambda double: double.agent.update(one=other))
            (server,) = self.start(Registered(self.at_consul(consul, id="one")))
            wait_for(lambda: "belongs to another server, at 127.0.0.1:1" in server.entry["error"], "the refusal")
            self.assertEqual(consul.agent["one"]["Port"], 1)
            # At another agent.
            elsewhere = {"Node": {"Address": "10.0.0.9"}, "Service": {"ID": "one", "Address": "", "Port": 2}, "Checks": [{"Status": "passing"}]}
            consul.change(lambda double: (double.agent.clear(), double.services.append(elsewhere)))
            wait_for(lambda: "belongs to another server, at 10.0.0.9:2" in server.entry["error"], "the other refusal")
            self.assertEqual(consul.agent, {})
            # The dead have none; nor has one that took it from us while we lived.
            consul.change(lambda double: (double.services.clear(), double.agent.update(one=other), double.critical.add("one")))
            server.wait_until_registered()
            self.assertEqual(consul.agent["one"]["Port"], server.port)
            consul.change(lambda double: double.agent.update(one=other))
            server.wait_until_registered(False)
            server.stop()
            self.assertEqual(consul.agent["one"]["Port"], 1, "what is another's stays")

    def test_a_refusal_is_told(self):
        with Consul() as consul:
            consul.say([], broken=(403, b"Permission denied"))
            (server,) = self.start(Registered(self.at_consul(consul)))
            wait_for(lambda: "see its token" in server.entry["error"], "the refusal")
            self.check_all_answered(server, 3)
            consul.say([])
            server.wait_until_registered()


class Validated(unittest.TestCase):
    def validate(self, **config):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "open-autoglm.yaml")
            with open(path, "w") as file:
                json.dump({"models": [{"name": "m", "endpoints": [{"url": "http://127.0.0.1:1/v1"}]}], **config}, file)
            return subprocess.run([BINARY, "validate", "--config", path], env=environment(), capture_output=True, text=True, timeout=60)

    def test_each_mistake_is_named(self):
        consul = {"consul": {"address": "http://10.0.0.1:8500"}}
        for register, wanted in [
            ([{}], "names no registry"),
            ([{**consul, "etcd": {"prefix": "/a"}}], "names several registries"),
            ([{"etcd": {}}], "register[0].etcd.prefix"),
            ([{"consul": {"address": "ftp://a"}}], "register[0].consul.address"),
            ([{"consul": {"ttl": "1s"}}], "register[0].consul.ttl"),
            ([{"consul": {"check": "grpc"}}], "register[0].consul.check"),
            ([{"etcd": {"prefix": "/a", "username": "b"}}], "go together"),
            ([{**consul, "address": "a:b:c/"}], "register[0].address"),
            ([{**consul, "id": "a b"}], "register[0].id"),
            ([{**consul, "models": ["other"]}], "names no model here"),
            ([{**consul, "models": "some"}], "must be a list"),
            ([consul, {**consul, "weight": 2}], "once more"),
            ([{"zookeeper": {}}], "zookeeper"),
        ]:
            with self.subTest(wanted):
                said = self.validate(register=register)
                self.assertEqual(said.returncode, 1, said.stdout)
                self.assertIn(wanted, said.stdout + said.stderr)

    def test_it_says_what_will_be_asked(self):
        said = self.validate(
            models=[{"name": "m", "discover": [{"consul": {"service": "llm", "tags": ["a b"], "token": "secret-token"}}, {"etcd": {"prefix": "/llm/"}},
                                               {"dns": {"name": "llm.test", "port": 80}}, {"file": {"path": "members.json"}}]}],
            register=[{"consul": {"address": "http://10.0.0.1:8500", "token": "secret-token"}, "service": "llm", "models": "all"},
                      {"etcd": {"endpoints": ["http://10.0.0.1:2379"], "prefix": "/llm/"}, "id": "one", "address": "10.0.0.5:80"}])
        self.assertEqual(said.returncode, 0, said.stderr)
        self.assertEqual(said.stdout.splitlines()[1:], [
            "models[m].discover[0]: GET http://127.0.0.1:8500/v1/health/service/llm?passing=1&tag=a%20b, again with every change",
            "models[m].discover[1]: POST http://127.0.0.1:2379/v3/kv/range of the keys below /llm/, then /v3/watch",
            "models[m].discover[2]: ask the system's DNS servers for A llm.test, every 5 s or as often as its time to live says",
            "models[m].discover[3]: read members.json, looking every 1 s",
            "register[0]: PUT http://10.0.0.1:8500/v1/agent/service/register, with a check by ttl of 15 s; service llm, id llm-HOST-PORT, "
            "at its address towards the registry",
            "register[1]: POST http://10.0.0.1:2379/v3/kv/txn of a key below /llm/, with a lease of 15 s; service open-autoglm, id one, "
            "at 10.0.0.5:80"])
        self.assertNotIn("secret-token", said.stdout + said.stderr)

    def test_a_registry_on_this_machine_says_nothing_of_our_address(self):
        said = self.validate(register=[{"consul": {}}])
        self.assertEqual(said.returncode, 0)
        self.assertIn("set `address`", said.stderr)
        self.assertNotIn("set `address`", self.validate(register=[{"consul": {}, "address": "10.0.0.5"}]).stderr)


class Loopback(RegisterTest):
    def test_where_only_this_machine_listens_nobody_is_sent(self):
        (server,) = self.start(Registered({"consul": {"address": "http://192.0.2.1:8500"}}))
        wait_for(lambda: "127.0.0.1 is this machine's alone" in server.entry["error"], "the refusal")
        self.check_all_answered(server, 3)


if __name__ == "__main__":
    unittest.main()

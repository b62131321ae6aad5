"""Servers that Nacos knows, over its HTTP APIs, by a double; tests/peers/test_nacos.py has the real Nacos, and gRPC."""

import json
import os
import signal
import subprocess
import tempfile
import unittest

from nacos_double import Nacos
from server import BINARY, PATIENCE, environment, wait_for
import test_center
import test_discovery
import test_register
from test_center import pool
from test_discovery import found
from test_register import Registered
from upstream import Foreign


def by_nacos(nacos, **more):
    said = {"address": f"http://127.0.0.1:{nacos.port}", "service": "llm", "transport": "http", "interval": "100ms", **more}
    return {"nacos": {key: value for key, value in said.items() if value is not None}}


class Servers(test_discovery.Discovered):
    def is_up(self, front):
        return self.members(front)["registries"][0]["up"]

    def test_a_change_is_followed_and_an_ill_registry_changes_nothing(self):
        a, b, c = self.start(Foreign(), Foreign(), Foreign())
        with Nacos() as nacos:
            nacos.say([a.port])
            front = self.front(found(by_nacos(nacos)))
            self.wait_for_members(front, a)
            nacos.say([a.port, b.port])
            self.wait_for_members(front, a, b)
            self.assertGreater(min(self.asked(front, [a, b])), 0)
            for ill in [(503, "server is DOWN now, please try again later!"), (200, "<html>"), (403, "denied"), (200, '{"hosts":[{}]}')]:
                nacos.say([], broken=ill)
                wait_for(lambda: not self.is_up(front), str(ill))
                self.check_all_answered(front, 5)
                self.wait_for_members(front, a, b)
                nacos.say([a.port, b.port])
                wait_for(lambda: self.is_up(front), "its return")
            nacos.say([b.port, c.port])
            self.wait_for_members(front, b, c)
        wait_for(lambda: not self.is_up(front), "that it is gone")
        self.assertGreater(min(self.asked(front, [b, c])), 0)

    def test_a_nacos_that_is_restarted_empty_empties_no_pool(self):
        a, b = self.start(Foreign(), Foreign())
        with Nacos() as nacos:
            nacos.say([a.port, b.port])
            front = self.front(found(by_nacos(nacos)))
            self.wait_for_members(front, a, b)
            nacos.say([])
            wait_for(lambda: front.metric("autoglm_discovery_held", model="tiny") == 2, "both to be held")
            self.check_all_answered(front)
            nacos.say([a.port, b.port])
            wait_for(lambda: front.metric("autoglm_discovery_held", model="tiny") == 0, "both to be back")

    def test_weights_flags_and_the_protection_threshold(self):
        a, b = self.start(Foreign(), Foreign())
        with Nacos() as nacos:
            nacos.say([a.port, b.port])
            front = self.front(found(by_nacos(nacos)))
            self.wait_for_members(front, a, b)
            key = ("127.0.0.1", b.port, "DEFAULT")
            for flag, value in [("enabled", False), ("weight", 0.0), ("healthy", False)]:
                instance = nacos.services[("public", "DEFAULT_GROUP@@llm")][key]
                before = instance[flag]
                instance[flag] = value
                self.wait_for_members(front, a)
                self.assertEqual(self.asked(front, [a, b]), [30, 0], flag)
                if flag == "healthy":
                    nacos.protecting = True
                    self.wait_for_members(front, a, b)
                    nacos.protecting = False
                    self.wait_for_members(front, a)
                instance[flag] = before
                self.wait_for_members(front, a, b)
            nacos.services[("public", "DEFAULT_GROUP@@llm")][key]["weight"] = 5.0
            wait_for(lambda: {m["endpoint"]: m["weight"] for m in self.members(front)["members"]} == {a.name: 1, b.name: 5}, "the weight")

    def test_with_a_login(self):
        (a,) = self.start(Foreign())
        with Nacos(password="nacos-secret", token_ttl=1) as nacos:
            nacos.say([a.port])
            front = self.front(found(by_nacos(nacos, username="nacos", password="nacos-secret")))
            self.wait_for_members(front, a)
            wait_for(lambda: nacos.logins >= 3, "the token to be renewed")
            (b,) = self.start(Foreign())
            with nacos.changed:
                nacos.token_ttl, before = 18000, nacos.logins
            wait_for(lambda: nacos.logins > before, "a token that is renewed only when it is refused")
            with nacos.changed:
                nacos.tokens.clear()  # as after a restart with another key
                before = nacos.logins
            wait_for(lambda: nacos.logins > before, "another login")
            nacos.say([a.port, b.port])
            self.wait_for_members(front, a, b)
            self.assertEqual(front.metric("autoglm_discovery_failures_total", model="tiny") or 0, 0)
            self.check_all_answered(front)
            wrong = self.front(found(by_nacos(nacos, username="nacos", password="wrong")), ready=False)
            wait_for(lambda: self.members(wrong)["registries"][0]["error"], "the refusal")
            self.assertIn("refuses the login of nacos", self.members(wrong)["registries"][0]["error"])
            self.assertEqual(wrong.get("/readyz").status, 503)
        self.assertNotIn("nacos-secret", front.log() + front.get("/members", admin=True).body.decode())

    def test_with_the_new_api_alone_and_with_several_addresses(self):
        a, b = self.start(Foreign(), Foreign())
        with Nacos(apis=("v3",)) as nacos:
            nacos.say([a.port])
            front = self.front(found(by_nacos(nacos, address=None, addresses=["http://127.0.0.1:1", f"http://127.0.0.1:{nacos.port}"])))
            self.wait_for_members(front, a)
            nacos.say([a.port, b.port])
            self.wait_for_members(front, a, b)

    def test_clusters_and_metadata(self):
        a, b, c = self.start(Foreign(), Foreign(), Foreign())
        with Nacos() as nacos:
            nacos.services[("dev", "LLM@@llm")] = {
                ("127.0.0.1", server.port, cluster): {"weight": 1.0, "healthy": True, "enabled": True, "ephemeral": False, "metadata": {"models": model}}
                for server, cluster, model in [(a, "hz", "tiny"), (b, "sh", "tiny"), (c, "hz", "glm")]}
            front = self.front(found({**by_nacos(nacos, namespace="dev", group="LLM", clusters=["hz"]), "filter": {"models": "tiny"}}))
            self.wait_for_members(front, a)
            front = self.front(found({**by_nacos(nacos, namespace="dev", group="LLM"), "filter": {"cluster": "sh"}}))
            self.wait_for_members(front, b)


class Us(test_register.RegisterTest):
    """This server in Nacos."""

    def at(self, nacos, **more):
        return {"nacos": {"address": f"http://127.0.0.1:{nacos.port}", "transport": "http"}, "service": "llm", "id": "one", **more}

    def test_it_comes_comes_again_and_goes_before_readiness_falls(self):
        for apis in (("v1", "v3"), ("v3",)):
            with self.subTest(apis), Nacos(apis=apis) as nacos:
                (server,) = self.start(Registered(self.at(nacos, tags=["gpu"], metadata={"zone": "eu-1"}), server={"drain_delay": "1h"}))
                server.wait_until_registered()
                key = ("127.0.0.1", server.port)
                said = nacos.instances()[key]
                self.assertEqual({name: said[name] for name in ("id", "models", "tags", "zone", "path")},
                                 {"id": "one", "models": "tiny", "tags": "gpu", "zone": "eu-1", "path": "/v1"})
                found = self.gateway({"nacos": {"address": f"http://127.0.0.1:{nacos.port}", "service": "llm", "transport": "http", "interval": "100ms"},
                                      "filter": {"models": "tiny"}, "tags": ["gpu"]})
                self.wait_for_members(found, server)
                with nacos.changed:
                    nacos.services.clear()
                wait_for(lambda: key in nacos.instances(), "that it registers again")
                server.process.send_signal(signal.SIGTERM)
                wait_for(lambda: server.get("/readyz").status == 503, "the end of readiness")
                self.assertEqual(nacos.instances(), {})
                server.process.send_signal(signal.SIGTERM)
                server.process.wait(PATIENCE)

    def test_two_with_one_id(self):
        with Nacos() as nacos:
            first, second = self.start(Registered(self.at(nacos)), Registered(self.at(nacos)))
            wait_for(lambda: sorted([first.entry["registered"], second.entry["registered"]]) == [False, True], "one of them")
            refused = second if first.entry["registered"] else first
            wait_for(lambda: "with our id, one" in refused.entry["error"], "the reason")
            self.assertEqual(len(nacos.instances()), 1)


class Texts(test_center.Centered):
    """A configuration center."""

    def test_what_it_says_is_in_force_and_an_ill_one_changes_nothing(self):
        a, b = self.start(Foreign(), Foreign())
        with Nacos(password="nacos-secret") as nacos:
            nacos.publish("gateway.yaml", json.dumps(pool(a)))
            front = self.front({"nacos": {"address": f"http://127.0.0.1:{nacos.port}", "data_id": "gateway.yaml", "transport": "http",
                                          "username": "nacos", "password": "nacos-secret"}})
            self.check_all_answered(front, 5)
            nacos.publish("gateway.yaml", json.dumps(pool(b)))
            wait_for(lambda: front.center_state()["version"] == nacos.md5(json.dumps(pool(b))), "the second text")
            self.check_all_answered(front, 5)
            self.assertEqual((len(a.requests), len(b.requests)), (5, 5))
            nacos.publish("gateway.yaml", "models: 3")
            wait_for(lambda: front.metric("autoglm_config_reloads_total", outcome="refused"), "the refusal")
            nacos.publish("gateway.yaml", None)
            wait_for(lambda: "has no gateway.yaml" in front.log(), "that it is gone")
            self.check_all_answered(front, 5)
            nacos.publish("gateway.yaml", json.dumps(pool(a)))
            wait_for(lambda: front.center_state()["version"] == nacos.md5(json.dumps(pool(a))), "its return")
            self.check_all_answered(front, 5)
            self.assertEqual((len(a.requests), len(b.requests)), (10, 10))
            self.assertTrue(nacos.asked("POST", "/v1/cs/configs/listener"))
        wait_for(lambda: front.metric("autoglm_config_center_up") == 0, "that it is gone")
        self.check_all_answered(front, 5)
        self.assertNotIn("nacos-secret", front.log() + front.get("/config", admin=True).body.decode())

    def test_with_the_new_api_alone_it_is_polled(self):
        a, b = self.start(Foreign(), Foreign())
        with Nacos(apis=("v3",)) as nacos:
            nacos.publish("gateway.yaml", json.dumps(pool(a)), tenant="dev")
            front = self.front({"nacos": {"address": f"http://127.0.0.1:{nacos.port}", "data_id": "gateway.yaml", "namespace": "dev",
                                          "transport": "http", "interval": "1s"}})
            self.check_all_answered(front, 5)
            nacos.publish("gateway.yaml", json.dumps(pool(b)), tenant="dev")
            wait_for(lambda: len(self.answers(front, 1)) and b.requests, "the second text")


class Mistakes(unittest.TestCase):
    def test_each_is_named(self):
        for nacos, wanted in [
            ({}, "nacos.service"),
            ({"service": "a", "address": "ftp://b"}, "nacos.address"),
            ({"service": "a", "addresses": ["http://b", "c"]}, "nacos.addresses[1]"),
            ({"service": "a", "address": "http://b", "addresses": ["http://c"]}, "are the same thing"),
            ({"service": "a", "username": "b"}, "go together"),
            ({"service": "a", "username": "b", "password": "c", "token": "d"}, "takes the place of a login"),
            ({"service": "a", "address": "http://b:65000"}, "leads beyond the last port"),
            ({"service": "a", "grpc_port_offset": 60000}, "leads beyond the last port"),
            ({"service": "a", "transport": "udp"}, "nacos.transport"),
        ]:
            with self.subTest(wanted), tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, "open-autoglm.yaml")
                with open(path, "w") as file:
                    json.dump({"models": [{"name": "m", "discover": [{"nacos": nacos}]}]}, file)
                said = subprocess.run([BINARY, "validate", "--config", path], env=environment(), capture_output=True, text=True, timeout=60)
                self.assertEqual(said.returncode, 1, said.stdout)
                self.assertIn(wanted, said.stdout + said.stderr)


if __name__ == "__main__":
    unittest.main()

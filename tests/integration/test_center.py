"""A configuration center: what it says is in force within a second, what it says wrongly is not, and a start does not need it."""

import json
import os
import socket
import subprocess
import tempfile
import threading
import unittest

from gateway_fixture import GatewayTest
from registry_fixture import HAS_ETCD, EtcdServer, free_port
from server import BINARY, Server, environment, wait_for
from upstream import Foreign

KEY = "/open-autoglm/gateway.yaml"


class CenteredServer(Server):
    """A server whose file has little more than a center."""

    def __init__(self, center, copy, models=None, **more):
        self.center = {**center, "copy": copy, "patience": "5s"}
        super().__init__(models=models, model=None, **more)

    def write_config(self, config):
        super().write_config({**config, "center": self.center})

    def state(self):
        return self.get("/config", admin=True).json()

    def center_state(self):
        return self.state()["sources"][-1]


class Centered(GatewayTest):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="open-autoglm-center-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.copy = os.path.join(self.folder, "kept", "center.yaml")

    def front(self, center, **more):
        return self.start(CenteredServer(center, self.copy, **more))[0]

    def run_until_it_ends(self, center, patience="1s"):
        """A start that is expected to fail: its exit code and what it says."""
        path = os.path.join(self.folder, "open-autoglm.yaml")
        with open(path, "w") as file:
            json.dump({"server": {"listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0"},
                       "center": {**center, "copy": self.copy, "patience": patience}}, file)
        ended = subprocess.run([BINARY, "serve", "--config", path], env=environment(), capture_output=True, text=True, timeout=60)
        return ended.returncode, ended.stderr


def pool(*servers, **more):
    return {"models": [{"name": "tiny", "endpoints": [{"url": f"http://{server.name}/v1"} for server in servers],
                        "health": {"interval": "200ms"}, "timeouts": {"connect": "30s"}, **more}]}


@unittest.skipUnless(HAS_ETCD, "etcd is not installed")
class Etcd(Centered):
    def etcd(self, port=None):
        server = EtcdServer(port or free_port(), os.path.join(self.folder, "etcd"))
        self.addCleanup(server.kill)
        self.ctl, self.port = server.ctl, server.port
        self.center = {"etcd": {"endpoints": [server.url], "key": KEY}}
        return server

    def put(self, config):
        self.ctl("put", KEY, config if isinstance(config, str) else json.dumps(config))

    def test_what_it_says_is_in_force_at_once_and_who_changed_it_is_told(self):
        a, b = self.start(Foreign(), Foreign())
        self.etcd()
        self.put(pool(a))
        front = self.front(self.center)
        self.check_all_answered(front, 5)
        before = front.center_state()
        self.assertEqual((before["name"], before["state"], before["error"]), (f"etcd {KEY}", "in_force", ""))
        self.put({**pool(a, b), "limits": [{"name": "few", "per": "global", "requests": "1/hour"}]})
        wait_for(lambda: front.center_state()["version"] != before["version"], "the new version")
        changed = front.state()["changes"][0]
        self.assertEqual((changed["source"], changed["outcome"]), (f"etcd {KEY}", "applied"))
        self.assertEqual([key.split("[")[0] for key in changed["keys"]], ["limits", "models"], changed)
        statuses = [front.post("/v1/completions", {"prompt": "Hi"}).status for _ in range(3)]
        self.assertEqual(statuses, [200, 429, 429])
        text = front.get("/config.yaml", admin=True).body.decode()
        self.assertIn(b.name, text)
        self.assertIn(f"# etcd {KEY}:", text, "each value names its source")
        self.assertEqual(front.metric("autoglm_config_center_up", center=f"etcd {KEY}"), 1)

    def test_what_is_wrong_changes_nothing_and_says_why(self):
        (a,) = self.start(Foreign())
        self.etcd()
        self.put(pool(a))
        front = self.front(self.center)
        for wrong, why in [("models: [{name: tiny, endpoints: [{url: nonsense}]}]", "endpoints[0].url"), ("", "is empty"),
                           ("models:\n  - name: tiny\n    endpoints:", "endpoints"), ("center: {}", "center's own text"),
                           ("wurst: 1", "wurst"), ("[1", "etcd /open-autoglm/gateway.yaml:1:"), ("server: { admin_token: \"${env:NO_SUCH_VARIABLE}\" }", "NO_SUCH_VARIABLE")]:
            with self.subTest(wrong=wrong):
                self.put(wrong)
                wait_for(lambda: why in front.center_state()["error"], f"that it is refused for {why}")
                self.assertEqual(front.center_state()["state"], "refused")
                self.assertEqual(front.state()["changes"][0]["outcome"], "refused")
                self.check_all_answered(front, 3)
        # The file's changes are read without it.
        front.config["server"]["max_body"] = "1MiB"
        front.write_config(front.config)
        self.assertEqual(front.post("/reload", "", admin=True).status, 200)
        self.assertEqual(front.center_state()["state"], "refused")
        # A mistake in the file does not keep the center from being right.
        front.config["server"]["max_body"] = "much"
        front.write_config(front.config)
        self.assertEqual(front.post("/reload", "", admin=True).status, 400)
        self.put({**pool(a), "groups": [{"name": "g", "concurrent": 3}]})
        wait_for(lambda: front.center_state()["state"] == "in_force", "the right one")
        self.check_all_answered(front, 3)

    def test_a_start_does_not_need_it(self):
        (a,) = self.start(Foreign())
        server = self.etcd()
        code, said = self.run_until_it_ends(self.center)
        self.assertEqual(code, 1)
        self.assertIn(f"etcd has no key {KEY}; put the configuration there", said)
        self.assertIn(self.copy, said, "where a copy would be")
        self.put(pool(a))
        with CenteredServer(self.center, self.copy) as front:
            self.check_all_answered(front, 3)
            wait_for(lambda: os.path.exists(self.copy), "the copy")
        self.assertEqual(os.stat(self.copy).st_mode & 0o777, 0o600)
        # What is wrong there does not stop a restart,
        self.put("models: 5")
        with CenteredServer(self.center, self.copy) as front:
            self.check_all_answered(front, 3)
            self.assertEqual(front.center_state()["state"], "refused")
            front.await_log("the copy of an earlier configuration of the center is in force")
            self.put({**pool(a), "groups": [{"name": "f", "concurrent": 3}]})
            wait_for(lambda: front.center_state()["state"] == "in_force", "the mended one")
        # nor does a center that is gone, and one that comes back is followed.
        server.kill()
        with CenteredServer(self.center, self.copy) as front:
            self.check_all_answered(front, 3)
            wait_for(lambda: front.center_state()["state"] == "unavailable", "that it is gone")
            self.assertEqual(front.metric("autoglm_config_center_up", center=f"etcd {KEY}"), 0)
            self.etcd(self.port)
            wait_for(lambda: front.center_state()["state"] == "in_force", "that it is back")
            self.put({**pool(a), "groups": [{"name": "g", "concurrent": 3}]})
            wait_for(lambda: "groups[g]" in str(front.state()["changes"]), "a change")
        os.remove(self.copy)

    def test_a_text_that_no_server_can_start_with_does_not_become_the_copy(self):
        (a,) = self.start(Foreign())
        self.etcd()
        self.put(pool(a))
        with CenteredServer(self.center, self.copy) as front:
            wait_for(lambda: os.path.exists(self.copy), "the copy")
            self.put({**pool(a), "server": {"listen": "203.0.113.1:80"}})
            wait_for(lambda: front.state()["restart_needed_for"] == ["server.listen"], "the address that waits for a restart")
            self.check_all_answered(front, 3)
            # Documentation's addresses are no machine's: no server can listen there.
            self.assertNotIn("203.0.113.1", front.get("/config.yaml", admin=True).body.decode(), "it is not in force")
        with CenteredServer(self.center, self.copy) as front:
            self.check_all_answered(front, 3)
            self.assertIn("203.0.113.1", front.center_state()["error"])
            self.assertEqual(front.metric("autoglm_config_reloads_total", outcome="refused"), 1)
            front.await_log(self.copy)

    def test_what_a_text_lacked_may_come_later(self):
        (a,) = self.start(Foreign())
        self.etcd()
        self.put(pool(a))
        front = self.front(self.center)
        secret = os.path.join(self.folder, "secret")
        self.put({**pool(a), "keys": [{"name": "bob", "key": "${file:" + secret + "}"}]})
        wait_for(lambda: "No such file" in front.center_state()["error"], "that it is refused")
        # A mistake in the file does not stand in its way, nor it in the file's.
        front.config["server"]["max_body"] = "much"
        front.write_config(front.config)
        self.assertEqual(front.post("/reload", "", admin=True).status, 400)
        self.assertEqual(front.state()["sources"][0]["state"], "refused")
        with open(secret, "w") as file:
            file.write("sk-of-a-file-0123456789")
        wait_for(lambda: front.center_state()["state"] == "in_force", "another try")
        self.assertEqual(front.post("/v1/completions", {"prompt": "Hi"}).status, 401)
        self.assertEqual(front.state()["sources"][0]["state"], "refused", "the file is as wrong as before")

    def test_many_changes_under_load_fail_no_request(self):
        a, b = self.start(Foreign(), Foreign())
        self.etcd()
        self.put(pool(a))
        front = self.front(self.center)
        failures, over = [], threading.Event()

        def ask():
            while not over.is_set():
                answer = front.post("/v1/completions", {"prompt": "Hi"})
                if answer.status != 200:
                    failures.append(answer.body)

        clients = [threading.Thread(target=ask) for _ in range(4)]
        for client in clients:
            client.start()
        try:
            for i in range(100):
                self.put(pool(*([a, b] if i % 2 else [b]), retry={"max_attempts": 2 + i % 3}))
            last = self.ctl("get", KEY, "-w", "json")
            revision = str(json.loads(last.stdout)["kvs"][0]["mod_revision"])
            wait_for(lambda: front.center_state()["version"] == revision, "the last one")
        finally:
            over.set()
            for client in clients:
                client.join()
        self.assertEqual(failures, [])
        self.assertEqual({change["outcome"] for change in front.state()["changes"]}, {"applied"})


class Files(Centered):
    def test_a_file_that_is_swapped(self):
        a, b = self.start(Foreign(), Foreign())
        path = os.path.join(self.folder, "overlay.yaml")

        def put(config):
            with open(path + ".new", "w") as file:
                json.dump(config, file)
            os.replace(path + ".new", path)

        put(pool(a))
        secret = os.path.join(self.folder, "key")
        with open(secret, "w") as file:
            file.write("sk-of-a-file-0123456789\n")
        front = self.front({"file": {"path": path}})
        self.check_all_answered(front, 3)
        put({**pool(b), "keys": [{"name": "bob", "key": "${file:" + secret + "}"}]})
        wait_for(lambda: front.post("/v1/completions", {"prompt": "Hi"}).status == 401, "the keys")
        self.assertEqual(front.post("/v1/completions", {"prompt": "Hi"},
                                    headers={"Authorization": "Bearer sk-of-a-file-0123456789"}).status, 200)
        shown = front.get("/config.yaml", admin=True).body.decode() + json.dumps(front.state()) + front.log()
        self.assertNotIn("sk-of-a-file", shown)


class Silent(Centered):
    def test_a_center_that_hangs_does_not_hold_a_start_up_for_long(self):
        with socket.create_server(("127.0.0.1", 0)) as hangs:
            center = {"consul": {"address": f"http://127.0.0.1:{hangs.getsockname()[1]}", "key": "a"}}
            code, said = self.run_until_it_ends(center)
            self.assertEqual(code, 1)
            self.assertIn("consul a: it does not answer; and there is no copy", said)


class Wrong(Centered):
    def test_is_refused_with_what_to_do(self):
        for center, why in [({}, "names no center"), ({"file": {"path": "a"}, "etcd": {"key": "b"}}, "names several centers"),
                            ({"consul": {"key": "a", "address": "nonsense"}}, "center.consul.address"),
                            ({"zookeeper": {}}, "zookeeper")]:
            with self.subTest(center=center):
                code, said = self.run_until_it_ends(center)
                self.assertEqual(code, 2, said)
                self.assertIn(why, said)


if __name__ == "__main__":
    unittest.main()

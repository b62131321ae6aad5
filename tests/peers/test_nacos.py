"""Nacos 3.1 itself, and users of it by its Java clients 1.4 (HTTP) and 2.4 (gRPC): what they see of us, how fast a change is
followed, and what Nacos' faults change. `tools/peers/nacos.sh` gets them."""

import json
import os
import queue
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "integration"))

from gateway_fixture import Crowd, GatewayTest  # noqa: E402
from nacos_double import Nacos as Double  # noqa: E402
from server import NEVER, Server, wait_for  # noqa: E402
from test_center import CenteredServer, pool as center_pool  # noqa: E402
from test_discovery import found  # noqa: E402
from test_register import Registered, RegisterTest  # noqa: E402
from upstream import Foreign  # noqa: E402

PEER = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "open-autoglm", "peers", "nacos")
PATIENCE = 180  # a start takes a minute of a core
STREAMS = 200


def free_block():
    """A port whose neighbours at -1000 (raft), +1000 and +1001 (gRPC) are free, too."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        try:
            for offset in (-1000, 0, 1000, 1001):
                socket.create_server(("127.0.0.1", port + offset)).close()
            return port
        except (OSError, OverflowError):
            continue


class Nacos:
    """A standalone server on loopback."""

    def __init__(self, password=None):
        self.port, self.password, self.token = free_block(), password, None
        self.folder = tempfile.TemporaryDirectory(prefix="open-autoglm-nacos-")
        os.makedirs(os.path.join(self.folder.name, "conf"))
        with open(os.path.join(HERE, "../../tools/peers/nacos/application.properties")) as file:
            properties = file.read().replace("HOME", self.folder.name).replace("18848", str(self.port))
        if password:
            properties = properties.replace("auth.enabled=false", "auth.enabled=true")
        with open(os.path.join(self.folder.name, "conf", "application.properties"), "w") as file:
            file.write(properties)
        self.start()

    def start(self):
        home = self.folder.name
        # hessian first: another jar has classes of its name.
        path = ":".join([f"{PEER}/cls", f"{PEER}/lib/hessian-4.0.63.jar", f"{PEER}/lib/*"])
        with open(os.path.join(home, "out"), "a") as out:
            self.process = subprocess.Popen(["java", "-Xmx512m", "-Dnacos.standalone=true", f"-Dnacos.home={home}", "-Dserver.address=127.0.0.1", "-cp", path,
                                             "NacosStandalone", f"--spring.config.additional-location=file:{home}/conf/"],
                                            cwd=home, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        wait_for(lambda: self.ask("GET", "/v1/ns/instance/list", serviceName="x")[0] in (200, 403), "Nacos to be ready", PATIENCE)
        if self.password:
            self.ask("POST", "/v3/auth/user/admin", password=self.password)
            wait_for(self.log_in, "the login of the new user", PATIENCE)

    def log_in(self):
        status, said = self.ask("POST", "/v3/auth/user/login", username="nacos", password=self.password)
        self.token = json.loads(said)["accessToken"] if status == 200 else None
        return self.token

    def ask(self, method, path, **fields):
        form = urllib.parse.urlencode(fields)
        request = urllib.request.Request(self.url + "/nacos" + path + ("" if method == "POST" else "?" + form), method=method,
                                         data=form.encode() if method == "POST" else None, headers={"Authorization": f"Bearer {self.token}"} if self.token else {})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def put(self, port, ephemeral="false", **more):
        """A server that somebody registers; persistent, so that nobody must beat for it."""
        assert self.ask("POST", "/v1/ns/instance", serviceName="llm", ip="127.0.0.1", port=port, ephemeral=ephemeral, **more) == (200, "ok")

    def remove(self, port, ephemeral="false"):
        assert self.ask("DELETE", "/v1/ns/instance", serviceName="llm", ip="127.0.0.1", port=port, ephemeral=ephemeral) == (200, "ok")

    def list(self, service):
        status, said = self.ask("GET", "/v1/ns/instance/list", serviceName=service)
        return {(each["ip"], each["port"]): each for each in json.loads(said)["hosts"]} if status == 200 else {}

    def publish(self, data_id, content):
        assert self.ask("POST", "/v1/cs/configs", dataId=data_id, group="DEFAULT_GROUP", content=content, type="yaml") == (200, "true")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGCONT)
        self.kill()
        self.folder.cleanup()


class User:
    """A program with Nacos' own client; `lines` are what it says."""

    def __init__(self, client, url, *command, password=None):
        environment = {**os.environ, **({"NACOS_PASSWORD": password} if password else {})}
        self.home = tempfile.TemporaryDirectory(prefix="open-autoglm-nacos-user-")
        self.process = subprocess.Popen(["java", "-Xmx128m", f"-Duser.home={self.home.name}", f"-DJM.LOG.PATH={self.home.name}", "-cp",
                                         f"{PEER}/user:{PEER}/client{client}/*", "NacosUser", url.removeprefix("http://"), *command],
                                        env=environment, cwd=self.home.name, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.lines = queue.Queue()
        self.thread = threading.Thread(target=lambda: [self.lines.put((time.monotonic(), line.strip())) for line in self.process.stdout])
        self.thread.start()

    def wait_for(self, *texts):
        """The time of the first line that has all of them."""
        seen = []
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                at, line = self.lines.get(timeout=1)
            except queue.Empty:
                continue
            seen.append(line)
            if all(text in line for text in texts):
                return at
        raise AssertionError(f"{texts} are not in {seen}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.thread.join()
        self.process.stdout.close()
        self.home.cleanup()


class Load:
    """Short requests, one after the other in each of some threads, and what failed."""

    def __init__(self, front, threads=2):
        self.front, self.failures, self.answered, self.over = front, [], 0, threading.Event()
        self.threads = [threading.Thread(target=self.run) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def run(self):
        while not self.over.wait(0.04):
            answer = self.front.post("/v1/completions", {"prompt": "Hi", "max_tokens": 2})
            if answer.status == 200:
                self.answered += 1
            else:
                self.failures.append((answer.status, answer.body))

    def join(self):
        self.over.set()
        for thread in self.threads:
            thread.join()


def chunk(text):
    return f'data: {{"id":"a","object":"text_completion","choices":[{{"index":0,"text":"{text}","finish_reason":null}}]}}\n\n'.encode()


def slow(release):
    """Streams begin and wait; all else is answered at once."""
    from upstream import completion

    def answer(_, asked, __):
        if not asked.get("stream"):
            return 200, {}, completion()
        return 200, {}, [chunk("a"), release, chunk("b"), b"data: [DONE]\n\n"]

    return answer


def by(nacos, **more):
    return {"nacos": {"address": nacos.url, "service": "llm", **more}}


class Peers(GatewayTest):
    def front(self, *models, **more):
        return self.start(Server(models=list(models), **more))[0]

    def model(self, front):
        (model,) = front.get("/members", admin=True).json()["models"]
        return model

    def is_up(self, front):
        return self.model(front)["registries"][0]["up"]

    def names(self, front):
        return sorted(each["endpoint"] for each in self.model(front)["members"])

    def wait_for_members(self, front, *servers):
        wait_for(lambda: self.names(front) == sorted(server.name for server in servers), f"{len(servers)} members")

    def measure(self, front, nacos, server, others, times=8):
        """How long it takes from Nacos' answer to a change until the new member is asked."""
        took = []
        for _ in range(times):
            nacos.put(server.port)
            begin, before = time.monotonic(), len(server.requests)
            while len(server.requests) == before:
                self.check_all_answered(front, 1)
            took.append(time.monotonic() - begin)
            nacos.remove(server.port)
            self.wait_for_members(front, *others)
        return took


class Servers(Peers):
    @classmethod
    def setUpClass(cls):
        cls.nacos = cls.enterClassContext(Nacos())

    def tearDown(self):
        for ip, port in self.nacos.list("llm"):
            self.nacos.remove(port)

    def test_a_change_is_pushed_and_no_fault_of_nacos_costs_a_request(self):
        nacos, release = self.nacos, threading.Event()
        self.addCleanup(release.set)
        a, b, c = self.start(*(Foreign(slow(release)) for _ in range(3)))
        nacos.put(a.port)
        nacos.put(b.port)
        front = self.front(found(by(nacos, transport="grpc"), timeouts={"connect": "2s", "first_token": "600s", "idle": "600s", "total": "900s"}),
                           server={"request_timeout": "900s"})
        self.wait_for_members(front, a, b)
        streams = Crowd(front, [{"prompt": "Hi", "max_tokens": 2, "stream": True}] * STREAMS).wait_until_begun(STREAMS)
        load = Load(front)
        took = self.measure(front, nacos, c, (a, b))
        print(f"\nNacos' answer to a change → asked, pushed: median {statistics.median(took):.2f} s, most {max(took):.2f} s of {len(took)}", file=sys.stderr)
        self.assertLess(statistics.median(took), 1)
        for fault in ("frozen", "killed"):
            nacos.process.send_signal(signal.SIGSTOP) if fault == "frozen" else nacos.kill()
            wait_for(lambda: not self.is_up(front), f"that Nacos is {fault}")
            self.check_all_answered(front)
            self.assertEqual(self.names(front), sorted([a.name, b.name]), fault)
            nacos.process.send_signal(signal.SIGCONT) if fault == "frozen" else nacos.start()
            wait_for(lambda: self.is_up(front), "its return")
            nacos.put(c.port)
            self.wait_for_members(front, a, b, c)
            nacos.remove(c.port)
            self.wait_for_members(front, a, b)
        for server in (a, b):  # what is left when its data is lost
            nacos.remove(server.port)
        wait_for(lambda: front.metric("autoglm_discovery_held", model="tiny") == 2, "both to be held")
        self.check_all_answered(front)
        load.join()
        release.set()
        streams.join()
        print(f"{STREAMS} streams, {load.answered} requests meanwhile, {len(streams.failures) + len(load.failures)} failures", file=sys.stderr)
        self.assertEqual(streams.failures + load.failures, [])
        self.assertGreater(load.answered, 100)

    def test_over_http_it_is_followed_in_intervals(self):
        a, b = self.start(Foreign(), Foreign())
        self.nacos.put(a.port, clusterName="hz")
        self.nacos.put(b.port, clusterName="sh")
        front = self.front(found(by(self.nacos, transport="http", interval="1s")))
        self.wait_for_members(front, a, b)
        self.nacos.put(b.port, clusterName="sh", weight=0)
        self.wait_for_members(front, a)
        only = self.front(found(by(self.nacos, clusters=["hz"])))
        self.wait_for_members(only, a)
        for server, cluster in ((a, "hz"), (b, "sh")):
            self.nacos.ask("DELETE", "/v1/ns/instance", serviceName="llm", ip="127.0.0.1", port=server.port, clusterName=cluster, ephemeral="false")

    def test_without_grpc_there_is_http(self):
        (a,) = self.start(Foreign())
        self.nacos.put(a.port)
        front = self.front(found(by(self.nacos, grpc_port_offset=3)))
        self.wait_for_members(front, a)
        self.assertTrue(self.is_up(front))

    def test_a_server_that_its_own_clients_register_is_found(self):
        a, b = self.start(Foreign(), Foreign())
        # A service of Nacos has either persistent instances, as those of the other tests, or ephemeral ones.
        front = self.front(found({**by(self.nacos, service="theirs"), "filter": {"models": "tiny"}}), ready=False)
        with User(2, self.nacos.url, "register", "theirs", str(a.port)) as first, User(1, self.nacos.url, "register", "theirs", str(b.port)) as second:
            first.wait_for("registered")
            second.wait_for("registered")
            self.wait_for_members(front, a, b)


class Us(RegisterTest):
    def at(self, nacos, transport, **more):
        return {"nacos": {"address": nacos.url, "transport": transport}, "service": f"us-{transport}", "id": "one", **more}

    def test_what_it_and_its_clients_see_of_us(self):
        (nacos,) = self.start(Nacos())
        for transport in ("grpc", "http"):
            service = f"us-{transport}"
            us = Registered(self.at(nacos, transport, metadata={"zone": "eu-1"}, weight=3)).__enter__()
            self.addCleanup(us.__exit__, AssertionError, None, None)  # it is killed below
            us.wait_until_registered()
            seen = wait_for(lambda: nacos.list(service).get(("127.0.0.1", us.port)), "us in its list")
            self.assertEqual((seen["weight"], seen["healthy"], seen["ephemeral"], seen["metadata"]["models"], seen["metadata"]["zone"]),
                             (3.0, True, True, "tiny", "eu-1"))
            with User(1, nacos.url, "watch", service) as old, User(2, nacos.url, "watch", service) as new:
                for user in (old, new):
                    user.wait_for(f"127.0.0.1:{us.port}{{id=one", "models=tiny", "zone=eu-1")
                found = self.gateway({"nacos": {"address": nacos.url, "service": service}})
                self.wait_for_members(found, us)
                (other,) = self.start(Registered(self.at(nacos, transport)))
                wait_for(lambda: "with our id, one" in other.entry["error"], "the reason")
                self.assertEqual(list(nacos.list(service)), [("127.0.0.1", us.port)])
                other.stop()
                NEVER.wait(20)  # longer than Nacos believes one who is silent
                self.assertEqual([each["healthy"] for each in nacos.list(service).values()], [True])
                nacos.kill()
                wait_for(lambda: not us.entry["registered"], "that nobody knows of us")
                self.check_all_answered(us, 5)
                nacos.start()
                us.wait_until_registered()
                wait_for(lambda: ("127.0.0.1", us.port) in nacos.list(service), "us in a Nacos that is back")
            us.process.kill()
            us.process.wait()
            wait_for(lambda: not any(each["healthy"] for each in nacos.list(service).values()), "that we are dead")

    def test_it_leaves_before_readiness_falls(self):
        (nacos,) = self.start(Nacos())
        for transport in ("grpc", "http"):
            (us,) = self.start(Registered(self.at(nacos, transport), server={"drain_delay": "1h"}))
            us.wait_until_registered()
            wait_for(lambda: nacos.list(f"us-{transport}"), "us in its list")
            us.process.send_signal(signal.SIGTERM)
            wait_for(lambda: us.get("/readyz").status == 503, "the end of readiness")
            wait_for(lambda: not nacos.list(f"us-{transport}"), "that we are gone")
            us.process.send_signal(signal.SIGTERM)
            us.process.wait(PATIENCE)


class Texts(Peers):
    def test_a_configuration_is_in_force_within_a_second_and_survives_nacos(self):
        (nacos,) = self.start(Nacos())
        a, b = self.start(Foreign(), Foreign())
        said = [json.dumps(center_pool(a)), json.dumps(center_pool(b))]
        for transport in ("grpc", "http"):
            folder = self.enterContext(tempfile.TemporaryDirectory(prefix="open-autoglm-nacos-copy-"))
            nacos.publish("gateway.yaml", said[0])
            front = self.start(CenteredServer({"nacos": {"address": nacos.url, "data_id": "gateway.yaml", "transport": transport}},
                                              os.path.join(folder, "copy.yaml")))[0]
            load, took = Load(front), []
            for turn in range(1, 9):
                text = said[turn % 2]
                begin = time.monotonic()
                nacos.publish("gateway.yaml", text)
                wait_for(lambda: front.center_state()["version"] == Double.md5(text), "the text to be in force")
                took.append(time.monotonic() - begin)
            print(f"\npublished → in force, by {transport}: median {statistics.median(took):.2f} s, most {max(took):.2f} s of {len(took)}", file=sys.stderr)
            self.assertLess(statistics.median(took), 1)
            NEVER.wait(12)  # longer than an answer may take that is not held back
            self.assertEqual(front.metric("autoglm_config_center_failures_total") or 0, 0)
            nacos.publish("gateway.yaml", "models: 3")
            wait_for(lambda: front.metric("autoglm_config_reloads_total", outcome="refused"), "the refusal")
            load.join()
            self.assertEqual(load.failures, [])
            nacos.publish("gateway.yaml", said[0])
            wait_for(lambda: front.center_state()["version"] == Double.md5(said[0]), "the text to be in force")
        nacos.kill()
        wait_for(lambda: front.metric("autoglm_config_center_up") == 0, "that it is gone")
        self.check_all_answered(front)
        nacos.start()
        with User(2, nacos.url, "publish", "gateway.yaml", said[1]) as user:
            user.wait_for("published true")
            wait_for(lambda: front.center_state()["version"] == Double.md5(said[1]), "what its own client published")


class WithALogin(Peers):
    def test_by_each_transport_and_with_a_wrong_password(self):
        (a,) = self.start(Foreign())
        (nacos,) = self.start(Nacos(password="nacos-secret"))
        nacos.put(a.port)
        for transport in ("grpc", "http"):
            front = self.front(found(by(nacos, transport=transport, username="nacos", password="nacos-secret")))
            self.wait_for_members(front, a)
            wrong = self.front(found(by(nacos, transport=transport, username="nacos", password="wrong")), ready=False)
            wait_for(lambda: self.model(wrong)["registries"][0]["error"], "the refusal")
            self.assertIn("refuses the login of nacos", self.model(wrong)["registries"][0]["error"])
            without = self.front(found(by(nacos, transport=transport)), ready=False)
            wait_for(lambda: self.model(without)["registries"][0]["error"], "the refusal of what has no login")
            self.assertEqual((self.names(wrong), self.names(without)), ([], []))
            self.assertNotIn("nacos-secret", front.log() + front.get("/members", admin=True).body.decode())


class TheDouble(unittest.TestCase):
    """Nacos' own client of the HTTP API works with the double of tests/integration as with the real one."""

    def test_servers(self):
        with Double() as double:
            double.say([8001], metadata={"models": "tiny"})
            with User(1, f"http://127.0.0.1:{double.port}", "watch", "llm") as user:
                user.wait_for("127.0.0.1:8001{models=tiny}")
                with User(1, f"http://127.0.0.1:{double.port}", "register", "llm", "8002") as other:
                    other.wait_for("registered")
                    user.wait_for("127.0.0.1:8002{models=tiny")
                    wait_for(lambda: double.asked("PUT", "/v1/ns/instance/beat"), "its beat")
                    double.say([8001])  # forgotten
                    wait_for(lambda: ("127.0.0.1", 8002) in double.instances(), "that it registers again")

    def test_configuration(self):
        with Double() as double:
            double.publish("a.yaml", "one: 1\n")
            with User(1, f"http://127.0.0.1:{double.port}", "config", "a.yaml") as user:
                user.wait_for("text one: 1\\n")
                wait_for(lambda: double.asked("POST", "/v1/cs/configs/listener"), "its question")
                NEVER.wait(1)  # the client holds back what changes before it listens
                double.publish("a.yaml", "two: 2\n")
                user.wait_for("text two: 2\\n")
                with User(1, f"http://127.0.0.1:{double.port}", "publish", "a.yaml", "three: 3") as other:
                    other.wait_for("published true")
                user.wait_for("text three: 3")


if __name__ == "__main__":
    unittest.main()

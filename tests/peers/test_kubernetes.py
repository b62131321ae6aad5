"""Kubernetes' own API server over etcd: what tests/integration/test_kubernetes.py has a double of.

All runs in a network of its own with addresses that a pod could have, since EndpointSlices refuse loopback's, and with folders of its
own. That takes root, or a system that lets users have namespaces.
"""

import ctypes
import http.client
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/integration"))

# pylint: disable=wrong-import-position
from server import NEVER, PATIENCE, Server, environment, events, wait_for
from test_center import Centered, pool
from test_discovery import Discovered, found, free_port
from upstream import Foreign, completion

PEER = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "open-autoglm/peers/kubernetes"
POD, POD6 = "10.213.0.1", "fd00:213::1"
NEW_NAMESPACE, NEW_USER, NEW_NETWORK = 0x20000, 0x10000000, 0x40000000
ADMIN = "admin-token"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


def setUpModule():
    """Threads and processes that begin later are in these namespaces, too; they end with them."""
    user, group = os.getuid(), os.getgid()
    if ctypes.CDLL(None, use_errno=True).unshare(NEW_NAMESPACE | NEW_NETWORK | (NEW_USER if user else 0)) != 0:
        raise AssertionError(f"no namespaces ({os.strerror(ctypes.get_errno())}): run this as root")
    if user:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    for command in (["mount", "--make-rprivate", "/"], ["mount", "-t", "tmpfs", "none", "/run"], ["ip", "link", "set", "lo", "up"],
                    ["ip", "address", "add", f"{POD}/24", "dev", "lo"], ["ip", "address", "add", f"{POD6}/64", "dev", "lo", "nodad"]):
        subprocess.run(command, check=True)


class Cluster:
    """etcd and an API server on free ports."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="open-autoglm-kubernetes-")
        self.path = Path(self.folder.name)
        self.etcd_port, self.port = free_port(), free_port()
        subprocess.run(["openssl", "genrsa", "-out", str(self.path / "account.key"), "2048"], check=True, capture_output=True)
        (self.path / "tokens.csv").write_text(f"{ADMIN},admin,admin,system:masters\n")
        self.ca = str(self.path / "certificates/apiserver.crt")
        self.etcd = self.server = None
        self.start_etcd()
        self.start_server()

    def _run(self, name, *command):
        with open(self.path / f"{name}.log", "a") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, env=environment())

    def start_etcd(self):
        url = f"http://127.0.0.1:{self.etcd_port}"
        self.etcd = self._run("etcd", "etcd", "--data-dir", str(self.path / "etcd"), "--listen-client-urls", url, "--advertise-client-urls", url,
                              "--listen-peer-urls", "http://127.0.0.1:0")

    def start_server(self):
        key = str(self.path / "account.key")
        self.server = self._run("server", str(PEER / "kube-apiserver"), f"--etcd-servers=http://127.0.0.1:{self.etcd_port}", "--bind-address=127.0.0.1",
                                f"--secure-port={self.port}", f"--cert-dir={self.path / 'certificates'}", "--service-account-issuer=https://k.local",
                                f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}",
                                "--service-cluster-ip-range=10.0.0.0/24", f"--token-auth-file={self.path / 'tokens.csv'}", "--authorization-mode=RBAC",
                                "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none")
        wait_for(self._ready, "the API server to be ready", 120)

    def _ready(self):
        if self.server.poll() is not None:
            raise AssertionError((self.path / "server.log").read_text()[-2000:])
        try:
            return self.ask("GET", "/readyz")[0] == 200 and self.ask("GET", "/api/v1/namespaces/default")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def ask(self, method, path, body=None, token=ADMIN, kind="application/json"):
        """(status, object or text)."""
        context = ssl.create_default_context(cafile=self.ca) if os.path.exists(self.ca) else ssl._create_unverified_context()  # pylint: disable=protected-access
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=PATIENCE, context=context)
        try:
            data = body if body is None or isinstance(body, str) else json.dumps(body)
            connection.request(method, path, data, {"Authorization": f"Bearer {token}", "Content-Type": kind})
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        return response.status, json.loads(text) if text.startswith("{") else text

    def do(self, method, path, body=None, **more):
        status, answer = self.ask(method, path, body, **more)
        if status >= 300:
            raise AssertionError(f"{method} {path}: {status} {answer}")
        return answer

    def apply(self, manifest):
        """As kubectl apply --server-side does it."""
        for text in manifest.split("\n---\n"):
            said = dict(re.findall(r"^(apiVersion|kind): (\S+)$", text, re.MULTILINE))
            name, space = re.search(r"metadata: \{ name: (\S+), namespace: (\S+) \}", text).groups()
            root = "/apis/" + said["apiVersion"] if "/" in said["apiVersion"] else "/api/" + said["apiVersion"]
            self.do("PATCH", f"{root}/namespaces/{space}/{said['kind'].lower()}s/{name}?fieldManager=test&force=true", text,
                    kind="application/apply-patch+yaml")

    def new_token(self):
        path = "/api/v1/namespaces/default/serviceaccounts/open-autoglm/token"
        return self.do("POST", path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}})["status"]["token"]

    def stop(self):
        for process in (self.server, self.etcd):
            process.kill()
            process.wait()

    def close(self):
        self.stop()
        self.folder.cleanup()

    def start_empty(self):
        """Another history, as after a loss of all."""
        self.stop()
        shutil.rmtree(self.path / "etcd")
        self.start_etcd()
        self.start_server()


def documented_manifest():
    page = (ROOT / "docs/discovery.md").read_text()
    return re.search(r"## Kubernetes\n.*?```yaml\n(.*?)```", page, re.DOTALL)[1]


def documented_rule():
    """Of a configuration center in a ConfigMap, as a role of its own."""
    page = (ROOT / "docs/configuration.md").read_text()
    rule = re.search(r"kubernetes: \{ config_map: open-autoglm \}.*?```yaml\n(.*?)```", page, re.DOTALL)[1]
    role, binding = documented_manifest().split("\n---\n")[1:]
    manifest = re.sub(r"(?<=rules:\n).*", "", role, flags=re.DOTALL) + rule + "\n---\n" + binding
    return manifest.replace("open-autoglm-discovery", "open-autoglm-center")


def slice_for(server, *, name=None, host=POD, labels=None, **more):
    conditions = {"ready": True, "serving": True, "terminating": False}
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv6" if ":" in host else "IPv4",
            "metadata": {"name": name or f"llm-{server.port}", "labels": {"kubernetes.io/service-name": "llm", **(labels or {})}},
            "endpoints": [{"addresses": [host], "conditions": conditions, **more}],
            "ports": [{"name": "http", "protocol": "TCP", "port": server.port}]}


class Clustered(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cluster = Cluster()
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.apply(documented_manifest())

    def restart(self):
        self.cluster.server.terminate()
        self.cluster.server.wait()
        self.cluster.start_server()


class Services(Clustered, Discovered):

    def setUp(self):
        super().setUp()
        self.token = os.path.join(os.path.dirname(self.path), "token")
        self.write_token(self.cluster.new_token())

    def tearDown(self):
        self.cluster.do("DELETE", SLICES)
        super().tearDown()

    def write_token(self, token):
        with open(self.token + ".next", "w") as file:
            file.write(token)
        os.replace(self.token + ".next", self.token)

    def put(self, server, **more):
        wanted = slice_for(server, **more)
        path = f"{SLICES}/{wanted['metadata']['name']}"
        if self.cluster.ask("GET", path)[0] == 404:
            self.cluster.do("POST", SLICES, wanted)
        else:
            self.cluster.do("PUT", path, wanted)

    def delete(self, server):
        self.cluster.do("DELETE", f"{SLICES}/llm-{server.port}")

    def by_kubernetes(self, **more):
        return {"kubernetes": {"namespace": "default", "service": "llm", "address": f"https://127.0.0.1:{self.cluster.port}",
                               "token_file": self.token, "tls": {"ca": self.cluster.ca}}, **more}

    def pods(self, count, **more):
        return self.start(*(Foreign(host=POD, **more) for _ in range(count)))

    def registry(self, front):
        return self.members(front)["registries"][0]

    def test_changes_are_followed_with_the_documented_role_and_no_more(self):
        token = Path(self.token).read_text()
        self.assertEqual(self.cluster.ask("GET", "/api/v1/namespaces/default/pods", token=token)[0], 403)
        self.assertEqual(self.cluster.ask("DELETE", SLICES, token=token)[0], 403)
        a, b, c = self.pods(3)
        self.put(a)
        front = self.front(found(self.by_kubernetes()))
        self.wait_for_members(front, a)
        self.put(b, labels={"zone": "label"}, zone="eu-1a", nodeName="n")
        self.wait_for_members(front, a, b)
        self.delete(a)
        self.put(c)
        self.wait_for_members(front, b, c)
        self.assertGreater(min(self.asked(front, [b, c])), 0)
        self.assertEqual(front.metric("autoglm_discovery_failures_total", model="tiny"), 0)
        zoned = self.front(found(self.by_kubernetes(filter={"zone": "eu-*"})))
        self.wait_for_members(zoned, b)

    def test_without_a_role_it_says_what_to_do(self):
        self.cluster.do("POST", "/api/v1/namespaces", {"metadata": {"name": "other"}})
        wrong = self.by_kubernetes()
        wrong["kubernetes"]["namespace"] = "other"
        front = self.front(found(wrong), ready=False)
        wait_for(lambda: "give its service account a role that may" in self.registry(front)["error"], "the refusal")
        self.assertIn('cannot list resource \\"endpointslices\\"', json.dumps(self.registry(front)["error"]))

    def test_one_that_ends_finishes_its_streams(self):
        go = threading.Event()
        self.addCleanup(go.set)
        stream = [b'data: {"id":"1","object":"text_completion","choices":[{"index":0,"text":"a"}]}\n\n', go,
                  b'data: {"id":"1","object":"text_completion","choices":[{"index":0,"text":"b","finish_reason":"stop"}]}\n\n', b"data: [DONE]\n\n"]
        (a,) = self.pods(1, answer=lambda _, body, __: (200, {}, stream if body.get("stream") else completion()))
        (b,) = self.pods(1)
        self.put(a)
        front = self.front(found(self.by_kubernetes()))
        self.wait_for_members(front, a)
        connection, response = front.stream("/v1/completions", {"prompt": "Hi"})
        try:
            self.put(b)
            self.put(a, conditions={"ready": False, "serving": True, "terminating": True})
            self.wait_for_members(front, b)
            self.assertEqual(self.asked(front, [a, b], 10), [0, 10])
            go.set()
            self.assertIn("[DONE]", response.read().decode())
        finally:
            connection.close()
        self.delete(b)
        self.wait_for_members(front, a)

    def test_a_pod_of_both_families_is_one(self):
        (a,) = self.pods(1)
        b = self.start(Foreign(host=POD6))[0]
        pod = {"kind": "Pod", "name": "llm-0", "namespace": "default"}
        self.put(a, targetRef=pod)
        self.put(a, name="llm-six", host=POD6, targetRef=pod)
        front = self.front(found(self.by_kubernetes()))
        self.wait_for_members(front, a)
        self.put(b, host=POD6, targetRef={**pod, "name": "llm-1"})
        self.wait_for_members(front, a, b)
        self.assertGreater(min(self.asked(front, [a, b])), 0)

    def test_a_token_that_is_no_longer_good_is_read_again(self):
        a, b = self.pods(2)
        self.put(a)
        front = self.front(found(self.by_kubernetes()))
        self.wait_for_members(front, a)
        # A new account has a new identity: no token of the old one is good.
        self.cluster.do("DELETE", "/api/v1/namespaces/default/serviceaccounts/open-autoglm")
        self.cluster.apply(documented_manifest())
        self.restart()
        wait_for(lambda: "see its token" in self.registry(front)["error"], "the refusal")
        self.check_all_answered(front)
        self.write_token(self.cluster.new_token())
        self.put(b)
        self.wait_for_members(front, a, b)
        self.assertTrue(self.registry(front)["up"])

    def test_a_server_that_is_frozen_killed_or_empty_changes_nothing(self):
        a, b, c = self.pods(3)
        self.put(a)
        self.put(b)
        front = self.front(found(self.by_kubernetes()))
        self.wait_for_members(front, a, b)
        self.cluster.server.send_signal(signal.SIGSTOP)
        self.check_all_answered(front)
        self.cluster.server.send_signal(signal.SIGCONT)
        self.put(c)
        self.wait_for_members(front, a, b, c)
        # The API server ends, and comes back with another authority.
        self.cluster.server.kill()
        self.cluster.server.wait()
        wait_for(lambda: not self.registry(front)["up"], "that it is gone")
        self.assertGreater(min(self.asked(front, [a, b, c])), 0)
        shutil.rmtree(self.cluster.path / "certificates")
        self.cluster.start_server()
        self.delete(c)
        self.wait_for_members(front, a, b)
        # An empty one has a history that begins anew: what it forgot is held, since our own checks find it well.
        self.cluster.start_empty()
        self.cluster.apply(documented_manifest())
        self.write_token(self.cluster.new_token())
        wait_for(lambda: self.registry(front)["held"] == 2, "both to be held")
        self.assertGreater(min(self.asked(front, [a, b])), 0)
        self.put(b)
        wait_for(lambda: self.registry(front)["held"] == 1, "one to be listed")
        self.put(a)
        self.put(c)
        self.wait_for_members(front, a, b, c)
        wait_for(lambda: self.registry(front)["held"] == 0, "none to be held")

    def test_in_a_pod_its_account_is_enough(self):
        (a,) = self.pods(1)
        self.put(a)
        os.makedirs(ACCOUNT, exist_ok=True)
        for name, text in (("token", self.cluster.new_token()), ("namespace", "default"), ("ca.crt", Path(self.cluster.ca).read_text())):
            Path(ACCOUNT, name).write_text(text)
        self.addCleanup(shutil.rmtree, "/run/secrets")
        front = self.start(Server(models=[found({"kubernetes": {"service": "llm"}})],
                                  env={"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(self.cluster.port)}))[0]
        self.wait_for_members(front, a)
        self.assertEqual(self.registry(front)["registry"], "kubernetes default/llm")

    def test_200_streams_while_endpoints_come_and_go(self):
        pause = threading.Event()
        pause.wait = lambda _: NEVER.wait(0.02)
        words = [b'data: {"id":"1","object":"text_completion","choices":[{"index":0,"text":"a"}]}\n\n', pause] * 10
        stream = words + [b'data: {"id":"1","object":"text_completion","choices":[{"index":0,"text":"b","finish_reason":"stop"}]}\n\n', b"data: [DONE]\n\n"]
        servers = self.pods(6, answer=lambda _, body, __: (200, {}, stream if body.get("stream") else completion()))
        for server in servers[:3]:
            self.put(server)
        front = self.front(found(self.by_kubernetes()))
        self.wait_for_members(front, *servers[:3])
        over, failures, done = threading.Event(), [], []

        def ask():
            while not over.is_set():
                try:
                    connection, response = front.stream("/v1/completions", {"prompt": "Hi"})
                    try:
                        said = list(events(response))
                    finally:
                        connection.close()
                    good = response.status == 200 and said and said[-1] == "[DONE]" and len(said) == 12
                    (done if good else failures).append((response.status, said[-1:]))
                except Exception as error:  # reported by the test's thread
                    failures.append(repr(error))

        threads = [threading.Thread(target=ask) for _ in range(200)]
        for thread in threads:
            thread.start()
        delays = []
        try:
            for turn in range(40):
                comes, goes = servers[(turn + 3) % 6], servers[turn % 6]
                self.put(comes)
                began = time.monotonic()
                before = len(comes.requests)
                wait_for(lambda: len(comes.requests) > before, "a request to the new one")
                delays.append(time.monotonic() - began)
                # A pod ends before it is gone, as the controller has it.
                self.put(goes, conditions={"ready": False, "serving": True, "terminating": True})
                self.delete(goes)
        finally:
            over.set()
            for thread in threads:
                thread.join()
        self.assertEqual(failures, [])
        self.assertGreater(len(done), 400)
        delays.sort()
        print(f"{len(done)} streams, {2 * len(delays)} changes; change to first request: median {delays[len(delays) // 2] * 1000:.0f} ms, "
              f"worst {delays[-1] * 1000:.0f} ms", file=sys.stderr)


class ConfigMaps(Clustered, Centered):
    MAPS = "/api/v1/namespaces/default/configmaps"

    def setUp(self):
        super().setUp()
        self.cluster.apply(documented_rule())
        token = os.path.join(self.folder, "token")
        Path(token).write_text(self.cluster.new_token())
        self.center = {"kubernetes": {"namespace": "default", "config_map": "open-autoglm", "address": f"https://127.0.0.1:{self.cluster.port}",
                                      "token_file": token, "tls": {"ca": self.cluster.ca}}}

    def put(self, config, **data):
        body = {"metadata": {"name": "open-autoglm"}, "data": {**({"open-autoglm.yaml": json.dumps(config)} if config else {}), **data}}
        path = f"{self.MAPS}/open-autoglm"
        if self.cluster.ask("GET", path)[0] == 404:
            return self.cluster.do("POST", self.MAPS, body)["metadata"]["resourceVersion"]
        return self.cluster.do("PUT", path, body)["metadata"]["resourceVersion"]

    def test_a_key_is_followed_with_the_documented_role(self):
        a, b = self.start(Foreign(), Foreign())
        code, said = self.run_until_it_ends(self.center)
        self.assertNotEqual(code, 0)
        self.assertIn("kubectl create configmap -n default open-autoglm --from-file=open-autoglm.yaml", said)
        version = self.put(pool(a))
        front = self.front(self.center)
        self.assertEqual(front.center_state()["version"], version)
        self.check_all_answered(front, 5)
        self.assertEqual(len(a.requests), 5)
        delays = []
        for turn in range(20):
            wanted = b if turn % 2 == 0 else a
            version = self.put(pool(wanted))
            began = time.monotonic()
            wait_for(lambda: front.center_state()["version"] == version, "the change to be in force")
            delays.append(time.monotonic() - began)
            before = len(wanted.requests)
            self.check_all_answered(front, 1)
            self.assertEqual(len(wanted.requests), before + 1)
        print(f"20 changes in force after {max(delays) * 1000:.0f} ms at most", file=sys.stderr)
        # What is missing, or wrong, changes nothing and is told.
        self.put(None, other="x: 1")
        wait_for(lambda: "has no key open-autoglm.yaml; it has other" in json.dumps(front.state()), "the missing key")
        self.check_all_answered(front, 1)
        self.cluster.do("DELETE", f"{self.MAPS}/open-autoglm")
        wait_for(lambda: "there is no ConfigMap default/open-autoglm" in json.dumps(front.state()), "the missing map")
        self.check_all_answered(front, 1)
        self.restart()
        version = self.put(pool(b))
        wait_for(lambda: front.center_state()["version"] == version, "the map that is there again")
        self.assertEqual(self.cluster.ask("GET", self.MAPS, token=Path(self.center["kubernetes"]["token_file"]).read_text())[0], 403, "the others'")


if __name__ == "__main__":
    unittest.main()

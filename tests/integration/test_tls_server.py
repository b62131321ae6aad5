"""TLS at the API's own port: versions, names, clients' certificates, and files that change under load."""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import unittest

from certificates import Authority, not_after, serial
from gateway_fixture import members, pool
from server import PATIENCE, Server, events, text_of, wait_for
from test_docs import ROOT
from test_life import run
from upstream import Listener

ASK = {"prompt": "Hello", "max_tokens": 2}
RELOADS = "autoglm_tls_reloads_total"


class TlsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="open-autoglm-test-"))
        cls.ours, cls.other = Authority(cls.folder, "ours"), Authority(cls.folder, "other")
        cls.pair = cls.ours.issue("local", "IP:127.0.0.1", "DNS:local.example")

    def path(self, name):
        return os.path.join(self.folder, name)

    def trusting(self, certificate=None, versions=None):
        """A client's context; `certificate` is the one it shows."""
        context = ssl.create_default_context(cafile=self.ours.ca)
        if certificate:
            context.load_cert_chain(*certificate)
        if versions:
            context.minimum_version = context.maximum_version = versions
        return context

    def start(self, *pairs, client=None, server=None, **tls):
        certificates = [{"certificate": c, "key": k} for c, k in pairs or [self.pair]]
        return self.enterContext(Server(server={"tls": {"certificates": certificates, **tls}, **(server or {})},
                                        tls=client or self.trusting()))

    def live_pair(self, pair):
        """Copies a pair to paths whose files will change."""
        live = self.path("live.crt"), self.path("live.key")
        for i in (0, 1):
            self.replace(pair[i], live[i])
        return live

    def replace(self, source, target):
        shutil.copy(source, target + ".fresh")
        os.replace(target + ".fresh", target)

    @contextlib.contextmanager
    def connection(self, server, name="127.0.0.1", context=None, **options):
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as plain:
            with (context or server.tls).wrap_socket(plain, server_hostname=name, **options) as secure:
                yield secure

    def served(self, server, name="127.0.0.1", context=None):
        """The serial number of the certificate that the server shows."""
        with self.connection(server, name, context) as secure:
            return int(secure.getpeercert()["serialNumber"], 16)

    def curl(self, server, *options, path="/v1/models"):
        done = subprocess.run(["curl", "-sS", "--cacert", self.ours.ca, *options, f"https://127.0.0.1:{server.port}{path}"],
                              capture_output=True, text=True, timeout=PATIENCE)
        return done.returncode, done.stdout, done.stderr

    def s_client(self, server, *options):
        done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-CAfile", self.ours.ca, *options],
                              capture_output=True, text=True, timeout=PATIENCE, input="")
        return done.returncode, done.stdout + done.stderr


class Speaks(TlsTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = cls.enterClassContext(Server(
            server={"tls": {"certificates": [dict(zip(("certificate", "key"), cls.pair))]}}, tls=cls.trusting(cls)))

    def test_versions(self):
        for wanted, said in (("--tlsv1.2", "TLSv1.2"), ("--tlsv1.3", "TLSv1.3")):
            code, out, err = self.curl(self.server, wanted, "--tls-max", wanted[-3:], "-v")
            self.assertEqual(code, 0, err)
            self.assertEqual(json.loads(out)["object"], "list")
            self.assertIn(said, err)
        code, said = self.s_client(self.server, "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0")
        self.assertNotEqual(code, 0)
        self.assertIn("alert protocol version", said)

    def test_only_suites_with_forward_secrecy_and_aead(self):
        code, said = self.s_client(self.server, "-tls1_2")
        self.assertEqual(code, 0, said)
        self.assertRegex(said, r"Cipher is ECDHE-ECDSA-\S*(GCM|CHACHA20)")
        for weak in ("ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384", "AES128-GCM-SHA256"):
            code, said = self.s_client(self.server, "-tls1_2", "-cipher", weak + ":@SECLEVEL=0")
            self.assertNotEqual(code, 0)
            self.assertIn("alert handshake failure", said)

    def test_protocols(self):
        self.assertIn("ALPN protocol: http/1.1", self.s_client(self.server, "-alpn", "future/9,http/1.1")[1])
        self.assertIn("alert no application protocol", self.s_client(self.server, "-alpn", "future/9")[1])

    @contextlib.contextmanager
    def typing(self, *options):
        """An s_client that takes a line as a command: `type(line, until)` waits for `until` in its output."""
        with subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{self.server.port}", *options], text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as client:
            def type_(line, until=None):
                client.stdin.write(line)
                client.stdin.flush()
                while until and until not in (said := client.stdout.readline()):
                    self.assertTrue(said, f"the end before {until}")

            type_("", "Verify return code")
            yield client, type_
            client.stdin.close()

    def test_no_renegotiation(self):
        with self.typing("-tls1_2") as (client, type_):
            type_("R\n", "RENEGOTIATING")
            client.communicate(timeout=PATIENCE)  # the server ends the connection, long before the idle timeout

    def test_streams_and_large_bodies(self):
        connection, response = self.server.stream("/v1/completions", {**ASK, "max_tokens": 200, "ignore_eos": True})
        with contextlib.closing(connection):
            seen = list(events(response))
        self.assertEqual(seen[-1], "[DONE]")
        self.assertTrue("".join(text_of(event) for event in seen[:-1] if event["choices"]))
        body = self.server.post("/v1/completions", {**ASK, "user": "x" * 3_000_000})
        self.assertEqual(body.status, 200, body.body)
        text = "".join(f"word {i} " for i in range(20_000))
        echoed = self.server.post("/v1/completions", text)  # not JSON: the error says so
        self.assertEqual(echoed.status, 400)
        many = self.server.post("/tokenize", {"prompt": "a b " * 20_000})
        self.assertEqual(many.status, 200, many.body[:200])
        self.assertGreater(len(many.body), 64 * 1024)  # more than the server encrypts at once

    def test_its_end_is_announced(self):
        """A client that gets no close_notify must assume that the answer was cut off."""
        request = b"POST /v1/completions HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
        body = json.dumps({**ASK, "stream": True}).encode()
        with self.connection(self.server, suppress_ragged_eofs=False) as secure:
            secure.sendall(request % (len(body), body))
            answer = b""
            while block := secure.recv(4096):
                answer += block
        self.assertTrue(answer.endswith(b"data: [DONE]\n\n"), answer)

    def test_kept_connections_and_keys_renewed_meanwhile(self):
        with contextlib.closing(self.server.connect()) as connection:
            for _ in range(3):
                connection.request("POST", "/v1/completions", json.dumps(ASK), {"Content-Type": "application/json"})
                self.assertEqual(json.loads(connection.getresponse().read())["object"], "text_completion")
        with self.typing("-tls1_3") as (client, type_):
            for _ in range(3):
                type_("K\n", "KEYUPDATE")  # and requests the server's update
            type_("GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 OK")

    def test_sessions_are_resumed(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = self.trusting(versions=version)
            with self.connection(self.server, context=context) as secure:
                secure.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
                secure.recv(4096)
                session = secure.session
                self.assertFalse(secure.session_reused)
            with self.connection(self.server, context=context, session=session) as secure:
                self.assertTrue(secure.session_reused)

    def test_plain_http_is_told(self):
        plain = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=PATIENCE)
        with contextlib.closing(plain):
            plain.request("GET", "/v1/models")
            answer = plain.getresponse()
            self.assertEqual(answer.status, 400)
            self.assertIn("this port speaks TLS", json.loads(answer.read())["error"]["message"])
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=PATIENCE) as garbage:
            garbage.sendall(b"\x00\x01\x02 nonsense\r\n\r\n")
            with contextlib.suppress(ConnectionResetError):
                while garbage.recv(4096):  # perhaps an alert
                    pass
        self.assertEqual(self.server.get("/livez").status, 200)


class Names(TlsTest):
    def test_sni(self):
        one, wild = self.ours.issue("one.example"), self.ours.issue("wild", "DNS:*.wild.example", "DNS:extra.example")
        server = self.start(self.pair, one, wild)
        anybody = self.trusting()
        anybody.check_hostname = False
        for name, pair in (("one.example", one), ("ONE.example", one), ("a.wild.example", wild), ("extra.example", wild),
                           ("local.example", self.pair), ("127.0.0.1", self.pair),
                           ("wild.example", self.pair), ("a.b.wild.example", self.pair), ("unknown.example", self.pair)):
            with self.subTest(name):
                self.assertEqual(self.served(server, name, anybody), int(serial(pair[0]), 16))
        code, out, err = self.curl(server, "--connect-to", f"one.example:443:127.0.0.1:{server.port}", "https://one.example/v1/models")
        self.assertEqual(code, 0, err)

    def test_rsa(self):
        server = self.start(self.ours.issue("rsa", "IP:127.0.0.1", key=("rsa", "rsa_keygen_bits:2048")))
        code, said = self.s_client(server, "-tls1_2")
        self.assertEqual(code, 0, said)
        self.assertRegex(said, r"Cipher is ECDHE-RSA-\S*(GCM|CHACHA20)")

    def test_only_13(self):
        server = self.start(min_version="1.3")
        self.assertEqual(self.curl(server, "--tlsv1.3")[0], 0)
        code, said = self.s_client(server, "-tls1_2")
        self.assertNotEqual(code, 0)
        self.assertIn("alert protocol version", said)

    def test_the_operators_port(self):
        certificates = [dict(zip(("certificate", "key"), self.pair))]
        with Server(server={"admin_tls": {"certificates": certificates, "client_ca": self.ours.ca}},
                    admin_tls=self.trusting(self.ours.issue("operator"))) as server:
            self.assertEqual(server.get("/livez").status, 200)  # the API's port is plain
            self.assertEqual(server.get("/livez", admin=True).status, 200)
            self.assertEqual(server.post("/reload", "", admin=True).status, 200)
            self.assertEqual(server.metric(RELOADS, outcome="ok"), 1)
            self.assertIn("autoglm_tls_certificate_not_after_seconds{listener=\"admin\",name=\"local.example\"}",
                          server.get("/metrics", admin=True).body.decode())
            server.admin_tls = self.trusting()
            with self.assertRaises(OSError):
                server.get("/livez", admin=True)
            server.admin_tls = self.trusting(self.ours.issue("operator"))


class Clients(TlsTest):
    def identities(self, server):
        return [x["client_identity"] for x in server.log_lines() if x["message"] == "request" and x.get("model")]

    def check_identity(self, server, client, identity):
        seen = len(self.identities(server))
        server.tls = self.trusting(client) if client else self.trusting()
        answer = server.post("/v1/completions", ASK)
        self.assertEqual(answer.status, 200, answer.body)
        wait_for(lambda: len(self.identities(server)) > seen, "the log line")
        self.assertEqual(self.identities(server)[-1], identity)

    def check_refused(self, server, client, *reasons):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            server.tls = self.trusting(client, version)
            with self.assertRaises(OSError):
                server.get("/livez")
        options = ["--cert", client[0], "--key", client[1]] if client else []
        code, out, err = self.curl(server, *options, path="/livez")
        self.assertNotEqual(code, 0)
        self.assertEqual(out, "")
        wait_for(lambda: any(reason in x["error"] for x in server.log_lines() if x["message"] == "TLS handshake failed"
                             for reason in reasons), f"a log line that says {reasons}")

    def test_certificates_are_required(self):
        good = self.ours.issue("client", "URI:spiffe://example/team/a", "DNS:client.example")
        server = self.start(client_ca=self.ours.ca, client=self.trusting(good))
        self.check_identity(server, good, "spiffe://example/team/a")
        self.check_refused(server, None, "peer did not return a certificate")
        self.check_refused(server, self.other.issue("stranger"), "unable to get local issuer", "self-signed")
        self.assertEqual(server.tls and self.identities(server), ["spiffe://example/team/a"])
        # An expired certificate of the same authority.
        self.check_refused(server, self.ours.issue("late", days=-1), "certificate has expired")
        server.tls = self.trusting(good)
        self.assertGreaterEqual(server.metric("autoglm_tls_handshakes_failed_total"), 9)
        self.assertEqual(self.curl(server, "--cert", good[0], "--key", good[1])[0], 0)

    def test_who_a_client_is(self):
        names = {"uri": (["email:c@example.org", "DNS:c.example", "URI:spiffe://example/c"], "spiffe://example/c"),
                 "dns": (["email:c@example.org", "DNS:c.example", "DNS:d.example"], "c.example"),
                 "mail": (["IP:10.0.0.1", "email:c@example.org"], "c@example.org"),
                 "address only": (["IP:10.0.0.1"], "address only")}
        clients = {name: self.ours.issue(name, *alternatives) for name, (alternatives, _) in names.items()}
        server = self.start(client_ca=self.ours.ca, client=self.trusting(clients["uri"]))
        for name, (_, identity) in names.items():
            self.check_identity(server, clients[name], identity)
        self.check_identity(server, self.ours.issue("bare", named=False), "bare")

    def test_optional(self):
        server = self.start(client_ca=self.ours.ca, client_auth="optional")
        self.check_identity(server, None, "")
        self.check_identity(server, self.ours.issue("known"), "known")
        self.check_refused(server, self.other.issue("stranger"), "unable to get local issuer", "self-signed")
        server.tls = self.trusting()

    def test_who_resumes_is_still_known(self):
        client = self.ours.issue("resumes")
        server = self.start(client_ca=self.ours.ca, client=self.trusting(client))
        body = json.dumps(ASK).encode()
        request = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context, session = self.trusting(client, version), None
            for reused in (False, True):
                with self.connection(server, context=context, session=session) as secure:
                    secure.sendall(request)
                    self.assertTrue(secure.recv(4096).startswith(b"HTTP/1.1 200 "))
                    self.assertEqual(secure.session_reused, reused)
                    session = secure.session
        wait_for(lambda: self.identities(server) == ["resumes"] * 4, "four log lines")

    def test_another_authority_is_taken_while_running_and_ends_sessions(self):
        client, later = self.ours.issue("early"), self.other.issue("later")
        ca = self.path("clients.pem")
        self.replace(self.ours.ca, ca)
        server = self.start(client_ca=ca, client=self.trusting(client))
        context = self.trusting(client)
        with self.connection(server, context=context) as secure:
            secure.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            secure.recv(4096)
            session = secure.session
        self.replace(self.other.ca, ca)
        wait_for(lambda: server.metric(RELOADS, outcome="ok") >= 1, "the other authority")
        self.check_refused(server, client, "unable to get local issuer", "self-signed")
        with self.assertRaises(OSError), self.connection(server, context=context, session=session) as secure:
            secure.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            if not secure.recv(4096):
                raise ConnectionError("closed")
        self.check_identity(server, later, "later")


class Changes(TlsTest):
    def setUp(self):
        self.first, self.second = self.pair, self.ours.issue("second", "IP:127.0.0.1", "DNS:second.example", days=9)
        self.live = self.live_pair(self.first)

    def shows(self, server, pair):
        return self.served(server) == int(serial(pair[0]), 16)

    def not_after_gauge(self, server, name):
        return server.metric("autoglm_tls_certificate_not_after_seconds", name=name)

    def test_files_are_watched(self):
        server = self.start(self.live)
        self.assertTrue(self.shows(server, self.first))
        self.assertEqual(self.not_after_gauge(server, "local.example"), not_after(self.first[0]))
        with contextlib.closing(server.connect()) as kept:
            kept.connect()
            for source, target in zip(self.second, self.live):
                self.replace(source, target)
            wait_for(lambda: self.shows(server, self.second), "the new certificate")
            kept.request("GET", "/livez")  # still with the old certificate
            self.assertEqual(kept.getresponse().status, 200)
        self.assertGreaterEqual(server.metric(RELOADS, outcome="ok"), 1)
        self.assertEqual(self.not_after_gauge(server, "local.example"), 0)
        self.assertEqual(self.not_after_gauge(server, "second.example"), not_after(self.second[0]))

    def test_a_link_that_is_turned(self):
        """As Kubernetes mounts secrets."""
        for name, pair in (("v1", self.first), ("v2", self.second)):
            os.mkdir(self.path(name))
            for source, file in zip(pair, ("tls.crt", "tls.key")):
                shutil.copy(source, os.path.join(self.path(name), file))
        os.symlink("v1", self.path("data"))
        server = self.start((self.path("data/tls.crt"), self.path("data/tls.key")))
        os.symlink("v2", self.path("data.fresh"))
        os.replace(self.path("data.fresh"), self.path("data"))
        wait_for(lambda: self.shows(server, self.second), "the new certificate")
        self.assertEqual(server.metric(RELOADS, outcome="failed"), 0)

    def check_kept(self, server, failures=1):
        wait_for(lambda: server.metric(RELOADS, outcome="failed") >= failures, "a failed reload")
        self.assertTrue(self.shows(server, self.first))
        self.assertEqual(server.get("/livez").status, 200)
        return [x for x in server.log_lines() if x["message"] == "the certificates were not taken; the old ones stay"][-1]

    def test_a_bad_change_keeps_the_old(self):
        server = self.start(self.live)
        self.replace(self.second[0], self.live[0])  # but not its key
        said = self.check_kept(server)
        self.assertEqual(said["key"], "certificates[0].key")
        self.assertIn(self.live[1], said["error"])
        self.assertIn("does not fit", said["error"])
        with open(self.live[0], "w") as file:
            file.write("-----BEGIN CERTIFICATE-----\nhalf")
        said = self.check_kept(server, 2)
        self.assertEqual(said["key"], "certificates[0].certificate")
        self.assertIn("is no file of certificates: " + self.live[0], said["error"])
        os.remove(self.live[0])
        said = self.check_kept(server, 3)
        self.assertIn(f"cannot be read: {self.live[0]}: No such file", said["error"])
        self.assertEqual(server.metric(RELOADS, outcome="ok"), 0)
        for source, target in zip(self.second, self.live):  # the next change is noticed again
            self.replace(source, target)
        wait_for(lambda: self.shows(server, self.second), "the new certificate")

    def test_asking_for_a_reload(self):
        server = self.start(self.live)
        self.assertEqual(server.post("/reload", "", admin=True).status, 200)
        self.assertEqual(server.metric(RELOADS, outcome="ok"), 1)
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: server.metric(RELOADS, outcome="ok") == 2, "the reload that a signal asks for")
        self.replace(self.second[0], self.live[0])
        answer = server.post("/reload", "", admin=True)
        self.assertEqual(answer.status, 400, answer.body)
        self.assertIn("server.tls.certificates[0].key", answer.error["message"])
        self.check_kept(server)
        self.replace(self.second[1], self.live[1])
        self.assertEqual(server.post("/reload", "", admin=True).status, 200)
        self.assertTrue(self.shows(server, self.second))

    def test_the_configuration_names_others(self):
        server = self.start(self.live)
        tls = {"certificates": [dict(zip(("certificate", "key"), self.second))], "min_version": "1.3"}
        server.write_config({**server.config, "server": {**server.config["server"], "tls": tls}})
        answer = server.post("/reload", "", admin=True)
        self.assertEqual(answer.json(), {"reloaded": True, "restart_needed_for": []})
        self.assertTrue(self.shows(server, self.second))
        self.assertNotEqual(self.s_client(server, "-tls1_2")[0], 0)
        server.write_config({**server.config, "server": {k: v for k, v in server.config["server"].items() if k != "tls"}})
        answer = server.post("/reload", "", admin=True)
        self.assertEqual(answer.json(), {"reloaded": True, "restart_needed_for": ["server.tls"]})
        self.assertTrue(self.shows(server, self.second))

    def test_one_out_of_date_is_used_and_said(self):
        late = self.ours.issue("late", "IP:127.0.0.1", days=-1)
        anybody = self.trusting()
        anybody.check_hostname = False
        anybody.verify_mode = ssl.CERT_NONE
        server = self.start(late, client=anybody)
        self.assertEqual(server.get("/livez").status, 200)
        (said,) = [x for x in server.log_lines() if x["level"] == "warning" and "expired" in x["message"]]
        self.assertEqual(said["file"], late[0])

    def test_a_rotation_each_second_under_load(self):
        server = self.start(self.live)
        over, failures, answered = threading.Event(), [], [0] * 4
        seen = [set() for _ in answered]

        def load(i):
            try:
                while not over.is_set():
                    with contextlib.closing(server.connect()) as connection:
                        connection.connect()
                        seen[i].add(int(connection.sock.getpeercert()["serialNumber"], 16))
                        for stream in (False, True, False):
                            connection.request("POST", "/v1/completions", json.dumps({**ASK, "stream": stream}),
                                               {"Content-Type": "application/json"})
                            answer = connection.getresponse()
                            body = answer.read()
                            if answer.status != 200 or stream and not body.endswith(b"data: [DONE]\n\n"):
                                raise AssertionError(f"{answer.status}: {body[:500]}")
                            answered[i] += 1
            except Exception as error:  # reported by the test's thread
                failures.append(repr(error))

        threads = [threading.Thread(target=load, args=(i,)) for i in range(len(answered))]
        for thread in threads:
            thread.start()
        wanted = []
        try:
            for n in range(6):
                pair = self.ours.issue(f"rotation-{n}", "IP:127.0.0.1")
                wanted.append(int(serial(pair[0]), 16))
                first, second = (0, 1) if n % 2 else (1, 0)
                failed = server.metric(RELOADS, outcome="failed")
                self.replace(pair[first], self.live[first])
                if n in (2, 5):  # long enough that the half-replaced pair is noticed
                    wait_for(lambda: server.metric(RELOADS, outcome="failed") > failed, "a look at a half-written pair")
                self.replace(pair[second], self.live[second])
                wait_for(lambda: self.served(server) == wanted[-1], f"rotation {n}")
                before = sum(answered)
                wait_for(lambda: failures or sum(answered) > before + 20, "answers after it")
        finally:
            over.set()
            for thread in threads:
                thread.join()
        self.assertEqual(failures, [])
        self.assertGreaterEqual(len(set().union(*seen) & set(wanted)), 5)  # the load saw the new certificates, too
        self.assertGreaterEqual(server.metric(RELOADS, outcome="ok"), 6)


class Bounds(TlsTest):
    HELLO = struct.pack(">BHH", 22, 0x0301, 512) + b"\x01\x00\x01\xfc\x03\x03"  # the beginning of a ClientHello

    def held(self, server):
        """How many connections of the API's port the process holds open."""
        with open(f"/proc/{server.process.pid}/net/tcp") as file:
            rows = [line.split() for line in file.readlines()[1:]]
        listening = "0A"
        ours = {f"socket:[{row[9]}]" for row in rows if int(row[1].split(":")[1], 16) == server.port and row[3] != listening}
        count = 0
        for descriptor in os.listdir(f"/proc/{server.process.pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                count += os.readlink(f"/proc/{server.process.pid}/fd/{descriptor}") in ours
        return count

    def test_handshakes_have_a_deadline_and_leave_nothing_behind(self):
        server = self.start(server={"workers": 1})
        self.assertEqual(server.get("/livez").status, 200)
        wait_for(lambda: self.held(server) == 0, "the end of those before")
        before = server.usage()["descriptors"]
        silent = [socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) for _ in range(30)]
        for connection in silent[10:20]:
            connection.sendall(self.HELLO)
        wait_for(lambda: self.held(server) == 30, "that they are accepted")
        for connection in silent[20:]:  # reset in the middle of the handshake
            connection.sendall(self.HELLO)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        wait_for(lambda: self.held(server) == 20, "the end of those that left")
        others, closed = 0, False
        for connection in silent[:20]:
            connection.setblocking(False)
        waiting = set(silent[:20])

        def ended():
            nonlocal others
            self.assertEqual(server.get("/livez").status, 200)
            others += 1
            for each in list(waiting):
                with contextlib.suppress(BlockingIOError):
                    self.assertEqual(each.recv(1), b"")
                    waiting.discard(each)
            return not waiting

        wait_for(ended, "the deadline of all of them")
        self.assertGreater(others, 1)
        for connection in silent[:20]:
            connection.close()
        wait_for(lambda: self.held(server) == 0 and server.usage()["descriptors"] <= before, "as many descriptors as before")

    def test_handshakes_count_against_the_limit(self):
        server = self.start(server={"workers": 1, "max_connections": 3})
        wait_for(lambda: self.held(server) == 0, "the end of those before")
        silent = [socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) for _ in range(3)]
        wait_for(lambda: self.held(server) == 3, "that they are accepted")
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as fourth:
            self.assertEqual(fourth.recv(1), b"")
        for connection in silent:  # the silent ones are still open, so their time had not run out
            connection.setblocking(False)
            with self.assertRaises(BlockingIOError):
                connection.recv(1)
        silent.pop().close()
        wait_for(lambda: self.answers(server), "room for another one")
        for connection in silent:
            connection.close()

    def answers(self, server):
        try:
            return server.get("/livez").status == 200
        except OSError:
            return False


GOOD = """\
server:
  tls:
    certificates:
      - certificate: {pair[0]}
        key: {pair[1]}
      - {{ certificate: {other[0]}, key: {other[1]} }}
    client_ca: {ca}
    client_auth: required
    min_version: "1.2"
models: []
"""


class Validate(TlsTest):
    def setUp(self):
        self.second = self.ours.issue("second")
        self.good = GOOD.format(pair=self.pair, other=self.second, ca=self.ours.ca)

    def validate(self, text):
        path = self.path("c.yaml")
        with open(path, "w") as file:
            file.write(text)
        code, out, err = run("validate", path)
        return code, out + err

    def check(self, old, new, line, key, words):
        self.assertIn(old, self.good)
        code, said = self.validate(self.good.replace(old, new))
        self.assertNotEqual(code, 0)
        told = [each for each in said.splitlines() if each.startswith(f"{self.path('c.yaml')}:{line}:")]
        self.assertEqual(len(told), 1, said)
        self.assertIn(f"server.tls.{key}", told[0])
        self.assertIn(words, told[0])

    def test_good(self):
        self.assertEqual(self.validate(self.good)[0], 0, self.validate(self.good))

    def test_files(self):
        none, text = self.path("none.pem"), self.path("text.pem")
        with open(text, "w") as file:
            file.write("no certificate\n")
        first = "certificates[0]."
        self.check(self.pair[0], none, 4, first + "certificate", f"cannot be read: {none}")
        self.check(self.pair[0], text, 4, first + "certificate", "is no file of certificates")
        self.check(self.pair[1], none, 5, first + "key", f"cannot be read: {none}")
        self.check(self.pair[1], text, 5, first + "key", "is no file of a private key")
        self.check(self.pair[1], self.second[1], 5, first + "key", "does not fit its certificate")
        rsa = self.ours.issue("rsa", key=("rsa", "rsa_keygen_bits:2048"))
        self.check(self.second[1], rsa[1], 6, "certificates[1].key", "does not fit its certificate")
        self.check(self.ours.ca, none, 7, "client_ca", f"cannot be read: {none}")
        self.check(self.ours.ca, text, 7, "client_ca", "is no file of certificates")

    def test_a_key_with_a_passphrase(self):
        """The passphrase is not asked for at a terminal."""
        locked = self.path("locked.key")
        subprocess.run(["openssl", "pkey", "-in", self.pair[1], "-aes256", "-passout", "pass:x", "-out", locked], check=True)
        self.check(self.pair[1], locked, 5, "certificates[0].key", "without passphrase")

    def test_what_does_not_go_together(self):
        self.check(f"    client_ca: {self.ours.ca}\n", "", 7, "client_auth", "needs a `client_ca`")
        self.check("required", "perhaps", 8, "client_auth", "optional")
        self.check('"1.2"', '"1.1"', 9, "min_version", "1.3")
        code, said = self.validate("server:\n  tls:\n    certificates: []\nmodels: []\n")
        self.assertNotEqual(code, 0)
        self.assertIn("server.tls.certificates", said)
        code, said = self.validate("server:\n  tls: {}\nmodels: []\n")
        self.assertNotEqual(code, 0)
        self.assertIn("server.tls.certificates", said)

    def test_serve_says_the_same(self):
        text = self.good.replace(self.pair[1], self.second[1])
        with open(self.path("c.yaml"), "w") as file:
            file.write(text)
        code, _, err = run("serve", "--config", self.path("c.yaml"), "--port", "0", "--admin-port", "0")
        self.assertNotEqual(code, 0)
        self.assertIn("server.tls.certificates[0].key", err)


class Silent(Listener):
    def serve(self, connection):
        while connection.recv(65536):
            pass


class Leaves(TlsTest):
    def test_who_leaves_behind_more_than_a_socket_holds_is_noticed(self):
        silent = self.enterContext(Silent())
        certificates = [dict(zip(("certificate", "key"), self.pair))]
        for tls in (None, self.trusting()):
            server = self.enterContext(Server(models=[pool(silent.url)], tls=tls, server={
                "request_timeout": f"{PATIENCE}s", **({"tls": {"certificates": certificates}} if tls else {})}))
            with self.connection(server) if tls else socket.create_connection(("127.0.0.1", server.port), PATIENCE) as client:
                client.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\n\r\n" + b'{"prompt":"x"}')
                wait_for(lambda: sum(m["in_flight"] for m in members(server).values()) == 1, "its request")
                client.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * 20_000)
            wait_for(lambda: server.metric("autoglm_endpoint_attempts_total", outcome="abandoned") == 1, "its end", PATIENCE / 2)


class Guide(TlsTest):
    def test_what_the_guide_shows(self):
        with open(os.path.join(ROOT, "docs", "tls.md")) as file:
            guide = file.read()
        folder = self.path("guide")
        os.mkdir(folder)
        make, *commands = re.findall(r"```sh\n(.*?)```", guide, re.S)
        self.run_in(folder, make)
        (yaml,) = re.findall(r"```yaml\n(.*?)```", guide, re.S)
        tls = {"certificates": [{"certificate": f"{folder}/tls.crt", "key": f"{folder}/tls.key"}], "client_ca": f"{folder}/ca.crt"}
        for file in ("tls.crt", "tls.key", "ca.crt"):
            self.assertIn("/etc/open-autoglm/" + file, yaml)
        with open(self.path("guide.yaml"), "w") as file:
            file.write(yaml.replace("/etc/open-autoglm", folder) + "models: []\n")
        code, out, err = run("validate", self.path("guide.yaml"))
        self.assertEqual(code, 0, err)
        client = ssl.create_default_context(cafile=f"{folder}/ca.crt")
        client.load_cert_chain(f"{folder}/client.crt", f"{folder}/client.key")
        with Server(server={"tls": tls}, tls=client) as server:
            self.assertEqual(len(commands), 2)
            for command in commands:
                said = self.run_in(folder, command.replace("localhost:8080", f"localhost:{server.port}").replace(
                    "curl ", "curl -sS --fail-with-body ").replace("s_client ", "s_client -verify_return_error "))
                self.assertIn("TLSv1.3" if "s_client" in command else '"object":"list"', said)

    def run_in(self, folder, command):
        done = subprocess.run(["bash", "-ec", command], cwd=folder, capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout + done.stderr


if __name__ == "__main__":
    unittest.main()

"""Keys made at run time: the command on a running server and on the file, revocation, rotation, expiry, keys_file, the admin address."""

import contextlib
import http.server
import json
import os
import signal
import socket
import sqlite3
import ssl
import subprocess
import tempfile
import threading
import unittest

import http2
from certificates import Authority
from server import BINARY, PATIENCE, Server, events, wait_for
from test_life import run

TOKEN = "operators-token"
ALICE = {"name": "config-alice", "key": "sk-alice-0123456789"}


class Store:
    """A server with a key store, and the command beside it."""

    def __init__(self, token="", keys=(), before=None, env=None, **more):
        self.folder = tempfile.TemporaryDirectory(prefix="open-autoglm-keys-")
        self.path = os.path.join(self.folder.name, "keys.db")
        if before:
            before(self)
        self.token, self.env = token, env
        self.admission = {"key_store": {"path": self.path}, **({"keys": list(keys)} if keys else {}), **more}
        self.start()

    def start(self):
        admission = self.admission

        class Keyed(Server):
            def write_config(self, config):
                super().write_config({**config, **admission})

        self.server = Keyed(server={"admin_token": self.token} if self.token else None, env=self.env)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            self.server.__exit__(kind)
        finally:
            self.folder.cleanup()

    def restart_after_kill(self):
        self.server.process.send_signal(signal.SIGKILL)
        self.server.process.wait(PATIENCE)
        self.server.folder.cleanup()
        self.start()

    def admin(self, method, path, body=None, headers=None):
        return self.server.call(method, path, body, admin=True,
                                headers={**({"Authorization": f"Bearer {self.token}"} if self.token else {}), **(headers or {})})

    def keys(self, *args, **env):
        """The command on the running server."""
        env = {"OPEN_AUTOGLM_SERVER_ADMIN_LISTEN": f"127.0.0.1:{self.server.admin_port}", **env}
        if self.token:
            env.setdefault("OPEN_AUTOGLM_SERVER_ADMIN_TOKEN", self.token)
        return run("keys", *args, **env)

    def on_file(self, *args):
        return run("keys", *args, "--store", self.path)

    def create(self, *args):
        code, out, err = self.keys("create", *args)
        assert code == 0, err
        return out.strip()

    def status(self, key):
        return self.server.get("/v1/models", headers={"Authorization": f"Bearer {key}"}).status

    def code(self, key):
        answer = self.server.get("/v1/models", headers={"x-api-key": key})
        return answer.status, answer.json().get("error", {}).get("code")


def h2_statuses(connection, received, count):
    """Reads until `count` answers have begun on an HTTP/2 connection; their statuses."""
    while True:
        found = [http2.status_of(payload) for kind, _, _, payload in http2.frames(received) if kind == http2.HEADERS]
        if len(found) >= count:
            return found
        more = connection.recv(65536)
        assert more, "the server closed the connection"
        received += more


class Command(unittest.TestCase):
    def test_help_fits_a_screen(self):
        for verb in ["create", "list", "show", "revoke", "rotate"]:
            code, out, _ = run("keys", verb, "--help")
            self.assertEqual(code, 0)
            self.assertLessEqual(len(out.splitlines()), 25, verb)
            self.assertLessEqual(max(map(len, out.splitlines())), 100, verb)

    def test_a_key_lives_and_ends(self):
        with Store(keys=[ALICE]) as store:
            self.assertEqual(store.server.get("/v1/models").status, 401)
            key = store.create("web", "--tenant", "shop", "--models", "tiny", "--priority", "5", "--expires", "90d", "--label", "team=search")
            self.assertRegex(key, r"^sk-[\w-]{44}$")
            self.assertEqual(store.status(key), 200)
            code, out, _ = store.keys("list")
            self.assertEqual(code, 0)
            self.assertRegex(out, rf"web\s+shop\s+active\s+…{key[-4:]}\s+20\d\d-\S+Z\s+store\n")
            self.assertRegex(out, r"config-alice\s+config-alice\s+active\s+-\s+never\s+config\n")
            shown = json.loads(store.keys("show", "web", "--json")[1])
            self.assertEqual((shown["tenant"], shown["models"], shown["priority"], shown["labels"]), ("shop", ["tiny"], 5, {"team": "search"}))
            code, out, err = store.keys("rotate", "web", "--grace", "1h")
            self.assertEqual(code, 0, err)
            fresh = out.strip()
            self.assertEqual((store.status(key), store.status(fresh)), (200, 200), "the old one has its grace")
            self.assertEqual(store.keys("rotate", "web")[0], 0)
            self.assertEqual((store.code(key), store.code(fresh)), ((401, "invalid_api_key"),) * 2)
            self.assertEqual(store.keys("revoke", "web")[0], 0)
            self.assertNotIn("web", store.keys("list")[1])
            self.assertIn("revoked", store.keys("list", "--all")[1])
            code, _, err = store.keys("create", "web")
            self.assertEqual((code, "never given twice" in err), (2, True), err)
            code, _, err = store.keys("create", "config-alice")
            self.assertEqual((code, "the configuration has a key" in err), (2, True), err)
            self.assertEqual(store.keys("revoke", "nobody")[0], 1)

    def test_on_the_file_while_a_server_runs_and_without_one(self):
        def make(store):
            code, out, err = store.on_file("create", "first")
            self.assertEqual(code, 0, err)
            store.first = out.strip()

        with Store(before=make) as store:
            self.assertEqual(store.status(store.first), 200)
            key = store.on_file("create", "second")[1].strip()
            wait_for(lambda: store.status(key) == 200, "the server's look at the file")
            self.assertEqual(store.on_file("revoke", "second")[0], 0)
            wait_for(lambda: store.status(key) == 401, "the server's look at the file")
            self.assertEqual(store.status(store.first), 200)

    def test_errors_say_what_to_do(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "keys.db")
            code, _, err = run("keys", "list", "--store", path)
            self.assertEqual((code, "No such file" in err, os.path.exists(path)), (1, True, False))
            code, _, err = run("keys", "list", "--admin", "http://127.0.0.1:1")
            self.assertEqual((code, "--store PATH" in err), (1, True), err)
            self.assertEqual(run("keys", "list", "--admin", "http://127.0.0.1:1", "--store", path)[0], 2)
            self.assertEqual(run("keys", "create", "a/b", "--store", path)[0], 2)
            self.assertEqual(run("keys", "create", "a", "--expires", "soon", "--store", path)[0], 2)
            self.assertEqual(run("keys", "create", "a", "--label", "x", "--store", path)[0], 2)
        with Server() as server:
            code, _, err = run("keys", "create", "a", "--admin", f"http://127.0.0.1:{server.admin_port}")
            self.assertEqual((code, "key_store.path" in err), (1, True), err)


    def test_a_key_that_nobody_gets_is_said(self):
        with tempfile.TemporaryDirectory() as folder, open("/dev/full", "w") as full:
            path = os.path.join(folder, "keys.db")
            for verb in ["create", "rotate"]:
                done = subprocess.run([BINARY, "keys", verb, "a", "--store", path], stdout=full, stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
                self.assertEqual((done.returncode, "nobody has it" in done.stderr), (1, True), done.stderr)

    def test_what_answers_may_be_another_program(self):
        class Other(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            do_DELETE = do_POST

            def log_message(self, *_):
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Other) as other:
            thread = threading.Thread(target=other.serve_forever)
            thread.start()
            try:
                for verb in ["create", "rotate", "revoke"]:
                    code, out, err = run("keys", verb, "a", "--admin", f"http://127.0.0.1:{other.server_address[1]}")
                    self.assertEqual((code, out, "is it the admin address" in err), (1, "", True), err)
            finally:
                other.shutdown()
                thread.join()


class Revocation(unittest.TestCase):
    def test_a_stream_goes_on_and_the_next_request_is_refused(self):
        with Store() as store:
            headers = {"Authorization": f"Bearer {store.create('web')}"}
            connection = store.server.connect()
            body = json.dumps({"prompt": "Hi", "max_tokens": 300, "ignore_eos": True, "stream": True})
            connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json", **headers})
            response = connection.getresponse()
            self.assertEqual(response.status, 200)
            self.assertEqual(store.keys("revoke", "web")[0], 0)
            self.assertEqual(list(events(response))[-1], "[DONE]")
            connection.request("GET", "/v1/models", headers=headers)
            self.assertEqual(connection.getresponse().status, 401, "on the same connection, too")
            connection.close()

    def test_http2_connections_that_are_open(self):
        with Store() as store, socket.create_connection(("127.0.0.1", store.server.port), timeout=PATIENCE) as connection:
            key = store.create("web")

            def ask(stream):
                return http2.headers(http2.request(("x-api-key", key), method="GET", path="/v1/models"), stream)

            received = bytearray()
            connection.sendall(http2.hello() + ask(1))
            self.assertEqual(h2_statuses(connection, received, 1), [200])
            self.assertEqual(store.keys("revoke", "web")[0], 0)
            connection.sendall(ask(3))
            self.assertEqual(h2_statuses(connection, received, 2), [200, 401])

    def test_kill_9_forgets_neither_a_key_nor_its_end(self):
        with Store() as store:
            kept, ended = store.create("kept"), store.create("ended")
            self.assertEqual(store.admin("DELETE", "/keys/ended").status, 200)
            store.restart_after_kill()
            self.assertEqual((store.status(kept), store.status(ended)), (200, 401))


class Expiry(unittest.TestCase):
    def test_keys_end_by_themselves(self):
        past = "2020-01-01T00:00:00Z"
        with Store(keys=[{**ALICE, "expires": past}]) as store:
            self.assertEqual(store.code(ALICE["key"]), (401, "expired_api_key"))
            self.assertEqual(store.keys("create", "a", "--expires", past)[0], 2)
            key = store.create("short", "--expires", "1s")
            wait_for(lambda: store.code(key) == (401, "expired_api_key"), "the key's end")
            self.assertRegex(store.keys("list", "--all")[1], r"short\s+short\s+expired")


class Broken(unittest.TestCase):
    def fails(self, says, **admission):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            json.dump({"server": {"listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0"}, "models": [], **admission}, file)
            file.flush()
            code, _, err = run("serve", "--config", file.name, MODEL_NAME="none")
        self.assertEqual(code, 1, err)
        self.assertIn(says, err)

    def test_a_start_says_what_is_wrong_with_the_store(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "keys.db")
            self.fails("its folder must exist", key_store={"path": os.path.join(folder, "none", "keys.db")})
            with open(path, "w") as file:
                file.write("no database at all " * 1000)
            self.fails("put a backup in its place", key_store={"path": path})
            os.remove(path)
            with contextlib.closing(sqlite3.connect(path)) as other:
                other.execute("CREATE TABLE t (x)")
                other.commit()
            self.fails("another program", key_store={"path": path})
            os.remove(path)
            self.assertEqual(run("keys", "create", "a", "--store", path)[0], 0)
            with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                self.fails("locked", key_store={"path": path})

    def test_keys_stay_in_force_while_the_file_is_gone(self):
        with Store() as store:
            key = store.create("web")
            os.rename(store.path, store.path + ".away")
            wait_for(lambda: store.server.metric("autoglm_key_store_failures_total") > 0, "a look that fails")
            self.assertEqual(store.status(key), 200)
            self.assertEqual(store.server.metric("autoglm_key_store_up"), 0)
            self.assertEqual(store.admin("DELETE", "/keys/web").status, 503)
            self.assertEqual(store.status(key), 200)
            store.server.await_log("the keys of before stay in force")
            os.rename(store.path + ".away", store.path)
            wait_for(lambda: store.server.metric("autoglm_key_store_up") == 1, "a look that works")
            self.assertEqual(store.admin("DELETE", "/keys/web").status, 200)
            self.assertEqual(store.status(key), 401)


class File(unittest.TestCase):
    def test_it_is_read_again_when_it_changes(self):
        with tempfile.TemporaryDirectory() as folder:
            # As Kubernetes mounts a secret: the name is a link into a folder, and that is a link, too.
            def put(version, text):
                os.mkdir(os.path.join(folder, version))
                with open(os.path.join(folder, version, "keys.yaml"), "w") as file:
                    file.write(text)
                os.symlink(version, os.path.join(folder, "..data-new"))
                os.replace(os.path.join(folder, "..data-new"), os.path.join(folder, "..data"))

            put("1", "- {name: bob, key: sk-bob-0123456789ab}\n")
            path = os.path.join(folder, "keys.yaml")
            os.symlink("..data/keys.yaml", path)
            with Store(keys_file=path) as store:
                self.assertEqual(store.status("sk-bob-0123456789ab"), 200)
                self.assertRegex(store.keys("list")[1], r"bob\s+bob\s+active\s+-\s+never\s+file")
                put("2", "- {name: bob, key: sk-bob-0123456789ab, prioritty: 3}\n")
                store.server.await_log("keys_file was refused")
                store.server.await_log(f"{path}:1:")
                self.assertEqual(store.status("sk-bob-0123456789ab"), 200)
                put("3", json.dumps([{"name": "carol", "key": "sk-carol-0123456789"}]))
                wait_for(lambda: store.status("sk-carol-0123456789") == 200, "the new file")
                self.assertEqual(store.status("sk-bob-0123456789ab"), 401)
                self.assertEqual(store.admin("DELETE", "/keys/carol").status, 409)


class Reload(unittest.TestCase):
    def test_keys_that_move_do_not_open_the_server(self):
        with tempfile.TemporaryDirectory() as folder:
            config = {}

            class Keyed(Server):
                def write_config(self, written):
                    config.update(written)
                    super().write_config({**written, "keys": [ALICE]})

            with Keyed() as server:
                for moved in [{"key_store": {"path": os.path.join(folder, "keys.db")}}, {"keys_file": os.path.join(folder, "keys.yaml")}]:
                    Server.write_config(server, {**config, **moved})
                    refused = server.post("/reload", "", admin=True)
                    self.assertEqual(refused.status, 400, refused.body)
                    self.assertIn("start it again", refused.error["message"])
                    self.assertEqual(server.get("/v1/models").status, 401)
                    self.assertEqual(server.get("/v1/models", headers={"x-api-key": ALICE["key"]}).status, 200)
                Server.write_config(server, config)
                self.assertEqual(server.post("/reload", "", admin=True).status, 200)
                self.assertEqual(server.get("/v1/models").status, 200)
                server.await_log("the server is open now")


class Operator(unittest.TestCase):
    def test_the_admin_address_wants_its_token(self):
        with Store(token=TOKEN) as store:
            for method, path in [("GET", "/keys"), ("POST", "/keys"), ("GET", "/keys/a"), ("DELETE", "/keys/a"), ("POST", "/keys/a/rotate")]:
                answer = store.server.call(method, path, '{"name": "a"}' if method == "POST" else None, admin=True)
                self.assertEqual((answer.status, answer.error["code"]), (401, "invalid_admin_token"), path)
                self.assertEqual(store.admin(method, path, headers={"Authorization": f"Bearer {TOKEN}x"}).status, 401)
            for path in ["/livez", "/readyz", "/health"]:
                self.assertEqual(store.server.get(path, admin=True).status, 200, path)
            code, _, err = store.keys("list", OPEN_AUTOGLM_SERVER_ADMIN_TOKEN="wrong")
            self.assertEqual((code, "--token" in err), (1, True), err)
            self.assertEqual(store.keys("list", "--token", TOKEN, OPEN_AUTOGLM_SERVER_ADMIN_TOKEN="wrong")[0], 0)

    def test_pages_of_other_sites_make_and_revoke_nothing(self):
        with Store() as store:
            key = store.create("web")
            for headers in [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}]:
                self.assertEqual(store.admin("POST", "/keys", {"name": "evil"}, headers).status, 403)
                self.assertEqual(store.admin("DELETE", "/keys/web", None, headers).status, 403)
                self.assertEqual(store.admin("POST", "/keys/web/rotate", None, headers).status, 403)
            self.assertEqual(store.admin("POST", "/keys", '{"name": "evil"}', {"Content-Type": "text/plain"}).status, 400)
            self.assertEqual(store.status(key), 200)
            self.assertEqual([each["name"] for each in store.admin("GET", "/keys").json()["keys"]], ["web"])

    def test_a_start_says_whether_the_server_is_open(self):
        with Server() as server:
            server.await_log("the server is open: no keys are configured")
        with Store() as store:
            store.create("web")
            self.assertNotIn("the server is open", store.server.log())

    def test_rights_that_the_configuration_has_not(self):
        with Store(limits=[{"name": "rpd", "requests": "2/day"}, {"name": "all", "requests": "1000/s", "per": "global"}], groups=[{"name": "chat", "concurrent": 2}]) as store:
            self.assertEqual(store.keys("create", "a", "--limits", "nothing")[0], 2)
            code, _, err = store.keys("create", "a", "--limits", "all")
            self.assertEqual((code, "holds for all keys anyway" in err), (2, True), "it would have no limit of its own")
            self.assertEqual(store.keys("create", "a", "--group", "nothing")[0], 2)
            key = store.create("a", "--limits", "rpd", "--group", "chat")
            ask = lambda: store.server.post("/v1/completions", {"prompt": "Hi", "max_tokens": 1}, headers={"x-api-key": key}).status
            self.assertEqual([ask() for _ in range(3)], [200, 200, 429])
            spender = store.create("b", "--tokens", "5", "--per", "day")  # a call reserves four
            ask = lambda: store.server.post("/v1/completions", {"prompt": "Hi", "max_tokens": 1}, headers={"x-api-key": spender}).status
            self.assertEqual([ask() for _ in range(2)], [200, 429], "its budget holds at once")


class Certificates(unittest.TestCase):
    def test_a_client_certificate_stands_for_a_key(self):
        with tempfile.TemporaryDirectory() as folder:
            ours = Authority(folder, "ours")

            def client(name, *alternatives):
                context = ssl.create_default_context(cafile=ours.ca)
                if name:
                    context.load_cert_chain(*ours.issue(name, *alternatives))
                return context

            certificate, key = ours.issue("server", "IP:127.0.0.1")
            tls = {"certificates": [{"certificate": certificate, "key": key}], "client_ca": ours.ca, "client_auth": "optional"}
            keys = [{"name": "web", "certificate": "spiffe://example.org/web", "tenant": "shop"}, {"name": "api", "certificate": "dns:api.example"}, ALICE]

            class Keyed(Server):
                def write_config(self, config):
                    super().write_config({**config, "keys": keys})

            with Keyed(server={"tls": tls}, tls=client("")) as server:
                def said(context, **headers):
                    server.tls = context
                    answer = server.get("/v1/models", headers=headers)
                    return answer.status, answer.json().get("error", {}).get("code")

                missing = (401, "missing_api_key")
                self.assertEqual(said(client("")), missing)
                self.assertEqual(said(client("a", "URI:spiffe://example.org/other")), missing)
                self.assertEqual(said(client("api.example", "DNS:x.example")), missing, "a name of another kind")
                web = client("b", "DNS:x.example", "URI:spiffe://example.org/web")
                self.assertEqual(said(web), (200, None))
                self.assertEqual(server.post("/v1/completions", {"prompt": "Hi", "max_tokens": 1}).status, 200)
                wait_for(lambda: any(line.get("key") == "web" and line.get("tenant") == "shop" for line in server.log_lines()), "its line")
                self.assertEqual(said(client("c", "DNS:API.example")), (200, None))
                self.assertEqual(said(web, **{"x-api-key": "sk-wrong-0123456789"}), (401, "invalid_api_key"))
                self.assertEqual(said(web, **{"x-api-key": ALICE["key"]}), (200, None))
                server.tls = client("")


class Secrets(unittest.TestCase):
    def test_no_key_stands_in_a_log_a_metric_an_error_or_the_file(self):
        with Store(token=TOKEN, keys=[ALICE]) as store:
            keys = [store.create("web")]
            keys.append(store.keys("rotate", "web")[1].strip())
            wrong = "sk-wrong-0123456789"
            seen = [store.server.get("/v1/models", headers={"x-api-key": key}).body for key in [*keys, wrong]]
            seen += [store.admin("GET", path).body for path in ["/keys", "/keys/web", "/metrics", "/usage"]]
            seen.append(store.admin("POST", "/keys", {"name": "web", "key": wrong}).body)
            seen += [text.encode() for each in ("list", "list --all", "show web", "show web --json") for text in store.keys(*each.split())[1:]]
            store.keys("revoke", "web")
            seen += [store.server.log().encode(), store.server.out().encode()]
            for name in os.listdir(store.folder.name):
                with open(os.path.join(store.folder.name, name), "rb") as file:
                    seen.append(file.read())
            for secret in [*(key[3:40] for key in keys), ALICE["key"], wrong, TOKEN]:
                for text in seen:
                    self.assertNotIn(secret.encode(), text)

    def test_wrong_keys_cost_no_memory(self):
        count = int(os.environ.get("AUTOGLM_WRONG_KEYS", "10000"))
        # Freed memory that AddressSanitizer holds back would count.
        env = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"}
        with Store(env=env) as store:
            connection = store.server.connect()

            def guess(many):
                for i in range(many):
                    connection.request("GET", "/v1/models", headers={"x-api-key": f"sk-guess-{i}"})
                    response = connection.getresponse()
                    response.read()
                    self.assertEqual(response.status, 401)

            guess(2000)
            before = store.server.usage()
            guess(count)
            connection.close()
            self.assertLess(store.server.usage()["resident"] - before["resident"], 4096)


if __name__ == "__main__":
    unittest.main()

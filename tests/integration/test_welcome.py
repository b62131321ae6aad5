"""What a person sees first: the page for browsers, what `serve` says in a terminal, and its access lines."""

import html
import json
import re
import subprocess
import tempfile
import unittest

from server import TINY_MODEL, Server, ServerTest, wait_for
from terminal import COLOUR, Terminal
from upstream import Listener

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


class Page(ServerTest):
    server_options = {"engine": {"context": 256}}  # the examples set no limit, and this model generates until the context is full

    def page(self, **headers):
        return self.server.get("/", headers={**BROWSER, **headers})

    def examples(self):
        return [html.unescape(code) for code in re.findall(r"<pre>(.*?)</pre>", self.page().body.decode(), re.S)]

    def test_says_what_is_served_and_can_do_nothing(self):
        page = self.page()
        self.assertEqual((page.status, page.headers["content-type"]), (200, "text/html; charset=utf-8"))
        self.assertIn('<span class="name">tiny</span>', page.body.decode())
        self.assertIn('<span class="state ready">ready</span>', page.body.decode())
        policy = page.headers["content-security-policy"]
        self.assertTrue(policy.startswith("default-src 'none'; "), policy)
        self.assertNotIn("script-src", policy)
        self.assertEqual(page.headers["x-content-type-options"], "nosniff")
        self.assertEqual(page.headers["cache-control"], "no-store")

    def test_its_call_works(self):
        curl = self.examples()[0]
        self.assertIn(f"http://127.0.0.1:{self.server.port}/v1/chat/completions", curl)
        done = subprocess.run(["bash", "-c", curl.replace("curl ", "curl -sS --fail-with-body ", 1)], capture_output=True, text=True,
                              timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(json.loads(done.stdout)["model"], "tiny")

    def test_its_python_is_python(self):
        program = self.examples()[1]
        self.assertIn(f'base_url="http://127.0.0.1:{self.server.port}/v1"', program)
        compile(program, "page", "exec")

    def test_its_links_lead_somewhere(self):
        links = [link for link in re.findall(r'href="([^"]+)"', self.page().body.decode()) if not link.startswith("data:")]
        self.assertGreaterEqual(len(links), 3)
        for link in links:
            self.assertEqual(self.server.get(link).status, 200, link)

    def test_others_are_told_the_paths(self):
        for headers in ({}, {"Accept": "*/*"}, {"Accept": "application/json"}):
            answer = self.server.get("/", headers=headers)
            self.assert_error(answer, 404, "unknown_path", says=["POST /v1/completions", "GET /metrics"])
        self.assert_error(self.server.call("POST", "/", {}, headers={"Accept": "*/*"}), 404, "unknown_path")
        self.assertEqual(self.server.call("HEAD", "/", headers=BROWSER).status, 200)
        self.assertEqual(self.server.get("/nothing", headers=BROWSER).status, 404)
        self.assertEqual(self.server.get("/", headers=BROWSER, admin=True).status, 404)

    def test_a_host_is_text(self):
        page = self.page(Host="evil.example<script>").body.decode()
        self.assertNotIn("<script", page)
        self.assertNotIn("evil", page)


class PageOfOtherServers(unittest.TestCase):
    def test_names_are_text(self):
        name = "<b>'\"&amp;"
        with Server(models=[{"name": name, "engine": {"path": TINY_MODEL, "threads": 1, "context": 256}}]) as server:
            page = server.get("/", headers=BROWSER).body.decode()
            self.assertNotIn("<b>", page)
            self.assertIn(html.escape(name).replace("&#x27;", "&#39;"), page)
            curl = html.unescape(re.search(r"<pre>(curl .*?)</pre>", page, re.S)[1])
            done = subprocess.run(["bash", "-c", curl], capture_output=True, text=True, timeout=60)
            self.assertEqual(json.loads(done.stdout)["model"], name, done.stdout)

    def test_without_models_and_metrics(self):
        with Server(model=None, env={"MODEL_NAME": "none", "ENABLE_METRICS": "false"}) as server:
            page = server.get("/", headers=BROWSER).body.decode()
            self.assertIn("serve --model", page)
            self.assertNotIn("/metrics", page)


class Announcement(unittest.TestCase):
    def test_endpoints_and_whether_they_answered(self):
        with Server() as one, Server() as other, Listener() as nobody:
            nobody.close()
            urls = [f"http://127.0.0.1:{port}/v1" for port in (one.port, other.port, nobody.port)]
            pool = {"name": "glm", "balance": "round_robin", "endpoints": [{"url": url} for url in urls]}
            alone = {"name": "alone", "endpoints": [{"url": urls[0]}]}
            with Server(models=[pool, alone]) as gateway:
                out = wait_for(lambda: "ready: glm, alone" in (text := gateway.out()) and text.endswith("\n\n") and text, "the ready message")
                self.assertIn("  glm    2 of 3 endpoints answered, round_robin\n", out)
                for server in (one, other):
                    self.assertRegex(out, rf"    127\.0\.0\.1:{server.port} +answered\n")
                self.assertRegex(out, rf"    127\.0\.0\.1:{nobody.port} +did not answer: .*[Cc]onnection refused\n")
                self.assertIn("    streams that break are resumed exactly by the 2 of ours, by their text elsewhere\n", out)
                self.assertIn("  alone  one endpoint, which answered\n", out)
                self.assertIn("    a stream that breaks cannot be resumed: there is no other endpoint\n", out)
                self.assertIn(f"open-autoglm chat --url http://127.0.0.1:{gateway.port}", out)
                self.assertNotIn("\x1b", out)
                self.assertNotIn("warning:", out)  # on loopback the server is not exposed

    def test_an_endpoint_that_is_silent_is_not_waited_for(self):
        class Silent(Listener):
            def serve(self, connection):
                connection.recv(65536)
                while connection.recv(65536):
                    pass
        with Silent() as silent, Server(models=[{"name": "glm", "endpoints": [{"url": silent.url}],
                                                 "health": {"timeout": "60s"}}]) as gateway:
            wait_for(lambda: "no answer yet" in gateway.out(), "the ready message")


class InATerminal(unittest.TestCase):
    def setUp(self):
        self.home = self.enterContext(tempfile.TemporaryDirectory(prefix="open-autoglm-test-"))

    def serve(self, **env):
        terminal = self.enterContext(Terminal("serve", TINY_MODEL, "--host", "127.0.0.1", "--port", "0", "--admin-port", "0",
                                              home=self.home, **env))
        port = terminal.expect(r"listening on http://127\.0\.0\.1:(\d+)")[1]
        terminal.expect("docs/README.md")
        return terminal, f"http://127.0.0.1:{port}"

    def curl(self, *args):
        subprocess.run(["curl", "-sS", "-o", "/dev/null", *args], check=True, timeout=60)

    def test_access_lines_are_short(self):
        terminal, url = self.serve()
        self.curl(f"{url}/v1/completions", "-d", '{"prompt": "Hello", "max_tokens": 4, "ignore_eos": true}')
        terminal.expect("POST")
        line = COLOUR.sub("", terminal.text).splitlines()
        (line,) = [one for one in line if "/v1/completions 200" in one]
        self.assertRegex(line, r"^\d\d-\d\d \d\d:\d\d:\d\d POST /v1/completions 200 [0-9.]+ ms \d+\+4 tokens tiny$")
        self.curl(f"{url}/v1/completions", "-d", '{"prompt": 7}')
        terminal.expect(r"\x1b\[33m400\x1b\[0m [0-9.]+ ms .*prompt must be")
        terminal.type("\x03")
        self.assertEqual(terminal.wait(), 0)

    def test_without_colours(self):
        terminal, url = self.serve(NO_COLOR="1")
        self.curl(f"{url}/nothing")
        terminal.expect("GET /nothing 404 .*there is nothing at /nothing")
        terminal.type("\x03")
        terminal.wait()
        self.assertNotIn("\x1b", terminal.text)


if __name__ == "__main__":
    unittest.main()

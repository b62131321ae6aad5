"""The command line: help, validate, models, chat."""

import json
import os
import subprocess
import tempfile
import unittest

from server import BINARY, PATIENCE, Server, environment
from test_life import run


def validate(text, *args, **env):
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(text)
        file.flush()
        code, out, err = run("validate", *args, file.name, **env)
    return code, out, err.replace(file.name, "FILE")


class Help(unittest.TestCase):
    def test_fits_a_screen(self):
        for args in [("--help",), ("serve", "--help"), ("validate", "--help"), ("chat", "--help"), ("pull", "--help"), ("rm", "--help")]:
            code, out, _ = run(*args)
            self.assertEqual(code, 0)
            self.assertLessEqual(len(out.splitlines()), 24, args)
            self.assertLessEqual(max(map(len, out.splitlines())), 100, args)

    def test_wrong_words(self):
        self.assertEqual(run()[0], 2)
        code, _, err = run("serv")
        self.assertEqual((code, "did you mean serve?" in err), (2, True))
        self.assertEqual(run("serve", "--no-such-flag")[0], 2)
        code, _, err = run("serve", "--port", "70000")
        self.assertEqual((code, "65535" in err), (2, True))

    def test_version(self):
        self.assertRegex(run("--version")[1], r"^open-autoglm \d+\.\d+\.\d+\n$")


class Validate(unittest.TestCase):
    def test_every_mistake_with_its_place(self):
        code, out, err = validate("server:\n  listn: 0.0.0.0:80\n  workers: -1\nmodels:\n  - { name: a }\n")
        self.assertEqual((code, out), (1, ""))
        lines = err.splitlines()
        self.assertEqual(len(lines), 3, err)
        self.assertTrue(lines[0].startswith("FILE:2:3: server.listn: unknown key; did you mean"), err)
        self.assertTrue(lines[1].startswith("FILE:3:12: server.workers: must be"), err)
        self.assertIn("models[0]: has neither", lines[2])

    def test_yaml_that_is_none(self):
        for text in ["a: [", "server: {listen: x", "\tserver:", "server:\n  listen: a:1\n  listen: b:2\n"]:
            with self.subTest(text):
                code, _, err = validate(text)
                self.assertEqual(code, 1)
                self.assertRegex(err, r"^FILE:\d+")

    def test_what_is_printed_reads_back(self):
        code, out, _ = validate("models: [{ name: a, engine: { path: '${env:MODEL}' } }]\n", "--print", MODEL="/x.gguf")
        self.assertEqual(code, 0)
        self.assertIn("/x.gguf", out)
        self.assertEqual(validate(out, "--print")[0], 0)

    def test_what_is_printed_holds_no_secrets(self):
        text = ("models: [{ name: a, endpoints: [{ url: 'https://h/v1?key=hush', headers: { Authorization: Bearer hush } }] }]\n")
        code, out, err = validate(text, "--print")
        self.assertEqual(code, 0, err)
        self.assertIn('Authorization: "<hidden>"', out)
        self.assertNotIn("hush", out + err)
        code, out, err = validate(text.replace("https://h/", "https://me:hush@h:x/"))
        self.assertEqual(code, 1)
        self.assertNotIn("hush", out + err)

    def test_schema_is_json(self):
        self.assertEqual(json.loads(run("validate", "--schema")[1])["title"], "Open-AutoGLM")

    def test_missing_file(self):
        code, _, err = run("validate", "/no/such/file.yaml")
        self.assertEqual(code, 1)
        self.assertIn("/no/such/file.yaml", err)


class Models(unittest.TestCase):
    def test_lists_and_says_what_is_missing(self):
        with tempfile.TemporaryDirectory() as cache:
            code, out, _ = run("models", XDG_CACHE_HOME=cache)
            self.assertEqual(code, 0)
            self.assertIn("smollm2-135m-instruct", out)
            # A missing model is pulled; here there is no hub to pull it from.
            code, _, err = run("serve", "--port", "0", "--admin-port", "0", XDG_CACHE_HOME=cache, HF_ENDPOINT="ftp://nowhere")
            self.assertEqual(code, 1)
            self.assertIn("HF_ENDPOINT", err)
            code, _, err = run("serve", "smollm2-135m-instuct", XDG_CACHE_HOME=cache)
            self.assertIn("did you mean smollm2-135m-instruct?", err)


class Chat(unittest.TestCase):
    def chat(self, server_url, text):
        return subprocess.run([BINARY, "chat", "--max-tokens", "20", "--url", server_url], input=text, capture_output=True, text=True,
                              timeout=PATIENCE, env=environment())

    def test_answers_line_by_line(self):
        with Server() as server:
            done = self.chat(f"http://127.0.0.1:{server.port}", "Hello\nAnd again\n")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertGreater(len(done.stdout.strip()), 10)
            self.assertEqual(server.metric("autoglm_http_requests_total", route="/v1/chat/completions"), 2)

    def test_says_what_is_wrong(self):
        with Server() as server:
            server.stop()
            done = self.chat(f"http://127.0.0.1:{server.port}", "Hello\n")
            self.assertEqual(done.returncode, 1)
            self.assertIn("127.0.0.1", done.stderr)
        self.assertEqual(self.chat("nonsense", "Hello\n").returncode, 2)

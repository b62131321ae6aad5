"""Birth and death: start-up errors, loading, draining, signals, being killed."""

import os
import re
import signal
import socket
import subprocess
import tempfile
import unittest

from server import BINARY, PATIENCE, TINY_MODEL, Server, environment, events, text_of, wait_for

LONG = {"prompt": "Hello", "max_tokens": 1000, "ignore_eos": True, "temperature": 0}


def run(*args, **env):
    """The program until its end: (exit code, stdout, stderr)."""
    done = subprocess.run([BINARY, *args], capture_output=True, text=True, timeout=PATIENCE, env=environment(**env))
    return done.returncode, done.stdout, done.stderr


class Drain(unittest.TestCase):
    def test_streams_finish_and_newcomers_are_sent_away(self):
        with Server() as server:
            open_streams = [server.stream("/v1/completions", {**LONG, "max_tokens": 2000}) for _ in range(4)]
            for _, response in open_streams:
                self.assertTrue(response.readline().startswith(b"data: "))
            server.process.send_signal(signal.SIGTERM)
            wait_for(lambda: server.get("/readyz").status == 503, "the end of readiness")
            self.assertEqual(server.get("/livez").status, 200)
            refused = server.post("/v1/completions", LONG)
            self.assertEqual(refused.status, 503)
            self.assertRegex(refused.headers["retry-after"], r"^\d+$")
            for connection, response in open_streams:
                seen = list(events(response))
                self.assertEqual(seen[-1], "[DONE]")
                self.assertEqual(seen[-2]["choices"][0]["finish_reason"], "length")
                connection.close()
            server.process.wait(PATIENCE)

    def test_second_signal_ends_at_once(self):
        with Server() as server:
            connection, response = server.stream("/v1/completions", {**LONG, "max_tokens": 4000})
            response.readline()
            server.process.send_signal(signal.SIGTERM)
            wait_for(lambda: "draining" in server.log(), "the drain")
            self.assertIsNone(server.process.poll())
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(PATIENCE)
            self.assertIn("second signal", server.log())
            connection.close()

    def test_drain_timeout_ends_what_is_left(self):
        with Server(server={"drain_timeout": "300ms"}) as server:
            connection, response = server.stream("/v1/completions", {**LONG, "max_tokens": 4000})
            response.readline()
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(PATIENCE)
            self.assertIn("drain timeout", server.log())
            connection.close()

    def test_idle_connections_do_not_hold_up_the_end(self):
        with Server() as server:
            connection = server.connect()
            connection.request("GET", "/livez")
            connection.getresponse().read()
            server.stop()
            self.assertIn('"drained"', server.log())

    def test_kill_leaves_nothing_behind(self):
        server = Server()
        port = server.port
        connection, response = server.stream("/v1/completions", LONG)
        response.readline()
        server.process.kill()
        server.process.wait(PATIENCE)
        connection.close()
        server.folder.cleanup()
        with Server(server={"listen": f"127.0.0.1:{port}"}) as again:
            self.assertEqual(again.post("/v1/completions", {"prompt": "a", "max_tokens": 1}).status, 200)


class StartUp(unittest.TestCase):
    def test_port_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            code, out, err = run("serve", "--model", TINY_MODEL, "--host", "127.0.0.1", "--port", str(port))
        self.assertEqual((code, out), (1, ""))
        self.assertIn(f"127.0.0.1:{port}", err)
        self.assertIn("--port", err)

    def test_two_servers_never_share_a_port(self):
        with Server() as server:
            code, _, err = run("serve", "--model", TINY_MODEL, "--host", "127.0.0.1", "--port", str(server.port))
            self.assertEqual(code, 1)
            self.assertIn("in use", err)

    def test_files_that_are_no_models(self):
        with open(TINY_MODEL, "rb") as file:
            whole = file.read()
        cases = {"cut.gguf": (whole[: len(whole) // 2], "fetch it again"), "text.gguf": (b"hello world", "not a GGUF"),
                 "short.gguf": (b"GG", "give a .gguf file"), "page.gguf": (b"<!DOCTYPE html><html>", "web page"), "magic.gguf": (b"GGUF", "fetch it again"),
                 "noise.gguf": (b"GGUF" + bytes(range(256)) * 40, "fetch it again")}
        with Server() as server:
            for name, (content, advice) in cases.items():
                with self.subTest(name):
                    path = os.path.join(server.folder.name, name)
                    with open(path, "wb") as file:
                        file.write(content)
                    code, _, err = run("serve", "--model", path, "--host", "127.0.0.1", "--port", "0", "--admin-port", "0")
                    self.assertEqual(code, 1, err)
                    self.assertIn(path, err)
                    self.assertIn(advice, err)

    def test_one_bad_model_does_not_take_the_others_away(self):
        with tempfile.NamedTemporaryFile(suffix=".gguf") as bad:
            bad.write(b"hello")
            bad.flush()
            with Server(more_models=[{"name": "bad", "engine": {"path": bad.name}}]) as server:
                health = wait_for(lambda: (h := server.get("/health").json())["status"] == "degraded" and h, "the failure")
                self.assertIn(bad.name, health["models"][1]["detail"])
                self.assertEqual(server.post("/v1/completions", {"prompt": "a", "max_tokens": 1}).status, 200)
                answer = server.post("/v1/completions", {"prompt": "a", "model": "bad"})
                self.assertEqual(answer.status, 503)
                self.assertIn("not a GGUF", answer.error["message"])

    def test_without_a_model(self):
        with Server(model=None, env={"MODEL_NAME": "none"}) as server:
            self.assertEqual(server.get("/health").status, 200)
            self.assertEqual(server.get("/v1/models").json()["data"], [])
            answer = server.post("/v1/completions", {"prompt": "a"})
            self.assertEqual(answer.status, 404)
            self.assertIn("MODEL_NAME", answer.error["message"])

    def test_ready_line_and_its_curl(self):
        with Server() as server:
            wait_for(lambda: "ready: tiny" in server.out(), "the ready line")
            body = re.search(r"-d '(.*)'", server.out())[1]
            self.assertEqual(server.post("/v1/completions", body).status, 200)

    def test_max_workers_is_a_ceiling(self):
        with Server(env={"MAX_WORKERS": "64"}, engine={"threads": 0}) as server:
            names = []
            for task in os.listdir(f"/proc/{server.process.pid}/task"):
                with open(f"/proc/{server.process.pid}/task/{task}/comm") as file:
                    names.append(file.read().strip())
            loops = sum(name.startswith("loop-") for name in names)
            self.assertLessEqual(loops, len(os.sched_getaffinity(0)))


class Timeouts(unittest.TestCase):
    def test_api_timeout_ends_whole_answers_and_not_streams(self):
        with Server(env={"API_TIMEOUT": "0.5"}, engine={"max_sequences": 1}) as server:
            # Only one runs at a time, so the second waits behind a stream that goes on for longer than that.
            connection, response = server.stream("/v1/completions", {**LONG, "max_tokens": 4000})
            response.readline()
            late = server.post("/v1/completions", {**LONG, "max_tokens": 4000})
            self.assertEqual(late.status, 504)
            self.assertIn("API_TIMEOUT", late.error["message"])
            self.assertTrue(text_of(next(events(response))) is not None)
            connection.close()
            wait_for(server.idle, "an idle server")

    def test_a_client_may_say_how_long_it_waits(self):
        with Server() as server:
            late = server.call("POST", "/v1/completions", {**LONG, "max_tokens": 4000}, headers={"x-autoglm-timeout-ms": "50"})
            self.assertEqual((late.status, late.error["code"]), (504, "timeout"), late.body)
            wait_for(server.idle, "an idle server")
            for none in ("soon", "-1", "1.5", "99999999999999999999", "9999999999999999"):
                answer = server.call("POST", "/v1/completions", {**LONG, "max_tokens": 3}, headers={"x-autoglm-timeout-ms": none})
                self.assertEqual(answer.status, 200, none)

"""Start and end: start-up errors, loading, draining, signals, being killed."""

import contextlib
import os
import re
import resource
import signal
import socket
import subprocess
import tempfile
import unittest

from server import BINARY, PATIENCE, TINY_MODEL, Server, environment, events, text_of, wait_for

LONG = {"prompt": "Hello", "max_tokens": 1000, "ignore_eos": True, "temperature": 0}


def run(*args, **env):
    """Runs the program to its end; returns (exit code, stdout, stderr)."""
    done = subprocess.run([BINARY, *args], capture_output=True, text=True, timeout=PATIENCE, env=environment(**env))
    return done.returncode, done.stdout, done.stderr


class Famine(unittest.TestCase):
    @unittest.skipIf("ASAN_OPTIONS" in os.environ, "UBSan opens a pipe to look at an object's type")
    def test_without_descriptors_clients_wait_and_the_operator_gets_in(self):
        with Server() as server, contextlib.ExitStack() as clients:
            pid = server.process.pid
            before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            most = max(int(name) for name in os.listdir(f"/proc/{pid}/fd")) + 4  # three free descriptors
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, before[1]))
            for _ in range(most):
                clients.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            wait_for(lambda: server.metric("autoglm_accepts_failed_total") > 0, "a connection that waits")
            for _ in range(12):  # more than are kept for it: those that wait look for one each time that it gives one back
                seen = server.metric("autoglm_accepts_failed_total")
                wait_for(lambda s=seen: server.metric("autoglm_accepts_failed_total") > s, "another look")
                self.assertEqual(server.get("/livez", admin=True).status, 200)
            server.await_log("connections wait: no descriptor is left")
            clients.close()
            self.assertEqual(server.get("/livez").status, 200, "those that left make room")
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)

    def test_connections_are_capped_by_the_limit_of_open_files(self):
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (128, before[1]))
            server = Server(server={"workers": 1})
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        with server, contextlib.ExitStack() as clients:
            (line,) = [line for line in server.log_lines() if "room for fewer connections" in line["message"]]
            self.assertLess(line["connections"], 128)
            for _ in range(line["connections"]):
                clients.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            self.assertEqual(server.get("/livez").status, 503, "told, and not left waiting")
            self.assertEqual(server.metric("autoglm_accepts_failed_total"), 0)


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
            server.await_log("draining")
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

    def test_while_load_balancers_learn_requests_are_answered(self):
        with Server(server={"drain_delay": "1h"}) as server:
            server.process.send_signal(signal.SIGTERM)
            wait_for(lambda: server.get("/readyz").status == 503, "the end of readiness")
            self.assertEqual(server.post("/v1/completions", {"prompt": "Hi", "max_tokens": 2}).status, 200)
            self.assertNotIn('"draining"', server.log())
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(PATIENCE)
        with Server(server={"drain_delay": "50ms"}) as server:
            server.stop()
            self.assertIn('"drained"', server.log())

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
                self.assertIn('the model "bad" could not be loaded', answer.error["message"])
                self.assertNotIn(bad.name, answer.error["message"])

    def test_without_a_model(self):
        with Server(model=None, env={"MODEL_NAME": "none"}) as server:
            self.assertEqual(server.get("/health").status, 200)
            self.assertEqual(server.get("/v1/models").json()["data"], [])
            answer = server.post("/v1/completions", {"prompt": "a"})
            self.assertEqual(answer.status, 404)
            self.assertIn("MODEL_NAME", answer.error["message"])

    def test_ready_line_and_its_curl(self):
        with Server(engine={"context": 256}) as server:  # this model generates until the context is full
            out = wait_for(lambda: "ready: tiny" in (text := server.out()) and text.endswith("\n\n") and text, "the ready line")
            path, body = re.search(r"curl http://[^/]*(/\S+) .*?-d '(.*?)'", out, re.S).groups()
            self.assertEqual(path, "/v1/chat/completions")
            self.assertEqual(server.post(path, body).status, 200)

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
            # Only one runs at a time, so the second waits behind a stream that takes longer than the timeout.
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
            self.assertEqual(late.headers["x-should-retry"], "false")
            wait_for(server.idle, "an idle server")
            for none in ("soon", "-1", "1.5", "99999999999999999999", "9999999999999999"):
                answer = server.call("POST", "/v1/completions", {**LONG, "max_tokens": 3}, headers={"x-autoglm-timeout-ms": none})
                self.assertEqual(answer.status, 200, none)

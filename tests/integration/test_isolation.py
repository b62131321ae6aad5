"""An engine in its own process: it dies alone, comes back, and leaves nothing behind."""

import ctypes
import json
import os
import re
import signal
import tempfile
import threading
import unittest

from hub import FILE, REPOSITORY, Hub, cached
from server import PATIENCE, TINY_MODEL, Server, events, text_of, wait_for
from test_life import LONG, run

PROCESS = {"isolation": "process"}
KILLS = 20


def children(pid):
    """The child processes of `pid` that have not been reaped."""
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/children") as file:
                found += [int(word) for word in file.read().split()]
        except FileNotFoundError:
            pass  # a thread that has ended
    return found


def state(pid):
    """The letter of a process's state; empty: there is no such process. Z has ended, but its new parent may not reap it."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(") ")[2][0]
    except FileNotFoundError:
        return ""


def ended(pid):
    return state(pid) in ("", "Z", "X")


def engine_of(server):
    (pid,) = wait_for(lambda: children(server.process.pid), "the engine's process")
    return pid


def tiny(server):
    return next(model for model in server.get("/health").json()["models"] if model["name"] == "tiny")


def is_up(server):
    return tiny(server)["status"] == "ready"


def died(server):
    return [line for line in server.log_lines() if line["message"] == "the engine's process died"]


def freeze(pid):
    """Stops the thread of the process's event loop, so that it cannot notice any end, until our own thread ends."""
    ptrace = ctypes.CDLL(None, use_errno=True).ptrace
    ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    seize, interrupt = 0x4206, 0x4207
    if ptrace(seize, pid, None, None) != 0 or ptrace(interrupt, pid, None, None) != 0:
        return False
    wait_for(lambda: state(pid) == "t", "the stop")
    return True


def kill(server, number=signal.SIGKILL):
    """Kills the engine's process; returns its pid once the server has noticed."""
    pid, before = engine_of(server), len(died(server))
    os.kill(pid, number)
    wait_for(lambda: len(died(server)) > before, "the line about its death")
    return pid


def memory(pid):
    """Resident and proportional KiB, in total and of model files."""
    with open(f"/proc/{pid}/smaps") as file:
        text = file.read()
    sums = {"rss": 0, "pss": 0, "model_rss": 0}
    model = False
    for line in text.splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            model = line.endswith(".gguf")
        elif line.startswith("Rss:"):
            sums["rss"] += int(line.split()[1])
            sums["model_rss"] += int(line.split()[1]) if model else 0
        elif line.startswith("Pss:"):
            sums["pss"] += int(line.split()[1])
    return sums


class Load:
    """Clients that ask for streams again and again, each in a thread; counts how their answers ended."""

    def __init__(self, server, clients):
        self.server, self.over = server, threading.Event()
        self.done, self.broken, self.refused, self.wrong = 0, 0, 0, []
        self.lock, self.under_way = threading.Lock(), set()
        self.threads = [threading.Thread(target=self._run, args=(i,)) for i in range(clients)]
        for thread in self.threads:
            thread.start()

    def _run(self, i):
        while not self.over.is_set():
            try:
                self._ask(i)
            except Exception as error:  # reported by the test's thread
                self.wrong.append(repr(error))
            finally:
                self.under_way.discard(i)

    def _ask(self, i):
        connection, response = self.server.stream("/v1/completions", {**LONG, "model": "tiny", "max_tokens": 1500})
        try:
            if response.status != 200:
                # The request was on its way when the process died.
                code = json.loads(response.read())["error"]["code"]
                with self.lock:
                    self.refused += 1
                    if (response.status, code) != (502, "engine_died"):
                        self.wrong.append((response.status, code))
                return
            last = None
            for last in events(response):
                if last != "[DONE]" and "choices" in last:
                    self.under_way.add(i)
            with self.lock:
                if last == "[DONE]":
                    self.done += 1
                elif last and last.get("error", {}).get("code") == "engine_died":
                    self.broken += 1
                else:
                    self.wrong.append(last)
        finally:
            connection.close()

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join(PATIENCE)
        return not any(thread.is_alive() for thread in self.threads)


class Bystander:
    """A client of the server and of its other model, which must not notice the deaths of the engine."""

    def __init__(self, server):
        self.server, self.over, self.answers, self.wrong = server, threading.Event(), 0, []
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        while not self.over.is_set():
            try:
                for answer in (self.server.get("/livez"), self.server.get("/metrics"),
                               self.server.post("/v1/completions", {"model": "other", "prompt": "Hi", "max_tokens": 3})):
                    self.answers += 1
                    if answer.status != 200:
                        self.wrong.append(answer.body)
            except Exception as error:  # reported by the test's thread
                self.wrong.append(repr(error))

    def stop(self):
        self.over.set()
        self.thread.join(PATIENCE)
        return not self.thread.is_alive()


class Isolation(unittest.TestCase):
    def start(self, engine=None, other=False, **options):
        models = [{"name": "tiny", "engine": {"path": TINY_MODEL, "threads": 1, **PROCESS, **(engine or {})}}]
        if other:
            models.append({"name": "other", "engine": {"path": TINY_MODEL, "threads": 1, "isolation": "thread"}})
        options["server"] = {"request_timeout": f"{PATIENCE}s", **options.get("server", {})}
        return self.enterContext(Server(models=models, **options))

    def start_with_hub(self, engine=None, **options):
        """A server whose model is pulled from a hub, and the hub."""
        cache = tempfile.TemporaryDirectory(prefix="open-autoglm-test-")
        self.addCleanup(cache.cleanup)
        hub = self.enterContext(Hub())
        hub.cache = cache.name
        server = self.start(engine={"path": f"hf:{REPOSITORY}", **(engine or {})}, env=hub.environment(cache.name), **options)
        return server, hub

    def block(self, hub):
        """From the next start on loading does not come to an end: half of the file does not come."""
        self.held = threading.Event()
        self.addCleanup(self.held.set)
        hub.plan = [{"hold": self.held}]
        os.remove(cached(hub.cache, "hf", REPOSITORY, FILE))

    def unblock(self, hub):
        hub.plan = []
        self.held.set()

    def check_answers(self, server, model="tiny"):
        answer = server.post("/v1/completions", {"model": model, "prompt": "Hello", "max_tokens": 4})
        self.assertEqual(answer.status, 200, answer.body)

    # It dies.

    def test_twenty_kills_under_load(self):
        server = self.start(other=True, engine={"max_sequences": 8, "cache_tokens": 32768})
        self.check_answers(server)
        wait_for(server.idle, "an idle server")
        before = server.usage()
        load, bystander = Load(server, 4), Bystander(server)
        loading, down = [], []
        for _ in range(KILLS):
            loading.append(server.metric("autoglm_engine_process_load_seconds"))
            wait_for(lambda: len(load.under_way) == 4, "streams under way")
            broken = load.broken
            kill(server)
            # Comes while it is down, mostly, and is answered when it is back.
            self.check_answers(server)
            wait_for(lambda: is_up(server), "the restart")
            wait_for(lambda b=broken: load.broken > b or load.wrong, "the end of the streams")
            self.assertEqual(load.wrong, [])
        self.assertTrue(load.stop(), "a stream hangs")
        self.assertTrue(bystander.stop(), "somebody else hangs")
        self.assertEqual(load.wrong, [])
        self.assertEqual(bystander.wrong, [])
        self.assertGreater(bystander.answers, KILLS)
        self.assertGreaterEqual(load.broken, KILLS)
        self.assertEqual(server.metric("autoglm_engine_process_restarts_total", reason="SIGKILL"), KILLS)
        obituaries = died(server)
        self.assertEqual(len(obituaries), KILLS)
        for line in obituaries:
            self.assertEqual(line["cause"], "killed by signal 9 (SIGKILL)")
            self.assertIn("restart_in_s", line)
        # What it took: from each death's line to the one that says that it is up again.
        lines = [line for line in server.log_lines() if line["message"].startswith("the engine's process ")]
        for death, birth in zip(lines[1::2], lines[2::2]):
            self.assertEqual((death["message"][-4:], birth["message"][-2:]), ("died", "up"))
            down.append(seconds(birth) - seconds(death))
        self.assertEqual(len(down), KILLS)
        print(f"\n{KILLS} restarts: {' '.join(f'{each:.3f}' for each in down)} s; loading took at first {loading[0]:.3f} s, "
              f"at most {max(loading):.3f} s; {load.done} streams done, {load.broken} broken, {load.refused} refused")
        wait_for(server.idle, "an idle server")
        # Fewer, when a connection of the beginning was still being closed as they were counted.
        wait_for(lambda: server.usage()["descriptors"] <= before["descriptors"],
                 f"no more than the {before['descriptors']} descriptors of before, not {server.usage()['descriptors']}")
        self.assertEqual(len(children(server.process.pid)), 1)

    def test_an_abort_says_its_last_words(self):
        server = self.start()
        with open(f"/proc/{engine_of(server)}/fd/2", "w") as words:
            words.write("ggml.c:1: GGML_ASSERT(everything) failed\n")
        kill(server, signal.SIGABRT)
        (line,) = died(server)
        self.assertEqual(line["cause"], "killed by signal 6 (SIGABRT)")
        self.assertEqual(line["last_words"], "ggml.c:1: GGML_ASSERT(everything) failed")
        self.assertEqual(server.metric("autoglm_engine_process_restarts_total", reason="SIGABRT"), 1)
        self.check_answers(server)

    def test_whole_answers_end_with_an_error(self):
        server = self.start()
        answers = []
        asking = threading.Thread(target=lambda: answers.append(server.post("/v1/completions", LONG)))
        asking.start()
        wait_for(lambda: server.metric("vllm:num_requests_running") == 1, "the request")
        kill(server)
        asking.join(PATIENCE)
        self.assertEqual(answers[0].status, 502, answers[0].body)
        self.assertEqual(answers[0].error["code"], "engine_died")
        self.assertIn("once more", answers[0].error["message"])
        # It is not asked again by itself: what kills one engine would kill the next.
        self.assertEqual(server.metric("vllm:request_success_total"), 0)

    # It is down.

    def test_waiting_has_an_end_and_a_bound(self):
        server, hub = self.start_with_hub(server={"request_timeout": "1s"}, engine={"max_sequences": 1, "max_waiting": 2})
        self.block(hub)
        kill(server)
        wait_for(hub.half_sent.is_set, "half of the file")
        health = wait_for(lambda: (h := tiny(server))["progress"] > 0.3 and h, "progress")
        self.assertEqual(server.get("/health").status, 503)
        self.assertEqual(health["status"], "loading")
        self.assertIn("SIGKILL", health["detail"])
        self.assertEqual(server.get("/livez").status, 200)
        answers = []
        body = {"prompt": "Hello", "max_tokens": 2}
        asking = [threading.Thread(target=lambda s=s: answers.append(server.post("/v1/completions", {**body, "stream": s})))
                  for s in (False, True, False)]
        for thread in asking:
            thread.start()
        wait_for(lambda: server.metric("autoglm_engine_process_waiting_requests") == 3, "those that wait")
        full = server.post("/v1/completions", body)
        self.assertEqual((full.status, full.error["code"]), (429, "queue_full"))
        self.assertRegex(full.headers["retry-after"], r"^\d+$")
        for thread in asking:
            thread.join(PATIENCE)
        for answer in answers:
            self.assertEqual((answer.status, answer.error["code"]), (503, "engine_restarting"), answer.body)
            self.assertRegex(answer.headers["retry-after"], r"^\d+$")
        self.assertEqual(server.metric("autoglm_engine_process_waiting_requests"), 0)
        self.unblock(hub)
        wait_for(lambda: is_up(server), "the restart")
        self.check_answers(server)

    def test_those_that_wait_are_answered_and_those_that_leave_do_not_wait(self):
        server, hub = self.start_with_hub()
        self.block(hub)
        kill(server)
        answers = []
        asking = [threading.Thread(target=lambda i=i: answers.append(
            server.post("/v1/completions", {"prompt": f"Hello {i}", "max_tokens": 3}))) for i in range(10)]
        for thread in asking:
            thread.start()
        connection = server.connect()
        connection.request("POST", "/v1/completions", json.dumps({"prompt": "Hello"}))
        wait_for(lambda: server.metric("autoglm_engine_process_waiting_requests") == 11, "those that wait")
        connection.close()
        wait_for(lambda: server.metric("autoglm_engine_process_waiting_requests") == 10, "the one that leaves")
        kill(server)  # once more, while it loads
        self.unblock(hub)
        for thread in asking:
            thread.join(PATIENCE)
        self.assertEqual([answer.status for answer in answers], [200] * 10, answers[0].body)
        self.assertEqual(server.metric("vllm:request_success_total"), 10)

    def test_one_that_does_not_come_up_has_failed(self):
        server, hub = self.start_with_hub(other=True)
        self.block(hub)
        for _ in range(6):
            self.assertNotEqual(tiny(server)["status"], "failed")
            kill(server)
        wait_for(lambda: tiny(server)["status"] == "failed", "the failure")
        self.assertIn("SIGKILL", tiny(server)["detail"])
        self.assertEqual(server.get("/health").json()["status"], "degraded")
        refused = server.post("/v1/completions", {"prompt": "Hello"})
        self.assertEqual((refused.status, refused.error["code"]), (503, "model_failed"))
        self.check_answers(server, "other")
        self.unblock(hub)
        wait_for(lambda: is_up(server), "the recovery")
        self.check_answers(server)

    # It cannot be.

    def test_a_file_that_is_no_model(self):
        with Server(model=None, env={"MODEL_NAME": "none"}) as place:
            bad, config = os.path.join(place.folder.name, "bad.gguf"), os.path.join(place.folder.name, "bad.yaml")
            with open(bad, "w") as file:
                file.write("hello world")
            models = [{"name": "bad", "engine": {"path": bad, **PROCESS}}]
            with open(config, "w") as file:
                json.dump({"server": {"listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0"}, "models": models}, file)
            code, _, err = run("serve", "--config", config)
            self.assertEqual(code, 1, err)
            self.assertIn("not a GGUF", err)
            self.assertIn(bad, err)

    def test_a_file_that_became_bad_takes_its_model_only(self):
        server, hub = self.start_with_hub(other=True)
        with open(cached(hub.cache, "hf", REPOSITORY, FILE), "wb") as file:
            file.write(b"hello world")
        kill(server)
        wait_for(lambda: tiny(server)["status"] == "failed", "the failure")
        self.assertIn("not a GGUF", tiny(server)["detail"])
        wait_for(lambda: len(died(server)) == 2, "the end of the process")
        # Not tried again and again.
        self.assertGreater(died(server)[-1]["restart_in_s"], 10)
        self.assertEqual(children(server.process.pid), [])
        answer = server.post("/v1/completions", {"prompt": "a"})
        self.assertEqual((answer.status, answer.error["code"]), (503, "model_failed"))
        self.assertIn("could not be loaded", answer.error["message"])
        self.assertNotIn("GGUF", answer.error["message"])
        server.await_log("not a GGUF")
        self.assertEqual(server.get("/health").status, 200)
        self.check_answers(server, "other")

    # The server ends.

    def test_no_child_survives_a_kill(self):
        for frozen in (False, True):
            with self.subTest(frozen=frozen):
                server = Server(engine=PROCESS)
                child = engine_of(server)
                if frozen and not freeze(child):
                    self.skipTest("no ptrace here")
                server.process.kill()
                server.process.wait(PATIENCE)
                wait_for(lambda c=child: ended(c), "the end of the engine's process")
                server.folder.cleanup()

    def test_streams_finish_when_all_processes_are_told_to_end(self):
        server = self.start()
        child = engine_of(server)
        streams = [server.stream("/v1/completions", {**LONG, "max_tokens": 2000}) for _ in range(4)]
        for _, response in streams:
            self.assertTrue(response.readline().startswith(b"data: "))
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):  # as systemd, a terminal, its end
            os.kill(child, number)
        server.process.send_signal(signal.SIGTERM)
        for connection, response in streams:
            seen = list(events(response))
            self.assertEqual(seen[-1], "[DONE]")
            self.assertEqual(seen[-2]["choices"][0]["finish_reason"], "length")
            connection.close()
        self.assertEqual(server.process.wait(PATIENCE), 0)
        self.assertTrue(ended(child))
        self.assertEqual(died(server), [])

    def test_a_child_that_does_not_end_is_ended(self):
        server = self.start()
        child = engine_of(server)
        os.kill(child, signal.SIGSTOP)
        server.stop()
        self.assertTrue(ended(child))

    def test_a_model_that_is_removed_takes_its_process_along(self):
        server = self.start(other=True)
        child = engine_of(server)
        server.write_config({**server.config, "models": server.config["models"][1:]})
        self.assertEqual(server.post("/reload", None, admin=True).status, 200)
        wait_for(lambda: children(server.process.pid) == [], "the end of its process")
        self.assertEqual(state(child), "")
        self.check_answers(server, "other")

    # It is the same engine.

    def test_only_the_child_maps_the_weights(self):
        server = self.start()
        self.check_answers(server)
        parent, child = memory(server.process.pid), memory(engine_of(server))
        print(f"\nKiB of the server: {parent}; of the engine's process: {child}")
        self.assertEqual(parent["model_rss"], 0)
        self.assertGreater(child["model_rss"], 0)

    def test_it_goes_first_when_memory_ends(self):
        server = self.start()
        scores = []
        for pid in (server.process.pid, engine_of(server)):
            with open(f"/proc/{pid}/oom_score_adj") as file:
                scores.append(int(file.read()))
        self.assertGreater(scores[1], scores[0])

    def test_nothing_of_the_server_is_open_in_it(self):
        server = self.start(other=True)
        connection, response = server.stream("/v1/completions", {**LONG, "model": "other"})
        response.readline()
        kill(server)
        wait_for(lambda: is_up(server), "the restart")
        links = [os.readlink(f"/proc/{engine_of(server)}/fd/{number}") for number in os.listdir(f"/proc/{engine_of(server)}/fd")]
        self.assertLessEqual(sum(link.startswith("socket:") for link in links), 2, links)
        self.assertFalse([link for link in links if link.startswith("/") and "memfd" not in link], links)
        connection.close()

    def test_its_numbers_and_lines_are_the_servers(self):
        server = self.start(other=True)
        for model in ("tiny", "other"):
            server.post("/v1/completions", {"model": model, "prompt": "Hello", "max_tokens": 5, "ignore_eos": True})
        text = server.get("/metrics").body.decode()
        names = {model: set(re.findall(rf'^((?:vllm:|autoglm_engine_)[^{{]*){{.*model_name="{model}"', text, re.M))
                 for model in ("tiny", "other")}
        own = {name for name in names["tiny"] if name.startswith("autoglm_engine_process_")}
        self.assertEqual(names["tiny"] - own, names["other"])
        self.assertEqual(len(re.findall(r"^# TYPE vllm:generation_tokens_total ", text, re.M)), 1)
        self.assertEqual(server.metric("vllm:generation_tokens_total", model_name="tiny"), 5)
        self.assertEqual(server.metric("autoglm_engine_process_up", model_name="tiny"), 1)
        kill(server)
        self.assertEqual(server.get("/metrics").status, 200)
        wait_for(lambda: is_up(server), "the restart")
        loaded = wait_for(lambda: len(found := [line for line in server.log_lines() if line["message"] == "model loaded"]) == 3
                          and found, "the lines of all three")
        self.assertEqual(sorted(line["model"] for line in loaded), ["other", "tiny", "tiny"])
        self.assertEqual(len({line["trace_id"] for line in loaded}), 1)
        self.assertEqual(len(server.log().splitlines()), len(server.log_lines()), "a line is no JSON")

    def test_text_and_usage_are_the_same(self):
        server = self.start(other=True)
        for path, more in (("/v1/completions", {"prompt": "Once upon a time"}), ("/generate", {"prompt": "Once upon a time"}),
                           ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}], "logprobs": True})):
            answers = {}
            for model in ("tiny", "other"):
                answer = server.post(path, {**more, "model": model, "max_tokens": 12, "temperature": 0.8, "seed": 3}).json()
                answers[model] = {k: v for k, v in answer.items() if k not in ("id", "model", "created")}
            self.assertEqual(answers["tiny"], answers["other"], path)
        chat = {"messages": [{"role": "system", "content": "Be \"brief\"."}, {"role": "user", "content": "é"}]}
        for body in ({"prompt": "Once upon"}, chat):
            tokens = [server.post("/tokenize", {**body, "model": model}).json() for model in ("tiny", "other")]
            self.assertEqual(tokens[0], tokens[1])
            texts = [server.post("/detokenize", {"tokens": tokens[0]["tokens"], "model": model}).json() for model in ("tiny", "other")]
            self.assertEqual(texts[0], texts[1])
        for model in ("tiny", "other"):
            connection, response = server.stream("/v1/completions", {"model": model, "prompt": "Hi", "max_tokens": 6, "ignore_eos": True})
            self.assertEqual(len("".join(text_of(e) for e in events(response) if e != "[DONE]")) > 0, True)
            connection.close()

        def usage(model):
            return [(line["prompt_tokens"], line["completion_tokens"]) for line in server.log_lines()
                    if line["message"] == "request" and line.get("model") == model and line["path"] != "/generate"]
        wait_for(lambda: len(usage("tiny")) == len(usage("other")) == 3, "the access log")
        self.assertEqual(usage("tiny"), usage("other"))


def seconds(line):
    """When a line was written, in seconds of its hour."""
    _, minutes, rest = line["timestamp"].split(":")
    return 60 * int(minutes) + float(rest.rstrip("Z"))

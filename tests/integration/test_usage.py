"""What calls have used: written down once, before their answers end, whatever ends the process."""

import concurrent.futures
import csv
import http.client
import io
import json
import os
import random
import resource
import signal
import subprocess
import tempfile
import time
import unittest

import test_grpc
from gateway_fixture import pool, replica, url
from server import BINARY, TINY_MODEL, Server, environment, wait_for
from test_admission import ALICE, BOB, KEYS, AdmittingServer

OPEN_KEYS = [{**key, "models": ["*"]} for key in KEYS]
BATCH = 256  # tokens that an engine is ahead of a slow reader, at most
PRICES = [{"model": "tiny", "input": 1, "cached": 0.5, "output": 2}]


class RecordingServer(AdmittingServer):
    def __init__(self, folder=None, prices=PRICES, keys=OPEN_KEYS, on_failure="refuse", **more):
        self.folder_of_journal = os.path.join(folder, "journal") if folder else None
        self.journal = {"journal": {"path": self.folder_of_journal, "on_failure": on_failure}} if folder else {}
        self.sections = {**self.journal, "prices": prices}
        super().__init__(keys=keys, **more)

    def write_config(self, config):
        super().write_config({**config, **self.sections})

    def used(self, by="key"):
        return self.get(f"/usage?by={by}", admin=True).json()["usage"]


class Usage(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="open-autoglm-usage-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def test_adds_up_to_what_clients_were_told(self):
        with RecordingServer() as server:
            told = {"alice": [0, 0], "bob": [0, 0]}
            for headers, name, tokens in [(ALICE, "alice", 7), (ALICE, "alice", 9), (BOB, "bob", 5)]:
                usage = server.complete(headers, tokens).json()["usage"]
                told[name][0] += usage["prompt_tokens"]
                told[name][1] += usage["completion_tokens"]
            self.assertEqual({row["key"]: [row["prompt_tokens"], row["completion_tokens"]] for row in server.used()}, told)
            row = server.used()[0]
            self.assertAlmostEqual(row["cost"], (row["prompt_tokens"] - row["cached_tokens"] + row["cached_tokens"] / 2
                                                 + 2 * row["completion_tokens"]) / 1e6, places=9)
            rows = list(csv.DictReader(io.StringIO(server.get("/usage?by=tenant,model&format=csv", admin=True).body.decode())))
            self.assertEqual([(row["tenant"], row["model"], row["requests"], row["currency"]) for row in rows],
                             [("a", "tiny", "2", "USD"), ("b", "tiny", "1", "USD")])
            self.assertEqual(server.get("/usage").status, 404, "it is for the operator")

    def test_a_fallback_is_priced_as_the_model_that_answers_and_a_static_answer_is_free(self):
        gone = "http://127.0.0.1:1"
        models = [pool(gone, name="a", fallback=["tiny"], health={"interval": "1h"}), pool(gone, name="b", static_answer="Busy.", health={"interval": "1h"}),
                  pool(gone, name="c", fallback=["b"], health={"interval": "1h"}),
                  {"name": "tiny", "engine": {"path": TINY_MODEL, "threads": 1}}]
        with RecordingServer(models=models) as server:
            usage = server.complete(ALICE, 7, model="a").json()["usage"]
            for model in ("b", "c"):
                self.assertEqual(server.complete(ALICE, 7, model=model).json()["choices"][0]["text"], "Busy.")
            (row,) = server.used("model")
            self.assertEqual((row["model"], row["requests"], row["completion_tokens"]), ("tiny", 1, usage["completion_tokens"]))
            self.assertGreater(row["cost"], 0, "the one that was asked has no price")

    def test_a_stream_that_is_left_is_written_down_once_as_cut(self):
        with RecordingServer(self.folder, engine={"context": 4096}) as server:
            connection, response = None, None
            connection, response = server.begin(ALICE)
            for _ in range(20):
                response.readline()
            connection.close()
            wait_for(lambda: server.used(), "its record")
            (row,) = server.used()
            self.assertEqual((row["requests"], row["cut"]), (1, 1))
            self.assertGreater(row["completion_tokens"], 5)
            wait_for(lambda: server.metric("autoglm_journal_records_total") == 1, "the record in the journal")

    def test_a_budget_ends_and_stays_ended_over_a_restart(self):
        keys = [{**OPEN_KEYS[0], "budget": {"tokens": 60, "per": "month"}}, OPEN_KEYS[1]]
        for run in range(2):
            with RecordingServer(self.folder, keys=keys) as server:
                if run == 0:
                    self.assertEqual([server.complete(ALICE, 20).status for _ in range(3)], [200, 200, 429])
                    self.assertEqual(server.complete(ALICE, 100).json()["error"]["code"], "budget_too_small")
                refused = server.complete(ALICE, 20)
                self.assertEqual((refused.status, refused.json()["error"]["code"]), (429, "budget_exhausted"))
                self.assertGreater(int(refused.headers["retry-after"]), 0)
                self.assertEqual(server.complete(BOB).status, 200)

    def test_a_hard_budget_ends_streams_in_each_protocol(self):
        text = {"ignore_eos": True, "stream": True}
        chat = [{"role": "user", "content": "Hi"}]
        for path, body, code in [("/v1/completions", {"prompt": "Hi", "max_tokens": 2000, **text}, ["error", "code"]),
                                 ("/v1/chat/completions", {"messages": chat, "max_tokens": 2000, **text}, ["error", "code"]),
                                 ("/v1/messages", {"messages": chat, "model": "tiny", "max_tokens": 2000, **text}, ["error", "type"]),
                                 ("/api/chat", {"messages": chat, "model": "tiny", "options": {"num_predict": 2000, "ignore_eos": True}}, ["error"]),
                                 (None, None, None)]:
            keys = [{**OPEN_KEYS[0], "budget": {"tokens": 400, "hard": True}}]
            with self.subTest(path), RecordingServer(keys=keys, engine={"context": 4096}) as server:
                if path is None:
                    test_grpc.scenario(server, "budget_ends")
                else:
                    connection = server.connect()
                    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json", **ALICE})
                    response = connection.getresponse()
                    self.assertEqual(response.status, 200)
                    lines = [line for line in response.read().decode().splitlines() if line]
                    connection.close()
                    self.assertGreater(len(lines), 20)
                    end = [line for line in lines if "budget" in line]
                    self.assertEqual(len(end), 1, lines[-3:])
                    found = json.loads(end[0].removeprefix("data: "))
                    for name in code:
                        found = found[name]
                    self.assertTrue(found)
                    self.assertIn("has used up its budget", end[0])
                    self.assertNotIn('"finish_reason": "stop"', lines[-1])
                wait_for(lambda: server.used(), "its record")
                (row,) = server.used()
                self.assertEqual((row["requests"], row["cut"]), (1, 1))
                total = row["prompt_tokens"] + row["completion_tokens"]
                self.assertGreater(total, 390)
                self.assertLessEqual(total, 400 + BATCH, "one batch more than the budget, at most")
                self.assertEqual(server.complete(ALICE).status, 429)

    def test_many_at_once_stay_within_a_budget(self):
        for hard in (False, True):
            keys = [{**OPEN_KEYS[0], "budget": {"tokens": 600, "hard": hard}}]
            with self.subTest(hard=hard), RecordingServer(keys=keys, engine={"context": 4096, "max_sequences": 16}) as server:
                with concurrent.futures.ThreadPoolExecutor(16) as clients:
                    answers = list(clients.map(lambda _: server.complete(ALICE, 60), range(48)))
                self.assertEqual({answer.status for answer in answers}, {200, 429})
                for answer in answers:
                    if answer.status == 429:
                        self.assertEqual(answer.json()["error"]["code"], "budget_exhausted")
                (row,) = server.used()
                total = row["prompt_tokens"] + row["completion_tokens"]
                self.assertGreater(total, 450)
                self.assertLessEqual(total, 600 + (16 * 60 if hard else 0))

    def test_kill_9_loses_no_answer_and_counts_none_twice(self):
        self.kill_at_random(8)

    def test_kill_9_of_a_gateway_records_no_more_than_its_upstream_has_done(self):
        with replica() as upstream:
            self.kill_at_random(4, upstream, models=[pool(url(upstream))])

    def kill_at_random(self, rounds, upstream=None, **server_options):
        """Alice has a limit of tokens and Bob a budget. Prints what was measured."""
        rng = random.Random(20)
        amount, budget = 1_000_000, 200 * rounds
        keys = [OPEN_KEYS[0], {**OPEN_KEYS[1], "budget": {"tokens": budget}}]
        limits = [{"name": "tokens", "per": "tenant", "tokens": f"{amount}/day"}]
        answered = {"alice": [0, 0, 0], "bob": [0, 0, 0]}  # requests, tokens of prompts, of answers
        refused, began = 0, time.monotonic()

        def count(name, answer):
            usage = answer.json()["usage"]
            for i, more in enumerate((1, usage["prompt_tokens"], usage["completion_tokens"])):
                answered[name][i] += more

        for _ in range(rounds):
            server = RecordingServer(self.folder, keys=keys, limits=limits, **server_options)
            try:
                first = server.complete(ALICE, 5)
                used = answered["alice"][1] + answered["alice"][2]
                drained = (time.monotonic() - began) * amount / 86400 + 1
                self.assertLessEqual(int(first.headers["x-ratelimit-remaining-tokens"]), amount - used - 5 + drained)
                count("alice", first)

                def ask(i):
                    name, headers = ("alice", ALICE) if i % 2 else ("bob", BOB)
                    try:
                        return name, server.complete(headers, 5)
                    except (OSError, http.client.HTTPException):
                        return name, None

                with concurrent.futures.ThreadPoolExecutor(8) as clients:
                    calls = [clients.submit(ask, i) for i in range(200)]
                    wanted = rng.randrange(20, 150)
                    for done, _ in enumerate(concurrent.futures.as_completed(calls)):
                        if done == wanted:
                            server.process.send_signal(signal.SIGKILL)
                for name, answer in (call.result() for call in calls):
                    if answer and answer.status == 200:
                        count(name, answer)
                    refused += answer is not None and answer.status == 429
            finally:
                server.process.kill()
                server.process.wait()
                server.folder.cleanup()
        self.assertGreater(answered["alice"][0], 50)
        with RecordingServer(self.folder, keys=keys, limits=limits, **server_options) as server:
            if upstream:
                count("alice", server.complete(ALICE, 5))
            rows = {row["key"]: row for row in server.used()}
        for name, (requests, prompts, tokens) in answered.items():
            row = rows[name]
            # The client of a record may have got no answer, when the process ended between the two.
            self.assertGreaterEqual(row["requests"], requests)
            self.assertLessEqual(row["requests"], requests + 8 * rounds)
            self.assertGreaterEqual(row["completion_tokens"], tokens)
            self.assertLessEqual(row["completion_tokens"], tokens + 5 * (row["requests"] - requests))
        if upstream:
            # What the upstream had begun for a gateway that was killed is in no record.
            done = upstream.metric("vllm:generation_tokens_total")
            recorded = sum(row["completion_tokens"] for row in rows.values())
            self.assertLessEqual(recorded, done)
            self.assertLessEqual(done, recorded + 5 * 8 * rounds)
        spent = rows["bob"]["prompt_tokens"] + rows["bob"]["completion_tokens"]
        self.assertLessEqual(spent, budget)
        print(f"[ measured ] {rounds} ends: answered {answered}, {refused} refused; recorded",
              {name: (row["requests"], row["completion_tokens"]) for name, row in rows.items()}, f"; {spent} of a budget of {budget}")

    def test_a_full_disk_refuses_or_serves_and_no_record_is_lost(self):
        for on_failure in ("refuse", "serve"):
            folder = os.path.join(self.folder, on_failure)
            os.mkdir(folder)
            answered = 0
            with self.subTest(on_failure), RecordingServer(folder, on_failure=on_failure) as server:
                def set_room(size):
                    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

                answered += server.complete(ALICE, 1).status == 200
                (segment,) = [name for name in os.listdir(server.folder_of_journal) if name.endswith(".journal")]
                # Also the index and what is used of the limits cannot be written from now on.
                set_room(os.path.getsize(os.path.join(server.folder_of_journal, segment)) + 130)
                statuses = [server.complete(ALICE, 1).status for _ in range(12)]
                if on_failure == "refuse":
                    self.assertEqual(set(statuses), {200, 503})
                    self.assertEqual(statuses[-1], 503)
                    refused = server.complete(ALICE, 1)
                    self.assertEqual(refused.json()["error"]["code"], "usage_unavailable")
                    self.assertGreater(int(refused.headers["retry-after"]), 0)
                else:
                    self.assertEqual(set(statuses), {200})
                answered += statuses.count(200)
                self.assertGreater(server.metric("autoglm_journal_failures_total"), 0)
                self.assertEqual(server.used()[0]["key"], "alice", "totals are shown")
                set_room(resource.RLIM_INFINITY)
                wait_for(lambda: server.complete(ALICE, 1).status == 200, "an answer again")
                answered += 1
                self.assertEqual(server.metric("autoglm_journal_dropped_total"), 0)
            with RecordingServer(folder) as server:
                self.assertEqual(server.used()[0]["requests"], answered)

    def test_limits_go_on_over_a_restart_and_after_kill_9(self):
        limits = [{"name": "tokens", "tokens": "1000/day"}, {"name": "all", "per": "global", "requests": "5/day", "algorithm": "sliding_window"}]
        left = []
        for end in (signal.SIGTERM, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM):
            with RecordingServer(self.folder, limits=limits) as server:
                answer = server.complete(ALICE, 100)
                self.assertEqual(answer.status, 200, answer.body)
                left.append(int(answer.headers["x-ratelimit-remaining-tokens"]) + 100)
                if end == signal.SIGKILL:
                    server.process.kill()
                    server.process.wait()
                    server.process.returncode = 0
        # What a call has used stays used; a few of its tokens are the prompt's.
        for earlier, later in zip(left, left[1:]):
            self.assertLess(later, earlier - 99)
            self.assertGreater(later, earlier - 150)
        os.remove(os.path.join(self.folder, "journal", "limits.snapshot"))
        with RecordingServer(self.folder, limits=limits) as server:
            self.assertEqual([server.complete(ALICE, 5).status for _ in range(2)], [200, 429], "rebuilt from the records")

    def test_the_index_may_be_damaged_or_gone(self):
        index = os.path.join(self.folder, "journal", "usage.db")
        with RecordingServer(self.folder) as server:
            for headers in (ALICE, ALICE, BOB):
                server.complete(headers, 5)
            whole = server.used("hour,key,tenant,model")
            self.assertEqual([(row["key"], row["requests"]) for row in whole], [("alice", 2), ("bob", 1)])
            self.assertRegex(whole[0]["hour"], r"^\d{4}-\d\d-\d\dT\d\d:00:00Z$")
            self.assertEqual(server.used("key&key=bob"), [{k: v for k, v in whole[1].items() if k not in ("hour", "tenant", "model")}])
        for damage in ("rubbish" * 3000, None):
            if damage is None:
                for suffix in ("", "-wal", "-shm"):
                    if os.path.exists(index + suffix):
                        os.remove(index + suffix)
            else:
                with open(index, "w") as file:
                    file.write(damage)
            with RecordingServer(self.folder) as server:
                self.assertEqual(server.used("hour,key,tenant,model"), whole)
                if damage:
                    server.await_log("index of usage is damaged")

    def test_one_process_has_a_journal(self):
        with RecordingServer(self.folder) as server:
            done = subprocess.run([BINARY, "serve", "--config", server.config_path], capture_output=True, text=True, env=environment(), timeout=60)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("in use by another process", done.stderr)
            self.assertEqual(server.complete(ALICE).status, 200)

    def test_a_journal_that_cannot_be_made_ends_the_start_and_is_named(self):
        # A folder below a file's name cannot be made.
        blocked = os.path.join(self.folder, "file")
        with open(blocked, "w"):
            pass
        config = {"server": {"listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0"}, "models": [], "journal": {"path": os.path.join(blocked, "journal")}}
        path = os.path.join(self.folder, "c.yaml")
        with open(path, "w") as file:
            file.write(str(config).replace("'", '"'))
        done = subprocess.run([BINARY, "serve", "--config", path], capture_output=True, text=True, env=environment(MODEL_NAME="none"), timeout=60)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(blocked, done.stderr)

    def test_without_configuration_nothing_is_kept(self):
        with Server() as server:
            server.post("/v1/completions", {"prompt": "Hi", "max_tokens": 1})
            self.assertEqual(server.get("/usage", admin=True).json()["usage"], [])
            self.assertEqual(server.metric("autoglm_usage_requests_total"), 0)


if __name__ == "__main__":
    unittest.main()

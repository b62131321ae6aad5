"""What calls have used: written down once, before their answers end, whatever ends the process."""

import concurrent.futures
import csv
import http.client
import io
import os
import random
import signal
import subprocess
import tempfile
import unittest

from gateway_fixture import pool
from server import BINARY, TINY_MODEL, Server, environment, wait_for
from test_admission import ALICE, BOB, KEYS, AdmittingServer

OPEN_KEYS = [{**key, "models": ["*"]} for key in KEYS]
PRICES = [{"model": "tiny", "input": 1, "cached": 0.5, "output": 2}]


class RecordingServer(AdmittingServer):
    def __init__(self, folder=None, prices=PRICES, keys=OPEN_KEYS, **more):
        self.journal = {"journal": {"path": os.path.join(folder, "journal")}} if folder else {}
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
                  {"name": "tiny", "engine": {"path": TINY_MODEL, "threads": 1}}]
        with RecordingServer(models=models) as server:
            usage = server.complete(ALICE, 7, model="a").json()["usage"]
            self.assertEqual(server.complete(ALICE, 7, model="b").json()["choices"][0]["text"], "Busy.")
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
        keys = [{**OPEN_KEYS[0], "budget": {"tokens": 30, "per": "month"}}, OPEN_KEYS[1]]
        for run in range(2):
            with RecordingServer(self.folder, keys=keys) as server:
                if run == 0:
                    self.assertEqual([server.complete(ALICE, 20).status for _ in range(3)], [200, 200, 429])
                refused = server.complete(ALICE)
                self.assertEqual((refused.status, refused.json()["error"]["code"]), (429, "budget_exhausted"))
                self.assertGreater(int(refused.headers["retry-after"]), 0)
                self.assertEqual(server.complete(BOB).status, 200)

    def test_kill_9_loses_no_answer_and_counts_none_twice(self):
        rng = random.Random(20)
        answered, sent = [0, 0], 0
        for _ in range(8):
            server = RecordingServer(self.folder)
            try:
                def ask(_):
                    try:
                        answer = server.complete(ALICE, 5)
                    except (OSError, http.client.HTTPException):
                        return None
                    return answer.json()["usage"] if answer.status == 200 else None

                with concurrent.futures.ThreadPoolExecutor(8) as clients:
                    calls = [clients.submit(ask, i) for i in range(200)]
                    wanted = rng.randrange(20, 150)
                    for done, _ in enumerate(concurrent.futures.as_completed(calls)):
                        if done == wanted:
                            server.process.send_signal(signal.SIGKILL)
                    sent += len(calls)
                for call in calls:
                    if call.result():
                        answered[0] += 1
                        answered[1] += call.result()["completion_tokens"]
            finally:
                server.process.kill()
                server.process.wait()
                server.folder.cleanup()
        self.assertGreater(answered[0], 100)
        with RecordingServer(self.folder) as server:
            (row,) = server.used()
            # The client of a record may have got no answer, when the process ended between the two.
            self.assertGreaterEqual(row["requests"], answered[0])
            self.assertLessEqual(row["requests"], answered[0] + 8 * 8)
            self.assertGreaterEqual(row["completion_tokens"], answered[1])
            self.assertLessEqual(row["completion_tokens"], answered[1] + 5 * (row["requests"] - answered[0]))

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

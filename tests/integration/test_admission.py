"""Keys and limits: who gets in, how much each may ask for, and that none of it leaks or is lost."""

import json
import os
import subprocess
import tempfile
import threading
import unittest

import test_grpc
from gateway_fixture import pool
from server import BINARY, Server, environment, events, wait_for
from upstream import Foreign

ALICE = {"Authorization": "Bearer sk-alice-0123456789"}
BOB = {"x-api-key": "sk-bob-0123456789ab"}
KEYS = [
    {"name": "alice", "key": "sk-alice-0123456789", "tenant": "a", "priority": 5},
    {"name": "bob", "key": "sk-bob-0123456789ab", "tenant": "b", "models": ["other"]},
]


class AdmittingServer(Server):
    def __init__(self, keys=KEYS, limits=(), groups=(), **more):
        self.admission = {"keys": list(keys), "limits": list(limits), "groups": list(groups)}
        super().__init__(**more)

    def write_config(self, config):
        super().write_config({**config, **self.admission})

    def change(self, **admission):
        self.admission.update(admission)
        self.write_config(self.config)
        answer = self.post("/reload", "", admin=True)
        assert answer.status == 200, answer.body
        assert answer.json()["restart_needed_for"] == [], answer.body

    def begin(self, headers, max_tokens=4000):
        """A streamed answer that has begun: (connection, response). The caller closes the connection."""
        connection = self.connect()
        connection.request("POST", "/v1/completions", json.dumps({"prompt": "Hi", "max_tokens": max_tokens, "ignore_eos": True, "stream": True}),
                           {"Content-Type": "application/json", **headers})
        return connection, connection.getresponse()

    def complete(self, headers, max_tokens=1, **more):
        return self.post("/v1/completions", {"prompt": "Hi", "max_tokens": max_tokens, "ignore_eos": True, **more}, headers=headers)


class Keys(unittest.TestCase):
    def test_each_protocol_asks_for_one_in_its_own_words(self):
        with AdmittingServer() as server:
            for method, path, shape in [("POST", "/v1/chat/completions", ["error", "code"]), ("POST", "/v1/responses", ["error", "code"]),
                                        ("POST", "/v1/messages", ["error", "type"]), ("POST", "/api/chat", ["error"]),
                                        ("POST", "/v2/models/tiny/infer", ["error"]), ("POST", "/v1/embeddings", ["error", "code"]),
                                        ("GET", "/v1/models", ["error", "code"]), ("GET", "/nowhere", ["error", "code"])]:
                with self.subTest(path):
                    answer = server.call(method, path, "{}" if method == "POST" else None)
                    self.assertEqual(answer.status, 404 if path == "/nowhere" else 401, answer.body)
                    found = answer.json()
                    for name in shape:
                        found = found[name]
                    self.assertTrue(found)
            for path in ["/health", "/livez", "/readyz", "/metrics", "/v2/health/live"]:
                self.assertEqual(server.get(path).status, 200, path)
            self.assertEqual(server.complete(ALICE).status, 200)
            self.assertEqual(server.metric("autoglm_keys_refused_total"), 7)

    def test_a_key_may_use_its_models_only(self):
        with AdmittingServer() as server:
            refused = server.complete(BOB)
            self.assertEqual(refused.status, 403)
            self.assertEqual(refused.json()["error"]["code"], "model_not_allowed")
            self.assertEqual(server.post("/tokenize", {"prompt": "Hi"}, headers=BOB).status, 403)
            self.assertEqual([card["id"] for card in server.get("/v1/models", headers=BOB).json()["data"]], [])
            for path in ["/v1/models/tiny", "/v2/models/tiny", "/v2/models/tiny/ready", "/props", "/slots"]:
                self.assertEqual(server.get(path, headers=BOB).status, 403, path)
                self.assertEqual(server.get(path, headers=ALICE).status, 200, path)
            self.assertEqual(server.post("/api/show", {"model": "tiny"}, headers=BOB).status, 403)
            self.assertEqual(server.get("/api/ps", headers=BOB).json()["models"], [])
            unknown = server.get("/v1/models/unknown", headers=BOB)
            self.assertEqual(unknown.status, 404)
            self.assertNotIn("tiny", unknown.json()["error"]["message"])
            self.assertEqual([card["id"] for card in server.get("/v1/models", headers=ALICE).json()["data"]], ["tiny"])
            self.assertEqual(server.complete({**ALICE, "x-priority": "6"}).status, 403)
            self.assertEqual(server.complete({**ALICE, "x-priority": "5"}).status, 200)

    def test_keys_change_while_the_server_runs_and_stand_in_no_log(self):
        with AdmittingServer() as server:
            connection, response = server.begin(ALICE, 200)
            self.assertEqual(response.status, 200)
            server.change(keys=[{**KEYS[1], "models": ["*"]}])
            self.assertEqual(list(events(response))[-1], "[DONE]", "what was admitted goes on")
            connection.close()
            self.assertEqual(server.complete(ALICE).status, 401)
            self.assertEqual(server.complete(BOB).status, 200)
            wait_for(lambda: any(line.get("key") == "bob" and line.get("tenant") == "b" for line in server.log_lines()), "bob's line")
            for text in [server.log(), server.out(), server.get("/metrics", admin=True).body.decode()]:
                for secret in ["sk-alice", "sk-bob"]:
                    self.assertNotIn(secret, text)

    def test_each_key_has_its_own_stored_responses(self):
        keys = [KEYS[0], {**KEYS[1], "models": ["*"], "tenant": "a"}]
        alice, bob = {"api-key": "sk-alice-0123456789"}, {"api-key": "sk-bob-0123456789ab"}
        with AdmittingServer(keys=keys) as server:
            made = server.post("/v1/responses", {"input": "Hi", "max_output_tokens": 2}, headers=alice).json()["id"]
            self.assertEqual(server.get(f"/v1/responses/{made}", headers=bob).status, 404)
            self.assertEqual(server.get(f"/v1/responses/{made}", headers=ALICE).status, 200, "by whatever header the key comes")

    def test_grpc(self):
        with AdmittingServer() as server:
            test_grpc.scenario(server, "unauthenticated")

    def test_many_wrong_keys_cost_no_memory(self):
        # Freed memory that AddressSanitizer holds back would count.
        env = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"}
        with AdmittingServer(env=env) as server:
            connection = server.connect()

            def guess(many):
                for i in range(many):
                    connection.request("GET", "/v1/models", headers={"x-api-key": f"guess-{i}"})
                    response = connection.getresponse()
                    response.read()
                    self.assertEqual(response.status, 401)

            guess(2000)
            before = server.usage()
            guess(10_000)
            connection.close()
            self.assertLess(server.usage()["resident"] - before["resident"], 4096)


class Limits(unittest.TestCase):
    def test_what_is_left_stands_in_every_answer(self):
        limits = [{"name": "tokens", "tokens": "1000/day"}, {"name": "rpd", "per": "tenant", "requests": "3/day"}]
        with AdmittingServer(limits=limits) as server:
            first = server.complete(ALICE, 10)
            self.assertEqual(first.status, 200)
            self.assertEqual({k: v for k, v in first.headers.items() if k.startswith("x-ratelimit") and "reset" not in k},
                             {"x-ratelimit-limit-requests": "3", "x-ratelimit-remaining-requests": "2",
                              "x-ratelimit-limit-tokens": "1000", "x-ratelimit-remaining-tokens": "987"})
            used = first.json()["usage"]["total_tokens"]
            second = server.complete(ALICE, 10)
            # Time passes meanwhile, and a day's limit gives a token back each 86 s.
            self.assertIn(1000 - used - 13 - int(second.headers["x-ratelimit-remaining-tokens"]), (0, -1))
            self.assertEqual(server.complete(ALICE, 10).status, 200)
            refused = server.complete(ALICE, 10)
            self.assertEqual(refused.status, 429)
            self.assertEqual(refused.json()["error"]["code"], "rate_limit_exceeded")
            self.assertGreater(int(refused.headers["retry-after"]), 20_000)
            self.assertGreater(int(refused.headers["retry-after-ms"]), 20_000_000)
            self.assertEqual(server.metric("autoglm_limit_refused_total", limit="rpd"), 1)
            never = server.complete(ALICE, 1001)
            self.assertEqual((never.status, never.json()["error"]["param"]), (400, "max_tokens"))

    def test_a_stream_that_is_left_is_charged_for_what_it_used(self):
        with AdmittingServer(limits=[{"name": "tokens", "tokens": "10000/day"}], engine={"context": 4096}) as server:
            connection, response = server.begin(ALICE, 3000)
            self.assertEqual(response.headers["x-ratelimit-remaining-tokens"], "6997")
            for _ in range(20):
                response.readline()
            connection.close()
            wait_for(server.idle, "the stream's end")
            left = int(server.complete(ALICE, 1).headers["x-ratelimit-remaining-tokens"])
            self.assertGreater(left, 6997)
            self.assertLess(left, 9990)

    def test_clients_at_once_get_what_the_limit_has_and_no_more(self):
        limits = [{"name": "tokens", "per": "tenant", "tokens": "1000/day"}]
        with AdmittingServer(limits=limits) as server:
            answers = []

            def ask():
                for _ in range(10):
                    answers.append(server.complete(ALICE, 9))

            threads = [threading.Thread(target=ask) for _ in range(16)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            used = sum(answer.json()["usage"]["total_tokens"] for answer in answers if answer.status == 200)
            self.assertEqual({answer.status for answer in answers}, {200, 429})
            self.assertLessEqual(used, 1000)
            self.assertGreaterEqual(used, 950)

    def test_calls_without_an_answer_to_generate_count_as_requests(self):
        with AdmittingServer(limits=[{"name": "rpd", "requests": "2/day"}]) as server:
            self.assertEqual([server.post("/tokenize", {"prompt": "Hi"}, headers=ALICE).status for _ in range(3)], [200, 200, 429])

    def test_limits_change_and_what_was_used_stays_used(self):
        with AdmittingServer(limits=[{"name": "rpd", "requests": "2/day"}]) as server:
            self.assertEqual([server.complete(ALICE).status for _ in range(3)], [200, 200, 429])
            server.change(limits=[{"name": "rpd", "requests": "4/day"}])
            self.assertEqual([server.complete(ALICE).status for _ in range(3)], [200, 200, 429])
            server.change(limits=[])
            answer = server.complete(ALICE)
            self.assertEqual(answer.status, 200)
            self.assertNotIn("x-ratelimit-limit-requests", answer.headers)

    def test_so_many_at_a_time(self):
        with AdmittingServer(limits=[{"name": "two", "per": "global", "concurrent": 2}], engine={"context": 4096}) as server:
            open_streams = []
            for _ in range(2):
                connection, response = server.begin(ALICE, 4000)
                self.assertEqual(response.status, 200)
                open_streams.append(connection)
            self.assertEqual(server.complete(ALICE).status, 429)
            open_streams.pop().close()
            wait_for(lambda: server.complete(ALICE).status == 200, "the place of the client that left")
            open_streams.pop().close()


class Groups(unittest.TestCase):
    GROUPS = [{"name": "chat", "concurrent": 1, "queue": {"size": 1, "timeout": "60s"}}]

    def test_a_group_has_its_places_and_a_line(self):
        keys = [{**KEYS[0], "group": "chat"}, {**KEYS[1], "models": ["*"]}]
        with AdmittingServer(keys=keys, groups=self.GROUPS, engine={"context": 4096}) as server:
            connection, response = server.begin(ALICE, 4000)
            self.assertEqual(response.status, 200)
            answers = []
            waiting = threading.Thread(target=lambda: answers.append(server.complete(ALICE).status))
            waiting.start()
            wait_for(lambda: server.metric("autoglm_group_waiting", group="chat") == 1, "a request that waits")
            full = server.complete(ALICE)
            self.assertEqual((full.status, full.json()["error"]["code"]), (429, "group_full"))
            self.assertEqual(server.complete(BOB).status, 200, "others are not concerned")
            connection.close()
            waiting.join()
            self.assertEqual(answers, [200])
            wait_for(lambda: server.metric("autoglm_group_running", group="chat") == 0, "an empty group")

    def test_a_change_holds_for_those_that_wait(self):
        keys = [{**KEYS[0], "group": "chat"}]
        with AdmittingServer(keys=keys, groups=self.GROUPS, engine={"context": 4096}) as server:
            connection, response = server.begin(ALICE, 4000)
            self.assertEqual(response.status, 200)
            answers = []
            waiting = threading.Thread(target=lambda: answers.append(server.complete(ALICE).status))
            waiting.start()
            wait_for(lambda: server.metric("autoglm_group_waiting", group="chat") == 1, "a request that waits")
            server.change(groups=[{**self.GROUPS[0], "concurrent": 2}])
            waiting.join()
            self.assertEqual(answers, [200])
            connection.close()


class BeforeOthers(unittest.TestCase):
    def test_servers_elsewhere_see_no_key_of_a_client(self):
        with Foreign() as foreign, AdmittingServer(models=[pool({"url": foreign.url, "api_key": "ours"}, health={"interval": "1h"}, **{"pass": ["images"]})]) as front:
            self.assertEqual(front.complete(ALICE).status, 200)
            self.assertEqual(front.post("/v1/images/generations", {"model": "tiny"}, headers=ALICE).status, 200)
            self.assertEqual(front.post("/v1/images/generations", {"model": "tiny"}).status, 401)
            self.assertEqual(len(foreign.requests), 2)
            for _, headers, _ in foreign.requests:
                self.assertEqual(headers["authorization"], "Bearer ours")
                self.assertNotIn("sk-alice", str(headers))

    def test_a_key_of_some_models_reaches_no_other_by_a_passed_path(self):
        def form(head):
            return f"--b\r\n{head}\r\n\r\ntiny\r\n--b--\r\n"
        with Foreign() as foreign, AdmittingServer(models=[pool(foreign.url, health={"interval": "1h"}, **{"pass": ["images"]})]) as front:
            for code, body, content_type in [
                ("model_not_allowed", json.dumps({"model": "tiny"}), "application/json"),
                ("model_not_named", json.dumps({"input": "x"}), "application/json"),
                ("model_not_named", "no JSON", "text/plain"),
                ("model_not_allowed", form('Content-Disposition: form-data; name="model"'), "multipart/form-data; boundary=b"),
                ("model_not_allowed", form("content-disposition: form-data; name=model"), "multipart/form-data; boundary=b"),
            ]:
                answer = front.call("POST", "/v1/images", body, headers={**BOB, "Content-Type": content_type})
                self.assertEqual((answer.status, answer.json()["error"]["code"]), (403, code), body)
            self.assertEqual(foreign.requests, [])

    def test_an_endpoint_that_fails_costs_the_client_nothing(self):
        with Foreign(lambda *_: (500, {}, b"{}")) as foreign, AdmittingServer(
                models=[pool(foreign.url, health={"interval": "1h"})], limits=[{"name": "rpd", "requests": "2/day"}]) as front:
            self.assertEqual({front.complete(ALICE).status for _ in range(5)}, {500})


class Mistakes(unittest.TestCase):
    def test_each_is_named(self):
        for section, wanted in [
            ({"keys": [{"name": "a", "key": "short"}]}, "keys[0].key"),
            ({"keys": [{"name": "a", "key": "sha256:123456789abc"}]}, "64 hexadecimal digits"),
            ({"keys": [{"name": "a", "key": "x" * 16}, {"name": "a", "key": "y" * 16}]}, "keys[1].name"),
            ({"keys": [{"name": "a", "key": "x" * 16}, {"name": "b", "key": "x" * 16}]}, "the same as that of"),
            ({"keys": [{"name": "a", "key": "x" * 16, "limits": ["none"]}]}, "names no limit"),
            ({"keys": [{"name": "a", "key": "x" * 16, "models": []}]}, "could use none"),
            ({"keys": [{"name": "a", "key": "x" * 16, "priority": 10}]}, "keys[0].priority"),
            ({"keys": [{"name": "a", "key": "x" * 16, "group": "b"}], "groups": [{"name": "c", "concurrent": 1}]}, "names no group"),
            ({"groups": [{"name": "c"}]}, "groups[0]: does nothing"),
            ({"groups": [{"name": "c", "concurrent": 0}]}, "groups[0]: does nothing"),
            ({"groups": [{"name": "c", "share": "50"}]}, "a part such as 50%"),
            ({"groups": [{"name": "c", "share": "60%"}, {"name": "d", "share": "50%"}]}, "have shares of 110% together"),
            ({"keys": [{"name": "a", "key": "x" * 16, "budget": {"tokens": 5}}], "journal": {"path": "/j", "retention": "30d"}}, "journal.retention"),
            ({"keys": [{"name": "a", "key": "x" * 16, "budget": {"cost": 1e-10}}]}, "less than can be counted"),
            ({"limits": [{"name": "a"}]}, "limits nothing"),
            ({"limits": [{"name": "a", "requests": "1/s", "tokens": "1/s"}]}, "limits several things"),
            ({"limits": [{"name": "a", "requests": "often"}]}, "such as 10/s"),
            ({"limits": [{"name": "a", "tokens": "10/s", "algorithm": "leaky_bucket", "queue": 3}]}, "reserved tokens do not wait"),
            ({"limits": [{"name": "a", "requests": "10/s", "algorithm": "sliding_window", "burst": 3}]}, "a sliding window has none"),
            ({"limits": [{"name": "a", "requests": "10/s", "algorithm": "bucket"}]}, "token_bucket"),
        ]:
            with self.subTest(wanted), tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
                json.dump({"models": [{"name": "m", "endpoints": [{"url": "http://127.0.0.1:9/v1"}]}], **section}, file)
                file.flush()
                done = subprocess.run([BINARY, "validate", "--config", file.name], capture_output=True, text=True, env=environment())
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(wanted, done.stdout + done.stderr)
                self.assertNotIn("x" * 16, done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()

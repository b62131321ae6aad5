"""Limits that replicas count together in Redis: exact while it answers, within the shares while it does not."""

import contextlib
import http.client
import json
import random
import subprocess
import tempfile
import threading
import time
import unittest

from certificates import Authority
from gateway_fixture import pool
from redis_fixture import Redis, free_port
from server import BINARY, PATIENCE, environment, wait_for
from test_admission import ALICE, KEYS, AdmittingServer
from upstream import Foreign

KEY = [{**KEYS[0], "models": ["*"]}]
RESERVED = 20  # of a call: 3 for its prompt, 17 that the answer may have
TOKENS = {"name": "tokens", "tokens": "1000/min", "burst": 1000}


def answer(_, body, __):
    """Uses what was reserved, or a part of it."""
    used = random.randint(body["max_tokens"] - 5, body["max_tokens"])
    return 200, {}, json.dumps({"id": "c", "object": "text_completion", "model": "m",
                                "choices": [{"index": 0, "text": "x", "finish_reason": "stop"}],
                                "usage": {"prompt_tokens": 3, "completion_tokens": used, "total_tokens": 3 + used}}).encode()


class Replica(AdmittingServer):
    def __init__(self, upstream, redis, limits=(TOKENS,), **more):
        self.sections = {"redis": redis} if redis else {}
        super().__init__(keys=KEY, limits=limits, models=[pool(upstream.url, name="m", health={"interval": "1h"})], **more)

    def write_config(self, config):
        super().write_config({**config, **self.sections})

    def is_up(self):
        return self.metric("autoglm_redis_up") == 1

    def fallbacks(self):
        return self.metric("autoglm_limit_fallback_total")


class Load:
    """Clients that ask as fast as they are let, replicas in turn, and what they used."""

    def __init__(self, replicas, clients):
        self.used, self.statuses, self.failures, self.lock = [], {}, [], threading.Lock()
        self.end = threading.Event()
        self.threads = [threading.Thread(target=self.ask, args=(replicas[i % len(replicas)],)) for i in range(clients)]
        self.began = time.monotonic()

    def ask(self, replica):
        connection = replica.connect()
        try:
            while not self.end.is_set():
                sent = time.monotonic()
                connection.request("POST", "/v1/completions", json.dumps({"prompt": "Hi", "max_tokens": RESERVED - 3}),
                                   {"Content-Type": "application/json", **ALICE})
                response = connection.getresponse()
                body = response.read()
                with self.lock:
                    self.statuses[response.status] = self.statuses.get(response.status, 0) + 1
                    if response.status == 200:
                        self.used.append((sent, time.monotonic(), json.loads(body)["usage"]["total_tokens"]))
                    elif response.status != 429:
                        self.failures.append(body)
                if response.status == 429:
                    self.end.wait(0.05)
        except (OSError, http.client.HTTPException) as error:
            self.failures.append(repr(error))
        finally:
            connection.close()

    def answers(self):
        with self.lock:
            return sum(self.statuses.values())

    def wait_for_more(self, count):
        """Until so many more calls have been answered."""
        begin = self.answers()
        wait_for(lambda: self.answers() >= begin + count, f"{count} more answers")

    def total(self):
        with self.lock:
            return sum(tokens for _, _, tokens in self.used)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.end.set()
        for thread in self.threads:
            thread.join()
        self.took = time.monotonic() - self.began


def most_in_excess(used, burst, per_second):
    """By how much the used tokens of any span of time exceed the bound. A call takes its tokens between the moments when it
    is sent and when it is answered."""
    worst = -burst
    used = sorted(used)
    for first in range(len(used)):
        tokens, until = 0, 0
        for sent, answered, each in used[first:]:
            tokens, until = tokens + each, max(until, answered)
            worst = max(worst, tokens - burst - per_second * (until - used[first][0]))
    return worst


class SharedLimits(unittest.TestCase):
    def setUp(self):
        self.kept = contextlib.ExitStack()
        self.addCleanup(self.kept.close)
        self.upstream = self.kept.enter_context(Foreign(answer))

    def redis(self, **options):
        return self.kept.enter_context(Redis(**options))

    def replicas(self, count, redis, wait=True, **more):
        made = [self.kept.enter_context(Replica(self.upstream, redis, **more)) for _ in range(count)]
        for replica in made if wait else []:
            wait_for(replica.is_up, "Redis, to be reached")
        return made


class Together(SharedLimits):
    def test_no_span_of_time_has_more_than_the_limit(self):
        redis = self.redis()
        replicas = self.replicas(3, {"address": redis.address, "timeout": "10s", "replicas": 3})
        with Load(replicas, 64) as load:
            load.end.wait(8)
        self.assertEqual(load.failures, [])
        self.assertEqual(sum(replica.fallbacks() for replica in replicas), 0)
        self.assertLessEqual(most_in_excess(load.used, 1000, 1000 / 60), RESERVED)
        self.assertGreaterEqual(load.total(), 0.95 * (1000 + load.took * 1000 / 60) - RESERVED)
        self.assertGreater(load.statuses[429], 100)

    def test_what_is_left_is_the_same_everywhere(self):
        redis = self.redis()
        limits = [{"name": "tokens", "per": "tenant", "tokens": "1000/day"}, {"name": "rpd", "requests": "4/day"},
                  {"name": "window", "per": "global", "requests": "100/day", "algorithm": "sliding_window"},
                  {"name": "leaky", "per": "model", "requests": "200/day", "algorithm": "leaky_bucket", "queue": 5}]
        first, second = self.replicas(2, {"address": redis.address, "timeout": "10s", "prefix": "here:"}, limits=limits)
        left = [server.complete(ALICE, 10, model="m") for server in (first, second, second, first)]
        self.assertEqual([each.headers["x-ratelimit-remaining-requests"] for each in left], ["3", "2", "1", "0"])
        self.assertEqual(left[0].headers["x-ratelimit-limit-tokens"], "1000")
        tokens = [int(each.headers["x-ratelimit-remaining-tokens"]) for each in left]
        self.assertEqual(tokens[0], 987)
        self.assertEqual(tokens, sorted(tokens, reverse=True))
        refused = second.complete(ALICE, 10, model="m")
        self.assertEqual((refused.status, refused.json()["error"]["code"]), (429, "rate_limit_exceeded"))
        self.assertGreater(int(refused.headers["retry-after"]), 20_000)
        self.assertLessEqual(int(refused.headers["retry-after"]), 21_600)
        self.assertEqual(second.complete(ALICE, 5000, model="m").status, 400)
        self.assertEqual(redis.keys(), ["here:{global:}:window:w", "here:{key:alice}:rpd:b", "here:{model:m}:leaky:b", "here:{tenant:a}:tokens:b"])
        self.assertEqual(first.fallbacks() + second.fallbacks(), 0)
        # A call that one limit refuses costs the others nothing.
        fresh = self.replicas(1, {"address": redis.address, "timeout": "10s", "prefix": "here:"}, limits=[{**limits[0], "burst": 1000}])[0]
        self.assertGreaterEqual(int(fresh.complete(ALICE, 10, model="m").headers["x-ratelimit-remaining-tokens"]), tokens[3] - 13)

    def test_a_client_that_leaves_is_charged_in_redis(self):
        redis = self.redis()
        begun, go_on = threading.Event(), threading.Event()
        self.addCleanup(go_on.set)

        def slow(_, body, __):
            begun.set()
            go_on.wait(PATIENCE)
            return answer(_, body, __)

        self.upstream.answer = slow
        [server] = self.replicas(1, {"address": redis.address, "timeout": "10s"}, limits=[{"name": "tokens", "tokens": "1000/day"}])
        connection = server.connect()
        connection.request("POST", "/v1/completions", json.dumps({"prompt": "Hi", "max_tokens": 900}),
                           {"Content-Type": "application/json", **ALICE})
        begun.wait(PATIENCE)
        self.upstream.answer = answer
        self.assertEqual(server.complete(ALICE, 500).status, 429)
        connection.close()
        wait_for(lambda: server.complete(ALICE, 500).status == 200, "what was reserved, given back")

    def test_redis_may_be_configured_while_the_server_runs(self):
        redis = self.redis()
        [server] = self.replicas(1, None, wait=False, limits=[{"name": "rpd", "requests": "2/day"}])
        self.assertEqual([server.complete(ALICE).status for _ in range(3)], [200, 200, 429])
        server.sections = {"redis": {"address": redis.address, "timeout": "10s"}}
        server.change()
        wait_for(server.is_up, "Redis, to be reached")
        self.assertEqual([server.complete(ALICE).status for _ in range(3)], [200, 200, 429])
        self.assertEqual(redis.keys(), ["autoglm:{key:alice}:rpd:b"])
        server.sections = {}
        server.change()
        self.assertEqual(server.metric("autoglm_redis_up"), 0)
        self.assertEqual(server.complete(ALICE).status, 429)

    def test_anonymous_clients_are_counted_together_and_not_stored(self):
        redis = self.redis()
        servers = [self.kept.enter_context(Replica(self.upstream, {"address": redis.address, "timeout": "10s"},
                                                   limits=[{"name": "rpd", "requests": "2/day"}])) for _ in range(2)]
        for server in servers:
            server.change(keys=[])
            wait_for(server.is_up, "Redis, to be reached")
        self.assertEqual([servers[i].complete(ALICE).status for i in (0, 1, 0)], [200, 200, 429])
        self.assertEqual(len(redis.keys()), 1)
        self.assertNotIn("alice", redis.keys()[0])


class Without(SharedLimits):
    """Redis is lost under load. 12 clients, 3 replicas; the common count is used up before."""

    def lose(self, act, timeout="5ms", back=None):
        redis = self.redis()
        replicas = self.replicas(3, {"address": redis.address, "timeout": timeout, "replicas": 3})
        with Load(replicas, 12) as load:
            wait_for(lambda: load.statuses.get(429, 0) > 50, "a limit that is used up")
            act(redis, load, replicas)
            load.wait_for_more(100)
            if back:
                back(redis)
            for replica in replicas if back else []:
                wait_for(replica.is_up, "Redis, to be reached again")
            load.wait_for_more(100)
        self.assertEqual(load.failures, [])
        self.assertLessEqual(set(load.statuses), {200, 429})
        return load, replicas

    def assert_within_shares(self, load, lost=1):
        """Each loss lets at most the shares through, which are one burst together, and a call more a replica."""
        self.assertLessEqual(load.total(), (1 + lost) * (1000 + load.took * 1000 / 60) + 3 * RESERVED)

    def test_killed(self):
        load, replicas = self.lose(lambda redis, *_: redis.kill())
        self.assert_within_shares(load)
        for replica in replicas:
            self.assertGreater(replica.fallbacks(), 0)
            self.assertEqual(replica.metric("autoglm_redis_up"), 0)
            lines = [line for line in replica.log_lines() if "does not count the limits" in line.get("message", "")]
            self.assertGreaterEqual(len(lines), 1)

    def test_frozen_costs_each_client_one_wait_at_most_and_comes_back_by_itself(self):
        late = {}

        def freeze(redis, load, replicas):
            late["before"] = sum(each.metric("autoglm_redis_late_total") for each in replicas)
            redis.freeze()
            for replica in replicas:
                wait_for(lambda one=replica: one.metric("autoglm_redis_up") == 0, "the loss, to be seen")
            load.wait_for_more(200)
            late["after"] = sum(each.metric("autoglm_redis_late_total") for each in replicas)

        load, replicas = self.lose(freeze, timeout="50ms", back=lambda redis: redis.thaw())
        self.assertLessEqual(late["after"] - late["before"], 12)
        self.assertGreater(sum(each.fallbacks() for each in replicas), 100)
        self.assert_within_shares(load)

    def test_restarted(self):
        def restart(redis):
            redis.start()

        load, _ = self.lose(lambda redis, *_: redis.kill(), back=restart)
        self.assert_within_shares(load, lost=2)  # the restart forgets what was taken

    def test_scripts_flushed(self):
        def flush(redis, load, _):
            for _ in range(10):
                redis.ask("SCRIPT", "FLUSH")
                load.wait_for_more(10)

        load, replicas = self.lose(flush, timeout="10s")
        self.assertEqual(sum(each.fallbacks() for each in replicas), 0)
        self.assertLessEqual(most_in_excess(load.used, 1000, 1000 / 60), RESERVED)

    def test_never_there(self):
        address = f"127.0.0.1:{free_port()}"
        replicas = self.replicas(3, {"address": address, "replicas": 3}, wait=False, limits=[{"name": "rpd", "requests": "9/day"}])
        self.assertEqual([sorted(replica.complete(ALICE).status for _ in range(4)) for replica in replicas], [[200, 200, 200, 429]] * 3)
        self.assertEqual(sum(each.fallbacks() for each in replicas), 12)
        # What fits into the limit and into no share can wait; what does not fit at all cannot.
        replicas[0].change(limits=[{"name": "tokens", "tokens": "90/day"}])
        self.assertEqual([replicas[0].complete(ALICE, tokens).status for tokens in (20, 60, 100)], [200, 429, 400])

    def test_errors_of_redis_do_not_fail_calls(self):
        redis = self.redis(**{"maxmemory": "1mb"})
        [server] = self.replicas(1, {"address": redis.address, "timeout": "10s"}, limits=[{"name": "rpd", "requests": "2/day"}])
        self.assertEqual([server.complete(ALICE).status for _ in range(3)], [200, 200, 429], "out of memory for writing")
        self.assertGreater(server.metric("autoglm_redis_errors_total"), 0)


class Ways(SharedLimits):
    """The ways to Redis."""

    def works(self, server, redis=None):
        wait_for(server.is_up, "Redis, to be reached")
        self.assertEqual(server.complete(ALICE).status, 200)
        self.assertEqual(server.fallbacks(), 0)
        if redis:
            self.assertEqual(redis.keys(), ["autoglm:{key:alice}:tokens:b"])

    def test_a_user_with_the_least_rights(self):
        rights = "~autoglm:* resetchannels -@all +hello +ping +evalsha +eval +time +get +set +del"
        redis = self.kept.enter_context(AclRedis(rights))
        [server] = self.replicas(1, {"address": redis.address, "username": "gate", "password": "secret", "timeout": "10s"})
        self.works(server, redis)
        [wrong] = self.replicas(1, {"address": redis.address, "username": "gate", "password": "guess"}, wait=False)
        wait_for(lambda: any("WRONGPASS" in line.get("error", "") for line in wrong.log_lines()), "a line that says why")
        self.assertEqual(wrong.complete(ALICE).status, 200)
        for text in [server.log(), wrong.log()]:
            self.assertNotIn("secret", text)
            self.assertNotIn("guess", text)

    def test_tls(self):
        with tempfile.TemporaryDirectory() as folder:
            ours, theirs = Authority(folder, "ours"), Authority(folder, "theirs")
            certificate, key = ours.issue("redis.test", "DNS:redis.test", "IP:127.0.0.1")
            redis = self.redis(tls=(certificate, key, ours.ca))
            [server] = self.replicas(1, {"address": redis.address, "tls": {"ca": ours.ca}, "timeout": "10s"})
            self.works(server, redis)
            [named] = self.replicas(1, {"address": redis.address, "tls": {"ca": ours.ca, "server_name": "redis.test"}, "timeout": "10s"})
            self.works(named)
            for tls in ({"ca": theirs.ca}, {"ca": ours.ca, "server_name": "other.test"}):
                [wrong] = self.replicas(1, {"address": redis.address, "tls": tls}, wait=False)
                wait_for(lambda: any("certificate" in line.get("error", "") for line in wrong.log_lines()), "a line that says why")
                self.assertEqual(wrong.metric("autoglm_redis_up"), 0)
                self.assertEqual(wrong.complete(ALICE).status, 200)

    def test_sentinels_and_a_failover_under_load(self):
        master = self.redis()
        follower = self.redis(replicaof=f"127.0.0.1 {master.port}")
        wait_for(lambda: "master_link_status:up" in follower.ask("INFO", "replication"), "replication")
        sentinel = self.redis(command="redis-sentinel", config=(
            f"sentinel monitor main 127.0.0.1 {master.port} 1\nsentinel down-after-milliseconds main 300\n"
            "sentinel failover-timeout main 3000\n"))
        wait_for(lambda: f"port\n{follower.port}\n" in sentinel.ask("SENTINEL", "replicas", "main"), "a sentinel that knows all")
        nobody = f"127.0.0.1:{free_port()}"
        replicas = self.replicas(2, {"sentinels": [nobody, sentinel.address], "master": "main", "timeout": "50ms", "replicas": 2})
        with Load(replicas, 8) as load:
            wait_for(lambda: load.statuses.get(429, 0) > 50, "a limit that is used up")
            self.assertEqual(follower.ask("DBSIZE").strip(), "1")
            master.kill()
            wait_for(lambda: follower.ask("ROLE").startswith("master"), "a new master")
            for replica in replicas:
                wait_for(lambda one=replica: one.is_up(), "the new master, to be found")
            before = [each.fallbacks() for each in replicas]
            load.wait_for_more(100)
        self.assertEqual(load.failures, [])
        self.assertLessEqual(set(load.statuses), {200, 429})
        self.assertLess(sum(each.fallbacks() for each in replicas) - sum(before), 50, "the new master counts")
        self.assertLessEqual(load.total(), 2 * (1000 + load.took * 1000 / 60) + 2 * RESERVED)

    def test_a_cluster(self):
        nodes = [self.redis(**{"cluster-enabled": "yes", "cluster-node-timeout": "2000"}) for _ in range(3)]
        made = subprocess.run(["redis-cli", "--cluster", "create", *(node.address for node in nodes), "--cluster-yes"],
                              capture_output=True, text=True)
        self.assertEqual(made.returncode, 0, made.stdout + made.stderr)
        wait_for(lambda: all("cluster_state:ok" in node.ask("CLUSTER", "INFO") for node in nodes), "a cluster")
        limits = [{"name": f"rpd{scope}", "per": scope, "requests": "1000/day"} for scope in ("key", "tenant", "model", "global")]
        servers = self.replicas(2, {"address": nodes[0].address, "timeout": "10s"}, limits=limits)
        for server in servers:
            def counted(one=server):
                before = one.fallbacks()
                return all(one.complete(ALICE, model="m").status == 200 for _ in range(10)) and one.fallbacks() == before
            wait_for(counted, "calls that are counted in the cluster")
        keys = sum((node.keys() for node in nodes), [])
        self.assertEqual(sorted(keys), sorted(["autoglm:{key:alice}:rpdkey:b", "autoglm:{tenant:a}:rpdtenant:b",
                                               "autoglm:{model:m}:rpdmodel:b", "autoglm:{global:}:rpdglobal:b"]))
        left = [int(servers[i % 2].complete(ALICE, model="m").headers["x-ratelimit-remaining-requests"]) for i in range(6)]
        self.assertEqual(left, list(range(left[0], left[0] - 6, -1)))


class AclRedis(Redis):
    """A Redis whose default user may do nothing."""

    def __init__(self, rights):
        self.rights = rights
        super().__init__(password="admin", user="admin")

    def start(self):
        self.options["user"] = ["default off", "admin on >admin ~* &* +@all", f"gate on >secret {self.rights}"]
        super().start()


class Mistakes(unittest.TestCase):
    def test_each_is_named(self):
        for redis, limits, wanted in [
            ({"sentinels": ["127.0.0.1:1"]}, [], "redis.sentinels"),
            ({"master": "m"}, [], "redis.master"),
            ({"prefix": "{a}"}, [], "redis.prefix"),
            ({"replicas": 0}, [], "redis.replicas"),
            ({"username": "a"}, [], "redis.username"),
            ({"tls": {"ca": "/nowhere.pem"}}, [], "redis.tls"),
            ({}, [{"name": "a", "tokens": "7/day", "burst": 1_000_000_007}], "limits[0].burst"),
        ]:
            with self.subTest(wanted), tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
                json.dump({"models": [{"name": "m", "endpoints": [{"url": "http://127.0.0.1:9/v1"}]}], "redis": redis, "limits": limits}, file)
                file.flush()
                done = subprocess.run([BINARY, "validate", "--config", file.name], capture_output=True, text=True, env=environment())
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(wanted, done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()

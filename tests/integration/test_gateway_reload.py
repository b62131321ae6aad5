"""The configuration changes while the gateway runs: all at once or not at all, and no request notices."""

import contextlib
import copy
import signal
import ssl
import tempfile
import threading
import unittest

from certificates import Authority
from gateway_fixture import Crowd, GatewayTest, body, gateway, members, pool, replica, url, wait_until_known
from server import PATIENCE, TINY_MODEL, events, text_of, wait_for
from upstream import DONE, Foreign, chunk, completion


def reloads(front, outcome="ok"):
    return front.metric("autoglm_config_reloads_total", outcome=outcome)


class ReloadTest(GatewayTest):
    def rewrite(self, front, *models, **server):
        config = {**front.config, "models": list(models), "server": {**front.config["server"], **server}}
        front.write_config(config)

    def reload(self, front, *models, **server):
        """Changes the file and tells the gateway; returns its answer."""
        self.rewrite(front, *models, **server)
        return front.post("/reload", "", admin=True)

    def check_reload(self, front, *models, restart=(), **server):
        answer = self.reload(front, *models, **server)
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(answer.json(), {"reloaded": True, "restart_needed_for": list(restart)})

    def servers(self, *names):
        return self.start(*(Foreign(lambda *_, n=name: (200, {}, completion(n))) for name in names))

    def says(self, front, **wanted):
        (answer,) = self.answers(front, 1, {"prompt": "Hi", "max_tokens": 2, **wanted})
        return answer.json()["choices"][0]["text"] if answer.status == 200 else answer.status


class Ways(ReloadTest):
    def check(self, how):
        a, b = self.servers("a", "b")
        (front,) = self.start(gateway(pool(a.url)))
        self.assertEqual(self.says(front), "a")
        self.rewrite(front, pool(b.url))
        how(front)
        wait_for(lambda: reloads(front) >= 1, "the new configuration")
        self.assertEqual(self.says(front), "b")
        self.assertEqual(list(members(front)), [b.name])

    def test_the_file_is_watched(self):
        self.check(lambda front: None)

    def test_by_a_signal(self):
        (a,) = self.servers("a")
        (front,) = self.start(gateway(pool(a.url)))
        front.process.send_signal(signal.SIGHUP)  # the file has not changed: watching it would reload nothing
        wait_for(lambda: reloads(front) == 1, "it is read again")
        self.check(lambda front: front.process.send_signal(signal.SIGHUP))

    def test_by_the_admin_address(self):
        self.check(lambda front: self.assertEqual(front.post("/reload", "", admin=True).status, 200))


class Refused(ReloadTest):
    def line_of(self, front, text):
        with open(front.config_path) as file:
            return next(i for i, line in enumerate(file, 1) if text in line)

    def test_a_bad_file_is_refused_with_its_place_and_the_old_one_serves_on(self):
        a, b = self.servers("a", "b")
        (front,) = self.start(gateway(pool(a.url)))
        before = dict(members(front))
        for bad, key, text in ((pool(b.url, balance="sideways"), "models[0].balance", "sideways"),
                               (pool({"url": b.url, "weight": 0}), "models[0].endpoints[0].weight", '"weight"'),
                               (pool(b.url, b.url), "models[0].endpoints[1].url", b.url),
                               (pool(b.url, fallback=["nobody"]), "models[0].fallback[0]", "nobody"),
                               (pool({"url": b.url, "tls": {"ca": "no/such.pem"}}), "models[0].endpoints[0].tls.ca", "no/such")):
            with self.subTest(key):
                refused = reloads(front, "refused")
                answer = self.reload(front, bad)
                self.assertEqual(answer.status, 400, answer.body)
                place = f"{front.config_path}:{self.line_of(front, text)}:" if "[1]" not in key else front.config_path
                lines = wait_for(lambda n=refused: [x for x in front.log_lines() if "refused" in x["message"]][int(n):],
                                 "the log line")
                for message in (answer.error["message"], lines[0]["error"]):
                    self.assertIn(place, message)
                    self.assertIn(key, message)
                self.assertEqual(lines[0]["level"], "error")
                self.assertGreater(reloads(front, "refused"), refused)
                self.assertEqual(self.says(front), "a")
        self.assertEqual({name: m["weight"] for name, m in members(front).items()}, {n: m["weight"] for n, m in before.items()})
        self.assertEqual(b.requests, [])
        self.check_reload(front, pool(b.url))
        self.assertEqual(self.says(front), "b")

    def test_no_yaml_and_no_certificate(self):
        (a,) = self.servers("a")
        (front,) = self.start(gateway(pool(a.url)))
        with open(front.config_path, "w") as file:
            file.write("models:\n  - name: [\n")
        answer = front.post("/reload", "", admin=True)
        self.assertEqual(answer.status, 400)
        self.assertIn(f"{front.config_path}:", answer.error["message"])
        answer = self.reload(front, pool({"url": a.url, "tls": {"ca": front.config_path}}))
        self.assertEqual(answer.status, 400, answer.body)
        self.assertIn("models[0].endpoints[0].tls.ca", answer.error["message"])
        self.assertEqual(self.says(front), "a")

    def test_what_needs_a_restart_is_named(self):
        (a,) = self.servers("a")
        engine = {"name": "small", "engine": {"path": TINY_MODEL, "threads": 1}}
        (front,) = self.start(gateway(pool(a.url), engine))
        other = copy.deepcopy(engine)
        other["engine"]["max_batch"] = 64
        self.check_reload(front, pool(a.url), other, workers=1, http2=False,
                          restart=("models[small].engine.max_batch", "server.http2", "server.workers"))
        self.check_reload(front, pool(a.url), other, workers=1, restart=("models[small].engine.max_batch", "server.workers"))
        self.assertIsInstance(self.says(front, model="small"), str)


    def write(self, front, text):
        with open(front.config_path, "w") as file:
            file.write(text)
        return front.post("/reload", "", admin=True)

    def test_what_is_not_the_whole_file_changes_nothing(self):
        a, b = self.servers("a", "b")
        (front,) = self.start(gateway(pool(a.url), pool(b.url, name="more")))
        head = "server: {}\nmodels:\n"
        for text, why in (("", "the file is empty"), ("# later\n", "the file is empty"), (head, 'ends with "models:"'),
                          ("server: {}\n", "names none, and the default one is not fetched")):
            with self.subTest(text):
                answer = self.write(front, text)
                self.assertEqual(answer.status, 400, answer.body)
                self.assertIn(why, answer.error["message"])
                self.assertEqual([self.says(front, model=m) for m in ("tiny", "more")], ["a", "b"])
        self.assertEqual(self.write(front, "models: []\n").status, 200)
        self.assertEqual([self.says(front, model=m) for m in ("tiny", "more")], [404, 404])


class Changes(ReloadTest):
    def test_a_stream_ends_where_it_began(self):
        late = threading.Event()
        self.addCleanup(late.set)
        (a,) = self.start(Foreign(lambda *_: (200, {}, [chunk("a"), late, chunk("a", "stop"), DONE])))
        (b,) = self.servers("b")
        (front,) = self.start(gateway(pool(a.url)))
        connection, response = front.stream("/v1/completions", {"prompt": "Hi"})
        with contextlib.closing(connection):
            stream = events(response)
            said = text_of(next(stream))
            self.check_reload(front, pool(b.url))
            self.assertEqual(self.says(front), "b")
            self.check_reload(front, {"name": "other", "endpoints": [{"url": b.url}]})
            self.assertEqual(self.says(front, model="tiny"), 404)
            late.set()
            rest = list(stream)
        self.assertEqual((said + text_of(rest[0]), rest[-1]), ("aa", "[DONE]"))

    def test_models_come_and_go(self):
        a, b = self.servers("a", "b")
        (front,) = self.start(gateway(pool(a.url, name="one")))
        self.check_reload(front, pool(a.url, name="one"), pool(b.url, name="two"))
        self.assertEqual([self.says(front, model=m) for m in ("one", "two", "three")], ["a", "b", 404])
        self.check_reload(front, pool(b.url, name="two"))
        self.assertEqual([self.says(front, model=m) for m in ("one", "two")], [404, "b"])
        self.assertEqual(self.says(front), "b", "the first is what one gets without asking")
        self.check_reload(front, {"name": "two", "engine": {"path": TINY_MODEL, "threads": 1}})
        wait_for(lambda: self.says(front, model="two") != 503, "the engine")
        self.assertEqual(len(b.requests), 3)

    def test_a_model_that_this_process_runs_comes_to_a_gateway(self):
        (a,) = self.servers("a")
        (front,) = self.start(gateway(pool(a.url, name="a")))
        for _ in range(3):
            self.check_reload(front, pool(a.url, name="a"), {"name": "own", "engine": {"path": TINY_MODEL, "context": 256}})
            wait_for(lambda: front.post("/v1/completions", {"model": "own", "prompt": "Hi", "max_tokens": 2}).status == 200, "it is loaded")
            self.check_reload(front, pool(a.url, name="a"))
        self.assertEqual(self.says(front, model="a"), "a")

    def test_an_endpoint_that_goes_gets_nothing_more_and_its_connections_close(self):
        a, b = self.servers("a", "b")
        (front,) = self.start(gateway(pool(a.url, b.url, balance="round_robin", timeouts={"reuse": "200ms"})))
        self.check_all_answered(front, 8)
        self.check_reload(front, pool(b.url, timeouts={"reuse": "200ms"}))
        before = len(a.requests)
        self.check_all_answered(front, 8)
        self.assertEqual(len(a.requests), before)
        # Sooner than the server would close the connections by itself.
        wait_for(lambda: not a.open, "no connection to it is kept", PATIENCE / 3)

    def test_another_endpoint_disturbs_none_that_stays(self):
        """Its connections are those of before, and it is not checked anew."""
        with tempfile.TemporaryDirectory(prefix="open-autoglm-test-") as folder:
            ours = Authority(folder, "ours")
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*ours.issue("address", "IP:127.0.0.1"))
            (a,) = self.start(Foreign(lambda *_: (200, {}, completion("a")), tls=context))
            b, c = self.servers("b", "c")
            settings = {"balance": "round_robin", "health": {"interval": "1h"}}
            (front,) = self.start(gateway(pool({"url": a.url, "tls": {"ca": ours.ca}}, b.url, **settings), workers=1))
            for server in (a, b):
                wait_for(lambda s=server: "/get_model_info" in s.gets, "that it is known who the server is")
            self.check_all_answered(front, 2)
            accepted, gets = a.accepted, len(a.gets)
            for others in ((c.url,), (b.url, c.url), (b.url,), ({"url": b.url, "weight": 2},)):
                self.check_reload(front, pool(*others, {"url": a.url, "tls": {"ca": ours.ca}}, **settings), workers=1)
                asked = len(a.requests)
                self.check_all_answered(front, 6)
                self.assertGreater(len(a.requests), asked)
            self.assertEqual((a.accepted, len(a.gets)), (accepted, gets))

    def test_who_waits_and_who_resumes_gets_the_new_endpoints(self):
        server, other = self.start(replica(), replica())
        (front,) = self.start(gateway(pool({"url": url(server), "max_connections": 1})))
        wait_until_known(front, 1)
        connection, response = front.stream("/v1/completions", body(5, 1500))
        with contextlib.closing(connection):
            stream = events(response)
            said = text_of(next(stream))
            server.process.send_signal(signal.SIGSTOP)  # in the middle of its answer
            crowd = Crowd(front, [{"prompt": "Hi", "max_tokens": 2}] * 3)
            wait_for(lambda: front.get("/endpoints", admin=True).json()["models"][0]["queued"] == 3, "they wait")
            self.check_reload(front, pool({"url": url(server), "max_connections": 1}, url(other)))
            self.assertEqual(crowd.join().failures, [])
            wait_until_known(front, 2)
            self.check_reload(front, pool(url(other)))
            server.process.kill()
            server.process.wait()
            server.stop = lambda check=True: None  # the test itself ended it
            said += "".join(text_of(event) for event in stream if event != "[DONE]")
        whole = other.post("/v1/completions", body(5, 1500))
        self.assertEqual(said, whole.json()["choices"][0]["text"])
        self.assertEqual(front.metric("autoglm_resumes_total", outcome="ok"), 1)

    def test_weights_and_policies(self):
        a, b = self.servers("a", "b")
        (front,) = self.start(gateway(pool(a.url, b.url, balance="round_robin"), workers=1))
        self.check_all_answered(front, 8)
        self.assertEqual((len(a.requests), len(b.requests)), (4, 4))
        self.check_reload(front, pool(a.url, {"url": b.url, "weight": 3}, balance="weighted_round_robin"))
        self.check_all_answered(front, 8)
        self.assertEqual((len(a.requests), len(b.requests)), (6, 10))
        self.check_reload(front, pool({"url": a.url, "backup": True}, b.url, balance="least_connections"))
        self.check_all_answered(front, 8)
        self.assertEqual((len(a.requests), len(b.requests)), (6, 18))

    def test_what_is_known_of_an_endpoint_stays_known(self):
        broken = Foreign(lambda *_: (500, {}, b"{}"))
        (a,), (b, c) = self.start(broken), self.servers("b", "c")
        ejection = {"consecutive_failures": 2, "base_time": "1h", "max_time": "2h"}
        (front,) = self.start(gateway(pool(a.url, b.url, balance="round_robin", ejection=ejection)))
        front.post("/endpoints/drain", {"endpoint": c.name}, admin=True)

        def ejected():
            self.check_all_answered(front, 1)
            return members(front)[a.name]["ejected_for_s"] > 0

        wait_for(ejected, "an ejection")
        asked = len(a.requests)
        self.check_reload(front, pool(a.url, b.url, c.url, balance="round_robin", ejection=ejection))
        front.post("/endpoints/drain", {"endpoint": c.name}, admin=True)
        self.check_reload(front, pool(c.url, b.url, a.url, balance="least_connections", ejection=ejection))
        self.check_all_answered(front, 10)
        self.assertEqual((len(a.requests), len(c.requests)), (asked, 0))

    def test_what_a_server_can_stays_known(self):
        """The server is stopped, so that the gateway cannot ask it again."""
        (server,) = self.start(replica())
        (front,) = self.start(gateway(pool(url(server))))
        wait_until_known(front, 1)
        server.process.send_signal(signal.SIGSTOP)
        try:
            self.check_reload(front, pool({"url": url(server), "weight": 2}))
            self.assertEqual([(m["weight"], m["resumes"]) for m in members(front).values()], [(2, True)])
        finally:
            server.process.send_signal(signal.SIGCONT)

    def test_a_place_that_an_older_request_gives_back_is_no_less_a_place(self):
        gates = {name: threading.Event() for name in "abc"}
        came = []

        def answer(_path, body, _count):
            came.append(body["prompt"])
            gates[body["prompt"]].wait(PATIENCE)
            return 200, {}, completion(body["prompt"])

        (server,) = self.start(Foreign(answer))
        self.addCleanup(lambda: [gate.set() for gate in gates.values()])
        model = pool({"url": server.url, "max_connections": 1}, queue={"timeout": f"{PATIENCE}s"})
        (front,) = self.start(gateway(model))
        answers = {}

        def ask(prompt):
            answers[prompt] = front.post("/v1/completions", {"prompt": prompt}).status

        threads = []
        for i, prompt in enumerate("abc"):
            threads.append(threading.Thread(target=ask, args=(prompt,)))
            threads[-1].start()
            wait_for(lambda n=i: len(came) + front.get("/endpoints", admin=True).json()["models"][0]["queued"] > n, prompt)
            self.check_reload(front, {**model, "retry": {"max_attempts": 3 + i}})
        for i, prompt in enumerate("abc"):
            self.assertEqual(came, list("abc")[: i + 1])
            gates[prompt].set()
            if prompt != "c":
                wait_for(lambda n=i: len(came) > n + 1, "the next one's turn")
        for thread in threads:
            thread.join()
        self.assertEqual(answers, {"a": 200, "b": 200, "c": 200})


class UnderLoad(ReloadTest):
    def test_a_hundred_times(self):
        streams = [chunk("a"), chunk("b"), chunk("c", "stop"), DONE]
        a, b, c = self.start(*(Foreign(lambda _p, body, _c: (200, {}, streams if body.get("stream") else completion("abc")))
                               for _ in range(3)))
        limited = {"url": b.url, "max_connections": 2}
        short = {"reuse": "300ms"}
        generations = [[pool(a.url, b.url, timeouts=short)],
                       [pool(b.url, c.url, balance="round_robin", timeouts=short), pool(a.url, name="more", timeouts=short)],
                       [pool({"url": a.url, "weight": 5}, limited, {"url": c.url, "backup": True}, balance="power_of_two",
                             timeouts=short)],
                       [pool(limited, balance="prefix_affinity", hedge={"percentile": 95}, timeouts=short)]]
        (front,) = self.start(gateway(*generations[0]))
        stop, done, failures = threading.Event(), [], []

        def load():
            while not stop.is_set() and not failures:
                crowd = Crowd(front, [{"model": "tiny", "prompt": "Hi"}] * 2).join()
                answer = front.post("/v1/completions", {"model": "tiny", "prompt": "Hi"})
                failures.extend(crowd.failures + [t for t in crowd.texts if t != "abc"])
                if answer.status != 200:
                    failures.append(answer.body)
                done.append(1)

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for i in range(1, 101):
                self.check_reload(front, *generations[i % len(generations)])
                wait_for(lambda n=len(done): len(done) > n or failures, "load beside")
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertEqual(failures, [])
        self.assertGreaterEqual(reloads(front), 100)
        wait_for(lambda: front.metric("autoglm_endpoint_in_flight") == 0, "nothing in flight")
        self.check_reload(front, pool(a.url))
        wait_for(lambda: not b.open and not c.open, "no connection is left to those that are gone", PATIENCE / 3)


if __name__ == "__main__":
    unittest.main()

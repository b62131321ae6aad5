"""Which endpoints are asked: failing ones are left out for a while, but not too many; slow ones get less; backups wait."""

import threading
import unittest

from gateway_fixture import Crowd, GatewayTest, gateway, members, pool
from server import NEVER, PATIENCE, wait_for
from upstream import DONE, Foreign, Listener, chunk, completion

LONG = {"base_time": "1h", "max_time": "10h"}
NO_CHECKS = {"interval": "1h", "slow_start": "0s"}


class Switched(Foreign):
    """Answers, or fails while `fails` is set."""

    def __init__(self, fails=False, **listener):
        self.fails = fails
        super().__init__(lambda *_: (500, {}, b"{}") if self.fails else (200, {}, completion()), **listener)


class Trickling(Foreign):
    """Answers properly or, while `trickles` is set, answers GETs in single bytes without end."""

    trickles = False

    def _send(self, connection, status, headers, body):
        if not self.trickles:
            return super()._send(connection, status, headers, body)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while True:
            connection.sendall(b" ")
            NEVER.wait(0.01)


class HealthTest(GatewayTest):
    def front(self, *endpoints, workers=1, **options):
        (front,) = self.start(gateway(pool(*endpoints, **{"balance": "round_robin", "health": NO_CHECKS, **options}), workers=workers))
        return front

    def switched(self, *fail):
        return self.start(*(Switched(fails) for fails in fail))

    def ejected(self, front):
        return {name: m["ejected_for_s"] for name, m in members(front).items() if m["ejected_for_s"] > 0}


class Checks(HealthTest):
    def test_one_that_trickles_is_over_in_its_time(self):
        (a,) = self.start(Trickling())
        front = self.front(a.url, health={"interval": "50ms", "timeout": "100ms", "unhealthy_after": 2, "slow_start": "0s"})
        wait_for(lambda: members(front)[a.name]["healthy"], "a first check")
        a.trickles = True
        wait_for(lambda: not members(front)[a.name]["healthy"], "out")
        a.trickles = False
        wait_for(lambda: members(front)[a.name]["healthy"], "back in")


class Ejection(HealthTest):
    def test_so_many_failures_in_a_row(self):
        a, b = self.switched(True, False)
        front = self.front(a.url, b.url, ejection={"consecutive_failures": 3, **LONG})
        self.check_all_answered(front, 40)
        self.assertEqual(len(a.requests), 3)
        self.assertEqual(list(self.ejected(front)), [a.name])
        self.assertEqual(front.metric("autoglm_endpoint_ejections_total", endpoint=a.name), 1)
        self.assertEqual(front.metric("autoglm_endpoint_ejected", endpoint=a.name), 1)
        self.assertTrue(members(front)[a.name]["healthy"], "its checks say nothing of that")

    def test_a_success_breaks_the_row(self):
        turns = iter(range(10_000))
        (a,) = self.start(Foreign(lambda *_: (500, {}, b"{}") if next(turns) % 3 else (200, {}, completion())))
        (b,) = self.switched(False)
        front = self.front(a.url, b.url, ejection={"consecutive_failures": 3, **LONG})
        self.check_all_answered(front, 40)
        self.assertEqual(self.ejected(front), {})
        self.assertGreaterEqual(len(a.requests), 20)

    def test_a_clients_mistake_and_429_are_no_failures(self):
        for status in (400, 413, 422, 429):
            with self.subTest(status):
                (a,) = self.start(Foreign(lambda *_, s=status: (s, {}, b"{}")))
                (b,) = self.switched(False)
                front = self.front(a.url, b.url, ejection={"consecutive_failures": 1, **LONG})
                self.answers(front, 6)
                self.assertEqual(self.ejected(front), {})
                self.assertGreaterEqual(len(a.requests), 3)

    def test_it_comes_back_and_goes_for_longer(self):
        a, b = self.switched(True, False)
        front = self.front(a.url, b.url, ejection={"consecutive_failures": 1, "base_time": "400ms", "max_time": "1h"})
        times = []
        for round_ in range(3):
            wait_for(lambda n=round_: self.check_all_answered(front, 1) or len(a.requests) > n, "a request to it")
            times.append(self.ejected(front)[a.name])
            wait_for(lambda: not self.ejected(front), "its return")
        self.assertLess(times[0], 0.41)
        self.assertGreater(times[1], 0.41)  # each was a little less than 0.4, 0.8 and 1.2 when it was read
        self.assertGreater(times[2], 0.81)
        self.assertEqual(len(a.requests), 3)
        a.fails = False
        wait_for(lambda: self.check_all_answered(front, 1) or len(a.requests) > 6, "requests again")

    def test_no_more_than_the_cap(self):
        servers = self.switched(True, True, True, False)
        front = self.front(*(s.url for s in servers), health={**NO_CHECKS, "panic_percent": 0}, retry={"max_attempts": 4, "budget_percent": 100},
                           ejection={"consecutive_failures": 1, "max_percent": 50, **LONG})
        self.check_all_answered(front, 40)
        self.assertEqual(len(self.ejected(front)), 2)
        self.assertEqual(sorted(len(s.requests) for s in servers)[:2], [1, 1])
        self.assertGreater(sorted(len(s.requests) for s in servers[:3])[2], 3, "the third one may not be left out")

    def test_the_last_one_never(self):
        a, b = self.switched(True, True)
        front = self.front(a.url, b.url, ejection={"consecutive_failures": 1, "max_percent": 100, **LONG},
                           health={**NO_CHECKS, "panic_percent": 0})
        self.answers(front, 10)
        self.assertEqual(len(self.ejected(front)), 1)

    def test_max_fails_of_one_endpoint_is_its_own(self):
        a, b, c = self.switched(True, True, False)
        front = self.front({"url": a.url, "max_fails": 2, "fail_timeout": "1h"}, b.url, c.url, retry={"max_attempts": 3, "budget_percent": 100})
        self.check_all_answered(front, 30)
        self.assertEqual(len(a.requests), 2)
        self.assertGreater(len(b.requests), 9)
        self.assertEqual(list(self.ejected(front)), [a.name])

    def test_max_fails_passes(self):
        a, b = self.switched(True, False)
        front = self.front({"url": a.url, "max_fails": 1, "fail_timeout": "100ms"}, b.url)
        wait_for(lambda: self.check_all_answered(front, 1) or len(a.requests) >= 3, "again and again")
        a.fails = False
        wait_for(lambda: self.check_all_answered(front, 1) or len(a.requests) >= 9, "all the time")

    def test_panic_asks_everybody_who_is_there(self):
        """Checks find only one of three healthy, fewer than half, so the others are asked, too, and answer."""
        servers = self.start(*(Foreign(health=status) for status in (503, 503, 200)))
        front = self.front(*(s.url for s in servers), health={"interval": "20ms", "slow_start": "0s", "unhealthy_after": 1})
        wait_for(lambda: [m["healthy"] for m in members(front).values()] == [False, False, True], "two are out")
        self.check_all_answered(front, 30)
        self.assertEqual([len(s.requests) for s in servers], [10, 10, 10])
        self.assertEqual(front.metric("autoglm_panic_picks_total"), 20)
        servers[1].health = 200
        wait_for(lambda: [m["healthy"] for m in members(front).values()] == [False, True, True], "one is back")
        self.check_all_answered(front, 30)
        self.assertEqual(len(servers[0].requests), 10)

    def test_nobody_is_well_and_all_are_asked(self):
        servers = self.start(*(Foreign(health=503) for _ in range(2)))
        front = self.front(*(s.url for s in servers), health={"interval": "20ms", "unhealthy_after": 1, "panic_percent": 0})
        wait_for(lambda: not any(m["healthy"] for m in members(front).values()), "both are out")
        self.check_all_answered(front, 10)
        self.assertEqual([len(s.requests) for s in servers], [5, 5])


class Shares(HealthTest):
    def test_backups_are_asked_when_nobody_else_is_there(self):
        a, b, backup = self.switched(False, False, False)
        front = self.front(a.url, b.url, {"url": backup.url, "backup": True}, ejection={"consecutive_failures": 2, "max_percent": 100, **LONG},
                           health={**NO_CHECKS, "panic_percent": 0}, retry={"max_attempts": 3, "budget_percent": 100})
        self.check_all_answered(front, 20)
        self.assertEqual(backup.requests, [])
        a.fails = b.fails = True
        self.check_all_answered(front, 20)
        self.assertEqual(len(self.ejected(front)), 2)
        asked = len(a.requests) + len(b.requests)
        self.check_all_answered(front, 20)
        self.assertEqual(len(a.requests) + len(b.requests), asked)
        self.assertEqual(len(backup.requests), 40)

    def test_a_slow_one_gets_less_by_load_and_the_same_by_turns(self):
        """The slow server answers one request for every ten of the other server."""
        for balance in ("round_robin", "least_load", "least_connections"):
            with self.subTest(balance):
                turn = threading.Condition()
                done = {"fast": 0, "slow": 0, "stuck": 0, "clients": 8}

                def answer(kind, turn=turn, done=done):
                    def run(*_):
                        with turn:
                            if kind == "slow":
                                done["stuck"] += 1
                                turn.notify_all()  # the last of all clients has no other to wait for
                                turn.wait_for(lambda: done["fast"] >= 10 * (done["slow"] + 1)
                                              or done["stuck"] >= done["clients"], PATIENCE)
                                done["stuck"] -= 1
                            done[kind] += 1
                            turn.notify_all()
                        return 200, {}, [chunk("x", "stop"), DONE]
                    return run

                slow, fast = self.start(Foreign(answer("slow")), Foreign(answer("fast")))
                front = self.front(slow.url, fast.url, balance=balance)
                work = threading.Semaphore(120)
                failures = []

                def client(front=front, work=work, failures=failures, done=done, turn=turn):
                    while work.acquire(blocking=False):
                        failures.extend(Crowd(front, [{"prompt": "Hi"}]).join().failures)
                    with turn:
                        done["clients"] -= 1
                        turn.notify_all()

                threads = [threading.Thread(target=client) for _ in range(8)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                self.assertEqual(failures, [])
                share = len(slow.requests) / 120
                if balance == "round_robin":
                    self.assertAlmostEqual(share, 0.5, delta=0.1)
                else:
                    self.assertLess(share, 0.25)

    def test_least_load_believes_what_servers_report(self):
        pages = [{"/metrics": b'vllm:num_requests_running{model_name="m"} 1e300\nvllm:num_requests_waiting{model_name="m} 7"} 5 1395066363000\n'},
                 {"/metrics": b"vllm:num_requests_waiting 0\n"}]
        servers = self.start(*(Foreign(pages=page) for page in pages))
        front = self.front(*(s.url for s in servers), balance="least_load", health={"interval": "20ms", "slow_start": "0s"})
        for busy, free in (servers, servers[::-1]):
            wait_for(lambda busy=busy: members(front)[busy.name]["waiting"] == 5, "the report")
            seen = [s.gets.count("/metrics") for s in servers]  # after one more report of each server the last one counts
            wait_for(lambda seen=seen: all(s.gets.count("/metrics") > n + 1 for s, n in zip(servers, seen)), "the next one")
            before = len(busy.requests), len(free.requests)
            self.check_all_answered(front, 10)
            self.assertEqual((len(busy.requests), len(free.requests)), (before[0], before[1] + 10))
            busy.pages, free.pages = free.pages, busy.pages

    def test_who_comes_back_begins_with_little(self):
        a, b = self.switched(False, False)
        front = self.front(a.url, b.url, health={"interval": "20ms", "unhealthy_after": 1, "slow_start": "1h"})
        self.check_all_answered(front, 10)
        self.assertEqual((len(a.requests), len(b.requests)), (5, 5))
        a.health = 503
        wait_for(lambda: not members(front)[a.name]["healthy"], "out")
        a.health = 200
        wait_for(lambda: members(front)[a.name]["healthy"], "back")
        self.check_all_answered(front, 44)
        self.assertIn(len(a.requests) - 5, (3, 4, 5), "a tenth of b's")

    def test_a_connection_is_health_enough_without_a_path(self):
        a, b = self.start(Foreign(health=500), Foreign(health=500))
        front = self.front(a.url, b.url, health={"path": "", "interval": "20ms", "unhealthy_after": 1, "slow_start": "0s"})
        wait_for(lambda: a.accepted > 3 and b.accepted > 3, "checks")
        self.assertEqual([m["healthy"] for m in members(front).values()], [True, True])
        port = a.port
        a.close()
        wait_for(lambda: not members(front)[a.name]["healthy"], "out")
        self.check_all_answered(front, 10)
        self.assertEqual(a.requests, [])
        (again,) = self.start(Foreign(port=port))
        wait_for(lambda: members(front)[a.name]["healthy"], "back")
        self.check_all_answered(front, 10)
        self.assertGreater(len(again.requests), 0)

    def test_somebody_else_behind_an_address(self):
        """Another service, not even HTTP, answers at the address: checks take it out, and no request fails."""
        class Chatter(Listener):
            def serve(self, connection):
                connection.sendall(b"220 mail.example ready\r\n")
                connection.recv(1 << 16)
        (chatter,) = self.start(Chatter())
        (good,) = self.switched(False)
        front = self.front(chatter.url, good.url, health={"interval": "20ms", "unhealthy_after": 2})
        self.check_all_answered(front, 10)
        wait_for(lambda: not members(front)[chatter.name]["healthy"], "out")


class Outage(HealthTest):
    def test_recovery_takes_one_probe(self):
        (a,) = self.switched(True)
        front = self.front(a.url, breaker={"window": "1s", "request_volume": 5, "sleep_window": "1h"}, retry={"max_attempts": 1})

        def breaker():
            return members(front)[a.name]["breaker"]

        wait_for(lambda: self.answers(front, 1) and breaker() == "open", "an open breaker")
        asked = len(a.requests)
        (answer,) = self.answers(front, 1)
        self.assertEqual((answer.status, len(a.requests)), (500, asked + 1), "nobody else is there to ask")
        a.fails = False
        asked = len(a.requests)
        first = wait_for(lambda: next((x for x in self.answers(front, 1) if x.status == 200), None), "recovery")
        self.assertEqual((first.status, len(a.requests)), (200, asked + 1), "the probe was the answer")
        self.assertEqual(breaker(), "closed")
        self.check_all_answered(front, 10)

    def test_one_probe_at_a_time(self):
        """While the probe is in flight, all other requests are told to come back."""
        failing, held = [True], threading.Event()
        self.addCleanup(held.set)
        (a,) = self.start(Foreign(lambda *_: (500, {}, b"{}") if failing else (held.wait(PATIENCE) and 200, {}, completion())))
        front = self.front(a.url, breaker={"window": "1s", "request_volume": 3, "sleep_window": "100ms"}, retry={"max_attempts": 1})
        wait_for(lambda: self.answers(front, 1) and members(front)[a.name]["breaker"] == "open", "an open breaker")
        failing.clear()
        before = len(a.requests)
        probes = []

        def ask():
            probes.append(self.answers(front, 1)[0].status)

        def probing():
            threads.append(threading.Thread(target=ask))
            threads[-1].start()
            return len(a.requests) > before and members(front)[a.name]["breaker"] == "half_open"

        threads = []
        wait_for(probing, "a probe")
        self.assertEqual([x.status for x in self.answers(front, 10)], [503] * 10)
        held.set()
        for thread in threads:
            thread.join()
        self.assertEqual((probes.count(200), len(a.requests)), (1, before + 1))

    def test_retries_have_a_budget(self):
        """Twelve fail at once: three may be retried on another server, whatever the share; that server is slow to answer."""
        fail, held = threading.Event(), threading.Event()
        self.addCleanup(held.set)
        self.addCleanup(fail.set)
        (a, b) = self.start(Foreign(lambda *_: (fail.wait(PATIENCE) and 500, {}, b"{}")),
                            Foreign(lambda *_: (held.wait(PATIENCE) and 200, {}, completion())))
        front = self.front(a.url, {"url": b.url, "backup": True}, retry={"budget_percent": 0})
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(self.answers(front, 1)[0].status)) for _ in range(12)]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(a.requests) == 12, "all are asked of the first")
        fail.set()
        wait_for(lambda: len(answers) == 9, "those that the budget forbids")
        wait_for(lambda: len(b.requests) == 3, "those that it allows")
        self.assertEqual(front.metric("autoglm_retries_refused_total"), 9)
        held.set()
        for thread in threads:
            thread.join()
        self.assertEqual((sorted(answers), len(b.requests)), ([200] * 3 + [500] * 9, 3))

    def test_an_outage_and_its_end_under_load_are_not_multiplied(self):
        """All three fail during half of the requests, while clients come back at once."""
        servers = self.switched(False, False, False)
        front = self.front(*(s.url for s in servers), breaker={"window": "400ms", "request_volume": 5, "sleep_window": "100ms"},
                           retry={}, ejection={"consecutive_failures": 5, "base_time": "100ms"})
        sent, well = [], []

        def client(share):
            for _ in range(share):
                sent.append(1)
                if self.answers(front, 1)[0].status == 200:
                    well.append(1)

        def round_(share):
            threads = [threading.Thread(target=client, args=(share,)) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        round_(25)
        self.assertEqual(len(well), len(sent))
        for server in servers:
            server.fails = True
        round_(50)
        for server in servers:
            server.fails = False
        wait_for(lambda: sent.append(1) or self.answers(front, 1)[0].status == 200, "recovery")
        wait_for(lambda: {m["breaker"] for m in members(front).values()} == {"closed"} or client(5), "all closed")
        before = len(well), len(sent)
        round_(25)
        self.assertEqual(len(well) - before[0], len(sent) - before[1], "all is as before")
        self.assertLessEqual(sum(len(s.requests) for s in servers), 1.2 * len(sent))


if __name__ == "__main__":
    unittest.main()

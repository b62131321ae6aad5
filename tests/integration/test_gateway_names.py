"""Endpoints by name: addresses that change, and names with an address that leads nowhere."""

import os
import socket
import tempfile
import unittest

from gateway_fixture import Crowd, GatewayTest, pool
from server import PATIENCE, Server, wait_for
from upstream import DONE, Blackhole, Foreign, chunk, completion

# Debian's libnss-wrapper gives a process its own hosts file.
WRAPPER = os.environ.get("AUTOGLM_NSS_WRAPPER")  # empty under a sanitizer


def has_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


class NamesTest(GatewayTest):
    def front(self, url, env=None, **timeouts):
        (front,) = self.start(Server(
            models=[pool(url, health={"interval": "50ms"}, timeouts={"connect": "2s", **timeouts}, retry={"max_attempts": 1})],
            server={"request_timeout": f"{PATIENCE}s", "workers": 1}, env=env))
        return front

    def check_answers(self, front, server):
        self.check_all_answered(front, 3)
        self.assertGreaterEqual(len(server.requests), 3)


@unittest.skipUnless(has_ipv6(), "NOT TESTED: this machine has no IPv6 loopback")
class Localhost(NamesTest):
    """`localhost` reaches both loopback addresses, whatever the resolver knows."""

    def on(self, host, port=0):
        (server,) = self.start(Foreign(host=host, port=port))
        return server

    def test_only_ipv4(self):
        server = self.on("127.0.0.1")
        self.check_answers(self.front(f"http://localhost:{server.port}/v1"), server)

    def test_only_ipv6(self):
        server = self.on("::1")
        self.check_answers(self.front(f"http://localhost:{server.port}/v1"), server)
        self.check_answers(self.front(f"http://[::1]:{server.port}/v1"), server)

    def test_an_address_that_swallows_everything_costs_no_request(self):
        for live, dead in (("127.0.0.1", "::1"), ("::1", "127.0.0.1")):
            with self.subTest(live):
                server = self.on(live)
                self.start(Blackhole(dead, server.port))
                self.check_answers(self.front(f"http://localhost:{server.port}/v1"), server)


@unittest.skipUnless(WRAPPER, "NOT TESTED: names that change need the package libnss-wrapper")
class Resolved(NamesTest):
    def setUp(self):
        folder = self.enterContext(tempfile.TemporaryDirectory(prefix="open-autoglm-test-"))
        self.hosts = os.path.join(folder, "hosts")
        self.env = {"LD_PRELOAD": WRAPPER, "NSS_WRAPPER_HOSTS": self.hosts}

    def point(self, *addresses):
        with open(self.hosts + ".fresh", "w") as file:
            file.writelines(f"{address} models.test\n" for address in addresses)
        os.replace(self.hosts + ".fresh", self.hosts)

    def test_an_address_that_changes(self):
        """The old server is still healthy: requests leave it because connections have a maximum age."""
        (old,) = self.start(Foreign(lambda *_: (200, {}, completion("old"))))
        (new,) = self.start(Foreign(lambda *_: (200, {}, completion("new")), host="127.0.0.2", port=old.port))
        self.point("127.0.0.1")
        front = self.front(f"http://models.test:{old.port}/v1", self.env, reuse="300ms")
        self.check_answers(front, old)
        self.point("127.0.0.2")
        wait_for(lambda: self.check_all_answered(front, 1) or new.requests, "the new address")
        wait_for(lambda: self.check_all_answered(front, 1) or not old.open, "no connection to the old one")
        before = len(old.requests)
        self.check_all_answered(front, 10)
        self.assertEqual(len(old.requests), before)

    def test_a_server_that_moved_is_found_at_once(self):
        old = Foreign()
        self.point("127.0.0.1")
        front = self.front(f"http://models.test:{old.port}/v1", self.env)
        self.check_answers(front, old)
        (new,) = self.start(Foreign(host="127.0.0.2", port=old.port))
        self.point("127.0.0.2")
        old.close()
        self.check_answers(front, new)

    def test_a_stream_goes_on_where_it_began(self):
        streams = lambda *_: (200, {}, [chunk("a"), chunk("b", "stop"), DONE])
        (server,) = self.start(Foreign(streams))
        self.point("127.0.0.1")
        front = self.front(f"http://models.test:{server.port}/v1", self.env, reuse="0s")
        crowd = Crowd(front, [{"prompt": "Hi"}] * 4).join()
        self.assertEqual((crowd.failures, crowd.texts), ([], ["ab"] * 4))

    @unittest.skipUnless(has_ipv6(), "NOT TESTED: this machine has no IPv6 loopback")
    def test_happy_eyeballs(self):
        (server,) = self.start(Foreign())
        self.start(Blackhole("::1", server.port))
        self.point("::1", "127.0.0.1")
        self.check_answers(self.front(f"http://models.test:{server.port}/v1", self.env), server)

    def test_a_name_that_nobody_knows(self):
        self.point("127.0.0.1")
        front = self.front("http://unknown.invalid:1234/v1", self.env)
        (answer,) = self.answers(front, 1)
        self.assertEqual(answer.status, 503)
        line = wait_for(lambda: [x for x in front.log_lines() if x["message"] == "attempt failed"], "the log line")[0]
        self.assertIn("unknown.invalid", line["error"])


if __name__ == "__main__":
    unittest.main()

"""Servers behind https: which certificates are trusted, and when ours is shown."""

import ssl
import tempfile
import unittest

from certificates import Authority
from gateway_fixture import GatewayTest, gateway, pool
from server import wait_for
from upstream import DONE, Foreign, chunk, completion


class Tls(GatewayTest):
    @classmethod
    def setUpClass(cls):
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="open-autoglm-test-"))
        cls.ours, cls.other = Authority(cls.folder, "ours"), Authority(cls.folder, "other")
        cls.by_address = cls.ours.issue("address", "IP:127.0.0.1")
        cls.by_name = cls.ours.issue("models.example")
        cls.client = cls.ours.issue("gateway")

    def server(self, certificate, client_ca=None, seen=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        if client_ca:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(client_ca)
        if seen is not None:
            context.sni_callback = lambda _socket, name, _context: seen.append(name)
        (server,) = self.start(Foreign(lambda _p, body, _c: (
            200, {}, [chunk("a"), chunk("b", "stop"), DONE] if body.get("stream") else completion()), tls=context))
        return server

    def front(self, server, health="/health", **tls):
        (front,) = self.start(gateway(pool({"url": server.url, "tls": tls}, health={"interval": "50ms", "path": health},
                                           retry={"max_attempts": 1})))
        return front

    def check_works(self, front):
        self.check_all_answered(front, 3)
        body = front.post("/v1/completions", {"prompt": "Hi", "stream": True}).body
        self.assertEqual(body, chunk("a") + chunk("b", "stop") + DONE)

    def check_refused(self, front, server, *reasons):
        """The client is told nothing about certificates; the operator is."""
        (answer,) = self.answers(front, 1)
        self.assertIn(answer.status, (502, 503), answer.body)
        self.assertEqual(server.requests, [])

        def told():
            return [x["error"] for x in front.log_lines() if x["message"] == "attempt failed"]

        error = wait_for(told, "the log line")[0]
        self.assertTrue(any(reason in error for reason in reasons), error)

    def test_an_authority_of_ones_own(self):
        server = self.server(self.by_address)
        front = self.front(server, ca=self.ours.ca)
        self.check_works(front)
        wait_for(lambda: server.gets.count("/health") > 1, "health checks, too")

    def test_connections_are_kept(self):
        server = self.server(self.by_address)
        (front,) = self.start(gateway(pool({"url": server.url, "tls": {"ca": self.ours.ca}}, health={"interval": "1h"}), workers=1))
        # Checks have their own connections; the first check ends with this request.
        wait_for(lambda: "/get_model_info" in server.gets, "that it is known who the server is")
        self.check_all_answered(front, 1)
        accepted = server.accepted
        self.check_all_answered(front, 10)
        self.assertEqual(server.accepted, accepted)

    def test_a_wrong_authority_is_refused_and_said(self):
        server = self.server(self.by_address)
        self.check_refused(self.front(server, ca=self.other.ca), server, "certificate")
        server = self.server(self.by_address)
        self.check_refused(self.front(server), server, "certificate")  # our authority is not in the system's store either

    def test_anybodys_is_believed_only_where_that_is_asked_for(self):
        self.check_works(self.front(self.server(self.by_address), verify=False))

    def test_whose_certificate_is_expected(self):
        server = self.server(self.by_name)
        self.check_refused(self.front(server, ca=self.ours.ca), server, "mismatch")
        seen = []
        server = self.server(self.by_name, seen=seen)
        self.check_works(self.front(server, ca=self.ours.ca, server_name="models.example"))
        self.assertEqual(set(seen), {"models.example"})
        server = self.server(self.by_name)
        self.check_refused(self.front(server, ca=self.ours.ca, server_name="others.example"), server, "mismatch")

    def test_ours_is_shown_to_who_wants_it(self):
        server = self.server(self.by_address, client_ca=self.ours.ca)
        self.check_works(self.front(server, ca=self.ours.ca, certificate=self.client[0], key=self.client[1]))
        for more in ({}, dict(zip(("certificate", "key"), self.other.issue("stranger")))):
            server = self.server(self.by_address, client_ca=self.ours.ca)
            front = self.front(server, ca=self.ours.ca, **more)
            self.check_refused(front, server, "certificate required", "unknown ca", "decrypt error", "alert", "reset", "TLS")

    def test_a_reload_shows_another_certificate(self):
        """Connections made with the old certificate are not reused after the reload."""
        server = self.server(self.by_address, client_ca=self.ours.ca)
        mine = {"ca": self.ours.ca, "certificate": self.client[0], "key": self.client[1]}
        front = self.front(server, **mine)
        self.check_works(front)
        stranger = dict(zip(("certificate", "key"), self.other.issue("stranger")))
        model = {**front.config["models"][0], "endpoints": [{"url": server.url, "tls": {"ca": self.ours.ca, **stranger}}]}
        front.write_config({**front.config, "models": [model]})
        self.assertEqual(front.post("/reload", "", admin=True).status, 200)
        asked = len(server.requests)
        for answer in self.answers(front, 4):
            self.assertIn(answer.status, (502, 503))
        self.assertEqual(len(server.requests), asked)

    def test_a_connection_as_health_is_one_with_its_handshake(self):
        server = self.server(self.by_address)
        front = self.front(server, health="", ca=self.ours.ca)
        wait_for(lambda: server.accepted > 3, "checks")
        self.assertNotIn("/health", server.gets)
        self.assertEqual([m["healthy"] for m in front.get("/endpoints", admin=True).json()["models"][0]["endpoints"]], [True])
        front = self.front(server, health="", ca=self.other.ca)
        wait_for(lambda: not front.get("/endpoints", admin=True).json()["models"][0]["endpoints"][0]["healthy"], "out")


if __name__ == "__main__":
    unittest.main()

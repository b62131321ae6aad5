"""What clients may learn, and what only the operator may: errors without addresses, digests sealed, the admin address hidden."""

import re
import socket
import unittest

from gateway_fixture import GatewayTest, gateway, pool, replica, url
from server import Server, wait_for
from upstream import DONE, Foreign, Listener, chunk, completion

ADDRESS = re.compile(r"127\.0\.0\.1|localhost|\.invalid|:\d{2,5}\b|/v1\b|https?:")


class Raw(Listener):
    """Answers every request with these bytes, and closes."""

    def __init__(self, answer):
        self.answer = answer
        super().__init__()

    def serve(self, connection):
        connection.recv(65536)
        connection.sendall(self.answer)


def gone():
    with socket.create_server(("127.0.0.1", 0)) as place:
        return f"http://127.0.0.1:{place.getsockname()[1]}/v1"


class Errors(GatewayTest):
    HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

    def ask(self, where, stream=False, **more):
        (front,) = self.start(gateway(pool(where, retry={"max_attempts": 1}, continue_text=False,
                                           **{"health": {"interval": "1h", "path": ""}, **more})))
        answer = front.post("/v1/completions", {"prompt": "Hi", "max_tokens": 4, "stream": stream})
        said = answer.body.decode()
        self.assertIn("error", said)
        self.assertIsNone(ADDRESS.search(said), said)
        return front, said

    def test_say_the_model_and_not_where_its_servers_are(self):
        broken = {"nothing": b"", "no HTTP": b"SMTP ready\r\n\r\n", "half a head": b"HTTP/1.1 200 OK\r\nConte",
                  "half a body": self.HEAD + b"Content-Length: 100\r\n\r\n{}",
                  "no chunk": self.HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n{}"}
        for what, answer in broken.items():
            with self.subTest(what), Raw(answer) as server:
                front, said = self.ask(server.url)
                if "none of the" not in said:
                    self.assertIn("the model \\\"tiny\\\": the endpoint", said)
                wait_for(lambda f=front, s=server: [line for line in f.log_lines() if line["message"] == "attempt failed"
                                                    and s.name in line["endpoint"]], "a line that says where")

    def test_say_nothing_of_who_is_not_there(self):
        for where in (gone(), "http://nobody.invalid:8000/v1", "https://localhost:1/v1"):
            with self.subTest(where):
                self.ask(where)

    def test_within_a_stream_say_no_more(self):
        (server,) = self.start(Foreign(lambda *_: (200, {}, [chunk("a"), ConnectionResetError])))
        front, said = self.ask(server.url, stream=True)
        self.assertIn("the model \\\"tiny\\\": the endpoint", said)
        wait_for(lambda: [line for line in front.log_lines() if line["message"] == "request" and server.name in line["error"]],
                 "the access line, with the address")

    def test_of_a_fallback_say_no_more(self):
        with Raw(b"") as server:
            self.ask(server.url, fallback=[], timeouts={"connect": "200ms", "first_token": "5s"})


class Query(GatewayTest):
    def test_of_the_address_goes_with_every_call(self):
        stream = [chunk("a", "stop"), DONE]
        (server,) = self.start(Foreign(lambda _, body, __: (200, {}, stream if body.get("stream") else completion()),
                                       pages={"/openai/deployments/x/status?api-version=2024-06-01": b"{}"}))
        where = server.url.replace("/v1", "/openai/deployments/x/?api-version=2024-06-01")
        (front,) = self.start(gateway(pool(where, health={"interval": "50ms", "path": "/status"})))
        self.assertEqual(front.post("/v1/completions?user=u&api-version=1", {"prompt": "Hi"}).status, 200)
        self.assertEqual(front.post("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}], "stream": True}).status, 200)
        self.assertEqual([path for path, _, _ in server.requests],
                         ["/openai/deployments/x/completions?api-version=2024-06-01&user=u",
                          "/openai/deployments/x/chat/completions?api-version=2024-06-01"])
        wait_for(lambda: "/openai/deployments/x/status?api-version=2024-06-01" in server.gets, "a check of its health")


class Digests(GatewayTest):
    KEY = "a secret that servers share"
    PROMPT = "Once upon a time there was a little " * 60

    def told(self, server):
        return server.get("/load").json()["models"][0]["prefixes"]

    def test_are_sealed_and_without_a_key_not_told(self):
        one, other, silent = self.start(replica(peer_key=self.KEY), replica(peer_key=self.KEY[::-1]), replica())
        for server in (one, other, silent):
            self.assertEqual(server.post("/v1/completions", {"prompt": self.PROMPT, "max_tokens": 1}).status, 200)
        told = [set(wait_for(lambda s=server: self.told(s), "what was read")) for server in (one, other)]
        self.assertTrue(told[0].isdisjoint(told[1]))
        wait_for(silent.idle, "an idle engine")
        self.assertEqual(self.told(silent), [])
        self.assertEqual(silent.get("/load", admin=True).json()["models"][0]["prefixes"], [])

    def test_lead_a_gateway_that_has_the_key_to_who_has_read_it(self):
        servers = self.start(replica(peer_key=self.KEY), replica(peer_key=self.KEY))
        names = [f"127.0.0.1:{server.port}" for server in servers]

        def reports(server):
            return server.metric("autoglm_http_requests_total", route="/load", code="200")

        def chosen(prompt, **key):
            with gateway(pool(*map(url, servers), balance="prefix_affinity"), **key) as front:
                before = [reports(server) for server in servers]
                # A gateway that asks for the second report has read the first.
                wait_for(lambda: all(reports(s) > b + 1 for s, b in zip(servers, before)), "reports of both")
                return front.post("/v1/completions", {"prompt": prompt, "max_tokens": 1}).headers["x-autoglm-endpoint"]

        drawn = names.index(chosen(self.PROMPT[:600]))  # chosen by a hash of the first block
        self.assertEqual(servers[1 - drawn].post("/v1/completions", {"prompt": self.PROMPT, "max_tokens": 1}).status, 200)
        wait_for(lambda: len(self.told(servers[1 - drawn])) > 1, "what was read")
        self.assertEqual(chosen(self.PROMPT, peer_key=self.KEY), names[1 - drawn])


class Admin(unittest.TestCase):
    def test_takes_no_call_from_a_page(self):
        with Server(models=[], env={"MODEL_NAME": "none"}) as server:
            page = {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}
            refused = server.call("POST", "/reload", headers=page, admin=True)
            self.assertEqual((refused.status, refused.error["code"]), (403, "cross_site"))
            form = server.call("POST", "/endpoints/drain", "a=b", {"Content-Type": "application/x-www-form-urlencoded"}, admin=True)
            self.assertEqual((form.status, form.error["code"]), (400, "content_type"))
            self.assertEqual(server.call("GET", "/endpoints", headers={"Host": "evil.example"}, admin=True).status, 403)
            self.assertEqual(server.metric("autoglm_config_reloads_total"), 0)
            self.assertEqual(server.post("/reload", None, admin=True).status, 200)

    def test_wants_its_token(self):
        with Server(models=[], server={"admin_token": "${env:ADMIN_TOKEN}"}, 
                    env={"ADMIN_TOKEN": "correct horse", "MODEL_NAME": "none"}) as server:
            for path in ("/endpoints", "/metrics", "/load"):
                self.assertEqual(server.get(path, admin=True).status, 401, path)
            right = {"Authorization": "Bearer correct horse"}
            self.assertEqual(server.get("/endpoints", headers=right, admin=True).status, 200)
            self.assertEqual(server.call("POST", "/reload", headers=right, admin=True).json()["restart_needed_for"], [])
            self.assertEqual(server.get("/livez", admin=True).status, 200)
            self.assertEqual(server.get("/health").status, 200, "the API's address has none")
            self.assertNotIn("correct horse", server.log() + server.out())


if __name__ == "__main__":
    unittest.main()

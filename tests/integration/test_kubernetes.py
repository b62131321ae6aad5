"""Servers that Kubernetes knows, against a double of its lists and watches; tests/peers has the real one."""

import contextlib
import http.server
import json
import os
import threading
import unittest
import urllib.parse

from server import PATIENCE, wait_for
from test_discovery import Discovered, found
from upstream import Foreign, completion

SLICES = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices"


def endpoint(server, **more):
    return {"addresses": ["127.0.0.1"], "conditions": {"ready": True, "serving": True, "terminating": False}, **more}


def slice_of(*servers, name=None, labels=None, **more):
    """A slice for each server in truth, since a slice's endpoints share its ports; here for one."""
    (server,) = servers
    return {"kind": "EndpointSlice", "addressType": "IPv4", "metadata": {"name": name or f"llm-{server.port}", "labels": labels or {}},
            "endpoints": [endpoint(server, **more)], "ports": [{"name": "http", "protocol": "TCP", "port": server.port}]}


class Api:
    """A double of Kubernetes' API: lists in pages, watches with a history that can be forgotten, bookmarks, tokens."""

    def __init__(self, port=0, version=100):
        self.changed = threading.Condition()
        self.version, self.forgotten, self.objects, self.history = version, 0, {}, []
        self.page, self.tokens, self.queries = 500, None, []
        self.status = None      # of every answer: (status, headers, body)
        self.gone_as = "event"  # or "status": how a watch of a forgotten version is refused
        self.cuts = 0           # watches are cut when this grows, within an event
        self.endings = 0        # watches end as they should when this grows
        self.raw = []           # bytes for the watches, as they are
        self.piece = 1000       # bytes of a chunk: a client must not rely on where pieces end
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                if outer.closed:
                    self.close_connection = True
                    return
                url = urllib.parse.urlsplit(self.path)
                query = dict(urllib.parse.parse_qsl(url.query))
                with outer.changed:
                    outer.queries.append(query)
                    marks = outer.cuts, outer.endings, len(outer.raw)
                    status = outer.status
                    refused = outer.tokens is not None and self.headers["Authorization"] not in [f"Bearer {t}" for t in outer.tokens]
                if status:
                    self.answer(status[0], status[2], **status[1])
                elif refused:
                    self.answer(401, outer.failure(401, "Unauthorized"))
                elif url.path != SLICES or query.get("labelSelector") != "kubernetes.io/service-name=llm":
                    self.answer(404, outer.failure(404, "not found"))
                elif "watch" in query:
                    with contextlib.suppress(OSError):
                        self.watch(query, *marks)
                else:
                    self.list(query)

            def answer(self, status, body, **headers):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def list(self, query):
                with outer.changed:
                    version, at = (int(part) for part in query.get("continue", f"{outer.version}:0").split(":"))
                    if version < outer.forgotten:
                        self.answer(410, outer.failure(410, "The provided continue parameter is too old"))
                        return
                    names = sorted(outer.objects)
                    limit = min(outer.page, int(query["limit"]))
                    page = [outer.objects[name] for name in names[at:at + limit]]
                    more = {"continue": f"{version}:{at + limit}"} if at + limit < len(names) else {}
                self.answer(200, json.dumps({"kind": "EndpointSliceList", "metadata": {"resourceVersion": str(version), **more},
                                             "items": page or None}).encode())

            def chunk(self, data):
                for at in range(0, len(data), outer.piece):
                    piece = data[at:at + outer.piece]
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))

            def watch(self, query, cuts, endings, raw):
                version = int(query["resourceVersion"])
                with outer.changed:
                    gone = version < outer.forgotten
                if gone and outer.gone_as == "status":
                    self.answer(410, outer.failure(410, "too old resource version"))
                    return
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                if gone:
                    self.chunk(b'{"type":"ERROR","object":%s}\n' % outer.failure(410, "too old resource version"))
                while not gone:
                    with outer.changed:
                        ready = outer.changed.wait_for(
                            lambda: outer.cuts > cuts or outer.endings > endings or len(outer.raw) > raw or outer.closed
                            or (outer.history and outer.history[-1][0] > version), timeout=PATIENCE)
                        events = [event for event in outer.history if event[0] > version]
                        more, raw = outer.raw[raw:], len(outer.raw)
                        cut, end = outer.cuts > cuts, outer.endings > endings or outer.closed or not ready
                    # Back to back, without anything between them.
                    text = b"".join(json.dumps({"type": kind, "object": thing}).encode() for _, kind, thing in events)
                    version = events[-1][0] if events else version
                    self.chunk(text)
                    for piece in more:
                        self.chunk(piece)
                    if cut:
                        self.chunk(b'{"type":"ADDED","object":{"metadata":{"na')
                        self.close_connection = True
                        self.connection.close()
                        return
                    if end:
                        break
                self.wfile.write(b"0\r\n\r\n")

            def log_message(self, *_):
                pass

        class Listening(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass

        self.closed = False
        self.server = Listening(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @staticmethod
    def failure(code, message):
        return json.dumps({"kind": "Status", "status": "Failure", "message": message, "code": code}).encode()

    def _say(self, kind, thing):
        self.version += 1
        thing = {**thing, "metadata": {**thing["metadata"], "resourceVersion": str(self.version)}}
        self.history.append((self.version, kind, thing))
        self.changed.notify_all()
        return thing

    def put(self, *slices):
        with self.changed:
            for each in slices:
                name = each["metadata"]["name"]
                self.objects[name] = self._say("MODIFIED" if name in self.objects else "ADDED", each)

    def delete(self, *names):
        with self.changed:
            for name in names:
                self._say("DELETED", self.objects.pop(name))

    def bookmark(self, version):
        """Others have changed much; nothing here has."""
        with self.changed:
            self.version = version - 1
            self._say("BOOKMARK", {"metadata": {}})

    def set(self, forget=False, **values):
        with self.changed:
            if forget:
                self.forgotten = self.version + 1
                self.version += 1
            for name, value in values.items():
                setattr(self, name, value)
            self.changed.notify_all()

    def cut(self):
        self.set(cuts=self.cuts + 1)

    def end_watches(self):
        self.set(endings=self.endings + 1)

    def seen(self, watches):
        with self.changed:
            return [query for query in self.queries if ("watch" in query) == watches]

    def close(self):
        self.set(closed=True)
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Kubernetes(Discovered):
    def api(self, **more):
        api = Api(**more)
        self.addCleanup(api.close)
        return api

    def by_kubernetes(self, api, hold="30s", access=None, **more):
        return {"kubernetes": {"namespace": "shop", "service": "llm", "address": api.url, **(access or {}), **more.pop("kubernetes", {})},
                "hold": hold, **more}

    def wait_until_watched(self, api, count=1):
        wait_for(lambda: len(api.seen(True)) >= count, f"{count} watches")

    def wait_until(self, front, up):
        wait_for(lambda: self.members(front)["registries"][0]["up"] == up, f"that the registry is {'up' if up else 'ill'}")

    def test_changes_are_followed(self):
        a, b, c = self.start(Foreign(), Foreign(), Foreign())
        api = self.api()
        api.put(slice_of(a))
        front = self.front(found(self.by_kubernetes(api)))
        self.wait_for_members(front, a)
        self.wait_until_watched(api)
        api.put(slice_of(b))
        self.wait_for_members(front, a, b)
        api.delete(f"llm-{a.port}")
        api.put(slice_of(c))
        self.wait_for_members(front, b, c)
        self.assertGreater(min(self.asked(front, [b, c])), 0)
        self.assertEqual(len(api.seen(False)), 1, "one list, and a watch from there on")
        self.assertEqual(self.members(front)["registries"][0]["registry"], "kubernetes shop/llm")

    def test_one_that_ends_finishes_its_streams_and_gets_no_others(self):
        go = threading.Event()
        self.addCleanup(go.set)
        stream = [b'data: {"id":"1","object":"text_completion","choices":[{"index":0,"text":"a"}]}\n\n', go,
                  b'data: {"id":"1","object":"text_completion","choices":[{"index":0,"text":"b","finish_reason":"stop"}]}\n\n', b"data: [DONE]\n\n"]
        a = self.start(Foreign(lambda _, body, __: (200, {}, stream if body.get("stream") else completion())))[0]
        b = self.start(Foreign())[0]
        api = self.api()
        api.put(slice_of(a))
        front = self.front(found(self.by_kubernetes(api)))
        self.wait_for_members(front, a)
        connection, response = front.stream("/v1/completions", {"prompt": "Hi"})
        with contextlib.closing(connection):
            self.assertEqual(response.status, 200)
            api.put(slice_of(b), slice_of(a, conditions={"ready": False, "serving": True, "terminating": True}))
            self.wait_for_members(front, b)
            self.assertEqual(self.asked(front, [a, b], 10), [0, 10])
            go.set()
            text = response.read().decode()
        self.assertIn("[DONE]", text)
        self.assertNotIn("error", text)
        # When no other is left, it is asked again for as long as it serves.
        api.delete(f"llm-{b.port}")
        self.wait_for_members(front, a)

    def test_zones_and_labels_choose(self):
        a, b = self.start(Foreign(), Foreign())
        api = self.api()
        api.put(slice_of(a, zone="eu-1a", labels={"served": "theirs"}), slice_of(b, zone="us-1", labels={"served": "others"}))
        front = self.front(found(self.by_kubernetes(api, filter={"zone": "eu-*"}, map={"model": "served"}, kubernetes={"port": "http"})))
        self.wait_for_members(front, a)
        self.check_all_answered(front, 3)
        self.assertEqual(a.bodies[0]["model"], "theirs")
        self.assertEqual(self.members(front)["registries"][0]["left_out"], 1)

    def test_what_is_forgotten_is_listed_again(self):
        a, b, c = self.start(Foreign(), Foreign(), Foreign())
        api = self.api()
        api.put(slice_of(a))
        front = self.front(found(self.by_kubernetes(api)))
        self.wait_for_members(front, a)
        for how, new in (("event", b), ("status", c)):
            with self.subTest(how):
                lists = len(api.seen(False))
                self.wait_until_watched(api)
                # What happens while nobody watches is in no history.
                with api.changed:
                    api.gone_as = how
                    api.put(slice_of(new))
                    api.history.clear()
                    api.set(forget=True)
                    api.end_watches()
                wait_for(lambda: len(api.seen(False)) > lists, "another list")
        self.wait_for_members(front, a, b, c)
        self.assertEqual(front.metric("autoglm_discovery_failures_total", model="tiny"), 0)

    def test_a_list_in_pages_that_expires_starts_over(self):
        servers = self.start(*(Foreign() for _ in range(5)))
        api = self.api()
        api.set(page=2)
        api.put(*(slice_of(server) for server in servers))
        front = self.front(found(self.by_kubernetes(api)))
        self.wait_for_members(front, *servers)
        self.assertEqual([query.get("continue", "first") for query in api.seen(False)], ["first", "105:2", "105:4"])

    def test_a_watch_that_is_cut_loses_nothing(self):
        a, b, c = self.start(Foreign(), Foreign(), Foreign())
        api = self.api()
        api.put(slice_of(a))
        front = self.front(found(self.by_kubernetes(api)))
        self.wait_for_members(front, a)
        self.wait_until_watched(api)
        with api.changed:
            api.cut()
            api.put(slice_of(b))
        self.wait_for_members(front, a, b)
        wait_for(lambda: len(api.seen(False)) == 2, "another list")
        self.wait_until(front, True)
        # One that ends as it should is no failure, and goes on from what it knows; what others changed is known, too.
        self.wait_until_watched(api, 2)
        failures, watches = front.metric("autoglm_discovery_failures_total", model="tiny"), len(api.seen(True))
        self.assertEqual(failures, 1)
        api.bookmark(5000)
        api.end_watches()
        self.wait_until_watched(api, watches + 1)
        wait_for(lambda: api.seen(True)[-1]["resourceVersion"] == "5000" or api.end_watches(), "a watch from the bookmark on")
        api.put(slice_of(c))
        self.wait_for_members(front, a, b, c)
        self.assertEqual(front.metric("autoglm_discovery_failures_total", model="tiny"), failures)
        self.assertEqual(len(api.seen(False)), 2)

    def test_a_token_that_is_replaced_is_read_again(self):
        a, b = self.start(Foreign(), Foreign())
        api = self.api()
        api.set(tokens=["one-token"])
        api.put(slice_of(a))
        token = os.path.join(os.path.dirname(self.path), "token")

        def write(text):
            with open(token + ".next", "w") as file:
                file.write(text)
            os.replace(token + ".next", token)

        write("wrong-token\n")
        front = self.front(found(self.by_kubernetes(api, access={"token_file": token})), ready=False)
        wait_for(lambda: "see its token" in self.members(front)["registries"][0]["error"], "the refusal")
        write("one-token\n")
        self.wait_for_members(front, a)
        write("two-token\n")
        api.set(tokens=["two-token"])
        failures = front.metric("autoglm_discovery_failures_total", model="tiny")
        api.put(slice_of(b))
        watches = len(api.seen(True))
        api.end_watches()
        self.wait_until_watched(api, watches + 1)
        self.wait_for_members(front, a, b)
        self.assertEqual(front.metric("autoglm_discovery_failures_total", model="tiny"), failures)
        self.assertNotRegex(front.log() + front.get("/members", admin=True).body.decode(), "(one|two|wrong)-token")

    def test_an_ill_server_changes_nothing(self):
        a, b = self.start(Foreign(), Foreign())
        api = self.api()
        api.put(slice_of(a))
        front = self.front(found(self.by_kubernetes(api)))
        self.wait_for_members(front, a)
        for wanted, ill in [("answers 500: etcdserver", (500, {}, b"etcdserver: no leader")), ("no JSON object", (200, {}, b"<html>")),
                            ("give its service account a role", (403, {}, Api.failure(403, 'User "x" cannot list'))),
                            ("items are no array", (200, {}, b'{"metadata":{"resourceVersion":"1"},"items":{}}')),
                            ("answers 429", (429, {"Retry_After": "1"}, b"")), ("answers 504", (504, {}, b""))]:
            with self.subTest(wanted):
                self.wait_until(front, True)
                with api.changed:
                    api.set(status=ill)
                    api.cut()
                wait_for(lambda: wanted in self.members(front)["registries"][0]["error"], wanted)
                self.check_all_answered(front, 5)
                self.wait_for_members(front, a)
                api.set(status=None)
        api.put(slice_of(b))
        self.wait_for_members(front, a, b)

    def test_garbage_in_a_watch_ends_it(self):
        (a,) = self.start(Foreign())
        api = self.api()
        api.put(slice_of(a))
        front = self.front(found(self.by_kubernetes(api)))
        self.wait_for_members(front, a)
        endless = b'{"type":"ADDED","object":{"metadata":{"name":"' + b"a" * (1 << 20)
        for raw in ([b"<html>"], [b'{"type":"ADDED"}'], [b'{"type":"ADDED","object":{"metadata":{"name":"x","resourceVersion":"9999"},"endpoints":{}}}'],
                    [endless] + [b"a" * (1 << 20)] * 17):
            with self.subTest(raw[0][:60]):
                failures = front.metric("autoglm_discovery_failures_total", model="tiny")
                watches = len(api.seen(True))
                api.end_watches()
                self.wait_until_watched(api, watches + 1)
                api.set(raw=api.raw + raw)
                wait_for(lambda: front.metric("autoglm_discovery_failures_total", model="tiny") > failures, "that it is refused")
                self.wait_until(front, True)
                self.wait_for_members(front, a)
        front.await_log("an event has no end")

    def test_without_a_server_the_list_stays(self):
        a, b = self.start(Foreign(), Foreign())
        api = Api()
        api.put(slice_of(a), slice_of(b))
        front = self.front(found(self.by_kubernetes(api, hold="100ms")))
        self.wait_for_members(front, a, b)
        api.close()
        self.wait_until(front, False)
        self.assertGreater(min(self.asked(front, [a, b])), 0)
        # It returns with an older memory, in which nobody is: our own checks find both well.
        young = Api(port=api.port, version=3)
        self.addCleanup(young.close)
        self.wait_until(front, True)
        wait_for(lambda: front.metric("autoglm_discovery_held", model="tiny") == 2, "both to be held")
        self.check_all_answered(front, 10)
        young.put(slice_of(b))
        wait_for(lambda: front.metric("autoglm_discovery_held", model="tiny") == 1, "one to be listed")

    def test_ports_that_are_not_there_are_told(self):
        (a,) = self.start(Foreign())
        api = self.api()
        both = slice_of(a)
        both["ports"].append({"name": "metrics", "port": 9090})
        api.put(both)
        front = self.front(found(self.by_kubernetes(api)), ready=False)
        wait_for(lambda: "name one by `port`" in self.members(front)["registries"][0]["error"], "the question")
        self.assertIn(f"http {a.port}, metrics 9090", self.members(front)["registries"][0]["error"])
        named = self.front(found(self.by_kubernetes(api, kubernetes={"port": "http"})))
        self.wait_for_members(named, a)


if __name__ == "__main__":
    unittest.main()

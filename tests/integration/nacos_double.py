"""A double of Nacos' HTTP APIs, v1 and v3, as 3.1 was seen to answer (tests/peers/test_nacos.py has the real one)."""

import hashlib
import http.server
import json
import threading
import time
import urllib.parse


class Nacos:
    """`apis`: which of v1 and v3 there are. With `password`, a login is needed; a token lasts `token_ttl` seconds."""

    def __init__(self, port=0, apis=("v1", "v3"), password=None, token_ttl=18000, beat_timeout=15.0):
        self.changed = threading.Condition()
        self.apis, self.password, self.token_ttl, self.beat_timeout = apis, password, token_ttl, beat_timeout
        self.services, self.configs, self.requests, self.tokens = {}, {}, [], {}
        self.logins = 0  # also numbers the tokens: one that was forgotten comes never again
        self.broken, self.cache_millis, self.protecting, self.ended = None, 10000, False, False
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                url = urllib.parse.urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                fields = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True) + urllib.parse.parse_qsl(body, keep_blank_values=True))
                with outer.changed:
                    outer.requests.append((self.command, url.path, fields, dict(self.headers)))
                    broken = outer.broken
                if outer.ended:  # connections outlive the server's socket
                    self.close_connection = True
                    return
                status, said = broken or outer.answer(self.command, url.path.removeprefix("/nacos"), fields, self.headers)
                if outer.ended:
                    self.close_connection = True
                    return
                said = said if isinstance(said, bytes) else said.encode() if isinstance(said, str) else json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            do_GET = do_POST = do_PUT = do_DELETE = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # clients that are killed reset their connections
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with self.changed:
            self.ended = True
            self.changed.notify_all()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    # What a test says.

    def say(self, ports, broken=None, **instance):
        """The instances of DEFAULT_GROUP@@llm in namespace public."""
        with self.changed:
            self.broken = broken
            self.services[("public", "DEFAULT_GROUP@@llm")] = {
                ("127.0.0.1", port, "DEFAULT"): {"weight": 1.0, "healthy": True, "enabled": True, "metadata": {}, "ephemeral": False, **instance}
                for port in ports}
            self.changed.notify_all()

    def publish(self, data_id, content, group="DEFAULT_GROUP", tenant=""):
        with self.changed:
            if content is None:
                self.configs.pop((tenant, group, data_id), None)
            else:
                self.configs[(tenant, group, data_id)] = content
            self.changed.notify_all()

    def instances(self, service="llm"):
        """What an API of Nacos would list: (ip, port) and metadata of the healthy ones."""
        with self.changed:
            self.expire()
            return {(ip, port): each["metadata"] for (ip, port, _), each in
                    self.services.get(("public", f"DEFAULT_GROUP@@{service}"), {}).items() if each["healthy"]}

    def asked(self, method, path):
        with self.changed:
            return [fields for a, b, fields, _ in self.requests if (a, b) == (method, "/nacos" + path)]

    # What Nacos answers.

    def expire(self):
        now = time.monotonic()
        for service in self.services.values():
            for key, each in list(service.items()):
                if not each["ephemeral"]:
                    continue
                silent = now - each["heard"]
                each["healthy"] = silent < self.beat_timeout
                if silent > 2 * self.beat_timeout:
                    del service[key]

    def answer(self, method, path, fields, headers):
        with self.changed:
            self.expire()
            if path in ("/v3/auth/user/login", "/v1/auth/users/login", "/v1/auth/login"):
                return self.log_in(path, fields)
            version = path.split("/")[1]
            if version not in self.apis:
                return 410, {"status": 410, "error": "Gone", "path": path}
            if self.password is not None:
                token = headers.get("Authorization", "").removeprefix("Bearer ")
                if self.tokens.get(token, 0) < time.monotonic():
                    return 403, {"status": 403, "error": "Forbidden", "message": "token expired!"}
            if path in ("/v1/cs/configs", "/v1/cs/configs/listener", "/v3/client/cs/config"):
                return self.config(method, path, fields, headers)
            return self.naming(method, path, fields)

    def log_in(self, path, fields):
        if path.split("/")[1] not in self.apis:
            return 404, {"status": 404, "error": "Not Found", "path": path}
        if fields.get("username") != "nacos" or fields.get("password") != self.password:
            return 403, "unknown user!"
        self.logins += 1
        token = f"token-{self.logins}"
        self.tokens[token] = time.monotonic() + self.token_ttl
        return 200, {"accessToken": token, "tokenTtl": self.token_ttl, "globalAdmin": True, "username": "nacos"}

    def naming(self, method, path, fields):
        name = fields.get("serviceName", "")
        if "@@" not in name:
            name = f"{fields.get('groupName', 'DEFAULT_GROUP')}@@{name}"
        service = self.services.setdefault((fields.get("namespaceId", "public"), name), {})
        v3 = path.startswith("/v3")
        if path.endswith("/list"):
            clusters = fields.get("clusterName", "DEFAULT") if v3 else fields.get("clusters", "")
            wanted = [each for each in clusters.split(",") if each]
            hosts = [{"instanceId": f"{ip}#{port}#{cluster}#{name}", "ip": ip, "port": port, "clusterName": cluster, "serviceName": name,
                      **{k: v for k, v in each.items() if k != "heard"}, "healthy": each["healthy"] or self.protecting}
                     for (ip, port, cluster), each in service.items() if not wanted or cluster in wanted]
            if v3:
                return 200, {"code": 0, "message": "success", "data": hosts}
            return 200, {"name": name, "groupName": name.split("@@")[0], "clusters": clusters, "cacheMillis": self.cache_millis, "hosts": hosts,
                         "lastRefTime": int(time.time() * 1000), "checksum": "", "allIps": False, "reachProtectionThreshold": self.protecting, "valid": True}
        key = (fields["ip"], int(fields["port"]), fields.get("clusterName", "DEFAULT"))
        well = {"code": 0, "message": "success", "data": "ok"} if v3 else "ok"
        if path.endswith("/beat") or fields.get("heartBeat") == "true":
            if key in service:
                service[key]["heard"] = time.monotonic()
            if v3:
                return 200, well if key in service else {"code": 21003, "message": "instance not found", "data": None}
            return 200, {"clientBeatInterval": 5000, "code": 10200 if key in service else 20404, "lightBeatEnabled": True}
        if method == "DELETE":
            service.pop(key, None)
        else:
            service[key] = {"weight": float(fields.get("weight", 1)), "healthy": True, "enabled": fields.get("enabled", "true") == "true",
                            "metadata": json.loads(fields.get("metadata") or "{}"), "ephemeral": fields.get("ephemeral", "true") == "true",
                            "heard": time.monotonic()}
        return 200, well

    def config(self, method, path, fields, headers):
        if path.endswith("/listener"):
            wanted = [line.split("\x02") for line in fields["Listening-Configs"].split("\x01") if line]
            # The server answers half a second early.
            deadline = time.monotonic() + max(10, int(headers.get("Long-Pulling-Timeout", 30000)) / 1000) - 0.5

            def news():
                return [each for each in wanted if self.md5(self.configs.get((*each[3:], "")[:1] + (each[1], each[0]))) != each[2]]

            self.changed.wait_for(lambda: news() or self.ended or self.broken, timeout=deadline - time.monotonic())
            return 200, urllib.parse.quote("".join("\x02".join(each[:2] + each[3:]) + "\x01" for each in news()))
        v3 = path.startswith("/v3")
        tenant = fields.get("namespaceId" if v3 else "tenant", "")
        key = ("" if tenant == "public" else tenant, fields.get("groupName" if v3 else "group"), fields["dataId"])
        if method == "POST":
            self.configs[key] = fields["content"]
            self.changed.notify_all()
            return 200, "true"
        content = self.configs.get(key)
        if not v3:
            return (404, "config data not exist\n") if content is None else (200, content)
        if content is None:
            return 200, {"code": 20004, "message": "resource not found", "data": None}
        return 200, {"code": 0, "message": "success", "data": {"resultCode": 200, "errorCode": 0, "content": content, "md5": self.md5(content),
                                                               "contentType": "yaml", "success": True}}

    @staticmethod
    def md5(content):
        return "" if content is None else hashlib.md5(content.encode()).hexdigest()

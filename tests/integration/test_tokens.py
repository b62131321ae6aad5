"""JWT: tokens of an identity provider in the place of keys; attacks on them; the provider's keys as they change and go away."""

import base64
import contextlib
import hashlib
import hmac
import http.server
import json
import os
import subprocess
import tempfile
import threading
import time
import unittest

from certificates import openssl
from server import Server, wait_for

ISSUER, AUDIENCE, SECRET = "https://login.example/", "open-autoglm", "a shared secret of thirty-two bytes"


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed_part(header, claims):
    return base64url(json.dumps(header).encode()) + "." + base64url(json.dumps(claims).encode())


def claims(**more):
    return {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": int(time.time()) + 600, **more}


def hs256(secret, header=None, **more):
    text = signed_part({"alg": "HS256", **(header or {})}, claims(**more))
    return text + "." + base64url(hmac.new(secret, text.encode(), hashlib.sha256).digest())


class Key:
    """A key of the provider."""

    def __init__(self, folder, kid):
        self.kid, self.path = kid, os.path.join(folder, kid + ".key")
        openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", self.path)
        self.public = openssl("pkey", "-in", self.path, "-pubout")
        self.modulus = bytes.fromhex(openssl("rsa", "-in", self.path, "-noout", "-modulus").strip().split("=")[1])

    def jwk(self):
        return {"kty": "RSA", "kid": self.kid, "use": "sig", "n": base64url(self.modulus), "e": "AQAB"}

    def token(self, header=None, **more):
        text = signed_part({"alg": "RS256", "kid": self.kid, **(header or {})}, claims(**more))
        done = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.path], input=text.encode(), capture_output=True, check=True)
        return text + "." + base64url(done.stdout)


class Provider:
    """Publishes keys; counts how often it is asked."""

    def __init__(self, *keys):
        self.keys, self.asked, self.is_up = list(keys), 0, True
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                provider.asked += 1
                body = json.dumps({"keys": [key.jwk() for key in provider.keys]}).encode()
                self.send_response(200 if provider.is_up else 500)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/jwks.json"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class TokenServer(Server):
    def __init__(self, jwt, keys=(), **more):
        self.admission = {"jwt": {"issuer": ISSUER, "audience": [AUDIENCE], **jwt}, **({"keys": list(keys)} if keys else {})}
        super().__init__(**more)

    def write_config(self, config):
        self.written = config
        super().write_config({**config, **self.admission})

    def reload(self, **jwt):
        self.admission["jwt"].update(jwt)
        self.write_config(self.written)
        return self.post("/reload", "", admin=True)

    def said(self, token):
        answer = self.get("/v1/models", headers={"Authorization": f"Bearer {token}"})
        return answer.status, answer.json().get("error", {}).get("code")


INVALID, GOOD = (401, "invalid_token"), (200, None)


class Tokens(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="open-autoglm-tokens-")
        cls.first, cls.second = Key(cls.folder.name, "first"), Key(cls.folder.name, "second")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def file(self, *keys):
        path = os.path.join(self.folder.name, "jwks.json")
        with open(path + ".new", "w") as file:
            json.dump({"keys": [key.jwk() for key in keys]}, file)
        os.replace(path + ".new", path)
        return path

    def test_a_token_in_the_place_of_a_key(self):
        key = {"name": "carol", "key": "sk-carol-0123456789"}
        jwt = {"jwks_file": self.file(self.first), "tenant_claim": "org"}
        with TokenServer(jwt, keys=[key]) as server:
            token = self.first.token(org="shop")
            self.assertEqual(server.said(token), GOOD)
            self.assertEqual(server.said(key["key"]), GOOD)
            self.assertEqual(server.get("/v1/models").error["code"], "missing_api_key")
            answer = server.post("/v1/completions", {"prompt": "Hi", "max_tokens": 2}, headers={"Authorization": f"Bearer {token}"})
            self.assertEqual(answer.status, 200)
            (row,) = server.get("/usage?by=key,tenant", admin=True).json()["usage"]
            self.assertEqual((row["key"], row["tenant"]), ("jwt:alice", "shop"))
            self.assertEqual(server.said(self.first.token()), INVALID, "a claim is missing")
            self.assertEqual(server.said(self.first.token(org="shop", exp=1)), (401, "expired_token"))
            for text in [server.log(), server.get("/metrics", admin=True).body.decode()]:
                self.assertNotIn(token[:40], text)
                self.assertNotIn(token[-40:], text)

    def test_attacks(self):
        with TokenServer({"jwks_file": self.file(self.first), "algorithms": ["RS256", "HS256"]}) as server:
            token = self.first.token()
            head, body, signature = token.split(".")
            self.assertEqual(server.said(token), GOOD)
            forged = base64url(json.dumps(claims(sub="root")).encode())
            for attack in [signed_part({"alg": "none"}, claims()) + ".", signed_part({"alg": "None"}, claims()) + "." + signature,
                           hs256(self.first.public.encode(), {"kid": "first"}), hs256(self.first.public.strip().encode(), {"kid": "first"}),
                           hs256(self.first.public.encode()), f"{head}.{forged}.{signature}", f"{head}.{body}.", self.second.token(),
                           self.second.token({"kid": "first"}), self.second.token({"kid": "first", "jwk": self.second.jwk()}),
                           self.first.token(aud="other"), self.first.token(iss="https://evil.example/"), self.first.token(nbf=int(time.time()) + 600)]:
                self.assertEqual(server.said(attack), INVALID, attack)
            self.assertEqual(server.said(token), GOOD)

    def test_a_shared_secret(self):
        with TokenServer({"secret": SECRET, "algorithms": ["HS256"]}) as server:
            self.assertEqual(server.said(hs256(SECRET.encode())), GOOD)
            self.assertEqual(server.said(hs256(SECRET[:-1].encode())), INVALID)
            self.assertNotIn(SECRET, server.log())

    def test_keys_of_a_file_change(self):
        with TokenServer({"jwks_file": self.file(self.first)}) as server:
            old, new = self.first.token(), self.second.token()
            self.assertEqual((server.said(old), server.said(new)), (GOOD, INVALID))
            self.file(self.second)
            wait_for(lambda: server.said(new) == GOOD, "the new key")
            self.assertEqual(server.said(old), INVALID, "it was remembered, by the old keys")

    def test_an_issuer_that_withdraws_its_keys_is_honoured(self):
        with TokenServer({"jwks_file": self.file(self.first)}) as server:
            token = self.first.token()
            self.assertEqual(server.said(token), GOOD)
            self.file()
            wait_for(lambda: server.said(token) == INVALID, "the end of all keys")
            server.await_log("has no key that can be used any more")
            self.assertEqual(server.metric("autoglm_jwks_reads_total", outcome="empty"), 1)
            self.file(self.first)
            wait_for(lambda: server.said(token) == GOOD, "the key again")

    def test_a_reload_that_cannot_read_the_keys_is_refused_whole(self):
        with TokenServer({"jwks_file": self.file(self.first)}) as server:
            token = self.first.token()
            refused = server.reload(jwks_file=os.path.join(self.folder.name, "none.json"), audience=["other"])
            self.assertEqual(refused.status, 400, refused.body)
            self.assertIn("none.json", refused.error["message"])
            self.assertEqual(server.said(token), GOOD)
            self.assertEqual(server.reload(jwks_file=self.file(self.first)).status, 200)
            self.assertEqual(server.said(token), INVALID, "it is for another audience now")

    def test_keys_of_an_address_change_and_it_goes_away(self):
        with Provider(self.first) as provider, contextlib.ExitStack() as stack:
            provider.is_up = False
            server = stack.enter_context(TokenServer({"jwks_url": provider.url}))
            old, new = self.first.token(), self.second.token()
            self.assertEqual(server.said(old), (503, "token_keys_unavailable"))
            wait_for(lambda: server.metric("autoglm_jwks_reads_total", outcome="failed") > 0, "a look that fails")
            provider.is_up = True
            wait_for(lambda: server.said(old) == GOOD, "the keys")
            asked = provider.asked
            provider.keys.append(self.second)
            wait_for(lambda: server.said(new) == GOOD, "the new key")
            self.assertEqual(provider.asked, asked + 1, "once for all that had to be told to come again")
            provider.is_up = False
            for i in range(20):
                self.assertIn(server.said(self.second.token({"kid": f"unknown-{i}"}))[0], (401, 503))
            self.assertEqual((server.said(old), server.said(new)), (GOOD, GOOD))
            self.assertLessEqual(provider.asked, asked + 2)


if __name__ == "__main__":
    unittest.main()

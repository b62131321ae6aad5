"""The OpenAPI document against the server that gives it."""

import json
import re

from server import ServerTest


# By whatever name a protocol has for it.
SHORT = {"max_tokens": 5, "max_output_tokens": 5, "n_predict": 5, "options": {"num_predict": 5}}


class OpenApi(ServerTest):
    def setUp(self):
        self.document = self.server.get("/openapi.json").json()

    def operations(self):
        for path, operations in self.document["paths"].items():
            for method, operation in operations.items():
                yield method.upper(), path, operation

    def test_it_lists_what_the_server_lists(self):
        listed = self.server.get("/nowhere").error["message"].split("this server has: ")[1]
        pairs = {tuple(each.split(" ")) for each in listed.split(", ")}
        said = {(method, path.removesuffix("{name}")) for method, path, _ in self.operations()}
        self.assertEqual(said, pairs)

    def test_what_it_lists_is_there(self):
        for method, path, operation in self.operations():
            example = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
            with self.subTest(f"{method} {path}"):
                if path.startswith("/v1/responses/"):  # of answers that are kept, and none is
                    continue
                body = json.dumps({**SHORT, **example, "model": "tiny"}) if example is not None else None
                answer = self.server.call(method, re.sub(r"\{[a-z]+\}", "tiny", path), body)
                self.assertNotEqual(answer.status, 405)
                self.assertNotIn(b"there is nothing at", answer.body)
                self.assertNotEqual(answer.status, 404, answer.body)

    def test_errors_look_as_it_says(self):
        for method, path, operation in self.operations():
            if method != "POST":
                continue
            with self.subTest(path):
                said = operation["responses"]["4XX"]["content"]["application/json"]["example"]["error"]
                told = self.server.call("PATCH", re.sub(r"\{[a-z]+\}", "tiny", path)).error
                self.assertEqual(type(told), type(said), told)
                if isinstance(told, dict):
                    self.assertLessEqual(set(said) - {"param"}, set(told))

    def test_ids_are_unique(self):
        ids = [operation["operationId"] for _, _, operation in self.operations()]
        self.assertEqual(len(ids), len(set(ids)))

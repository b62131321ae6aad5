"""Valid but surprising configurations: `validate` warns, --strict refuses it, --probe asks the endpoints, the server logs it."""

import glob
import json
import os
import unittest

from server import Server, wait_for
from test_cli import validate
from test_life import run
from upstream import Foreign

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ALONE = """models:
  - name: m
    endpoints: [ { url: "http://127.0.0.1:1/v1" } ]
    breaker: { sleep_window: 7s }
"""


class Examples(unittest.TestCase):
    KEYS = {"CLOUD_API_KEY": "a", "SECOND_CLOUD_API_KEY": "b",
            **{f"{name}_KEY": f"a key for {name} alone" for name in ("WEB", "BATCH", "PARTNER")}}

    def test_each_is_valid_and_warns_of_nothing(self):
        paths = glob.glob(os.path.join(ROOT, "examples", "*.yaml"))
        self.assertGreaterEqual(len(paths), 5)
        for path in paths:
            with self.subTest(os.path.basename(path)):
                self.assertEqual(run("validate", "--strict", path, **self.KEYS), (0, f"{path}: valid\n", ""))

    def test_each_is_listed_and_linked(self):
        for document in ["examples/README.md", "README.md", "README.zh-CN.md", "docs/configuration.md",
                         "docs/zh/configuration.md"]:
            with open(os.path.join(ROOT, document)) as file:
                text = file.read()
            for path in glob.glob(os.path.join(ROOT, "examples", "*.yaml")):
                with self.subTest(document, example=os.path.basename(path)):
                    self.assertIn(os.path.basename(path), text)


class Validate(unittest.TestCase):
    def test_warnings_have_a_place_and_do_not_fail(self):
        code, out, err = validate(ALONE)
        self.assertEqual(code, 0)
        self.assertTrue(out.endswith(": valid, with 1 warning\n"), out)
        self.assertTrue(err.startswith("FILE:4:14: warning: models[0].breaker: leaves the only endpoint alone"), err)

    def test_strict(self):
        self.assertEqual(validate(ALONE, "--strict")[0], 1)
        self.assertEqual(validate(ALONE.replace("breaker: {", "health: {} #"), "--strict")[0], 0)

    def test_of_mistakes_alone_is_spoken_where_there_are_some(self):
        code, _, err = validate(ALONE + "    balanec: round_robin\n")
        self.assertEqual(code, 1)
        self.assertNotIn("warning", err)


class Probe(unittest.TestCase):
    MODELS = b'{"data": [{"id": "x"}, {"id": "m"}]}'

    def probe(self, upstream, **more):
        config = {"models": [{"name": "m", "endpoints": [{"url": upstream.url, **more}]}]}
        code, _, err = validate(json.dumps(config, indent=1), "--probe")
        self.assertEqual(code, 0)
        return err

    def test_a_server_that_is_as_configured(self):
        with Foreign(pages={"/v1/models": self.MODELS}) as upstream:
            self.assertEqual(self.probe(upstream), "")
            self.assertEqual(upstream.gets, ["/health", "/v1/models"])
            self.assertEqual(upstream.requests, [])

    def test_a_health_path_that_it_does_not_have(self):
        with Foreign(health=404, pages={"/v1/models": self.MODELS}) as upstream:
            self.assertRegex(self.probe(upstream),
                             r"^FILE:\d+:\d+: warning: models\[0\].health.path: /health of .* answers 404[^\n]*\n$")

    def test_a_model_that_it_does_not_list(self):
        with Foreign(pages={"/v1/models": b'{"data": [{"id": "x"}, {"id": "y"}]}'}) as upstream:
            told = self.probe(upstream)
            self.assertIn("models[0].endpoints[0].model: ", told)
            self.assertIn('does not list "m", but x, y', told)
            self.assertEqual(self.probe(upstream, model="y"), "")

    def test_a_key_that_it_refuses(self):
        with Foreign(pages={"/v1/models": 401}) as upstream:
            self.assertRegex(self.probe(upstream, api_key="wrong"),
                             r"^FILE:\d+:\d+: warning: models\[0\].endpoints\[0\].api_key: is refused")

    def test_an_address_without_an_api(self):
        with Foreign() as upstream:
            self.assertIn("answers 404 to /v1/models", self.probe(upstream))

    def test_nobody_there(self):
        upstream = Foreign()
        upstream.close()
        self.assertIn("models[0].endpoints[0].url: cannot be asked for its health", self.probe(upstream))


class Log(unittest.TestCase):
    @staticmethod
    def told(server):
        return [(line["key"], line["warning"]) for line in server.log_lines()
                if line["message"] == "the configuration may surprise"]

    def test_at_the_start_and_at_each_reload(self):
        with Foreign() as upstream:
            model = {"name": "m", "endpoints": [{"url": upstream.url}]}
            with Server(models=[{**model, "breaker": {"sleep_window": "7s"}}]) as server:
                (told,) = wait_for(lambda: self.told(server), "a warning")
                self.assertEqual(told[0], "models[0].breaker")
                self.assertIn("503 for 7s", told[1])
                server.write_config({**server.config, "models": [{**model, "retry": {"max_attempts": 9}}]})
                self.assertEqual(server.post("/reload", "", admin=True).status, 200)
                wait_for(lambda: "models[0].retry.max_attempts" in [key for key, _ in self.told(server)], "the other warning")

    def test_a_health_path_that_answers_404_once(self):
        with Foreign() as upstream:
            models = [{"name": "m", "endpoints": [{"url": upstream.url}], "health": {"path": "/healthz", "interval": "10ms"}}]
            with Server(models=models) as server:
                wait_for(lambda: upstream.gets.count("/healthz") > 5, "some checks")
                lines = [line for line in server.log_lines() if line["message"].startswith("the health path answers 404")]
                self.assertEqual([(line["model"], line["path"]) for line in lines], [("m", "/healthz")])


if __name__ == "__main__":
    unittest.main()

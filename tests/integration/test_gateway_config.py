"""`validate` refuses configurations that cannot work, and gives each mistake's line, key and remedy."""

import os
import tempfile
import unittest

from test_life import run

GOOD = """\
models:
  - name: big
    endpoints:
      - url: http://10.0.0.1:8000/v1
      - url: http://10.0.0.2:8000/v1
        weight: 2
    fallback: [small]
  - name: small
    endpoints:
      - url: https://10.0.0.3/v1
        tls: {}
    balance: round_robin
"""


class Validate(unittest.TestCase):
    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory(prefix="open-autoglm-test-"))
        self.path = os.path.join(self.folder, "c.yaml")

    def validate(self, text):
        with open(self.path, "w") as file:
            file.write(text)
        code, out, err = run("validate", self.path)
        return code, out + err

    def check(self, old, new, *mistakes, count=1):
        """Each mistake: (text of the line, key, words of the message)."""
        self.assertIn(old, GOOD)
        text = GOOD.replace(old, new, count)
        code, said = self.validate(text)
        self.assertNotEqual(code, 0)
        for line_text, key, words in mistakes:
            line = next(i for i, line in enumerate(text.splitlines(), 1) if line_text in line)
            told = [one for one in said.splitlines() if one.startswith(f"{self.path}:{line}:") and key in one]
            self.assertEqual(len(told), 1, f"line {line}, {key}:\n{said}")
            self.assertIn(words, told[0])

    def test_good(self):
        self.assertEqual(self.validate(GOOD)[0], 0, self.validate(GOOD))

    def test_duplicate_names(self):
        text = GOOD.replace("name: small", "name: big").replace("fallback: [small]", "fallback: []")
        code, said = self.validate(text)
        self.assertNotEqual(code, 0)
        self.assertIn(f"{self.path}:8:", said)
        self.assertIn("models[1].name", said)
        self.assertIn("another model is called \"big\" already", said)

    def test_one_endpoint_twice(self):
        self.check("10.0.0.2:8000/v1", "10.0.0.1:8000/v1/", ("8000/v1/", "models[0].endpoints[1].url", "more weight instead"))

    def test_an_unknown_policy(self):
        self.check("balance: round_robin", "balance: fastest", ("fastest", "models[1].balance", "least_load"))

    def test_weight_zero(self):
        self.check("weight: 2", "weight: 0", ("weight: 0", "models[0].endpoints[1].weight", "1"))

    def test_only_backups(self):
        code, said = self.validate(GOOD.replace("tls: {}", "backup: true"))
        self.assertNotEqual(code, 0)
        self.assertRegex(said, rf"{self.path}:(9|10):.*models\[1\].endpoints.*one at least must not be")

    def test_fallbacks(self):
        self.check("fallback: [small]", "fallback: [smal]", ("smal]", "models[0].fallback[0]", "names no model here"))
        self.check("fallback: [small]", "fallback: [big]", ("[big]", "models[0].fallback", "break the circle"))
        self.check("    balance: round_robin", "    fallback: [big]", ("[small]", "models[0].fallback", "break the circle"),
                   ("[big]", "models[1].fallback", "break the circle"))

    def test_urls(self):
        for url in ("10.0.0.3/v1", "ftp://10.0.0.3/v1", "https://", "https://u:p@10.0.0.3/v1", "https://10.0.0.3:99999/v1",
                    "https://10.0.0.3/v 1"):
            with self.subTest(url):
                self.check("https://10.0.0.3/v1", f'"{url}"', (url, "models[1].endpoints[0].url", ""))

    def test_certificates(self):
        none, text = os.path.join(self.folder, "none.pem"), os.path.join(self.folder, "text.pem")
        with open(text, "w") as file:
            file.write("no certificate\n")
        key = "models[1].endpoints[0].tls."
        self.check("tls: {}", f"tls: {{ca: {none}}}", (none, key + "ca", "cannot be read"))
        self.check("tls: {}", f"tls: {{ca: {text}}}", (text, key + "ca", "no file of certificates"))
        self.check("tls: {}", f"tls: {{certificate: {text}}}", (text, key + "certificate", "needs its `key`"))
        self.check("tls: {}", f"tls: {{certificate: {text}, key: {text}}}", (text, key + "certificate", "do not go together"))
        self.check("tls: {}", f"tls: {{key: {text}}}", (text, key + "key", "needs its `certificate`"))

    def test_all_mistakes_at_once(self):
        text = GOOD.replace("weight: 2", "weight: 0").replace("round_robin", "fastest")
        code, said = self.validate(text)
        self.assertNotEqual(code, 0)
        self.assertIn("models[0].endpoints[1].weight", said)
        self.assertIn("models[1].balance", said)

    def test_times_that_contradict_each_other(self):
        self.check("balance: round_robin", "ejection: {base_time: 10m, max_time: 1m}",
                   ("ejection", "models[1].ejection.max_time", "below `base_time`"))


if __name__ == "__main__":
    unittest.main()

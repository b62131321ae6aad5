"""Sampling defaults: where they come from, how they are shown, and that a request's own values take precedence."""

import json
import os
import shutil
import struct
import tempfile
import unittest

from server import ISOLATION, TINY_MODEL, Server, ServerTest, wait_for

PLAIN = {"temperature": 1, "top_p": 1, "top_k": 0, "min_p": 0, "presence_penalty": 0, "frequency_penalty": 0,
         "repetition_penalty": 1}


def shown(**others):
    """As /v1/models shows them: plain sampling but for `others`, name=(value, source)."""
    return {name: dict(zip(("value", "source"), others.get(name, (value, "plain")))) for name, value in PLAIN.items()}


def with_metadata(path, out, **floats):
    """Copies a GGUF file with general.sampling.NAME added to its metadata."""
    text = lambda value: struct.pack("<Q", len(value)) + value
    added = b"".join(text(f"general.sampling.{name}".encode()) + struct.pack("<If", 6, value)
                     for name, value in floats.items())
    filler = text(b"test.filler") + struct.pack("<I", 8)  # pads to a multiple of the alignment, so that the rest stays unchanged
    added += filler + text(b"x" * (-(len(added) + len(filler) + 8) % 32))
    with open(path, "rb") as file:
        data = file.read()
    magic, version, tensors, values = struct.unpack("<4sIQQ", data[:24])
    with open(out, "wb") as file:
        file.write(struct.pack("<4sIQQ", magic, version, tensors, values + len(floats) + 1) + added + data[24:])


class Sources(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="open-autoglm-test-")
        self.addCleanup(self.folder.cleanup)
        self.path = os.path.join(self.folder.name, "m.gguf")
        shutil.copyfile(TINY_MODEL, self.path)

    def write_generation_config(self, **values):
        with open(os.path.join(self.folder.name, "generation_config.json"), "w") as file:
            json.dump(values, file)

    def defaults(self, engine=None, **more):
        with Server(model=self.path, engine=engine, **more) as server:
            (model,) = server.get("/v1/models").json()["data"]
            self.assertEqual(server.get("/v1/models/tiny").json(), model)
            self.assertEqual(model["object"], "model")
            self.assertIn("max_model_len", model)
            return model["sampling_defaults"]

    def test_nobody_says_anything(self):
        self.assertEqual(self.defaults(), shown())

    def test_metadata(self):
        with_metadata(TINY_MODEL, self.path, temp=0.25, top_p=0.5)
        self.assertEqual(self.defaults(), shown(temperature=(0.25, "gguf"), top_p=(0.5, "gguf")))

    def test_generation_config_wins_over_metadata(self):
        with_metadata(TINY_MODEL, self.path, temp=0.25, top_p=0.5)
        self.write_generation_config(temperature=0.7, top_k=20, repetition_penalty=1.05, eos_token_id=[1, 2])
        source = "generation_config.json"
        self.assertEqual(self.defaults(), shown(temperature=(0.7, source), top_k=(20, source),
                                                repetition_penalty=(1.05, source), top_p=(0.5, "gguf")))

    def test_configuration_wins_over_both(self):
        with_metadata(TINY_MODEL, self.path, temp=0.25, top_p=0.5)
        self.write_generation_config(temperature=0.7)
        self.assertEqual(self.defaults({"sampling": {"temperature": 1, "min_p": 0.1}}),
                         shown(temperature=(1, "configuration"), min_p=(0.1, "configuration"), top_p=(0.5, "gguf")))

    def test_none_by_flag_variable_and_key(self):
        self.write_generation_config(temperature=0.7)
        self.assertEqual(self.defaults(args=["--generation-defaults", "none"]), shown())
        self.assertEqual(self.defaults(env={"OPEN_AUTOGLM_SERVER_GENERATION_DEFAULTS": "none"}), shown())
        self.assertEqual(self.defaults({"generation_defaults": "none"}), shown())
        # The flag is for models without a setting of their own, and does not override the operator's configuration.
        self.assertEqual(self.defaults({"sampling": {"top_k": 3}}, args=["--generation-defaults", "none"]),
                         shown(top_k=(3, "configuration")))
        self.assertEqual(self.defaults({"generation_defaults": "model"}, args=["--generation-defaults", "none"]),
                         shown(temperature=(0.7, "generation_config.json")))

    def test_what_is_not_heeded_is_in_the_log(self):
        with_metadata(TINY_MODEL, self.path, mirostat=2)
        self.write_generation_config(temperature=9)
        with Server(model=self.path) as server:
            def told():
                return [line["what"] for line in server.log_lines() if line.get("message") == "a sampling default is not heeded"]
            wait_for(lambda: len(told()) == 2, "two lines of the log")
            self.assertEqual(told(), ["general.sampling.mirostat is something that this server does not do",
                                      "generation_config.json: temperature must be at least 0 and at most 2, got 9"])


class Requests(ServerTest):
    """The same model twice: one answers greedily unless a request says otherwise."""

    server_options = {"models": [
        {"name": "greedy", "engine": {"path": TINY_MODEL, "threads": 1, "sampling": {"temperature": 0, "top_k": 3}, **ISOLATION}},
        {"name": "plain", "engine": {"path": TINY_MODEL, "threads": 1, **ISOLATION}}]}

    def texts(self, model, path="/v1/completions", **more):
        """The texts for ten seeds; the fixture's best word has a probability of 0.79."""
        body = {"model": model, "max_tokens": 16, "prompt": "Hello", **more}
        return [self.server.post(path, {**body, "seed": seed}).json()["choices"][0]["text"] for seed in range(10)]

    def test_a_request_that_does_not_say_gets_the_default(self):
        self.assertEqual(len(set(self.texts("greedy"))), 1)
        self.assertEqual(self.texts("greedy"), self.texts("plain", temperature=0))
        self.assertEqual(self.texts("greedy", temperature=None), self.texts("greedy"))

    def test_its_own_word_wins_also_where_it_is_the_neutral_one(self):
        plain = self.texts("plain")
        self.assertGreater(len(set(plain)), 1)
        self.assertEqual(self.texts("greedy", temperature=1, top_k=0), plain)
        three = self.texts("plain", top_k=3)
        self.assertNotEqual(three, plain)
        self.assertEqual(self.texts("greedy", temperature=1), three)

    def test_they_hold_for_every_api(self):
        chats = {json.dumps(self.server.post("/v1/chat/completions", {
            "model": "greedy", "max_tokens": 16, "messages": [{"role": "user", "content": "Hi"}], "seed": seed,
        }).json()["choices"]) for seed in range(5)}
        self.assertEqual(len(chats), 1)
        generated = {self.server.post("/generate", {"prompt": "Hello", "seed": seed}).body for seed in range(5)}
        self.assertEqual(len(generated), 1)


if __name__ == "__main__":
    unittest.main()

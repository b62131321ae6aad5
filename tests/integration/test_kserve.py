"""KServe's v2 protocol and Triton's extensions over HTTP, and llama-server's own routes, as their clients call them."""

import json
import struct

from server import ServerTest

MODEL = "/v2/models/tiny"


def text_tensor(*texts, **more):
    return {"name": "text_input", "datatype": "BYTES", "shape": [len(texts)], "data": list(texts), **more}


class Kserve(ServerTest):
    parameters = {"temperature": 0, "max_tokens": 8, "exclude_input_in_output": True}

    def generate(self, **more):
        answer = self.server.post(f"{MODEL}/generate", {"text_input": "Hello", "parameters": self.parameters, **more})
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json()

    def test_server_and_model(self):
        self.assertEqual(self.server.get("/v2").json()["name"], "open-autoglm")
        for path in ["/v2/health/live", "/v2/health/ready", f"{MODEL}/ready", f"{MODEL}/versions/1/ready"]:
            self.assertEqual(self.server.get(path).status, 200, path)
        described = self.server.get(f"{MODEL}/versions/1").json()
        self.assertEqual(described["versions"], ["1"])
        self.assertIn("text_input", [tensor["name"] for tensor in described["inputs"]])

    def test_infer_says_what_generate_says(self):
        text = self.generate()["text_output"]
        self.assertTrue(text)
        body = {"id": "42", "inputs": [text_tensor("Hello")], "parameters": self.parameters}
        answer = self.server.post(f"{MODEL}/infer", body).json()
        self.assertEqual(answer["id"], "42")
        self.assertEqual(answer["outputs"], [{"name": "text_output", "datatype": "BYTES", "shape": [1], "data": [text]}])

    def test_binary_tensors(self):
        text = self.generate()["text_output"]
        data = struct.pack("<I", 5) + b"Hello"
        tensor = {"name": "text_input", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(data)}}
        head = json.dumps({"inputs": [tensor], "parameters": {**self.parameters, "binary_data_output": True}}).encode()
        answer = self.server.call("POST", f"{MODEL}/infer", head + data,
                                  headers={"Inference-Header-Content-Length": str(len(head))})
        self.assertEqual(answer.status, 200, answer.body)
        size = int(answer.headers["inference-header-content-length"])
        self.assertEqual(json.loads(answer.body[:size])["outputs"][0]["parameters"]["binary_data_size"],
                         len(answer.body) - size)
        self.assertEqual(answer.body[size + 4:].decode(), text)

    def test_streamed_equals_whole(self):
        connection, response = self.server.stream(f"{MODEL}/generate_stream",
                                                  {"text_input": "Hello", "parameters": self.parameters,
                                                   "return_finish_reason": True})
        frames = [json.loads(line[6:]) for line in response if line.startswith(b"data: ")]
        connection.close()
        self.assertEqual("".join(frame["text_output"] for frame in frames), self.generate()["text_output"])
        self.assertEqual(frames[-1]["finish_reason"], "length")

    def test_the_input_comes_first_unless_told_otherwise(self):
        answer = self.server.post(f"{MODEL}/generate", {"text_input": "Hello", "max_tokens": 4}).json()
        self.assertTrue(answer["text_output"].startswith("Hello"))

    def test_errors(self):
        for path, body, status, says in [("/v2/models/huge/infer", {"inputs": [text_tensor("x")]}, 404, "tiny"),
                                         (f"{MODEL}/versions/2/generate", {"text_input": "x"}, 404, "version"),
                                         (f"{MODEL}/generate", {"text_input": "x", "temperature": "warm"}, 400, "temperature"),
                                         (f"{MODEL}/infer", {"inputs": [text_tensor("x", shape=[2])]}, 400, "shape"),
                                         ("/v2/models/tiny/load", {}, 405, "GET")]:
            with self.subTest(path):
                answer = self.server.post(path, body)
                self.assertEqual(answer.status, status, answer.body)
                self.assertEqual(list(answer.json()), ["error"])
                self.assertIn(says, answer.json()["error"])


class LlamaServer(ServerTest):
    body = {"prompt": "Hello", "n_predict": 8, "temperature": 0}

    def test_completion(self):
        whole = self.server.post("/completion", self.body).json()
        self.assertTrue(whole["content"])
        self.assertEqual((whole["stop"], whole["stop_type"], whole["tokens_predicted"]), (True, "limit", 8))
        self.assertEqual(whole["timings"]["predicted_n"], 8)
        self.assertGreater(whole["timings"]["prompt_ms"], 0)
        connection, response = self.server.stream("/completion", self.body)
        frames = [json.loads(line[6:]) for line in response if line.startswith(b"data: ")]
        connection.close()
        self.assertEqual("".join(frame["content"] for frame in frames), whole["content"])
        self.assertEqual([frame["stop"] for frame in frames].count(True), 1)
        self.assertEqual(sum(len(frame["tokens"]) for frame in frames), 8)

    def test_a_prompt_is_read_ahead_of_time(self):
        read = self.server.post("/completion", {**self.body, "n_predict": 0}).json()
        self.assertEqual((read["content"], read["tokens_predicted"]), ("", 0))
        self.assertGreater(read["tokens_evaluated"], 0)

    def test_infill_is_for_models_that_can(self):
        answer = self.server.post("/infill", {"input_prefix": "a", "input_suffix": "b", "n_predict": 4})
        self.assertEqual(answer.status, 400)
        self.assertIn("filling in the middle", answer.json()["error"]["message"])

    def test_props_and_slots(self):
        props = self.server.get("/props").json()
        self.assertEqual(props["model_alias"], "tiny")
        slots = self.server.get("/slots").json()
        self.assertEqual(len(slots), props["total_slots"])
        self.assertEqual(slots[0]["n_ctx"], props["default_generation_settings"]["n_ctx"])
        self.assertIn("{", props["chat_template"])


class Browsers(ServerTest):
    server_options = {"server": {"cors": {"origins": ["https://app.example"]}}}

    def test_a_page_that_is_named_may_call(self):
        asked = self.server.call("OPTIONS", "/v1/chat/completions", headers={
            "Origin": "https://app.example", "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type"})
        self.assertEqual((asked.status, asked.body), (204, b""))
        self.assertEqual(asked.headers["access-control-allow-origin"], "https://app.example")
        answer = self.server.post("/v1/completions", {"prompt": "Hello", "max_tokens": 2},
                                  headers={"Origin": "https://app.example"})
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.headers["access-control-allow-origin"], "https://app.example")
        self.assertIn("x-request-id", answer.headers["access-control-expose-headers"])
        other = self.server.get("/v1/models", headers={"Origin": "https://evil.example"})
        self.assertNotIn("access-control-allow-origin", other.headers)

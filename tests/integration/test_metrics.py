"""/metrics: Prometheus' own check, vLLM's names, numbers that equal what was sent."""

import re
import shutil
import subprocess
import unittest

from server import Server, ServerTest, wait_for

VLLM = ["num_requests_running", "num_requests_waiting", "kv_cache_usage_perc", "time_to_first_token_seconds",
        "inter_token_latency_seconds", "e2e_request_latency_seconds", "request_queue_time_seconds",
        "prompt_tokens_total", "generation_tokens_total", "request_success_total", "prefix_cache_queries_total",
        "prefix_cache_hits_total", "num_preemptions_total"]


class Metrics(ServerTest):
    server_options = {"server": {"peer_key": "a secret that servers share"}}

    def test_load_report(self):
        prompt = "Once upon a time there was a little " * 40
        answer = self.server.call("POST", "/v1/completions", {"prompt": prompt, "max_tokens": 2},
                                  headers={"endpoint-load-metrics-format": "TEXT"})
        self.assertEqual(answer.status, 200, answer.body)
        self.assertRegex(answer.headers["endpoint-load-metrics"],
                         r"^TEXT named_metrics.kv_cache_usage_perc=[0-9.]+, named_metrics.num_requests_running=\d+, ")
        self.assertNotIn("endpoint-load-metrics", self.server.post("/v1/completions", {"prompt": "Hi", "max_tokens": 1}).headers)
        for admin in (False, True):
            def idle(admin=admin):  # an engine in another process reports only at intervals
                (load,) = self.server.get("/load", admin=admin).json()["models"]
                return load if load["prefixes"] and load["running"] == load["waiting"] == 0 else None
            load = wait_for(idle, "a report of what was read")
            self.assertEqual(load["model"], "tiny")
            self.assertGreater(load["max_running"], 0)
            self.assertGreater(load["step_time_us"], 0)

    def test_counts_what_was_sent(self):
        names = {"vllm:prompt_tokens_total": {}, "vllm:generation_tokens_total": {},
                 "vllm:request_success_total": {"finished_reason": "length"},
                 "vllm:time_to_first_token_seconds_count": {}, "vllm:inter_token_latency_seconds_count": {},
                 "autoglm_http_requests_total": {"route": "/v1/completions", "code": "200"}}
        before = {name: self.server.metric(name, **labels) for name, labels in names.items()}
        prompt_tokens = 0
        for i in range(5):
            usage = self.server.post("/v1/completions", {"prompt": f"Hello {i}", "max_tokens": 7, "ignore_eos": True}).json()["usage"]
            prompt_tokens += usage["prompt_tokens"]
        self.server.post("/v1/completions", {"prompt": 1})
        after = {name: self.server.metric(name, **labels) - before[name] for name, labels in names.items()}
        self.assertEqual(list(after.values()), [prompt_tokens, 35, 5, 5, 30, 5])

    def test_has_vllms_names(self):
        text = self.server.get("/metrics").body.decode()
        for name in VLLM:
            self.assertRegex(text, rf'\nvllm:{name}\S*{{.*model_name="tiny"')

    def test_is_well_formed(self):
        self.server.post("/v1/completions", {"prompt": "a", "max_tokens": 2})
        answer = self.server.get("/metrics")
        self.assertTrue(answer.headers["content-type"].startswith("text/plain; version=0.0.4"))
        text = answer.body.decode()
        typed = set(re.findall(r"^# TYPE (\S+) ", text, re.M))
        helped = set(re.findall(r"^# HELP (\S+) \S", text, re.M))
        self.assertEqual(typed, helped)
        for line in text.splitlines():
            if not line.startswith("#"):
                name = re.match(r"[a-zA-Z_:][a-zA-Z0-9_:]*", line)[0]
                self.assertTrue(name in typed or re.sub(r"_(bucket|sum|count)$", "", name) in typed, line)
        if shutil.which("promtool"):
            done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
            # promtool objects to the colons in vLLM's names; everything else that it reports is a fault.
            said = [line for line in done.stderr.splitlines() if "should not contain ':'" not in line]
            self.assertEqual(said, [])

    def test_clients_make_no_series(self):
        for path in ("/made/up", "/metrics"):  # each path makes its own series
            self.server.get(path)
        before = len(self.server.get("/metrics").body.splitlines())
        for i in range(50):
            self.server.get(f"/made/up/{i}")
        self.assertLess(len(self.server.get("/metrics").body.splitlines()), before + 5)


class Disabled(unittest.TestCase):
    def test_enable_metrics_false(self):
        with Server(env={"ENABLE_METRICS": "false"}, ready=True) as server:
            self.assertEqual(server.get("/metrics").status, 404)
            self.assertEqual(server.get("/metrics", admin=True).status, 404)

"""pull, models, rm, and serving what is not here yet: against a hub on loopback that breaks in every way."""

import hashlib
import os
import re
import resource
import shlex
import signal
import subprocess
import tempfile
import threading
import unittest

from hub import FILE, REPOSITORY, TINY, Hub, cached
from server import BINARY, PATIENCE, Server, environment, wait_for

MODEL = f"hf:{REPOSITORY}"
HALF = len(TINY) // 2


class PullTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="open-autoglm-test-")
        self.addCleanup(folder.cleanup)
        self.cache = folder.name

    def hub(self, **options):
        hub = Hub(**options)
        self.addCleanup(hub.__exit__)
        return hub

    def run_command(self, hub, *args, **env):
        return subprocess.run([BINARY, *args], capture_output=True, text=True, timeout=2 * PATIENCE, stdin=subprocess.DEVNULL,
                              env=environment(**hub.environment(self.cache, **env)))

    def start(self, hub, *args, **env):
        """Starts a process; returns it and a function that reads its standard error so far."""
        path = os.path.join(self.cache, f"err-{len(os.listdir(self.cache))}")
        with open(path, "w") as err:
            process = subprocess.Popen([BINARY, *args], stdout=subprocess.PIPE, stderr=err, text=True,
                                       env=environment(**hub.environment(self.cache, **env)))
        self.addCleanup(process.communicate)
        self.addCleanup(lambda: process.poll() is None and process.kill())

        def said():
            with open(path) as file:
                return file.read()
        return process, said

    def pulls(self, hub, model=MODEL, **env):
        done = self.run_command(hub, "pull", model, **env)
        self.assertEqual(done.returncode, 0, done.stderr)
        path = done.stdout.strip()
        self.assertTrue(os.path.isfile(path), done.stdout)
        return path, done.stderr

    def fails(self, hub, model=MODEL, says=(), code=1, **env):
        done = self.run_command(hub, "pull", model, **env)
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        for words in [says] if isinstance(says, str) else says:
            self.assertIn(words, done.stderr)
        return done.stderr

    def assert_tiny(self, path):
        with open(path, "rb") as file:
            self.assertEqual(hashlib.sha256(file.read()).hexdigest(), hashlib.sha256(TINY).hexdigest())
        left = [name for name in os.listdir(os.path.dirname(path)) if "partial" in name]
        self.assertEqual(left, [])

    def partial(self):
        path = cached(self.cache, "hf", REPOSITORY, FILE + ".partial")
        return os.path.getsize(path) if os.path.exists(path) else None


class Names(PullTest):
    def test_bare_hf_quantization_and_file(self):
        hub = self.hub(files={FILE: TINY, "tiny-Q8_0.gguf": TINY + b"8", "mmproj-F16.gguf": b"GGUF"})
        for model, name in [(REPOSITORY, FILE), (f"{MODEL}:q8_0", "tiny-Q8_0.gguf"), (f"{MODEL}:{FILE}", FILE)]:
            path, _ = self.pulls(hub, model)
            self.assertEqual(path, cached(self.cache, "hf", REPOSITORY, name))
        self.assertEqual(len(hub.downloads), 2, "what is here is not fetched again")

    def test_modelscope(self):
        hub = self.hub()
        path, _ = self.pulls(hub, f"modelscope:{REPOSITORY}")
        self.assertEqual(path, cached(self.cache, "modelscope", REPOSITORY, FILE))
        self.assert_tiny(path)

    def test_an_address(self):
        hub = self.hub()
        path, said = self.pulls(hub, f"{hub.storage}/{FILE}")
        self.assert_tiny(path)
        self.assertIn("states no sha256", said)

    def test_an_address_of_the_hub_has_its_digest(self):
        hub = self.hub()
        path, said = self.pulls(hub, f"{hub.url}/{REPOSITORY}/resolve/main/{FILE}")
        self.assert_tiny(path)
        self.assertNotIn("states no sha256", said)

    def test_split_models(self):
        names = [f"big-Q4_K_M-{part:05}-of-00003.gguf" for part in (1, 2, 3)]
        files = {name: b"GGUF" + name.encode() for name in names}
        hub = self.hub(files=files)
        for model in (f"{MODEL}:Q4_K_M", f"{hub.storage}/{names[0]}"):
            path, _ = self.pulls(hub, model)
            self.assertEqual(os.path.basename(path), names[0])
            for name in names:
                with open(os.path.join(os.path.dirname(path), name), "rb") as file:
                    self.assertEqual(file.read(), files[name])

    def test_a_split_model_that_lacks_a_part(self):
        hub = self.hub(files={"big-00001-of-00002.gguf": b"GGUF"})
        self.fails(hub, says="lacks big-00002-of-00002.gguf")

    def test_wrong_names(self):
        hub = self.hub(files={FILE: TINY, "tiny-Q8_0.gguf": TINY})
        self.fails(hub, f"{MODEL}:tiny-Q4_K_S.gguf", says=[f"did you mean {FILE}?", "tiny-Q8_0.gguf"])
        self.fails(hub, f"{MODEL}:Q6_K", says=["has no Q6_K", FILE, "tiny-Q8_0.gguf"])
        self.fails(hub, "hf:org/none", says=["404", "no such repository"])
        self.fails(hub, "qwen2.5-0.5b-instuct", says="did you mean qwen2.5-0.5b-instruct?")
        self.fails(hub, "hf:org", says="ORG/REPO", code=2)
        self.fails(hub, "./x.gguf", says="nothing to pull", code=2)
        self.assertEqual(hub.downloads, [])


class Lines(PullTest):
    """Bad network lines."""

    def test_a_line_that_breaks_is_resumed_where_it_broke(self):
        hub = self.hub(plan=[{"cut": 100_000}, {"cut": 200_000}, {}])
        path, said = self.pulls(hub)
        self.assert_tiny(path)
        self.assertEqual([seen.range for seen in hub.downloads], [None, "bytes=100000-", "bytes=300000-"])
        self.assertEqual(hub.downloads[1].headers["if-range"], f'"{len(TINY)}"')
        self.assertIn("trying again", said)

    def test_a_line_that_brings_nothing_is_given_up(self):
        hub = self.hub(plan=[{"cut": 100_000}, {"cut": 0}])
        said = self.fails(hub, says=["is kept", "pulling again resumes it"])
        self.assertEqual(self.partial(), 100_000)
        self.assertLess(len(hub.downloads), 10, said)
        hub.plan = []
        path, said = self.pulls(hub)
        self.assert_tiny(path)
        self.assertEqual(hub.downloads[-1].range, "bytes=100000-")

    def test_killed_in_the_middle_and_resumed_from_there(self):
        never = threading.Event()
        self.addCleanup(never.set)
        hub = self.hub(plan=[{"hold": never}, {}])
        process, _ = self.start(hub, "pull", MODEL)
        wait_for(lambda: self.partial() == HALF, "half of the file")
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE)
        path, said = self.pulls(hub)
        self.assert_tiny(path)
        self.assertEqual(hub.downloads[1].range, f"bytes={HALF}-")
        self.assertIn("resuming after", said)

    def test_a_server_that_ignores_ranges_starts_over(self):
        hub = self.hub(plan=[{"cut": HALF}, {"ignore_range": True}])
        path, said = self.pulls(hub)
        self.assert_tiny(path)
        self.assertEqual(hub.downloads[1].range, f"bytes={HALF}-")
        self.assertIn("starting over", said)

    def test_a_file_that_changed_is_not_mixed_with_what_it_was(self):
        hub = self.hub(states_digest=False, plan=[{"cut": HALF, "body": b"GGUF" + bytes(len(TINY) - 4), "etag": '"old"'},
                                                  {"etag": '"new"'}])
        path, _ = self.pulls(hub)
        self.assert_tiny(path)
        self.assertEqual([seen.headers.get("if-range") for seen in hub.downloads], [None, '"old"'])

    def test_what_cannot_be_known_to_be_the_same_is_fetched_anew(self):
        hub = self.hub(states_digest=False)
        folder = cached(self.cache, "hf", REPOSITORY)
        os.makedirs(folder)
        with open(os.path.join(folder, FILE + ".partial"), "wb") as file:
            file.write(b"GGUF of long ago")
        path, said = self.pulls(hub)
        self.assert_tiny(path)
        self.assertEqual(hub.downloads[0].range, None)
        self.assertIn("cannot be resumed", said)

    def test_a_whole_partial_is_only_checked(self):
        hub = self.hub()
        folder = cached(self.cache, "hf", REPOSITORY)
        os.makedirs(folder)
        with open(os.path.join(folder, FILE + ".partial"), "wb") as file:
            file.write(TINY)
        self.assert_tiny(self.pulls(hub)[0])
        self.assertEqual(hub.downloads, [])

    def test_416_for_an_address_means_that_all_is_here(self):
        hub = self.hub(plan=[{"cut": HALF}, {}])
        address = f"{hub.storage}/{FILE}"
        path, _ = self.pulls(hub, address)
        os.rename(path, path + ".partial")
        with open(path + ".partial.note", "w") as note:
            note.write(f'etag "{len(TINY)}"\nsha256 \nbytes \n')
        path, _ = self.pulls(hub, address)
        self.assert_tiny(path)
        self.assertEqual(hub.downloads[-1].range, f"bytes={len(TINY)}-")

    def test_416_for_too_much_starts_over(self):
        hub = self.hub(states_digest=False)
        address = f"{hub.storage}/{FILE}"
        path, _ = self.pulls(hub, address)
        with open(path + ".partial", "wb") as file:
            file.write(TINY + b"more")
        os.remove(path)
        with open(path + ".partial.note", "w") as note:
            note.write(f'etag "{len(TINY)}"\nsha256 \nbytes \n')
        path, said = self.pulls(hub, address)
        self.assert_tiny(path)
        self.assertIn("starting over", said)

    def test_busy_servers_are_asked_again(self):
        hub = self.hub(plan=[{"status": 429, "headers": {"Retry-After": "0"}}, {"status": 503}, {}])
        path, said = self.pulls(hub)
        self.assert_tiny(path)
        self.assertIn("429", said)
        self.assertEqual(len(hub.downloads), 3)

    def test_a_wait_of_hours_is_told_and_not_waited(self):
        hub = self.hub(plan=[{"status": 429, "headers": {"Retry-After": "7200"}}])
        self.fails(hub, says=["429", "asks to wait 7200 s"])
        self.assertEqual(len(hub.downloads), 1)
        hub.listing = (429, {"Retry-After": "7200"}, b"")
        self.fails(hub, says=["429", "asks to wait 7200 s"])

    def test_nobody_there(self):
        hub = self.hub()
        hub.__exit__()
        self.fails(hub, says="check the network, HF_ENDPOINT and proxies")


class Contents(PullTest):
    def test_corruption_is_noticed_and_deleted(self):
        hub = self.hub(plan=[{"body": TINY[:-1] + bytes([TINY[-1] ^ 1])}])
        self.fails(hub, says=["is corrupt", "the hub states " + hashlib.sha256(TINY).hexdigest(), "partial file is deleted"])
        self.assertIsNone(self.partial())
        self.assertFalse(os.path.exists(cached(self.cache, "hf", REPOSITORY, FILE)))

    def test_a_part_that_was_corrupted_on_this_machine(self):
        hub = self.hub(plan=[{"cut": HALF}, {"cut": 0}])
        self.fails(hub)
        with open(cached(self.cache, "hf", REPOSITORY, FILE + ".partial"), "r+b") as file:
            file.seek(1000)
            file.write(b"\xff\xff\xff\xff\xff")
        hub.plan = []
        self.fails(hub, says="is corrupt")
        self.assertIsNone(self.partial())
        self.assert_tiny(self.pulls(hub)[0])

    def test_a_page_is_no_model(self):
        page = b"<!DOCTYPE html><html>Please log in</html>".ljust(len(TINY))
        hub = self.hub(plan=[{"body": page}])
        self.fails(hub, says="is a web page, not a model")
        self.assertIsNone(self.partial())
        self.fails(hub, f"{hub.storage}/{FILE}", says="is a web page, not a model")

    def test_a_short_page_with_the_status_of_success(self):
        hub = self.hub(plan=[{"body": b"<html>no</html>"}])
        self.fails(hub, says="is a web page, not a model")

    def test_a_longer_file_than_is_stated(self):
        hub = self.hub(plan=[{"body": TINY + b"x"}])
        self.fails(hub, says="is longer than")

    def test_listings_that_are_none(self):
        hub = self.hub(listing=(200, {}, b"<html>captive portal</html>"))
        self.fails(hub, says="is the endpoint one?")

    def test_repositories_without_gguf(self):
        self.fails(self.hub(files={"model.safetensors": b""}), says="has no .gguf file")


class Access(PullTest):
    def test_a_gated_model_says_what_to_do(self):
        hub = self.hub()
        hub.private = True
        self.fails(hub, says=["401", "set HF_TOKEN"])
        self.fails(hub, says=["403", "the token in HF_TOKEN may not read it"], HF_TOKEN="hf_wrong")
        self.assert_tiny(self.pulls(hub, HF_TOKEN="hf_right")[0])

    def test_refusals_of_the_file(self):
        for status, says in [(401, "set HF_TOKEN"), (403, "set HF_TOKEN"), (404, "no such")]:
            hub = self.hub(redirects=False, plan=[{"status": status}])
            self.fails(hub, says=[str(status), says])
            self.assertEqual(len(hub.downloads), 1)

    def test_the_token_stays_with_its_origin(self):
        hub = self.hub()
        self.pulls(hub, HF_TOKEN="hf_secret")
        self.assertEqual([seen.token for seen in hub.listings + hub.resolves], ["Bearer hf_secret"] * 2)
        self.assertEqual([seen.token for seen in hub.downloads], [None])

    def test_the_token_is_for_no_other_hub_or_address(self):
        hub = self.hub()
        self.pulls(hub, f"{hub.storage}/{FILE}", HF_TOKEN="hf_secret")
        self.pulls(hub, f"modelscope:{REPOSITORY}", HF_TOKEN="hf_secret", HF_ENDPOINT="http://127.0.0.1:1")
        self.assertEqual([seen.token for seen in hub.downloads], [None, None])

    def test_through_a_proxy(self):
        hub = self.hub(redirects=False)  # accepts full URLs, as a proxy does
        self.pulls(hub, HF_ENDPOINT="http://hub.invalid", HTTP_PROXY=hub.url)
        self.assertEqual(hub.listings[0].path, f"http://hub.invalid/api/models/{REPOSITORY}/tree/main?recursive=true")
        self.fails(hub, "hf:org/other", HF_ENDPOINT="http://hub.invalid", HTTP_PROXY="socks5://127.0.0.1:1", says="socks5", code=2)


class Disk(PullTest):
    def test_a_model_larger_than_the_disk_is_refused_before_a_byte(self):
        hub = self.hub()
        hub.wrong_sizes[FILE] = 1 << 60
        self.fails(hub, says=["needs", "free: make room"])
        self.assertEqual(hub.downloads, [])

    def test_an_address_larger_than_the_disk(self):
        class Huge(bytes):
            def __len__(self):
                return 1 << 56
        hub = self.hub(plan=[{"body": Huge(TINY)}])
        self.fails(hub, f"{hub.storage}/{FILE}", says=["needs", "free: make room"])

    def test_a_disk_that_is_full_in_the_middle(self):
        hub = self.hub()
        limit = (HALF, HALF)
        done = subprocess.run([BINARY, "pull", MODEL], capture_output=True, text=True, timeout=PATIENCE,
                              env=environment(**hub.environment(self.cache)), restore_signals=False,  # SIGXFSZ stays ignored
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("make room and try again", done.stderr)
        self.assertEqual(len(hub.downloads), 1)
        kept = self.partial()
        self.assertGreater(kept, 0)
        self.assert_tiny(self.pulls(hub)[0])
        self.assertEqual(hub.downloads[1].range, f"bytes={kept}-")

    def test_a_cache_that_cannot_be_written(self):
        hub = self.hub()
        self.fails(hub, says="set XDG_CACHE_HOME", XDG_CACHE_HOME="/proc/nowhere")


class Together(PullTest):
    def test_two_pulls_download_once(self):
        go = threading.Event()
        self.addCleanup(go.set)
        hub = self.hub(plan=[{"hold": go}])
        first, first_said = self.start(hub, "pull", MODEL)
        self.assertTrue(hub.half_sent.wait(PATIENCE))
        second, said = self.start(hub, "pull", MODEL)
        wait_for(said, "a word of the second")
        self.assertIn(f"is being pulled by process {first.pid}; waiting for it", said())
        done = self.run_command(hub, "models")
        self.assertRegex(done.stdout, rf"{MODEL}:{FILE} +\S+ \S+ +pulling 50 %")
        done = self.run_command(hub, "rm", MODEL)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"is being pulled by process {first.pid}", done.stderr)
        go.set()
        for process, words in ((first, first_said), (second, said)):
            out, _ = process.communicate(timeout=PATIENCE)
            self.assertEqual(process.returncode, 0, words())
            self.assert_tiny(out.strip())
        self.assertEqual((len(hub.downloads), len(hub.listings)), (1, 1))

    def test_whoever_waits_goes_on_when_the_first_dies(self):
        go = threading.Event()
        self.addCleanup(go.set)
        hub = self.hub(plan=[{"hold": go}, {}])
        first, _ = self.start(hub, "pull", MODEL)
        wait_for(lambda: self.partial() == HALF, "half of the file")
        second, said = self.start(hub, "pull", MODEL)
        wait_for(said, "a word of the second")
        self.assertIn("waiting for it", said())
        first.kill()
        out, _ = second.communicate(timeout=PATIENCE)
        self.assertEqual(second.returncode, 0, said())
        self.assert_tiny(out.strip())
        self.assertEqual(hub.downloads[1].range, f"bytes={HALF}-")


class Here(PullTest):
    def test_models_and_rm(self):
        hub = self.hub()
        self.pulls(hub)
        done = self.run_command(hub, "models")
        self.assertRegex(done.stdout, rf"{MODEL}:{FILE} +1\.5 MiB +ready")
        self.assertRegex(done.stdout, r"chatglm3-6b +- +- +Chinese")
        done = self.run_command(hub, "rm", f"{MODEL}:{FILE}")
        self.assertEqual((done.returncode, done.stdout), (0, f"removed {MODEL}:{FILE}, 1.5 MiB\n"))
        self.assertEqual(os.listdir(cached(self.cache)), [])
        done = self.run_command(hub, "rm", MODEL)
        self.assertEqual(done.returncode, 1)
        self.assertIn("`open-autoglm models` lists what is", done.stderr)
        self.assertEqual(self.run_command(hub, "rm", "/etc/hostname").returncode, 2)

    def test_progress_is_a_line_for_each_tenth(self):
        hub = self.hub(plan=[{"cut": HALF}, {}])
        _, said = self.pulls(hub)
        self.assertRegex(said, r"100 % of 1\.5 MiB\n$")
        self.assertNotIn("\r", said)

    def test_progress_is_a_bar_in_a_terminal(self):
        hub = self.hub()
        ours, theirs = os.openpty()
        process = subprocess.Popen([BINARY, "pull", MODEL], stdout=subprocess.DEVNULL, stderr=theirs,
                                   env=environment(**hub.environment(self.cache)))
        os.close(theirs)
        seen = b""
        try:
            while piece := os.read(ours, 4096):
                seen += piece
        except OSError:  # reading a closed terminal fails
            pass
        os.close(ours)
        self.assertEqual(process.wait(PATIENCE), 0, seen)
        self.assertRegex(seen.decode(), r"\r\[#+\] 100 % of 1\.5 MiB")


class Documentation(PullTest):
    def test_commands(self):
        with open(os.path.join(os.path.dirname(__file__), "..", "..", "docs", "models.md")) as file:
            blocks = re.findall(r"```sh\n(.*?)```", file.read(), re.S)
        commands = [shlex.split(line) for block in blocks for line in block.splitlines() if line.startswith("open-autoglm ")]
        self.assertGreaterEqual({command[1] for command in commands}, {"pull", "models", "rm"})
        hub = self.hub(repository=None, files={FILE: TINY, "tiny-Q8_0.gguf": TINY})
        for command in commands:
            with self.subTest(command):
                done = self.run_command(hub, *command[1:])
                self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(os.listdir(cached(self.cache, "hf")) if os.path.exists(cached(self.cache, "hf")) else [], [])


class Serving(PullTest):
    def server(self, hub, model=MODEL, **options):
        return Server(model=None, args=["--model", model], env=hub.environment(self.cache), **options)

    def test_what_is_not_here_is_pulled_first(self):
        go = threading.Event()
        self.addCleanup(go.set)
        hub = self.hub(plan=[{"hold": go}])
        with self.server(hub, ready=False) as server:
            self.assertTrue(hub.half_sent.wait(PATIENCE))
            wait_for(lambda: server.get("/health").json()["models"][0]["progress"] == 0.45, "half of the pull's progress")
            health = server.get("/health")
            self.assertEqual((health.status, health.json()["status"]), (503, "loading"))
            answer = server.post("/v1/completions", {"prompt": "x"})
            self.assertEqual((answer.status, answer.error["code"]), (503, "model_loading"))
            go.set()
            wait_for(lambda: server.get("/health").status == 200, "readiness")
            self.assertEqual([m["id"] for m in server.get("/v1/models").json()["data"]], [REPOSITORY])
            answer = server.post("/v1/completions", {"prompt": "Hello", "max_tokens": 4, "model": REPOSITORY})
            self.assertEqual(answer.status, 200, answer.body)
            self.assertEqual(answer.json()["usage"]["completion_tokens"], 4)
        with self.server(hub) as server:
            self.assertEqual(server.post("/v1/completions", {"prompt": "Hello", "max_tokens": 1}).status, 200)
        self.assertEqual(len(hub.downloads), 1, "what was pulled is served from here")

    def test_a_signal_ends_a_pull(self):
        never = threading.Event()
        self.addCleanup(never.set)
        hub = self.hub(plan=[{"hold": never}])
        with self.server(hub, ready=False):
            wait_for(lambda: self.partial() == HALF, "half of the file")
        self.assertEqual(self.partial(), HALF)

    def test_what_cannot_be_pulled_ends_the_server(self):
        hub = self.hub()
        done = self.run_command(hub, "serve", "hf:org/none", "--port", "0", "--admin-port", "0", "--host", "127.0.0.1")
        self.assertEqual(done.returncode, 1)
        self.assertIn("no such repository", done.stderr)


if __name__ == "__main__":
    unittest.main()

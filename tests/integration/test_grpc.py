"""gRPC's own client for Node against a server: scenarios in node_grpc/grpc_client.mjs, one a test."""

import os
import shutil
import signal
import subprocess

from server import PATIENCE, Server, ServerTest, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
PROTO = os.path.join(os.path.dirname(os.path.dirname(HERE)), "proto")


def command(server, name):
    # ES modules are looked up from the script's folder, so the script is run from where the client is installed.
    modules = os.environ["AUTOGLM_NODE_GRPC_MODULES"]
    script = os.path.join(os.path.dirname(modules), "grpc_client.mjs")
    shutil.copyfile(os.path.join(HERE, "node_grpc", "grpc_client.mjs"), script)
    return ["node", script, f"127.0.0.1:{server.port}", PROTO, name]


def scenario(server, name):
    done = subprocess.run(command(server, name), capture_output=True, text=True, timeout=4 * PATIENCE)
    if done.returncode != 0:
        raise AssertionError(done.stdout + done.stderr)


class GrpcClient(ServerTest):
    def test_unary(self):
        scenario(self.server, "unary")

    def test_server_stream(self):
        scenario(self.server, "server_stream")

    def test_the_text_is_that_of_rest(self):
        scenario(self.server, "same_text_as_rest")

    def test_structured_output(self):
        scenario(self.server, "structured")

    def test_empty_and_large_messages(self):
        scenario(self.server, "empty_and_large")

    def test_ping_pong(self):
        scenario(self.server, "ping_pong")

    def test_kserve(self):
        scenario(self.server, "kserve")

    def test_reflection(self):
        scenario(self.server, "reflection")

    def test_unimplemented(self):
        scenario(self.server, "unimplemented")
        scenario(self.server, "other_work")

    def test_status_with_details(self):
        scenario(self.server, "status_with_details")

    def test_gzip(self):
        scenario(self.server, "gzip")

    def test_deadline(self):
        scenario(self.server, "deadline")
        wait_for(self.server.idle, "the end of the late sequence")

    def test_cancelling_frees_the_sequence(self):
        before = self.server.metric("vllm:request_success_total", finished_reason="abort")
        scenario(self.server, "cancel_after_first")
        wait_for(self.server.idle, "the end of the cancelled sequence")
        self.assertEqual(self.server.metric("vllm:request_success_total", finished_reason="abort"), before + 1)

    def test_metadata_and_the_access_log(self):
        scenario(self.server, "metadata")
        path = "/openautoglm.v1.Inference/Generate"
        line = wait_for(lambda: next((line for line in self.server.log_lines() if line.get("path") == path
                                      and line.get("request_id") == "mine-1"), None), "the call's line")
        self.assertEqual((line["protocol"], line["status"], line["model"]), ("gRPC", 200, "tiny"))
        self.assertGreater(line["completion_tokens"], 0)

    def test_other_clients_are_told(self):
        path = "/openautoglm.v1.Inference/Models"
        self.assertEqual(self.server.post(path, {}).status, 415)
        old = self.server.post(path, b"", headers={"Content-Type": "application/grpc"})
        self.assertEqual(old.status, 505)
        self.assertIn("HTTP/2", old.error["message"])


class GrpcOfOtherServers(ServerTest):
    def test_the_limit_of_messages_is_that_of_bodies(self):
        with Server(server={"max_body": "1MiB"}) as server:
            scenario(server, "too_large")

    def test_a_watch_sees_the_drain(self):
        with Server(server={"drain_delay": "1s"}) as server:
            with subprocess.Popen(command(server, "watch"), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  text=True) as client:
                self.assertEqual(client.stdout.readline().strip(), "watching")
                server.process.send_signal(signal.SIGTERM)
                out, error = client.communicate(timeout=PATIENCE)
                self.assertEqual(client.returncode, 0, out + error)
            server.process.wait(PATIENCE)  # a second signal would end it at once

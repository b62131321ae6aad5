"""The commands that the documentation shows: each curl is run unchanged except for its port."""

import glob
import json
import os
import re
import subprocess

from server import ServerTest, encoder_models

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# Of OpenAI's chats and completions, Anthropic's messages, OpenAI's responses.
STREAMS_END = r'^data: (\[DONE\]|\{"type":"message_stop"\}|\{"type":"response\.(completed|incomplete)",.*\})$'


class Documentation(ServerTest):
    server_options = {"more_models": encoder_models()}

    def documents(self):
        yield from glob.glob(os.path.join(ROOT, "*.md"))
        yield from glob.glob(os.path.join(ROOT, "docs", "**", "*.md"), recursive=True)

    def test_curls(self):
        seen = 0
        for path in self.documents():
            with open(path) as file:
                blocks = re.findall(r"```sh\n(.*?)```", file.read(), re.S)
            for command in blocks:
                if not command.startswith("curl "):
                    continue
                seen += 1
                with self.subTest(os.path.relpath(path, ROOT), command=command):
                    command = command.replace("localhost:8080", f"127.0.0.1:{self.server.port}")
                    command = command.replace("localhost:8081", f"127.0.0.1:{self.server.admin_port}")
                    done = subprocess.run(["bash", "-c", command.replace("curl ", "curl -sS --fail-with-body ", 1)],
                                          capture_output=True, text=True, timeout=60)
                    self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                    if '"stream": true' in command:
                        self.assertRegex(done.stdout.rstrip().splitlines()[-1], STREAMS_END)
                    else:
                        json.loads(done.stdout)
        self.assertGreaterEqual(seen, 5)

    def test_links(self):
        for path in self.documents():
            with open(path) as file:
                text = re.sub(r"```.*?```", "", file.read(), flags=re.S)
            for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
                if "://" not in target:
                    with self.subTest(os.path.relpath(path, ROOT), target=target):
                        self.assertTrue(os.path.exists(os.path.join(os.path.dirname(path), target)))

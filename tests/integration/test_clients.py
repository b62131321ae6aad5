"""The tables of wrong input in docs/clients.md: each row is sent to a server, and its answer compared."""

import json
import os
import re

from server import ServerTest

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "clients.md")
RIGHT = {
    "/v1/messages": {"max_tokens": 5, "messages": [{"role": "user", "content": "Hello"}]},
    "/v1/responses": {"input": "Hello", "max_output_tokens": 5},
}


def rows():
    """(path, members that are sent, status, words of the answer)."""
    with open(PAGE) as file:
        for part in re.split(r"^#+ ", file.read(), flags=re.M):
            heading = re.match(r"Wrong input to `(\S+)`", part)
            if not heading:
                continue
            for sent, status, words in re.findall(r"^\| `(\{.*\})` \| (\d+): (.*) \|$", part, re.M):
                yield heading[1], json.loads(sent), int(status), words.replace("`", "")


class WrongInput(ServerTest):
    def test_a_right_body_is_taken(self):
        for path, body in RIGHT.items():
            with self.subTest(path):
                self.assertEqual(self.server.post(path, body).status, 200)

    def test_each_row(self):
        seen = {path: 0 for path in RIGHT}
        for path, members, status, words in rows():
            seen[path] += 1
            with self.subTest(path, sent=members):
                answer = self.server.post(path, {**RIGHT[path], **members})
                self.assertEqual(answer.status, status, answer.body)
                self.assertIn(words, answer.error["message"])
        for path, count in seen.items():
            self.assertGreater(count, 15, path)

    def test_rows_are_whole(self):
        """A row that the pattern does not take would not be tested."""
        with open(PAGE) as file:
            told = re.findall(r"^\| `\{", file.read(), re.M)
        self.assertEqual(len(told), sum(1 for _ in rows()))

"""A few seconds of the soak; `./dev bench soak` runs ten minutes."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "soak"))

from server import Server  # noqa: E402
from soak import ENGINE, SERVER, soak  # noqa: E402
import unittest  # noqa: E402


class Soak(unittest.TestCase):
    def test_everything_ends_and_nothing_grows(self):
        with Server(engine=ENGINE, server=SERVER) as server:
            report = soak(server, seconds=10, seed=1)
        self.assertEqual(report["unexpected"], [])
        for kind in ("answered", "aborted", "refused", "garbage"):
            self.assertGreater(report[kind], 10, report)

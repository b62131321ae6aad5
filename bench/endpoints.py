"""The gateway in front of ten and of ten thousand endpoints: what their number costs a request, by policy."""

import contextlib
import statistics
import time

from gateway import ANSWER, Gateway, Nginx, load
from ratios import Ratio
from servers import free_port

COUNTS = (10, 1000, 10000)
POLICIES = ("least_connections", "least_load", "power_of_two", "round_robin", "prefix_affinity")


def addresses(count, port):
    """One server behind `count` addresses of the loopback network, one for each endpoint."""
    return [f"127.{1 + i // 62500}.{1 + i // 250 % 250}.{1 + i % 250}:{port}" for i in range(count)]


def measure(policy, count, port, pairs, seconds):
    with Gateway(addresses(count, port), 0, balance=policy, health={"interval": "1h"}) as server:
        time.sleep(count / 1000 + 1)  # the first check of each, one a millisecond, which also recognizes its kind
        # Opens each endpoint's connection first, which then stays open.
        warmed = 0
        while warmed < 3 * count:
            warmed += load(server, 1, 1)["requests"]
        return [load(server, 1, seconds)["CPU µs a request"] for _ in range(pairs)]


def endpoints(pairs, seconds=1):
    """small chats through 10, 1,000 and 10,000 endpoints: CPU time a request, by policy"""
    rows = []
    port = free_port()
    with contextlib.ExitStack() as stack:
        stack.enter_context(Nginx(port, f"server {{ listen {port}; location / {{ return 200 '{ANSWER}'; }} }}", 1))
        for policy in POLICIES:
            few, some, many = (measure(policy, count, port, pairs, seconds) for count in COUNTS)
            medians = " / ".join(f"{statistics.median(figures):.3g}" for figures in (few, some, many))
            rows.append([policy, medians, str(Ratio(list(zip(some, few)))), str(Ratio(list(zip(many, few))))])
    notes = ("The same chat as above; one server behind all addresses, connections kept, no checks but each one's first, which is waited for. For each policy one gateway after "
             "the other with 10, 1,000 and 10,000 endpoints.")
    return ("Gateway: the number of endpoints", ["balance", "CPU µs a request at 10 / 1,000 / 10,000", "1,000 to 10", "10,000 to 10"],
            rows, notes)

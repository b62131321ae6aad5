"""What keys, limits, groups and the journal add to the gateway's CPU time a request, and what nginx's own checks add to nginx's."""

import contextlib
import statistics
import tempfile

from gateway import ANSWER, Gateway, Nginx, load, upstreams
from ratios import compared
from servers import free_port

KEY = "sk-bench-0123456789abcdef"
KEYS = [{"name": f"k{i}", "key": f"sk-other-{i:016d}", "tenant": f"t{i % 10}"} for i in range(99)]
KEYS.append({"name": "bench", "key": KEY, "tenant": "a", "group": "chat", "priority": 5})
LIMITS = [{"name": "tokens", "per": "key", "tokens": "100G/min"}, {"name": "requests", "per": "tenant", "requests": "100M/s"},
          {"name": "all", "per": "global", "requests": "100M/s", "algorithm": "sliding_window"}]
GROUPS = [{"name": "chat", "concurrent": 1000}]
PRICES = [{"model": "*", "input": 0.15, "output": 0.6}]


def nginx_with_checks(ports, cpu):
    """nginx that knows a hundred keys and keeps a rate for each, as its users write it."""
    port = free_port()
    servers = " ".join(f"server 127.0.0.1:{p};" for p in ports)
    keys = "".join(f'"Bearer {key["key"]}" {key["name"]};\n' for key in KEYS)
    checked = Nginx(port, f"""map_hash_bucket_size 128; map $http_authorization $client {{ default ""; {keys} }}
      limit_req_zone $client zone=one:10m rate=1000000r/s;
      upstream pool {{ least_conn; {servers} keepalive 256; keepalive_requests 100000000; }}
      server {{ listen 127.0.0.1:{port}; location = /health {{ return 200; }}
        location / {{ if ($client = "") {{ return 401; }} limit_req zone=one burst=100000 nodelay;
          proxy_pass http://pool; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }} }}""", cpu)
    checked.name = "nginx, keys and limit_req"
    return checked


def nginx_without(ports, cpu):
    port = free_port()
    servers = " ".join(f"server 127.0.0.1:{p};" for p in ports)
    return Nginx(port, f"""upstream pool {{ least_conn; {servers} keepalive 256; keepalive_requests 100000000; }}
      server {{ listen 127.0.0.1:{port}; location = /health {{ return 200; }} location = /v1/models {{ return 200 '{ANSWER}'; }}
        location / {{ proxy_pass http://pool; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }} }}""", cpu)


def admission(pairs, seconds=3):
    """keys, three limits, a group, prices and the journal: CPU time a request, against none of them and against nginx's"""
    what = "CPU µs a request"
    keys = {"keys": KEYS}
    limited = {**keys, "limits": LIMITS, "groups": GROUPS}
    headers = {"Authorization": f"Bearer {KEY}"}
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-journal-"))
        ports, behind = upstreams(cpu=1)
        stack.enter_context(behind)
        servers = {}
        for name, sections in {"open": {}, "keys": keys, "keys, three limits, a group": limited,
                               "all of these, prices, the journal": {**limited, "prices": PRICES, "journal": {"path": folder}}}.items():
            servers[name] = stack.enter_context(Gateway(ports, 0, sections=sections))
        servers["nginx"] = stack.enter_context(nginx_without(ports, 0))
        servers["nginx, keys and limit_req"] = stack.enter_context(nginx_with_checks(ports, 0))
        for server in servers.values():
            load(server, 1, 1, headers)
        runs = []
        for i in range(pairs):
            order = list(servers.items())[:: 1 if i % 2 else -1]
            runs.append({name: load(server, 1, seconds, headers) for name, server in order})
    rows = []
    for name in servers:
        against = "nginx" if name.startswith("nginx") else "open"
        mine = statistics.median(run[name][what] for run in runs)
        added = statistics.median(run[name][what] - run[against][what] for run in runs)
        rows.append([name, f"{mine:.1f}", "" if name == against else f"{added:+.1f}", *compared(runs, name, against, ["requests/s"])])
        print("  " + " | ".join(rows[-1]), flush=True)
    notes = ("Small chats as in `gateway`; 100 keys, limits of tokens per key, requests per tenant and (a sliding window) for all, none of which is reached. "
             "Added: to the same server that asks nothing; medians of the pairs.")
    return "Admission: what the checks cost", ["", what, "added", "requests/s"], rows, notes

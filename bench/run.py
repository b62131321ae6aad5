#!/usr/bin/env python3
"""Measures against peers, run in turn: run.py [CASE …] [--pairs N] [--write]"""

import argparse
import datetime
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from cases import CASES  # noqa: E402
from servers import ROOT  # noqa: E402

DOCUMENT = os.path.join(ROOT, "docs", "benchmarks.md")


def commit():
    head = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    changed = subprocess.run(["git", "-C", ROOT, "status", "--porcelain", "-uno", "--", ":/", ":!docs/benchmarks.md"], capture_output=True, text=True).stdout
    return head + ("+" if changed else "")


def cpu_name():
    with open("/proc/cpuinfo") as file:
        return next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "unknown CPU")


def table(name, pairs, result):
    title, header, rows, notes = result
    lines = [f"## {title}", "", notes, "", "| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    when = datetime.date.today().isoformat()
    lines += ["", f"{when}, {commit()}, {len(os.sched_getaffinity(0))} CPUs of {cpu_name()}: `./dev bench {name} --pairs {pairs}`"]
    return "\n".join(lines)


def write(name, text):
    """Replaces the table's last version in the document."""
    with open(DOCUMENT) as file:
        document = file.read()
    section = f"<!-- {name} -->\n{text}\n<!-- /{name} -->"
    pattern = re.compile(rf"<!-- {name} -->.*?<!-- /{name} -->", re.S)
    document = pattern.sub(lambda _: section, document) if pattern.search(document) else f"{document.rstrip()}\n\n{section}\n"
    with open(DOCUMENT, "w") as file:
        file.write(document)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", nargs="*", choices=[[], *CASES], help="what to measure")
    parser.add_argument("--pairs", type=int, default=7, help="alternated pairs; at least seven for a figure that counts")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/benchmarks.md")
    options = parser.parse_args()
    if not options.case:
        width = max(map(len, CASES))
        print("\n".join(f"{name:{width}}  {case.__doc__}" for name, case in CASES.items()))
        return
    for name in options.case:
        print(f"bench: {name}", flush=True)
        text = table(name, options.pairs, CASES[name](options.pairs))
        print("\n" + text + "\n", flush=True)
        if options.write:
            write(name, text)


if __name__ == "__main__":
    main()

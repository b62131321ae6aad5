#!/usr/bin/env python3
"""Runs the fuzzers of the preset `fuzz` from their kept corpora, two at a time, and says what they covered.

What they learn goes to build/fuzz/corpus/NAME, findings to build/fuzz/findings: `bin/fuzz_NAME FILE` shows one again.
--keep puts the smallest set of inputs that reaches every edge known so far into tests/fuzz/corpus/NAME."""

import argparse
import concurrent.futures
import glob
import os
import re
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(ROOT, "build", "fuzz")
FOLDER = os.path.join(ROOT, "tests", "fuzz")
FINDINGS = os.path.join(BUILD, "findings")
DICTIONARIES = {"http_request": "http", "http_response": "http", "http2_session": "http2", "config_yaml": "yaml", "gguf_header": "gguf",
                "grammar": "gbnf", "schema": "schema", "sequence": "sequence", "tokenizer": "tokenizer"}
# Threads hold different memory from one input to the next, so leaks are looked for at the end, not after each input.
OPTIONS = {"sequence": ["-detect_leaks=0"]}
ENVIRONMENT = {**os.environ, "ASAN_OPTIONS": "detect_leaks=1:strict_string_checks=1", "UBSAN_OPTIONS": "print_stacktrace=1"}


def names():
    return sorted(os.path.basename(path).removeprefix("fuzz_") for path in glob.glob(os.path.join(BUILD, "bin", "fuzz_*")))


def binary(name):
    return os.path.join(BUILD, "bin", f"fuzz_{name}")


def kept(name):
    return os.path.join(FOLDER, "corpus", name)


def learnt(name):
    path = os.path.join(BUILD, "corpus", name)
    os.makedirs(path, exist_ok=True)
    return path


def run(name, runs):
    """A row of the table, and whether nothing was found."""
    dictionary = os.path.join(FOLDER, DICTIONARIES.get(name, "json") + ".dict")
    command = [binary(name), learnt(name), kept(name), f"-dict={dictionary}", f"-runs={runs}", "-max_len=4096", "-timeout=10",
               "-rss_limit_mb=2048", f"-artifact_prefix={FINDINGS}/{name}-", "-print_final_stats=1", *OPTIONS.get(name, [])]
    began = time.monotonic()
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, errors="replace")
    seconds = time.monotonic() - began
    edges = sum(int(n) for n in re.findall(r"\((\d+) inline 8-bit counters\)", done.stderr)) or 1
    covered = max((int(n) for n in re.findall(r"cov: (\d+)", done.stderr)), default=0)
    executed = int((re.findall(r"number_of_executed_units:\s*(\d+)", done.stderr) or ["0"])[0])
    if done.returncode != 0:
        sys.stderr.write(done.stderr[-6000:])
    inputs = len(set(os.listdir(learnt(name))) | set(os.listdir(kept(name))))
    verdict = "nothing" if done.returncode == 0 else f"see build/fuzz/findings ({name}-…)"
    return [name, f"{executed:,}", f"{seconds:.0f}", f"{covered:,} of {edges:,}", f"{inputs:,}", verdict], done.returncode == 0


def keep(name):
    """Replaces the kept corpus by the smallest one with the same coverage, including the newly learnt inputs."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([binary(name), "-set_cover_merge=1", "-use_counters=0", folder, kept(name), learnt(name)], env=ENVIRONMENT, check=True,
                       capture_output=True)
        if not (found := os.listdir(folder)):
            raise SystemExit(f"{name}: the merge kept nothing")
        for old in os.listdir(kept(name)):
            os.remove(os.path.join(kept(name), old))
        for new in found:
            # Short names: the beginning of a digest distinguishes a few hundred inputs.
            os.rename(os.path.join(folder, new), os.path.join(kept(name), new[:12]))
    print(f"{name}: {len(found)} inputs kept")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="*", help=f"which: {', '.join(names()) or 'none is built'}; default: all")
    parser.add_argument("--runs", type=int, default=100_000, help="inputs each (default 100,000)")
    parser.add_argument("--keep", action="store_true", help="afterwards, make the kept corpora of what was learnt")
    options = parser.parse_args()
    if unknown := set(options.name) - set(names()):
        parser.error(f"there is no fuzzer {', '.join(sorted(unknown))}: {', '.join(names())}")
    os.makedirs(FINDINGS, exist_ok=True)
    print("| parser | runs | seconds | edges | inputs | found |\n|---|---|---|---|---|---|", flush=True)
    sound = True
    with concurrent.futures.ThreadPoolExecutor(max_workers=min(2, os.cpu_count() or 1)) as pool:
        for row, clean in pool.map(lambda name: run(name, options.runs), options.name or names()):
            print("| " + " | ".join(row) + " |", flush=True)
            sound &= clean
    if options.keep and sound:
        for name in options.name or names():
            keep(name)
    sys.exit(0 if sound else 1)


if __name__ == "__main__":
    main()

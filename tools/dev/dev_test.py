#!/usr/bin/env python3
"""The decisions of ./dev before it builds: which packages a system has, what is too old, the progress shown by a log."""

import fcntl
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BASH = "set -euo pipefail; source tools/dev/say.sh; source tools/dev/packages.sh; source tools/dev/build.sh; "


def boost(version):
    return [f"libboost{version}-dev", f"libboost-url{version}-dev", f"libboost-json{version}-dev"]


# What apt offers of the packages that differ, as of late 2026.
BOOKWORM = ["clang-13", "clang-14", "clang-15", "clang-16", "clang-19", *boost("1.81"), "libboost-json-dev", "libboost-dev"]
TRIXIE = ["clang-17", "clang-18", "clang-19", *boost(""), *boost("1.83"), *boost("1.88"), "gcc-14"]
NOBLE = ["clang-14", "clang-17", "clang-18", "clang-19", "clang-20", *boost(""), *boost("1.83"), "gcc-14"]
BULLSEYE = ["clang-11", "clang-13", "libboost-dev"]
JAMMY = ["clang-11", "clang-14", "clang-15", "libboost-dev", "libboost-json-dev"]
NEXT = ["clang-21", "clang-22", *boost("1.90")]


class Dev(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.bin = Path(self.folder.name)
        # Independent of this machine: no clang, and none of its packages.
        for tool in ("bash", "awk", "grep", "sort", "tail", "tr", "cut", "sed", "cat", "df", "mkdir", "dirname", "env", "sleep"):
            self.stub(tool, f'exec "{self.which(tool)}" "$@"')
        self.has(installed=[])
        self.offers([])

    def which(self, tool):
        return subprocess.run(["bash", "-c", f"command -v {tool}"], capture_output=True, text=True, check=True).stdout.strip()

    def stub(self, name, script):
        path = self.bin / name
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)

    def has(self, installed):
        """Makes dpkg report these packages as installed; a clang among them is put on the PATH."""
        words = " ".join(installed)
        self.stub("dpkg-query", f'for name; do [[ " {words} " != *" $name "* ]] || echo "installed $name"; done')
        for package in installed:
            if match := re.fullmatch(r"clang-(\d+)", package):
                self.stub(f"clang++-{match[1]}", "")

    def offers(self, packages):
        words = " ".join(packages)
        self.stub("apt-cache", f'for name; do [[ " {words} " != *" $name "* ]] || printf "%s:\\n  Installed: (none)\\n  Candidate: 1\\n" "$name"; done')

    def dev(self, script, **environment):
        return subprocess.run(
            ["/bin/bash", "-c", BASH.replace("set -euo", "root=$PWD; set -euo") + script], cwd=ROOT, capture_output=True, text=True, check=False,
            env={"PATH": str(self.bin), **environment})

    def names(self, system="this system"):
        run = self.dev(f'system_name() {{ echo "{system}"; }}; apt_names')
        return run.stdout.split(), run.stderr

    def differing(self, packages):
        return [name for name in packages if name.startswith(("clang-1", "clang-2", "libboost"))]

    def test_each_system_gets_its_own_names(self):
        for system, clang, wanted in ((BOOKWORM, "19", "1.81"), (TRIXIE, "19", ""), (NOBLE, "19", ""), (NEXT, "21", "1.90")):
            self.offers(system)
            names, said = self.names()
            self.assertEqual(self.differing(names), [f"clang-{clang}", *boost(wanted)], said)
            for part in ("lld", "clang-tidy", "clang-format", "llvm"):
                self.assertIn(f"{part}-{clang}", names)

    def test_what_is_too_old_is_told_by_name_with_what_to_do(self):
        self.offers(BULLSEYE)
        names, said = self.names("Debian GNU/Linux 11 (bullseye)")
        self.assertEqual(names, [])
        self.assertIn("Debian GNU/Linux 11 (bullseye) is too old: its apt sources have no clang 19 or newer (its newest is clang 13)"
                      " and no Boost 1.81", said)
        self.assertIn("Use Debian 12, Ubuntu 24.04 or newer", said)
        self.offers(JAMMY)
        self.assertIn("clang 15", self.names("Ubuntu 22.04.5 LTS")[1])
        self.offers([*JAMMY, "clang-19"])
        said = self.names("Ubuntu 22.04.5 LTS")[1]
        self.assertIn("no Boost 1.81", said)
        self.assertNotIn("clang 19 or newer", said)

    def test_an_installed_clang_is_kept_where_apt_has_another(self):
        self.has(["clang-20"])
        self.offers(TRIXIE)
        self.assertEqual(self.differing(self.names()[0]), ["clang-20", *boost("")])

    def test_where_nothing_is_missing_apt_is_not_asked(self):
        self.offers(TRIXIE)
        everything = self.names()[0]
        for swap in ("", "1.88"):
            self.has([name for name in everything if not name.startswith("libboost")] + boost(swap))
            self.stub("apt-cache", "echo asked >&2; exit 1")
            self.stub("apt-get", "echo asked >&2; exit 1")
            run = self.dev("install_toolchain")
            self.assertEqual((run.returncode, run.stdout, run.stderr), (0, "", ""))

    def test_packages_may_be_somebody_elses_business(self):
        run = self.dev("install_toolchain", AUTOGLM_SKIP_PACKAGES="1")
        self.assertEqual((run.returncode, run.stderr), (0, ""))

    def test_a_system_without_apt_is_told_what_is_needed(self):
        run = self.dev('system_name() { echo "Fedora Linux 42"; }; install_toolchain')
        self.assertEqual(run.returncode, 1)
        for word in ("Fedora Linux 42 has no apt-get", "19, 20", "AUTOGLM_SKIP_PACKAGES=1"):
            self.assertIn(word, run.stderr)

    def test_cmake_takes_the_clang_that_the_packages_are_for(self):
        cmake = subprocess.run(["bash", "-c", "command -v cmake"], capture_output=True, text=True, check=True).stdout.strip()
        self.has(["clang-20", "clang-22"])
        script = self.bin / "which.cmake"
        script.write_text(f'include("{ROOT}/cmake/Clang.cmake")\nmessage("${{CMAKE_CXX_COMPILER}} ${{CMAKE_C_COMPILER}}")\n')
        run = subprocess.run([cmake, "-DCMAKE_FIND_USE_CMAKE_SYSTEM_PATH=OFF", "-P", script], capture_output=True, text=True, check=True,
                             env={"PATH": str(self.bin)})
        self.assertEqual(run.stderr.split(), [f"{self.bin}/clang++-20", f"{self.bin}/clang-20"])
        self.assertEqual(self.dev("installed_clang").stdout, "20\n")

    def progress(self, log, seconds):
        path = self.bin / "log"
        path.write_text(log)
        return self.dev(f'progress "{path}" {seconds}').stdout.strip()

    def test_progress_is_a_share_and_what_is_left(self):
        ninja = "[9/100] Building CXX object a/CMakeFiles/a.dir/one.cc.o\n[25/100] Building CXX object src/x/CMakeFiles/x.dir/y/two.cc.o\n"
        self.assertEqual(self.progress(ninja, 75), "1:15, 25 %, about 3:45 left: y/two.cc")
        self.assertEqual(self.progress("[9/100] Linking CXX executable bin/x\n", 2), "0:02, 9 %: bin/x")
        apt = "0 upgraded, 2 newly installed, 0 to remove\nGet:1 a\nGet:2 b\nUnpacking a\n"
        self.assertEqual(self.progress(apt, 60), "1:00, 50 %, about 1:00 left: Unpacking a")
        self.assertEqual(self.progress("-- Detecting\r-- Found\n\n", 9), "0:09: -- Found")

    def test_two_at_once_in_one_checkout_compile_one_after_the_other(self):
        self.stub("flock", f'exec "{self.which("flock")}" "$@"')
        self.stub("ninja", f'[[ " $* " == *" -n "* ]] || cat "{self.bin}/checkout/lock-is-free"')
        build = self.bin / "checkout" / "build"
        build.mkdir(parents=True)
        script = f'watched() {{ shift; "$@"; }}; jobs_for() {{ echo 1; }}; cd "{build.parent}"; compile it there 1'
        with open(build / ".lock", "w") as lock, subprocess.Popen(
                ["/bin/bash", "-c", BASH.replace("set -euo", "root=$PWD; set -euo") + script], cwd=ROOT, text=True,
                stdout=subprocess.PIPE, env={"PATH": str(self.bin)}) as other:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.assertEqual(other.stdout.readline(), "dev: somebody else compiles in this checkout: waiting\n")
            (build.parent / "lock-is-free").write_text("compiled")
            fcntl.flock(lock, fcntl.LOCK_UN)
            self.assertEqual(other.stdout.read(), "dev: building it, 1 at once\ncompiled")
        self.assertEqual(other.returncode, 0)

    def peers(self, scripts, words="", tests=None):
        """./dev test-peers in a tree with these peers, nothing built; a test passes that is none of `tests`."""
        with tempfile.TemporaryDirectory() as folder:
            tree = Path(folder)
            (tree / "tools/peers").mkdir(parents=True)
            (tree / "tests/peers").mkdir(parents=True)
            for name, script in scripts.items():
                (tree / f"tools/peers/{name}.sh").write_text(script)
                (tree / f"tests/peers/test_{name}.py").write_text("")
            self.stub("basename", f'exec "{self.which("basename")}" "$@"')
            self.stub("python3", f'echo "ran ${{@: -1}}"; [[ " {" ".join(tests or [])} " != *" ${{@: -1}} "* ]]')
            script = (f'source "{ROOT}/tools/dev/peers.sh"; build_for_peers() {{ echo built; }}; watched() {{ mkdir -p build/log; local log="$1"; shift; '
                      f'"$@" >"$log" 2>&1; }}; cd "{tree}"; test_peers {words}')
            run = self.dev(script)
            return run.returncode, run.stdout.splitlines(), run.stderr.splitlines()

    def test_a_peer_that_cannot_be_had_is_named_last_with_its_reason(self):
        scripts = {"a": "echo there", "b": "echo working; echo 'needs a Go compiler' >&2; exit 1", "c": "exit 1"}
        code, out, err = self.peers(scripts)
        self.assertEqual(code, 1)
        self.assertIn("ran test_a", out)
        self.assertNotIn("ran test_b", out)
        self.assertEqual(err[:2], ["dev: NOT TESTED against b: needs a Go compiler",
                                   "dev: NOT TESTED against c: tools/peers/c.sh failed without a word"])
        self.assertIn("2 of 3 peers could not be had", err[2])
        code, out, err = self.peers(scripts, "--skip-missing")
        self.assertEqual((code, len(err)), (0, 2))
        code, out, err = self.peers(scripts, "a")
        self.assertEqual((code, err), (0, []))

    def test_a_failure_against_a_peer_is_one_whatever_may_be_missing(self):
        scripts = {"a": "", "b": "exit 1", "c": ""}
        code, out, err = self.peers(scripts, "--skip-missing", tests=["test_a"])
        self.assertEqual((code, err[-1]), (1, "dev: FAILED against a"))
        self.assertIn("ran test_c", out)
        self.assertEqual(self.peers(scripts, "d")[2], ['dev: there is no peer "d": a b c'])

    def test_verbs_may_follow_each_other(self):
        # The parts are replaced by stubs that print how they are called.
        script = (ROOT / "dev").read_text().replace('source "tools/dev/$part.sh"', ':')
        script = script.replace("usage() {", """
          setup() { echo setup; }; build() { echo "build $*"; }; run_tests() { echo "test $*"; }; tidy() { echo "tidy $*"; }
          fail() { echo "fail $*"; exit 1; }; presets=(release asan); is_preset() { [[ " ${presets[*]} " == *" $1 "* ]]; }
          usage() {""", 1).replace('root="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"', "root=.")

        def said(words):
            run = subprocess.run(["bash", "-c", script, "dev", *words.split()], cwd=ROOT, capture_output=True, text=True, check=False)
            return run.stdout.split("\n")[:-1]
        self.assertEqual(said("setup build test -L quick"), ["setup", "setup", "build ", "test release -L quick"])
        self.assertEqual(said("build asan"), ["setup", "build asan"])
        self.assertEqual(said("build asan bin/one test"), ["setup", "build asan bin/one", "test release"])
        self.assertEqual(said("tidy all"), ["tidy all"])
        self.assertEqual(said("test setup"), ["test release setup"])
        self.assertEqual(said("setup nonsense")[-1], 'fail there is no verb "nonsense"')


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    os.chdir(ROOT)
    unittest.main()

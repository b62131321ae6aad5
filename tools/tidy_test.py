#!/usr/bin/env python3
"""Proves that every rule of tidy.py fires on a tree that breaks it, and that a good tree is silent."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
import tidy  # noqa: E402

GOOD = {
    "src/base/README.md": "# base\n",
    "src/base/result.h": "#pragma once\n",
    "src/runtime/README.md": "# runtime\n",
    "src/runtime/task.h": '#pragma once\n#include "base/result.h"\n#include <boost/asio.hpp>\n',
    "src/runtime/task_test.cc": '#include "runtime/task.h"\n#include "runtime/testing/loop.h"\n',
    "src/runtime/testing/loop.h": "#pragma once\n",
    "src/http/README.md": "# http\n",
    "src/http/server.h": '#pragma once\n#include "runtime/task.h"\n',
    "src/engine/README.md": "# engine\n",
    "src/engine/backends/llama/backend.cc": "#include <llama.h>\n#include <common.h>\n#include <nlohmann/json.hpp>\n",
    "src/cluster/README.md": "# cluster\n",
    "src/cluster/health.h": "#pragma once\n",
    "src/gateway/README.md": "# gateway\n",
    "src/gateway/pipeline.h": '#pragma once\n#include "gateway/admission/check.h"\n#include "gateway/protocol/codec.h"\n',
    "src/gateway/front/README.md": "# front\n",
    "src/gateway/front/http/front.cc": '#include "gateway/pipeline.h"\n#include "http/server.h"\n',
    "src/gateway/admission/README.md": "# admission\n",
    "src/gateway/admission/check.h": "#pragma once\n",
    "src/gateway/routing/README.md": "# routing\n",
    "src/gateway/routing/balancer.h": "#pragma once\nstruct IPv4Address {};\nclass Implicit {};\nclass Commonwealth {};\n",
    "src/gateway/protocol/README.md": "# protocol\n",
    "src/gateway/protocol/codec.h": "#pragma once\n",
    "src/app/README.md": "# app\n",
    "src/app/main.cc": '#include "gateway/routing/balancer.h"\n',
    "tools/thing/main.cc": '#include "part.h"\nint main() {}\n',
    "tools/thing/part.h": "#pragma once\n",
}


def lines(count):
    return "//\n" * count


class TidyTest(unittest.TestCase):
    def breaches(self, changes=None):
        with tempfile.TemporaryDirectory() as root:
            for path, text in (GOOD | (changes or {})).items():
                if text is None:
                    continue
                file = Path(root) / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(text if isinstance(text, bytes) else text.encode())
            return tidy.Tidy(root).check()

    def fires(self, path, text, where, words, more=None):
        """Exactly one breach, at this place, in these words."""
        found = self.breaches({path: text} | (more or {}))
        self.assertEqual(len(found), 1, found)
        self.assertTrue(found[0].startswith(where), found[0])
        self.assertIn(words, found[0])
        self.assertIn("; ", found[0], "says what to do")

    def silent(self, path, text, more=None):
        self.assertEqual(self.breaches({path: text} | (more or {})), [])

    def test_good_tree_is_silent(self):
        self.assertEqual(self.breaches(), [])

    def test_include_of_a_room_above(self):
        self.fires("src/base/error.cc", '\n#include "http/server.h"\n', "src/base/error.cc:2:", "of a room above")

    def test_include_of_the_same_floor(self):
        self.fires("src/engine/a.cc", '#include "cluster/health.h"\n', "src/engine/a.cc:1:", "of its own floor")

    def test_floors_inside_the_gateway(self):
        self.fires("src/gateway/protocol/a.cc", '#include "gateway/admission/check.h"\n', "src/gateway/protocol/a.cc:1:", "room above")
        self.fires("src/gateway/routing/a.cc", '#include "gateway/admission/check.h"\n', "src/gateway/routing/a.cc:1:", "room above")
        self.fires("src/gateway/a.cc", '#include "gateway/front/http/f.h"\n', "src/gateway/a.cc:1:", "room above",
                   {"src/gateway/front/http/f.h": "#pragma once\n"})
        self.fires("src/gateway/cache/a.cc", '#include "gateway/admission/check.h"\n', "src/gateway/cache/a.cc:1:", "own floor",
                   {"src/gateway/cache/README.md": "# cache\n"})
        self.silent("src/gateway/admission/a.cc", '#include "gateway/routing/balancer.h"\n#include "gateway/protocol/codec.h"\n')

    def test_nobody_but_app_reaches_into_the_gateway(self):
        self.fires("src/autoscale/a.cc", '#include "gateway/protocol/codec.h"\n', "src/autoscale/a.cc:1:", "reaches into the gateway",
                   {"src/autoscale/README.md": "# autoscale\n"})
        self.fires("src/gateway/front/http/a.cc", '#include "admin/a.h"\n', "src/gateway/front/http/a.cc:1:", "above",
                   {"src/admin/README.md": "# admin\n", "src/admin/a.h": "#pragma once\n"})

    def test_unknown_room(self):
        self.fires("src/stuff/a.cc", "\n", "src/stuff/README.md:1:", '"stuff" is no room', {"src/stuff/README.md": "# x\n"})

    def test_room_without_readme(self):
        self.fires("src/http/README.md", None, "src/http/README.md:1:", "no README")

    def test_long_readme(self):
        self.silent("src/http/README.md", "x\n" * 40)
        self.fires("src/http/README.md", "x\n" * 41, "src/http/README.md:41:", "41 lines, 40 are allowed")

    def test_network_library_outside_runtime(self):
        self.fires("src/http/a.cc", "#include <boost/asio/ip/tcp.hpp>\n", "src/http/a.cc:1:", "outside runtime")
        self.fires("tests/a.cc", "#include <boost/beast.hpp>\n", "tests/a.cc:1:", "outside runtime")
        self.silent("src/http/a.cc", "#include <boost/url.hpp>\n")

    def test_llama_outside_its_adapter(self):
        for header in ("<llama.h>", "<ggml-cpu.h>", "<gguf.h>", "<common.h>", "<chat.h>", "<nlohmann/json.hpp>"):
            self.fires("src/engine/kv/a.cc", f"#include {header}\n", "src/engine/kv/a.cc:1:", "outside its adapter")
        self.silent("tools/make_model/a.cc", "#include <gguf.h>\n")

    def test_include_form(self):
        self.fires("src/http/a.cc", '#include "server.h"\n', "src/http/a.cc:1:", "by its path below src/")
        self.fires("src/http/a.cc", '#include "../base/result.h"\n', "src/http/a.cc:1:", "by its path below src/")
        self.fires("src/http/a.cc", "#include <base/result.h>\n", "src/http/a.cc:1:", "angle brackets")
        self.fires("tools/thing/a.cc", '#include "absent.h"\n', "tools/thing/a.cc:1:", "by its path below src/")

    def test_includes_in_comments_and_raw_strings_are_none(self):
        self.silent("src/base/a.cc", '// x\n/*\n#include "http/server.h"\n*/\nauto s = R"(\n#include "http/server.h"\n)";\n')

    def test_fakes_in_product_code(self):
        self.fires("src/http/a.cc", '#include "runtime/testing/loop.h"\n', "src/http/a.cc:1:", "is for tests")

    def test_sizes(self):
        self.silent("src/http/a.h", lines(200))
        self.fires("src/http/a.h", lines(201), "src/http/a.h:1:", "this header has 201 lines")
        self.silent("src/http/a.cc", lines(400))
        self.fires("src/http/a.cc", lines(401), "src/http/a.cc:1:", "this source has 401 lines")

    def test_function_size(self):
        def function(body, head="int Server::serve(int x)\n    : a_{x}, b_{2}"):
            return f"namespace x {{\n\n{head} {{\n" + "  f();\n" * body + "}\n}\n"
        self.silent("src/http/a.cc", function(67))
        self.fires("src/http/a.cc", function(68), "src/http/a.cc:3:", "Server::serve() has 71 lines")
        inside = "class A {\n public:\n  void run() {\n" + "  if (x) {\n    f('}');\n  }\n" * 30 + "  }\n};\n"
        self.fires("src/http/a.cc", inside, "src/http/a.cc:3:", "run() has 92 lines")
        self.fires("src/http/a.cc", "TEST(A, B) {\n" + "  f();\n" * 70 + "}\n", "src/http/a.cc:1:", "A.B() has 72 lines")

    def test_long_table_or_class_is_no_function(self):
        self.silent("src/http/a.cc", "constexpr int kTable[] = {\n" + "  1,\n" * 100 + "};\n")
        self.silent("src/http/a.cc", "class A : public B<decltype(f())> {\n" + "  void f();\n" * 100 + "};\n")

    def test_exceptions(self):
        long = {"src/http/a.cc": lines(450)}
        name = "tools/tidy_allow.txt"
        self.silent(name, "# why\nsrc/http/a.cc 450 A table of every status.\n", long)
        self.fires(name, "src/http/a.cc 440 A table.\n", "src/http/a.cc:1:", "has 450 lines, 440 are allowed", long)
        self.fires(name, "src/http/b.cc 450 Gone since.\n", "tools/tidy_allow.txt:1:", "without this exception")
        self.fires(name, "src/http/a.cc 450 A table.\nsrc/http/server.h 300 Was long.\n", "tools/tidy_allow.txt:2:",
                   "without this exception", long)
        function = {"src/http/a.cc": "int f() {\n" + "  g();\n" * 80 + "}\n"}
        self.silent(name, "src/http/a.cc:f 82 One switch over every state.\n", function)
        self.fires(name, "src/http/server.h 300\n", "tools/tidy_allow.txt:1:", "not `path limit reason`")

    def test_type_names(self):
        for name in ("PoolManager", "UrlHelper", "StringUtils", "CommonThings", "ServerImpl", "Impl"):
            self.fires("src/http/a.cc", f"\nclass {name};\n", "src/http/a.cc:2:", f"in the type {name} says nothing")
        self.fires("src/http/a.cc", "using SocketImpl = int;\n", "src/http/a.cc:1:", "in the type SocketImpl")
        self.fires("src/http/a.cc", "struct [[nodiscard]] IServer {};\n", "src/http/a.cc:1:", "interface's prefix")

    def test_file_names(self):
        self.fires("src/http/string_util.cc", "\n", "src/http/string_util.cc:1:", '"util" in a file')
        self.fires("src/http/common.h", "\n", "src/http/common.h:1:", '"common" in a file')

    def test_unfinished_work(self):
        for word in ("TO" "DO", "FIX" "ME", "X" "XX"):
            self.fires("docs/a.md", f"one\n{word}: later\n", "docs/a.md:2:", word)

    def test_machine_paths(self):
        for path in ("/wo" "rk/main/x", "/ro" "ot/.cache", "/ho" "me/me/x"):
            self.fires("docs/a.md", f"see {path}\n", "docs/a.md:1:", "path of one machine")
        self.fires("src/http/a.cc", 'auto f = "/tm' 'p/x";\n', "src/http/a.cc:1:", "temporary folder")
        inside = "/wo" "rk/x"  # part of a URL, or of a path below a variable
        self.silent("docs/a.md", f"http://example.org{inside} and $HOME{inside}\n")

    def test_registries(self):
        for host in ("https://registry.npm" "js.org/x", "https://py" "pi.org/simple", "http://deb.deb" "ian.org/debian"):
            self.fires("tools/a.sh", f"curl {host}\n", "tools/a.sh:1:", "registry's host name")
        self.silent("tools/a.sh", "curl https://huggingface.co/x https://modelscope.cn/y\n")

    def test_test_without_its_subject(self):
        self.fires("src/http/lost_test.cc", "\n", "src/http/lost_test.cc:1:", "there is no lost.cc or .h beside it")
        self.fires("src/http/lost_conformance_test.cc", "\n", "src/http/lost_conformance_test.cc:1:", "there is no lost.cc")
        self.silent("tests/simulation/storm_test.cc", "\n")

    def test_sleeping_tests(self):
        sleep = "#include <thread>\nvoid f() { std::this_thread::sleep_for(x); }\n"
        self.fires("src/http/server_test.cc", sleep, "src/http/server_test.cc:2:", "a test sleeps")
        self.fires("src/http/testing/fake.cc", "void f() { usleep(3); }\n", "src/http/testing/fake.cc:1:", "a test sleeps")
        self.fires("tests/a.py", "time.sl" "eep(1)\n", "tests/a.py:1:", "a test sleeps")
        self.silent("src/http/server_test.cc", "// no usleep(1) here\nauto f() { co_await sleep_for(1h); }\n")

    def test_text_files(self):
        self.fires("docs/a.md", "one\ntwo", "docs/a.md:2:", "no newline at the end")
        self.fires("src/http/a.cc", "int a;\n\tint b;\n", "src/http/a.cc:2:", "a tab")
        self.fires("docs/a.md", b"caf\xe9\n", "docs/a.md:1:", "not UTF-8")
        self.silent("docs/a.png", b"\x89PNG\0\0")

    def test_a_checkout_is_read_through_git(self):
        with tempfile.TemporaryDirectory() as root:
            for path, text in {"a.md": "x", "b.md": "x", "build/c.md": "x", ".gitignore": "b.md\n"}.items():
                (Path(root) / path).parent.mkdir(exist_ok=True)
                (Path(root) / path).write_text(text)
            subprocess.run(["git", "init", "-q", root], check=True)
            self.assertEqual([breach.split(":")[0] for breach in tidy.Tidy(root).check()], ["a.md"])


if __name__ == "__main__":
    unittest.main()

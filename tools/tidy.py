#!/usr/bin/env python3
"""The project's rules (ARCHITECTURE.md, CONTRIBUTING.md) as a test. Usage: tidy.py [ROOT]. Python's standard library only.

Prints `file:line: what; what to do` for every breach and exits with 1 when there is one. A size may be excepted in
tools/tidy_allow.txt with its reason; an exception that is no longer needed is a breach itself.
"""

import re
import subprocess
import sys
from pathlib import Path

# Floors from top to bottom: a room may include rooms below its own floor, never its neighbours. The gateway's
# own files (the pipeline) are the room "gateway"; the fronts call them, and they know no front.
FLOORS = [
    ["app"],
    ["admin"],
    ["gateway/front"],
    ["autoscale", "gateway"],
    ["gateway/admission", "gateway/cache", "gateway/resilience"],
    ["gateway/endpoint", "gateway/routing"],
    ["center", "gateway/protocol"],
    ["cluster", "engine"],
    ["inference"],
    ["journal", "redis", "sqlite"],
    ["observe"],
    ["config"],
    ["http"],
    ["runtime"],
    ["base"],
]
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
# Inside the gateway only: from outside only `app`, and `admin` which shows and switches them, may include these rooms.
INSIDE_GATEWAY = [room for room in FLOOR_OF if room.startswith("gateway/")]

HEADER_LINES, SOURCE_LINES, FUNCTION_LINES, README_LINES = 200, 400, 70, 40

CODE_FOLDERS = ("src/", "tools/", "tests/", "bench/")
NAMED_FOLDERS = CODE_FOLDERS + ("proto/", "cmake/")
LLAMA_FOLDERS = ("src/engine/backends/llama/", "tools/make_model/")
LLAMA_HEADER = re.compile(
    r"(llama(-cpp)?|ggml[\w-]*|gguf|common|sampling|chat|log|speculative|json-schema-to-grammar|json-partial"
    r"|chat-[\w-]+|peg-parser|ngram-[\w-]+)\.h|(common|nlohmann|minja|jinja)/.*")
NETWORK_HEADER = re.compile(r"boost/(asio|beast)(/.*|\.hpp)")

FORBIDDEN_WORDS = {"Manager", "Managers", "Helper", "Helpers", "Util", "Utils", "Common", "Impl"}
DECLARED_TYPE = re.compile(
    r"\b(?:class|struct|union|concept|enum(?:\s+(?:class|struct))?)\s+(?:\[\[[^\]]*\]\]\s*)*([A-Za-z_]\w*)"
    r"|\busing\s+([A-Za-z_]\w*)\s*=")

# Split into parts, so that this file does not break its own rules.
REGISTRIES = "|".join(re.escape(".".join(parts)) for parts in (
    ("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"), ("deb", "debian", "org"),
    ("security", "debian", "org"), ("snapshot", "debian", "org"), ("crates", "io"), ("proxy", "golang", "org"),
    ("repo1", "maven", "org"), ("repo", "maven", "apache", "org"), ("archive", "ubuntu", "com")))
FORBIDDEN_STRINGS = [
    (re.compile(r"\b(TO[D]O|FIX[M]E|X[X]X)\b"), "unfinished work is marked", "finish it, or file an issue"),
    (re.compile(r"(?<![\w.$}/-])/(work|root|home/\w+|Users/\w+)/[\w.]"), "a path of one machine",
     "take it from the environment, an argument or CMake"),
    (re.compile(rf"\b({REGISTRIES})\b"), "a package registry's host name",
     "use the package's name with its ordinary client, so that mirrors work"),
]
TMP_PATH = re.compile(r"(?<![\w.$}/-])/tmp/[\w.]")
BLOCKING_SLEEP = re.compile(r"this_thread\s*::\s*sleep_|\b(?:usleep|nanosleep|clock_nanosleep)\s*\(|::\s*sleep\s*\(|\btime\.sleep\(")

LEXEME = re.compile(
    r'(?P<comment>//[^\n]*|/\*.*?\*/)|(?P<raw>R"(?P<delimiter>[^()\\\s]{0,16})\(.*?\)(?P=delimiter)")'
    r'|(?P<string>"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\')', re.DOTALL)
TYPE_OR_NAMESPACE = re.compile(
    r"\s*(?:template\s*<.*?>\s*(?:requires\b[^{]*?)?)*(?:\[\[.*?\]\]|alignas\([^)]*\)|inline|typedef|export|\s)*"
    r"(?:namespace|class|struct|enum|union|extern\s*\"\s*\")(?:\W|$)", re.DOTALL)


def blank(text):
    return re.sub(r"[^\n]", " ", text)


def without_comments(text, strings=True):
    """Comments and raw strings become blanks of the same shape; other strings too if `strings` is false."""
    def replace(match):
        if match.group("string") is None:
            return blank(match.group())
        return match.group() if strings else '"' + blank(match.group()[2:]) + '"'
    return LEXEME.sub(replace, text)


def line_at(text, offset):
    return text.count("\n", 0, offset) + 1


def name_of(header):
    test = re.search(r"\bTEST\w*\s*\(\s*(\w+)\s*,\s*(\w+)", header)
    if test:
        return f"{test.group(1)}.{test.group(2)}"
    name = re.search(r"([~\w:]+|operator\W+?)\s*\(", header)
    return name.group(1) if name else "?"


def functions(text):
    """(name, first line, number of lines) of function bodies, as far as braces tell. Nested lambdas are their owner's."""
    code = without_comments(text, strings=False)
    code = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda match: blank(match.group()), code, flags=re.MULTILINE)
    found, scopes, header_start = [], [], 0
    for match in re.finditer(r"[{};]", code):
        at, sign = match.start(), match.group()
        outside = all(scope[0] == "scope" for scope in scopes)
        if sign == "{":
            header = code[header_start:at]
            if not outside:
                scopes.append(("inner", None, 0))
            elif TYPE_OR_NAMESPACE.match(header):
                scopes.append(("scope", None, 0))
                header_start = at + 1
            elif ")" in header:
                begin = header_start + re.match(r"(\s|public:|private:|protected:)*", header).end()
                scopes.append(("function", name_of(header), line_at(code, begin)))
            else:
                scopes.append(("inner", None, 0))
        elif sign == "}" and scopes:
            kind, name, first = scopes.pop()
            if kind == "function":
                found.append((name, first, line_at(code, at) - first + 1))
            # `Type() : a_{1}, b_{2} {`: a header goes on after the braces of its initializers.
            goes_on = kind in ("function", "inner") and re.match(r"\s*[,{]", code[at + 1:at + 200])
            if all(scope[0] == "scope" for scope in scopes) and not goes_on:
                header_start = at + 1
        elif sign == ";" and outside:
            header_start = at + 1
    return found


def room_of(path):
    """The room of a path below src/ ("http/server.h"), or None when the path is in no room."""
    parts = path.split("/")
    if parts[0] == "gateway" and len(parts) > 2 and parts[1] not in ("testing",):
        return "/".join(parts[:2])
    return parts[0] if len(parts) > 1 else None


class Tidy:
    """One run over one tree. Collects breaches; reads every file once."""

    def __init__(self, root):
        self.root = Path(root)
        self.breaches = []
        self.files = self.list_files()
        self.known = set(self.files)
        self.allowed = self.read_allow_list()
        self.used = set()

    def say(self, path, line, what, todo):
        self.breaches.append(f"{path}:{line}: {what}; {todo}")

    def list_files(self):
        """The files that git tracks or would add; in an unpacked archive, everything that is not a build output."""
        if (self.root / ".git").exists():
            out = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=self.root,
                                 check=True, capture_output=True).stdout.decode()
            names = [name for name in out.split("\0") if name]
        else:
            names = [str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file()]
        skipped = re.compile(r"(^|/)(build|\.git|node_modules|__pycache__)/|^tests/fuzz/corpus/")  # inputs are broken on purpose
        return sorted({name for name in names if not skipped.search(name) and (self.root / name).is_file()})

    def read_allow_list(self):
        name, allowed = "tools/tidy_allow.txt", {}
        if not (self.root / name).exists():
            return allowed
        for number, line in enumerate((self.root / name).read_text().splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            fields = line.split(None, 2)
            if len(fields) < 3 or not fields[1].isdigit():
                self.say(name, number, "not `path limit reason`", "write all three; a function is path:name")
            else:
                allowed[fields[0]] = (int(fields[1]), number)
        return allowed

    def check(self):
        for path in self.files:
            data = (self.root / path).read_bytes()
            if b"\0" in data[:4096]:
                continue
            try:
                text = data.decode()
            except UnicodeDecodeError:
                self.say(path, 1, "not UTF-8", "save it as UTF-8")
                continue
            self.check_text(path, text)
            if path.endswith((".cc", ".h")) and path.startswith(CODE_FOLDERS):
                self.check_code(path, text)
        self.check_rooms()
        for entry, (_, number) in self.allowed.items():
            if entry not in self.used:
                self.say("tools/tidy_allow.txt", number, f"{entry} keeps its limit without this exception", "delete the line")
        return self.breaches

    def check_text(self, path, text):
        if text and not text.endswith("\n"):
            self.say(path, text.count("\n") + 1, "no newline at the end of the file", "add one")
        if path == "LICENSE":
            return
        for pattern, what, todo in FORBIDDEN_STRINGS:
            for match in pattern.finditer(text):
                self.say(path, line_at(text, match.start()), f"{what}: {match.group()}", todo)
        if path.startswith(NAMED_FOLDERS):
            for word in re.split(r"[\W_]+", path.lower()):
                if word.capitalize() in FORBIDDEN_WORDS:
                    self.say(path, 1, f'"{word}" in a file\'s name says nothing', "name it for what is inside")
        if path.endswith("_test.cc") or path.startswith("tests/") or "/testing/" in path:
            code = without_comments(text) if path.endswith((".cc", ".h")) else text
            for match in BLOCKING_SLEEP.finditer(code):
                self.say(path, line_at(code, match.start()), "a test sleeps",
                         "wait for the condition with a deadline, or move a manual clock")

    def check_code(self, path, text):
        self.check_sizes(path, text)
        for match in re.finditer("\t", text):
            self.say(path, line_at(text, match.start()), "a tab", "use spaces (./dev fmt)")
        plain, code = without_comments(text), without_comments(text, strings=False)
        for match in TMP_PATH.finditer(plain):
            self.say(path, line_at(plain, match.start()), "a fixed path in the temporary folder",
                     "use testing::TempDir() or mkdtemp")
        for match in DECLARED_TYPE.finditer(code):
            self.check_type_name(path, line_at(code, match.start()), match.group(1) or match.group(2))
        for match in re.finditer(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"]', plain, re.MULTILINE):
            self.check_include(path, line_at(plain, match.start()), match.group(1) == '"', match.group(2))
        if path.endswith("_test.cc") and not path.startswith("tests/"):
            subject = path.removesuffix("_test.cc").removesuffix("_conformance")
            if f"{subject}.cc" not in self.known and f"{subject}.h" not in self.known:
                self.say(path, 1, f"there is no {Path(subject).name}.cc or .h beside it",
                         "name the test for the file it tests, or move it to tests/")

    def check_type_name(self, path, line, name):
        words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", name)
        bad = next((word for word in words if word in FORBIDDEN_WORDS), None)
        if bad:
            self.say(path, line, f'"{bad}" in the type {name} says nothing', "name it for what it does")
        elif re.match(r"I[A-Z][a-z]", name) and not name.startswith("IPv"):
            self.say(path, line, f"{name} has an interface's prefix",
                     "the interface gets the plain noun, the implementation an adjective")

    def check_sizes(self, path, text):
        lines = text.count("\n")
        kind, limit = ("header", HEADER_LINES) if path.endswith(".h") else ("source", SOURCE_LINES)
        self.check_size(path, path, 1, f"this {kind}", lines, limit, "look for the second room in it")
        longest = {}
        for name, first, count in functions(text):
            if count > longest.get(name, (0, 0))[0]:
                longest[name] = (count, first)
        for name, (count, first) in longest.items():
            self.check_size(f"{path}:{name}", path, first, f"{name}()", count, FUNCTION_LINES, "give its parts names")

    def check_size(self, entry, path, line, what, lines, limit, todo):
        if lines <= limit:
            return
        if entry in self.allowed:
            self.used.add(entry)
            limit = self.allowed[entry][0]
        if lines > limit:
            self.say(path, line, f"{what} has {lines} lines, {limit} are allowed",
                     f"{todo}, or except {entry} in tools/tidy_allow.txt with a reason")

    def check_include(self, path, line, quoted, header):
        if not quoted and NETWORK_HEADER.fullmatch(header) and not path.startswith("src/runtime/"):
            self.say(path, line, f"<{header}> outside runtime", "use runtime's sockets, timers and tasks")
        ours = f"src/{header}" in self.known
        if LLAMA_HEADER.fullmatch(header) and not ours and not path.startswith(LLAMA_FOLDERS):
            self.say(path, line, f"llama.cpp's {header} outside its adapter", "go through the parts of engine's Backend")
        if not quoted:
            if ours:
                self.say(path, line, f"our own <{header}> in angle brackets", f'write "{header}"')
            return
        if not ours:
            beside = str(Path(path).parent / header)
            if path.startswith("src/") or ".." in header or beside not in self.known:
                self.say(path, line, f'"{header}" is no header of ours by its path below src/', 'write "room/file.h"')
            return
        if "/testing/" in header and not (path.endswith("_test.cc") or "/testing/" in path or path.startswith("tests/")):
            self.say(path, line, f'"{header}" is for tests', "product code uses the real thing")
        if path.startswith("src/"):
            self.check_direction(path, line, header)

    def check_direction(self, path, line, header):
        here, there = room_of(path.removeprefix("src/")), room_of(header)
        if here == there or here not in FLOOR_OF or there not in FLOOR_OF:
            return  # an unknown room is reported once, by check_rooms
        if there in INSIDE_GATEWAY and here not in ("app", "admin") and not here.startswith("gateway"):
            self.say(path, line, f'{here} reaches into the gateway for "{header}"', "let app pass what it needs")
        elif FLOOR_OF[here] == FLOOR_OF[there]:
            self.say(path, line, f'{here} includes "{header}" of its own floor',
                     "move what both need to a room below, or let app pass it")
        elif FLOOR_OF[here] > FLOOR_OF[there]:
            self.say(path, line, f'{here} includes "{header}" of a room above',
                     "dependencies point down: declare the seam here and let the upper room implement it")

    def check_rooms(self):
        rooms = {}
        for path in self.files:
            if path.startswith("src/") and (room := room_of(path.removeprefix("src/"))):
                rooms.setdefault(room, path)
        for room, path in rooms.items():
            if room not in FLOOR_OF:
                self.say(path, 1, f'"{room}" is no room of the house', "put it where it belongs, or give it a floor in tools/tidy.py")
            if f"src/{room}/README.md" not in self.known:
                self.say(f"src/{room}/README.md", 1, "this room has no README",
                         f"say in at most {README_LINES} lines what belongs here, what does not, and the key types")
        for path in self.files:
            if path.startswith("src/") and path.endswith("README.md"):
                lines = (self.root / path).read_text().count("\n")
                if lines > README_LINES:
                    self.say(path, README_LINES + 1, f"{lines} lines, {README_LINES} are allowed", "keep what a newcomer needs")


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    tidy = Tidy(root)
    breaches = tidy.check()
    for breach in breaches:
        print(breach)
    print(f"tidy: {len(tidy.files)} files, {len(breaches)} breaches")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())

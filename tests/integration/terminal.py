"""The program in a pseudo terminal, and a server whose answers tests decide."""

import contextlib
import fcntl
import http.server
import json
import os
import re
import signal
import struct
import subprocess
import tempfile
import termios
import threading

from server import BINARY, PATIENCE, SANITIZER, environment

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
PROMPT = r"\x1b\[\?2004h(?:\x1b\[[0-9;]*m)*>(?:\x1b\[[0-9;]*m)* "  # with bracketed paste on, which shows that a line is edited


class Terminal:
    """`open-autoglm ARGS` in a pseudo terminal; its output is in `text`."""

    def __init__(self, *args, home, columns=100, rows=40, **env):
        self.ours, self.theirs = os.openpty()
        self.resize(columns, rows, tell=False)
        self.modes = termios.tcgetattr(self.theirs)
        own = {"HOME": home, "TERM": "xterm-256color", **env}
        given = environment(**own)
        for name in ("NO_COLOR", "XDG_STATE_HOME", "EDITRC", "LC_ALL", "LC_CTYPE", "OPENAI_API_KEY"):
            if name not in own:
                given.pop(name, None)
        self.text, self.seen = "", 0
        self.more = threading.Condition()
        self.ended = False
        self.process = subprocess.Popen([BINARY, *args], stdin=self.theirs, stdout=self.theirs, stderr=self.theirs, env=given,
                                        start_new_session=True, cwd=home,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self):
        pieces = b""
        with contextlib.suppress(OSError):  # reading a closed terminal fails
            while piece := os.read(self.ours, 65536):
                pieces += piece
                with self.more:
                    self.text = pieces.decode(errors="replace")
                    self.more.notify_all()
        with self.more:
            self.ended = True
            self.more.notify_all()

    def type(self, text):
        os.write(self.ours, text.encode())

    def expect(self, pattern):
        """Waits until `pattern` appears after the text that was expected before; returns the match."""
        with self.more:
            found = []

            def has_come():
                match = re.compile(pattern, re.S).search(self.text, self.seen)
                found[:] = [match] if match else []
                return match or self.ended

            self.more.wait_for(has_come, PATIENCE)
            if not found:
                raise AssertionError(f"{pattern!r} did not come behind {self.text[:self.seen][-300:]!r}: {self.text[self.seen:]!r}")
            self.seen = found[0].end()
            return found[0]

    def prompt(self):
        self.expect(PROMPT)

    def say(self, text):
        """Types a message at the prompt and waits for the next prompt; returns the output in between."""
        self.type(text + "\r")
        begin = self.seen
        self.prompt()
        return self.text[begin:self.seen]

    def resize(self, columns, rows, tell=True):
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if tell:
            self.process.send_signal(signal.SIGWINCH)

    def wait(self):
        """Waits for the program to end by itself; returns its exit code."""
        return self.process.wait(PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.theirs)
        self.reader.join()
        os.close(self.ours)
        if kind is None and SANITIZER.search(self.text):
            raise AssertionError(self.text)


class ChatServer:
    """OpenAI's chat, by script: one of `answers` per question, and "ok" after the last.

    An answer is a text; or a list of things to send: texts, events (dicts), and threading.Events to wait for; or a
    tuple (status, headers, body).
    """

    def __init__(self, *answers, models=("alpha", "beta")):
        self.answers, self.models = list(answers), models
        self.questions, self.keys, self.gone = [], [], threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def send(self, status, headers, body):
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                outer.keys.append(self.headers.get("Authorization"))
                if isinstance(outer.models, tuple) and outer.models and isinstance(outer.models[0], int):
                    return self.send(*outer.models)
                self.send(200, {}, json.dumps({"data": [{"id": name} for name in outer.models]}).encode())

            def do_POST(self):
                outer.questions.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                answer = outer.answers.pop(0) if outer.answers else "ok"
                if isinstance(answer, tuple):
                    return self.send(*answer)
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                try:
                    for part in answer if isinstance(answer, list) else [answer, {"finish_reason": "stop"}]:
                        self.part(part)
                    self.chunk("data: [DONE]\n\n")
                    self.wfile.write(b"0\r\n\r\n")
                except OSError:
                    outer.gone.set()
                    self.close_connection = True

            def part(self, part):
                if isinstance(part, threading.Event):
                    if not part.wait(PATIENCE):
                        raise OSError
                elif isinstance(part, dict) and ("error" in part or "usage" in part):
                    self.chunk(f"data: {json.dumps(part)}\n\n")
                elif isinstance(part, dict):
                    self.chunk(f"data: {json.dumps({'choices': [{'index': 0, 'delta': {}, **part}]})}\n\n")
                else:
                    self.chunk(f"data: {json.dumps({'choices': [{'index': 0, 'delta': {'content': part}}]})}\n\n")

            def chunk(self, text):
                data = text.encode()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = False
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def asked(self, index=-1):
        """The messages of a question, as pairs (role, content)."""
        return [(m["role"], m["content"]) for m in self.questions[index]["messages"]]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class ChatTest:
    """For tests of `chat` in a terminal: gives each test an empty home and ends what it has started."""

    def setUp(self):
        self.home = self.enterContext(tempfile.TemporaryDirectory(prefix="open-autoglm-test-"))

    def chat(self, server, *args, ready=True, **env):
        url = server if isinstance(server, str) else server.url
        terminal = self.enterContext(Terminal("chat", "--url", url, *args, home=self.home, **env))
        if ready:
            terminal.prompt()
        return terminal

    def serve(self, *answers, **options):
        return self.enterContext(ChatServer(*answers, **options))

"""Real Redis servers, sentinels and clusters on loopback, ended by their own pids."""

import os
import signal
import socket
import subprocess
import tempfile

from server import PATIENCE, wait_for


def free_port():
    """A free one below the range of outgoing connections; a cluster's node also listens on it plus 10,000."""
    while True:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = found.getsockname()[1]
        if port < 55000:
            return port


class Redis:
    """`options` are redis-server's, by name. A `password` and `tls` (certificate, key, authority) are for `ask`, too."""

    def __init__(self, port=None, command="redis-server", config=None, password=None, user=None, tls=None, **options):
        self.folder = tempfile.TemporaryDirectory(prefix="open-autoglm-redis-")
        self.port, self.command, self.password, self.user, self.tls = port or free_port(), command, password, user, tls
        self.options = {"bind": "127.0.0.1", "save": "", "appendonly": "no", **options}
        self.options["tls-port" if tls else "port"] = str(self.port)
        if tls:
            certificate, key, authority = tls
            self.options.update({"port": "0", "tls-cert-file": certificate, "tls-key-file": key, "tls-ca-cert-file": authority,
                                 "tls-auth-clients": "no"})
        self.config = config
        self.start()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        path = os.path.join(self.folder.name, "redis.conf")
        with open(path, "w") as file:  # a sentinel writes into it
            if self.config is not None:
                file.write(f"port {self.port}\nbind 127.0.0.1\ndir {self.folder.name}\n{self.config}")
            else:
                for name, value in {"dir": self.folder.name, **self.options}.items():
                    for each in value if isinstance(value, list) else [value]:
                        file.write(f"{name} {each or chr(34) * 2}\n")
        with open(os.path.join(self.folder.name, "log"), "a") as log:
            self.process = subprocess.Popen([self.command, path], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        wait_for(lambda: self.ask("PING").strip() == "PONG", f"{self.command} on {self.port}")

    def ask(self, *words):
        command = ["redis-cli", "-p", str(self.port)]
        if self.password:
            command += ["--user", self.user or "default", "--pass", self.password, "--no-auth-warning"]
        if self.tls:
            command += ["--tls", "--cacert", self.tls[2]]
        return subprocess.run([*command, *words], capture_output=True, text=True, timeout=PATIENCE).stdout

    def keys(self):
        return sorted(self.ask("KEYS", "*").split())

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self.folder.cleanup()

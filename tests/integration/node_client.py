"""Runs scenarios of the official Node clients, node/CLIENT_client.mjs, against a server."""

import os
import subprocess

from server import PATIENCE

HERE = os.path.dirname(os.path.abspath(__file__))


def begin(server, client, name, base="/v1"):
    """The scenario as a process that has been started."""
    # ES modules are looked up from the script's folder, so the script is run from where the client is installed.
    modules = os.environ["AUTOGLM_NODE_MODULES"]
    link = os.path.join(os.path.dirname(modules), f"{client}_client.mjs")
    fresh = f"{link}.{os.getpid()}"
    with open(os.path.join(HERE, "node", f"{client}_client.mjs")) as source, open(fresh, "w") as copy:
        copy.write(source.read())
    os.replace(fresh, link)
    return subprocess.Popen(["node", link, f"http://127.0.0.1:{server.port}{base}", name], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True)


def end(process):
    said, _ = process.communicate(timeout=4 * PATIENCE)
    if process.returncode != 0:
        raise AssertionError(said)


def scenario(server, client, name, base="/v1"):
    end(begin(server, client, name, base))

"""An engine in its own process, which is killed again and again under load."""

import http.client
import os
import signal
import statistics
import threading
import time

from load import Stream, words
from servers import Ours

KILLS, CLIENTS = 20, 2


def child_of(pid):
    """The pid of the process's only child, or None."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/children") as file:
            if children := file.read().split():
                return int(children[0])
    return None


def proportional_mib(pid):
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:")) / 1024


def isolation(_pairs):
    """kill -9 of an engine's process, 20 times under load: restarts, and whether the server answers throughout"""
    over, probes, failed, ends = threading.Event(), [], [], []

    def probe(server):
        while not over.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
            began = time.monotonic()
            try:
                connection.request("GET", "/livez")
                if connection.getresponse().status != 200:
                    raise OSError("not 200")
                probes.append(1000 * (time.monotonic() - began))
            except OSError as error:
                failed.append(error)
            connection.close()
            time.sleep(0.01)

    def client(server, seed):
        while not over.is_set():
            stream = Stream(server.port, words(20, seed), 400)
            stream.start()
            stream.join()
            ends.append("whole" if stream.usage else "told" if stream.error or stream.status != 200 else "cut")

    with Ours("default", isolation="process") as server:
        threads = [threading.Thread(target=probe, args=(server,)), *(threading.Thread(target=client, args=(server, i)) for i in range(CLIENTS))]
        for thread in threads:
            thread.start()
        restarts, loads = [], []
        for _ in range(KILLS):
            time.sleep(1)
            victim = child_of(server.process.pid)
            os.kill(victim, signal.SIGKILL)
            began = time.monotonic()
            while child_of(server.process.pid) in (None, victim) or server.metric("autoglm_engine_process_up") != 1:
                time.sleep(0.002)
            restarts.append(time.monotonic() - began)
            loads.append(server.metric("autoglm_engine_process_load_seconds"))
        memory = [proportional_mib(pid) for pid in (server.process.pid, child_of(server.process.pid))]
        over.set()
        for thread in threads:
            thread.join()
    if failed or "cut" in ends:
        raise RuntimeError(f"{len(failed)} probes failed, {ends.count('cut')} streams ended without a word")
    with Ours("default") as server:
        Stream(server.port, words(20, 1), 100).run()
        memory.append(proportional_mib(server.process.pid))
    slower = [restart - load for restart, load in zip(restarts, loads)]
    rows = [["from the kill until it was up again, s", f"{statistics.median(restarts):.2f}", f"{max(restarts):.2f}"],
            ["of that: loading, as it says itself, s", f"{statistics.median(loads):.2f}", f"{max(loads):.2f}"],
            ["beyond its load time, s", f"{statistics.median(slower):.2f}", f"{max(slower):.2f}"],
            ["/livez meanwhile, ms", f"{statistics.median(probes):.1f}", f"{max(probes):.0f}"]]
    return "An engine's process, killed 20 times", ["", "median", "largest"], rows, (
        f"The default model, {CLIENTS} clients that stream without a pause, a kill a second after each restart. {len(probes)} probes of /livez, all "
        f"answered; {ends.count('whole')} streams whole, {ends.count('told')} ended with an error that says why, none without. Proportional memory: "
        f"the server {memory[0]:.0f} MiB and its engine {memory[1]:.0f}; with the engine on a thread {memory[2]:.0f}.")

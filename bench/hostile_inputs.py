"""The outcome and the cost of each hostile input in the test suite's table."""

import os
import sys

from servers import ROOT, Ours

sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))

import hostile as table  # noqa: E402

PATIENCE_S = 60


def cpu_ms(pid):
    """CPU time of all of the process's threads, by the scheduler's count: the clock of /proc/PID/stat is too coarse."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
            total += int(file.read().split()[0])
    return total / 1e6


def hostile(_pairs):
    """Hostile inputs: what each gets, CPU and memory."""
    rows = []
    with Ours("tiny", threads=1, context=512) as server:
        pid = server.process.pid
        for case in table.CASES:
            table.reset_peak(pid)
            memory, time = table.peak_kib(pid), cpu_ms(pid)
            statuses, closed = table.exchange(server.port, case, PATIENCE_S)
            if (statuses[0] if statuses else None) not in case.statuses or len(statuses) > case.answers or not (closed or case.stays):
                raise RuntimeError(f"{case.name}: {statuses}, closed: {closed}")
            answer = str(statuses[0]) if statuses else "none"
            rows.append([case.group, case.name, answer + (", closed" if closed else ""), f"{cpu_ms(pid) - time:.1f}",
                         f"{(table.peak_kib(pid) - memory) / 1024:.1f}"])
    return "Hostile inputs", ["", "input", "answer", "CPU ms", "MiB at most"], rows, (
        "One connection each to a server of the tiny model, its log off; memory is the growth of VmHWM. Bodies may have 16 MiB.")

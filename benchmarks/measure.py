"""Time one row in one library, here: `python -m benchmarks.measure lazygrad ROW SECONDS`.

Prints JSON: the first run's time, the median and least of the others (seconds), and the process's
largest size (bytes).
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time
from contextlib import suppress
from pathlib import Path

from .libraries import library
from .rows import ROWS

LEAST, MOST, WARM_UP = 5, 300, 3


def main() -> None:
    name, row, budget = sys.argv[1:]
    work = ROWS[row].build(library(name))
    times = []
    end = float("inf")
    while len(times) < WARM_UP + LEAST or (time.perf_counter() < end and len(times) < MOST):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
        if len(times) == WARM_UP:
            end = time.perf_counter() + float(budget)
    rest = times[WARM_UP:]
    print(json.dumps([times[0], statistics.median(rest), min(rest), peak_bytes()]))


def peak_bytes() -> int:
    """The largest size of this process in memory."""
    with suppress(OSError):  # Linux; its getrusage counts what the parent had before exec too
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()

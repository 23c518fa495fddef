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
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    rest = times[WARM_UP:]
    print(json.dumps([times[0], statistics.median(rest), min(rest), peak]))


if __name__ == "__main__":
    main()

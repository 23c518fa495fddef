"""How often a row is run, and the clock."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

RUNS = {"matmul": 40, "mlp": 300, "cnn": 12}
WARM_UP = 3


def report(row: str, work: Callable[[], object]) -> None:
    """Print the times of the row's runs, in seconds, as JSON."""
    times = []
    for run in range(RUNS[row] + WARM_UP):
        start = time.perf_counter()
        work()
        if run >= WARM_UP:
            times.append(time.perf_counter() - start)
    print(json.dumps(times))

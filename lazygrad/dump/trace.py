"""What ran when, as Chrome's trace events: Perfetto (ui.perfetto.dev) and chrome://tracing open it.

https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU has the format:
times in microseconds, "X" a slice with begin and duration, "C" a counter, "M" a name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .record import Record
from .runs import Runs

COMPILER, HOST, MEMORY = 0, 1, 2  # the rows; a device's threads or queue follow
FIRST_THREAD = 10


def trace_events(number: int, record: Record, runs: Runs) -> Iterator[dict[str, Any]]:
    """The events of one compilation and its runs; `number` tells it from others."""
    for name, begin, seconds in record.phases:
        yield _slice(COMPILER, f"{record.name}: {name}", begin, seconds, "compile")
    for begin, seconds, held in runs.samples:
        yield _slice(HOST, record.name, begin, seconds, "run")
        yield {
            "ph": "C", "pid": 0, "tid": MEMORY, "name": f"memory on {record.device}",
            "ts": begin * 1e6, "args": {"bytes": held},
        }  # fmt: skip
    rows = {COMPILER: "compiler", HOST: "programs"}
    for begin, times in runs.details:
        at = begin
        for launch, seconds in enumerate(times):
            threads = runs.threads[launch] if launch < len(runs.threads) else 1
            for thread in range(threads):
                rows[FIRST_THREAD + thread] = f"{record.device} {thread}"
                yield _slice(FIRST_THREAD + thread, record.launch_name(launch), at, seconds, "run")
            at += seconds
    if number == 0:
        rows |= {FIRST_THREAD: f"{record.device} 0"}
    for row, name in rows.items():
        yield {"ph": "M", "pid": 0, "tid": row, "name": "thread_name", "args": {"name": name}}


def _slice(row: int, name: str, begin: float, seconds: float, kind: str) -> dict[str, Any]:
    return {
        "ph": "X", "pid": 0, "tid": row, "name": name, "cat": kind,
        "ts": round(begin * 1e6, 3), "dur": round(seconds * 1e6, 3),
    }  # fmt: skip

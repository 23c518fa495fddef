"""What ran when, as Chrome's trace events: Perfetto (ui.perfetto.dev) and chrome://tracing open it.

https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU has the format:
times in microseconds, "X" a slice with begin and duration, "C" a counter, "M" a name. Slices of
one row do not overlap, or one is inside of the other: Perfetto drops others. Its rows begin at 1,
as 0 is a processor that is idle.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .record import Record
from .runs import Runs

PROCESS = 1
COMPILER, HOST, MEMORY = 1, 2, 3  # the rows; a device's threads or queue follow
FIRST_THREAD = 10


def trace_events(number: int, record: Record, runs: Runs) -> Iterator[dict[str, Any]]:
    """The events of one compilation and its runs; `number` tells it from others."""
    for name, begin, seconds in record.phases:
        yield _slice(COMPILER, f"{record.name}: {name}", begin, seconds, "compile")
    for begin, seconds, held in runs.samples:
        yield _slice(HOST, record.name, begin, seconds, "run")
        yield {
            "ph": "C", "pid": PROCESS, "tid": MEMORY, "name": f"memory on {record.device}",
            "ts": _microseconds(begin), "args": {"bytes": held},
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
        yield _name("process_name", COMPILER, "lazygrad")
    for row, name in rows.items():
        yield _name("thread_name", row, name)


def _name(kind: str, row: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "pid": PROCESS, "tid": row, "name": kind, "args": {"name": name}}


def _slice(row: int, name: str, begin: float, seconds: float, kind: str) -> dict[str, Any]:
    start, end = _microseconds(begin), _microseconds(begin + seconds)
    return {
        "ph": "X", "pid": PROCESS, "tid": row, "name": name, "cat": kind,
        "ts": start, "dur": round(end - start, 3),
    }  # fmt: skip


def _microseconds(seconds: float) -> float:
    """Rounded to nanoseconds: where one slice ends, the next begins."""
    return round(seconds * 1e6, 3)

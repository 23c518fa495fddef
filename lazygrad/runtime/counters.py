"""Count what runs: kernels, operations, bytes, seconds. Counting begins with `reset`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .execute import Plan


@dataclass
class Work:
    """Kernels that ran, their arithmetic operations, the bytes they moved, the seconds."""

    kernels: int = 0
    operations: int = 0
    nbytes: int = 0
    seconds: float = 0.0


runs: Counter[Plan] | None = None
"""How often each plan has run; None before the first `reset`."""

_seconds = 0.0


def reset() -> None:
    """Begin to count, from 0."""
    global runs, _seconds
    runs, _seconds = Counter(), 0.0


def add_seconds(seconds: float) -> None:
    """Add the time of one run of a plan."""
    global _seconds
    _seconds += seconds


def total() -> Work:
    """All that ran since `reset`."""
    work = Work(seconds=_seconds)
    for plan, times in (runs or {}).items():
        for run in plan.programs():
            for launch in run.launches:
                work.kernels += times
                work.operations += times * launch.function.flops
                work.nbytes += times * launch.function.bytes
    return work

"""What ran, when, and for how long: the runs of one compiled program."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from ..runtime.execute import Plan

SAMPLES = 256  # runs whose time and memory are shown; of more, every second, fourth, ... one
DETAILS = 3  # runs whose kernels are shown one by one: the first ones


class Runs:
    """Watches a plan (runtime.execute.Observer). Times are in seconds since `origin`."""

    def __init__(self, origin: float) -> None:
        self.origin = origin
        self.is_open = True
        self.count = 0
        self.total = 0.0
        self.least = 0.0
        self.samples: list[tuple[float, float, int]] = []  # begin, duration, bytes held
        self.details: list[tuple[float, list[float]]] = []  # begin, duration of each launch
        self.launches: list[list[float]] = []  # total and least duration of each launch
        self.threads: list[int] = []
        self.peak_bytes = 0
        self._step = 1

    def ran(self, plan: Plan, begin: float, seconds: float) -> None:
        """A run of the plan has ended."""
        if not self.is_open:
            return
        times = [time for run in plan.programs() for time in run.program.times()]
        if not self.launches:
            self.launches = [[0.0, time] for time in times]
            self.threads = [n for run in plan.programs() for n in run.program.threads()]
            self.peak_bytes = plan.peak_bytes
        for sums, time in zip(self.launches, times, strict=True):
            sums[0] += time
            sums[1] = min(sums[1], time)
        self.total += seconds
        self.least = min(self.least, seconds) if self.count else seconds
        if len(self.details) < DETAILS:
            self.details.append((begin - self.origin, times))
        if self.count % self._step == 0:
            held = sum({run.device.name: run.device.held() for run in plan.programs()}.values())
            self.samples.append((begin - self.origin, seconds, held))
            if len(self.samples) >= SAMPLES:
                self.samples = self.samples[::2]
                self._step *= 2
        self.count += 1

    def json(self) -> dict[str, Any]:
        """As values that JSON can hold; durations in seconds, rounded to nanoseconds."""
        return {
            "count": self.count,
            "total": _rounded(self.total),
            "least": _rounded(self.least),
            "launches": [[_rounded(t) for t in sums] for sums in self.launches],
            "threads": self.threads,
            "peak_bytes": self.peak_bytes,
            "samples": [[_rounded(at), _rounded(time), held] for at, time, held in self.samples],
            "details": [[_rounded(at), [_rounded(t) for t in ts]] for at, ts in self.details],
        }


def _rounded(seconds: float) -> float:
    return round(seconds, 9)


def now() -> float:
    """The clock of all times here."""
    return perf_counter()

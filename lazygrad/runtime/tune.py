"""TUNE=1: choose how a kernel is computed by measured time, and remember the choice on disk."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from time import perf_counter

import numpy as np

from .. import config
from ..backends.base import Device, Launch, Passes, Program
from ..loops.ir import Function, identity_text
from .cache import DiskCache

TRIED = 12  # plans of a contraction, of those that are thought best
ROUNDS = 3  # in turns, so that what else the machine does meets all candidates
SECONDS = 0.02  # for one candidate in a round


@cache
def _cache() -> DiskCache:
    return DiskCache("tune")


def fastest(function: Function, candidates: Sequence[Passes], device: Device) -> Passes:
    """The candidate whose code takes the least time, on memory full of zeros; it is found on disk
    where another process has measured the same.

    Requires: the candidates' keys tell them apart, on any machine. Raises OutOfMemoryError.
    """
    key = "\n".join((*(c.key for c in candidates), identity_text(function)))
    known = _cache().get(key)
    if known is not None and int(known) < len(candidates):
        return candidates[int(known)]
    times = _times(function, candidates, device)
    best = times.index(min(times))
    _cache().put(key, str(best).encode())
    if config.DEBUG:
        print(
            f"tuned {function.name}: plan {best + 1} of {len(times)}, "
            f"{times[best] * 1e6:.1f} us instead of {times[0] * 1e6:.1f}",
            file=sys.stderr,
        )
    return candidates[best]


def _times(function: Function, candidates: Sequence[Passes], device: Device) -> list[float]:
    """The least seconds of one run of each."""
    arrays = [np.empty(a.size, a.dtype.numpy) for a in function.arguments]
    for array in arrays:
        array.fill(0)  # np.zeros would be one page of zeros over and over, always in the caches
    memories = [device.upload(array) for array in arrays]
    slots = tuple(range(len(memories)))
    programs = [
        device.compile([Launch(function, slots, True, passes)], timing=True)
        for passes in candidates
    ]
    times = [float("inf")] * len(programs)
    for _ in range(ROUNDS):
        for n, program in enumerate(programs):
            times[n] = min(times[n], _least(program, memories, device))
    return times


def _least(program: Program, memories: Sequence[object], device: Device) -> float:
    least, end = float("inf"), perf_counter() + SECONDS
    while perf_counter() < end:
        program.run(memories)
        device.synchronize()
        least = min(least, *program.times())
    return least

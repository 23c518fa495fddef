"""TUNE=1: choose a kernel's plan (how its loops are tiled) by measured time, and remember it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from time import perf_counter

import numpy as np

from .. import config
from ..backends.base import Device, Launch, Program
from ..cache import DiskCache
from ..targets import TUNE_ROUNDS, TUNE_SECONDS


@cache
def _cache() -> DiskCache:
    return DiskCache("plans")


def remembered(key: str) -> str | None:
    """The plan that was the fastest for a key, in this process or another; None if unknown."""
    found = _cache().get(key)
    return None if found is None else found.decode()


def fastest(key: str, plans: Sequence[str], make: Callable[[str], Launch], device: Device) -> str:
    """The plan whose code takes the least time, on memory full of zeros; it is remembered on disk.

    `make` gives the launch of a plan. Requires: all plans compute the same; equal keys mean equal
    kernels on equal machines. Raises OutOfMemoryError.
    """
    candidates = [make(plan) for plan in plans]
    times = _times(candidates, device)
    best = times.index(min(times))
    _cache().put(key, plans[best].encode())
    if config.DEBUG:
        print(
            f"tuned {candidates[0].function.name}: plan {best + 1} of {len(times)}, "
            f"{times[best] * 1e6:.1f} us instead of {times[0] * 1e6:.1f}",
            file=sys.stderr,
        )
    return plans[best]


def _times(candidates: Sequence[Launch], device: Device) -> list[float]:
    """The least seconds of one run of each."""
    arrays = [np.empty(a.size, a.dtype.numpy) for a in candidates[0].function.arguments]
    for array in arrays:
        array.fill(0)  # np.zeros maps one page of zeros many times, which the caches hold
    memories = [device.upload(array) for array in arrays]
    slots = tuple(range(len(memories)))
    programs = [device.compile([replace(c, slots=slots)], timing=True) for c in candidates]
    times = [float("inf")] * len(programs)
    for _ in range(TUNE_ROUNDS):
        for n, program in enumerate(programs):
            times[n] = min(times[n], _least(program, memories, device))
    return times


def _least(program: Program, memories: Sequence[object], device: Device) -> float:
    least, end = float("inf"), perf_counter() + TUNE_SECONDS
    while perf_counter() < end:
        program.run(memories)
        device.synchronize()
        least = min(least, *program.times())
    return least

"""The CPU as a Device: memory, and programs."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from ... import config
from ...targets import Machine, Native
from ...targets import Target as Kind
from ..base import Box, Launch, Program
from ..memory import ALIGNMENT, HostMemory, host_pool
from .build import has
from .plain import PlainProgram
from .program import CPUProgram
from .target import Target, cache_bytes, host
from .threads import team

# Uploads smaller than this are copied if that aligns them: vectors then never cross cache lines.
COPIED_BYTES = 1 << 20
# What NumPy guarantees of the memory it allocates.
NUMPY_ALIGNMENT = 16


class CPU:
    """The processor that this process runs on (backends.base.Device)."""

    name = "CPU"

    def __init__(self) -> None:
        self.target = host()
        if config.DEBUG:
            width = f"{8 * self.target.vector_bytes} bits a vector"
            threads = f"{config.THREADS} thread{'s' * (config.THREADS > 1)}"
            print(f"lazygrad: CPU is {self.target.name}, {width}, {threads}", file=sys.stderr)
        self.pool = host_pool()

    @property
    def machine(self) -> Machine:
        """Facts for the loop passes; `cores` is how many threads compute."""
        return machine(self.target, config.THREADS if config.OPT else 1)

    def allocate(self, nbytes: int) -> HostMemory:
        """Memory for nbytes, aligned to 64, of undefined contents. Raises OutOfMemoryError."""
        return self.pool.take(nbytes)

    def upload(self, array: np.ndarray[Any, Any]) -> HostMemory:
        """The array's own memory where it is aligned and in order, else a copy."""
        array = np.ascontiguousarray(array)
        address = array.ctypes.data
        shares = address % (ALIGNMENT if array.nbytes < COPIED_BYTES else NUMPY_ALIGNMENT) == 0
        if shares and array.nbytes:
            return HostMemory.shared(address, array.nbytes, array)
        memory = self.pool.take(array.nbytes)
        ctypes.memmove(memory.address, address, array.nbytes)
        return memory

    def download(self, memory: HostMemory, array: np.ndarray[Any, Any]) -> None:
        """Copy the first array.nbytes bytes of memory into a contiguous array."""
        ctypes.memmove(array.ctypes.data, memory.address, array.nbytes)

    def copy_box(self, source: HostMemory, target: HostMemory, box: Box) -> None:
        """Copy a box between memories of two shapes."""
        width, height, depth = (*reversed(box), (1, 1, 1), (1, 1, 1))[:3]
        team().copy(
            source.address, target.address, depth[2], height[2], width[2],
            width[0] * height[0], width[0], width[1] * height[1], width[1],
        )  # fmt: skip

    def blank(self, memory: HostMemory, start: int, end: int) -> None:
        """Set bytes start .. end - 1 to 0."""
        ctypes.memset(memory.address + start, 0, max(end - start, 0))

    def cached(self, key: str) -> bool:
        """Whether there is machine code under a key, in this process or on disk."""
        return has(key, self.target)

    def compile(self, launches: Sequence[Launch], timing: bool = False) -> Program:
        """Machine code for the launches, from this process, the cache on disk, or LLVM."""
        if config.OPT:
            return CPUProgram(launches, self.target, timing)
        return PlainProgram(launches, self.target)

    def held(self) -> int:
        """Bytes that the pool has given out."""
        return self.pool.used

    def synchronize(self) -> None:
        """Nothing is pending: programs have run when `run` returns."""


@cache
def machine(target: Target, threads: int) -> Machine:
    """What the loop passes know of a target."""
    return Machine(
        name=target.name,
        target=Kind.CPU,
        cores=threads,
        vector_bytes=target.vector_bytes,
        registers=target.registers,
        l1_bytes=cache_bytes(1),
        l2_bytes=cache_bytes(2),
        native=Native(fma=target.fma, half=target.half),
        fma_rate=target.fma_rate,
    )

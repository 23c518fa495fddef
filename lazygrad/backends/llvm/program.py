"""Launches as one program: machine code that is kept on disk, and one native call for all of them.

driver.py has the native code, threads.py the threads that run it.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence
from functools import partial
from itertools import compress
from typing import Any

import numpy as np

from ... import config
from ...loops.ir import For, Function, statements
from ...progress import counted
from ..base import Launch
from ..memory import HostMemory
from .build import Build, Source
from .codegen import codegen, scratch_bytes
from .driver import LAUNCH_WORDS, PROGRAM_WORDS
from .plain import code_of
from .target import Target
from .threads import team

Table = np.ndarray[Any, np.dtype[np.int64]]


class CPUProgram:
    """Launches as machine code and the tables that the driver walks (backends.base.Program)."""

    def __init__(self, launches: Sequence[Launch], target: Target, timing: bool) -> None:
        self._target = target
        keys = self._keys = [launch.code_key for launch in launches]
        self._sources = dict(zip(keys, launches, strict=True))
        build = Build(target)
        for key, launch in counted("code of kernel", self._sources.items()):
            build.add(launch.function.name, key, partial(_source, launch, target))
        kernels = build.finish()
        self._kernels = [kernels[key] for key in keys]
        self._scratch = max((kernel.scratch for kernel in self._kernels), default=0)
        slots = [slot for launch in launches for slot in launch.slots]
        self._count = max(slots, default=-1) + 1
        self._memories = bytearray(8 * self._count + 8)
        self._pack = struct.Struct(f"{self._count}Q").pack_into
        offsets = [b for launch in launches for b in launch.offsets or [0] * len(launch.slots)]
        self._slots = np.array([slots, offsets], np.int64).T.copy()
        self._arguments = np.zeros(len(slots) + 1, np.uint64)
        self._times = np.zeros((len(launches) + 1, 2), np.int64)  # seconds, nanoseconds
        functions = [launch.function for launch in launches]
        shared = who_runs(functions, [kernel.parallel for kernel in self._kernels])
        self._seconds = shared_seconds(functions, shared)
        self._threads = config.THREADS
        self._launches = self._launch_table(launches, shared)
        self._program = np.array(
            [
                len(launches), self._launches.ctypes.data, len(slots), self._arguments.ctypes.data,
                self._slots.ctypes.data, self._times.ctypes.data if timing else 0,
                time.CLOCK_MONOTONIC,
            ],
            np.int64,
        )  # fmt: skip
        assert len(self._program) == PROGRAM_WORDS
        self._address = self._program.ctypes.data
        self._memories_address = np.frombuffer(self._memories, np.uint8).ctypes.data

    def _launch_table(self, launches: Sequence[Launch], shared: Sequence[bool]) -> Table:
        table = np.zeros((len(launches), LAUNCH_WORDS), np.int64)
        waits = barriers_before([launch.barrier for launch in launches], shared)
        position = self._arguments.ctypes.data
        for row, launch in enumerate(launches):
            table[row] = (self._kernels[row].address, position, shared[row], waits[row])
            position += 8 * len(launch.slots)
        return table

    def run(self, memories: Sequence[HostMemory], share: float = 1.0) -> None:
        """Run every launch; slot n is memories[n]; more memories than slots may be given.

        Returns when all is done. Where only a small `share` of the work is done, which is not worth
        waking the other threads, the caller does it alone.
        """
        threads = config.THREADS if self._seconds * share >= WORTH_WAKING else 1
        with team().lock:
            addresses = [memory.address for memory in memories]
            self._pack(self._memories, 0, *addresses[: self._count])
            team().run(self._address, self._memories_address, threads, self._scratch)
            self._threads = threads

    def times(self) -> list[float]:
        """Seconds that each launch of the last run took, for a program compiled with timing."""
        return [float(t) * 1e-9 for t in np.diff(self._times @ (1_000_000_000, 1))]

    def threads(self) -> list[int]:
        """How many threads ran each launch last, or will run it first."""
        return [self._threads if is_shared else 1 for is_shared in self._launches[:, 2]]

    def codes(self) -> list[dict[str, str]]:
        """The LLVM IR and the assembly of each launch."""
        codes = {key: code_of(x.loops, self._target, opt=1) for key, x in self._sources.items()}
        return [codes[key] for key in self._keys]


def _source(launch: Launch, target: Target) -> Source:
    """The launch's LLVM IR, its scratch memory, and whether it has a parallel loop."""
    loops = launch.loops
    parallel = any(isinstance(s, For) and s.kind == "parallel" for s in statements(loops.body))
    return Source(codegen(loops, target), scratch_bytes(loops), parallel)


def barriers_before(barriers: Sequence[bool], shared: Sequence[bool]) -> list[bool]:
    """Decide before which launches all threads wait for one another.

    Thread 0 runs its own launches in order: between two of them no barrier is needed, and the next
    shared launch has it instead.

        run by                    thread 0   thread 0   all threads
        waits for earlier ones    yes        yes        yes
        barrier before            no         no         yes
    """
    result: list[bool] = []
    ran, owed = "nothing", False  # since the last barrier
    for barrier, by_all in zip(barriers, shared, strict=True):
        waits = barrier or owed
        needed = waits and (ran == "all" or (ran == "one" and by_all))
        owed = waits and not needed and ran == "one"
        ran = "all" if by_all or (ran == "all" and not needed) else "one"
        result.append(needed)
    return result


# Rough rates of one core, and the seconds of work that are worth a barrier or a wake-up.
FLOPS_PER_SECOND = 20e9
BYTES_PER_SECOND = 10e9
WORTH_A_BARRIER = 4e-6  # seconds of one launch
WORTH_WAKING = 40e-6  # seconds of all shared launches of a program


def _seconds(function: Function) -> float:
    if function.flops == function.bytes == 0:  # nothing is known of it
        return WORTH_WAKING
    return max(function.flops / FLOPS_PER_SECOND, function.bytes / BYTES_PER_SECOND)


def who_runs(functions: Sequence[Function], parallel: Sequence[bool]) -> list[bool]:
    """Decide which functions all threads run; thread 0 runs the others. `parallel` says which ones
    have a parallel loop."""
    shared = [
        can_share and _seconds(function) >= WORTH_A_BARRIER
        for function, can_share in zip(functions, parallel, strict=True)
    ]
    worth = shared_seconds(functions, shared) >= WORTH_WAKING
    return shared if worth else [False] * len(shared)


def shared_seconds(functions: Sequence[Function], shared: Sequence[bool]) -> float:
    """Roughly the seconds that one core takes for the functions that all threads run."""
    return sum(_seconds(function) for function in compress(functions, shared))

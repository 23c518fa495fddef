"""Launches as one program: machine code that is kept on disk, and one native call for all of them.

driver.py has the native code, threads.py the threads that run it.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Mapping, Sequence
from ctypes import c_int64
from functools import partial
from itertools import compress
from operator import add

import numpy as np

from ... import config
from ...cache import remember
from ...loops.ir import For, Function, statements
from ...progress import counted
from ..base import Launch
from ..memory import HostMemory
from .build import Build, Kernel, Source
from .codegen import codegen, scratch_bytes
from .driver import LAUNCH_WORDS, PROGRAM_WORDS
from .plain import code_of
from .target import Target
from .threads import team

MAX_TABLES = 64  # of a program with loops, some 100 bytes a launch; the oldest are dropped


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
        functions = [launch.function for launch in launches]
        self._shared = who_runs(functions, [kernel.parallel for kernel in self._kernels])
        self._seconds = shared_seconds(functions, self._shared)
        self._threads = config.THREADS
        self._turns = [(n, launch.turn) for n, launch in enumerate(launches) if launch.turn]
        self._counts = sorted({turn.count for _, turn in self._turns})
        self._launches, self._timing = launches, timing
        slots = [slot for launch in launches for slot in launch.slots]
        self._slots = max([*slots, *self._counts], default=-1) + 1
        self._memories = bytearray(8 * self._slots + 8)
        self._pack = struct.Struct(f"{self._slots}Q").pack_into
        self._memories_address = np.frombuffer(self._memories, np.uint8).ctypes.data
        self._tables: dict[tuple[int, ...], _Table] = {}  # by the counts of loops
        self._table = None if self._counts else self._made(())

    def _made(self, counts: tuple[int, ...]) -> _Table:
        """The table of the launches that run for these counts."""
        known = dict(zip(self._counts, counts, strict=True))
        left_out: set[int] = set()
        moved: dict[int, Sequence[int]] = {}
        for n, turn in self._turns:
            steps = turn.steps(known[turn.count])
            moved[n] = [step * steps for step in turn.moves]
            if turn.number >= steps:
                left_out.add(n)
        rows = [n for n in range(len(self._launches)) if n not in left_out]
        return _Table(rows, self._launches, moved, self._kernels, self._shared, self._timing)

    def run(self, memories: Sequence[HostMemory], share: float = 1.0) -> None:
        """Run every launch; slot n is memories[n]; more memories than slots may be given.

        Returns when all is done. Where only a small `share` of the work is done, which is not worth
        waking the other threads, the caller does it alone.
        """
        threads = config.THREADS if self._seconds * share >= WORTH_WAKING else 1
        with team().lock:
            addresses = [memory.address for memory in memories]
            if self._counts:
                counts = tuple([c_int64.from_address(addresses[n]).value for n in self._counts])
                table = self._tables.get(counts)
                if table is None:
                    table = self._made(counts)
                    remember(self._tables, counts, table, MAX_TABLES)
                self._table = table
            assert self._table is not None
            self._pack(self._memories, 0, *addresses[: self._slots])
            team().run(self._table.address, self._memories_address, threads, self._scratch)
            self._threads = threads

    def times(self) -> list[float]:
        """Seconds that each launch of the last run took, for a program compiled with timing; 0 for
        one that did not run."""
        times = [0.0] * len(self._launches)
        if self._table is not None:
            for n, seconds in zip(self._table.rows, self._table.seconds(), strict=True):
                times[n] = seconds
        return times

    def threads(self) -> list[int]:
        """How many threads ran each launch last, or will run it first."""
        return [self._threads if is_shared else 1 for is_shared in self._shared]

    def codes(self) -> list[dict[str, str]]:
        """The LLVM IR and the assembly of each launch."""
        codes = {key: code_of(x.loops, self._target, opt=1) for key, x in self._sources.items()}
        return [codes[key] for key in self._keys]


class _Table:
    """What the driver walks: launches, the `rows` of a program, each with a function's address and
    its arguments. `moved` has the bytes by which arguments begin later."""

    def __init__(
        self,
        rows: Sequence[int],
        launches: Sequence[Launch],
        moved: Mapping[int, Sequence[int]],
        kernels: Sequence[Kernel],
        shared: Sequence[bool],
        timing: bool,
    ) -> None:
        self.rows = rows
        arguments: list[tuple[int, int]] = []
        for n in rows:
            launch = launches[n]
            starts = launch.offsets or (0,) * len(launch.slots)
            if n in moved:
                starts = tuple(map(add, starts, moved[n]))
            arguments += zip(launch.slots, starts, strict=True)
        self._slots = np.array(arguments, np.int64)
        self._arguments = np.zeros(len(arguments) + 1, np.uint64)
        self._times = np.zeros((len(rows) + 1, 2), np.int64)  # seconds, nanoseconds
        by_all = [shared[n] for n in rows]
        waits = barriers_before([launches[n].barrier for n in rows], by_all)
        self._launches = np.zeros((len(rows), LAUNCH_WORDS), np.int64)
        position = self._arguments.ctypes.data
        for row, (n, is_shared, wait) in enumerate(zip(rows, by_all, waits, strict=True)):
            self._launches[row] = (kernels[n].address, position, is_shared, wait)
            position += 8 * len(launches[n].slots)
        self._program = np.array(
            [
                len(rows), self._launches.ctypes.data, len(arguments), self._arguments.ctypes.data,
                self._slots.ctypes.data, self._times.ctypes.data if timing else 0,
                time.CLOCK_MONOTONIC,
            ],
            np.int64,
        )  # fmt: skip
        assert len(self._program) == PROGRAM_WORDS
        self.address = self._program.ctypes.data

    def seconds(self) -> list[float]:
        """Seconds that each row took in the last run."""
        return [float(t) * 1e-9 for t in np.diff(self._times @ (1_000_000_000, 1))]


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

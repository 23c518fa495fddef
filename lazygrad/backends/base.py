"""The protocol of a backend: a device compiles and runs kernels.

A backend's `codegen` is pure (loops in, text out, tested with no device); its `device` has memory,
compiles and launches. Nothing outside backends/ knows more than this protocol.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from ..cache import source_digest
from ..errors import CompilerError
from ..loops.ir import Function, digest
from ..origin import Origin
from ..targets import Machine

Box = tuple[tuple[int, int, int], ...]
"""A copy between memories of two shapes. For each axis, at most three: its size in the source, its
size in the target, and how much is copied, from index 0. The last axis counts bytes."""


@dataclass(frozen=True)
class Turn:
    """The step of a loop that a launch belongs to. The loop takes slope * n + start steps, for the
    integer n (int64) in the slot `count`; the launch runs if that is more than `number`. `moves`:
    the bytes by which each argument begins later for each of the loop's steps."""

    number: int
    count: int
    line: tuple[int, int]
    moves: tuple[int, ...]

    def steps(self, n: int) -> int:
        """The steps that the loop takes."""
        slope, start = self.line
        return slope * n + start


@dataclass(frozen=True)
class Launch:
    """One kernel of a program: a function and, for each of its arguments, the slot it uses.

    `function` has legalised loops; its body may be empty where the device has code under `key`.
    `key` identifies the code on a device; without a key a digest of the function does.
    `barrier`: whether it must wait for the launches before it (else it may run beside them).
    `offsets`: the byte of its slot's memory at which each argument begins; empty where all are 0,
    and always empty off the CPU. `plain`: the function before the loop passes: slow, simple, and
    not legalised. `origins`: the lines of the program that it computes, where they are known.
    `turn`: for a launch of a loop whose steps are counted when it runs; only on the CPU.
    """

    function: Function
    slots: tuple[int, ...]
    barrier: bool = True
    offsets: tuple[int, ...] = ()
    key: str = ""
    plain: Function | None = None
    origins: tuple[Origin, ...] = field(default=(), compare=False)
    turn: Turn | None = None

    @property
    def code_key(self) -> str:
        """The key; a digest of the loops where there is none."""
        return self.key or f"{source_digest()} {digest(self.function)}"

    @property
    def loops(self) -> Function:
        """The loops to write code for. Raises CompilerError where they were left out because the
        code was in the cache, and the code has since been removed."""
        if self.key and not self.function.body and (self.plain is None or self.plain.body):
            raise CompilerError(f"{self.function.name}: its code is not in the cache any more")
        return self.function


class Program(Protocol):
    """Compiled launches, to be run in order."""

    def run(self, memories: Sequence[Any], share: float = 1.0) -> None:
        """Run every launch; slot n is memories[n] (a Device's handles). Returns when the work is
        done or, on a device with a queue, enqueued. `share`: the part of the launches' counted work
        that is done, where loops end at a size."""

    def times(self) -> list[float]:
        """Seconds that each launch of the last run took, where the run was made with timing."""

    def threads(self) -> list[int]:
        """How many threads of the host run each launch; 1 where a queue does."""

    def codes(self) -> list[dict[str, str]]:
        """The generated code of each launch by kind ("llvm", "asm", "opencl"), for dumps."""


class Device(Protocol):
    """A place with memory that runs programs. Handles of memory are the device's own objects.

    A handle goes back to the device when nothing refers to it. One whose bytes the host can read
    where they are has NumPy's `__array_interface__`: NumPy then makes views that keep it alive.
    """

    @property
    def name(self) -> str:
        """ "CPU", "GPU", "GPU:1"."""

    @property
    def machine(self) -> Machine:
        """The facts that passes decide by."""

    def allocate(self, nbytes: int) -> Any:
        """Memory for nbytes, aligned for vectors. Raises OutOfMemoryError with the sizes."""

    def upload(self, array: np.ndarray) -> Any:
        """Memory that holds the array's bytes; shares them where the device can."""

    def download(self, memory: Any, array: np.ndarray) -> None:
        """Copy the first array.nbytes bytes of memory into array (contiguous); waits."""

    def copy_box(self, source: Any, target: Any, box: Box) -> None:
        """Copy a box between memories of two shapes."""

    def blank(self, memory: Any, start: int, end: int) -> None:
        """Set bytes start .. end - 1 to 0. Old integers there may read as denormal floats, with
        which a processor computes a hundred times as slowly."""

    def cached(self, key: str) -> bool:
        """Whether there is code under a key, in memory or on disk. It stays until the next
        `compile`, so the kernel's loops need not be made."""

    def compile(self, launches: Sequence[Launch], timing: bool = False) -> Program:
        """A program of the launches. A launch's code comes from the cache if its key is there."""

    def held(self) -> int:
        """Bytes of the device's memory that are in use."""

    def synchronize(self) -> None:
        """Wait until all that was enqueued is done."""


def joined(codes: Sequence[dict[str, str]]) -> dict[str, str]:
    """The code of several launches as one text a kind, each function once."""
    texts: dict[str, dict[str, None]] = {}
    for code in codes:
        for kind, text in code.items():
            texts.setdefault(kind, {})[text] = None
    return {kind: "\n".join(found) for kind, found in texts.items()}


def show_bytes(nbytes: int) -> str:
    """A size for people: 512 bytes, 1.5 GiB."""
    size, unit = float(nbytes), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{nbytes} bytes" if unit == "bytes" else f"{size:.1f} {unit}"

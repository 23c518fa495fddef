"""What the rest of lazygrad asks of a backend: facts about the machine, and a device.

A backend is two files: `codegen` (pure: loops in, text out, golden-tested with no device) and
`device` (memory, compiling, launching). Nothing outside backends/ knows more than this protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from ..loops.ir import Function, digest


@dataclass(frozen=True)
class Machine:
    """Named facts that the loop passes decide by. Sizes are in bytes.

    A CPU has `vector_bytes` and `registers` (vector registers) and shares parallel loops among
    `cores`; a GPU (`gpu` true) has work-groups of at most `group_limit` items, `local_bytes` of
    memory a group, and `cores` compute units.
    """

    name: str
    gpu: bool
    cores: int
    vector_bytes: int
    registers: int
    l1_bytes: int
    l2_bytes: int
    fma: bool
    fma_rate: int = 2  # vectors that a core multiplies and adds in a cycle
    group_limit: int = 1
    local_bytes: int = 0
    float16: bool = True  # arithmetic or at least storage
    float64: bool = True
    has_offsets: bool = False  # whether an argument may begin inside of a memory


@dataclass(frozen=True)
class Passes:
    """What is to be done to a function's loops before codegen takes them.

    `key` differs wherever, of an equal function, the result would. So a device that finds code by
    function and key need not run them.
    """

    key: str
    run: Callable[[Function], Function]


@dataclass(frozen=True)
class Launch:
    """One kernel of a program: a function and, for each of its arguments, the slot it uses.

    `barrier`: whether it must wait for the launches before it (else it may run beside them).
    `passes`: what is still to be done to the function, if anything. `offsets`: how many bytes into
    its slot's memory each argument begins, where one does and the machine has offsets. `digest`:
    the function's, where it is known; the body of a launch that was on disk is not there.
    """

    function: Function
    slots: tuple[int, ...]
    barrier: bool = True
    passes: Passes | None = None
    offsets: tuple[int, ...] = ()
    digest: str = ""

    @property
    def identity(self) -> str:
        """What tells the function from all that are not equal to it."""
        return self.digest or digest(self.function)

    @property
    def loops(self) -> Function:
        """The function as codegen takes it."""
        return self.function if self.passes is None else self.passes.run(self.function)

    @property
    def plain(self) -> Launch:
        """The launch with its function as it was lowered: slow, and simple to write code for."""
        return replace(self, passes=None)


class Program(Protocol):
    """Compiled launches, to be run in order."""

    def run(self, memories: Sequence[Any]) -> None:
        """Run every launch; slot n is memories[n] (a Device's handles). Returns when the work is
        done or, on a device with a queue, enqueued."""

    def times(self) -> list[float]:
        """Seconds that each launch of the last run took, where the run was made with timing."""

    def texts(self) -> dict[str, str]:
        """The generated code by kind ("llvm", "asm", "opencl"), for dumps."""


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
        """Facts for the loop passes."""

    def allocate(self, nbytes: int) -> Any:
        """Memory for nbytes, aligned for vectors. Raises OutOfMemoryError with the sizes."""

    def upload(self, array: np.ndarray) -> Any:
        """Memory that holds the array's bytes; shares them where the device can."""

    def download(self, memory: Any, array: np.ndarray) -> None:
        """Copy the first array.nbytes bytes of memory into array (contiguous); waits."""

    def compile(self, launches: Sequence[Launch], timing: bool = False) -> Program:
        """Machine code for the launches; what was compiled before comes from memory or disk."""

    def synchronize(self) -> None:
        """Wait until all that was enqueued is done."""


def show_bytes(nbytes: int) -> str:
    """A size for people: 512 bytes, 1.5 GiB."""
    size, unit = float(nbytes), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{nbytes} bytes" if unit == "bytes" else f"{size:.1f} {unit}"

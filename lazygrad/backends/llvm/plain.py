"""Machine code for OPT=0: each kernel is compiled here and now, and called by itself."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from itertools import repeat
from time import perf_counter

from ...loops.ir import Function
from ..base import Launch
from ..memory import HostMemory, allocate
from .codegen import codegen, scratch_bytes
from .machine_code import in_memory, to_assembly
from .target import Target


class PlainProgram:
    """Launches that run one after another, on the thread that asks (backends.base.Program)."""

    def __init__(self, launches: Sequence[Launch], target: Target) -> None:
        self._launches = launches
        self._target = target
        self._times = [0.0] * len(launches)
        self._kernels = [
            in_memory(codegen(x.function, target, opt=0), x.function.name, *target.llvm)
            for x in launches
        ]

    def run(self, memories: Sequence[HostMemory], share: float = 1.0) -> None:
        """Run every launch; slot n is memories[n]. Returns when all is done."""
        for n, (launch, kernel) in enumerate(zip(self._launches, self._kernels, strict=True)):
            begin = perf_counter()
            places = zip(launch.slots, launch.offsets or repeat(0), strict=False)
            arguments = [memories[slot].address + offset for slot, offset in places]
            scratch, owner = allocate(scratch_bytes(launch.function))
            kernel((ctypes.c_void_p * len(arguments))(*arguments), 0, 1, scratch)
            del owner  # it has kept the scratch block alive
            self._times[n] = perf_counter() - begin

    def times(self) -> list[float]:
        """Seconds that each launch of the last run took."""
        return self._times

    def threads(self) -> list[int]:
        """One thread runs each launch."""
        return [1] * len(self._launches)

    def codes(self) -> list[dict[str, str]]:
        """The LLVM IR and the assembly of each launch."""
        return [code_of(launch.function, self._target, opt=0) for launch in self._launches]


def code_of(function: Function, target: Target, opt: int) -> dict[str, str]:
    """The LLVM IR and the assembly of a function, for people."""
    text = codegen(function, target, opt)
    return {"llvm": text, "asm": to_assembly(text, *target.llvm, opt)}

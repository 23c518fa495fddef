"""What code is compiled for: the kinds of target, and the facts of a machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Target(Enum):
    """A kind of machine, and the language that kernels are written in for it. Each has a list of
    passes of its own (pipeline.py)."""

    CPU = "CPU"
    """LLVM IR. Parallel loops are shared among threads. An argument may begin inside a memory."""

    GPU = "GPU"
    """OpenCL C. Work-groups of items that have local memory in common."""

    OPENCL_CPU = "CPU through OpenCL"
    """OpenCL C for a CPU: the loops of a CPU, in work-groups of one item."""


@dataclass(frozen=True)
class Machine:
    """Named facts that passes decide by. Sizes are in bytes.

    A CPU has `vector_bytes` and `registers` (vector registers) and shares parallel loops among
    `cores`. A GPU has work-groups of at most `group_limit` items, `local_bytes` of memory a group,
    and `cores` compute units.
    """

    name: str
    target: Target
    cores: int
    vector_bytes: int
    registers: int
    l1_bytes: int
    l2_bytes: int
    fma: bool
    fma_rate: int = 2  # vectors that a core multiplies and adds in a cycle
    group_limit: int = 1
    local_bytes: int = 0
    float64: bool = True

    @property
    def gpu(self) -> bool:
        return self.target is Target.GPU

    @property
    def lanes(self) -> int:
        """How many float32 a vector holds."""
        return self.vector_bytes // 4

    @property
    def thresholds(self) -> Thresholds:
        return THRESHOLDS[self.target]

    @property
    def row_bytes(self) -> int | None:
        """How much memory one row of a kernel may have for itself; None: without a limit."""
        limits = {Target.CPU: None, Target.GPU: 0, Target.OPENCL_CPU: self.local_bytes}
        return limits[self.target]


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """What is worth it, where that differs by target. (What concerns one pass on one target stands
    in that pass.) Origin: benchmarks on two cores with AVX-512, and on one H200 GPU."""

    serial_work: int = 1 << 13
    """Operations and bytes of a kernel below which one thread does it sooner than several."""

    tasks_per_core: int = 4
    """Iterations of a parallel loop for each thread, at least: so that none waits for long."""

    sum_terms: int = 32
    """Terms that are added up one after another, at most, where each is read for itself: there
    memory takes the time."""

    sum_block: int = 16
    """Terms of the blocks that longer sums are added up in."""

    tile_terms: int = 512
    """Terms of a sum in a tile of registers that are added up one after another, at most."""

    tile_block: int = 256
    """Terms of the blocks that longer sums are added up in. Each block reloads and stores the tile,
    so that blocks are longer where registers are few."""

    groups_per_core: int = 4
    """Work-groups that a core is kept busy with, each of a row."""

    block_results: int = 4096
    """Results of a contraction that are work for a core."""

    row_terms: int = 2048
    """Terms of a row's sum that are not worth splitting further among groups."""

    block_terms: int = 512
    """Terms of a contraction's sum that are not worth splitting further among groups."""


THRESHOLDS = {
    Target.CPU: Thresholds(),
    Target.GPU: Thresholds(tile_terms=2048, tile_block=1024),
    Target.OPENCL_CPU: Thresholds(),
}


@dataclass(frozen=True, eq=False)
class At:
    """What a pass may know besides its input: where the result is to run, and how.

    `donated` names for an output the leaf whose memory it may take over. `kinds` are the kinds of a
    kernel's loop nests: one, or that of each part of a chain. `plan` are the lines of the plan to
    carry out; empty where the cost model chooses one.
    """

    machine: Machine
    donated: Mapping[Any, Any] = field(default_factory=dict)
    kinds: tuple[str, ...] = ()
    plan: str = ""

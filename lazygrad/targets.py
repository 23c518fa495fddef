"""The kinds of target, the facts of a machine, and the thresholds of passes."""

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
class Native:
    """What a machine computes by instructions of its own, where machines differ; legalisation
    replaces the rest.

    `fma`: x * y + z, rounded once. `half`: conversions from and to float16. `half_arithmetic`: sums
    and products of float16. `lanes`: the widths of its vectors, widest first; empty where every
    width is one of them.
    """

    fma: bool = True
    half: bool = True
    half_arithmetic: bool = False
    lanes: tuple[int, ...] = ()


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
    native: Native
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
    """What is worth it, where that differs by target; what concerns one of them stands below.
    Origin: benchmarks on two cores with AVX-512. A GPU's numbers are chosen, not measured."""

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


# --------------------------------------------------------------------------- choices on a CPU
# Measured on two cores with AVX-512, and those of tiles also with AVX2 forced, unless it says
# otherwise.

LINE = 64
"""Bytes that a cache fetches at once: of all processors of today that run this."""
PAGE = 4096
"""Bytes; the offset in a page says in which set of L1 a place may be. As LINE."""

UNROLL_WHOLE = 7
"""Iterations of a summed loop that is written out as a whole."""
UNROLL_BY = 4
"""Iterations of a longer one that are written out."""
PHASES = 3
"""Iterations of a loop that no tile is made of, as over the phases of a stride."""
TAPS = 4
"""Iterations of a summed loop over the taps of one phase."""

# Rows: rows.py
WIDE_OPS = 24
"""Operations of a loop; of one with fewer several vectors are in flight."""
ROW_BLOCK = 4
"""Rows at once: memory is read in so many streams, and what they share is read once."""
PANEL_SUMS = 1024
"""Sums of columns in an array, so that memory is read along its rows."""
BLOCKS_TOGETHER = 4
"""Blocks transposed together: vectors of 32 bytes fill two lines, which are fetched as a pair."""
DIGIT = 2
"""Iterations of a loop that is written out rather than vectorized."""
SMALL_LOOP = 16
"""Iterations, in all, of inner loops that are written out."""
SCAN_ROWS = 4
"""Rows of a scan at once: so many streams are read and written."""
SCAN_PANEL = 512
"""Columns of a scan whose sums are in an array."""

# Tiles of a contraction, in cycles of a core: cpu/plan.py
CYCLES_A_VISIT = 2.0
"""To add a vector of sums to its partial result."""
L2_VECTORS_A_CYCLE = 1 / 2
"""Vectors that a core reads from L2 in a cycle."""
CYCLES_IN_VECTORS = 0.35
"""To copy an element together with those beside it."""
CYCLES_A_MISS = 4.0
"""To read an element that is not in L1."""
WAITED = 0.4
"""Share of the cycles for L2 that the multiplications do not hide."""
CYCLES_A_LOAD = 0.125, 0.25
"""Not hidden either: of the load of an element, and of a vector."""
CYCLES_A_SCATTER = 4.0
"""For each element of a vector that is stored apart from the others."""
STREAMS = 3
"""Iterations, at most, that a tile has of another loop of the vector factor, as over images: each
reads and writes a stream of its own."""
LOADED_AGAIN = 3
"""Elements of overlapping windows that LLVM does not keep where registers are few."""
UNEVEN = 4 / 3
"""The most work of a phase: of 3 terms one phase has 2, the other 1. Counted."""

# Blocks of a contraction: cpu/contract.py, cpu/traffic.py
A_SHARE = 1 / 2
"""Share of L2 for a block of the broadcast operand."""
B_SHARE = 1 / 2
"""Share of L2 for a block of the other operand, where that leaves L3."""
ROWS_SHARE = 5 / 8
"""Share of L2 for one block of rows: the panel of b that it reads, and its partial sums."""
B_BYTES = 4 << 20
"""Bytes of L3 for the other operand, packed as a whole."""
L1_SHARE = 1 / 2
"""Share of L1 for what a tile reuses; the rest is for what streams through."""
SUM_BLOCK_BYTES = 1 << 20
"""Bytes of factors that stay in the caches anyway: their sums need no blocks."""
SUM_BLOCK_TERMS = 512
"""Terms; shorter sums are computed in one pass."""
LONGEST_SUM = 64
"""Blocks of a sum that are added up one after another."""
GROUP_OF_BLOCKS = 16
"""Blocks that are added up first where there are more."""
LONGEST_EPILOGUE = 256
"""Instructions after a tile's sums that are written out: for more LLVM takes long."""

# Loops with conditions: cpu/partition.py, padding.py
LOOP_PARTS = 4
"""Parts of a loop: a padding makes three, two joined tensors make two."""
LOOPS_IN_PARTS = 2
"""Loops of a kernel in parts: the copies of its body multiply."""
PEELED_SHARE = 1 / 50
"""Share of a loop's products that a peeled iteration leaves out, at least."""

# Memory: cpu/prefetch.py, cpu/transpose.py
PREFETCHED_BYTES = 2048
"""Bytes of a row, at least: a page has several shorter ones, and processors foresee those."""
PREFETCHED_SHARE = 1 / 4
"""Share of L2 for a row, at most; the next row needs as much."""
SHUFFLE_BYTES = 16
"""Bytes of a vector's part within which shuffles are cheapest: of the instruction set."""

# Convolutions by tiles: lower/winograd.py
SLICE_BYTES = 1 << 20
"""Bytes of a slice's transforms."""
SLICES_A_CORE = 4
"""Slices for each core, at least."""
SLICE_TILES = 7
"""Tiles of a slice, at least."""
FILTERS_TOGETHER = 16
"""Outputs whose filters are transformed together, so that each line is fetched once."""

# Chains: chain.py
CHAIN_LARGE = 4
"""Times L2: the least size of what is worth passing on in slices."""
CHAIN_SLICE = 4
"""Times L2: the largest slice."""
FLOPS_A_BYTE = 64
"""Operations for a byte saved, beyond which memory hardly matters."""
FLOPS_AGAIN = 32
"""Operations for a byte saved that are computed again."""
CHAIN_SPAN = 64
"""Kernels between the first and the last of a chain, so that the pass stays linear. Chosen."""
CHAIN_READERS = 8
"""Kernels that read a value; one that more of them read is stored. Chosen."""

TUNE_PLANS = 12
"""Plans of a contraction that TUNE=1 measures, of those that are thought best."""
TUNE_ROUNDS = 3
"""Turns of measuring, so that what else the machine does meets all plans."""
TUNE_SECONDS = 0.02
"""For one plan in a turn."""

# --------------------------------------------------------------------------- choices on a GPU
# Chosen by the facts of NVIDIA's hardware: warps of 32 items, lines of 128 bytes, 32 banks of local
# memory. None has been measured on a GPU yet.

GROUP_ITEMS = 256
"""Work-items of a group."""
CORE_ITEMS = 1024
"""Work-items that keep a core busy."""
COLUMN_TERMS = 32
"""Terms of a column's sum from which it is worth sharing among items."""
COLUMNS_TOGETHER = (32, 16, 8)
"""Neighbouring columns of a group, so that what is read of a row of them are whole lines."""
SHORT_TREE = 8
"""Sums of items that every item may as well add up by itself."""
NEIGHBOUR_BYTES = 128
"""Bytes that neighbouring items read together: a line."""
ITEM_BYTES = 16
"""Bytes that an item loads at once, from a multiple of so many."""
ITEM_VECTOR = 4
"""Elements that an item loads at once: ITEM_BYTES of float32."""
WARP = (4, 8)
"""Rows and columns of items that run in step: nearly square, they read least."""
SLICE_TERMS = 16
"""Terms of a product's sum between two barriers."""
SLICE_WHOLE = 32
"""Terms of a sum that is one slice."""
TILE_PADDING = ITEM_VECTOR
"""Elements after each row of a product's tile, so that a column spreads over the banks."""
NARROW = 4
"""Rows or columns below which most of a block would be idle."""
CORE_PRODUCTS = 128
"""Products that a core computes in a cycle: of the instruction set."""
SQUARE = 32
"""Rows and columns that a group transposes: a warp's loads are whole lines."""
SQUARE_PADDING = 1
"""Elements after a row of a square, so that a column lies in all banks."""

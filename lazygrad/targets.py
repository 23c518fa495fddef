"""The kinds of target, the facts of a machine, and the thresholds of passes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Target(Enum):
    """A kind of machine, and the language of its kernels. pipeline.py has the passes of each."""

    CPU = "CPU"
    """LLVM IR. Threads share parallel loops. An argument may begin in the middle of a buffer."""

    GPU = "GPU"
    """OpenCL C. Work-groups of items that share local memory."""

    OPENCL_CPU = "CPU through OpenCL"
    """OpenCL C for a CPU: the loops of a CPU, in work-groups of one item."""


@dataclass(frozen=True)
class Native:
    """The operations that a machine has instructions for, where machines differ. Legalisation
    replaces the others.

    `fma`: x * y + z, rounded once. `half`: conversions from and to float16. `half_arithmetic`: sums
    and products of float16. `lanes`: the widths of its vectors, widest first; empty where any width
    will do.
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
        """The most bytes that one row of a kernel may keep in memory; None: no limit."""
        limits = {Target.CPU: None, Target.GPU: 0, Target.OPENCL_CPU: self.local_bytes}
        return limits[self.target]


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """The thresholds that may differ by target. Those that concern one target are constants below.
    Origin: benchmarks on two cores with AVX-512. A GPU's numbers are chosen, not measured."""

    serial_work: int = 1 << 13
    """Operations and bytes of a kernel below which one thread is faster than several."""

    tasks_per_core: int = 4
    """Iterations of a parallel loop for each thread, at least, so that no thread waits for long."""

    sum_terms: int = 32
    """Terms of a sum that are added one after another, at most, where no term is read twice and
    memory takes the time."""

    sum_block: int = 32
    """Terms in each block of a longer sum."""

    tile_terms: int = 512
    """Terms of a sum that are added one after another, at most, in a tile of registers."""

    tile_block: int = 256
    """Terms in each block of a longer sum in a tile. Each block reloads and stores the tile, so
    blocks are longer where registers are few."""

    groups_per_core: int = 4
    """Work-groups, one for each row, that keep a core busy."""

    block_results: int = 4096
    """Results of a contraction that keep a core busy."""

    row_terms: int = 2048
    """A row's sum of no more terms is not split further among groups."""

    block_terms: int = 512
    """A contraction's sum of no more terms is not split further among groups."""


THRESHOLDS = {
    Target.CPU: Thresholds(),
    Target.GPU: Thresholds(sum_block=16, tile_terms=2048, tile_block=1024),
    Target.OPENCL_CPU: Thresholds(),
}


@dataclass(frozen=True, eq=False)
class At:
    """What a pass may know besides its input: the machine, and decisions made before.

    `donated` maps an output to the leaf whose memory it may take over; None where no two nodes may
    share memory. `kinds` are the kinds of a
    kernel's loop nests (`Kernel.kinds`): one, or one for each part of a chain. `plan` is the text
    of the loop plan to carry out; empty where the cost model chooses one.
    """

    machine: Machine
    donated: Mapping[Any, Any] | None = field(default_factory=dict)
    kinds: tuple[str, ...] = ()
    plan: str = ""


# --------------------------------------------------------------------------- choices on a CPU
# Measured on two cores with AVX-512, and those of tiles also with AVX2 forced, unless it says
# otherwise.

LINE = 64
"""Bytes of a cache line, on every processor of today that runs this."""
PAGE = 4096
"""Bytes of a page: addresses with equal offsets in their pages fall into one set of L1. As LINE."""

UNROLL_WHOLE = 7
"""Iterations of a summed loop, at most, that is unrolled completely."""
UNROLL_BY = 4
"""The factor by which a longer summed loop is unrolled."""
PHASES = 3
"""Iterations of a loop that is not tiled, at most, as one over the phases of a stride."""
TAPS = 4
"""Iterations of a summed loop over the taps of one phase, at most."""

# Rows: rows.py
WIDE_OPS = 24
"""A loop with fewer operations computes several vectors at a time."""
ROW_BLOCK = 4
"""Rows at a time: each is a stream of memory, and elements that they share are read once."""
PANEL_SUMS = 1024
"""Column sums that are kept in an array at a time, so that memory is read row by row."""
BLOCKS_TOGETHER = 4
"""Blocks transposed together: vectors of 32 bytes fill two lines, which are fetched as a pair."""
DIGIT = 2
"""Iterations of an innermost loop that is unrolled, and the loop around it vectorized."""
SMALL_LOOP = 16
"""Iterations, in all, of inner loops that are unrolled completely."""
ELEMENTS_APART = 224
"""Elements that an unrolled loop accesses one by one, at most: cpu/roll.py"""
SCAN_ROWS = 4
"""Rows of a scan at a time: each is read and written as a stream."""
SKIPPED = 64
"""Keys that are tested together for whether one of them is selected. Measured with the first 50 of
50,257 keys: 64 rows take 1.8 ms, and 3.4 without blocks."""
SCAN_PANEL = 512
"""Columns of a scan whose running sums are kept in an array at a time."""

# Tiles of a contraction, in cycles of a core: cpu/plan.py
CYCLES_A_VISIT = 2.0
"""To add a vector of sums to its partial result."""
L2_VECTORS_A_CYCLE = 1 / 2
"""Vectors that a core reads from L2 in a cycle."""
CYCLES_IN_VECTORS = 0.35
"""To copy an element as one lane of a vector."""
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
"""Elements of overlapping windows that LLVM loads again where registers are few."""

# Blocks of a contraction: cpu/contract.py, cpu/traffic.py
A_SHARE = 1 / 2
"""Share of L2 for a block of the broadcast operand."""
B_SHARE = 1 / 2
"""Share of L2 for a block of the other operand, where the whole exceeds B_BYTES."""
ROWS_SHARE = 5 / 8
"""Share of L2 for one block of rows: the panel of b that it reads, and its partial sums."""
B_BYTES = 4 << 20
"""Bytes of L3 for the other operand, packed as a whole."""
L1_SHARE = 1 / 2
"""Share of L1 for elements that a tile reuses; other elements stream through the rest."""
SUM_BLOCK_BYTES = 1 << 20
"""Bytes of factors that stay in the caches anyway: their sums need no blocks."""
SUM_BLOCK_TERMS = 512
"""Terms; shorter sums are computed in one pass."""
LONGEST_SUM = 64
"""Blocks of a sum, at most, whose results are added one after another."""
GROUP_OF_BLOCKS = 16
"""Where there are more blocks, so many are added first, and then these groups."""

# Loops with conditions: cpu/partition.py, unroll.py
LOOP_PARTS = 4
"""Parts of a partitioned loop, at most: a padding makes three, two joined tensors make two."""
LOOPS_IN_PARTS = 2
"""Loops of a kernel, at most, that are partitioned: the copies of the body multiply."""
PEELED_SHARE = 1 / 16
"""Share of a loop's terms that a peeled iteration leaves out, at least."""

# Memory: cpu/prefetch.py, cpu/transpose.py
PREFETCHED_BYTES = 2048
"""Bytes of a row, at least. Several shorter rows lie in a page: the processor prefetches them."""
PREFETCHED_SHARE = 1 / 4
"""Share of L2 for a row, at most; the next row needs as much."""
SHUFFLE_BYTES = 16
"""Bytes of the parts of a vector within which shuffles are cheapest, by the instruction set."""

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
"""Times L2: the smallest intermediate that is worth computing slice by slice."""
CHAIN_SLICE = 4
"""Times L2: the largest slice."""
FLOPS_A_BYTE = 64
"""Operations for a byte saved, beyond which memory hardly matters."""
FLOPS_AGAIN = 32
"""Operations, at most, that are worth computing again to save a byte."""
CHAIN_SPAN = 64
"""Kernels between the first and the last of a chain, so that the pass stays linear. Chosen."""
CHAIN_READERS = 8
"""Kernels, at most, that read an intermediate of a chain; one with more is stored. Chosen."""

TUNE_PLANS = 12
"""Plans of a contraction that TUNE=1 measures: the best ones by the cost model."""
TUNE_ROUNDS = 3
"""Rounds of measuring, so that other work on the machine disturbs all plans alike."""
TUNE_SECONDS = 0.02
"""For one plan in a round."""

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
"""Neighbouring columns of a group: it reads whole lines of each row."""
SHORT_TREE = 8
"""Partial sums, at most, that are added without another step of a tree."""
NEIGHBOUR_BYTES = 128
"""Bytes that neighbouring items read together: a line."""
ITEM_BYTES = 16
"""Bytes that an item loads at once, from an address that is a multiple of as many."""
ITEM_VECTOR = 4
"""Elements that an item loads at once: ITEM_BYTES of float32."""
WARP = (4, 8)
"""Rows and columns of items that run in step: nearly square, they read least."""
SLICE_TERMS = 16
"""Terms of a product's sum between two barriers."""
SLICE_WHOLE = 32
"""Terms, at most, of a sum that is one slice."""
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

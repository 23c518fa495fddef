"""A contraction's loops: a tile of sums in registers, operands packed where that pays.

    serial i: serial j:                        parallel blocks of j:
        acc[0] = 0                                 local panel of b
        serial k: acc[0] += a[i,k] * b[k,j]  ->    serial blocks of i: local panel of a
        out[i,j] = acc[0]                              serial j tile, i tile:
                                                           acc[0..96) = 0
                                                           serial k: 6 x 16 products, in registers
                                                           out[i tile, j tile] = acc

A Tiling (plan.py) says which tile, and what is packed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil

from ...expr import Var
from ...targets import A_SHARE, B_BYTES, B_SHARE, GROUP_OF_BLOCKS, LONGEST_SUM, ROWS_SHARE, Machine
from ..contraction import Contraction, by_factor, bytes_of, extent_of
from ..end_loops import ends_in
from ..ir import Alloc, statements
from ..ir.rebuild import factors
from ..lanes import lanes
from ..pack import stage
from ..primitives import Schedule, bind, loops_of, reorder, split
from ..sink import sink
from ..sums import perfect, rfactor
from .plan import Tiling
from .traffic import window


def contract(s: Schedule, c: Contraction, plan: Tiling, machine: Machine) -> None:
    """Carry out a plan: tasks, packed operands, blocks, and the tile.

    Requires: the plan is for this contraction, whose loops `s` has. Ensures: parallel tasks
    outermost; vector and unroll loops innermost, for the later passes to widen and write out.

        tasks > loops of both factors > blocks of the sum > pack > blocks of the output > tile
    """
    sums: list[str] = []
    if plan.sum_block is not None:
        var, count = plan.sum_block
        sums = _in_blocks(s, var, count)
    if plan.lanes is not None:
        s.do(lanes, plan.lanes.name, plan.width, 1)
    blocks = {v.name: v.name for v in c.outer}
    for t in reversed(plan.tiles):
        blocks[t.var.name] = _tile(s, t.var, t.size, t.width, overlap=not c.once)
    a, b = (c.b, c.a) if plan.swap else (c.a, c.b)
    tasks: list[str] = []
    if plan.shared is not None and machine.cores > 1:
        # One task a core: whatever a task packs for itself is packed as few times as can be.
        whole = blocks[plan.shared.name]
        task, blocks[plan.shared.name] = _tasks(s, whole, machine.cores)
        tasks.append(task)
    groups = by_factor(c.outer, a, b)
    both, columns, rows = ([blocks[v.name] for v in group] for group in groups)
    _Blocks(s, plan, [*tasks, *both], sums, columns, rows, c.once, machine.l2_bytes).make()
    if tasks:
        s.do(bind, tasks[0], "parallel")


def _in_blocks(s: Schedule, var: Var, count: int) -> list[str]:
    """Split a summed loop into blocks, the loops over which can go outside of the tiles. Many
    blocks are added up in groups. Returns the names of these loops, outermost first."""
    block = f"{var.name}_c"
    s.do(split, var.name, "exact", block, f"{var.name}_d:{var.extent // count}")
    s.do(rfactor, block)
    sums = [block]
    while s.loop(sums[0]).extent > LONGEST_SUM:
        block = sums[0]
        s.do(split, block, "short", f"{block}_c", f"{block}_d:{GROUP_OF_BLOCKS}")
        sums[:1] = f"{block}_c", f"{block}_d"
        s.do(rfactor, sums[0])
    for name in sums:
        s.do(perfect, name)
    return sums


def _tile(s: Schedule, var: Var, size: int, width: int, overlap: bool) -> str:
    """Split a loop into tiles, of vectors if `width` is not 1, and sink these. Returns the name of
    the loop over tiles."""
    digits = [f"{var.name}_i:{size // width}", f"{var.name}_l:{width}"]
    digits = [digit for digit in digits if not digit.endswith(":1")]
    if not digits:
        return var.name
    tail = "overlap" if overlap and var.extent >= size else "guard"
    s.do(split, var.name, tail, f"{var.name}_o", *digits)
    for digit in reversed(digits):
        name = digit.partition(":")[0]
        s.do(sink, name, "vector" if name.endswith("_l") else "unroll")
    return f"{var.name}_o"


def _tasks(s: Schedule, name: str, count: int) -> tuple[str, str]:
    """Share a loop among threads: the names of the loop over threads and of a thread's own loop.
    A thread gets neighbouring iterations; where the last ones may be left out, every count-th."""
    if not ends_in(s.body) or s.loop(name).extent % count:
        return _parts(s, name, count, "t")
    s.do(split, name, "exact", f"{name}_b", f"{name}_t:{count}")
    return f"{name}_t", f"{name}_b"


def _parts(s: Schedule, name: str, count: int, suffix: str) -> tuple[str, str]:
    """Split a loop in `count` parts, of which the last ones overlap where the sizes are uneven: the
    names of the loop over parts and of the loop over one part."""
    size = ceil(s.loop(name).extent / count)
    s.do(split, name, "overlap", f"{name}_{suffix}", f"{name}_b:{size}")
    return f"{name}_{suffix}", f"{name}_b"


# Orders of loops and of packing (a, b), outermost first; the tiles are inside of all.
# L2 holds a block of rows, packed or not, for all columns.
A_IN_BLOCKS = ("sums", "b", "blocks", "a")
# Where L2 does not hold all partial sums, and L3 holds all of b: each block of rows is finished
# before the next.
ROWS_FINISHED = ("b", "blocks", "sums", "a")
# Where L2 holds all of a, and not even L3 all of b, packed (overlapping windows of little memory,
# say): L2 holds a packed block of columns.
B_IN_BLOCKS = ("sums", "a", "blocks", "b")


class _Blocks:
    """Orders the loops over blocks of rows, of columns and of the sum, and packs each operand
    outside of the loops that reuse it."""

    def __init__(
        self,
        s: Schedule,
        plan: Tiling,
        outside: list[str],
        sums: list[str],
        columns: list[str],
        rows: list[str],
        once: bool,
        l2_bytes: int,
    ) -> None:
        self.s, self.plan, self.once, self.l2_bytes = s, plan, once, l2_bytes
        self.outside, self.sums, self.columns, self.rows = outside, sums, columns, rows
        self.a, self.b = factors(s.body, plan.swap)
        self.loops = loops_of(s.body)
        named = {*outside, *sums, *columns, *rows}
        self.inner = [v for name, v in self.loops.items() if name not in named]
        made = [x.array for x in statements(s.body) if isinstance(x, Alloc)] if sums else []
        partial = [array for array in made if array.scope == "local"]
        # of the innermost level: the others are seldom touched
        self.partial_bytes = sum(array.size * array.dtype.itemsize for array in partial[-1:])

    def make(self) -> None:
        """Order the loops, unroll the sums, and pack."""
        s, plan = self.s, self.plan
        order, blocks = self._order()
        loops = {"sums": self.sums, "blocks": blocks}
        nest = [*self.outside, *(name for level in order for name in loops.get(level, ()))]
        s.do(reorder, *nest, *self.columns, *self.rows)
        s.unroll_sums({*nest, *self.columns, *self.rows})
        packed = {"a": plan.pack_a, "b": plan.pack_b}
        around = list(self.outside)
        places: list[tuple[str, str]] = []
        for level in order:
            around += loops.get(level, ())
            if packed.get(level):
                places.append((level, around[-1] if around else "all"))
        for level, place in reversed(places):
            operand = "ab"[(level == "b") != plan.swap]
            s.do(stage, operand, f"panel_{level}", place, *(["lines"] if level == "a" else []))

    def _order(self) -> tuple[tuple[str, ...], list[str]]:
        """One of the orders above, and the loops over its blocks."""
        l2 = self.l2_bytes
        every = self._extent(self.columns) * self._extent(self.rows)
        too_many = self.partial_bytes * every > ROWS_SHARE * l2
        if too_many and self._bytes_of_columns([*self.columns, *self.sums]) <= B_BYTES:
            sizes = self._bytes_with_partial_sums
            return ROWS_FINISHED, self._fitting(self.rows, sizes, ROWS_SHARE * l2)
        blocks: list[str] = []
        if self.plan.pack_a or self._extent(self.columns) > 1:
            blocks = self._fitting(self.rows, self._bytes_of_rows, A_SHARE * l2)
        if self.plan.pack_b and not blocks and self._bytes_of_columns(self.columns) > B_BYTES:
            blocks = self._fitting(self.columns, self._bytes_of_columns, B_SHARE * l2)
            return B_IN_BLOCKS, blocks
        return A_IN_BLOCKS, blocks

    def _vars(self, names: Sequence[str]) -> list[Var]:
        return [self.loops[name] for name in names]

    def _extent(self, names: Sequence[str]) -> int:
        return extent_of(self._vars(names))

    def _bytes_of_rows(self, names: Sequence[str]) -> int:
        extents = {v: v.extent for v in (*self._vars(names), *self.inner)}
        return window(self.a, self.plan.pack_a, extents)

    def _bytes_with_partial_sums(self, names: Sequence[str]) -> int:
        sums = self.partial_bytes * self._extent([*self.columns, *names])
        return self._bytes_of_rows(names) + sums

    def _bytes_of_columns(self, names: Sequence[str]) -> int:
        return bytes_of(self.b, [*self._vars(names), *self.inner])

    def _fitting(
        self, loops: list[str], size_of: Callable[[Sequence[str]], int], limit: float
    ) -> list[str]:
        """Move loops outside until the data of those left in `loops` fits the limit: whole loops,
        then blocks of one. Returns the moved loops."""
        blocks: list[str] = []
        while len(loops) > 1 and size_of(loops) > limit:
            blocks.append(loops.pop(0))
        if loops and size_of(loops) > limit:
            extent = self.loops[loops[0]].extent
            count = min(ceil(size_of(loops) / limit), extent)
            if self.once:  # no two parts may overlap
                count = next(n for n in range(count, extent + 1) if extent % n == 0)
            block, loops[0] = _parts(self.s, loops[0], count, "s")
            blocks.append(block)
        return blocks

"""A contraction's loops on a GPU: a group computes a block of the output, an item a tile of that.

    serial m: serial n:                       workgroup blocks of m and n:
        acc[0] = 0                                workitem: acc[0..64) = 0
        serial k: acc[0] += a[m,k] * b[k,n]  ->   serial slices of k:
        out[m,n] = acc[0]                             local tile_a, tile_b: filled by all items
                                                      barrier
                                                      workitem: serial k of the slice:
                                                          part_a, part_b = 8 of each tile
                                                          acc += 8 x 8 products
                                                      barrier
                                                  workitem: out = acc

The output's loops are merged to (batch, m, n) and the summed ones to k. A convolution then is a
matrix product, whose windows are in the indices of the loads that fill the tiles. Columns (n) come
in vectors, of elements that are neighbours in the output.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

from ...expr import Var
from ...targets import (
    CORE_PRODUCTS,
    ITEM_VECTOR,
    NARROW,
    SLICE_TERMS,
    SLICE_WHOLE,
    TILE_PADDING,
    WARP,
    Machine,
)
from ..contraction import Contraction, by_factor, extent_of, operand_stride
from ..ir import Store, statements
from ..ir.rebuild import stride
from ..pack import stage
from ..primitives import Schedule, fuse, reorder, split
from ..sink import sink
from .tiles import bind_groups_and_items, fill_of, share_fill, stage_local


@dataclass(frozen=True)
class Block:
    """What a group computes; pairs are of rows and columns.

    A group is `warps` of WARP items, each with a tile of sums. A tile is `copies` of `size`
    neighbours. The first copies of all items lie before the second copies, and so on: neighbouring
    items read neighbouring vectors of the local tiles.
    """

    warps: tuple[int, int]
    copies: tuple[int, int]
    size: tuple[int, int]

    @property
    def items(self) -> tuple[int, int]:
        return self.warps[0] * WARP[0], self.warps[1] * WARP[1]

    @property
    def tile(self) -> tuple[int, int]:
        return self.copies[0] * self.size[0], self.copies[1] * self.size[1]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the block."""
        return self.items[0] * self.tile[0], self.items[1] * self.tile[1]


def fills_blocks(c: Contraction) -> bool:
    """Whether there are enough rows and columns for blocks; if not, rows.py is best."""
    _, rows, columns = _sides(c)
    return min(extent_of(rows), extent_of(columns)) >= NARROW


def schedule_product(s: Schedule, c: Contraction, machine: Machine) -> str:
    """A group computes a block of the output, an item a register tile; both factors go by way of
    local memory. Returns the reason for the plan.

    Requires: fills_blocks(c), whose loops `s` has, and 32 items a group or more.
    """
    both, rows, columns = ([v.name for v in side] for side in _sides(c))
    *others, last = columns
    extent = s.loop(last).extent
    width = next(w for w in (ITEM_VECTOR, 2, 1) if extent % w == 0)
    s.do(split, last, "exact", f"{last}_v", f"lane:{width}")
    s.do(reorder, *both, *rows, *others, f"{last}_v", "lane")
    if both:
        s.do(fuse, "batch", *both)
    s.do(fuse, "m", *rows)
    s.do(fuse, "n", *others, f"{last}_v")
    s.do(fuse, "k", *(v.name for v in c.inner))
    m, n, k = (s.loop(name).extent for name in ("m", "n", "k"))
    batch = s.loop("batch").extent if both else 1
    depth = k if k <= SLICE_WHOLE else SLICE_TERMS
    room = machine.local_bytes // (depth * max(c.a.dtype.itemsize, c.b.dtype.itemsize))
    block = choose_block(batch, m, n, width, room, machine)
    _spread(s, block, depth, ["batch"] if both else [])
    (block_m, block_n), (tile_m, tile_n) = block.shape, block.tile
    return f"{block_m} x {block_n} a group, {tile_m} x {tile_n} an item, {depth} deep"


def _spread(s: Schedule, block: Block, depth: int, batch: list[str]) -> None:
    """Loops over batch, m, n and lane, and k inside: a block of m and n a work-group, a tile of
    sums a work-item, slices of both factors in local memory, and of these in registers."""
    (rows, columns), width = block.shape, s.loop("lane").extent
    s.do(split, "n", "mask", "group_n", f"vector:{columns // width}")
    s.do(split, "m", "mask", "group_m", f"row:{rows}")
    s.do(split, "k", "mask", "slice", f"part:{depth}")
    groups = [*batch, "group_m", "group_n"]
    s.do(reorder, *groups, "row", "vector", "lane")
    s.do(stage_local, "b", "tile_b", "slice", TILE_PADDING, "part", "row", "vector", "lane")
    s.do(stage_local, "a", "tile_a", "slice", TILE_PADDING, "part", "row", "vector", "lane")
    for tile in ("tile_b", "tile_a"):
        share_fill(s, tile, math.prod(block.items))
    (warps_m, warps_n), near = block.warps, block.size[0]
    s.do(split, "row", "exact", "copy_m", f"warp_m:{warps_m}", f"item_m:{WARP[0]}", f"near:{near}")
    s.do(split, "vector", "exact", "copy_n", f"warp_n:{warps_n}", f"item_n:{WARP[1]}")
    items = ["warp_m", "warp_n", "item_m", "item_n"]
    s.do(reorder, *items, "copy_m", "near", "copy_n", "lane")
    for name in ("lane", "copy_n", "near", "copy_m"):
        s.do(sink, name, "vector" if name == "lane" else "unroll")
    for operand in ("b", "a"):
        _in_registers(s, operand)
    bind_groups_and_items(s, groups, items)


def _in_registers(s: Schedule, operand: str) -> None:
    """Let an item load its part of a tile before it multiplies, by unrolled loops, and by vectors
    where it is contiguous."""
    name = f"part_{operand}"
    s.do(stage, operand, name, "part", "register")
    loops, store = fill_of(s.body, name)
    for loop in reversed(loops):
        near = loop is loops[-1] and operand_stride(store.value, loop) == 1
        s.do(sink, loop.name, "vector" if near else "unroll")


def _sides(c: Contraction) -> tuple[list[Var], list[Var], list[Var]]:
    """The output's loops: those of both factors, the rows, the columns. The loop along which the
    output is contiguous is the last of the columns."""
    both, rows, columns = by_factor(c.outer, c.b, c.a)
    stores = [s for s in statements(c.body) if isinstance(s, Store) and s.array.scope == "global"]
    if any(stride(s.index, v) == 1 for s in stores for v in rows):
        rows, columns = columns, rows
    columns.sort(key=lambda v: any(stride(s.index, v) == 1 for s in stores))
    return both, rows, columns


def choose_block(batch: int, m: int, n: int, width: int, room: int, machine: Machine) -> Block:
    """The block whose groups take the fewest cycles on all cores, for m x n outputs.

    `n` counts vectors of `width`; `room` is how many elements local memory has for one k. For one
    k a group multiplies at CORE_PRODUCTS products a cycle, loads both sides of its items' tiles at
    half that rate, and brings in both sides of the block.
    """
    warps = next(w for w in ((4, 2), (2, 1), (1, 1)) if w[0] * w[1] * 32 <= machine.group_limit)
    rows = [(1, 1), (1, 2), (1, 4), (2, 4)]
    columns = [(copies, width) for copies in (1, 2, 4, 8) if copies * width <= 8]

    def cycles(block: Block) -> float:
        (block_m, block_n), (tile_m, tile_n) = block.shape, block.tile
        items = block.items[0] * block.items[1]
        one = items * (tile_m * tile_n / CORE_PRODUCTS + (tile_m + tile_n) / (CORE_PRODUCTS // 2))
        one += (block_m + block_n) / 8
        groups = batch * -(-m // block_m) * -(-n * width // block_n)
        return one * -(-groups // machine.cores)

    def fits(block: Block) -> bool:
        (block_m, block_n), (copies_m, copies_n) = block.shape, block.copies
        starts = block_m - block_m // copies_m, block_n - block_n // copies_n  # the last copies'
        in_use = starts[0] < m and starts[1] < n * width
        return in_use and block_m + block_n + 2 * TILE_PADDING <= room

    blocks = [
        Block(warps, (row[0], column[0]), (row[1], column[1]))
        for row, column in product(rows, columns)
    ]
    return min((b for b in blocks if fits(b)), default=blocks[0], key=cycles)

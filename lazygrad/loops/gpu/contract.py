"""A contraction's loops on a GPU: a block of the output a work-group, a tile of that a work-item.

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

The output's loops are merged to (batch, m, n) and the summed ones to k, so that a convolution is
the same as a matrix product: its windows are in the index of the loads that fill the tiles.
Columns (n) come in vectors, of elements that are neighbours in the output.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import product

from ...errors import ScheduleError
from ...expr import Expr, Var, rewrite
from ...index import add, all_of, less, mul, substitute
from ...targets import Machine
from ..contraction import Contraction, extent_of, factors, operand_stride
from ..ir import Alloc, Barrier, Body, For, If, Stmt, Store, statements
from ..ir.rebuild import map_expressions, nest, peel, stride, substitute_body, variables
from ..pack import pack
from ..primitives import Schedule, fuse, loops_of, primitive, reorder, split, sunk
from .tiles import guarded, pad_rows, share_fill

VECTOR = 4  # elements that an item loads at once: 16 bytes of float32
PADDING = VECTOR  # elements after each row of a local tile, so that a column spreads over the banks
WARP = (4, 8)  # rows and columns of items that run in step: nearly square, they read least
DEPTH = 16  # terms of the sum between two barriers,
WHOLE = 32  # or all of them where they are so few
NARROW = 4  # rows or columns below which most of a block would be idle
LANES = 128  # products that a core computes in a cycle


@dataclass(frozen=True)
class Block:
    """What a group computes: `warps` (in rows and columns) of WARP items, each a tile of sums.

    A tile is `copies` of `size` neighbours, the copies as far apart as all items reach with one:
    so neighbouring items read neighbouring vectors of the local tiles.
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
    """Whether both sides are wide enough for blocks; if not, it is best summed row by row."""
    _, rows, columns = _sides(c)
    return min(extent_of(rows), extent_of(columns)) >= NARROW


def schedule_product(s: Schedule, c: Contraction, machine: Machine) -> str:
    """A block of the output a group, a register tile an item, both factors by local memory; the
    reason for the plan.

    Requires: fills_blocks(c), whose loops `s` has, and 32 items a group or more.
    """
    both, rows, columns = ([v.name for v in side] for side in _sides(c))
    *others, last = columns
    extent = s.loop(last).extent
    width = next(w for w in (VECTOR, 2, 1) if extent % w == 0)
    s.do(split, last, "exact", f"{last}_v", f"lane:{width}")
    s.do(reorder, *both, *rows, *others, f"{last}_v", "lane")
    s.do(fuse, "batch", *both)
    s.do(fuse, "m", *rows)
    s.do(fuse, "n", *others, f"{last}_v")
    s.do(fuse, "k", *(v.name for v in c.inner))
    batch, m, n, k = (s.loop(name).extent for name in ("batch", "m", "n", "k"))
    depth = k if k <= WHOLE else DEPTH
    room = machine.local_bytes // (depth * max(c.a.dtype.itemsize, c.b.dtype.itemsize))
    block = choose_block(batch, m, n, width, room, machine)
    s.do(blocks, *block.warps, *block.copies, block.size[0], depth)
    (block_m, block_n), (tile_m, tile_n) = block.shape, block.tile
    return f"{block_m} x {block_n} a group, {tile_m} x {tile_n} an item, {depth} deep"


@primitive
def blocks(
    body: Body, warps_m: int, warps_n: int, copies_m: int, copies_n: int, near: int, depth: int
) -> Body:
    """A product's loops batch, m, n, lane, and k inside: a block of m and n a work-group, a tile of
    sums a work-item, slices of `depth` terms of both factors staged in local memory.

    Requires: one sum of products. Ensures: workgroup loops outermost; workitem, vector and unroll
    loops inside.
    """
    nested, inside = peel(body)
    loops = {loop.var.name: loop.var for loop in nested}
    if list(loops) != ["batch", "m", "n", "lane"]:
        raise ScheduleError(f"blocks: the loops are {', '.join(loops)}, not batch, m, n, lane")
    lane = loops["lane"]
    block = Block((warps_m, warps_n), (copies_m, copies_n), (near, lane.extent))
    own = loops["batch"], loops["m"], loops["n"], lane
    return _Spread(block, own, loops_of(inside)["k"], depth).spread(inside)


def _sides(c: Contraction) -> tuple[list[Var], list[Var], list[Var]]:
    """The output's loops: those of both factors, the rows, the columns. What is contiguous in the
    output is the last of the columns."""
    in_a, in_b = variables(c.a), variables(c.b)
    both = [v for v in c.outer if v in in_a and v in in_b]
    rows = [v for v in c.outer if v in in_a and v not in in_b]
    columns = [v for v in c.outer if v not in in_a]
    stores = [s for s in statements(c.body) if isinstance(s, Store) and s.array.scope == "global"]
    if any(stride(s.index, v) == 1 for s in stores for v in rows):
        rows, columns = columns, rows
    columns.sort(key=lambda v: any(stride(s.index, v) == 1 for s in stores))
    return both, rows, columns


def choose_block(batch: int, m: int, n: int, width: int, room: int, machine: Machine) -> Block:
    """The block whose groups take the fewest cycles on all cores, for m x n outputs.

    `n` counts vectors of `width`; `room` is how many elements local memory has for one k. For one
    k a group multiplies at LANES products a cycle, loads both sides of its items' tiles at half
    that rate, and brings in both sides of the block.
    """
    warps = next(w for w in ((4, 2), (2, 1), (1, 1)) if w[0] * w[1] * 32 <= machine.group_limit)
    rows = [(1, 1), (1, 2), (1, 4), (2, 4)]
    columns = [(copies, width) for copies in (1, 2, 4, 8) if copies * width <= 8]

    def cycles(block: Block) -> float:
        (block_m, block_n), (tile_m, tile_n) = block.shape, block.tile
        items = block.items[0] * block.items[1]
        one = items * (tile_m * tile_n / LANES + (tile_m + tile_n) / (LANES // 2))
        one += (block_m + block_n) / 8
        groups = batch * -(-m // block_m) * -(-n * width // block_n)
        return one * -(-groups // machine.cores)

    def fits(block: Block) -> bool:
        (block_m, block_n), (copies_m, copies_n) = block.shape, block.copies
        starts = block_m - block_m // copies_m, block_n - block_n // copies_n  # the last copies'
        in_use = starts[0] < m and starts[1] < n * width
        return in_use and block_m + block_n + 2 * PADDING <= room

    blocks = [
        Block(warps, (row[0], column[0]), (row[1], column[1]))
        for row, column in product(rows, columns)
    ]
    return min((b for b in blocks if fits(b)), default=blocks[0], key=cycles)


class _Spread:
    """Carries out a block on a body with merged loops."""

    def __init__(self, block: Block, loops: tuple[Var, Var, Var, Var], k: Var, depth: int) -> None:
        """`loops` are batch, m, n and the lane of a vector of n."""
        self.block, self.k, self.depth = block, k, depth
        self.batch, self.m, self.n, self.lane = loops
        block_m, vectors = block.shape[0], block.shape[1] // self.lane.extent
        self.group_m = Var("group_m", -(-self.m.extent // block_m))
        self.group_n = Var("group_n", -(-self.n.extent // vectors))
        self.slice = Var("slice", -(-k.extent // depth))
        self.items = tuple(
            Var(name, extent)
            for name, extent in zip(
                ("warp_m", "warp_n", "item_m", "item_n"), (*block.warps, *WARP), strict=True
            )
        )
        # Places in the block: a row, a vector of columns, a term of the slice; and in all.
        self.row, self.vector, self.part = (
            Var("row", block_m),
            Var("vector", vectors),
            Var("part", depth),
        )
        self.at: dict[Expr, Expr] = {
            self.m: add(mul(self.group_m, block_m), self.row),
            self.n: add(mul(self.group_n, vectors), self.vector),
            self.k: add(mul(self.slice, depth), self.part),
        }

    def spread(self, body: Body) -> Body:
        """The loops of the kernel, from its accumulator, sum loop and epilogue."""
        at = next(n for n, stmt in enumerate(body) if isinstance(stmt, For))
        (update,) = peel((body[at],))[1]
        tiles, products = self._packed(update)
        epilogue = substitute_body(body[at + 1 :], self.at)
        guard = all_of(self._inside(v) for v in (self.m, self.n))
        if guard is not None:
            epilogue = (If(guard, epilogue),)
        tiled = self._tiled((*body[:at], products, *epilogue))
        allocs = [s for s in (*tiles, *tiled) if isinstance(s, Alloc)]
        tiled = tuple(s for s in tiled if not isinstance(s, Alloc))
        at = next(n for n, s in enumerate(tiled) if isinstance(s, For) and s.var is self.part)
        slices = (
            *(share_fill(s, math.prod(self.block.items)) for s in tiles if isinstance(s, For)),
            Barrier(),
            *self._every_item((_in_registers(tiled[at]),)),
            Barrier(),
        )
        inside = (
            *allocs,
            *self._every_item(tiled[:at]),
            *nest([self.slice], slices),
            *self._every_item(tiled[at + 1 :]),
        )
        groups = [v for v in (self.batch, self.group_m, self.group_n) if v.extent != 1]
        if not groups:
            return (For(Var("group", 1), 1, "workgroup", inside),)
        return nest(groups, inside, "workgroup")

    def _inside(self, v: Var) -> Expr:
        return less(self.at[v], v.extent)

    def _packed(self, update: Stmt) -> tuple[Body, For]:
        """Both factors' tiles for a slice, with what fills them, and the products of a slice."""
        a, b = factors((update,), swap=False)
        changed = {
            e: guarded(
                substitute(e, self.at),
                all_of(self._inside(v) for v in (self.m, self.n, self.k) if v in variables(e)),
            )
            for e in (a, b)
        }
        body = map_expressions((update,), lambda e: rewrite(e, changed.get))
        loops = [self.part, self.row, self.vector, self.lane]
        body = nest(loops, body)
        for name, e in (("tile_b", changed[b]), ("tile_a", changed[a])):
            body = pack(body, e, name)
            tile = body[0]
            assert isinstance(tile, Alloc)
            row = extent_of([v for v in loops[1:] if v in variables(e)])
            body = pad_rows(body, tile.array, row, PADDING)
        return body[:-1], For(self.part, self.depth, "serial", peel(body[-1:])[1])

    def _tiled(self, body: Body) -> Body:
        """Each place in the block by the item whose tile it is in; the tile's loops innermost."""
        (items_m, items_n), (copies_m, copies_n) = self.block.items, self.block.copies
        neighbours = self.block.size[0]
        copy_m, copy_n = Var("copy_m", copies_m), Var("copy_n", copies_n)
        near = Var("near", neighbours)
        warp_m, warp_n, item_m, item_n = self.items
        item_row = add(mul(warp_m, WARP[0]), item_m)
        row = add(mul(copy_m, items_m * neighbours), mul(item_row, neighbours), near)
        vector = add(mul(copy_n, items_n), mul(warp_n, WARP[1]), item_n)
        body = substitute_body(body, {self.row: row, self.vector: vector})
        for var in (self.lane, copy_n, near, copy_m):
            if var.extent > 1:
                body = sunk(body, var, "vector" if var is self.lane else "unroll")
        return body

    def _every_item(self, body: Body) -> Body:
        return nest(self.items, body, "workitem") if body else ()


def _in_registers(products: Stmt) -> For:
    """An item loads its part of both tiles before it multiplies."""
    assert isinstance(products, For)
    body = products.body
    for name in ("part_b", "part_a"):
        a, b = factors(body, swap=False)
        body = pack(body, b if name == "part_b" else a, name, "register")
    return replace(products, body=tuple(_in_vectors(s) for s in body))


def _in_vectors(fill: Stmt) -> Stmt:
    """A nest that fills registers, written out; neighbours are loaded as a vector."""
    loops, inside = peel((fill,))
    (store,) = inside if len(inside) == 1 else (fill,)
    if not isinstance(store, Store):
        return fill
    for loop in reversed(loops):
        near = inside[0] is store and operand_stride(store.value, loop.var) == 1
        inside = (replace(loop, kind="vector" if near else "unroll", body=inside),)
    return inside[0]

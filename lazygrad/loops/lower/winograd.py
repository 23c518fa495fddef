"""Lower Winograd convolutions: the transform of the filters, and the convolution by tiles.

    u[k] = (G w G^T)[k]                                    once, k in 4 x 4

    serial slices of a few rows of tiles:
        serial c:     line = rows of x, even columns apart from odd ones
                      v[k, c, tile] = (B^T line B)[k]
        serial k, o:  m[k, o, tile] = sum over c of u[k, c, o] * v[k, c, tile]
        serial o:     out[four pixels] = what is done with the sums in (A^T m[:, o, tile] A)
        if some sum is not finite:
            serial o: out[pixel] = the same with the sum over c and 3 x 3 taps

Without the last part, an infinite pixel, or one so large that its tile overflows, would spoil all
four results of the tile. A slice's transforms about fill L2. The sums are an ordinary contraction.

Why this is no graph of ordinary nodes (transforms as sums of strided slices, and one product of 16
batches): the tiles and the products, each four times the size of the images, would pass through
memory. On one core (AVX-512), such a graph and these loops take 70 and 19 ms for 16 images of
64x28x28 and 64 filters; 42 and 12 ms for 8 of 64x56x56; 27 and 17 ms for 16 of 128x14x14 and 128
filters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from math import gcd, prod

from ...expr import Array, Expr, Literal, Load, Op, Var
from ...graph.ir import Winograd, WinogradFilter
from ...graph.ir.winograd import FILTER, INPUT, OUTPUT, POINTS, TAPS, TILE, Matrix
from ...index import add, divisors, flatten, mul
from ...schedule.ir import Blocked, Kernel
from ...targets import FILTERS_TOGETHER, LINE, SLICE_BYTES, SLICE_TILES, SLICES_A_CORE
from ..ir import Accumulate, Alloc, Body, Function, If, Stmt, Store
from ..ir.rebuild import begin, nest
from .nodes import Lowering
from .rows import Position, RowLowering

Grid = Sequence[Sequence[Expr]]


def lower_filter(kernel: Kernel, name: str) -> Function:
    """Loops for a kernel of kind filter: sixteen numbers for the nine of each filter."""
    lowering = Lowering(kernel)
    (member,) = kernel.members
    node = member.node
    assert isinstance(node, WinogradFilter)
    _, _, channels, outputs = node.shape
    # a block of outputs for all channels, so that no cache line of a filter is fetched twice
    near = gcd(outputs, FILTERS_TOGETHER)
    block, c, inner = Var("block", outputs // near), Var("c", channels), Var("o", near)
    o = add(mul(block, near), inner)
    taps = [
        [lowering.values.of(node.w, (o, c, Literal(i), Literal(j)), ()) for j in range(TAPS)]
        for i in range(TAPS)
    ]
    stores: list[Stmt] = [
        Store(lowering.arrays[node], flatten((Literal(k), Literal(l), c, o), node.shape), value)
        for k, l, value in _transformed(FILTER, taps)
    ]
    return Function(name, lowering.arguments(), 1, nest([block, c, inner], tuple(stores)))


def lower_winograd(kernel: Kernel, name: str, cores: int, ends: bool = False) -> Function:
    """Loops for a kernel of kind winograd: slices for `cores` threads, and in each five parts.
    `ends`: as in `lower`.

    Ensures: slices are independent; each part is one loop nest, the last of them in an If.
    """
    return _Slices(kernel, cores, ends).function(name)


@dataclass(frozen=True)
class _Slice:
    """Tiles that are computed together: `rows` x `columns` of them in each of `blocks` blocks of
    images."""

    blocks: int
    rows: int
    columns: int

    @property
    def size(self) -> int:
        return self.blocks * self.rows * self.columns


class _Slices:
    """Builds the loops of a convolution. In a blocked layout, `lanes` images lie side by side.

    Where there are too few slices for the threads, each computes a share of the output's channels.
    """

    def __init__(self, kernel: Kernel, cores: int, ends: bool) -> None:
        self.lowering = RowLowering(kernel, ends=ends)
        first, *self.after = kernel.members
        assert isinstance(first.node, Winograd)
        self.member, self.node = first, first.node
        self.lowering.read_again.add(self.node)  # by the test whether it is finite
        batch, self.outputs, height, width = self.node.shape
        self.channels = self.node.x.shape[1]
        down, across = height // TILE, width // TILE
        blocked = (x for x in kernel.layouts.values() if isinstance(x, Blocked))
        sizes = (layout.size for layout in blocked)
        lanes = max((n for n in sizes if batch % n == 0), default=1)
        blocks = batch // lanes
        tiles, wanted = blocks * down * across, SLICES_A_CORE * cores
        least = -(-SLICE_TILES // lanes) if tiles * lanes >= SLICE_TILES * wanted else tiles
        numbers = lanes * POINTS**2 * (self.channels + self.outputs)
        most = min(SLICE_BYTES // (numbers * self.node.dtype.itemsize), tiles // wanted)
        self.slice = _slice_of(blocks, down, across, least, most)
        slices = tiles // self.slice.size
        shares = next(n for n in divisors(self.outputs) if n * slices >= min(cores, self.outputs))
        self.outputs //= shares
        self.share = Var("share", shares)
        self.n = Var("n", blocks // self.slice.blocks)
        self.down = Var("down", down // self.slice.rows)
        self.across = Var("across", across // self.slice.columns)
        # the tiles of a slice, in the order of their memory
        self.tile = (
            Var("image", self.slice.blocks),
            Var("row", self.slice.rows),
            Var("column", self.slice.columns),
            Var("lane", lanes),
        )
        self.tiles = lanes * self.slice.size
        points, dtype = POINTS * POINTS, self.node.dtype
        self.v = Array("tiles", dtype, points * self._step(self.channels), "local")
        self.m = Array("products", dtype, points * self._step(self.outputs), "local")
        self.spoilt = Array("spoilt", dtype, self.outputs * self.tiles, "local")  # 0 or nan

    def function(self, name: str) -> Function:
        inside = (
            Alloc(self.v), *self.transform(), Alloc(self.m), *self.sums(), Alloc(self.spoilt),
            *self.results(), *self.repair(),
        )  # fmt: skip
        body = nest([self.share, self.n, self.down, self.across], inside)
        arguments = self.lowering.arguments()
        return Function(name, arguments, len(self.lowering.kernel.outputs), body)

    def _image(self) -> Expr:
        """The number of the image in the batch."""
        image, _, _, lane = self.tile
        blocks = add(mul(self.n, self.slice.blocks), image)
        return add(mul(blocks, lane.extent), lane)

    def _output(self, o: Expr) -> Expr:
        """The number of a share's channel in the output."""
        return add(mul(self.share, self.outputs), o)

    # ------------------------------------------------------------------ the parts

    def transform(self) -> Body:
        """v from the slice's pixels, one channel of one image (or block) after another."""
        image, row, column, lane = self.tile
        c = Var("c", self.channels)
        height, places = TILE * (row.extent + 1), column.extent + 1
        shape = (height, TILE, places, lane.extent)
        line = Array("line", self.node.dtype, prod(shape), "local")
        y, at = Var("y", height), Var("at", column.extent)
        top = mul(self.down, TILE * row.extent)
        left = mul(self.across, TILE * column.extent)

        def copied(half: int, place: Expr) -> Stmt:
            """A pixel to its place in the line: those of column 2 * place + half."""
            x = add(left, mul(place, TILE), half)
            value = self.lowering.values.of(self.node.x, (self._image(), c, add(top, y), x), ())
            return Store(line, flatten((y, Literal(half), place, lane), shape), value)

        # the first and the last column may lie in a padding: the others need no test
        inner = (copied(0, add(at, 1)), copied(1, add(at)))
        ends = (copied(0, Literal(0)), copied(1, Literal(column.extent)))
        pixels = [
            [
                Load(line, flatten(
                    (add(mul(row, TILE), i), Literal(j % TILE), add(column, j // TILE), lane), shape
                ))
                for j in range(POINTS)
            ]
            for i in range(POINTS)
        ]  # fmt: skip
        stores = [
            Store(self.v, self._place(k, l, c, self.channels), value)
            for k, l, value in _transformed(INPUT, pixels)
        ]
        body = (
            Alloc(line),
            *nest([y, at, lane], inner),
            *nest([y, lane], ends),
            *nest([row, column, lane], tuple(stores)),
        )
        return nest([c, image], body)

    def sums(self) -> Body:
        """m: for each of the sixteen places of a tile a matrix product."""
        k, o, tile = Var("k", POINTS * POINTS), Var("o", self.outputs), Var("tile", self.tiles)
        c = Var("channel", self.channels)
        acc, zero = Array("acc", self.node.dtype, 1, "register"), Literal(0)
        u = Load(
            self.lowering.arrays[self.node.u],
            flatten((k, c, self._output(o)), (k.extent, c.extent, self.node.shape[1])),
        )
        v = Load(self.v, add(mul(k, self._step(c.extent)), mul(c, tile.extent), tile))
        place = add(mul(k, self._step(o.extent)), mul(o, tile.extent), tile)
        body = (
            *begin(acc, "sum"),
            *nest([c], (Accumulate(acc, zero, "sum", Op("mul", (u, v))),)),
            Store(self.m, place, Load(acc, zero)),
        )
        return nest([k, o, tile], body)

    def results(self) -> Body:
        """The four pixels of each tile, and the members that are computed from a pixel."""
        _, row, column, _ = self.tile
        o = Var("output", self.outputs)
        top = add(mul(self.down, row.extent), row)
        left = add(mul(self.across, column.extent), column)
        products = [
            [Load(self.m, self._place(k, l, o, self.outputs)) for l in range(POINTS)]
            for k in range(POINTS)
        ]
        body: list[Stmt] = []
        sums: list[Expr] = []
        for a, b, value in _transformed(OUTPUT, products):
            place = add(mul(top, TILE), a), add(mul(left, TILE), b)
            body += self._result(o, place, value)
            sums.append(Load(self.lowering.registers[self.node], Literal(0)))
        total = reduce(lambda x, y: Op("add", (x, y)), sums)
        none = Op("mul", (total, Literal(0, total.dtype)))  # nan, if one is not finite
        number = flatten((o, *self.tile), (o.extent, *(v.extent for v in self.tile)))
        return nest([o, *self.tile], (*body, Store(self.spoilt, number, none)))

    def _result(self, o: Expr, place: tuple[Expr, Expr], value: Expr) -> Body:
        """An element of the convolution, and the members that are computed from it."""
        index = (self._image(), self._output(o), *place)
        body = self.lowering.emit_value(self.member, index, value)
        position = Position(index, self.node.shape)
        for member in self.after:
            body += self.lowering.emit_member(member, position)
        return body

    def repair(self) -> Body:
        """The slice again, by the definition of convolution, if a result is not finite."""
        zero, dtype = Literal(0), self.node.dtype
        any_ = Array("any_spoilt", dtype, 1, "register")
        n = Var("n_spoilt", self.spoilt.size)
        image, row, column, lane = self.tile
        o, c = Var("filter", self.outputs), Var("input", self.channels)
        y, x = Var("y_pixel", TILE * row.extent), Var("x_pixel", TILE * column.extent)
        i, j = Var("i_tap", TAPS), Var("j_tap", TAPS)
        top = add(mul(self.down, TILE * row.extent), y)
        left = add(mul(self.across, TILE * column.extent), x)
        acc = Array("direct", dtype, 1, "register")
        at = (self._image(), c, add(top, i), add(left, j))
        pixel = self.lowering.values.of(self.node.x, at, ())
        weight = self.lowering.values.of(self.node.w, (self._output(o), c, i, j), ())
        term = Accumulate(acc, zero, "sum", Op("mul", (weight, pixel)))
        body = (
            *begin(acc, "sum"),
            *nest([c, i, j], (term,)),
            *self._result(o, (top, left), Load(acc, zero)),
        )
        return (
            *begin(any_, "sum"),
            *nest([n], (Accumulate(any_, zero, "sum", Load(self.spoilt, add(n))),)),
            If(
                Op("ne", (Load(any_, zero), Literal(0, dtype))),
                nest([o, image, y, x, lane], body),
            ),
        )

    def _place(self, k: int, l: int, c: Expr, channels: int) -> Expr:
        """Where one of a tile's sixteen numbers lies in the arrays v and m."""
        shape = (channels, *(v.extent for v in self.tile))
        return add(flatten((c, *self.tile), shape), (POINTS * k + l) * self._step(channels))

    def _step(self, channels: int) -> int:
        """The distance between a tile's consecutive numbers of sixteen. It has a cache line of
        padding, or all sixteen might be in conflict for the same cache sets."""
        return channels * self.tiles + LINE // self.node.dtype.itemsize


def _slice_of(blocks: int, down: int, across: int, least: int, most: int) -> _Slice:
    """The largest slice of `least` to `most` tiles: a part of a row of tiles, rows of an image, or
    images. Without any, the smallest slice of at least `least` tiles."""
    sizes = [
        *(_Slice(1, 1, n) for n in divisors(across)),
        *(_Slice(1, n, across) for n in divisors(down)),
        *(_Slice(n, down, across) for n in divisors(blocks)),
    ]
    large = [s for s in sizes if s.size >= least] or sizes[-1:]
    return max((s for s in large if s.size <= most), key=lambda s: s.size, default=large[0])


def _transformed(matrix: Matrix, x: Grid) -> Iterator[tuple[int, int, Expr]]:
    """(row, column, element) of matrix x matrix^T."""
    columns = [_times(matrix, column) for column in zip(*x, strict=True)]
    for k, row in enumerate(zip(*columns, strict=True)):
        for l, value in enumerate(_times(matrix, row)):
            yield k, l, value


def _times(matrix: Matrix, x: Sequence[Expr]) -> list[Expr]:
    return [_combined(row, x) for row in matrix]


def _combined(row: Sequence[float], x: Sequence[Expr]) -> Expr:
    """The sum of row[i] * x[i], whose factors are 0 or have one absolute value."""
    size = max(row)
    assert set(row) <= {-size, 0, size}, row
    first, *more = [e for factor, e in zip(row, x, strict=True) if factor > 0]
    total = reduce(lambda total, e: Op("add", (total, e)), more, first)
    less = [e for factor, e in zip(row, x, strict=True) if factor < 0]
    total = reduce(lambda total, e: Op("sub", (total, e)), less, total)
    return total if size == 1 else Op("mul", (total, Literal(size, total.dtype)))

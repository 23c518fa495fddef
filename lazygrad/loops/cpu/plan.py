"""Choose how to compute a contraction: the tile of sums, and which factors to pack.

A cost model counts, for one step of the innermost summed loop, a tile's products, its loads and the
caches that they come from, and its share of the packing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod

from ...expr import Expr, Var
from ...index import round_up
from ...targets import (
    CYCLES_A_LOAD,
    CYCLES_A_MISS,
    CYCLES_A_SCATTER,
    CYCLES_A_VISIT,
    CYCLES_IN_VECTORS,
    L2_VECTORS_A_CYCLE,
    LOADED_AGAIN,
    STREAMS,
    UNROLL_WHOLE,
    WAITED,
    Machine,
)
from ..contraction import Contraction, by_factor, bytes_of, extent_of, operand_stride
from ..ir import Store, statements
from ..ir.rebuild import stride, variables
from .traffic import Tile, block_of_sum, in_conflict, l2_traffic


@dataclass(frozen=True)
class Tiling:
    """How to compute a contraction."""

    tiles: tuple[Tile, ...]  # outermost first; a vector tile last
    shared: Var | None  # the outer loop whose iterations, or tiles, the threads share
    lanes: Var | None  # a summed loop to vectorize, instead of an outer one
    width: int
    swap: bool  # the second factor is the one to broadcast
    pack_a: bool
    pack_b: bool
    sum_block: tuple[Var, int] | None  # a summed loop to take outside, in so many blocks
    cost: float  # cycles for each useful multiply-add of vectors
    reason: str


def plan_contraction(c: Contraction, machine: Machine, rank: int = 0) -> Tiling | None:
    """The plan of this rank, by counting loads, idle lanes and packing: 0 is the cheapest. The last
    one where there are fewer; None if there is none."""
    plans = ranked_plans(c, machine)
    return plans[min(rank, len(plans) - 1)] if plans else None


def ranked_plans(c: Contraction, machine: Machine) -> list[Tiling]:
    """All plans, the cheapest first."""
    return sorted([*_outer_plans(c, machine), *_lane_plans(c, machine)], key=lambda p: p.cost)


def _outer_plans(c: Contraction, machine: Machine) -> list[Tiling]:
    """Plans whose vectors run along an outer loop that one factor alone depends on."""
    plans = []
    for x in c.outer:
        swap = x not in variables(c.b)
        a, b = (c.b, c.a) if swap else (c.a, c.b)
        if x.extent < _lanes(c, machine) // 2 or x in c.fixed or x in variables(a):
            continue
        along = _Along(c, machine, x, a, b, swap)
        for size in _tile_sizes(*along.tiled, machine.registers):
            plan = along.plan(*size)
            if plan is not None:
                plans.append(plan)
    return plans


@dataclass(frozen=True)
class _Along:
    """A contraction with vectors along x: the facts that its plans share."""

    c: Contraction
    machine: Machine
    x: Var
    a: Expr
    b: Expr
    swap: bool

    @cached_property
    def loops(self) -> tuple[list[Var], list[Var], list[Var]]:
        """The outer loops of both factors, b's alone, and a's alone."""
        return by_factor(self.c.outer, self.a, self.b)

    @cached_property
    def tiled(self) -> tuple[list[Var], list[Var]]:
        """The loops beside x that may be tiled: a's alone, and b's alone."""
        _, only_b, only_a = self.loops
        free = [v for v in self.c.outer if v not in self.c.fixed and v is not self.x]
        return [v for v in only_a if v in free], [v for v in only_b if v in free]

    def plan(
        self, copies: int, rows: tuple[Var | None, int], other: Var | None, count: int
    ) -> Tiling | None:
        """Tiles of `copies` vectors by so many rows, and by `count` of b's other loop; None where
        the loops are shorter, or registers too few."""
        c, lanes = self.c, _lanes(self.c, self.machine)
        if lanes * copies > round_up(self.x.extent, lanes):
            return None
        beside = [Tile(v, n) for v, n in (rows, (other, count)) if v]
        if c.once and any(t.var.extent % t.size for t in beside):
            return None
        tiles = (*beside, Tile(self.x, lanes * copies, lanes))
        products = copies * rows[1] * count
        loaded, kept = self._loaded(copies, other, count)
        registers = products + copies * count + kept + self._elements(*rows)
        if registers > self.machine.registers:
            return None
        pack_b, copying = self._copying
        sum_block = block_of_sum(c, self.b, pack_b, tiles, self.machine)
        traffic = l2_traffic(c, (self.a, self.b), pack_b, tiles, sum_block, self.machine)
        cycles = _cycles(products, rows[1], loaded, traffic, self.machine)
        multiplying = cycles / products / _useful(tiles)
        if sum_block is not None:
            multiplying += CYCLES_A_VISIT * sum_block[1] / extent_of(c.inner)
        packing, missing = self._gathering(rows[0], products)
        pack_a = packing < missing
        multiplying += self._scattering + (0.0 if pack_a else missing)
        costs = (multiplying, packing if pack_a else 0.0, copying)
        shared, cost = _shared(c, self.loops, tiles, costs, self.machine.cores)
        reason = f"{' x '.join(f'{t.var.name}:{t.size}' for t in tiles)} sums in registers"
        return Tiling(
            tiles, shared, None, lanes, self.swap, pack_a, pack_b, sum_block, cost, reason
        )

    def _loaded(self, copies: int, other: Var | None, count: int) -> tuple[float, int]:
        """The vectors of b that a step loads, and the vectors kept in registers for a later step:
        in overlapping windows, neighbours read the same elements in different terms."""
        terms = self.c.inner[-1].extent
        if self._copying[0]:
            return copies * count, 0

        def distinct(n: int, apart: int) -> tuple[float, int]:
            later = self._later(self.b, apart) if n > 1 else 0
            return (min(n, ((n - 1) * later + terms) / terms) if later else n), later

        along, kept = distinct(copies, _lanes(self.c, self.machine))
        beside, kept_too = distinct(count, abs(operand_stride(self.b, other) or 0) if other else 0)
        return along * beside, kept * count + kept_too * copies

    def _later(self, e: Expr, apart: int) -> int:
        """After how many terms of the innermost sum, written out, e reads the element that lies
        `apart` from its present one; 0 for never."""
        inner = self.c.inner[-1]
        step = abs(operand_stride(e, inner) or 0)
        if inner.extent > UNROLL_WHOLE or not step or apart % step:
            return 0
        return apart // step if apart // step < inner.extent else 0

    def _elements(self, row: Var | None, count: int) -> int:
        """How many elements of a are in registers at once: one, but where the windows of rows
        overlap, LLVM keeps most elements for later terms."""
        if row is None or count == 1:
            return 1
        overlaps = self._later(self.a, abs(operand_stride(self.a, row) or 0))
        return max(1, count + self.c.inner[-1].extent - 1 - LOADED_AGAIN) if overlaps else 1

    def _gathering(self, row: Var | None, products: int) -> tuple[float, float]:
        """Cycles for packing a, and for its cache misses without packing."""
        inner = self.c.inner[-1]
        if row is None or not _scatters(self.a, row, inner):
            return 0.0, 0.0
        _, only_b, _ = self.loops
        along = 1 in (operand_stride(self.a, row), operand_stride(self.a, inner))
        copying = CYCLES_IN_VECTORS if along else CYCLES_A_MISS
        lanes = _lanes(self.c, self.machine)
        return copying * lanes / extent_of(only_b), CYCLES_A_MISS / products

    @cached_property
    def _copying(self) -> tuple[bool, float]:
        """Whether b is packed, and the cycles for that."""
        c, b, lanes = self.c, self.b, _lanes(self.c, self.machine)
        _, only_b, only_a = self.loops
        contiguous, reuse = operand_stride(b, self.x) == 1, extent_of(only_a)
        step = operand_stride(b, c.inner[-1])
        apart = step is not None and abs(step) >= lanes and not _slides(b, only_b, c.inner)
        large = bytes_of(b, (*c.outer, *c.inner)) > self.machine.l1_bytes and reuse >= 4 * 6
        if contiguous and not (apart and large):
            return False, 0.0
        return True, (0.15 if contiguous else 0.5) * lanes / max(reuse, 1)

    @cached_property
    def _scattering(self) -> float:
        """Cycles for storing vectors whose elements are no neighbours in memory."""
        scattered = sum(
            stride(stmt.index, self.x) != 1
            for stmt in statements(self.c.body)
            if isinstance(stmt, Store) and stmt.array.scope != "register"
        )
        lanes = _lanes(self.c, self.machine)
        return scattered * CYCLES_A_SCATTER * lanes / extent_of(self.c.inner)


def _scatters(a: Expr, row: Var, inner: Var) -> bool:
    """Whether a tile's elements of a are not in L1 when they are needed: each is on a cache line of
    its own, or rows are in conflict for the same sets."""
    return operand_stride(a, inner) != 1 or operand_stride(a, row) is None or in_conflict(a, row)


def _slides(e: Expr, outer: Sequence[Var], inner: Sequence[Var]) -> bool:
    """Whether e reads overlapping windows: then a copy would be several times its size."""
    return any(
        step < within * k.extent and step % within == 0
        for step in (abs(operand_stride(e, v) or 0) for v in outer)
        for k in inner
        if step and (within := abs(operand_stride(e, k) or 0))
    )


def _lane_plans(c: Contraction, machine: Machine) -> list[Tiling]:
    """Plans whose vectors run along a summed loop that is contiguous in both factors."""
    plans = []
    lanes = _lanes(c, machine)
    k = c.inner[-1]
    if (
        c.fixed
        or operand_stride(c.a, k) != 1
        or operand_stride(c.b, k) != 1
        or k.extent < lanes // 2
    ):
        return []
    loops = by_factor(c.outer, c.a, c.b)
    _, only_b, only_a = loops
    for v, w in product(only_a, only_b):
        for rows, columns in product(range(1, 9), range(1, 9)):
            products = rows * columns
            # accumulators, the vectors of b, and one of a
            if products + columns + 1 > machine.registers or rows > v.extent or columns > w.extent:
                continue
            tiles = (Tile(v, rows), Tile(w, columns))
            if c.once and any(t.var.extent % t.size for t in tiles):
                continue
            sum_block = block_of_sum(c, c.b, False, tiles, machine)
            if sum_block is not None and sum_block[0] is k:
                continue  # a sum so long is for packed panels
            whole = extent_of(c.inner) // (sum_block[1] if sum_block else 1)
            useful = _useful(tiles) * k.extent / round_up(k.extent, lanes)
            traffic = lanes * l2_traffic(c, (c.a, c.b), False, tiles, sum_block, machine)
            cycles = _cycles(products, 0, rows + columns, traffic, machine)
            costs = (cycles / products / useful + 8.0 * lanes / whole, 0.0, 0.0)
            shared, cost = _shared(c, loops, tiles, costs, machine.cores)
            reason = f"{v.name}:{rows} x {w.name}:{columns} sums, {lanes} lanes of {k.name} each"
            plan = Tiling(tiles, shared, k, lanes, False, False, False, sum_block, cost, reason)
            plans.append(plan)
    return plans


def _tile_sizes(
    only_a: Sequence[Var], only_b: Sequence[Var], registers: int
) -> list[tuple[int, tuple[Var | None, int], Var | None, int]]:
    """(vectors, (row loop, rows), (other loop of b, count)) that fit in the registers."""
    rows: list[tuple[Var | None, int]]
    # inner loops first: of equally good tiles, one whose rows are near in memory is chosen
    rows = [(v, n) for v in only_a[::-1] for n in range(1, min(v.extent, 14) + 1)] or [(None, 1)]
    others: list[tuple[Var | None, int]] = [(None, 1)]
    others += [(v, n) for v in only_b[::-1] for n in range(2, min(v.extent, STREAMS) + 1)]
    sizes = []
    for copies, row, (other, count) in product(range(1, 5), rows, others):
        # accumulators, the vectors of b, and one broadcast element
        if copies * row[1] * count + copies * count + 1 <= registers:
            sizes.append((copies, row, other, count))
    return sizes


def _cycles(
    products: int, elements: int, vectors: float, traffic: float, machine: Machine
) -> float:
    """Cycles for one step of a tile, which reads `traffic` bytes that are not in L1. A cycle has
    `fma_rate` multiply-adds, as many loads of vectors, or two loads of elements. A multiply-add
    takes four cycles. A vector may lie on two cache lines."""
    waiting = traffic / (L2_VECTORS_A_CYCLE * machine.vector_bytes)
    rate = machine.fma_rate
    steady = max(products / rate, elements / 2 + vectors / rate, 4.0, waiting)
    of_element, of_vector = CYCLES_A_LOAD
    return steady + of_element * elements + of_vector * vectors + WAITED * waiting


def _useful(tiles: Sequence[Tile]) -> float:
    """The share of all tiles' products that lie inside of the loops' extents."""
    return prod(t.var.extent / (t.count * t.size) for t in tiles)


def _shared(
    c: Contraction,
    loops: tuple[list[Var], list[Var], list[Var]],
    tiles: Sequence[Tile],
    costs: tuple[float, float, float],
    cores: int,
) -> tuple[Var | None, float]:
    """The outer loop to share among the threads, and what the contraction then costs.

    `costs`: of multiplying, and of packing each factor. The busiest thread may have more to
    multiply than an equal part; and each packs all of a factor that does not depend on the loop.
    """
    multiplying, packing_a, packing_b = costs
    extents = {t.var: t.count for t in tiles}
    _, only_b, only_a = loops
    best: tuple[Var | None, float] = (None, cores * sum(costs))
    for v in (v for group in loops for v in group):
        n = extents.get(v, v.extent)
        if n < cores or (c.once and n % cores):
            continue
        cost = multiplying * round_up(n, cores) / n
        cost += packing_a * (cores if v in only_b else 1)
        cost += packing_b * (cores if v in only_a else 1)
        if cost < best[1]:
            best = v, cost
    return best


def _lanes(c: Contraction, machine: Machine) -> int:
    """How many sums fill a vector."""
    return machine.vector_bytes // max(4, c.a.dtype.itemsize)

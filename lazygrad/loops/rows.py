"""Vectorize kernels that are no contraction: maps, row reductions, column reductions, scatters.

Two ways, and the cheaper by the strides of what is read and written:

- along the inner loops (softmax over rows): each loop of a row is vectorized by itself, sums with
  one accumulator a lane; where that is little (a sum of each row), several rows at once;
- along an outer loop (a sum over rows, pooling): neighbouring positions fill the lanes, and the
  whole body is computed for all of them at once. A sum down long columns has the sums of many
  columns in an array, so that memory is read along its rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..expr import Expr, Var
from ..index import add, less, mul
from .cost import operations
from .cpu.traffic import LINE, PAGE, same_places
from .cpu.transpose import in_blocks, turnable
from .ir import Accumulate, Alloc, Body, For, If, Stmt, Store, expressions, statements
from .ir.rebuild import (
    loads,
    nest,
    peel,
    rename_array,
    stride,
    substitute_body,
    updates_in_place,
)
from .lanes import lanes_for, split_lanes
from .merge import merge
from .tile import Tile, round_up, sink, tile, unroll_innermost

WIDE_OPS = 24  # loops with fewer operations keep several vectors in flight
ROWS = 4  # rows at once: memory is read in so many streams, and what they share is read once
PANEL = 1024  # sums that such an array holds
TURNED = 4  # blocks turned together: vectors of 32 bytes fill two lines, fetched as a pair
DIGIT = 2  # iterations of a loop that is rather written out than vectorized
SMALL_LOOP = 16  # inner loops of so few iterations in all are written out


@dataclass(frozen=True)
class RowPlan:
    """How to vectorize a kernel: `along` is "inner", "outer" or "none".

    `copies` vectors are in flight; along inner loops, in those that have few operations.
    """

    along: str
    width: int
    copies: int
    reason: str
    lane: Var | None = None  # the outer loop
    turned: Var | None = None  # an outer loop whose blocks are turned
    rows: int = 1  # iterations of that, or of the last outer loop, to take together
    panel: int = 0  # iterations of `lane` whose sums are in an array, if any


def plan_rows(loops: list[Var], body: Body, vector_bytes: int) -> RowPlan:
    """The cheapest way, by counting what each statement costs an element."""
    width = max(2, vector_bytes // _element_bytes(body))
    light = _is_light(body)
    inner = _cost(body, None, width)
    scalar = _cost(body, None, 1)
    outer, lane = _cheapest_lane(loops, body, width)
    if lane is not None and outer <= inner and outer < scalar:
        width = lanes_for(lane.extent, width)
        turned = turnable(body, lane, loops, width)
        if turned is not None:
            rows = width * _blocks_together(body, turned, lane, width)
            reason = f"{rows} x {width} blocks of {turned.name}, {lane.name}, turned"
            return RowPlan("outer", width, 1, reason, lane, turned, rows)
        if lane.extent >= 2 * PANEL and _walks_pages(body, lane):
            reason = f"{PANEL} sums along {lane.name} in an array, {width} lanes"
            return RowPlan("outer", width, 1, reason, lane, panel=PANEL)
        copies = 4 if light and lane.extent >= 8 * width and not _has_sums(body) else 1
        copies = max(copies, 2 if light and lane.extent >= 2 * width else 1)
        return RowPlan("outer", width, copies, f"{width * copies} lanes along {lane.name}", lane)
    if inner < scalar:
        reason = f"{width} lanes along the inner loops"
        # vectors that are whole lines are enough of them in flight
        if light and vector_bytes < LINE and _may_join_rows(loops, body):
            return RowPlan("inner", width, 2, f"{ROWS} rows at once, {reason}", rows=ROWS)
        return RowPlan("inner", width, 4, reason)
    return RowPlan("none", 1, 1, "no loop is worth vectors")


def plan_inner(body: Body, vector_bytes: int) -> RowPlan:
    """Vectors along each innermost loop by itself."""
    width = max(2, vector_bytes // _element_bytes(body))
    return RowPlan("inner", width, 4, f"{width} lanes along inner loops")


def _is_light(body: Body) -> bool:
    return sum(operations(e) for s in statements(body) for e in expressions(s)) <= WIDE_OPS


def _cheapest_lane(loops: list[Var], body: Body, width: int) -> tuple[float, Var | None]:
    """The outer loop to fill lanes with, and what an element then costs."""
    best: tuple[float, Var | None] = (float("inf"), None)
    for var in reversed(loops):
        if var.extent > 1 and is_independent(body, var):
            lanes = lanes_for(var.extent, width)
            cost = _cost(body, var, lanes) * _waste(var.extent, lanes)
            best = min(best, (cost, var), key=lambda pair: pair[0])
    return best


def _may_join_rows(loops: list[Var], body: Body) -> bool:
    """Whether rows have one loop each, are many, and may be done twice where blocks overlap."""
    if sum(isinstance(s, For) for s in body) != 1 or not loops or loops[-1].extent < 8 * ROWS:
        return False
    if not is_independent(body, loops[-1]):
        return False
    return loops[-1].extent % ROWS == 0 or not updates_in_place(body)


def vectorize_rows(loops: list[Var], body: Body, plan: RowPlan) -> Body:
    """The kernel's nest with its vector loops made; unroll and vectorize carry them out."""
    if plan.lane is not None:
        x = plan.lane
        rest = [v for v in loops if v is not x]
        size = min(plan.width * plan.copies, round_up(x.extent, plan.width))
        if plan.turned is not None:
            blocks, body = in_blocks(body, plan.turned, plan.rows)
            rest = [blocks if v is plan.turned else v for v in rest]
        if plan.panel:
            return nest(rest, _split_panels(x, plan, body))
        return nest(rest, _split_outer(x, size, _unroll_small(body)))
    if plan.along == "inner":
        body = tuple(s for stmt in body for s in _vectorize_inner(stmt, plan))
        if plan.rows > 1:
            blocks, body = tile(body, Tile(loops[-1], plan.rows), overlap=True)
            loops = [*loops[:-1], blocks]
    return nest(loops, body)


def _walks_pages(body: Body, lane: Var) -> bool:
    """Whether each nest of a body steps from page to page where it reads what is contiguous in
    `lane`, and there is one that sums (or finds a maximum)."""
    nests = [peel((s,)) for s in body if isinstance(s, For)]
    for loops, inside in nests:
        varying = any(isinstance(loop.extent, Expr) for loop in loops)
        if varying or any(isinstance(s, (For, If)) for s in inside):
            return False
        reads = [x for s in inside for e in expressions(s) for x in loads(e)]
        apart = [
            abs(stride(x.index, loops[-1].var) or 0) * x.dtype.itemsize
            for x in reads
            if stride(x.index, lane)
        ]
        if not apart or min(apart) < PAGE:
            return False
    return any(isinstance(s, Accumulate) for _, inside in nests for s in inside)


def _blocks_together(body: Body, turned: Var, lane: Var, width: int) -> int:
    """How many blocks to turn together: where rows compete for the same places of a cache, what
    is left of their lines would be gone when the next block comes."""
    reads = [x for s in body for e in expressions(s) for x in loads(e)]
    compete = any(stride(x.index, turned) == 1 and same_places(x, lane) for x in reads)
    whole = turned.extent % (TURNED * width) == 0
    return TURNED if compete and whole else 1


def _split_panels(x: Var, plan: RowPlan, body: Body) -> Body:
    """Blocks of x, the last one overlapping or guarded; in each, vectors after vectors inside of
    the sum's loops."""
    body = unroll_innermost(body)
    blocks, body = tile(body, Tile(x, plan.panel, plan.width, "serial"), not updates_in_place(body))
    for stmt in body:
        if isinstance(stmt, Alloc) and stmt.array.scope == "register":
            body = rename_array(body, stmt.array, replace(stmt.array, scope="local"), lambda i: i)
    return nest([blocks], body)


def _split_outer(x: Var, size: int, body: Body) -> Body:
    """Blocks of x, whole ones without guards and a last one with them."""
    count = -(-x.extent // size)
    blocks, lane = Var(f"{x.name}_o", count), Var(f"{x.name}_i", size)
    index = add(mul(blocks, size), lane)
    moved = substitute_body(body, {x: index})
    whole = x.extent // size
    if whole == count:
        return nest([blocks], sink(moved, lane, "vector"))
    guarded = sink(moved, lane, "vector", less(index, x.extent))
    if whole == 0:
        return nest([blocks], guarded)
    split = If(less(blocks, whole), sink(moved, lane, "vector"), guarded)
    return nest([blocks], (split,))


def _vectorize_inner(stmt: Stmt, plan: RowPlan) -> Body:
    if not isinstance(stmt, For):
        return (stmt,)
    loops, inside = peel((stmt,))
    if any(isinstance(s, For) for s in inside):  # rows, and then their end
        inside = tuple(s for part in inside for s in _vectorize_inner(part, plan))
        return nest([loop.var for loop in loops], inside)
    variables, digit, inside = _lane_loops(*merge([loop.var for loop in loops], inside))
    if not variables or not is_independent(inside, variables[-1]):
        return (stmt,)
    copies = plan.copies if _is_light(inside) else 1
    inside = nest(digit, inside, "unroll")
    return split_lanes(variables, inside, plan.width, copies)


def _lane_loops(loops: list[Var], body: Body) -> tuple[list[Var], list[Var], Body]:
    """A nest's loops, the last of them the one to vectorize, and the one inside of that, if any:
    a digit (a parity, say), which fills no vector."""
    is_digit = len(loops) > 1 and loops[-1].extent <= DIGIT < loops[-2].extent
    if is_digit and _may_exchange(body, *loops[-2:]):
        return loops[:-1], loops[-1:], body
    return loops, [], body


def _may_exchange(body: Body, outer: Var, inner: Var) -> bool:
    """Whether iterations of two loops may be done in any order: no two of them write one place
    (registers aside), and none reads what is written."""
    written = {s.array for s in statements(body) if isinstance(s, (Store, Accumulate))}
    reads = {x.array for s in statements(body) for e in expressions(s) for x in loads(e)}
    if any(array.scope != "register" for array in written & reads):
        return False
    for stmt in statements(body):
        if isinstance(stmt, (Store, Accumulate)) and stmt.array.scope != "register":
            step, other = stride(stmt.index, outer), stride(stmt.index, inner)
            if step is None or other is None or step == 0 or other == 0:
                return False
            apart = [other * n for n in range(1, inner.extent)]
            if any(d % step == 0 and abs(d // step) < outer.extent for d in apart):
                return False
    return True


def _unroll_small(body: Body) -> Body:
    """Mark nests of few iterations (a pooling window) to be written out."""
    result: list[Stmt] = []
    for stmt in body:
        if isinstance(stmt, For):
            loops, inside = peel((stmt,))
            iterations = 1
            for loop in loops:
                iterations *= loop.extent if isinstance(loop.extent, int) else SMALL_LOOP + 1
            if iterations <= SMALL_LOOP:
                for loop in reversed(loops):
                    inside = (replace(loop, kind="unroll", body=inside),)
                result.extend(inside)
                continue
        result.append(stmt)
    return tuple(result)


def is_independent(body: Body, var: Var) -> bool:
    """Whether iterations along var write different places (registers aside)."""
    for stmt in statements(body):
        if isinstance(stmt, (Store, Accumulate)) and stmt.array.scope == "global":
            step = stride(stmt.index, var)
            if step is None or step == 0:
                return False
    return True


def _has_sums(body: Body) -> bool:
    return any(isinstance(s, Accumulate) for s in statements(body))


def _element_bytes(body: Body) -> int:
    """The size that decides how many lanes fill a vector: the widest float, else element."""
    arrays = {s.array for s in statements(body) if isinstance(s, (Store, Accumulate))}
    for stmt in statements(body):
        for e in expressions(stmt):
            arrays.update(load.array for load in loads(e))
    floats = [a.dtype.itemsize for a in arrays if a.dtype.is_float]
    return max(4, *floats) if floats else max(4, *(a.dtype.itemsize for a in arrays))


def _cost(body: Body, outer: Var | None, width: int, iterations: float = 1.0) -> float:
    """Cost of a body: vectorized along `outer`, or (None) along each nest's innermost loop."""
    total = 0.0
    for stmt in body:
        if isinstance(stmt, For):
            loops, inside = peel((stmt,))
            names, _, merged = _lane_loops(*merge([loop.var for loop in loops], inside))
            count = iterations
            for loop in loops:
                count *= loop.var.extent
            if outer is not None:
                total += _cost(inside, outer, width, count)
            elif width > 1 and names and is_independent(merged, names[-1]):
                lanes = lanes_for(names[-1].extent, width)
                waste = _waste(names[-1].extent, lanes)
                # a horizontal sum at the end of each nest
                total += _cost(merged, names[-1], lanes, count) * waste + 4.0 * iterations
            else:
                total += _cost(merged, None, 1, count)
            continue
        total += iterations * _statement_cost(stmt, outer, width)
    return total


def _statement_cost(stmt: Stmt, var: Var | None, width: int) -> float:
    lanes = width if var is not None else 1
    cost = 0.0
    for e in expressions(stmt):
        cost += 0.5 * operations(e) / lanes
        for load in loads(e):
            if load.array.scope != "register":
                cost += _access_cost(load.index, var, lanes)
    if isinstance(stmt, (Store, Accumulate)) and stmt.array.scope != "register":
        cost += _access_cost(stmt.index, var, lanes)
    return cost


def _access_cost(index: Expr, var: Var | None, lanes: int) -> float:
    if var is None or lanes == 1:
        return 1.0
    step = stride(index, var)
    if step is None:
        return 1.5
    if abs(step) <= 1:
        return 1.0 / lanes
    return 2.5 / lanes if 2 <= step <= 4 else 1.2


def _waste(extent: int, width: int) -> float:
    return round_up(extent, width) / extent

"""Vectorize kernels that are no contraction: maps, row reductions, column reductions, scatters.

There are two ways. A cost model chooses, by the strides of loads and stores:

- along the inner loops (softmax over rows): each loop of a row is vectorized by itself, sums with
  one accumulator a lane. Where a row has few operations (a sum), several rows run at once;
- along an outer loop (a sum over rows, pooling): neighbouring positions fill the lanes, and the
  whole body is computed for all of them at once. The sums of many long columns are in an array, so
  that memory is read along its rows.

The rows of a scan (a cumulative sum) are computed several at once.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ..expr import Expr, Var
from ..index import round_up
from ..targets import (
    BLOCKS_TOGETHER,
    DIGIT,
    LINE,
    PAGE,
    PANEL_SUMS,
    ROW_BLOCK,
    SCAN_PANEL,
    SCAN_ROWS,
    SKIPPED,
    SMALL_LOOP,
    WIDE_OPS,
)
from .cpu.traffic import in_conflict
from .cpu.transpose import transposable
from .ir import Accumulate, Alloc, Body, For, If, Let, Stmt, Store, expressions, statements
from .ir.rebuild import (
    body_loads,
    has_trait,
    loads,
    operations,
    peel,
    stride,
    updates_in_place,
    written,
)
from .lanes import lanes, lanes_for, skip
from .primitives import Schedule, bind, merge, merge_nest, reorder, set_scope, split
from .sink import sink


@dataclass(frozen=True)
class RowPlan:
    """How to vectorize a kernel: `along` is "inner", "outer" or "none".

    `copies` vectors are in flight; along inner loops, only in those that have few operations.
    """

    along: str
    width: int
    copies: int
    reason: str
    lane: Var | None = None  # the outer loop
    transposed: Var | None = None  # an outer loop that makes square blocks with the lanes
    rows: int = 1  # iterations of `transposed`, or else of the last outer loop, to take together
    panel: int = 0  # iterations of `lane` whose sums are in an array, if any


def plan_rows(loops: list[Var], body: Body, vector_bytes: int) -> RowPlan:
    """The cheapest way, by counting what each statement costs an element."""
    width = max(2, vector_bytes // _element_bytes(body))
    light, sums = _is_light(body), has_trait(body, "sum")
    inner = _cost(body, None, width)
    scalar = _cost(body, None, 1)
    outer, lane = _cheapest_lane(loops, body, width)
    if lane is not None and outer <= inner and outer < scalar:
        width = lanes_for(lane.extent, width)
        other = transposable(body, lane, loops, width) if len(loops) > 1 else None
        if other is not None:
            rows = width * _blocks_together(body, other, lane, width)
            reason = f"{rows} x {width} blocks of {other.name}, {lane.name}, transposed"
            return RowPlan("outer", width, 1, reason, lane, other, rows)
        if sums and lane.extent >= 2 * PANEL_SUMS and _walks_pages(body, lane):
            reason = f"{PANEL_SUMS} sums along {lane.name} in an array, {width} lanes"
            return RowPlan("outer", width, 1, reason, lane, panel=PANEL_SUMS)
        copies = 4 if light and lane.extent >= 8 * width and not sums else 1
        copies = max(copies, 2 if light and lane.extent >= 2 * width else 1)
        return RowPlan("outer", width, copies, f"{width * copies} lanes along {lane.name}", lane)
    if inner < scalar:
        reason = f"{width} lanes along the inner loops"
        # where a vector is a whole cache line, enough lines are in flight without it
        if light and vector_bytes < LINE and _may_join_rows(loops, body):
            return RowPlan("inner", width, 2, f"{ROW_BLOCK} rows at once, {reason}", rows=ROW_BLOCK)
        return RowPlan("inner", width, 4, reason)
    return RowPlan("none", 1, 1, "no loop is worth vectors")


def plan_inner(body: Body, vector_bytes: int) -> RowPlan:
    """Vectors along each innermost loop by itself."""
    width = max(2, vector_bytes // _element_bytes(body))
    return RowPlan("inner", width, 4, f"{width} lanes along inner loops")


def _is_light(body: Body) -> bool:
    return sum(operations(e) for s in statements(body) for e in expressions(s)) <= WIDE_OPS


def _cheapest_lane(loops: list[Var], body: Body, width: int) -> tuple[float, Var | None]:
    """The cost of an element with lanes along the cheapest outer loop, and that loop."""
    best: tuple[float, Var | None] = (float("inf"), None)
    for var in reversed(loops):
        if var.extent > 1 and is_independent(body, var):
            lanes = lanes_for(var.extent, width)
            cost = _cost(body, var, lanes) * _waste(var.extent, lanes)
            best = min(best, (cost, var), key=lambda pair: pair[0])
    return best


def _may_join_rows(loops: list[Var], body: Body) -> bool:
    """Whether rows have one loop each, are many, and may be done twice where blocks overlap."""
    if sum(isinstance(s, For) for s in body) != 1 or not loops or loops[-1].extent < 8 * ROW_BLOCK:
        return False
    if not is_independent(body, loops[-1]):
        return False
    return loops[-1].extent % ROW_BLOCK == 0 or not updates_in_place(body)


def vectorize_rows(s: Schedule, plan: RowPlan, outer: Sequence[str] = ()) -> None:
    """Make a plan's vector and unroll loops, which the passes vectorize and unroll carry out.
    `outer` names the kernel's outer loops."""
    names = list(outer)
    if plan.lane is not None:
        x = plan.lane.name
        if names[-1] != x:
            names = [*(name for name in names if name != x), x]
            s.do(reorder, *names)
        if plan.transposed is not None:
            y = plan.transposed.name
            s.do(split, y, "overlap", f"{y}_o", f"{y}_i:{plan.rows}")
            s.do(sink, f"{y}_i", "unroll")
        if plan.panel:
            s.unroll_sums(set(names))
            _sum_in_panels(s, x, plan.panel, plan.width, names)
        else:
            _bind_small(s, _inside(s, names))
            size = min(plan.width * plan.copies, round_up(plan.lane.extent, plan.width))
            s.do(split, x, "peel", f"{x}_o", f"{x}_i:{size}")
            s.do(sink, f"{x}_i", "vector")
    elif plan.along == "inner":
        for stmt in _inside(s, names):
            _vectorize_inner(s, stmt, plan)
        if plan.rows > 1:
            last = names[-1]
            s.do(split, last, "overlap", f"{last}_o", f"{last}_i:{plan.rows}")
            s.do(sink, f"{last}_i", "unroll")


def _inside(s: Schedule, outer: Collection[str]) -> Body:
    """What stands inside of the outer loops."""
    body = s.body
    while len(body) == 1 and isinstance(body[0], For) and body[0].var.name in outer:
        body = body[0].body
    return body


def _walks_pages(body: Body, lane: Var) -> bool:
    """Whether every nest of a body reads a new page in each iteration, contiguously along `lane`,
    and one of the nests is a reduction."""
    nests = [peel((s,)) for s in body if isinstance(s, For)]
    for loops, inside in nests:
        varying = any(isinstance(loop.extent, Expr) for loop in loops)
        if varying or any(isinstance(s, (For, If)) for s in inside):
            return False
        apart = [
            abs(stride(x.index, loops[-1].var) or 0) * x.dtype.itemsize
            for x in body_loads(inside)
            if stride(x.index, lane)
        ]
        if not apart or min(apart) < PAGE:
            return False
    return any(isinstance(s, Accumulate) for _, inside in nests for s in inside)


def _blocks_together(body: Body, other: Var, lane: Var, width: int) -> int:
    """How many blocks to transpose together. Rows in conflict for the same sets of L1 would lose
    the rest of their lines before the next block reads it."""
    reads = body_loads(body)
    conflict = any(stride(x.index, other) == 1 and in_conflict(x, lane) for x in reads)
    whole = other.extent % (BLOCKS_TOGETHER * width) == 0
    return BLOCKS_TOGETHER if conflict and whole else 1


def _sum_in_panels(s: Schedule, x: str, size: int, width: int, outer: Sequence[str]) -> None:
    """Split x into panels, the last one overlapping or guarded. Inside of the sum's loops, a serial
    loop goes through the vectors of a panel, whose sums are in local memory."""
    tail = "guard" if updates_in_place(s.body) or size > s.loop(x).extent else "overlap"
    s.do(split, x, tail, f"{x}_o", f"{x}_i:{size // width}", f"{x}_l:{width}")
    s.do(sink, f"{x}_l", "vector")
    s.do(sink, f"{x}_i", "serial")
    for stmt in _inside(s, {*outer, f"{x}_o"}):
        if isinstance(stmt, Alloc) and stmt.array.scope == "register":
            s.do(set_scope, stmt.array.name, "local")


def _vectorize_inner(s: Schedule, stmt: Stmt, plan: RowPlan) -> None:
    if not isinstance(stmt, For):
        return
    loops, inside = peel((stmt,))
    if any(isinstance(x, For) for x in inside):  # no perfect nest: each part by itself
        for part in inside:
            _vectorize_inner(s, part, plan)
        return
    merged, inside = merge([loop.var for loop in loops], inside)
    variables, digit, _ = _lane_loops(merged, inside)
    if not variables or not is_independent(inside, variables[-1]):
        return
    if len(merged) < len(loops):
        s.do(merge_nest, stmt.var.name)
    for var in digit:
        s.do(bind, var.name, "unroll")
    s.do(lanes, variables[-1].name, plan.width, plan.copies if _is_light(inside) else 1)


def _lane_loops(loops: list[Var], body: Body) -> tuple[list[Var], list[Var], Body]:
    """A nest's loops up to the loop to vectorize; the loop inside of it, if that is a digit too
    short for a vector (a phase of a stride, say); and the body."""
    is_digit = len(loops) > 1 and loops[-1].extent <= DIGIT < loops[-2].extent
    if is_digit and _may_exchange(body, *loops[-2:]):
        return loops[:-1], loops[-1:], body
    return loops, [], body


def _may_exchange(body: Body, outer: Var, inner: Var) -> bool:
    """Whether iterations of two loops may be done in any order: no two write the same element of
    memory, and no iteration reads an array that is written."""
    changed = written(body)
    if any(x.array in changed and x.array.scope != "register" for x in body_loads(body)):
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


def _bind_small(s: Schedule, body: Body) -> None:
    """Write out nests of few iterations (a pooling window)."""
    for stmt in body:
        loops, _ = peel((stmt,))
        iterations = 1
        for loop in loops:
            iterations *= loop.extent if isinstance(loop.extent, int) else SMALL_LOOP + 1
        if loops and iterations <= SMALL_LOOP:
            for loop in loops:
                s.do(bind, loop.var.name, "unroll")


def is_independent(body: Body, var: Var) -> bool:
    """Whether iterations along var are independent: each writes its own elements, and no value
    passes from one to another in a register. Sums in registers may."""
    own = {s.array for s in statements(body) if isinstance(s, Alloc)}
    carried = {array for array in written(body) - own if array.scope == "register"}
    if any(load.array in carried for load in body_loads(body)):
        return False
    for stmt in statements(body):
        if isinstance(stmt, (Store, Accumulate)) and stmt.array not in own | carried:
            step = stride(stmt.index, var)
            if step is None or step == 0:
                return False
    return True


def _element_bytes(body: Body) -> int:
    """Bytes of the widest float, or else of the widest element: they decide the count of lanes."""
    arrays = written(body) | {load.array for load in body_loads(body)}
    floats = [a.dtype.itemsize for a in arrays if a.dtype.is_float]
    return max([4, *(floats or [a.dtype.itemsize for a in arrays])])


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


def count_in_vectors(s: Schedule, width: int) -> str:
    """Find the places of neighbours in one row together, where a sort counts. Returns the reason
    for the plan. The iterations are independent though they store at computed indices: no two
    elements have the same place.

        serial i: rank = 0; serial j: rank += x[j] < x[i]; out[rank] = i
        ->
        serial i_o: rank[0 .. 31] = 0
                    serial j: vector i_i in 32: rank[i_i] += x[j] < x[i_o*32 + i_i]
                    vector i_i in 32: out[rank[i_i]] = i_o*32 + i_i
    """
    loops, inside = s.outer()
    if not loops or any(isinstance(stmt, If) for stmt in statements(inside)):
        return _skip_in_vectors(s, inside, 2 * width) or "each step depends on the keys"
    x, extent = loops[-1].name, loops[-1].extent
    width = lanes_for(extent, width)
    size = min(4 * width, round_up(extent, width))
    s.do(split, x, "overlap" if size <= extent else "guard", f"{x}_o", f"{x}_i:{size}")
    s.do(sink, f"{x}_i", "vector")
    return f"the places of {size} elements at once"


def _skip_in_vectors(s: Schedule, body: Body, width: int) -> str:
    """Where a sort selects, skip blocks of keys, and count in vectors which elements stay before
    one. Returns the reason for the plan, if there is one."""
    for loop in statements(body):
        match loop:
            case For(body=(Let(), If(body=inside))) if loop.var.extent >= SKIPPED:
                s.do(skip, loop.var.name, SKIPPED, width)
                for stmt in inside:
                    if isinstance(stmt, For) and has_trait(stmt.body, "sum"):
                        s.do(lanes, stmt.var.name, width, 1)
                return f"blocks of {SKIPPED} keys are skipped where none is selected"
    return ""


def interleave_rows(s: Schedule, width: int) -> str:
    """Compute several rows of a scan together. Returns the reason for the plan. In a row each sum
    needs the sum before it; the sums of different rows are independent.

        serial i: acc[0] = 0; serial k: acc[0] += x[i*K + k]; out[i*K + k] = acc[0]
        ->
        serial i_o: acc[0 .. 3] = 0
                    serial k: vector i_i in 4: acc[i_i] += x[(i_o*4 + i_i)*K + k]
                              vector i_i in 4: out[(i_o*4 + i_i)*K + k] = acc[i_i]

    Scans along columns, which are neighbours in memory, are computed in panels: the sums of a
    panel's columns are in an array, in vectors of `width` lanes.

    Requires: independent loops, around a body that ends in the loop of one row.
    """
    loops, inside = s.merged()
    if not loops:
        return "one row"
    x, extent = loops[-1].name, loops[-1].extent
    writes = [t for t in statements(inside) if isinstance(t, Store) and t.array.scope == "global"]
    is_column = all(stride(t.index, loops[-1]) == 1 for t in writes)
    size = min(SCAN_PANEL, round_up(extent, width)) if is_column else min(SCAN_ROWS, extent)
    if not is_column:
        tail = "guard" if updates_in_place(s.body) else "overlap"
        s.do(split, x, tail, f"{x}_o", f"{x}_i:{size}")
        s.do(sink, f"{x}_i", "vector")
        return f"{size} rows at once"
    _sum_in_panels(s, x, size, width, [loop.name for loop in loops])
    return f"{size} sums along {x} in an array"

"""Vectorize the innermost loop of a nest, sums included: one accumulator a lane.

    acc[0] = 0
    serial k in 100: acc[0] += x[k]
    ->
    acc[0] = 0;  lanes[0..8) = 0
    serial k_o in 12: vector k_i in 8: lanes[k_i] += x[k_o*8 + k_i]
    vector k_i in 8: lanes[k_i] += x[96 + k_i]  if 96 + k_i < 100
    acc[0] += the sum of lanes[0..8)

This reassociates a sum, always in the same way: the result does not depend on the threads.
"""

from __future__ import annotations

from ..expr import Array, Expr, Literal, Load, Ramp, ReduceLanes, Var
from ..graph.ir import identity
from ..index import add, less, mul
from .ir import Accumulate, Alloc, Body, For, If, Stmt, Store, statements
from .ir.rebuild import apart, map_bodies, nest, peel, rename_array, substitute_body
from .primitives import primitive, sunk


@primitive
def lanes(body: Body, var: str, width: int, copies: int) -> Body:
    """A loop in vectors, `copies` of them in flight; a sum has one accumulator a lane, and the
    lanes are added up after the nest. What is left over is a loop of its own.

    Requires: as `split_lanes`, of the perfect nest that the loop is in.
    """

    def visit(part: Body) -> Body:
        result: list[Stmt] = []
        for stmt in part:
            loops, inside = peel((stmt,))
            names = [loop.var.name for loop in loops]
            if var in names:
                depth = names.index(var) + 1
                inside = loops[depth - 1].body
                result += split_lanes([x.var for x in loops[:depth]], inside, width, copies, body)
            else:
                result.append(map_bodies(stmt, visit))
        return tuple(result)

    return visit(body)


def split_lanes(loops: list[Var], body: Body, width: int, copies: int, around: Body = ()) -> Body:
    """The nest with its innermost loop done `width * copies` iterations at a time.

    Requires: the innermost iterations are independent but for accumulations into registers that
    were made outside of the nest. `width` lanes fill a vector; up to `copies` vectors are in
    flight. What is copied gets names that nothing `around` has.
    """
    *outer, k = loops
    width = lanes_for(k.extent, width)
    lanes = width * _in_flight(k.extent // width, copies)
    body, before, after = _accumulators(body, lanes)
    whole = k.extent // lanes
    inside: list[Stmt] = []
    if whole:
        blocks = Var(f"{k.name}_o", whole)
        inside += nest([blocks], _block(body, k, mul(blocks, lanes), lanes))
    rest = k.extent - whole * lanes
    if rest:
        count = -(-rest // width)
        tail = Var(f"{k.name}_t", count)
        start = add(mul(tail, width), whole * lanes)
        masked = rest % width != 0
        last = _block(body, k, start, width, k.extent if masked else None)
        inside += nest([tail], apart(last, tuple(inside), around))
    return (*before, *nest(outer, tuple(inside)), *after)


def lanes_for(extent: int, width: int) -> int:
    """The lanes of the shortest vector that holds a whole loop; at most `width`."""
    return min(width, 1 << max(1, (extent - 1).bit_length()))


def _in_flight(vectors: int, copies: int) -> int:
    """How many of a loop's whole vectors to take together, about `copies`, so that the fewest are
    left over: those wait for one another."""
    most = max(1, min(vectors, copies))
    least = min(most, -(-copies // 2))
    return min(range(most, least - 1, -1), key=lambda n: vectors % n)


def _block(body: Body, k: Var, start: Expr, lanes: int, limit: int | None = None) -> Body:
    lane = Var(f"{k.name}_i", lanes)
    index = add(start, lane)
    moved = substitute_body(_lane_indices(body, lane), {k: index})
    if limit is not None:
        moved = (If(less(index, limit), moved),)
    return sunk(moved, lane, "vector")


def _accumulators(body: Body, lanes: int) -> tuple[Body, list[Stmt], list[Stmt]]:
    """Give every accumulation into a register a lane each; what to do before and after."""
    before: list[Stmt] = []
    after: list[Stmt] = []
    made_inside = {s.array for s in statements(body) if isinstance(s, Alloc)}
    targets: dict[Array, str] = {}
    for stmt in statements(body):
        match stmt:
            case Accumulate(array, _, op) if array.scope == "register" and array not in made_inside:
                targets[array] = op
    for array, op in targets.items():
        wide = Array(f"{array.name}_lanes", array.dtype, lanes, "register")
        lane = Var(f"{array.name}_n", lanes)
        fill = Store(wide, lane, Literal(identity(op, array.dtype), array.dtype))
        before += [Alloc(wide), For(lane, lanes, "vector", (fill,))]
        total = ReduceLanes(op, Load(wide, Ramp(Literal(0), 1, lanes)))
        after.append(Accumulate(array, Literal(0), op, total))
        body = _redirect(body, array, wide)
    return body, before, after


_LANE = Var("lane", 1 << 30)  # stands for the lane until the block's loop is known


def _redirect(body: Body, old: Array, new: Array) -> Body:
    return rename_array(body, old, new, lambda _: _LANE)


def _lane_indices(body: Body, lane: Var) -> Body:
    return substitute_body(body, {_LANE: lane})

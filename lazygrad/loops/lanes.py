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

from collections.abc import Callable
from dataclasses import replace

from ..dtypes import int32
from ..errors import ScheduleError
from ..expr import Array, Cast, Expr, Literal, Load, Op, Var
from ..index import add, less, minimum, mul, sub, substitute
from .ir import Accumulate, Body, For, If, Let, Stmt
from .ir.rebuild import apart, begin, map_bodies, nest, peel, replace_arrays, substitute_body
from .primitives import at_loop, loops_of, primitive, split
from .sink import sunk
from .sums import partial_sum, register_sums


@primitive
def lanes(body: Body, var: str, width: int, copies: int) -> Body:
    """Vectorize a loop, with `copies` vectors in flight. A sum gets one accumulator a lane; the
    lanes are added up after the nest. Iterations that are left over get a loop of their own.

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


@primitive
def skip(body: Body, var: str, size: int, width: int) -> Body:
    """Test the condition that a loop's iterations have in vectors, and skip blocks of `size`
    iterations in which it never holds.

    serial i in 100: if x[i] < best[0]: S(i)    skip i 32 16
    ->  serial i_o in 4: some = 0;  vector i_n in 32: some max= x[min(i_o*32, 68) + i_n] < best[0]
                         if some: serial i_i in min(100 - i_o*32, 32): if ...: S(i_o*32 + i_i)

    S may change what the condition reads: where S runs in no iteration of a block, the condition
    is as it was tested. Requires: at least `size` iterations; a body of one If, and Lets before it.
    """
    outer = f"{var}_o"
    in_blocks = split(body, var, "short", outer, f"{var}_i:{size}")
    extent = loops_of(body)[var].extent
    if extent < size:
        raise ScheduleError(f"skip {var}: {extent} iterations in blocks of {size}")

    def change(blocks: For) -> Body:
        (loop,) = blocks.body
        assert isinstance(loop, For)
        lets = [stmt for stmt in loop.body if isinstance(stmt, Let)]
        match loop.body[len(lets) :]:
            case (If(condition, _, ()),):
                pass
            case _:
                raise ScheduleError(f"skip {var}: its body is more than an If")
        near, zero, start = Var(f"{var}_n", size), Literal(0), mul(blocks.var, size)
        behind = sub(minimum(start, Literal(extent - size)), start)  # the last blocks overlap
        values: dict[Expr, Expr] = {loop.var: add(near, behind)}
        for let in lets:
            values[let.local] = substitute(let.value, values)
        some = Array(f"{var}_some", int32, 1, "register")
        holds = Cast(substitute(condition, values), int32)
        tested = split_lanes([near], (Accumulate(some, zero, "max", holds),), width, 4)
        found = If(Op("ne", (Load(some, zero), Literal(0, int32))), blocks.body)
        return (replace(blocks, body=(*begin(some, "max"), *tested, found)),)

    return at_loop(in_blocks, outer, change)


def split_lanes(loops: list[Var], body: Body, width: int, copies: int, around: Body = ()) -> Body:
    """The nest with its innermost loop done `width * copies` iterations at a time.

    Requires: the innermost iterations are independent but for accumulations into registers that
    were made outside of the nest. `width` lanes fill a vector; up to `copies` vectors are in
    flight. Arrays that are copied get names that do not occur in `around`.
    """
    *outer, k = loops
    width = lanes_for(k.extent, width)
    lanes = width * _in_flight(k.extent // width, copies)
    lane = Var(f"{k.name}_i", lanes)
    before, body, after = _sums_of_lanes(body, lane)
    whole = k.extent // lanes
    inside: list[Stmt] = []
    if whole:
        blocks = Var(f"{k.name}_o", whole)
        block = substitute_body(body, {k: add(mul(blocks, lanes), lane)})
        inside += nest([blocks], sunk(block, lane, "vector"))
    rest = k.extent - whole * lanes
    if rest:
        tail, few = Var(f"{k.name}_t", -(-rest // width)), Var(lane.name, width)
        index = add(mul(tail, width), whole * lanes, few)
        last = substitute_body(body, {k: index, lane: few})
        if rest % width:
            last = (If(less(index, k.extent), last),)
        inside += nest([tail], apart(sunk(last, few, "vector"), tuple(inside), around))
    return (*before, *nest(outer, tuple(inside)), *after)


def lanes_for(extent: int, width: int) -> int:
    """The lanes of the shortest vector that holds a whole loop; at most `width`."""
    return min(width, 1 << max(1, (extent - 1).bit_length()))


def _in_flight(vectors: int, copies: int) -> int:
    """How many of a loop's whole vectors to take together: `copies` or half as many, so that the
    fewest are left over, which run one after another. A power of two, as `copies` is: LLVM compares
    the lanes of other vectors one by one."""
    fitting = [n for n in (copies, copies // 2) if 0 < n <= vectors]
    return min(fitting or [1], key=lambda n: vectors % n)


def _sums_of_lanes(body: Body, lane: Var) -> tuple[Body, Body, Body]:
    """Give each lane an accumulator of its own for each register from outside in which the body
    sums (or finds a maximum). Returns what initializes these, the body, and what combines the
    lanes."""
    loop = For(lane, lane.extent, "vector", ())
    before: Body = ()
    after: Body = ()
    parts: dict[Array, tuple[Array, Callable[[Expr], Expr]]] = {}
    for total, op in register_sums(body).items():
        part = replace(total, name=f"{total.name}_lanes", size=lane.extent)
        empty, added = partial_sum(total, op, part, [loop], Literal(0), lane)
        before, after = (*before, *empty), (*after, *added)
        parts[total] = part, lambda _: lane
    return before, replace_arrays(body, parts), after

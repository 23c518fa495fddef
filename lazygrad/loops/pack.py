"""Copy what an inner nest reads into a small array, in the order in which it reads it.

    serial j: serial i: serial k: ... b[k*N + j] ...
    ->
    serial j:
        local panel: serial k: panel[k] = b[k*N + j]
        serial i: serial k: ... panel[k] ...

A packed panel in a CPU's cache and a tile in a GPU's local memory are both this.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

from ..errors import ScheduleError
from ..expr import Array, Expr, Load, Var, parts
from ..index import flatten
from .cpu.transpose import transposable
from .end_loops import in_some_iteration
from .ir import Accumulate, Alloc, Body, For, Store, expressions, statements
from .ir.rebuild import (
    around,
    body_loads,
    factors,
    in_order_of_memory,
    loads,
    replace_expressions,
    stride,
    substitute_body,
    variables,
)
from .primitives import at_loop, merge, primitive, split


@primitive
def stage(body: Body, operand: str, name: str, place: str, *options: str) -> Body:
    """Copy a factor (a, the first, or b) into an array, before the loops that read it. `place` is
    the loop around the copy and these loops, or "all". With "lines", neighbours in memory are
    copied as vectors; with "register", the array is in registers.

    Requires: as `pack`. Raises ScheduleError for another operand.
    """
    if operand not in ("a", "b"):
        raise ScheduleError(f"stage: {operand} is none of a product's factors, a and b")

    def change(inside: Body) -> Body:
        factor = factors(inside)["ab".index(operand)]
        scope = "register" if "register" in options else "local"
        return pack(inside, factor, name, scope, vectors="lines" in options)

    if place == "all":
        return change(body)
    return at_loop(body, place, lambda loop: (replace(loop, body=change(loop.body)),))


def pack(body: Body, operand: Expr, name: str, scope: str = "local", vectors: bool = False) -> Body:
    """Precede a body by loops that copy `operand` for all iterations of the body. With `vectors`,
    elements that are neighbours in memory and in a tile are copied as one vector, even a short one.

    Requires: the operand is an expression in the body that only reads arrays the body does not
    write, and the loops it depends on have constant extents. Ensures: the operand is evaluated
    once for each combination of the body's loop variables it depends on, unless no term of a sum
    needs it. These index the packed array, outermost first; with `vectors`, a loop along which
    memory is contiguous comes last.
    """
    used = variables(operand)
    loops = [s for s in around(body, operand) if isinstance(s, For) and s.var in used]
    line = _line(operand, loops) if vectors else None
    if line is not None:
        loops = [*(loop for loop in loops if loop is not line), line]
    extents = [loop.var.extent for loop in loops]
    packed = Array(name, operand.dtype, prod(extents), scope)
    copies = [Var(f"{loop.var.name}_p", loop.var.extent) for loop in loops]
    values: dict[Expr, Expr] = {loop.var: c for loop, c in zip(loops, copies, strict=True)}
    needed = _read_where(body, operand, loops)
    fill: Body = (Store(packed, flatten(copies, extents), operand, needed=needed),)
    fill = substitute_body(fill, values)
    kinds = ["serial" if loop.kind == "unroll" else loop.kind for loop in loops]
    if line is not None:
        kinds[-1] = "vector"
    elif kinds and kinds[-1] == "vector":
        *others, lane = copies
        others, fill = merge(others, fill)
        across = transposable(fill, lane, others, lane.extent)
        if across is not None:
            blocks, fill = _in_blocks(fill, across, lane.extent)
            others = [blocks if v is across else v for v in others]
        # what is read may come from memory; what is written stays in a cache, in any order
        copies = [*in_order_of_memory(others, [x.index for x in body_loads(fill)]), lane]
        kinds = ["serial"] * len(others) + ["vector"]
    for var, kind in zip(reversed(copies), reversed(kinds), strict=True):
        if var.extent != 1:
            fill = (For(var, var.extent, kind, fill),)
    packed_load = Load(packed, flatten([loop.var for loop in loops], extents))
    return (Alloc(packed), *fill, *replace_expressions(body, {operand: packed_load}))


def _read_where(body: Body, operand: Expr, loops: Sequence[For]) -> Expr | None:
    """The condition, known only at run time, under which the body reads an element of the operand,
    which has these loops; None if it always does."""
    own = {loop.var for loop in loops}
    inner = [s.var for s in statements(body) if isinstance(s, For) and s.var not in own]
    found = {
        in_some_iteration(stmt.needed if isinstance(stmt, (Store, Accumulate)) else None, inner)
        for stmt in statements(body)
        if operand in parts(*expressions(stmt))
    }
    return found.pop() if len(found) == 1 else None


def _in_blocks(fill: Body, var: Var, size: int) -> tuple[Var, Body]:
    """The loop over blocks of `size` iterations of var, and the body for one block, to be written
    out.

    Requires: iterations of var are independent, and one may be done twice.
    """
    name, digit = f"{var.name}_o", f"{var.name}_i"
    whole: Body = (For(var, var.extent, "serial", fill),)
    blocks = split(whole, var.name, "overlap", name, f"{digit}:{size}")
    (loop,) = at_loop(blocks, digit, lambda inner: (replace(inner, kind="unroll"),))
    assert isinstance(loop, For)
    return loop.var, loop.body


def _line(operand: Expr, loops: Sequence[For]) -> For | None:
    """The innermost unrolled loop along which the operand is contiguous; None without one."""
    for loop in reversed(loops):
        along = all(x.guard is None and stride(x.index, loop.var) == 1 for x in loads(operand))
        if loop.kind == "unroll" and along:
            return loop
    return None

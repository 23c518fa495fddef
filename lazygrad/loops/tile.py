"""Split loops into blocks, and sink a block's loops to the innermost statements.

    serial i in 64:                    serial i_o in 16:
        acc[0] = 0                         unroll i_i in 4:  acc[i_i] = 0
        serial k: acc[0] += a[i*K + k]  -> serial k:
        out[i] = acc[0]                        unroll i_i in 4:  acc[i_i] += a[(i_o*4 + i_i)*K + k]
                                           unroll i_i in 4:  out[i_o*4 + i_i] = acc[i_i]

A register tile is this for two loops at once. Register arrays grow by the block's size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from ..expr import Array, Expr, Literal, Ramp, Var
from ..index import TRUE, add, all_of, less, minimum, mul
from .ir import Accumulate, Alloc, Body, For, If, Let, Stmt, Store, statements
from .ir.rebuild import body_loads, guard_loads, rename_array, substitute_body, variables

UNROLL_WHOLE = 7  # sum loops up to so long are written out
UNROLL_BY = 4  # longer ones


@dataclass(frozen=True)
class Tile:
    """A loop's block: `size` iterations of `var`, in vectors of `width` lanes if that is not 1.

    The vectors, or the iterations, are in a loop of kind `kind`.
    """

    var: Var
    size: int
    width: int = 1
    kind: str = "unroll"


def block_count(tile: Tile) -> int:
    """How many blocks cover the loop."""
    return -(-tile.var.extent // tile.size)


def round_up(n: int, multiple: int) -> int:
    """The least multiple that is no less than n."""
    return -(-n // multiple) * multiple


def tile(body: Body, tile: Tile, overlap: bool) -> tuple[Var, Body]:
    """Split `tile.var` (whose loop the caller has taken off body), and sink the block's loop.

    Returns the variable that runs over blocks, for the caller to loop over, and the new body.
    Where the size does not divide the extent, the last block starts earlier and overlaps the one
    before (`overlap`: only where computing an element twice is harmless), else it is guarded.

    Requires: the iterations of tile.var are independent.
    """
    var, size = tile.var, tile.size
    blocks = Var(f"{var.name}_o", block_count(tile))
    copies = Var(f"{var.name}_i", size // tile.width)
    lane = Var(f"{var.name}_l", tile.width)
    start = mul(blocks, size)
    if var.extent % size and overlap and var.extent >= size:
        start = minimum(start, Literal(var.extent - size))
        guard: Expr = TRUE
    else:
        guard = less(add(start, mul(copies, tile.width), lane), var.extent)
    body = substitute_body(body, {var: add(start, mul(copies, tile.width), lane)})
    if tile.width > 1:
        body = sink(body, lane, "vector", None if guard is TRUE else guard)
    if copies.extent > 1:
        body = sink(body, copies, tile.kind, None if guard is TRUE or tile.width > 1 else guard)
    return blocks, body


def sink(
    body: Body, var: Var, kind: str, guard: Expr | None = None, guard_sums: bool = False
) -> Body:
    """Push a loop over var inward, through sequences and serial loops, to single statements; also
    through unrolled loops that make registers, which then grow.

    `guard` is a condition on var that loads and stores outside of registers then need; with
    `guard_sums` accumulations into registers need it too (var's iterations are summed).
    """
    whole = _own_part(body) if kind == "unroll" and guard is None else len(body)
    for stmt in body[:whole]:
        if isinstance(stmt, Alloc):
            old = stmt.array
            new = Array(old.name, old.dtype, old.size * var.extent, old.scope)
            body = rename_array(body, old, new, partial(shift, offset=mul(var, old.size)))
    result: list[Stmt] = []
    for stmt in body[:whole]:
        if isinstance(stmt, Alloc):
            result.append(stmt)
        elif isinstance(stmt, For) and _is_opened(stmt) and not _depends(stmt, var):
            result.append(replace(stmt, body=sink(stmt.body, var, kind, guard, guard_sums)))
        elif isinstance(stmt, If) and var not in variables(stmt.condition):
            then, otherwise = (
                sink(b, var, kind, guard, guard_sums) for b in (stmt.body, stmt.otherwise)
            )
            result.append(If(stmt.condition, then, otherwise))
        else:
            result.append(For(var, var.extent, kind, (_guarded(stmt, var, guard, guard_sums),)))
    if whole < len(body):
        result.append(For(var, var.extent, "serial", body[whole:]))
    return tuple(result)


def _own_part(body: Body) -> int:
    """Where the last statements of a body begin that use only registers which they make: those of
    an epilogue that reads its sums from memory. They need not be written out for each element."""
    used: set[Array] = set()
    made: set[Array] = set()
    start = len(body)
    for n in reversed(range(len(body))):
        stmt = body[n]
        if any(isinstance(s, Accumulate) for s in statements((stmt,))):
            break  # a sum, or what adds it to those before
        if isinstance(stmt, Alloc):
            made.add(stmt.array)
        used |= {x.array for x in body_loads((stmt,))}
        used |= {s.array for s in statements((stmt,)) if isinstance(s, (Store, Accumulate))}
        if all(array in made or array.scope != "register" for array in used):
            start = n
    return start


def shift(index: Expr, offset: Expr) -> Expr:
    """index + offset, of a scalar index or a ramp."""
    if isinstance(index, Ramp):
        return Ramp(add(index.base, offset), index.stride, index.lanes)
    return add(index, offset)


def _is_opened(loop: For) -> bool:
    """Whether a sunk loop goes into another: into what makes registers, it must."""
    if loop.kind == "unroll":
        return any(isinstance(s, Alloc) for s in statements(loop.body))
    return loop.kind == "serial"


def _depends(loop: For, var: Var) -> bool:
    return isinstance(loop.extent, Expr) and var in variables(loop.extent)


def _guarded(stmt: Stmt, var: Var, guard: Expr | None, sums: bool) -> Stmt:
    if guard is None:
        return stmt
    match stmt:
        case Store() | Accumulate():
            value = guard_loads(stmt.value, var, guard)
            own = () if stmt.guard is None else (guard_loads(stmt.guard, var, guard),)
            kept = stmt.array.scope == "register" and not (sums and isinstance(stmt, Accumulate))
            condition = all_of(own if kept else (*own, guard))
            index = guard_loads(stmt.index, var, guard)
            return replace(stmt, value=value, index=index, guard=condition)
        case For():
            return replace(stmt, body=tuple(_guarded(s, var, guard, sums) for s in stmt.body))
        case Let():
            return replace(stmt, value=guard_loads(stmt.value, var, guard))
    return stmt


def split_loop(var: Var, count: int, suffix: str, body: Body) -> tuple[Var, Var, Body]:
    """A loop in `count` parts; where they do not come out even, the last ones overlap."""
    size = -(-var.extent // count)
    part_number = Var(f"{var.name}_{suffix}", -(-var.extent // size))
    part = Var(f"{var.name}_b", size)
    start = mul(part_number, size)
    if var.extent % size:
        start = minimum(start, Literal(var.extent - size))
    return part_number, part, substitute_body(body, {var: add(start, part)})


def unroll_innermost(body: Body) -> Body:
    """Write out the innermost sum loop, whole if it is short, else by four."""
    result: list[Stmt] = []
    for stmt in body:
        if isinstance(stmt, If):
            stmt = replace(stmt, body=unroll_innermost(stmt.body))
        elif isinstance(stmt, For) and stmt.kind == "serial":
            if any(isinstance(s, For) and s.kind == "serial" for s in statements(stmt.body)):
                stmt = replace(stmt, body=unroll_innermost(stmt.body))
            elif not any(isinstance(s, Accumulate) for s in statements(stmt.body)):
                pass  # an epilogue's: nothing waits for the iteration before
            elif stmt.var.extent <= UNROLL_WHOLE:
                stmt = replace(stmt, kind="unroll")
            elif stmt.var.extent % UNROLL_BY == 0:
                blocks, part, inside = split_loop(
                    stmt.var, stmt.var.extent // UNROLL_BY, "u", stmt.body
                )
                unrolled = For(part, part.extent, "unroll", inside)
                stmt = For(blocks, blocks.extent, "serial", (unrolled,))
        result.append(stmt)
    return tuple(result)

"""Move what every iteration of a loop would pack alike out of the loop.

serial i:                                      local panel
    local panel                                serial k: panel[k] = b[k*N]
    serial k: panel[k] = b[k*N]        ->      serial i:
    serial k: ... a[i*K + k] * panel[k]            serial k: ... a[i*K + k] * panel[k]
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ...expr import Array, Var
from ..ir import Accumulate, Alloc, Body, For, If, Stmt, Store, expressions, statements
from ..ir.rebuild import loads, variables


def hoist(body: Body) -> Body:
    """Take local arrays, and the loops that fill them, out of the serial loops on which what they
    are filled with does not depend.

    Requires: no unroll loops around local arrays. Ensures: the same values, fewer stores.
    """
    return tuple(s for stmt in body for s in _hoisted(stmt))


def _hoisted(stmt: Stmt) -> Iterator[Stmt]:
    """A statement, after those that need not be in it."""
    match stmt:
        case For(kind="serial", extent=int()):
            inside = hoist(stmt.body)
            moved = _invariant(inside, stmt.var)
            yield from moved
            yield replace(stmt, body=tuple(s for s in inside if s not in moved))
        case For():
            yield replace(stmt, body=hoist(stmt.body))
        case If():
            yield replace(stmt, body=hoist(stmt.body), otherwise=hoist(stmt.otherwise))
        case _:
            yield stmt


def _invariant(body: Body, var: Var) -> list[Stmt]:
    """The allocations of a loop's body, and the loops filling them, that are the same in every
    iteration: each such array is written by one loop, with what nothing in the body writes."""
    written = _written(body)
    moved: list[Stmt] = []
    for stmt in body:
        if not (isinstance(stmt, Alloc) and stmt.array.scope == "local"):
            continue
        makers = [s for s in body if stmt.array in _written((s,))]
        if len(makers) != 1 or not isinstance(maker := makers[0], For):
            continue
        if _written((maker,)) == {stmt.array} and not _depends(maker, var, written):
            moved += [stmt, maker]
    return moved


def _written(body: Body) -> set[Array]:
    return {s.array for s in statements(body) if isinstance(s, (Store, Accumulate))}


def _depends(loop: For, var: Var, written: set[Array]) -> bool:
    """Whether what a loop stores depends on a variable, or on what is written, or on itself."""
    for stmt in statements((loop,)):
        if isinstance(stmt, Accumulate):
            return True
        for e in expressions(stmt):
            if var in variables(e) or any(load.array in written for load in loads(e)):
                return True
    return False

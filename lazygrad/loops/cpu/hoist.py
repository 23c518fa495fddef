"""Loop-invariant packing: fill a panel before a loop whose iterations would all fill it alike.

serial i:                                      local panel
    local panel                                serial k: panel[k] = b[k*N]
    serial k: panel[k] = b[k*N]        ->      serial i:
    serial k: ... a[i*K + k] * panel[k]            serial k: ... a[i*K + k] * panel[k]
"""

from __future__ import annotations

from ...expr import Array, Var
from ..ir import Alloc, Body, For, Stmt
from ..ir.rebuild import body_loads, has_trait, mentions, rewrite_body, written


def hoist(body: Body) -> Body:
    """Move local arrays and the loops that fill them out of serial loops that do not change them.

    Requires: no unroll loops around local arrays. Ensures: the same values, fewer stores.
    """

    def hoisted(stmt: Stmt) -> Body | None:
        match stmt:
            case For(var, int() as extent, "serial", inside):
                moved = _invariant(inside, var)
                rest = tuple(s for s in inside if s not in moved)
                return (*moved, For(var, extent, "serial", rest))
        return None

    return rewrite_body(body, hoisted)


def _invariant(body: Body, var: Var) -> list[Stmt]:
    """The allocations of a loop's body, and the loops filling them, that are the same in every
    iteration: each such array is written by one loop, with what nothing in the body writes."""
    changed = written(body)
    moved: list[Stmt] = []
    for stmt in body:
        if not (isinstance(stmt, Alloc) and stmt.array.scope == "local"):
            continue
        makers = [s for s in body if stmt.array in written((s,))]
        if len(makers) != 1 or not isinstance(maker := makers[0], For):
            continue
        if written((maker,)) == {stmt.array} and not _depends(maker, var, changed):
            moved += [stmt, maker]
    return moved


def _depends(loop: For, var: Var, changed: set[Array]) -> bool:
    """Whether what a loop stores depends on a variable, or on arrays that change, or on itself."""
    return (
        var in mentions(loop)
        or has_trait((loop,), "sum")
        or any(load.array in changed for load in body_loads((loop,)))
    )

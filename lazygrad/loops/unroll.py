"""Write out unroll loops, one copy of the body for each iteration, and leave out products with
padding, which are 0.

unroll i in 2:  acc[i] += a[i] * b    ->    acc[0] += a[0] * b;  acc[1] += a[1] * b
"""

from __future__ import annotations

from dataclasses import replace

from ..expr import Expr, Literal, Local, Var
from .end_loops import at_run_time
from .ir import Accumulate, Body, For, Let, Stmt, statements
from .ir.rebuild import Names, names_in, rewrite_body, substitute_body


def unroll(body: Body) -> Body:
    """Replace every unroll loop by copies of its body.

    Requires: constant extents. Ensures: no unroll loop is left; an If whose condition becomes a
    constant is replaced by the branch that it takes; each copy has locals of its own.
    """
    names = names_in(body, Local)

    def written_out(stmt: Stmt) -> Body | None:
        match stmt:
            case For(var, int() as extent, "unroll", inside):
                return _copies(inside, var, extent, names)
        return None

    return rewrite_body(body, written_out)


def _copies(body: Body, var: Var, extent: int, names: Names) -> Body:
    """The statements of all iterations, one iteration after another."""
    named = [stmt.local for stmt in statements(body) if isinstance(stmt, Let)]
    result: Body = ()
    for n in range(extent):
        values: dict[Expr, Expr] = {var: Literal(n)}
        if n > 0:
            values |= {old: Local(names.new(old.name), old.dtype, old.lanes) for old in named}
        result += substitute_body(body, values)
    return result


def skip_padding(body: Body) -> Body:
    """Leave out the terms of sums that are known not to be needed: products with padding.

        acc[0] += x[0] needed if 0 < 0;  acc[1] += x[1] needed if 0 < i    ->    acc[1] += x[1]

    Where that depends on a loop, every term is computed: a test would take longer.

    Requires: no unroll loop is left. Ensures: `needed` conditions are left only where they depend
    on sizes known at run time (end_loops.py).
    """

    def skipped(stmt: Stmt) -> Body | None:
        match stmt:
            case Accumulate(needed=Literal(value=False)):
                return ()
            case Accumulate():
                return (replace(stmt, needed=at_run_time(stmt.needed)),)
        return None

    return rewrite_body(body, skipped)

"""Write out unroll loops: one copy of the body for each iteration.

unroll i in 2:  acc[i] += a[i] * b    ->    acc[0] += a[0] * b;  acc[1] += a[1] * b
"""

from __future__ import annotations

from ..expr import Expr, Literal, Local, Var
from .ir import Body, For, Let, Stmt, statements
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

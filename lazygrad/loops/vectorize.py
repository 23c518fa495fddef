"""Widen vector loops: one statement that computes all lanes at once.

vector i in 8:  out[b*8 + i] = x[b*8 + i] * s[b]
->
out[ramp(b*8, 1, 8)] = x[ramp(b*8, 1, 8)] * s[b]
"""

from __future__ import annotations

from dataclasses import replace

from ..dtypes import int64
from ..expr import Bitcast, Broadcast, Cast, Expr, Load, Op, Ramp, ReduceLanes, Var, rewrite
from ..index import add, linear, mul
from .end_loops import in_some_lane
from .ir import Accumulate, Body, For, Let, Stmt, Store
from .ir.rebuild import rewrite_body


def vectorize(body: Body) -> Body:
    """Replace every vector loop by wide statements.

    Requires: a vector loop holds single statements or further unroll and vector loops, as `sink`
    leaves them. Ensures: no vector loop is left; what lanes add to the same element is first added
    up among the lanes.
    """

    def widened(stmt: Stmt) -> Body | None:
        match stmt:
            case For(kind="vector"):
                return _widen_body(stmt.body, stmt.var)
        return None

    return rewrite_body(body, widened)


def _widen_body(body: Body, var: Var) -> Body:
    memo: dict[Expr, Expr] = {}

    def widened(stmt: Stmt) -> Body | None:
        match stmt:
            case Store() | Accumulate():
                guard = None if stmt.guard is None else widen(stmt.guard, var, memo)
                index, value = widen(stmt.index, var, memo), widen(stmt.value, var, memo)
                if index.lanes > 1 and value.lanes == 1:
                    value = Broadcast(value, index.lanes)
                elif isinstance(stmt, Accumulate) and index.lanes == 1 < value.lanes:
                    assert guard is stmt.guard, "lanes that are added up have no guards"
                    value = ReduceLanes(stmt.op, value)
                needed = in_some_lane(stmt.needed, var)
                return (replace(stmt, index=index, value=value, guard=guard, needed=needed),)
            case Let():
                raise TypeError("a Let does not survive sinking")
        return None

    return rewrite_body(body, widened)


def widen(e: Expr, var: Var, memo: dict[Expr, Expr] | None = None) -> Expr:
    """e for all values of var at once: a vector where e depends on var, else e itself."""

    def known(x: Expr) -> Expr | None:
        return _ramp(x, var) if var in x.mentions else x

    def checked(x: Expr) -> None:
        if not isinstance(x, (Op, Cast, Bitcast, Load)):
            raise TypeError(f"{type(x).__name__} cannot be widened")

    return rewrite(e, checked, memo, known)


def _ramp(e: Expr, var: Var) -> Ramp | None:
    """The values of base + stride * var; None where e is no such sum."""
    if e.dtype is not int64 or e.lanes != 1:
        return None
    constant, terms = linear(e)
    if any(var in atom.mentions for atom, _ in terms if atom is not var):
        return None
    base = add(constant, *(mul(atom, k) for atom, k in terms if atom is not var))
    return Ramp(base, dict(terms).get(var, 0), var.extent)

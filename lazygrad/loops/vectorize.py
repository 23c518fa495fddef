"""Widen vector loops: one statement that computes all lanes at once.

vector i in 8:  out[b*8 + i] = x[b*8 + i] * s[b]
->
out[ramp(b*8, 1, 8)] = x[ramp(b*8, 1, 8)] * s[b]
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ..dtypes import int64
from ..expr import Bitcast, Broadcast, Cast, Expr, Literal, Load, Op, Ramp, ReduceLanes, Var, walk
from ..index import add, linear, mul
from .ir import Accumulate, Body, For, Let, Stmt, Store
from .ir.rebuild import map_bodies, rewrite_body, variables


def vectorize(body: Body) -> Body:
    """Replace every vector loop by wide statements.

    Requires: a vector loop holds single statements or further unroll and vector loops, as `sink`
    leaves them. Ensures: no vector loop is left; what all lanes add to one element is added up
    among them first.
    """

    def widened(stmt: Stmt) -> Body | None:
        match stmt:
            case For(kind="vector"):
                return _widen_body(stmt.body, stmt.var)
        return None

    return rewrite_body(body, widened)


def _widen_body(body: Body, var: Var) -> Body:
    memo: dict[Expr, Expr] = {}
    result: list[Stmt] = []
    for stmt in body:
        match stmt:
            case Store() | Accumulate():
                guard = None if stmt.guard is None else widen(stmt.guard, var, memo)
                index = widen(stmt.index, var, memo)
                value = widen(stmt.value, var, memo)
                if index.lanes > 1 and value.lanes == 1:
                    value = Broadcast(value, index.lanes)
                elif isinstance(stmt, Accumulate) and index.lanes == 1 < value.lanes:
                    assert guard is stmt.guard, "lanes that are added up have no guards"
                    value = ReduceLanes(stmt.op, value)
                wide = replace(stmt, index=index, value=value, guard=guard)
                if isinstance(wide, Accumulate) and wide.needed is not None:
                    one = var not in variables(wide.needed)  # answer for all lanes
                    wide = replace(wide, needed=wide.needed if one else None)
                result.append(wide)
            case Let():
                raise TypeError("a Let does not survive sinking")
            case _:
                result.append(map_bodies(stmt, partial(_widen_body, var=var)))
    return tuple(result)


def widen(e: Expr, var: Var, memo: dict[Expr, Expr] | None = None) -> Expr:
    """e for all values of var at once: a vector where e depends on var, else e itself."""

    def visit(old: Expr, operands: tuple[Expr, ...]) -> Expr:
        if old is var:
            return Ramp(Literal(0), 1, var.extent)
        if all(new is x for new, x in zip(operands, old.operands, strict=True)):
            return old
        match old:
            case Op() if old.dtype == int64:
                return _widen_index(old, operands, var)
            case Op(op=op):
                return Op(op, operands)
            case Cast(dtype_=dtype):
                return Cast(operands[0], dtype)
            case Bitcast(dtype_=dtype):
                return Bitcast(operands[0], dtype)
            case Load(array=array):
                return Load(array, *operands)
        raise TypeError(f"{type(old).__name__} cannot be widened")

    return walk(e, visit, memo)


def _widen_index(old: Expr, operands: tuple[Expr, ...], var: Var) -> Expr:
    """A ramp where the index is base + stride * var, else lane-by-lane arithmetic."""
    constant, terms = linear(old)
    stride = 0
    base: list[Expr] = [Literal(constant)]
    for atom, k in terms:
        if atom is var:
            stride = k
        elif var in variables(atom):
            assert isinstance(old, Op)
            return Op(old.op, operands)
        else:
            base.append(mul(atom, k))
    return Ramp(add(*base), stride, var.extent)

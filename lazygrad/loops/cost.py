"""Counts of arithmetic: of a function, for reports; of an expression, for choices of passes."""

from __future__ import annotations

from functools import lru_cache

from ..expr import OPERATIONS, Expr, Load, Op, parts
from .ir import Accumulate, Body, For, Function, If, expressions


def flops(function: Function) -> int:
    """Floating-point operations of one run. An arithmetic operation counts as one, a fused
    multiply-add as two, a comparison or selection as none.

    Exact for loops of constant extent. The body of another loop counts once, and so do both
    branches of an If.
    """
    return _body_flops(function.body)


@lru_cache(maxsize=1 << 15)
def operations(e: Expr) -> int:
    """How many distinct operations an expression has, of any kind. A vector operation counts once;
    the index of a load does not count."""
    return sum(isinstance(x, Op) for x in parts(e, closed=(Load,)))


def _body_flops(body: Body) -> int:
    total = 0
    for stmt in body:
        for e in expressions(stmt):
            total += _expression_flops(e)
        match stmt:
            case Accumulate(value=value) if value.dtype.is_float:
                total += value.lanes
            case For(extent=extent):
                inside = _body_flops(stmt.body)
                total += inside * (extent if isinstance(extent, int) else 1)
            case If():
                total += _body_flops(stmt.body) + _body_flops(stmt.otherwise)
    return total


def _expression_flops(root: Expr) -> int:
    """Each distinct sub-expression once, as it is computed once."""
    return sum(
        e.lanes * OPERATIONS[e.op].flops
        for e in parts(root)
        if isinstance(e, Op) and e.dtype.is_float
    )

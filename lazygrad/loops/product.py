"""The two factors of the products that a loop nest sums: the one place that looks for them.

    acc[0] += cast(a[i*K + k] * b[k*N + j])    factors a[i*K + k] and b[k*N + j]

graph/product.py decides which kernels are contractions. Here their factors are found in the loops.
"""

from __future__ import annotations

from ..expr import Cast, Expr, Literal, Op
from .ir import Accumulate, Body, statements


def factors_of(term: Accumulate) -> tuple[Expr, Expr] | None:
    """The factors of a term, below casts and below a selection that makes it 0 (from a size on that
    is known at run time); None for a term that is no product."""
    value = term.value
    while True:
        match value:
            case Cast(x) | Op(op="where", args=(_, x, Literal(value=0))):
                value = x
            case _:
                break
    if not (isinstance(value, Op) and value.op == "mul"):
        return None
    a, b = value.args
    return a, b


def factors(body: Body, swap: bool = False) -> tuple[Expr, Expr]:
    """The factors of the first product that a body sums into a register; with `swap`, the second
    factor first. Raises TypeError for a body without one."""
    for stmt in statements(body):
        if isinstance(stmt, Accumulate) and stmt.array.scope == "register":
            found = factors_of(stmt)
            if found is not None:
                return found[::-1] if swap else found
    raise TypeError("no sum of products in the body")

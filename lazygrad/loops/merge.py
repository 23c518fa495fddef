"""Merge two nested loops into one where memory does not tell them apart.

serial i in 4: serial j in 6: out[i*6 + j] = x[i*6 + j]  ->  serial i in 24: out[i] = x[i]
"""

from __future__ import annotations

from collections.abc import Sequence

from ..expr import Expr, Op, Var, parts
from ..index import floordiv, linear, mod, unflatten
from .ir import Body, expressions, statements
from .ir.rebuild import body_loads, substitute_body


def merge(loops: Sequence[Var], body: Body) -> tuple[list[Var], Body]:
    """Merge neighbouring loops of a nest, innermost first, where no index needs them apart.

    Requires: the loops are perfectly nested and their iterations independent or in row-major
    order. Ensures: no division or remainder by a loop's extent is added.
    """
    merged = [v for v in loops if v.extent != 1]
    n = len(merged) - 1
    while n > 0:
        outer, inner = merged[n - 1], merged[n]
        n -= 1
        if any(_are_apart(x.index, outer, inner) for x in body_loads(body)):
            continue  # seen at a glance
        joined = Var(outer.name, outer.extent * inner.extent)
        values: dict[Expr, Expr] = {
            outer: floordiv(joined, inner.extent),
            inner: mod(joined, inner.extent),
        }
        candidate = substitute_body(body, values)
        if not any(_splits(e, joined) for s in statements(candidate) for e in expressions(s)):
            merged[n : n + 2] = [joined]
            body = candidate
    return merged, body


def merge_all(loops: Sequence[Var], body: Body) -> tuple[Var, Body]:
    """Merge loops into one, dividing its index where memory does tell them apart."""
    extent = 1
    for var in loops:
        extent *= var.extent
    joined = Var(f"{loops[0].name}_all", extent)
    parts = unflatten(joined, [v.extent for v in loops])
    return joined, substitute_body(body, dict(zip(loops, parts, strict=True)))


def _are_apart(e: Expr, outer: Var, inner: Var) -> bool:
    """Whether an index steps otherwise from the last iteration of `inner` to the next of `outer`
    than from one iteration of `inner` to the next."""
    steps = dict(linear(e)[1])
    return steps.get(outer, 0) != steps.get(inner, 0) * inner.extent


def _splits(e: Expr, var: Var) -> bool:
    """Whether a division or remainder of the variable itself occurs in e."""
    return any(isinstance(x, Op) and x.op in ("floordiv", "mod") for x in parts(e, mentioning=var))

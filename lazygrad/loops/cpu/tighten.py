"""Tighten a loop's bounds to the iterations that its only test lets through.

serial k in 5:                              serial k in min(5, 28 - i) - max(0, 4 - i):
    if 4 <= i + k < 28: acc += x[i + k]  ->     acc += x[i + k + max(0, 4 - i)]

The loop then has no branch, so that its sums stay in registers: where two paths meet, a compiler
stores and reloads them.
"""

from __future__ import annotations

from ...expr import Expr
from ...index import add, all_of, conjuncts, limit_of, maximum, minimum, sub
from ..ir import Body, For, If, Stmt
from ..ir.rebuild import loads, rewrite_body, substitute_body, variables


def tighten_bounds(body: Body) -> Body:
    """Replace each serial loop around a single If by a loop over the iterations that pass the test.

    Conditions on the loop's index become bounds; conditions that do not depend on it are tested
    once, before the loop; all others stay in the If.

    Requires: constant extents. Ensures: the same statements run, in the same order.
    """

    def shortened(stmt: Stmt) -> Body | None:
        match stmt:
            case For(extent=int(), kind="serial"):
                return (_shortened(stmt),)
        return None

    return rewrite_body(body, shortened)


def _shortened(loop: For) -> Stmt:
    """The loop over the indices that pass, or as it is."""
    match loop.body:
        case (If(otherwise=()) as test,) if not loads(test.condition):  # nothing that may change
            var, first, last = loop.var, add(0), add(loop.extent)
        case _:
            return loop
    before: list[Expr] = []
    inside: list[Expr] = []
    for condition in conjuncts(test.condition):
        limit = limit_of(condition, var)
        if var not in variables(condition):
            before.append(condition)
        elif limit is None:
            inside.append(condition)
        elif limit[0] > 0:
            last = minimum(last, limit[1])
        else:
            first = maximum(first, limit[1])
    kept = all_of(inside)
    body = test.body if kept is None else (If(kept, test.body),)
    body = substitute_body(body, {var: add(var, first)})
    shortened = For(var, sub(last, first), "serial", body)
    decided = all_of(before)
    return shortened if decided is None else If(decided, (shortened,))

"""Run a loop over the indices that its only test lets through.

serial k in 5:                              serial k in min(5, 28 - i) - max(0, 4 - i):
    if 4 <= i + k < 28: acc += x[i + k]  ->     acc += x[i + k + max(0, 4 - i)]

Nothing is asked inside, and what the loop keeps in registers stays there: where paths meet, a
compiler stores and reloads it.
"""

from __future__ import annotations

from ...expr import Expr
from ...index import add, all_of, conjuncts, limit_of, maximum, minimum, sub
from ..ir import Body, For, If, Stmt
from ..ir.rebuild import loads, rewrite_body, substitute_body, variables


def intervals(body: Body) -> Body:
    """The body with every serial loop around a single If that decides by the loop's index running
    over the interval that passes; what else the If tests is tested before the loop, or stays.

    Ensures: the same statements, in the same order.
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

"""Leave out terms of sums that are not needed: products with padding are 0.

serial i in 4:                                       acc[1] += x[1];  ...
    acc[i*2] += x[i*2] needed if 0 < i          ->   serial i in 3:
    acc[i*2 + 1] += x[i*2 + 1]                           acc[i*2 + 2] += x[i*2 + 2]
    ...                                                  acc[i*2 + 3] += x[i*2 + 3];  ...

Iterations at the ends of a loop are peeled where that leaves out enough terms. In between every
term is computed, needed or not: a test would take longer.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import takewhile

from ..expr import Expr, Literal, Var
from ..index import FALSE, add, substitute
from ..targets import PEELED_SHARE
from .end_sums import at_run_time
from .ir import Accumulate, Body, For, If, Stmt
from .ir.rebuild import map_bodies, nest, substitute_body, variables


def skip_padding(body: Body) -> Body:
    """Peel the ends of loops, and leave out the terms that are known not to be needed.

    Requires: no unroll loop is left. Ensures: `needed` conditions are left only where they depend
    on sizes known at run time (end_sums.py); the outermost loops, for threads to share, are whole.
    """
    result: list[Stmt] = []
    for stmt in body:
        result += (map_bodies(stmt, _needed),) if isinstance(stmt, For) else _needed((stmt,))
    return tuple(result)


def _needed(body: Body) -> Body:
    result: list[Stmt] = []
    for stmt in body:
        match stmt:
            case For(kind="serial", extent=int()):
                result.extend(_peeled(stmt))
            case Accumulate(needed=Literal(value=False)):
                pass
            case Accumulate():
                result.append(replace(stmt, needed=at_run_time(stmt.needed)))
            case _:
                result.append(map_bodies(stmt, _needed))
    return tuple(result)


def _peeled(loop: For) -> Body:
    """The loop, with the first and the last iterations peeled that leave out enough terms."""
    extent = loop.var.extent
    asked = _asked(loop.body)
    total = extent * sum(asked.values())

    def pays(n: int) -> bool:
        return _left_out(asked, loop.var, n) >= PEELED_SHARE * total

    if not any(e is not None and loop.var in variables(e) for e in asked):
        return (replace(loop, body=_needed(loop.body)),)
    first = sum(1 for _ in takewhile(pays, range(extent)))
    last = extent - sum(1 for _ in takewhile(pays, range(extent - 1, first - 1, -1)))

    def at(value: Expr) -> Body:
        return _needed(substitute_body(loop.body, {loop.var: value}))

    middle = Var(loop.var.name, last - first)
    result = [stmt for n in range(first) for stmt in at(Literal(n))]
    if middle.extent:
        inside = at(add(middle, first) if middle.extent > 1 else Literal(first))
        result += nest([middle], inside)
    return (*result, *(stmt for n in range(last, extent) for stmt in at(Literal(n))))


def _asked(body: Body) -> Counter[Expr | None]:
    """How many terms each condition decides on; under None, how many are always needed."""
    found: Counter[Expr | None] = Counter()
    for stmt in body:
        match stmt:
            case For():
                times = stmt.extent if isinstance(stmt.extent, int) else stmt.var.extent
                for condition, count in _asked(stmt.body).items():
                    found[condition] += count * times
            case If():
                found += _asked(stmt.body) + _asked(stmt.otherwise)
            case Accumulate():
                found[stmt.needed] += 1
    return found


def _left_out(asked: Counter[Expr | None], var: Var, value: int) -> int:
    """How many terms are not needed where var has this value."""
    return sum(
        count
        for condition, count in asked.items()
        if condition is not None and substitute(condition, {var: Literal(value)}) is FALSE
    )

"""Write out unroll loops, one copy of the body for each iteration, and leave out products with
padding, which are 0.

unroll i in 2:  acc[i] += a[i] * b    ->    acc[0] += a[0] * b;  acc[1] += a[1] * b
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import takewhile

from ..expr import Expr, Literal, Local, Var
from ..index import FALSE, substitute
from ..targets import PEELED_SHARE
from .end_loops import at_run_time
from .ir import Accumulate, Body, For, If, Let, Stmt, statements
from .ir.rebuild import Names, map_bodies, names_in, rewrite_body, substitute_body, variables
from .primitives import partition


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

    Where that depends on a loop, its first and last iterations are peeled if they need many fewer
    terms. Otherwise every term is computed: a test would take longer.

    Requires: no unroll loop is left. Ensures: `needed` conditions are left only where they depend
    on sizes known at run time (end_loops.py); the outermost loops, for threads to share, are whole.
    """

    def skipped(stmt: Stmt) -> Body | None:
        match stmt:
            case Accumulate(needed=Literal(value=False)):
                return ()
            case Accumulate():
                return (replace(stmt, needed=at_run_time(stmt.needed)),)
        return None

    return rewrite_body(tuple([map_bodies(stmt, _peeled) for stmt in body]), skipped)


def _peeled(body: Body) -> Body:
    """The body with iterations at the ends of loops peeled, where that leaves out enough terms."""

    def peeled(stmt: Stmt) -> Body | None:
        match stmt:
            case For(var, int(), "serial") if points := _ends(stmt):
                return partition((stmt,), var.name, *points)
        return None

    return rewrite_body(body, peeled)


def _ends(loop: For) -> list[int]:
    """Where to part a loop, so that the first and the last iterations stand alone that leave out
    enough terms."""
    terms, var, extent = _terms(loop.body), loop.var, loop.var.extent
    asked = [(c, n) for c, n in terms.items() if c is not None and var in variables(c)]
    if not asked:
        return []
    least = PEELED_SHARE * extent * sum(terms.values())

    def pays(at: int) -> bool:
        here: dict[Expr, Expr] = {var: Literal(at)}
        return sum(n for c, n in asked if substitute(c, here) is FALSE) >= least

    first = sum(1 for _ in takewhile(pays, range(extent)))
    last = sum(1 for _ in takewhile(pays, range(extent - 1, first - 1, -1)))
    points = {*range(1, first + 1), *range(extent - last, extent)}
    return sorted(points - {0, extent})


def _terms(body: Body) -> Counter[Expr | None]:
    """How many terms each condition decides on; under None, how many are always needed."""
    found: Counter[Expr | None] = Counter()
    for stmt in body:
        match stmt:
            case For():
                for condition, count in _terms(stmt.body).items():
                    found[condition] += count * stmt.var.extent
            case If():
                found += _terms(stmt.body) + _terms(stmt.otherwise)
            case Accumulate():
                found[stmt.needed] += 1
    return found

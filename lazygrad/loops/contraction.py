"""What a contraction is: its loops and its two factors.

sum over k of a[i, k] * b[k, j]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod

from ..errors import ScheduleError
from ..expr import Expr, Var
from ..index import all_of, conjuncts
from ..targets import PHASES, TAPS
from .ir import Accumulate, Body, For, If
from .ir.rebuild import factors, factors_of, loads, nest, peel, stride, updates_in_place, variables
from .primitives import merge, primitive


@dataclass(frozen=True)
class Contraction:
    """The parts of a lowered contraction."""

    outer: tuple[Var, ...]
    inner: tuple[Var, ...]  # the summed loops
    a: Expr  # the factor whose elements are broadcast
    b: Expr  # the factor whose elements fill vectors
    body: Body  # accumulator, sum loops, epilogue
    fixed: frozenset[Var] = frozenset()  # loops on which the terms' guard depends: never tiled
    once: bool = False  # whether it overwrites what it reads: no two tiles may overlap


def recognise(body: Body) -> Contraction | None:
    """The parts of a contraction, in as few loops as memory allows; None for any other body."""
    loops, inside = peel(body)
    outer, inside = merge([loop.var for loop in loops], inside)
    sums = [s for s in inside if isinstance(s, For)]
    if len(sums) != 1:
        return None
    nested, update = peel((sums[0],))
    if len(update) != 1 or not isinstance(update[0], Accumulate):
        return None
    if update[0].guard is not None and loads(update[0].guard):
        return None
    if factors_of(update[0]) is None:
        return None
    inner, update = merge([loop.var for loop in nested], update)
    a, b = factors(update)
    at = inside.index(sums[0])
    (term,) = update
    assert isinstance(term, Accumulate)
    term, first = _decided(term, inner)
    inner.sort(key=lambda v: (v not in first, -_reach(v, a, b)))
    fixed = frozenset() if term.guard is None else frozenset(variables(term.guard))
    body = (*inside[:at], *_sum(inner, term, fixed), *inside[at + 1 :])
    return Contraction(tuple(outer), tuple(inner), a, b, body, fixed, updates_in_place(body))


@primitive
def product(body: Body) -> Body:
    """Bring a contraction's loops into the form that plans begin with.

    Loops are merged where no index needs them apart; summed loops are in the order of memory; a
    guard of the terms stands outside of the summed loops that it does not depend on.
    """
    found = recognise(body)
    if found is None:
        raise ScheduleError("product: the loops are no sum of products")
    return nest(found.outer, found.body)


def _decided(term: Accumulate, inner: Sequence[Var]) -> tuple[Accumulate, set[Var]]:
    """Turn conditions that say when a term is needed into guards, where they depend on short loops
    only: no tile is made of a loop that short. Returns the term, and the summed ones of these
    loops."""
    decided: list[Expr] = []
    left: list[Expr] = []
    first: set[Var] = set()
    for condition in conjuncts(term.needed):
        summed = variables(condition).intersection(inner)
        others = variables(condition) - summed
        if (
            summed
            and others
            and all(v.extent <= TAPS for v in summed)
            and all(v.extent <= PHASES for v in others)
        ):
            decided.append(condition)
            first |= summed
        else:
            left.append(condition)
    return replace(term, guard=all_of((term.guard, *decided)), needed=all_of(left)), first


def _sum(inner: Sequence[Var], term: Accumulate, fixed: frozenset[Var]) -> Body:
    """The summed loops, and the guard inside of the loops that it depends on."""
    deciding = max((n + 1 for n, v in enumerate(inner) if v in fixed), default=0)
    if term.guard is None:
        return nest(inner, (term,))
    terms = nest(inner[deciding:], (replace(term, guard=None),))
    return nest(inner[:deciding], (If(term.guard, terms),))


def _reach(var: Var, a: Expr, b: Expr) -> int:
    """How far apart the terms of a summed loop lie, in elements. The nearest go innermost."""
    return max(abs(operand_stride(e, var) or 0) for e in (a, b))


@lru_cache(maxsize=1 << 12)
def operand_stride(e: Expr, var: Var) -> int | None:
    """How far the loads of a factor move for a step of var; None where that varies or differs."""
    steps = {stride(load.index, var) for load in loads(e)}
    return steps.pop() if len(steps) == 1 else (0 if not steps else None)


def by_factor(outer: Sequence[Var], a: Expr, b: Expr) -> tuple[list[Var], list[Var], list[Var]]:
    """The outer loops of both factors, the loops of b alone, and the others."""
    in_a, in_b = variables(a), variables(b)
    both = [v for v in outer if v in in_a and v in in_b]
    only_b = [v for v in outer if v in in_b and v not in in_a]
    return both, only_b, [v for v in outer if v not in in_b]


def extent_of(loops: Sequence[Var]) -> int:
    """How many iterations the loops have together."""
    return prod(v.extent for v in loops)


def bytes_of(e: Expr, loops: Sequence[Var]) -> int:
    """The size of a factor in these loops: an element for each iteration of those it depends on."""
    return e.dtype.itemsize * extent_of([v for v in loops if v in variables(e)])

"""End loops at sizes that are known at run time only.

Elements beyond a size are undefined. Each store and each term of a sum says when it is needed:

    serial i in 128:                                serial i in min(128, n):
        out[i] = exp(x[i])  needed if i < n    ->       out[i] = exp(x[i])

    serial k in 32:                                 serial k in min(32, n // 2):
        acc += where(k*2 < n, a[..], 0)               acc += a[..]
            needed if k*2 < n                           acc += a[..]
        acc += where(k*2 + 1 < n, a[..], 0)    ->   serial k in n % 2:
            needed if k*2 + 1 < n                       if ..: acc += a[..]
                                                        if ..: acc += a[..]

What a sum reads in the place of an undefined term is a test. In the first of its loops every term
is needed, and nothing is tested; the second has the iterations in which only some terms are needed.

A loop that threads share keeps its iterations; those at the end do nothing. So do iterations of a
serial loop, where those that are needed are not the first ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from math import gcd

from ..expr import Array, Expr, Literal, Load, Op, Ramp, Var, parts
from ..index import (
    add,
    all_of,
    conjuncts,
    floordiv,
    less,
    linear,
    maximum,
    minimum,
    mul,
    sub,
    substitute,
)
from .ir import Accumulate, Body, For, If, Stmt, Store, statements
from .ir.rebuild import Names, map_bodies, names_in, reads, substitute_body, variables

# --------------------------------------------------------------------------- conditions


def end_of(value: Expr) -> Expr | None:
    """The end of a term: the condition under which it is not neutral, if that compares indices with
    a size known at run time: i < n[0] for where(i < n[0], x, 0). None for any other term."""
    match value:
        case Op(op="where", args=(condition, _, Literal())):
            sizes = [x.array for x in parts(condition) if isinstance(x, Load)]
            if sizes and all(array.size == 1 and array.dtype.is_int for array in sizes):
                return condition
    return None


def at_run_time(needed: Expr | None) -> Expr | None:
    """The part of a condition that is known only at run time, as it loads a size."""
    return all_of(c for c in conjuncts(needed) if any(isinstance(x, Load) for x in parts(c)))


def in_some_lane(needed: Expr | None, var: Var) -> Expr | None:
    """The condition under which some lane's value may be needed; var is the index of the lane.

    i*8 + var < n[0]   ->   i*8 < n[0]
    """
    if needed is None or var not in variables(needed):
        return needed
    return in_some_iteration(needed, (var,))


def in_some_iteration(needed: Expr | None, loops: Iterable[Var]) -> Expr | None:
    """The condition, known only at run time, under which a value may be needed in some iteration of
    these loops: in the first one, where that is needed if any is."""
    inner = frozenset(loops)
    return all_of(_in_first(c, inner) for c in conjuncts(at_run_time(needed)))


def _in_first(condition: Expr, loops: frozenset[Var]) -> Expr | None:
    """A condition in the first iteration of loops; None where later ones may fulfil it alone."""
    inner = loops & variables(condition)
    match condition:
        case Op(op="lt", args=(index, end)) if inner.isdisjoint(variables(end)):
            if all(_grows(index, var) for var in inner):
                return Op("lt", (substitute(index, dict.fromkeys(inner, Literal(0))), end))
    return None if inner else condition


def _grows(index: Expr, var: Var) -> bool:
    """Whether an index never falls as var grows."""
    for atom, k in linear(index)[1]:
        match atom:
            case _ if var not in variables(atom):
                continue
            case _ if k < 0:
                return False
            case Var():
                continue
            case Op(op="floordiv", args=(x, Literal())):
                if _grows(x, var):
                    continue
            case Op(op="min", args=(x, y)):
                if _grows(x, var) and _grows(y, var):
                    continue
            case Op(op="mod", args=(x, Literal(value=size))):  # within one block of this size
                constant, terms = linear(x)
                apart = gcd(int(size), *(n for term, n in terms if term is not var))
                step = dict(terms).get(var, 0)
                alone = not any(var in variables(term) for term, _ in terms if term is not var)
                if alone and 0 <= step and constant % apart + step * (var.extent - 1) < apart:
                    continue
        return False
    return True


def is_ended(body: Body) -> bool:
    """Whether some element that a body stores is needed only below a size known at run time."""
    return any(isinstance(s, Store) and s.needed is not None for s in statements(body))


def blocks_that_end(body: Body, var: Var) -> list[int]:
    """The sizes of blocks of a loop's iterations, or of all as one block, in each of which what is
    stored ends at a size known at run time: 16 for out[i] = x[i] needed if i % 16 < n[0]."""
    found: dict[int, None] = {}
    stores = (s for s in statements(body) if isinstance(s, Store))
    for condition in (c for s in stores for c in conjuncts(s.needed)):
        match condition:
            case Op(op="lt", args=(Op(op="mod", args=(x, Literal(value=size))), _)) if x is var:
                found[int(size)] = None
            case Op(op="lt", args=(index, _)) if dict(linear(index)[1]).get(var) == 1:
                found[var.extent] = None
    return [size for size in found if var.extent % size == 0]


# --------------------------------------------------------------------------- loops


def end_loops(body: Body, cores: int = 1) -> Body:
    """Leave out the iterations of loops in which nothing is needed.

    `cores`: among how many threads parallel loops are shared, in contiguous ranges. Requires: no
    vector or unroll loop is left. Ensures: the same values where they are needed; no `needed` is
    left.
    """
    return _Ends(names_in(body, Var), _loads(body), cores).body(body)


def _loads(body: Body) -> Counter[Array]:
    """How many loads a body has of each array."""
    return Counter(load.array for stmt in statements(body) for load in reads(stmt))


@dataclass(frozen=True)
class _Bound:
    """A condition on the iterations of loops: index + c < end, for a constant c."""

    index: Expr
    end: Expr

    def holds(self, c: int) -> Expr:
        return less(add(self.index, c), self.end)

    def iterations(self, var: Var, c: int) -> Expr | None:
        """How many iterations of a loop fulfil it, if these are the first ones; else None."""
        weight = dict(linear(self.index)[1]).get(var, 0)
        rest = sub(self.index, mul(var, weight))
        if weight <= 0 or var in variables(rest):
            return None
        most = sub(add(self.end, weight - 1 - c), rest)
        return maximum(minimum(floordiv(most, weight), var.extent), 0)


Bounds = dict[_Bound, int]


def _bounds(condition: Expr | None, var: Var, inner: Collection[Var], last: bool = False) -> Bounds:
    """Conditions on var as bounds with their constants: those that hold in the first iteration of
    inner loops and in the first lane, or in the `last` ones.

    x // 4 + 2 < n   ->   x + 0 < (n - 2) * 4
    """
    found: Bounds = {}
    for each in conjuncts(condition):
        match each:
            case Op(op="lt", args=(Ramp(base, stride, lanes), end)):
                span = stride * (lanes - 1)
                index = add(base, max(0, span) if last else min(0, span))
            case Op(op="lt", args=(index, end)) if each.lanes == 1:
                pass
            case _:
                continue
        own = variables(index).intersection(inner)
        if variables(end) or not all(_grows(index, v) for v in own):
            continue
        index = substitute(index, {v: Literal(v.extent - 1 if last else 0) for v in own})
        constant, terms = linear(index)
        match terms:
            case ((Op(op="floordiv", args=(x, Literal(value=c))), 1),):
                end = mul(sub(end, constant), int(c))
                index, constant = x, linear(x)[0]
        if var in variables(index):
            found[_Bound(sub(index, constant), end)] = constant
    return found


class _Ends:
    def __init__(self, names: Names, loads: Counter[Array], cores: int) -> None:
        self.names, self.loads, self.cores = names, loads, cores

    def body(self, body: Body, tests: bool = False) -> Body:
        """The body with its loops ended. With `tests`, a term that ends is put under its test."""
        result: list[Stmt] = []
        for stmt in body:
            match stmt:
                case For(extent=int()):
                    result += self._ended(stmt, tests)
                case Store() | Accumulate():
                    asked, stmt = stmt.needed, replace(stmt, needed=None)
                    if tests and asked is not None and asked is end_of(stmt.value):
                        stmt = If(asked, _assuming((stmt,), conjuncts(asked)))
                    result.append(stmt)
                case _:
                    result.append(map_bodies(stmt, lambda inner: self.body(inner, tests)))
        return _joined(result)

    def _ended(self, loop: For, tests: bool) -> Iterator[Stmt]:
        """A loop without the iterations in which nothing is needed. A loop over sums becomes two:
        the iterations in which every term is needed, and then those in which some terms are."""
        var, inside = loop.var, statements(loop.body)
        inner = {s.var for s in inside if isinstance(s, For)}
        bound, low = self._common(loop, inside, inner)
        if bound is None:
            yield replace(loop, body=self.body(loop.body, tests))
            return
        tested = {c for stmt in inside for c in conjuncts(_tested(stmt))}
        asked = {
            c for s in inside if isinstance(s, (Store, Accumulate)) for c in conjuncts(s.needed)
        }
        last = {c: _bounds(c, var, inner, last=True).get(bound) for c in tested | asked}
        true = {c for c, n in last.items() if n is not None and bound in _bounds(c, var, inner)}
        high = max([low, *(last[c] or low for c in tested & true)])
        stored = _assuming(loop.body, true, terms=False)
        whole, some = bound.iterations(var, high), bound.iterations(var, low)
        if loop.kind != "serial" or whole is None or some is None:
            # a thread's own loops may end, too
            body = self.body(stored if loop.kind == "serial" else loop.body, tests)
            yield self._spread(replace(loop, body=(If(bound.holds(low), body),)))
            return
        yield For(var, whole, "serial", self.body(_assuming(loop.body, true)))
        if low < high:
            weight = dict(linear(bound.index)[1])[var]
            rest = Var(self.names.new(var.name), -(-(high - low) // weight))
            left = substitute_body(stored, {var: add(rest, whole)})
            extent = minimum(sub(some, whole), rest.extent)
            yield For(rest, extent, "serial", self.body(left, tests=True))

    def _common(
        self, loop: For, inside: Collection[Stmt], inner: Collection[Var]
    ) -> tuple[_Bound | None, int]:
        """A bound on a loop, with its least constant, beyond which nothing is needed of all that
        the loop computes for others; None where something always is."""
        own, found = _loads(loop.body), None
        for stmt in inside:
            if not isinstance(stmt, (Store, Accumulate)):
                continue
            if stmt.array.scope != "global" and own[stmt.array] == self.loads[stmt.array]:
                continue  # nothing outside reads it
            bounds = _bounds(stmt.needed, loop.var, inner)
            if found is not None:
                bounds = {b: min(c, found[b]) for b, c in bounds.items() if b in found}
            found = bounds
        return next(iter(found.items())) if found else (None, 0)

    def _spread(self, loop: For) -> For:
        """Reorder the iterations of a parallel loop, so that each thread's range has early and late
        ones."""
        each, rest = divmod(loop.var.extent, self.cores)
        if loop.kind != "parallel" or rest or each < 2 or self.cores == 1:
            return loop
        var = loop.var
        number = floordiv(var, each)  # of the thread
        place = add(mul(sub(var, mul(number, each)), self.cores), number)
        return replace(loop, body=substitute_body(loop.body, {var: place}))


def _tested(stmt: Stmt) -> Expr | None:
    """The condition that a term of a sum tests."""
    return end_of(stmt.value) if isinstance(stmt, Accumulate) else None


def _assuming(body: Body, true: Collection[Expr], terms: bool = True) -> Body:
    """The body where some conditions are known to be true, those of `terms` of sums, too."""

    def left(condition: Expr | None) -> Expr | None:
        return all_of(c for c in conjuncts(condition) if c not in true)

    result: list[Stmt] = []
    for stmt in body:
        match stmt:
            case Store():
                stmt = replace(stmt, needed=left(stmt.needed))
            case Accumulate(value=value) if terms:
                if (tested := end_of(value)) is not None:
                    still, (_, x, neutral) = left(tested), value.operands
                    value = x if still is None else Op("where", (still, x, neutral))
                stmt = replace(stmt, value=value, needed=left(stmt.needed))
        result.append(map_bodies(stmt, lambda inner: _assuming(inner, true, terms)))
    return tuple(result)


def _joined(stmts: list[Stmt]) -> Body:
    """Merge neighbouring Ifs of the same condition."""
    result: list[Stmt] = []
    for stmt in stmts:
        match (result[-1:], stmt):
            case ([If(condition, first, ())], If(other, second, ())) if condition is other:
                result[-1] = If(condition, (*first, *second))
            case _:
                result.append(stmt)
    return tuple(result)

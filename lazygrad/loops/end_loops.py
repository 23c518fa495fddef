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
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace

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
from .ir.rebuild import (
    Names,
    map_bodies,
    names_in,
    reads,
    rewrite_body,
    substitute_body,
    variables,
)

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
    terms = [(atom, k) for atom, k in linear(index)[1] if var in variables(atom)]
    return all(k > 0 and _atom_grows(atom, var) for atom, k in terms)


def _atom_grows(atom: Expr, var: Var) -> bool:
    match atom:
        case Var():
            return True
        case Op(op="min", args=(x, y)):
            return _grows(x, var) and _grows(y, var)
        case Op(op="floordiv", args=(x, Literal())):
            return _grows(x, var)
        case Op(op="mod", args=(x, Literal(value=size))) if _grows(x, var):
            first, last = (substitute(x, {var: Literal(n)}) for n in (0, var.extent - 1))
            return floordiv(first, int(size)) is floordiv(last, int(size))  # in the same block
    return False


def ends_in(body: Body) -> list[Expr]:
    """The conditions, known only at run time, under which what a body stores is needed."""
    needed = dict.fromkeys(s.needed for s in statements(body) if isinstance(s, Store))
    return [c for each in needed for c in conjuncts(at_run_time(each))]


def block_that_ends(body: Body, var: Var) -> int | None:
    """The size of a loop's blocks, in each of which what is stored ends at a size known at run
    time: 16 for out[i] = x[i] needed if i % 16 < n[0]. None if there are no such blocks."""
    for condition in ends_in(body):
        match condition:
            case Op(op="lt", args=(Op(op="mod", args=(x, Literal(value=size))), _)) if x is var:
                return int(size) if var.extent % size == 0 else None
    return None


# --------------------------------------------------------------------------- loops


def end_loops(body: Body, cores: int = 1) -> Body:
    """Leave out the iterations of loops in which nothing is needed.

    `cores`: among how many threads parallel loops are shared, in contiguous ranges. Requires: no
    vector or unroll loop is left. Ensures: the same values where they are needed; no `needed` is
    left.
    """
    return _Ends(names_in(body, Var), _loads(body), cores).body(body)


def _loop_variables(body: Body) -> set[Var]:
    return {s.var for s in statements(body) if isinstance(s, For)}


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

    def iterations(self, loop: For, c: int) -> Expr | None:
        """How many iterations of a serial loop fulfil it, if these are the first ones."""
        var = loop.var
        weight = dict(linear(self.index)[1]).get(var, 0)
        rest = sub(self.index, mul(var, weight))
        if loop.kind != "serial" or weight <= 0 or var in variables(rest):
            return None
        count = floordiv(sub(add(self.end, weight - 1 - c), rest), weight)
        return maximum(minimum(count, loop.extent), 0)


def _bounds(
    condition: Expr | None, var: Var, inner: Collection[Var], last: bool = False
) -> dict[_Bound, int]:
    """Conditions on var as bounds with their constants, in the first iteration of inner loops and
    in the first lane, or in the `last` ones.

    x // 4 + 2 < n   ->   x + 0 < (n - 2) * 4
    """
    found = {}
    for each in conjuncts(condition):
        match each:
            case Op(op="lt", args=(Ramp(base, stride, lanes), end)):
                ends = (0, stride * (lanes - 1))
                index = add(base, max(ends) if last else min(ends))
            case Op(op="lt", args=(index, end)) if each.lanes == 1:
                pass
            case _:
                continue
        own = variables(index).intersection(inner)
        if variables(end) or not all(_grows(index, v) for v in own):
            continue
        index = substitute(index, {v: Literal(v.extent - 1 if last else 0) for v in own})
        match linear(index):
            case (constant, ((Op(op="floordiv", args=(x, Literal(value=c))), 1),)):
                index, end = x, mul(sub(end, constant), int(c))
        if var in variables(index):
            constant = linear(index)[0]
            found[_Bound(sub(index, constant), end)] = constant
    return found


def _last(
    condition: Expr | None, bound: _Bound, var: Var, inner: Collection[Var], otherwise: int
) -> int:
    """The constant of a bound in the last iteration of inner loops."""
    return _bounds(condition, var, inner, last=True).get(bound, otherwise)


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
                        stmt = If(
                            asked, _assuming((stmt,), Accumulate, conjuncts(asked).__contains__)
                        )
                    result.append(stmt)
                case _:
                    result.append(map_bodies(stmt, lambda inner: self.body(inner, tests)))
        return _joined(result)

    def _ended(self, loop: For, tests: bool) -> Iterator[Stmt]:
        """A loop without the iterations in which nothing is needed. A loop over sums becomes two:
        the iterations in which every term is needed, and then those in which some terms are."""
        var, body = loop.var, loop.body
        common = self._common(body, var)
        if common is None:  # but some of the loops inside may be needed in the first ones only
            body = tuple(self._where_needed(stmt, var) for stmt in body)
            yield replace(loop, body=self.body(body, tests))
            return
        bound, low = common
        inner = _loop_variables(body)
        tested = [end_of(s.value) for s in self._effects(body) if isinstance(s, Accumulate)]
        high = max([low, *(_last(c, bound, var, inner, low) for c in tested)])
        if loop.kind == "serial":  # in a loop that threads share, a thread's own loops may end, too
            body = _assuming(body, Store, lambda c: bound in _bounds(c, var, inner))
        whole, some = (bound.iterations(loop, c) for c in (high, low))
        if whole is None or some is None:
            ended = (If(bound.holds(low), self.body(body, tests)),)
            yield self._spread(replace(loop, body=ended))
            return
        true = _assuming(body, Accumulate, lambda c: _last(c, bound, var, inner, high + 1) <= high)
        yield For(var, whole, "serial", self.body(true))
        if low < high:
            weight = dict(linear(bound.index)[1])[var]
            rest = Var(self.names.new(var.name), -(-(high - low) // weight))
            left = substitute_body(body, {var: add(rest, whole)})
            extent = minimum(sub(some, whole), rest.extent)
            yield For(rest, extent, "serial", self.body(left, tests=True))

    def _where_needed(self, stmt: Stmt, var: Var) -> Stmt:
        """A loop under a test, if it is needed only where a bound on var holds."""
        common = self._common((stmt,), var) if isinstance(stmt, For) else None
        return stmt if common is None else If(common[0].holds(common[1]), (stmt,))

    def _common(self, body: Body, var: Var) -> tuple[_Bound, int] | None:
        """A bound on var with its least constant, without which nothing is needed of all that a
        body computes for others."""
        inner = _loop_variables(body)
        found = [_bounds(stmt.needed, var, inner) for stmt in self._effects(body)]
        for bound in found[0] if found else ():
            if all(bound in each for each in found):
                return bound, min(each[bound] for each in found)
        return None

    def _effects(self, body: Body) -> list[Store | Accumulate]:
        """The statements in a body that write what is read outside of it."""
        own = _loads(body)
        return [
            stmt
            for stmt in statements(body)
            if isinstance(stmt, (Store, Accumulate))
            if stmt.array.scope == "global" or own[stmt.array] < self.loads[stmt.array]
        ]

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


def _assuming(body: Body, kind: type[Stmt], true: Callable[[Expr], bool]) -> Body:
    """The body where some conditions of statements of this class are known to be true."""

    def left(condition: Expr | None) -> Expr | None:
        return all_of(c for c in conjuncts(condition) if not true(c))

    def assuming(stmt: Stmt) -> Body | None:
        if not (isinstance(stmt, (Store, Accumulate)) and isinstance(stmt, kind)):
            return None
        value, tested = stmt.value, end_of(stmt.value)
        if isinstance(stmt, Accumulate) and tested is not None and isinstance(value, Op):
            still, (_, x, neutral) = left(tested), value.operands
            value = x if still is None else Op("where", (still, x, neutral))
        return (replace(stmt, value=value, needed=left(stmt.needed)),)

    return rewrite_body(body, assuming)


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

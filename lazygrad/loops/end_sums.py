"""End the loops of sums at sizes that are known at run time only.

    serial k_u in 32:                                           serial k_u in min(32, n // 2):
        acc += where(k_u*2 < n, a[..] * b[..], 0)     needed        acc += a[..] * b[..]
        acc += where(k_u*2 + 1 < n, a[..] * b[..], 0) needed  ->    acc += a[..] * b[..]
                                                                serial k_u in n % 2:
                                                                    if ..: acc += a[..] * b[..]
                                                                    if ..: acc += a[..] * b[..]

In the first loop every term is needed, and nothing is tested. The second has the iterations in
which only some terms are needed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from ..expr import Expr, Literal, Load, Op, Ramp, Var, parts
from ..index import add, all_of, bounds, conjuncts, floordiv, linear, maximum, minimum, mul, sub
from .ir import Accumulate, Alloc, Body, For, If, Stmt, Store, statements
from .ir.rebuild import Names, map_bodies, names_in, substitute_body, variables


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
    asked = () if needed is None else conjuncts(needed)
    return all_of(c for c in asked if any(isinstance(x, Load) for x in parts(c)))


def in_some_lane(needed: Expr | None, var: Var) -> Expr | None:
    """The condition under which some lane's term may be needed; var is the index of the lane.

    i*8 + var < n[0]   ->   i*8 < n[0]
    """
    if needed is None or var not in variables(needed):
        return needed
    found = [_of_first(c, var) for c in conjuncts(needed)]
    return at_run_time(all_of(found))


def in_some_iteration(needed: Expr | None, loops: Iterable[Var]) -> Expr | None:
    """The condition, known only at run time, under which a term may be needed in some iteration of
    these loops."""
    for var in loops:
        needed = in_some_lane(needed, var)
    return at_run_time(needed)


def _of_first(condition: Expr, var: Var) -> Expr | None:
    """The condition for lane 0, where lane 0 fulfils it if any lane does; else None."""
    if var not in variables(condition):
        return condition
    match condition:
        case Op(op="lt", args=(index, end)) if var not in variables(end):
            constant, terms = linear(index)
            rest = [mul(x, n) for x, n in terms if x is not var]
            if dict(terms).get(var, 0) >= 0 and not any(var in variables(x) for x in rest):
                return Op("lt", (add(constant, *rest), end))
    return None


def end_sums(body: Body) -> Body:
    """End each serial loop where none of its further terms is needed.

    Requires: no vector or unroll loop is left. Ensures: the same sums; no `needed` is left.
    """
    return _Ends(names_in(body, Var)).body(body)


@dataclass(frozen=True)
class _Bound:
    """A condition on a loop's index: weight * index + rest + c < 0, where c is from `low` to `high`
    and depends on lanes and inner loops."""

    weight: int
    rest: Expr
    low: int
    high: int

    def iterations(self, c: int, extent: int) -> Expr:
        """How many iterations fulfil it with this c; they are the first ones."""
        most = sub(self.weight - 1 - c, self.rest)
        return maximum(minimum(floordiv(most, self.weight), extent), 0)


def _bound(condition: Expr, var: Var, inner: Collection[Var]) -> _Bound | None:
    """A condition as a bound on var, given the loops inside; None where it has no such form."""
    match condition:
        case Op(op="lt", args=(Ramp(base, stride, lanes), end)):
            span, difference = stride * (lanes - 1), sub(base, end)
        case Op(op="lt", args=(index, end)) if condition.lanes == 1:
            span, difference = 0, sub(index, end)
        case _:
            return None
    low = high = linear(difference)[0]
    low, high = low + min(0, span), high + max(0, span)
    weight, rest = 0, []
    for atom, n in linear(difference)[1]:
        inside = variables(atom)
        if atom is var:
            weight = n
        elif var in inside:
            return None
        elif inside.isdisjoint(inner):
            rest.append(mul(atom, n))
        else:
            least, most = bounds(mul(atom, n))
            low, high = low + least, high + most
    return _Bound(weight, add(*rest), low, high) if weight > 0 else None


def _bounds_of(
    conditions: Collection[Expr], var: Var, inner: Collection[Var]
) -> dict[Expr, _Bound]:
    """The conditions that are bounds on var."""
    found = {c: _bound(c, var, inner) for c in conditions}
    return {c: bound for c, bound in found.items() if bound is not None}


class _Ends:
    def __init__(self, names: Names) -> None:
        self.names = names

    def body(self, body: Body, tests: bool = False) -> Body:
        """The body with its loops ended. With `tests`, a term that ends is put under its test."""
        result: list[Stmt] = []
        for stmt in body:
            match stmt:
                case For(kind="serial", extent=int()) if found := self._bounds(stmt):
                    result += self._ended(stmt, found)
                case Accumulate(needed=Expr() as needed):
                    if tests and needed is end_of(stmt.value):
                        result.append(If(needed, _assuming((stmt,), conjuncts(needed))))
                    else:
                        result.append(replace(stmt, needed=None))
                case _:
                    result.append(map_bodies(stmt, lambda inner: self.body(inner, tests)))
        return _joined(result)

    def _bounds(self, loop: For) -> dict[Expr, _Bound]:
        """The conditions under which a loop's terms are needed; none where an iteration does more
        than add such terms, or where they do not end together."""
        inside = list(statements(loop.body))
        own = {s.array for s in inside if isinstance(s, Alloc)}
        inner = {s.var for s in inside if isinstance(s, For)}
        found: dict[Expr, _Bound] = {}
        for stmt in inside:
            if not isinstance(stmt, (Store, Accumulate)) or stmt.array in own:
                continue
            needed = stmt.needed if isinstance(stmt, Accumulate) else None
            asked = [] if needed is None else conjuncts(needed)
            known = _bounds_of(asked, loop.var, inner)
            if len(known) != 1:
                return {}
            tested = end_of(stmt.value)
            found |= known
            found |= _bounds_of([] if tested is None else conjuncts(tested), loop.var, inner)
        alike = {(bound.weight, bound.rest) for bound in found.values()}
        return found if len(alike) == 1 else {}

    def _ended(self, loop: For, found: dict[Expr, _Bound]) -> Iterator[Stmt]:
        """The iterations in which every term is needed, and then those in which some terms are."""
        var = loop.var
        bound = next(iter(found.values()))
        low, high = min(b.low for b in found.values()), max(b.high for b in found.values())
        whole = bound.iterations(high, var.extent)
        inside = self.body(_assuming(loop.body, found))
        yield For(var, whole, "serial", inside)
        if low == high:
            return
        rest = Var(self.names.new(var.name), -(-(high - low) // bound.weight))
        some = sub(bound.iterations(low, var.extent), whole)
        body = substitute_body(loop.body, {var: add(rest, whole)})
        yield For(rest, minimum(some, rest.extent), "serial", self.body(body, tests=True))


def _assuming(body: Body, true: Collection[Expr]) -> Body:
    """The body where some conditions are known to be true."""

    def left(condition: Expr) -> Expr | None:
        return all_of(c for c in conjuncts(condition) if c not in true)

    result: list[Stmt] = []
    for stmt in body:
        if isinstance(stmt, Accumulate) and stmt.needed is not None:
            value, tested = stmt.value, end_of(stmt.value)
            if tested is not None and isinstance(value, Op):
                still = left(tested)
                _, x, neutral = value.operands
                value = x if still is None else Op("where", (still, x, neutral))
            stmt = replace(stmt, value=value, needed=left(stmt.needed))
        result.append(map_bodies(stmt, lambda inner: _assuming(inner, true)))
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

"""End loops at sizes known at run time, beyond which the elements that they write are not needed.

    # out0 is needed below in1[0] along axis 0           # of 128 rows of 64 elements
    serial i in 128:                                      serial i in min(128, in1[0]):
        serial j in 64:                             ->        serial j in 64:
            out0[i*64 + j] = exp(in0[i*64 + j])                   out0[i*64 + j] = ...

A loop that threads share keeps its iterations; those at the end do nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..expr import Array, Expr, Ramp, Var
from ..index import add, bounds, floordiv, less, linear, minimum, mod, mul, sub
from .ir import Accumulate, Body, For, Function, If, Limit, Store, statements
from .ir.rebuild import map_bodies, reads, substitute_body, variables


def limit(function: Function, cores: int) -> Function:
    """Leave out the iterations that write no needed element.

    `cores`: among how many threads parallel loops are shared, in contiguous ranges.
    Ensures: the same values where they are defined.
    """
    known = [each for each in function.limits if _is_known(each, function)]
    if not known:
        return function
    limited = _Limited(known, _loads(function.body), cores)
    return replace(function, body=limited.body(function.body, frozenset(), frozenset()))


def _is_known(limit: Limit, function: Function) -> bool:
    """Whether the function still has the arrays of a limit."""
    arrays = {x for x in limit.end.mentions if isinstance(x, Array)}
    return limit.array in function.arguments and arrays.issubset(function.arguments)


def _loads(body: Body) -> Counter[Array]:
    """How many loads a body has of each array."""
    return Counter(load.array for stmt in statements(body) for load in reads(stmt))


Scope = frozenset[Var]  # of the loops around a statement


@dataclass(frozen=True)
class _Reach:
    """The least index along a limited axis at which a statement writes in one iteration of a loop:
    `index` + `start`. `index` depends on that loop and on loops around it. Indices before `end` are
    needed."""

    limit: Limit
    end: Expr
    index: Expr
    start: int

    def is_needed(self) -> Expr:
        """Whether the iteration is needed."""
        return less(add(self.index, self.start), self.end)


def _width(stmt: Store | Accumulate) -> int:
    """How many neighbouring elements a statement writes at most."""
    index = stmt.index
    return 1 + (index.lanes - 1) * abs(index.stride) if isinstance(index, Ramp) else index.lanes


class _Limited:
    def __init__(self, limits: list[Limit], loads: Counter[Array], cores: int) -> None:
        self.limits, self.loads, self.cores = limits, loads, cores

    def body(self, body: Body, scope: Scope, done: frozenset[Limit]) -> Body:
        """The body with its loops ended. Around it are loops over the variables in `scope`, which
        have ended for the limits in `done`."""
        return tuple(
            self.loop(stmt, scope | {stmt.var}, done)
            if isinstance(stmt, For)
            else map_bodies(stmt, lambda inner: self.body(inner, scope, done))
            for stmt in body
        )

    def loop(self, loop: For, scope: Scope, done: frozenset[Limit]) -> For:
        """A loop without the iterations that write no needed element."""
        reach = self._reach_of_all(loop, scope, done) if isinstance(loop.extent, int) else None
        if reach is None:
            return replace(loop, body=self.body(loop.body, scope, done))
        weight = dict(linear(reach.index)[1]).get(loop.var, 0)
        rest = sub(reach.index, mul(loop.var, weight))
        is_serial = loop.kind == "serial"
        if is_serial and weight and loop.var not in variables(rest):
            inner = replace(loop, body=self.body(loop.body, scope, done | {reach.limit}))
            most = sub(add(reach.end, weight - 1 - reach.start), rest)
            return replace(inner, extent=minimum(floordiv(most, weight), loop.var.extent))
        # a thread's own loops may end, too
        ended = done | {reach.limit} if is_serial else done
        inside = self.body(loop.body, scope, ended)
        return self._spread(replace(loop, body=(If(reach.is_needed(), inside),)))

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

    def _reach_of_all(self, loop: For, scope: Scope, done: frozenset[Limit]) -> _Reach | None:
        """The least reach of the statements in a loop; None where one of them is needed in every
        iteration, or where their indices differ by more than a constant."""
        inside = _loads(loop.body)
        found: list[_Reach] = []
        for stmt in statements(loop.body):
            if not isinstance(stmt, (Store, Accumulate)):
                continue
            if stmt.array.scope != "global" and inside[stmt.array] == self.loads[stmt.array]:
                continue  # nothing outside reads it
            reach = self._reach(stmt, loop.var, scope, done)
            if reach is None:
                return None
            found.append(reach)
        if len({(reach.end, reach.index) for reach in found}) != 1:
            return None
        return min(found, key=lambda reach: reach.start)

    def _reach(
        self, stmt: Store | Accumulate, var: Var, scope: Scope, done: frozenset[Limit]
    ) -> _Reach | None:
        """The reach of a statement along a limited axis that the loop over var walks along; None
        without one."""
        for limit in self.limits:
            if limit.array is stmt.array and limit not in done:
                for each in _ways(limit):
                    reach = _reach_along(each, stmt, var, scope)
                    if reach is not None:
                        return replace(reach, limit=limit)
        return None


def _ways(limit: Limit) -> Iterator[Limit]:
    """A limit; and one of an outermost axis as a limit of elements, for loops over several axes.

    out along 8 * 64 below n   ->   out along 512 * 1 below n*64
    """
    yield limit
    if limit.step > 1 and limit.step * limit.size == limit.array.size:
        yield Limit(limit.array, 1, limit.array.size, mul(limit.end, limit.step))


def _reach_along(limit: Limit, stmt: Store | Accumulate, var: Var, scope: Scope) -> _Reach | None:
    """The reach of a statement along the axis of a limit, if the loop over var walks along it."""
    index = stmt.index.base if isinstance(stmt.index, Ramp) else stmt.index
    constant, terms = linear(index)
    if constant < 0 or any(n < 0 for _, n in terms):
        return None
    width = 1 if stmt.guard is not None else max(_width(stmt), stmt.value.lanes)
    step, span = limit.step, limit.step * limit.size
    small = sum(bounds(term)[1] * n for term, n in terms if n < step)
    if step > 1 and constant % step + small + width > step:
        return None  # it may reach the next index along the axis
    own = [(term, n) for term, n in terms if n >= step and n % span]
    if any(n % step or n > span for _, n in own):
        return None
    every = [mul(term, n // step) for term, n in own]
    known = [term for term in every if variables(term) <= scope]
    total, start = add(*known), constant % span // step
    if not any(var in variables(term) for term in known):
        return None
    last = bounds(add(*every))[1] + start + (width - 1 if step == 1 else 0)
    if last >= limit.size:  # it walks other axes, too
        aligned = [constant, span, *(n for _, n in terms)]
        reaches_on = step == 1 and any(n % width for n in aligned)  # into another block
        if len(known) < len(own) or reaches_on:
            return None
        total = mod(add(total, start), limit.size)
        start = linear(total)[0]  # of the same tile, where tiles reach into no other block
        total = sub(total, start)
    return _Reach(limit, limit.end, total, start)

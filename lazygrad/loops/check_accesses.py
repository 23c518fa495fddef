"""Test each access of a function against the size of its array, for tests of the compiler.

    out0[i] = in0[in1[i]]
    ->  if !(0 <= in1[i] < 8):  report[0] = (1, in1[i])
        out0[i] = in0[in1[i]] if 0 <= in1[i] < 8

An access that lies outside is left out. Its number and index are written to `report`, an output
that `with_report` adds: one element, so that a thread writes both at once; the last writer stays.
"""

from __future__ import annotations

from dataclasses import replace

from ..dtypes import int32, int64
from ..expr import Array, Cast, Expr, Literal, Load, Op, Ramp, ReduceLanes, rewrite
from .ir import Accumulate, Alloc, Body, For, Function, If, Let, Stmt, Store
from .ir.rebuild import change_expressions, map_bodies

REPORT = Array("report", int64, 1)  # 0, or the number of an access outside and its index
_HALF = 1 << 32  # the number is in the upper half
_SHARED = ("parallel", "workgroup", "workitem")


def with_report(function: Function) -> Function:
    """The function with the report as its last output."""
    n = function.outputs
    arguments = (*function.arguments[:n], REPORT, *function.arguments[n:])
    return replace(function, arguments=arguments, outputs=n + 1)


def described(function: Function, report: int) -> str:
    """The access outside of its array that a report, which is not 0, stands for, in words."""
    number, index = divmod(report, _HALF)
    (text,) = (r for r in function.reasons if r.startswith(f"access {number}: "))
    return f"{text.partition(': ')[2]}; {index + int(int32.min)} is outside"


def check_accesses(function: Function) -> Function:
    """Test each access of a function. Its reasons list the accesses by their numbers.

    Requires: loops as code generators take them, and a report among the outputs. Ensures: no memory
    outside of an array is touched. Accesses whose places are constants are tested here, once.
    """
    checker = _Checker()
    body = checker.body(function.body)
    return replace(function, body=body, reasons=(*function.reasons, *checker.accesses))


class _Checker:
    """The accesses found so far, and the tests that stand before the next statement."""

    def __init__(self) -> None:
        self.accesses: list[str] = []
        self.tests: list[Stmt] = []

    def body(self, body: Body) -> Body:
        """The statements with their tests. Tests before a loop over threads or items move into it:
        only definitions may stand around such a loop."""
        done: list[Stmt] = []
        for n, stmt in enumerate(body):
            if isinstance(stmt, For) and stmt.kind in _SHARED and not isinstance(stmt.extent, Expr):
                done.append(replace(stmt, body=self.body(stmt.body)))
                continue
            new = self.statement(stmt)
            waits = isinstance(stmt, Let | Alloc) and any(
                isinstance(s, For) and s.kind in _SHARED for s in body[n:]
            )
            if not waits:
                done += self.tests
                self.tests = []
            done.append(new)
        return tuple(done)

    def statement(self, stmt: Stmt) -> Stmt:
        stmt = change_expressions(stmt, self.expression)
        if isinstance(stmt, (Store, Accumulate)):
            lanes = max(stmt.index.lanes, stmt.value.lanes)
            guard = self.inside(stmt.array, stmt.index, lanes, stmt.guard, "written")
            return replace(stmt, guard=guard)
        return map_bodies(stmt, self.inner)

    def inner(self, body: Body) -> Body:
        """The body of a statement, with its own tests inside."""
        own, self.tests = self.tests, []
        result = self.body(body)
        self.tests = own
        return result

    def expression(self, e: Expr) -> Expr:
        """The expression with its loads guarded; their tests are noted."""

        def change(x: Expr) -> Expr | None:
            if not isinstance(x, Load):
                return None
            return Load(x.array, x.index, self.inside(x.array, x.index, x.lanes, x.guard, "read"))

        return rewrite(e, change)

    def inside(
        self, array: Array, index: Expr, lanes: int, guard: Expr | None, what: str
    ) -> Expr | None:
        """The guard of an access, and that its index is inside; notes the test of that index.

        With several lanes, a scalar index reads one element, and writes consecutive ones.
        """
        apart = 0 if what == "read" else 1
        start, stride = (index.base, index.stride) if isinstance(index, Ramp) else (index, apart)
        reach = stride * (lanes - 1)
        if isinstance(start, Literal) and (isinstance(index, Ramp) or index.lanes == 1):
            ends = int(start.value), int(start.value) + reach
            if 0 <= min(ends) and max(ends) < array.size:
                return guard
        number = len(self.accesses) + 1
        self.accesses.append(
            f"access {number}: {array.name}[{index}] is {what}, of {array.size} elements"
        )
        places = Ramp(index, apart, lanes) if index.lanes == 1 < lanes else index
        is_inside = Op("and", (_less(Literal(-1), places), _less(places, Literal(array.size))))
        outside: Expr = Op("not", (is_inside,))
        if guard is not None:
            outside = Op("and", (guard, outside))
        worst = Op("where", (outside, places, Literal(-(1 << 31))))
        self.tests.append(_test(number, _any(outside), _largest(worst)))
        return is_inside if guard is None else Op("and", (guard, is_inside))


def _less(x: Expr, y: Expr) -> Expr:
    """x < y, not simplified by bounds: whether these are true is what is tested."""
    return Op("lt", (x, y))


def _any(condition: Expr) -> Expr:
    if condition.lanes == 1:
        return condition
    return _less(Literal(0, int32), ReduceLanes("max", Cast(condition, int32)))


def _largest(index: Expr) -> Expr:
    return index if index.lanes == 1 else ReduceLanes("max", index)


def _test(number: int, condition: Expr, index: Expr) -> If:
    """If the condition holds, report the access and its index, clipped to an int32."""
    limits = Literal(int(int32.min)), Literal(int(int32.max))
    clipped = Op("min", (Op("max", (index, limits[0])), limits[1]))
    report = Op("add", (clipped, Literal(number * _HALF - int(int32.min))))
    return If(condition, (Store(REPORT, Literal(0), report),))

"""Prefetch the next row while the current one is computed.

    serial i in 4096:
        serial k in 64: m max= x[i*1024 + k*16 :16]
        serial k in 64: y[k*16 :16] = exp(x[i*1024 + k*16 :16] - m)
    ->
    serial i in 4096:
        serial k in 64: m max= x[i*1024 + k*16 :16]
        serial k in 64: y[k*16 :16] = exp(x[i*1024 + k*16 :16] - m)
                        prefetch x[(i + 1)*1024 + k*16]

A processor prefetches by itself only within a page, and while it computes exponentials of a row in
the cache, memory is idle. What a row writes is prefetched too: a cache line is read before a part
of it is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ...expr import Array, Expr, Ramp, Var
from ...index import add, mul, substitute
from ...targets import LINE, PREFETCHED_BYTES, PREFETCHED_SHARE, Machine
from ..ir import Accumulate, Body, For, Let, Prefetch, Stmt, Store
from ..ir.rebuild import accesses, operations, stride


@dataclass(frozen=True)
class _Stretch:
    """The consecutive elements of an array that one row reads or writes, from `start` on."""

    array: Array
    start: Expr
    step: int  # elements from one row's to the next one's
    count: int

    @property
    def nbytes(self) -> int:
        return self.count * self.array.dtype.itemsize


def prefetch(body: Body, machine: Machine) -> Body:
    """The body with prefetches in loops over rows that go through each row several times.

    Ensures: the same statements otherwise. Rows that do not fit in L2 get no prefetches, nor do
    rows of a matrix that fits in L2 as a whole.
    """
    return tuple(_in_statement(stmt, machine) for stmt in body)


def _in_statement(stmt: Stmt, machine: Machine) -> Stmt:
    if not isinstance(stmt, For):
        return stmt
    passes = [s for s in stmt.body if isinstance(s, For) and _is_pass(s)]
    if len(passes) < 2:
        return replace(stmt, body=prefetch(stmt.body, machine))
    stretches = _stretches(stmt.var, passes)
    nbytes = sum(s.nbytes for s in stretches)
    if nbytes > machine.l2_bytes * PREFETCHED_SHARE or nbytes * stmt.var.extent <= machine.l2_bytes:
        return stmt
    busiest = max(passes, key=_work)
    asks = tuple(p for s in stretches for p in _ask(s, busiest))
    busy = replace(busiest, body=(*busiest.body, *asks))
    return replace(stmt, body=tuple(busy if s is busiest else s for s in stmt.body))


def _is_pass(loop: For) -> bool:
    """Whether a loop goes through a row once: a constant extent, no loops inside."""
    return isinstance(loop.extent, int) and not any(isinstance(s, For) for s in loop.body)


def _work(loop: For) -> int:
    """Operations on values of all iterations."""
    assert isinstance(loop.extent, int)
    values = [s.value for s in loop.body if isinstance(s, (Let, Store, Accumulate))]
    return loop.extent * sum(operations(e) * e.lanes for e in values)


def _stretches(row: Var, passes: list[For]) -> list[_Stretch]:
    """The stretches that a row accesses in global arrays; of each array the longest."""
    found: dict[Array, _Stretch] = {}
    for loop in passes:
        for array, index, lanes in _places(loop.body):
            step, inner = stride(index, row), stride(index, loop.var)
            if array.scope != "global" or not step or inner != lanes:
                continue
            assert isinstance(loop.extent, int)
            start = substitute(index, {loop.var: add(0)})
            stretch = _Stretch(array, start, step, loop.extent * lanes)
            if array not in found or stretch.count > found[array].count:
                found[array] = stretch
    return [stretch for stretch in found.values() if stretch.nbytes >= PREFETCHED_BYTES]


def _places(body: Body) -> Iterator[tuple[Array, Expr, int]]:
    """The contiguous accesses of straight code: array, index of the first element, count."""
    for stmt in body:
        for array, index in accesses(stmt):
            if isinstance(index, Ramp):
                if index.stride == 1:
                    yield array, index.base, index.lanes
            else:
                yield array, index, 1


def _ask(stretch: _Stretch, loop: For) -> Iterator[Prefetch]:
    """The prefetches of one iteration: its share of the next row, one for each cache line."""
    assert isinstance(loop.extent, int)
    share = -(-stretch.count // loop.extent)
    line = LINE // stretch.array.dtype.itemsize
    for offset in range(0, share, line):
        place = add(stretch.start, stretch.step + offset, mul(loop.var, share))
        yield Prefetch(stretch.array, place)

"""Combine two interleaved strided stores into two contiguous vector stores.

    out[ramp(i, 2, 4)] = x                x0 = x;  x1 = y
    out[ramp(i + 1, 2, 4)] = y    ->      out[ramp(i, 1, 4)] = zip of the lower halves
                                          out[ramp(i + 4, 1, 4)] = zip of the upper halves

Eight elements, each stored by itself, become two stores and two shuffles.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...expr import Array, Expr, Local, Ramp, Zip
from ...index import add, linear
from ..ir import Accumulate, Alloc, Body, Let, Stmt, Store
from ..ir.rebuild import Names, loads, map_runs, names_in, reads

Family = tuple[Array, int, bool, tuple[tuple[Expr, int], ...]]  # stores that differ by a constant


def interleave(body: Body) -> Body:
    """Combine every pair of stores of stride 2 that fill each other's gaps.

    Requires: no vector or unroll loop is left. Ensures: the same values.
    """
    names = names_in(body, Local)
    return map_runs(body, (Store, Accumulate, Let, Alloc), lambda run: _joined(run, names))


def _joined(stmts: list[Stmt], names: Names) -> list[Stmt]:
    """A sequence of statements; two stores of a pair become contiguous at the second's place."""
    pairs = _pairs(stmts)
    firsts = {first for first, _ in pairs.values()}
    values: dict[int, tuple[Store, Local]] = {}
    result: list[Stmt] = []
    for n, stmt in enumerate(stmts):
        if not isinstance(stmt, Store) or (n not in pairs and n not in firsts):
            result.append(stmt)
            continue
        value = Local(names.new("part"), stmt.value.dtype, stmt.value.lanes)
        values[n] = stmt, value
        result.append(Let(value, stmt.value))
        if n in pairs:
            first, is_lower = pairs[n]
            both = values[first], values[n]
            result += _zipped(*(both if is_lower else reversed(both)))
    return result


def _zipped(lower: tuple[Store, Local], upper: tuple[Store, Local]) -> Iterator[Stmt]:
    """The two contiguous stores for a pair, given each store with its value."""
    (store, x), (other, y) = lower, upper
    assert isinstance(store.index, Ramp)
    n = x.lanes
    for half in (False, True):
        index = Ramp(add(store.index.base, n * half), 1, n)
        guard = None
        if store.guard is not None and other.guard is not None:
            guard = Zip(store.guard, other.guard, 1, n, half)
        yield Store(store.array, index, Zip(x, y, 1, n, half), guard)


def _pairs(stmts: list[Stmt]) -> dict[int, tuple[int, bool]]:
    """The pairs: the second store's number -> the first store's number, and whether the first
    store has the lower address."""
    pairs: dict[int, tuple[int, bool]] = {}
    waiting: dict[Family, tuple[int, int]] = {}
    for n, stmt in enumerate(stmts):
        family, start = _family(stmt)
        touched = {load.array for load in reads(stmt)}
        waiting = {f: w for f, w in waiting.items() if f[0] not in touched}
        partner = None if family is None else waiting.get(family)
        if isinstance(stmt, (Store, Accumulate)):  # earlier stores must stay before it
            waiting = {f: w for f, w in waiting.items() if f[0] != stmt.array}
        if partner is not None and abs(partner[1] - start) == 1:
            pairs[n] = partner[0], partner[1] < start
        elif family is not None:
            waiting[family] = n, start
    return pairs


def _family(stmt: Stmt) -> tuple[Family | None, int]:
    """What the two stores of a pair have in common, and the constant by which this one differs;
    None for a statement that cannot be in a pair."""
    if not isinstance(stmt, Store) or stmt.array.scope == "register":
        return None, 0
    index, guard = stmt.index, stmt.guard
    if not isinstance(index, Ramp) or index.stride != 2 or index.lanes != stmt.value.lanes:
        return None, 0
    asked = [x for e in (index, guard) if e is not None for x in loads(e)]
    lanes = index.lanes
    if asked:
        return None, 0  # it is evaluated later than it stands
    if lanes & (lanes - 1) or (guard is not None and guard.lanes != lanes):
        return None, 0
    if stmt.array.dtype.is_float and stmt.array.dtype.itemsize == 2:
        return None, 0  # as in transpose.py
    start, terms = linear(index.base)
    return (stmt.array, lanes, guard is None, terms), start

"""Find the barriers that order accesses to global memory, besides those to local memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...expr import Array
from ...loops.ir import Accumulate, Barrier, Body, For, Stmt, Store, bodies
from .items import arrays_of

Placed = list[tuple[Stmt, int | None]]
"""Statements in the order of the text, each with the position of the outermost serial loop around
it."""


def global_fences(body: Body) -> Iterator[bool]:
    """For each barrier, in the order of the text: whether it must order global memory, because an
    array that the body writes is used both before and after the barrier. An access in the serial
    loop around the barrier is both before and after it."""
    placed: Placed = []
    _place(body, None, placed)
    stmts = [stmt for stmt, _ in placed]
    written = {stmt.array for stmt in stmts if isinstance(stmt, Store | Accumulate)}
    ends = {loop: place for place, (_, loop) in enumerate(placed)}
    for place, (stmt, loop) in enumerate(placed):
        if isinstance(stmt, Barrier):
            first, last = (place, place) if loop is None else (loop, ends[loop])
            both = _used(stmts[: last + 1]) & _used(stmts[first:])
            yield any(array.scope == "global" for array in both & written)


def _place(body: Body, loop: int | None, placed: Placed) -> None:
    for stmt in body:
        placed.append((stmt, loop))
        is_serial = isinstance(stmt, For) and stmt.kind not in ("workgroup", "workitem")
        inside = len(placed) - 1 if is_serial and loop is None else loop
        for inner in bodies(stmt):
            _place(inner, inside, placed)


def _used(stmts: Sequence[Stmt]) -> set[Array]:
    return {array for stmt in stmts for array in arrays_of(stmt)}

"""Find the barriers that order accesses to global memory, besides those to local memory."""

from __future__ import annotations

from collections.abc import Iterator

from ...expr import Array
from ...loops.ir import Accumulate, Barrier, Body, For, Store, bodies
from .items import arrays_of

Span = tuple[int, int]  # the loop steps in which something happens: positions first .. last


def global_fences(body: Body) -> Iterator[bool]:
    """For each barrier, in the order of the text: whether global memory is written before it and
    used after it, or used before and written after. In a loop with the barrier, an access is both
    before and after it."""
    barriers: list[Span] = []
    uses: dict[Array, list[tuple[int, bool]]] = {}  # position, whether it is a write
    _collect(body, 0, None, barriers, uses)
    for first, last in barriers:
        yield any(_crosses(found, first, last) for found in uses.values())


def _crosses(uses: list[tuple[int, bool]], first: int, last: int) -> bool:
    before = [writes for position, writes in uses if position <= last]
    after = [writes for position, writes in uses if position >= first]
    return bool(before and after) and any(before + after)


def _collect(
    body: Body,
    position: int,
    loop: Span | None,
    barriers: list[Span],
    uses: dict[Array, list[tuple[int, bool]]],
) -> int:
    """Add the body's barriers and uses, which begin at `position`. Returns the position after."""
    for stmt in body:
        position += 1
        if isinstance(stmt, Barrier):
            barriers.append(loop or (position, position))
            continue
        for array in arrays_of(stmt):
            if array.scope == "global":
                writes = isinstance(stmt, Store | Accumulate) and stmt.array == array
                uses.setdefault(array, []).append((position, writes))
        inside = loop
        if isinstance(stmt, For) and stmt.kind not in ("workgroup", "workitem") and loop is None:
            inside = (position, position + _length(stmt.body))
        for inner in bodies(stmt):
            position = _collect(inner, position, inside, barriers, uses)
    return position


def _length(body: Body) -> int:
    """How many positions a body takes."""
    return sum(1 + sum(_length(inner) for inner in bodies(stmt)) for stmt in body)

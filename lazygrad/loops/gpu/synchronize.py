"""Barriers between what work-items of a group write, and what others of them read.

workitem i: tile[i] = a[i]               workitem i: tile[i] = a[i]
workitem i: b[i] = tile[31 - i]    ->    barrier
                                         workitem i: b[i] = tile[31 - i]
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...expr import Array
from ..ir import Barrier, Body, For, Stmt
from ..ir.rebuild import body_loads, has_trait, map_bodies, written
from ..primitives import primitive


@dataclass(frozen=True)
class _Since:
    """The shared arrays that items have read and written since the last barrier."""

    read: frozenset[Array] = frozenset()
    written: frozenset[Array] = frozenset()

    def conflicts(self, stmt: Stmt) -> bool:
        """Whether a statement uses what others wrote, or writes what others may still read."""
        reads, writes = _reads(stmt), _writes(stmt)
        return bool(self.written & (reads | writes) or self.read & writes)

    def and_then(self, stmt: Stmt) -> _Since:
        return _Since(self.read | _reads(stmt), self.written | _writes(stmt))


@primitive
def synchronize(body: Body) -> Body:
    """Insert barriers wherever work-items of a group need them.

    Requires: every statement of an item stands in a workitem loop.
    """
    return tuple(
        map_bodies(stmt, synchronize)
        if not isinstance(stmt, For) or stmt.kind != "workgroup"
        else replace(stmt, body=synchronize(stmt.body))
        if has_trait(stmt.body, "workgroup")
        else replace(stmt, body=_in_group(stmt.body)[0])
        for stmt in body
    )


def _in_group(body: Body, since: _Since = _Since()) -> tuple[Body, _Since]:
    result: list[Stmt] = []
    for stmt in body:
        if isinstance(stmt, For) and stmt.kind == "serial" and has_trait(stmt.body, "workitem"):
            inside, after = _in_group(stmt.body, since)
            again, _ = _in_group(stmt.body, after)
            if stmt.var.extent > 1 and again != inside:
                inside, after = (*inside, Barrier()), _Since()
            result.append(replace(stmt, body=inside))
            since = after
            continue
        if since.conflicts(stmt):
            result.append(Barrier())
            since = _Since()
        result.append(stmt)
        since = since.and_then(stmt)
    return tuple(result), since


def _reads(stmt: Stmt) -> frozenset[Array]:
    return frozenset(x.array for x in body_loads((stmt,)) if x.array.scope != "register")


def _writes(stmt: Stmt) -> frozenset[Array]:
    return frozenset(array for array in written((stmt,)) if array.scope != "register")

"""Unroll and jam: `sink` moves a loop inward to single statements; accumulators on its way become
tiles."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ..expr import Array, Expr, Var
from ..index import all_of
from .ir import Accumulate, Alloc, Body, For, If, Stmt, Store, statements
from .ir.rebuild import (
    body_loads,
    change_expressions,
    has_trait,
    map_bodies,
    mentions,
    rewrite_body,
    variables,
    written,
)
from .mask import loads_under
from .primitives import at_loop, grown, primitive


@primitive
def sink(body: Body, var: str, kind: str) -> Body:
    """Unroll and jam: move a loop inward, through sequences and serial loops, to single statements,
    where it gets this kind. Arrays that are allocated on its way grow by its extent.

        serial i in 4:  acc[0] = 0;  serial k: acc[0] += a[i, k]    sink i unroll
        ->
        unroll i in 4: acc[i] = 0;  serial k: unroll i in 4: acc[i] += a[i, k]

    Into an If whose condition depends on the loop, only a vector loop goes, or any loop if the If
    holds serial loops: the condition then guards the statements.

    Statements that fill local memory with the same values in every iteration stay outside of the
    loop. A workitem loop stays around all others: it goes into a serial loop only where that holds
    such a fill.

        workitem i in 4:  serial k:  tile[0] = a[k];  x[i] += tile[0]    sink i workitem
        ->
        serial k:  tile[0] = a[k];  workitem i in 4: x[i] += tile[0]

    Requires: independent iterations, but for sums in registers from outside of the loop.
    """
    return at_loop(body, var, lambda loop: sunk(loop.body, loop.var, kind))


def sunk(body: Body, var: Var, kind: str) -> Body:
    """A body, in a loop over var, with that loop sunk."""
    shared = _shared(body, var)
    if kind == "workitem":
        return _by_items(body, var, shared)
    for stmt in body:
        if isinstance(stmt, Alloc) and stmt.array not in shared:
            _, body = grown(body, stmt.array, [var])
    result: list[Stmt] = []
    for stmt in body:
        match stmt:
            case Alloc():
                result.append(stmt)
            case _ if _only_fills(stmt, shared):
                result.append(stmt)
            case For() if _is_entered(stmt) and not _depends(stmt, var):
                result.append(replace(stmt, body=sunk(stmt.body, var, kind)))
            case If() if var not in variables(stmt.condition):
                result.append(map_bodies(stmt, partial(sunk, var=var, kind=kind)))
            case If(otherwise=()) if kind == "vector" or has_trait(stmt.body, "serial"):
                result += sunk(_guarded(stmt, var), var, kind)
            case _:
                result.append(For(var, var.extent, kind, (stmt,)))
    return tuple(result)


def _by_items(body: Body, var: Var, shared: set[Array]) -> Body:
    """The body with its statements in workitem loops, but for those that fill shared arrays."""
    result: list[Stmt] = []
    own: list[Stmt] = []

    def end() -> None:
        if own:
            result.append(For(var, var.extent, "workitem", tuple(own)))
            own.clear()

    for stmt in body:
        if isinstance(stmt, Alloc):
            result.append(stmt)
        elif _only_fills(stmt, shared):
            end()
            result.append(stmt)
        elif isinstance(stmt, For) and not written((stmt,)).isdisjoint(shared):
            end()
            result.append(replace(stmt, body=_by_items(stmt.body, var, shared)))
        else:
            own.append(stmt)
    end()
    return tuple(result)


def _shared(body: Body, var: Var) -> set[Array]:
    """The local arrays that a body fills from memory which it does not write, with the same values
    for every value of var."""
    changed = written(body)
    own = set[Array]()
    for stmt in statements(body):
        if isinstance(stmt, (Store, Accumulate)) and stmt.array.scope == "local":
            reads = {x.array for x in body_loads((stmt,))}
            if not reads or var in mentions(stmt) or not reads.isdisjoint(changed):
                own.add(stmt.array)
    return {array for array in changed if array.scope == "local"} - own


def _only_fills(stmt: Stmt, shared: set[Array]) -> bool:
    return bool(filled := written((stmt,))) and filled <= shared


def _is_entered(loop: For) -> bool:
    """Whether a sunk loop goes into this one: a serial loop, or an unroll loop that allocates."""
    if loop.kind == "unroll":
        return any(isinstance(s, Alloc) for s in statements(loop.body))
    return loop.kind == "serial"


def _depends(loop: For, var: Var) -> bool:
    return isinstance(loop.extent, Expr) and var in variables(loop.extent)


def _guarded(branch: If, var: Var) -> Body:
    """The body of an If, with the condition as a guard of its stores, and of its loads that depend
    on var. Registers that the body allocates may be stored to anyway."""
    condition = branch.condition
    made = {s.array for s in statements(branch.body) if isinstance(s, Alloc)}
    own = {array for array in made if array.scope == "register"}

    def guarded(stmt: Stmt) -> Body:
        stmt = change_expressions(stmt, lambda e: loads_under(e, condition, var))
        if isinstance(stmt, (Store, Accumulate)) and stmt.array not in own:
            stmt = replace(stmt, guard=all_of((stmt.guard, condition)))
        return (stmt,)

    return rewrite_body(branch.body, guarded)

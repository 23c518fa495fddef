"""What the items of a group share: where its local arrays are, and what its barriers make visible.

Local arrays are in local memory, or in a scratch buffer if that is too small.

An OpenCL CPU runs the loops of a CPU, whose packed panels are as large as caches, in groups of one
item. Its local memory is ordinary memory, only less of it; so panels that do not fit go to global
memory, each group to its own part of one buffer that the kernel gets as a last argument.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from ...errors import CompilerError
from ...expr import Array
from ...loops.ir import (
    Accumulate,
    Alloc,
    Barrier,
    Body,
    For,
    Function,
    Stmt,
    Store,
    bodies,
    statements,
)
from ...targets import Machine
from ..base import show_bytes
from .items import arrays_of, plan_launch

WORD = 4
ALIGNMENT = 64  # bytes; of buffers by the device, of other arrays by attribute


def local_arrays(function: Function) -> list[Array]:
    """The arrays that a group shares, in the order of their Allocs."""
    allocs = (stmt for stmt in statements(function.body) if isinstance(stmt, Alloc))
    return [stmt.array for stmt in allocs if stmt.array.scope == "local"]


def padded_bytes(array: Array, unit: int) -> int:
    """An array's bytes, in whole units; of a word at least, for atomics on smaller types."""
    return -(-max(array.size, 1) * array.dtype.itemsize // unit) * unit


def scratch_bytes(function: Function, machine: Machine) -> int:
    """The bytes of scratch that a group needs; 0 where local memory is enough.

    Raises CompilerError where it is not, and the group has several items.
    """
    arrays = local_arrays(function)
    size = sum(padded_bytes(array, WORD) for array in arrays)
    if size <= machine.local_bytes:
        return 0
    if plan_launch(function, machine.group_limit).grid.items > 1:
        raise CompilerError(
            f"opencl: {function.name}: its local arrays take {show_bytes(size)}, "
            f"a work-group has {show_bytes(machine.local_bytes)}"
        )
    return sum(padded_bytes(array, ALIGNMENT) for array in arrays)


def scratch_total(function: Function, machine: Machine) -> int:
    """The bytes of scratch that a launch of the function needs, for all its groups."""
    groups = math.prod(plan_launch(function, machine.group_limit).group_shape)
    return groups * scratch_bytes(function, machine)


# --------------------------------------------------------------------------- barriers

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

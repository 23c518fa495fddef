"""Place the local arrays of a group: in local memory, or in a scratch buffer if that is too small.

An OpenCL CPU runs the loops of a CPU, whose packed panels are as large as caches, in groups of one
item. Its local memory is ordinary memory, only less of it; so panels that do not fit go to global
memory, each group to its own part of one buffer that the kernel gets as a last argument.
"""

from __future__ import annotations

import math

from ...errors import CompilerError
from ...expr import Array
from ...loops.ir import Alloc, Function, statements
from ...targets import Machine
from ..base import show_bytes
from .items import plan_launch

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

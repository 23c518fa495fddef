"""How much of a kernel's outputs is defined, where their sizes vary (graph/sizes.py).

out0[i, j] = relu(within(sum(x * w), i < n))   ->   out0 is needed below n along axis 0
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...dtypes import int64
from ...expr import Array, Expr, Literal, Load
from ...graph.ir import Node, Within
from ...index import add, conjuncts, floordiv, less, strides, upper_limit
from ...schedule.access import MultiIndex
from ...schedule.ir import Blocked, Region, axis_variables
from ...schedule.limit_outputs import undefined_with
from ..ir import Limit
from ..ir.rebuild import variables
from . import Lowered
from .value import Values


def note_limits(made: Lowered) -> Lowered:
    """Add a limit for each axis of an output that is defined up to a size known at run time only.
    Outputs that are regions of a larger tensor get none.

    Requires: a lowered kernel, whose arguments are its outputs and inputs.
    """
    kernel = made.kernel
    counts = {x for x in kernel.inputs if x.shape == () and x.dtype == int64}
    if not counts or kernel.parts:
        return made
    arrays = dict(zip(made.nodes, made.arrays, strict=True))

    def read(node: Node, index: MultiIndex, guard: Expr | None) -> Expr | None:
        return Load(arrays[node], Literal(0), guard) if node in counts else None

    values = Values(read)
    found: list[Limit] = []
    for node in kernel.outputs:
        layout = kernel.layouts.get(node)
        if isinstance(layout, Region):
            continue
        axes = axis_variables(node.shape)
        conditions = [
            condition
            for x, at in undefined_with(node, axes, kernel.inputs)
            if isinstance(x, Within) and x not in kernel.inputs
            for condition in conjuncts(values.of(x.inside, at, ()))
        ]
        conditions += [
            less(axes[axis], values.of(size, tuple(Literal(0) for _ in size.shape), ()))
            for axis, size in kernel.limits.get(node, {}).items()
        ]
        for condition in conditions:
            for n, axis in enumerate(axes):
                end = upper_limit(condition, axis)
                if end is not None and not variables(end):
                    found.append(_limit(arrays[node], node.shape, n, end, layout))
    function = replace(made.function, limits=tuple(dict.fromkeys(found)))
    return replace(made, function=function)


def _limit(
    array: Array, shape: Sequence[int], axis: int, end: Expr, layout: Blocked | None
) -> Limit:
    """The limit along an axis, in row-major order or with the first axis in blocks. A limit of the
    first axis then counts blocks: those that begin before the end are needed."""
    if layout is None:
        return Limit(array, strides(shape)[axis], shape[axis], end)
    size = layout.size
    rows = (shape[0] // size, *shape[1:])
    blocks = floordiv(add(end, size - 1), size) if axis == 0 else end
    return Limit(array, strides(rows)[axis] * size, rows[axis], blocks)

"""How much of a kernel's outputs is defined, where their sizes vary (graph/sizes.py).

out0[i, j] = relu(within(sum(x * w), i < n))   ->   out0 is needed below n along axis 0
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...dtypes import int64
from ...expr import Array, Expr, Literal, Load, Op, Var, parts
from ...graph.ir import Node, Within
from ...index import (
    add,
    bounds,
    conjuncts,
    floordiv,
    less,
    mod,
    mul,
    strides,
    substitute,
    upper_limit,
)
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
    inputs = set(kernel.inputs)
    if not any(x.size == 1 and x.dtype == int64 for x in inputs):
        return made
    arrays = dict(zip(made.nodes, made.arrays, strict=True))

    def read(node: Node, index: MultiIndex, guard: Expr | None) -> Expr | None:
        if node not in inputs:
            return None
        # not what the input is computed of, elsewhere: kernels that differ in that are one
        places = zip(index, strides(node.shape), strict=True)
        return Load(arrays[node], add(*(mul(place, step) for place, step in places)), guard)

    values = Values(read)
    found: list[Limit | None] = []
    units = kernel.parts or (kernel,)
    for part, node in [(unit, node) for unit in units for node in unit.outputs if node in arrays]:
        layout = part.layouts.get(node)
        if isinstance(layout, Region):
            continue
        axes = axis_variables(node.shape)
        conditions = [
            condition
            for x, at in undefined_with(node, axes, part.inputs)
            if isinstance(x, Within) and x not in part.inputs
            for condition in conjuncts(values.of(x.inside, at, ()))
        ]
        conditions += [
            less(mod(axes[axis], block), values.of(size, tuple(Literal(0) for _ in size.shape), ()))
            for (axis, block), size in part.limits.get(node, {}).items()
        ]
        for condition in conditions:
            for n, axis in enumerate(axes):
                end, block = _end(condition, axis)
                if end is not None and not variables(end):
                    found.append(_limit(arrays[node], node.shape, n, end, block, layout))
    limits = dict.fromkeys(limit for limit in found if limit is not None)
    function = replace(made.function, limits=tuple(limits))
    return replace(made, function=function)


def _end(condition: Expr, axis: Var) -> tuple[Expr | None, int]:
    """The end where a condition says that a place along an axis, or in a block of it, is below it;
    and the elements of a block."""
    for x in parts(condition, mentioning=axis):
        if isinstance(x, Op) and x.op == "mod" and x.args[0] is axis:
            block = bounds(x)[1] + 1
            place = Var(f"{axis.name}_in_block", block)
            return upper_limit(substitute(condition, {x: place}), place), block
    return upper_limit(condition, axis), axis.extent


def _limit(
    array: Array, shape: Sequence[int], axis: int, end: Expr, block: int, layout: Blocked | None
) -> Limit | None:
    """The limit along an axis, or along each block of it, in row-major order or with the first axis
    in the layout's blocks. A limit of the first axis then counts those: the ones that begin before
    the end are needed. None for blocks in a layout of blocks."""
    if layout is None:
        return Limit(array, strides(shape)[axis], block, end)
    if block != shape[axis]:
        return None
    size = layout.size
    rows = (shape[0] // size, *shape[1:])
    blocks = floordiv(add(end, size - 1), size) if axis == 0 else end
    return Limit(array, strides(rows)[axis] * size, rows[axis], blocks)

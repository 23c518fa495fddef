"""Functions that make nodes, and leave out nodes that would do nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from .. import config
from ..dtypes import float32, is_low_precision
from ..origin import inherit
from .ir import (
    Cast,
    Const,
    Contiguous,
    Detach,
    Expand,
    Iota,
    Join,
    Less,
    Node,
    Pad,
    Permute,
    Reduce,
    Reshape,
    Shape,
    Slice,
    Where,
    topological,
)

FEW_PARTS = 8  # parts of a joined tensor: to select from no more costs less than to store them


def substitute(outputs: Sequence[Node], values: Mapping[Node, Node]) -> list[Node]:
    """The outputs, with the keys of `values` replaced by its values. Linear in the graph."""
    new = dict(values)
    for node in topological(outputs, lambda node: () if node in values else node.inputs):
        if node not in new:
            inputs = tuple([new[x] for x in node.inputs])
            new[node] = node if inputs == node.inputs else node.with_inputs(inputs)
        if config.ORIGINS:
            inherit(new[node], node)
    return [new[output] for output in outputs]


def bare(x: Node) -> Node:
    """x without the outer nodes that leave elements and their order as they are."""
    while isinstance(x, (Reshape, Contiguous, Detach)):
        x = x.x
    return x


def in_memory(x: Node) -> Node:
    """The node whose memory has x's elements, in their order, where x itself has none."""
    while isinstance(x, Reshape):
        x = x.x
    return x


def full_like(x: Node, value: bool | int | float) -> Const:
    """`value` in x's shape and dtype."""
    return Const(value, x.dtype, x.shape)


def zeros_like(x: Node) -> Const:
    """0 in x's shape and dtype."""
    return Const(0, x.dtype, x.shape)


def in_float32(function: Callable[[Node], Node], x: Node) -> Node:
    """function(x); for 16-bit floats computed in float32, and rounded once."""
    return Cast(function(Cast(x, float32)), x.dtype) if is_low_precision(x.dtype) else function(x)


def reshape(x: Node, shape: Sequence[int]) -> Node:
    """x's elements, in row-major order, in another shape."""
    shape = tuple(shape)
    return x if shape == x.shape else Reshape(x, shape)


def permute(x: Node, order: Sequence[int]) -> Node:
    """out.shape[i] = x.shape[order[i]]."""
    order = tuple(order)
    return x if order == tuple(range(len(order))) else Permute(x, order)


def move_axis(x: Node, source: int, target: int) -> Node:
    """x with the axis `source` at the place `target`, the others in their order."""
    order = [axis for axis in range(len(x.shape)) if axis != source]
    order.insert(target, source)
    return permute(x, order)


def expand(x: Node, shape: Sequence[int]) -> Node:
    """x with its axes of size 1 repeated to `shape`, of the same rank."""
    shape = tuple(shape)
    return x if shape == x.shape else Expand(x, shape)


def broadcast_to(x: Node, shape: Sequence[int]) -> Node:
    """x with new leading axes, and axes of size 1 repeated, so that it has `shape`."""
    return expand(reshape(x, (1,) * (len(shape) - len(x.shape)) + x.shape), shape)


def pad(x: Node, padding: Sequence[tuple[int, int]], value: bool | int | float = 0) -> Node:
    """`padding[axis]` elements of `value` before and after x."""
    return Pad(x, tuple(padding), value) if any(map(any, padding)) else x


def slice_axis(x: Node, axis: int, start: int, size: int, step: int = 1) -> Node:
    """`size` elements of one axis, from `start` on, `step` apart; the others whole."""
    if (start, size, step) == (0, x.shape[axis], 1):
        return x
    rank = len(x.shape)
    starts, sizes, steps = [0] * rank, list(x.shape), [1] * rank
    starts[axis], sizes[axis], steps[axis] = start, size, step
    return Slice(x, tuple(starts), tuple(sizes), tuple(steps))


def row(x: Node, n: int) -> Node:
    """x[n]."""
    return reshape(slice_axis(x, 0, n, 1), x.shape[1:])


def flip_axis(x: Node, axis: int) -> Node:
    """x read backwards along an axis."""
    n = x.shape[axis]
    return slice_axis(x, axis, n - 1, n, -1) if n > 1 else x


def pad_axis(x: Node, axis: int, before: int, after: int, value: bool | int | float = 0) -> Node:
    """`value` added before and after one axis."""
    padding = [(0, 0)] * len(x.shape)
    padding[axis] = (before, after)
    return pad(x, padding, value)


def resize_axis(x: Node, axis: int, size: int) -> Node:
    """x with one axis cut, or padded with zeros, at its end, to `size`."""
    if x.shape[axis] >= size:
        return slice_axis(x, axis, 0, size)
    return pad_axis(x, axis, 0, size - x.shape[axis])


def walk(shape: Shape, axis: int) -> Node:
    """The index of each element of a shape along an axis, int64."""
    one = [n if i == axis else 1 for i, n in enumerate(shape)]
    return expand(reshape(Iota(shape[axis]), one), shape)


def joined(parts: Sequence[Node], axis: int) -> Node:
    """The parts side by side along an axis. Of few parts, each reader selects by position; more
    parts are written to memory."""
    return selected(parts, axis) if len(parts) <= FEW_PARTS else Join(tuple(parts), axis)


def selected(parts: Sequence[Node], axis: int) -> Node:
    """The parts side by side along an axis: a balanced tree of selections by position."""
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    left, right = selected(parts[:half], axis), selected(parts[half:], axis)
    n, size = left.shape[axis], left.shape[axis] + right.shape[axis]
    position = Iota(size)
    less = Less(position, Const(n, position.dtype, position.shape))
    first = reshape(less, [size if i == axis else 1 for i in range(len(left.shape))])
    padded_left, padded_right = pad_axis(left, axis, 0, size - n), pad_axis(right, axis, n, 0)
    return Where(expand(first, padded_left.shape), padded_left, padded_right)


def reshape_axes(x: Node, first: int, count: int, sizes: Sequence[int]) -> Node:
    """`count` neighbouring axes, from `first` on, reshaped to `sizes`."""
    return reshape(x, (*x.shape[:first], *sizes, *x.shape[first + count :]))


def spread_axis(x: Node, axis: int, step: int) -> Node:
    """x's elements `step` apart along an axis, with zeros between: size (n - 1) * step + 1."""
    n = x.shape[axis]
    if step == 1 or n == 0:
        return x
    apart = reshape_axes(x, axis, 1, (n, 1))
    apart = reshape_axes(pad_axis(apart, axis + 1, 0, step - 1), axis, 2, (n * step,))
    return slice_axis(apart, axis, 0, (n - 1) * step + 1)


def reduce(x: Node, op: str, axes: Sequence[int]) -> Node:
    """The axes combined with op and removed."""
    return Reduce(x, op, tuple(sorted(axes))) if axes else x


def sum_to(x: Node, shape: Shape) -> Node:
    """The adjoint of broadcast_to: x summed over the axes along which `shape` was repeated."""
    extra = len(x.shape) - len(shape)
    padded = (1,) * extra + shape
    axes = [axis for axis, (n, m) in enumerate(zip(x.shape, padded, strict=True)) if n != m]
    return reshape(reduce(x, "sum", axes), shape)


def unreduce(x: Node, shape: Shape, axes: Sequence[int]) -> Node:
    """The adjoint of a sum over `axes` of `shape`: x repeated along them."""
    kept = [1 if axis in axes else n for axis, n in enumerate(shape)]
    return expand(reshape(x, kept), shape)


def same_axis(old: Shape, new: Shape, axis: int) -> int | None:
    """The axis of `old` that a reshape to `new` leaves whole as `axis` of new; None if it splits or
    merges axes there."""
    before, product = math.prod(new[:axis]), 1
    for place, n in enumerate(old):
        if product == before and n == new[axis]:
            return place
        product *= n
    return None


AxisGroup = tuple[tuple[int, ...], tuple[int, ...]]


def reshape_groups(old: Shape, new: Shape) -> list[AxisGroup] | None:
    """The smallest groups of axes that a reshape splits or merges: pairs of axes of old and of new.

    Axes of size 1 belong to no group. None for shapes without elements: their axes do not
    correspond in a unique way.

        (6, 1, 4, 5) -> (2, 3, 20):   [((0,), (0, 1)), ((2, 3), (2,))]
    """
    if math.prod(old) == 0:
        return None
    olds = [axis for axis, n in enumerate(old) if n != 1]
    news = [axis for axis, n in enumerate(new) if n != 1]
    groups: list[AxisGroup] = []
    i = j = 0
    while i < len(olds):
        first_old, first_new = i, j
        old_size, new_size = old[olds[i]], new[news[j]]
        i, j = i + 1, j + 1
        while old_size != new_size:
            if old_size < new_size:
                old_size *= old[olds[i]]
                i += 1
            else:
                new_size *= new[news[j]]
                j += 1
        groups.append((tuple(olds[first_old:i]), tuple(news[first_new:j])))
    return groups

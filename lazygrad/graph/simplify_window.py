"""Rules for sliding windows. Windows that do not overlap are only movement; a strided Fold becomes
a Fold of stride 1.
"""

from __future__ import annotations

from ..rewrite import Rules
from . import build
from .ir import Fold, Node, Pad, Reshape, Slice, Window
from .simplify_elementwise import is_positive_zero

RULES = Rules[Node]()
rule = RULES.rule


# --------------------------------------------------------------------------- Window


@rule(Window)
def window_once(node: Window) -> Node | None:
    """window(x)  ->  reshape(slice(x)), where only one window fits"""
    if node.shape[node.axis] != 1:
        return None
    only = build.slice_axis(node.x, node.axis, 0, node.size_, node.dilation)
    return build.reshape(build.move_axis(only, node.axis, len(only.shape) - 1), node.shape)


@rule(Window)
def window_of_one(node: Window) -> Node | None:
    """window(x, size=1)  ->  reshape(slice(x))"""
    if node.size_ != 1:
        return None
    places = build.slice_axis(node.x, node.axis, 0, node.shape[node.axis], node.stride)
    return build.reshape(places, node.shape)


@rule(Window)
def window_side_by_side(node: Window) -> Node | None:
    """window(x, size=n, stride=n)  ->  permute(reshape(slice(x)))"""
    axis, n = node.axis, node.size_
    if node.stride != n or node.dilation != 1:
        return None
    count = node.shape[axis]
    whole = build.slice_axis(node.x, axis, 0, count * n)
    split = build.reshape_axes(whole, axis, 1, (count, n))
    return build.move_axis(split, axis + 1, len(split.shape) - 1)


# --------------------------------------------------------------------------- Fold


@rule(Fold)
def fold_apart(node: Fold) -> Node | None:
    """fold(x)  ->  reshape(pad(x)), where windows do not overlap, or where all windows fit between
    two neighbouring positions of one window
    """
    axis, last = node.axis, len(node.x.shape) - 1
    count, window = node.x.shape[axis], node.x.shape[last]
    if node.stride > (window - 1) * node.dilation:
        x = build.spread_axis(node.x, last, node.dilation)
        x = build.resize_axis(x, last, node.stride)
        x = build.move_axis(x, last, axis + 1)
        step = node.stride
    elif node.dilation > (count - 1) * node.stride:
        x = build.spread_axis(node.x, axis, node.stride)
        x = build.resize_axis(x, axis, node.dilation)
        x = build.move_axis(x, last, axis)
        count, step = window, node.dilation
    else:
        return None
    return build.resize_axis(build.reshape_axes(x, axis, 2, (count * step,)), axis, node.size_)


@rule(Fold, of=Reshape)
def fold_below_reshape(node: Fold, inner: Reshape) -> Node | None:
    """fold(reshape(x))  ->  reshape(fold(x)), where the folded axes stay as they are"""
    x, last = inner.x, len(inner.shape) - 1
    axis, window = (build.same_axis(x.shape, inner.shape, a) for a in (node.axis, last))
    if axis is None or axis == window or window != len(x.shape) - 1:
        return None
    folded = Fold(x, axis, node.size_, node.stride, node.dilation)
    return build.reshape(folded, node.shape)


@rule(Fold, of=Pad)
def fold_below_pad(node: Fold, inner: Pad) -> Node | None:
    """fold(pad(x, 0))  ->  pad(fold(x), 0), where other axes are padded"""
    *padding, window = inner.padding
    if padding[node.axis] != (0, 0) or window != (0, 0) or not is_positive_zero(inner.value):
        return None
    folded = Fold(inner.x, node.axis, node.size_, node.stride, node.dilation)
    return Pad(folded, tuple(padding), inner.value)


@rule(Fold, of=Slice)
def fold_below_slice(node: Fold, inner: Slice) -> Node | None:
    """fold(slice(x))  ->  slice(fold(x)), where other axes are sliced, and at least half is kept"""
    x, axis = inner.x, node.axis
    if 2 * inner.size < x.size:
        return None
    if any(x.shape[a] != inner.shape[a] or inner.steps[a] != 1 for a in (axis, -1)):
        return None
    starts, sizes, steps = (list(part[:-1]) for part in (inner.starts, inner.sizes, inner.steps))
    sizes[axis] = node.size_
    folded = Fold(x, axis, node.size_, node.stride, node.dilation)
    return Slice(folded, tuple(starts), tuple(sizes), tuple(steps))


@rule(Fold)
def fold_strided(node: Fold) -> Node | None:
    """fold(x, stride=s)  ->  reshape(fold(x split into s, stride=1))

    Write the position in a window as k = q*s + r. Element j*s + r of the result sums windows
    o = j - q only: for each r it is a Fold over q of stride 1. No sum has terms that are always
    zero.
    """
    axis, last, s = node.axis, len(node.x.shape) - 1, node.stride
    if s == 1 or node.dilation != 1:
        return None
    quotients = -(-node.x.shape[last] // s)
    x = build.resize_axis(node.x, last, quotients * s)
    x = build.move_axis(build.reshape_axes(x, last, 1, (quotients, s)), last, last + 1)
    size = node.x.shape[axis] + quotients - 1
    x = build.move_axis(Fold(x, axis, size), last, axis + 1)  # ..., j, r, ...
    return build.resize_axis(build.reshape_axes(x, axis, 2, (size * s,)), axis, node.size_)

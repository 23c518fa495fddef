"""Rules for movement: a chain of movement nodes becomes one node, or none.

The kinds of movement are put into one order. From the leaf upwards: Slice, Pad, Permute, a Reshape
that only adds or drops axes of size 1, Expand. So equal views are equal nodes, and two nodes of a
kind become neighbours, which merge.
"""

from __future__ import annotations

from ..rewrite import Rules
from . import build, ir
from .ir import (
    Const,
    Contiguous,
    Copy,
    Expand,
    Iota,
    Node,
    Pad,
    Permute,
    Reshape,
    Slice,
    Sort,
    Window,
)

RULES = Rules[Node]()
FEW = 16  # finding the first 1 / FEW of the elements costs less than sorting them all
rule = RULES.rule


# --------------------------------------------------------------------------- leaves and placement


@rule(Reshape, Permute, Expand, Slice, Window)
def move_a_constant(node: ir.Movement) -> Node | None:
    """a view of a constant  ->  the constant in the view's shape"""
    match node.x:
        case Const(value, dtype):
            return Const(value, dtype, node.shape)
    return None


@rule(Pad)
def pad_a_constant(node: Pad) -> Node | None:
    """a constant padded with v  ->  v, where that is the constant"""
    filling = Const(node.value, node.dtype, node.shape)
    match node.x:
        case Const(value, dtype) if Const(value, dtype, node.shape) is filling:
            return filling
    return None


@rule(Iota)
def count_to_one(node: Iota) -> Node | None:
    """iota(1)  ->  0"""
    return Const(0, node.dtype, (1,)) if node.size == 1 else None


@rule(Copy)
def copy_to_the_same_device(node: Copy) -> Node | None:
    """copy(x, D)  ->  x, where x is on D"""
    return node.x if node.x.device == node.device else None


@rule(Contiguous)
def contiguous_twice(node: Contiguous) -> Node | None:
    """contiguous(contiguous(x))  ->  contiguous(x)"""
    return node.x if isinstance(node.x, Contiguous) else None


# --------------------------------------------------------------------------- Reshape


@rule(Reshape)
def reshape_reshape(node: Reshape) -> Node | None:
    """reshape(x, S)  ->  x, where x has S;   reshape(reshape(x), S)  ->  reshape(x, S)"""
    if node.x.shape == node.shape:
        return node.x
    return build.reshape(node.x.x, node.shape) if isinstance(node.x, Reshape) else None


@rule(Reshape)
def reshape_below_expand(node: Reshape) -> Node | None:
    """reshape(expand(x))  ->  expand(reshape(x)), where no axis mixes repeated and other ones"""
    if not isinstance(node.x, Expand):
        return None
    x, repeated = node.x.x, node.x.shape
    groups = build.reshape_groups(repeated, node.shape)
    if groups is None:
        return None
    shape = [1] * len(node.shape)
    for old, new in groups:
        before = [x.shape[axis] for axis in old]
        if before == [repeated[axis] for axis in old]:
            for axis in new:
                shape[axis] = node.shape[axis]
        elif any(n != 1 for n in before):
            return None
    return Expand(build.reshape(x, shape), node.shape)


def only_moves_ones(x: ir.Shape, y: ir.Shape) -> bool:
    """Whether two shapes differ in axes of size 1 only."""
    return [n for n in x if n != 1] == [n for n in y if n != 1]


# --------------------------------------------------------------------------- Permute


@rule(Permute)
def permute_permute(node: Permute) -> Node | None:
    """permute(permute(x))  ->  permute(x);   permute(x)  ->  x, where no axis moves"""
    if isinstance(node.x, Permute):
        return build.permute(node.x.x, [node.x.order[axis] for axis in node.order])
    return node.x if node.order == tuple(range(len(node.order))) else None


@rule(Permute)
def permute_ones(node: Permute) -> Node | None:
    """permute(x)  ->  reshape(x), where only axes of size 1 change places"""
    moved = [axis for axis in node.order if node.x.shape[axis] != 1]
    return build.reshape(node.x, node.shape) if moved == sorted(moved) else None


@rule(Permute)
def permute_below_reshape(node: Permute) -> Node | None:
    """permute(reshape(x))  ->  reshape(permute(x)), where the reshape only adds or drops ones"""
    if not isinstance(node.x, Reshape):
        return None
    x = node.x.x
    if not only_moves_ones(x.shape, node.x.shape):
        return None
    axes = [axis for axis, n in enumerate(x.shape) if n != 1]  # the axes of x of other sizes ...
    same = dict(zip((a for a, n in enumerate(node.x.shape) if n != 1), axes, strict=True))
    order = [same[axis] for axis in node.order if axis in same]  # ... in their new order
    ones = [axis for axis, n in enumerate(x.shape) if n == 1]
    return build.reshape(build.permute(x, (*order, *ones)), node.shape)


@rule(Permute)
def permute_below_expand(node: Permute) -> Node | None:
    """permute(expand(x))  ->  expand(permute(x))"""
    match node.x:
        case Expand(x):
            return Expand(Permute(x, node.order), node.shape)
    return None


# --------------------------------------------------------------------------- Expand


@rule(Expand)
def expand_expand(node: Expand) -> Node | None:
    """expand(expand(x), S)  ->  expand(x, S);   expand(x, S)  ->  x, where x has S"""
    if node.x.shape == node.shape:
        return node.x
    return Expand(node.x.x, node.shape) if isinstance(node.x, Expand) else None


# --------------------------------------------------------------------------- Pad


@rule(Pad)
def pad_pad(node: Pad) -> Node | None:
    """pad(pad(x, v), v)  ->  pad(x, v);   pad(x)  ->  x, where nothing is added"""
    if not any(map(any, node.padding)):
        return node.x
    inner, dtype = node.x, node.dtype
    if not isinstance(inner, Pad) or Const(inner.value, dtype) is not Const(node.value, dtype):
        return None
    both = zip(inner.padding, node.padding, strict=True)
    return Pad(inner.x, tuple((b + d, a + c) for (b, a), (d, c) in both), node.value)


@rule(Pad)
def pad_below_expand(node: Pad) -> Node | None:
    """pad(expand(x))  ->  expand(pad(x)), where no repeated axis is padded"""
    match node.x:
        case Expand(x) if all(
            n == m or not any(p)
            for n, m, p in zip(x.shape, node.x.shape, node.padding, strict=True)
        ):
            return Expand(Pad(x, node.padding, node.value), node.shape)
    return None


@rule(Pad)
def pad_below_permute(node: Pad) -> Node | None:
    """pad(permute(x))  ->  permute(pad(x))"""
    match node.x:
        case Permute(x, order):
            padding = [(0, 0)] * len(order)
            for axis, amount in zip(order, node.padding, strict=True):
                padding[axis] = amount
            return Permute(Pad(x, tuple(padding), node.value), order)
    return None


# --------------------------------------------------------------------------- Slice


@rule(Slice)
def slice_slice(node: Slice) -> Node | None:
    """slice(slice(x))  ->  slice(x);   slice(x)  ->  x, where all of it is taken"""
    inner = node.x
    if node.shape == inner.shape and set(node.steps) <= {1}:
        return inner
    if not isinstance(inner, Slice):
        return None
    starts, steps = [], []
    for first, by, start, step in zip(
        inner.starts, inner.steps, node.starts, node.steps, strict=True
    ):
        starts.append(first + start * by)
        steps.append(step * by)
    return Slice(inner.x, tuple(starts), node.sizes, tuple(steps))


@rule(Slice)
def slice_of_sort(node: Slice) -> Node | None:
    """slice(sort(x))  ->  sort(x, count), where the first few along the sorted axis are taken"""
    match node.x:
        case Sort(x, axis, descending, None):
            whole = slice_parts(node)
            start, size, step = whole[axis]
            if (start, step) != (0, 1) or size * FEW > x.shape[axis]:
                return None
            whole[axis] = (0, size, 1)
            few = Sort(x, axis, descending, size)
            return few if few.shape == node.shape else slice_by(few, whole)
    return None


@rule(Slice)
def slice_below_permute(node: Slice) -> Node | None:
    """slice(permute(x))  ->  permute(slice(x))"""
    match node.x:
        case Permute(x, order):
            parts = sorted(zip(order, slice_parts(node), strict=True))
            return Permute(slice_by(x, [part for _, part in parts]), order)
    return None


@rule(Slice)
def slice_below_expand(node: Slice) -> Node | None:
    """slice(expand(x))  ->  expand(slice(x))"""
    match node.x:
        case Expand(x):
            parts = zip(x.shape, slice_parts(node), strict=True)
            return Expand(slice_by(x, [(0, 1, 1) if n == 1 else p for n, p in parts]), node.shape)
    return None


@rule(Slice)
def slice_below_pad(node: Slice) -> Node | None:
    """slice(pad(x))  ->  pad(slice(x)), with no more padding than the slice reaches into"""
    if not isinstance(node.x, Pad):
        return None
    x, value = node.x.x, node.x.value
    parts: list[Part] = []
    padding: list[tuple[int, int]] = []
    for n, (before, _), (start, size, step) in zip(
        x.shape, node.x.padding, slice_parts(node), strict=True
    ):
        # The i with 0 <= start + i * step < n, of x: backwards they are counted from x's end.
        start -= before
        to_first, to_end = (-start, n - start) if step > 0 else (start - n + 1, start + 1)
        first = min(size, max(0, -(-to_first // abs(step))))
        count = min(size, max(0, -(-to_end // abs(step)))) - first
        if count <= 0:
            return Const(value, node.dtype, node.shape)
        parts.append((start + first * step, count, step))
        padding.append((first, size - first - count))
    return build.pad(slice_by(x, parts), padding, value)


Part = tuple[int, int, int]  # start, size and step of a slice along one axis


def slice_parts(node: Slice) -> list[Part]:
    """A slice, axis by axis."""
    return list(zip(node.starts, node.sizes, node.steps, strict=True))


def slice_by(x: Node, parts: list[Part]) -> Node:
    """The slice of x with these parts."""
    starts, sizes, steps = zip(*parts, strict=True)
    return Slice(x, starts, sizes, steps)

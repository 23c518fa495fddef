"""Rules for movement: a chain of movement nodes becomes one node, or none.

The rules bring the kinds of movement into one order. From the leaf upwards: Slice, Pad, Permute, a
Reshape that only adds or drops axes of size 1, Expand. So equal views become equal nodes, and two
nodes of one kind become neighbours, which merge.
"""

from __future__ import annotations

from bisect import bisect_right

from ..rewrite import Rules
from . import build, ir
from .ir import (
    Const,
    Contiguous,
    Expand,
    Iota,
    Join,
    Node,
    Pad,
    Permute,
    Reshape,
    Slice,
    Sort,
    Window,
    Within,
)

RULES = Rules[Node]()
FEW = 16  # to find the first 1 / FEW of the elements costs less than to sort them all
rule = RULES.rule


# --------------------------------------------------------------------------- leaves and placement


@rule(Reshape, Permute, Expand, Slice, Window, of=Const)
def move_a_constant(node: ir.Movement, x: Const) -> Node | None:
    """a view of a constant  ->  the constant in the view's shape"""
    return Const(x.value, x.dtype, node.shape)


@rule(Pad, of=Const)
def pad_a_constant(node: Pad, x: Const) -> Node | None:
    """pad(c, c)  ->  c in the padded shape"""
    filling = Const(node.value, node.dtype, node.shape)
    return filling if Const(x.value, x.dtype, node.shape) is filling else None


@rule(Iota)
def count_to_one(node: Iota) -> Node | None:
    """iota(1)  ->  0"""
    return Const(0, node.dtype, (1,)) if node.size == 1 else None


@rule(Contiguous, of=Contiguous)
def contiguous_twice(node: Contiguous, inner: Contiguous) -> Node | None:
    """contiguous(contiguous(x))  ->  contiguous(x)"""
    return inner


# --------------------------------------------------------------------------- Reshape


@rule(Reshape)
def reshape_reshape(node: Reshape) -> Node | None:
    """reshape(x, S)  ->  x, where x has S;   reshape(reshape(x), S)  ->  reshape(x, S)"""
    if node.x.shape == node.shape:
        return node.x
    return build.reshape(node.x.x, node.shape) if isinstance(node.x, Reshape) else None


@rule(Reshape, of=Expand)
def reshape_below_expand(node: Reshape, inner: Expand) -> Node | None:
    """reshape(expand(x))  ->  expand(reshape(x)), where no repeated axis merges with another"""
    x, repeated = inner.x, inner.shape
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


@rule(Permute, of=Reshape)
def permute_below_reshape(node: Permute, inner: Reshape) -> Node | None:
    """permute(reshape(x))  ->  reshape(permute(x)), where the reshape only adds or drops ones"""
    x = inner.x
    if [n for n in x.shape if n != 1] != [n for n in inner.shape if n != 1]:
        return None
    axes = [axis for axis, n in enumerate(x.shape) if n != 1]  # the axes of x of other sizes ...
    same = dict(zip((a for a, n in enumerate(inner.shape) if n != 1), axes, strict=True))
    order = [same[axis] for axis in node.order if axis in same]  # ... in their new order
    ones = [axis for axis, n in enumerate(x.shape) if n == 1]
    return build.reshape(build.permute(x, (*order, *ones)), node.shape)


@rule(Permute, of=Expand)
def permute_below_expand(node: Permute, inner: Expand) -> Node | None:
    """permute(expand(x))  ->  expand(permute(x))"""
    return Expand(Permute(inner.x, node.order), node.shape)


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


@rule(Pad, of=Expand)
def pad_below_expand(node: Pad, inner: Expand) -> Node | None:
    """pad(expand(x))  ->  expand(pad(x)), where no repeated axis is padded"""
    sizes = zip(inner.x.shape, inner.shape, node.padding, strict=True)
    if any(n != m and any(amount) for n, m, amount in sizes):
        return None
    return Expand(Pad(inner.x, node.padding, node.value), node.shape)


@rule(Pad, of=Permute)
def pad_below_permute(node: Pad, inner: Permute) -> Node | None:
    """pad(permute(x))  ->  permute(pad(x))"""
    padding = [(0, 0)] * len(inner.order)
    for axis, amount in zip(inner.order, node.padding, strict=True):
        padding[axis] = amount
    return Permute(Pad(inner.x, tuple(padding), node.value), inner.order)


# --------------------------------------------------------------------------- Slice


@rule(Slice)
def slice_slice(node: Slice) -> Node | None:
    """slice(slice(x))  ->  slice(x);   slice(x)  ->  x, where it takes all elements"""
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


@rule(Slice, of=Sort)
def slice_of_sort(node: Slice, inner: Sort) -> Node | None:
    """slice(sort(x))  ->  sort(x, count), where the first few along the sorted axis are taken"""
    x, axis, parts = inner.x, inner.axis, slice_parts(node)
    start, size, step = parts[axis]
    if inner.count is not None or (start, step) != (0, 1) or size * FEW > x.shape[axis]:
        return None
    few = Sort(x, axis, inner.descending, size)
    return few if few.shape == node.shape else slice_by(few, parts)


@rule(Slice, of=Within)
def slice_below_within(node: Slice, inner: Within) -> Node | None:
    """slice(within(sort(x), c))  ->  within(slice(sort(x)), slice(c)), for `slice_of_sort`"""
    x: Node = inner
    while isinstance(x, Within):
        x = x.x
    if not isinstance(x, Sort) or slice_of_sort(node.with_inputs([x])) is None:
        return None
    return Within(*(node.with_inputs([each]) for each in inner.inputs))


@rule(Slice, of=Join)
def slice_of_join(node: Slice, inner: Join) -> Node | None:
    """slice(join(a, b))  ->  slice(a), where it takes nothing of b"""
    if node.size == 0:
        return None
    parts, axis = slice_parts(node), inner.axis
    start, size, step = parts[axis]
    first, last = sorted((start, start + (size - 1) * step))
    at = bisect_right(inner.starts, first) - 1
    part, before = inner.parts[at], inner.starts[at]
    if last >= before + part.shape[axis]:
        return None
    parts[axis] = (start - before, size, step)
    return slice_by(part, parts)


@rule(Slice, of=Permute)
def slice_below_permute(node: Slice, inner: Permute) -> Node | None:
    """slice(permute(x))  ->  permute(slice(x))"""
    parts = sorted(zip(inner.order, slice_parts(node), strict=True))
    return Permute(slice_by(inner.x, [part for _, part in parts]), inner.order)


@rule(Slice, of=Expand)
def slice_below_expand(node: Slice, inner: Expand) -> Node | None:
    """slice(expand(x))  ->  expand(slice(x))"""
    x, parts = inner.x, slice_parts(node)
    once = [(0, 1, 1) if n == 1 else part for n, part in zip(x.shape, parts, strict=True)]
    return Expand(slice_by(x, once), node.shape)


@rule(Slice, of=Pad)
def slice_below_pad(node: Slice, inner: Pad) -> Node | None:
    """slice(pad(x))  ->  pad(slice(x)), with no more padding than the slice reaches into"""
    x, value = inner.x, inner.value
    parts: list[Part] = []
    padding: list[tuple[int, int]] = []
    for n, (before, _), (start, size, step) in zip(
        x.shape, inner.padding, slice_parts(node), strict=True
    ):
        # Those i read x with 0 <= start + i * step < n; a negative step counts from x's end.
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

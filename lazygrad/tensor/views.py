"""Views: a path of movement from a base tensor, and what writing at its end does to the base.

A view has no values of its own. It reads its base through a path; a write to it becomes a new
value of the base, and whoever reads the base, or another view of it, reads that value
(functionalisation: the graph itself has no writes).

    x = zeros(2, 3);  v = x[1];  v += 1

    path of v:      slice starts=(1, 0) sizes=(1, 3), reshape (3,)
    new value of x: where(row == 1, pad(reshape(v + 1, (1, 3)), rows (1, 0)), x)
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from sys import getrefcount
from typing import Any

import numpy as np

from ..dtypes import bool_
from ..errors import KindError
from ..graph import build, ir
from ..graph.ir import Node, Shape

Step = tuple[type[Any], tuple[Any, ...]]
"""A node without its input: its class, and its other fields."""
Path = tuple[Step, ...]
"""Steps from the base outwards."""


class _Holder:
    """Holds one object, to learn what getrefcount says of an object held once."""

    __slots__ = ("item",)

    def __init__(self) -> None:
        self.item = object()


_holder = _Holder()
HELD_ONCE = getrefcount(_holder.item)
"""What `getrefcount(x.attribute)` says of an object that nothing but this attribute holds."""


def path_between(node: Node, source: Node) -> Path:
    """The steps that make `node` of `source`. Requires: movement and placement alone."""
    steps: list[Step] = []
    while node is not source:
        first, *rest = node._fields
        x, fields = getattr(node, first), tuple([getattr(node, field) for field in rest])
        steps.append((type(node), fields))
        node = x
    steps.reverse()
    return tuple(steps)


def follow(path: Path, source: Node) -> Node:
    """What the path shows of `source`."""
    for cls, fields in path:
        source = cls(source, *fields)
    return source


@dataclass(frozen=True, slots=True)
class Shown:
    """Another shape or order of all elements: the path to it, and the path back."""

    path: Path
    back: Path

    @classmethod
    def between(cls, node: Node, source: Node) -> Shown:
        """What makes `node` of `source`: reshapes and permutations."""
        back: list[Step] = []
        top = node
        while top is not source:
            match top:
                case ir.Reshape(x):
                    back.append((ir.Reshape, (x.shape,)))
                case ir.Permute(x, order):
                    inverse = tuple(sorted(range(len(order)), key=order.__getitem__))
                    back.append((ir.Permute, (inverse,)))
                case _:
                    raise KindError(f"{top.name} does not show all elements once")
            top = top.x
        return cls(path_between(node, source), tuple(back))

    def then(self, other: Shown) -> Shown:
        """This, and from there another one."""
        return Shown(self.path + other.path, other.back + self.back)


def is_detached(path: Path) -> bool:
    """Whether no gradient passes the path."""
    return any(cls is ir.Detach for cls, _ in path)


def put(path: Path, source: Node, value: Node) -> Node:
    """`source` with other elements where the path leads: follow(path, result) is `value`.

    Raises RuntimeError where one element of `source` is shown several times, and would get several
    values.
    """
    nodes = [source]
    for cls, fields in path:
        nodes.append(cls(nodes[-1], *fields))
    if not nodes[-1].size:
        return source
    if any(_repeats(shown) for shown in nodes[1:]):
        return _scattered(path, source, value)
    written: Node | None = None  # where `value` has elements; None is everywhere
    for shown, before in zip(reversed(nodes[1:]), reversed(nodes[:-1]), strict=True):
        value, written = _BACK.get(type(shown), _same)(shown, before.shape, value, written)
    return value if written is None else ir.Where(written, value, source)


def _repeats(shown: Node) -> bool:
    """Whether a step shows elements several times, taken alone."""
    if isinstance(shown, ir.Window):
        apart = shown.stride >= shown.size_ or shown.shape[shown.axis] == 1
        return shown.dilation != 1 or not apart
    return isinstance(shown, ir.Expand) and shown.shape != shown.x.shape


def _scattered(path: Path, source: Node, value: Node) -> Node:
    """What `put` does, by the place of each element: a later step may have chosen among the
    elements that an earlier one repeats."""
    from ..graph.evaluate import evaluate  # NumPy's meaning of all nodes, seldom wanted

    flat = build.reshape(source, (source.size,))
    places = follow(path, build.reshape(ir.Iota(source.size), source.shape))
    if not _is_uniform(value) and len(np.unique(evaluate([places])[0])) < places.size:
        raise RuntimeError(
            f"in place: a view of shape {value.shape} shows elements of a tensor of shape "
            f"{source.shape} several times (expanded, or windows that overlap), so it cannot be "
            "written to; use clone() first"
        )
    count = (value.size,)
    written = ir.Scatter(flat, (build.reshape(places, count),), build.reshape(value, count), "set")
    return build.reshape(written, source.shape)


def _is_uniform(value: Node) -> bool:
    """Whether all elements are surely one number."""
    while isinstance(value, (ir.Cast, ir.Reshape, ir.Expand)):
        value = value.x
    return value.size == 1 or isinstance(value, ir.Const)


Back = tuple[Node, Node | None]


def _same(shown: Any, shape: Shape, value: Node, written: Node | None) -> Back:
    return value, written


def _back_reshape(shown: ir.Reshape, shape: Shape, value: Node, written: Node | None) -> Back:
    return build.reshape(value, shape), None if written is None else build.reshape(written, shape)


def _back_permute(shown: ir.Permute, shape: Shape, value: Node, written: Node | None) -> Back:
    order = sorted(range(len(shape)), key=shown.order.__getitem__)
    return build.permute(value, order), None if written is None else build.permute(written, order)


def _back_slice(shown: ir.Slice, shape: Shape, value: Node, written: Node | None) -> Back:
    here: Node | None = None
    for axis, n in enumerate(shape):
        start, size, step = shown.starts[axis], shown.sizes[axis], shown.steps[axis]
        if (start, size, step) == (0, n, 1):
            continue
        if step < 0:
            value = build.slice_axis(value, axis, size - 1, size, -1)
            if written is not None:
                written = build.slice_axis(written, axis, size - 1, size, -1)
            start, step = start + (size - 1) * step, -step
        value = _placed(value, axis, start, step, n)
        if written is not None:
            written = _placed(written, axis, start, step, n)
        else:
            inside = _progression(n, start, (size - 1) * step + 1, step)
            inside = build.reshape(inside, [n if i == axis else 1 for i in range(len(shape))])
            inside = build.expand(inside, shape)
            here = inside if here is None else ir.And(here, inside)
    return value, here if written is None else written


def _back_window(shown: ir.Window, shape: Shape, value: Node, written: Node | None) -> Back:
    axis, size, stride = shown.axis, shown.size_, shown.stride
    stride = max(stride, size)  # of a single window

    def flat(x: Node) -> Node:
        x = build.move_axis(x, len(x.shape) - 1, axis + 1)
        x = build.pad_axis(x, axis + 1, 0, stride - size)
        x = build.reshape_axes(x, axis, 2, (x.shape[axis] * stride,))
        return build.resize_axis(x, axis, shape[axis])

    if written is None and (stride == size and shown.shape[axis] * size == shape[axis]):
        return flat(value), None
    everywhere = ir.Const(True, bool_, shown.shape)
    return flat(value), flat(everywhere if written is None else written)


def _placed(x: Node, axis: int, start: int, step: int, n: int) -> Node:
    """x's elements at start, start + step, ... of an axis of n, 0 elsewhere."""
    x = build.spread_axis(x, axis, step)
    return build.pad_axis(x, axis, start, n - start - x.shape[axis])


def _progression(n: int, start: int, length: int, step: int) -> Node:
    """Which of 0 to n - 1 are start, start + step, ... below start + length."""
    position = ir.Iota(n)

    def constant(value: int) -> Node:
        return ir.Const(value, position.dtype, position.shape)

    if length == 1:
        return ir.Equal(position, constant(start))
    inside = ir.And(
        ir.LessEqual(constant(start), position), ir.Less(position, constant(start + length))
    )
    if step == 1:
        return inside
    phase = ir.Mod(ir.Sub(position, constant(start)), constant(step))
    return ir.And(inside, ir.Equal(phase, constant(0)))


_BACK: dict[type[Node], Callable[[Any, Shape, Node, Node | None], Back]] = {
    ir.Reshape: _back_reshape,
    ir.Permute: _back_permute,
    ir.Slice: _back_slice,
    ir.Window: _back_window,
}


# --------------------------------------------------------------------------- strides


@lru_cache(maxsize=4096)
def strides(path: Path, shape: Shape) -> tuple[int, ...] | None:
    """How far apart, in elements of a base of `shape`, neighbours along each axis of the view
    lie; None where no one distance tells."""
    shapes = [shape]
    for cls, fields in path:
        shapes.append(cls(ir.Const(0, bool_, shapes[-1]), *fields).shape)
    last = shapes[-1]
    if 0 in last:
        return contiguous_strides(last)
    first = _place(path, shapes, (0,) * len(last))

    def stride(axis: int) -> int:
        beside = tuple(min(last[axis] - 1, int(i == axis)) for i in range(len(last)))
        return _place(path, shapes, beside) - first

    own = tuple(stride(axis) for axis in range(len(last)))
    reach = sum(s * (n - 1) for s, n in zip(own, last, strict=True))
    end = _place(path, shapes, tuple(n - 1 for n in last))
    return own if first + reach == end else None


def _place(path: Path, shapes: list[Shape], index: tuple[int, ...]) -> int:
    """Where an element of the view lies, counted in the base's row-major order."""
    for (cls, fields), shape, shown in zip(
        reversed(path), reversed(shapes[:-1]), reversed(shapes[1:]), strict=True
    ):
        if cls is ir.Reshape:
            index = _unravelled(_ravelled(index, shown), shape)
        elif cls is ir.Permute:
            index = tuple(index[fields[0].index(axis)] for axis in range(len(shape)))
        elif cls is ir.Expand:
            index = tuple(i if n > 1 else 0 for i, n in zip(index, shape, strict=True))
        elif cls is ir.Slice:
            index = tuple(s + i * t for i, s, t in zip(index, fields[0], fields[2], strict=True))
        elif cls is ir.Window:
            axis, _, stride, dilation = fields
            *index_, inner = index
            index_[axis] = index_[axis] * stride + inner * dilation
            index = tuple(index_)
    return _ravelled(index, shapes[0])


def _ravelled(index: tuple[int, ...], shape: Shape) -> int:
    return sum(i * s for i, s in zip(index, contiguous_strides(shape), strict=True))


def _unravelled(place: int, shape: Shape) -> tuple[int, ...]:
    sizes = zip(shape, contiguous_strides(shape), strict=True)
    return tuple(place // stride % n for n, stride in sizes)


def contiguous_strides(shape: Shape) -> tuple[int, ...]:
    """The strides of elements in row-major order."""
    return tuple(math.prod(max(n, 1) for n in shape[axis + 1 :]) for axis in range(len(shape)))


def is_contiguous(shape: Shape, own: tuple[int, ...]) -> bool:
    """Whether elements with these strides lie in row-major order, without gaps."""
    if 0 in shape:
        return True
    pairs = zip(shape, own, contiguous_strides(shape), strict=True)
    return all(n == 1 or stride == wanted for n, stride, wanted in pairs)


@lru_cache(maxsize=4096)
def reshaped_strides(shape: Shape, own: tuple[int, ...], new: Shape) -> tuple[int, ...] | None:
    """The strides with which another shape shows the same elements; None where it takes a copy."""
    groups = build.reshape_groups(shape, new)
    if groups is None:  # no elements
        return contiguous_strides(new)
    result = [1] * len(new)
    for olds, news in groups:
        for axis, after in itertools.pairwise(olds):
            if own[axis] != own[after] * shape[after]:
                return None
        stride = own[olds[-1]]
        for axis in reversed(news):
            result[axis] = stride
            stride *= new[axis]
    for axis in reversed(range(len(new))):  # an axis of size 1 may have any stride
        if new[axis] == 1:
            result[axis] = result[axis + 1] * new[axis + 1] if axis + 1 < len(new) else 1
    return tuple(result)

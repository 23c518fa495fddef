"""Writes to a block of a tensor, where its place is data and no part of the graph.

    for i in range(1000):
        memory[i] = v      # one program, whatever i is, and it touches one row
        memory[i] *= 2     # one program, too

Without gradient alone, and for small blocks: a large one is as well written with the whole tensor,
in one pass with what comes before and after.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

import numpy as np

from ..graph import build, ir
from ..graph.ir import Buffer, Node, Shape, sources, topological
from ..runtime.buffer import DeviceBuffer, realized
from ..runtime.device import Device
from .views import Path, follow

SMALL = 4  # a block is small that is at most such a part of the tensor
NEAR = 128  # nodes of a value that are searched for the view that it is written to

inputs_of = attrgetter("inputs")


@dataclass(frozen=True, slots=True)
class Block:
    """Which block of a tensor a view shows: `starts` and `sizes` along the tensor's axes; the
    view's axes are these (None for one of size 1 that is of no axis)."""

    starts: tuple[int, ...]
    sizes: tuple[int, ...]
    axes: tuple[int | None, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The view's."""
        return tuple(1 if axis is None else self.sizes[axis] for axis in self.axes)


def put_block(path: Path, source: Node, value: Node, own: Node) -> Node | None:
    """`source` with the value's elements where the path leads; None if that is no small block.
    `own` is a view's node: what the path shows of `source`, or of the expression it was before.

    rows (2,) of zeros(4, 3)   ->   scatter(zeros(4, 3), [a buffer with 2, iota], value)
    """
    block = _block(path, source)
    if block is None or not 0 < SMALL * math.prod(block.sizes) <= source.size:
        return None
    indices = _indices(block, source, source.device or value.device or Device.DEFAULT)
    number = _number(value)
    if number is not None:  # data as well
        value = _data(np.array(number.value, number.dtype.numpy), source.device)
        value = _expanded(build.reshape(value, (1,) * len(source.shape)), block.sizes)
        return ir.Scatter(source, indices, value, "set")
    there = _on_view(block, ir.Gather(source, indices), value.shape)
    value = _with_view(value, {follow(path, source): there, own: there}, source)
    return ir.Scatter(source, indices, _on_source(block, value), "set")


def _with_view(value: Node, new: dict[Node, Node], source: Node) -> Node:
    """The value with new nodes where it reads the view itself, as in `x[i] *= 2`. Only NEAR nodes
    before the value are looked at: a loop of writes, none computed yet, would else look at all of
    them in each step."""
    views = set(new)

    def read(node: Node, inputs: Callable[[Node], Sequence[Node]]) -> Sequence[Node]:
        is_end = node is source or node in views or isinstance(node, Buffer) or node in realized
        return () if is_end else inputs(node)

    if views.isdisjoint(_near(value, lambda node: read(node, sources))):  # no call is built
        return value
    near = _near(value, lambda node: read(node, inputs_of))
    for node in topological([value], lambda node: read(node, inputs_of) if node in near else ()):
        if node in near and any(x in new for x in read(node, inputs_of)):
            new[node] = node.with_inputs([new.get(x, x) for x in node.inputs])
    return new.get(value, value)


def _near(value: Node, inputs: Callable[[Node], Sequence[Node]]) -> Collection[Node]:
    """The value and some NEAR nodes that it is computed from, nearest first."""
    near, queue = {value: None}, [value]
    for node in queue:  # which grows
        if len(near) > NEAR:
            break
        new = dict.fromkeys(x for x in inputs(node) if x not in near)
        near |= new
        queue += new
    return near.keys()


def _block(path: Path, source: Node) -> Block | None:
    """The block that a path shows; None for another kind of view."""
    block = Block((0,) * len(source.shape), source.shape, tuple(range(len(source.shape))))
    for n, (cls, fields) in enumerate(path):
        if cls is ir.Slice and set(fields[2]) == {1}:
            starts, sizes = list(block.starts), list(block.sizes)
            for axis, start, size in zip(block.axes, fields[0], fields[1], strict=True):
                if axis is not None:
                    starts[axis] += start
                    sizes[axis] = size
                elif size != 1:
                    return None  # nothing is written
            block = Block(tuple(starts), tuple(sizes), block.axes)
        elif cls is ir.Permute:
            block = replace(block, axes=tuple(block.axes[axis] for axis in fields[0]))
        elif cls is ir.Reshape:
            long = [axis for axis, n in zip(block.axes, block.shape, strict=True) if n != 1]
            if [n for n in block.shape if n != 1] == [n for n in fields[0] if n != 1]:
                left = iter(long)
                block = replace(
                    block, axes=tuple(None if n == 1 else next(left) for n in fields[0])
                )
            elif n < len(path) - 1:
                return None
        elif cls is not ir.Detach:
            return None
    return block


def _indices(block: Block, source: Node, device: str) -> tuple[Node, ...]:
    """The block's elements, as a Scatter wants them: where it begins is read from a buffer."""
    placed = [axis for axis, n in enumerate(source.shape) if block.sizes[axis] != n]
    place = _data(np.array([block.starts[axis] for axis in placed], np.int64), device)
    indices: list[Node] = []
    rank = len(source.shape)
    for axis, size in enumerate(block.sizes):
        index: Node = ir.Iota(size)
        if axis in placed:
            start = build.slice_axis(place, 0, placed.index(axis), 1)
            index = start if size == 1 else ir.Add(ir.Expand(start, (size,)), index)
        index = build.reshape(index, tuple(size if n == axis else 1 for n in range(rank)))
        indices.append(_expanded(index, block.sizes))
    return tuple(indices)


def _on_source(block: Block, value: Node) -> Node:
    """A value of the view's shape, with the axes of the tensor that it is a view of."""
    long = [axis for axis in block.axes if axis is not None and block.sizes[axis] != 1]
    value = build.reshape(value, tuple(block.sizes[axis] for axis in long))
    value = build.permute(value, sorted(range(len(long)), key=long.__getitem__))
    return build.reshape(value, block.sizes)


def _on_view(block: Block, value: Node, shape: Shape) -> Node:
    """A value of the block's sizes, with the axes of the view."""
    long = [axis for axis in block.axes if axis is not None and block.sizes[axis] != 1]
    value = build.reshape(value, tuple(block.sizes[axis] for axis in sorted(long)))
    value = build.permute(value, [sorted(long).index(axis) for axis in long])
    return build.reshape(value, shape)


def _data(array: np.ndarray[Any, Any], device: str | None) -> Buffer:
    return Buffer(DeviceBuffer.from_numpy(array, device or Device.DEFAULT), array.shape)


def _expanded(node: Node, shape: Shape) -> Node:
    return node if node.shape == shape else ir.Expand(node, shape)


def _number(value: Node) -> ir.Const | None:
    """The number that is every element, if that is known."""
    while isinstance(value, (ir.Expand, ir.Reshape)):
        value = value.x
    return value if isinstance(value, ir.Const) else None

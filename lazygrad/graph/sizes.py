"""Graphs that differ in one size: one graph, at a bound, serves every size up to it.

    relu(x[37, 64] @ w), then relu(x[38, 64] @ w)   ->   relu(x[64, 64] @ w), and a count n

Two graphs of the same operations that differ in the integers of their shapes alone make a *family*.
Each integer that differs is linear in one of them, n: the size of a leaf's axis, or where a slice
begins. Two graphs tell which line it is on. A third graph is of the family exactly if all its
integers are on the lines: nothing is assumed of the program that made it. Floats that differ are
arguments.

The family's graph at a bound N is built with N in the place of n. Its leaves and its outputs hold N
elements where n are meant; those beyond n are undefined. An operation that would mix them with
others (a sum, padding at the end) reads a neutral value in their place: it compares an index with
the count n, which is a leaf.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from ..dtypes import DType, int64
from ..origin import inherit
from . import build
from .constants import free_constants
from .ir import (
    Add,
    And,
    Buffer,
    Cast,
    Const,
    Expand,
    Fold,
    Gather,
    InRange,
    Iota,
    Join,
    Less,
    Mul,
    Node,
    Pad,
    Permute,
    RandomBits,
    Reduce,
    Reshape,
    Scatter,
    Shape,
    Slice,
    Sort,
    Where,
    Window,
    Within,
    identity,
)
from .structure import Key, Slot

Number = bool | int | float
Fields = tuple[Any, ...]  # of one node: those that may differ within a family


Mixed = (Fold, Gather, Reduce)
"""The classes that kernels are made around, where sizes vary."""


class FixedError(Exception):
    """Why a graph cannot serve other sizes."""


@dataclass(frozen=True, slots=True)
class Line:
    """slope * n + start, for a size n; the slope is not 0."""

    slope: int
    start: int

    def at(self, n: int) -> int:
        """The integer for a size."""
        return self.slope * n + self.start


Lines = tuple[int | Line, ...]  # a shape


@dataclass(frozen=True, slots=True)
class Argument:
    """A float that differs from graph to graph."""

    number: int


# --------------------------------------------------------------------------- samples


class Sample:
    """One graph of a family: its numbers, in the order of its nodes. It holds no node."""

    def __init__(self, key: Key, nodes: Sequence[Node]) -> None:
        """`key` is the graph's (structure.Structure), `nodes` in the order in which it has them."""
        self.leaves = tuple(n for n, entry in enumerate(key[:-1]) if entry[0] is Buffer)  # type: ignore[index]
        are_leaves = set(self.leaves)
        self.fields = [
            (node.shape,) if n in are_leaves else _fields(node) for n, node in enumerate(nodes)
        ]
        self.shapes = [node.shape for node in nodes]
        self.free = frozenset(free_constants(nodes))  # the places of possible arguments
        self.form: Key = (*map(_form, key[:-1], self.fields, nodes), key[-1])


def _fields(node: Node) -> Fields:
    match node:
        case Const():
            return node.value, node.shape
        case Reshape() | Expand() | RandomBits() | Iota():
            return (node.shape,)
        case Pad():
            return node.padding, node.value
        case Slice():
            return node.starts, node.sizes
        case Fold():
            return (node.size_,)
    return ()


def _form(entry: Hashable, fields: Fields, node: Node) -> Hashable:
    """What all graphs of a family share of a node's entry in the key."""
    if not fields:
        return entry
    cls, described, *rest = cast("tuple[Any, ...]", entry)
    if cls is Buffer:  # described is its number
        return (cls, described, len(node.shape), *rest[1:])
    others = (node.axis, node.stride, node.dilation) if isinstance(node, Fold) else ()
    steps = node.steps if isinstance(node, Slice) else ()
    return (cls, _skeleton(fields), node.dtype, others, steps, *rest)


def _skeleton(value: Any) -> Hashable:
    """A value's kind, without its numbers."""
    if isinstance(value, tuple):
        return tuple(map(_skeleton, value))
    return "int" if _is_integer(value) else type(value).__name__


# --------------------------------------------------------------------------- families


class Family:
    """Graphs that differ in the size n of one axis."""

    def __init__(self, first: Sample, second: Sample) -> None:
        """The family of two graphs of one form.

        Raises FixedError where no size explains what differs.
        """
        self.leaves = first.leaves
        found = [
            (place not in self.leaves, abs(m - n), place, path, n, m)
            for place, (a, b) in enumerate(zip(first.fields, second.fields, strict=True))
            for path, n, m in _differences(a, b)
        ]
        if not found:
            raise FixedError("no size differs")
        *_, self.place, self.path, n, m = min(found)  # a leaf's, if possible
        self._ends = n, m
        self.arguments: list[int] = []  # the places of constants
        self.fields = [
            self._constant(place, a, b)
            if place in first.free and place in second.free
            else self._line(a, b)
            for place, (a, b) in enumerate(zip(first.fields, second.fields, strict=True))
        ]
        self.shapes: list[Lines] = [
            self._line(a, b) for a, b in zip(first.shapes, second.shapes, strict=True)
        ]

    def _constant(self, place: int, first: Fields, second: Fields) -> Fields:
        (a, shape), (b, other) = first, second
        if _same(a, b):
            return a, self._line(shape, other)
        self.arguments.append(place)
        return Argument(len(self.arguments) - 1), self._line(shape, other)

    def _line(self, first: Any, second: Any) -> Any:
        """A value in which lines stand where two values differ."""
        if isinstance(first, tuple):
            return tuple(self._line(a, b) for a, b in zip(first, second, strict=True))
        if _same(first, second):
            return first
        if not (_is_integer(first) and _is_integer(second)):
            raise FixedError(f"{first} became {second}")
        n, m = self._ends
        slope, rest = divmod(second - first, m - n)
        if rest:
            raise FixedError(f"{first} became {second} where the size {n} became {m}")
        return Line(slope, first - slope * n)

    def size_of(self, sample: Sample) -> int | None:
        """The size n at which a graph of the same form is of the family; None where it is not."""
        n: Any = sample.fields[self.place]
        for step in self.path:
            n = n[step]
        if not sample.free.issuperset(self.arguments):
            return None
        pairs = zip(self.fields, sample.fields, strict=True)
        return n if all(_fits(line, value, n) for line, value in pairs) else None


def _differences(first: Any, second: Any) -> Iterator[tuple[tuple[int, ...], int, int]]:
    """The integers that differ between two nested tuples: where, and both."""
    if isinstance(first, tuple):
        for step, (a, b) in enumerate(zip(first, second, strict=True)):
            for path, n, m in _differences(a, b):
                yield (step, *path), n, m
    elif _is_integer(first) and _is_integer(second) and first != second:
        yield (), first, second


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _same(first: Any, second: Any) -> bool:
    if _is_integer(first):
        return _is_integer(second) and bool(first == second)
    both_nan = first != first and second != second
    return type(first) is type(second) and (first == second or both_nan)


def _fits(line: Any, value: Any, n: int) -> bool:
    if isinstance(line, tuple):
        return all(_fits(a, b, n) for a, b in zip(line, value, strict=True))
    if isinstance(line, Line):
        return _is_integer(value) and line.at(n) == value
    return isinstance(line, Argument) or _same(line, value)


def at(line: Any, n: int) -> Any:
    """An integer, or a shape, of a family at a size."""
    if isinstance(line, tuple):
        return tuple(at(each, n) for each in line)
    return line.at(n) if isinstance(line, Line) else line


# --------------------------------------------------------------------------- the graph at a bound


class AtBound:
    """A family's graph at a bound.

    `outputs` are those of the graph it was made from. `slots` are its leaves, in order, then those
    of the arguments, and last the count n, an int64.
    """

    def __init__(
        self, family: Family, nodes: Sequence[Node], outputs: Sequence[Node], bound: int
    ) -> None:
        """`nodes` are those of any graph of the family, in order.

        Raises FixedError where an operation cannot do with undefined elements beyond n.
        """
        devices = {node.device for node in nodes if node.device is not None}
        if len(devices) != 1:
            raise FixedError("not all is on one device")
        lines = [n for shape in family.shapes for n in shape if isinstance(n, Line)]
        if any(line.slope < 0 for line in lines):
            raise FixedError("a size shrinks where another one grows")
        (device,) = devices
        self.bound = bound
        self._count = Buffer(Slot(1, int64, device), ())
        self._arguments = [Buffer(Slot(1, nodes[n].dtype, device), ()) for n in family.arguments]
        self._lines = dict(zip(nodes, family.shapes, strict=True))
        self._made: dict[Node, Node] = {}
        leaves: list[Buffer] = []
        for place, node in enumerate(nodes):
            shape = at(self._lines[node], bound)
            new: Node
            if place in family.leaves:
                new = Buffer(Slot(math.prod(shape), node.dtype, device), shape)
                leaves.append(new)
            else:
                new = self._at_bound(node, family.fields[place])
            if new.shape != shape:
                raise FixedError(f"{node.name} has another shape at {bound}: {new.shape}")
            inherit(new, node)
            self._made[node] = self._limited(node, new) if isinstance(new, Mixed) else new
        self.outputs = [self._limited(output, self._made[output]) for output in outputs]
        self.slots: list[Buffer] = [*leaves, *self._arguments, self._count]

    def _limited(self, node: Node, new: Node) -> Node:
        """A node that is undefined beyond n, for its kernel to stop there. (What is computed of it
        by elementwise operations is undefined there, too.)"""
        if isinstance(new, (Buffer, Within)):
            return new
        for axis, line in enumerate(self._lines[node]):
            if _varies(line):
                new = Within(new, self._below(_position(new.shape, axis), line))
        return new

    def _at_bound(self, node: Node, fields: Fields) -> Node:
        """A node at the bound. (Above it are a node's fields and shapes with lines in them.)"""
        inputs = [self._made[x] for x in node.inputs]
        lines = self._lines[node]
        if not any(map(_varies, (fields, lines, *(self._lines[x] for x in node.inputs)))):
            return node.with_inputs(inputs) if inputs else node
        shape: Shape = at(lines, self.bound)
        match node:
            case Const():
                return self._const(node, fields[0], shape)
            case Iota():
                return Iota(shape[0], node.dtype)
            case Reshape():
                check_reshape(self._lines[node.x], lines)
                return build.reshape(inputs[0], shape)
            case Expand():
                return build.expand(inputs[0], shape)
            case Pad():
                return self._pad(node, fields[0])
            case Slice():
                return self._slice(node, fields[0], shape)
            case Join() if any(_varies(self._lines[x][node.axis]) for x in node.inputs[:-1]):
                raise FixedError("more than a few tensors are joined, of sizes that vary")
            case Reduce():
                return self._reduce(node)
            case Fold():
                x = self._within(node.x, 0, (node.axis,))
                return Fold(x, node.axis, shape[node.axis], node.stride, node.dilation)
            case Gather():
                return self._gather(node)
            case Scatter():
                return self._scatter(node)
            case InRange():
                return node.with_inputs([self._within(node.x, 0)])
            case Sort() if _varies(self._lines[node.x][node.axis]):
                return self._sort(node)
            case RandomBits():  # words are counted in row-major order
                check_reshape(lines[1:], (Line(1, 0),))
                return RandomBits(inputs[0], shape[1:])
            case Window() if _varies(self._lines[node.x][node.axis]) and node.stride != 1:
                raise FixedError("windows that are more than one element apart")
        if _varies(fields):
            raise FixedError(f"a size stands in {node.name}")
        return node.with_inputs(inputs)

    # ------------------------------------------------------------------ what lies beyond n

    def _value(self, line: int | Line, dtype: DType = int64) -> Node:
        """An integer of the family as a value."""
        if isinstance(line, int):
            return Const(line, dtype)
        n: Node = self._count
        if line.slope != 1:
            n = Mul(n, Const(line.slope, int64))
        if line.start:
            n = Add(n, Const(line.start, int64))
        return n if dtype == int64 else Cast(n, dtype)

    def _below(self, index: Node, line: int | Line) -> Node:
        """Whether indices, int64, are less than an integer of the family."""
        return Less(index, build.broadcast_to(self._value(line), index.shape))

    def _mask(self, x: Node, axis: int, line: int | Line, value: Number) -> Node:
        """x, with a value in the place of what is not below a line along an axis."""
        inside = self._below(_position(x.shape, axis), line)
        return Where(inside, x, build.full_like(x, value))

    def _within(self, node: Node, value: Number, axes: Sequence[int] | None = None) -> Node:
        """A node with a value in the place of what lies beyond n along some axes, or along all."""
        x = self._made[node]
        for axis, line in enumerate(self._lines[node]):
            if isinstance(line, Line) and (axes is None or axis in axes):
                x = self._mask(x, axis, line, value)
        return x

    # ------------------------------------------------------------------ nodes

    def _const(self, node: Const, value: Any, shape: Shape) -> Node:
        if isinstance(value, Argument):
            return build.broadcast_to(self._arguments[value.number], shape)
        if not isinstance(value, Line):
            return Const(value, node.dtype, shape)
        if not node.dtype.is_int:
            raise FixedError(f"a size stands in a constant of {node.dtype}")
        return build.broadcast_to(self._value(value, node.dtype), shape)

    def _pad(self, node: Pad, padding: Any) -> Node:
        x, lines = self._made[node.x], self._lines[node.x]
        fixed = [(0, 0)] * len(padding)
        for axis, (before, after) in enumerate(padding):
            total = at(before, self.bound) + x.shape[axis] + at(after, self.bound)
            if isinstance(before, Line):
                x = self._shifted(x, axis, lines[axis], before, total, node.value)
            else:
                if _varies(lines[axis]) and after != 0:
                    x = self._mask(x, axis, lines[axis], node.value)
                fixed[axis] = before, at(after, self.bound)
        if any(after < 0 for _, after in fixed):
            raise FixedError("padding up to a fixed size")
        return build.pad(x, fixed, node.value)

    def _shifted(
        self, x: Node, axis: int, end: int | Line, start: Line, total: int, value: Number
    ) -> Node:
        """An axis of `total` elements: from `start` on those of x before `end`, else a value."""
        shape = (*x.shape[:axis], total, *x.shape[axis + 1 :])
        before = build.broadcast_to(self._value(start), shape)
        index = Add(_position(shape, axis), Mul(before, build.full_like(before, -1)))
        inside = And(Less(build.full_like(index, -1), index), self._below(index, end))
        found = _picked(x, axis, index)
        return Where(inside, found, build.full_like(found, value))

    def _slice(self, node: Slice, starts: Any, shape: Shape) -> Node:
        x, fixed, steps = self._made[node.x], list(starts), list(node.steps)
        for axis, start in enumerate(starts):
            if not isinstance(start, Line):
                continue
            picked = (*x.shape[:axis], shape[axis], *x.shape[axis + 1 :])
            index = _position(picked, axis)
            if steps[axis] != 1:
                index = Mul(index, build.full_like(index, steps[axis]))
            index = Add(index, build.broadcast_to(self._value(start), picked))
            x = _picked(x, axis, index)
            fixed[axis], steps[axis] = 0, 1
        return Slice(x, tuple(fixed), shape, tuple(steps))

    def _reduce(self, node: Reduce) -> Node:
        axes = [axis for axis in node.axes if _varies(self._lines[node.x][axis])]
        if node.op == "sum" and isinstance(node.x, Mul):  # it stays one
            x: Node = Mul(*(self._within(factor, 0, axes) for factor in node.x.inputs))
        else:
            x = self._within(node.x, identity(node.op, node.dtype), axes)
        return Reduce(x, node.op, node.axes, node.ties)

    def _gather(self, node: Gather) -> Node:
        """Indices between n and the bound are outside, too."""
        indices = [_wide(self._made[index]) for index in node.indices]
        for axis, line in enumerate(self._lines[node.x]):
            index = indices[axis]
            if _varies(line) and not _only_counts(index):
                outside = build.full_like(index, at(line, self.bound))
                indices[axis] = Where(self._below(index, line), index, outside)
        return Gather(self._made[node.x], tuple(indices))

    def _scatter(self, node: Scatter) -> Node:
        x, first = self._made[node.x], node.indices[0]
        if _varies(self._lines[node.x]):
            raise FixedError("elements are put into a tensor of a size that varies")
        outside = _wide(self._made[first])
        for axis, line in enumerate(self._lines[first]):
            if _varies(line):
                outside = self._mask(outside, axis, line, x.shape[0])
        rest = [_wide(self._made[index]) for index in node.indices[1:]]
        return Scatter(x, (outside, *rest), self._made[node.values], node.op)

    def _sort(self, node: Sort) -> Node:
        """What lies beyond n comes last; equal elements stay in their order."""
        dtype = node.x.dtype
        last = dtype.min if node.descending else float("nan") if dtype.is_float else dtype.max
        x = self._within(node.x, last, (node.axis,))
        return Sort(x, node.axis, node.descending, node.count)


def _varies(value: Any) -> bool:
    if isinstance(value, tuple):
        return any(map(_varies, value))
    return isinstance(value, (Line, Argument))


def _wide(index: Node) -> Node:
    """Indices as int64, which holds every size."""
    return index if index.dtype == int64 else Cast(index, int64)


def _position(shape: Shape, axis: int) -> Node:
    """The index of each element of a shape along an axis."""
    one = [n if i == axis else 1 for i, n in enumerate(shape)]
    return build.expand(build.reshape(Iota(shape[axis]), one), shape)


def _picked(x: Node, axis: int, index: Node) -> Node:
    """x with computed indices along one axis."""
    shape = index.shape
    places = [index if i == axis else _position(shape, i) for i in range(len(shape))]
    return Gather(x, tuple(places))


def _only_counts(index: Node) -> bool:
    """Whether an index merely walks along an axis."""
    while isinstance(index, (Reshape, Expand, Permute)):
        index = index.x
    return isinstance(index, Iota)


def check_reshape(old: Lines, new: Lines) -> None:
    """Raise FixedError where an element's place in memory depends on n.

    In row-major order an element's place depends on the sizes of all axes but the first. So it is
    with axes that are merged or split: of these, the first alone may vary, before and after.

        (n, 4, 8) -> (n, 32)    (2, n, 4) -> (2, 4n)    (n, n) -> (n, 1, n)    not (2, n) -> (2n,)
    """
    olds, news = [n for n in old if n != 1], [n for n in new if n != 1]
    while olds or news:
        before, after = [olds.pop(0)] if olds else [], [news.pop(0)] if news else []
        while (sizes := (_sizes(before), _sizes(after)))[0] != sizes[1]:
            rest, group = (olds, before) if sizes[0] < sizes[1] else (news, after)
            if not rest:
                raise FixedError(f"a reshape of {old} to {new}")
            group.append(rest.pop(0))
        if _varies((*before[1:], *after[1:])):
            raise FixedError(f"a reshape that merges a size that varies: {old} to {new}")


def _sizes(group: Sequence[int | Line]) -> tuple[int, ...]:
    """How many elements axes have together, at two sizes: enough to tell different ones."""
    return tuple(math.prod(at(tuple(group), n)) for n in (1009, 1013))

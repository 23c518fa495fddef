"""One graph for all sizes of a family (sizes.py): the graph at a bound.

    relu(x[n, 64] @ w)   ->   relu(x[128, 64] @ w), and a count n

The bound N stands for the size n. Leaves and outputs have N elements; those beyond n are undefined.
An operation that would mix them with others (a sum, padding at the end) reads a neutral value
instead: it compares an index with the count n, which is a leaf.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

from ..dtypes import DType, float32, float64, int64
from ..errors import ShapeError
from ..origin import inherit
from . import build
from .blocks import ANY, Blocks, Layouts, in_order, part, reshaped
from .growing import Growth
from .ir import (
    Add,
    And,
    Buffer,
    Cast,
    Const,
    Equal,
    Expand,
    FloorDiv,
    Fold,
    Gather,
    InRange,
    Iota,
    Join,
    Less,
    LessEqual,
    Loop,
    Mod,
    Mul,
    Node,
    Or,
    Pad,
    RandomBits,
    Recurrence,
    Reduce,
    Reshape,
    Scan,
    Scatter,
    Shape,
    Slice,
    Sort,
    Step,
    StepInput,
    Where,
    Within,
    identity,
    loops_of,
)
from .lines import WHOLE, Argument, FixedError, Line, Lines, Whole, at, varies
from .sizes import Family
from .structure import Slot

Number = bool | int | float

ENDED = (Fold, Gather, Reduce, Scan, Sort, Where)
"""The nodes that are marked as undefined beyond n. Of nodes that read them it follows. Without a
mark it would not of these: they may read, or choose, defined elements there."""


class AtBound:
    """A family's graph at a bound.

    `outputs` are in the order of the graph's that it was made from; `shapes` are their shapes, in
    which an axis of several blocks (blocks.py) is two axes; `blocks` are those of the outputs.
    `slots` are the leaves, in order, then the arguments (constants that differ), and last the count
    n, an int64.
    """

    def __init__(
        self,
        family: Family,
        nodes: Sequence[Node],
        outputs: Sequence[Node],
        bound: int,
        growing: Sequence[Growth] = (),
        device: str | None = None,
    ) -> None:
        """`nodes` are those of any graph of the family, in order. The leaves of `growing` have the
        shapes of the outputs that grow from them. `device` is that of a graph without leaves.

        Raises FixedError for an operation that undefined elements beyond n would make wrong.
        """
        devices = {node.device for node in nodes if node.device is not None}
        if not devices and device is not None:
            devices.add(device)
        if len(devices) != 1:
            raise FixedError("not all is on one device")
        lines = {n for shape in family.shapes for n in shape if isinstance(n, Line)}
        if any(line.slope < 0 for line in lines):
            raise FixedError("a size shrinks where another one grows")
        (device,) = devices
        count = Buffer(Slot(1, int64, device), ())
        arguments = [Buffer(Slot(1, nodes[n].dtype, device), ()) for n in family.arguments]
        leaves = {nodes[place] for place in family.leaves}
        graph = _Graph(family, nodes, 0, leaves, (bound,), count, arguments)
        graph.loops = {loop.values[0].loop: loop for loop in loops_of(nodes, family.leaves)}
        self.slots: list[Buffer] = [*graph.make(growing), *arguments, count]
        self.blocks = [graph.layouts.blocks[output] for output in outputs]
        self.shapes = [graph.layouts.shape(output) for output in outputs]
        self.outputs = [graph.output(*each) for each in zip(outputs, self.shapes, strict=True)]
        for growth in growing:  # not limited: its kernel writes the new elements alone
            self.outputs[growth.output] = graph.made[nodes[growth.place]]


class _Graph:
    """A graph that is made anew at a bound: a family's, or a step of a loop in it."""

    def __init__(
        self,
        family: Family,
        nodes: Sequence[Node],
        start: int,
        leaves: set[Node],
        bound: tuple[int],
        count: Node,
        arguments: Sequence[Node],
    ) -> None:
        """`nodes` are those from place `start` on in the family; the inputs of `leaves` are no
        nodes here. `count` is n."""
        places = range(start, start + len(nodes))
        self._family, self._nodes, self._places = family, nodes, places
        shapes = family.shapes[start : start + len(nodes)]
        self._lines = dict(zip(nodes, shapes, strict=True))
        self._leaves, self._bound, self._count = leaves, bound, count
        self._arguments = arguments
        self.loops: dict[object, Loop] = {}  # whose steps are in the family
        self._steps: dict[object, _Graph | None] = {}
        self.layouts = Layouts(self._lines, leaves)
        self.made: dict[Node, Node] = {}

    def make(self, growing: Sequence[Growth] = ()) -> list[Buffer]:
        """Make the nodes. Returns the leaves, in order."""
        family, grows = self._family, {growth.place: growth for growth in growing}
        room = {growth.leaf: growth.place for growth in growing}
        leaves: list[Buffer] = []
        for node, place in zip(self._nodes, self._places, strict=True):
            shape = at(self._lines[node], self._bound)
            new: Node
            if isinstance(node, StepInput):
                new = StepInput(node.number, shape, node.dtype, node.device_)
            elif node in self._leaves:
                larger = at(family.shapes[room.get(len(leaves), place)], self._bound)
                leaves.append(Buffer(Slot(math.prod(larger), node.dtype, str(node.device)), larger))
                new = _first(leaves[-1], shape)
            elif place in grows:
                growth = grows[place]
                new = self._grown(growth, leaves, self.made[self._nodes[growth.new]])
            else:
                new = self._at_bound(node, family.fields[place])
            if new.shape != shape:
                raise FixedError(f"{node.name} has another shape at {self._bound}: {new.shape}")
            inherit(new, node)
            self.made[node] = self._limited(node, new) if isinstance(new, ENDED) else new
        return leaves

    def output(self, node: Node, lines: Lines) -> Node:
        """An output of these sizes at the bound."""
        return build.reshape(self._limited(node, self.made[node]), at(lines, self._bound))

    def _limited(self, node: Node, new: Node) -> Node:
        """The node as undefined beyond n, so that its kernel may stop there. Elementwise nodes that
        read it are then undefined there, too."""
        if isinstance(new, (Buffer, Within)):
            return new
        blocks = self.layouts.blocks[node]
        for axis, line in enumerate(self._lines[node]):
            if varies(line) and blocks[axis] != ANY:
                new = Within(new, self._inside(new.shape, axis, line, blocks[axis]))
        return new

    def _at_bound(self, node: Node, fields: Any) -> Node:
        """A node at the bound, whose inputs have been made. `fields` are its fields, with lines."""
        lines = self._lines[node]
        if not any(map(varies, (fields, lines, *(self._lines[x] for x in node.inputs)))):
            return node.with_inputs([self.made[x] for x in node.inputs]) if node.inputs else node
        wanted = zip(node.inputs, self.layouts.wanted[node], strict=True)
        inputs = [self._moved(x, blocks) for x, blocks in wanted]
        shape: Shape = at(lines, self._bound)
        match node:
            case Const():
                return self._const(node, fields[0], shape)
            case Iota():
                return Iota(shape[0], node.dtype)
            case Reshape(x=x):
                if reshaped(self._lines[x], self.layouts.blocks[x], lines) is None:
                    return self._read_in_order(inputs[0], self._lines[x], lines)
                return build.reshape(inputs[0], shape)
            case Expand():
                return build.expand(inputs[0], shape)
            case Pad():
                return self._pad(node, inputs[0], *fields)
            case Slice() if not varies(fields[2]):
                return self._slice(node, inputs[0], fields[0], shape)
            case Join() if any(varies(self._lines[x][node.axis]) for x in node.inputs[:-1]):
                raise FixedError("more than a few tensors are joined, of sizes that vary")
            case Reduce():
                return self._reduce(node, inputs[0])
            case Fold() if fields == (node.axis, fields[1], node.stride, node.dilation):
                x = self._within(inputs[0], self._lines[node.x], 0, (node.axis,))
                return Fold(x, node.axis, shape[node.axis], node.stride, node.dilation)
            case Gather():
                return self._gather(node, *inputs)
            case Scatter():
                return self._scatter(node, *inputs)
            case InRange():
                blocks = self.layouts.blocks[node]
                x = self._within(inputs[0], lines, 0, blocks=blocks)
                return self._in_range(node, x, fields) if varies(fields) else node.with_inputs([x])
            case Sort() if varies(self._lines[node.x][node.axis]):
                return self._sort(node, inputs[0])
            case Recurrence():
                return self._recurrence(node, inputs)
            case RandomBits():  # words are counted in row-major order
                if not any(map(varies, lines[2:])):
                    return RandomBits(inputs[0], shape[1:])
                words = RandomBits(inputs[0], (math.prod(shape[1:]),))
                return Gather(words, (build.walk(shape, 0), self._number(lines, 1)))
        if varies(fields):
            raise FixedError(f"a size stands in {node.name}")
        return node.with_inputs(inputs)

    # ------------------------------------------------------------------ elements beyond n

    def _value(self, line: int | Line, dtype: DType = int64) -> Node:
        """An integer of the family as a value."""
        if isinstance(line, int):
            return Const(line, dtype)
        n: Node = self._count
        if line.of != WHOLE:
            shifted = Add(n, Const(line.of.shift, int64))
            n = FloorDiv(shifted, Const(line.of.divisor, int64))
        if line.slope != 1:
            n = Mul(n, Const(line.slope, int64))
        if line.start:
            n = Add(n, Const(line.start, int64))
        return n if dtype == int64 else Cast(n, dtype)

    def _from(self, start: Line, shape: Shape, axis: int, step: int = 1) -> Node:
        """The index of each element of a shape along an axis, from `start` on, `step` apart."""
        index = build.walk(shape, axis)
        if step != 1:
            index = Mul(index, build.full_like(index, step))
        return Add(index, build.broadcast_to(self._value(start), shape))

    def _below(self, index: Node, line: int | Line) -> Node:
        """Whether indices, int64, are less than an integer of the family."""
        return Less(index, build.broadcast_to(self._value(line), index.shape))

    def _inside(self, shape: Shape, axis: int, line: int | Line, blocks: int = 1) -> Node:
        """Which elements of a shape are defined, by their place along an axis of this line."""
        if not isinstance(line, Line) or blocks <= 1:
            return self._below(build.walk(shape, axis), line)
        split = (*shape[:axis], blocks, shape[axis] // blocks, *shape[axis + 1 :])
        return build.reshape(self._inside(split, axis + 1, part(line, blocks)), shape)

    def _mask(self, x: Node, axis: int, line: int | Line, value: Number, blocks: int = 1) -> Node:
        """x, with `value` for its undefined elements along an axis."""
        return Where(self._inside(x.shape, axis, line, blocks), x, build.full_like(x, value))

    def _within(
        self,
        x: Node,
        lines: Lines,
        value: Number,
        axes: Collection[int] | None = None,
        blocks: Blocks | None = None,
    ) -> Node:
        """x with `value` for its elements beyond n, along some axes or along all. `blocks`: along
        each axis one where it is not given."""
        blocks = blocks or in_order(lines)
        for axis, line in enumerate(lines):
            if isinstance(line, Line) and (axes is None or axis in axes):
                x = self._mask(x, axis, line, value, blocks[axis])
        return x

    # ------------------------------------------------------------------ elements in other places

    def _moved(self, node: Node, wanted: Blocks) -> Node:
        """A node at the bound, with its elements in other blocks."""
        x = self.made[node]
        found = zip(self._lines[node], self.layouts.blocks[node], wanted, strict=True)
        for axis, (line, have, want) in enumerate(found):
            if isinstance(line, Line) and ANY not in (have, want) and have != want:
                index = self._divided(build.walk(x.shape, axis), line, want, is_place=True)
                index = self._divided(index, line, have, is_place=False)
                x = Gather(x, _with_index(x.shape, axis, index))
        return x

    def _divided(self, index: Node, line: Line, blocks: int, is_place: bool) -> Node:
        """The number of the element at a place along an axis in blocks; or, if `index` is no place,
        the place of the element of this number."""
        if blocks == 1:
            return index
        own = part(line, blocks)
        size, whole = (
            build.broadcast_to(self._value(x), index.shape) for x in (own, own.at(*self._bound))
        )
        old, new = (whole, size) if is_place else (size, whole)
        return Add(Mul(FloorDiv(index, old), new), Mod(index, old))

    def _number(self, lines: Lines, first: int = 0) -> Node:
        """The number of each element in row-major order, along all axes from `first` on."""
        shape = at(lines, self._bound)
        number: Node = Const(0, int64, shape)
        for axis, line in enumerate(lines[first:], first):
            size = build.broadcast_to(self._value(line), shape)
            number = Add(Mul(number, size), build.walk(shape, axis))
        return number

    def _read_in_order(self, x: Node, old: Lines, new: Lines) -> Node:
        """A reshape of x, each element read from its place in row-major order."""
        number, indices = self._number(new), []
        for line in reversed(old[1:]):
            size = build.broadcast_to(self._value(line), number.shape)
            indices.append(Mod(number, size))
            number = FloorDiv(number, size)
        return Gather(x, (number, *reversed(indices)))

    # ------------------------------------------------------------------ nodes

    def _grown(self, growth: Growth, leaves: Sequence[Node], new: Node) -> Node:
        """A leaf with new elements after its own."""
        index = self._from(growth.size, new.shape, growth.axis)
        return Scatter(leaves[growth.leaf], _with_index(new.shape, growth.axis, index), new, "set")

    def _const(self, node: Const, value: Any, shape: Shape) -> Node:
        if isinstance(value, Argument):
            return build.broadcast_to(self._arguments[value.number], shape)
        if isinstance(value, Whole):
            if node.dtype not in (float32, float64):  # of others an integer may be none
                raise FixedError(f"a size stands in a constant of {node.dtype}")
            value = value.line
        if not isinstance(value, Line):
            return Const(node.value, node.dtype, shape)
        return build.broadcast_to(self._value(value, node.dtype), shape)

    def _pad(self, node: Pad, x: Node, value: Any, padding: Any) -> Node:
        if varies(value):
            raise FixedError("a size stands in padding")
        lines = self._lines[node.x]
        fixed = [(0, 0)] * len(padding)
        for axis, (before, after) in enumerate(padding):
            total = at(before, self._bound) + x.shape[axis] + at(after, self._bound)
            if isinstance(before, Line):
                x = self._shifted(x, axis, lines[axis], before, total, node.value)
            else:
                if varies(lines[axis]) and after != 0:
                    x = self._mask(x, axis, lines[axis], node.value)
                fixed[axis] = before, at(after, self._bound)
        if any(after < 0 for _, after in fixed):
            raise ShapeError("padding up to a fixed size")  # a smaller bound may have a meaning
        return build.pad(x, fixed, node.value)

    def _shifted(
        self, x: Node, axis: int, end: int | Line, start: Line, total: int, value: Number
    ) -> Node:
        """x[:end] along an axis of `total` elements, from `start` on; `value` elsewhere."""
        shape = (*x.shape[:axis], total, *x.shape[axis + 1 :])
        index = self._from(start.times(-1), shape, axis)
        inside = And(Less(build.full_like(index, -1), index), self._below(index, end))
        found = Gather(x, _with_index(shape, axis, index))
        return Where(inside, found, build.full_like(found, value))

    def _slice(self, node: Slice, x: Node, starts: Any, shape: Shape) -> Node:
        fixed, steps = list(starts), list(node.steps)
        for axis, start in enumerate(starts):
            if isinstance(start, Line):
                picked = (*x.shape[:axis], shape[axis], *x.shape[axis + 1 :])
                index = self._from(start, picked, axis, steps[axis])
                x = Gather(x, _with_index(picked, axis, index))
                fixed[axis], steps[axis] = 0, 1
        return Slice(x, tuple(fixed), shape, tuple(steps))

    def _reduce(self, node: Reduce, x: Node) -> Node:
        lines, axes = self.layouts.split(node.x, node.axes)
        shape = at(lines, self._bound)
        is_product = isinstance(node.x, Mul) and node.x not in self._leaves
        if node.op == "sum" and is_product:  # it stays a sum of products
            blocks = self.layouts.blocks[node.x]
            moved = (build.reshape(self._moved(each, blocks), shape) for each in node.x.inputs)
            x = Mul(*(self._within(factor, lines, 0, axes) for factor in moved))
        else:
            x = self._within(build.reshape(x, shape), lines, identity(node.op, node.dtype), axes)
        return Reduce(x, node.op, axes, node.ties)

    def _in_range(self, node: InRange, x: Node, fields: Any) -> Node:
        """A check with a range that varies. What is checked is 0 for integers in the range, and
        others are not 0. So it is added to them, to be read."""
        low, high, ignored = fields
        if varies(ignored):
            raise FixedError("a size stands in ignored integers")
        wide = _wide(x)
        inside: Node = And(self._reaches(wide, low), self._below(wide, high))
        if ignored is not None:
            inside = Or(inside, Equal(wide, build.full_like(wide, ignored)))
        outside = Where(inside, build.full_like(x, 0), x)
        return Add(x, InRange(outside, 0, 1, None, node.source))

    def _reaches(self, index: Node, line: int | Line) -> Node:
        """Whether indices, int64, are no less than an integer of the family."""
        return LessEqual(build.broadcast_to(self._value(line), index.shape), index)

    def _gather(self, node: Gather, x: Node, *indices: Node) -> Node:
        """Indices between n and the bound are outside, too."""
        inside = [_wide(index) for index in indices]
        for axis, line in enumerate(self._lines[node.x]):
            index = inside[axis]
            if varies(line) and self.layouts.walked(node.indices[axis], line) is None:
                outside = build.full_like(index, at(line, self._bound))
                inside[axis] = Where(self._below(index, line), index, outside)
        return Gather(x, tuple(inside))

    def _scatter(self, node: Scatter, x: Node, *rest: Node) -> Node:
        """Values beyond n are written nowhere: their first index is outside. An index between n and
        the bound writes to an undefined element."""
        *indices, values = rest
        lines, blocks = self._lines[node.values], self.layouts.wanted[node][-1]
        outside = self._within(_wide(indices[0]), lines, x.shape[0], blocks=blocks)
        return Scatter(x, (outside, *map(_wide, indices[1:])), values, node.op)

    def _recurrence(self, node: Recurrence, inputs: Sequence[Node]) -> Node:
        """A loop of as many steps as there are rows, or whose step is made at the bound, too."""
        first, last = len(node.starts), len(node.starts) + len(node.series)
        line, end = self._lines[node][0], last + len(node.constants)
        constants = tuple(inputs[last:end])
        count, own = tuple(inputs[end:]), node.line
        if isinstance(line, Line):
            if count or line.of != WHOLE:
                raise FixedError("the steps of a loop are counted by no size alone")
            count, own = (self._count,), (line.slope, line.start)
        step = node.step
        if (graph := self._step(node)) is not None:
            constants = (*constants, self._count)
            step = Step.of(map(graph.in_order, step.roots))
        parts = tuple(inputs[:first]), tuple(inputs[first:last]), constants
        return Recurrence(*parts, step, at(line, self._bound), node.reverse, count, own)

    def _step(self, node: Recurrence) -> _Graph | None:
        """The step of a loop at the bound; None where no size is in it. It reads n as a constant
        of the loop."""
        loop = self.loops.get(node.loop)
        if loop is None:  # it is in a step, and its own step is the same at all sizes
            return None
        if node.loop not in self._steps:
            family, graph = self._family, None
            if any(varies(family.fields[n]) or varies(family.shapes[n]) for n in loop.places):
                count = StepInput(len(node.arguments), (), int64, str(node.device))
                leaves: set[Node] = {x for x in loop.order if isinstance(x, StepInput)}
                graph = _Graph(family, loop.order, loop.start, leaves, self._bound, count, ())
                graph.make()
            self._steps[node.loop] = graph
        return self._steps[node.loop]

    def in_order(self, node: Node) -> Node:
        """A node at the bound, with its defined elements first along each axis."""
        return self._moved(node, in_order(self._lines[node]))

    def _sort(self, node: Sort, x: Node) -> Node:
        """Elements beyond n come last; equal elements stay in their order."""
        dtype = node.x.dtype
        last = dtype.min if node.descending else float("nan") if dtype.is_float else dtype.max
        x = self._within(x, self._lines[node.x], last, (node.axis,))
        return Sort(x, node.axis, node.descending, node.count)


def _first(x: Node, shape: Shape) -> Node:
    """The first elements along each axis."""
    zeros, ones = (0,) * len(shape), (1,) * len(shape)
    return x if x.shape == shape else Slice(x, zeros, shape, ones)


def _wide(index: Node) -> Node:
    """Indices as int64, which holds every size."""
    return index if index.dtype == int64 else Cast(index, int64)


def _with_index(shape: Shape, axis: int, index: Node) -> tuple[Node, ...]:
    """The indices of a Gather that reads every axis in order but one; `index` is for that axis."""
    return tuple(index if i == axis else build.walk(shape, i) for i in range(len(shape)))

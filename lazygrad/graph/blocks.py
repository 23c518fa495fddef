"""Where the defined elements of a family's tensors are, at a bound (at_bound.py).

An axis of size n has N elements at the bound N, and the first n are defined. An axis that a reshape
merges from (8, n) has 8 blocks of N elements, and the first n of each block are defined. Most
operations keep blocks. Others, as a slice, want all defined elements first.

    x[8, n, 64]  ->  reshape to [8n, 64]: 8 blocks along its first axis
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from .ir import (
    Const,
    Expand,
    Fold,
    Gather,
    Iota,
    Join,
    Node,
    Pad,
    Permute,
    RandomBits,
    Reduce,
    Reshape,
    Scan,
    Scatter,
    Slice,
    Sort,
    Window,
)
from .lines import Line, Lines, varies

Blocks = tuple[int, ...]
"""Of each axis: how many blocks it has. 1 for one whose first elements are defined; ANY where all
elements along the axis are equal, and for an axis of a fixed size."""

ANY = 0


class Layouts:
    """The blocks of each node of a family, and those that a node wants its inputs to have."""

    def __init__(self, lines: Mapping[Node, Lines], leaves: Collection[Node]) -> None:
        """`lines` are the shapes of a graph's nodes, inputs first, or of a step's. The inputs of
        `leaves` are no nodes there."""
        self._lines, self._leaves = lines, leaves
        self.blocks: dict[Node, Blocks] = {}
        self.wanted: dict[Node, Sequence[Blocks]] = {}
        for node in lines:
            self.blocks[node], self.wanted[node] = self._of(node)

    def shape(self, node: Node) -> Lines:
        """The shape of a node, with two axes for each axis of several blocks."""
        return self.split(node, range(len(self._lines[node])))[0]

    def split(self, node: Node, axes: Collection[int]) -> tuple[Lines, tuple[int, ...]]:
        """The shape of a node, with two axes for each one among `axes` that has several blocks; and
        where `axes` are in it."""
        shape: list[int | Line] = []
        places: list[int] = []
        counts = zip(self._lines[node], self.blocks[node], strict=True)
        for axis, (line, count) in enumerate(counts):
            own: Lines = (line,)
            if isinstance(line, Line) and count > 1 and axis in axes:
                own = count, part(line, count)
            places += range(len(shape), len(shape) + len(own)) if axis in axes else ()
            shape += own
        return tuple(shape), tuple(places)

    def walked(self, index: Node, line: int | Line) -> int | None:
        """The axis along which an index reads an axis of this size in order; None for others."""
        moves = []
        while isinstance(index, (Reshape, Expand, Permute)) and index not in self._leaves:
            moves.append(index)
            index = index.x
        if not isinstance(index, Iota) or self._lines[index] != (line,):
            return None
        axis = 0
        for node in reversed(moves):
            sizes = self._lines[node]
            if isinstance(node, Permute):
                axis = node.order.index(axis)
            elif isinstance(node, Reshape):
                if len(sizes) - sizes.count(1) != 1:
                    return None
                axis = sizes.index(line)
        return axis

    def _of(self, node: Node) -> tuple[Blocks, Sequence[Blocks]]:
        """The blocks of a node, and those that it wants its inputs to have."""
        lines = self._lines[node]
        first = in_order(lines)
        if node in self._leaves:
            return first, ()
        inputs = [self.blocks[x] for x in node.inputs]
        if not any(varies(self._lines[x]) for x in (node, *node.inputs)):
            return first, inputs
        match node:
            case Iota() | RandomBits():
                return first, inputs
            case Const():
                return (ANY,) * len(lines), ()
            case Reshape(x=x):
                found = reshaped(self._lines[x], inputs[0], lines)
                return (first, [in_order(self._lines[x])]) if found is None else (found, inputs)
            case Permute(order=order):
                return tuple([inputs[0][axis] for axis in order]), inputs
            case Expand(x=x):
                pairs = zip(inputs[0], self._lines[x], lines, strict=True)
                return tuple([count if old == new else ANY for count, old, new in pairs]), inputs
            case Reduce(axes=axes):
                return tuple([n for axis, n in enumerate(inputs[0]) if axis not in axes]), inputs
            case Pad(x=x) | Slice(x=x):
                moved = [a for a, line in enumerate(lines) if self._lines[x][a] != line]
                if isinstance(node, Slice):
                    moved += [axis for axis, step in enumerate(node.steps) if step != 1]
                wanted = _along(moved, inputs[0], in_order(self._lines[x]))
                return _along(moved, inputs[0], first), [wanted]
            case (
                Window(x=x, axis=axis)
                | Fold(x=x, axis=axis)
                | Scan(x=x, axis=axis)
                | Sort(x=x, axis=axis)
            ):
                wanted = _along([axis], inputs[0], in_order(self._lines[x]))
                return _along([axis], (*inputs[0], ANY)[: len(lines)], first), [wanted]
            case Join(axis=axis):
                found = _along([axis], agreed(inputs), first)
                return found, [found] * len(inputs)
            case Gather() | Scatter():
                return self._indexed(node)
        if all(self._lines[x] == lines for x in node.inputs):
            found = agreed(inputs)
            return found, [found] * len(inputs)
        return first, [in_order(self._lines[x]) for x in node.inputs]

    def _indexed(self, node: Gather | Scatter) -> tuple[Blocks, Sequence[Blocks]]:
        """An axis that is read in order has its elements where the indices have theirs; any other
        is in order."""
        lines, indices = self._lines[node.x], node.indices
        walks = [self.walked(i, line) for i, line in zip(indices, lines, strict=True)]
        found = [self.blocks[i] for i, axis in zip(indices, walks, strict=True) if axis is None]
        found += [self.blocks[node.values]] if isinstance(node, Scatter) else []
        rank = len(indices[0].shape)
        for axis, count in zip(walks, self.blocks[node.x], strict=True):
            if axis is not None:
                found.append(tuple([count if i == axis else ANY for i in range(rank)]))
        read = agreed(found)
        of_x = list(in_order(lines))
        of_indices = [read] * len(indices)
        for n, axis in enumerate(walks):
            if axis is not None:
                of_x[n], of_indices[n] = read[axis], self.blocks[indices[n]]
        if isinstance(node, Gather):
            return read, [tuple(of_x), *of_indices]
        return tuple(of_x), [tuple(of_x), *of_indices, read]


def _along(axes: Sequence[int], blocks: Blocks, first: Blocks) -> Blocks:
    """Blocks with the elements along some axes in order."""
    return tuple([first[axis] if axis in axes else n for axis, n in enumerate(blocks)])


def in_order(lines: Lines) -> Blocks:
    """One block along each axis."""
    return tuple([1 if varies(line) else ANY for line in lines])


def agreed(every: Iterable[Blocks]) -> Blocks:
    """The blocks in which tensors are combined element by element."""
    return tuple(map(max, zip(*every, strict=True)))


def reshaped(old: Lines, blocks: Blocks, new: Lines) -> Blocks | None:
    """The blocks after a reshape; None where places in memory then depend on n otherwise. Equal
    elements may be in as many blocks as there is need for.

    (n, 4, 8) -> (n, 32)    (2, n, 4) -> (2, 4n)    (2, n) -> (2n,): two blocks
    """
    first = next((n for n, size in enumerate(new) if isinstance(size, Line)), len(new))
    before = math.prod(size for size in new[:first] if isinstance(size, int))
    counts = [
        math.gcd(line.slope, line.start, before) if isinstance(line, Line) and n == ANY else n
        for line, n in zip(old, blocks, strict=True)
    ]
    return _regrouped(old, counts, new)


def _regrouped(old: Lines, blocks: Sequence[int], new: Lines) -> Blocks | None:
    """As `reshaped`, where every size that varies has blocks.

    Between sizes that vary stand fixed numbers, which axes of new may divide among them.
    """
    left: list[Any] = [1]  # a number, a size that varies, a number, ...; the outermost last
    for size, count in zip(old, blocks, strict=True):
        if isinstance(size, Line):
            line, number = _reduced(size)
            left[-1] *= count
            left += (line, number // count)
        else:
            left[-1] *= size
    left.reverse()
    found = []
    for size in new:
        if not isinstance(size, Line):
            count, number = ANY, size
        elif len(left) > 1:
            count, (line, number) = left.pop(), _reduced(size)
            if line != left.pop() or number % count:
                return None
            number //= count
        else:
            return None
        if left[-1] % number:
            return None
        left[-1] //= number
        found.append(count)
    return tuple(found) if left == [1] else None


def _reduced(line: Line) -> tuple[Line, int]:
    """A line as the product of a line and a number, as large as can be."""
    number = math.gcd(line.slope, line.start)
    return part(line, number), number


def part(line: Line, count: int) -> Line:
    """The size of each of `count` equal parts."""
    return Line(line.slope // count, line.start // count, line.of)

"""Graphs that differ in one size: families of them.

    relu(x[37, 64] @ w), then relu(x[38, 64] @ w)   ->   relu(x[n, 64] @ w)

Two graphs of the same operations that differ in the integers of their shapes alone make a *family*.
Each integer that differs is linear in one of them, n: the size of a leaf's axis, or where a slice
begins. Two graphs tell which line it is on. A third graph is of the family exactly if all its
integers are on the lines: nothing is assumed of the program that made it. Floats that differ are
arguments.

The graph that serves them all is made in at_bound.py.
"""

from __future__ import annotations

import struct
from collections.abc import Container, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from .constants import free_constants, may_vary
from .ir import Buffer, Const, Expand, Fold, Iota, Node, Pad, RandomBits, Reshape, Slice
from .structure import Key

Fields = tuple[Any, ...]  # of one node: those that may differ within a family


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
class Whole:
    """A float on a line, that of a mean of n elements."""

    line: Line


@dataclass(frozen=True, slots=True)
class Argument:
    """A float that differs from graph to graph."""

    number: int


# --------------------------------------------------------------------------- samples


class Sample:
    """One graph of a family: its numbers, in the order of its nodes. It holds no node."""

    def __init__(self, key: Key, nodes: Sequence[Node]) -> None:
        """`key` is the graph's (structure.Structure), `nodes` in the order in which it has them."""
        self.key = key
        self.leaves = tuple(n for n, entry in enumerate(key[:-1]) if entry[0] is Buffer)  # type: ignore[index]
        are_leaves = set(self.leaves)
        self.fields = [
            (node.shape,) if n in are_leaves else _fields(node) for n, node in enumerate(nodes)
        ]
        self.shapes = [node.shape for node in nodes]
        self.dtypes = [node.dtype for node in nodes]
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

    def __init__(self, first: Sample, second: Sample, varying: Container[int] = ()) -> None:
        """The family of two graphs of one form. Constants at the places `varying` are arguments,
        even if they are equal in both.

        Raises FixedError where no size explains what differs.
        """
        self.leaves, self.dtypes = first.leaves, first.dtypes
        self.outputs: tuple[int, ...] = first.key[-1]  # type: ignore[assignment]
        found = [
            (place not in self.leaves, abs(m - n), place, path, n, m)
            for place, (a, b) in enumerate(zip(first.fields, second.fields, strict=True))
            for path, n, m in _differences(a, b)
        ]
        if not found:
            raise FixedError("no size differs")
        *_, self.place, _, n, m = min(found)  # a leaf's, if possible
        self._ends = n, m
        self.arguments: list[int] = []  # the places of constants
        self.fields = [
            self._constant(place, a, b, place in varying)
            if place in first.free and place in second.free
            else self._line(a, b)
            for place, (a, b) in enumerate(zip(first.fields, second.fields, strict=True))
        ]
        self.shapes: list[Lines] = [
            self._line(a, b) for a, b in zip(first.shapes, second.shapes, strict=True)
        ]
        self._key = second.key
        self._entries = {  # of the key, those that vary
            place: self._entry(place, a, b)
            for place, (a, b) in enumerate(zip(first.key, second.key, strict=True))
            if a != b or place in self.arguments
        }
        self._path = _path_to(Line(1, 0), self._entries[self.place])
        self.lines = {n for shape in self.shapes for n in shape if isinstance(n, Line)}

    @property
    def is_likely(self) -> bool:
        """Whether two graphs suffice to tell that this is a family. Where the sizes of inputs
        differ by different amounts they may vary independently, on a line by chance."""
        shapes = (n for place in self.leaves for n in self.shapes[place])
        return all(line.slope == 1 for line in shapes if isinstance(line, Line))

    @property
    def lead(self) -> int:
        """How much larger than n the largest size is that grows with n."""
        return max([0, *(line.start for line in self.lines if line.slope == 1)])

    def _constant(self, place: int, first: Fields, second: Fields, is_varying: bool) -> Fields:
        (a, shape), (b, other) = first, second
        if _same(a, b) and not is_varying:
            return a, self._line(shape, other)
        self.arguments.append(place)
        return Argument(len(self.arguments) - 1), self._line(shape, other)

    def _entry(self, place: int, first: Any, second: Any) -> Any:
        value = self.fields[place][0] if self.fields[place] else None
        if not isinstance(value, (Argument, Whole)):
            return self._line(first, second)
        (cls, (_, dtype, shape)), (_, (_, _, other)) = first, second
        return cls, (value, dtype, self._line(shape, other))

    def _line(self, first: Any, second: Any) -> Any:
        """A value in which lines stand where two values differ."""
        if isinstance(first, tuple):
            return tuple(self._line(a, b) for a, b in zip(first, second, strict=True))
        if _same(first, second):
            return first
        if _is_whole(first) and _is_whole(second):
            return Whole(self._line(int(first), int(second)))
        if not (_is_integer(first) and _is_integer(second)):
            raise FixedError(f"{first} became {second}")
        n, m = self._ends
        slope, rest = divmod(second - first, m - n)
        if rest:
            raise FixedError(f"{first} became {second} where the size {n} became {m}")
        return Line(slope, first - slope * n)

    def size_of(self, key: Key) -> int | None:
        """The size n at which a graph is of the family, by its key; None where it is not."""
        if len(key) != len(self._key):
            return None
        rest = list(key)
        for place in self._entries:
            rest[place] = self._key[place]
        if tuple(rest) != self._key:  # one comparison of all that does not vary
            return None
        n: Any = key[self.place]
        try:
            for step in self._path:
                n = n[step]
            fits = all(_fits(line, key[place], n) for place, line in self._entries.items())
        except (TypeError, IndexError, ValueError):  # an entry of another form
            return None
        return n if fits and all(line.at(n) > 0 for line in self.lines) else None


def _path_to(wanted: Line, value: Any) -> tuple[int, ...]:
    """Where a line stands in a nested tuple."""
    stack: list[tuple[tuple[int, ...], Any]] = [((), value)]
    while stack:
        path, found = stack.pop()
        if found == wanted:
            return path
        if isinstance(found, tuple):
            stack += [((*path, step), each) for step, each in enumerate(found)]
    raise FixedError("no size differs")


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


def _is_whole(value: Any) -> bool:
    return isinstance(value, float) and value.is_integer()


def _same(first: Any, second: Any) -> bool:
    if _is_integer(first):
        return _is_integer(second) and bool(first == second)
    both_nan = first != first and second != second
    return type(first) is type(second) and (first == second or both_nan)


def _fits(line: Any, value: Any, n: int) -> bool:
    """Whether a value of a key is on its line."""
    if line.__class__ is tuple:
        return all(_fits(a, b, n) for a, b in zip(line, value, strict=True))
    if line.__class__ is Line:
        return value.__class__ is int and bool(line.slope * n + line.start == value)
    if line.__class__ is Whole:
        return bool(struct.pack("<d", line.line.at(n)) == value)
    if line.__class__ is Argument:
        return may_vary(struct.unpack("<d", value)[0])
    return bool(line == value)


def at(line: Any, n: int) -> Any:
    """An integer, or a shape, of a family at a size."""
    if isinstance(line, tuple):
        return tuple(at(each, n) for each in line)
    return line.at(n) if isinstance(line, Line) else line


def varies(value: Any) -> bool:
    """Whether a value, or one in a nested tuple, differs within a family."""
    if isinstance(value, tuple):
        return any(map(varies, value))
    return isinstance(value, (Line, Argument, Whole))

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

from collections.abc import Container, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from .constants import free_constants
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

    def __init__(self, first: Sample, second: Sample, varying: Container[int] = ()) -> None:
        """The family of two graphs of one form. Constants at the places `varying` are arguments,
        even if they are equal in both.

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
            self._constant(place, a, b, place in varying)
            if place in first.free and place in second.free
            else self._line(a, b)
            for place, (a, b) in enumerate(zip(first.fields, second.fields, strict=True))
        ]
        self.shapes: list[Lines] = [
            self._line(a, b) for a, b in zip(first.shapes, second.shapes, strict=True)
        ]

    def _constant(self, place: int, first: Fields, second: Fields, is_varying: bool) -> Fields:
        (a, shape), (b, other) = first, second
        if _same(a, b) and not is_varying:
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


def varies(value: Any) -> bool:
    """Whether a value, or one in a nested tuple, differs within a family."""
    if isinstance(value, tuple):
        return any(map(varies, value))
    return isinstance(value, (Line, Argument))

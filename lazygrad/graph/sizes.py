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
from collections.abc import Collection, Container, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from .constants import free_constants, may_vary
from .ir import Buffer, Const, Expand, Fold, Iota, Node, Pad, RandomBits, Reshape, Slice
from .skeleton import Fields as AllFields
from .skeleton import Structure
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
        """`key` is the graph's (structure.Walk), `nodes` in the order in which it has them."""
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
        entries = {  # of the key, those that vary
            place: self._entry(place, a, b)
            for place, (a, b) in enumerate(zip(first.key, second.key, strict=True))
            if a != b or place in self.arguments
        }
        self.lines = {n for shape in self.shapes for n in shape if isinstance(n, Line)}
        self._key = Varying([*second.key], entries, self.place, self.lines)
        described = {place: _without_inputs(entry) for place, entry in entries.items()}
        fields = [_without_inputs(entry) for entry in second.key[:-1]]
        self.structure: Structure = Varying(fields, described, self.place, self.lines)

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
        return self._key.size_of([*key])


class Varying(Structure):
    """The structure of graphs that differ in a size, or in arguments."""

    __slots__ = ("_lines", "_path", "_place", "_positive", "_read", "_vary")

    def __init__(
        self,
        fields: AllFields,
        vary: Mapping[int, Any],
        place: int | None = None,
        lines: Collection[Line] = (),
    ) -> None:
        """`fields` are those of one such graph, and `vary` has lines and arguments in place of some
        of them. The size n stands in those of the node at `place`; on these `lines` it gives
        sizes, which are positive. Without a place no size varies."""
        super().__init__(fields)
        self._vary = dict(vary)
        distinct = list(dict.fromkeys(self._vary.values()))
        self._lines = distinct
        self._read = [(n, distinct.index(line)) for n, line in self._vary.items()]
        self._place = place
        self._path = () if place is None else _path_to(Line(1, 0), self._vary[place])
        self._positive = tuple(lines)

    def size_of(self, fields: AllFields) -> int | None:
        """As Structure's."""
        if len(fields) != len(self.fields):
            return None
        rest = list(fields)
        for place in self._vary:
            rest[place] = self.fields[place]
        if rest != self.fields:  # one comparison of all that does not vary
            return None
        n: Any = 0 if self._place is None else fields[self._place]
        try:
            for step in self._path:
                n = n[step]
            found = {(line, fields[place]) for place, line in self._read}  # many are equal
            fits = all(_fits(self._lines[line], value, n) for line, value in found)
        except (TypeError, IndexError, ValueError):  # an entry of another form
            return None
        if not fits or not all(line.at(n) > 0 for line in self._positive):
            return None
        return int(n)

    def is_like(self, other: Structure) -> bool:
        """As Structure's."""
        is_of_this = isinstance(other, Varying) and self._vary == other._vary
        return is_of_this and self.size_of(other.fields) is not None


def with_arguments(fields: AllFields, places: Sequence[int]) -> Varying:
    """The structure of graphs with these fields, but for the values of the constants at these
    places."""
    vary = {}
    for number, place in enumerate(places):
        _, dtype, shape = cast("tuple[Any, ...]", fields[place])
        vary[place] = Argument(number), dtype, shape
    return Varying(fields, vary)


def _without_inputs(entry: Any) -> Any:
    """The fields in the entry of a key."""
    return entry[2:] if entry[0] is Buffer else entry[1]


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

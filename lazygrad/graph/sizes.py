"""Families: graphs that differ in one size.

    relu(x[37, 64] @ w), then relu(x[38, 64] @ w)   ->   relu(x[n, 64] @ w)

Two graphs of the same operations make a *family* if they differ only in integers of their shapes.
One such integer is n, that which differs least: the size of a leaf's axis, if possible, or another
one, as the start of a slice. Each other is a *line*, slope * n + start, which two graphs determine.
A third graph is of the family exactly if all its integers are on the lines: nothing is assumed of
the program that made it. Floats that differ become arguments.

at_bound.py makes the graph that serves the whole family.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Collection, Container, Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, cast

from .constants import free_constants, may_vary
from .ir import Buffer, Const, Expand, Fold, Iota, Node, Pad, RandomBits, Reshape, Slice
from .skeleton import Fields, Places, Structure
from .structure import Key

SIZED = (Buffer, Const, Expand, Fold, Iota, Pad, RandomBits, Reshape, Slice)
"""The nodes whose fields have numbers that may differ within a family."""


class FixedError(Exception):
    """A graph cannot serve other sizes, for the reason given."""


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
    """A float whose value is an integer on a line, such as the n that a mean divides by."""

    line: Line


@dataclass(frozen=True, slots=True)
class Argument:
    """A float that differs from graph to graph, by its number among the arguments."""

    number: int


# --------------------------------------------------------------------------- samples


class Sample:
    """The fields and shapes of one graph, in the order of its nodes. It keeps no node alive."""

    def __init__(self, key: Key, nodes: Sequence[Node]) -> None:
        """`key` is the graph's key (structure.Walk); `nodes` are its nodes, in the key's order."""
        parts = [_parts(entry) for entry in cast("Sequence[tuple[Any, ...]]", key[:-1])]
        self.outputs = cast("tuple[int, ...]", key[-1])
        self.fields: list[Any] = [fields for _, fields, _ in parts]
        self.leaves = tuple(n for n, (cls, *_) in enumerate(parts) if cls is Buffer)
        self.shapes = [node.shape for node in nodes]
        self.dtypes = [node.dtype for node in nodes]
        self.free = frozenset(free_constants(nodes))  # the places of possible arguments
        same = [(cls, masked(f) if cls in SIZED else f, places) for cls, f, places in parts]
        self.form: Key = (*same, self.outputs)
        """The key without the values of numbers: graphs of a family share it."""


def _parts(entry: tuple[Any, ...]) -> tuple[type[Node], Hashable, Places]:
    """The class, the fields and the places of the inputs in an entry of a key."""
    cls, fields, *places = entry
    return (cls, tuple(places), ()) if cls is Buffer else (cls, fields, tuple(places))


def masked(value: Any, numbers: tuple[type, ...] = (int, bytes)) -> Any:
    """A value with types in place of its numbers; a bool is none. In keys, floats are bytes."""
    if isinstance(value, tuple):
        return tuple([masked(each, numbers) for each in value])
    return type(value) if isinstance(value, numbers) and type(value) is not bool else value


# --------------------------------------------------------------------------- families


class Family:
    """Graphs that differ in the size n of one axis.

    `fields` and `shapes` are those of each node, with lines in place of integers that differ.
    `arguments` are the places of constants that differ. The node at `place` has n among its fields.
    """

    def __init__(self, first: Sample, second: Sample, varying: Container[int] = ()) -> None:
        """The family of two graphs of one form. Constants at the places `varying` are arguments,
        even if they are equal in both.

        Raises FixedError where no size explains the differences.
        """
        self.leaves, self.outputs, self.dtypes = first.leaves, first.outputs, first.dtypes
        both = list(enumerate(zip(first.fields, second.fields, strict=True)))
        found = [
            (abs(m - n), place not in self.leaves, place, n, m)
            for place, fields in both
            for n, m in differences(*fields)
        ]
        if not found:
            raise FixedError("no size differs")
        # the others are multiples of the least difference; a leaf's size, if possible
        *_, self.place, n, m = min(found, key=lambda each: each[:3])
        self.arguments: list[int] = []
        free = first.free & second.free
        self.fields: list[Any] = []
        for place, (a, b) in both:
            if place in free and (a[0] != b[0] or place in varying):
                argument = Argument(len(self.arguments))
                self.arguments.append(place)
                a, b = (argument, *a[1:]), (argument, *b[1:])
            self.fields.append(between(a, b, n, m))
        pairs = zip(first.shapes, second.shapes, strict=True)
        self.shapes: list[Lines] = [between(a, b, n, m) for a, b in pairs]
        self.lines = {n for shape in self.shapes for n in shape if isinstance(n, Line)}
        vary = {place: fields for place, fields in enumerate(self.fields) if varies(fields)}
        self.lead = max([0, *(line.start for line in self.lines if line.slope == 1)])
        """How much larger than n the largest size is that grows with n."""
        self._elements = polynomial(self.shapes)
        self.structure: Structure = Varying(second.fields, vary, self.place, self.lines)

    @property
    def is_likely(self) -> bool:
        """Whether two graphs suffice to believe in this family. Sizes of inputs that differ by
        different amounts may vary independently, and be on a line by chance; but hardly on one
        through 0, as that of the targets of a batch of sequences, which are rows * n."""
        shapes = (n for place in self.leaves for n in self.shapes[place])
        lines = [line for line in shapes if isinstance(line, Line)]
        return all(line.slope == 1 or line.start == 0 for line in lines)

    def elements(self, n: int) -> int:
        """How many elements all nodes have at a size. The work is roughly in proportion."""
        return sum(count * n**power for power, count in enumerate(self._elements))


def between(first: Any, second: Any, n: int, m: int) -> Any:
    """A value in which lines stand where two values, at the sizes n and m, differ."""
    if first == second:
        return first
    if isinstance(first, tuple):
        if not isinstance(second, tuple) or len(first) != len(second):
            raise FixedError(f"{first} became {second}")
        return tuple([between(a, b, n, m) for a, b in zip(first, second, strict=True)])
    if isinstance(first, bytes):
        first, second = _float(first), _float(second)
        if first != second and first.is_integer() and second.is_integer():
            return Whole(between(int(first), int(second), n, m))
    if type(first) is not int:
        raise FixedError(f"{first} became {second}")
    slope, rest = divmod(second - first, m - n)
    if rest:
        raise FixedError(f"{first} became {second} where the size {n} became {m}")
    return Line(slope, first - slope * n)


class Varying(Structure):
    """The structure of graphs that differ in a size, or in arguments."""

    __slots__ = (
        "_arguments", "_distinct", "_path", "_place", "_places", "_sizes", "_start", "_vary",
    )  # fmt: skip

    def __init__(
        self,
        fields: Fields,
        vary: Mapping[int, Any],
        place: int | None = None,
        lines: Collection[Line] = (),
    ) -> None:
        """`fields` are those of one such graph. `vary` has, for some nodes, the fields with lines
        and arguments. n is in the fields of the node at `place`; None: no size varies. `lines` are
        those of sizes, which must be positive."""
        super().__init__(fields)
        self._vary = dict(vary)
        distinct = list(dict.fromkeys(self._vary.values()))  # many are equal
        self._distinct = function_of_size(distinct)
        self._places = [(n, distinct.index(line)) for n, line in self._vary.items()]
        self._arguments = [n for n, line in self._vary.items() if _has_argument(line)]
        self._place = place
        self._path, self._start = ((), 0) if place is None else _path_to_size(self._vary[place])
        self._sizes = positive_at(lines)

    def size_in(self, fields: Fields) -> int:
        """n in these fields, of which the others may be of no graph of the structure. Raises
        TypeError or IndexError where it is not there."""
        n: Any = 0 if self._place is None else fields[self._place]
        for step in self._path:
            n = n[step]
        return cast("int", n) - self._start

    def size_of(self, fields: Fields) -> int | None:
        """As Structure's."""
        if len(fields) != len(self.fields):
            return None
        try:
            n = self.size_in(fields)
            if n not in self._sizes:
                return None
            distinct, expected = self._distinct(n), self.fields.copy()
            for place, line in self._places:
                expected[place] = distinct[line]
            for place in self._arguments:
                (value, *_), (_, *rest) = cast("Any", fields[place]), cast("Any", expected[place])
                if not may_vary(_float(value)):
                    return None
                expected[place] = value, *rest
        except (TypeError, IndexError, ValueError):  # an entry of another form
            return None
        return n if fields == expected else None

    def is_like(self, other: Structure) -> bool:
        """As Structure's."""
        is_of_this = isinstance(other, Varying) and self._vary == other._vary
        return is_of_this and self.size_of(other.fields) is not None


def varying_between(
    first: Fields, second: Fields, n: int, m: int, arguments: Places, lines: Collection[Line]
) -> Varying:
    """The structure of graphs that differ as two do whose sizes are n and m. The constants at the
    places `arguments` are arguments; `lines` are those of sizes.

    Raises FixedError where no size explains the differences, or n itself is nowhere.
    """
    vary: dict[int, Any] = {}
    a: Any
    b: Any
    for place, (a, b) in enumerate(zip(first, second, strict=True)):
        if place in arguments:
            argument = Argument(arguments.index(place))
            a, b = (argument, *a[1:]), (argument, *b[1:])
        if a != b or place in arguments:
            vary[place] = between(a, b, n, m)
    for place in vary:
        with suppress(FixedError):
            return Varying(second, vary, place, lines)
    raise FixedError("no size differs")


def with_arguments(fields: Fields, places: Sequence[int]) -> Varying:
    """The structure of graphs with these fields, but for the values of the constants at
    `places`."""
    vary = {}
    for number, place in enumerate(places):
        _, dtype, shape = cast("tuple[Any, ...]", fields[place])
        vary[place] = Argument(number), dtype, shape
    return Varying(fields, vary)


def _path_to_size(value: Any) -> tuple[tuple[int, ...], int]:
    """The steps that lead to n + start in a nested tuple, and that start: 0, if possible."""
    stack: list[tuple[tuple[int, ...], Any]] = [((), value)]
    starts: dict[int, tuple[int, ...]] = {}
    while stack and 0 not in starts:
        path, found = stack.pop()
        if isinstance(found, Line) and found.slope == 1:
            starts[found.start] = path
        elif isinstance(found, tuple):
            stack += [((*path, step), each) for step, each in enumerate(found)]
    if not starts:
        raise FixedError("no size differs")
    start = min(starts, key=abs)
    return starts[start], start


def differences(first: Any, second: Any) -> Iterator[tuple[int, int]]:
    """The pairs of integers that differ between two nested tuples."""
    if isinstance(first, tuple):
        for a, b in zip(first, second, strict=True):
            yield from differences(a, b)
    elif type(first) is int and first != second:
        yield first, second


def _float(bits: bytes) -> float:
    """A float of a key."""
    number: float = struct.unpack("<d", bits)[0]
    return number


def _bits(number: float) -> bytes:
    """The bytes that stand for a float in a key."""
    return struct.pack("<d", number)


def function_of_size(values: Sequence[Any]) -> Callable[[int], tuple[Any, ...]]:
    """The function of n that returns the values with integers in place of lines, as fast as can be:
    it is asked in each step of a program.

        function_of_size([(2, Line(1, 0)), Line(3, 1)])(5) == ((2, 5), 16)
    """
    constants: list[Any] = []

    def text(value: Any) -> str:
        if not varies(value):
            constants.append(value)
            return f"constants[{len(constants) - 1}]"
        match value:
            case tuple():
                return f"({' '.join(f'{text(each)},' for each in value)})"
            case Line(slope, start):
                return f"{slope} * n + {start}"
            case Whole(line):
                return f"bits({text(line)})"  # -0.0 is on no line
        return "None"  # an argument

    names = {"constants": constants, "bits": _bits}
    made: Callable[[int], tuple[Any, ...]] = eval(f"lambda n: {text(tuple(values))}", names)
    return made


def polynomial(shapes: Sequence[Lines]) -> list[int]:
    """The number of elements of all shapes at a size n, as the factors of 1, n, n**2, ...

    polynomial([(2, n), (n, n + 1)]) == [0, 3, 1]
    """
    total: list[int] = []
    for shape in shapes:
        factors = [1]
        for size in shape:
            line = size if isinstance(size, Line) else Line(0, size)
            from_start = [line.start * x for x in factors]
            from_n = [line.slope * x for x in factors] if line.slope else []
            factors = list(map(sum, zip_longest(from_start, [0, *from_n], fillvalue=0)))
        total = list(map(sum, zip_longest(total, factors, fillvalue=0)))
    return total


def _has_argument(value: Any) -> bool:
    """Whether a value of a key is one with an argument, which is its first element then."""
    return isinstance(value, tuple) and bool(value) and isinstance(value[0], Argument)


def positive_at(lines: Collection[Line]) -> range:
    """The sizes at which all lines are positive."""
    first = [-line.start // line.slope + 1 for line in lines if line.slope > 0]
    end = [-(line.start // line.slope) for line in lines if line.slope < 0]
    return range(max(first, default=-sys.maxsize), min(end, default=sys.maxsize))


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

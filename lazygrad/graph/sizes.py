"""Families: graphs that differ in one size, or in two.

    relu(x[37, 64] @ w), then relu(x[38, 64] @ w)   ->   relu(x[n, 64] @ w)

Two graphs of the same operations make a *family* if they differ only in integers of their shapes.
One such integer is n, that which differs least: the size of a leaf's axis, if possible, or another
one, as the start of a slice. Each other is a *line*, slope * n + start, which two graphs determine.
A third graph is of the family exactly if all its integers are on the lines: nothing is assumed of
the program that made it. Floats that differ become arguments.

Where two sizes n and m vary independently, integers are on *surfaces*, as n, m + 1 or n * m. Three
graphs determine these.

at_bound.py makes the graph that serves the whole family, at_bounds.py that for two sizes.
"""

from __future__ import annotations

import math
import struct
import sys
from collections import Counter
from collections.abc import Callable, Collection, Container, Hashable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from .constants import free_constants, may_vary
from .ir import Buffer, Const, Expand, Fold, Iota, Node, Pad, RandomBits, Reshape, Slice
from .skeleton import Fields, Places, Sizes, Structure
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


@dataclass(frozen=True, slots=True)
class Surface:
    """slope * m + start, for a second size m. Slope and start are integers, or lines of n.

    Surface(Line(1, 0), 0) is n * m
    """

    slope: int | Line
    start: int | Line

    def at(self, n: int, m: int) -> int:
        """The integer for two sizes."""
        slope, start = at((self.slope, self.start), (n,))
        return cast("int", slope * m + start)

    def along_m(self, n: int) -> int | Line:
        """The line of m for one n."""
        slope, start = at((self.slope, self.start), (n,))
        return _line(slope, start)


def _line(slope: int, start: int) -> int | Line:
    """slope * n + start."""
    return Line(slope, start) if slope else start


Lines = tuple[int | Line, ...]  # a shape


@dataclass(frozen=True, slots=True)
class Whole:
    """A float whose value is an integer on a line, such as the n that a mean divides by."""

    line: Line | Surface


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
    """Graphs that differ in the size n of one axis, or in two sizes n and m.

    `fields` and `shapes` are those of each node. In place of integers that differ they have lines,
    or surfaces where two sizes vary. `arguments` are the places of constants that differ. The nodes
    at `places` have n, and m, among their fields.
    """

    def __init__(
        self,
        *samples: Sample,
        varying: Container[int] = (),
        sizes: Sequence[Sizes] | None = None,
    ) -> None:
        """The family of two graphs of one form, or of more graphs, which differ in two sizes.
        Constants at the places `varying` are arguments, even if they are equal in all. `sizes` are
        those of each graph, where they are known; else they are found.

        Raises FixedError where no sizes explain the differences.
        """
        first = samples[0]
        self.leaves, self.outputs, self.dtypes = first.leaves, first.outputs, first.dtypes
        every = list(enumerate(zip(*(sample.fields for sample in samples), strict=True)))
        self.places: Places = ()
        if sizes is None:
            self.places, sizes = _found_sizes(every, self.leaves, len(samples) > 2)
        fit = line_at(sizes) if len(sizes[0]) == 1 else surface_at(sizes)
        self.arguments: list[int] = []
        free = frozenset.intersection(*(sample.free for sample in samples))
        self.fields: list[Any] = []
        for place, fields in every:
            values = {value for value, *_ in fields} if place in free else ()
            if place in free and (len(values) > 1 or place in varying):
                argument = Argument(len(self.arguments))
                self.arguments.append(place)
                fields = tuple([(argument, *rest) for _, *rest in fields])
            self.fields.append(fitted(fields, fit))
        shapes = zip(*(sample.shapes for sample in samples), strict=True)
        self._set_shapes([fitted(each, fit) for each in shapes])
        self.sizes = sizes
        if self.places:
            vary = {place: fields for place, fields in enumerate(self.fields) if varies(fields)}
            self.structure: Structure = Varying(samples[-1].fields, vary, self.places, self.lines)

    def _set_shapes(self, shapes: list[Any]) -> None:
        self.shapes = shapes
        self.lines = {n for shape in shapes for n in shape if isinstance(n, (Line, Surface))}
        self._counts = Counter(shapes)

    def along_m(self, n: int) -> Family:
        """The graphs of this family that have one n: they differ in m."""
        made = copy(self)
        made.fields = [_along_m(fields, n) for fields in self.fields]
        made._set_shapes([_along_m(shape, n) for shape in self.shapes])
        return made

    @property
    def lead(self) -> Sizes:
        """How much larger than n the largest size is that grows with n, and the same of m."""
        leads = [0] * len(self.sizes[0])
        for line in self.lines:
            for number in range(len(leads)):
                leads[number] = max(leads[number], _start_of(line, number) or 0)
        return tuple(leads)

    @property
    def is_likely(self) -> bool:
        """Whether the graphs suffice to believe in this family. Sizes of inputs that differ by
        different amounts may vary independently, and be on a line by chance; but hardly on one
        through 0, as that of the targets of a batch of sequences, which are rows * n."""
        return all(_is_likely(n) for place in self.leaves for n in self.shapes[place])

    def elements(self, sizes: Sizes) -> int:
        """How many elements all nodes have at these sizes. The work is roughly in proportion."""
        return sum(count * math.prod(at(each, sizes)) for each, count in self._counts.items())


def _is_likely(size: int | Line | Surface) -> bool:
    """Whether the size of an input is unlikely to be on such a line by chance."""
    match size:
        case Line(slope, start) | Surface(int(slope), int(start)):
            return slope == 1 or start == 0
        case Surface(0 | 1, start):  # n, n + m
            return _is_likely(start)
        case Surface(Line(), start):  # n * m
            return start == 0 or (isinstance(start, Line) and start.start == 0)
    return isinstance(size, int)


Fit = Callable[[Sequence[int]], "int | Line | Surface"]
"""From integers, one of each graph, to what they are on. Raises FixedError where it is nothing."""


def fitted(values: Sequence[Any], fit: Fit) -> Any:
    """A value in which lines stand where the values of several graphs differ."""
    first = values[0]
    if all(value == first for value in values[1:]):
        return first
    if isinstance(first, tuple):
        if any(not isinstance(value, tuple) or len(value) != len(first) for value in values):
            raise FixedError(f"{first} became {values[-1]}")
        return tuple([fitted(each, fit) for each in zip(*values, strict=True)])
    if isinstance(first, bytes):
        floats = [_float(value) for value in values]
        if all(number.is_integer() for number in floats):
            if len(set(floats)) == 1:  # 0.0 and -0.0
                raise FixedError("0 became -0")
            return Whole(cast("Line | Surface", fit([int(number) for number in floats])))
    if type(first) is not int:
        raise FixedError(f"{first} became {values[-1]}")
    return fit(values)


def between(first: Any, second: Any, n: int, m: int) -> Any:
    """A value in which lines stand where two values, at the sizes n and m, differ."""
    return fitted((first, second), line_at([(n,), (m,)]))


def line_at(sizes: Sequence[Sizes]) -> Fit:
    """To the line on which integers at these sizes are."""
    ns = [n for (n,) in sizes]

    def fit(values: Sequence[int]) -> Line:
        line = _line_through(ns, values)
        if not isinstance(line, Line):
            raise FixedError(f"{_text(values)} where the size {_text(ns)}")
        return line

    return fit


def surface_at(sizes: Sequence[Sizes]) -> Fit:
    """To the surface on which integers at these pairs of sizes are."""
    ns, ms = zip(*sizes, strict=True)

    def fit(values: Sequence[int]) -> Surface:
        surface = surface_through(ns, ms, values)
        if surface is None:
            raise FixedError(f"{_text(values)} where the sizes {_text(ns)} and {_text(ms)}")
        return surface

    return fit


def _text(values: Sequence[int]) -> str:
    return " became ".join(map(str, values))


def _line_through(ns: Sequence[int], values: Sequence[int]) -> int | Line | None:
    """The line on which the values at these sizes are; an integer, if all are equal."""
    n, value = ns[0], values[0]
    other, m = next(((v, m) for v, m in zip(values, ns, strict=True) if m != n), (value, n))
    if len(set(values)) == 1:
        return value
    if n == m:
        return None
    slope = (other - value) // (m - n)
    line = Line(slope, value - slope * n)
    return line if slope and [line.at(n) for n in ns] == list(values) else None


def surface_through(ns: Sequence[int], ms: Sequence[int], values: Sequence[int]) -> Surface | None:
    """The simplest surface on which the values at these sizes are: a line of one size, the product
    of one size and a line of the other, a sum of multiples; and if four graphs tell, a sum with a
    multiple of n * m."""
    line = _line_through(ns, values)
    if line is not None:
        return Surface(0, line)
    if isinstance(line := _line_through(ms, values), Line):
        return Surface(line.slope, line.start)
    if isinstance(line := _line_through(ms, _quotients(values, ns)), Line):
        return Surface(Line(line.slope, 0), line.start and Line(line.start, 0))
    if isinstance(line := _line_through(ns, _quotients(values, ms)), Line):
        return Surface(line, 0)
    products = [n * m for n, m in zip(ns, ms, strict=True)]
    terms = np.stack([np.ones(len(ns)), ns, ms, products], 1, dtype=float)
    for count in (3, 4)[: len(ns) - 2]:
        found = np.linalg.lstsq(terms[:, :count], np.array(values, float))[0]
        start, of_n, of_m, of_both = [*map(round, found.tolist()), 0][:4]
        surface = Surface(_line(of_both, of_m), _line(of_n, start))
        if [surface.at(n, m) for n, m in zip(ns, ms, strict=True)] == list(values):
            return surface
    return None


def _quotients(values: Sequence[int], sizes: Sequence[int]) -> list[int]:
    """Each value divided by a size; all 0 where one is no multiple of it."""
    pairs = list(zip(values, sizes, strict=True))
    exact = all(n and value % n == 0 for value, n in pairs)
    return [value // n if exact else 0 for value, n in pairs]


def _found_sizes(
    every: Sequence[tuple[int, Any]], leaves: Places, are_two: bool
) -> tuple[Places, list[Sizes]]:
    """The places of the nodes that have the sizes among their fields, and the sizes of each graph.
    `every` has the fields of each node in all graphs."""
    found = [
        (max(values) - min(values), place not in leaves, place, values)
        for place, fields in every
        for values in differences(*fields)
    ]
    if not found:
        raise FixedError("no size differs")
    if not are_two:  # the others are multiples of the least difference; a leaf's size, if possible
        *_, place, values = min(found, key=lambda each: each[:3])
        return (place,), [(n,) for n in values]
    found.sort(key=lambda each: (each[1], each[0], each[2]))
    *_, first, ns = found[0]
    others = (each for each in found if _line_through(ns, each[-1]) is None)
    *_, second, ms = next(others, (first, ns))
    if ms is ns:
        raise FixedError("one size differs alone")
    return (first, second), list(zip(ns, ms, strict=True))


class Varying(Structure):
    """The structure of graphs that differ in a size, or in arguments."""

    __slots__ = ("_arguments", "_distinct", "_paths", "_places", "_positive", "_vary")

    def __init__(
        self,
        fields: Fields,
        vary: Mapping[int, Any],
        places: Places = (),
        lines: Collection[Line | Surface] = (),
    ) -> None:
        """`fields` are those of one such graph. `vary` has, for some nodes, the fields with lines
        and arguments. The nodes at `places` have the sizes n and m among their fields; (): no size
        varies. `lines` are those of sizes, which must be positive."""
        super().__init__(fields)
        self._vary = dict(vary)
        distinct = list(dict.fromkeys(self._vary.values()))  # many are equal
        self._distinct = function_of_size(distinct)
        self._places = [(n, distinct.index(line)) for n, line in self._vary.items()]
        self._arguments = [n for n, line in self._vary.items() if _has_argument(line)]
        self._paths = [
            (place, *_path_to_size(self._vary[place], number))
            for number, place in enumerate(places)
        ]
        self._positive = function_of_size(list(lines))

    def sizes_in(self, fields: Fields) -> Sizes:
        """The sizes in these fields, of which the others may be of no graph of the structure.
        Raises TypeError or IndexError where they are not there."""
        sizes = []
        for place, path, start in self._paths:
            n: Any = fields[place]
            for step in path:
                n = n[step]
            sizes.append(n - start)
        return tuple(sizes)

    def sizes_of(self, fields: Fields) -> Sizes | None:
        """As Structure's."""
        if len(fields) != len(self.fields):
            return None
        try:
            sizes = self.sizes_in(fields)
            if min(self._positive(*sizes), default=1) <= 0:
                return None
            distinct, expected = self._distinct(*sizes), self.fields.copy()
            for place, line in self._places:
                expected[place] = distinct[line]
            for place in self._arguments:
                (value, *_), (_, *rest) = cast("Any", fields[place]), cast("Any", expected[place])
                if not may_vary(_float(value)):
                    return None
                expected[place] = value, *rest
        except (TypeError, IndexError, ValueError):  # an entry of another form
            return None
        return sizes if fields == expected else None

    def is_like(self, other: Structure) -> bool:
        """As Structure's."""
        is_of_this = isinstance(other, Varying) and self._vary == other._vary
        return is_of_this and self.sizes_of(other.fields) is not None


def varying_between(
    every: Sequence[Fields],
    sizes: Sequence[Sizes],
    arguments: Places,
    lines: Collection[Line | Surface],
) -> Varying:
    """The structure of graphs that differ as these do, whose fields and sizes are given. The
    constants at the places `arguments` are arguments; `lines` are those of sizes.

    Raises FixedError where the sizes do not explain the differences, or are nowhere themselves.
    """
    fit = line_at(sizes) if len(sizes[0]) == 1 else surface_at(sizes)
    vary: dict[int, Any] = {}
    for place, fields in enumerate(cast("Any", zip(*every, strict=True))):
        if place in arguments:
            argument = Argument(arguments.index(place))
            fields = tuple([(argument, *rest) for _, *rest in fields])
        found = fitted(fields, fit)
        if varies(found):
            vary[place] = found
    places = tuple([_place_of_size(vary, number) for number in range(len(sizes[0]))])
    return Varying(every[-1], vary, places, lines)


def _place_of_size(vary: Mapping[int, Any], number: int) -> int:
    """Where a size is among fields."""
    for place, value in vary.items():
        if _starts_of(value, number):
            return place
    raise FixedError("no size differs")


def with_arguments(fields: Fields, places: Sequence[int]) -> Varying:
    """The structure of graphs with these fields, but for the values of the constants at
    `places`."""
    vary = {}
    for number, place in enumerate(places):
        _, dtype, shape = cast("tuple[Any, ...]", fields[place])
        vary[place] = Argument(number), dtype, shape
    return Varying(fields, vary)


def _path_to_size(value: Any, number: int) -> tuple[tuple[int, ...], int]:
    """The steps that lead to n + start in a nested tuple, and that start: 0, if possible. With the
    number 1, to m + start."""
    starts = _starts_of(value, number)
    if not starts:
        raise FixedError("no size differs")
    start = min(starts, key=abs)
    return starts[start], start


def _starts_of(value: Any, number: int) -> dict[int, tuple[int, ...]]:
    """Where a nested tuple has n + start, or m + start, by start."""
    stack: list[tuple[tuple[int, ...], Any]] = [((), value)]
    starts: dict[int, tuple[int, ...]] = {}
    while stack and 0 not in starts:
        path, found = stack.pop()
        if isinstance(found, tuple):
            stack += [((*path, step), each) for step, each in enumerate(found)]
        elif (start := _start_of(found, number)) is not None:
            starts[start] = path
    return starts


def _start_of(value: Any, number: int) -> int | None:
    """The start of n + start, or of m + start; None for all else."""
    match value, number:
        case (Line(1, start) | Surface(0, Line(1, start)), 0) | (Surface(1, int(start)), 1):
            return start
    return None


def differences(*values: Any) -> Iterator[tuple[int, ...]]:
    """The integers that differ between nested tuples."""
    if isinstance(values[0], tuple):
        for each in zip(*values, strict=True):
            yield from differences(*each)
    elif type(values[0]) is int and len(set(values)) > 1:
        yield values


def _float(bits: bytes) -> float:
    """A float of a key."""
    number: float = struct.unpack("<d", bits)[0]
    return number


def _bits(number: float) -> bytes:
    """The bytes that stand for a float in a key."""
    return struct.pack("<d", number)


def function_of_size(values: Sequence[Any]) -> Callable[..., tuple[Any, ...]]:
    """The function of n, or of n and m, that returns the values with integers in place of lines, as
    fast as can be: it is asked in each step of a program.

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
            case Surface(slope, start):
                terms = [text(x) if varies(x) else str(x) for x in (slope, start)]
                return "({}) * m + {}".format(*terms)
            case Whole(line):
                return f"bits({text(line)})"  # -0.0 is on no line
        return "None"  # an argument

    names = {"constants": constants, "bits": _bits}
    made: Callable[[int], tuple[Any, ...]] = eval(f"lambda n=0, m=0: {text(tuple(values))}", names)
    return made


def _has_argument(value: Any) -> bool:
    """Whether a value of a key is one with an argument, which is its first element then."""
    return isinstance(value, tuple) and bool(value) and isinstance(value[0], Argument)


def positive_at(lines: Collection[Line]) -> range:
    """The sizes at which all lines are positive."""
    first = [-line.start // line.slope + 1 for line in lines if line.slope > 0]
    end = [-(line.start // line.slope) for line in lines if line.slope < 0]
    return range(max(first, default=-sys.maxsize), min(end, default=sys.maxsize))


def at(line: Any, sizes: Sizes) -> Any:
    """An integer, or a shape, of a family at its sizes."""
    if isinstance(line, tuple):
        return tuple([at(each, sizes) for each in line])
    return line.at(*sizes) if isinstance(line, (Line, Surface)) else line


def _along_m(value: Any, n: int) -> Any:
    """A value of a family with lines of m, for one n, in place of surfaces."""
    match value:
        case tuple():
            return tuple([_along_m(each, n) for each in value])
        case Surface():
            return value.along_m(n)
        case Whole(Surface() as surface):
            line = surface.along_m(n)
            return Whole(line) if isinstance(line, Line) else _bits(line)
    return value


def varies(value: Any) -> bool:
    """Whether a value, or one in a nested tuple, differs within a family."""
    if isinstance(value, tuple):
        return any(map(varies, value))
    return isinstance(value, (Line, Surface, Argument, Whole))

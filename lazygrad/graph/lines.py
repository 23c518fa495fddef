"""Lines and surfaces: how the integers of a graph depend on its sizes (sizes.py).

n + 4, 3 * n            a line of one size n
n * m, n + m, 3 * m     a surface of two sizes n and m
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from .skeleton import Sizes


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
        floats = [float_of(value) for value in values]
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
        line = line_through(ns, values)
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


def line_through(ns: Sequence[int], values: Sequence[int]) -> int | Line | None:
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
    line = line_through(ns, values)
    if line is not None:
        return Surface(0, line)
    if isinstance(line := line_through(ms, values), Line):
        return Surface(line.slope, line.start)
    if isinstance(line := line_through(ms, _quotients(values, ns)), Line):
        return Surface(Line(line.slope, 0), line.start and Line(line.start, 0))
    if isinstance(line := line_through(ns, _quotients(values, ms)), Line):
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


def differences(*values: Any) -> Iterator[tuple[int, ...]]:
    """The integers that differ between nested tuples."""
    if isinstance(values[0], tuple):
        for each in zip(*values, strict=True):
            yield from differences(*each)
    elif type(values[0]) is int and len(set(values)) > 1:
        yield values


def float_of(bits: bytes) -> float:
    """A float of a key."""
    number: float = struct.unpack("<d", bits)[0]
    return number


def bits_of(number: float) -> bytes:
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

    names = {"constants": constants, "bits": bits_of}
    made: Callable[[int], tuple[Any, ...]] = eval(f"lambda n=0, m=0: {text(tuple(values))}", names)
    return made


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


def at_n(value: Any, n: int) -> Any:
    """A value of a family with lines of m, for one n, in place of surfaces."""
    match value:
        case tuple():
            return tuple([at_n(each, n) for each in value])
        case Surface():
            return value.along_m(n)
        case Whole(Surface() as surface):
            line = surface.along_m(n)
            return Whole(line) if isinstance(line, Line) else bits_of(line)
    return value


def varies(value: Any) -> bool:
    """Whether a value, or one in a nested tuple, differs within a family."""
    if isinstance(value, tuple):
        return any(map(varies, value))
    return isinstance(value, (Line, Surface, Argument, Whole))


def start_of(value: Any, number: int) -> int | None:
    """The start of n + start, or of m + start; None for all else."""
    match value, number:
        case (Line(1, start) | Surface(0, Line(1, start)), 0) | (Surface(1, int(start)), 1):
            return start
    return None

"""Lines and surfaces: how the integers of a graph depend on its sizes (sizes.py).

An integer is on a *line* of one size n, as n + 4 or 3 * n, or on a *surface* of two sizes n and m,
as n * m, n + m or 3 * m. Where windows are more than one element apart, their number is a
*quotient* of a size. Lines and surfaces may be of quotients in place of sizes:

    (n - 3) // 2 + 1        the windows of 3 elements that start at every second of n
"""

from __future__ import annotations

import math
import struct
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, cast

import numpy as np

from .skeleton import Sizes


class FixedError(Exception):
    """A graph cannot serve other sizes, for the reason given."""


@dataclass(frozen=True, slots=True)
class Quotient:
    """(n + shift) // divisor, for a size n."""

    shift: int = 0
    divisor: int = 1

    def at(self, n: int) -> int:
        """The integer for a size."""
        return (n + self.shift) // self.divisor

    def text(self, n: str) -> str:
        """As Python writes it."""
        return n if self == WHOLE else f"(({n} + {self.shift}) // {self.divisor})"


WHOLE = Quotient()
"""A size itself."""


@dataclass(frozen=True, slots=True)
class Line:
    """slope * n + start, for a size n or a quotient of it; the slope is not 0."""

    slope: int
    start: int
    of: Quotient = WHOLE

    def at(self, n: int) -> int:
        """The integer for a size."""
        return self.slope * self.of.at(n) + self.start

    def times(self, factor: int) -> Line:
        """The multiple of each integer."""
        return Line(self.slope * factor, self.start * factor, self.of)


@dataclass(frozen=True, slots=True)
class Surface:
    """slope * m + start, for a second size m or a quotient of it. Slope and start are integers, or
    lines of n.

    Surface(Line(1, 0), 0) is n * m
    """

    slope: int | Line
    start: int | Line
    of: Quotient = WHOLE

    def at(self, n: int, m: int) -> int:
        """The integer for two sizes."""
        slope, start = at((self.slope, self.start), (n,))
        return cast("int", slope * self.of.at(m) + start)

    def along_n(self, m: int) -> int | Line:
        """The line of n for one m. Raises FixedError where there is none."""
        of = {x.of for x in (self.slope, self.start) if isinstance(x, Line)} or {WHOLE}
        if len(of) > 1:
            raise FixedError("an integer is of two quotients")
        (a, b), (c, d) = (
            (x.slope, x.start) if isinstance(x, Line) else (0, x) for x in (self.slope, self.start)
        )
        m = self.of.at(m)
        return _line(a * m + c, b * m + d, *of)

    def along_m(self, n: int) -> int | Line:
        """The line of m for one n."""
        slope, start = at((self.slope, self.start), (n,))
        return _line(slope, start, self.of)


def _line(slope: int, start: int, of: Quotient = WHOLE) -> int | Line:
    """slope * n + start."""
    return Line(slope, start, of) if slope else start


Lines = tuple[int | Line, ...]  # a shape


@dataclass(frozen=True, slots=True)
class Whole:
    """A float whose value is an integer on a line, such as the n that a mean divides by."""

    line: Line | Surface


@dataclass(frozen=True, slots=True)
class Argument:
    """A float that differs from graph to graph, by its number among the arguments."""

    number: int


Near = Mapping[tuple[int, ...], Line | Surface]
"""By integers, one of each graph, what these are likely to be on."""

NOWHERE: Near = MappingProxyType({})


def fitted(values: Sequence[Any], fit: Fit, near: Near = NOWHERE) -> Any:
    """A value in which lines stand where the values of several graphs differ. What integers of a
    node are likely to be on, `near`, is what those of its inputs are on."""
    first = values[0]
    if all(value == first for value in values[1:]):
        return first
    if isinstance(first, tuple):
        if any(not isinstance(value, tuple) or len(value) != len(first) for value in values):
            raise FixedError(f"{first} became {values[-1]}")
        return tuple([fitted(each, fit, near) for each in zip(*values, strict=True)])
    if isinstance(first, bytes):
        floats = [float_of(value) for value in values]
        if all(number.is_integer() for number in floats):
            if len(set(floats)) == 1:  # 0.0 and -0.0
                raise FixedError("0 became -0")
            found = fit([int(number) for number in floats], near)
            return Whole(cast("Line | Surface", found))
    if type(first) is not int:
        raise FixedError(f"{first} became {values[-1]}")
    return fit(values, near)


def between(first: Any, second: Any, n: int, m: int) -> Any:
    """A value in which lines stand where two values, at the sizes n and m, differ."""
    return fitted((first, second), Fit([(n,), (m,)]))


class Fit:
    """From integers, one of each graph, to the line or surface on which they are."""

    def __init__(self, sizes: Sequence[Sizes]) -> None:
        """`sizes` are those of each graph."""
        self.sizes = [*zip(*sizes, strict=True)]
        self._quotients = [[WHOLE] for _ in self.sizes]  # those that integers may follow, by size

    def __call__(self, values: Sequence[int], near: Near = NOWHERE) -> int | Line | Surface:
        """Raises FixedError where they are on none. `near` is as in `fitted`."""
        if (line := near.get(tuple(values))) is not None:
            return line
        if len(self.sizes) == 1:
            found: int | Line | Surface | None = self._line(0, values)
        else:
            found = self._surface(values)
        if found is None:
            sizes = " and ".join(map(_text, self.sizes))
            raise FixedError(f"{_text(values)} where the sizes {sizes}")
        return found

    @property
    def has_quotients(self) -> bool:
        """Whether integers may follow quotients, which few graphs may tell wrongly."""
        return any(len(quotients) > 1 for quotients in self._quotients)

    @property
    def period(self) -> int:
        """After how many steps of n all quotients of it have the same remainders again."""
        return math.lcm(*(quotient.divisor for quotient in self._quotients[0]))

    def quotient(self, value: Any, shift: int, divisor: int) -> Line | Surface | None:
        """(value + shift) // divisor, for a line or a surface. Other integers may follow it. None
        where it is no quotient of a size."""
        match value:
            case Line(1, start, of) | Surface(0, Line(1, start, of)):
                number = 0
            case Surface(1, int(start), of):
                number = 1
            case _:
                return None
        start, shift = divmod(of.shift + of.divisor * (start + shift), divisor * of.divisor)
        new = Quotient(shift, divisor * of.divisor)
        if new not in self._quotients[number]:
            self._quotients[number].append(new)
        line = Line(1, start, new)
        if len(self.sizes) == 1:
            return line
        return Surface(1, start, new) if number else Surface(0, line)

    def _line(self, number: int, values: Sequence[int]) -> int | Line | None:
        """The line of a size, or of a quotient of it, on which the values are. Of several one that
        is likely: few graphs do not tell (n + 1) // 2 from n - 16, or n + 2 from
        2 * ((n + 1) // 2) + 1."""
        ways: list[Line] = []
        for of in self._quotients[number]:
            found = line_through([of.at(n) for n in self.sizes[number]], values)
            if isinstance(found, int):
                return found
            if found is not None:
                ways.append(Line(found.slope, found.start, of))
        return min(
            ways, key=lambda line: (line.start != 0, line.slope != 1, abs(line.start)), default=None
        )

    def _surface(self, values: Sequence[int]) -> Surface | None:
        """The simplest surface on which the values are: a line of one size, the product of one size
        and a line of the other, a sum of multiples; and if four graphs tell, a sum with a multiple
        of n * m."""
        if (line := self._line(0, values)) is not None:
            return Surface(0, line)
        if isinstance(line := self._line(1, values), Line):
            return Surface(line.slope, line.start, line.of)
        ns, ms = self.sizes
        for of in self._quotients[0]:
            line = self._line(1, _divided(values, [of.at(n) for n in ns]))
            if isinstance(line, Line):
                slope, start = (_line(x, 0, of) for x in (line.slope, line.start))
                return Surface(slope, start, line.of)
        for of in self._quotients[1]:
            line = self._line(0, _divided(values, [of.at(m) for m in ms]))
            if isinstance(line, Line):
                return Surface(line, 0, of)
        return _sum_of_multiples(ns, ms, values)


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


def _sum_of_multiples(
    ns: Sequence[int], ms: Sequence[int], values: Sequence[int]
) -> Surface | None:
    """a + b * n + c * m, and of four graphs + d * n * m, with whole factors; None where the values
    are on no such surface."""
    products = [n * m for n, m in zip(ns, ms, strict=True)]
    terms = np.stack([np.ones(len(ns)), ns, ms, products], 1, dtype=float)
    for count in (3, 4)[: len(ns) - 2]:
        found = np.linalg.lstsq(terms[:, :count], np.array(values, float))[0]
        start, of_n, of_m, of_both = [*map(round, found.tolist()), 0][:4]
        surface = Surface(_line(of_both, of_m), _line(of_n, start))
        if [surface.at(n, m) for n, m in zip(ns, ms, strict=True)] == list(values):
            return surface
    return None


def _divided(values: Sequence[int], sizes: Sequence[int]) -> list[int]:
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
            case Line(slope, start, of):
                return f"{slope} * {of.text('n')} + {start}"
            case Surface(slope, start, of):
                terms = [text(x) if varies(x) else str(x) for x in (slope, start)]
                return f"({terms[0]}) * {of.text('m')} + {terms[1]}"
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
        case ((Line(1, start, of) | Surface(0, Line(1, start, of))), 0) | (
            Surface(1, int(start), of),
            1,
        ) if of == WHOLE:
            return start
    return None

"""Families: graphs that differ in one size, or in two.

    relu(x[37, 64] @ w), then relu(x[38, 64] @ w)   ->   relu(x[n, 64] @ w)

Two graphs of the same operations make a *family* if they differ only in integers of their shapes.
One such integer is n, that which differs least: the size of a leaf's axis, if possible, or another
one, as the start of a slice. Each other is a *line*, slope * n + start, which two graphs determine.
A third graph is of the family exactly if all its integers are on the lines: nothing is assumed of
the program that made it. Floats that differ become arguments.

Where two sizes n and m vary independently, integers are on *surfaces*, as n, m + 1 or n * m. Three
graphs determine these. No size shrinks where n and m grow, if there are two such sizes.

at_bound.py makes the graph that serves the whole family, at_bounds.py that for two sizes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Container, Hashable, Iterator, Mapping, Sequence
from copy import copy
from typing import Any, cast

from .choose_sizes import found_sizes
from .constants import free_constants, may_vary
from .ir import (
    Buffer,
    Const,
    Expand,
    Fold,
    InRange,
    Iota,
    Node,
    Pad,
    RandomBits,
    Recurrence,
    Reshape,
    Slice,
    Step,
    StepInput,
    Window,
    loops_of,
)
from .lines import (
    Argument,
    Fit,
    FixedError,
    Line,
    Surface,
    at,
    at_n,
    fitted,
    float_of,
    function_of_size,
    start_of,
    varies,
)
from .skeleton import Fields, Places, Sizes, Structure
from .structure import Key, described

SIZED = (
    Buffer, Const, Expand, Fold, InRange, Iota, Pad, RandomBits, Recurrence, Reshape, Slice,
    StepInput,
)  # fmt: skip
"""The nodes whose fields have numbers that may differ within a family."""

NEAR = 4
"""How far from a multiple of n an integer may be that is taken to follow from n. One further away
is on a line of two graphs by chance."""


# --------------------------------------------------------------------------- samples


class Sample:
    """The fields and shapes of one graph, in the order of its nodes. It keeps no node alive."""

    def __init__(self, key: Key, nodes: Sequence[Node]) -> None:
        """`key` is the graph's key (structure.Walk); `nodes` are its nodes, in the key's order."""
        parts = [_parts(entry) for entry in cast("Sequence[tuple[Any, ...]]", key[:-1])]
        self.walked = [fields for _, fields, _ in parts]
        """The fields of the graph's own nodes, as its walk has them. The nodes of steps of loops
        follow these."""
        nodes = [*nodes, *_add_steps(parts, nodes)]
        self.outputs = cast("tuple[int, ...]", key[-1])
        self.classes = [cls for cls, *_ in parts]
        self.fields: list[Any] = [fields for _, fields, _ in parts]
        self.inputs = [places for *_, places in parts]
        self.leaves = tuple(n for n, (cls, *_) in enumerate(parts) if cls is Buffer)
        self.shapes = [node.shape for node in nodes]
        self.dtypes = [node.dtype for node in nodes]
        self.free = frozenset(free_constants(nodes[: len(self.walked)]))
        """The places of possible arguments."""
        same = [(cls, masked(f) if cls in SIZED else f, places) for cls, f, places in parts]
        self.form: Key = (*same, self.outputs)
        """The key without the values of numbers: graphs of a family share it."""


def _add_steps(parts: list[Part], nodes: Sequence[Node]) -> list[Node]:
    """Add the nodes of the steps of loops to `parts`, which are those of `nodes`, and return them.
    In place of its step, a loop has the places of the states and the value in it, as text."""
    added: list[Node] = []
    loops = loops_of(nodes, {n for n, (cls, *_) in enumerate(parts) if cls is Buffer})
    number = {node: n for n, node in enumerate(nodes)} if loops else {}
    for loop in loops:
        place = dict(zip(loop.order, loop.places, strict=True))
        for value in loop.values:
            cls, (step, *rest), places = cast("Any", parts[number[value]])
            roots = [place[x] for x in step.roots]
            parts[number[value]] = cls, (f"step of {roots}", *rest), places
        for node in loop.order:
            parts.append((type(node), described(node), tuple([place[x] for x in node.inputs])))
        added += loop.order
    return added


Part = tuple[type[Node], Hashable, Places]


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
        shapes = list(zip(*(sample.shapes for sample in samples), strict=True))
        self.places: Places = ()
        if sizes is None:
            counts = any(map(_counted, first.classes, first.fields))
            own = len(first.walked)
            axes = [set(zip(*each, strict=True)) for each in shapes[:own]]
            are_two = len(samples) > 2
            self.places, sizes = found_sizes(
                every[:own], axes, first.classes[:own], self.leaves, are_two, counts
            )
        self.fit = fit = Fit(sizes)
        self._set_shapes(_fitted_shapes(fit, first, shapes))
        self.arguments: list[int] = []
        free = frozenset.intersection(*(sample.free for sample in samples))
        self.fields: list[Any] = []
        for place, fields in every:
            values = {value for value, *_ in fields} if place in free else ()
            if place in free and (len(values) > 1 or place in varying):
                argument = Argument(len(self.arguments))
                self.arguments.append(place)
                fields = tuple([(argument, *rest) for _, *rest in fields])
            near = _near((place, *first.inputs[place]), self.shapes, shapes)
            self.fields.append(fitted(fields, fit, near))
        self.sizes = sizes
        if self.places:
            last = samples[-1]
            vary = {place: fields for place, fields in enumerate(self.fields) if varies(fields)}
            self.pattern = Varying(last.fields, vary, self.places, self.lines)
            """What all samples of the family have."""
            self.structure: Structure = self.structure_of(last.walked)

    def _set_shapes(self, shapes: list[Any]) -> None:
        self.shapes = shapes
        self.lines = {n for shape in shapes for n in shape if isinstance(n, (Line, Surface))}
        self._counts = Counter(shapes)

    def structure_of(self, fields: Fields) -> Structure:
        """The structure of the family's graphs whose loops have the steps that stand in `fields`, a
        walk's."""
        if len(fields) == len(self.fields):  # there are no loops
            return self.pattern
        vary: dict[int, Any] = {}
        for place, own in enumerate(fields):
            lines = self.fields[place]
            if isinstance(own, tuple) and own and isinstance(own[0], Step):
                lines = (own[0], *lines[1:])
            if varies(lines):
                vary[place] = lines
        return Varying(fields, vary, self.places, self.lines)

    def along_m(self, n: int) -> Family:
        """The graphs of this family that have one n: they differ in m."""
        made = copy(self)
        made.fields = [at_n(fields, n) for fields in self.fields]
        made._set_shapes([at_n(shape, n) for shape in self.shapes])
        return made

    @property
    def lead(self) -> Sizes:
        """How much larger than n the largest size is that grows with n, and the same of m."""
        leads = [0] * len(self.sizes[0])
        for line in self.lines:
            for number in range(len(leads)):
                leads[number] = max(leads[number], start_of(line, number) or 0)
        return tuple(leads)

    @property
    def is_likely(self) -> bool:
        """Whether the graphs suffice to believe in this family. Sizes of inputs that differ by
        different amounts may vary independently, and be on a line by chance; but hardly on one
        through 0, as that of the targets of a batch of sequences, which are rows * n. Nor are other
        integers that follow from n, as rows * (n - 1), and not from another size. Two graphs are
        too few for quotients."""
        if self.fit.has_quotients and len(self.fit.sizes) == 1:
            return False
        leaves = all(_is_likely(n) for place in self.leaves for n in self.shapes[place])
        return leaves and all(_follows(line) for fields in self.fields for line in _lines(fields))

    def elements(self, sizes: Sizes) -> int:
        """How many elements all nodes have at these sizes. The work is roughly in proportion."""
        return sum(count * math.prod(at(each, sizes)) for each, count in self._counts.items())


def _fitted_shapes(fit: Fit, first: Sample, every: Sequence[Any]) -> list[Any]:
    """The shapes of nodes, with lines. `every` has those in all graphs, `first` is one of these."""
    counts = [_counted(*each) for each in zip(first.classes, first.fields, strict=True)]
    if not any(counts):
        return [fitted(shapes, fit) for shapes in every]
    found: list[Any] = []
    for is_last in (False, True):  # a quotient may be noted after integers that follow it
        found.clear()
        for place, shapes in enumerate(every):
            near = _near(first.inputs[place], found, every)
            for axis, shift, divisor in counts[place]:
                (x,) = first.inputs[place]
                if (count := fit.quotient(found[x][axis], shift, divisor)) is not None:
                    near[tuple([shape[axis] for shape in shapes])] = count
            try:
                found.append(fitted(shapes, fit, near))
            except FixedError:
                if is_last:
                    raise
                found.append(shapes[0])
    return found


def _near(
    places: Places, found: Sequence[Any], every: Sequence[Any]
) -> dict[tuple[int, ...], Line | Surface]:
    """What the sizes of nodes are on, by these sizes in all graphs."""
    pairs = [
        pair
        for place in places
        for pair in zip(zip(*every[place], strict=True), found[place], strict=True)
    ]
    return {sizes: line for sizes, line in pairs if varies(line)}


def _counted(cls: type[Node], fields: Any) -> list[tuple[int, int, int]]:
    """The axes along which a node takes windows, or elements, that are more than one element apart:
    the axis, and the shift and the divisor by which their number follows from the axis's size."""
    if cls is Window:
        axis, size, stride, dilation = fields
        return [(axis, stride - (size - 1) * dilation - 1, stride)] if stride > 1 else []
    if cls is Slice:
        starts, _, steps = fields
        pairs = enumerate(zip(starts, steps, strict=True))
        return [(axis, step - 1 - start, step) for axis, (start, step) in pairs if step > 1]
    return []


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


def _follows(line: Line) -> bool:
    """Whether an integer on a line is likely to follow from n: 10 - n, 2 * n + 1, 8 * (n - 1)."""
    slope, start = line.slope, line.start
    if start % slope == 0:
        start //= slope
    return abs(slope) == 1 or abs(start) <= NEAR


def _lines(value: Any) -> Iterator[Line]:
    """The lines of n in a nested tuple."""
    if isinstance(value, tuple):
        for each in value:
            yield from _lines(each)
    elif isinstance(value, Line):
        yield value


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
                if not may_vary(float_of(value)):
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
    fit = Fit(sizes)
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
        elif (start := start_of(found, number)) is not None:
            starts[start] = path
    return starts


def _has_argument(value: Any) -> bool:
    """Whether a value of a key is one with an argument, which is its first element then."""
    return isinstance(value, tuple) and bool(value) and isinstance(value[0], Argument)

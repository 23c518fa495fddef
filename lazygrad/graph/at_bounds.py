"""One graph for all pairs of sizes of a family (sizes.py): the graph at two bounds.

    softmax(q[n, 64] @ k[m, 64].T)   ->   softmax(q[128, 64] @ k[256, 64].T), and counts n and m

One size at a time is brought to its bound, as at_bound.py does it. The graphs that have one n
differ in m alone. So they have a graph at the bound M of m, with a count m. Its numbers depend on
n. Three such graphs tell how: they are of a family again, in which n varies. Of windows that are
4 elements apart, it takes four graphs in a row, and another one.

    x[n, m]   ->   x[63, 256], x[124, 256], x[125, 256]   ->   x[128, 256]
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from contextlib import nullcontext, suppress
from math import prod
from typing import Any, cast

from ..errors import ShapeError
from ..origin import inherit
from .at_bound import AtBound
from .blocks import Blocks, part
from .ir import Buffer, Const, Node, Recurrence, Shape, Step, loops_of
from .lines import (
    WHOLE,
    Fit,
    FixedError,
    Line,
    Lines,
    Surface,
    at,
    fitted,
    function_of_size,
    varies,
)
from .sizes import Family, Sample
from .skeleton import Places, Sizes
from .structure import Slot, Walk, with_described

AWAY = (1, 2, 3, 5, 8)
"""How far from the bounds the graphs are made that tell how n varies. Where a size is equal to
another number of the program, two nodes may be one, and nothing can be told. Where the largest
sizes do not go together, as a slice's start and length, the graphs are of sizes as far from small
ones."""

MAX_PERIOD = 32
"""How many graphs in a row are made, at most, where windows are more than one element apart."""


class AtBounds:
    """A family's graph at two bounds. `outputs`, `shapes` and `slots` are as AtBound's; the last
    slots are a count n and a count m."""

    def __init__(
        self, family: Family, nodes: Sequence[Node], bounds: Sizes, device: str | None = None
    ) -> None:
        """As AtBound's."""
        self._device = device
        count = max(2, family.fit.period)  # graphs in a row, which tell of every remainder
        if count > MAX_PERIOD:
            raise FixedError(f"strides repeat every {count} elements only")
        n, m = bounds
        near = [
            ((n // 2 - x, *range(n - 2 * x - count, n - 2 * x)), m - x - 1)
            for x in AWAY
            if 0 < n // 2 - x < n - 2 * x - count
        ]
        n, m = map(min, zip(*family.sizes, strict=True))
        small = [
            ((n + 2 * x + count + 1, *range(n + x, n + x + count)), m + 2 * x + count) for x in AWAY
        ]
        for every in near, small:
            with suppress(ShapeError, _NoneError) if every is near else nullcontext():
                for ns, start in every:
                    with suppress(_MergedError):
                        self._make(family, nodes, bounds, ns, start)
                        return
        raise FixedError("two sizes vary, and the graph is another one at other sizes")

    def _make(
        self, family: Family, nodes: Sequence[Node], bounds: Sizes, ns: Sizes, start: int
    ) -> None:
        """Make the graph from those for some n, which are first made for the m `start`."""
        n, m = bounds
        shapes: dict[int, list[Lines]] = {}  # of the outputs, by n
        samples: list[Sample] = []
        for each in ns:
            at_m = self._at_last_bound(family, nodes, (each, start), m)
            walk = Walk()
            walk.walk(at_m.outputs)
            samples.append(Sample(walk.key(at_m.outputs), walk.nodes))
            # its numbers are no arguments, but follow from n
            samples[-1].free = frozenset()
            shapes[each] = at_m.shapes
        if any(sample.form != samples[0].form for sample in samples):
            raise _MergedError
        found = Family(*samples, sizes=[(each,) for each in shapes])
        made = AtBound(found, walk.nodes, at_m.outputs, n, device=self._device)
        self.outputs = made.outputs
        self.shapes: list[Any] = [
            _split(_surfaces(every, found.fit), blocks, m)
            for *every, blocks in zip(*shapes.values(), made.blocks, strict=True)
        ]
        for output, shape in zip(self.outputs, self.shapes, strict=True):
            if at(shape, bounds) != output.shape:
                raise FixedError(f"an output has another shape at {bounds}: {output.shape}")
        slots = dict(zip(walk.leaves, made.slots, strict=False))
        *others, count = at_m.slots
        of_slots = [family.shapes[place] for place in family.leaves] + [()] * len(family.arguments)
        self.slots: list[Buffer] = [
            slots.get(slot) or _slot(at(shape, bounds), slot)
            for slot, shape in zip(others, of_slots, strict=True)
        ]
        self.slots += (made.slots[-1], slots.get(count) or count)

    def _at_last_bound(
        self, family: Family, nodes: Sequence[Node], sizes: Sizes, bound: int
    ) -> AtBound:
        """The graph at a bound of m, for one n."""
        found = graph_at(family, nodes, sizes)
        outputs = [found[n] for n in family.outputs]
        return AtBound(family.along_m(sizes[0]), found, outputs, bound, device=self._device)


class _NoneError(FixedError):
    """A family has no graph of these sizes."""


class _MergedError(Exception):
    """Two nodes of a graph are one at these sizes."""


def graph_at(family: Family, nodes: Sequence[Node], sizes: Sizes) -> list[Node]:
    """The graph of a family at these sizes. `nodes` are those of any graph of the family, in order.

    Raises FixedError where it has none, ShapeError where an operation has no meaning there.
    """
    if any(line.at(*sizes) <= 0 for line in family.lines):
        raise _NoneError(f"there is no graph at {sizes}")
    every = function_of_size(family.fields)(*sizes)
    made: dict[Node, Node] = {}
    distinct: set[Hashable] = set()  # calls may build a node twice (ir/deferred.py)
    steps = _steps_at(nodes, every, family.leaves)
    for place, (node, fields) in enumerate(zip(nodes, every, strict=False)):
        shape: Shape = at(family.shapes[place], sizes)
        name: Hashable = place
        if place in family.leaves:
            new: Node = _slot(shape, node)
        elif place in family.arguments:
            new = Const(cast(Const, node).value, node.dtype, shape)
        else:
            inputs = [made[x] for x in node.inputs]
            if isinstance(node, Recurrence):
                fields = steps[node], *fields[1:]
            new = with_described(node, fields, inputs)
            name = type(node), family.fields[place], *inputs
        if new.shape != shape:
            raise FixedError(f"{node.name} has another shape at {sizes}: {new.shape}")
        inherit(new, node)
        made[node] = new
        distinct.add(name)
    if len(set(made.values())) < len(distinct):
        raise _MergedError
    return list(made.values())


def _steps_at(nodes: Sequence[Node], every: Sequence[Any], leaves: Places) -> dict[Node, Step]:
    """The steps of the loops in a family's graph at some sizes. `every` are the fields there, of
    the graph's nodes and then of the steps'. `leaves` are the places of the graph's leaves."""
    found: dict[Node, Step] = {}
    for loop in loops_of(nodes, leaves):
        new: dict[Node, Node] = {}
        for node, place in zip(loop.order, loop.places, strict=True):
            new[node] = with_described(node, every[place], [new[x] for x in node.inputs])
            inherit(new[node], node)
        for value in loop.values:
            found[value] = Step.of(new[x] for x in value.step.roots)
    return found


def _slot(shape: Shape, like: Node) -> Buffer:
    """A leaf of this shape."""
    return Buffer(Slot(prod(shape), like.dtype, str(like.device)), shape)


def _surfaces(every: Sequence[Lines], fit: Fit) -> list[Any]:
    """A shape with surfaces. For the sizes n of `fit` it is a shape with lines of m, of `every`."""
    terms = [
        tuple([(x.slope, x.start, x.of) if isinstance(x, Line) else (0, x, WHOLE) for x in shape])
        for shape in every
    ]
    found = fitted(terms, fit)
    return [Surface(*each) if varies(each) or each[0] else each[1] for each in found]


def _split(shape: Sequence[Any], blocks: Blocks, bound: int) -> Lines:
    """A shape with two axes for each axis of several blocks along which n varies, at the bound of
    m. There may be one for each m: n * m is m blocks of n."""
    split: list[Any] = []
    for surface, count in zip(shape, blocks, strict=True):
        match surface:
            case Surface(0, Line() as line) if count > 1:
                split += (count, Surface(0, part(line, count)))
            case Surface() if count > 1:
                line_of_n = surface.along_n(bound)
                if not isinstance(line_of_n, Line):
                    raise FixedError("both sizes vary along blocks of one axis")
                inner = part(line_of_n, count)
                split += (_quotient(surface, inner), Surface(0, inner))
            case _:
                split.append(surface)
    return tuple(split)


def _quotient(surface: Surface, line: Line) -> Surface:
    """What a line of n is multiplied with to give a surface: a line of m."""
    slope, start = (_times(each, line) for each in (surface.slope, surface.start))
    if slope is None or start is None:
        raise FixedError("both sizes vary along blocks of one axis")
    return Surface(slope, start, surface.of)


def _times(value: int | Line, line: Line) -> int | None:
    """How often a line is in an integer, 0, or in another line; None if not a number of times."""
    if not isinstance(value, Line):
        return None if value else 0
    times = value.slope // line.slope
    return times if line.times(times) == value else None

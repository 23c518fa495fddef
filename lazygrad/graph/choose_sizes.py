"""Which integers of graphs are the sizes that the others follow (sizes.py).

Of one size, the others are multiples. Of two sizes, no other one shrinks where they grow:

    x.roll(s, 0)      n rows, s of them, n - s of them   ->   n + m, n, m
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any

from .ir import Node, Pad, Slice
from .lines import Fit, FixedError, Line, Surface, differences, line_through
from .skeleton import Places, Sizes

MAX_WAYS = 6
"""How many integers are tried, in pairs, as the two sizes that others follow."""


def found_sizes(
    every: Sequence[tuple[int, Any]],
    axes: Sequence[set[tuple[int, ...]]],
    classes: Sequence[type[Node]],
    leaves: Places,
    are_two: bool,
    counts: bool,
) -> tuple[Places, list[Sizes]]:
    """The places of the nodes that have the sizes among their fields, and the sizes of each graph.
    `every` has the fields of each node in all graphs, `axes` the sizes of each node's axes: of what
    is left of an axis behind a start, n is the size and not the start. `classes` are those of the
    nodes. `counts`: some integers are quotients.

    Raises FixedError where no size differs, or of two sizes only one.
    """
    found = [
        (max(values) - min(values), place not in leaves, place, values)
        for place, fields in every
        for values in sorted(differences(*fields), key=lambda each: each not in axes[place])
    ]
    if not found:
        raise FixedError("no size differs")
    # the others are multiples of the least difference; a leaf's size, if possible
    leaves_first = are_two or counts
    found.sort(key=lambda each: (each[1], each[0], each[2]) if leaves_first else each[:3])
    *_, first, ns = found[0]
    if not are_two:
        return (first,), [(n,) for n in ns]
    others = [each for each in found if line_through(ns, each[-1]) is None]
    *_, second, ms = (others or found)[0]
    if not counts:
        first, ns = _finest(ns, found)
        second, ms = _finest(ms, found)
    if ms is ns:
        raise FixedError("one size differs alone")
    sizes: list[Sizes] = list(zip(ns, ms, strict=True))
    return _that_grow((first, second), sizes, every, axes, classes, counts)


def _that_grow(
    places: Places,
    sizes: list[Sizes],
    every: Sequence[tuple[int, Any]],
    axes: Sequence[set[tuple[int, ...]]],
    classes: Sequence[type[Node]],
    counts: bool,
) -> tuple[Places, list[Sizes]]:
    """These two sizes, at these places, if no other one shrinks where they grow. Else two others
    of which that is true: of n rows, m of them, and the n - m that are left, these are the last
    two. The first is not the larger one in all graphs: there may be no graph where it is.

    The rest is as in `found_sizes`. What a Pad adds must not shrink, either. The start of a slice
    should not, if there are such sizes.
    """
    distinct: dict[tuple[int, ...], int] = {}
    must = {values for own in axes for values in own if len(set(values)) > 1}
    should = must.copy()
    for (place, fields), cls in zip(every, classes, strict=True):
        for values in differences(*fields):
            is_size = values in axes[place] or cls is Pad
            if is_size or cls is Slice:
                distinct.setdefault(values, place)
                should.add(values)
                must.update([values] if is_size else ())
    found = [(places, sizes)]
    for ns, ms in combinations(_independent(distinct), 2):
        if line_through(ns, ms) is None:
            found.append(((distinct[ns], distinct[ms]), list(zip(ns, ms, strict=True))))
    ways = ((way, others) for others in (should, must) for way in found)
    best = next((way for way, others in ways if _grow(way[1], others, counts)), found[0])
    if all(n >= m for n, m in best[1]):
        return best[0][::-1], [each[::-1] for each in best[1]]
    return best


def _independent(sizes: Iterable[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """The first sizes, in all graphs, of which none is another one's multiple and a constant."""
    found: list[tuple[int, ...]] = []
    for each in sorted(sizes, key=lambda values: max(values) - min(values)):
        lines = [line_through(other, each) for other in found]
        if not any(isinstance(line, Line) and line.slope > 0 for line in lines):
            found.append(each)
    return found[:MAX_WAYS]


def _grow(sizes: Sequence[Sizes], others: Iterable[tuple[int, ...]], counts: bool) -> bool:
    """Whether all other sizes, in all graphs, are on surfaces and do not shrink where two sizes
    grow. `counts`: those on no surface may follow a quotient."""
    fit = Fit(sizes)
    for values in others:
        try:
            surface = fit(values)
        except FixedError:
            if not counts:
                return False
            continue
        match surface:
            case Surface(Line(slope) | int(slope)) if slope < 0:
                return False
            case Surface(_, Line(slope)) if slope < 0:
                return False
    return True


def _finest(
    values: Sequence[int], found: Sequence[tuple[int, bool, int, tuple[int, ...]]]
) -> tuple[int, tuple[int, ...]]:
    """The size of which these values are a multiple, and its place: where an axis of 2 * n elements
    is cut in halves, that is n."""
    same = (each for each in found if isinstance(line_through(each[-1], values), Line))
    *_, place, size = min(same, key=lambda each: each[:3])
    return place, size

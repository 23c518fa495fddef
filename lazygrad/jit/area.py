"""Replays for pairs of sizes between captured ones.

Where two sizes vary independently, as those of a source and of a target, captures are points of a
plane. A call whose point lies in their convex hull needs no capture: what a function asks of sizes
is linear in them (sizes.py), so an answer that all captures have is the answer everywhere in the
hull.

When a few captures agree, the function is captured ahead of the calls (ahead.py) at the corners of
the rectangle around them, which is the hull then.

    captured at (17, 40), (60, 20), (33, 64), (50, 31)
    ahead    at (17, 20), (17, 64), (60, 20), (60, 64)      a call at (44, 37) is between these
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from itertools import product
from math import gcd
from typing import Any, cast

from ..graph.lines import Fit, FixedError, Surface, fitted, function_of_size, varies
from ..graph.sizes import Varying
from ..questions import Question
from ..runtime.sized import SizedPlan
from .between import MAX_MISSED, AtSize, Point, Sizes
from .environment import Resized
from .replay import Replay

ENOUGH = 4  # captures that agree
MAX_CAPTURES = 64  # of one area: a new one must agree with each


class Area:
    """Captures, for arguments of one form, that agree and whose plan serves two sizes."""

    serves_two = True

    def __init__(self, first: AtSize) -> None:
        self._captures = {_sizes(first): first}
        self._missed: set[Point] = set()  # at which a capture ahead does not agree
        self._is_closed = False  # to other captures
        self._numbers: Any = None  # `numbers` with surfaces
        self._numbers_at: Callable[..., tuple[Any, ...]] = function_of_size(())
        self._kinds: Varying | None = None  # of the arguments
        self.is_fixed_outside = True  # whether the sizes outside are the same in all captures

    @property
    def _first(self) -> AtSize:
        return next(iter(self._captures.values()))

    @property
    def questions(self) -> Sequence[Question]:
        """What captures ask of sizes."""
        return self._first.questions

    def takes(self, new: AtSize) -> bool:
        """Add a capture, if it agrees."""
        if self._is_closed or not self._first.is_like(new) or not self._agrees(new):
            return False
        self._captures[_sizes(new)] = new
        self._is_closed = len(self._captures) == MAX_CAPTURES
        return True

    def _agrees(self, new: AtSize) -> bool:
        """Whether a capture agrees with all others, and is on their surfaces."""
        if not all(each.agrees(new) for each in self._captures.values()):
            return False
        every = [*self._captures.values(), new]
        points = list(map(_sizes, every))
        if self._numbers is None and len(set(points)) >= ENOUGH:
            try:
                self._set_numbers(every, points)
            except FixedError:
                self._is_closed = True
                return False
        return self._numbers is None or self._numbers_at(*_sizes(new)) == new.numbers()

    def _set_numbers(self, every: Sequence[AtSize], points: Sequence[Point]) -> None:
        """Find the surfaces on which the numbers of captures are. What Python asks of must be
        linear. Raises FixedError where there are none."""
        numbers = fitted([each.numbers() for each in every], Fit(points))
        kind, (_, passed, items, outside), *_, read = numbers
        if not _is_linear((passed, items, outside, read)):
            raise FixedError("a product of two sizes is read")
        self._kinds = Varying([(every[-1].kind, every[-1].sizes[-1])], {0: (kind, outside)}, (0, 0))
        self._numbers, self._numbers_at = numbers, function_of_size(numbers)
        self.is_fixed_outside = not varies(outside)

    def replay_for(self, kind: Hashable) -> Replay | None:
        """The replay for arguments of a kind, at a point in the hull."""
        first = self._first
        outside = first.outside_now(self.is_fixed_outside) if self._kinds else None
        if self._kinds is None or outside is None:
            return None
        sizes = self._kinds.sizes_of([(kind, outside)])
        if sizes is None or not self._covers(sizes):
            return None
        plan = cast(SizedPlan, first.plan).compiled.known(sizes)
        if plan is None or plan.taken != first.plan.taken:
            return None
        _, _, *others, _ = self._numbers_at(*sizes)
        return first.at(plan, outside, *others)

    def _covers(self, sizes: Point) -> bool:
        """Whether a point is in the hull of the captured ones, and as far from them, along both
        axes, as these are from each other: by a multiple of the divisor of their distances."""
        axes = list(zip(*self._captures, strict=True))
        for n, captured in zip(sizes, axes, strict=True):
            step = gcd(*(each - captured[0] for each in captured))
            if not min(captured) <= n <= max(captured) or (n - captured[0]) % (step or 1):
                return False
        has_corners = all(corner in self._captures for corner in self._corners())
        return has_corners or is_in_hull(sizes, list(self._captures))

    def _corners(self) -> list[Point]:
        """The corners of the rectangle around the captured points."""
        axes = zip(*self._captures, strict=True)
        return list(product(*({min(axis), max(axis)} for axis in axes)))

    # ------------------------------------------------------------------ captures ahead

    @property
    def is_growing(self) -> bool:
        """Whether one more capture may lead to others ahead of the calls."""
        is_open = not self._is_closed and len(self._missed) < MAX_MISSED
        return is_open and len(self._captures) >= ENOUGH - 1

    def ahead(self) -> tuple[Point, Hashable, Sizes, Resized] | None:
        """As Span's: a corner of the rectangle around the captured points."""
        if self._kinds is None or not self.is_growing:
            return None
        for corner in self._corners():
            is_known = cast(SizedPlan, self._first.plan).compiled.known(corner) is not None
            if corner in self._captures or corner in self._missed or not is_known:
                continue
            kind, sizes, *_ = self._numbers_at(*corner)
            environment = self._first.replay.environment
            resized = environment.resized(sizes[-1])
            if not (resized.shapes and environment.views):
                return corner, kind, sizes, resized
        return None

    def takes_ahead(self, sizes: Point, new: AtSize | None) -> None:
        """Add a capture ahead of the calls, if it agrees with the others. None: the function cannot
        be captured there."""
        is_like = new is not None and self._first.is_like(new) and self._agrees(new)
        if new is None or not is_like or _sizes(new) != sizes:
            self._missed.add(sizes)
        else:
            self._captures[sizes] = new


def _sizes(capture: AtSize) -> Point:
    """The point of a capture."""
    return capture.plan.sizes if isinstance(capture.plan, SizedPlan) else ()


def _is_linear(value: Any) -> bool:
    """Whether no surface in a nested tuple has a product of both sizes."""
    if isinstance(value, tuple):
        return all(map(_is_linear, value))
    return not isinstance(value, Surface) or isinstance(value.slope, int)


def is_in_hull(point: Point, points: Sequence[Point]) -> bool:
    """Whether a point of the plane is in the convex hull of others.

    It is not if the others, seen from it, are within less than half a turn: if from one of them all
    are found to the left.
    """
    x, y = point
    around = [(a - x, b - y) for a, b in points]
    if (0, 0) in around:
        return True
    return not any(
        all(a * d - b * c > 0 or (a * d == b * c and a * c + b * d > 0) for c, d in around)
        for a, b in around
    )

"""A line search: a step along a direction that satisfies the strong Wolfe conditions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
C1, C2 = 1e-4, 0.9

Point = tuple[float, float, Array, float]  # place, value, gradient, slope along the direction


class _Line:
    """A line through the parameters, and what a good place on it is (Nocedal and Wright 2006)."""

    def __init__(
        self, at: Callable[[float], tuple[float, Array]], direction: Array, start: Point
    ) -> None:
        self.at, self.direction, self.start = at, direction, start
        self.evaluations = 0

    def look(self, place: float) -> Point:
        """Evaluate a place."""
        self.evaluations += 1
        value, gradient = self.at(place)
        return place, value, gradient, float(gradient @ self.direction)

    def falls_too_little(self, point: Point) -> bool:
        """Whether the value falls by less than C1 of what the slope at the start promises."""
        return point[1] > self.start[1] + C1 * point[0] * self.start[3]

    def is_flat(self, point: Point) -> bool:
        """Whether the slope is at most C2 of what it is at the start."""
        return abs(point[3]) <= -C2 * self.start[3]


def strong_wolfe(
    at: Callable[[float], tuple[float, Array]],
    t: float,
    direction: Array,
    value: float,
    gradient: Array,
    slope: float,
    tolerance: float,
    max_steps: int = 25,
) -> tuple[float, Array, float, int]:
    """(value, gradient, place, number of evaluations) of a place that is good enough.

    `at` evaluates a place on the line; `value`, `gradient` and `slope` are those at 0, `t` is the
    first guess.
    """
    line = _Line(at, direction, (0.0, value, gradient, slope))
    bracket, steps = _bracket(line, line.look(t), max_steps)
    size = float(np.abs(direction).max())
    found = bracket[0]
    if len(bracket) > 1:
        found = _zoom(line, bracket, max_steps - steps, tolerance / size)
    return found[1], found[2], found[0], line.evaluations


def _bracket(line: _Line, now: Point, max_steps: int) -> tuple[list[Point], int]:
    """Two points with a good place between them, or one that is good; and the steps taken."""
    before = line.start
    for steps in range(max_steps):
        if line.falls_too_little(now) or (steps > 1 and now[1] >= before[1]):
            return [before, now], steps
        if line.is_flat(now):
            return [now], steps
        if now[3] >= 0:
            return [before, now], steps
        bounds = now[0] + 0.01 * (now[0] - before[0]), now[0] * 10
        before, now = now, line.look(cubic_minimum(before, now, bounds))
    return [line.start, now], max_steps


def _zoom(line: _Line, bracket: list[Point], max_steps: int, tolerance: float) -> Point:
    """The best end of a bracket, once it is good, or the bracket is small."""
    is_stuck = False
    low, high = (0, 1) if bracket[0][1] <= bracket[1][1] else (1, 0)
    for _ in range(max_steps):
        left, right = sorted(point[0] for point in bracket)
        if right - left < tolerance:
            break
        place = cubic_minimum(bracket[0], bracket[1])
        margin = 0.1 * (right - left)
        is_near = min(right - place, place - left) < margin
        if is_near and (is_stuck or not left < place < right):
            is_right = abs(place - right) < abs(place - left)
            place = right - margin if is_right else left + margin
            is_near = False
        is_stuck = is_near
        now = line.look(place)
        if line.falls_too_little(now) or now[1] >= bracket[low][1]:
            bracket[high] = now
            low, high = (0, 1) if bracket[0][1] <= bracket[1][1] else (1, 0)
            continue
        is_good = line.is_flat(now)
        if not is_good and now[3] * (bracket[high][0] - bracket[low][0]) >= 0:
            bracket[high] = bracket[low]
        bracket[low] = now
        if is_good:
            break
    return bracket[low]


def cubic_minimum(first: Point, second: Point, bounds: tuple[float, float] | None = None) -> float:
    """Where the cubic through two points with their slopes is least, within bounds."""
    (x1, f1, _, g1), (x2, f2, _, g2) = first, second
    low, high = bounds or (min(x1, x2), max(x1, x2))
    d1 = g1 + g2 - 3 * (f1 - f2) / (x1 - x2)
    square = d1 * d1 - g1 * g2
    if square < 0:
        return (low + high) / 2
    d2 = math.sqrt(square)
    if x1 <= x2:
        place = x2 - (x2 - x1) * ((g2 + d2 - d1) / (g2 - g1 + 2 * d2))
    else:
        place = x1 - (x1 - x2) * ((g1 + d2 - d1) / (g1 - g2 + 2 * d2))
    return min(max(place, low), high)

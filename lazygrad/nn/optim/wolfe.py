"""A line search: a step along a direction that satisfies the strong Wolfe conditions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Point = tuple[float, float, Array, float]  # place, value, gradient, slope along the direction


def strong_wolfe(
    at: Callable[[float], tuple[float, Array]],
    t: float,
    direction: Array,
    value: float,
    gradient: Array,
    slope: float,
    tolerance: float,
    c1: float = 1e-4,
    c2: float = 0.9,
    max_steps: int = 25,
) -> tuple[float, Array, float, int]:
    """(value, gradient, place, number of evaluations) of a place that is good enough.

    `at` evaluates a place on the line; `value`, `gradient` and `slope` are those at 0, `t` is the
    first guess. The value is to fall by c1 of what the slope promises, and the slope to c2 of its
    size (Nocedal and Wright 2006, algorithms 3.5 and 3.6, by cubic interpolation).
    """
    size = float(np.abs(direction).max())

    def look(place: float) -> Point:
        value, gradient = at(place)
        return place, value, gradient, float(gradient @ direction)

    def falls_too_little(point: Point) -> bool:
        return point[1] > value + c1 * point[0] * slope

    start: Point = (0.0, value, gradient, slope)
    before, now = start, look(t)
    steps, evaluations, is_done = 0, 1, False
    bracket: list[Point] = []
    while steps < max_steps:
        if falls_too_little(now) or (steps > 1 and now[1] >= before[1]):
            bracket = [before, now]
            break
        if abs(now[3]) <= -c2 * slope:
            bracket, is_done = [now], True
            break
        if now[3] >= 0:
            bracket = [before, now]
            break
        low, high = now[0] + 0.01 * (now[0] - before[0]), now[0] * 10
        place = cubic_minimum(before, now, (low, high))
        before, now = now, look(place)
        evaluations += 1
        steps += 1
    if steps == max_steps:
        bracket = [start, now]
    is_stuck = False
    low_end, high_end = (0, 1) if bracket[0][1] <= bracket[-1][1] else (1, 0)
    while not is_done and steps < max_steps:
        ends = sorted(point[0] for point in bracket)
        if (ends[1] - ends[0]) * size < tolerance:
            break
        place = cubic_minimum(bracket[0], bracket[1])
        margin = 0.1 * (ends[1] - ends[0])
        if min(ends[1] - place, place - ends[0]) < margin:
            if is_stuck or place >= ends[1] or place <= ends[0]:
                near_end = abs(place - ends[1]) < abs(place - ends[0])
                place = ends[1] - margin if near_end else ends[0] + margin
                is_stuck = False
            else:
                is_stuck = True
        else:
            is_stuck = False
        now = look(place)
        evaluations += 1
        steps += 1
        if falls_too_little(now) or now[1] >= bracket[low_end][1]:
            bracket[high_end] = now
            low_end, high_end = (0, 1) if bracket[0][1] <= bracket[1][1] else (1, 0)
        else:
            if abs(now[3]) <= -c2 * slope:
                is_done = True
            elif now[3] * (bracket[high_end][0] - bracket[low_end][0]) >= 0:
                bracket[high_end] = bracket[low_end]
            bracket[low_end] = now
    place, value, gradient, _ = bracket[low_end if len(bracket) > 1 else 0]
    return value, gradient, place, evaluations


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

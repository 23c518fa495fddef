"""Reading the arguments of operations: axes, shapes, one number or one an axis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar, cast

import numpy as np

from ..errors import AxisError, KindError, ShapeError, told
from ..graph.ir import Shape

T = TypeVar("T")


def plain(value: T) -> T:
    """Integers as Python's own, alone or in lists and tuples: those of NumPy, of enumerations and
    of variables are of other types. Anything else as it is."""
    made: Any = value
    if isinstance(value, (tuple, list)):
        made = (list if isinstance(value, list) else tuple)(map(plain, value))
    elif isinstance(value, (int, np.integer)):
        made = int(value)
    return cast(T, made)


def normalized_axis(name: str, axis: int, rank: int) -> int:
    """`axis` counted from the front. Raises IndexError where it is outside the rank."""
    if type(axis) is int and 0 <= axis < rank:
        return axis  # nearly all
    if not isinstance(axis, (int, np.integer)):
        raise KindError(f"{name}: an axis is an integer, not {told(axis)}")
    if not -max(rank, 1) <= axis < max(rank, 1):
        raise AxisError(f"{name}: axis {axis} is outside the {rank} axes that there are")
    return int(axis) % max(rank, 1)


def normalized_axes(name: str, axes: Any, rank: int) -> tuple[int, ...]:
    """One axis, several, or None for all, counted from the front, sorted.

    Raises IndexError for one outside the rank, ShapeError for one named twice.
    """
    if axes is None:
        return tuple(range(rank))
    given: Iterator[int] = iter(axes) if isinstance(axes, (tuple, list)) else iter((axes,))
    found = [normalized_axis(name, axis, rank) for axis in given]
    if rank == 0:
        return ()  # axis 0 of a single value is no axis, and is allowed, as in PyTorch
    if len(set(found)) != len(found):
        raise ShapeError(f"{name}: axes {tuple(axes)} name one axis twice")
    return tuple(sorted(found))


def shape_of(name: str, *sizes: Any) -> Shape:
    """The shape given as `f(2, 3)` or as `f((2, 3))`. Raises ShapeError for what is no shape."""
    given = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes
    shape = tuple(size if type(size) is int else whole_size(name, size) for size in given)
    if shape and min(shape) < 0:
        raise ShapeError(f"{name}: shape {shape} has a negative size")
    return shape


def whole_size(name: str, size: Any) -> int:
    """A size as an integer. Raises ShapeError for what is none."""
    if isinstance(size, (bool, float)) or not hasattr(size, "__index__"):
        raise ShapeError(f"{name}: a size is an integer, not {told(size)}")
    return int(size.__index__())


def per_axis(
    name: str, what: str, value: int | Sequence[int], count: int, least: int = 1
) -> tuple[int, ...]:
    """One value a spatial axis, from one for all or one each. Raises ShapeError below `least`."""
    value = plain(value)
    values = (value,) * count if isinstance(value, int) else tuple(value)
    values = values * count if len(values) == 1 else values
    try:
        fits = len(values) == count and min(values) >= least
    except TypeError:  # asked only now, as this runs for each convolution
        raise KindError(f"{name}: {what} is made of integers, not {told(value)}") from None
    if not fits:
        raise ShapeError(f"{name}: {what} {told(value)} is not {count} numbers of at least {least}")
    return values

"""What operations with two results return: named tuples, with PyTorch's names."""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Found(NamedTuple, Generic[T]):
    """Values of a tensor, and where along the axis they were (int64)."""

    values: T
    indices: T


class Extremes(NamedTuple, Generic[T]):
    """The smallest and the largest values."""

    min: T
    max: T

"""What operations with two results return: named tuples, with PyTorch's names; and shapes."""

from __future__ import annotations

import math
from typing import Any, Generic, NamedTuple, SupportsIndex, TypeVar, overload

T = TypeVar("T")


class Size(tuple[int, ...]):
    """The size of each axis: a tuple that counts elements, as PyTorch's `torch.Size`.

    Size((2, 3, 4))[1:].numel() == 12
    """

    __slots__ = ()

    def numel(self) -> int:
        """The number of elements of this shape."""
        return math.prod(self)

    @overload
    def __getitem__(self, index: SupportsIndex) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> Size: ...
    def __getitem__(self, index: Any) -> Any:
        found = tuple.__getitem__(self, index)
        return Size(found) if isinstance(index, slice) else found

    def __add__(self, other: Any) -> Any:
        return Size(tuple.__add__(self, other))


class Found(NamedTuple, Generic[T]):
    """Values of a tensor, and where along the axis they were (int64)."""

    values: T
    indices: T


class Extremes(NamedTuple, Generic[T]):
    """The smallest and the largest values."""

    min: T
    max: T

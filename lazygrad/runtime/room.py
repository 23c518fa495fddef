"""Memory at a bound: a tensor's elements in memory laid out for a larger shape (sized.py)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Any

from ..dtypes import DType
from ..graph.ir import Shape
from .device import Device

CLAIM = Lock()


@dataclass(eq=False, slots=True)
class Room:
    """Memory with free elements behind the values in it.

    It may hold several values, each the beginning of the next: a tensor that grows stays in its
    memory, and its older values stay valid. `filled` is the size of the largest value.
    """

    memory: Any
    filled: int

    def claim(self, size: int, larger: int) -> bool:
        """Take the elements behind a value of `size` elements, for a value of `larger` elements.
        False if they were taken already."""
        with CLAIM:
            is_free = self.filled == size
            if is_free:
                self.filled = larger
            return is_free

    def leave(self, larger: int, size: int) -> None:
        """Undo `claim`: the value of `larger` elements was not computed."""
        with CLAIM:
            if self.filled == larger:
                self.filled = size


class Resized:
    """A tensor's shape and its shape at a bound; copies memory of one to memory of the other."""

    def __init__(self, shape: Shape, bound: Shape, dtype: DType, device: str) -> None:
        self.size, self.bound = math.prod(shape), bound
        self._nbytes, self._bound_nbytes = (math.prod(s) * dtype.itemsize for s in (shape, bound))
        self._device = Device.get(device)
        sizes = merged(shape, bound)
        self._is_prefix = len(sizes) == 1  # the elements are the first ones of the larger memory
        *outer, (n, m) = sizes
        self._sizes = [*outer, (n * dtype.itemsize, m * dtype.itemsize)]

    def enlarged(self, memory: Any) -> Any:
        """Memory at the bound with the tensor's elements; its other elements are undefined."""
        if memory.__class__ is Roomy:
            if memory.resized.bound == self.bound:
                return memory.room.memory
            memory = memory.plain()
        if self._is_prefix and memory.nbytes >= self._bound_nbytes:
            return memory  # another value that grew from this one may have the rest
        return self._copied(memory)

    def growing(self, memory: Any, larger: int) -> Room:
        """A room that holds the tensor and may be filled to `larger` elements: the tensor's own
        room, or a copy where it has none or the elements behind it are taken."""
        if memory.__class__ is Roomy:
            if memory.resized.bound == self.bound and memory.room.claim(self.size, larger):
                room: Room = memory.room
                return room
            memory = memory.plain()
        return Room(self._copied(memory), larger)

    def cut(self, memory: Any) -> Any:
        """Memory of the tensor's own shape, from memory at the bound."""
        if self._is_prefix:
            return memory
        own = self._device.allocate(self._nbytes)
        self._device.copy_box(memory, own, tuple((m, n, n) for n, m in self._sizes))
        return own

    def kept(self, memory: Any) -> Any:
        """A new tensor's memory, from memory at the bound: cut where this copies nothing, or saves
        much memory; else a Roomy, which stays at the bound."""
        if self._is_prefix or self._bound_nbytes > WORTH_KEEPING * self._nbytes:
            return self.cut(memory)
        return Roomy(Room(memory, self.size), self)

    def _copied(self, memory: Any) -> Any:
        larger = self._device.allocate(self._bound_nbytes)
        if self._is_prefix:  # of other shapes the rest is in many pieces
            self._device.blank(larger, self._nbytes, self._bound_nbytes)
        self._device.copy_box(memory, larger, tuple((n, m, n) for n, m in self._sizes))
        return larger


WORTH_KEEPING = 2.5  # memory at a bound is kept if it is at most this many times as large

resized = lru_cache(maxsize=4096)(Resized)


@dataclass(eq=False, slots=True)
class Roomy:
    """Stands for the memory of a tensor whose elements are in a room, laid out for a bound."""

    room: Room
    resized: Resized
    _plain: Any = None

    def plain(self) -> Any:
        """Memory of the tensor's own shape."""
        if self._plain is None:  # two threads may make it; either will do
            self._plain = self.resized.cut(self.room.memory)
        return self._plain


def merged(shape: Shape, bound: Shape) -> list[tuple[int, int]]:
    """A shape and a larger one with as few axes as possible, as pairs of sizes: an axis of equal
    sizes becomes one with the axis before it.

        (2, 3, 37, 4), (2, 3, 64, 4)   ->   (6, 6), (148, 256)
    """
    sizes: list[tuple[int, int]] = []
    inner = 1
    for n, m in reversed(list(zip(shape, bound, strict=True))):
        if n == m:
            inner *= n
        else:
            sizes.append((n * inner, m * inner))
            inner = 1
    if inner > 1 or not sizes:
        sizes.append((inner, inner))
    return sizes[::-1]

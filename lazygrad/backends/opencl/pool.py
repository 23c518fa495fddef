"""Device memory, kept for reuse when it is freed, within bounds."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

from ...errors import OutOfMemoryError
from ..base import show_bytes

SMALLEST = 512  # bytes; also the granularity of sizes
STEPS = 8  # size classes from one power of two to the next, so at most 1/8 is wasted

_serials = count()


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A buffer of the device. Its serial number is never used again, as its address may be."""

    buffer: Any
    nbytes: int
    serial: int


class Memory:
    """A piece of a device's memory; it goes back to the pool when nothing refers to it."""

    __slots__ = ("_pool", "block", "nbytes")

    def __init__(self, block: Block, nbytes: int, pool: Pool) -> None:
        self.block = block
        self.nbytes = nbytes
        self._pool = pool

    def __del__(self) -> None:
        pool = getattr(self, "_pool", None)
        if pool is not None:
            pool.give(self.block)


def size_class(nbytes: int) -> int:
    """The size of the block for a request: the next of STEPS sizes between powers of two."""
    step = max(SMALLEST, 1 << max(nbytes - 1, 1).bit_length() - 1 >> STEPS.bit_length() - 1)
    return max(SMALLEST, -(-nbytes // step) * step)


class Pool:
    """Blocks by size class. At most `kept_limit` bytes of freed ones are kept, the latest first.

    `allocate(nbytes)` makes a buffer, or raises MemoryError; `largest` and `capacity` are what the
    device allows in one piece and in all.
    """

    def __init__(
        self,
        device: str,
        allocate: Callable[[int], Any],
        largest: int,
        capacity: int,
        kept_limit: int,
    ) -> None:
        self.device = device
        self.largest = largest
        self.capacity = capacity
        self.kept_limit = kept_limit
        self.used = 0  # bytes that live Memory holds
        self.kept = 0  # bytes of freed blocks
        self._allocate = allocate
        self._free: dict[int, dict[int, Block]] = {}  # by size and serial, the latest last
        self._order: dict[int, Block] = {}  # all of them by serial, the latest last
        self._given: deque[Block] = deque()
        self._lock = threading.Lock()

    def take(self, nbytes: int) -> Memory:
        """Memory for nbytes. Raises OutOfMemoryError with the sizes asked for, held and there."""
        size = size_class(nbytes)
        if nbytes > self.largest:
            raise OutOfMemoryError(
                f"{self.device}: {show_bytes(nbytes)} asked for in one piece, "
                f"the device allows {show_bytes(self.largest)}"
            )
        size = min(size, self.largest)
        with self._lock:
            self._settle()
            waiting = self._free.get(size)
            if waiting:
                _, block = waiting.popitem()
                del self._order[block.serial]
                self.kept -= size
            else:
                block = self._new(size, nbytes)
            self.used += size
            return Memory(block, nbytes, self)

    def give(self, block: Block) -> None:
        """Take a block back. May be called at any time, by the garbage collector too."""
        self._given.append(block)
        if self._lock.acquire(blocking=False):
            try:
                self._settle()
            finally:
                self._lock.release()

    def clear(self) -> None:
        """Let go of all freed blocks."""
        with self._lock:
            self._settle()
            self._drop_kept()

    def _new(self, size: int, nbytes: int) -> Block:
        for retry in (False, True):
            if retry or self.used + self.kept + size > self.capacity:
                self._drop_kept()
            try:
                if self.used + size > self.capacity:
                    break
                return Block(self._allocate(size), size, next(_serials))
            except MemoryError:
                continue
        raise OutOfMemoryError(
            f"{self.device}: out of memory: {show_bytes(nbytes)} asked for, "
            f"{show_bytes(self.used)} of {show_bytes(self.capacity)} held by tensors"
        )

    def _settle(self) -> None:
        """Sort in what was given back; over the limit, let go of what was freed longest ago."""
        while self._given:
            block = self._given.popleft()
            self.used -= block.nbytes
            self.kept += block.nbytes
            self._free.setdefault(block.nbytes, {})[block.serial] = block
            self._order[block.serial] = block
        while self.kept > self.kept_limit:
            oldest = self._order.pop(next(iter(self._order)))
            del self._free[oldest.nbytes][oldest.serial]
            self.kept -= oldest.nbytes

    def _drop_kept(self) -> None:
        self._free.clear()
        self._order.clear()
        self.kept = 0

"""Memory of devices: freed blocks are kept for reuse, up to a limit. And blocks of the host's own
memory."""

from __future__ import annotations

import mmap
import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from ..errors import OutOfMemoryError
from .base import show_bytes

SMALLEST = 512  # bytes; also the granularity of sizes
STEPS = 8  # size classes from one power of two to the next, so at most 1/8 is wasted

M = TypeVar("M", bound="Memory")
_serials = count()


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """An allocation: `buffer` is the device's handle. `serial` is unique; the address of a handle
    is not, as it may be reused."""

    buffer: Any
    nbytes: int
    serial: int


class Memory:
    """At least `nbytes` bytes of a block, which goes back to its pool when nothing refers to this.

    Without a pool the block is someone else's memory.
    """

    __slots__ = ("__weakref__", "_pool", "block", "nbytes")

    def __init__(self, block: Block, nbytes: int, pool: Pool[Any] | None = None) -> None:
        self.block = block
        self.nbytes = nbytes
        self._pool = pool

    def __del__(self) -> None:
        if self._pool is not None:
            self._pool.give(self.block)


@lru_cache(maxsize=4096)
def size_class(nbytes: int) -> int:
    """The size of the block for a request: the next of STEPS sizes between powers of two."""
    step = max(SMALLEST, 1 << max(nbytes - 1, 1).bit_length() - 1 >> STEPS.bit_length() - 1)
    return max(SMALLEST, -(-nbytes // step) * step)


class Pool(Generic[M]):
    """Blocks by size class. At most `kept_limit` bytes of freed blocks are kept.

    `allocate(nbytes)` gives a buffer, or raises MemoryError; `largest` and `capacity` are the bytes
    that the device allows in one piece and in all; `memory` makes the handle of a block.
    """

    # of the class: when Python ends, blocks come back after the module's names are gone
    large = 1 << 20  # bytes of a freed block that is seen to at once
    many = 64  # smaller ones, at most, that wait until memory is taken

    def __init__(
        self,
        device: str,
        allocate: Callable[[int], Any],
        largest: int,
        capacity: int,
        kept_limit: int,
        memory: Callable[[Block, int, Pool[Any]], M],
    ) -> None:
        self.device = device
        self.largest = largest
        self.capacity = capacity
        self.kept_limit = kept_limit
        self._total = 0  # bytes of all blocks
        self._kept = 0  # bytes of those that are free
        self._allocate = allocate
        self._memory = memory
        self._free: dict[int, list[Block]] = {}  # by size; the size that was freed last is last
        self._given: deque[Block] = deque()
        self._lock = threading.Lock()

    def take(self, nbytes: int) -> M:
        """Memory for nbytes, its contents undefined. Raises OutOfMemoryError with the sizes."""
        size = size_class(nbytes)
        if size > self.largest:
            if nbytes > self.largest:
                raise self._refusal(nbytes, f"; one piece has at most {show_bytes(self.largest)}")
            size = self.largest
        with self._lock:
            if self._given:
                self._settle()
            blocks = self._free.get(size)
            if blocks:
                block = blocks.pop()
                self._kept -= size
            else:
                block = self._new(size, nbytes)
        return self._memory(block, nbytes, self)

    def give(self, block: Block) -> None:
        """Take a block back. May be called at any time, by the garbage collector too."""
        self._given.append(block)
        if block.nbytes < self.large and len(self._given) < self.many:
            return  # the lock takes longer than the rest: take() is about to hold it anyway
        if not self._lock.locked():  # else the thread that holds it, perhaps this one, may do it
            with self._lock:  # Ctrl-C between acquire() and a `try` would leave it locked
                self._settle()

    @property
    def used(self) -> int:
        """Bytes of blocks that a Memory has."""
        with self._lock:
            self._settle()
            return self._total - self._kept

    @property
    def kept(self) -> int:
        """Bytes of freed blocks that are kept."""
        with self._lock:
            self._settle()
            return self._kept

    def clear(self) -> None:
        """Free all blocks that are kept."""
        with self._lock:
            self._settle()
            self._shrink(0)

    def _new(self, size: int, nbytes: int) -> Block:
        reason = ""
        if self._total + size > self.capacity:
            self._shrink(0)
        if self._total + size <= self.capacity:
            for _ in range(2):
                try:
                    block = Block(self._allocate(size), size, next(_serials))
                    self._total += size
                    return block
                except MemoryError as error:
                    reason = f"; {error}"
                    self._shrink(0)
        raise self._refusal(nbytes, reason)

    def _settle(self) -> None:
        """Put the blocks that were given back among the free ones."""
        given, free, limit = self._given, self._free, self.kept_limit
        while given:
            block = given.popleft()
            size = block.nbytes
            if size <= limit:
                self._kept += size
                blocks = free[size] = free.pop(size, [])
                blocks.append(block)
            else:
                self._total -= size
        if self._kept > self.kept_limit:
            self._shrink(self.kept_limit)

    def _shrink(self, limit: int) -> None:
        """Free blocks until at most `limit` bytes are kept; the sizes used longest ago first."""
        while self._kept > limit and self._free:  # Ctrl-C may have lost a block that was counted
            size, blocks = next(iter(self._free.items()))
            if blocks:
                blocks.pop(0)
                self._kept -= size
                self._total -= size
            else:
                del self._free[size]

    def _refusal(self, nbytes: int, reason: str) -> OutOfMemoryError:
        used = show_bytes(self._total - self._kept)
        return OutOfMemoryError(
            f"{self.device}: out of memory: {show_bytes(nbytes)} asked for, "
            f"{used} of {show_bytes(self.capacity)} held by tensors{reason}"
        )


# --------------------------------------------------------------------------- the host

ALIGNMENT = 64  # a cache line, and the widest vector
HUGE_PAGE = 2 << 20
LARGE = 2 * HUGE_PAGE  # from here on blocks have pages of their own, huge ones where there are any
CHECKED = 32 << 20  # asking the system what is left takes longer than touching less than this


class HostMemory(Memory):
    """Bytes of this process at `address`. `owner` keeps them alive."""

    __slots__ = ("address",)

    def __init__(self, block: Block, nbytes: int, pool: Pool[Any] | None = None) -> None:
        self.block = block  # not by super(): a call takes as long as the rest
        self.nbytes = nbytes
        self._pool = pool
        self.address: int = block.buffer[0]

    @classmethod
    def shared(cls, address: int, nbytes: int, owner: Any) -> HostMemory:
        """The memory of a NumPy array, or of another owner, which this keeps alive."""
        return cls(Block((address, owner), nbytes, -1), nbytes)

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """Lets NumPy see the bytes; an array made of this keeps it alive."""
        data = (self.address, False)
        return {"version": 3, "shape": (self.nbytes,), "typestr": "|u1", "data": data}


def host_pool() -> Pool[HostMemory]:
    """A pool of this process's memory, which keeps at most a quarter of the machine's."""
    total = total_bytes()
    return Pool("CPU", allocate, total, total, total // 4, HostMemory)


def allocate(size: int) -> tuple[int, Any]:
    """The address of an aligned block of zeros, and its owner. Raises MemoryError.

    Old pointers in place of the zeros would read as denormal floats. A processor computes with them
    a hundred times as slowly, also where the results are not needed.
    """
    if size >= CHECKED and size > (available := available_bytes()):
        raise MemoryError(f"{show_bytes(available)} are available")
    if size < LARGE:
        array = np.zeros(size + ALIGNMENT, np.uint8)
        return -(-array.ctypes.data // ALIGNMENT) * ALIGNMENT, array
    try:
        # touched only where it is used; private, as Linux gives shared pages other, small ones
        pages = mmap.mmap(-1, size + HUGE_PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise MemoryError(str(error)) from None
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a kernel without huge pages
            pages.madvise(mmap.MADV_HUGEPAGE)
    start = np.frombuffer(pages, np.uint8).ctypes.data
    return -(-start // HUGE_PAGE) * HUGE_PAGE, pages


def total_bytes() -> int:
    """The machine's memory."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return 1 << 40


def available_bytes() -> int:
    """What can still be allocated without swapping, as the system and the control group tell."""
    available = total_bytes()
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                available = int(line.split()[1]) << 10
    except OSError:  # not Linux
        pass
    try:
        group = Path("/sys/fs/cgroup")
        limit = int((group / "memory.max").read_text())
        available = min(available, limit - int((group / "memory.current").read_text()))
    except (OSError, ValueError):  # no control group, or "max"
        pass
    return max(available, 0)

"""Blocks of memory: aligned, reused, and refused with the sizes where there is not enough."""

from __future__ import annotations

import mmap
import os
from collections import OrderedDict
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import OutOfMemoryError
from ..base import show_bytes

ALIGNMENT = 64  # a cache line, and the widest vector
HUGE_PAGE = 2 << 20
LARGE = 2 * HUGE_PAGE  # from here on blocks have pages of their own, huge ones where there are any
CHECKED = 32 << 20  # asking the system what is left takes longer than touching less than this


class Memory:
    """A block of at least `nbytes` bytes at `address`; its pool has it back when nobody holds it.

    `owner` keeps the bytes alive: the pool's own block, or the NumPy array that they belong to.
    """

    __slots__ = ("__weakref__", "_pool", "address", "nbytes", "owner")

    def __init__(self, address: int, nbytes: int, owner: Any, pool: Pool | None = None) -> None:
        self.address = address
        self.nbytes = nbytes
        self.owner = owner
        self._pool = pool

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """Lets NumPy see the bytes; an array made of this keeps it alive."""
        data = (self.address, False)
        return {"version": 3, "shape": (self.nbytes,), "typestr": "|u1", "data": data}

    def __del__(self) -> None:
        if self._pool is not None:
            self._pool.give_back(self.address, self.nbytes, self.owner)

    def __repr__(self) -> str:
        return f"Memory({self.nbytes} bytes at {self.address:#x})"


class Pool:
    """Allocates blocks and keeps up to `limit` bytes of free ones for the next requests.

    A block is reused for requests of its own rounded size only: the steps of a training loop ask
    for the same sizes again and again, and nothing is wasted on larger blocks.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0  # bytes in use
        self.free = 0  # bytes kept for reuse
        # Free blocks by size; the sizes in the order in which blocks last came back.
        self._blocks: OrderedDict[int, list[tuple[int, Any]]] = OrderedDict()

    def allocate(self, nbytes: int) -> Memory:
        """A block of nbytes, its contents undefined. Raises OutOfMemoryError."""
        size = _rounded(nbytes)
        blocks = self._blocks.get(size)
        if blocks:
            address, owner = blocks.pop()
            self.free -= size
        else:
            address, owner = self._new_block(size)
        self.held += size
        return Memory(address, size, owner, self)

    def give_back(self, address: int, size: int, owner: Any) -> None:
        """Take a block back. It may come in the middle of anything (from a destructor), so this
        relies on no lock: the containers' own methods are atomic."""
        self.held -= size
        if size > self.limit:
            return
        self._blocks.setdefault(size, []).append((address, owner))
        self._blocks.move_to_end(size)
        self.free += size
        if self.free > self.limit:
            self._shrink(self.limit)

    def clear(self) -> None:
        """Give all free blocks back to the system."""
        self._shrink(0)

    def _shrink(self, limit: int) -> None:
        """Give blocks of the sizes that were used longest ago back to the system."""
        for size in list(self._blocks):
            blocks = self._blocks.get(size)
            while blocks and self.free > limit:
                blocks.pop()
                self.free -= size
            if not blocks:
                self._blocks.pop(size, None)
            if self.free <= limit:
                return

    def _new_block(self, size: int) -> tuple[int, Any]:
        if size >= CHECKED and size > available_bytes():
            self.clear()
            if size > available_bytes():
                raise self._refusal(size)
        try:
            return _new_block(size)
        except (MemoryError, OSError):
            self.clear()
        try:
            return _new_block(size)
        except (MemoryError, OSError):
            raise self._refusal(size) from None

    def _refusal(self, size: int) -> OutOfMemoryError:
        return OutOfMemoryError(
            f"CPU: no memory for {show_bytes(size)}: {show_bytes(self.held)} are in use by "
            f"tensors, {show_bytes(available_bytes())} are available"
        )


@lru_cache(maxsize=4096)
def _rounded(nbytes: int) -> int:
    """The size of the block that serves a request."""
    step = ALIGNMENT if nbytes < 4096 else 4096 if nbytes < LARGE else 65536
    return max(-(-nbytes // step) * step, ALIGNMENT)


def _new_block(size: int) -> tuple[int, Any]:
    if size < LARGE:
        array = np.empty(size + ALIGNMENT, np.uint8)
        return -(-array.ctypes.data // ALIGNMENT) * ALIGNMENT, array
    pages = mmap.mmap(-1, size + HUGE_PAGE)  # touched only where it is used
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

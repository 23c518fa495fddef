"""The host's memory: aligned blocks, and how much of it there is."""

from __future__ import annotations

import mmap
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ..base import show_bytes
from ..pool import Block, Memory, Pool

ALIGNMENT = 64  # a cache line, and the widest vector
HUGE_PAGE = 2 << 20
LARGE = 2 * HUGE_PAGE  # from here on blocks have pages of their own, huge ones where there are any
CHECKED = 32 << 20  # asking the system what is left takes longer than touching less than this


class HostMemory(Memory):
    """Bytes of this process at `address`. `owner` keeps them alive."""

    __slots__ = ("address",)

    def __init__(self, block: Block, nbytes: int, pool: Pool[Any] | None = None) -> None:
        super().__init__(block, nbytes, pool)
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
        pages = mmap.mmap(-1, size + HUGE_PAGE)  # touched only where it is used
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

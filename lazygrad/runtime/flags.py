"""Flags: how kernels report indices out of range, and when the host reads them.

A plan has one flag for each check of indices. A flag is an output, and an input of the next run, so
that it stays set until the host reads it. In the host's memory it is read after each run; in a
device's memory when values are copied to the host, which waits for the device anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import config
from ..dtypes import DType
from ..graph.ir import Source
from .device import Device

Range = tuple[int, int]
"""Indices must be in low .. high - 1."""


@dataclass(frozen=True, slots=True)
class Check:
    """Indices must be in low .. high - 1. The flag has `dtype`, and `place` among the plan's
    memories; `is_signed`: the indices' own dtype is signed."""

    place: int
    dtype: DType
    device: str
    low: int
    high: int
    is_signed: bool

    def index(self, flag: int) -> int:
        """The index that was out of range: a flag has its difference from `low`, unsigned."""
        bits = 8 * self.dtype.itemsize
        index = flag + self.low
        return index - (1 << bits) if self.is_signed and index >> (bits - 1) else index


class Flags:
    """The flags of a plan's checks."""

    def __init__(self, checks: Sequence[Check]) -> None:
        self.checks = tuple(checks)
        self.sources: Sequence[Source] = ()
        self.ranges: Sequence[Range] = [(check.low, check.high) for check in checks]
        """What an error tells of. Where a range varies with a size, it is that of the last run."""
        self._places = [check.place for check in checks]
        self._memories: list[Any] = []
        self._views: list[memoryview | None] = [None] * len(checks)  # where the host sees them

    def memories(self) -> list[Any]:
        """The memory of each flag as it is now."""
        if not self._memories:
            self._memories = [None] * len(self.checks)
            for n, check in enumerate(self.checks):
                cleared = np.zeros(1, check.dtype.numpy)
                self._keep(n, Device.get(check.device).upload(cleared))
        return self._memories

    def update(
        self, memories: Sequence[Any], sources: Callable[[], Sequence[Source]] | None
    ) -> None:
        """Keep the flags that a run has computed, for the next run. Raises IndexError for a flag
        that is set and in the host's memory. `sources`: as in `Plan.attempt`."""
        waits = False
        for n, place in enumerate(self._places):
            memory = memories[place]
            if memory is not self._memories[n]:
                self._keep(n, memory)
            view = self._views[n]
            if view is None:
                waits = True
            elif view[0]:
                self._raise(n, view[0], self.sources if sources is None else sources())
        if waits:
            if sources is not None:
                self.sources = sources()
            if "bounds" in config.CHECK:
                self.look()
                return
            for check in self.checks:
                unread.setdefault(check.device, {})[self] = None

    def look(self) -> None:
        """Raise IndexError for a flag that is set."""
        for n, check in enumerate(self.checks if self._memories else ()):
            flag = np.zeros(1, check.dtype.numpy)
            Device.get(check.device).download(self._memories[n], flag)
            if flag[0]:
                self._raise(n, int(flag[0]), self.sources)

    def _keep(self, n: int, memory: Any) -> None:
        """Keep a memory as that of flag n."""
        self._memories[n] = memory
        if hasattr(memory, "__array_interface__"):
            dtype = self.checks[n].dtype
            elements = np.asarray(memory)[: dtype.itemsize].view(dtype.numpy)
            self._views[n] = elements.data

    def _raise(self, n: int, flag: int, sources: Sequence[Source]) -> None:
        """Raise the IndexError of flag n. All flags are cleared, so that the program can go on."""
        self._memories = []
        raise sources[n].outside(self.checks[n].index(flag), *self.ranges[n])


unread: dict[str, dict[Flags, None]] = {}
"""By device, the flags of plans that ran since values were last read from it."""


def look(device: str) -> None:
    """Raise IndexError if an index was out of range on this device. Its work must be done."""
    while flags := unread.get(device):
        flag, _ = flags.popitem()
        flag.look()

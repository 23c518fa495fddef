"""A plan: a compiled graph as memory to allocate and steps to run; and running it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from .. import config
from ..dtypes import DType
from ..graph.ir import Source
from . import counters
from .buffer import DeviceBuffer
from .flags import Check, Flags, look
from .report import report_run
from .room import Roomy

if TYPE_CHECKING:  # not needed to run, and takes long to import
    from ..backends.base import Device, Launch, Program


class Observer(Protocol):
    """Is called after each run of a plan."""

    def ran(self, plan: Plan, begin: float, seconds: float) -> None:
        """The plan has run, from `begin` on (`perf_counter`). Its programs have the times of their
        kernels if they were compiled with timing."""


Memories = list[Any]  # handles of the leaves, the flags, the allocations; a place is an index


@dataclass(frozen=True, eq=False, slots=True)
class Run:
    """Runs a program. Its slot n is memories[places[n]]."""

    device: Device
    program: Program
    launches: tuple[Launch, ...]
    places: tuple[int, ...]

    def __call__(self, memories: Memories, share: float) -> None:
        self.program.run(list(map(memories.__getitem__, self.places)), share)


@dataclass(frozen=True, eq=False, slots=True)
class Transfer:
    """Copies elements between devices, through the host."""

    source: Device
    target: Device
    from_place: int
    to_place: int
    size: int
    dtype: DType

    def __call__(self, memories: Memories, share: float) -> None:
        array = np.empty(self.size, self.dtype.numpy)
        self.source.download(memories[self.from_place], array)
        memories[self.to_place] = self.target.upload(array)


Step = Callable[[Memories, float], None]
"""Takes also the share of the work that is done: see `Program.run`."""


@dataclass(frozen=True, eq=False, slots=True)
class Output:
    """An output: its place among the memories, its size, dtype and device."""

    place: int
    size: int
    dtype: DType
    device: str

    def storage(self, memory: Any) -> DeviceBuffer:
        """The output, computed into a memory."""
        return DeviceBuffer(self.size, self.dtype, self.device, memory)


@dataclass(frozen=True, eq=False, slots=True)
class Allocation:
    """Memory that a plan needs; `zeroed`: it holds zeros when the plan begins."""

    device: Device
    nbytes: int
    zeroed: bool = False

    def __call__(self) -> Any:
        if self.zeroed:
            return self.device.upload(np.zeros(self.nbytes, np.uint8))
        return self.device.allocate(self.nbytes)


@dataclass(eq=False, slots=True)
class Plan:
    """A compiled graph: the memory to allocate, the steps to run, the places of the outputs.

    It holds no graph and no data: it serves every graph of the same structure. `taken`: the leaves
    whose memory an output takes over. The memory of `flags` comes after the leaves. `title` names
    what the plan was compiled for; `has_origins`: whether its launches know the lines of the
    program that they compute.
    """

    leaves: int
    allocations: Sequence[Allocation]
    steps: Sequence[Step]
    outputs: Sequence[Output]
    taken: frozenset[int] = frozenset()
    peak_bytes: int = 0
    flags: Flags | None = None
    observers: tuple[Observer, ...] = ()
    title: str = ""
    has_origins: bool = False

    def attempt(
        self,
        memories: Memories,
        sources: Callable[[], Sequence[Source]] | None = None,
        share: float = 1.0,
    ) -> tuple[Memories, IndexError | None]:
        """Run on the leaves' memory. Returns the memory of each output, and the error of a check of
        indices that failed, if the host knows by now. The caller must set the outputs in spite of
        that error: the run may have overwritten the old values.

        `memories` is extended. `sources` gives the operation and the line that made each check;
        without it they are those of the graph that was compiled. `share`: as in `Program.run`.
        Raises OutOfMemoryError.
        """
        if self.flags is not None:
            memories.extend(self.flags.memories())
        for allocate in self.allocations:
            memories.append(allocate())
        if counters.runs is not None:
            counters.runs[self] += 1
        if config.DEBUG or self.observers:
            self._run_reporting(memories, share)
        else:
            for step in self.steps:
                step(memories, share)
        failed: IndexError | None = None
        try:
            if self.flags is not None:
                self.flags.update(memories, sources)
            for step in self.steps:
                if isinstance(step, Transfer):
                    look(step.source.name)
        except IndexError as error:
            failed = error
        return [memories[output.place] for output in self.outputs], failed

    def run(
        self,
        leaves: Sequence[DeviceBuffer],
        sources: Callable[[], Sequence[Source]] | None = None,
    ) -> list[DeviceBuffer]:
        """The outputs, computed from the leaves; an output that is a leaf is that very buffer.
        Raises what `attempt` does, and the IndexError of a failed check."""
        memories = [leaf.held for leaf in leaves]
        if Roomy in map(type, memories):
            memories = list(map(self.handle, leaves))
        found, error = self.attempt(memories, sources)
        if error is not None:
            raise error
        return [
            leaves[output.place] if output.place < self.leaves else output.storage(memory)
            for output, memory in zip(self.outputs, found, strict=True)
        ]

    def handle(self, storage: DeviceBuffer) -> Any:
        """The memory of a leaf in the form that `attempt` takes."""
        return storage.memory

    @property
    def is_outgrown(self) -> bool:
        """Whether the graph is worth a better plan by now."""
        return False

    @property
    def checks(self) -> tuple[Check, ...]:
        """Its checks of indices."""
        return () if self.flags is None else self.flags.checks

    def programs(self) -> list[Run]:
        """The programs that it runs, in order."""
        return [step for step in self.steps if isinstance(step, Run)]

    def _run_reporting(self, memories: Memories, share: float) -> None:
        start = perf_counter()
        for step in self.steps:
            step(memories, share)
        for run in self.programs():
            run.device.synchronize()
        seconds = perf_counter() - start
        counters.add_seconds(seconds)
        if config.DEBUG:
            report_run(self.programs(), seconds, self.peak_bytes, self.title)
        for observer in self.observers:
            observer.ran(self, start, seconds)

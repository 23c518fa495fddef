"""Link the compiled parts of a graph, one a device, into a plan.

If a fault of the compiler leaves a kernel without code, it is compiled from plain loops instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any, Protocol

from .. import config
from ..backends.base import Device, Launch, Program
from ..errors import CompilerError, DeviceError
from ..graph.ir import Buffer, InRange
from ..loops.check_accesses import REPORT
from ..schedule.ir import MemoryPlan, Schedule
from ..schedule.join import Piece
from ..schedule.place import Located, Part
from ..targets import Machine
from .accesses import CheckAccesses
from .device import Device as Devices
from .execute import Allocation, Output, Plan, Run, Step, Transfer
from .flags import Check
from .overlap import let_overlap
from .report import report_compiled
from .values import CheckValues

Plain = Callable[[Launch, Machine], Launch]
"""The same launch with plain loops, for a machine."""


class Observer(Protocol):
    """Runs and shows passes, and says whether to go on after a fault (lazygrad.stages.Stages)."""

    @property
    def are_watched(self) -> bool: ...

    def run(self, stage: str, work: Callable[..., Any], value: Any, *rest: Any) -> Any: ...

    def go_on_after(self, error: CompilerError) -> None: ...


class Linker:
    """Collects the parts of a plan. A place is the number of a memory: the leaves come first, then
    the allocations. `plain` is used for kernels that do not compile."""

    def __init__(self, leaves: Sequence[Buffer], plain: Plain) -> None:
        self._plain = plain
        self._leaves = len(leaves)
        self._place: dict[Located, int] = {
            (leaf, leaf.storage.device): n for n, leaf in enumerate(leaves)
        }
        self._allocations: list[Allocation] = []
        self._steps: list[Step] = []
        self._taken: list[int] = []

    def add(
        self,
        part: Part,
        device: Device,
        schedule: Schedule,
        memory: MemoryPlan,
        pieces: Sequence[Piece],
        launches: Sequence[Launch],
        stages: Observer,
    ) -> None:
        """Add a part. `launches[n]` runs `pieces[n]`, and has no slots yet.

        The schedule's outputs are, in order, the part's outputs that have elements, or other nodes
        with equal values.
        """
        for arrival, source in part.arrivals.items():
            self._receive(arrival, source, device)
        name = part.device
        slots = [self._allocate(device, nbytes) for nbytes in memory.slots]
        self._place.update(((node, name), slots[slot]) for node, slot in memory.slot_of.items())
        for node in [node for kernel in schedule.kernels for node in kernel.outputs]:
            if node not in memory.slot_of:  # it overwrites a donated leaf
                self._place[node, name] = self._place[memory.in_place[node], name]
                self._taken.append(self._place[node, name])
        computed = iter(schedule.outputs)
        for node in part.outputs:
            if node.size:
                self._place[node, name] = self._place[next(computed), name]
            else:
                self._place[node, name] = self._allocate(device, 0)
        if schedule.kernels:
            placed = self._launches(name, pieces, memory, launches)
            if "nan" in config.CHECK:
                self._add_checked(name, schedule, pieces, placed, stages)
            else:
                self._run(device, pieces, placed, stages)

    def _run(
        self,
        device: Device,
        pieces: Sequence[Piece],
        launches: Sequence[Launch],
        stages: Observer,
    ) -> None:
        """Add launches as one program, whose slots are the memories that the launches use."""
        places = tuple(sorted({place for launch in launches for place in launch.slots}))
        slot = {place: n for n, place in enumerate(places)}
        own = [replace(launch, slots=tuple(slot[p] for p in launch.slots)) for launch in launches]
        start = perf_counter()
        program, compiled = self._compiled(device, own, stages)
        if config.DEBUG:
            report_compiled(compiled, program, perf_counter() - start)
        self._steps.append(Run(device, program, tuple(compiled), places))
        if "bounds" in config.CHECK:
            kernels = [piece.kernel for piece in pieces]
            self._steps.append(CheckAccesses.of(device, kernels, launches))

    def _compiled(
        self, device: Device, launches: Sequence[Launch], stages: Observer
    ) -> tuple[Program, Sequence[Launch]]:
        """The program, and the launches in it: with plain loops where a launch does not compile.
        Raises CompilerError where plain loops do not compile either."""
        timing = config.DEBUG >= 2 or stages.are_watched
        try:
            return stages.run("program", device.compile, launches, timing), launches
        except CompilerError as error:
            stages.go_on_after(error)
        launches = [
            each if _compiles(device, each) else self._plain(each, device.machine)
            for each in launches
        ]
        return stages.run("program", device.compile, launches, timing), launches

    def _add_checked(
        self,
        name: str,
        schedule: Schedule,
        pieces: Sequence[Piece],
        launches: Sequence[Launch],
        stages: Observer,
    ) -> None:
        """Each kernel as a program of its own, followed by a check of its results."""
        device = Devices.get(name)
        rest = list(zip(pieces, launches, strict=True))
        for kernel in schedule.kernels:
            is_own = [piece.kernel is kernel or piece.whole in kernel.outputs for piece, _ in rest]
            count = is_own.index(False) if False in is_own else len(rest)
            mine, rest = rest[:count], rest[count:]
            self._run(device, [piece for piece, _ in mine], [each for _, each in mine], stages)
            nodes = (*kernel.outputs, *kernel.inputs)
            places = {node: self._place[node, name] for node in nodes}
            self._steps.append(CheckValues(device, kernel, places))

    def plan(self, outputs: Sequence[Located], checks: Sequence[InRange] = ()) -> Plan:
        """The plan for these outputs. The last outputs are the flags of the checks (flags.py), and
        so are the last leaves."""
        found = [Output(self._place[at], at[0].size, at[0].dtype, at[1]) for at in outputs]
        total = sum(allocation.nbytes for allocation in self._allocations)
        own = len(found) - len(checks)
        flags = [
            Check(at.place, at.dtype, at.device, x.low, x.high, x.dtype.kind == "int")
            for at, x in zip(found[own:], checks, strict=True)
        ]
        leaves = self._leaves - len(checks)
        taken = [place for place in self._taken if place < leaves]
        return Plan(leaves, self._allocations, self._steps, found[:own], taken, total, flags)

    def _allocate(self, device: Device, nbytes: int, zeroed: bool = False) -> int:
        """The place of new memory; `zeroed`: it holds zeros when the plan begins."""
        self._allocations.append(Allocation(device, nbytes, zeroed))
        return self._leaves + len(self._allocations) - 1

    def _receive(self, arrival: Buffer, source: Located, device: Device) -> None:
        """Let `arrival` hold a node of an earlier part: copied, if that is on another device."""
        node, name = source
        arrived = (arrival, arrival.storage.device)
        if name == arrival.storage.device:
            self._place[arrived] = self._place[source]
            return
        self._place[arrived] = self._allocate(device, 0)
        places = self._place[source], self._place[arrived]
        self._steps.append(Transfer(Devices.get(name), device, *places, node.size, node.dtype))

    def _launches(
        self,
        device: str,
        pieces: Sequence[Piece],
        memory: MemoryPlan,
        launches: Sequence[Launch],
    ) -> list[Launch]:
        """Each launch with the places of its arguments."""
        placed = []
        for piece, launch in zip(pieces, launches, strict=True):
            kernel = piece.kernel
            overwritten = {memory.in_place.get(node) for node in kernel.outputs}
            slots = [self._place[piece.whole or node, device] for node in kernel.outputs]
            if REPORT in launch.function.arguments:
                nbytes = REPORT.size * REPORT.dtype.itemsize
                slots.append(self._allocate(Devices.get(device), nbytes, zeroed=True))
            slots += [self._place[x, device] for x in kernel.inputs if x not in overwritten]
            if len(set(slots)) < len(slots):  # code is written as if arguments never overlapped
                raise CompilerError(f"link: {launch.function.name}: two arguments share a memory")
            placed.append(replace(launch, slots=tuple(slots)))
        return let_overlap(placed, pieces) if config.OPT else placed


def _compiles(device: Device, launch: Launch) -> bool:
    """Whether a launch compiles by itself."""
    try:
        device.compile([launch])
    except (MemoryError, DeviceError):
        raise
    except Exception:  # whatever it is: a pass, code generation or the driver at fault
        return False
    return True

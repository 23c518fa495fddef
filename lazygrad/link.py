"""Link the compiled parts of a graph, one a device, into a plan.

With OPT=0 each kernel has plain loops. So has, with OPT=1, a kernel that a fault of the compiler
leaves without code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from time import perf_counter

from . import config
from .backends.base import Device as BackendDevice
from .backends.base import Launch, Program
from .errors import CompilerError, DeviceError
from .graph.build import in_memory
from .graph.ir import Buffer, InRange, Node
from .loops.check_accesses import REPORT
from .pipeline import passes
from .runtime.accesses import CheckAccesses
from .runtime.device import Device
from .runtime.execute import Allocation, Output, Plan, Run, Step, Transfer
from .runtime.flags import Check, Flags
from .runtime.report import report_compiled
from .runtime.values import CheckValues
from .schedule.ir import Schedule
from .schedule.join import Piece
from .schedule.place import Located, Part
from .stages import Stages
from .steps import Argument, Compiled, Steps, all_steps
from .targets import At, Machine


class Linker:
    """Collects the parts of a plan. A place is the number of a memory: the leaves come first, then
    the allocations."""

    def __init__(self, leaves: Sequence[Buffer], stages: Stages) -> None:
        self._stages = stages
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
        made: Compiled,
    ) -> None:
        """Add a part."""
        schedule, memory = made.schedule, made.memory
        name, device = part.device, Device.get(part.device)
        for arrival, source in part.arrivals.items():
            self._receive(arrival, source, device)
        slots = [self._allocate(device, nbytes) for nbytes in memory.slots]
        self._place.update(((node, name), slots[slot]) for node, slot in memory.slot_of.items())
        for node in [node for kernel in schedule.kernels for node in kernel.outputs]:
            if node not in memory.slot_of:  # it overwrites a donated leaf
                self._place[node, name] = self._place[memory.in_place[node], name]
                self._taken.append(self._place[node, name])
        for node in part.outputs:
            self._place[node, name] = (
                self._place[made.renamed[node], name] if node.size else self._allocate(device, 0)
            )
        if schedule.kernels:
            pieces, placed = self._launches(name, made)
            if "nan" in config.CHECK:
                self._add_checked(name, schedule, pieces, placed)
            else:
                self._run(device, pieces, placed)

    def _run(
        self, device: BackendDevice, pieces: Sequence[Piece], launches: Sequence[Launch]
    ) -> None:
        """Add launches as one program, whose slots are the memories that the launches use."""
        used = {place for launch in launches for place in launch.slots}
        used.update(launch.turn.count for launch in launches if launch.turn is not None)
        places = tuple(sorted(used))
        slot = {place: n for n, place in enumerate(places)}
        own = [_with_slots(launch, slot) for launch in launches]
        start = perf_counter()
        program, compiled = self._compiled(device, own)
        if config.DEBUG:
            report_compiled(compiled, program, perf_counter() - start)
        self._steps.append(Run(device, program, tuple(compiled), places))
        if "bounds" in config.CHECK:
            kernels = [piece.kernel for piece in pieces]
            self._steps.append(CheckAccesses.of(device, kernels, launches))

    def _compiled(
        self, device: BackendDevice, launches: Sequence[Launch]
    ) -> tuple[Program, Sequence[Launch]]:
        """The program, and the launches in it: with plain loops where a launch does not compile.
        Raises CompilerError where plain loops do not compile either."""
        stages = self._stages
        timing = config.DEBUG >= 2 or stages.are_watched
        try:
            return stages.run("program", device.compile, launches, timing), launches
        except CompilerError as error:
            stages.go_on_after(error)
        launches = _with_plain_loops(device, launches, stages)
        return stages.run("program", device.compile, launches, timing), launches

    def _add_checked(
        self,
        name: str,
        schedule: Schedule,
        pieces: Sequence[Piece],
        launches: Sequence[Launch],
    ) -> None:
        """Each kernel as a program of its own, followed by a check of its results."""
        device = Device.get(name)
        rest = list(zip(pieces, launches, strict=True))
        for kernel in schedule.kernels:
            is_own = [piece.kernel is kernel or piece.whole in kernel.outputs for piece, _ in rest]
            count = is_own.index(False) if False in is_own else len(rest)
            mine, rest = rest[:count], rest[count:]
            self._run(device, [piece for piece, _ in mine], [each for _, each in mine])
            nodes = (*kernel.outputs, *kernel.inputs)
            places = {node: self._place[node, name] for node in nodes}
            self._steps.append(CheckValues(device, kernel, places))

    def plan(self, outputs: Sequence[Located], checks: Sequence[InRange] = ()) -> Plan:
        """The plan for these outputs. The last outputs are the flags of the checks (flags.py), and
        so are the last leaves."""
        found = [Output(self._place[at], at[0].size, at[0].dtype, at[1]) for at in outputs]
        own, leaves = len(found) - len(checks), self._leaves - len(checks)
        flags = [
            Check(at.place, at.dtype, at.device, x.low, x.high, x.dtype.kind == "int")
            for at, x in zip(found[own:], checks, strict=True)
        ]
        return Plan(
            leaves,
            self._allocations,
            self._steps,
            found[:own],
            frozenset(place for place in self._taken if place < leaves),
            sum(allocation.nbytes for allocation in self._allocations),
            Flags(flags) if flags else None,
        )

    def _allocate(self, device: BackendDevice, nbytes: int, zeroed: bool = False) -> int:
        """The place of new memory; `zeroed`: it holds zeros when the plan begins."""
        self._allocations.append(Allocation(device, nbytes, zeroed))
        return self._leaves + len(self._allocations) - 1

    def _receive(self, arrival: Buffer, source: Located, device: BackendDevice) -> None:
        """Let `arrival` hold a node of an earlier part: copied, if that is on another device."""
        node, name = source
        arrived = (arrival, arrival.storage.device)
        if name == arrival.storage.device:
            self._place[arrived] = self._place[source]
            return
        self._place[arrived] = self._allocate(device, 0)
        places = self._place[source], self._place[arrived]
        self._steps.append(Transfer(Device.get(name), device, *places, node.size, node.dtype))

    def _launches(self, name: str, made: Compiled) -> tuple[list[Piece], list[Launch]]:
        """Each launch with the places of its arguments, in memory of the device `name`; and what it
        runs."""
        found: list[tuple[Piece, Launch]] = []
        memory, own_memory = made.memory, partial(self._allocate, Device.get(name))
        for piece, launch in zip(made.pieces, made.launches, strict=True):
            if isinstance(launch, Steps):
                found += all_steps(launch, partial(self._argument, name), own_memory)
                continue
            kernel = piece.kernel
            overwritten = {memory.in_place.get(node) for node in kernel.outputs}
            slots = [self._place[piece.whole or node, name] for node in kernel.outputs]
            if REPORT in launch.function.arguments:
                nbytes = REPORT.size * REPORT.dtype.itemsize
                slots.append(own_memory(nbytes, zeroed=True))
            slots += [self._place[x, name] for x in kernel.inputs if x not in overwritten]
            if len(set(slots)) < len(slots):  # code is written as if arguments never overlapped
                raise CompilerError(f"link: {launch.function.name}: two arguments share a memory")
            found.append((piece, replace(launch, slots=tuple(slots))))
        pieces, placed = [piece for piece, _ in found], [launch for _, launch in found]
        return pieces, let_overlap(placed, pieces) if config.OPT else placed

    def _argument(self, name: str, node: Node) -> Argument:
        """Where a node's elements are, in memory of the device `name`."""
        return Argument(self._place[in_memory(node), name])


def _with_slots(launch: Launch, slot: Mapping[int, int]) -> Launch:
    """A launch with the slots of a program in place of places."""
    turn = launch.turn and replace(launch.turn, count=slot[launch.turn.count])
    return replace(launch, slots=tuple([slot[place] for place in launch.slots]), turn=turn)


def plain_launch(stages: Stages, launch: Launch, machine: Machine) -> Launch:
    """The launch of plain loops, after the core passes alone. It has no key, so that its code is
    not cached and the next process tries the loop passes again."""
    plain = launch.plain or launch.function
    target = machine.target
    made = stages.through(passes("loops", target, 0), plain, At(machine))
    stages.saw("code", made, plain, final=target)
    return replace(launch, function=made, key="", plain=plain)


def _with_plain_loops(
    device: BackendDevice, launches: Sequence[Launch], stages: Stages
) -> list[Launch]:
    """The launches, with plain loops for each that does not compile by itself."""
    return [
        each if _compiles(device, each) else plain_launch(stages, each, device.machine)
        for each in launches
    ]


def _compiles(device: BackendDevice, launch: Launch) -> bool:
    """Whether a launch compiles by itself."""
    try:
        device.compile([launch])
    except (MemoryError, DeviceError):
        raise
    except Exception:  # whatever it is: a pass, code generation or the driver at fault
        return False
    return True


def let_overlap(launches: Sequence[Launch], pieces: Sequence[Piece]) -> list[Launch]:
    """Leave a barrier only before launches that need one.

    A launch must wait if it reads a memory that a launch since the last barrier writes, or writes a
    memory that one of them reads or writes. Parts of one join write different elements: they do not
    wait for one another.

        a = x + 1;  b = x * 2;  c = a + b   ->   a;  b;  barrier;  c
    """
    found = []
    read: set[int] = set()
    written: set[int] = set()
    whole: Node | None = None
    for piece, launch in zip(pieces, launches, strict=True):
        count = launch.function.outputs
        outputs, inputs = launch.slots[:count], launch.slots[count:]
        new = () if whole is not None and whole is piece.whole else outputs
        whole = piece.whole
        barrier = not (
            written.isdisjoint(inputs) and written.isdisjoint(new) and read.isdisjoint(new)
        )
        if barrier:
            read.clear()
            written.clear()
        read.update(inputs)
        written.update(outputs)
        found.append(replace(launch, barrier=barrier))
    return found

"""From a graph to its plan: run the passes of pipeline.py in order.

compile_graph
    checks         each check of an index becomes an output of its own
    graph          passes over the whole graph
    place          one part a device; for each part, in order:
    part           passes over its nodes
    schedule       which operations share a kernel
    memory         which memory the kernels work on
    pieces         launches: one for each kernel, or for each tensor that a kernel joins; for each:
        kernel     plain loops, named by what they compute
                   (of a loop over time: the launches of a step, compiled as a graph is)
        loops      the loops, shaped for the target; for speed: launches.py
    Linker         machine code, and the plan (link.py)

realize.py calls it where it finds no plan.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any

from . import config
from .backends.base import Device as BackendDevice
from .backends.base import Launch
from .graph.build import bare, substitute
from .graph.checks import checks_of, flag_dtype, separate_checks
from .graph.ir import Buffer, Contiguous, InRange, Node, Recurrence
from .graph.structure import Slot
from .launches import fast_launch
from .link import Linker, plain_launch
from .looking import looking
from .loops.lower import Lowered, renamed
from .origin import kernel_origins
from .pipeline import passes
from .progress import counted
from .realize import plan_for, realize, storage_of
from .runtime.device import Device
from .runtime.execute import Plan
from .schedule.ir import Kernel, MemoryPlan
from .schedule.join import Piece, pieces
from .schedule.place import Part, place
from .stages import Stages
from .steps import Compiled, Steps
from .targets import At

# What runs plans comes with the passes: who imports this module has all of the compiler.
__all__ = ["compile_graph", "compile_plan", "plan_for", "realize", "storage_of"]


def compile_plan(
    outputs: Sequence[Node], leaves: Sequence[Buffer], donated: Mapping[int, int]
) -> tuple[Plan, bool]:
    """The plan of a graph, as `compile_graph` makes it, shown to who watches; and whether a pass
    failed and was left out."""
    with Stages() as stages:
        plan = compile_graph(outputs, leaves, donated, stages)
        stages.saw("plan", plan)
        return plan, stages.has_left_out


def compile_graph(
    outputs: Sequence[Node],
    leaves: Sequence[Buffer],
    donated: Mapping[int, int],
    stages: Stages,
) -> Plan:
    """Run every pass in order, from a graph to a plan.

    The leaves have no memory: a Slot stands for it. `donated` maps numbers of outputs to numbers of
    leaves: such an output may take over the leaf's memory.
    """
    stages.saw("graph", list(outputs))
    if checks := checks_of(outputs):
        outputs, leaves, donated = _with_flags(outputs, leaves, donated, checks)
    graph = stages.through(passes("graph", None, config.OPT), outputs)
    # From the outputs before simplify: a constant has no device.
    devices = [output.device or Device.DEFAULT for output in outputs]
    parts, placed = place([(bare(n), d) for n, d in zip(graph, devices, strict=True)])
    given = {placed[n][0]: leaves[leaf] for n, leaf in donated.items()} if len(parts) == 1 else {}
    linker = Linker(leaves, stages)
    for part in parts:
        _compile_part(part, given, linker, stages)
    return linker.plan(placed, checks)


def _compile_part(part: Part, given: Mapping[Node, Node], linker: Linker, stages: Stages) -> None:
    """Compile what one device computes, and add it to the linker's plan. `given` maps an output to
    the leaf whose memory it may take over."""
    record = looking.get()
    noted = None if record is None else record.begin_part(part.device)
    made = _compiled(part.outputs, given, Device.get(part.device), stages)
    if noted is not None:
        noted.schedule, noted.plan, noted.launches = made.schedule, made.memory, made.launches
    linker.add(part, made)


def _compiled(
    outputs: Sequence[Node],
    given: Mapping[Node, Node] | None,
    device: BackendDevice,
    stages: Stages,
) -> Compiled:
    """What a device computes, from nodes to launches. `given` is as in `_compile_part`; None where
    no two nodes may share memory."""
    at = At(device.machine)
    wanted = [node for node in outputs if node.size]
    schedule = stages.level("schedule", stages.level("part", wanted, at), at)
    renamed = dict(zip(wanted, schedule.outputs, strict=True))
    taken = None
    if given is not None:
        taken = {renamed[node]: leaf for node, leaf in given.items() if node in renamed}
    memory = stages.level("memory", schedule, At(device.machine, taken))
    launched = [piece for kernel in schedule.kernels for piece in pieces(kernel)]
    launches = [
        _compile_steps(piece.kernel, device, stages)
        if piece.kernel.kind == "recurrence"
        else _compile_piece(piece, memory, device, stages)
        for piece in counted("kernel", launched)
    ]
    return Compiled(schedule, memory, launched, launches, renamed)


def _compile_steps(kernel: Kernel, device: BackendDevice, stages: Stages) -> Steps:
    """The launches of a step of a loop. The step is a graph of its own; its leaves are memory of
    the state before it, of rows, and of constants."""
    values = [node for node in kernel.outputs if isinstance(node, Recurrence)]
    arguments = values[0].arguments
    leaves = [Buffer(Slot(x.size, x.dtype, device.name), x.shape) for x in arguments]
    of_step = substitute([x.step.value for x in values], dict(zip(arguments, leaves, strict=True)))
    outputs: list[Node] = []
    for node in map(bare, stages.through(passes("graph", None, config.OPT), of_step)):
        while node in outputs or node in leaves:  # each value has memory of its own
            node = Contiguous(node)
        outputs.append(node)
    made = _compiled(outputs, None, device, stages)
    named = [made.renamed[node] for node in outputs]
    numbers: dict[Node, int] = {leaf: n for n, leaf in enumerate(leaves)}
    return Steps(made, numbers, dict(zip(named, values, strict=True)))


def _compile_piece(
    piece: Piece, memory: MemoryPlan, device: BackendDevice, stages: Stages
) -> Launch:
    """The launch of a piece, whose output begins at the piece's offset in memory. It has no slots
    yet: the linker numbers them."""
    kernel = piece.kernel
    if config.OPT:
        overwritten = {n: memory.in_place[n] for n in kernel.outputs if n in memory.in_place}
        launch = fast_launch(kernel, overwritten, device, stages)
    else:
        made = stages.level("kernel", Lowered(kernel, {}), At(device.machine))
        launch = plain_launch(stages, Launch(made.function, ()), device.machine)
    if config.ORIGINS:
        function = renamed(launch.function, kernel)
        launch = replace(launch, function=function, origins=kernel_origins(kernel))
    if not piece.start:
        return launch
    first, *rest = launch.offsets or (0,) * len(launch.function.arguments)
    return replace(launch, offsets=(first + piece.start, *rest))


def _with_flags(
    outputs: Sequence[Node],
    leaves: Sequence[Buffer],
    donated: Mapping[int, int],
    checks: Sequence[InRange],
) -> tuple[list[Node], list[Buffer], dict[int, int]]:
    """The arguments of `compile_graph` with one more output and leaf for each check: the flag that
    the check sets, in the memory of the flag of the previous run."""
    before = [
        Buffer(Slot(1, flag_dtype(check), check.device or Device.DEFAULT), ()) for check in checks
    ]
    bare, flags = separate_checks(outputs, checks, before)
    taken = {len(bare) + n: len(leaves) + n for n in range(len(flags))}
    return [*bare, *flags], [*leaves, *before], {**donated, **taken}


class _Package(ModuleType):
    """This module, callable for programs that expect `torch.compile`."""

    def __call__(self, model: Any = None, **options: Any) -> Any:
        """The model or function as it is, or a decorator that returns it: every expression is
        compiled when its values are asked for. `lazygrad.jit` replays a function as one call."""
        return model if model is not None else lambda model: model


sys.modules[__name__].__class__ = _Package

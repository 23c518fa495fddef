"""From graph nodes to values: run the passes of pipeline.py, and then their plan.

The *leaves* of a graph are nodes that have memory already. A *plan* is a compiled graph: machine
code, and launches of it, which run on the memory of any leaves of the same shapes and dtypes.

realize                tensors call it: computes nodes, and returns the memory of each
    plan_for           the plan of their graph: an earlier one of equal structure, or a new one
        compile_graph  the passes, in order:
            checks         each check of an index becomes an output of its own
            graph          passes over the whole graph
            place          one part a device; for each part, in order:
            part           passes over its nodes
            schedule       which operations share a kernel
            memory         which memory the kernels work on
            pieces         launches: one for each kernel, or for each tensor that a kernel joins
            compile_piece  for each piece (launches.py):
                kernel     plain loops, named by what they compute
                loops      the loops, shaped for the target
            Linker         machine code, and the plan
    Plan.run           runs the launches

With OPT=0 plans are kept here. Otherwise plans.py keeps them: it finds them faster, and lets graphs
share a plan that differ in constants or sizes.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any

from . import config
from .cache import remember
from .dump import watching
from .graph.build import substitute
from .graph.checks import checks_of, flag_dtype, separate_checks, sources_of
from .graph.ir import Buffer, Contiguous, Detach, InRange, Node, Reshape
from .graph.structure import Slot, Walk, structure
from .looking import looking
from .plans import MAX_PLANS, find
from .progress import counted
from .runtime.buffer import DeviceBuffer, interceptor, realized
from .runtime.device import Device
from .runtime.execute import Plan
from .targets import At

if TYPE_CHECKING:  # the passes are loaded where no cache has the plan
    from .link import Linker
    from .schedule.place import Part
    from .stages import Stages

_plans: dict[Hashable, Plan] = {}  # with OPT=0


def realize(
    nodes: Sequence[Node],
    walked: Walk | None = None,
    donated: Mapping[int, Node] | None = None,
) -> list[DeviceBuffer]:
    """Compute the nodes, and return the memory of each. `walked` and `donated` are as in
    `plan_for`; a node that takes over the memory of a leaf returns the leaf's storage.

    Raises OutOfMemoryError; IndexError for an index out of range, if the device has reported it by
    now; CompilerError for a fault in a pass that cannot be left out.
    """
    intercept = interceptor.get()
    if intercept is not None:
        return intercept(nodes)
    plan, leaves = plan_for(nodes, donated, walked, may_vary=True)
    return plan.run([storage_of(leaf) for leaf in leaves], partial(sources_of, nodes, leaves))


def storage_of(leaf: Node) -> DeviceBuffer:
    """The memory of a Buffer, or of a node that was computed before and is still alive."""
    return leaf.storage if isinstance(leaf, Buffer) else realized[leaf]  # type: ignore[return-value]


def plan_for(
    outputs: Sequence[Node],
    donated: Mapping[int, Node] | None = None,
    walked: Walk | None = None,
    may_vary: bool = False,
) -> tuple[Plan, list[Node]]:
    """The plan that computes the outputs, and the leaves to run it on, in the plan's order. Nodes
    that are computed already are leaves.

    `donated` maps the number of an output to the leaf whose memory it may take over; `Plan.taken`
    has the leaves that are taken over indeed. `walked` is a walk that has reached the outputs
    already. With `may_vary`, constants may become leaves, the last ones, so that graphs which
    differ in their values share a plan.
    """
    if config.OPT or config.ORIGINS or looking.get() or watching():
        plan, leaves = find(compile_graph, outputs, donated or {}, walked, may_vary)
    else:
        graph, leaves = structure(outputs, realized)
        key = graph, Device.DEFAULT, config.DEBUG, config.CHECK
        if key not in _plans:
            remember(_plans, key, _new_plan(outputs, leaves), MAX_PLANS)
        plan = _plans[key]
    if plan.flags is not None and not plan.flags.sources:
        plan.flags.sources = sources_of(outputs, leaves)
    return plan, leaves


def _new_plan(outputs: Sequence[Node], leaves: Sequence[Node]) -> Plan:
    """A plan that runs on any leaves of these shapes, dtypes and devices."""
    slots = [Buffer(Slot.of(leaf), leaf.shape) for leaf in leaves]
    graph = substitute(outputs, dict(zip(leaves, slots, strict=True)))
    from .stages import Stages

    with Stages() as stages:
        return compile_graph(graph, slots, {}, stages)


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
    from .link import Linker
    from .pipeline import passes
    from .schedule.place import place

    stages.saw("graph", list(outputs))
    if checks := checks_of(outputs):
        outputs, leaves, donated = _with_flags(outputs, leaves, donated, checks)
    graph = stages.through(passes("graph", None, config.OPT), outputs)
    # From the outputs before simplify: a constant has no device.
    devices = [output.device or Device.DEFAULT for output in outputs]
    parts, placed = place([(_bare(n), d) for n, d in zip(graph, devices, strict=True)])
    given = {placed[n][0]: leaves[leaf] for n, leaf in donated.items()} if len(parts) == 1 else {}
    linker = Linker(leaves, stages)
    for part in parts:
        _compile_part(part, given, linker, stages)
    return linker.plan(placed, checks)


def _compile_part(part: Part, given: Mapping[Node, Node], linker: Linker, stages: Stages) -> None:
    """Compile what one device computes, and add it to the linker's plan. `given` maps an output to
    the leaf whose memory it may take over."""
    from .launches import compile_piece
    from .schedule.join import pieces

    device = Device.get(part.device)
    at = At(device.machine)
    wanted = [node for node in part.outputs if node.size]
    record = looking.get()
    noted = None if record is None else record.begin_part(part.device)
    schedule = stages.level("schedule", stages.level("part", wanted, at), at)
    renamed = dict(zip(wanted, schedule.outputs, strict=True))
    taken = {renamed[node]: leaf for node, leaf in given.items() if node in renamed}
    memory = stages.level("memory", schedule, At(device.machine, taken))
    launched = [piece for kernel in schedule.kernels for piece in pieces(kernel)]
    launches = [
        compile_piece(piece, memory, device, stages) for piece in counted("kernel", launched)
    ]
    if noted is not None:
        noted.schedule, noted.plan, noted.launches = schedule, memory, launches
    linker.add(part, schedule, memory, launched, launches)


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


def _bare(output: Node) -> Node:
    """An output without the outer nodes that leave elements and their order as they are."""
    while isinstance(output, (Reshape, Contiguous, Detach)):
        output = output.x
    return output


class _Package(ModuleType):
    """This module, callable for programs that expect `torch.compile`."""

    def __call__(self, model: Any = None, **options: Any) -> Any:
        """The model or function as it is, or a decorator that returns it: every expression is
        compiled when its values are asked for. `lazygrad.jit` replays a function as one call."""
        return model if model is not None else lambda model: model


sys.modules[__name__].__class__ = _Package

"""From graph nodes to values: run the pipeline, and keep its plans. Start here.

realize                tensors call it: computes nodes, and returns the memory of each
    structure          the key of the graph: graphs that differ only in their leaves share a plan;
                       nodes that are computed already are leaves
    VaryingConstants   constants that differ from graph to graph become leaves
    saved.load         the plan, if an earlier process saved it
    compile_graph      else: the passes of pipeline.py, in order
        checks         each check of an index becomes an output of its own
        graph          passes over the whole graph
        place          one part a device; each part, in order:
        part           passes over its nodes
        schedule       which operations share a kernel; which memory they work on
        pieces         a joined tensor is launched once for each part
        compile_piece  each kernel (launches.py):
            kernel     plain loops, named by what they compute
            loops      the loops as the target wants them, if the device has no code for them yet
        Linker         machine code, and the plan
    saved.save         the plan, to disk
    Plan.run           runs it

A pass that only makes code faster is left out where it fails, with a warning.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from types import ModuleType
from typing import Any, cast
from weakref import ref

from . import config
from .cache import remember
from .errors import CompilerError
from .graph.build import broadcast_to
from .graph.checks import checks_of, flag_dtype, separate_checks, sources_of
from .graph.constants import VaryingConstants
from .graph.gradient import cotangents
from .graph.ir import Buffer, Const, Contiguous, Detach, InRange, Node, Reshape, topological
from .graph.sizes import with_arguments
from .graph.skeleton import Places
from .graph.structure import Hashed, Key, Slot, Walk, structure
from .launches import compile_piece, plain_launch
from .looking import looking
from .origin import asker, name_of, origins, set_label, title
from .pipeline import passes
from .progress import compiling, counted
from .rewrite import Rules, rewrite
from .runtime import saved, timings
from .runtime.buffer import DeviceBuffer, interceptor, realized
from .runtime.device import Device
from .runtime.execute import Plan
from .runtime.link import Linker
from .runtime.report import report_passes
from .runtime.sized import VaryingSizes
from .schedule.ir import Schedule
from .schedule.join import pieces
from .schedule.place import place
from .stages import Stages, watching
from .targets import At, Machine

MAX_PLANS = 1024  # plans kept; those made longest ago are dropped
_plans: dict[Key, Plan] = {}
_varying = VaryingConstants()
_sizes = VaryingSizes()


def realize(
    nodes: Sequence[Node],
    walked: Walk | None = None,
    donated: Mapping[int, Node] | None = None,
) -> list[DeviceBuffer]:
    """Compute the nodes, and return the memory of each. `walked` and `donated` are as in
    `plan_for`; a node that takes over the memory of a leaf has its very storage.

    Raises OutOfMemoryError, IndexError for an index out of range if that is known by now, and
    CompilerError for a fault of the compiler that no slower way leads around.
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
    """The plan that computes the outputs, and the leaves to run it on, in the plan's order.

    `donated` names for an output (by its number) the leaf whose memory it may take over; the plan's
    `taken` has the leaves whose memory is taken. `walked` is a walk that has reached the outputs
    already. With `may_vary`, the last leaves may stand for constants that differ from graph to
    graph.
    """
    if walked is None:
        walked = Walk(realized)
        walked.walk(outputs)
    leaves = walked.leaves
    donations = {}
    if donated:
        if config.ORIGINS:
            for n, leaf in donated.items():
                set_label(outputs[n], name_of(leaf))
        number = {leaf: n for n, leaf in enumerate(leaves)}
        donations = {n: number[leaf] for n, leaf in donated.items() if leaf in number}
    watched = [place.number for place in watching()]
    settings = (
        config.DEBUG >= 2, config.THREADS, config.TUNE, config.WINOGRAD, config.CHECK, config.OPT,
        config.SIZES,
    )  # fmt: skip
    rest = (*donations.items(), Device.DEFAULT, *settings, *watched, lines_of(outputs))
    by_size = bool(config.SIZES and config.OPT) and not watched
    may_vary = bool(may_vary and config.OPT) and not watched
    asked = _Asked(outputs, walked, walked.places(outputs), donations, rest, by_size, may_vary)
    found = None if looking.get() is not None else _recalled(asked)
    plan, constants = found or _looked_up(asked)
    return _told(plan, outputs, [*leaves, *_arguments(constants, leaves)] if constants else leaves)


@dataclass(eq=False, slots=True)
class _Asked:
    """A graph that a plan is asked for: its walk, and where the outputs stand there; the numbers of
    outputs and leaves that are donated; and the rest of what plans are found by.

    `by_size`: its plan may serve other sizes, too. `may_vary`: its constants may be arguments.
    """

    outputs: Sequence[Node]
    walk: Walk
    places: Places
    donations: Mapping[int, int]
    rest: tuple[Hashable, ...]
    by_size: bool
    may_vary: bool

    def constants(self, places: Iterable[int]) -> list[Const]:
        """The constants at these places of the walk."""
        nodes = self.walk.nodes
        return cast("list[Const]", [nodes[place] for place in places])


Found = tuple[Plan, list[Const]]  # a plan, and the constants that its last leaves stand for


def _recalled(asked: _Asked) -> Found | None:
    """The plan of a graph whose structure was met before, and that is found at once."""
    known = asked.walk.structure.keys.get(asked.places)
    if known is not None and (asked.may_vary or not known[1]):
        key, places = known
        plan = _plans.get((key, *asked.rest))
        if plan is not None and config.ORIGINS <= plan.has_origins:
            return plan, asked.constants(places)
    if asked.by_size:
        sized = _sizes.recalled(asked.walk, asked.places, asked.rest)
        if sized is not None and not sized[0].is_outgrown:
            return sized[0], asked.constants(sized[1])
    return None


def _looked_up(asked: _Asked) -> Found:
    """The plan of a graph, by its whole key; a new one if there is none."""
    walk, rest, by_size = asked.walk, asked.rest, asked.by_size
    raw = key = walk.key(asked.outputs)
    plan = _plans.get((key, *rest))
    record = looking.get()
    if plan is None and by_size and record is None:
        known = _sizes.known(raw, walk, asked.places, rest)
        if known is not None and not known[0].is_outgrown:
            return known[0], asked.constants(known[1])
        by_size = known is None
    arguments: list[Const] = []
    if plan is None and asked.may_vary and _only_device(walk.leaves):
        key, arguments = _varying(key, walk.nodes)
        plan = _plans.get((key, *rest)) if arguments else None
    key = Hashed(key)
    if record is not None:
        record.asked(title.get() or asker(), (key, *rest), walk.nodes, _plans)
        plan = None
    leaves = [*walk.leaves, *_arguments(arguments, walk.leaves)]
    if plan is None or config.ORIGINS > plan.has_origins:
        if by_size:
            _learn_sizes(raw, asked, arguments)
            known = _sizes.known(raw, walk, asked.places, rest)
            if known is not None:
                if record is not None and record.has_to_show_again():
                    _loaded_or_compiled(
                        (key, *rest), asked.outputs, leaves, asked.donations, arguments
                    )
                return known[0], asked.constants(known[1])
        plan = _loaded_or_compiled((key, *rest), asked.outputs, leaves, asked.donations, arguments)
        remember(_plans, (key, *rest), plan, MAX_PLANS)
    _remember(asked, key, [walk.number[constant] for constant in arguments])
    return plan, arguments


def _remember(asked: _Asked, key: Hashed, arguments: Sequence[int]) -> None:
    """Note by which key a graph's plan is found, for graphs of the same structure: whatever the
    values of the arguments are."""
    walk, found = asked.walk, (key, tuple(arguments))
    walk.exact().keys[asked.places] = found
    if arguments:
        varying = walk.note_varying(with_arguments(walk.fields, arguments))
        varying.keys[asked.places] = found


def _told(plan: Plan, outputs: Sequence[Node], leaves: list[Node]) -> tuple[Plan, list[Node]]:
    """A plan that knows who asks for its checks, and its leaves."""
    if plan.flags is not None and not plan.flags.sources:
        plan.flags.sources = sources_of(outputs, leaves)
    return plan, leaves


def lines_of(outputs: Sequence[Node]) -> Hashable:
    """The lines that asked for the outputs, where somebody looks: kernels are told of by their
    lines, so that a line has a plan of its own."""
    known = [origins(output)[:1] for output in outputs] if config.ORIGINS else []
    return tuple([(origin.file, origin.line) for each in known for origin in each])


def _learn_sizes(key: Key, asked: _Asked, arguments: Sequence[Const]) -> None:
    """Compile for all sizes, if a graph differs from an earlier one in a size. `key` has the values
    of the arguments."""

    def compiled(
        at_bound: Sequence[Node], slots: Sequence[Buffer], kept: Mapping[int, int], bound: Hashable
    ) -> Plan | None:
        kinds = [(slot.shape, slot.dtype) for slot in slots]  # in the order of the plan's leaves
        name = structure(at_bound)[0], *kinds, bound, tuple(kept.items()), asked.rest
        try:
            return _loaded_or_compiled(name, at_bound, slots, kept, ())
        except CompilerError as error:  # the graph's own plan is another way
            Stages().go_on_after(error)
            return None

    walk = asked.walk
    places = [walk.number[constant] for constant in arguments]
    _sizes.learn(key, asked.rest, walk.nodes, asked.outputs, asked.donations, places, compiled)


def _only_device(leaves: Sequence[Node]) -> str | None:
    """The device of all leaves; None where there are several, or no leaves."""
    devices = {leaf.device for leaf in leaves}
    return devices.pop() if len(devices) == 1 else None


def _arguments(constants: Sequence[Const], leaves: Sequence[Node]) -> list[Node]:
    """Leaves with the values of constants, on the device of the others."""
    device = _only_device(leaves) or Device.DEFAULT
    return [Buffer(DeviceBuffer.of_number(x.value, x.dtype, device), ()) for x in constants]


def _loaded_or_compiled(
    key: Key,
    outputs: Sequence[Node],
    leaves: Sequence[Node],
    donations: Mapping[int, int],
    arguments: Sequence[Const],
) -> Plan:
    """A new plan, from disk unless somebody watches or checks the compilation. The last leaves
    stand for `arguments`, constants that are arguments of the plan."""
    name = title.get() or asker()
    token = title.set(name)
    try:
        plan = _made(key, outputs, leaves, donations, arguments)
    finally:
        title.reset(token)
    plan.title, plan.has_origins = name, bool(config.ORIGINS)
    return plan


def _made(
    key: Key,
    outputs: Sequence[Node],
    leaves: Sequence[Node],
    donations: Mapping[int, int],
    arguments: Sequence[Const],
) -> Plan:
    begin, spent = perf_counter(), dict(timings.passes)
    with Stages() as stages:
        looked_at = stages.are_watched or stages.are_checked or config.ORIGINS or looking.get()
        on_disk = config.OPT > 0 and not (looked_at or config.TUNE)
        plan = saved.load(key) if on_disk else None
        if plan is None:
            slots, abstract = _over_slots(outputs, leaves, arguments, stages.are_watched)
            with compiling(title.get() or ""), without_collections():
                plan = compile_graph(abstract, slots, donations, stages)
            stages.saw("plan", plan)
            if on_disk and not stages.has_left_out:
                saved.save(key, plan)
    if config.DEBUG:
        report_passes(spent, perf_counter() - begin)
    return plan


@contextmanager
def without_collections() -> Iterator[None]:
    """Pause Python's search for garbage in cycles: the compiler makes many objects, few of which
    are in cycles, and each search looks at all objects of the process."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _over_slots(
    outputs: Sequence[Node], leaves: Sequence[Node], arguments: Sequence[Const], is_shown: bool
) -> tuple[list[Buffer], list[Node]]:
    """Slots for the leaves, and the graph over the slots in place of the leaves. What the compiler
    keeps of this graph holds no memory of a tensor. `is_shown`: pictures are made of it."""
    slots = [Buffer(Slot.of(x), x.shape) for x in leaves]
    own = len(leaves) - len(arguments)
    slot_of: dict[Node, Node] = dict(zip(leaves[:own], slots, strict=False))
    abstract = rewrite(outputs, Rules(), slot_of)
    if is_shown:
        order = topological(outputs, lambda node: () if node in slot_of else node.inputs)
        _pass_on_cotangents(dict(zip(order, topological(abstract), strict=True)))
    if arguments:  # only now: what is computed already may be made of the same constants
        given = zip(arguments, slots[own:], strict=True)
        abstract = rewrite(abstract, Rules(), {x: broadcast_to(s, x.shape) for x, s in given})
    return slots, abstract


def _pass_on_cotangents(made: Mapping[Node, Node]) -> None:
    """Note the gradients among nodes that were made for others."""
    for old, new in made.items():
        of = cotangents[old]() if old in cotangents else None
        if of is not None and of in made:
            cotangents[new] = ref(made[of])


def compile_graph(
    outputs: Sequence[Node],
    leaves: Sequence[Buffer],
    donated: Mapping[int, int],
    stages: Stages,
) -> Plan:
    """Run every pass in order, from a graph to a plan. `donated` is as in `plan_for`, with numbers
    of leaves."""
    stages.saw("graph", list(outputs))
    if checks := checks_of(outputs):
        outputs, leaves, donated = _with_flags(outputs, leaves, donated, checks)
    graph = stages.through(passes("graph", None, config.OPT), outputs)
    # The device of an output as it was asked for: simplified to a constant, it has none.
    devices = [output.device or Device.DEFAULT for output in outputs]
    parts, placed = place([(_bare(n), d) for n, d in zip(graph, devices, strict=True)])
    given = {placed[n][0]: leaves[leaf] for n, leaf in donated.items()} if len(parts) == 1 else {}
    linker = Linker(leaves, partial(plain_launch, stages))
    for part in parts:
        device = Device.get(part.device)
        wanted = [node for node in part.outputs if node.size]
        record = looking.get()
        noted = None if record is None else record.begin_part(part.device)
        schedule = make_schedule(wanted, device.machine, stages)
        renamed = dict(zip(wanted, schedule.outputs, strict=True))
        taken = {renamed[node]: leaf for node, leaf in given.items() if node in renamed}
        memory = stages.level("memory", schedule, At(device.machine, taken))
        launched = [piece for kernel in schedule.kernels for piece in pieces(kernel)]
        launches = [
            compile_piece(piece, memory, device, stages) for piece in counted("kernel", launched)
        ]
        if noted is not None:
            noted.schedule, noted.plan, noted.launches = schedule, memory, launches
        linker.add(part, device, schedule, memory, launched, launches, stages)
    return linker.plan(placed, checks)


def _with_flags(
    outputs: Sequence[Node],
    leaves: Sequence[Buffer],
    donated: Mapping[int, int],
    checks: Sequence[InRange],
) -> tuple[list[Node], list[Buffer], dict[int, int]]:
    """The arguments of `compile_graph` with a flag for each check: an output in the memory of a
    leaf, the flag of the previous run."""
    before = [
        Buffer(Slot(1, flag_dtype(check), check.device or Device.DEFAULT), ()) for check in checks
    ]
    bare, flags = separate_checks(outputs, checks, before)
    taken = {len(bare) + n: len(leaves) + n for n in range(len(flags))}
    return [*bare, *flags], [*leaves, *before], {**donated, **taken}


def make_schedule(outputs: Sequence[Node], machine: Machine, stages: Stages) -> Schedule:
    """The kernels of one device, and the memory order of the intermediates between them.

    The schedule's outputs are the given ones, in order, perhaps rewritten.
    """
    at = At(machine)
    made: Schedule = stages.level("schedule", stages.level("part", outputs, at), at)
    return made


def _bare(output: Node) -> Node:
    """An output below the nodes that leave elements and their order as they are."""
    while isinstance(output, (Reshape, Contiguous, Detach)):
        output = output.x
    return output


class _Package(ModuleType):
    """This module, with an answer for those who look for `torch.compile`."""

    def __call__(self, model: Any = None, **options: Any) -> Any:
        """The model or function as it is, or a decorator that returns it: every expression is
        compiled when its values are asked for. `lazygrad.jit` replays a function as one call."""
        return model if model is not None else lambda model: model


sys.modules[__name__].__class__ = _Package

"""Find the plan of a graph: recall it by structure, look it up by key, load it, or compile it.

find                   the plan, and its leaves
    _recalled          a graph of equal structure (graph/skeleton.py) came before: no key is made
    _note_calls        else, of a graph with calls that are not built (graph/ir/deferred.py): build
                       them, find the plan for the whole graph, and remember it for these calls
    _looked_up         else: look up the graph's key, in which numbers stand for leaves
        VaryingConstants   constants that differ from graph to graph become leaves
        VaryingSizes       graphs that differ in a size share a plan
        _new               else: a new plan
            saved.load     from disk, where an earlier process saved it
            compile        else: made by compile.py, and then saved
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from time import perf_counter
from typing import cast
from weakref import ref

from . import config
from .cache import remember
from .dump import watching
from .errors import CompilerError
from .garbage import without_collections
from .graph.build import broadcast_to, substitute
from .graph.constants import VaryingConstants
from .graph.gradient import cotangents
from .graph.ir import Buffer, Const, Node, topological
from .graph.sizes import Sample, with_arguments
from .graph.skeleton import Places
from .graph.structure import Hashed, Key, Slot, Walk, structure
from .looking import are_stages_verified, looking
from .origin import asker, name_of, origins, set_label, title
from .progress import compiling
from .runtime import saved, timings
from .runtime.buffer import DeviceBuffer, realized
from .runtime.device import Device
from .runtime.execute import Plan
from .runtime.families import VaryingSizes
from .runtime.report import report_passes
from .runtime.sized import SizedPlan

MAX_PLANS = 1024  # plans kept; the oldest are dropped
_plans: dict[Key, Plan] = {}
_varying = VaryingConstants()
_sizes = VaryingSizes()

known_only: ContextVar[bool] = ContextVar("known_only", default=False)
"""Whether a graph that no plan is known for raises LookupError, and is not compiled."""

Compile = Callable[[Sequence[Node], Sequence[Buffer], Mapping[int, int]], tuple[Plan, bool]]
"""compile.compile_plan"""
Found = tuple[Plan, list[Node], list[Const]]
"""A plan, its leaves, and the constants that its last leaves stand for."""


def find(
    compile_plan: Compile,
    outputs: Sequence[Node],
    donated: Mapping[int, Node],
    walked: Walk | None,
    may_vary: bool,
) -> tuple[Plan, list[Node]]:
    """The plan that computes the outputs, and its leaves: see `compile.plan_for`."""
    if walked is None:
        walked = Walk(realized)
        walked.walk(outputs)
    is_looked_at = looking.get() is not None
    if donated or is_looked_at:
        walked = walked.whole(outputs)
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
    by_size = bool(config.SIZES and config.OPT)
    may_vary = bool(may_vary and config.OPT)
    places = walked.places(outputs)
    asked = _Asked(compile_plan, outputs, walked, places, donations, rest, by_size, may_vary)
    found = None if is_looked_at else _recalled(asked)
    if found is None and walked.has_calls:
        walk = walked.whole(outputs)
        whole = replace(asked, walk=walk, places=walk.places(outputs))
        found = _recalled(whole) or _looked_up(whole)
        _note_calls(asked, whole, *found)
    plan, leaves, constants = found or _looked_up(asked)
    return plan, [*leaves, *_arguments(constants, leaves)] if constants else leaves


def lines_of(outputs: Sequence[Node]) -> Hashable:
    """The program's lines that made the outputs, where origins are noted, else (). Reports name a
    kernel by its line, so each line then has a plan of its own."""
    if not config.ORIGINS:
        return ()
    known = [origins(output)[:1] for output in outputs]
    return tuple([(origin.file, origin.line) for each in known for origin in each])


@dataclass(eq=False, slots=True)
class _Asked:
    """A request for a plan: the graph, its walk, and the places of the outputs in the walk.

    `donations` maps numbers of outputs to numbers of leaves. `rest` is what a plan's key has beside
    the graph: settings, devices, donations. `by_size`: the plan may serve other sizes, too.
    `may_vary`: constants may become arguments of the plan.
    """

    compile_plan: Compile
    outputs: Sequence[Node]
    walk: Walk
    places: Places
    donations: Mapping[int, int]
    rest: tuple[Hashable, ...]
    by_size: bool
    may_vary: bool

    def nodes(self, places: Iterable[int]) -> list[Node]:
        """The nodes at these places of the walk."""
        return list(map(self.walk.nodes.__getitem__, places))

    def constants(self, places: Iterable[int]) -> list[Const]:
        """The constants at these places of the walk."""
        return cast("list[Const]", self.nodes(places))


def _recalled(asked: _Asked) -> Found | None:
    """The plan of an earlier graph of the same structure; None where there is none."""
    known = asked.walk.structure.keys.get(asked.places)
    if known is not None and (asked.may_vary or not known[2]):
        key, leaves, places = known
        plan = _plans.get((key, *asked.rest))
        if plan is not None and config.ORIGINS <= plan.has_origins:
            return plan, asked.nodes(leaves), asked.constants(places)
    if asked.by_size:
        sized = _sizes.recalled(asked.walk, asked.places, asked.rest)
        if sized is not None and not sized[0].is_outgrown:
            return sized[0], asked.nodes(sized[1]), asked.constants(sized[2])
    return None


def _looked_up(asked: _Asked) -> Found:
    """The plan of a graph, by its whole key; a new one if there is none."""
    walk, rest = asked.walk, asked.rest
    key = walk.key(asked.outputs)
    plan = _plans.get((key, *rest))
    record = looking.get()
    is_known = plan is not None and record is None and config.ORIGINS <= plan.has_origins
    sample = Sample(key, walk.nodes) if asked.by_size and not is_known else None
    if plan is None and sample is not None and record is None:
        known = _sizes.known(sample, walk, rest)
        if known is not None:
            if not known[0].is_outgrown:
                return known[0], walk.leaves, asked.constants(known[1])
            sample = None
    arguments: list[Const] = []
    if plan is None and asked.may_vary and _only_device(walk.leaves):
        key, arguments = _varying(key, walk.nodes)
        plan = _plans.get((key, *rest)) if arguments else None
    key = Hashed(key)
    if record is not None:
        record.asked(title.get() or asker(), (key, *rest), walk.nodes, _plans)
        plan = None
    if plan is None or config.ORIGINS > plan.has_origins:
        work = asked.outputs, walk.leaves, asked.donations, arguments
        if sample is not None:
            _learn_sizes(sample, asked, arguments)
            known = _sizes.known(sample, walk, rest)
            if known is not None:
                if record is not None and record.has_to_show_again():
                    _new(asked, (key, *rest), *work)
                return known[0], walk.leaves, asked.constants(known[1])
        plan = _new(asked, (key, *rest), *work)
        remember(_plans, (key, *rest), plan, MAX_PLANS)
    _remember(asked, key, walk.places(walk.leaves), walk.places(arguments))
    return plan, walk.leaves, arguments


def _note_calls(
    asked: _Asked, whole: _Asked, plan: Plan, leaves: Sequence[Node], constants: Sequence[Node]
) -> None:
    """Note what was found for a graph whose calls are built, so that it is found before they are
    built."""
    walk = asked.walk
    if not all(x in walk.number for x in (*leaves, *constants)):
        return
    places = walk.places(leaves), walk.places(constants)
    known = whole.walk.structure.keys.get(whole.places)
    if isinstance(plan, SizedPlan):
        _sizes.note_calls(plan, walk, asked.places, asked.rest, *places)
    elif known is not None:
        _remember(asked, known[0], *places)


def _remember(asked: _Asked, key: Hashable, leaves: Places, arguments: Places) -> None:
    """Note the key of a graph's plan, so that `_recalled` finds it for graphs of equal structure,
    whatever the values of the constants that are arguments."""
    walk, found = asked.walk, (key, leaves, arguments)
    walk.exact().keys[asked.places] = found
    if arguments:
        varying = walk.note_varying(with_arguments(walk.fields, arguments))
        varying.keys[asked.places] = found


def _learn_sizes(sample: Sample, asked: _Asked, arguments: Sequence[Const]) -> None:
    """Compile a plan for all sizes, if the graph differs from an earlier one in a size alone.
    `sample` describes the graph to `VaryingSizes`."""

    def compiled(
        at_bound: Sequence[Node], slots: Sequence[Buffer], kept: Mapping[int, int], bound: Hashable
    ) -> Plan | None:
        kinds = [(slot.shape, slot.dtype) for slot in slots]  # in the order of the plan's leaves
        name = structure(at_bound)[0], *kinds, bound, tuple(kept.items()), asked.rest
        return _new(asked, name, at_bound, slots, kept, ())

    walk = asked.walk
    places = [walk.number[constant] for constant in arguments]
    try:
        _sizes.learn(
            sample, asked.rest, walk.nodes, asked.outputs, asked.donations, places, compiled
        )
    except CompilerError as error:  # the graph's own plan is another way
        from .stages import Stages  # with it come the passes

        Stages().go_on_after(error)


def _only_device(leaves: Sequence[Node]) -> str | None:
    """The device of all leaves; None where there are several, or no leaves."""
    devices = {leaf.device for leaf in leaves}
    return devices.pop() if len(devices) == 1 else None


def _arguments(constants: Sequence[Const], leaves: Sequence[Node]) -> list[Node]:
    """Buffers that hold the values of constants, on the device of the leaves."""
    device = _only_device(leaves) or Device.DEFAULT
    return [Buffer(DeviceBuffer.of_number(x.value, x.dtype, device), ()) for x in constants]


# --------------------------------------------------------------------------- new plans


def _new(
    asked: _Asked,
    key: Key,
    outputs: Sequence[Node],
    leaves: Sequence[Node],
    donations: Mapping[int, int],
    arguments: Sequence[Const],
) -> Plan:
    """A new plan: loaded from disk, or compiled. Compilations that are watched or checked always
    compile. `arguments` are constants whose values the plan takes as its last leaves."""
    if known_only.get():
        raise LookupError("no plan of this graph is known")
    begin, spent = perf_counter(), dict(timings.passes)
    name = title.get() or asker()
    token = title.set(name)
    try:
        looked_at = watching() or are_stages_verified() or config.ORIGINS or looking.get()
        on_disk = config.OPT > 0 and not (looked_at or config.TUNE)
        plan = saved.load(key) if on_disk else None
        if plan is None:
            with compiling(name), without_collections():
                slots, graph = _over_slots(outputs, leaves, arguments, bool(watching()))
                plan, has_left_out = asked.compile_plan(graph, slots, donations)
            if on_disk and not has_left_out:
                saved.save(key, plan)
        if config.DEBUG:
            report_passes(spent, perf_counter() - begin)
    finally:
        title.reset(token)
    plan.title, plan.has_origins = name, bool(config.ORIGINS)
    return plan


def _over_slots(
    outputs: Sequence[Node], leaves: Sequence[Node], arguments: Sequence[Const], is_shown: bool
) -> tuple[list[Buffer], list[Node]]:
    """Slots for the leaves and the arguments, and the graph over the slots: the compiler may keep
    nodes of it without keeping any tensor's memory alive. `is_shown`: pictures will show the
    graph, so its gradients are noted."""
    slots = [Buffer(Slot.of(x), x.shape) for x in leaves]
    slot_of: dict[Node, Node] = dict(zip(leaves, slots, strict=True))
    graph = substitute(outputs, slot_of)
    if is_shown:
        order = topological(outputs, lambda node: () if node in slot_of else node.inputs)
        _pass_on_cotangents(dict(zip(order, topological(graph), strict=True)))
    if arguments:  # after the leaves: a leaf's own graph may contain the same constants
        device = _only_device(leaves) or Device.DEFAULT
        own = [Buffer(Slot(1, x.dtype, device), ()) for x in arguments]
        given = zip(arguments, own, strict=True)
        graph = substitute(graph, {x: broadcast_to(slot, x.shape) for x, slot in given})
        slots += own
    return slots, graph


def _pass_on_cotangents(made: Mapping[Node, Node]) -> None:
    """Copy the notes in `cotangents` from old nodes to the nodes that were made for them."""
    for old, new in made.items():
        of = cotangents[old]() if old in cotangents else None
        if of is not None and of in made:
            cotangents[new] = ref(made[of])

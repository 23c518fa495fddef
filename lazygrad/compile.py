"""THE PIPELINE, from graph nodes to values. Start here.

realize                what tensors call: the values of some nodes, in memory
    structure          what was computed before is a leaf; a graph that differs from an earlier one
                       only in its leaves has a plan already
    VaryingConstants   constants that differ from graph to graph become leaves
    saved.load         the plan that an earlier process made, from disk
    compile_graph      else, in order:
        separate_checks    what checks indices becomes outputs of its own
        simplify           the same values, with less to do
        split_reductions   large sums with few results in two steps
        fold_empty         tensors without elements get their values
        place              one part a device; each part, in order:
        select_joined      on OpenCL: joined tensors select their parts by position
        split_for_groups   on a GPU: as much for all its cores
        widen_scatters     what scatters many values adds them up in float64
        use_winograd       convolutions of tiles, with fewer products
        copy_convolved     what convolutions read may be laid out anew
        fuse               which operations share a kernel
        keep               on a CPU: what a row would compute twice has memory of the row's own
        choose_layouts     in which order intermediates lie in memory
        chain              which kernels share their outermost loops
        plan_memory        which memory they are kept in
        pieces             a joined tensor is launched once for each part
        compile_kernel     how each kernel computes, in order:
            canonical          kernels that are equal but for their memory are lowered once
            lower              plain loops
            overwrite          an output takes the memory of an input
            with_report        BOUNDS=1: an output for accesses outside of their arrays
            rebase             on a CPU: an input begins with what is read of it
            named              a name by what is computed
            transform          the loop passes (loops/heuristics.py), once code is needed
            check_accesses     BOUNDS=1: each access is tested
        Linker             machine code, and the plan
    saved.save         the plan, to disk
    Plan.run           runs it

A pass that only makes code faster (`try_to`) is left out where it fails, with a warning; a kernel
that no code can be written for gets the loops that `lower` made (runtime/fallback.py).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from . import config
from .backends.base import Device as BackendDevice
from .backends.base import Launch, Machine, Passes
from .graph.build import broadcast_to
from .graph.checks import checks_of, flag_dtype, separate_checks, sources_of
from .graph.constants import VaryingConstants
from .graph.empty import fold_empty
from .graph.gradient import cotangents
from .graph.ir import Buffer, Const, Contiguous, Detach, InRange, Node, Reshape, topological
from .graph.simplify import simplify
from .graph.structure import Key, Slot, Structure
from .loops.chain import chain
from .loops.check_accesses import REPORT, check_accesses, with_report
from .loops.cost import flops
from .loops.heuristics import plan_count, transform
from .loops.ir import Function, digest
from .loops.lower import lower
from .loops.lower.canonical import canonical
from .loops.lower.overwrite import overwrite
from .loops.lower.rebase import rebase
from .progress import compiling, counted
from .rewrite import Rules, rewrite
from .runtime import saved
from .runtime.buffer import DeviceBuffer, interceptor, realized
from .runtime.cache import source_digest
from .runtime.device import Device
from .runtime.execute import Plan
from .runtime.link import Linker
from .runtime.tune import TRIED, fastest
from .schedule.fuse import fuse
from .schedule.ir import Kernel, Schedule
from .schedule.join import Piece, pieces, select_joined
from .schedule.keep import keep
from .schedule.layout import choose_layouts, copy_convolved
from .schedule.memory import MemoryPlan, plan_memory
from .schedule.place import place
from .schedule.scan import split_scans
from .schedule.show import member_lines, title
from .schedule.split import split_reductions
from .schedule.split_groups import split_for_groups
from .schedule.widen import widen_scatters
from .schedule.winograd import use_winograd
from .stages import Stages, watching

MAX_PLANS = 1024  # plans kept; those made longest ago are dropped
MAX_LAUNCHES = 4096  # and functions of kernels
_plans: dict[Key, Plan] = {}
_varying = VaryingConstants()
_launches: dict[Key, Launch] = {}
_functions: dict[tuple[Function, str], Function] = {}


def realize(
    nodes: Sequence[Node],
    walked: Structure | None = None,
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
    walked: Structure | None = None,
    may_vary: bool = False,
) -> tuple[Plan, list[Node]]:
    """The plan that computes the outputs, and the leaves to run it on, in order: what has memory.

    `donated` names for an output (by its place) the leaf whose memory it may take over; the plan
    says in `taken` which it does. `walked` has been walked to the outputs, from what is realized.
    With `may_vary`, constants that differ from graph to graph may be leaves, the last ones.
    """
    if walked is None:
        walked = Structure(realized)
        walked.walk(outputs)
    key, leaves = walked.key(outputs), walked.leaves
    gifts = {}
    if donated:
        number = {leaf: n for n, leaf in enumerate(leaves)}
        gifts = {n: number[leaf] for n, leaf in donated.items() if leaf in number}
    watched = [place.number for place in watching()]
    settings = (config.DEBUG >= 2, config.THREADS, config.TUNE, config.WINOGRAD, config.BOUNDS)
    rest = (*gifts.items(), Device.DEFAULT, *settings, *watched)
    plan = _plans.get((key, *rest))
    arguments: list[Const] = []
    if plan is None and may_vary and not watched and (device := _only_device(leaves)):
        key, arguments = _varying(key, list(walked.number))
        leaves = [*leaves, *(_argument(constant, device) for constant in arguments)]
        plan = _plans.get((key, *rest))
    if plan is None:
        plan = _loaded_or_compiled((key, *rest), outputs, leaves, gifts, arguments)
        while len(_plans) >= MAX_PLANS:
            _plans.pop(next(iter(_plans)))
        _plans[key, *rest] = plan
    if plan.flags is not None and not plan.flags.sources:
        plan.flags.sources = sources_of(outputs, leaves)
    return plan, leaves


def _only_device(leaves: Sequence[Node]) -> str | None:
    """The device of all leaves; None where there are several, or no leaves."""
    devices = {leaf.device for leaf in leaves}
    return devices.pop() if len(devices) == 1 else None


def _argument(constant: Const, device: str) -> Buffer:
    """A leaf with the value of a constant."""
    value = np.array(constant.value, constant.dtype.numpy)
    return Buffer(DeviceBuffer.from_numpy(value, device), ())


def _loaded_or_compiled(
    key: Key,
    outputs: Sequence[Node],
    leaves: Sequence[Node],
    gifts: Mapping[int, int],
    arguments: Sequence[Const],
) -> Plan:
    """A new plan; from disk, where nobody wants to see or to check how it is made. The last leaves
    stand for the constants that are arguments."""
    with Stages() as stages:
        on_disk = not (stages.are_watched or stages.are_checked or config.TUNE)
        plan = saved.load(key) if on_disk else None
        if plan is None:
            slots, abstract = _over_slots(outputs, leaves, arguments)
            with compiling():
                plan = compile_graph(abstract, slots, gifts, stages)
            if on_disk and not stages.has_left_out:
                saved.save(key, plan)
    return plan


def _over_slots(
    outputs: Sequence[Node], leaves: Sequence[Node], arguments: Sequence[Const]
) -> tuple[list[Buffer], list[Node]]:
    """Slots for the leaves, and the graph over them: nothing that the compiler keeps, or leaves to
    be collected later, can hold anyone's memory."""
    slots = [Buffer(Slot.of(x), x.shape) for x in leaves]
    own = len(leaves) - len(arguments)
    slot_of: dict[Node, Node] = dict(zip(leaves[:own], slots, strict=False))
    abstract = rewrite(outputs, Rules(), slot_of)
    order = topological(outputs, lambda node: () if node in slot_of else node.inputs)
    pairs = zip(order, topological(abstract), strict=True)
    cotangents.update(new for old, new in pairs if old in cotangents)  # for pictures
    if arguments:  # only now: what is computed already may be made of the same constants
        given = zip(arguments, slots[own:], strict=True)
        abstract = rewrite(abstract, Rules(), {x: broadcast_to(s, x.shape) for x, s in given})
    return slots, abstract


def compile_graph(
    outputs: Sequence[Node],
    leaves: Sequence[Buffer],
    donated: Mapping[int, int],
    stages: Stages,
) -> Plan:
    """Every pass in order: from a graph to a plan. `donated` is as in `plan_for`, by places."""
    stages.saw("graph", list(outputs))
    checks = checks_of(outputs)
    before = [Buffer(_flag_slot(check), ()) for check in checks]
    bare, flags = separate_checks(outputs, checks, before)
    outputs, leaves = [*bare, *flags], [*leaves, *before]
    donated = {
        **donated,
        **{len(bare) + n: len(leaves) - len(flags) + n for n in range(len(flags))},
    }
    graph = stages.try_to("simplify", simplify, outputs)
    graph = stages.try_to("split", split_reductions, graph)  # after simplify: it would merge them
    graph = stages.run("empty", fold_empty, graph)  # last: any of these may leave an empty tensor
    # Where an output is wanted its own device tells: simplified to a constant it has none.
    devices = [output.device or Device.DEFAULT for output in outputs]
    parts, placed = place([(_bare(n), d) for n, d in zip(graph, devices, strict=True)])
    gifts = {placed[n][0]: leaves[leaf] for n, leaf in donated.items()} if len(parts) == 1 else {}
    linker = Linker(leaves)
    for part in parts:
        device = Device.get(part.device)
        wanted = [node for node in part.outputs if node.size]
        schedule = make_schedule(wanted, device.machine, stages)
        renamed = dict(zip(wanted, schedule.outputs, strict=True))
        given = {renamed[node]: leaf for node, leaf in gifts.items() if node in renamed}
        in_contractions = not device.machine.gpu
        memory = stages.run("memory", plan_memory, schedule, given, in_contractions)
        launched = [piece for kernel in schedule.kernels for piece in pieces(kernel)]
        launches = [
            compile_piece(piece, memory, device, stages) for piece in counted("kernel", launched)
        ]
        linker.add(part, device, schedule, memory, launched, launches, stages)
    return linker.plan(placed, checks)


def _flag_slot(check: InRange) -> Slot:
    return Slot(1, flag_dtype(check), check.device or Device.DEFAULT)


def make_schedule(outputs: Sequence[Node], machine: Machine, stages: Stages) -> Schedule:
    """Kernels, and how what lies between them is laid out, for one device.

    The schedule's outputs are these, in order, perhaps rewritten.
    """
    lanes = 0 if machine.gpu else machine.vector_bytes // 4
    if not machine.has_offsets:
        outputs = stages.run("joined", select_joined, outputs)
    if machine.gpu:  # here: how many parts depends on the device
        outputs = stages.try_to("groups", split_for_groups, outputs, machine.cores)
    # the loops of a scan sum in float64
    rows = -(-machine.cores // 4) if machine.float64 and not machine.gpu else sys.maxsize
    outputs = stages.try_to("scan", split_scans, outputs, rows)
    if machine.float64:
        outputs = stages.try_to("widen", widen_scatters, outputs)
    if config.WINOGRAD and not machine.gpu and not machine.local_bytes:  # as for chains
        outputs = stages.try_to("winograd", use_winograd, outputs)
    if lanes:
        outputs = stages.try_to("copy", copy_convolved, outputs, lanes)
    schedule = stages.run("fuse", fuse, outputs, machine.cores, not machine.gpu)
    if not machine.gpu:
        schedule = stages.try_to("keep", keep, schedule)
    if lanes:  # after fuse: only what lies between kernels has a layout to choose
        schedule = stages.try_to("layout", choose_layouts, schedule, lanes)
    # after layout: loops follow from it; and not for OpenCL, whose scratch is too small for slices
    if not machine.gpu and not machine.local_bytes:
        schedule = stages.try_to("chain", chain, schedule, machine)
    return schedule


def _bare(output: Node) -> Node:
    """An output without what leaves its elements as they are."""
    while isinstance(output, (Reshape, Contiguous, Detach)):
        output = output.x
    return output


def compile_piece(
    piece: Piece, memory: MemoryPlan, device: BackendDevice, stages: Stages
) -> Launch:
    """A launch of what is launched of a kernel, beginning at its place in memory."""
    launch = compile_kernel(piece.kernel, memory, device, stages)
    if not piece.start:
        return launch
    first, *rest = launch.offsets
    return replace(launch, offsets=(first + piece.start, *rest))


def compile_kernel(
    kernel: Kernel, memory: MemoryPlan, device: BackendDevice, stages: Stages
) -> Launch:
    """A launch of a kernel that has no slots yet: which those are, the linker knows. A kernel that
    differs from an earlier one in nothing but the memory it works on has the same function."""
    overwritten = {n: memory.in_place[n] for n in kernel.outputs if n in memory.in_place}
    if stages.are_watched or kernel.parts:
        return _new_launch(kernel, overwritten, device, stages)
    fixed = set(overwritten.values()) if device.machine.has_offsets else None
    form = canonical(kernel, fixed)
    numbers = {node: n for n, node in enumerate(kernel.inputs)}
    places = tuple((kernel.outputs.index(n), numbers[x]) for n, x in overwritten.items())
    key = (form.key, places, device.name, device.machine, config.TUNE, config.BOUNDS)
    launch = _launches.get(key)
    if launch is None:
        shifted = form.shifted()
        new = {shifted.outputs[n]: shifted.inputs[x] for n, x in places}
        launch = _new_launch(shifted, new, device, stages)
        while len(_launches) >= MAX_LAUNCHES:
            _launches.pop(next(iter(_launches)))
        _launches[key] = launch
    kept = [x for x in kernel.inputs if x not in overwritten.values()]
    return replace(launch, offsets=form.offsets(launch.offsets, kept))


def _new_launch(
    kernel: Kernel, overwritten: Mapping[Node, Node], device: BackendDevice, stages: Stages
) -> Launch:
    """The loops of a kernel, and what makes of them those that codegen takes: a device that has
    code for them already does without. Outputs take the memory of the inputs that they overwrite;
    the other inputs may begin further on in memory."""
    machine = device.machine
    scratch = 0 if machine.gpu else machine.local_bytes or None
    function = stages.run("lower", lower, kernel, "kernel", scratch, not machine.gpu, machine.cores)
    nodes = [*kernel.outputs, *kernel.inputs]
    pairs = [(nodes.index(output), nodes.index(x)) for output, x in overwritten.items()]
    function, arrays = overwrite(function, pairs)
    if config.BOUNDS:
        function = with_report(function)
    offsets: tuple[int, ...] = ()
    if machine.has_offsets:
        function, offsets = rebase(function)
    function = stages.run("name", named, function, kernel, [array.name for array in arrays])
    kinds, key = kernel.kinds, f"{kernel.kinds} {machine} {source_digest()}"

    def transformed(function: Function, rank: int) -> Function:
        at = function, f"{key} {rank}"
        found = _functions.get(at)
        if found is None:
            found = stages.try_to(
                "transform", transform, function, kinds, machine, stages.saw, rank
            )
            if REPORT in found.arguments:
                found = check_accesses(found)
            _functions[at] = found
        return found

    count = min(plan_count(function, kinds, machine), TRIED) if config.TUNE else 1
    ways = [Passes(f"{key} {rank}", partial(transformed, rank=rank)) for rank in range(count)]
    way = ways[0] if count == 1 else fastest(function, ways, device)
    if stages.are_watched:  # again, if need be, and each kernel after the other
        _functions.pop((function, way.key), None)
        way.run(function)
    return Launch(function, (), passes=way, offsets=offsets, digest=digest(function))


def named(function: Function, kernel: Kernel, arrays: Sequence[str]) -> Function:
    """The function with a name by what it computes, equal for equal functions in any process, and
    with its comment and costs. `arrays` are the names of the kernel's outputs and inputs in it."""
    nodes = (*kernel.outputs, *kernel.inputs)
    lines = member_lines(kernel, dict(zip(nodes, arrays, strict=True)))
    return replace(
        function,
        name=f"{title(kernel)}_{digest(function)[:10]}",
        comment="\n".join(line for line, _ in lines),
        flops=flops(function),
        bytes=sum(node.nbytes for node in nodes),
    )

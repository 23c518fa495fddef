"""THE PIPELINE: every pass from a graph to final loops, in order. Each pass belongs to a level:

    graph      the graph that computes the requested tensors, on any devices
    part       the nodes of the graph that one device computes
    schedule   the part, grouped into kernels
    memory     the memory that the kernels work on
    kernel     one kernel, lowered to plain loops
    loops      the loops, shaped for the target; skipped where a cache has the kernel's code

compile.py runs the levels. A pass runs on the targets in `on`, if its input has what it `needs`.
With OPT=0 only the core passes run: without them there is no code. The other passes make code
faster; where one fails, it is left out, with a warning.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from . import config
from .graph.ir import (
    NODE_CLASSES,
    Arithmetic,
    Fold,
    Join,
    Node,
    Permute,
    Recurrence,
    Reduce,
    Scan,
    Scatter,
    Slice,
    Window,
    Within,
    topological,
)
from .graph.merge_sums import crop_sums, merge_sums
from .graph.normalize import normalize
from .graph.order_sums import order_folds, share_reductions
from .graph.recurrence import unroll_steps
from .graph.simplify import simplify
from .loops.chain import chain
from .loops.check_accesses import REPORT, check_accesses, with_report
from .loops.cpu.hoist import hoist
from .loops.cpu.parallelize import bind_groups, share
from .loops.cpu.prefetch import prefetch
from .loops.cpu.roll import roll
from .loops.cpu.transpose import transpose
from .loops.end_loops import end_loops
from .loops.ir import Body, Function
from .loops.ir.rebuild import traits
from .loops.legal import legalise_operations
from .loops.legal.indices import narrow_indices
from .loops.legal.memory import legalise_memory
from .loops.legal.vectors import split_vectors
from .loops.lower import Lowered, lower, lower_node, named
from .loops.lower.arguments import overwrite
from .loops.lower.canonical import shifted
from .loops.plans import tile
from .loops.split import split_divided
from .loops.unroll import skip_padding, unroll
from .loops.vectorize import vectorize
from .schedule.fuse import fuse
from .schedule.ir import Kernel, MemoryPlan, Schedule
from .schedule.join import select_joined
from .schedule.layout import choose_layouts
from .schedule.limit_outputs import limit_outputs
from .schedule.materialize import materialize
from .schedule.memory import plan_memory
from .schedule.scan import split_scans
from .schedule.separate import own_memory, separate
from .schedule.split import split_for_groups, split_reductions
from .schedule.widen import widen_scatters
from .schedule.winograd import use_winograd
from .targets import At, Machine, Target

CPU, GPU, OPENCL_CPU = Target.CPU, Target.GPU, Target.OPENCL_CPU
ANY = (CPU, GPU, OPENCL_CPU)
CPUS = (CPU, OPENCL_CPU)

# Classes of nodes, for `needs`.
SUM = (Reduce, Fold)
SERIES = tuple(c for c in NODE_CLASSES if issubclass(c, Arithmetic) and c.operation.is_approximate)


@dataclass(frozen=True, eq=False)
class Pass:
    """One step: `function(value, at)`. Names are unique. `why` is the reason for its place in the
    order.

    `after` names passes that must run earlier. `needs` are node classes (a tuple: any of them),
    Kernel, or traits of loops (`traits` in loops/ir/rebuild.py): where the input lacks one, the
    pass has nothing to do. `core`: the pass runs with OPT=0 too. `must`: it is not core, but where
    it fails, the compilation fails.
    """

    level: str
    name: str
    function: Callable[..., Any]
    why: str
    after: tuple[str, ...] = ()
    on: tuple[Target, ...] = ANY
    needs: tuple[Any, ...] = ()
    core: bool = False
    must: bool = False

    @property
    def needed(self) -> bool:
        """Whether its level fails where the pass fails. So it is for every loop pass: later ones
        rely on it. The kernel then gets plain loops instead."""
        return self.core or self.must or self.level == "loops"

    def has_work(self, present: Counter[Any]) -> bool:
        """Whether an input with these nodes, kernels or traits has what the pass needs.

        needs=(SUM, SUM)  ->  at least two reductions or folds
        """
        return all(
            sum(n for what, n in present.items() if _is(what, kind)) >= count
            for kind, count in Counter(self.needs).items()
        )


def _is(what: Any, kind: Any) -> bool:
    return what == kind if isinstance(kind, str) else issubclass(what, kind)


def present_in(value: Sequence[Node] | Schedule | Function) -> Counter[Any]:
    """Count what `Pass.needs` may name: of a graph the nodes of each class, of a schedule the
    kernels, too; of loops the traits, each once a statement."""
    match value:
        case Function():
            return Counter(trait for stmt in value.body for trait in traits(stmt))
        case Schedule():
            return Counter(map(type, (*topological(value.outputs), *value.kernels)))
    return Counter(map(type, topological(value)))


LEVELS = ("graph", "part", "schedule", "memory", "kernel", "loops")


def on_body(work: Callable[[Body], Body]) -> Callable[[Function, At], Function]:
    """The pass over functions that does `work` on their bodies."""
    return lambda function, at: replace(function, body=work(function.body))


# fmt: off
PASSES = (
    Pass("graph", "simplify", lambda graph, at: simplify(graph),
         "first: later passes have fewer nodes to visit"),
    Pass("graph", "merge_sums", lambda graph, at: merge_sums(graph),
         "views are single nodes now, and nodes that nobody reads are gone",
         after=("simplify",), needs=(SUM, SUM)),
    Pass("graph", "crop_sums", lambda graph, at: crop_sums(graph),
         "merged sums are cropped as one", after=("merge_sums",), needs=(Slice, Reduce)),
    Pass("graph", "share_reductions", lambda graph, at: share_reductions(graph),
         "crop_sums applies the rules of simplify, which would undo it",
         after=("crop_sums",), needs=(Reduce, Reduce)),
    Pass("graph", "order_folds", lambda graph, at: order_folds(graph),
         "crop_sums applies the rules of simplify, which would undo it",
         after=("crop_sums",), needs=(Fold, Permute)),
    Pass("graph", "split_sums", lambda graph, at: split_reductions(graph),
         "merge_sums would merge what it splits", after=("merge_sums",), needs=(Reduce,)),
    Pass("graph", "normalize", lambda graph, at: normalize(graph),
         "last: any pass before may leave a tensor without elements", after=("split_sums",),
         core=True),

    Pass("part", "unroll_steps", lambda graph, at: without_loops(graph, at),
         "first: later passes work on the steps' nodes", needs=(Recurrence,), core=True),
    Pass("part", "select_joined", lambda graph, at: select_joined(graph),
         "an OpenCL kernel cannot write into the middle of a buffer",
         on=(GPU, OPENCL_CPU), needs=(Join,), core=True),
    Pass("part", "split_for_groups", lambda graph, at: split_for_groups(graph, at.machine),
         "not with split_sums: the number of parts depends on the device",
         on=(GPU,), needs=(Reduce,)),
    Pass("part", "split_scans",
         lambda graph, at: split_scans(graph, rows_that_fill(at.machine)),
         "before fuse: it makes new nodes", needs=(Scan,)),
    Pass("part", "widen_scatters",
         lambda graph, at: widen_scatters(graph) if at.machine.float64 else graph,
         "before fuse: it makes new nodes", needs=(Scatter,)),
    Pass("part", "winograd", lambda graph, at: use_winograd(graph) if config.WINOGRAD else graph,
         "before fuse: it makes new nodes",
         on=(CPU,), needs=(Window, Window, Reduce)),

    Pass("schedule", "fuse", lambda graph, at: fuse(graph, at.machine.cores),
         "from here on kernels, not nodes"),
    Pass("schedule", "separate",
         lambda value, at: value if isinstance(value, Schedule) else separate(value),
         "only where fuse did not run", after=("fuse",), core=True),
    Pass("schedule", "limit_outputs", lambda schedule, at: limit_outputs(schedule),
         "after fuse: which nodes are stored is known", after=("fuse",), needs=(Within,)),
    Pass("schedule", "materialize", lambda schedule, at: materialize(schedule),
         "only a kernel has rows", after=("fuse",), on=CPUS, needs=(SUM, SERIES)),
    Pass("schedule", "layout", lambda schedule, at: lay_out(schedule, at),
         "only arrays between kernels have a layout to choose",
         after=("fuse",), on=CPUS, needs=(Window, SUM)),
    Pass("schedule", "chain", lambda schedule, at: chain(schedule, at.machine),
         "loops follow from layouts; OpenCL's memory of a work-group is too small for slices",
         after=("layout",), on=(CPU,), needs=(Kernel, Kernel)),
    Pass("memory", "memory", lambda schedule, at: share_memory(schedule, at),
         "the order of kernels, and so of reads, is known only now", after=("chain",)),
    Pass("memory", "own_memory",
         lambda value, at: own_memory(value) if isinstance(value, Schedule) else value,
         "only where no memory was planned", after=("memory",), core=True),

    Pass("kernel", "lower", lambda made, at: lower_kernel(made, at),
         "first: from here on loops", must=True),
    Pass("kernel", "lower_node",
         lambda made, at: made if made.arrays else lower_one_node(made, at.machine.row_bytes),
         "only where lower did not run", after=("lower",), core=True),
    Pass("kernel", "overwrite",
         lambda made, at: overwrite_arguments(made) if made.overwritten else made,
         "compilers assume that arguments do not overlap: an output in an input's memory is one",
         after=("lower",), must=True),
    Pass("kernel", "report",
         lambda made, at: add_report(made) if "bounds" in config.CHECK else made,
         "CHECK=bounds: an output for accesses outside of their arrays", after=("overwrite",),
         core=True),
    Pass("kernel", "name",
         lambda made, at: named(made) if config.OPT or config.ORIGINS else made,
         "last: the name contains a digest of the loops",
         after=("overwrite", "report"), core=True),

    Pass("loops", "split", on_body(split_divided),
         "first: tiles need loops without divisions"),
    Pass("loops", "tile", tile, "vectors, register tiles and packed panels",
         after=("split",), on=CPUS),
    Pass("loops", "spread", tile, "work-groups, items, and what they share",
         after=("split",), on=(GPU,)),
    Pass("loops", "vectorize", on_body(vectorize),
         "before unroll: a vector loop under an unrolled one is widened once, not in each copy",
         after=("tile", "spread"), needs=("vector",)),
    Pass("loops", "roll", on_body(roll), "it counts the accesses of vectors",
         after=("vectorize",), needs=("unroll", "strided"), on=(CPU,)),
    Pass("loops", "unroll", on_body(unroll), "registers need constant indices",
         after=("vectorize",), needs=("unroll",)),
    Pass("loops", "padding", on_body(skip_padding),
         "constant indices tell which terms are needed; before transpose, which names its reads",
         after=("unroll",), needs=("needed",)),
    Pass("loops", "transpose", on_body(transpose), "it looks for vectors of whole tiles",
         after=("vectorize", "padding"), needs=("strided",), on=CPUS),
    Pass("loops", "prefetch",
         lambda f, at: replace(f, body=prefetch(f.body, at.machine)) if at.kinds == ("row",) else f,
         "after vectorize: one prefetch a cache line, not one a lane",
         after=("vectorize",), on=CPUS),
    Pass("loops", "parallelize", share, "passes before it look for serial loops",
         after=("transpose", "prefetch"), on=CPUS),
    Pass("loops", "end_loops",
         lambda f, at: replace(f, body=end_loops(f.body, at.machine.cores)),
         "passes before it look for whole loops; none after it looks for the loops that it ends",
         after=("parallelize",), needs=("needed",)),
    Pass("loops", "hoist", lambda f, at: on_body(hoist)(f, at) if len(at.kinds) > 1 else f,
         "each thread packs panels of its own", after=("parallelize",), on=(CPU,)),
    Pass("loops", "bind", on_body(bind_groups), 'passes before it look for "parallel"',
         after=("parallelize",), on=(OPENCL_CPU,)),
    Pass("loops", "check", lambda f, at: check_accesses(f) if REPORT in f.arguments else f,
         "CHECK=bounds: loops are final, and still have all accesses", after=("unroll",),
         core=True),

    Pass("loops", "stores", lambda f, at: legalise_memory(f, at.machine.native),
         "passes before it look for sums in place", after=("check",), core=True),
    Pass("loops", "split_vectors",
         lambda f, at: replace(f, body=split_vectors(f.body, at.machine.native.lanes)),
         "passes before it use vectors of any width", after=("stores",), on=(GPU, OPENCL_CPU),
         core=True),
    Pass("loops", "narrow_indices", on_body(narrow_indices),
         "lanes have indices of their own by now", after=("split_vectors",),
         on=(GPU, OPENCL_CPU), core=True),
    Pass("loops", "operations", lambda f, at: legalise_operations(f, at.machine),
         "last: passes before it read bounds from divisions, and work on few operations",
         after=("narrow_indices",), core=True),
)
# fmt: on


@cache
def passes(level: str, target: Target | None, opt: int) -> tuple[Pass, ...]:
    """The passes of a level, in order. The target is None at level "graph", before devices are
    chosen."""
    return tuple(
        p
        for p in PASSES
        if p.level == level and (opt or p.core) and (target is None or target in p.on)
    )


def without_loops(graph: Sequence[Node], at: At) -> Sequence[Node]:
    """Write loops out where a kernel cannot begin in the middle of a buffer, with OPT=0, and where
    each kernel is checked."""
    if at.machine.target is CPU and config.OPT and not config.CHECK:
        return graph
    made = unroll_steps(graph)
    return simplify(made) if config.OPT else normalize(made)


def rows_that_fill(machine: Machine) -> int:
    """The least number of rows that keeps all cores busy; a scan with fewer is split. A GPU splits
    every scan, and so does a device without float64, the dtype in which a scan's loop sums."""
    return -(-machine.cores // 4) if machine.float64 and not machine.gpu else sys.maxsize


def lay_out(schedule: Schedule, at: At) -> Schedule:
    """Choose layouts. Not with CHECK=nan, which reads intermediates from memory."""
    return schedule if "nan" in config.CHECK else choose_layouts(schedule, at.machine.lanes)


def share_memory(schedule: Schedule, at: At) -> Schedule | MemoryPlan:
    """Let nodes share memory, unless one kernel is all and nothing is donated. Not in a step of a
    loop, whose outputs are rows without room at their ends. Not with CHECK=nan, which reads a
    kernel's inputs after the kernel has run."""
    if at.donated is None or "nan" in config.CHECK:
        return schedule
    if len(schedule.kernels) == 1 and not at.donated:
        return schedule
    return plan_memory(schedule, at.donated, not at.machine.gpu)


def lower_kernel(made: Lowered, at: At) -> Lowered:
    """Lower a kernel to plain loops. On a CPU, sums leave out terms that padding makes 0."""
    machine = at.machine
    kernel = shifted(made.kernel, made.shifts) if made.shifts else made.kernel
    skips = not machine.gpu
    function = lower(kernel, "kernel", machine.row_bytes, skips, machine.cores, ends=True)
    return replace(made, function=function, arrays=function.arguments)


def lower_one_node(made: Lowered, scratch: int | None) -> Lowered:
    """Lower a kernel of one node to plain loops."""
    function = lower_node(made.kernel, "kernel", scratch)
    return replace(made, function=function, arrays=function.arguments)


def overwrite_arguments(made: Lowered) -> Lowered:
    """Make an output and the input whose memory it takes over one argument."""
    nodes = made.nodes
    pairs = [(nodes.index(output), nodes.index(x)) for output, x in made.overwritten.items()]
    function, arrays = overwrite(made.function, pairs)
    return replace(made, function=function, arrays=arrays)


def add_report(made: Lowered) -> Lowered:
    """Add an output that reports accesses outside of their arrays."""
    return replace(made, function=with_report(made.function))

"""Choose how a kernel is computed, and carry it out: the loop passes in order.

The choices follow from named facts of the machine, and each is recorded with its reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..backends.base import Machine
from ..expr import Var
from .cascade import cascade
from .contraction import product, recognise
from .cpu.contract import contract
from .cpu.hoist import hoist
from .cpu.interleave import interleave
from .cpu.interval import intervals
from .cpu.parallelize import bind_groups, parallelize
from .cpu.partition import partition_loops
from .cpu.plan import plan_contraction, ranked_plans
from .cpu.prefetch import prefetch
from .cpu.roll import roll
from .cpu.transpose import transpose
from .gpu import spread_elements, spread_rows
from .gpu.contract import fills_blocks, spread_contraction
from .ir import Body, For, Function, If, Stmt
from .ir.rebuild import nest, peel, rename_own
from .merge import merge
from .padding import skip_padding
from .primitives import Schedule
from .rows import plan_inner, plan_rows, vectorize_rows
from .scan import interleave_rows
from .split import split_divided
from .unroll import unroll
from .vectorize import vectorize

TASKS_PER_CORE = 4
SERIAL_WORK = 1 << 13  # operations and bytes below which sharing costs more than it saves

Stage = Callable[[str, Function], None]


def transform(
    function: Function, kinds: tuple[str, ...], machine: Machine, stage: Stage, rank: int = 0
) -> Function:
    """Run every loop pass on a lowered kernel; each result goes to `stage` under the pass's name.

    `kinds` is the kernel's kind, or those of a chain's parts; `rank` says which of the plans for a
    contraction to take, the best by the cost model being 0.

    Requires: serial loops, as `lower` makes them. Ensures: the loops that codegen takes.
    """
    function = replace(function, body=split_divided(function.body))
    stage("split", function)
    if len(kinds) > 1:
        body, reasons = _tile_parts(function.body, kinds, machine)
    elif machine.gpu:
        body, *reasons = _spread(function.body, kinds[0], machine)
    else:
        body, *reasons = _tile(function.body, kinds[0], machine, rank)
    function = replace(function, body=body, reasons=tuple(reasons))
    stage("tile", function)
    if not machine.gpu and machine.group_limit == 1:  # whose scratch memory is its stack
        function = replace(function, body=roll(function.body))
        stage("roll", function)
    # before unroll: a vector loop sunk under an unrolled one is widened once, not in each copy
    function = replace(function, body=vectorize(function.body))
    stage("vectorize", function)
    function = replace(function, body=unroll(function.body))
    stage("unroll", function)
    # after unroll, which tells what is not needed; before transpose, which names what it reads
    function = replace(function, body=skip_padding(function.body))
    stage("padding", function)
    if not machine.gpu:
        function = replace(function, body=transpose(function.body))
        stage("transpose", function)
        function = replace(function, body=interleave(function.body))
        stage("interleave", function)
        function = replace(function, body=intervals(function.body))
        stage("intervals", function)
    # after vectorize: a line is asked for once, not by each lane of it
    if not machine.gpu and kinds == ("row",):
        function = replace(function, body=prefetch(function.body, machine))
        stage("prefetch", function)
    if not machine.gpu and function.flops + function.bytes > SERIAL_WORK:
        tasks = TASKS_PER_CORE * machine.cores
        function = replace(function, body=parallelize(function.body, tasks))
        stage("parallelize", function)
    if len(kinds) > 1:  # after parallelize: each thread packs for itself
        function = replace(function, body=hoist(function.body))
        stage("hoist", function)
    # last: passes before it look for whole loops
    function = replace(function, body=cascade(function.body, machine))
    stage("cascade", function)
    if not machine.gpu and machine.group_limit > 1:  # last: passes before it look for "parallel"
        function = replace(function, body=bind_groups(function.body))
        stage("bind", function)
    return function


def plan_count(function: Function, kinds: tuple[str, ...], machine: Machine) -> int:
    """How many plans there are for a lowered kernel; 1 where there is nothing to choose."""
    if kinds != ("contraction",) or machine.gpu:
        return 1
    found = recognise(split_divided(function.body))
    return 1 if found is None else max(1, len(ranked_plans(found, machine)))


def _tile(body: Body, kind: str, machine: Machine, rank: int = 0) -> tuple[Body, str]:
    """Vectors, register tiles and packed panels for a CPU."""
    s = Schedule(body)
    reason = _choose(s, kind, machine, rank)
    return s.done(), reason


def _choose(s: Schedule, kind: str, machine: Machine, rank: int) -> str:
    """Schedule a kernel's loops for a CPU; the reason for the plan."""
    if kind == "sort":
        return "merging is one step after another"
    if kind == "scan":
        return interleave_rows(s, machine.vector_bytes // 8)
    found = recognise(s.body) if kind == "contraction" else None
    if found is not None:
        tiling = plan_contraction(found, machine, rank)
        if tiling is not None:
            s.begin(product, nest(found.outer, found.body))
            contract(s, found, tiling, machine)
            return tiling.reason
    if kind == "total":  # one number
        row_plan = plan_inner(s.body, machine.vector_bytes)
        vectorize_rows(s, row_plan)
        return row_plan.reason
    loops, inside = s.merged()
    outer = [v.name for v in loops]
    if kind == "transform":  # lanes of other channels would need a line each
        row_plan = plan_inner(inside, machine.vector_bytes)
    elif kind == "map" and (kept := partition_loops(s, machine.vector_bytes // 4)) is not None:
        row_plan = plan_inner(s.body, machine.vector_bytes)
        vectorize_rows(s, row_plan, kept)
        return f"loops partitioned, {row_plan.reason}"
    else:
        row_plan = plan_rows(loops, inside, machine.vector_bytes)
    vectorize_rows(s, row_plan, outer)
    return row_plan.reason


def _tile_parts(body: Body, kinds: tuple[str, ...], machine: Machine) -> tuple[Body, list[str]]:
    """A chain's parts, each for itself: threads share the loops around them."""
    loops, inside = peel(body)
    own = replace(machine, cores=1)
    kind = iter(kinds)
    tiled: list[Stmt] = []
    reasons: list[str] = []
    for stmt in inside:
        if isinstance(stmt, For):
            part, reason = _tile((stmt,), next(kind), own)
            tiled += rename_own(part, f"s{len(reasons)}")
            reasons.append(reason)
        elif isinstance(stmt, If):
            part, reason = _tile(stmt.body, next(kind), own)
            tiled.append(replace(stmt, body=rename_own(part, f"s{len(reasons)}")))
            reasons.append(f"if need be, {reason}")
        else:
            tiled.append(stmt)
    return nest([loop.var for loop in loops], tuple(tiled)), reasons


def _spread(body: Body, kind: str, machine: Machine) -> tuple[Body, str]:
    """Work-groups and work-items for a GPU."""
    found = recognise(body) if kind == "contraction" else None
    if found is not None and fills_blocks(found):
        return spread_contraction(found, machine)
    if kind == "sort":
        return spread_elements(*_merged(body), machine)
    return spread_rows(*_merged(body), machine)


def _merged(body: Body) -> tuple[list[Var], Body]:
    """A kernel's outer loops, as few as memory allows, and what stands inside."""
    loops, inside = peel(body)
    return merge([loop.var for loop in loops], inside)

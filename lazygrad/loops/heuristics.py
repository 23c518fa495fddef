"""Choose how a kernel is tiled and shared, by its kind.

The choices follow from named facts of the machine, and each is recorded with its reason.
"""

from __future__ import annotations

from dataclasses import replace

from ..expr import Var
from ..targets import At, Machine
from .contraction import product, recognise
from .cpu.contract import contract
from .cpu.parallelize import parallelize
from .cpu.partition import partition_loops
from .cpu.plan import plan_contraction, ranked_plans
from .gpu import spread_elements, spread_rows
from .gpu.contract import fills_blocks, spread_contraction
from .ir import Body, For, Function, If, Stmt
from .ir.rebuild import nest, peel, rename_own
from .merge import merge
from .primitives import Schedule
from .rows import plan_inner, plan_rows, vectorize_rows
from .scan import interleave_rows
from .split import split_divided


def tile_for_cpu(function: Function, at: At) -> Function:
    """Vectors, register tiles and packed panels for a CPU; the reasons say which, and why.

    Requires: serial loops without divisions. Ensures: vector and unroll loops innermost; the tasks
    of a contraction are a parallel loop.
    """
    if len(at.kinds) > 1:
        body, reasons = _tile_parts(function.body, at.kinds, at.machine)
    else:
        body, *reasons = _tile(function.body, at.kinds[0], at.machine, at.rank)
    return replace(function, body=body, reasons=tuple(reasons))


def spread_for_gpu(function: Function, at: At) -> Function:
    """Work-groups and work-items for a GPU, and what they share; the reasons say which, and why.

    Requires: serial loops without divisions. Ensures: workgroup loops outermost; vector and unroll
    loops innermost.
    """
    body, reason = _spread(function.body, at.kinds[0], at.machine)
    return replace(function, body=body, reasons=(reason,))


def share(function: Function, at: At) -> Function:
    """Share the outermost loops among threads, where the work is worth it."""
    worth = at.machine.thresholds
    if function.flops + function.bytes <= worth.serial_work:
        return function
    tasks = worth.tasks_per_core * at.machine.cores
    return replace(function, body=parallelize(function.body, tasks))


def plan_count(function: Function, at: At) -> int:
    """How many plans there are for a lowered kernel; 1 where there is nothing to choose."""
    if at.kinds != ("contraction",) or at.machine.gpu:
        return 1
    found = recognise(split_divided(function.body))
    return 1 if found is None else max(1, len(ranked_plans(found, at.machine)))


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

"""Choose how a kernel is tiled and shared, by its kind.

The choices follow from named facts of the machine, and each is recorded with its reason.
"""

from __future__ import annotations

from dataclasses import replace

from ..targets import At
from .contraction import recognise
from .cpu.parallelize import parallelize
from .cpu.plan import ranked_plans
from .ir import Function
from .plans import schedule
from .split import split_divided


def tile(function: Function, at: At) -> Function:
    """Vectors, register tiles and packed panels for a CPU; work-groups, items and what they share
    for a GPU: by a plan of primitives, which the function keeps, with the reasons.

    Requires: serial loops without divisions. Ensures: vector and unroll loops innermost; the tasks
    of a contraction are a parallel loop, workgroup loops outermost.
    """
    return schedule(function, at.kinds, at.machine, at.rank)


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

"""Choose how a kernel is tiled and shared, by its kind.

The choices follow from named facts of the machine, and each is recorded with its reason.
"""

from __future__ import annotations

from dataclasses import replace

from ..errors import ScheduleError
from ..targets import At
from .contraction import recognise
from .cpu.parallelize import parallelize
from .cpu.plan import ranked_plans
from .ir import Function
from .plans import replay, schedule
from .split import split_divided


def tile(function: Function, at: At) -> Function:
    """Vectors, register tiles and packed panels for a CPU; work-groups, items and what they share
    for a GPU: by a plan of primitives, which the function keeps, with the reasons.

    Requires: serial loops without divisions. Ensures: vector and unroll loops innermost; the tasks
    of a contraction are a parallel loop, workgroup loops outermost.
    """
    if at.plan:
        return replay(function, at.plan)
    return schedule(function, at.kinds, at.machine)


def share(function: Function, at: At) -> Function:
    """Share the outermost loops among threads, where the work is worth it."""
    worth = at.machine.thresholds
    if function.flops + function.bytes <= worth.serial_work:
        return function
    tasks = worth.tasks_per_core * at.machine.cores
    return replace(function, body=parallelize(function.body, tasks))


def best_plans(function: Function, at: At, count: int) -> list[str]:
    """The plans of a lowered kernel that the cost model thinks best, at most `count`; none where
    there is nothing to choose."""
    if at.kinds != ("contraction",) or at.machine.gpu:
        return []
    digits = replace(function, body=split_divided(function.body))
    found = recognise(digits.body)
    ranks = range(min(count, len(ranked_plans(found, at.machine)))) if found else ()
    plans = [schedule(digits, at.kinds, at.machine, rank).plan for rank in ranks]
    return list(dict.fromkeys("\n".join(plan) for plan in plans))


def is_plan_for(function: Function, plan: str) -> bool:
    """Whether a plan can be carried out on a lowered kernel."""
    try:
        replay(function, plan)
    except ScheduleError:
        return False
    return True

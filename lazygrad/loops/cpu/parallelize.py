"""Share the outermost loops among threads.

serial i in 8: serial j in 8: ...   ->   parallel i_all in 64: ...      (i = i_all // 8, ...)
"""

from __future__ import annotations

from dataclasses import replace

from ...targets import At
from ..ir import Body, For, Function
from ..ir.rebuild import nest
from ..primitives import merge_all


def share(function: Function, at: At) -> Function:
    """Share the outermost loops among threads, where the work is worth it."""
    worth = at.machine.thresholds
    if function.flops + function.bytes <= worth.serial_work:
        return function
    tasks = worth.tasks_per_core * at.machine.cores
    return replace(function, body=parallelize(function.body, tasks))


def parallelize(body: Body, tasks: int) -> Body:
    """Make one parallel loop of at least `tasks` iterations, if there are so many, of the
    outermost loops.

    Requires: a nest whose outer serial loops have independent iterations. Ensures: one parallel
    loop, outermost; the same body if no serial loop is outermost.
    """
    loops: list[For] = []
    inner = body
    count = 1
    while count < tasks and len(inner) == 1 and isinstance(inner[0], For):
        if inner[0].kind != "serial" or not isinstance(inner[0].extent, int):
            break
        loops.append(inner[0])
        count *= inner[0].extent
        inner = inner[0].body
    if not loops:
        return body
    if len(loops) == 1:
        return (For(loops[0].var, count, "parallel", inner),)
    joined, inner = merge_all([loop.var for loop in loops], inner)
    return nest([joined], inner, "parallel")


def bind_groups(body: Body) -> Body:
    """Make the iterations of parallel loops work-groups, of one item each: OpenCL shares these
    among the threads of a CPU.

        parallel i in 64: ...   ->   workgroup i in 64: ...
    """
    return tuple(
        replace(stmt, kind="workgroup")
        if isinstance(stmt, For) and stmt.kind == "parallel"
        else stmt
        for stmt in body
    )

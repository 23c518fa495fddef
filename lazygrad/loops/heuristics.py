"""Choose how a kernel is computed, and carry it out: the loop passes in order.

The choices follow from named facts of the machine, and each is recorded with its reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..backends.base import Machine
from .contract import contract, plan_contraction, recognise
from .ir import Body, Function
from .merge import merge
from .parallelize import parallelize
from .rebuild import peel
from .rows import plan_rows, vectorize_rows
from .unroll import unroll
from .vectorize import vectorize

TASKS_PER_CORE = 4
SERIAL_WORK = 1 << 13  # operations and bytes below which sharing costs more than it saves

Stage = Callable[[str, Function], None]


def transform(function: Function, kind: str, machine: Machine, stage: Stage) -> Function:
    """Run every loop pass on a lowered kernel; each result goes to `stage` under the pass's name.

    Requires: serial loops, as `lower` makes them. Ensures: the loops that codegen takes.
    """
    body, reasons = None, ()
    if kind == "contraction":
        body, reasons = _contraction(function.body, machine)
    if body is None:
        body, reasons = _rows(function.body, machine)
    function = replace(function, body=body, reasons=reasons)
    stage("tile", function)
    # before unroll: a vector loop sunk under an unrolled one is widened once, not in each copy
    function = replace(function, body=vectorize(function.body))
    stage("vectorize", function)
    function = replace(function, body=unroll(function.body))
    stage("unroll", function)
    if function.flops + function.bytes > SERIAL_WORK:
        function = replace(
            function, body=parallelize(function.body, TASKS_PER_CORE * machine.cores)
        )
    stage("parallelize", function)
    return function


def _contraction(body: Body, machine: Machine) -> tuple[Body | None, tuple[str, ...]]:
    found = recognise(body)
    if found is None:
        return None, ()
    plan = plan_contraction(found, machine.vector_bytes // 4, machine.registers)
    if plan is None:
        return None, ()
    return contract(found, plan, machine.cores), (plan.reason,)


def _rows(body: Body, machine: Machine) -> tuple[Body, tuple[str, ...]]:
    loops, inside = peel(body)
    variables, inside = merge([loop.var for loop in loops], inside)
    plan = plan_rows(variables, inside, machine.vector_bytes)
    return vectorize_rows(variables, inside, plan), (plan.reason,)

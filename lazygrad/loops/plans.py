"""Choose a plan for a kernel's loops and carry it out, or replay a plan from its text.

A plan is a list of schedule primitives (primitives.py), a line each. Contractions get theirs from
cpu/plan.py and cpu/contract.py, or from gpu/contract.py; all other kernels from rows.py, or gpu/.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from ..errors import ScheduleError
from ..targets import At, Machine
from .contraction import product, recognise
from .cpu.contract import contract
from .cpu.partition import partition_loops
from .cpu.plan import plan_contraction, ranked_plans
from .end_loops import block_that_ends
from .gpu import schedule_elements, schedule_rows
from .gpu.contract import fills_blocks, schedule_product
from .ir import Body, For, Function, If, Stmt
from .ir.rebuild import apart, has_trait, nest, peel
from .primitives import PRIMITIVES, Schedule, split
from .rows import count_in_vectors, interleave_rows, plan_inner, plan_rows, vectorize_rows
from .split import split_divided
from .sums import cascade


def schedule(function: Function, kinds: Sequence[str], machine: Machine, rank: int = 0) -> Function:
    """Schedule a function's loops for a machine; the function keeps the plan and its reasons.

    `kinds`: the kinds of its loop nests, as in targets.At. `rank`: which plan for a contraction; 0
    is the best by the cost model. Requires: `split_divided` has run.
    """
    reasons: list[str] = []
    if not function.body:  # a copy onto itself
        return function
    if len(kinds) == 1:
        s = Schedule(function.body)
        reasons.append(_choose(s, kinds[0], machine, rank))
        return replace(function, body=s.done(), plan=tuple(s.plan), reasons=tuple(reasons))
    own = replace(machine, cores=1)  # threads share the loops around the parts
    plan: list[str] = []

    def part(number: int, body: Body) -> Body:
        s = Schedule(body)
        reasons.append(_choose(s, kinds[number], own, 0))
        plan.extend((f"part {number}", *s.plan))
        return s.done()

    return replace(
        function, body=_in_parts(function.body, part), plan=tuple(plan), reasons=tuple(reasons)
    )


def replay(function: Function, plan: str) -> Function:
    """Carry out a plan on the loops of a function as `lower` wrote them; DEBUG=3 prints plans.

        replay(function, "split i0 guard i0_o i0_i:8\\nsink i0_i vector")

    Raises ScheduleError for a line that is no primitive, or that the loops do not allow.
    """
    *_, (_, made) = steps(function, plan.splitlines())
    lines = [line.strip() for line in plan.splitlines() if line.strip()]
    return replace(made, plan=tuple(lines), reasons=("replayed",))


def steps(function: Function, plan: Sequence[str]) -> Iterator[tuple[str, Function]]:
    """Each line of a plan, with the function after it; first "", with the function before all.
    Raises as `replay` does."""
    body = split_divided(function.body)
    bodies: dict[int, Body] = {}
    if any(line.strip().startswith("part ") for line in plan):
        _in_parts(body, bodies.setdefault)
    parts = {number: Schedule(each) for number, each in (bodies or {0: body}).items()}
    current = 0

    def whole() -> Body:
        if not bodies:
            return parts[0].done()
        return _in_parts(body, lambda number, _: parts[number].done())

    yield "", replace(function, body=whole())
    for line in filter(None, map(str.strip, plan)):
        if line.startswith("part "):
            current = int(line.removeprefix("part "))
            continue
        if current not in parts:
            raise ScheduleError(f"{line}: there is no part {current}")
        _carry_out(parts[current], line)
        yield line, replace(function, body=whole())


def _carry_out(s: Schedule, line: str) -> None:
    name, *words = line.split()
    primitive = PRIMITIVES.get(name)
    if primitive is None:
        raise ScheduleError(f"{line}: {name} is none of {', '.join(PRIMITIVES)}")
    try:
        s.do(primitive, *(int(word) if word.isdigit() else word for word in words))
    except TypeError as error:
        raise ScheduleError(f"{line}: {error}") from error


def _in_parts(body: Body, change: Callable[[int, Body], Body]) -> Body:
    """Change the parts of a chain one by one, given their numbers and bodies. Arrays of different
    parts get different names."""
    loops, inside = peel(body)
    result: list[Stmt] = []
    number = 0
    for stmt in inside:
        if isinstance(stmt, For):
            result += apart(change(number, (stmt,)), tuple(result))
        elif isinstance(stmt, If):
            result.append(replace(stmt, body=apart(change(number, stmt.body), tuple(result))))
        else:
            result.append(stmt)
        number += isinstance(stmt, (For, If))
    return nest([loop.var for loop in loops], tuple(result))


def _choose(s: Schedule, kind: str, machine: Machine, rank: int) -> str:
    """Schedule the loops of a kernel, or of a chain's part. Returns the reason for the plan."""
    reason = _choose_tiles(s, kind, machine, rank)
    if has_trait(s.body, "sum"):
        cascade(s, machine)
    return reason


def _choose_tiles(s: Schedule, kind: str, machine: Machine, rank: int) -> str:
    if not machine.gpu:
        _split_blocks(s)
    found = recognise(s.body) if kind == "contraction" else None
    if found is not None and not machine.gpu:
        tiling = plan_contraction(found, machine, rank)
        if tiling is not None:
            s.begin(product, nest(found.outer, found.body))
            contract(s, found, tiling, machine)
            return tiling.reason
    elif found is not None and not found.fixed and fills_blocks(found):
        s.begin(product, nest(found.outer, found.body))
        return schedule_product(s, found, machine)
    return _choose_on_gpu(s, kind, machine) if machine.gpu else _choose_rows(s, kind, machine)


def _split_blocks(s: Schedule) -> None:
    """Split loops over several blocks, each of which ends at a size known at run time: a loop over
    the elements of a block can end."""
    loops, _ = s.outer()
    for var in loops:
        size = block_that_ends(s.body, var)
        if size is not None:
            s.do(split, var.name, "exact", f"{var.name}_blocks", f"{var.name}_n:{size}")


def _choose_on_gpu(s: Schedule, kind: str, machine: Machine) -> str:
    s.merged()
    return schedule_elements(s, machine) if kind == "sort" else schedule_rows(s, machine)


def _choose_rows(s: Schedule, kind: str, machine: Machine) -> str:
    if kind == "sort":
        return count_in_vectors(s, machine.vector_bytes // 8)
    if kind == "scan":
        return interleave_rows(s, machine.vector_bytes // 8)
    if kind == "total":  # one number
        plan = plan_inner(s.body, machine.vector_bytes)
        vectorize_rows(s, plan)
        return plan.reason
    loops, inside = s.merged()
    outer, reason = [v.name for v in loops], ""
    if kind == "transform":  # along the channels, each lane would need a cache line of its own
        plan = plan_inner(inside, machine.vector_bytes)
    elif kind == "map" and (kept := partition_loops(s, machine.vector_bytes // 4)) is not None:
        plan = plan_inner(s.body, machine.vector_bytes)
        outer, reason = kept, "loops partitioned, "
    else:
        plan = plan_rows(loops, inside, machine.vector_bytes)
    vectorize_rows(s, plan, outer)
    return reason + plan.reason


def tile(function: Function, at: At) -> Function:
    """Schedule the loops by a plan of primitives, which the function keeps with the reasons: for a
    CPU vectors, register tiles and packed panels; for a GPU work-groups, work-items and tiles in
    local memory.

    Requires: serial loops without divisions. Ensures: vector and unroll loops innermost; the tasks
    of a contraction are a parallel loop; workgroup loops outermost.
    """
    if at.plan:
        return replay(function, at.plan)
    return schedule(function, at.kinds, at.machine)


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

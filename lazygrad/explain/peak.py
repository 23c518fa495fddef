"""What stands in memory when a program holds most."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..graph.ir import Buffer, Node
from ..schedule.ir import MemoryPlan, Schedule, outputs_of


@dataclass(frozen=True)
class Peak:
    """The kernel at which most bytes are held, by its place, and the nodes that are."""

    kernel: int
    nodes: tuple[Node, ...]
    nbytes: int


def peak_of(schedule: Schedule, plan: MemoryPlan) -> Peak:
    """The inputs, which the program holds all the time, and what kernels have written and others
    read later. A node that takes the place of its input counts once."""
    last = len(schedule.kernels) - 1
    inputs = _inputs(schedule)
    births = {n: k for k, kernel in enumerate(schedule.kernels) for n in kernel.outputs}
    deaths = dict(births)
    for k, kernel in enumerate(schedule.kernels):
        deaths.update((x, k) for x in kernel.inputs if x in births)
    deaths.update(dict.fromkeys(outputs_of(schedule), last))
    taken = {x: n for n, x in plan.in_place.items()}
    best = Peak(0, tuple(inputs), sum(x.nbytes for x in inputs))
    for k in range(last + 1):
        own = [n for n, birth in births.items() if birth <= k <= deaths[n]]
        alive = [x for x in [*inputs, *own] if not (x in taken and births[taken[x]] <= k)]
        nbytes = sum(x.nbytes for x in alive)
        if nbytes > best.nbytes or k == 0:
            best = Peak(k, tuple(sorted(alive, key=lambda n: -n.nbytes)), nbytes)
    return best


def _inputs(schedule: Schedule) -> list[Node]:
    read: Iterable[Node] = (x for kernel in schedule.kernels for x in kernel.inputs)
    return [x for x in dict.fromkeys(read) if isinstance(x, Buffer)]

"""Any stage of the compiler as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..backends.base import Launch
from ..graph.ir import Node
from ..graph.show import show as show_graph
from ..graph.show import type_text
from ..loops.ir import Function
from ..loops.ir import show as show_loops
from ..loops.lower import Lowered
from ..schedule.ir import Kernel, MemoryPlan, Schedule
from ..schedule.show import Names
from ..schedule.show import show as show_schedule


def text(value: Any) -> str:
    """Any stage as text."""
    match value:
        case Schedule():
            return show_schedule(value)
        case Kernel():
            return show_schedule(Schedule((value,), value.outputs))
        case Function():
            return show_loops(value)
        case Lowered():
            return show_loops(value.function)
        case Launch():
            return _launch_text(value)
        case list() | tuple() if value and all(isinstance(n, Node) for n in value):
            return show_graph(value)
        case list() | tuple():
            return "\n".join(text(item) for item in value)
    return f"{value}\n"


def _launch_text(launch: Launch) -> str:
    """Its loops, which equal functions share, with its own comment and offsets."""
    places = zip(launch.function.arguments, launch.offsets, strict=False)
    begins = [f"{a.name} begins {n:,} bytes into its memory" for a, n in places if n]
    comment = "\n".join((launch.function.comment, *begins))
    return show_loops(replace(launch.function, comment=comment))


def memory_text(
    schedule: Schedule, plan: MemoryPlan, given: Mapping[Node, str] | None = None
) -> str:
    """A memory plan as text: each slot with its size and who is in it, one after another.
    `given` are names of nodes that are known already.

    slot 0: 5,120 bytes, an output
        t3      float32(128, 10)  written by kernel 2, last read by kernel 5
    """
    names = Names(schedule.kernels, schedule.outputs, given).of
    last: dict[Node, int] = {}
    written: dict[Node, int] = {}
    for number, kernel in enumerate(schedule.kernels):
        last.update(dict.fromkeys(kernel.inputs, number))
        written.update(dict.fromkeys(kernel.outputs, number))
    nodes: dict[int, list[Node]] = {}
    for node, slot in plan.slot_of.items():
        nodes.setdefault(slot, []).append(node)
    lines = [
        f"{len(plan.slots)} slots of {plan.nbytes:,} bytes together; "
        f"at most {plan.least:,} bytes are alive at once",
        "",
    ]
    for slot, nbytes in enumerate(plan.slots):
        lines.append(f"slot {slot}: {nbytes:,} bytes{', an output' * (slot < plan.outputs)}")
        for node in sorted(nodes.get(slot, ()), key=written.__getitem__):
            until = f"last read by kernel {last[node]}" if node in last else "read by no kernel"
            source = plan.in_place.get(node)
            note = "" if source is None else f", in place of {names[source]}"
            lines.append(
                f"    {names[node]:<6}  {type_text(node)}  "
                f"written by kernel {written[node]}, {until}{note}"
            )
    for node, source in plan.in_place.items():
        if node not in plan.slot_of:
            lines.append(f"{names[node]}: in the memory of {names[source]}, which is updated")
    return "\n".join(lines) + "\n"

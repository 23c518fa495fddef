"""A schedule as a picture: kernels with their formulas, and the buffers between them."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap

from ..graph.ir import Node
from ..graph.show import type_text
from ..runtime.report import bytes_text
from ..schedule.ir import Kernel, Schedule
from ..schedule.show import Names, extent, member_lines, title
from .dot import Dot

WIDTH = 58  # characters of a line of a formula
LINES = 14  # lines of formulas in one kernel
MANY = 100  # kernels above which a picture of them tells nothing
READS = 4  # inputs of a kernel that are named where it is shown in short

LEGEND = [
    ("input", "inputs"),
    ("between", "between kernels"),
    ("output", "outputs"),
    ("map", "map: element by element"),
    ("row", "row: reductions, loops in sequence"),
    ("contraction", "contraction: sums of products"),
    ("chain", "chain: kernels that share their outermost loops"),
    ("winograd", "winograd: a convolution by tiles"),
    ("filter", "filter: its filters, transformed"),
    ("join", "join: parts computed into their places"),
    ("scatter", "scatter"),
    ("sort", "sort"),
    ("scan", "scan"),
    ("recurrence", "recurrence: a loop over time"),
]


def kernels_picture(schedule: Schedule, given: Mapping[Node, str] | None = None) -> tuple[str, int]:
    """The kernels alone as Graphviz source, and how many boxes it has: what each computes, what it
    reads from memory that no kernel writes, and which kernels it waits for. An arrow that follows
    from others is left out. `given` are names of nodes that are known already."""
    names = Names(schedule.kernels, schedule.outputs, given).of
    writer = {n: k for k, kernel in enumerate(schedule.kernels) for n in kernel.outputs}
    before: list[set[int]] = []  # for each kernel all that it waits for
    dot = Dot()
    for number, kernel in enumerate(schedule.kernels):
        direct = {writer[x] for x in kernel.inputs if x in writer}
        implied = {k for other in direct for k in before[other]}
        before.append(direct | implied)
        reads = [names[x] for x in kernel.inputs if x not in writer]
        if len(reads) > READS:
            reads[READS:] = [f"{len(reads) - READS} more"]
        lines = [f"{number}  {title(kernel)}"]
        lines += [f"reads {', '.join(reads)}"] if reads else []
        is_last = any(x in schedule.outputs for x in kernel.outputs)
        dot.box(f"k{number}", kernel.kind, lines, is_last)
        for other in sorted(direct - implied):
            dot.arrow(f"k{other}", f"k{number}")
    kinds = {kernel.kind for kernel in schedule.kernels}
    return dot.source([entry for entry in LEGEND if entry[0] in kinds]), dot.boxes


def schedule_picture(
    schedule: Schedule, given: Mapping[Node, str] | None = None
) -> tuple[str, int]:
    """Kernels with their formulas and the buffers between them as Graphviz source, and how many
    boxes it has. `given` are names of nodes that are known already."""
    names = Names(schedule.kernels, schedule.outputs, given)
    outputs = set(schedule.outputs)
    written = {n for kernel in schedule.kernels for n in kernel.outputs}
    dot = Dot()
    boxes: dict[Node, str] = {}
    kinds: set[str] = set()

    def buffer(node: Node) -> str:
        if node not in boxes:
            boxes[node] = f"b{len(boxes)}"
            kind = "output" if node in outputs else "between" if node in written else "input"
            kinds.add(kind)
            lines = [names.of[node], type_text(node), bytes_text(node.nbytes)]
            dot.box(boxes[node], kind, lines, node in outputs, "cylinder", repr(node))
        return boxes[node]

    for number, kernel in enumerate(schedule.kernels):
        kinds.add(kernel.kind)
        name = f"k{number}"
        heading = f"{number}  {title(kernel)}   ({extent(kernel)})"
        dot.kernel(name, kernel.kind, heading, _code(kernel, names))
        for x in kernel.inputs:
            dot.arrow(buffer(x), name, note=f"lhead=cluster_{name}")
        for node in kernel.outputs:
            dot.arrow(name, buffer(node), note=f"ltail=cluster_{name}")
    for node in schedule.outputs:
        buffer(node)
    return dot.source([entry for entry in LEGEND if entry[0] in kinds]), dot.boxes


def _code(kernel: Kernel, names: Names) -> list[str]:
    """A kernel's formulas, in lines that are not too long."""
    lines: list[str] = []
    for text, _ in member_lines(kernel, names.of, movement=False):
        lines += wrap(text, WIDTH, subsequent_indent="      ", break_long_words=True)
    if len(lines) > LINES:
        lines = [*lines[:LINES], f"... {len(lines) - LINES} more lines"]
    return lines

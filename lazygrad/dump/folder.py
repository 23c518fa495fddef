"""Which files a compilation is written to.

out/index.html
out/003-step/index.html              all of what follows, side by side
             01-graph.txt .dot .svg      what was asked for
             02-gradients.txt ...        the same with gradients, if there are any
             03-simplify.txt ...         the graph after each pass that changed it
             05-fuse.txt ...             kernels, and the buffers between them
             06-memory.txt               which buffers share memory
             loops/00-NAME/1-lower.txt   each kernel's loops, before and after each pass
             code/program.llvm, .asm     generated code
"""

from __future__ import annotations

import re
from itertools import count
from pathlib import Path
from typing import Any

from ..graph.gradient import cotangents
from ..graph.ir import Movement, Node, topological
from ..loops.ir import Function
from ..schedule.ir import MemoryPlan, Schedule
from . import title
from .graphs import TOO_LARGE, graph_picture, roles
from .page import Section, write_index, write_page
from .schedules import schedule_picture
from .svg import to_svg
from .text import memory_text, text

_numbers = count()


class Folder:
    """A folder of compilations (dump.Place)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.number = next(_numbers)

    def watcher(self) -> Compilation:
        """Who writes the next compilation."""
        return Compilation(self.path)


class Compilation:
    """Writes the stages of one compilation (dump.Watcher)."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = root
        self.sections: list[Section] = []
        self.kernels: dict[str, list[Section]] = {}
        self._kernel: list[Section] | None = None  # where the next loops go
        self._seen: Any = None  # the latest graph or schedule
        self._schedule: Schedule | None = None
        self._programs = 0

    def saw(self, stage: str, value: Any) -> None:
        """Write a stage."""
        match value:
            case Function():
                self._saw_loops(stage, value)
            case Schedule():
                before, self._schedule = self._schedule, value
                if before is None or text(before) != text(value):
                    self._write(stage, text(value), *schedule_picture(value))
            case MemoryPlan() if self._schedule is not None:
                self._write(stage, memory_text(self._schedule, value))
            case list():
                self._saw_graph(stage, value)
            case _ if hasattr(value, "texts"):
                self._saw_program(value)

    def finish(self) -> None:
        """Write the pages."""
        if self.sections:
            write_page(self.path, self.sections, self.kernels)
            write_index(self.root)

    # ------------------------------------------------------------------ stages

    def _saw_graph(self, stage: str, nodes: list[Node]) -> None:
        if stage == "graph":
            self._begin(nodes)
            role = roles(nodes, cotangents)
            if len(set(role.values())) > 1:
                forward = _forward_part(nodes, role)
                self._write("graph", text(forward), *graph_picture(forward))
                self._write("gradients", text(nodes), *graph_picture(nodes, role))
            else:
                self._write("graph", text(nodes), *graph_picture(nodes))
        elif nodes and nodes != self._seen:  # else the pass had nothing to do
            self._write(stage, text(nodes), *graph_picture(nodes))
        self._seen = nodes

    def _begin(self, nodes: list[Node]) -> None:
        """Make the folder, by the next free number."""
        taken = [int(found[0]) for p in self.root.iterdir() if (found := re.match(r"\d+", p.name))]
        for number in count(max(taken, default=0) + 1):
            self.path = self.root / f"{number:03d}-{_name(nodes)}"
            try:
                self.path.mkdir(parents=True)
                return
            except FileExistsError:  # another process has just made it
                continue

    def _saw_loops(self, stage: str, function: Function) -> None:
        """A kernel's loops: "lower" and "name" begin a kernel, the passes follow."""
        if stage == "lower":
            self._kernel = None  # until it has a name
        if stage == "name":
            is_new = function.name not in self.kernels
            self._kernel = self.kernels.setdefault(function.name, []) if is_new else None
            stage = "lower"
        if self._kernel is None:
            return  # as an earlier kernel
        shown = text(function)
        if self._kernel and shown == self._kernel[-1].text:
            return  # a pass with nothing to do
        folder = self.path / "loops" / f"{len(self.kernels) - 1:02d}-{function.name}"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{len(self._kernel) + 1}-{stage}.txt"
        path.write_text(shown, encoding="utf-8")
        self._kernel.append(Section(stage, path, shown))

    def _saw_program(self, program: Any) -> None:
        folder = self.path / "code"
        folder.mkdir(parents=True, exist_ok=True)
        number = f"-{self._programs}" if self._programs else ""
        self._programs += 1
        for kind, code in program.texts().items():
            path = folder / f"program{number}.{kind}"
            path.write_text(code, encoding="utf-8")
            self.sections.append(Section(kind, path, code))

    # ------------------------------------------------------------------ files

    def _write(self, stage: str, content: str, dot: str | None = None, boxes: int = 0) -> None:
        """Write a stage as text, and its picture if it has one."""
        path = self.path / f"{len(self.sections) + 1:02d}-{stage}.txt"
        path.write_text(content, encoding="utf-8")
        section = Section(stage, path, content)
        if dot is not None:
            source = path.with_suffix(".dot")
            source.write_text(dot, encoding="utf-8")
            if boxes > TOO_LARGE:
                section.note = f"{boxes} boxes make no picture: {source.name} has them"
            elif (svg := to_svg(dot)) is None:
                section.note = f"no Graphviz: {source.name} only"
            else:
                section.picture = path.with_suffix(".svg")
                section.picture.write_text(svg, encoding="utf-8")
        self.sections.append(section)


def _forward_part(outputs: list[Node], role: dict[Node, str]) -> list[Node]:
    """The ends of the forward pass: what it gives, to outputs or to the backward pass."""
    given = [x for node, part in role.items() if part == "backward" for x in node.inputs]
    part = topological(n for n in (*outputs, *given) if role[n] == "forward" and n.inputs)
    used = {x for node in part for x in node.inputs}
    return [node for node in part if node not in used]


def _name(nodes: list[Node]) -> str:
    """What a compilation is called: by the captured function, or by its first output."""
    given = title.get()
    if given is None:
        last = nodes[0]
        while isinstance(last, Movement):
            last = last.x
        given = "-".join(filter(None, [last.name, "x".join(map(str, nodes[0].shape))]))
    return re.sub(r"[^\w-]+", "-", given).strip("-") or "graph"

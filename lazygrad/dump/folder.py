"""Which files a compilation is written to.

out/index.html                          the report: all of what follows, in one page
out/trace.json                          what ran when, for Perfetto or chrome://tracing
out/003-step/00-kernels.txt .dot .svg   the fused kernels, in short
             01-graph.txt .dot .svg     what was asked for
             02-gradients.txt ...       the same with gradients, if there are any
             03-simplify.txt ...        the graph after each pass that changed it
             05-fuse.txt ...            kernels, and the buffers between them
             06-memory.txt              which buffers share memory
             loops/00-NAME/1-lower.txt  each kernel's loops, before and after each pass
             code/program.llvm, .asm    generated code
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from ..backends.base import joined
from ..graph.ir import Movement, Node, topological
from ..graph.show import show as show_graph
from ..loops.ir import Function
from ..loops.lower import Lowered
from ..origin import title
from ..runtime.execute import Plan
from ..schedule.ir import MemoryPlan, Schedule
from ..schedule.show import show as show_schedule
from .graphs import TOO_LARGE, graph_picture
from .record import Record, renamed
from .report import Report
from .roles import role_of
from .runs import Runs, now
from .schedules import MANY, kernels_picture, schedule_picture
from .svg import to_svg
from .text import memory_text, text

numbers = count()  # of places


class Folder:
    """A folder of compilations and their report (dump.Place)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.number = next(numbers)
        self.report = Report(path)

    def watcher(self) -> Compilation:
        """Who writes the next compilation."""
        return Compilation(self.path, self.report)

    def close(self) -> None:
        """Write the report; what runs from now on is no part of it."""
        self.report.close()


class Compilation:
    """Writes the stages of one compilation, and notes them for the report (dump.Watcher).

    `pictures` are the Graphviz sources of the stages. Without a folder nothing is written.
    """

    def __init__(self, root: Path | None, report: Report) -> None:
        self.root = root
        self.path = root or Path("nowhere")
        self.pictures: dict[str, str] = {}
        self.report = report
        self.runs = Runs(report.began)
        self._began = now()
        self._record: Record | None = None  # from the first graph on
        self._phases: list[tuple[str, float, float]] = []
        self._files = 0  # of stages
        self._function = ""  # whose loops are shown; "" where they are as an earlier kernel's
        self._loops: dict[str, list[str]] = {}  # by function
        self._local: dict[str, str] = {}  # what its arguments are called outside of it
        self._called: dict[str, dict[str, str]] = {}  # the same, by function
        self._launched = 0  # launches of programs that were seen
        self._seen: Any = None  # the latest graph
        self._schedule: Schedule | None = None
        self._programs = 0

    @property
    def record(self) -> Record:
        assert self._record is not None, "the first stage is a graph"
        return self._record

    def took(self, stage: str, begin: float, end: float) -> None:
        """Note how long a pass took."""
        self._phases.append((stage, begin - self.report.began, end - begin))

    def saw(self, stage: str, value: Any) -> None:
        """Write a stage."""
        with self.report.at_work():
            self._saw(stage, value)

    def _saw(self, stage: str, value: Any) -> None:
        if self._record is not None and isinstance(value, (list, Schedule, MemoryPlan)):
            stage = self._record.step_before + stage
        match value:
            case Lowered():
                if stage == "name":
                    self._saw_kernel(value)
            case Function():
                self._saw_loops(stage, value)
            case Schedule():
                self._saw_schedule(stage, value)
            case MemoryPlan() if self._schedule is not None:
                shown = memory_text(self._schedule, value, self.record.names)
                self._write(stage, shown)
                is_of_step = bool(self.record.step_before)
                self.record.memory(self._schedule, value)
                if not is_of_step:
                    self._write_kernels(self._schedule)
            case Plan():
                value.observers = (*value.observers, self.runs)
            case list():
                self._saw_graph(stage, value)
            case _ if hasattr(value, "codes"):
                self._saw_program(value)

    def finish(self) -> None:
        """Hand what was seen to the report."""
        if self._record is None:
            return
        with self.report.at_work():
            self._record.phases = self._phases
            self._record.forget_nodes()
            self.report.add(self._record, self.runs)

    # ------------------------------------------------------------------ stages

    def _saw_graph(self, stage: str, nodes: list[Node]) -> None:
        if stage == "graph":
            self._begin(nodes)
            role = role_of(nodes)
            if "backward" in role.values():
                forward = _forward_part(nodes, role)
                self._write_graph("graph", forward, role)
                self._write_graph("gradients", nodes, role)
            else:
                self._write_graph("graph", nodes, role)
        elif nodes and nodes != self._seen:  # else the pass had nothing to do
            self._write_graph(stage, nodes, {})
        self._seen = nodes

    def _write_graph(self, stage: str, nodes: Sequence[Node], role: dict[Node, str]) -> None:
        record = self.record
        record.graph(stage, nodes)
        shown = show_graph(nodes, record.names)
        self._write(stage, shown, *graph_picture(nodes, role or record.roles, record.names))

    def _begin(self, nodes: list[Node]) -> None:
        """The first stage: there is a name, and a folder of its own."""
        name = _name(nodes)
        if self.root is not None:
            plain = re.sub(r"[^\w-]+", "-", name).strip("-") or "graph"
            self.path = _new_folder(self.root, plain)
        began = self._began - self.report.began
        self._record = Record(name, self.path, began, self.report.sources)
        self._record.name_leaves(nodes)

    def _saw_schedule(self, stage: str, schedule: Schedule) -> None:
        names = self.record.names
        shown = show_schedule(schedule, names)
        if self._schedule is None or show_schedule(self._schedule, names) != shown:
            self._write(stage, shown, *schedule_picture(schedule, names))
            self.record.schedule(stage, schedule)
        self._schedule = schedule

    def _write_kernels(self, schedule: Schedule) -> None:
        """The fused kernels in short, as the first files."""
        dot, boxes = kernels_picture(schedule, self.record.names)
        self._write("kernels", show_schedule(schedule, self.record.names), dot, boxes, 0, MANY)

    def _saw_kernel(self, made: Lowered) -> None:
        """A kernel's function has its name: it begins here, unless it is as an earlier one."""
        name = made.function.name
        self.record.lowered(made)
        self.record.device = made.kernel.outputs[0].device or self.record.device
        self._function = "" if name in self._loops else name
        pairs = zip(made.arrays, made.nodes, strict=True)
        known = self.record.names_of_schedule
        self._local = {array.name: known[node] for array, node in pairs if node in known}
        self._called.setdefault(name, self._local)
        self._saw_loops("lower", made.function)

    def _saw_loops(self, stage: str, function: Function) -> None:
        """The loops of the current kernel after a pass."""
        name = self._function
        if not name:
            return
        shown = text(function)
        passes = self._loops.setdefault(name, [])
        if passes and passes[-1] == shown:
            return  # a pass with nothing to do
        passes.append(shown)
        self.record.loops(stage, name, function, shown)
        if self.root is None:
            return
        folder = self.path / "loops" / f"{len(self._loops) - 1:02d}-{name}"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{len(passes)}-{stage.split()[0]}.txt"  # of a plan's line, the verb
        path.write_text(renamed(shown, self._local), encoding="utf-8")

    def _saw_program(self, program: Any) -> None:
        if self.root is None:
            return
        folder = self.path / "code"
        folder.mkdir(parents=True, exist_ok=True)
        number = f"-{self._programs}" if self._programs else ""
        self._programs += 1
        codes = program.codes()
        names = self.record.launched[self._launched :][: len(codes)]
        self._launched += len(codes)
        pairs = zip(codes, names, strict=True)
        commented = [_commented(code, self._called.get(name, {})) for code, name in pairs]
        for kind, code in joined(commented).items():
            (folder / f"program{number}.{kind}").write_text(code, encoding="utf-8")
        self.record.codes(codes, names)

    # ------------------------------------------------------------------ files

    def _write(
        self,
        stage: str,
        content: str,
        dot: str | None = None,
        boxes: int = 0,
        number: int | None = None,
        limit: int = TOO_LARGE,
    ) -> None:
        """Write a stage as text, and its picture if it has one."""
        if dot is not None:
            self.pictures[stage] = dot
        if self.root is None:
            return
        if number is None:
            self._files += 1
            number = self._files
        path = self.path / f"{number:02d}-{stage}.txt"
        path.write_text(content, encoding="utf-8")
        if dot is None:
            return
        path.with_suffix(".dot").write_text(dot, encoding="utf-8")
        if boxes <= limit and (svg := to_svg(dot)) is not None:
            path.with_suffix(".svg").write_text(svg, encoding="utf-8")


COMMENTS = {"llvm": ";", "opencl": "//"}


def _commented(code: dict[str, str], called: Mapping[str, str]) -> dict[str, str]:
    """The code of a function, by kind, with comments that have values by their names; which
    argument each of them is, the first line says.

        ; out0 = in0 + in1   ->   ; in0 is x, in1 is weight, out0 is y
                                  ; y = x + weight
    """
    others = {argument: name for argument, name in called.items() if argument != name}
    if not others:
        return code
    found = dict(code)
    for kind, mark in COMMENTS.items():
        if kind in code:
            lines = code[kind].split("\n")
            told = [renamed(line, others) if line.startswith(mark) else line for line in lines]
            legend = ", ".join(f"{argument} is {name}" for argument, name in others.items())
            found[kind] = "\n".join([f"{mark} {legend}", *told])
    return found


def _new_folder(root: Path, name: str) -> Path:
    """A folder of that name, by the next free number."""
    taken = [int(found[0]) for p in root.iterdir() if (found := re.match(r"\d+", p.name))]
    for number in count(max(taken, default=0) + 1):
        path = root / f"{number:03d}-{name}"
        try:
            path.mkdir(parents=True)
        except FileExistsError:  # another process has just made it
            continue
        return path
    raise AssertionError("count() has no end")


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
        given = " ".join(filter(None, [last.name, "x".join(map(str, nodes[0].shape))]))
    return given

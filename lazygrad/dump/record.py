"""What the report tells of one compilation, as values that JSON can hold.

nodes      every node of any stage: operation, type, inputs, origins. Stages refer to nodes by
           their numbers, so that a node is known as the same one wherever it stands
stages     graphs, schedules and the memory plan, in order
functions  the distinct functions of kernels: loops after each pass, code, costs, plan
launches   for each launch of the compiled program the number of its kernel
phases     passes with their begin and duration, in seconds
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from ..graph import ir
from ..graph.gradient import cotangents
from ..graph.ir import Node, topological
from ..graph.show import formula, operation_text, type_text
from ..loops.ir import Function
from ..loops.lower import Lowered
from ..origin import Origin, name_of, origins
from ..schedule.ir import Kernel, MemoryPlan, Schedule
from ..schedule.join import pieces
from ..schedule.show import Names, kernel_nodes, member_lines, title
from .roles import role_of

Json = dict[str, Any]

VIEWS = (ir.Movement, ir.Contiguous, ir.Copy)
FILE_CHARACTERS = 400_000  # of a user's file that the report shows


class Sources:
    """The user's files and the origins in them, numbered; all compilations share them."""

    def __init__(self) -> None:
        self.files: list[Json] = []
        self.origins: list[Json] = []
        self._file: dict[str, int] = {}
        self._origin: dict[Origin, int] = {}

    def number(self, origin: Origin) -> int:
        """The number of an origin."""
        if origin not in self._origin:
            self._origin[origin] = len(self.origins)
            self.origins.append(
                {
                    "file": self._file_number(origin.file),
                    "line": origin.line,
                    "function": origin.function,
                    "operation": origin.operation,
                    "layers": list(origin.layers),
                    "gradient": origin.gradient,
                }
            )
        return self._origin[origin]

    def _file_number(self, path: str) -> int:
        if path not in self._file:
            self._file[path] = len(self.files)
            self.files.append({"path": path, "text": _file_text(path)})
        return self._file[path]


def _file_text(path: str) -> str:
    """A file as Python knows it: a notebook's cells are only there."""
    import linecache

    return "".join(linecache.getlines(path))[:FILE_CHARACTERS] if path else ""


class Record:
    """Collects what a compilation shows."""

    def __init__(self, name: str, folder: Path, began: float, sources: Sources) -> None:
        self.name = name
        self.sources = sources
        self.names: dict[Node, str] = {}  # of leaves, and of all that a schedule stores
        self.random: Collection[Node] = ()  # tensors that are shown without what draws them
        self.names_of_schedule: dict[Node, str] = {}  # of all that the latest schedule stores
        self.roles: dict[Node, str] = {}
        self.nodes: list[Json] = []
        self.stages: list[Json] = []
        self.functions: dict[str, Json] = {}
        self.phases: list[tuple[str, float, float]] = []
        self.device = ""
        self._number: dict[Node, int] = {}
        self._constant: set[Node] = set()  # constants, and views of them
        self._schedule: Json | None = None  # the latest, of the device that is compiled for
        self._to_name: deque[_Launch] = deque()  # whose functions have no name yet, in order
        self._entries: list[_Entry] = []
        self._loops = 0
        self._steps: deque[list[_Entry]] = deque()  # the loops whose step is not known yet
        self._kernels: list[Json] = []
        self._head: Json = {"name": name, "folder": folder.name, "began": began}

    def json(self) -> Json:
        """All of it."""
        return {
            **self._head,
            "device": self.device,
            "nodes": self.nodes,
            "stages": self.stages,
            "kernels": self._kernels,
            "functions": self.functions,
            "launches": self.launches,
            "phases": self.phases,
        }

    def forget_nodes(self) -> None:
        """Let go of the graph: numbers are enough from now on."""
        self._number.clear()
        self._constant.clear()
        self.names.clear()
        self.names_of_schedule.clear()
        self.roles.clear()

    # ------------------------------------------------------------------ graphs

    def name_leaves(self, outputs: Sequence[Node]) -> None:
        """Give names to what has memory before anything runs, and to the outputs."""
        taken: set[str] = set()
        inputs = 0
        for node in topological(outputs):
            if isinstance(node, ir.Buffer):
                name = name_of(node)
                if name is None:
                    name, inputs = f"in{inputs}", inputs + 1
                elif name in taken:
                    name = next(n for k in count(2) if (n := f"{name}_{k}") not in taken)
                self.names[node] = name
                taken.add(name)

    def graph(self, stage: str, outputs: Sequence[Node]) -> None:
        """A graph, as the numbers of its outputs."""
        self.roles.update(role_of(outputs, self.roles))
        numbers = [self.node(node) for node in outputs]
        self.stages.append({"name": stage, "kind": "graph", "outputs": numbers})
        for node, number in self._number.items():
            of = cotangents[node]() if node in cotangents else None
            if of is not None and of in self._number:
                self.nodes[number]["of"] = self._number[of]

    def node(self, node: Node) -> int:
        """The number of a node; it and what it is made of are added if need be."""
        if node not in self._number:
            known = self._number
            for each in topological([node], lambda n: () if n in known else self._inputs(n)):
                if each not in known:
                    known[each] = len(self.nodes)
                    self.nodes.append(self._described(each))
        return self._number[node]

    def _inputs(self, node: Node) -> Sequence[Node]:
        return () if node in self.random else node.inputs

    def _described(self, node: Node) -> Json:
        is_random = node in self.random
        if isinstance(node, ir.Const) or (
            isinstance(node, (*VIEWS, ir.Detach, ir.Cast)) and node.inputs[0] in self._constant
        ):
            self._constant.add(node)
        is_input = is_random or isinstance(node, ir.Buffer)
        role = "input" if is_input else self.roles.get(node, "forward")
        described: Json = {
            "op": "random" if is_random else node.name,
            "text": "random" if is_random else self._text(node),
            "type": type_text(node),
            "bytes": node.nbytes,
            "in": [self._number[x] for x in self._inputs(node)],
            "role": "constant" if node in self._constant else role,
            "at": [self.sources.number(origin) for origin in origins(node)],
        }
        if isinstance(node, VIEWS):
            described["isView"] = True
        if node in self.names:
            described["name"] = self.names[node]
        return described

    def _text(self, node: Node) -> str:
        """What a box says; constants stand in the formula of what is computed from them."""
        if not any(x in self._constant for x in node.inputs) or isinstance(node, VIEWS):
            return _operation(node)
        return formula(node, lambda x: None if x in self._constant else "·", False, 60)

    # ------------------------------------------------------------------ schedules

    def schedule(self, stage: str, schedule: Schedule) -> None:
        """Kernels, and what they read and write."""
        self.roles.update(role_of([n for k in schedule.kernels for n in k.outputs], self.roles))
        names = Names(schedule.kernels, schedule.outputs, self.names)
        self._schedule = {
            "name": stage,
            "kind": "schedule",
            "outputs": [self.node(node) for node in schedule.outputs],
            "kernels": [self._kernel(kernel, names.of) for kernel in schedule.kernels],
        }
        self.stages.append(self._schedule)
        self.names_of_schedule = names.of
        self.names.update(names.of)
        for node, name in names.of.items():
            self.nodes[self.node(node)]["name"] = name

    def _kernel(self, kernel: Kernel, names: Mapping[Node, str]) -> Json:
        lines = member_lines(kernel, names, movement=False)
        return {
            "title": title(kernel),
            "kind": kernel.kind,
            "outer": kernel.outer,
            "in": [self.node(x) for x in kernel.inputs],
            "out": [self.node(x) for x in kernel.outputs],
            "nodes": [self.node(x) for x in kernel_nodes(kernel)],
            "lines": [[line, self.node(node)] for line, node in lines],
        }

    @property
    def step_before(self) -> str:
        """What the names of the next stages begin with: "step2-" for the second loop's step."""
        return f"step{self._loops - len(self._steps) + 1}-" if self._steps else ""

    def memory(self, schedule: Schedule, plan: MemoryPlan) -> None:
        """Where the values of the latest schedule lie, and from when to when. Its kernels are now
        the ones that functions are made for."""
        last: dict[Node, int] = {}
        first: dict[Node, int] = {}
        for number, kernel in enumerate(schedule.kernels):
            last.update(dict.fromkeys(kernel.inputs, number))
            first.update(dict.fromkeys(kernel.outputs, number))
        outputs = set(schedule.outputs)
        held = []
        for node, slot in plan.slot_of.items():
            end = len(schedule.kernels) - 1 if node in outputs else last.get(node, first[node])
            held.append([self.node(node), slot, first[node], end])
        in_place = [[self.node(n), self.node(x)] for n, x in plan.in_place.items()]
        self.stages.append(
            {
                "name": "memory",
                "kind": "memory",
                "slots": list(plan.slots),
                "held": held,
                "in_place": in_place,
                "least": plan.least,
            }
        )
        if self._schedule is not None:
            entries = self._steps.popleft() if self._steps else self._entries
            named: list[_Launch] = []
            loops: list[list[_Entry]] = []
            for kernel, shown in zip(schedule.kernels, self._schedule["kernels"], strict=True):
                number = len(self._kernels)
                self._kernels.append(shown)
                if kernel.kind == "recurrence":  # the schedule of its step comes next
                    loops.append([])
                    entries.append((kernel.outputs[0].shape[0], loops[-1]))
                else:
                    own = [_Launch(number) for _ in pieces(kernel)]
                    entries += own
                    named += own
            self._steps.extendleft(reversed(loops))
            self._loops += len(loops)
            self._to_name.extendleft(reversed(named))
            count = len(self._kernels)
            self._schedule["kernels"] = [*range(count - len(schedule.kernels), count)]
            self._schedule = None

    # ------------------------------------------------------------------ loops and code

    def lowered(self, made: Lowered) -> None:
        """A kernel's function has its name; what its arguments are called elsewhere is noted."""
        if not self._to_name:
            return
        launch = self._to_name.popleft()
        launch.function = made.function.name
        kernel = self._kernels[launch.kernel]
        if "function" in kernel:
            return  # another piece of the same kernel
        kernel["function"] = made.function.name
        kernel["names"] = names = dict[str, int]()
        for node, array in zip(made.nodes, made.arrays, strict=True):
            names.setdefault(array.name, self.node(node))  # an output may be in an input's memory

    def loops(self, stage: str, name: str, function: Function, shown: str) -> None:
        """The loops of the function called `name` after a pass."""
        known = self.functions.setdefault(
            name, {"flops": 0, "bytes": 0, "passes": [], "plan": [], "reasons": []}
        )
        known["passes"].append([stage, shown])
        known["flops"] = function.flops or known["flops"]
        known["bytes"] = function.bytes or known["bytes"]
        known["plan"] = [str(step) for step in function.plan] or known["plan"]
        known["reasons"] = list(function.reasons) or known["reasons"]

    def codes(self, codes: Sequence[dict[str, str]], names: Sequence[str]) -> None:
        """The code of each launch of a program, by the names of their functions."""
        for name, code in zip(names, codes, strict=False):
            if name in self.functions:
                self.functions[name]["code"] = code

    @property
    def launches(self) -> list[int]:
        """The number of the kernel of each launch."""
        return [launch.kernel for launch in _launched(self._entries)]

    @property
    def launched(self) -> list[str]:
        """The name of the function of each launch."""
        return [launch.function for launch in _launched(self._entries)]

    def launch_name(self, launch: int) -> str:
        """What a launch computes, in a few words."""
        return str(self._kernels[self.launches[launch]]["title"])


@dataclass(eq=False, slots=True)
class _Launch:
    """A launch: the number of its kernel, and the name of its function."""

    kernel: int
    function: str = ""


_Entry = _Launch | tuple[int, "list[_Entry]"]
"""A launch; or how many steps a loop takes, and the entries of one."""


def _launched(entries: Sequence[_Entry]) -> Iterator[_Launch]:
    for entry in entries:
        if isinstance(entry, _Launch):
            yield entry
        else:
            steps, block = entry
            yield from list(_launched(block)) * steps


def _operation(node: Node) -> str:
    """What a box calls a node: `sum over axis 1`; inputs that are constants are written out."""
    match node:
        case ir.Reduce(_, op, axes):
            return f"{op} over {'axis' if len(axes) == 1 else 'axes'} {', '.join(map(str, axes))}"
        case ir.Cast(_, dtype):
            return f"to {dtype}"
        case ir.Const(value):
            return f"{value:.6g}" if isinstance(value, float) else str(value)
        case ir.Reshape() | ir.Expand():
            return f"{node.name} {'×'.join(map(str, node.shape)) or 'to one value'}"
        case ir.Permute(_, order):
            return f"permute {', '.join(map(str, order))}"
    return operation_text(node)


def renamed(shown: str, names: Mapping[str, str]) -> str:
    """A text in which whole words are replaced: what arguments are called in one kernel by what
    they are called in all others."""
    if not names:
        return shown
    words = re.compile(rf"\b({'|'.join(map(re.escape, names))})\b")
    return words.sub(lambda found: names[found[1]], shown)

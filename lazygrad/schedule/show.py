"""A schedule as text, and names for kernels and for the nodes that have memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count

from ..graph.build import in_memory
from ..graph.ir import (
    Buffer,
    Cast,
    Const,
    Contiguous,
    Detach,
    Iota,
    Movement,
    Mul,
    Node,
    Recurrence,
    Reduce,
    computed,
    topological,
)
from ..graph.show import formula, type_text
from ..origin import name_of, origins
from .asked import asked, asked_value
from .ir import Kernel, Schedule

_SILENT = (Movement, Cast, Const, Iota, Contiguous, Detach, Buffer)
_MOVES: dict[type[Node], str] = {Const: "fill", Iota: "iota", Cast: "cast"}


def kernel_nodes(kernel: Kernel) -> list[Node]:
    """Every node that a kernel computes, members and inlined nodes, in order."""
    nodes = computed([m.node for m in kernel.members], set(kernel.inputs))
    return [node for node in nodes if not isinstance(node, Buffer)]


def _loud(kernel: Kernel) -> list[Node]:
    """The nodes that a kernel is named by."""
    return [node for node in kernel_nodes(kernel) if not isinstance(node, _SILENT)]


def title(kernel: Kernel) -> str:
    """A name for a kernel, which can be part of a function's name: by the program's operations if
    origins are known (`asked.py`), else by the nodes' operations.

    softmax over (128, 10)  ->  "softmax", or "max_exp_sum_div_128x10"
    """
    loud = _loud(kernel)
    if any(map(origins, loud)) and (name := asked(kernel, loud)) is not None:
        return name
    words: dict[str, None] = {}
    for part in kernel.parts or (kernel,):
        is_contraction = part.kind == "contraction"
        for node in _loud(part):
            if isinstance(node, Reduce):
                words["dot" if is_contraction and node.op == "sum" else node.op] = None
            elif not (is_contraction and isinstance(node, Mul)):
                words[node.name] = None
    shown = list(words) or [_MOVES.get(type(kernel.members[-1].node), "copy")]
    if len(shown) > 4:  # the last says most about the result
        shown = [*shown[:2], f"{len(shown) - 3}_more", shown[-1]]
    largest = max(kernel.outputs, key=lambda n: n.size)
    size = "x".join(map(str, largest.shape)) or "1"
    return "_".join([*shown, size])


def extent(kernel: Kernel) -> str:
    """A kernel's kind and size: "map over 128", "recurrence of 64 steps"."""
    if kernel.kind == "recurrence":
        return f"{kernel.kind} of {kernel.outputs[0].shape[0]} steps"
    return f"{kernel.kind} over {kernel.outer}"


class Names:
    """Names for the nodes that have memory: the program's name of a value ("w", "w.new" for its new
    value), or the operation that computes it ("softmax", "softmax_2").

    Where neither is known: `in0` ... for nodes that no kernel writes, `out0` ... for the outputs,
    `t0` ... for intermediates. `given` names come first.
    """

    def __init__(
        self,
        kernels: Sequence[Kernel],
        outputs: Iterable[Node],
        given: Mapping[Node, str] | None = None,
    ) -> None:
        self.of: dict[Node, str] = dict(given or {})
        written = {x for kernel in kernels for x in kernel.outputs}
        self._add("in", (x for kernel in kernels for x in kernel.inputs if x not in written))
        self._add("out", outputs)
        self._add("t", (x for kernel in kernels for x in kernel.outputs))

    def _add(self, prefix: str, nodes: Iterable[Node]) -> None:
        taken = set(self.of.values())
        for node in nodes:
            if node not in self.of:
                self.of[node] = next(n for n in _proposed(node, prefix) if n not in taken)
                taken.add(self.of[node])


def _proposed(node: Node, prefix: str) -> Iterator[str]:
    """Names that a value may have, the best first."""
    if (name := name_of(node)) is not None:
        yield from (name, f"{name}.new")
    word = name or asked_value(node)
    if word is None:
        yield from (f"{prefix}{n}" for n in count())
    else:
        yield word
        yield from (f"{word}_{n}" for n in count(2))


PART = 200  # characters of a formula above which a part of it has a line of its own


def member_lines(
    kernel: Kernel, names: Mapping[Node, str], movement: bool = True
) -> list[tuple[str, Node]]:
    """A kernel's members as `name = formula`, each with its node.

    Members without memory are called `v0`, `v1`, ... So are the parts of a long formula; they have
    lines of their own before it. Of a loop, the lines are those of step t.
    """
    if kernel.kind == "recurrence":
        return _step_lines(kernel, names, movement)
    registers = [m.node for m in kernel.members if not m.stored]
    called = {node: f"v{n}" for n, node in enumerate(registers)}
    called.update((n, names[n]) for n in (*kernel.inputs, *kernel.outputs))
    free = (f"v{n}" for n in count(len(registers)))
    lines: list[tuple[str, Node]] = []

    def define(part: Node, text: str) -> str:
        called[part] = next(free)
        lines.append((f"{called[part]} = {text}", part))
        return called[part]

    for member in kernel.members:
        node = member.node
        text = formula(node, called.get, movement, PART, define)
        lines.append((f"{called[node]} = {text}", node))
    return lines


def _step_lines(
    kernel: Kernel, names: Mapping[Node, str], movement: bool
) -> list[tuple[str, Node]]:
    """The values of a loop in step t: `h[t] = tanh(x[t] + h[t-1] * w)`."""
    values = {x.step.value: x for x in kernel.outputs if isinstance(x, Recurrence)}
    loop = next(iter(values.values()))
    before = "t+1" if loop.reverse else "t-1"
    called = {value: f"{names[x]}[t]" for value, x in values.items()}
    read = [f"{names[loop.giving(state)]}[{before}]" for state in loop.step.states]
    read += [f"{names[in_memory(x)]}[t]" for x in loop.series]
    read += [names[in_memory(x)] for x in loop.constants]
    called.update(zip(loop.arguments, read, strict=True))
    lines: list[tuple[str, Node]] = []
    for node in topological(values):
        if node in values:
            text = formula(node, called.get, movement)
            lines.append((f"{called[node]} = {text}", values[node]))
    return lines


def show(schedule: Schedule, given: Mapping[Node, str] | None = None) -> str:
    """The schedule as text: each kernel with its members, and the nodes that it reads and writes.
    `given` are names for some nodes.

    kernel 0: row over 128: max_exp_sum_div_128x10
        v0 = max(in0, axis 1)                float32(128)
        ...
        reads in0; writes out0
    """
    names = Names(schedule.kernels, schedule.outputs, given)
    lines: list[str] = []
    for number, kernel in enumerate(schedule.kernels):
        lines.append(f"kernel {number}: {extent(kernel)}: {title(kernel)}")
        for text, node in member_lines(kernel, names.of):
            lines.append(f"    {text:<60}  {type_text(node)}")
        lines.append(f"    reads {_listed(names, kernel.inputs)}")
        lines.append(f"    writes {_listed(names, kernel.outputs)}")
        lines.append("")
    lines.append(f"returns {_listed(names, schedule.outputs)}")
    return "\n".join(lines) + "\n"


def _listed(names: Names, nodes: Sequence[Node]) -> str:
    return ", ".join(f"{names.of[n]} {type_text(n)}" for n in nodes) or "nothing"

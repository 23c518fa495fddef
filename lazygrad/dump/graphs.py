"""A tensor graph as a picture.

What a reader would not draw is left out: constants stand inside the operations that use them, and
a chain of views is one light box. A large graph is drawn in short: an operation with one user is
part of its user's formula.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from textwrap import wrap

from ..graph import ir
from ..graph.ir import Node, topological
from ..graph.show import formula, type_text
from ..runtime.report import bytes_text
from .dot import Dot

LARGE = 150  # boxes above which a graph is drawn in short
TOO_LARGE = 400  # boxes above which a picture tells nothing

_VIEWS = (ir.Movement, ir.Contiguous, ir.Copy)


def graph_picture(
    outputs: Sequence[Node],
    role: Mapping[Node, str] | None = None,
    names: Mapping[Node, str] | None = None,
    notes: Mapping[Node, Sequence[str]] | None = None,
    random: Collection[Node] = (),
) -> tuple[str, int]:
    """A graph as Graphviz source, and how many boxes it has; `role` colours the operations,
    `names` are what nodes are called, `notes` are lines to add to boxes, and `random`
    are tensors of random numbers, drawn without what makes these."""
    told = role or {}, names or {}, notes or {}, random
    source, boxes = _Picture(outputs, *told, in_short=False).draw()
    if boxes > LARGE:
        source, boxes = _Picture(outputs, *told, in_short=True).draw()
    return source, boxes


class _Picture:
    def __init__(
        self,
        outputs: Sequence[Node],
        role: Mapping[Node, str],
        names: Mapping[Node, str],
        notes: Mapping[Node, Sequence[str]],
        random: Collection[Node],
        in_short: bool,
    ) -> None:
        self.names = names
        self.notes = notes
        self.random = random
        self.order = topological(outputs, self._inputs)
        self.role = role
        self.in_short = in_short
        self.output_numbers: dict[Node, list[int]] = {}
        for number, node in enumerate(outputs):
            while isinstance(node, ir.Detach) and node not in random:
                node = node.x
            self.output_numbers.setdefault(node, []).append(number)
        self.users: dict[Node, list[Node]] = {}
        for node in self.order:
            for x in self._inputs(node):
                self.users.setdefault(x, []).append(node)
        self.constant = self._constants()
        self.hidden = {n for n in self.order if self._is_hidden(n)}

    def _is_leaf(self, node: Node) -> bool:
        return isinstance(node, ir.Buffer) or node in self.random

    def _inputs(self, node: Node) -> Sequence[Node]:
        return () if self._is_leaf(node) else node.inputs

    def _constants(self) -> set[Node]:
        """Constants, and views of them."""
        found: set[Node] = set()
        for node in self.order:
            if isinstance(node, ir.Const) or (
                isinstance(node, (*_VIEWS, ir.Detach, ir.Cast)) and node.inputs[0] in found
            ):
                found.add(node)
        return found

    def _is_hidden(self, node: Node) -> bool:
        """Whether a node is drawn as part of its users."""
        if node in self.output_numbers or self._is_leaf(node):
            return False
        if node in self.names and not isinstance(node, ir.Detach):
            return False
        if node in self.constant or isinstance(node, ir.Detach):
            return True
        users = self.users.get(node, [])
        if isinstance(node, _VIEWS):
            return self.in_short or (len(users) == 1 and isinstance(users[0], _VIEWS))
        if not self.in_short or len(users) != 1:
            return False
        return isinstance(node, (ir.Elementwise, ir.Iota))

    def draw(self) -> tuple[str, int]:
        """The source, and the number of boxes."""
        dot = Dot()
        names: dict[Node, str] = {}
        kinds: set[str] = set()
        inputs = 0
        for node in self.order:
            if node in self.hidden:
                continue
            names[node] = f"n{len(names)}"
            kind = self._kind(node)
            kinds.add(kind)
            lines = self._lines(node, inputs)
            if node in self.names and not self._is_leaf(node):
                lines[0] = f"{self.names[node]} = {lines[0]}"
            lines += self.notes.get(node, ())
            inputs += self._is_leaf(node)
            numbers = self.output_numbers.get(node, [])
            if numbers:
                lines.append(f"output {', '.join(map(str, numbers))}")
            shape = "cylinder" if self._is_leaf(node) else "box"
            dot.box(names[node], kind, lines, bool(numbers), shape, repr(node))
            for x in dict.fromkeys(self._visible_inputs(node)):
                dot.arrow(names[x], names[node], is_faint=kind == "movement")
        return dot.source([entry for entry in self._legend() if entry[0] in kinds]), dot.boxes

    def _legend(self) -> list[tuple[str, str]]:
        has_roles = len({self.role.get(node, "forward") for node in self.order}) > 1
        return [
            ("input", "in memory"),
            ("forward", "forward" if has_roles else "computed"),
            ("backward", "gradient"),
            ("update", "after the gradient"),
            ("movement", "a view: moves, computes nothing"),
        ]

    def _kind(self, node: Node) -> str:
        if self._is_leaf(node):
            return "input"
        return "movement" if isinstance(node, _VIEWS) else self.role.get(node, "forward")

    def _visible_inputs(self, node: Node) -> list[Node]:
        """The boxes that a node's arrows come from: hidden ones are looked through."""
        found: list[Node] = []
        seen: set[Node] = set()
        stack = list(reversed(self._inputs(node)))
        while stack:
            x = stack.pop()
            if x in seen or (x in self.constant and x in self.hidden):
                continue
            seen.add(x)
            if x in self.hidden:
                stack.extend(reversed(x.inputs))
            else:
                found.append(x)
        return found

    def _lines(self, node: Node, inputs: int) -> list[str]:
        """The text of a box."""
        if self._is_leaf(node):
            place = "" if node.device == "CPU" else f"  {node.device}"
            kind = "random" if node in self.random else "input"
            return [
                self.names.get(node, f"{kind} {inputs}"),
                type_text(node),
                f"{bytes_text(node.nbytes)}{place}",
            ]
        if isinstance(node, _VIEWS):
            return [_view_text(view) for view in reversed(self._chain(node))]
        if self.in_short:
            return [*wrap(self._formula(node, 120), 44, subsequent_indent="  "), type_text(node)]
        if any(x in self.constant for x in node.inputs):
            return [self._formula(node, 40), type_text(node)]
        return [_operation(node), type_text(node)]

    def _chain(self, node: Node) -> list[Node]:
        """A view and the hidden ones that it is a view of, last first."""
        chain = [node]
        while isinstance(x := chain[-1].inputs[0], (*_VIEWS, ir.Detach)) and x in self.hidden:
            chain.append(x)
        return [view for view in chain if not isinstance(view, ir.Detach)]

    def _formula(self, node: Node, limit: int) -> str:
        """A box's value, other boxes as dots."""

        def name(x: Node) -> str | None:
            return None if x in self.hidden or x in self.constant else "·"

        return formula(node, name, movement=False, limit=limit)


def _operation(node: Node) -> str:
    match node:
        case ir.Reduce(_, op, axes):
            return f"{op} over {_axes(axes)}"
        case ir.Cast(_, dtype):
            return f"to {dtype}"
        case ir.Sort(_, axis):
            return f"sort along {axis}"
        case ir.Scatter():
            return f"scatter, {node.op}"
    return node.name


def _axes(axes: Sequence[int]) -> str:
    return f"axis {axes[0]}" if len(axes) == 1 else f"axes {', '.join(map(str, axes))}"


def _view_text(node: Node) -> str:
    shape = "×".join(map(str, node.shape)) or "one value"
    match node:
        case ir.Permute(_, order):
            return f"permute {', '.join(map(str, order))}: {shape}"
        case ir.Window():
            return f"windows of {node.shape[-1]} along {node.axis}: {shape}"
        case ir.Copy():
            return f"copy to {node.device}"
        case ir.Contiguous():
            return node.name
    return f"{node.name}: {shape}"

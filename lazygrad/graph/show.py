"""A graph as text, one numbered line a node, and a node's value as a formula."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..rewrite import bottom_up
from . import ir
from .ir import Node, topological


def show(outputs: Sequence[Node], names: Mapping[Node, str] | None = None) -> str:
    """The graph as text: every node after its inputs, and the outputs in the last line. A node's
    name is that in `names`, or else a number.

    %0 = buffer                     float32(4, 3)  CPU
    %1 = reduce[op=sum, axes=(1,)](%0)  float32(4)
    return %1
    """
    called: dict[Node, str] = {}
    rows: list[tuple[str, str]] = []
    for node in topological(outputs):
        inputs = ", ".join(f"%{called[x]}" for x in node.inputs)
        operation = operation_text(node) + (f"({inputs})" if inputs else "")
        place = f"  {node.device}" if isinstance(node, (ir.Buffer, ir.Copy)) else ""
        called[node] = (names or {}).get(node) or str(len(called))
        rows.append((f"%{called[node]} = {operation}", type_text(node) + place))
    width = max((len(left) for left, _ in rows if len(left) < 60), default=0)
    lines = [f"{left:<{width}}  {right}" for left, right in rows]
    lines.append("return " + ", ".join(f"%{called[output]}" for output in outputs))
    return "\n".join(lines) + "\n"


def operation_text(node: Node) -> str:
    """An operation with its attributes in brackets: `reduce[op=sum, axes=(1,)]`."""
    notes = ", ".join(f"{name.rstrip('_')}={value}" for name, value in node.attributes.items())
    return f"{node.name}[{notes}]" if notes else node.name


def type_text(node: Node) -> str:
    """Dtype and shape: `float32(4, 3)`."""
    return f"{node.dtype}({', '.join(map(str, node.shape))})"


def formula(
    node: Node,
    name: Callable[[Node], str | None],
    movement: bool = True,
    limit: int = 200,
    define: Callable[[Node, str], str] | None = None,
) -> str:
    """A node's value as a formula: `exp(x - max(x))`.

    `name(x)` is the name of a node x below, or None to write its formula out; the node itself is
    always written out. Without `movement`, nodes that only move elements are left out. A part
    longer than `limit` characters becomes "…", or with `define` the name define(part, formula).
    """
    texts: dict[Node, str] = {}

    def needs(part: Node) -> Sequence[Node]:
        called = None if part is node else name(part)
        if called is None:
            return part.inputs
        texts[part] = called
        return ()

    def written(part: Node) -> str:
        text = _applied(part, [texts[x] for x in part.inputs], movement)
        if len(text) > limit and (define is None or part is not node):
            return "…" if define is None else define(part, text)
        return text

    return bottom_up(node, texts, needs, written)


def _applied(node: Node, inputs: Sequence[str], movement: bool) -> str:
    match node:
        case ir.Const(value):
            return f"{value:.6g}" if isinstance(value, float) else str(value)
        case ir.Reduce(_, op, axes):
            return f"{op}({_bare(inputs[0])}, {_axes(axes)})"
        case ir.Fold():
            return f"fold({_bare(inputs[0])}, axis {node.axis})"
        case ir.Movement() if not movement:
            return inputs[0]
        case ir.Detach() | ir.Contiguous() if not movement:
            return inputs[0]
        case ir.Cast(_, dtype):
            return f"{dtype}({_bare(inputs[0])})"
        case ir.Arithmetic() if node.operation.sign:
            return node.operation.text(inputs)
    arguments = [_bare(x) for x in inputs]
    if isinstance(node, (ir.Reshape, ir.Expand)):
        arguments.append(str(node.shape))
    else:
        arguments += [f"{field.rstrip('_')}={value}" for field, value in node.attributes.items()]
    return f"{node.name}({', '.join(arguments)})"


def _axes(axes: Sequence[int]) -> str:
    return f"axis {axes[0]}" if len(axes) == 1 else f"axes {', '.join(map(str, axes))}"


def _bare(text: str) -> str:
    """A formula without the parentheses around all of it."""
    if not (text.startswith("(") and text.endswith(")")):
        return text
    depth = 0
    for place, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        if depth == 0 and place < len(text) - 1:
            return text
    return text[1:-1]

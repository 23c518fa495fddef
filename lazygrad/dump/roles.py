"""The part of each node in training: forward pass, backward pass, or update of the weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..graph import ir
from ..graph.gradient import cotangents
from ..graph.ir import Node, topological
from ..origin import origins


def role_of(outputs: Sequence[Node], known: Mapping[Node, str] | None = None) -> dict[Node, str]:
    """Each node's role: "forward"; "backward" for cotangents and what is computed from them;
    "update" for what is computed from finished gradients. `known` roles stay.

    A node that a pass made is told by its origins, or else by what it reads.
    """
    found = dict(known or {})
    for node in topological(outputs):
        if node in found:
            continue
        before = {found[x] for x in node.inputs}
        after = isinstance(node, ir.Detach) and "backward" in before
        if after or "update" in before or _is_update(node):
            found[node] = "update"
        elif node in cotangents or "backward" in before or _is_gradient(node):
            found[node] = "backward"
        else:
            found[node] = "forward"
    return found


def _is_update(node: Node) -> bool:
    """Whether only an optimizer's step asked for a node."""
    known = origins(node)
    return bool(known and node.inputs) and all(o.operation.endswith(".step") for o in known)


def _is_gradient(node: Node) -> bool:
    """Whether all lines that asked for a node asked for a derivative."""
    known = origins(node)
    return bool(known and node.inputs) and all(origin.gradient for origin in known)

"""What computed values came from, as far as no gradient is required of it.

A tensor that requires no gradient is a constant of later operations once it is computed; others
that Python holds may be computed along with it. A derivative with respect to a tensor that was
never said to require gradient would then miss what flows through such values:

    h = x @ w
    h.sum().item()                        # h is computed along, and a constant from here on
    (h * x).sum().gradient(x)             # raises: half of the derivative is gone
"""

from __future__ import annotations

from collections.abc import Collection
from weakref import ref

from ..graph.ir import Buffer, Detach, Node, NodeDict, Shape

_sources: NodeDict[frozenset[ref[Node]]] = NodeDict()
"""For the leaf of a computed value: the leaves that it was computed from, and theirs. Those that
are gone cannot be asked for."""


def note_past(value: Buffer, expression: Node) -> bool:
    """Remember what the value of an expression came from. Returns whether that carries gradient: a
    past through which none flows is not worth its memory."""
    leaves = _leaves(expression, ()) if expression.dtype.is_float else []
    if not leaves:
        return False
    memory: list[Node] = [leaf for leaf in leaves if isinstance(leaf, Buffer)]
    found = set(map(ref, memory))
    for leaf in memory:
        found.update(each for each in _sources.get(leaf) or () if each() is not None)
    _sources[value] = frozenset(found)
    return True


def carries_gradient(node: Node) -> bool:
    """Whether some float that may be a variable is reached from a node without passing a Detach of
    `no_grad`."""
    return node.dtype.is_float and bool(_leaves(node, ()))


def cut_off(root: Node, targets: Collection[Node]) -> Shape | None:
    """The shape of a computed value through which a derivative of the root with respect to the
    targets is lost; None where there is none."""
    for leaf in _leaves(root, targets):
        if leaf not in targets and any(x() in targets for x in _sources.get(leaf) or ()):
            return leaf.shape
    return None


def _leaves(root: Node, ends: Collection[Node]) -> list[Node]:
    """The leaves and variables that gradients flow to from a node, up to the `ends`."""
    stack, seen = [root], {root}
    found: list[Node] = []
    while stack:
        node = stack.pop()
        if isinstance(node, Detach) and node.token is None:
            continue
        if isinstance(node, (Buffer, Detach)):
            found.append(node)
        if node in ends:
            continue
        for x in node.inputs:
            if x.dtype.is_float and x not in seen:
                seen.add(x)
                stack.append(x)
    return found

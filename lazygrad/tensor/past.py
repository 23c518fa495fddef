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
from weakref import WeakKeyDictionary, WeakSet

from ..graph.ir import Buffer, Detach, Node, Shape

_sources: WeakKeyDictionary[Node, WeakSet[Node]] = WeakKeyDictionary()
"""For the leaf of a computed value: the leaves that it was computed from, and theirs. Those that
are gone cannot be asked for."""


def note_past(value: Buffer, expression: Node) -> None:
    """Remember what the value of an expression came from."""
    found: WeakSet[Node] = WeakSet()
    for leaf in _leaves(expression, ()):
        found.add(leaf)
        found.update(_sources.get(leaf, ()))
    _sources[value] = found


def cut_off(root: Node, targets: Collection[Node]) -> Shape | None:
    """The shape of a computed value through which a derivative of the root with respect to the
    targets is lost; None where there is none."""
    for leaf in _leaves(root, targets):
        if leaf not in targets and any(x in targets for x in _sources.get(leaf, ())):
            return leaf.shape
    return None


def _leaves(root: Node, ends: Collection[Node]) -> list[Node]:
    """The leaves that gradients flow to from a node, up to the `ends`."""
    stack, seen = [root], {root}
    found: list[Node] = []
    while stack:
        node = stack.pop()
        if isinstance(node, Buffer):
            found.append(node)
        if node in ends or (isinstance(node, Detach) and node.token is None):
            continue
        for x in node.inputs:
            if x.dtype.is_float and x not in seen:
                seen.add(x)
                stack.append(x)
    return found

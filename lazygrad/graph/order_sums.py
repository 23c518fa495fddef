"""Compute each sum once, in the order of axes in which it is read.

    Reduce(x, "sum", (2,)), Reduce(Permute(x), "sum", (2,))  ->  the second permutes the first

    Permute(Fold(x))  ->  Fold(Permute(x))

Both passes come after every pass that applies the rules of simplify, which would undo them: the
rules give each reduction the order of its reader (`permute_of_reduce`), and move permutations above
folds.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..rewrite import Rules, rewrite
from . import build
from .ir import Fold, Node, Permute, Reduce, topological, use_counts


def share_reductions(outputs: Sequence[Node]) -> list[Node]:
    """Compute reductions that differ only in the order of their axes once: the first of them stays,
    and the others permute it.

    Requires: a simplified graph. Ensures: equal values.
    """
    first: dict[tuple[Node, str, tuple[int, ...]], tuple[Node, list[int]]] = {}
    replaced: dict[Node, Node] = {}
    for node in topological(outputs):
        if not isinstance(node, Reduce):
            continue
        x, order = node.x, tuple(range(len(node.x.shape)))
        if isinstance(x, Permute):
            order, x = x.order, x.x
        axes = tuple(sorted(order[axis] for axis in node.axes))
        kept = [source for axis, source in enumerate(order) if axis not in node.axes]
        other, places = first.setdefault((x, node.op, axes), (node, kept))
        if other is not node:
            replaced[node] = build.permute(other, [places.index(axis) for axis in kept])
    return rewrite(outputs, Rules[Node](), replaced) if replaced else list(outputs)


def order_folds(outputs: Sequence[Node]) -> list[Node]:
    """Move a permutation below the fold that it reads, if it is the fold's only reader.

    Requires: a simplified graph. Ensures: equal values.
    """
    order = topological(outputs)
    uses = use_counts(outputs, order)
    replaced: dict[Node, Node] = {}
    for node in order:
        if isinstance(node, Permute) and isinstance(node.x, Fold) and uses[node.x] == 1:
            fold = node.x
            x = build.permute(fold.x, (*node.order, len(node.order)))
            axis = node.order.index(fold.axis)
            replaced[node] = Fold(x, axis, fold.size_, fold.stride, fold.dilation)
    return rewrite(outputs, Rules[Node](), replaced) if replaced else list(outputs)

"""Split a reduction with few results into two, so that all cores take part in it.

    sum(x), 1 << 20 elements  ->  sum(sum(reshape(x, (64, 1 << 14)), axis 1))

The parts depend on the shape alone, so the result does not depend on the number of threads.

An output over the same elements is computed in the same rows, so that both may be one kernel:

    x + 1, sum(x)  ->  reshape(reshape(x, (64, 1 << 14)) + 1, (1 << 20,)), and the sum as above
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from ..graph.build import move_axis, reshape
from ..graph.ir import (
    Const,
    Elementwise,
    Gather,
    Node,
    Pad,
    Reduce,
    Shape,
    identity,
    topological,
)
from ..rewrite import Rules, rewrite

PARTS = 64  # results below which a reduction is split, and into about so many
MIN_ELEMENTS = 1 << 16  # elements below which one thread does it sooner


def split_reductions(outputs: Sequence[Node]) -> list[Node]:
    """Give every large reduction with few results a first stage of PARTS partial results.

    Requires: a simplified graph. Ensures: equal values, sums in another order.
    """
    split = rewrite(outputs, _RULES)
    return split if split == list(outputs) else _with_rows(split)


_RULES = Rules[Node]()


@_RULES.rule(Reduce)
def reduce_in_parts(node: Reduce) -> Node | None:
    """reduce(x)  ->  reduce(reduce(x in parts)), for many elements and few results"""
    x = node.x
    if node.size == 0 or node.size * 4 > PARTS or x.size < max(MIN_ELEMENTS, 64 * node.size):
        return None
    wanted = PARTS // node.size
    if node.size == 1:
        x = reshape(x, (x.size,))
        axis = 0
    else:
        axis = max(node.axes, key=lambda a: x.shape[a])
    parts = min(wanted, x.shape[axis] // 16)
    if parts < 2:
        return None
    exact = [n for n in range(parts, parts // 2, -1) if x.shape[axis] % n == 0]
    parts = exact[0] if exact else parts
    length = math.ceil(x.shape[axis] / parts)
    missing = parts * length - x.shape[axis]
    if missing:
        padding = tuple((0, missing if a == axis else 0) for a in range(len(x.shape)))
        x = Pad(x, padding, identity(node.op, node.dtype))
    shape = [*x.shape[:axis], parts, length, *x.shape[axis + 1 :]]
    x = move_axis(reshape(x, shape), axis, 0)
    axes = (0,) if node.size == 1 else node.axes
    first = Reduce(x, node.op, tuple(a + 1 for a in axes))
    return reshape(Reduce(first, node.op, (0,)), node.shape)


def _with_rows(outputs: Sequence[Node]) -> list[Node]:
    """The outputs; one with as many elements as a split reduction reads is computed in its rows."""
    order = topological(outputs)
    users = Counter(x for node in order for x in node.inputs)
    rows = {x.size: x.shape for node in order for x in _read_in_rows(node)}
    return [
        reshape(_in_rows(node, rows[node.size], users), node.shape)
        if node.size in rows and not users[node] and isinstance(node, (Elementwise, Gather))
        else node
        for node in outputs
    ]


def _read_in_rows(node: Node) -> Sequence[Node]:
    """The input of a node that is the first stage of a split reduction; () for other nodes."""
    if isinstance(node, Reduce) and node.axes == (1,) and node.size <= PARTS < node.x.size // PARTS:
        return (node.x,)
    return ()


def _in_rows(node: Node, shape: Shape, users: Mapping[Node, int]) -> Node:
    """An elementwise computation in another shape; nodes with other readers keep their shape."""

    def inside(x: Node) -> Node:
        return reshape(x, shape) if users[x] > 1 else _in_rows(x, shape, users)

    match node:
        case Const(value, dtype):
            return Const(value, dtype, shape)
        case Gather(x, indices):
            return Gather(x, tuple(map(inside, indices)))
        case Elementwise():
            return node.with_inputs([inside(x) for x in node.inputs])
    return reshape(node, shape)

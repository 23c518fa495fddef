"""Split a reduction with few results into two stages, so that all cores work on it.

    sum(x), 1 << 20 elements  ->  sum(sum(reshape(x, (64, 1 << 14)), axis 1))

The number of parts depends on the shape alone, so results do not depend on the number of threads.
An output over the same elements is reshaped to the same rows, so that one kernel can compute both:

    x + 1, sum(x)  ->  reshape(reshape(x, (64, 1 << 14)) + 1, (1 << 20,)), and the sum as above

On a GPU, a work-group computes a few results, or a block of results. With few results, there are
fewer work-groups than cores, and cores are idle however long the sums are. So sums are split into
more parts, and a second kernel adds the partial sums, as no barrier reaches across work-groups. The
gradient of a convolution's weight has the longest sums:

    sum over n, y, x of g[n, o, y, x] * a[n, c, y + i, x + j]
    ->  sum over p of (sum over n in part p, y, x of ...)
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial

from ..graph.build import move_axis, reshape
from ..graph.ir import Const, Elementwise, Gather, Node, Pad, Reduce, Shape, identity, topological
from ..graph.product import reuse
from ..rewrite import Rules, rewrite
from ..targets import Machine

PARTS = 64  # partial results; a reduction with at most PARTS / 4 results is split
MIN_ELEMENTS = 1 << 16  # elements below which one thread is faster
REUSE = 8  # a sum of products that reads each element so often is computed in blocks of results


def split_reductions(outputs: Sequence[Node]) -> list[Node]:
    """Split every large reduction with few results into about PARTS partial results.

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
    axes = (0,) if node.size == 1 else node.axes
    return reshape(_in_two_stages(x, node.op, axes, axis, parts), node.shape)


def _in_two_stages(x: Node, op: str, axes: Sequence[int], axis: int, parts: int) -> Node:
    """reduce(x)  ->  reduce(reduce(x with `axis` in parts)), where the parts have equal lengths"""
    shape = [*x.shape[:axis], parts, x.shape[axis] // parts, *x.shape[axis + 1 :]]
    x = move_axis(reshape(x, shape), axis, 0)
    return Reduce(Reduce(x, op, tuple(a + 1 for a in axes)), op, (0,))


def _with_rows(outputs: Sequence[Node]) -> list[Node]:
    """The outputs; one with as many elements as a split reduction reads is reshaped to its rows."""
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


# --------------------------------------------------------------------------- for a GPU


def split_for_groups(outputs: Sequence[Node], machine: Machine) -> list[Node]:
    """Split every long reduction with too few results for a GPU's cores.

    Requires: a simplified graph. Ensures: equal values, sums in another order. The number of parts
    depends on the shape and the number of cores alone.
    """
    rules = Rules[Node]()
    rules.rule(Reduce)(partial(reduce_in_groups, machine=machine))
    return rewrite(outputs, rules)


def reduce_in_groups(node: Reduce, machine: Machine) -> Node | None:
    """reduce(x)  ->  reduce(reduce(x in parts)), for long sums with few results"""
    x = node.x
    if node.size == 0 or node.dtype.itemsize < 4:  # partial sums in 16 bits would be too rough
        return None
    is_block = reuse(node) >= REUSE
    worth = machine.thresholds
    results, least = (
        (worth.block_results, worth.block_terms)
        if is_block
        else (worth.groups_per_core, worth.row_terms)
    )
    terms = x.size // node.size
    parts = min(machine.cores * results // node.size, terms // least)
    count, axis = max(((_divisor(x.shape[a], parts), a) for a in node.axes), default=(1, 0))
    if count < 2:
        return None
    return _in_two_stages(x, node.op, node.axes, axis, count)


def _divisor(size: int, limit: int) -> int:
    """The largest divisor of a size that is at most `limit`, or 1."""
    return max((d for d in range(2, min(size, limit) + 1) if size % d == 0), default=1)

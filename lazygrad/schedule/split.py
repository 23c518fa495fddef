"""Split a reduction with few results into two stages, so that all cores work on it.

    sum(x), 1 << 20 elements  ->  sum(sum(reshape(x, (64, 1 << 14)), axis 1))

The number of parts depends on the shape alone, so results do not depend on the number of threads.

On a GPU, a work-group computes a few results, or a block of results. With few results, there are
fewer work-groups than cores, and cores are idle however long the sums are. So sums are split into
more parts, and a second kernel adds the partial sums, as no barrier reaches across work-groups. The
gradient of a convolution's weight has the longest sums:

    sum over n, y, x of g[n, o, y, x] * a[n, c, y + i, x + j]
    ->  sum over p of (sum over n in part p, y, x of ...)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from ..graph.build import move_axis, reshape
from ..graph.ir import Node, Pad, Reduce, identity
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
    return rewrite(outputs, _RULES)


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

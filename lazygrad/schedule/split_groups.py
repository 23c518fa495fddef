"""Split sums with too few results for a GPU's cores into partial sums, and sum these.

    sum over n, y, x of g[n, o, y, x] * a[n, c, y + i, x + j]      a convolution's weight gradient
    ->
    sum over p of (sum over n in part p, y, x of ...)

A work-group computes a few results, or a block of them. Fewer work-groups than cores leave cores
idle, however long the sums are. No barrier reaches across work-groups, so a second kernel adds up
the partial sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ..graph.build import move_axis, reshape
from ..graph.ir import Node, Reduce
from ..graph.product import reuse
from ..rewrite import Rules, rewrite
from ..targets import Machine

REUSE = 8  # a contraction has at least so many terms for each element of both factors


def split_for_groups(outputs: Sequence[Node], machine: Machine) -> list[Node]:
    """Give every long sum with few results a first stage of partial sums, for a GPU.

    Requires: a simplified graph. Ensures: equal values, sums in another order. The parts depend on
    the shape and the number of cores alone.
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
    shape = list(x.shape)
    shape[axis : axis + 1] = [count, x.shape[axis] // count]
    x = move_axis(reshape(x, tuple(shape)), axis, 0)
    first = Reduce(x, node.op, tuple(a + 1 for a in node.axes))
    return reshape(Reduce(first, node.op, (0,)), node.shape)


def _divisor(size: int, limit: int) -> int:
    """The largest divisor of a size that is at most the limit; 1 at least."""
    return max((d for d in range(2, min(size, limit) + 1) if size % d == 0), default=1)

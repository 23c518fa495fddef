"""Write cumulative sums of few rows as other nodes: one thread a row would leave cores idle.

    cumsum(x)  ->  cumulative sums in blocks of 8, plus the cumulative sum of the totals before

A kernel of kind "scan" reads and writes memory once, but computes the elements of a row one after
another, in one thread.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..graph import simplify
from ..graph.build import move_axis
from ..graph.ir import Node, Scan
from ..graph.scan import scan_in_blocks
from ..rewrite import Rules, rewrite


def split_scans(outputs: Sequence[Node], rows: int) -> list[Node]:
    """Replace cumulative sums of fewer than `rows` rows.

    Requires: a simplified graph. Ensures: equal values, but for rounding.
    """
    rules = Rules[Node]()

    @rules.rule(Scan)
    def scan_of_few_rows(node: Scan) -> Node | None:
        """cumsum(x)  ->  a scan of blocks and of their totals"""
        if node.op != "sum" or node.size >= rows * node.shape[node.axis]:
            return None  # products stay in order: another order may compute 0 * inf = nan
        last = len(node.shape) - 1
        made = scan_in_blocks(move_axis(node.x, node.axis, last), "sum")
        return move_axis(made, last, node.axis)

    changed = rewrite(outputs, rules)
    return changed if changed == list(outputs) else rewrite(changed, simplify.RULES)

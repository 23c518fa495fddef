"""Sum scattered values in float64 where one element may receive very many.

    scatter(x, values)  ->  cast(scatter(cast(x, float64), cast(values, float64)), float32)

Only a running kernel knows the values that an element receives. So these sums cannot be split into
blocks as others are (loops/sums.py), and a sum of n float32, one after another, may be wrong by
n / 2 units in the last place.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..dtypes import float32, float64
from ..expr import Var
from ..graph.ir import Cast, Node, Scatter
from ..rewrite import Rules, rewrite
from .access import walked_axes

MANY = 512  # more values are summed in float64
MANY_BESIDE_PLACES = 1 << 14  # the same where elements outnumber values: float64 costs most there


def widen_scatters(outputs: Sequence[Node]) -> list[Node]:
    """Compute each scatter that sums very many float32 values in float64.

    Requires: a simplified graph, a device that has float64. Ensures: equal values, rounded later.
    """
    return rewrite(outputs, _RULES)


_RULES = Rules[Node]()


@_RULES.rule(Scatter)
def scatter_in_float64(node: Scatter) -> Node | None:
    """scatter(x, values)  ->  cast(scatter(cast(x, float64), cast(values, float64)), float32)"""
    if node.op != "sum" or node.dtype != float32 or not node.values.size:
        return None
    loops = [Var(f"k{n}", extent) for n, extent in enumerate(node.values.shape)]
    walked = math.prod(v.extent for v in walked_axes(node, loops).values())
    values, places = node.values.size // walked, node.size // walked
    if values <= (MANY if values >= places else MANY_BESIDE_PLACES):
        return None
    x, terms = Cast(node.x, float64), Cast(node.values, float64)
    return Cast(Scatter(x, node.indices, terms, "sum"), float32)

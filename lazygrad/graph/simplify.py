"""Simplify a graph by rules, as one simplifies a formula on paper.

The rules are in six files by theme: normalize, and simplify_ elementwise, movement, reduce, window,
fold.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..rewrite import Rules, rewrite
from . import (
    normalize,
    simplify_elementwise,
    simplify_fold,
    simplify_movement,
    simplify_reduce,
    simplify_window,
)
from .ir import Node

RULES = Rules[Node](
    normalize.RULES,
    simplify_movement.RULES,
    simplify_elementwise.RULES,
    simplify_reduce.RULES,
    simplify_window.RULES,
    simplify_fold.RULES,
)


def simplify(outputs: Sequence[Node]) -> list[Node]:
    """Rewrite the outputs with the rules until none applies.

    Requires: a verified graph whose gradients have been taken. Ensures: as normalize; values equal
    bit for bit, except for Pow, the order of summation, and the sign of zeros that are summed. A
    node that became a constant has no device. Linear in the graph.

        Reshape(Reshape(x * 1, S), T) + 2 * 3  ->  Reshape(x, T) + 6
    """
    return rewrite(outputs, RULES)

"""What computing a node costs."""

from __future__ import annotations

from .elementwise import Arithmetic
from .node import Node
from .random import RandomBits

RANDOM = 110.0  # the arithmetic of the cipher for one element


def arithmetic(node: Node) -> float:
    """The cost of one element, given the inputs; that of an addition is 1."""
    if isinstance(node, RandomBits):
        return RANDOM
    return node.operation.cost if isinstance(node, Arithmetic) else 1.0

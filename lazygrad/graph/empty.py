"""Give everything that has or reads no elements its value, so that no kernel ever sees it.

sum of (0, 3) over axis 0  ->  zeros (3,)
pad of (0,) by (1, 1)      ->  zeros (2,)
"""

from __future__ import annotations

from collections.abc import Sequence

from ..rewrite import Rules, rewrite
from .ir import Buffer, Const, Fold, Gather, Node, Pad, Reduce, Scatter, identity, topological

RULES = Rules[Node]()


def fold_empty(outputs: Sequence[Node]) -> list[Node]:
    """Replace nodes that have no elements, and those that read such nodes, by constants.

    Ensures: only Const and Buffer nodes have size 0, and nothing but an output is one.
    """
    if all(node.size for node in topological(outputs)):
        return list(outputs)
    return rewrite(outputs, RULES)


@RULES.rule(Node)
def value_of_nothing(node: Node) -> Node | None:
    """any node of size 0  ->  a constant of its shape"""
    if node.size == 0 and not isinstance(node, (Const, Buffer)):
        return Const(0, node.dtype, node.shape)
    return None


@RULES.rule(Reduce)
def reduce_nothing(node: Reduce) -> Node | None:
    """the reduction of no elements  ->  its identity"""
    if node.x.size == 0:
        return Const(identity(node.op, node.dtype), node.dtype, node.shape)
    return None


@RULES.rule(Fold, Gather)
def read_nothing(node: Fold | Gather) -> Node | None:
    """no windows to fold, or no elements to gather from  ->  0"""
    return Const(0, node.dtype, node.shape) if node.x.size == 0 else None


@RULES.rule(Pad)
def pad_nothing(node: Pad) -> Node | None:
    """no elements inside the padding  ->  its value"""
    return Const(node.value, node.dtype, node.shape) if node.x.size == 0 else None


@RULES.rule(Scatter)
def scatter_nothing(node: Scatter) -> Node | None:
    """scatter of no values into x  ->  x"""
    return node.x if node.values.size == 0 else None

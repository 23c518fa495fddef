"""Replace the nodes that no kernel computes: nodes that only gradients need, powers that mean
roots, and nodes without elements.

detach(x)                  ->  x
x ** 0.5                   ->  sqrt(x)
sum of (0, 3) over axis 0  ->  zeros (3,)
pad of (0,) by (1, 1)      ->  zeros (2,)
"""

from __future__ import annotations

from collections.abc import Sequence

from ..rewrite import Rules, rewrite
from .build import full_like, in_float32
from .ir import (
    Buffer,
    Const,
    Custom,
    Detach,
    Div,
    Fold,
    Gather,
    Node,
    Overwritten,
    Pad,
    Pow,
    Reduce,
    Scatter,
    Sqrt,
    identity,
    topological,
)

RULES = Rules[Node]()
REPLACED = (Custom, Detach, Overwritten, Pow)


def normalize(outputs: Sequence[Node]) -> list[Node]:
    """Replace Custom, Detach and Overwritten by their values; powers of 1/2 and -1/2 by roots;
    nodes without elements, and those that read such nodes, by constants.

    Requires: gradients have been taken. Ensures: no Custom, Detach or Overwritten; each Pow is C's
    pow; a node of size 0 is a Const or a Buffer, and an output.
    """
    order = topological(outputs)
    if all(node.size and not isinstance(node, REPLACED) for node in order):
        return list(outputs)
    return rewrite(outputs, RULES)


@RULES.rule(Detach)
def drop_detach(node: Detach) -> Node | None:
    """detach(x)  ->  x"""
    return node.x


@RULES.rule(Overwritten)
def drop_overwritten(node: Overwritten) -> Node | None:
    """overwritten(x, value)  ->  value"""
    return node.value


@RULES.rule(Custom)
def drop_custom(node: Custom) -> Node | None:
    """custom(value, primals, rule)  ->  value"""
    return node.value


@RULES.rule(Pow)
def power_of_a_half(node: Pow) -> Node | None:
    """x**0.5  ->  sqrt(x);   x**-0.5  ->  1/sqrt(x)"""
    match node:
        case Pow(x, Const(0.5)):
            return Sqrt(x)
        case Pow(x, Const(-0.5)):
            return in_float32(lambda x: Div(full_like(x, 1), Sqrt(x)), x)
    return None


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

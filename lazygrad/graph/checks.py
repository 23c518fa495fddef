"""Take the checks of indices out of a graph: what is left computes, and each check is an output.

    gather(x, inrange(i, 0, n))  ->  gather(x, i),  and a flag: max(i as unsigned) if >= n, else 0

Kernels so have nothing to do with checks; and a check, of an index alone, is a small kernel.
"""

from __future__ import annotations

from collections.abc import Sequence

from .. import config
from ..dtypes import DType, uint32, uint64
from ..origin import inherit
from ..rewrite import Rules, rewrite
from .ir import (
    Add,
    Cast,
    Const,
    Custom,
    Equal,
    InRange,
    LessEqual,
    Node,
    Overwritten,
    Reduce,
    Source,
    Where,
    topological,
)

RULES: Rules[Node] = Rules()


@RULES.rule(InRange)
def without_check(node: InRange) -> Node:
    """inrange(x)  ->  x"""
    return node.x


def checks_of(outputs: Sequence[Node], leaves: Sequence[Node] = ()) -> list[InRange]:
    """The checks of a graph, in an order that all graphs of one structure share. `leaves` are not
    looked into."""
    known = set(leaves)

    def inputs(node: Node) -> Sequence[Node]:
        if node in known:
            return ()
        return (node.value,) if isinstance(node, (Overwritten, Custom)) else node.inputs

    return [node for node in topological(outputs, inputs) if isinstance(node, InRange)]


def sources_of(outputs: Sequence[Node], leaves: Sequence[Node] = ()) -> list[Source]:
    """Who asked for each of the checks."""
    return [check.source for check in checks_of(outputs, leaves)]


def flag_dtype(check: InRange) -> DType:
    """The unsigned integers that a check computes with; its flag has their dtype."""
    fits = check.x.dtype.itemsize <= 4 and check.high - check.low <= uint32.max
    return uint32 if fits else uint64


def separate_checks(
    outputs: Sequence[Node], checks: Sequence[InRange], before: Sequence[Node]
) -> tuple[list[Node], list[Node]]:
    """The outputs without checks, and the flag of each check: a scalar, not 0 if the check fails.

    `before` are the flags of the run before; a flag that is set stays set.
    """
    if not checks:
        return list(outputs), []
    bare = rewrite([*outputs, *(check.x for check in checks)], RULES)
    flags = [_flag(*each) for each in zip(checks, bare[len(outputs) :], before, strict=True)]
    return bare[: len(outputs)], flags


def _flag(check: InRange, x: Node, before: Node) -> Node:
    """The largest x - low where that reaches the size of the range. As unsigned numbers, what is
    below `low` is largest."""

    def constant(value: int, dtype: DType, like: Node) -> Node:
        return Const(value, dtype, like.shape)

    if check.ignored is not None:
        x = Where(Equal(x, constant(check.ignored, x.dtype, x)), constant(0, x.dtype, x), x)
    dtype = flag_dtype(check)
    offset: Node = Cast(x, dtype)
    if check.low:
        offset = Add(offset, constant(-check.low, dtype, offset))
    worst = Reduce(offset, "max", tuple(range(len(x.shape)))) if x.shape else offset
    is_outside = LessEqual(constant(check.high - check.low, dtype, worst), worst)
    flag = Where(is_outside, worst, before)
    if config.ORIGINS:
        inherit(flag, check)
    return flag

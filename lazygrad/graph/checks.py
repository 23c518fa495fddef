"""Separate the checks of indices from a graph: each check becomes an output, a flag.

    gather(x, inrange(i, 0, n))  ->  gather(x, i),  and a flag: max(i as unsigned) if >= n, else 0

The kernel of the gather then has no test. The kernel of a flag reads only the index: it is small.
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
    """The checks of a graph, in an order that graphs of equal structure share. The walk stops at
    `leaves`."""
    known = set(leaves)

    def inputs(node: Node) -> Sequence[Node]:
        if node in known:
            return ()
        return (node.value,) if isinstance(node, (Overwritten, Custom)) else node.inputs

    return [node for node in topological(outputs, inputs) if isinstance(node, InRange)]


def sources_of(outputs: Sequence[Node], leaves: Sequence[Node] = ()) -> list[Source]:
    """The operation and line of the program that asked for each check."""
    return [check.source for check in checks_of(outputs, leaves)]


def flag_dtype(check: InRange) -> DType:
    """The unsigned dtype that a check computes in, and that its flag has."""
    fits = check.x.dtype.itemsize <= 4 and check.high - check.low <= uint32.max
    return uint32 if fits else uint64


def separate_checks(
    outputs: Sequence[Node], checks: Sequence[InRange], before: Sequence[Node]
) -> tuple[list[Node], list[Node]]:
    """The outputs without checks, and the flag of each check: a scalar, not 0 if the check fails.

    `before` are the flags of the previous run: a flag that was set stays set.
    """
    if not checks:
        return list(outputs), []
    bare = rewrite([*outputs, *(check.x for check in checks)], RULES)
    flags = [_flag(*each) for each in zip(checks, bare[len(outputs) :], before, strict=True)]
    return bare[: len(outputs)], flags


def _flag(check: InRange, x: Node, before: Node) -> Node:
    """The largest x - low if it is outside the range, else the flag of the previous run. For an
    index below `low`, x - low is very large as an unsigned number, so it is outside, too."""

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

"""Separate the checks of indices from a graph: each check becomes an output, a flag.

    gather(x, inrange(i, 0, n))  ->  gather(x, i),  and a flag: max(i as unsigned) if >= n, else 0

The kernel of the gather then has no test. The kernel of a flag reads only the index: it is small.
"""

from __future__ import annotations

from collections.abc import Sequence

from .. import config
from ..dtypes import DType, int64, uint32, uint64
from ..origin import inherit
from ..rewrite import Rules, rewrite
from .build import broadcast_to, full_like, walk
from .ir import (
    Add,
    Cast,
    Const,
    Custom,
    Equal,
    InRange,
    Less,
    LessEqual,
    Mul,
    Node,
    Overwritten,
    Recurrence,
    Reduce,
    Source,
    Step,
    Where,
    topological,
)

RULES: Rules[Node] = Rules()


@RULES.rule(InRange)
def without_check(node: InRange) -> Node:
    """inrange(x)  ->  x"""
    return node.x


@RULES.rule(Recurrence)
def without_checks_of_steps(node: Recurrence) -> Node | None:
    """recurrence(step)  ->  recurrence(step without checks)"""
    if not _in_step(node):
        return None
    step = Step.of(rewrite(node.step.roots, RULES))
    return node.like(node.starts, node.series, node.constants, step)


def _in_step(node: Recurrence) -> list[InRange]:
    """The checks in a step of a loop."""
    return [x for x in topological(node.step.roots) if isinstance(x, InRange)]


def _defined(x: Recurrence) -> Node:
    """x, with 0 in the rows beyond its count."""
    if not x.count:
        return x
    slope, start = x.line
    steps = Add(Mul(x.count[0], Const(slope, int64)), Const(start, int64))
    inside = Less(walk(x.shape, 0), broadcast_to(steps, x.shape))
    return Where(inside, x, full_like(x, 0))


def _of_all_steps(node: Recurrence) -> list[InRange]:
    """The checks in a step of a loop, each as one of the indices of all steps."""
    return [
        InRange(_defined(node.giving(check.x)), check.low, check.high, check.ignored, check.source)
        for check in _in_step(node)
    ]


def checks_of(outputs: Sequence[Node], leaves: Sequence[Node] = ()) -> list[InRange]:
    """The checks of a graph, in an order that graphs of equal structure share. The walk stops at
    `leaves`."""
    known = set(leaves)

    def inputs(node: Node) -> Sequence[Node]:
        if node in known:
            return ()
        return (node.value,) if isinstance(node, (Overwritten, Custom)) else node.inputs

    found: dict[InRange, None] = {}
    for node in topological(outputs, inputs):
        if isinstance(node, InRange):
            found[node] = None
        elif isinstance(node, Recurrence):
            found.update(dict.fromkeys(_of_all_steps(node)))
    return list(found)


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

"""Vectors: lanes combined into one."""

from __future__ import annotations

from ...dtypes import bool_
from ...expr import COMBINE, Expr, Lanes, Op, ReduceLanes
from ...targets import Native
from .rules import Rules

REDUCTIONS = Rules()


@REDUCTIONS.rule(ReduceLanes)
def combine_as_tree(e: ReduceLanes, native: Native) -> Expr | None:
    """lanes_sum(x)  ->  lanes_sum(lower half of x + upper half of x), until one lane is left; an
    odd lane out is added last. Of bools only "max" (any) and "min" (all) are left."""
    if e.dtype == bool_ and e.x.lanes > 1 and not native.lanes:
        op = "max" if e.op in ("sum", "max") else "min"
        return None if op == e.op else ReduceLanes(op, e.x)
    x, left = e.x, []
    while x.lanes > 1:
        half = x.lanes // 2
        if x.lanes % 2:
            left.append(Lanes(x, x.lanes - 1, 1))
        x = Op(COMBINE[e.op], (Lanes(x, 0, half), Lanes(x, half, half)))
    for lane in left:
        x = Op(COMBINE[e.op], (x, lane))
    return x

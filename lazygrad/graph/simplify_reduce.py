"""Rules for reductions: over fewer elements, or over none."""

from __future__ import annotations

import math

import numpy as np

from ..dtypes import DType, bool_, float32, is_low_precision
from ..rewrite import Rules
from . import build
from .build import full_like
from .ir import Cast, Const, Expand, Fold, Mul, Node, Permute, Reduce, Reshape, Scatter
from .simplify_elementwise import PRECISION, constant

RULES = Rules[Node]()
rule = RULES.rule


@rule(Reduce)
def reduce_ones(node: Reduce) -> Node | None:
    """reduce(x)  ->  x in another shape, where all reduced axes have size 1"""
    if all(node.x.shape[axis] == 1 for axis in node.axes):
        return build.reshape(node.x, node.shape)
    return None


@rule(Reduce, Fold, Scatter)
def accumulate_in_float32(node: Reduce | Fold | Scatter) -> Node | None:
    """sum(x)  ->  cast(sum(cast(x, float32))), for 16-bit floats: a sum or product is accumulated
    in float32 and rounded once, even where later passes split it
    """
    op = "sum" if isinstance(node, Fold) else node.op
    if op not in ("sum", "prod") or not is_low_precision(node.dtype):
        return None
    inputs = [Cast(x, float32) if x.dtype == node.dtype else x for x in node.inputs]
    if isinstance(node.x, Mul) and not isinstance(node, Scatter):
        # a product of two is exact in float32, and a sum of products should look like one
        inputs[0] = Mul(Cast(node.x.x, float32), Cast(node.x.y, float32))
    return Cast(node.with_inputs(inputs), node.dtype)


@rule(Reduce, of=Const)
def reduce_a_constant(node: Reduce, x: Const) -> Node | None:
    """sum(c)  ->  n * c;   prod(c)  ->  c**n;   max(c), min(c)  ->  c"""
    value, dtype, shape = x.value, node.dtype, node.shape
    n = math.prod(x.shape[axis] for axis in node.axes)
    if dtype == bool_ or node.op in ("max", "min"):
        return Const(value, dtype, shape)
    if dtype.is_int:
        wrapped = value * n if node.op == "sum" else pow(int(value), n, 1 << (8 * dtype.itemsize))
        return Const(wrapped, dtype, shape)
    with np.errstate(all="ignore"):
        rounded = np.array(value, dtype.numpy).astype(np.float64)
        total = rounded * n if node.op == "sum" else rounded**n
        return constant(total.astype(dtype.numpy), dtype, shape)


@rule(Reduce, of=Expand)
def reduce_below_expand(node: Reduce, inner: Expand) -> Node | None:
    """sum(expand(x))  ->  expand(n * sum(x)), x repeated n times along the reduced axes;
    max(expand(x))  ->  expand(max(x))
    """
    x, shape = inner.x, inner.shape
    repeats = math.prod(
        n for axis, n in enumerate(shape) if axis in node.axes and x.shape[axis] == 1
    )
    others = math.prod(x.shape[axis] for axis in node.axes)
    result: Node = Reduce(x, node.op, node.axes)
    if node.op == "prod" and repeats != 1 and node.dtype != bool_:
        return None
    if node.op == "sum" and repeats != 1 and node.dtype != bool_:
        if not _may_multiply(node.dtype, repeats, others):
            return None
        result = Mul(result, full_like(result, repeats))
    return build.expand(result, node.shape)


def _may_multiply(dtype: DType, repeats: int, others: int) -> bool:
    """Whether the dtype can represent `repeats`, and multiplying rounds no more than adding does.

    16-bit floats are added in float32 and rounded once; sum(x) * n would be rounded twice.
    """
    if not dtype.is_float:
        return True
    return repeats <= 1 << PRECISION[dtype] and (dtype.itemsize >= 4 or others == 1)


@rule(Reduce, of=Reshape)
def reduce_below_reshape(node: Reduce, inner: Reshape) -> Node | None:
    """reduce(reshape(x))  ->  reduce(x), where the reshape changes nothing but reduced axes"""
    x = inner.x
    groups = build.reshape_groups(x.shape, inner.shape)
    if groups is None:
        return None
    axes = [axis for axis, n in enumerate(x.shape) if n == 1]
    for old, new in groups:
        if all(axis in node.axes for axis in new):
            axes += old
    kept = tuple(n for axis, n in enumerate(x.shape) if axis not in axes)
    return Reduce(x, node.op, tuple(sorted(axes))) if kept == node.shape else None


@rule(Reduce, of=Permute)
def reduce_below_permute(node: Reduce, inner: Permute) -> Node | None:
    """reduce(permute(x))  ->  reduce(x), where the axes that are kept stay in order"""
    kept = [source for axis, source in enumerate(inner.order) if axis not in node.axes]
    if kept != sorted(kept):
        return None
    return Reduce(inner.x, node.op, tuple(sorted(inner.order[axis] for axis in node.axes)))

"""The meaning of the expressions of loops: what each computes from the values of its operands.

A value is a NumPy scalar, or an array of as many elements as the expression has lanes.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from ...dtypes import DType, bool_, convert, float32, is_low_precision
from ...expr import (
    COMBINE,
    EVERY_OPERATION,
    OPERATIONS,
    Bitcast,
    Broadcast,
    Cast,
    Choose,
    Expr,
    Lanes,
    Literal,
    Local,
    Op,
    Pack,
    Ramp,
    ReduceLanes,
    Var,
    Zip,
)
from ...graph.evaluate import operate
from ...graph.ir import Operation

Value = Any


def function(e: Expr) -> Callable[..., Value]:
    """What computes an expression from the values of its operands; a Load needs memory, too."""
    match e:
        case Literal():
            value = e.dtype.numpy.type(e.value)
            return lambda: value
        case Op():
            return operation(EVERY_OPERATION[e.op], e.operands[-1].dtype)
        case Cast():
            return lambda x: convert(np.asarray(x), e.dtype)[()]
        case Bitcast():
            return lambda x: np.asarray(x).view(e.dtype.numpy)[()]
        case Ramp():
            offsets = (e.stride * np.arange(e.lanes)).astype(e.dtype.numpy)
            return lambda base: base + offsets
        case Broadcast():
            return lambda x: np.full(e.lanes, x)
        case ReduceLanes():
            combine = operation(OPERATIONS[COMBINE[e.op]], e.dtype)
            return lambda x: _reduce_lanes(combine, x)
        case Zip():
            picks = np.array(e.picks)
            return lambda x, y: np.concatenate((x, y))[picks]
        case Lanes(start=start, count=count):
            return lambda x: x[start : start + count] if count > 1 else x[start]
        case Pack():
            return lambda *parts: np.array(parts, e.dtype.numpy)
        case Choose():
            return lambda condition, x, y: x if condition else y
        case Var() | Local():
            raise NameError(f"{e.name} has no value here")
    raise TypeError(type(e).__name__)


# Python's operators do what NumPy's functions of the same names do, sooner for scalars.
_OPERATORS: dict[str, Callable[..., Value]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv,
    "floordiv": operator.floordiv, "mod": operator.mod, "neg": operator.neg, "lt": operator.lt,
    "le": operator.le, "eq": operator.eq, "ne": operator.ne, "and": operator.and_,
    "or": operator.or_, "xor": operator.xor,
}  # fmt: skip


def operation(op: Operation, dtype: DType) -> Callable[..., Value]:
    """`operate` for operands of a dtype (but for the condition of `where`), or a faster function
    with the same values."""

    def in_arrays(*operands: Value) -> Value:
        return operate(op, *map(np.asarray, operands))[()]

    def where(condition: Value, x: Value, y: Value) -> Value:
        if condition.ndim or x.ndim or y.ndim:
            return in_arrays(condition, x, y)
        return x if condition else y

    def fma(x: Value, y: Value, z: Value) -> Value:
        if x.ndim or y.ndim or z.ndim:
            return in_arrays(x, y, z)
        return np.float32(float(x) * float(y) + float(z))

    if is_low_precision(dtype) or (dtype is bool_ and op.takes != "bits"):
        return in_arrays
    if op.name == "where":
        return where
    if op.name == "fma" and dtype is float32:
        return fma
    direct = op.numpy if isinstance(op.numpy, np.ufunc) else in_arrays
    return _OPERATORS.get(op.name, direct)


def _reduce_lanes(combine: Callable[..., Value], x: Value) -> Value:
    """Combine the lower half with the upper half until one lane is left; then the odd lanes out."""
    left = []
    x = np.atleast_1d(x)  # one lane is a scalar
    while len(x) > 1:
        half = len(x) // 2
        left += list(x[2 * half :])
        x = combine(x[:half], x[half : 2 * half])
    result = x[0]
    for lane in left:
        result = combine(result, lane)
    return result

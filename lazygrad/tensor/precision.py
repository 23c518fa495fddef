"""In which precision operations compute: 16-bit floats in float32, rounded once at their end; and
what `autocast` casts.

float16 and bfloat16 are types to keep values in. A node of the graph computes in float32 and rounds
its result (`graph/evaluate.py`); an operation of several nodes would round after each, and its
intermediate values may not even fit. `rounded_once` lets such an operation see float32 only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, wraps
from typing import Any, Literal, TypeVar, cast

import numpy as np

from ..dtypes import DType, float32, is_low_precision
from .core import TensorCore
from .mode import autocast_dtype
from .operands import result_dtype
from .recall import recalled

F = TypeVar("F", bound=Callable[..., Any])


@lru_cache(maxsize=4096)
def is_exact(value: bool | int | float, dtype: DType) -> bool:
    """Whether a number is one of the float dtype's own, so that rounding leaves it as it is."""
    with np.errstate(over="ignore"):
        rounded = float(np.asarray(value, np.float64).astype(dtype.numpy))
    return rounded == value or value != value


def rounded_once(
    operands: int = 1,
    autocast: Literal["product", "loss"] | None = None,
    any_size: bool = False,
) -> Callable[[F], F]:
    """Decorator of an operation of several nodes, which is recalled (recall.py): 16-bit floats are
    given to it as float32, and its float32 results are rounded to the common dtype of its first
    `operands` tensors, where that has 16 bits.

        @rounded_once()
        def silu(self): return self * self.sigmoid()  # of float16: two roundings less

    Inside of `autocast` a "product" is given its floats in 16 bits, a "loss" in float32; float64
    stays. `any_size` is as in recall.py.
    """

    def decorate(operation: F) -> F:
        @wraps(operation)
        def computed(*args: Any, **named: Any) -> Any:
            if autocast is not None and (chosen := autocast_dtype.get()) is not None:
                target = chosen if autocast == "product" else float32
                token = autocast_dtype.set(None)
                try:
                    return _with_each(_recast, target, computed, args, named)
                finally:
                    autocast_dtype.reset(token)
            given = [x for x in (*args, *named.values()) if isinstance(x, TensorCore)]
            if not any(is_low_precision(x._node.dtype) for x in given):
                return operation(*args, **named)
            dtype = result_dtype(given[:operands])
            made = _with_each(_widened, float32, operation, args, named)
            return _narrowed(made, dtype) if is_low_precision(dtype) else made

        return recalled(cast(F, computed), any_size)

    return decorate


def _with_each(
    change: Callable[[Any, DType], Any],
    dtype: DType,
    call: Callable[..., Any],
    args: Sequence[Any],
    named: Mapping[str, Any],
) -> Any:
    """What a call gives with every argument changed for a dtype."""
    return call(
        *[change(x, dtype) for x in args], **{name: change(x, dtype) for name, x in named.items()}
    )


def _recast(value: Any, dtype: DType) -> Any:
    """A tensor of floats, but of float64, in another dtype; all else as it is."""
    if isinstance(value, TensorCore) and value._node.dtype.is_float:
        return value if value._node.dtype.itemsize > 4 else value.cast(dtype)
    return value


def _widened(value: Any, dtype: DType) -> Any:
    """A tensor of 16-bit floats in another dtype; all else as it is."""
    if isinstance(value, TensorCore) and is_low_precision(value._node.dtype):
        return value.cast(dtype)
    return value


def _narrowed(made: Any, dtype: DType) -> Any:
    """The float32 results of an operation in its own dtype."""
    if isinstance(made, TensorCore):
        return made.cast(dtype) if made._node.dtype is float32 else made
    if isinstance(made, tuple):
        parts = [_narrowed(part, dtype) for part in made]
        return type(made)(*parts) if hasattr(made, "_fields") else tuple(parts)
    return made

"""NumPy's functions whose arguments or results differ from the method of Tensor of that name.

Each function here takes NumPy's arguments and builds the graph, so gradients flow through it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import ArgumentError
from .arguments import plain
from .inplace import InPlace

Form = Callable[..., Any]


def _where(condition: Any, x: Any = None, y: Any = None) -> Any:
    """np.where of the condition alone: the indices of where it holds, one vector an axis."""
    if x is None and y is None:
        return condition.nonzero(as_tuple=True)
    like = next(value for value in (condition, x, y) if isinstance(value, InPlace))
    given = condition if isinstance(condition, InPlace) else like._from_data(np.asarray(condition))
    return given.ne(0).where(x, y)


def _sort(x: InPlace, axis: int | None = -1, kind: Any = None, stable: Any = None) -> InPlace:
    return x.flatten().sort(0).values if axis is None else x.sort(axis).values


def _argsort(x: InPlace, axis: int | None = -1, kind: Any = None, stable: Any = None) -> InPlace:
    return x.flatten().argsort(0) if axis is None else x.argsort(axis)


def _repeat(x: InPlace, repeats: Any, axis: int | None = None) -> InPlace:
    several = isinstance(repeats, (list, tuple, np.ndarray))
    return x.repeat_interleave(x._from_data(np.asarray(repeats)) if several else repeats, axis)


def _quantile(
    x: InPlace, q: Any, axis: Any = None, keepdims: bool = False, method: str = "linear"
) -> InPlace:
    return x.quantile(_shares(x, q), axis, keepdims, method)


def _percentile(
    x: InPlace, q: Any, axis: Any = None, keepdims: bool = False, method: str = "linear"
) -> InPlace:
    return x.quantile(_shares(x, np.asarray(q) / 100), axis, keepdims, method)


def _shares(x: InPlace, q: Any) -> Any:
    """The shares of a quantile: one number, or a vector of x's dtype."""
    shares = np.asarray(q)
    return x._from_data(shares.astype(x.dtype.numpy)) if shares.ndim else float(shares)


def _median(x: InPlace, axis: Any = None, keepdims: bool = False) -> InPlace:
    """The mean of the two middle values where there are two; Tensor.median is the lower one."""
    return x.quantile(0.5, axis, keepdims)


def _average(x: InPlace, axis: Any = None, weights: Any = None, keepdims: bool = False) -> InPlace:
    if weights is None:
        return x.mean(axis, keepdims)
    shares = weights if isinstance(weights, InPlace) else x._from_data(np.asarray(weights))
    if isinstance(axis, int) and shares.ndim == 1:
        shares = shares.reshape([-1 if at == axis % x.ndim else 1 for at in range(x.ndim)])
    return (x * shares).sum(axis, keepdims) / shares.expand(x.shape).sum(axis, keepdims)


def _ptp(x: InPlace, axis: Any = None, keepdims: bool = False) -> InPlace:
    return x.amax(axis, keepdims) - x.amin(axis, keepdims)


def _take(x: InPlace, indices: Any, axis: int | None = None) -> InPlace:
    flat, at = (x.flatten(), 0) if axis is None else (x, axis % x.ndim)
    index = indices if isinstance(indices, InPlace) else np.asarray(indices)
    return flat[(slice(None),) * at + (index,)]


def _take_along_axis(x: InPlace, indices: Any, axis: int | None = -1) -> InPlace:
    return x.take_along_dim(indices, axis)


def _append(x: InPlace, values: Any, axis: int | None = None) -> InPlace:
    if axis is None:
        return x.flatten().cat(values.flatten())
    return x.cat(values, axis=axis)


def _pad(x: InPlace, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> InPlace:
    if mode != "constant" or np.ndim(constant_values):
        raise ArgumentError(
            f"np.pad: of a tensor, mode {mode!r} with constant_values {constant_values!r} is not "
            "known; write nn.functional.pad"
        )
    widths = np.broadcast_to(np.asarray(pad_width), (x.ndim, 2))
    return x.pad([(int(a), int(b)) for a, b in widths], value=constant_values)


def _split(x: InPlace, parts: Any, axis: int = 0) -> list[InPlace]:
    parts = plain(parts)
    if isinstance(parts, int) and x.shape[axis] % parts:
        raise ArgumentError(f"np.split: {parts} equal parts of axis {axis} of shape {x.shape}")
    return _array_split(x, parts, axis)


def _array_split(x: InPlace, parts: Any, axis: int = 0) -> list[InPlace]:
    return list(x.tensor_split(parts, axis))


FORMS: dict[str, Form] = {
    "where": _where, "sort": _sort, "argsort": _argsort, "repeat": _repeat,
    "quantile": _quantile, "percentile": _percentile, "median": _median, "average": _average,
    "ptp": _ptp, "take": _take, "take_along_axis": _take_along_axis, "append": _append,
    "pad": _pad, "split": _split, "array_split": _array_split,
}  # fmt: skip
"""By NumPy's name."""

LINALG = frozenset([
    "cholesky", "cond", "det", "eigh", "eigvalsh", "inv", "matrix_norm", "matrix_power",
    "matrix_rank", "multi_dot", "norm", "pinv", "qr", "slogdet", "solve", "svd", "svdvals",
    "tensorinv", "tensorsolve", "vector_norm",
])  # fmt: skip
"""NumPy's `linalg` functions that `lazygrad.linalg` has under the same name."""
LINALG_NAMES = {"axis": "dim", "keepdims": "keepdim"}

"""Norms of vectors and matrices, rank and condition."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, DTypeError, KindError, ShapeError, told
from ..tensor import Tensor
from .factoring import eigvalsh, svdvals
from .host import matrices
from .solving import inv

Axes = int | Sequence[int] | None


def vector_norm(
    x: Tensor, ord: float = 2, dim: Axes = None, keepdim: bool = False, dtype: Any = None
) -> Tensor:
    """(sum |x|**ord)**(1/ord) over axes, or over all; ord may be inf, -inf, 0 (how many are not 0).

    linalg.vector_norm(Tensor([3.0, 4.0])).item() == 5.0
    """
    if not x.dtype.is_float:
        raise DTypeError(f"linalg.vector_norm: needs floats, this is {x.dtype}; cast it first")
    axes = dim if dim is None or isinstance(dim, int) else (tuple(dim) or None)
    return x.norm(ord, axes, keepdim, dtype)


def matrix_norm(
    A: Tensor,
    ord: float | str = "fro",
    dim: Sequence[int] = (-2, -1),
    keepdim: bool = False,
    dtype: Any = None,
) -> Tensor:
    """A norm of the matrices in two axes: "fro", "nuc" (the sum of singular values), inf and -inf
    (the largest, smallest row sum), 1 and -1 (column sums), 2 and -2 (singular value).

    lazygrad.linalg.matrix_norm(Tensor([[3.0, 4.0]])).item() == 5.0
    """
    if not isinstance(dim, (tuple, list)):
        raise KindError(f"linalg.matrix_norm: dim is two axes, not {told(dim)}")
    if len(dim) != 2:
        raise ShapeError(f"linalg.matrix_norm: {tuple(dim)} are no two axes")
    x = A if dtype is None else A.cast(dtype)
    x = matrices("matrix_norm", x)
    rows, columns = (axis % x.ndim for axis in dim)
    if rows == columns:
        raise ShapeError(f"linalg.matrix_norm: {tuple(dim)} name one axis twice")
    x = x.movedim((rows, columns), (-2, -1))
    if ord == "fro":
        made = x.norm(2, (-2, -1), keepdim=True)
    elif ord in ("nuc", 2, -2):
        values = svdvals(x)
        found = values.sum(-1) if ord == "nuc" else values[..., 0 if ord == 2 else -1]
        made = found.unsqueeze(-1).unsqueeze(-1)
    elif ord in (1, -1, math.inf, -math.inf):
        summed = -2 if abs(float(ord)) == 1 else -1
        sums = x.abs().sum(summed, keepdim=True)
        made = (sums.amax if float(ord) > 0 else sums.amin)((-2, -1), keepdim=True)
    else:
        valid = "'fro', 'nuc', inf, -inf, 1, -1, 2, -2"
        raise ArgumentError(f"linalg.matrix_norm: ord {ord!r} is none of {valid}")
    kind = A.dtype if dtype is None else made.dtype
    made = made.movedim((-2, -1), (rows, columns)) if keepdim else made.squeeze((-2, -1))
    return made.cast(kind)


def norm(
    A: Tensor,
    ord: float | str | None = None,
    dim: Axes = None,
    keepdim: bool = False,
    dtype: Any = None,
) -> Tensor:
    """`vector_norm` over one axis, `matrix_norm` over two; without `ord`, the 2-norm of all
    elements, or over `dim`. An `ord` without `dim` takes a vector or a matrix.

    lazygrad.linalg.norm(Tensor([3.0, 4.0])).item() == 5.0
    """
    axes = (dim,) if isinstance(dim, int) else (None if dim is None else tuple(dim))
    if ord is None:
        return vector_norm(A, 2, axes, keepdim, dtype)
    if axes is None and A.ndim not in (1, 2):
        raise ShapeError(f"linalg.norm: ord {ord!r} of shape {A.shape} needs dim")
    if len(axes if axes is not None else A.shape) == 2:
        return matrix_norm(A, ord, axes or (-2, -1), keepdim, dtype)
    if isinstance(ord, str):
        raise ArgumentError(f"linalg.norm: ord {ord!r} is a norm of matrices")
    return vector_norm(A, ord, axes, keepdim, dtype)


def cond(A: Tensor, p: float | str | None = None) -> Tensor:
    """The norm of A times the norm of its inverse; for p None, 2 and -2 the ratio of the largest
    and the smallest singular value, or the reverse.

    lazygrad.linalg.cond(Tensor([[2.0, 0.0], [0.0, 1.0]])).item() == 2.0
    """
    if p in (None, 2, -2):
        s = svdvals(A)
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    assert p is not None
    return matrix_norm(A, p) * matrix_norm(inv(A), p)


def matrix_rank(
    A: Tensor,
    *,
    atol: float | Tensor | None = None,
    rtol: float | Tensor | None = None,
    hermitian: bool = False,
) -> Tensor:
    """How many singular values exceed max(atol, rtol * the largest), as int64; rtol is
    max(m, n) * eps unless given (0 where atol is).

    lazygrad.linalg.matrix_rank(Tensor([[1.0, 1.0], [1.0, 1.0]])).item() == 1
    """
    x = matrices("matrix_rank", A)
    s = (eigvalsh(x).abs() if hermitian else svdvals(x)).detach()
    if not s.shape[-1]:
        return Tensor.zeros(*s.shape[:-1], dtype="int64")
    eps = max(x.shape[-2:]) * float(np.finfo(x.dtype.numpy).eps)
    usual = 0.0 if atol is not None else eps
    limit: Tensor = s.amax(-1) * (usual if rtol is None else rtol)
    if atol is not None:
        limit = limit.maximum(atol)
    return (s > limit.unsqueeze(-1)).sum(-1)

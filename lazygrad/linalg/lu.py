"""A = P L U: rows in another order, a lower and an upper triangular matrix.

NumPy has no such factoring: Gauss's elimination is written here, for all matrices of a batch a
column at a time within panels of columns, and with matrix products beside them. As the other
decompositions it is computed on the host when it is asked for.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ..dtypes import int32
from ..errors import DTypeError, RangeError, ShapeError
from ..tensor import Tensor
from .host import Array, Results, call, matrices, on_host
from .solving import solve_triangular

PANEL = 32  # columns that are eliminated one by one


class LU(NamedTuple):
    """A = P L U."""

    P: Tensor
    L: Tensor
    U: Tensor


class Packed(NamedTuple):
    """L below the diagonal and U from it on, and for each row the one it was exchanged with."""

    LU: Tensor
    pivots: Tensor


class PackedInfo(NamedTuple):
    """`Packed`, and 0, or the first i for which U[i, i] (counted from 1) is 0."""

    LU: Tensor
    pivots: Tensor
    info: Tensor


def lu(A: Tensor, *, pivot: bool = True) -> LU:
    """A = P L U: (..., m, n) -> (..., m, m), (..., m, k), (..., k, n), k = min(m, n).

    P is a permutation of the rows, L has ones on its diagonal. Without `pivot` no rows are
    exchanged, P is empty, and a 0 on the diagonal gives infinities.

        P, L, U = lazygrad.linalg.lu(Tensor([[0.0, 2.0], [4.0, 0.0]]))
        U.tolist() == [[4.0, 0.0], [0.0, 2.0]]
    """
    order, lower, upper, _ = _factored("lu", A, pivot)
    return LU(order if pivot else Tensor.empty(0, dtype=A.dtype), lower, upper)


def lu_factor(A: Tensor, *, pivot: bool = True) -> Packed:
    """`lu` in one matrix, for `lu_solve`: (..., m, n) -> (..., m, n), and int32 (..., k), the row
    (counted from 1) with which each row was exchanged, one after the other.

    lazygrad.linalg.lu_factor(Tensor([[0.0, 2.0], [4.0, 0.0]])).pivots.tolist() == [2, 2]
    """
    _, lower, upper, pivots = _factored("lu_factor", A, pivot)
    m, n = A.shape[-2:]
    below = lower.tril(-1)
    if m < n:
        below = below.pad((0, n - m))
    if m > n:
        upper = upper.pad((0, 0, 0, m - n))
    return Packed(below + upper, pivots)


def lu_factor_ex(A: Tensor, *, pivot: bool = True, check_errors: bool = False) -> PackedInfo:
    """`lu_factor`, and which pivot is 0. Raises LinAlgError for one with `check_errors`.

    lazygrad.linalg.lu_factor_ex(Tensor([[1.0, 1.0], [1.0, 1.0]])).info.item() == 2
    """
    packed, pivots = lu_factor(A, pivot=pivot)
    is_zero = packed.detach().diagonal(0, -2, -1).eq(0)
    info = (is_zero.any(-1) * (is_zero.int().argmax(-1) + 1)).cast(int32)
    if check_errors and info.any():
        raise np.linalg.LinAlgError(f"linalg.lu_factor_ex: pivot {info.max().item()} is 0")
    return PackedInfo(packed, pivots, info)


def lu_solve(
    LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True, adjoint: bool = False
) -> Tensor:
    """X with A X = B (A' X = B if `adjoint`; X A = B, or X A' = B, unless `left`), for the factors
    of A (..., n, n) that `lu_factor` gave. Raises LinAlgError for a singular A.

        factors = lazygrad.linalg.lu_factor(Tensor([[0.0, 2.0], [4.0, 0.0]]))
        lazygrad.linalg.lu_solve(*factors, Tensor([[2.0], [4.0]])).tolist() == [[1.0], [1.0]]
    """
    x = matrices("lu_solve", LU, square=True)
    matrices("lu_solve", B)
    if B.shape[-2 if left else -1] != x.shape[-1]:
        raise ShapeError(f"linalg.lu_solve: {LU.shape} and {B.shape} do not fit")
    if not left:
        return lu_solve(LU, pivots, B.mT, adjoint=not adjoint).mT
    order = _permutation("lu_solve", pivots, x.shape[-1], B.dtype)
    if adjoint:
        inner = solve_triangular(x.mT, B, upper=False)
        return order @ solve_triangular(x.mT, inner, upper=True, unitriangular=True)
    inner = solve_triangular(x, order.mT @ B, upper=False, unitriangular=True)
    return solve_triangular(x, inner, upper=True)


def lu_unpack(
    LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True
) -> tuple[Tensor, Tensor, Tensor]:
    """P, L and U of what `lu_factor` gave; empty ones where they are not asked for.

    factors = lazygrad.linalg.lu_factor(Tensor([[0.0, 2.0], [4.0, 0.0]]))
    [part.shape for part in lazygrad.lu_unpack(*factors)] == [(2, 2), (2, 2), (2, 2)]
    """
    x = matrices("lu_unpack", LU_data)
    m, n = x.shape[-2:]
    k = min(m, n)
    order = lower = upper = Tensor.empty(0, dtype=x.dtype)
    if unpack_pivots:
        order = _permutation("lu_unpack", LU_pivots, m, x.dtype)
    if unpack_data:
        lower = x[..., :k].tril(-1) + Tensor.eye(m, k, dtype=x.dtype)
        upper = x[..., :k, :].triu()
    return LU(order, lower, upper)


# --------------------------------------------------------------------------- on the host


def _factored(name: str, A: Tensor, pivot: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """P, L, U and the pivots of matrices."""

    def rule(g: Results, out: Results, given: Results) -> list[Tensor]:
        """With a square A:  gA = P L^-T (tril(L' gL, -1) + triu(gU U')) U^-T.
        A wide one is a square A1 and what is right of it, A2 = P L U2: gA2 = P L^-T gU2, and U2
        adds -gU2 U2' to the lower part; a tall one is the same with L2 below, gA2 = gL2 U^-T."""
        order, lower, upper, glower, gupper = *out[:3], *g[1:3]
        k = min(given[0].shape[-2:])
        square_lower, square_upper = lower[..., :k, :], upper[..., :k]
        low = square_lower.mT @ glower[..., :k, :] - gupper[..., k:] @ upper[..., k:].mT
        high = gupper[..., :k] @ square_upper.mT - lower[..., k:, :].mT @ glower[..., k:, :]
        inner = low.tril(-1) + high.triu()
        right = inner.cat(gupper[..., k:], axis=-1) if upper.shape[-1] > k else inner
        made = solve_triangular(square_lower.mT, right, upper=True, unitriangular=True)
        if lower.shape[-2] > k:
            made = made.cat(glower[..., k:, :], axis=-2)
        if upper.shape[-1] > k:
            first = solve_triangular(square_upper, made[..., :k].mT, upper=True).mT
            return [order @ first.cat(made[..., k:], axis=-1)]
        return [order @ solve_triangular(square_upper, made.mT, upper=True).mT]

    x = matrices(name, A)
    order, lower, upper, pivots = on_host(name, lambda a: eliminate(a, pivot), [x], rule)
    parts = (part.cast(A.dtype) for part in (order, lower, upper))
    return *parts, pivots.detach().cast(int32)  # type: ignore[return-value]


def eliminate(a: Array, pivot: bool) -> tuple[Array, Array, Array, Array]:
    """P, L, U and the pivots (counted from 1) of matrices (..., m, n), by Gauss's elimination. With
    `pivot` the largest element of what is left of a column comes to the diagonal."""
    *batch, m, n = a.shape
    k = min(m, n)
    work = np.array(a).reshape(math.prod(batch), m, n)
    each = np.arange(len(work))
    order = np.tile(np.arange(m), (len(work), 1))
    pivots = np.tile(np.arange(k), (len(work), 1))
    for start in range(0, k, PANEL):
        stop = min(start + PANEL, k)
        for j in range(start, stop):
            if pivot:
                chosen = pivots[:, j] = j + np.abs(work[:, j:, j]).argmax(1)
                for rows in (work, order):
                    rows[each, j], rows[each, chosen] = rows[each, chosen], rows[each, j].copy()
            top = work[:, j, j][:, None]
            with np.errstate(divide="ignore", invalid="ignore"):
                work[:, j + 1 :, j] /= np.where((top == 0) & pivot, 1, top)
                _subtract_outer(work, j, slice(j + 1, m), slice(j + 1, stop))
        for j in range(start, stop):
            _subtract_outer(work, j, slice(j + 1, stop), slice(stop, n))
        work[:, stop:, stop:] -= work[:, stop:, start:stop] @ work[:, start:stop, stop:]
    unit = np.eye(m, k, dtype=a.dtype)
    parts = np.eye(m)[order].swapaxes(-1, -2), np.tril(work[..., :k], -1) + unit
    made: Any = (*parts, np.triu(work[:, :k]), pivots + 1)
    return tuple(part.reshape(*batch, *part.shape[1:]) for part in made)


def _subtract_outer(work: Array, j: int, rows: slice, columns: slice) -> None:
    """Take the product of column j and row j from a part of matrices."""
    work[:, rows, columns] -= work[:, rows, j, None] * work[:, j, None, columns]


def _permutation(name: str, pivots: Tensor, rows: int, dtype: Any) -> Tensor:
    """The matrix P of pivots (..., k), which count rows from 1."""
    if not pivots.dtype.is_int:
        raise DTypeError(f"linalg.{name}: pivots are integers, these are {pivots.dtype}")
    if not pivots.shape or pivots.shape[-1] > rows:
        raise ShapeError(f"linalg.{name}: pivots {pivots.shape} for matrices of {rows} rows")

    def compute(values: Array) -> Array:
        *batch, count = values.shape
        flat = values.reshape(math.prod(batch), count).astype(np.int64) - 1
        if flat.size and not 0 <= flat.min() <= flat.max() < rows:
            raise RangeError(f"linalg.{name}: pivots are from 1 to {rows}, the number of rows")
        each, order = np.arange(len(flat)), np.tile(np.arange(rows), (len(flat), 1))
        for j, chosen in enumerate(flat.T):
            order[each, j], order[each, chosen] = order[each, chosen], order[each, j].copy()
        matrix = np.eye(rows, dtype=np.float32)[order].swapaxes(-1, -2)
        return matrix.reshape(*batch, rows, rows)

    return Tensor._from_node(call(compute, [pivots.node])).cast(dtype)

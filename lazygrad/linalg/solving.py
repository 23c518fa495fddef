"""Inverses, determinants, linear equations and least squares."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..errors import ShapeError, check_integers
from ..functions import stack
from ..tensor import Tensor
from .host import Array, Results, matrices, on_host


class SignLog(NamedTuple):
    """The sign of determinants, and the logarithm of their absolute values."""

    sign: Tensor
    logabsdet: Tensor


class LeastSquares(NamedTuple):
    """What `lstsq` finds."""

    solution: Tensor
    residuals: Tensor
    rank: Tensor
    singular_values: Tensor


def _eye(x: Tensor) -> Tensor:
    """The unit matrix of x's size."""
    return Tensor.eye(x.shape[-1], dtype=x.dtype)


def inv(A: Tensor) -> Tensor:
    """The inverse of square matrices, (..., n, n). Raises LinAlgError for a singular one.

    linalg.inv(Tensor([[2.0, 0.0], [0.0, 4.0]])).tolist() == [[0.5, 0.0], [0.0, 0.25]]
    """

    def rule(g: Results, out: Results, given: Results) -> list[Tensor]:
        """d(A^-1) = -A^-1 dA A^-1"""
        transposed = out[0].mT
        return [-(transposed @ g[0] @ transposed)]

    x = matrices("inv", A, square=True)
    return on_host("inv", np.linalg.inv, [x], rule)[0].cast(A.dtype)


inverse = inv


def solve(A: Tensor, B: Tensor, left: bool = True) -> Tensor:
    """X with A X = B (X A = B unless `left`), for square matrices A (..., n, n).

    B is (..., n, k), or a vector (n) or a batch of vectors (..., n) of A's batch. Raises
    LinAlgError for a singular A.

        linalg.solve(Tensor([[2.0, 0.0], [0.0, 4.0]]), Tensor([2.0, 2.0])).tolist() == [1.0, 0.5]
    """
    x = matrices("solve", A, square=True)
    is_vector = B.ndim == 1 or (B.ndim == A.ndim - 1 and B.shape == A.shape[:-1])
    columns = B.unsqueeze(-1) if is_vector else B
    if not left:
        return solve(A.mT, columns.mT).mT if not is_vector else solve(A.mT, B)
    if columns.ndim < 2 or columns.shape[-2] != A.shape[-1]:
        raise ShapeError(f"linalg.solve: {A.shape} and {B.shape} do not fit")
    batch = np.broadcast_shapes(x.shape[:-2], columns.shape[:-2])
    x = x.expand(*batch, *x.shape[-2:])
    columns = columns.cast(x.dtype).expand(*batch, *columns.shape[-2:])
    made = _solved(x, columns)
    return (made.squeeze(-1) if is_vector else made).cast(A.dtype)


def _solved(A: Tensor, B: Tensor) -> Tensor:
    """A^-1 B of matrices of one batch."""

    def rule(g: Results, out: Results, given: Results) -> list[Tensor]:
        """dX = A^-1 (dB - dA X)"""
        part = _solved(given[0].mT, g[0])
        return [-(part @ out[0].mT), part]

    return on_host("solve", np.linalg.solve, [A, B], rule)[0]


def solve_triangular(
    A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Tensor:
    """`solve`, of the upper or lower triangle of A; with `unitriangular` its diagonal is ones.

    linalg.solve_triangular(Tensor([[2.0]]), Tensor([[4.0]]), upper=True).tolist() == [[2.0]]
    """
    x = matrices("solve_triangular", A, square=True)
    if unitriangular:
        x = (x.triu(1) if upper else x.tril(-1)) + _eye(x)
    return solve(x.triu() if upper else x.tril(), B, left).cast(A.dtype)


def slogdet(A: Tensor) -> SignLog:
    """The sign, and the logarithm of the absolute value, of the determinants of (..., n, n).

    [x.item() for x in lazygrad.linalg.slogdet(Tensor([[-1.0]]))] == [-1.0, 0.0]
    """

    def rule(g: Results, out: Results, given: Results) -> list[Tensor]:
        """d log|det A| = tr(A^-1 dA)"""
        return [g[1].unsqueeze(-1).unsqueeze(-1) * inv(given[0]).mT]

    x = matrices("slogdet", A, square=True)
    sign, log = on_host("slogdet", lambda x: tuple(np.linalg.slogdet(x)), [x], rule)
    return SignLog(sign.cast(A.dtype), log.cast(A.dtype))


def logdet(A: Tensor) -> Tensor:
    """The logarithm of the determinants; nan where one is negative.

    lazygrad.linalg.logdet(Tensor([[1.0]])).item() == 0.0
    """
    sign, log = slogdet(A)
    return sign.lt(0).where(float("nan"), log)


def det(A: Tensor) -> Tensor:
    """The determinants of square matrices (..., n, n). The gradient of a singular one is found too.

    linalg.det(Tensor([[2.0, 0.0], [0.0, 4.0]])).item() == 8.0
    """

    def rule(g: Results, out: Results, given: Results) -> list[Tensor]:
        """d det A = tr(adj(A) dA), with adj(A) = det A * A^-1"""
        return [g[0].unsqueeze(-1).unsqueeze(-1) * _adjugate(given[0], out[0]).mT]

    x = matrices("det", A, square=True)
    return on_host("det", np.linalg.det, [x], rule)[0].cast(A.dtype)


def _adjugate(A: Tensor, det: Tensor) -> Tensor:
    """det A * A^-1; by the singular value decomposition where some A is singular."""
    values = np.asarray(A.detach().numpy())
    if not values.size or np.all(np.linalg.cond(values) < 1 / np.finfo(values.dtype).eps):
        return det.unsqueeze(-1).unsqueeze(-1) * inv(A)
    u, s, vh = (Tensor(part) for part in np.linalg.svd(values))
    n = s.shape[-1]
    others = [s[..., [j for j in range(n) if j != i]].prod(-1) for i in range(n)]
    sign = Tensor(np.asarray(np.linalg.det(u.numpy()) * np.linalg.det(vh.numpy()), values.dtype))
    products = stack(others, -1) * sign.unsqueeze(-1)
    return vh.mT @ (products.unsqueeze(-1) * u.mT)


def pinv(
    A: Tensor, atol: float | None = None, rtol: float | None = None, hermitian: bool = False
) -> Tensor:
    """Moore and Penrose's inverse (..., n, m) of matrices (..., m, n). Singular values up to
    max(atol, rtol * the largest) count as 0; rtol is max(m, n) * eps unless given.

    lazygrad.linalg.pinv(Tensor([[2.0]])).tolist() == [[0.5]]
    """

    def compute(x: Array) -> Array:
        if not x.size:
            return np.zeros((*x.shape[:-2], x.shape[-1], x.shape[-2]), x.dtype)
        u, s, vh = np.linalg.svd(x, full_matrices=False)
        least = rtol
        if least is None:
            least = 0.0 if atol else max(x.shape[-2:]) * float(np.finfo(x.dtype).eps)
        limit = np.maximum(least * s[..., :1], atol or 0.0)
        inverse = np.where(s > limit, 1 / np.where(s > limit, s, 1), 0)
        return np.asarray(np.swapaxes(vh, -2, -1) @ (inverse[..., None] * np.swapaxes(u, -2, -1)))

    def rule(g: Results, out: Results, given: Results) -> list[Tensor]:
        """dP = -P dA P + P P' dA' (1 - A P) + (1 - P A) dA' P' P (Golub and Pereyra 1973)"""
        x, p, t = given[0], out[0], g[0].mT
        inside = (t @ p) @ p.mT
        first = -(p.mT @ g[0] @ p.mT)
        second = inside - x @ (p @ inside)
        third = p.mT @ (p @ t)
        return [first + second + third - (third @ p) @ x]

    return on_host("pinv", compute, [matrices("pinv", A)], rule)[0].cast(A.dtype)


def lstsq(
    A: Tensor, B: Tensor, rcond: float | None = None, *, driver: str | None = None
) -> LeastSquares:
    """X that makes |A X - B| least, the shortest of several; also the squared residuals (only of
    tall matrices of full rank), the rank and the singular values of A.

    (..., m, n), (..., m, k) -> (..., n, k); B may be a vector (m) too.

    lazygrad.linalg.lstsq(Tensor([[2.0]]), Tensor([[4.0]]))[0].tolist() == [[2.0]]
    """
    x = matrices("lstsq", A)
    is_vector = B.ndim == 1
    columns = (B.unsqueeze(-1) if is_vector else B).cast(x.dtype)
    if columns.shape[-2] != x.shape[-2]:
        raise ShapeError(f"linalg.lstsq: {A.shape} and {B.shape} do not fit")
    made = pinv(x, rtol=rcond) @ columns
    s = np.linalg.svd(np.asarray(x.detach().numpy()), compute_uv=False)
    least = max(x.shape[-2:]) * float(np.finfo(s.dtype).eps) if rcond is None else rcond
    rank = np.asarray((s > least * s[..., :1]).sum(-1))
    m, n = x.shape[-2:]
    full = m > n and bool((rank == n).all())
    left = (x @ made - columns).square().sum(-2) if full else Tensor.zeros(0, dtype=x.dtype)
    solution = made.squeeze(-1) if is_vector else made
    return LeastSquares(solution, left, Tensor(rank), Tensor(s))


def tensorinv(A: Tensor, ind: int = 2) -> Tensor:
    """The inverse of A as a map from its axes behind `ind` to those before.

    lazygrad.linalg.tensorinv(Tensor.eye(2).reshape(2, 1, 2), 1).shape == (1, 2, 2)
    """
    check_integers(ind=ind)
    if ind <= 0:
        raise ShapeError(f"linalg.tensorinv: ind {ind} is not above 0")
    before, after = A.shape[:ind], A.shape[ind:]
    rows = int(np.prod(before))
    return inv(A.reshape(rows, -1)).reshape(*after, *before)


def tensorsolve(A: Tensor, B: Tensor, dims: tuple[int, ...] | None = None) -> Tensor:
    """X with tensordot(A, X, X.ndim) = B; `dims` of A are moved to its end first.

    linalg.tensorsolve(Tensor([[2.0, 0.0], [0.0, 1.0]]), Tensor([4.0, 3.0])).tolist() == [2.0, 3.0]
    """
    if dims is not None:
        A = A.movedim(tuple(dims), tuple(range(A.ndim - len(dims), A.ndim)))
    shape = A.shape[B.ndim :]
    return solve(A.reshape(B.numel(), -1), B.flatten()).reshape(shape)

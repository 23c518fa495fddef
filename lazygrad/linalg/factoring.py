"""Matrices as products: Cholesky, QR, eigenvectors, singular values."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..dtypes import bool_
from ..errors import ArgumentError
from ..tensor import Tensor
from .host import Array, Results, matrices, on_host
from .solving import solve_triangular


class QR(NamedTuple):
    """A = Q R."""

    Q: Tensor
    R: Tensor


class Eigen(NamedTuple):
    """A = V diag(L) V'."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class SVD(NamedTuple):
    """A = U diag(S) Vh."""

    U: Tensor
    S: Tensor
    Vh: Tensor


def _halved(x: Tensor) -> Tensor:
    """The lower triangle, with half of the diagonal."""
    return x.tril() - x.tril().triu() * 0.5


def cholesky(A: Tensor, *, upper: bool = False) -> Tensor:
    """L, lower triangular, with A = L L' (or U with A = U' U), of symmetric matrices whose
    eigenvalues are positive; only their lower triangle is read. Raises LinAlgError for others.

    lazygrad.linalg.cholesky(Tensor([[4.0]])).tolist() == [[2.0]]
    """

    def rule(g: Results, out: Results, given: Results) -> list[Tensor]:
        """dL = L phi(L^-1 dA L^-T), phi the lower triangle with half of the diagonal"""
        factor = out[0]
        inner = _halved(factor.mT @ g[0].tril())
        solved = solve_triangular(factor.mT, inner, upper=True)
        whole = solve_triangular(factor.mT, solved.mT, upper=True).mT
        return [(whole + whole.mT) * 0.5]

    x = matrices("cholesky", A, square=True)
    made = on_host("cholesky", np.linalg.cholesky, [x], rule)[0].cast(A.dtype)
    return made.mT if upper else made


def qr(A: Tensor, mode: str = "reduced") -> QR:
    """A = Q R, Q of orthogonal columns, R upper triangular: (..., m, n) -> (..., m, k), (..., k, n)
    with k = min(m, n); k = m for mode "complete". Mode "r" leaves Q empty.

    "complete" of tall matrices and "r" have no gradient.

    [part.shape for part in lazygrad.linalg.qr(Tensor.ones(3, 2))] == [(3, 2), (2, 2)]
    """
    if mode not in ("reduced", "complete", "r"):
        raise ArgumentError(f"linalg.qr: mode {mode!r} is none of 'reduced', 'complete', 'r'")
    x = matrices("qr", A)
    m, n = x.shape[-2:]
    if mode != "reduced" and (mode == "r" or m > n):
        found = np.linalg.qr(np.asarray(x.detach().numpy()), mode=mode)  # type: ignore[call-overload]
        parts = (np.zeros(0, x.dtype.numpy), found) if mode == "r" else tuple(found)
        return QR(*(Tensor(part).cast(A.dtype) for part in parts))

    def rule(g: Results, out: Results, given: Results) -> list[Tensor]:
        """With M = R gR' - gQ' Q:  gA = (gQ + Q copy(M)) R^-T, copy(M) the symmetric matrix of the
        lower triangle; a wide matrix is its square part and what is right of it."""
        q, r, gq, gr = *out, *g
        if m >= n:
            return [_qr_cotangent(q, r, gq, gr)]
        right = given[0][..., m:]
        gright = gr[..., m:]
        square = _qr_cotangent(q, r[..., :m], gq + right @ gright.mT, gr[..., :m])
        return [square.cat(q @ gright, axis=-1)]

    q, r = on_host("qr", lambda x: tuple(np.linalg.qr(x)), [x], rule)
    return QR(q.cast(A.dtype), r.cast(A.dtype))


def _qr_cotangent(q: Tensor, r: Tensor, gq: Tensor, gr: Tensor) -> Tensor:
    inner = r @ gr.mT - gq.mT @ q
    symmetric = inner.tril() + inner.tril(-1).mT
    return solve_triangular(r, (gq + q @ symmetric).mT, upper=True).mT


def eigh(A: Tensor, UPLO: str = "L") -> Eigen:
    """The eigenvalues, ascending, and the eigenvectors, as columns, of symmetric matrices, of which
    only the lower triangle is read (the upper for UPLO "U"). The gradient of eigenvectors is
    infinite where two eigenvalues are equal.

    lazygrad.linalg.eigh(Tensor([[2.0, 0.0], [0.0, 1.0]]))[0].tolist() == [1.0, 2.0]
    """

    def rule(g: Results, out: Results, given: Results) -> list[Tensor]:
        """gA = V (diag(gL) + (V' gV) / E) V',  E[i, j] = L[j] - L[i]"""
        values, vectors, gvalues, gvectors = *out, *g
        inner = (vectors.mT @ gvectors) * _inverse_gaps(values)
        whole = vectors @ (inner + gvalues.diag_embed()) @ vectors.mT
        return [(whole + whole.mT) * 0.5]

    if UPLO not in ("L", "U"):
        raise ArgumentError(f"linalg.eigh: UPLO {UPLO!r} is neither 'L' nor 'U'")
    x = matrices("eigh", A, square=True)

    def compute(values: Array) -> tuple[Array, ...]:
        return tuple(np.linalg.eigh(values, "L" if UPLO == "L" else "U"))

    values, vectors = on_host("eigh", compute, [x], rule)
    return Eigen(values.cast(A.dtype), vectors.cast(A.dtype))


def eigvalsh(A: Tensor, UPLO: str = "L") -> Tensor:
    """The eigenvalues of symmetric matrices, ascending.

    lazygrad.linalg.eigvalsh(Tensor([[2.0, 0.0], [0.0, 1.0]])).tolist() == [1.0, 2.0]
    """
    return eigh(A, UPLO).eigenvalues


def _inverse_gaps(values: Tensor) -> Tensor:
    """1 / (x[j] - x[i]), and 0 on the diagonal."""
    gaps = values.unsqueeze(-2) - values.unsqueeze(-1)
    diagonal = Tensor.eye(values.shape[-1], dtype=bool_)
    return diagonal.where(0, 1 / diagonal.where(1, gaps))


def svd(A: Tensor, full_matrices: bool = True) -> SVD:
    """A = U diag(S) Vh, with the singular values S descending: (..., m, n) -> (..., m, k),
    (..., k), (..., k, n), k = min(m, n); U and Vh are square with `full_matrices`, and
    gradients reach only their first k columns and rows.

    [part.shape for part in lazygrad.linalg.svd(Tensor.ones(3, 2), False)] == [(3, 2), (2,), (2, 2)]
    """
    x = matrices("svd", A)
    k = min(x.shape[-2:])

    def rule(g: Results, out: Results, given: Results) -> list[Tensor]:
        """With F[i, j] = 1 / (s[j]^2 - s[i]^2):
        gA = U ((F (U'gU - gU'U)) S + S (F (V'gV - gV'V)) + diag(gS)) V'
           + (1 - UU') gU S^-1 V' + U S^-1 gV' (1 - VV')        (Townsend 2016)"""
        u, s, v = out[0][..., :k], out[1], out[2][..., :k, :].mT
        gu, gs, gv = g[0][..., :k], g[1], g[2][..., :k, :].mT
        f = _inverse_gaps(s.square())
        a, b = u.mT @ gu, v.mT @ gv
        column, row = s.unsqueeze(-1), s.unsqueeze(-2)
        inner = f * (a - a.mT) * row + column * (f * (b - b.mT)) + gs.diag_embed()
        left, right = gu / row, gv / row
        outside = (left - u @ (u.mT @ left)) @ v.mT + u @ (right - v @ (v.mT @ right)).mT
        return [u @ inner @ v.mT + outside]

    def compute(values: Array) -> tuple[Array, ...]:
        return tuple(np.linalg.svd(values, full_matrices=full_matrices))

    return SVD(*(part.cast(A.dtype) for part in on_host("svd", compute, [x], rule)))


def svdvals(A: Tensor) -> Tensor:
    """The singular values, descending.

    lazygrad.linalg.svdvals(Tensor([[3.0, 0.0], [0.0, 2.0]])).tolist() == [3.0, 2.0]
    """

    def rule(g: Results, out: Results, given: Results) -> list[Tensor]:
        """dS = diag(U' dA V)"""
        u, _, vh = svd(given[0], full_matrices=False)
        return [(u * g[0].unsqueeze(-2)) @ vh]

    def compute(values: Array) -> Array:
        return np.linalg.svd(values, compute_uv=False)

    return on_host("svdvals", compute, [matrices("svdvals", A)], rule)[0].cast(A.dtype)

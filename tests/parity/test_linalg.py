"""Linear algebra: values, gradients and second derivatives are PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import lazygrad
from lazygrad import Tensor, linalg

RNG = np.random.default_rng(7)


def square(*shape: int) -> np.ndarray[Any, Any]:
    return RNG.standard_normal(shape) + 3 * np.eye(shape[-1])


def positive(*shape: int) -> np.ndarray[Any, Any]:
    x = RNG.standard_normal(shape)
    return x @ np.swapaxes(x, -2, -1) + np.eye(shape[-1])


def symmetric(x: Any) -> Any:
    return x + x.mT


def qr_signs(q: Any, r: Any) -> list[Any]:
    return [q @ (q.mT * r.sum()), r * r, (q @ r).sum(0)]


SQUARE, POSITIVE = square(2, 4, 4), positive(2, 4, 4)
TALL, WIDE = RNG.standard_normal((2, 5, 3)), RNG.standard_normal((3, 5))
B, VECTORS = RNG.standard_normal((2, 4, 3)), RNG.standard_normal((2, 4))
INF = float("inf")

# name: (function of the linalg module and arguments, arguments)
CASES: dict[str, tuple[Callable[..., Any], list[Any]]] = {
    "inv": (lambda m, a: m.inv(a), [SQUARE]),
    "solve": (lambda m, a, b: m.solve(a, b), [SQUARE, B]),
    "solve vectors": (lambda m, a, b: m.solve(a, b), [SQUARE, VECTORS]),
    "solve from the right": (lambda m, a, b: m.solve(a, b.mT, left=False), [SQUARE, B]),
    "solve of one matrix": (lambda m, a, b: m.solve(a[0], b), [SQUARE, B]),
    "solve_triangular": (
        lambda m, a, b: [
            m.solve_triangular(a, b, upper=True),
            m.solve_triangular(a, b, upper=False, unitriangular=True),
        ],
        [SQUARE, B],
    ),
    "det": (lambda m, a: m.det(a), [SQUARE]),
    "slogdet": (lambda m, a: m.slogdet(a).logabsdet, [SQUARE]),
    "pinv": (lambda m, a: m.pinv(a), [TALL]),
    "pinv of wide": (lambda m, a: m.pinv(a), [WIDE]),
    "lstsq": (lambda m, a, b: m.lstsq(a, b).solution, [TALL, RNG.standard_normal((2, 5, 2))]),
    "tensorinv": (lambda m, a: m.tensorinv(a.reshape(2, 4, 8)), [square(8, 8)]),
    "tensorsolve": (
        lambda m, a, b: m.tensorsolve(a.reshape(2, 3, 6), b),
        [square(6, 6), RNG.standard_normal((2, 3))],
    ),
    "cholesky": (lambda m, a: m.cholesky(a), [POSITIVE]),
    "cholesky upper": (lambda m, a: m.cholesky(a, upper=True), [POSITIVE]),
    "qr": (lambda m, a: qr_signs(*m.qr(a)), [TALL[0]]),
    "qr of wide": (lambda m, a: qr_signs(*m.qr(a)), [WIDE]),
    "eigvalsh": (lambda m, a: m.eigvalsh(symmetric(a)), [SQUARE]),
    "eigh": (
        lambda m, a: [m.eigh(symmetric(a)).eigenvectors ** 2, m.eigh(symmetric(a))[0]],
        [SQUARE],
    ),
    "lu": (lambda m, a: m.lu(a), [SQUARE]),
    "lu of tall": (lambda m, a: m.lu(a), [TALL]),
    "lu of wide": (lambda m, a: m.lu(a), [WIDE]),
    "lu_factor": (lambda m, a: m.lu_factor(a).LU, [SQUARE]),
    "lu_factor of tall": (lambda m, a: m.lu_factor(a).LU, [TALL]),
    "lu_factor of wide": (lambda m, a: m.lu_factor(a).LU, [WIDE]),
    "lu_solve": (
        lambda m, a, b: [
            m.lu_solve(*m.lu_factor(a), b, left=left, adjoint=adjoint)
            for left in (True, False)
            for adjoint in (True, False)
        ],
        [SQUARE, square(2, 4, 4)],
    ),
    "svdvals": (lambda m, a: m.svdvals(a), [TALL]),
    "svd": (
        lambda m, a: [
            (lambda u, s, vh: u.mT @ u * s.sum() + (u * s[..., None, :] ** 2) @ vh)(
                *m.svd(a[:3], full_matrices=False)
            )
        ],
        [square(3, 3)],
    ),
    "svd vectors": (
        lambda m, a: [part**2 for part in m.svd(a, full_matrices=False)],
        [TALL],
    ),
    "norms of vectors": (
        lambda m, a: [
            m.vector_norm(a, p, dim)
            for p, dim in ((2, 1), (0, None), (INF, (0, 1)), (-INF, 1), (3, 0), (0.5, 1))
        ],
        [TALL],
    ),
    "norms of matrices": (
        lambda m, a: [
            m.matrix_norm(a, p, keepdim=keep)
            for p in ("fro", "nuc", INF, -INF, 1, -1, 2, -2)
            for keep in (False, True)
        ],
        [TALL],
    ),
    "norm": (
        lambda m, a: [m.norm(a), m.norm(a, dim=1), m.norm(a, 1, (0, 2)), m.norm(a[0], "nuc")],
        [TALL],
    ),
    "cond": (lambda m, a: [m.cond(a), m.cond(a, -2)], [SQUARE]),
    "cross": (lambda m, a: m.cross(a, a.flip(0)), [TALL]),
    "vecdot": (lambda m, a: m.vecdot(a, a.flip(0)), [TALL]),
    "vander": (lambda m, a: m.vander(a, N=3), [VECTORS]),
    "multi_dot": (
        lambda m, a, b, c: m.multi_dot([a[0], b, c, a[1]]),
        [RNG.standard_normal((2, 4)), RNG.standard_normal((4, 2)), RNG.standard_normal((2, 4))],
    ),
    "matrix_power": (lambda m, a: [m.matrix_power(a, n) for n in (1, 5, -2)], [SQUARE]),
    "matrix_exp": (lambda m, a: m.matrix_exp(a), [SQUARE]),
    "matrix_exp of small": (lambda m, a: m.matrix_exp(a * 1e-3), [SQUARE]),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_agree(agree: Any, name: str) -> None:
    function, arrays = CASES[name]
    agree(
        lambda *args: function(linalg, *args),
        lambda *args: function(torch.linalg, *args),
        *arrays,
        rtol=1e-8,
        atol=1e-8,
    )


@pytest.mark.parametrize("name", ["inv", "det", "solve", "cholesky", "eigvalsh", "pinv", "svdvals"])
def test_second_derivatives_agree(name: str) -> None:
    function, arrays = CASES[name]
    ours = [Tensor(x) for x in arrays]
    first = (function(linalg, *ours) ** 2).sum().gradient(ours[0])[0]
    (second,) = (first**2).sum().gradient(ours[0])
    theirs = [torch.tensor(x, requires_grad=True) for x in arrays]
    loss = (function(torch.linalg, *theirs) ** 2).sum()
    (expected,) = torch.autograd.grad(loss, theirs[0], create_graph=True)
    (expected,) = torch.autograd.grad((expected**2).sum(), theirs[0])
    np.testing.assert_allclose(second.numpy(), expected.numpy(), 1e-7, 1e-7)


def test_the_gradient_of_a_singular_determinant_is_the_cofactors() -> None:
    x = Tensor([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [1.0, 1.0, 2.0]], requires_grad=True)
    linalg.det(x).backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), [[1, -1, 0], [-1, 1, 0], [0, 0, 0]], atol=1e-5)


def test_ranks_agree() -> None:
    x = np.stack([np.diag([1.0, 2, 3]), np.diag([1.0, 1e-9, 0])])
    for options in ({}, {"atol": 1e-10}, {"rtol": 0.5}, {"hermitian": True}):
        expected = torch.linalg.matrix_rank(torch.tensor(x), **options)
        assert linalg.matrix_rank(Tensor(x), **options).tolist() == expected.tolist()


def test_sixteen_bits_are_computed_in_float32() -> None:
    x = Tensor(SQUARE[0]).cast("bfloat16")
    assert linalg.inv(x).dtype == lazygrad.bfloat16
    expected = linalg.inv(x.float()).bfloat16()
    assert linalg.inv(x).tolist() == expected.tolist()


def test_what_cannot_be_is_refused() -> None:
    ones = Tensor.ones(2, 2)
    with pytest.raises(np.linalg.LinAlgError, match=r"linalg\.inv: Singular matrix"):
        linalg.inv(ones)
    with pytest.raises(ValueError, match=r"linalg\.inv: needs square matrices, shape is \(2, 3\)"):
        linalg.inv(Tensor.ones(2, 3))
    with pytest.raises(TypeError, match=r"linalg\.det: needs floats, this is int64"):
        linalg.det(ones.long())
    with pytest.raises(np.linalg.LinAlgError, match=r"linalg\.cholesky"):
        linalg.cholesky(-ones)
    with pytest.raises(ValueError, match=r"linalg\.solve: \(2, 2\) and \(3,\) do not fit"):
        linalg.solve(ones, Tensor.ones(3))


def test_decompositions_are_refused_inside_a_captured_function() -> None:
    step = lazygrad.jit(lambda x: linalg.inv(x) * 2)
    with pytest.raises(RuntimeError, match="jit"):
        step(Tensor(SQUARE[0]))


def test_lu_exchanges_the_rows_that_pytorch_exchanges() -> None:
    for shape in ((1, 1), (3, 70, 50), (40, 80), (2, 1, 5, 3), (0, 2, 2)):
        a = RNG.standard_normal(shape)
        ours, theirs = linalg.lu_factor(Tensor(a)), torch.linalg.lu_factor(torch.tensor(a))
        assert ours.pivots.dtype == lazygrad.int32
        assert ours.pivots.tolist() == theirs.pivots.tolist()
        np.testing.assert_allclose(ours.LU.numpy(), theirs.LU.numpy(), atol=1e-11)
        for part, expected in zip(lazygrad.lu_unpack(*ours), torch.lu_unpack(*theirs), strict=True):
            np.testing.assert_allclose(part.numpy(), expected.numpy(), atol=1e-11)


def test_lu_of_singular_matrices_and_without_exchanges() -> None:
    singular = np.ones((2, 3, 3))
    assert linalg.lu_factor_ex(Tensor(singular)).info.tolist() == [2, 2]
    assert torch.linalg.lu_factor_ex(torch.tensor(singular)).info.tolist() == [2, 2]
    with pytest.raises(RuntimeError):
        torch.linalg.lu_factor_ex(torch.tensor(singular), check_errors=True)
    with pytest.raises(np.linalg.LinAlgError, match="pivot 2 is 0"):
        linalg.lu_factor_ex(Tensor(singular), check_errors=True)
    order, lower, upper = linalg.lu(Tensor(POSITIVE), pivot=False)
    assert order.shape == (0,)
    np.testing.assert_allclose((lower @ upper).numpy(), POSITIVE, atol=1e-12)
    with pytest.raises(ValueError, match=r"lu_solve: \(2, 4, 4\) and \(3, 4\) do not fit"):
        linalg.lu_solve(*linalg.lu_factor(Tensor(SQUARE)), Tensor(B[0].T))


def test_general_eigenvalues_say_why_they_are_not_there() -> None:
    with pytest.raises(AttributeError, match=r"are complex; linalg\.eigh"):
        linalg.eigvals(Tensor(SQUARE))

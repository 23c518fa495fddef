"""Sums are accurate whatever way they are computed: rows, columns, products, statistics.

Errors are told in units of the last place (of float32: 2**-23) of the sum of the terms' absolute
values. Adding n terms one after another may cost n / 2 of them; in blocks it costs about log2(n).
It runs on the default device: BACKEND=GPU tests that backend.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lazygrad import Tensor
from lazygrad.dtypes import float32

Values = np.ndarray[Any, Any]
RNG = np.random.default_rng(0)
BOUND = 8  # units: half of log2(60,000)


def units(found: Tensor, terms: Values, axis: Any) -> float:
    """The largest error of sums over an axis of these terms, in units of the last place."""
    wide = terms.astype(np.longdouble)
    exact, scale = wide.sum(axis), np.abs(wide).sum(axis)
    epsilon = np.finfo(terms.dtype).eps
    return float((np.abs(found.numpy().astype(np.longdouble) - exact) / (scale * epsilon)).max())


def constant(*shape: int) -> Values:
    """Every addition is rounded in the same direction."""
    return np.full(shape, 100.1, np.float32)


def uniform(*shape: int) -> Values:
    return RNG.random(shape, np.float32)


REDUCTIONS: list[tuple[tuple[int, ...], Any]] = [
    ((60_000, 16), 0),
    ((60_000, 17), 0),
    ((60_000, 1), 0),
    ((6_000, 300), 0),
    ((2_000, 2_500), 0),
    ((16, 60_000), 1),
    ((3, 50_021), 1),
    ((300, 5_003), 1),
    ((1_000_003,), None),
    ((700, 1_000), None),
    ((5, 9_999, 8), 1),
    ((40, 3_000, 3), 1),
    ((900, 16, 30), (0, 2)),
    ((16, 8, 28, 28), (0, 2, 3)),
    ((16, 28, 28, 8), (0, 1, 2)),
]


@pytest.mark.parametrize(("shape", "axis"), REDUCTIONS)
def test_sums(shape: tuple[int, ...], axis: Any) -> None:
    for x in (constant(*shape), uniform(*shape), uniform(*shape) - np.float32(0.5)):
        assert units(Tensor(x).sum(axis), x, axis) < BOUND


@pytest.mark.parametrize(("shape", "axis"), [((30_000, 16), 0), ((4, 30_000), 1), ((90_001,), 0)])
def test_sums_of_float64(shape: tuple[int, ...], axis: int) -> None:
    x = np.full(shape, 100.1)
    assert units(Tensor(x).sum(axis), x, axis) < BOUND


@pytest.mark.parametrize(
    ("view", "axis"),
    [
        (lambda x: x[:, ::2], 0),
        (lambda x: x[1::2], 0),
        (lambda x: x.T, 1),
        (lambda x: x.reshape(300, 100, 32), (0, 1)),
    ],
    ids=["columns", "rows", "transposed", "reshaped"],
)
def test_sums_of_views(view: Callable[[Any], Any], axis: Any) -> None:
    x = constant(30_000, 32)
    assert units(view(Tensor(x)).sum(axis), view(x), axis) < BOUND


def test_sums_of_expressions() -> None:
    x, y = uniform(50_000, 16), uniform(50_000, 16)
    assert units((Tensor(x) * 3 - Tensor(y)).sum(0), x * np.float32(3) - y, 0) < BOUND
    assert units((Tensor(x.T.copy()) + 1).sum(1), (x + np.float32(1)).T, 1) < BOUND


@pytest.mark.parametrize("axis", [0, 1, None])
def test_series(axis: int | None) -> None:
    """1 + 1/2 + 1/3 + ...: small terms late."""
    terms = (1 / np.arange(1, 1_200_001)).astype(np.float32)
    x = terms.reshape(-1, 8) if axis == 0 else terms.reshape(8, -1)
    assert units(Tensor(x).sum(axis), x, axis) < BOUND


def test_means_of_equal_values() -> None:
    value = np.float32(100.1)
    for x, axis in ((constant(60_000, 16), 0), (constant(16, 60_000), 1)):
        assert (np.abs(Tensor(x).mean(axis).numpy() - value) <= 2 * np.spacing(value)).all()
        assert (Tensor(x).var(axis).numpy() < 1e-9).all()
        assert (Tensor(x).std(axis).numpy() < 3e-5).all()


def test_random_columns() -> None:
    x = uniform(50_000, 24)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(Tensor(x).mean(0).numpy(), exact.mean(0), rtol=3e-7)
    np.testing.assert_allclose(Tensor(x).var(0).numpy(), exact.var(0, ddof=1), rtol=1e-6)


@pytest.mark.parametrize("axis", [0, 1])
def test_variances_beside_a_large_mean(axis: int) -> None:
    x = (1000 + RNG.standard_normal((40_000, 6))).astype(np.float32)
    x = x if axis == 0 else x.T.copy()
    exact = x.astype(np.float64)
    np.testing.assert_allclose(Tensor(x).var(axis).numpy(), exact.var(axis, ddof=1), rtol=1e-6)
    np.testing.assert_allclose(Tensor(x).std(axis).numpy(), exact.std(axis, ddof=1), rtol=1e-6)
    squares = np.sqrt(np.square(exact).sum(axis))
    np.testing.assert_allclose(Tensor(x).norm(2, axis).numpy(), squares, rtol=1e-6)


@pytest.mark.parametrize(
    ("m", "k", "n"),
    [(1, 100_000, 1), (1, 50_000, 16), (9, 50_000, 1), (16, 50_000, 16), (3, 20_000, 70),
     (8, 2_000, 24), (65, 9_001, 33)],
)  # fmt: skip
@pytest.mark.parametrize("transposed", [False, True])
def test_products(m: int, k: int, n: int, transposed: bool) -> None:
    a, b = uniform(m, k), uniform(k, n)
    product = Tensor(a) @ (Tensor(b.T.copy()).T if transposed else Tensor(b))
    exact = a.astype(np.float64) @ b
    errors = np.abs(product.numpy() - exact) / exact / np.finfo(np.float32).eps
    assert errors.max() < math.log2(k)


@pytest.mark.slow
def test_products_with_very_long_sums() -> None:
    """So long that the sum comes in hundreds of blocks, which are not added one after another."""
    a, b = uniform(64, 200_000), uniform(200_000, 96)
    exact = a.astype(np.float64) @ b
    errors = np.abs((Tensor(a) @ Tensor(b)).numpy() - exact) / exact / np.finfo(np.float32).eps
    assert errors.max() < 4


def test_gradients_of_parameters() -> None:
    """A bias of a linear layer, and of a convolution with its filters."""
    x, g = uniform(40_000, 8), uniform(40_000, 16)
    weight = Tensor(uniform(8, 16), requires_grad=True)
    bias = Tensor(uniform(16), requires_grad=True)
    ((Tensor(x) @ weight + bias) * Tensor(g)).sum().backward()
    assert bias.grad is not None
    assert weight.grad is not None
    assert units(bias.grad, g, 0) < BOUND
    exact = x.T.astype(np.float64) @ g
    np.testing.assert_allclose(weight.grad.numpy(), exact, rtol=2e-6)


def test_gradients_of_filters() -> None:
    images, g = uniform(24, 2, 30, 30), uniform(24, 4, 28, 28)
    filters = Tensor(uniform(4, 2, 3, 3), requires_grad=True)
    bias = Tensor(uniform(4), requires_grad=True)
    (Tensor(images).conv2d(filters, bias) * Tensor(g)).sum().backward()
    assert bias.grad is not None
    assert filters.grad is not None
    assert units(bias.grad, g, (0, 2, 3)) < BOUND
    windows = np.lib.stride_tricks.sliding_window_view(images.astype(np.float64), (3, 3), (2, 3))
    exact = np.einsum("ncyxij,noyx->ocij", windows, g.astype(np.float64))
    errors = np.abs(filters.grad.numpy() - exact) / exact
    assert errors.max() < math.log2(24 * 28 * 28) * np.finfo(np.float32).eps


@pytest.mark.parametrize(("places", "width"), [(1, 1), (4, 3), (1_000, 1), (30_000, 2)])
def test_scattered_sums(places: int, width: int) -> None:
    """Half of all values meet in one place."""
    where = RNG.integers(0, places, 20_000)
    where[::2] = 0
    for values in (constant(20_000, width), uniform(20_000, width)):
        exact = np.zeros((places, width))
        np.add.at(exact, where, values.astype(np.float64))
        table = Tensor(np.zeros((places, width), np.float32), requires_grad=True)
        (table[Tensor(where)] * Tensor(values)).sum().backward()
        assert table.grad is not None
        added = Tensor.zeros(places, width).index_add(0, Tensor(where), Tensor(values))
        for found in (table.grad, added):
            np.testing.assert_allclose(found.numpy(), exact, rtol=2e-7)


@pytest.mark.parametrize(("shape", "axis"), [((4, 50_000), 1), ((50_000, 6), 0), ((300_000,), 0)])
def test_softmax(shape: tuple[int, ...], axis: int) -> None:
    x = uniform(*shape) / 100
    powers = np.exp(x.astype(np.float64))
    total = powers.sum(axis, keepdims=True)
    np.testing.assert_allclose(Tensor(x).softmax(axis).numpy(), powers / total, rtol=1e-6)
    logs = np.log(total).squeeze(axis)
    np.testing.assert_allclose(Tensor(x).logsumexp(axis).numpy(), logs, rtol=5e-7)


def test_averages_of_large_windows() -> None:
    x = constant(2, 3, 200, 210)
    found = Tensor(x).avg_pool2d((200, 210)).numpy()
    np.testing.assert_allclose(found, np.full_like(found, 100.1), rtol=5e-7)


@pytest.mark.parametrize(("shape", "axis"), [((200_000,), 0), ((20_000, 4), 0), ((4, 20_000), 1)])
def test_running_sums(shape: tuple[int, ...], axis: int) -> None:
    x = np.full(shape, 0.1, np.float32)
    exact = x.astype(np.float64).cumsum(axis)
    np.testing.assert_allclose(Tensor(x).cumsum(axis).numpy(), exact, rtol=1e-6)


def test_sums_of_16_bit_floats_are_sums_of_float32() -> None:
    x = np.full((20_000, 8), 0.1, np.float16)
    exact = x.astype(np.float64).sum(0)
    total = Tensor(x).sum(0)
    np.testing.assert_allclose(total.numpy().astype(np.float64), exact, rtol=2.0**-11)
    np.testing.assert_allclose(Tensor(x).sum(0, dtype=float32).numpy(), exact, rtol=5e-7)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_what_is_not_finite_stays_so(value: float) -> None:
    x = constant(5_000, 4)
    x[777, 2] = value
    found = Tensor(x).sum(0).numpy()
    np.testing.assert_equal(found[2], np.float32(value))
    assert np.isfinite(found[[0, 1, 3]]).all()

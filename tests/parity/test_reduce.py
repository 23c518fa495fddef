"""Reductions, statistics, scans, softmax and normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

AXES: list[Any] = [None, 0, 1, -1, (0, 2), (0, 1, 2)]


@pytest.fixture
def x(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((3, 4, 5)).astype(np.float32)


@pytest.mark.parametrize("axis", AXES, ids=str)
@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("name", ["sum", "mean", "amax", "amin", "logsumexp", "var", "std"])
def test_reductions_agree(agree: Any, x: np.ndarray, name: str, keepdim: bool, axis: Any) -> None:
    axes = tuple(range(3)) if axis is None else axis
    agree(
        lambda a: getattr(a, name)(axis, keepdim=keepdim),
        lambda a: getattr(a, name)(axes, keepdim=keepdim),
        x,
    )


def test_products_agree(agree: Any, x: np.ndarray) -> None:
    x[0, 0, 0] = 0
    x[1, 1, :2] = 0
    agree(lambda a: [a.prod(), a.prod(1), a.prod(2, keepdim=True)], None, x)


@pytest.mark.parametrize("correction", [0, 1, 2])
def test_variances_agree(agree: Any, x: np.ndarray, correction: int) -> None:
    agree(lambda a: a.var(1, correction=correction), None, x)
    agree(lambda a: list(a.std_mean(1)), lambda a: list(torch.std_mean(a, 1)), x)


def test_ties_share_the_gradient(agree: Any) -> None:
    x = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]], np.float32)
    agree(lambda a: [a.amax(1), a.amin(1)], None, x)
    agree(lambda a: a.max(), None, x)


def test_nan_wins_maxima_and_their_places(agree: Any) -> None:
    x = np.array([[1.0, np.nan, 3.0], [2.0, 5.0, 5.0]], np.float32)
    agree(lambda a: [a.amax(1), a.amin(1), a.argmax(1), a.argmin(1)], None, x, grad=False)


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("keepdim", [False, True])
def test_places_of_extremes_agree(
    agree: Any, rng: np.random.Generator, axis: Any, keepdim: bool
) -> None:
    x = rng.integers(0, 5, (4, 7))
    for values in (x, x.astype(np.float32)):
        agree(
            lambda a: [a.argmax(axis, keepdim=keepdim), a.argmin(axis, keepdim=keepdim)],
            None,
            values,
            grad=False,
        )


def test_truths_agree(agree: Any, rng: np.random.Generator) -> None:
    x = rng.integers(0, 2, (4, 6))
    x[0], x[:, 0] = 0, 1
    agree(lambda a: [a.any(), a.all(), a.any(1), a.all(0, keepdim=True)], None, x)
    agree(lambda a: [a.count_nonzero(), a.count_nonzero(1)], None, x)


def test_integer_reductions_agree(agree: Any, rng: np.random.Generator) -> None:
    for dtype in (np.int32, np.uint8, np.bool_):
        x = rng.integers(0, 2, (3, 4)).astype(dtype)
        agree(lambda a: [a.sum(), a.sum(0), a.prod(1), a.cumsum(0)], None, x)


def test_empty_reductions_agree(agree: Any) -> None:
    agree(
        lambda a: [a.sum(), a.sum(0), a.prod(), a.mean()],
        None,
        np.zeros((0, 3), np.float32),
        grad=False,
    )


@pytest.mark.parametrize("p", [0, 1, 2, 3, np.inf, -np.inf])
def test_norms_agree(agree: Any, x: np.ndarray, p: float) -> None:
    agree(lambda a: a.norm(p), None, x, grad=p != 0)
    agree(lambda a: a.norm(p, 1), None, x, grad=p != 0)


@pytest.mark.parametrize("n", [1, 2, 31, 32, 33, 100, 1100])
def test_scans_agree(agree: Any, rng: np.random.Generator, n: int) -> None:
    x = rng.standard_normal((2, n)).astype(np.float32)
    agree(lambda a: a.cumsum(1), None, x, atol=1e-4)
    agree(lambda a: a.cumsum(0), None, x)
    agree(lambda a: list(a.cummax(1)), None, x)
    agree(lambda a: list(a.cummin(1)), None, x)
    agree(lambda a: a.logcumsumexp(1), None, x, rtol=1e-4, atol=1e-4)
    agree(lambda a: a.logcumsumexp(0), None, x * 300, rtol=1e-4, atol=1e-4)


def test_running_products_agree(agree: Any, rng: np.random.Generator) -> None:
    agree(
        lambda a: a.cumprod(1), None, rng.uniform(0.5, 1.5, (2, 40)).astype(np.float32), rtol=1e-4
    )


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_softmax_and_its_logarithm_agree(agree: Any, x: np.ndarray, axis: int) -> None:
    agree(lambda a: [a.softmax(axis), a.log_softmax(axis)], None, x)
    agree(lambda a: a.softmin(axis), lambda a: F.softmin(a, axis), x)


def test_softmax_of_large_and_infinite_scores_agrees(agree: Any) -> None:
    x = np.array([[1e4, -1e4, 0.0], [-np.inf, 0.0, 1.0], [88.0, 89.0, 90.0]], np.float32)
    agree(lambda a: [a.softmax(1), a.log_softmax(1), a.logsumexp(1)], None, x)


def test_normalisations_agree(agree: Any, rng: np.random.Generator, x: np.ndarray) -> None:
    weight, bias = rng.standard_normal((2, 5)).astype(np.float32)
    agree(
        lambda a, w, b: a.layer_norm(5, w, b),
        lambda a, w, b: F.layer_norm(a, (5,), w, b),
        x,
        weight,
        bias,
    )
    agree(lambda a: a.layer_norm((4, 5)), lambda a: F.layer_norm(a, (4, 5)), x)
    agree(lambda a, w: a.rms_norm(-1, w), lambda a, w: F.rms_norm(a, (5,), w), x, weight)
    agree(lambda a: a.normalize(), lambda a: F.normalize(a), x)
    agree(lambda a: a.glu(0), lambda a: F.glu(a, 0), x[:2])

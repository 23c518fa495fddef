"""Reductions, statistics, scans, softmax and normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lazygrad import Tensor, TinyJit

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
    agree(
        lambda a, w: a.rms_norm(axis=-1, weight=w), lambda a, w: F.rms_norm(a, (5,), w), x, weight
    )
    agree(lambda a: a.normalize(), lambda a: F.normalize(a), x)
    agree(lambda a: a.glu(0), lambda a: F.glu(a, 0), x[:2])


# --------------------------------------------------------------------------- two results

PAIRS: dict[str, Any] = {
    "max": lambda x: x.max(1),
    "max by name": lambda x: x.max(dim=-2),
    "max that keeps": lambda x: x.max(0, True),
    "min": lambda x: x.min(dim=1, keepdim=True),
    "sort": lambda x: x.sort(dim=1, stable=True),
    "sort down": lambda x: x.sort(dim=0, descending=True, stable=True),
    "topk": lambda x: x.topk(2),
    "median": lambda x: x.median(dim=1),
    "nanmedian": lambda x: x.nanmedian(dim=1),
    "nanmedian that keeps": lambda x: x.nanmedian(0, keepdim=True),
    "mode": lambda x: x.mode(1),
    "mode that keeps": lambda x: x.mode(0, keepdim=True),
    "kthvalue": lambda x: x.kthvalue(2, dim=1),
    "cummax": lambda x: x.cummax(dim=1),
    "cummin": lambda x: x.cummin(0),
}


@pytest.mark.parametrize("name", PAIRS)
def test_values_and_indices_agree(agree: Any, rng: np.random.Generator, name: str) -> None:
    distinct = rng.permutation(20).reshape(4, 5).astype(np.float32)
    equal = np.array([[1, 1, 2, 2, 0, 0, 5], [3, 4, 3, 4, 3, 4, 1]], np.float32)
    nans = np.array([[3, 2, 2, np.nan, 1], [np.nan, 1, 1, np.nan, 5]], np.float32)
    arrays = [distinct]
    if name.startswith(("max", "min", "cum", "sort")):
        arrays.append(equal)
    if name.startswith(("nanmedian", "max", "min")):
        arrays.append(nans)
    if name == "mode":
        arrays.append(equal)
    operation = PAIRS[name]
    for array in arrays:
        agree(lambda x: list(operation(x)), None, array)
        agree(lambda x: [operation(x).values, operation(x).indices], None, array)
        for dtype in (np.int64, np.uint8):
            whole = np.nan_to_num(array).astype(dtype)
            agree(lambda x: list(operation(x)), None, whole)
    half = Tensor(distinct).half()
    values, indices = operation(half)
    assert str(values.dtype) == "float16"
    assert indices.tolist() == operation(torch.tensor(distinct).half()).indices.tolist()


def test_extremes_have_names(agree: Any, x: np.ndarray) -> None:
    agree(lambda a: [a.aminmax().min, a.aminmax().max], None, x)
    agree(lambda a: [*a.aminmax(dim=1), a.aminmax(dim=0, keepdim=True).max], None, x)


def test_numpys_word_gives_values_alone(x: np.ndarray) -> None:
    for axis in (None, 0, -1, (0, 2), (0, 1, 2)):
        np.testing.assert_array_equal(Tensor(x).max(axis=axis).numpy(), x.max(axis))
        np.testing.assert_array_equal(
            Tensor(x).min(axis=axis, keepdims=True).numpy(), x.min(axis, keepdims=True)
        )
    np.testing.assert_array_equal(Tensor(x).max((1, 2)).numpy(), x.max((1, 2)))
    with pytest.raises(TypeError, match="give dim or axis, not both"):
        Tensor(x).max(1, axis=0)


def test_a_tensor_for_an_axis_is_the_other_operand(agree: Any, x: np.ndarray) -> None:
    agree(lambda a, b: [a.max(b), a.min(b)], None, x, x[::-1].copy())


def test_two_results_pass_through_a_captured_function(x: np.ndarray) -> None:
    captured = TinyJit(lambda a: a.max(1))
    for shift in range(4):
        found = captured(Tensor(x + shift).realize())
        np.testing.assert_array_equal(found.values.numpy(), x.max(1) + shift)
        np.testing.assert_array_equal(found.indices.numpy(), x.argmax(1))


def test_single_values_have_an_axis_to_reduce() -> None:
    for name in ("max", "min", "median", "nanmedian", "mode"):
        values, indices = getattr(Tensor(3.0), name)(0)
        assert (values.item(), indices.item()) == (3.0, 0)

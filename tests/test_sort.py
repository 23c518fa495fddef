"""Sorting and selecting, compiled: every dtype, ties, nan, signed zeros and the extremes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lazygrad import Tensor

DTYPES = ["bool", "int8", "uint8", "int32", "uint32", "int64", "uint64", "float16", "float32",
          "float64"]  # fmt: skip


def keys(dtype: str, n: int) -> np.ndarray[Any, Any]:
    """Rows with many ties, and with what is special of the dtype."""
    rng = np.random.default_rng(n)
    x = rng.integers(0 if dtype[0] in "ub" else -3, 4, (4, n)).astype(dtype)
    if n < 5:
        return x
    if x.dtype.kind == "f":
        x[0, :3] = x[1, -1] = np.nan
        x[2, 0], x[2, 1], x[3, 2], x[3, 4] = -np.inf, np.inf, 0.0, -0.0
    elif x.dtype.kind in "iu":
        limits = np.iinfo(x.dtype)
        x[0, 0], x[0, 3], x[1, 2] = limits.max, limits.min, limits.max
    return x


def expected(x: np.ndarray[Any, Any], descending: bool) -> list[list[int]]:
    """The stable order of each row, nan the largest, by Python's own sort."""

    def key(value: Any) -> tuple[bool, Any]:
        is_nan = value != value
        return (is_nan, 0 if is_nan else value)

    return [  # reversed, Python's sort keeps the order of what is equal
        sorted(range(len(row)), key=lambda i: key(row[i]), reverse=descending) for row in x.tolist()
    ]


@pytest.mark.parametrize("descending", [False, True], ids=["up", "down"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_sort(dtype: str, descending: bool) -> None:
    for n in (1, 2, 5, 64, 300):
        x = keys(dtype, n)
        values, indices = Tensor(x).sort(1, descending=descending)
        assert indices.tolist() == expected(x, descending)
        np.testing.assert_array_equal(values.numpy(), np.take_along_axis(x, indices.numpy(), 1))


@pytest.mark.parametrize("descending", [False, True], ids=["up", "down"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_long_rows_are_sorted_by_all_digits(dtype: str, descending: bool) -> None:
    rng = np.random.default_rng(3)
    bits = rng.integers(0, 1 << 64, (3, 2000), np.uint64)
    if dtype == "bool":
        x = bits > 1 << 63
    elif np.dtype(dtype).kind == "f":  # all bit patterns: every exponent, nan of either sign
        x = bits.view(dtype)[:, :2000]
        x[np.isnan(x)] = np.nan
    else:
        x = bits.astype(dtype)
    x[1, 3:] = x[1, 3]  # nearly all alike
    x[2] = x[2, 0]
    _, indices = Tensor(x).sort(1, descending=descending)
    assert indices.tolist() == expected(x, descending)


@pytest.mark.parametrize("dtype", ["int64", "uint64", "float64", "int32", "float32"])
def test_one_digit_that_differs_is_enough(dtype: str) -> None:
    for shift in range(np.dtype(dtype).itemsize * 8 - 2):
        x = (np.arange(300)[::-1] % 2).astype(dtype) * 2.0**shift
        x = x.astype(dtype)
        np.testing.assert_array_equal(
            Tensor(x).argsort().numpy(), np.argsort(x, kind="stable"), err_msg=str(shift)
        )


def test_randperm_has_every_number_once() -> None:
    for n in (1, 2, 63, 64, 255, 256, 5000):
        assert sorted(Tensor.randperm(n).tolist()) == list(range(n))


def test_sort_of_rows_within_rows() -> None:
    x = np.random.default_rng(0).normal(0, 1e3, (3, 16, 17)).astype(np.float32)
    for axis in range(3):
        np.testing.assert_array_equal(Tensor(x).sort(axis)[0].numpy(), np.sort(x, axis))
        order = np.argsort(x, axis, kind="stable")
        np.testing.assert_array_equal(Tensor(x).argsort(axis).numpy(), order)
    np.testing.assert_array_equal(Tensor(x).topk(3, 2)[0].numpy(), -np.sort(-x, 2)[..., :3])


@pytest.mark.parametrize("largest", [False, True], ids=["least", "largest"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_topk(dtype: str, largest: bool) -> None:
    for n, k in ((1, 1), (5, 1), (5, 4), (64, 1), (65, 1), (74, 10), (138, 10), (300, 7), (9, 9)):
        x = keys(dtype, n)
        _, indices = Tensor(x).topk(k, 1, largest=largest)
        assert indices.tolist() == [row[:k] for row in expected(x, largest)]


@pytest.mark.parametrize("n", [64, 67, 131, 200, 1000])
def test_one_key_of_a_long_row_is_found_wherever_it_is(n: int) -> None:
    ahead = np.eye(n, dtype=np.float32)  # in row i, key i
    values, indices = Tensor(ahead).topk(3, 1)
    assert values.tolist() == [[1.0, 0.0, 0.0]] * n
    assert indices.tolist() == [row[:3] for row in expected(ahead, True)]
    rising = np.arange(n, dtype=np.float32)[None]  # each key goes before all that came earlier
    assert Tensor(rising).topk(3, 1)[1].tolist() == [[n - 1, n - 2, n - 3]]

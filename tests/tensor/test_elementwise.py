"""Elementwise operations against NumPy, where that has something to say that PyTorch has not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lazygrad import Tensor

LARGE = 1 << 62
DEVICES = ["CPU", "GPU"]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: (x * LARGE) < 0,
        lambda x: (x * LARGE * 3 + 5) % 7,
        lambda x: (x * LARGE - 1) // 3,
        lambda x: (x * LARGE * 4) == 0,
        lambda x: (x + LARGE + LARGE - 5) <= 0,
        lambda x: (x - LARGE - LARGE - 2) < 0,
        lambda x: -(x * LARGE) > 3,
        lambda x: (x * LARGE + LARGE) > 0,
    ],
)
def test_integers_wrap_where_they_are_counted_too(function: Callable[[Any], Any]) -> None:
    """What is computed from indices alone is simplified as indices are, which never wrap."""
    counted = np.arange(10)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(function(Tensor.arange(10)).numpy(), function(counted))
        np.testing.assert_array_equal(function(Tensor(counted)).numpy(), function(counted))


@pytest.mark.parametrize("device", DEVICES)
def test_unsigned_integers_may_be_negative_as_signed_ones(device: str) -> None:
    values = np.array([2**64 - 1, 2**63, 5, 2**63 + 12345], np.uint64)
    x, wanted = Tensor(values, device=device).cast("int64"), values.astype(np.int64)
    np.testing.assert_array_equal((x % 7).numpy(), wanted % 7)
    np.testing.assert_array_equal((x // 3).numpy(), wanted // 3)
    table = np.arange(1000, 1016)
    found = Tensor(table, device=device).gather(0, x % 7)
    np.testing.assert_array_equal(found.numpy(), table[wanted % 7])


@pytest.mark.parametrize("device", DEVICES)
def test_small_integers_wrap_before_they_are_widened(device: str) -> None:
    def tensor(values: np.ndarray[Any, Any]) -> Tensor:
        return Tensor(values, device=device)

    c, e = np.array([120, 3], np.int8), np.array([100, 100], np.int8)
    places = (tensor(c).maximum(0) + tensor(e).maximum(100)).cast("int64")
    with pytest.raises(IndexError, match="index -36 is outside 0 to 299"):
        tensor(np.arange(1000, 1300)).gather(0, places).numpy()
    np.testing.assert_array_equal(places.numpy(), [-36, 103])
    a, b = np.array([0, 3], np.uint32), np.array([5, 5], np.uint32)
    lower = (tensor(a).minimum(10) - tensor(b).minimum(5)).cast("int64")
    np.testing.assert_array_equal(lower.numpy(), [2**32 - 5, 2**32 - 2])
    p, q = np.array([2**31 - 1], np.int32), np.array([1], np.int32)
    third = (tensor(p).maximum(0) + tensor(q).maximum(0)).cast("int64") // 3
    np.testing.assert_array_equal(third.numpy(), [-(2**31) // 3])


@pytest.mark.parametrize("device", DEVICES)
def test_quotients_of_the_largest_integers(device: str) -> None:
    x = np.array([2**63 - 1, -(2**63)])
    found = Tensor(x, device=device) // (3 << 30) + 1
    np.testing.assert_array_equal(found.numpy(), x // (3 << 30) + 1)


@pytest.mark.parametrize("device", ["CPU", "GPU"])
def test_what_is_known_not_to_be_negative_is_divided_by_negatives(device: str) -> None:
    divisor = Tensor([-7, -2, 3, 5], device=device)
    small = Tensor(np.array([100, 200, 7, 9], np.uint8), device=device).cast("int32")
    places = Tensor.arange(20, device=device)
    assert (100 // divisor).tolist() == [-15, -50, 33, 20]
    assert (100 % divisor).tolist() == [-5, 0, 1, 0]
    assert (small // -7).tolist() == [-15, -29, -1, -2]
    assert (small % -7).tolist() == [-5, -3, 0, -5]
    assert (places // -3).tolist() == [n // -3 for n in range(20)]
    assert (places % -3).tolist() == [n % -3 for n in range(20)]


def test_fmod_by_the_smallest_integer() -> None:
    x, least = Tensor(np.array([127, -127, -128], np.int8)), Tensor(np.int8([-128] * 3))
    assert x.fmod(least).tolist() == [127, -127, 0]

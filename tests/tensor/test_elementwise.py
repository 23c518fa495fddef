"""Elementwise operations against NumPy, where that has something to say that PyTorch has not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lazygrad import Tensor

LARGE = 1 << 62


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

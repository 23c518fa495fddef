"""Which scatters add up in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lazygrad.dtypes import float32, float64
from lazygrad.graph.build import expand, reshape
from lazygrad.graph.evaluate import evaluate
from lazygrad.graph.ir import Cast, Iota, Scatter
from lazygrad.schedule.widen import widen_scatters


def rows(leaf: Any, count: int, places: int, op: str = "sum") -> Scatter:
    """`count` rows of three into `places` rows."""
    rng = np.random.default_rng(0)
    numbers = leaf(rng.integers(0, places, count))
    shape = (count, 3)
    where = expand(reshape(numbers, (count, 1)), shape)
    column = expand(reshape(Iota(3), (1, 3)), shape)
    x = leaf(np.zeros((places, 3), np.float32))
    return Scatter(x, (where, column), leaf(rng.random(shape, np.float32)), op)


@pytest.mark.parametrize(("count", "places"), [(600, 5), (2_000, 1_999), (17_000, 18_000)])
def test_many_values(leaf: Any, count: int, places: int) -> None:
    node = rows(leaf, count, places)
    (wide,) = widen_scatters([node])
    assert isinstance(wide, Cast)
    assert (wide.dtype, wide.x.dtype) == (float32, float64)
    np.testing.assert_allclose(*evaluate([node, wide]), rtol=1e-5)


@pytest.mark.parametrize(("count", "places"), [(0, 5), (512, 5), (2_000, 2_001)])
def test_few_values_stay(leaf: Any, count: int, places: int) -> None:
    node = rows(leaf, count, places)
    assert widen_scatters([node]) == [node]


@pytest.mark.parametrize("op", ["set", "max", "prod"])
def test_what_is_not_added_up_stays(leaf: Any, op: str) -> None:
    node = rows(leaf, 600, 5, op)
    assert widen_scatters([node]) == [node]

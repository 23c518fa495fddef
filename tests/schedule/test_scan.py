"""Cumulative sums of few rows are sums of blocks."""

from __future__ import annotations

import numpy as np
import pytest

from lazygrad import Tensor
from lazygrad.graph.evaluate import evaluate
from lazygrad.graph.ir import Scan, topological
from lazygrad.graph.simplify import simplify
from lazygrad.schedule.scan import split_scans


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("n", [2, 8, 9, 70, 513])
def test_blocks_have_the_same_sums(n: int, axis: int) -> None:
    x = np.random.default_rng(n).integers(-9, 9, (n, 3) if axis == 0 else (3, n))
    (before,) = simplify([Tensor(x).cumsum(axis)._node])
    (after,) = split_scans([before], rows=4)
    assert not any(isinstance(node, Scan) for node in topological([after]))
    np.testing.assert_array_equal(*evaluate([before, after]))


def test_a_thread_a_row_keeps_a_scan() -> None:
    (node,) = simplify([Tensor.zeros(4, 9).contiguous().cumsum(1)._node])
    assert split_scans([node], rows=4) == [node]


@pytest.mark.parametrize("device", ["CPU", "GPU"])
def test_a_product_that_is_zero_stays_zero(device: str) -> None:
    """Whatever comes after, though it would overflow: products are made in order."""
    x = np.full((2, 3000), 1.5, np.float32)
    x[0, 7] = 0
    result = Tensor(x, device=device).cumprod(1).numpy()
    np.testing.assert_allclose(result[0, :7], 1.5 ** np.arange(1, 8), rtol=1e-6)
    assert not result[0, 7:].any()
    assert np.isinf(result[1, -1])

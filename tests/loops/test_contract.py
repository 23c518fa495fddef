"""Contractions large enough for every kind of blocking."""

from __future__ import annotations

import numpy as np
import pytest

from lazygrad import Tensor


@pytest.mark.parametrize("sizes", [(512, 1024, 512), (517, 1030, 253)])
def test_blocks_that_overlap_add_their_sums_once(sizes: tuple[int, int, int]) -> None:
    m, k, n = sizes
    random = np.random.default_rng(0)
    a = random.standard_normal((m, k)).astype("float32")
    b = random.standard_normal((k, n)).astype("float32")
    result = (Tensor(a) @ Tensor(b)).numpy()
    np.testing.assert_allclose(result, a @ b, rtol=1e-3, atol=1e-3)

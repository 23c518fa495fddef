"""Calls at sizes that grow: plans are found before the calls are built."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lazygrad import Tensor, no_grad
from lazygrad.tensor import any_size, recall


def rand(*shape: int) -> Tensor:
    values = np.random.default_rng(sum(shape)).standard_normal(shape)
    return Tensor(values.astype(np.float32)).realize()


def test_a_cache_that_grows_is_built_at_the_first_sizes_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recall._templates.clear()
    any_size._forms.clear()
    tried = []
    original = recall._kept

    def counted(*call: Any) -> Any:
        tried.append(call)
        return original(*call)

    monkeypatch.setattr(recall, "_kept", counted)
    cache, rows = rand(1, 4), [rand(1, 4).numpy()]
    query = rand(1, 4)
    with no_grad():
        for n in range(31):
            new = rand(1, 4) * n
            rows.append(new.numpy())
            cache = Tensor.cat(cache, new)
            attended = query.scaled_dot_product_attention(cache, cache * 2)
            keys = np.concatenate(rows)
            scores = np.exp(query.numpy() @ keys.T / 2)
            expected = scores / scores.sum() @ keys * 2
            np.testing.assert_allclose(attended.numpy(), expected, rtol=2e-4, atol=1e-5)
            if n == 22:  # where the sizes of axes double, it is decided anew what is kept
                tried.clear()
    assert not tried

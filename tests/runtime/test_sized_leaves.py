"""Sizes that vary, where leaves of a graph are values that were computed after it was made: they
still have inputs, which are no part of the graph. Or they grew, and their memory is larger."""

from __future__ import annotations

import numpy as np

from lazygrad import Tensor
from lazygrad.runtime.room import Roomy

SIZES = (4, 5, 6, 9)


def normal(*shape: int) -> Tensor:
    values = np.random.default_rng(shape).standard_normal(shape, dtype=np.float32)
    return Tensor(values).realize()


def test_a_product():
    for n in SIZES:
        x = normal(n, 4)
        product = x * (x + 1)
        total = product.sum(0)
        expected = product.numpy().sum(0)
        np.testing.assert_allclose(total.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_a_joined_tensor():
    for n in SIZES:
        x, end = normal(n, 4), Tensor.ones(1, 4)
        joined = Tensor.cat(x, end)
        copy = joined.contiguous()
        expected = joined.numpy()
        np.testing.assert_array_equal(copy.numpy(), expected)


def test_indices_with_another_shape():
    for n in SIZES:
        x = normal(n)
        places = x.argsort().reshape(1, n)
        found = x[places]
        assert sorted(places.numpy()[0]) == list(range(n))
        np.testing.assert_array_equal(found.numpy()[0], np.sort(x.numpy()))


def test_a_tensor_that_grew_and_has_one_size_in_another_family():
    for axis, shape in enumerate([(1, 4), (2, 1)]):
        cache = normal(*shape)
        for _ in range(6):
            cache = Tensor.cat(cache, normal(*shape) * 2, axis=axis).realize()
        for n in SIZES:
            _ = (normal(n) * normal(*cache.shape).sum()).numpy()
        assert isinstance(cache.storage.held, Roomy)
        found = (normal(7) * cache.sum()).numpy()
        np.testing.assert_allclose(found, normal(7).numpy() * cache.numpy().sum(), rtol=1e-4)

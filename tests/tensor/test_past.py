"""Derivatives with respect to tensors that were never said to require gradient."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from lazygrad import Tensor

A = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)


def product(x: Tensor) -> Tensor:
    return x @ Tensor(A.T.copy())


@pytest.mark.parametrize("way", ["along", "asked for", "gone"])
def test_a_derivative_through_a_value_that_is_a_constant_by_now_raises(way: str) -> None:
    x = Tensor(A)
    h = product(x)
    if way == "asked for":
        h.realize()
    else:
        h.sum().item()
    loss = (h * x).sum()
    if way == "gone":
        del h
        gc.collect()
    with pytest.raises(RuntimeError, match=r"shape \(64, 64\) .* was computed already"):
        loss.gradient(x)


def test_through_several_such_values() -> None:
    x = Tensor(A)
    h = product(x).realize()
    h = product(h).realize()
    with pytest.raises(RuntimeError, match="was computed already"):
        (h * x).sum().gradient(x)


def test_what_was_marked_is_differentiated_in_full() -> None:
    found = []
    for asks in (False, True):
        x = Tensor(A, requires_grad=True)
        h = product(x)
        if asks:
            h.sum().item()
        found.append((h * x).sum().gradient(x)[0].numpy())
    np.testing.assert_allclose(*found, rtol=1e-5)


def test_constants_that_have_no_part_of_a_target_are_no_matter() -> None:
    x, w = Tensor(A), Tensor(A + 1)
    data = product(x).realize()
    (found,) = (data * w).sum().gradient(w)
    np.testing.assert_allclose(found.numpy(), A @ A.T, rtol=1e-4, atol=1e-4)
    (found,) = (data * x).sum().gradient(data)  # the value itself
    np.testing.assert_array_equal(found.numpy(), A)
    h = product(x).detach().realize()
    (found,) = (h * x).sum().gradient(x)  # meant as a constant
    np.testing.assert_allclose(found.numpy(), A @ A.T, rtol=1e-4, atol=1e-4)


def test_a_carried_state_keeps_nothing_alive() -> None:
    from lazygrad.tensor.past import _sources

    w = Tensor(A * 0.1)
    h = Tensor(A)
    counts = []
    for _ in range(20):
        h = (h @ w).tanh().realize()
        counts.append(len(list(_sources)))
    assert len(set(counts[5:])) == 1
    assert len(_sources[h.node]) <= 3  # the weight, the state before, and one that is gone

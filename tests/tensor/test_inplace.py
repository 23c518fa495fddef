"""Changes in place that draw, or that are refused."""

from __future__ import annotations

import numpy as np
import pytest

from lazygrad import Tensor
from lazygrad.errors import DTypeError, ShapeError
from lazygrad.graph.ir import sources
from lazygrad.tensor import blocks


def test_random_numbers_fill_a_view() -> None:
    Tensor.manual_seed(1)
    x = Tensor.zeros(2, 5000)
    x[0].uniform_(2, 4)
    assert x[1].amax().item() == 0
    assert 2 <= x[0].amin().item() < x[0].amax().item() < 4
    assert x[0].mean().item() == pytest.approx(3, abs=0.05)
    x[1].normal_(1, 3)
    assert x[1].mean().item() == pytest.approx(1, abs=0.2)
    assert x[1].std().item() == pytest.approx(3, abs=0.2)
    assert x[1].exponential_(2.0).mean().item() == pytest.approx(0.5, abs=0.05)
    assert x[1].bernoulli_(0.3).mean().item() == pytest.approx(0.3, abs=0.05)
    assert set(x[1].random_(3).numpy().tolist()) == {0, 1, 2}
    assert set(x[1].random_(5, 7).numpy().tolist()) == {5, 6}


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "int64", "float32", "float16"])
def test_random_whole_numbers_use_the_range_of_the_dtype(dtype: str) -> None:
    values = Tensor.zeros(2000, dtype=dtype).random_().numpy().astype(np.float64)
    bits = {"uint8": 8, "int8": 7, "int32": 31, "int64": 63, "float32": 24, "float16": 11}[dtype]
    assert values.min() >= 0
    assert 0.9 * 2.0**bits < values.max() <= 2.0**bits


def test_what_does_not_fit_is_refused() -> None:
    x = Tensor.zeros(2, 2)
    with pytest.raises(ShapeError, match="fill_"):
        x.fill_(Tensor([1.0, 2.0]))
    with pytest.raises(ShapeError, match="fill_diagonal_"):
        Tensor.zeros(2, 3, 2).fill_diagonal_(1)
    with pytest.raises(ValueError, match="negative"):
        x.normal_(0, -1)
    with pytest.raises(ValueError, match="positive"):
        x.exponential_(0)
    with pytest.raises(DTypeError, match="in place"):
        Tensor([1, 2]).sqrt_()
    with pytest.raises(RuntimeError, match="no_grad"):
        Tensor([1.0], requires_grad=True).exp_()


def test_detach_in_place_cuts_the_way_of_the_gradient() -> None:
    w = Tensor([2.0], requires_grad=True)
    y = (w * 3).detach_()
    assert not y.requires_grad
    (y * w).sum().backward()
    assert w.grad is not None
    assert w.grad.item() == 6.0
    z = w * 3
    with pytest.raises(RuntimeError, match="detach_"):
        z[0:1].detach_()


def test_numbers_do_not_go_into_bools() -> None:
    x = Tensor([True, False])
    with pytest.raises(TypeError, match="int64 cannot go into bool"):
        x += 1
    x |= True
    assert x.tolist() == [True, True]


def test_writes_that_are_not_computed_yet_cost_no_more_the_more_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked_at = 0

    def counted(node):
        nonlocal looked_at
        looked_at += 1
        return sources(node)

    monkeypatch.setattr(blocks, "sources", counted)
    memory, other, x = Tensor.zeros(64, 4), Tensor.zeros(64, 4), Tensor.ones(4)
    for i in range(60):
        memory[i] = x
        other[i] = x + 1
        x = x / 2 + memory[: i + 1].sum(0) + other[: i + 1].mean(0)
    assert looked_at < 60 * 2 * 2 * blocks.NEAR
    assert np.isfinite(x.numpy()).all()


def test_a_value_far_from_the_view_that_it_reads() -> None:
    x = Tensor(np.arange(80, dtype=np.float32).reshape(20, 4))
    value = x[3]
    for _ in range(2 * blocks.NEAR):
        value = value + 1
    x[3] = value - x[3]
    assert x[3].tolist() == [2 * blocks.NEAR] * 4
    assert x[4].tolist() == [16, 17, 18, 19]

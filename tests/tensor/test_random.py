"""Random numbers: the cipher's published vectors, streams by seed, distributions."""

from __future__ import annotations

from hashlib import sha1
from typing import Any

import numpy as np
import pytest

from lazygrad import Tensor, dtypes
from lazygrad.graph.evaluate import operate as apply
from lazygrad.graph.ir import OPERATIONS, RandomBits, threefry, topological
from lazygrad.graph.simplify import simplify
from lazygrad.runtime.device import Device
from lazygrad.schedule.fuse import fuse

# What rand and randint drew before there was a node of random bits, in each dtype.
BITS = ["f889cf26706e", "28e6c79f2d4d", "53c69e039f17", "09f85d660251", "e16fcf5feab0",
        "894824009456"]  # fmt: skip


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [  # the known answers that come with the paper's Random123 library
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
        ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_threefry_gives_the_published_answers(counter: Any, key: Any, expected: Any) -> None:
    def operate(op: str, x: Any, y: Any) -> Any:
        return apply(OPERATIONS[op], np.asarray(x, np.uint32), np.asarray(y, np.uint32))

    assert threefry(key, counter, operate) == expected


@pytest.mark.parametrize(
    "draw",
    [
        lambda: Tensor.rand(64, 32),
        lambda: Tensor.randn(64, 32),
        lambda: Tensor.randint(64, 32, high=7),
        lambda: Tensor.ones(64, 32).contiguous().realize().dropout(0.5) * 2,
    ],
    ids=["rand", "randn", "randint", "dropout"],
)
def test_a_draw_is_one_kernel(draw: Any) -> None:
    """Beside the kernel that advances the state; one node is all that is drawn."""
    Tensor.rand(1).realize()  # and with it the state
    with Tensor.train():
        node = draw()._node
    assert sum(isinstance(x, RandomBits) for x in topological([node])) == 1
    assert len(fuse(simplify([node]), 2).kernels) == 1


def test_a_seed_gives_the_numbers_that_it_always_gave() -> None:
    Tensor.manual_seed(12345)
    found = [
        sha1(make(5, 7, 3, dtype=dtype).numpy().tobytes()).hexdigest()[:12]
        for dtype in ("float16", "float32", "float64")
        for make in (Tensor.rand, Tensor.randint)
    ]
    assert found == BITS


def test_a_seed_names_a_stream() -> None:
    def draw() -> list[Any]:
        return [Tensor.rand(5).tolist(), Tensor.randn(3).tolist(), Tensor.randperm(6).tolist()]

    Tensor.manual_seed(7)
    first = draw()
    assert draw() != first
    Tensor.manual_seed(7)
    assert draw() == first
    Tensor.manual_seed(8)
    assert draw() != first


def test_a_draw_is_one_set_of_numbers_however_it_is_read() -> None:
    Tensor.manual_seed(0)
    x = Tensor.rand(4)
    y = Tensor.rand(4)
    later = x + 0
    assert x.tolist() == later.tolist()
    assert x.tolist() != y.tolist()
    Tensor.manual_seed(0)
    assert Tensor.rand(2, 2).flatten().tolist() == x.tolist()
    assert Tensor.rand(4).tolist() == y.tolist()


def test_the_state_is_realized_with_what_it_made(size: Any) -> None:
    from lazygrad.tensor.random import _states

    Tensor.manual_seed(0)
    for _ in range(3):
        Tensor.rand(4).realize()
        assert size(_states[Device.DEFAULT].node) == 1
    assert _states[Device.DEFAULT].tolist() == [0, 0, 3]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_uniform_numbers_fill_the_interval_evenly(dtype: str) -> None:
    Tensor.manual_seed(3)
    x = Tensor.rand(20000, dtype=dtype)
    assert x.dtype.name == dtype
    values = x.numpy().astype(np.float64)
    assert 0 <= values.min() < 0.01
    assert 0.98 < values.max() < 1
    counts = np.histogram(values, 10, (0, 1))[0]
    assert abs(counts - 2000).max() < 250


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_normal_numbers_have_the_moments(dtype: str) -> None:
    Tensor.manual_seed(4)
    values = Tensor.randn(200, 100, dtype=dtype).numpy().astype(np.float64)
    assert abs(values.mean()) < 0.03
    assert abs(values.std() - 1) < 0.02
    assert abs((values**4).mean() - 3) < 0.2
    assert abs(np.corrcoef(values[:, :-1].ravel(), values[:, 1:].ravel())[0, 1]) < 0.03
    shifted = Tensor.normal(20000, mean=3, std=0.5).numpy()
    assert abs(shifted.mean() - 3) < 0.02
    assert abs(shifted.std() - 0.5) < 0.02


def test_whole_numbers_are_even_and_in_range() -> None:
    Tensor.manual_seed(5)
    values = Tensor.randint(30000, low=-2, high=4).numpy()
    assert values.dtype == np.int64
    counts = np.bincount(values + 2)
    assert len(counts) == 6
    assert abs(counts - 5000).max() < 400
    wide = Tensor.randint(1000, low=0, high=2**32).numpy()
    assert wide.max() > 2**31
    assert Tensor.randint(2, 3, high=5, dtype="uint8").dtype == dtypes.uint8


def test_permutations_are_permutations() -> None:
    Tensor.manual_seed(6)
    assert sorted(Tensor.randperm(50).tolist()) == list(range(50))
    places = np.array([Tensor.randperm(4).tolist() for _ in range(400)])
    assert abs(np.bincount(places[:, 0]) - 100).max() < 40


def test_dropout_keeps_the_mean_and_acts_in_training_only() -> None:
    Tensor.manual_seed(7)
    x = Tensor.ones(10000, requires_grad=True)
    assert x.dropout(0.3) is x
    with Tensor.train():
        y = x.dropout(0.3)
        assert x.dropout(0) is x
        assert x.dropout(1).sum().item() == 0
    y.sum().backward()
    values = y.numpy()
    assert set(np.unique(values)) == {np.float32(0), np.float32(1 / 0.7)}
    assert abs(values.mean() - 1) < 0.03
    np.testing.assert_array_equal(x.grad.numpy(), values)


def test_draws_by_weight_follow_the_weights() -> None:
    Tensor.manual_seed(8)
    weights = Tensor([1.0, 0.0, 3.0, 4.0])
    drawn = weights.multinomial(8000, replacement=True).numpy()
    shares = np.bincount(drawn, minlength=4) / 8000
    np.testing.assert_allclose(shares, [0.125, 0, 0.375, 0.5], atol=0.02)
    rows = Tensor.ones(300, 4).multinomial(4).numpy()
    assert (np.sort(rows, 1) == np.arange(4)).all()
    heads = Tensor.full((5000,), 0.2).bernoulli().mean().item()
    assert abs(heads - 0.2) < 0.03


@pytest.mark.parametrize(
    ("make", "bound"),
    [
        (lambda: Tensor.uniform(100, 50, low=-2, high=2), 2.0),
        (lambda: Tensor.scaled_uniform(100, 50), 5000**-0.5),
        (lambda: Tensor.glorot_uniform(100, 50), (6 / 150) ** 0.5),
        (lambda: Tensor.kaiming_uniform(100, 50), (6 / 50) ** 0.5),
        (lambda: Tensor.kaiming_uniform(10, 20, 5, 5, a=1.0), (6 / 2 / 500) ** 0.5),
    ],
)
def test_initial_weights_have_their_bounds(make: Any, bound: float) -> None:
    Tensor.manual_seed(9)
    values = make().numpy()
    assert 0.98 * bound < np.abs(values).max() <= bound
    assert abs(values.mean()) < 0.05 * bound

"""Functions of torch.nn.functional that no layer of the other tests calls: values and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from lazygrad import Tensor
from lazygrad.nn import functional as F

RNG = np.random.default_rng(5)
TF: Any = torch.nn.functional


def floats(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


IMAGE, GRID, VOLUME = floats(2, 3, 5, 4), floats(2, 3, 6, 2) * 0.8, floats(1, 2, 3, 4, 3)
INDEX, WEIGHT = RNG.integers(0, 6, (3, 4)), floats(6, 5) * 2
FLAT, OFFSETS = RNG.integers(0, 6, 7), np.array([0, 3, 3, 5])

CASES: list[tuple[str, list[np.ndarray], dict[str, Any]]] = [
    *[("grid_sample", [IMAGE, GRID], {"mode": mode, "padding_mode": pad, "align_corners": corners})
      for mode in ("bilinear", "nearest", "bicubic")
      for pad, corners in (("zeros", False), ("border", True), ("reflection", False),
                           ("reflection", True))],
    ("grid_sample", [VOLUME, floats(1, 2, 2, 3, 3) * 0.9], {"align_corners": False}),
    ("affine_grid", [floats(2, 2, 3)], {"size": [2, 1, 4, 5], "align_corners": False}),
    ("affine_grid", [floats(1, 3, 4)], {"size": [1, 1, 2, 3, 4], "align_corners": True}),
    ("embedding", [INDEX, WEIGHT], {"padding_idx": 2}),
    ("embedding", [INDEX, WEIGHT], {"scale_grad_by_freq": True}),
    *[("embedding_bag", [INDEX, WEIGHT], {"mode": mode, "padding_idx": 1})
      for mode in ("sum", "mean", "max")],
    *[("embedding_bag", [FLAT, WEIGHT, OFFSETS], {"mode": mode})
      for mode in ("sum", "mean", "max")],
    ("pdist", [floats(5, 3)], {"p": 3.0}),
    ("normalize", [floats(3, 4)], {"dim": 0}),
    ("rrelu", [floats(3, 4)], {}),
    ("conv_tbc", [floats(6, 2, 3), floats(3, 3, 4), floats(4)], {"pad": 1}),
    ("batch_norm", [floats(4, 3, 5), floats(3), np.abs(floats(3)) + 1, floats(3), floats(3)], {}),
    ("layer_norm", [floats(3, 4)], {"normalized_shape": [4]}),
    ("group_norm", [floats(2, 6, 3)], {"num_groups": 3}),
    ("instance_norm", [floats(2, 3, 4)], {}),
    ("interpolate", [IMAGE], {"scale_factor": 1.5, "mode": "bilinear", "align_corners": True}),
    ("interpolate", [IMAGE], {"scale_factor": 1.7, "recompute_scale_factor": True}),
    ("upsample_bilinear", [IMAGE], {"size": 7}),
    ("pad", [IMAGE], {"pad": (1, 1, 2, 0), "mode": "reflect"}),
    ("softmin", [IMAGE], {"dim": 1}),
    ("scaled_dot_product_attention", [floats(2, 3, 4), floats(2, 5, 4), floats(2, 5, 4)], {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "arrays", "options"), CASES, ids=[f"{n}-{name}" for n, (name, *_) in enumerate(CASES)]
)
def test_functions(name: str, arrays: list[np.ndarray], options: Any) -> None:
    learned = [a.dtype == np.float32 and not (name == "batch_norm" and n in (1, 2))
               for n, a in enumerate(arrays)]  # fmt: skip
    x = [Tensor(a, requires_grad=r) for a, r in zip(arrays, learned, strict=True)]
    y = [torch.tensor(a, requires_grad=r) for a, r in zip(arrays, learned, strict=True)]
    made, wanted = getattr(F, name)(*x, **options), getattr(TF, name)(*y, **options)
    assert made.shape == tuple(wanted.shape)
    weight = np.random.default_rng(0).standard_normal(made.shape).astype(np.float32)
    (made * Tensor(weight)).sum().backward()
    (wanted * torch.tensor(weight)).sum().backward()
    pairs = [(made, wanted.detach())]
    pairs += [(a.grad, b.grad) for a, b, r in zip(x, y, learned, strict=True) if r]  # type: ignore
    for ours, theirs in pairs:
        if theirs is not None:
            shown = np.zeros(tuple(theirs.shape)) if ours is None else ours.numpy()
            np.testing.assert_allclose(shown, theirs.numpy(), rtol=2e-4, atol=2e-5)


def test_rows_longer_than_the_norm_are_scaled_down() -> None:
    mine, theirs = Tensor(WEIGHT.copy()), torch.tensor(WEIGHT.copy())
    made = F.embedding(Tensor(INDEX), mine, max_norm=1.5)
    wanted = TF.embedding(torch.tensor(INDEX), theirs, max_norm=1.5)
    np.testing.assert_allclose(made.numpy(), wanted.numpy(), rtol=1e-5)
    np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=1e-5)


@pytest.mark.parametrize("spatial", [1, 2, 3])
def test_unpooling_takes_back_what_pooling_took(spatial: int) -> None:
    x = floats(2, 2, *(7, 6, 5)[:spatial])
    options: Any = {"kernel_size": 2, "stride": 2}
    sizes = x.shape[2:]
    results = []
    for functional, tensor in ((F, Tensor), (TF, torch.tensor)):
        pool = getattr(functional, f"max_pool{spatial}d")
        values, places = pool(tensor(x), **options, return_indices=True)
        unpool = getattr(functional, f"max_unpool{spatial}d")
        results.append((values, places, unpool(values, places, **options, output_size=sizes)))
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@pytest.mark.parametrize("spatial", [2, 3])
def test_fractional_pooling_at_given_places(spatial: int) -> None:
    x = floats(2, 3, *(9, 8, 7)[:spatial])
    samples = RNG.uniform(0, 1, (2, 3, spatial)).astype(np.float32)
    name, options = f"fractional_max_pool{spatial}d", {"kernel_size": 2, "output_size": 4}
    made = getattr(F, name)(
        Tensor(x), **options, return_indices=True, _random_samples=Tensor(samples)
    )
    wanted = getattr(TF, name)(
        torch.tensor(x), **options, return_indices=True, _random_samples=torch.tensor(samples)
    )
    for ours, theirs in zip(made, wanted, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_what_is_drawn_has_the_moments_that_it_should() -> None:
    Tensor.manual_seed(0)
    x = Tensor.randn(200, 500)
    for y, mean, variance in (
        (F.alpha_dropout(x, 0.3, True), 0.0, 1.0),
        (F.dropout(x.abs() * 0 + 1, 0.25), 1.0, 1 / 3),
        (F.feature_alpha_dropout(x.reshape(200, 50, 10), 0.3, True), 0.0, 1.0),
        (F.rrelu(x * 0 - 1, 0.2, 0.4, True), -0.3, 0.04 / 12),
    ):
        values = y.numpy()
        assert abs(values.mean() - mean) < 0.02
        assert abs(values.var() - variance) < 0.05
    assert F.dropout(x, 0.5, training=False) is x
    one = F.gumbel_softmax(x[:, :5], hard=True)
    np.testing.assert_allclose(one.numpy().sum(1), 1, rtol=1e-5)
    assert set(np.unique(one.numpy().round(5))) == {0.0, 1.0}


def test_in_place_forms_change_their_input() -> None:
    x = Tensor([-1.0, 2.0])
    assert F.relu_(x) is x
    assert x.tolist() == [0.0, 2.0]
    assert F.leaky_relu(y := Tensor([-1.0]), 0.5, inplace=True) is y
    assert y.tolist() == [-0.5]

"""Losses in every variant, forward and backward."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lazygrad import Tensor

REDUCTIONS = ["mean", "sum", "none"]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(6, 5), (2, 5, 3), (5,)])
def test_cross_entropy_agrees(
    agree: Any,
    rng: np.random.Generator,
    reduction: str,
    smoothing: float,
    weighted: bool,
    shape: Any,
) -> None:
    x = rng.standard_normal(shape).astype(np.float32) * 3
    target = rng.integers(0, 5, shape[:1] + shape[2:] if len(shape) > 1 else ())
    if target.ndim:
        target.flat[1] = -100
    weight = rng.random(5).astype(np.float32) + 0.1
    options: dict[str, Any] = {"reduction": reduction, "label_smoothing": smoothing}
    agree(
        lambda a: a.cross_entropy(Tensor(target), Tensor(weight) if weighted else None, **options),
        lambda a: F.cross_entropy(
            a, torch.tensor(target), torch.tensor(weight) if weighted else None, **options
        ),
        x,
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_of_probabilities_agrees(
    agree: Any, rng: np.random.Generator, reduction: str, smoothing: float
) -> None:
    x, t = rng.standard_normal((2, 4, 5, 3)).astype(np.float32)
    weight = rng.random(5).astype(np.float32)
    agree(
        lambda a, b, w: a.cross_entropy(b, w, reduction=reduction, label_smoothing=smoothing),
        lambda a, b, w: F.cross_entropy(a, b, w, reduction=reduction, label_smoothing=smoothing),
        x, np.abs(t), weight,
    )  # fmt: skip


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_nll_agrees(agree: Any, rng: np.random.Generator, reduction: str) -> None:
    x, target = rng.standard_normal((6, 4)).astype(np.float32), np.array([0, 1, 2, 3, -1, 1])
    weight = rng.random(4).astype(np.float32)
    agree(
        lambda a, t, w: a.nll_loss(t, w, -1, reduction),
        lambda a, t, w: F.nll_loss(a, t, w.detach(), ignore_index=-1, reduction=reduction),
        x, target, weight, grad=False,
    )  # fmt: skip


def test_a_target_that_is_no_class_raises() -> None:
    with pytest.raises(IndexError, match="cross_entropy"):
        Tensor.zeros(2, 3).cross_entropy(Tensor([0, 3]), reduction="none").numpy()


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_distances_agree(agree: Any, rng: np.random.Generator, reduction: str) -> None:
    x, t = rng.standard_normal((2, 4, 5)).astype(np.float32)
    for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"):
        agree(
            lambda a, b, n=name: getattr(a, n)(b, reduction=reduction),
            lambda a, b, n=name: getattr(F, n)(a, b, reduction=reduction),
            x, t,
        )  # fmt: skip
    agree(
        lambda a, b: a.smooth_l1_loss(b, reduction, 0.3),
        lambda a, b: F.smooth_l1_loss(a, b, reduction=reduction, beta=0.3),
        x, t,
    )  # fmt: skip


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_binary_cross_entropies_agree(agree: Any, rng: np.random.Generator, reduction: str) -> None:
    x = (rng.standard_normal((4, 5)) * 4).astype(np.float32)
    t, w = rng.random((2, 4, 5)).astype(np.float32)
    agree(
        lambda a: a.binary_cross_entropy_with_logits(
            Tensor(t), Tensor(w), reduction, Tensor(w + 1)
        ),
        lambda a: F.binary_cross_entropy_with_logits(
            a, torch.tensor(t), torch.tensor(w), reduction=reduction, pos_weight=torch.tensor(w + 1)
        ),
        x,
    )
    probability = np.concatenate([rng.random(8), [0.0, 1.0]]).astype(np.float32)
    target = np.array([0, 1] * 5, np.float32)
    agree(
        lambda a, b: a.binary_crossentropy(b, reduction=reduction),
        lambda a, b: F.binary_cross_entropy(a, b, reduction=reduction),
        probability, target, grad=False,
    )  # fmt: skip


def test_divergence_agrees(agree: Any, rng: np.random.Generator) -> None:
    x = rng.standard_normal((4, 5)).astype(np.float32)
    t = np.abs(rng.standard_normal((4, 5))).astype(np.float32)
    t[0, 0] = 0
    for reduction in ("mean", "sum", "none", "batchmean"):
        agree(
            lambda a, r=reduction: a.log_softmax(1).kl_div(Tensor(t), r),
            lambda a, r=reduction: F.kl_div(a.log_softmax(1), torch.tensor(t), reduction=r),
            x,
        )
    agree(
        lambda a: a.kl_div(a * 2, "sum", log_target=True),
        lambda a: F.kl_div(a, a * 2, reduction="sum", log_target=True),
        x,
    )

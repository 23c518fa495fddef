"""Losses as objects: they pass on what they were made with."""

from __future__ import annotations

import numpy as np
import pytest

from lazygrad import Tensor, nn
from lazygrad.nn import functional as F

RNG = np.random.default_rng(0)
X = RNG.standard_normal((4, 3)).astype(np.float32)
LOG_P = X - np.log(np.exp(X).sum(1, keepdims=True))
LABELS = np.array([0, 2, 1, 2])
WEIGHT = np.array([0.5, 1.0, 2.0], np.float32)
PICKED = -LOG_P[np.arange(4), LABELS]


def test_cross_entropy_is_the_picked_log_probability() -> None:
    loss = nn.CrossEntropyLoss()(Tensor(X), Tensor(LABELS))
    np.testing.assert_allclose(loss.item(), PICKED.mean(), rtol=1e-5)
    weighted = nn.CrossEntropyLoss(weight=Tensor(WEIGHT))(Tensor(X), Tensor(LABELS))
    shares = WEIGHT[LABELS]
    np.testing.assert_allclose(weighted.item(), (PICKED * shares).sum() / shares.sum(), rtol=1e-5)
    some = nn.CrossEntropyLoss(ignore_index=2, reduction="sum")(Tensor(X), Tensor(LABELS))
    np.testing.assert_allclose(some.item(), PICKED[LABELS != 2].sum(), rtol=1e-5)
    smooth = nn.CrossEntropyLoss(reduction="none", label_smoothing=0.3)(Tensor(X), Tensor(LABELS))
    np.testing.assert_allclose(smooth.numpy(), 0.7 * PICKED - 0.1 * LOG_P.sum(1), rtol=1e-5)
    nll = nn.NLLLoss(Tensor(WEIGHT), reduction="none")(Tensor(LOG_P), Tensor(LABELS))
    np.testing.assert_allclose(nll.numpy(), PICKED * shares, rtol=1e-5)


def test_distances() -> None:
    x, t = Tensor(X), Tensor(X[::-1])
    gap = np.abs(X - X[::-1])
    np.testing.assert_allclose(nn.MSELoss()(x, t).item(), (gap**2).mean(), rtol=1e-5)
    np.testing.assert_allclose(nn.L1Loss("sum")(x, t).item(), gap.sum(), rtol=1e-5)
    huber = np.where(gap < 0.5, gap**2 / 2, 0.5 * (gap - 0.25))
    np.testing.assert_allclose(nn.HuberLoss(delta=0.5)(x, t).item(), huber.mean(), rtol=1e-5)
    smooth = nn.SmoothL1Loss("none", beta=0.5)(x, t).numpy()
    np.testing.assert_allclose(smooth, huber / 0.5, rtol=1e-5)


def test_binary_losses() -> None:
    t = (X > 0.2).astype(np.float32)
    p = 1 / (1 + np.exp(-X))
    expected = -(t * np.log(p) + (1 - t) * np.log(1 - p))
    np.testing.assert_allclose(
        nn.BCELoss()(Tensor(p), Tensor(t)).item(), expected.mean(), rtol=1e-5
    )
    scores = nn.BCEWithLogitsLoss(reduction="none", weight=Tensor(WEIGHT))
    np.testing.assert_allclose(scores(Tensor(X), Tensor(t)).numpy(), expected * WEIGHT, rtol=1e-4)
    heavy = nn.BCEWithLogitsLoss(reduction="sum", pos_weight=Tensor(WEIGHT))(Tensor(X), Tensor(t))
    np.testing.assert_allclose(
        heavy.item(), (expected * np.where(t > 0, WEIGHT, 1)).sum(), rtol=1e-5
    )


def test_an_unknown_reduction_is_refused() -> None:
    with pytest.raises(ValueError, match="MSELoss: reduction 'max' is none of"):
        nn.MSELoss("max")(Tensor(X), Tensor(X))


@pytest.mark.parametrize("loss", [F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.huber_loss])
def test_a_target_that_is_broadcast_is_told_of(loss):
    with pytest.warns(UserWarning, match=r"\(4, 1\) and target \(4,\) differ") as told:
        loss(Tensor.ones(4, 1), Tensor.ones(4))
    assert told[0].filename == __file__

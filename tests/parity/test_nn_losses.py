"""Every loss of torch.nn as a module and as a function: values and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from lazygrad import Tensor, nn
from lazygrad.nn import functional as F

Rng = np.random.Generator
Case = tuple[str, dict[str, Any], list[np.ndarray]]
REDUCTIONS = ("mean", "sum", "none")


def _cases() -> list[Case]:
    rng = np.random.default_rng(3)

    def floats(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    def positive(*shape: int) -> np.ndarray:
        return rng.uniform(0.1, 0.9, shape).astype(np.float32)

    def signs(*shape: int) -> np.ndarray:
        return rng.choice(np.array([-1, 1], np.float32), shape)

    classes, weight = rng.integers(0, 4, 5), positive(4)
    lists = np.array([[2, 0, -1, 1], [3, -1, 0, 1], [-1, 1, 2, 3], [1, 0, 3, 2], [0, 1, 2, -1]])
    logs = np.log(positive(5, 4))
    return [
        ("CrossEntropyLoss", {"weight": weight, "label_smoothing": 0.1}, [floats(5, 4), classes]),
        ("CrossEntropyLoss", {"ignore_index": 2}, [floats(5, 4), classes]),
        ("NLLLoss", {"weight": weight}, [logs, classes]),
        ("BCELoss", {"weight": weight}, [positive(5, 4), positive(5, 4)]),
        ("BCEWithLogitsLoss", {"pos_weight": weight}, [floats(5, 4), positive(5, 4)]),
        ("MSELoss", {}, [floats(5, 4), floats(5, 4)]),
        ("L1Loss", {}, [floats(5, 4), floats(5, 4)]),
        ("SmoothL1Loss", {"beta": 0.5}, [floats(5, 4), floats(5, 4)]),
        ("HuberLoss", {"delta": 0.7}, [floats(5, 4), floats(5, 4)]),
        ("KLDivLoss", {}, [logs, positive(5, 4)]),
        ("KLDivLoss", {"log_target": True}, [logs, np.log(positive(5, 4))]),
        ("PoissonNLLLoss", {"full": True}, [floats(5, 4), positive(5, 4) * 5]),
        ("PoissonNLLLoss", {"log_input": False}, [positive(5, 4), positive(5, 4) * 5]),
        ("GaussianNLLLoss", {"full": True}, [floats(5, 4), floats(5, 4), positive(5, 4)]),
        ("GaussianNLLLoss", {}, [floats(5, 4), floats(5, 4), positive(5, 1)]),
        ("SoftMarginLoss", {}, [floats(5, 4), signs(5, 4)]),
        ("HingeEmbeddingLoss", {"margin": 0.5}, [floats(5, 4), signs(5, 4)]),
        ("MarginRankingLoss", {"margin": 0.2}, [floats(5), floats(5), signs(5)]),
        ("CosineEmbeddingLoss", {"margin": 0.1}, [floats(5, 4), floats(5, 4), signs(5)]),
        ("MultiMarginLoss", {"margin": 0.5, "weight": weight}, [floats(5, 4), classes]),
        ("MultiMarginLoss", {"p": 2}, [floats(5, 4), classes]),
        ("MultiMarginLoss", {}, [floats(4), np.array(2)]),
        ("MultiLabelMarginLoss", {}, [floats(5, 4), lists]),
        ("MultiLabelMarginLoss", {}, [floats(4), lists[0]]),
        ("MultiLabelSoftMarginLoss", {"weight": weight}, [floats(5, 4), positive(5, 4).round()]),
        ("TripletMarginLoss", {"swap": True}, [floats(5, 4), floats(5, 4), floats(5, 4)]),
        ("TripletMarginLoss", {"p": 1}, [floats(5, 4), floats(5, 4), floats(5, 4)]),
        ("TripletMarginWithDistanceLoss", {}, [floats(5, 4), floats(5, 4), floats(5, 4)]),
    ]  # fmt: skip


CASES = _cases()


def _inputs(kind: Any, arrays: list[np.ndarray], target_is_last: bool) -> list[Any]:
    return [
        kind(a, requires_grad=True) if a.dtype == np.float32 and n == 0 else kind(a)
        for n, a in enumerate(arrays)
    ]


@pytest.mark.parametrize(
    ("name", "options", "arrays"), CASES, ids=[f"{n}-{name}" for n, (name, *_) in enumerate(CASES)]
)
def test_losses_and_their_gradients(name: str, options: Any, arrays: Any) -> None:
    values: list[Any] = []
    expected: list[Any] = []
    for reduction in REDUCTIONS:
        mine = {k: Tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
        theirs = {
            k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()
        }
        x = _inputs(Tensor, arrays, True)
        y = _inputs(torch.tensor, arrays, True)
        made = getattr(nn, name)(reduction=reduction, **mine)(*x)
        wanted = getattr(torch.nn, name)(reduction=reduction, **theirs)(*y)
        made.sum().backward()
        wanted.sum().backward()
        values += [made, x[0].grad]
        expected += [wanted.detach(), y[0].grad]
    Tensor.realize(*values)
    for ours, other in zip(values, expected, strict=True):
        assert ours.shape == tuple(other.shape)
        np.testing.assert_allclose(ours.numpy(), other.numpy(), rtol=2e-5, atol=1e-6)


def test_the_old_flags_of_reduction() -> None:
    x, t = Tensor([1.0, 2.0]), Tensor([0.0, 0.0])
    assert F.mse_loss(x, t, size_average=False).item() == 5.0
    assert F.mse_loss(x, t, reduce=False).tolist() == [1.0, 4.0]
    assert nn.MSELoss(True, True)(x, t).item() == 2.5
    assert F.mse_loss(Tensor.ones(2, 3), Tensor.ones(1, 3)).item() == 0.0


def test_adaptive_softmax() -> None:
    torch.manual_seed(0)
    theirs = torch.nn.AdaptiveLogSoftmaxWithLoss(8, 12, [3, 7], head_bias=True)
    mine = nn.AdaptiveLogSoftmaxWithLoss(8, 12, [3, 7], head_bias=True)
    mine.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((6, 8)).astype(np.float32), rng.integers(0, 12, 6)
    made, wanted = mine(Tensor(x), Tensor(t)), theirs(torch.tensor(x), torch.tensor(t))
    made.loss.backward()
    wanted.loss.backward()
    gradient = theirs.head.weight.grad.numpy()
    np.testing.assert_allclose(mine.head.weight.grad.numpy(), gradient, rtol=1e-4, atol=1e-6)
    for ours, other in (
        (made.output, wanted.output), (made.loss, wanted.loss),
        (mine.log_prob(Tensor(x)), theirs.log_prob(torch.tensor(x))),
    ):  # fmt: skip
        np.testing.assert_allclose(ours.numpy(), other.detach().numpy(), rtol=1e-5)
    np.testing.assert_array_equal(
        mine.predict(Tensor(x)).numpy(), theirs.predict(torch.tensor(x)).numpy()
    )
    with pytest.raises(ValueError, match="cutoffs should be"):
        nn.AdaptiveLogSoftmaxWithLoss(8, 12, [7, 3])


@pytest.mark.parametrize("zero_infinity", [False, True])
@pytest.mark.parametrize("way", ["padded", "concatenated"])
def test_ctc(way: str, zero_infinity: bool) -> None:
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((7, 3, 5)).astype(np.float32)
    targets = np.array([[1, 2, 2, 3], [4, 1, 0, 0], [3, 3, 3, 3]])
    frames, sizes = [7, 5, 6], [3, 2, 4]  # the third needs 7 frames: impossible
    if way == "concatenated":
        targets = np.concatenate([row[:n] for row, n in zip(targets, sizes, strict=True)])
    for reduction in REDUCTIONS if zero_infinity else ("none",):
        x = Tensor(scores, requires_grad=True)
        y = torch.tensor(scores, requires_grad=True)
        options: Any = {"reduction": reduction, "zero_infinity": zero_infinity}
        made = nn.CTCLoss(**options)(x.log_softmax(2), Tensor(targets), frames, sizes)
        wanted = torch.nn.CTCLoss(**options)(
            y.log_softmax(2), torch.tensor(targets), torch.tensor(frames), torch.tensor(sizes)
        )
        np.testing.assert_allclose(made.numpy(), wanted.detach().numpy(), rtol=1e-5)
        if zero_infinity:
            made.sum().backward()
            wanted.sum().backward()
            np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=1e-4, atol=1e-6)

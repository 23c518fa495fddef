"""Optimizers over several steps, beside PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from lazygrad import Tensor, TinyJit
from lazygrad.nn import lr_scheduler, optim, utils

CASES: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.5}),
    ("Adam", {"lr": 0.01}),
    ("Adam", {"lr": 0.01, "betas": (0.8, 0.99), "eps": 1e-6, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.01, "amsgrad": True}),
    ("AdamW", {"lr": 0.01}),
    ("AdamW", {"lr": 0.01, "weight_decay": 0.3, "amsgrad": True}),
    ("RMSprop", {"lr": 0.01}),
    ("Adagrad", {"lr": 0.1}),
    (
        "Adagrad",
        {"lr": 0.1, "lr_decay": 0.2, "weight_decay": 0.1, "initial_accumulator_value": 1.0},
    ),
    ("RMSprop", {"lr": 0.01, "momentum": 0.9, "centered": True, "weight_decay": 0.1}),
]


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_optimizers_agree(name: str, options: dict[str, Any], dtype: Any) -> None:
    rng = np.random.default_rng(1)
    start = [rng.standard_normal(shape).astype(dtype) for shape in ((4, 3), (3,), ())]
    ours = [Tensor(np.array(a), requires_grad=True) for a in start]
    theirs = [torch.tensor(a, requires_grad=True) for a in start]
    optimizer = getattr(optim, name)(ours, **options)
    reference = getattr(torch.optim, name)(theirs, **options)
    for step in range(6):
        if step == 4:
            optimizer.lr = options["lr"] * 0.5
            reference.param_groups[0]["lr"] = options["lr"] * 0.5
        scale = 10.0 ** -(step % 3)
        for made, params in ((optimizer, ours), (reference, theirs)):
            made.zero_grad()
            w, b, c = params
            ((w * w).sum() * c + (w * b).sum() * scale + c * c * c).backward()
            made.step()
        for p, q in zip(ours, theirs, strict=True):
            assert str(p.dtype) == str(q.dtype).removeprefix("torch.")
            np.testing.assert_allclose(p.numpy(), q.detach().numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "options"),
    [("Adam", {"lr": 0.01}), ("AdamW", {"lr": 0.01}), ("Adagrad", {"lr": 0.1, "lr_decay": 0.5})],
    ids=str,
)
@pytest.mark.parametrize("captured", [False, True])
def test_steps_are_counted_from_a_parameters_first_gradient(
    name: str, options: dict[str, Any], captured: bool
) -> None:
    start = [np.array([1.0, factor], np.float32) for factor in (2.0, 3.0, 4.0)]
    ours = [Tensor(a, requires_grad=True) for a in start]
    theirs = [torch.tensor(a, requires_grad=True) for a in start]
    pairs = [
        (getattr(optim, name)(ours, **options), ours),
        (getattr(torch.optim, name)(theirs, **options), theirs),
    ]

    def step(which: int, used: int) -> None:
        optimizer, params = pairs[which]
        optimizer.zero_grad()
        sum((p * p).sum() for p in params[:used]).backward()
        optimizer.step()

    ours_step = TinyJit(step) if captured else step
    for used in (1, 1, 3, 3, 3):
        ours_step(0, used)
        step(1, used)
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.numpy(), q.detach().numpy(), rtol=1e-5)


SCHEDULES: list[tuple[str, dict[str, Any]]] = [
    ("StepLR", {"step_size": 2, "gamma": 0.5}),
    ("MultiStepLR", {"milestones": [5, 2], "gamma": 0.3}),
    ("ExponentialLR", {"gamma": 0.9}),
    ("LinearLR", {"start_factor": 0.25, "total_iters": 3}),
    ("CosineAnnealingLR", {"T_max": 4, "eta_min": 0.01}),
    ("LambdaLR", {"lr_lambda": lambda epoch: 1 / (1 + epoch)}),
]


@pytest.mark.parametrize(("name", "options"), SCHEDULES, ids=str)
def test_schedules_agree(name: str, options: dict[str, Any]) -> None:
    p, q = Tensor([1.0], requires_grad=True), torch.tensor([1.0], requires_grad=True)
    optimizer, reference = optim.SGD([p], lr=0.5), torch.optim.SGD([q], lr=0.5)
    ours = getattr(lr_scheduler, name)(optimizer, **options)
    theirs = getattr(torch.optim.lr_scheduler, name)(reference, **options)
    for _ in range(7):
        np.testing.assert_allclose(ours.get_last_lr(), theirs.get_last_lr(), rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(optimizer.lr.item(), theirs.get_last_lr()[0], rtol=1e-6)
        reference.step()
        ours.step()
        theirs.step()


@pytest.mark.parametrize("norm", [2.0, 1.0, float("inf")])
@pytest.mark.parametrize("limit", [0.5, 100.0])
def test_clipping_agrees(norm: float, limit: float) -> None:
    rng = np.random.default_rng(0)
    start = [rng.standard_normal(shape).astype(np.float32) for shape in ((4, 3), (3,), ())]
    ours = [Tensor(np.array(a), requires_grad=True) for a in (*start, start[0])]
    theirs = [torch.tensor(a, requires_grad=True) for a in (*start, start[0])]
    for params in (ours, theirs):
        w, b, c, _ = params  # the last has no gradient
        ((w * w).sum() * c + (w * b).sum()).backward()
    total = utils.clip_grad_norm_(ours, limit, norm)
    expected = torch.nn.utils.clip_grad_norm_(theirs, limit, norm)
    np.testing.assert_allclose(total.item(), expected.item(), rtol=1e-5)
    utils.clip_grad_value_(ours, 0.3)
    torch.nn.utils.clip_grad_value_(theirs, 0.3)
    for p, q in zip(ours[:3], theirs[:3], strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-5, atol=1e-7)
    assert ours[3].grad is None

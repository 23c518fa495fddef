"""Muon and LBFGS, resumed state, averages of models and scaled gradients, beside PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from lazygrad import Tensor, jit, nn
from lazygrad.nn import optim
from lazygrad.nn.amp import GradScaler
from lazygrad.nn.optim import swa_utils


def _pair(*shapes: tuple[int, ...]) -> tuple[list[Tensor], list[Any]]:
    rng = np.random.default_rng(0)
    values = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    ours = [Tensor(v, requires_grad=True) for v in values]
    return ours, [torch.tensor(v, requires_grad=True) for v in values]


@pytest.mark.parametrize("adjust", [None, "match_rms_adamw"])
@pytest.mark.parametrize("nesterov", [True, False])
def test_muon(adjust: str | None, nesterov: bool) -> None:
    ours, theirs = _pair((6, 4), (3, 5))
    options: Any = {"lr": 0.1, "adjust_lr_fn": adjust, "nesterov": nesterov}
    made, reference = optim.Muon(ours, **options), torch.optim.Muon(theirs, **options)
    for _ in range(3):
        for optimizer, params in ((made, ours), (reference, theirs)):
            optimizer.zero_grad()
            ((params[0] ** 2).sum() + (params[1] ** 4).sum()).backward()
            optimizer.step()
    for p, q in zip(ours, theirs, strict=True):  # the iteration is in bfloat16
        np.testing.assert_allclose(p.numpy(), q.detach().numpy(), atol=2e-2)
    with pytest.raises(ValueError, match="Muon only supports 2D parameters"):
        optim.Muon(_pair((3,))[0])


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_lbfgs(search: str | None) -> None:
    ours, theirs = _pair((4,), (2, 2))
    options: Any = {"lr": 0.5 if search is None else 1.0, "max_iter": 6, "history_size": 3,
                    "line_search_fn": search}  # fmt: skip
    made, reference = optim.LBFGS(ours, **options), torch.optim.LBFGS(theirs, **options)

    def closure_of(optimizer: Any, params: Any) -> Any:
        def closure() -> Any:
            optimizer.zero_grad()
            x, y = params
            loss = ((x[1:] - x[:-1] ** 2) ** 2).sum() + ((1 - x) ** 2).sum() + (y**4).sum()
            loss.backward()
            return loss

        return closure

    for step in range(3):
        if step == 2:  # a new optimizer goes on from the state of the old
            state = made.state_dict()
            made = optim.LBFGS(ours, **options)
            made.load_state_dict(state)
        loss = made.step(closure_of(made, ours))
        expected = reference.step(closure_of(reference, theirs))
        assert loss is not None
        np.testing.assert_allclose(loss.item(), expected.item(), rtol=2e-3, atol=1e-6)
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.numpy(), q.detach().numpy(), rtol=5e-3, atol=5e-4)
    counts = made.state_dict()["state"][0]
    assert counts["n_iter"] == reference.state_dict()["state"][0]["n_iter"]
    with pytest.raises(TypeError, match="needs a closure"):
        made.step()


@pytest.mark.parametrize("name", ["NAdam", "RAdam", "Adamax", "Adadelta", "Rprop", "ASGD"])
def test_pytorchs_state_is_gone_on_with(name: str) -> None:
    ours, theirs = _pair((3, 2), (2,))
    reference = getattr(torch.optim, name)(theirs)

    def step(optimizer: Any, params: Any) -> None:
        optimizer.zero_grad()
        ((params[0] @ params[1]) ** 2).sum().backward()
        optimizer.step()

    for _ in range(2):
        step(reference, theirs)
    for p, q in zip(ours, theirs, strict=True):
        p.assign(q.detach().numpy())
    optimizer = getattr(optim, name)(ours)
    optimizer.load_state_dict(reference.state_dict())
    for _ in range(2):
        step(reference, theirs)
        step(optimizer, ours)
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.numpy(), q.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_lion_is_its_formula_and_can_be_captured() -> None:
    (p,), _ = _pair((5,))
    optimizer = optim.Lion([p], lr=0.1, betas=(0.9, 0.8), weight_decay=0.5)

    @jit
    def step(x: Tensor) -> None:
        optimizer.zero_grad()
        (p * p * x).sum().backward()
        optimizer.step()

    value, mean = p.numpy().copy(), np.zeros(5, np.float32)
    for scale in (1.0, -0.5, 0.2):
        grad = 2 * value * scale
        value = value * (1 - 0.05) - 0.1 * np.sign(0.9 * mean + 0.1 * grad)
        mean = 0.8 * mean + 0.2 * grad
        step(Tensor(scale))
        np.testing.assert_allclose(p.numpy(), value, rtol=1e-5)


def test_plain_tensors_that_nobody_marked_are_variables() -> None:
    w, frozen = Tensor([1.0]), nn.Parameter(Tensor([1.0]), requires_grad=False)
    optimizer = optim.SGD([w], lr=0.5)
    (w * 2).sum().backward()
    optimizer.step()
    assert w.tolist() == [0.0]
    with pytest.raises(ValueError, match="no parameter requires gradient"):
        optim.SGD([frozen])
    with pytest.raises(TypeError, match=r"write its \.parameters\(\)"):
        optim.SGD(nn.Linear(2, 2))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="there is no setting 'fast'"):
        optim.Adam([w], fast=True)  # type: ignore[call-arg]
    named = optim.AdamW(nn.Linear(2, 2).named_parameters(), fused=True)
    assert len(named.params) == 2


@pytest.mark.parametrize("way", ["swa", "ema"])
def test_averaged_models(way: str) -> None:
    theirs = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    mine = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    other = torch.optim.swa_utils
    averages = [
        module.AveragedModel(
            model, multi_avg_fn=module.get_ema_multi_avg_fn(0.9) if way == "ema" else None
        )
        for module, model in ((swa_utils, mine), (other, theirs))
    ]
    rng = np.random.default_rng(0)
    for _ in range(3):
        values = {
            name: rng.standard_normal(tuple(t.shape)).astype(np.float32)
            for name, t in theirs.state_dict().items()
        }
        values["1.num_batches_tracked"] = np.array(3)
        mine.load_state_dict(values)
        theirs.load_state_dict({name: torch.tensor(v) for name, v in values.items()})
        averages[0].update_parameters(mine)
        averages[1].update_parameters(theirs)
    for name, expected in averages[1].state_dict().items():
        np.testing.assert_allclose(averages[0].state_dict()[name].numpy(), expected, rtol=1e-5)
    data = rng.standard_normal((8, 2)).astype(np.float32)
    swa_utils.update_bn([Tensor(data)], averages[0])
    other.update_bn([torch.tensor(data)], averages[1])
    for name, expected in averages[1].state_dict().items():
        np.testing.assert_allclose(
            averages[0].state_dict()[name].numpy(), expected, rtol=1e-4, atol=1e-6
        )


def test_scaled_gradients_skip_steps_that_overflow() -> None:
    (p,), _ = _pair((3,))
    optimizer = optim.SGD([p], lr=0.1)
    scaler = GradScaler(init_scale=8.0, growth_interval=2)
    start = p.numpy().copy()
    for factor, scale in ((1.0, 8.0), (1.0, 16.0), (float("inf"), 8.0)):
        optimizer.zero_grad()
        scaler.scale((p * factor).sum()).backward()
        scaler.unscale_(optimizer)
        with pytest.raises(RuntimeError, match="already been called"):
            scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
        assert scaler.get_scale() == scale
    np.testing.assert_allclose(p.numpy(), start - 0.2, rtol=1e-5)
    other = GradScaler()
    other.load_state_dict(scaler.state_dict())
    assert other.get_scale() == 8.0
    off = GradScaler(enabled=False)
    assert off.scale(p) is p
    assert off.state_dict() == {}

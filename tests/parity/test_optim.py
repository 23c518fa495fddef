"""Optimizers over several steps, beside PyTorch's."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch

from lazygrad import Tensor, TinyJit
from lazygrad.nn import lr_scheduler, optim, utils


def label(value: object) -> str:
    """A name for a case that is the same in every process."""
    return re.sub(r" at 0x\w+", "", str(value))


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
    ("Adafactor", {"lr": 0.1, "d": 1.5}),
    ("NAdam", {"lr": 0.01, "weight_decay": 0.1, "momentum_decay": 0.1}),
    ("NAdam", {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
    ("RAdam", {"lr": 0.01, "betas": (0.9, 0.6), "weight_decay": 0.1, "foreach": False}),
    ("RAdam", {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("Adamax", {"lr": 0.01, "weight_decay": 0.1, "maximize": True}),
    ("Adadelta", {"lr": 0.5, "weight_decay": 0.1}),
    ("Rprop", {"lr": 0.01, "etas": (0.4, 1.3), "step_sizes": (1e-3, 0.012)}),
    ("ASGD", {"lr": 0.1, "weight_decay": 0.1, "t0": 2, "lambd": 0.01, "alpha": 0.5}),
]


@pytest.mark.parametrize(("name", "options"), CASES, ids=label)
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


@pytest.mark.parametrize(("name", "options"), CASES, ids=label)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_optimizers_of_16_bits_agree(name: str, options: dict[str, Any], dtype: str) -> None:
    """Within two roundings a step: PyTorch rounds after each of its operations."""
    start = np.array([1.0, -2.0, 0.5, 3.0], np.float32)
    p = Tensor(start).cast(dtype).realize().requires_grad_()
    q = torch.tensor(start).to(getattr(torch, dtype)).requires_grad_()
    optimizer = getattr(optim, name)([p], **options)
    reference = getattr(torch.optim, name)([q], **options)
    steps = 4
    for _ in range(steps):
        for made, param in ((optimizer, p), (reference, q)):
            made.zero_grad()
            (param * param).sum().backward()
            made.step()
    assert str(p.dtype) == dtype
    state = optimizer.param_groups[0].state[0].values()
    assert {str(t.dtype) for t in state if t.ndim} <= {dtype}
    unit = {"float16": 2.0**-11, "bfloat16": 2.0**-8}[dtype]
    apart = np.abs(p.float().numpy() - q.detach().float().numpy())
    assert (apart <= 2 * steps * unit * np.abs(start)).all(), apart


@pytest.mark.parametrize(
    ("name", "options"),
    [("Adam", {"lr": 0.01}), ("AdamW", {"lr": 0.01}), ("Adagrad", {"lr": 0.1, "lr_decay": 0.5})],
    ids=label,
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


Options = dict[str, Any]
SCHEDULES: list[tuple[str, Options]] = [
    ("StepLR", {"step_size": 2, "gamma": 0.5}),
    ("MultiStepLR", {"milestones": [5, 2, 5], "gamma": 0.3}),
    ("ExponentialLR", {"gamma": 0.9}),
    ("ConstantLR", {"factor": 0.5, "total_iters": 3}),
    ("LinearLR", {"start_factor": 0.25, "total_iters": 3}),
    ("LinearLR", {"start_factor": 1.0, "end_factor": 0.1, "total_iters": 6}),
    ("PolynomialLR", {"total_iters": 5, "power": 2.0}),
    ("CosineAnnealingLR", {"T_max": 4, "eta_min": 0.01}),
    ("CosineAnnealingWarmRestarts", {"T_0": 2, "T_mult": 2, "eta_min": 0.01}),
    ("CosineAnnealingWarmRestarts", {"T_0": 3}),
    ("LambdaLR", {"lr_lambda": lambda epoch: 1 / (1 + epoch)}),
    ("LambdaLR", {"lr_lambda": [lambda epoch: 1 / (1 + epoch), lambda epoch: 0.9**epoch]}),
    ("MultiplicativeLR", {"lr_lambda": lambda epoch: 1 - 0.1 * epoch}),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 12}),
    ("OneCycleLR", {"max_lr": [1.0, 0.5], "epochs": 4, "steps_per_epoch": 3, "three_phase": True,
                    "anneal_strategy": "linear", "base_momentum": 0.7}),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": 1.0, "step_size_up": 3, "mode": "triangular2"}),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": [1.0, 0.5], "step_size_up": 3, "step_size_down": 1,
                  "mode": "exp_range", "gamma": 0.9}),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": 1.0, "step_size_up": 2, "scale_mode": "iterations",
                  "scale_fn": lambda x: 1 / (1 + x)}),
]  # fmt: skip


def two_optimizers(name: str, **options: Any) -> tuple[Any, Any]:
    """An optimizer and PyTorch's, each of two groups."""
    ours = [Tensor([1.0], requires_grad=True) for _ in range(2)]
    theirs = [torch.tensor([1.0], requires_grad=True) for _ in range(2)]
    made = []
    for module, params in ((optim, ours), (torch.optim, theirs)):
        groups = [{"params": [params[0]], "lr": 0.5}, {"params": [params[1]], "lr": 0.2}]
        made.append(getattr(module, name)(groups, **options))
    return made[0], made[1]


def settings_agree(ours: Any, theirs: Any) -> None:
    for own, other in zip(ours.param_groups, theirs.param_groups, strict=True):
        for key in ("lr", "momentum", "betas", "initial_lr"):
            if key in other:
                np.testing.assert_allclose(own[key], other[key], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("name", "options"), SCHEDULES, ids=label)
@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.filterwarnings("ignore:Detected call of")
def test_schedules_agree(name: str, options: Options, kind: str) -> None:
    optimizer, reference = two_optimizers(kind, **({"momentum": 0.9} if kind == "SGD" else {}))
    ours = getattr(lr_scheduler, name)(optimizer, **options)
    theirs = getattr(torch.optim.lr_scheduler, name)(reference, **options)
    for _ in range(11):
        np.testing.assert_allclose(ours.get_last_lr(), theirs.get_last_lr(), rtol=1e-9, atol=1e-12)
        settings_agree(optimizer, reference)
        np.testing.assert_allclose(optimizer.lr.item(), theirs.get_last_lr()[0], rtol=1e-6)
        ours.step()
        theirs.step()


CHAINS: list[list[tuple[str, Options]]] = [
    [("ExponentialLR", {"gamma": 0.9}), ("StepLR", {"step_size": 2, "gamma": 0.1})],
    [("LinearLR", {"total_iters": 4}), ("CosineAnnealingLR", {"T_max": 5})],
    [
        ("ConstantLR", {}),
        ("PolynomialLR", {"total_iters": 8}),
        ("MultiStepLR", {"milestones": [3]}),
    ],
    [("ExponentialLR", {"gamma": 0.9}), ("LambdaLR", {"lr_lambda": lambda epoch: 1 / (1 + epoch)})],
    [
        ("MultiplicativeLR", {"lr_lambda": lambda e: 0.8}),
        ("CosineAnnealingWarmRestarts", {"T_0": 3}),
    ],
]


@pytest.mark.parametrize("chain", CHAINS, ids=label)
@pytest.mark.parametrize("way", ["each", "ChainedScheduler", "SequentialLR"])
@pytest.mark.filterwarnings("ignore:Detected call of", "ignore:The epoch parameter")
def test_schedules_compose(chain: list[tuple[str, Options]], way: str) -> None:
    optimizer, reference = two_optimizers("SGD")
    steps = []
    for of, module in ((optimizer, lr_scheduler), (reference, torch.optim.lr_scheduler)):
        parts = [getattr(module, name)(of, **options) for name, options in chain]
        if way == "each":
            steps.append(parts)
        elif way == "ChainedScheduler":
            steps.append([module.ChainedScheduler(parts)])
        else:
            milestones = [3 * n for n in range(1, len(parts))]
            steps.append([module.SequentialLR(of, parts, milestones)])
    for _ in range(9):
        settings_agree(optimizer, reference)
        for schedulers in steps:
            for scheduler in schedulers:
                scheduler.step()
        np.testing.assert_allclose(
            steps[0][-1].get_last_lr(), steps[1][-1].get_last_lr(), rtol=1e-9, atol=1e-12
        )


@pytest.mark.parametrize(
    "options",
    [
        {"patience": 1},
        {"mode": "max", "factor": 0.5, "patience": 0, "cooldown": 2},
        {"patience": 0, "threshold": 0.3, "threshold_mode": "abs", "min_lr": [0.1, 0.05]},
        {"mode": "max", "patience": 1, "threshold": 0.2, "threshold_mode": "rel"},
    ],
    ids=label,
)
def test_a_plateau_is_seen_alike(options: Options) -> None:
    optimizer, reference = two_optimizers("SGD")
    ours = lr_scheduler.ReduceLROnPlateau(optimizer, **options)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(reference, **options)
    for metric in (1.0, 0.9, 0.95, 0.9, 0.89, 1.2, 1.3, 0.1, 0.2, 0.3, 0.3, 0.3, 0.3, 1.4, 1.4):
        ours.step(Tensor(metric))
        theirs.step(float(np.float32(metric)))
        settings_agree(optimizer, reference)
        assert ours.state_dict()["num_bad_epochs"] == theirs.num_bad_epochs


RESUMED = [
    ("StepLR", {"step_size": 3, "gamma": 0.5}),
    ("ExponentialLR", {"gamma": 0.9}),
    ("LinearLR", {"total_iters": 7}),
    ("CosineAnnealingLR", {"T_max": 8}),
    ("LambdaLR", {"lr_lambda": lambda epoch: 1 / (1 + epoch)}),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 12}),
]


@pytest.mark.parametrize(("name", "options"), RESUMED, ids=label)
@pytest.mark.filterwarnings("ignore:Detected call of")
def test_schedules_go_on_alike(name: str, options: Options) -> None:
    """Made anew on an optimizer with loaded state, with `last_epoch`."""
    pair, schedulers = two_optimizers("Adam"), []
    for of, module in zip(pair, (lr_scheduler, torch.optim.lr_scheduler), strict=True):
        scheduler = getattr(module, name)(of, **options)
        for _ in range(4):
            scheduler.step()
    resumed = two_optimizers("Adam")
    for old, new, module in zip(
        pair, resumed, (lr_scheduler, torch.optim.lr_scheduler), strict=True
    ):
        new.load_state_dict(old.state_dict())
        schedulers.append(getattr(module, name)(new, **options, last_epoch=3))
    for _ in range(4):
        settings_agree(*resumed)
        assert schedulers[0].last_epoch == schedulers[1].last_epoch
        for scheduler in schedulers:
            scheduler.step()


def as_torch(value: Any) -> Any:
    """A nested state with PyTorch's tensors in the place of ours."""
    if isinstance(value, Tensor):
        return torch.from_numpy(np.array(value.numpy()))
    if isinstance(value, dict):
        return {key: as_torch(item) for key, item in value.items()}
    return value


@pytest.mark.parametrize(("name", "options"), CASES, ids=label)
@pytest.mark.parametrize("to_torch", [False, True], ids=["from torch", "to torch"])
def test_state_is_taken_over_from_and_by_torch(name: str, options: Options, to_torch: bool) -> None:
    """Two steps there, two steps here, beside four steps in one place; one gradient comes late."""
    start = [np.array([1.0, factor], np.float32) for factor in (2.0, 3.0, 4.0)]

    def made(module: Any, values: Any, **changed: Any) -> tuple[Any, list[Any]]:
        variable = Tensor if module is optim else torch.tensor
        params = [variable(np.array(v), requires_grad=True) for v in values]
        groups = [{"params": params[:1], "lr": 0.05}, {"params": params[1:]}]
        return getattr(module, name)(groups, **{**options, **changed}), params

    def steps(optimizer: Any, params: list[Any], used: int) -> None:
        for _ in range(2):
            optimizer.zero_grad()
            sum((p * p).sum() for p in params[:used]).backward()
            optimizer.step()

    first, second = (optim, torch.optim) if to_torch else (torch.optim, optim)
    whole, whole_params = made(torch.optim, start)
    before, params = made(first, start)
    for optimizer, moved in ((whole, whole_params), (before, params)):
        steps(optimizer, moved, 2)
    state = before.state_dict()
    after, params = made(second, [p.detach().numpy() for p in params], lr=7.0)
    after.load_state_dict(as_torch(state) if to_torch else state)
    for optimizer, moved in ((whole, whole_params), (after, params)):
        steps(optimizer, moved, 3)
    for p, q in zip(params, whole_params, strict=True):
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-5)


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

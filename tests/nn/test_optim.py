"""Optimizers: their formulas, their state, one computation a step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lazygrad import Tensor, TinyJit, nn
from lazygrad.nn import lr_scheduler, optim, utils
from lazygrad.nn.state import get_parameters


def variable(*values: float) -> Tensor:
    return Tensor(list(values), requires_grad=True)


def step_of(optimizer: optim.Optimizer, p: Tensor, factor: float = 1.0) -> None:
    """One step down the gradient `factor * p`."""
    optimizer.zero_grad()
    (p * p * (factor / 2)).sum().backward()
    optimizer.step()


def test_sgd_follows_its_formula() -> None:
    p = variable(1.0, -2.0)
    step_of(optim.SGD([p], lr=0.1), p)
    np.testing.assert_allclose(p.numpy(), [0.9, -1.8], rtol=1e-6)
    p = variable(1.0)
    optimizer = optim.SGD([p], lr=0.1, momentum=0.5, nesterov=True, weight_decay=0.2)
    x, v = 1.0, 0.0
    for _ in range(4):
        step_of(optimizer, p)
        g = x + 0.2 * x
        v = 0.5 * v + g
        x -= 0.1 * (g + 0.5 * v)
        np.testing.assert_allclose(p.item(), x, rtol=1e-5)


@pytest.mark.parametrize("decoupled", [False, True])
def test_adam_follows_its_formula(decoupled: bool) -> None:
    p = variable(1.0)
    make = optim.AdamW if decoupled else optim.Adam
    optimizer = make([p], lr=0.1, weight_decay=0.3)
    x, m, v = 1.0, 0.0, 0.0
    for t in range(1, 6):
        step_of(optimizer, p, 2.0)
        g = 2 * x + (0 if decoupled else 0.3 * x)
        x *= 1 - 0.1 * 0.3 if decoupled else 1
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        x -= 0.1 * m / (1 - 0.9**t) / ((v / (1 - 0.999**t)) ** 0.5 + 1e-8)
        np.testing.assert_allclose(p.item(), x, rtol=1e-5)


def test_first_steps_of_adam_lose_no_digits() -> None:
    p = variable(1.0)
    step_of(optim.Adam([p], lr=0.5), p, 1e-3)
    np.testing.assert_allclose(p.item(), 1 - 0.5 * 1e-3 / (1e-3 + 1e-8), rtol=2e-7)


def test_a_step_is_one_computation(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import import_module

    compiler = import_module("lazygrad.realize")
    calls: list[int] = []
    inner = compiler.realize

    def realize(nodes: Any, *rest: Any) -> Any:
        calls.append(len(nodes))
        return inner(nodes, *rest)

    monkeypatch.setattr(compiler, "realize", realize)
    p, q = variable(1.0, 2.0), variable(3.0)
    optimizer = optim.Adam([p, q])
    (p.sum() * q.sum()).backward()
    optimizer.step()
    assert calls == [7]  # two parameters, two means, two squares, a vector of counts
    assert p.is_realized
    assert optimizer.state[p]["exp_avg"].is_realized


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "Adagrad", "LAMB"])
def test_the_first_step_is_the_program_of_all(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import import_module

    compiler = import_module("lazygrad.compile")
    programs: list[int] = []
    inner = compiler.compile_graph

    def compile_graph(outputs: Any, *others: Any) -> Any:
        programs.append(len(outputs))
        return inner(outputs, *others)

    monkeypatch.setattr(compiler, "compile_graph", compile_graph)
    Tensor.manual_seed(0)
    layers = [nn.Linear(3, 5), nn.BatchNorm(5), Tensor.relu, nn.Dropout(0.1), nn.Linear(5, 2)]
    params = [p for p in get_parameters(layers) if p.requires_grad]
    options = {"momentum": 0.9, "dampening": 0.1} if name == "SGD" else {}
    optimizer = getattr(optim, name)(params, lr=0.1, **options)
    counts = []
    for _ in range(3):
        with Tensor.train():
            optimizer.zero_grad()
            Tensor(np.ones((4, 3), np.float32)).sequential(layers).square().sum().backward()
            optimizer.step()
        optimizer.lr = optimizer.lr.item() * 0.9
        counts.append(len(programs))
    assert counts[0] == counts[1] == counts[2]


def test_memory_of_earlier_steps_is_let_go() -> None:
    import gc
    from weakref import ref

    p = variable(1.0, 2.0)
    optimizer = optim.Adam([p])
    storages = []
    for _ in range(3):
        step_of(optimizer, p)
        storages.append(ref(p.storage))
    optimizer.zero_grad()
    gc.collect()
    assert [s() is None for s in storages] == [True, True, False]


def test_the_learning_rate_may_be_changed() -> None:
    p = variable(1.0)
    optimizer = optim.SGD([p], lr=0.5)
    step_of(optimizer, p)
    optimizer.lr = 0.25
    assert optimizer.lr.item() == 0.25
    step_of(optimizer, p)
    np.testing.assert_allclose(p.item(), 0.375)


def test_what_has_no_gradient_stays() -> None:
    p, q, constant = variable(1.0), variable(2.0), Tensor([3.0])
    with pytest.warns(UserWarning, match="more than once|require no gradient"):
        optimizer = optim.SGD([p, q, constant, p], lr=0.5)
    assert len(optimizer.params) == 2
    p.sum().backward()
    optimizer.step()
    assert [t.item() for t in (p, q, constant)] == [0.5, 2.0, 3.0]
    optimizer.zero_grad()
    assert p.grad is None
    optimizer.step()
    assert p.item() == 0.5


def test_what_requires_gradient_later_is_not_passed_over() -> None:
    p, q = variable(1.0), Tensor([2.0])
    with pytest.warns(UserWarning, match="require no gradient"):
        optimizer = optim.SGD([p, q], lr=0.5)
    q.requires_grad_()
    (p * q).sum().backward()
    with pytest.raises(RuntimeError, match=r"shape \(1,\) required no gradient"):
        optimizer.step()
    optimizer.add_param_group({"params": [q], "lr": 0.25})
    optimizer.step()
    assert [p.item(), q.item()] == [0.0, 1.75]


def test_groups_have_settings_of_their_own() -> None:
    p, q, r = variable(1.0), variable(1.0), variable(1.0)
    groups = [{"params": [p, r]}, {"params": q, "lr": 0.25, "weight_decay": 1.0}]
    optimizer = optim.SGD(groups, lr=0.5)
    (p + q).sum().backward()
    optimizer.step()
    assert [p.item(), q.item(), r.item()] == [0.5, 0.5, 1.0]
    for group in optimizer.param_groups:
        group["lr"] *= 0.5
    optimizer.step()
    assert [p.item(), q.item()] == [0.25, 0.3125]
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.125]


def test_a_group_is_like_a_dict() -> None:
    (group,) = optim.Adam([variable(1.0)], lr=1e-3).param_groups
    assert "initial_lr" not in group
    assert group.get("initial_lr", 5) == 5
    with pytest.raises(KeyError):
        group["initial_lr"]
    assert group.setdefault("initial_lr", 0.1) == 0.1
    assert dict(group) == {**group}
    assert set(group) == {"params", "lr", "betas", "eps", "weight_decay", "amsgrad", "maximize",
                          "decoupled_weight_decay", "initial_lr"}  # fmt: skip
    assert len(group) == 9
    group["name"] = "head"
    assert group["name"] == "head"
    with pytest.raises(KeyError, match="add_param_group"):
        group["params"] = []


def test_a_rate_keeps_its_digits_unless_it_is_set_as_a_tensor() -> None:
    optimizer = optim.SGD([variable(1.0)], lr=1 / 3)
    (group,) = optimizer.param_groups
    assert group["lr"] == 1 / 3
    optimizer.lr = Tensor(0.1)
    assert group["lr"] == 0.1
    optimizer.lr = optimizer.lr * 0.5
    assert group["lr"] == 0.05


def test_settings_of_a_captured_step_do_not_change_unseen() -> None:
    p = variable(1.0)
    optimizer = optim.SGD([p], lr=0.5, momentum=0.5, weight_decay=0.1)
    (group,) = optimizer.param_groups
    group["weight_decay"] = 0.0

    @TinyJit
    def step() -> Tensor:
        optimizer.zero_grad()
        p.sum().backward()
        optimizer.step()
        return p.detach()

    assert step().item() == 0.5
    group["momentum"] = 0.0  # in a tensor: the captured step follows
    assert step().item() == 0.0
    group["weight_decay"] = 1.0  # a constant: the step is captured anew
    p.assign(2.0)
    assert step().item() == 0.5


def test_a_momentum_needs_its_buffer() -> None:
    optimizer = optim.SGD([variable(1.0)])
    with pytest.raises(ValueError, match="this group keeps no buffer"):
        optimizer.param_groups[0]["momentum"] = 0.9


def test_a_closure_gives_gradients() -> None:
    p = variable(2.0)
    optimizer = optim.SGD([p], lr=0.5)
    loss = optimizer.step(lambda: (p * p).sum().backward())
    assert loss is not None
    assert loss.item() == 4.0
    assert p.item() == 0.0


def test_maximize_goes_up() -> None:
    p = variable(1.0)
    optimizer = optim.Adam([p], lr=0.5, maximize=True)
    p.sum().backward()
    optimizer.step()
    np.testing.assert_allclose(p.item(), 1.5, rtol=1e-6)


def test_parameters_stay_variables() -> None:
    p = variable(1.0)
    step_of(optim.SGD([p], lr=0.1), p)
    assert p.requires_grad
    assert p.is_leaf


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: optim.SGD([], lr=0.1), "an empty list of parameters"),
        (lambda p: optim.SGD([Tensor([1])]), "no parameter requires gradient"),
        (lambda p: optim.Adam([p], lr=-1.0), "learning rate is not negative"),
        (lambda p: optim.Adam([p], lr=float("nan")), "learning rate"),
        (lambda p: optim.AdamW([p], betas=(0.9, 1.0)), r"AdamW: betas are in \[0, 1\)"),
        (lambda p: optim.SGD([p], nesterov=True), "nesterov needs a momentum"),
        (lambda p: optim.SGD([p], momentum=-0.1), "momentum is not negative"),
        (lambda p: optim.Adam([p], eps=-1.0), "eps is not negative"),
        (lambda p: optim.RMSprop([p], weight_decay=-1.0), "weight decay is not negative"),
        (lambda p: optim.Adagrad([p], lr_decay=-1.0), "lr_decay is not negative"),
        (lambda p: optim.SGD([p * 2]), "result of an operation"),
        (lambda p: optim.SGD([{"params": [p]}, {"params": [p]}]), "in two groups"),
    ],
)
def test_senseless_settings_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(variable(1.0))


@pytest.mark.parametrize("params", [Tensor([1.0]), [1.0]], ids=["a tensor", "a number"])
def test_parameters_are_a_list_of_tensors(params: Any) -> None:
    with pytest.raises(TypeError, match="SGD: param"):
        optim.SGD(params)


def test_lamb_follows_its_formula() -> None:
    p = variable(3.0, -4.0)
    optimizer = optim.LAMB([p], lr=0.1, weight_decay=0.2)
    x, m, v = np.array([3.0, -4.0]), np.zeros(2), np.zeros(2)
    for t in range(1, 5):
        step_of(optimizer, p, 2.0)
        g = 2 * x
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        r = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-6) + 0.2 * x
        x = x - 0.1 * np.linalg.norm(x) / np.linalg.norm(r) * r
        np.testing.assert_allclose(p.numpy(), x, rtol=1e-5)


def test_lamb_moves_a_parameter_of_zeros() -> None:
    p = variable(0.0, 0.0)
    optimizer = optim.LAMB([p], lr=0.1)
    (p * Tensor([1.0, -2.0])).sum().backward()
    optimizer.step()
    np.testing.assert_allclose(p.numpy(), [-0.1, 0.1], rtol=1e-4)


def test_clipping_nothing_gives_nothing() -> None:
    p = variable(1.0)
    assert utils.clip_grad_norm_([p], 1.0).item() == 0.0
    assert p.grad is None


def test_a_captured_step_follows_its_schedule() -> None:
    p = variable(0.0)
    optimizer = optim.SGD([p], lr=1.0)
    scheduler = lr_scheduler.StepLR(optimizer, 1, gamma=0.5)

    @TinyJit
    def step() -> Tensor:
        optimizer.zero_grad()
        p.sum().backward()
        optimizer.step()
        return p.detach()

    found = []
    for _ in range(4):
        found.append(step().item())
        scheduler.step()
    np.testing.assert_allclose(found, [-1.0, -1.5, -1.75, -1.875])


@pytest.mark.parametrize("make", [lr_scheduler.StepLR, lr_scheduler.CosineAnnealingLR])
def test_schedules_refuse_no_length(make: Any) -> None:
    with pytest.raises(ValueError, match="0 is not at least 1"):
        make(optim.SGD([variable(1.0)]), 0)

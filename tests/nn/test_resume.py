"""A training run that is stopped and goes on from files is the same as one that was not, bit for
bit: parameters, running statistics, optimizer state, learning rates, random numbers."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lazygrad import Tensor, TinyJit, nn
from lazygrad.errors import DTypeError, ShapeError
from lazygrad.nn import lr_scheduler, optim
from lazygrad.nn.state import get_state_dict, load_state_dict, safe_load, safe_save

STEPS = 8
LATE = 3  # the step from which on the second branch has a gradient
DATA = np.random.default_rng(0).standard_normal((12, 5)).astype(np.float32)


class Model:
    def __init__(self) -> None:
        self.first, self.norm = nn.Linear(5, 6), nn.BatchNorm(6)
        self.frozen, self.late = nn.Linear(6, 6), nn.Linear(6, 6)
        self.head = nn.Linear(6, 1)
        for p in (self.frozen.weight, self.frozen.bias):
            assert p is not None
            p.requires_grad_(False)

    def __call__(self, x: Tensor, uses_late: bool) -> Tensor:
        x = self.norm(self.first(x)).relu().dropout(0.3)
        x = x + self.frozen(x).tanh()
        x = x + self.late(x) if uses_late else x
        return self.head(x.dropout(0.2))


OPTIMIZERS: dict[str, Callable[[Any], optim.Optimizer]] = {
    "Adam": lambda params: optim.Adam(params, lr=0.01),
    "amsgrad": lambda params: optim.AdamW(params, lr=0.01, amsgrad=True, weight_decay=0.1),
    "LAMB": lambda params: optim.LAMB(params, lr=0.01),
    "momentum": lambda params: optim.SGD(params, lr=0.01, momentum=0.9, dampening=0.5),
    "nesterov": lambda params: optim.SGD(params, lr=0.01, momentum=0.9, nesterov=True),
    "RMSprop": lambda params: optim.RMSprop(params, lr=0.01, momentum=0.5, centered=True),
    "Adagrad": lambda params: optim.Adagrad(params, lr=0.1, lr_decay=0.1),
}
SCHEDULERS: dict[str, Callable[[Any], Any]] = {
    "one cycle": lambda o: lr_scheduler.OneCycleLR(
        o, 0.1, STEPS, cycle_momentum=not isinstance(o, (optim.Adagrad))
    ),
    "cosine": lambda o: lr_scheduler.CosineAnnealingLR(o, 5),
    "warm-up": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o, 0.1, total_iters=2), lr_scheduler.ExponentialLR(o, 0.7)], [3]
    ),
}


class Run:
    """A model, what trains it, and checkpoints of all that."""

    def __init__(self, kind: str, schedule: str, captured: bool, seed: int) -> None:
        Tensor.manual_seed(seed)
        self.model = Model()
        params = list(get_state_dict(self.model).values())
        groups = [{"params": params[:3]}, {"params": params[3:], "weight_decay": 0.01}]
        self.optimizer = OPTIMIZERS[kind](groups)
        self.scheduler = SCHEDULERS[schedule](self.optimizer)
        self.at = 0
        self.compute = TinyJit(self._compute) if captured else self._compute

    def _compute(self, uses_late: bool) -> Tensor:
        x = Tensor(DATA)[Tensor.randperm(len(DATA))[:8]]
        with Tensor.train():
            self.optimizer.zero_grad()
            loss = (self.model(x, uses_late) - x[:, :1]).square().mean()
            loss.backward()
            self.optimizer.step()
            return loss.realize()

    def steps(self, count: int) -> list[float]:
        losses = []
        for _ in range(count):
            losses.append(self.compute(self.at >= LATE).item())
            self.scheduler.step()
            self.at += 1
        return losses

    def save(self, folder: Path, flat: bool) -> None:
        safe_save(get_state_dict(self.model), folder / "model")
        if flat:
            safe_save(get_state_dict(self.optimizer), folder / "optimizer")
        else:
            (folder / "optimizer").write_bytes(pickle.dumps(self.optimizer.state_dict()))
        safe_save({"rng": Tensor.get_rng_state()}, folder / "rng")
        schedule = {"at": self.at, "scheduler": self.scheduler.state_dict()}
        (folder / "schedule").write_text(json.dumps(schedule))

    def load(self, folder: Path, flat: bool) -> None:
        load_state_dict(self.model, safe_load(folder / "model"))
        if flat:
            load_state_dict(self.optimizer, safe_load(folder / "optimizer"))
        else:
            saved = pickle.loads((folder / "optimizer").read_bytes())
            self.optimizer.load_state_dict(saved)
        schedule = json.loads((folder / "schedule").read_text())
        self.at = schedule["at"]
        self.scheduler.load_state_dict(schedule["scheduler"])
        Tensor.set_rng_state(safe_load(folder / "rng")["rng"])

    def everything(self) -> dict[str, Any]:
        state = {**get_state_dict(self.model), **get_state_dict(self.optimizer)}
        found = {name: tensor.numpy().tobytes() for name, tensor in state.items()}
        return {**found, "rates": [group["lr"] for group in self.optimizer.param_groups]}


def check(tmp_path: Path, kind: str, schedule: str, captured: bool, flat: bool, at: int) -> None:
    whole = Run(kind, schedule, captured, seed=1)
    losses = whole.steps(STEPS)
    assert len(set(losses)) == STEPS
    before = Run(kind, schedule, captured, seed=1)
    assert before.steps(at) == losses[:at]
    before.save(tmp_path, flat)
    after = Run(kind, schedule, captured, seed=2)
    if at > 1:
        after.steps(1)  # what is captured before the state is loaded serves after, too
    after.load(tmp_path, flat)
    assert after.steps(STEPS - at) == losses[at:]
    expected, found = whole.everything(), after.everything()
    if kind in ("momentum", "nesterov") and not flat:
        for n in range(2):  # PyTorch's layout has no count for SGD, only whether there was a step
            del expected[f"param_groups.{n}.steps"]
    assert [name for name in expected if found[name] != expected[name]] == []


@pytest.mark.parametrize("captured", [False, True], ids=["eager", "captured"])
@pytest.mark.parametrize("flat", [False, True], ids=["state_dict", "flat"])
@pytest.mark.parametrize("kind", ["Adam", "momentum"])
@pytest.mark.parametrize("at", [1, 4])
def test_a_resumed_run_is_the_same(
    tmp_path: Path, kind: str, flat: bool, captured: bool, at: int
) -> None:
    check(tmp_path, kind, "one cycle", captured, flat, at)


@pytest.mark.slow
@pytest.mark.parametrize("captured", [False, True], ids=["eager", "captured"])
@pytest.mark.parametrize(
    ("kind", "schedule"),
    [*((kind, "one cycle") for kind in OPTIMIZERS), ("amsgrad", "cosine"), ("Adam", "warm-up")],
)
def test_all_resumed_runs_are_the_same(
    tmp_path: Path, kind: str, schedule: str, captured: bool
) -> None:
    for at in (2, 3, 5):
        check(tmp_path, kind, schedule, captured, at % 2 == 0, at)


def test_gradients_that_begin_late_have_counts_of_their_own() -> None:
    """The state in the middle of a run, loaded, gives what the run without a pause gives."""

    def steps(optimizer: optim.Optimizer, params: list[Tensor], first: int, last: int) -> None:
        for step in range(first, last):
            optimizer.zero_grad()
            sum((p * p).sum() for p in params[: 1 if step < 3 else 2]).backward()  # type: ignore
            optimizer.step()

    def made(values: Any) -> tuple[optim.Optimizer, list[Tensor]]:
        params = [Tensor(np.array(v), requires_grad=True) for v in values]
        return optim.Adam(params, lr=0.1), params

    whole, expected = made([[1.0], [1.0]])
    steps(whole, expected, 0, 8)
    before, params = made([[1.0], [1.0]])
    steps(before, params, 0, 4)
    after, params = made([p.numpy() for p in params])
    after.load_state_dict(before.state_dict())
    steps(after, params, 4, 8)
    assert [p.item() for p in params] == [p.item() for p in expected]
    assert [s["step"].item() for s in after.state.values()] == [8.0, 5.0]


def test_a_step_without_a_gradient_is_not_counted() -> None:
    p, q = (Tensor([1.0], requires_grad=True) for _ in range(2))
    optimizer = optim.Adam([p, q])

    @TinyJit
    def step(both: bool) -> None:
        optimizer.zero_grad()
        (p * q.detach() if not both else p * q).sum().backward()
        optimizer.step()

    for both in (True, False, True, False, False):
        step(both)
    assert [s["step"].item() for s in optimizer.state.values()] == [5.0, 2.0]


def test_a_saved_state_does_not_change() -> None:
    p = Tensor([1.0], requires_grad=True)
    optimizer = optim.Adam([p], lr=0.1)

    @TinyJit
    def step() -> None:
        optimizer.zero_grad()
        p.sum().backward()
        optimizer.step()

    step()
    state = optimizer.state_dict()
    saved = {name: tensor.item() for name, tensor in state["state"][0].items()}
    for _ in range(3):
        step()
    assert {name: tensor.item() for name, tensor in state["state"][0].items()} == saved
    optimizer.load_state_dict(state)
    step()
    assert optimizer.state[p]["step"].item() == 2.0


def test_what_has_not_moved_has_no_state() -> None:
    p, q = (Tensor([1.0], requires_grad=True) for _ in range(2))
    optimizer = optim.Adam([p, q])
    assert optimizer.state_dict()["state"] == {}
    q.sum().backward()
    optimizer.step()
    state = optimizer.state_dict()
    assert {n: list(s) for n, s in state["state"].items()} == {1: ["step", "exp_avg", "exp_avg_sq"]}
    assert state["param_groups"][0]["params"] == [0, 1]
    optimizer.load_state_dict(optim.Adam([p, q]).state_dict())
    assert optimizer.state_dict()["state"] == {}


def moved(kind: Callable[..., optim.Optimizer], *shape: int, **options: Any) -> optim.Optimizer:
    p = Tensor.ones(*shape, requires_grad=True)
    optimizer = kind([p], **options)
    p.sum().backward()
    optimizer.step()
    return optimizer


def test_state_that_does_not_fit_changes_nothing() -> None:
    optimizer = moved(optim.Adam, 2)
    before = {name: str(t.tolist()) for name, t in get_state_dict(optimizer).items()}
    p = Tensor.ones(2, requires_grad=True)
    for other, error, message in [
        (moved(optim.Adam, 3), ShapeError, r"exp_avg of shape \(3,\) is not for .* shape \(2,\)"),
        (moved(optim.Adagrad, 2), ValueError, "state is exp_avg, exp_avg_sq, not sum"),
        (optim.Adam([p, Tensor.ones(2, requires_grad=True)]), ValueError, r"\[2\] .* \[1\]"),
        (optim.Adam([{"params": p}, {"params": Tensor.ones(2, requires_grad=True)}]), ValueError,
         r"\[1, 1\] .* \[1\]"),
    ]:  # fmt: skip
        with pytest.raises(error, match=message):
            optimizer.load_state_dict(other.state_dict())
    assert {name: str(t.tolist()) for name, t in get_state_dict(optimizer).items()} == before


def test_settings_come_with_the_state() -> None:
    source = moved(optim.Adam, 2, lr=0.3, betas=(0.5, 0.7), amsgrad=True)
    target = moved(optim.Adam, 2)
    target.load_state_dict(source.state_dict())
    (group,) = target.param_groups
    assert (group["lr"], group["betas"], group["amsgrad"]) == (0.3, (0.5, 0.7), True)
    assert list(group.state[0]) == ["exp_avg", "exp_avg_sq", "max_exp_avg_sq"]


def test_a_scheduler_made_anew_knows_where_the_rate_began() -> None:
    def made() -> optim.Optimizer:
        return optim.SGD([Tensor([1.0], requires_grad=True)], lr=0.1)

    optimizer = made()
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, 10)
    for _ in range(5):
        scheduler.step()
    for resumed in (made(), made()):
        load_state_dict(resumed, get_state_dict(optimizer))
        anew = lr_scheduler.CosineAnnealingLR(resumed, 10, last_epoch=4)
        assert anew.last_epoch == 5
        np.testing.assert_allclose(anew.get_last_lr(), [0.05], rtol=1e-6)
        anew.step()
        np.testing.assert_allclose(anew.get_last_lr(), [0.03454915], rtol=1e-6)
    resumed = made()
    load_state_dict(resumed, get_state_dict(optimizer))
    anew = lr_scheduler.CosineAnnealingLR(resumed, 10)
    anew.last_epoch = 5
    anew.step()
    np.testing.assert_allclose(anew.get_last_lr(), [0.03454915], rtol=1e-6)
    with pytest.raises(KeyError, match="no group has an initial_lr"):
        lr_scheduler.CosineAnnealingLR(made(), 10, last_epoch=4)


def test_a_schedule_cannot_be_captured() -> None:
    from lazygrad.errors import JitError

    optimizer = optim.SGD([Tensor([1.0], requires_grad=True)], lr=0.1)
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.9)
    with pytest.raises(JitError, match="reads a value on the host"):
        TinyJit(scheduler.step)()


# --------------------------------------------------------------------------- random numbers


@pytest.mark.parametrize("captured", [False, True])
def test_random_numbers_go_on_from_their_state(captured: bool) -> None:
    def draw(x: Tensor) -> Tensor:
        with Tensor.train():
            return (x.dropout(0.5) + Tensor.randn(4)).realize()

    run, x = TinyJit(draw) if captured else draw, Tensor.ones(4).realize()
    Tensor.manual_seed(5)
    run(x)
    state = Tensor.get_rng_state()
    saved = state.tolist()
    first = [run(x).tolist() for _ in range(3)]
    assert state.tolist() == saved  # later draws leave it as it is
    Tensor.set_rng_state(state)
    assert [run(x).tolist() for _ in range(3)] == first
    Tensor.set_rng_state(np.array(saved, np.uint32))
    assert [run(x).tolist() for _ in range(3)] == first
    assert len({str(values) for values in first}) == 3


def test_a_state_of_random_numbers_is_one() -> None:
    with pytest.raises(ShapeError, match=r"shape \(3,\), not \(2,\)"):
        Tensor.set_rng_state(np.zeros(2, np.uint32))
    with pytest.raises(DTypeError, match="uint32, not int64"):
        Tensor.set_rng_state(Tensor([1, 2, 3]))

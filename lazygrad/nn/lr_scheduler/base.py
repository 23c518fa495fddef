"""What all schedulers share: the epoch, the rates from which they began, state to go on from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import FunctionType
from typing import Any, TypeVar

from ...errors import ArgumentError, KindError
from ..optim import Optimizer

T = TypeVar("T")
Rates = float | Sequence[float]  # one for all groups, or one a group


class LRScheduler:
    """Sets the learning rate of each of the optimizer's groups, when it is made and at each `step`.

    `last_epoch` is the number of calls of `step`. Given, it is the number of those that were made
    before the last one: the scheduler goes on from there, and finds the rate as that call left it.
    A subclass says what the next rate is (`_rate`), in most cases from the one before.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(
                    f"{type(self).__name__}: last_epoch {last_epoch} goes on with a schedule, but "
                    "no group has an initial_lr: load the optimizer's state before"
                )
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._begin()

    def _begin(self) -> None:
        """Go to the first epoch, or to the one that is gone on with: rates are as they were."""
        self.last_epoch += 1
        if self.last_epoch == 0:
            self._set(self.get_lr())
        else:
            self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def step(self) -> None:
        """Go on by one epoch (or whatever the unit is), and give the optimizer its rates."""
        self.last_epoch += 1
        self._set(self.get_lr())

    def get_lr(self) -> list[float]:
        """The rates of this epoch, where the optimizer still has those of the one before."""
        groups = self.optimizer.param_groups
        return [self._rate(n, group["lr"]) for n, group in enumerate(groups)]

    def get_last_lr(self) -> list[float]:
        """The rates that were set last, one a group."""
        return self._last_lr

    def _restart(self) -> None:
        """Begin at epoch 0, from the initial rates, whatever the rates are now."""
        self.last_epoch = 0
        self._set([self._rate(n, base) for n, base in enumerate(self.base_lrs)])

    def _undo(self) -> None:
        """Forget the first epoch, which is to begin anew."""
        self.last_epoch -= 1

    def _rate(self, n: int, lr: float) -> float:
        """The rate of group n at `last_epoch`; at the epoch before it was `lr`."""
        raise NotImplementedError

    def _set(self, rates: Sequence[float]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self._last_lr = list(rates)

    # ------------------------------------------------------------------ state

    def state_dict(self) -> dict[str, Any]:
        """Numbers, and lists and dicts of them: all that the schedule goes on from."""
        return {name: _saved(value) for name, value in vars(self).items() if name != "optimizer"}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from where `state_dict` was called. The rates of the optimizer stay: they are
        part of its own state."""
        for name, value in state_dict.items():
            setattr(self, name, _loaded(getattr(self, name, None), value))
        for group, rate in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            group.refine("lr", rate)


def _saved(value: Any) -> Any:
    """What is saved of an attribute: a scheduler's own state; nothing of a function; of another
    callable object its attributes."""
    if isinstance(value, LRScheduler):
        return value.state_dict()
    if callable(value):
        return None if isinstance(value, FunctionType) else dict(vars(value))
    return [_saved(item) for item in value] if isinstance(value, list) else value


def _loaded(own: Any, value: Any) -> Any:
    """The attribute `own` with what was saved of it."""
    if isinstance(own, LRScheduler):
        own.load_state_dict(value)
        return own
    if callable(own):
        if value is not None:
            vars(own).update(value)
        return own
    if isinstance(own, list) and isinstance(value, list) and len(own) == len(value):
        return [_loaded(*pair) for pair in zip(own, value, strict=True)]
    return value


def each_group(name: str, value: T | Sequence[T], optimizer: Optimizer) -> list[T]:
    """A value for each group: the one given, or one of each."""
    groups = optimizer.param_groups
    for each in value if isinstance(value, (list, tuple)) else (value,):
        if isinstance(each, str):
            raise KindError(f"{name}: a rate or a momentum is a number, not {each!r}")
    if not isinstance(value, list | tuple):
        return [value] * len(groups)  # type: ignore[list-item]
    if len(value) != len(groups):
        raise ArgumentError(f"{name}: {len(value)} values for {len(groups)} groups of parameters")
    return list(value)

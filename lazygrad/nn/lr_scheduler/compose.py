"""Schedules of schedules: one after the other, or all at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from ...errors import ArgumentError, KindError, told
from ..optim import Optimizer
from .base import LRScheduler
from .plateau import ReduceLROnPlateau


class _Composed(LRScheduler):
    """What holds several schedulers of one optimizer."""

    def __init__(self, optimizer: Optimizer | None, schedulers: Sequence[LRScheduler]) -> None:
        name = type(self).__name__
        if not schedulers:
            raise ArgumentError(f"{name}: there is no scheduler")
        for scheduler in schedulers:
            if not isinstance(scheduler, (LRScheduler, ReduceLROnPlateau)):
                raise KindError(f"{name}: a scheduler of learning rates is no {told(scheduler)}")
        self.optimizer = schedulers[0].optimizer if optimizer is None else optimizer
        for scheduler in schedulers:
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ArgumentError(f"{name}: ReduceLROnPlateau needs a metric at each step")
            if scheduler.optimizer is not self.optimizer:
                raise ArgumentError(f"{name}: the schedulers are not of one optimizer")
        self._schedulers = list(schedulers)


class SequentialLR(_Composed):
    """One scheduler after the other: the next begins, from the initial rates, at each milestone.

    optimizer = nn.optim.SGD([Tensor([1.0])], lr=1.0)
    scheduler = nn.lr_scheduler.SequentialLR(
        optimizer,
        [nn.lr_scheduler.StepLR(optimizer, 9), nn.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)],
        milestones=[1],
    )
    for _ in range(2):
        scheduler.step()
    scheduler.get_last_lr() == [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
    ) -> None:
        super().__init__(optimizer, schedulers)
        if len(milestones) != len(schedulers) - 1:
            raise ArgumentError(
                f"SequentialLR: {len(schedulers)} schedulers have {len(schedulers) - 1} milestones "
                f"between them, not {len(milestones)}"
            )
        self._milestones = list(milestones)
        self.last_epoch = last_epoch + 1
        for group in optimizer.param_groups:  # each scheduler has set its own first rate
            group["lr"] = group["initial_lr"]
        for scheduler in self._schedulers:
            scheduler._undo()
        self._now()._begin()
        self._last_lr = self._now().get_last_lr()

    def _now(self) -> LRScheduler:
        """The scheduler of this epoch."""
        return self._schedulers[bisect_right(self._milestones, self.last_epoch)]

    def step(self) -> None:
        self.last_epoch += 1
        if self.last_epoch in self._milestones:
            self._now()._restart()
        else:
            self._now().step()
        self._last_lr = self._now().get_last_lr()

    def _undo(self) -> None:
        for scheduler in self._schedulers:
            scheduler._undo()


class ChainedScheduler(_Composed):
    """All schedulers at each step, in order.

    optimizer = nn.optim.SGD([Tensor([1.0])], lr=1.0)
    scheduler = nn.lr_scheduler.ChainedScheduler(
        [
            nn.lr_scheduler.StepLR(optimizer, 1, gamma=0.5),
            nn.lr_scheduler.ExponentialLR(optimizer, 0.5),
        ]
    )
    scheduler.step()
    scheduler.get_last_lr() == [0.25]
    """

    def __init__(
        self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None
    ) -> None:
        super().__init__(optimizer, schedulers)
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def step(self) -> None:
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = self._schedulers[-1].get_last_lr()

    def _undo(self) -> None:
        for scheduler in self._schedulers:
            scheduler._undo()

"""Learning rates that change as training goes on. Numerics are PyTorch's.

    scheduler = CosineAnnealingLR(optimizer, T_max=epochs)
    for epoch in range(epochs):
        ...                  # steps of the optimizer
        scheduler.step()

A rate is a closed formula of how often `step` was called. It is given to the optimizer's tensor, so
a step that `jit` captured follows it, and nothing is compiled anew.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence

from .optim import Optimizer


class LRScheduler:
    """What all schedulers share: `last_epoch` counts the calls of `step`."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.base_lr = float(optimizer.lr.item())
        self.last_epoch = 0
        self._set(self._rate(0))

    def step(self) -> None:
        """Go on by one epoch (or whatever the unit is), and give the optimizer its rate."""
        self.last_epoch += 1
        self._set(self._rate(self.last_epoch))

    def get_last_lr(self) -> list[float]:
        """The learning rate that was set last, in a list of one."""
        return [self._last]

    def _set(self, rate: float) -> None:
        self._last = rate
        self.optimizer.lr = rate

    def _rate(self, epoch: int) -> float:
        """The learning rate after `epoch` steps."""
        raise NotImplementedError


class LambdaLR(LRScheduler):
    """The first rate times a function of the number of steps."""

    def __init__(self, optimizer: Optimizer, lr_lambda: Callable[[int], float]) -> None:
        self.lr_lambda = lr_lambda
        super().__init__(optimizer)

    def _rate(self, epoch: int) -> float:
        return self.base_lr * self.lr_lambda(epoch)


class StepLR(LRScheduler):
    """The rate times gamma after each `step_size` steps."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        if step_size < 1:
            raise ValueError(f"StepLR: step_size {step_size} is not at least 1")
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer)

    def _rate(self, epoch: int) -> float:
        return self.base_lr * self.gamma ** (epoch // self.step_size)


class MultiStepLR(LRScheduler):
    """The rate times gamma at each of the milestones."""

    def __init__(self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1) -> None:
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer)

    def _rate(self, epoch: int) -> float:
        return self.base_lr * self.gamma ** bisect_right(self.milestones, epoch)


class ExponentialLR(LRScheduler):
    """The rate times gamma after each step."""

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        self.gamma = gamma
        super().__init__(optimizer)

    def _rate(self, epoch: int) -> float:
        return self.base_lr * self.gamma**epoch


class LinearLR(LRScheduler):
    """The rate times a factor that goes from start to end in `total_iters` steps: a warm-up."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
    ) -> None:
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer)

    def _rate(self, epoch: int) -> float:
        share = min(epoch, self.total_iters) / self.total_iters
        return self.base_lr * (self.start_factor + (self.end_factor - self.start_factor) * share)


class CosineAnnealingLR(LRScheduler):
    """The rate along half a cosine down to `eta_min` in `T_max` steps, and up again in as many
    (Loshchilov and Hutter 2017, without restarts)."""

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        if T_max < 1:
            raise ValueError(f"CosineAnnealingLR: T_max {T_max} is not at least 1")
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer)

    def _rate(self, epoch: int) -> float:
        height = (1 + math.cos(math.pi * epoch / self.T_max)) / 2
        return self.eta_min + (self.base_lr - self.eta_min) * height

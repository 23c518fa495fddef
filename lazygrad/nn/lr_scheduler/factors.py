"""Schedules that multiply: by a function, at some epochs, or along a line or a power."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ...errors import ArgumentError, check_numbers
from ..optim import Optimizer
from .base import LRScheduler, each_group

Factor = Callable[[int], float]


class LambdaLR(LRScheduler):
    """The initial rate times a function of the epoch: one function, or one a group.

    optimizer = nn.optim.SGD([Tensor([1.0])], lr=1.0)
    scheduler = nn.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5**epoch)
    scheduler.step()
    scheduler.get_last_lr() == [0.5]
    """

    def __init__(
        self, optimizer: Optimizer, lr_lambda: Factor | Sequence[Factor], last_epoch: int = -1
    ) -> None:
        self.lr_lambdas = each_group("LambdaLR", lr_lambda, optimizer)
        super().__init__(optimizer, last_epoch)

    def _rate(self, n: int, lr: float) -> float:
        return self.base_lrs[n] * self.lr_lambdas[n](self.last_epoch)


class MultiplicativeLR(LRScheduler):
    """The rate times a function of the epoch, at each epoch but the first.

    optimizer = nn.optim.SGD([Tensor([1.0])], lr=1.0)
    scheduler = nn.lr_scheduler.MultiplicativeLR(optimizer, lambda epoch: 0.5)
    for _ in range(2):
        scheduler.step()
    scheduler.get_last_lr() == [0.25]
    """

    def __init__(
        self, optimizer: Optimizer, lr_lambda: Factor | Sequence[Factor], last_epoch: int = -1
    ) -> None:
        self.lr_lambdas = each_group("MultiplicativeLR", lr_lambda, optimizer)
        super().__init__(optimizer, last_epoch)

    def _rate(self, n: int, lr: float) -> float:
        return lr * self.lr_lambdas[n](self.last_epoch) if self.last_epoch else lr

    def _restart(self) -> None:
        """As PyTorch has it, this schedule goes on from the rates that there are."""
        self.last_epoch = 0
        self._set([group["lr"] * self.lr_lambdas[n](0)
                   for n, group in enumerate(self.optimizer.param_groups)])  # fmt: skip


class _FactorLR(LRScheduler):
    """The rate times a factor that is the same for all groups."""

    def _rate(self, n: int, lr: float) -> float:
        return lr * self._factor(self.last_epoch)

    def _factor(self, epoch: int) -> float:
        """The rate of this epoch over that of the one before, or, of epoch 0, over the initial."""
        raise NotImplementedError


class StepLR(_FactorLR):
    """The rate times gamma after each `step_size` steps.

    optimizer = nn.optim.SGD([Tensor([1.0])], lr=1.0)
    scheduler = nn.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    for _ in range(2):
        scheduler.step()
    scheduler.get_last_lr() == [0.5]
    """

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        check_numbers(step_size=step_size, gamma=gamma)
        if step_size < 1:
            raise ArgumentError(f"StepLR: step_size {step_size} is not at least 1")
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        return self.gamma if epoch and epoch % self.step_size == 0 else 1.0


class MultiStepLR(_FactorLR):
    """The rate times gamma at each of the milestones, twice at one that is there twice.

    optimizer = nn.optim.SGD([Tensor([1.0])], lr=1.0)
    scheduler = nn.lr_scheduler.MultiStepLR(optimizer, milestones=[1, 2], gamma=0.5)
    for _ in range(2):
        scheduler.step()
    scheduler.get_last_lr() == [0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        check_numbers(gamma=gamma)
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        return float(self.gamma ** self.milestones.count(epoch))


class ExponentialLR(_FactorLR):
    """The rate times gamma after each step.

    optimizer = nn.optim.SGD([Tensor([1.0])], lr=1.0)
    scheduler = nn.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    for _ in range(2):
        scheduler.step()
    scheduler.get_last_lr() == [0.25]
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        return self.gamma if epoch else 1.0


class ConstantLR(_FactorLR):
    """The rate times a factor for `total_iters` steps, and then itself.

    optimizer = nn.optim.SGD([Tensor([1.0])], lr=1.0)
    scheduler = nn.lr_scheduler.ConstantLR(optimizer, factor=0.5, total_iters=2)
    for _ in range(2):
        scheduler.step()
    scheduler.get_last_lr() == [1.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 1 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        check_numbers(factor=factor)
        if not 0 < factor <= 1:
            raise ArgumentError(f"ConstantLR: factor {factor} is not in (0, 1]")
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        if epoch == 0:
            return self.factor
        return 1 / self.factor if epoch == self.total_iters else 1.0


class LinearLR(_FactorLR):
    """The rate times a factor that goes from start to end in `total_iters` steps: a warm-up.

    optimizer = nn.optim.SGD([Tensor([1.0])], lr=1.0)
    scheduler = nn.lr_scheduler.LinearLR(optimizer, start_factor=0.5, total_iters=2)
    scheduler.step()
    scheduler.get_last_lr() == [0.75]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        check_numbers(start_factor=start_factor, end_factor=end_factor, total_iters=total_iters)
        if not (0 < start_factor <= 1 and 0 <= end_factor <= 1):
            raise ArgumentError(
                f"LinearLR: factors are in (0, 1], not from {start_factor} to {end_factor}"
            )
        if total_iters < 1:
            raise ArgumentError(f"LinearLR: total_iters {total_iters} is not at least 1")
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        if epoch == 0:
            return self.start_factor
        if epoch > self.total_iters:
            return 1.0
        slope = self.end_factor - self.start_factor
        return 1 + slope / (self.total_iters * self.start_factor + (epoch - 1) * slope)


class PolynomialLR(_FactorLR):
    """The rate times (1 - epoch / total_iters) ** power, down to 0.

    optimizer = nn.optim.SGD([Tensor([1.0])], lr=1.0)
    scheduler = nn.lr_scheduler.PolynomialLR(optimizer, total_iters=4)
    scheduler.step()
    scheduler.get_last_lr() == [0.75]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_iters: int = 5,
        power: float = 1.0,
        last_epoch: int = -1,
    ) -> None:
        check_numbers(total_iters=total_iters)
        if total_iters < 1:
            raise ArgumentError(f"PolynomialLR: total_iters {total_iters} is not at least 1")
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        if not 0 < epoch <= self.total_iters:
            return 1.0
        left = self.total_iters - epoch
        return float((left / (left + 1)) ** self.power)

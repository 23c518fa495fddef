"""Schedules along cosines, and in cycles up and down."""

from __future__ import annotations

import math
from collections.abc import Callable

from ...errors import ArgumentError, check_integers, check_numbers
from ..optim import Optimizer, ParamGroup
from .base import LRScheduler, Rates, each_group


class CosineAnnealingLR(LRScheduler):
    """The rate along half a cosine down to `eta_min` in `T_max` steps, and up again in as many
    (Loshchilov and Hutter 2017, without restarts).

        optimizer = nn.optim.SGD([Tensor([1.0])], lr=1.0)
        scheduler = nn.lr_scheduler.CosineAnnealingLR(optimizer, T_max=2)
        for _ in range(2):
            scheduler.step()
        scheduler.get_last_lr() == [0.0]
    """

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        check_numbers(T_max=T_max)
        if T_max < 1:
            raise ArgumentError(f"CosineAnnealingLR: T_max {T_max} is not at least 1")
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def _rate(self, n: int, lr: float) -> float:
        if self.last_epoch == 0:
            return lr
        before, now = (
            1 + math.cos(math.pi * epoch / self.T_max)
            for epoch in (self.last_epoch - 1, self.last_epoch)
        )
        if (self.last_epoch - 1) % (2 * self.T_max) == self.T_max:  # up from the least: 0 / 0
            return lr + (self.base_lrs[n] - self.eta_min) * now / 2
        return self.eta_min + (lr - self.eta_min) * now / before


class CosineAnnealingWarmRestarts(LRScheduler):
    """The rate along half a cosine down to `eta_min`, and again from the start: in T_0 steps, and
    each time in T_mult times as many (Loshchilov and Hutter 2017).

        optimizer = nn.optim.SGD([Tensor([1.0])], lr=1.0)
        scheduler = nn.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=2)
        for _ in range(2):
            scheduler.step()
        scheduler.get_last_lr() == [1.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        check_integers(T_0=T_0, T_mult=T_mult)
        if T_0 < 1 or T_mult < 1:
            raise ArgumentError(f"T_0 {T_0} or T_mult {T_mult} is below 1")
        self.T_0, self.T_mult, self.eta_min = T_0, T_mult, eta_min
        super().__init__(optimizer, last_epoch)

    def _rate(self, n: int, lr: float) -> float:
        at, length = self.last_epoch, self.T_0
        while at >= length and self.T_mult > 1:
            at, length = at - length, length * self.T_mult
        height = (1 + math.cos(math.pi * (at % length) / length)) / 2
        return self.eta_min + (self.base_lrs[n] - self.eta_min) * height


def _momentum_key(name: str, optimizer: Optimizer) -> str:
    """The setting of a momentum, which schedules move against the rate."""
    if "betas" in optimizer.defaults:
        return "betas"
    if not all(group.get("momentum") for group in optimizer.param_groups):
        raise ArgumentError(
            f"{name}: cycle_momentum needs an optimizer with betas, or one that begins with a "
            "momentum; or set cycle_momentum=False"
        )
    return "momentum"


def _set_momentum(group: ParamGroup, key: str, momentum: float) -> None:
    group[key] = (momentum, *group["betas"][1:]) if key == "betas" else momentum


class CyclicLR(LRScheduler):
    """The rate from `base_lr` up to `max_lr` and down again, along lines (Smith 2017).

    The height of a cycle: the same ("triangular"), half that of the one before ("triangular2"),
    times gamma at each step ("exp_range"), or times `scale_fn` of the cycle's number or of the step
    (`scale_mode`, "cycle" or "iterations"). With `cycle_momentum` the momentum goes the other way.

        optimizer = nn.optim.SGD([Tensor([1.0])], lr=1.0)
        scheduler = nn.lr_scheduler.CyclicLR(
            optimizer, 0.0, 1.0, step_size_up=2, cycle_momentum=False
        )
        scheduler.step()
        scheduler.get_last_lr() == [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: Rates,
        max_lr: Rates,
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: Rates = 0.8,
        max_momentum: Rates = 0.9,
        last_epoch: int = -1,
    ) -> None:
        check_numbers(step_size_up=step_size_up)
        if scale_fn is None and mode not in ("triangular", "triangular2", "exp_range"):
            raise ArgumentError(f"CyclicLR: mode {mode!r} is unknown, and there is no scale_fn")
        bases = each_group("CyclicLR", base_lr, optimizer)
        self.max_lrs = each_group("CyclicLR", max_lr, optimizer)
        self.up = step_size_up
        self.length = step_size_up + (step_size_up if step_size_down is None else step_size_down)
        self.mode, self.gamma, self.scale_fn, self.scale_mode = mode, gamma, scale_fn, scale_mode
        self.base_momentums = each_group("CyclicLR", base_momentum, optimizer)
        self.max_momentums = each_group("CyclicLR", max_momentum, optimizer)
        self.momentum_key = _momentum_key("CyclicLR", optimizer) if cycle_momentum else ""
        if last_epoch == -1:
            for group, base in zip(optimizer.param_groups, bases, strict=True):
                group["lr"] = group["initial_lr"] = base
        super().__init__(optimizer, last_epoch)
        self.base_lrs = bases

    def _rate(self, n: int, lr: float) -> float:
        cycle, at = divmod(self.last_epoch, self.length)
        share = at / self.up if at <= self.up else (self.length - at) / (self.length - self.up)
        share *= self._scale(cycle + 1)
        if self.momentum_key:
            least, most = self.base_momentums[n], self.max_momentums[n]
            group = self.optimizer.param_groups[n]
            _set_momentum(group, self.momentum_key, most - (most - least) * share)
        return self.base_lrs[n] + (self.max_lrs[n] - self.base_lrs[n]) * share

    def _scale(self, cycle: int) -> float:
        """The height of a cycle, of which the first is 1."""
        if self.scale_fn is not None:
            return self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.mode == "exp_range":
            return float(self.gamma**self.last_epoch)
        return 0.5 ** (cycle - 1) if self.mode == "triangular2" else 1.0


class OneCycleLR(LRScheduler):
    """The rate up from max_lr / div_factor to max_lr, and down to div_factor * final_div_factor
    times less (Smith and Topin 2018), in `total_steps` steps, or epochs * steps_per_epoch.

    The way up takes `pct_start` of them; with `three_phase` the way back takes as many, and the
    rest goes on down. Ways are along cosines or lines ("cos", "linear"). With `cycle_momentum` the
    momentum goes the other way. Raises ValueError at a step beyond the last.

        optimizer = nn.optim.SGD([Tensor([1.0])], lr=1.0)
        scheduler = nn.lr_scheduler.OneCycleLR(
            optimizer, max_lr=1.0, total_steps=10, cycle_momentum=False
        )
        for _ in range(2):
            scheduler.step()
        scheduler.get_last_lr() == [1.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: Rates,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: Rates = 0.85,
        max_momentum: Rates = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ArgumentError("OneCycleLR: give total_steps, or epochs and steps_per_epoch")
            total_steps = epochs * steps_per_epoch
        check_integers(total_steps=total_steps)
        check_numbers(pct_start=pct_start, div_factor=div_factor)
        if total_steps < 1 or not 0 <= pct_start <= 1:
            raise ArgumentError(
                f"total_steps {total_steps} or pct_start {pct_start} is too small or large"
            )
        if anneal_strategy not in ("cos", "linear"):
            raise ArgumentError(f"OneCycleLR: anneal_strategy {anneal_strategy!r}: cos or linear")
        self.total_steps, self.pct_start, self.three_phase = total_steps, pct_start, three_phase
        self.anneal_strategy, self.final_div_factor = anneal_strategy, final_div_factor
        self.max_lrs = each_group("OneCycleLR", max_lr, optimizer)
        self.base_momentums = each_group("OneCycleLR", base_momentum, optimizer)
        self.max_momentums = each_group("OneCycleLR", max_momentum, optimizer)
        self.momentum_key = _momentum_key("OneCycleLR", optimizer) if cycle_momentum else ""
        if last_epoch == -1:
            for group, most in zip(optimizer.param_groups, self.max_lrs, strict=True):
                group["initial_lr"] = most / div_factor
        super().__init__(optimizer, last_epoch)

    def _rate(self, n: int, lr: float) -> float:
        if self.last_epoch > self.total_steps:
            raise ArgumentError(
                f"OneCycleLR: step {self.last_epoch} of a schedule of {self.total_steps}"
            )
        first, most = self.base_lrs[n], self.max_lrs[n]
        rates = [first, most, first / self.final_div_factor]
        ends = [0.0, self.pct_start * self.total_steps - 1, self.total_steps - 1.0]
        momentums = [self.max_momentums[n], self.base_momentums[n], self.max_momentums[n]]
        if self.three_phase:
            rates.insert(2, first)
            ends.insert(2, 2 * self.pct_start * self.total_steps - 2)
            momentums.insert(2, self.max_momentums[n])
        last = len(ends) - 2
        i = next((i for i, end in enumerate(ends[1:-1]) if self.last_epoch <= end), last)
        length = ends[i + 1] - ends[i]
        share = (self.last_epoch - ends[i]) / length if length else 1.0
        if self.momentum_key:
            momentum = self._between(momentums[i], momentums[i + 1], share)
            _set_momentum(self.optimizer.param_groups[n], self.momentum_key, momentum)
        return self._between(rates[i], rates[i + 1], share)

    def _between(self, start: float, end: float, share: float) -> float:
        if self.anneal_strategy == "cos":
            return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
        return start + (end - start) * share

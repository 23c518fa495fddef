"""A schedule that looks at what training achieves."""

from __future__ import annotations

import math
from typing import SupportsFloat

from ...errors import ArgumentError, check_numbers
from ..optim import Optimizer
from .base import LRScheduler, Rates, each_group


class ReduceLROnPlateau(LRScheduler):
    """The rate times `factor` once a metric, which is given to `step`, has not become better in
    more than `patience` steps.

    Better is less ("min") or more ("max") than the best by `threshold`, relative to the best
    ("rel") or not ("abs"). For `cooldown` steps after a change no step counts as a bad one. A
    rate stays at or above `min_lr`, and changes of less than `eps` are not made.

        optimizer = nn.optim.SGD([Tensor([1.0])], lr=1.0)
        scheduler = nn.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
        for loss in (3.0, 3.0):
            scheduler.step(loss)
        optimizer.param_groups[0]["lr"] == 0.5
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: Rates = 0.0,
        eps: float = 1e-8,
    ) -> None:
        check_numbers(factor=factor)
        if factor >= 1:
            raise ArgumentError(f"ReduceLROnPlateau: factor {factor} is not less than 1")
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            raise ArgumentError(f"mode {mode!r} or threshold_mode {threshold_mode!r} is unknown")
        self.optimizer = optimizer
        self.mode, self.factor, self.patience, self.cooldown = mode, factor, patience, cooldown
        self.threshold, self.threshold_mode, self.eps = threshold, threshold_mode, eps
        self.min_lrs = each_group("ReduceLROnPlateau", min_lr, optimizer)
        self.best = math.inf if mode == "min" else -math.inf
        self.cooldown_counter = self.num_bad_epochs = self.last_epoch = 0
        self._last_lr = [group["lr"] for group in optimizer.param_groups]

    def step(self, metrics: SupportsFloat) -> None:  # type: ignore[override]
        """Go on by one epoch, in which the metric was `metrics`."""
        self.last_epoch += 1
        current = float(metrics)
        if self._is_better(current):
            self.best, self.num_bad_epochs = current, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
            for group, least in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
                rate = max(group["lr"] * self.factor, least)
                if group["lr"] - rate > self.eps:
                    group["lr"] = rate
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def _is_better(self, current: float) -> bool:
        sign = 1 if self.mode == "max" else -1
        if self.threshold_mode == "rel":
            wanted = self.best * (1 + sign * self.threshold)
        else:
            wanted = self.best + sign * self.threshold
        return sign * current > sign * wanted

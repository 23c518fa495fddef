"""Losses as objects, called with a prediction and a target.

`reduction` is "mean", "sum" or "none".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..tensor import Tensor
from .module import Layer


class CrossEntropyLoss(Layer):
    """`Tensor.cross_entropy`: of scores and class indices, or class probabilities."""

    def __init__(
        self,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        self.weight, self.ignore_index = weight, ignore_index
        self.reduction, self.label_smoothing = reduction, label_smoothing

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return x.cross_entropy(
            target, self.weight, self.ignore_index, self.reduction, self.label_smoothing
        )

    if TYPE_CHECKING:
        __call__ = forward


class NLLLoss(Layer):
    """`Tensor.nll_loss`: of log-probabilities and class indices."""

    def __init__(
        self, weight: Tensor | None = None, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        self.weight, self.ignore_index, self.reduction = weight, ignore_index, reduction

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return x.nll_loss(target, self.weight, self.ignore_index, self.reduction)

    if TYPE_CHECKING:
        __call__ = forward


class BCELoss(Layer):
    """`Tensor.binary_crossentropy`: of probabilities."""

    def __init__(self, weight: Tensor | None = None, reduction: str = "mean") -> None:
        self.weight, self.reduction = weight, reduction

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return x.binary_crossentropy(target, self.weight, self.reduction)

    if TYPE_CHECKING:
        __call__ = forward


class BCEWithLogitsLoss(Layer):
    """`Tensor.binary_crossentropy_logits`: of scores."""

    def __init__(
        self,
        weight: Tensor | None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        self.weight, self.reduction, self.pos_weight = weight, reduction, pos_weight

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return x.binary_crossentropy_logits(target, self.weight, self.reduction, self.pos_weight)

    if TYPE_CHECKING:
        __call__ = forward


class MSELoss(Layer):
    """`Tensor.mse_loss`: squared distances."""

    def __init__(self, reduction: str = "mean") -> None:
        self.reduction = reduction

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return x.mse_loss(target, self.reduction)

    if TYPE_CHECKING:
        __call__ = forward


class L1Loss(Layer):
    """`Tensor.l1_loss`: distances."""

    def __init__(self, reduction: str = "mean") -> None:
        self.reduction = reduction

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return x.l1_loss(target, self.reduction)

    if TYPE_CHECKING:
        __call__ = forward


class SmoothL1Loss(Layer):
    """`Tensor.smooth_l1_loss`: squared distances near 0, distances beyond beta."""

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        self.reduction, self.beta = reduction, beta

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return x.smooth_l1_loss(target, self.reduction, self.beta)

    if TYPE_CHECKING:
        __call__ = forward


class HuberLoss(Layer):
    """`Tensor.huber_loss`: squared distances near 0, distances beyond delta."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        self.reduction, self.delta = reduction, delta

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return x.huber_loss(target, self.reduction, self.delta)

    if TYPE_CHECKING:
        __call__ = forward

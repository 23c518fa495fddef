"""Losses, as methods of the prediction."""

from __future__ import annotations

from typing import Any, Self

from ..errors import ArgumentError, DTypeError, ShapeError
from ..graph import build
from ..graph.ir import Equal, Iota
from .core import TensorCore
from .operands import broadcast_node, broadcast_shape, class_numbers
from .precision import rounded_once
from .ranges import checked, verify_probabilities
from .resampling import Resampling


class Losses(Resampling):
    """`reduction` is "mean", "sum" or "none"."""

    __slots__ = ()

    def _reduced_loss(self, name: str, reduction: str) -> Self:
        if reduction == "mean":
            return self.mean()
        if reduction == "sum":
            return self.sum()
        if reduction == "none":
            return self
        raise ArgumentError(f"{name}: reduction {reduction!r} is none of 'mean', 'sum', 'none'")

    def _target(self, name: str, target: Any) -> Self:
        other = self._as_tensor(name, target)
        if other.shape != self.shape:
            raise ShapeError(f"{name}: input {self.shape} and target {other.shape} differ")
        return other

    @rounded_once(2, autocast="loss")
    def mse_loss(self, target: TensorCore, reduction: str = "mean") -> Self:
        """(x - target)**2."""
        return (
            (self - self._target("mse_loss", target)).square()._reduced_loss("mse_loss", reduction)
        )

    @rounded_once(2, autocast="loss")
    def l1_loss(self, target: TensorCore, reduction: str = "mean") -> Self:
        """|x - target|."""
        return (self - self._target("l1_loss", target)).abs()._reduced_loss("l1_loss", reduction)

    @rounded_once(2, autocast="loss")
    def huber_loss(self, target: TensorCore, reduction: str = "mean", delta: float = 1.0) -> Self:
        """d*d/2 where d = |x - target| is below delta, else delta * (d - delta/2)."""
        if delta <= 0:
            raise ArgumentError(f"huber_loss: delta {delta} is not above 0")
        gap = (self - self._target("huber_loss", target)).abs()
        made = (gap < delta).where(gap.square() * 0.5, (gap - delta / 2) * delta)
        return made._reduced_loss("huber_loss", reduction)

    @rounded_once(2, autocast="loss")
    def smooth_l1_loss(
        self, target: TensorCore, reduction: str = "mean", beta: float = 1.0
    ) -> Self:
        """`huber_loss` over beta; `l1_loss` for a beta of 0."""
        if beta < 0:
            raise ArgumentError(f"smooth_l1_loss: beta {beta} is negative")
        if beta == 0:
            return self.l1_loss(target, reduction)
        return self.huber_loss(target, reduction, beta) / beta

    @rounded_once(2, autocast="loss")
    def kl_div(self, target: TensorCore, reduction: str = "mean", log_target: bool = False) -> Self:
        """target * (log(target) - x), for x a log-probability; "batchmean" divides by the batch."""
        other = self._target("kl_div", target)
        if log_target:
            made = other.exp() * (other - self)
        else:
            positive = other > 0
            made = positive.where(other * (positive.where(other, 1).log() - self), 0)
        if reduction == "batchmean":
            return made.sum() / (self.shape[0] if self.shape else 1)
        return made._reduced_loss("kl_div", reduction)

    @rounded_once(2, autocast="loss")
    def binary_crossentropy(
        self, target: TensorCore, weight: TensorCore | None = None, reduction: str = "mean"
    ) -> Self:
        """-(t log(x) + (1 - t) log(1 - x)) for probabilities x; logarithms not below -100, and
        their slopes not above 1e12. Raises ArgumentError for known values that are no
        probabilities; others give nan."""
        t = self._target("binary_crossentropy", target)
        verify_probabilities("binary_crossentropy", self._node)
        verify_probabilities("binary_crossentropy", t._node)
        likely, unlikely = (
            (p + 1e-12).log()._with_value(p.detach().log().maximum(-100)) for p in (self, 1 - self)
        )
        made = -(t * likely + (1 - t) * unlikely)
        made = made._weighted("binary_crossentropy", weight)
        return made._reduced_loss("binary_crossentropy", reduction)

    def _weighted(self, name: str, weight: TensorCore | None) -> Self:
        """The loss of each element times its weight, which may be broadcast, the loss not."""
        if weight is None:
            return self
        if broadcast_shape(name, self.shape, weight.shape) != self.shape:
            raise ShapeError(f"{name}: weight {weight.shape} is more than input {self.shape}")
        return self * weight

    @rounded_once(2, autocast="loss")
    def binary_crossentropy_logits(
        self,
        target: TensorCore,
        weight: TensorCore | None = None,
        reduction: str = "mean",
        pos_weight: TensorCore | None = None,
    ) -> Self:
        """`binary_crossentropy` of sigmoid(x), from x itself.

        Tensor([200.0]).binary_cross_entropy_with_logits(Tensor([1.0])).item() == 0.0
        """
        name = "binary_crossentropy_logits"
        t = self._target(name, target)
        made = -(1 - t) * (-self).logsigmoid()
        positive = t * self.logsigmoid()
        made = made - (positive if pos_weight is None else positive * pos_weight)
        return made._weighted(name, weight)._reduced_loss(name, reduction)

    binary_cross_entropy = binary_crossentropy
    binary_cross_entropy_with_logits = binary_crossentropy_logits

    # ------------------------------------------------------------------- classes

    @rounded_once(autocast="loss")
    def cross_entropy(
        self,
        target: TensorCore,
        weight: TensorCore | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> Self:
        """The negative log-probability that softmax over the classes gives the target.

        The classes are axis 1 of (N, C, ...), or axis 0 of (C). The target holds class indices
        (N, ...), or probabilities of the input's shape. `weight` has one factor a class; the mean
        is over the weights of the targets that count. A target that is no class and not
        `ignore_index` raises IndexError.
        """
        if not self.shape:
            raise ShapeError("cross_entropy: a prediction of shape () has no classes")
        if not 0 <= label_smoothing <= 1:
            raise ArgumentError(f"label_smoothing {label_smoothing} is not in [0, 1]")
        axis = min(1, self.ndim - 1)
        x = self._real("cross_entropy")
        t = self._as_tensor("cross_entropy", target)
        if t.dtype.is_float and t.shape != self.shape and t.ndim == self.ndim - 1:
            raise ShapeError(
                f"cross_entropy: input {self.shape} and target {t.shape} differ: probabilities "
                f"have the input's shape; class numbers are integers (target.long()), not {t.dtype}"
            )
        if t.dtype.is_float and ignore_index >= 0:
            raise ArgumentError(
                f"cross_entropy: ignore_index {ignore_index} is for class numbers, and the target "
                f"has probabilities ({t.dtype})"
            )
        if t.dtype.is_float:
            return x._soft_cross_entropy(t, axis, weight, reduction, label_smoothing)
        shifted = x - x._top("cross_entropy", axis)
        log_total = shifted.exp().sum(axis).log()
        factor = None if weight is None else x._class_weights("cross_entropy", weight, axis)
        hit, counts = x._class_masks("cross_entropy", t, axis, ignore_index)
        picked = hit.where(shifted, 0).sum(axis)
        loss = log_total - picked
        share = counts.cast(x.dtype)
        if factor is not None:
            share = share * hit.where(factor, 0).sum(axis)
            loss = loss * share
        if label_smoothing:
            smooth = log_total.unsqueeze(axis) - shifted
            if factor is not None:
                smooth = smooth * factor
            smooth = smooth.sum(axis) / x.shape[axis]
            loss = loss * (1 - label_smoothing) + smooth * label_smoothing
        loss = counts.where(loss, 0)
        if reduction == "mean":
            return loss.sum() / share.sum()
        return loss._reduced_loss("cross_entropy", reduction)

    def sparse_categorical_crossentropy(
        self,
        target: TensorCore,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        reduction: str = "mean",
    ) -> Self:
        """`cross_entropy` with class indices (N, ...) for targets, of scores (N, ..., C): the
        classes are the last axis, as in tinygrad.

        Tensor([[100.0, 0.0]]).sparse_categorical_crossentropy(Tensor([0])).item() == 0.0
        """
        scores = self.movedim(-1, 1) if self.ndim > 2 else self
        return scores.cross_entropy(target, None, ignore_index, reduction, label_smoothing)

    @rounded_once(autocast="loss")
    def nll_loss(
        self,
        target: TensorCore,
        weight: TensorCore | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> Self:
        """Minus the log-probability of the target's class, for x of log-probabilities."""
        axis = min(1, self.ndim - 1)
        t = self._as_tensor("nll_loss", target)
        hit, counts = self._class_masks("nll_loss", t, axis, ignore_index)
        loss = -hit.where(self, 0).sum(axis)
        share = counts.cast(self.dtype)
        if weight is not None:
            factor = self._class_weights("nll_loss", weight, axis)
            share = share * hit.where(factor, 0).sum(axis)
            loss = loss * share
        loss = counts.where(loss, 0)
        if reduction == "mean":
            return loss.sum() / share.sum()
        return loss._reduced_loss("nll_loss", reduction)

    def _class_weights(self, name: str, weight: TensorCore, axis: int) -> Self:
        """The weights of the classes, laid along their axis."""
        if weight.shape != (self.shape[axis],):
            raise ShapeError(
                f"{name}: weight {weight.shape} is not one for each of {self.shape[axis]} classes"
            )
        factor = self._as_tensor(name, weight).cast(self.dtype)
        return factor.reshape(tuple(-1 if i == axis else 1 for i in range(self.ndim)))

    def _class_masks(
        self, name: str, target: Self, axis: int, ignore_index: int
    ) -> tuple[Self, Self]:
        """(where a class is the target's, of x's shape; which targets count, of the target's).

        A selection inside the sum over the classes, not a lookup: it shares the loop that the
        softmax needs anyhow, forward and backward.
        """
        expected = self.shape[:axis] + self.shape[axis + 1 :]
        if not target.dtype.is_int:
            raise DTypeError(f"{name}: targets are class indices, not {target.dtype}")
        if target.shape != expected:
            remedy = ""
            if target.shape == self.shape and name == "cross_entropy":
                remedy = (
                    "; a probability for each class is a float: write target.float(), or "
                    f"target.argmax({axis}) for the class numbers of a one-hot target"
                )
            raise ShapeError(
                f"{name}: target {target.shape} for input {self.shape} should be {expected}{remedy}"
            )
        count, rank = self.shape[axis], self.ndim
        along = tuple(count if i == axis else 1 for i in range(rank))
        known = checked(name, target._node, 0, count, f"the {count} classes", ignore_index)
        number = class_numbers(self._from_node(known), count)
        classes = broadcast_node(name, build.reshape(Iota(count, number.dtype), along), self.shape)
        wanted = build.reshape(number, (*target.shape[:axis], 1, *target.shape[axis:]))
        hit = Equal(broadcast_node(name, wanted, self.shape), classes)
        return self._from_node(hit), target.ne(ignore_index)

    def _soft_cross_entropy(
        self,
        target: Self,
        axis: int,
        weight: TensorCore | None,
        reduction: str,
        label_smoothing: float,
    ) -> Self:
        """`cross_entropy` for targets that are probabilities."""
        t = self._target("cross_entropy", target)
        if label_smoothing:
            t = t * (1 - label_smoothing) + label_smoothing / self.shape[axis]
        scores = -(self.log_softmax(axis) * t)
        if weight is not None:
            scores = scores * self._class_weights("cross_entropy", weight, axis)
        loss = scores.sum(axis)
        if reduction == "mean":
            return loss.sum() / max(1, loss.numel())
        return loss._reduced_loss("cross_entropy", reduction)

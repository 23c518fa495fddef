"""Losses of predictions and targets, as functions.

`reduction` is "mean", "sum" or "none". The old `size_average` and `reduce` of PyTorch mean the same
in two flags, and are taken, too.
"""

from __future__ import annotations

import math

from ...errors import ArgumentError, ShapeError, warn
from ...tensor import Tensor


def reduction_of(reduction: str, size_average: bool | str | None, reduce: bool | None) -> str:
    """The reduction that the old flags mean, where they are given.

    A word in the place of the first flag is a reduction: PyTorch would take it for True.
    """
    if isinstance(size_average, str):
        return size_average
    if size_average is None and reduce is None:
        return reduction
    if reduce is False:
        return "none"
    return "sum" if size_average is False else "mean"


def _broadcast(name: str, input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both in one shape, as PyTorch's losses of distances take them, warned of as there."""
    if input.shape == target.shape:
        return input, target
    shapes = f"{name}: input {input.shape} and target {target.shape} differ"
    try:
        both = (input + target * 0).shape
    except ShapeError:
        raise ShapeError(shapes) from None
    warn(
        f"{shapes}, and are broadcast to {both}: each element is compared with several; "
        "reshape or squeeze one of them if that is not wanted"
    )
    return input.expand(both), target.expand(both)


def _weighted_mean(name: str, loss: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    """A loss of each element times its weight, reduced: the mean is over the weights."""
    if weight is None:
        return loss._reduced_loss(name, reduction)
    loss = loss * weight
    if reduction == "mean":
        return loss.sum() / weight.expand(loss.shape).sum()
    return loss._reduced_loss(name, reduction)


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | str | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """(x - target)**2.

    mse_loss(Tensor([1.0, 3.0]), Tensor([0.0, 0.0])).item() == 5.0
    """
    x, t = _broadcast("mse_loss", input, target)
    way = reduction_of(reduction, size_average, reduce)
    if weight is None:
        return x.mse_loss(t, way)
    return _weighted_mean("mse_loss", x.mse_loss(t, "none"), weight, way)


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | str | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """|x - target|.

    l1_loss(Tensor([1.0, 5.0]), Tensor([2.0, 2.0])).item() == 2.0
    """
    x, t = _broadcast("l1_loss", input, target)
    way = reduction_of(reduction, size_average, reduce)
    if weight is None:
        return x.l1_loss(t, way)
    return _weighted_mean("l1_loss", x.l1_loss(t, "none"), weight, way)


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | str | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """`Tensor.smooth_l1_loss`: squares near 0, distances beyond beta.

    smooth_l1_loss(Tensor([3.0]), Tensor([0.0])).item() == 2.5
    """
    x, t = _broadcast("smooth_l1_loss", input, target)
    return x.smooth_l1_loss(t, reduction_of(reduction, size_average, reduce), beta)


def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """`Tensor.huber_loss`: squares near 0, distances beyond delta.

    huber_loss(Tensor([3.0]), Tensor([0.0])).item() == 2.5
    """
    x, t = _broadcast("huber_loss", input, target)
    if weight is None:
        return x.huber_loss(t, reduction, delta)
    return _weighted_mean("huber_loss", x.huber_loss(t, "none", delta), weight, reduction)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | str | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """`Tensor.cross_entropy`: of scores and class indices, or class probabilities.

    cross_entropy(Tensor([[100.0, 0.0]]), Tensor([0])).item() == 0.0
    """
    way = reduction_of(reduction, size_average, reduce)
    return input.cross_entropy(target, weight, ignore_index, way, label_smoothing)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | str | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """`Tensor.nll_loss`: of log-probabilities and class indices.

    nll_loss(Tensor([[-1.0, -2.0]]), Tensor([1])).item() == 2.0
    """
    way = reduction_of(reduction, size_average, reduce)
    return input.nll_loss(target, weight, ignore_index, way)


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | str | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """`Tensor.binary_crossentropy`: of probabilities.

    binary_cross_entropy(Tensor([1.0]), Tensor([1.0])).item() == -0.0
    """
    way = reduction_of(reduction, size_average, reduce)
    return input.binary_crossentropy(target, weight, way)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | str | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """`Tensor.binary_crossentropy_logits`: of scores.

    binary_cross_entropy_with_logits(Tensor([200.0]), Tensor([1.0])).item() == 0.0
    """
    way = reduction_of(reduction, size_average, reduce)
    return input.binary_crossentropy_logits(target, weight, way, pos_weight)


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | str | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """`Tensor.kl_div`: target * (log(target) - x), for x a log-probability.

    kl_div(Tensor([0.0]), Tensor([1.0])).item() == 0.0
    """
    way = reduction_of(reduction, size_average, reduce)
    x, t = _broadcast("kl_div", input, target)
    return x.kl_div(t, way, log_target)


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | str | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """exp(x) - target * x, or, without `log_input`, x - target * log(x + eps).

    `full` adds Stirling's approximation of log(target!) where the target is above 1.

    poisson_nll_loss(Tensor([0.0]), Tensor([2.0])).item() == 1.0
    """
    loss = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        is_large = target > 1
        t = is_large.where(target, 1)
        stirling = t * t.log() - t + (t * (2 * math.pi)).log() * 0.5
        loss = loss + is_large.where(stirling, 0)
    return loss._reduced_loss("poisson_nll_loss", reduction_of(reduction, size_average, reduce))


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """(log(var) + (x - target)**2 / var) / 2, with a variance of at least `eps`.

    `full` adds the constant log(2 pi) / 2.

    gaussian_nll_loss(Tensor([1.0]), Tensor([1.0]), Tensor([1.0])).item() == 0.0
    """
    if isinstance(var, (int, float)):
        if var < 0:
            raise ArgumentError(f"var {var} is negative")
        var = Tensor.full(input.shape, float(var), dtype=input.dtype, device=input.device)
    if var.shape != input.shape:
        if input.shape[:-1] == var.shape:
            var = var.unsqueeze(-1)
        elif input.ndim != var.ndim or input.shape[:-1] != var.shape[:-1] or var.shape[-1] != 1:
            raise ShapeError(f"gaussian_nll_loss: var {var.shape} does not fit input {input.shape}")
    var = var + (var.clamp(min=eps) - var).detach()  # the gradient passes where it is clamped
    loss = (var.log() + (input - target).square() / var) * 0.5
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return loss._reduced_loss("gaussian_nll_loss", reduction)


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    options: object = None,
) -> Tensor:
    """`cross_entropy` of `linear`.

    linear_cross_entropy(Tensor([[100.0]]), Tensor([[1.0], [0.0]]), Tensor([0])).item() == 0.0
    """
    scores = input.linear(linear_weight, linear_bias)
    return scores.cross_entropy(target, weight, ignore_index, reduction, label_smoothing)

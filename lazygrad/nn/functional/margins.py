"""Losses that ask for a distance between right and wrong, as functions."""

from __future__ import annotations

from typing import Any

from ...errors import ArgumentError, ShapeError
from ...tensor import Tensor
from .layers import pairwise_distance
from .losses import reduction_of


def _reduced(
    name: str, loss: Tensor, reduction: str, size_average: bool | str | None, reduce: bool | None
) -> Tensor:
    return loss._reduced_loss(name, reduction_of(reduction, size_average, reduce))


def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | str | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """log(1 + exp(-target * x)), for targets of 1 and -1.

    soft_margin_loss(Tensor([200.0]), Tensor([1.0])).item() == 0.0
    """
    loss = (input * -target).exp().log1p()
    return _reduced("soft_margin_loss", loss, reduction, size_average, reduce)


def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | str | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """x where the target is 1, max(0, margin - x) where it is -1, and the sum of both elsewhere.

    hinge_embedding_loss(Tensor([0.5]), Tensor([-1.0])).item() == 0.5
    """
    far = (margin - input).clamp(min=0)
    loss = target.eq(1).where(0, far) + target.eq(-1).where(0, input)
    return _reduced("hinge_embedding_loss", loss, reduction, size_average, reduce)


def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | str | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, -target * (x1 - x2) + margin): x1 should be the larger where the target is 1.

    margin_ranking_loss(Tensor([1.0]), Tensor([3.0]), Tensor([1.0])).item() == 2.0
    """
    if not input1.ndim == input2.ndim == target.ndim:
        raise ShapeError(
            f"margin_ranking_loss: input1 {input1.shape}, input2 {input2.shape} and target "
            f"{target.shape} should have as many axes"
        )
    loss = (-target * (input1 - input2) + margin).clamp(min=0)
    return _reduced("margin_ranking_loss", loss, reduction, size_average, reduce)


def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | str | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """1 - cos(x1, x2) where the target is 1, max(0, cos(x1, x2) - margin) where it is -1.

    cosine_embedding_loss(Tensor([[1.0, 0.0]]), Tensor([[0.0, 1.0]]), Tensor([1])).item() == 1.0
    """
    tiny = 1e-12
    dot = (input1 * input2).sum(-1)
    size = ((input1.square().sum(-1) + tiny) * (input2.square().sum(-1) + tiny)).sqrt()
    cosine = dot / size
    near, far = 1 - cosine, (cosine - margin).clamp(min=0)
    loss = target.eq(1).where(near, 0) + target.eq(-1).where(far, 0)
    return _reduced("cosine_embedding_loss", loss, reduction, size_average, reduce)


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | str | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """sum over the other classes i of max(0, margin - x_target + x_i)**p, over their number.

    multi_margin_loss(Tensor([[1.0, 1.0]]), Tensor([0])).item() == 0.5
    """
    if p not in (1, 2):
        raise ArgumentError("only p == 1 and p == 2 supported")
    x = input.reshape(1, -1) if input.ndim < 2 else input
    t = target.reshape(-1)
    if x.ndim != 2 or t.shape[0] != x.shape[0]:
        raise ShapeError(f"input {input.shape} and target {target.shape} do not fit")
    if weight is not None and weight.shape != x.shape[1:]:
        raise ShapeError(f"multi_margin_loss: weights {weight.shape} for {x.shape[1]} classes")
    if reduction not in ("none", "mean", "sum"):
        raise ArgumentError(f"multi_margin_loss: reduction {reduction!r} is not known")
    hit, _ = x._class_masks("multi_margin_loss", t, 1, -1)
    gap = (margin - hit.where(x, 0).sum(1, keepdim=True) + x).clamp(min=0).pow(p)
    if weight is not None:
        gap = gap * weight[t].unsqueeze(1)
    loss = hit.where(0, gap).sum(1) / x.shape[1]
    if input.ndim < 2:
        loss = loss.squeeze(0)
    return _reduced("multi_margin_loss", loss, reduction, size_average, reduce)


def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | str | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """sum over the target's classes j and the others i of max(0, 1 - x_j + x_i), over the number
    of classes. A row of the target has class indices, and ends at the first -1.

    multilabel_margin_loss(Tensor([[1.0, 1.0]]), Tensor([[0, -1]])).item() == 0.5
    """
    if input.shape != target.shape or input.ndim > 2 or 0 in input.shape[-1:]:
        raise ShapeError(
            f"input {input.shape} and target {target.shape} should have one shape, of 1 or 2 axes"
        )
    x = input.reshape(1, -1) if input.ndim < 2 else input
    t = target.reshape(1, -1) if input.ndim < 2 else target
    counts = t.eq(-1).cast("int32").cumsum(1).eq(0)  # before the first -1
    classes = Tensor._positions(x.shape[1])
    hits = t.unsqueeze(2).eq(classes) & counts.unsqueeze(2)  # (batch, place, class)
    is_target = hits.any(1)
    wanted = hits.where(x.unsqueeze(1), 0).sum(2)
    gap = (1 - wanted.unsqueeze(2) + x.unsqueeze(1)).clamp(min=0)
    used = counts.unsqueeze(2) & is_target.logical_not().unsqueeze(1)
    loss = used.where(gap, 0).sum((1, 2)) / x.shape[1]
    if input.ndim < 2:
        loss = loss.squeeze(0)
    return _reduced("multilabel_margin_loss", loss, reduction, size_average, reduce)


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | str | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The mean over the classes of the binary cross entropy of sigmoid(x).

    multilabel_soft_margin_loss(Tensor([[200.0]]), Tensor([[1.0]])).item() == 0.0
    """
    loss = -(target * input.logsigmoid() + (1 - target) * (-input).logsigmoid())
    loss = loss if weight is None else loss * weight
    loss = loss.mean(-1)
    return _reduced("multilabel_soft_margin_loss", loss, reduction, size_average, reduce)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | str | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, |anchor - positive| - |anchor - negative| + margin) (Balntas et al. 2016).

    Distances are p-norms along the last axis; `swap` takes |positive - negative| where it is less.

    triplet_margin_loss(*[Tensor([[1.0, 2.0]])] * 3).item() == 1.0
    """
    if margin <= 0:
        raise ArgumentError(f"margin must be greater than 0, got {margin}")

    def distance(x: Tensor, y: Tensor) -> Tensor:
        return (x - y + eps).norm(p, -1)

    loss = _triplet(anchor, positive, negative, distance, margin, swap)
    return _reduced("triplet_margin_loss", loss, reduction, size_average, reduce)


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Any = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """`triplet_margin_loss` with a distance of the user's own; that of `pairwise_distance` is the
    default.

        triplet_margin_with_distance_loss(*(Tensor([[x]]) for x in (0.0, 0.0, 9.0))).item() == 0.0
    """
    if margin <= 0:
        raise ArgumentError(f"margin must be greater than 0, got {margin}")
    distance = pairwise_distance if distance_function is None else distance_function
    loss = _triplet(anchor, positive, negative, distance, margin, swap)
    return loss._reduced_loss("triplet_margin_with_distance_loss", reduction)


def _triplet(
    anchor: Tensor, positive: Tensor, negative: Tensor, distance: Any, margin: float, swap: bool
) -> Tensor:
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = far.minimum(distance(positive, negative))
    loss: Tensor = (near - far + margin).clamp(min=0)
    return loss

"""The loss of sequences whose alignment with their labels is not known."""

from __future__ import annotations

from typing import Any

from ...errors import ArgumentError, ShapeError, told
from ...tensor import Tensor
from ...tensor.precision import rounded_once


@rounded_once(2)
def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """Connectionist temporal classification (Graves et al. 2006).

    Minus the log-probability of all alignments of a target with log-probabilities (time, batch,
    classes), or (time, classes). Targets are (batch, longest), or all behind one another. The mean
    is over the batch, of each loss over the length of its target.

        scores = Tensor.zeros(4, 1, 3).log_softmax(2)  # (time, batch, classes)
        ctc_loss(scores, Tensor([[1, 2]]), Tensor([4]), Tensor([2])).shape == ()
    """
    x = log_probs.unsqueeze(1) if log_probs.ndim == 2 else log_probs
    if x.ndim != 3:
        raise ShapeError(f"ctc_loss: log_probs {log_probs.shape} is not (time, batch, classes)")
    steps, batch, classes = x.shape
    if not 0 <= blank < classes:
        raise ArgumentError(f"ctc_loss: blank {blank} is none of the {classes} classes")
    frames = _lengths(input_lengths, batch, "input_lengths")
    sizes = _lengths(target_lengths, batch, "target_lengths")
    if max(frames, default=0) > steps:
        raise ArgumentError(f"ctc_loss: input_lengths {frames} exceed the {steps} steps")
    labels = _labels(targets, sizes, blank)  # (batch, 2 * longest + 1), blanks between
    states = labels.shape[1]
    none = float("-inf")
    emitted = x.gather(2, labels.unsqueeze(0).expand(steps, batch, states))
    # A label may follow the one before the blank before it, unless the two are equal
    skips = labels[:, 2:].ne(labels[:, :-2]) & labels[:, 2:].ne(blank)
    skips = Tensor.zeros(batch, min(2, states), dtype="bool").cat(skips, axis=1)[:, :states]
    place = Tensor._positions(states)
    alpha = (place < 2).where(emitted[0], none)
    ends = [alpha]
    for t in range(1, steps):
        one = alpha.pad((1, 0), value=none)[:, :states]
        two = skips.where(alpha.pad((2, 0), value=none)[:, :states], none)
        alpha = _log_sum(alpha, one, two) + emitted[t]
        ends.append(alpha)
    frame = Tensor([max(n - 1, 0) for n in frames]).reshape(1, batch, 1).expand(1, batch, states)
    last = Tensor.stack(*ends).gather(0, frame).squeeze(0)
    length = Tensor(sizes)
    final = last.gather(1, (length * 2).unsqueeze(1)).squeeze(1)
    before = last.gather(1, (length * 2 - 1).clamp(min=0).unsqueeze(1)).squeeze(1)
    loss = -_log_sum(final, (length > 0).where(before, none))
    if zero_infinity:
        loss = loss.eq(float("inf")).where(0, loss)
    if reduction == "mean":
        return (loss / length.clamp(min=1).cast(loss.dtype)).mean()
    if log_probs.ndim == 2 and reduction == "none":
        return loss.squeeze(0)
    return loss._reduced_loss("ctc_loss", reduction)


def _log_sum(*terms: Tensor) -> Tensor:
    """log(sum of exp(term)); -inf, without gradient, where all terms are."""
    top = terms[0].detach()
    for term in terms[1:]:
        top = top.maximum(term.detach())
    is_none = top.eq(float("-inf"))
    top = is_none.where(0, top)
    total: Tensor | None = None
    for term in terms:
        is_gone = term.detach().eq(float("-inf"))
        part = is_gone.where(0, (is_gone.where(0, term) - is_gone.where(0, top)).exp())
        total = part if total is None else total + part
    assert total is not None
    return is_none.where(float("-inf"), is_none.where(1, total).log() + top)


def _lengths(given: Any, batch: int, name: str) -> list[int]:
    values = given.tolist() if hasattr(given, "tolist") else given
    found = [values] * batch if isinstance(values, int) else list(values)
    if len(found) != batch or not all(isinstance(n, (int, float)) for n in found):
        raise ShapeError(f"ctc_loss: {name} {told(given)} is not one length for each of {batch}")
    return [int(n) for n in found]


def _labels(targets: Tensor, sizes: list[int], blank: int) -> Tensor:
    """The targets of a batch, with blanks around each label, in rows of the same length."""
    longest = max(sizes, default=0)
    if targets.ndim == 1:
        starts = [sum(sizes[:n]) for n in range(len(sizes))]
        rows = [
            targets[start : start + size].pad((0, longest - size), value=blank)
            for start, size in zip(starts, sizes, strict=True)
        ]
        labels = Tensor.stack(*rows)
    else:
        labels = targets[:, :longest]
    blanks = Tensor.full(labels.shape, blank, dtype=labels.dtype)
    first = Tensor.full((labels.shape[0], 1), blank, dtype=labels.dtype)
    between = Tensor.stack(labels, blanks, axis=2).flatten(1)
    return first.cat(between, axis=1).cast("int64")

"""Sequences of different lengths in one tensor."""

from __future__ import annotations

from collections.abc import Sequence

from ...tensor import Tensor


def pad_sequence(
    sequences: Sequence[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Sequences (length, ...) padded to the longest: (longest, batch, ...), or batch first.

    pad_sequence([Tensor([1]), Tensor([2, 3])], True).tolist() == [[1, 0], [2, 3]]
    """
    longest = max(sequence.shape[0] for sequence in sequences)
    padded = []
    for sequence in sequences:
        more = longest - sequence.shape[0]
        widths = (0, more) if padding_side == "right" else (more, 0)
        padded.append(sequence.pad([widths, *[(0, 0)] * (sequence.ndim - 1)], value=padding_value))
    return Tensor.stack(*padded, axis=0 if batch_first else 1)


def unpad_sequence(
    padded_sequences: Tensor, lengths: Tensor | Sequence[int], batch_first: bool = False
) -> list[Tensor]:
    """The sequences that `pad_sequence` padded."""
    batch = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    sizes = lengths.tolist() if isinstance(lengths, Tensor) else list(lengths)
    return [batch[n, :size] for n, size in enumerate(sizes)]

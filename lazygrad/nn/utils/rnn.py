"""Sequences of different lengths in one tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...errors import KindError, ShapeError, told
from ...tensor import Tensor
from ..packed import PackedSequence, pack


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
    """The sequences that `pad_sequence` padded.

    found = unpad_sequence(Tensor([[1, 2], [3, 0]]), Tensor([2, 1]), True)
    [x.tolist() for x in found] == [[1, 2], [3]]
    """
    batch = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    if isinstance(lengths, Tensor) and lengths.ndim != 1:
        raise ShapeError(f"unpad_sequence: lengths {lengths.shape} are not one for each sequence")
    sizes = lengths.tolist() if isinstance(lengths, Tensor) else list(lengths)
    return [batch[n, :size] for n, size in enumerate(sizes)]


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """A padded batch (longest, batch, ...), or batch first, without the padding.

    pack_padded_sequence(Tensor([[1.0, 2.0], [3.0, 0.0]]), [2, 1], True).data.tolist() == [1, 3, 2]

    Raises ValueError for lengths that do not fit, or that are not in decreasing order, unless
    `enforce_sorted` is off.
    """
    return pack(input.transpose(0, 1) if batch_first else input, lengths, not enforce_sorted)


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """(the padded batch, the lengths): what `pack_padded_sequence` was made of.

    packed = pack_sequence([Tensor([1, 2]), Tensor([3])])
    pad_packed_sequence(packed)[0].tolist() == [[1, 3], [2, 0]]
    """
    if not isinstance(sequence, PackedSequence):
        raise KindError(f"a sequence is a PackedSequence, not {told(sequence)}")
    padded = sequence.padded(padding_value, total_length)
    return padded.transpose(0, 1) if batch_first else padded, Tensor(sequence.lengths)


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Sequences (length, ...), the longest first unless `enforce_sorted` is off, packed.

    pack_sequence([Tensor([1, 2]), Tensor([3])]).data.tolist() == [1, 3, 2]
    """
    lengths = [sequence.shape[0] for sequence in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences that `pack_sequence` packed.

    packed = pack_sequence([Tensor([1, 2]), Tensor([3])])
    [x.tolist() for x in unpack_sequence(packed)] == [[1, 2], [3]]
    """
    return unpad_sequence(*pad_packed_sequence(packed_sequences))

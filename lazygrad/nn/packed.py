"""Sequences of different lengths, one behind the other in memory, with PyTorch's layout."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..errors import ArgumentError, ShapeError
from ..tensor import Tensor


class PackedSequence(NamedTuple):
    """A batch of sequences without padding, as `pack_padded_sequence` makes it.

    `data` has the first elements of all sequences, then the second ones, and so on, the longest
    sequence first; `batch_sizes` says how many sequences have a first element, a second, ... The
    indices sort the batch by length, and back; None where it was sorted.
    """

    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None = None
    unsorted_indices: Tensor | None = None

    def to(self, *args: Any, **named: Any) -> PackedSequence:
        """The same sequences on another device or in another dtype."""
        return self._replace(data=self.data.to(*args, **named))

    @property
    def lengths(self) -> Any:
        """The length of each sequence, in the batch's own order."""
        sizes = np.asarray(self.batch_sizes.numpy())
        ordered = (sizes[:, None] > np.arange(sizes[0])).sum(0)
        back = self.unsorted_indices
        return ordered if back is None else ordered[np.asarray(back.numpy())]

    def places(self) -> Any:
        """Where element (step, sequence) of the padded batch is in `data`; 0 for padding."""
        lengths = self.lengths
        order = np.argsort(-lengths, kind="stable")
        if self.sorted_indices is not None:
            order = np.asarray(self.sorted_indices.numpy())
        starts = np.cumsum(np.asarray(self.batch_sizes.numpy())) - self.batch_sizes.numpy()
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        steps = np.arange(len(starts))
        return np.where(steps[:, None] < lengths, starts[:, None] + rank, 0)

    def padded(self, value: float = 0.0, longest: int | None = None) -> Tensor:
        """(steps, batch, ...), filled up with a value."""
        places, lengths = self.places(), self.lengths
        steps = places.shape[0]
        if longest is not None and longest < steps:
            raise ArgumentError(
                f"total_length {longest} is less than the longest sequence, {steps}"
            )
        inside = np.arange(steps)[:, None] < lengths
        mask = Tensor(inside.reshape(inside.shape + (1,) * (self.data.ndim - 1)))
        made = mask.where(self.data[Tensor(places)], value)
        more = (longest or steps) - steps
        return made.pad([(0, more), *[(0, 0)] * (made.ndim - 1)], value=value) if more else made

    def with_padded(self, padded: Tensor) -> PackedSequence:
        """The elements of a padded batch (steps, batch, ...) of these lengths, packed as here."""
        places, lengths = self.places(), self.lengths
        steps = places.shape[0]
        inside = np.arange(steps)[:, None] < lengths
        flat = np.nonzero(inside.reshape(-1))[0]
        order = flat[np.argsort(places.reshape(-1)[flat])]
        data = padded.reshape(-1, *padded.shape[2:])[Tensor(order)]
        return self._replace(data=data)


def pack(padded: Tensor, lengths: Any, sort: bool) -> PackedSequence:
    """The sequences in a padded batch (steps, batch, ...), without what is behind their lengths.

    Raises ArgumentError for lengths that do not fit, and for a batch that is not sorted by them
    where `sort` is off.
    """
    sizes = np.asarray(lengths.numpy() if isinstance(lengths, Tensor) else lengths, np.int64)
    if sizes.shape != padded.shape[1:2]:
        raise ShapeError(f"pack_padded_sequence: {sizes.shape} lengths for {padded.shape}")
    if sizes.min() < 1 or sizes.max() > padded.shape[0]:
        raise ArgumentError(
            f"pack_padded_sequence: lengths are from 1 to {padded.shape[0]}, not {sizes.tolist()}"
        )
    if not sort and (np.diff(sizes) > 0).any():
        raise ArgumentError(
            "pack_padded_sequence: lengths are sorted in decreasing order, or enforce_sorted=False"
        )
    order = np.argsort(-sizes, kind="stable")
    batch_sizes = (np.arange(sizes.max())[:, None] < sizes).sum(1)
    indices = (Tensor(order), Tensor(np.argsort(order))) if sort else (None, None)
    packed = PackedSequence(padded, Tensor(batch_sizes), *indices)
    return packed.with_padded(padded[: int(sizes.max())])

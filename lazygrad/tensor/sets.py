"""Which values there are, how often, and where they belong in order."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from ..dtypes import float64, int32, int64
from ..errors import ArgumentError, DTypeError, ShapeError, check_integers, check_numbers
from ..graph.ir import Const
from .arguments import normalized_axis, plain
from .core import Array, Operand, TensorCore
from .gather import Gathering
from .recall import recalled


class Sets(Gathering):
    """What is counted here depends on values, so most of these realize the tensor; the docstrings
    say which."""

    __slots__ = ()

    def unique(
        self,
        sorted: bool = True,
        return_inverse: bool = False,
        return_counts: bool = False,
        axis: int | None = None,
    ) -> Any:
        """The different values in order, or the different slices along an axis. Realizes this
        tensor, as their number is not known.

        With `return_inverse` also where each value of this tensor is among them, with
        `return_counts` also how often each occurs, both int64; results are then a tuple. The order
        is always ascending, whatever `sorted` says. Each nan differs from every other.

            values, counts = Tensor([3, 1, 3]).unique(return_counts=True)
            values.tolist(), counts.tolist() == [1, 3], [1, 2]
        """
        values = self.numpy()
        if axis is not None:
            axis = normalized_axis("unique", axis, self.ndim)
            axis = axis if self.shape else None
        found, inverse, counts = np.unique(
            values, return_inverse=True, return_counts=True, axis=axis, equal_nan=False
        )
        shape = self.shape if axis is None else (self.shape[axis],)
        return self._told(found, inverse.reshape(shape), counts, return_inverse, return_counts)

    def _told(
        self, found: Array, inverse: Array, counts: Array, wants_inverse: bool, wants_counts: bool
    ) -> Any:
        made = [self._from_data(np.ascontiguousarray(found), None, self._node.device)]
        if wants_inverse:
            made.append(self._from_data(inverse.astype(np.int64), None, self._node.device))
        if wants_counts:
            made.append(self._from_data(counts.astype(np.int64), None, self._node.device))
        return made[0] if len(made) == 1 else tuple(made)

    def unique_consecutive(
        self, return_inverse: bool = False, return_counts: bool = False, axis: int | None = None
    ) -> Any:
        """The first of each run of equal values, or of equal slices along an axis; with the
        further results of `unique`. Realizes this tensor."""
        values = self.numpy().reshape(-1) if axis is None else self.numpy()
        place = 0 if axis is None else normalized_axis("unique_consecutive", axis, self.ndim)
        rows = np.moveaxis(values, place, 0)
        differs = (rows[1:] != rows[:-1]).any(axis=tuple(range(1, rows.ndim)))
        starts = np.flatnonzero(np.concatenate([np.ones(min(len(rows), 1), bool), differs]))
        found = np.moveaxis(rows[starts], 0, place)
        counts = np.diff(np.append(starts, len(rows)))
        inverse = np.repeat(np.arange(len(starts)), counts)
        inverse = inverse.reshape(self.shape) if axis is None else inverse
        return self._told(found, inverse, counts, return_inverse, return_counts)

    def bincount(self, weights: TensorCore | None = None, minlength: int = 0) -> Self:
        """How often each of 0 to the largest value occurs in a vector of integers, as int64; with
        weights the sum of the weights of each, as float64 unless they are floats. Realizes this
        tensor, as the length depends on it."""
        if not self.dtype.is_int or self.ndim != 1:
            raise DTypeError(f"bincount: needs a vector of integers, not {self.dtype}{self.shape}")
        values = self.numpy()
        if values.size and values.min() < 0:
            raise ArgumentError(f"bincount: {values.min()} is negative")
        size = max(plain(minlength), int(values.max()) + 1 if values.size else 0)
        if weights is not None and weights.shape != self.shape:
            raise ShapeError(f"bincount: weights {weights.shape} for {self.shape}")
        ones = self.ones_like(int64)
        shares = ones if weights is None else self._as_tensor("bincount", weights)
        if weights is not None and not shares.dtype.is_float:
            shares = shares.cast(float64)
        zeros = self._from_node(Const(0, shares.dtype, (size,)))
        return zeros.scatter_add(0, self.cast(int64), shares)

    def isin(self, test_elements: Operand, invert: bool = False) -> Self:
        """Whether each value is one of the test elements; with `invert`, whether it is none."""
        tests = self._as_tensor("isin", test_elements).reshape(-1).sort()[0]
        if not tests.numel():
            return self.full_like(invert, "bool")
        place = tests.searchsorted(self).minimum(tests.numel() - 1)
        return tests[place].ne(self) if invert else tests[place].eq(self)

    @recalled
    def searchsorted(
        self,
        values: Operand,
        out_int32: bool = False,
        right: bool = False,
        side: str | None = None,
        sorter: TensorCore | None = None,
    ) -> Self:
        """Where each value would be put into this tensor, which is sorted along its last axis, so
        that it stays sorted: before equal values, or behind them with `right` or side="right".

        (N), any shape -> that shape; (.., N), (.., M) -> (.., M), as int64. `sorter` holds the
        indices that sort this tensor. It is a binary search: log2(N) + 1 lookups a value.
        """
        if side not in (None, "left", "right") or (side == "left" and right):
            raise ArgumentError(f"searchsorted: side {side!r} with right={right}")
        behind = right or side == "right"
        wanted = self._as_tensor("searchsorted", values)
        if not self.shape or (self.ndim > 1 and self.shape[:-1] != wanted.shape[:-1]):
            raise ShapeError(f"values {wanted.shape} have other rows than {self.shape}")
        if sorter is not None and sorter.shape != self.shape:
            raise ShapeError(f"searchsorted: a sorter of shape {sorter.shape} for {self.shape}")
        rows = self if sorter is None else self.gather(-1, sorter)
        n = self.shape[-1]
        rows, wanted = rows.detach(), wanted.detach()
        count = self._from_node(Const(0, int64, wanted.shape))
        for bit in reversed(range(n.bit_length())):
            reach = count + (1 << bit)
            place = (reach - 1).minimum(n - 1)
            found = rows[place] if self.ndim == 1 else rows.gather(-1, place)
            # nan is largest, as in sorted order
            before = found.le(wanted) if behind else found.lt(wanted)
            before = before | (wanted.isnan() & (behind | found.isnan().logical_not()))
            count = (reach.le(n) & before).where(reach, count)
        return count.cast(int32) if out_int32 else count

    def bucketize(
        self, boundaries: TensorCore, out_int32: bool = False, right: bool = False
    ) -> Self:
        """The number of the bucket that each value is in: i if boundaries[i-1] < x <= boundaries[i]
        (with `right`, if boundaries[i-1] <= x < boundaries[i]), as int64."""
        if boundaries.ndim != 1:
            raise ShapeError(f"bucketize: boundaries of shape {boundaries.shape} are no vector")
        return self._as_tensor("bucketize", boundaries).searchsorted(self, out_int32, right)

    @recalled
    def histc(self, bins: int = 100, min: float = 0, max: float = 0) -> Self:
        """How many values lie in each of `bins` parts of equal width from min to max, in this
        tensor's dtype; from the least to the largest value where both are 0, which realizes it.
        The last part has its end."""
        check_integers(bins=bins)
        check_numbers(min=min, max=max)
        if bins <= 0 or min > max:
            raise ArgumentError(f"histc: bins {bins} is below 1, or min {min} above max {max}")
        if min == max == 0 and self.numel():
            min, max = self.min().item(), self.max().item()
        low, high = (min - 1, max + 1) if min == max else (min, max)
        x = self.detach().flatten()
        place = ((x - low) * (bins / (high - low))).floor().clamp(0, bins - 1)
        kept = x.ge(low) & x.le(high)
        place = kept.where(place, 0).cast(int64)
        zeros = self._from_node(Const(0, self.dtype, (bins,)))
        return zeros.scatter_add(0, place, kept.cast(self.dtype))

"""Reductions, and what is made of them: statistics, scans, normalisations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self, overload

import numpy as np

from ..dtypes import DType, bool_, float32, int32, int64, to_dtype, uint8, uint32
from ..errors import ArgumentError, DTypeError, EmptyError, KindError, check_numbers
from ..graph import build
from ..graph.ir import (
    Const,
    Detach,
    Iota,
    Node,
    Reduce,
    Scan,
)
from ..graph.scan import scan_in_blocks
from .arguments import normalized_axes, normalized_axis
from .core import Operand, TensorCore
from .joining import Joining
from .operands import broadcast_node, cast_node
from .precision import rounded_once
from .ranges import declared
from .recall import recalled
from .results import Extremes, Found

Axes = int | Sequence[int] | None

FIRST_CACHE = 1 << 15  # bytes that every processor's first cache holds
LINE = 64  # bytes that it fetches at once


class Reduction(Joining):
    """`axis` is one axis, several, or None for all; `keepdim` leaves them in place, of size 1."""

    __slots__ = ()

    def _reduce(self, name: str, op: str, axis: Axes, keepdim: bool, ties: str = "all") -> Self:
        """The axes combined by op, in this tensor's dtype."""
        return self._derived(self._reduced(name, op, self._node, axis, keepdim, ties))

    def _reduced(
        self, name: str, op: str, node: Node, axis: Axes, keepdim: bool, ties: str = "all"
    ) -> Node:
        shape = node.shape
        axes = normalized_axes(name, axis, len(shape))
        if not axes:
            return node
        if op in ("max", "min") and any(shape[i] == 0 for i in axes):
            where = f"{shape}" if axis is None else f"axis {axis} of {shape}"
            raise EmptyError(f"{name}: {where} is empty and has no {op}imum")
        node = Reduce(node, op, axes, ties)
        if keepdim:
            node = build.reshape(node, tuple(1 if i in axes else n for i, n in enumerate(shape)))
        return node

    # ------------------------------------------------------------------- reductions

    def sum(self, axis: Axes = None, keepdim: bool = False, dtype: Any = None) -> Self:
        """The sum; of bools and integers as int64 unless `dtype` says otherwise."""
        target = to_dtype(dtype) if dtype is not None else _accumulator(self.dtype)
        node = cast_node(self._node, target)
        return self._derived(self._reduced("sum", "sum", node, axis, keepdim))

    def prod(self, axis: Axes = None, keepdim: bool = False, dtype: Any = None) -> Self:
        """The product; of bools and integers as int64 unless `dtype` says otherwise."""
        target = to_dtype(dtype) if dtype is not None else _accumulator(self.dtype)
        node = cast_node(self._node, target)
        return self._derived(self._reduced("prod", "prod", node, axis, keepdim))

    @overload
    def max(self, dim: None = None, keepdim: bool = False) -> Self: ...

    @overload
    def max(self, dim: int, keepdim: bool = False) -> Found[Self]: ...

    @overload
    def max(self, dim: Sequence[int] | TensorCore, keepdim: bool = False) -> Self: ...

    @overload
    def max(self, *, axis: Axes, keepdim: bool = False) -> Self: ...

    def max(self, dim: Any = None, keepdim: bool = False, *, axis: Axes = None) -> Any:
        """The largest value of all; nan where there is one.

        `x.max(1)`, or `dim=1`, gives the largest values along an axis and where the first of them
        are, as PyTorch; `axis=1`, NumPy's word, the values alone. `x.max(y)` is `maximum`.
        Along one axis the gradient goes to the first of equal values; over several axes, or all,
        equal values share it, as they do in `amax`.
        """
        return self._extreme("max", dim, axis, keepdim)

    @overload
    def min(self, dim: None = None, keepdim: bool = False) -> Self: ...

    @overload
    def min(self, dim: int, keepdim: bool = False) -> Found[Self]: ...

    @overload
    def min(self, dim: Sequence[int] | TensorCore, keepdim: bool = False) -> Self: ...

    @overload
    def min(self, *, axis: Axes, keepdim: bool = False) -> Self: ...

    def min(self, dim: Any = None, keepdim: bool = False, *, axis: Axes = None) -> Any:
        """The smallest value, or the smallest along an axis and where they are, as `max`."""
        return self._extreme("min", dim, axis, keepdim)

    @recalled
    def _extreme(self, op: str, dim: Any, axis: Axes, keepdim: bool) -> Any:
        if isinstance(dim, TensorCore):
            return self.maximum(dim) if op == "max" else self.minimum(dim)
        if dim is not None and axis is not None:
            raise KindError(f"{op}: give dim or axis, not both")
        place = axis if dim is None else dim
        values = self._reduce(op, op, place, keepdim, _ties(place))
        if not isinstance(dim, (int, np.integer)):
            return values
        return Found(values, self._arg(op, op, int(dim), keepdim))

    def amax(self, axis: Axes = None, keepdim: bool = False) -> Self:
        """The largest value; equal values share the gradient."""
        return self._reduce("amax", "max", axis, keepdim)

    def amin(self, axis: Axes = None, keepdim: bool = False) -> Self:
        """The smallest value; equal values share the gradient."""
        return self._reduce("amin", "min", axis, keepdim)

    def aminmax(self, axis: Axes = None, keepdim: bool = False) -> Extremes[Self]:
        """(the smallest value, the largest)."""
        return Extremes(self.amin(axis, keepdim), self.amax(axis, keepdim))

    @recalled
    def _arg(self, name: str, op: str, axis: int | None, keepdim: bool) -> Self:
        x: Self = self.detach() if axis is not None else self.detach().flatten()
        place = normalized_axis(name, 0 if axis is None else axis, x.ndim)
        if not x.shape:
            return self.zeros_like(int64)
        x = x.cast(uint8) if x.dtype == bool_ else x
        n = x.shape[place]
        nbytes = n * (x.dtype.itemsize if place == x.ndim - 1 else LINE)
        # 64 bits hold the rank of 32 and a place; and what stays in the cache is soon read again
        once = x.dtype.itemsize <= 4 and nbytes > FIRST_CACHE
        found = (x._place_in_one_pass if once else x._place_in_two)(name, op, place, keepdim)
        if axis is None and keepdim:
            found = found.reshape((1,) * self.ndim)
        declared[found._node] = 0, max(n - 1, 0)
        return found

    def _place_in_two(self, name: str, op: str, axis: int, keepdim: bool) -> Self:
        """Where the best value first is, in two passes: which it is, and the least place of it."""
        best = self._reduce(name, op, axis, keepdim=True)
        hit = self.eq(best)
        if self.dtype.is_float:
            hit = hit | self.isnan()  # nan is the best of all, and equals nothing
        n = self.shape[axis]
        found = hit.where(self._places(axis, int32), n)._reduce(name, "min", axis, keepdim)
        return found.cast(int64)

    def _place_in_one_pass(self, name: str, op: str, axis: int, keepdim: bool) -> Self:
        """The same in one pass: the largest of numbers whose upper half is the rank of a value, and
        whose lower half is its place, counted from the end."""
        last = self.shape[axis] - 1
        keys = (self._ranks(op) << 32) | (last - self._places(axis, int64))
        return last - (keys._reduce(name, "max", axis, keepdim) & 0xFFFFFFFF)

    def _ranks(self, op: str) -> Self:
        """Of each value an int64 of 32 bits, the larger the better: for the "max" or the "min"."""
        if not self.dtype.is_float:
            whole = self.cast(int64) - ((1 << 31) if self.dtype == uint32 else 0)
            return whole if op == "max" else -1 - whole
        x = self.cast(float32)
        x = (x if op == "max" else -x) + 0.0  # which has no -0.0
        bits = x.bitcast(int32)
        # the bits of a float are its sign and its magnitude; nan is the best of all
        ranks = bits ^ ((bits >> 31) & 0x7FFFFFFF)
        return x.isnan().where(0x7FFFFFFF, ranks).cast(int64)

    def _places(self, axis: int, dtype: DType) -> Self:
        """0, 1, ... along an axis."""
        shape = tuple(n if i == axis else 1 for i, n in enumerate(self.shape))
        index = build.reshape(Iota(self.shape[axis], dtype), shape)
        return self._from_node(broadcast_node("arange", index, self.shape))

    def argmax(self, axis: int | None = None, keepdim: bool = False) -> Self:
        """Where the largest value is (the first of equals), as int64; with no axis, its place in
        the flattened tensor."""
        return self._arg("argmax", "max", axis, keepdim)

    def argmin(self, axis: int | None = None, keepdim: bool = False) -> Self:
        """Where the smallest value is (the first of equals), as int64."""
        return self._arg("argmin", "min", axis, keepdim)

    def any(self, axis: Axes = None, keepdim: bool = False) -> Self:
        """Whether any value is not 0."""
        return self.cast(bool_)._reduce("any", "sum", axis, keepdim)

    def all(self, axis: Axes = None, keepdim: bool = False) -> Self:
        """Whether no value is 0."""
        return self.cast(bool_)._reduce("all", "prod", axis, keepdim)

    def nansum(self, axis: Axes = None, keepdim: bool = False) -> Self:
        """The sum of what is not nan."""
        return self.isnan().where(0, self).sum(axis, keepdim)

    @rounded_once()
    def nanmean(self, axis: Axes = None, keepdim: bool = False) -> Self:
        """The mean of what is not nan; nan where nothing is."""
        self._float_only("nanmean")
        count = self.isnan().logical_not().sum(axis, keepdim)
        return self.nansum(axis, keepdim) / count

    def allclose(
        self, y: Operand, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
    ) -> bool:
        """Whether `isclose` holds everywhere, as Python's bool: it is computed now."""
        return bool(self.isclose(y, rtol, atol, equal_nan).all().item())

    def equal(self, y: TensorCore) -> bool:
        """Whether shapes and all values are equal, as Python's bool: it is computed now."""
        return self.shape == y.shape and bool(self.eq(y).all().item())

    def count_nonzero(self, axis: Axes = None) -> Self:
        """How many values are not 0, as int64."""
        return self.ne(0).sum(axis)

    # ------------------------------------------------------------------- statistics

    def _count(self, name: str, axis: Axes) -> int:
        axes = normalized_axes(name, axis, self.ndim)
        return math.prod(self.shape[i] for i in axes)

    def _float_only(self, name: str) -> None:
        if not self.dtype.is_float:
            raise DTypeError(f"{name}: needs floats, this is {self.dtype}; cast it, as by float()")

    def mean(self, axis: Axes = None, keepdim: bool = False, dtype: Any = None) -> Self:
        """The arithmetic mean of floats; nan of nothing. Raises DTypeError for integers."""
        return (self if dtype is None else self.cast(dtype))._mean(axis, keepdim)

    @rounded_once()
    def _mean(self, axis: Axes, keepdim: bool) -> Self:
        self._float_only("mean")
        return self.sum(axis, keepdim) / self._count("mean", axis)

    @rounded_once()
    def var(
        self,
        axis: Axes = None,
        correction: float | None = 1,
        keepdim: bool = False,
        unbiased: bool | None = None,
    ) -> Self:
        """The variance: squared distances from the mean, summed, over (count - correction).

        `unbiased` is an older name of the correction: 1 if true, 0 if false. PyTorch's older
        order of arguments is understood too: `var(True)`, `var(0, True)`.
        """
        self._float_only("var")
        axis, correction = _correction("var", axis, correction, unbiased)
        check_numbers(correction=correction)
        squares = (self - self.mean(axis, keepdim=True)).square()
        n = max(0, self._count("var", axis) - correction)
        return squares.sum(axis, keepdim) / n

    @rounded_once()
    def std(
        self,
        axis: Axes = None,
        correction: float | None = 1,
        keepdim: bool = False,
        unbiased: bool | None = None,
    ) -> Self:
        """The standard deviation, the square root of `var`; its gradient at 0 is 0."""
        self._float_only("std")
        return self.var(axis, correction, keepdim, unbiased)._root()

    @rounded_once()
    def var_mean(
        self,
        axis: Axes = None,
        correction: float | None = 1,
        keepdim: bool = False,
        unbiased: bool | None = None,
    ) -> tuple[Self, Self]:
        """(var, mean)."""
        axis, correction = _correction("var_mean", axis, correction, unbiased)
        return self.var(axis, correction, keepdim), self.mean(axis, keepdim)

    @rounded_once()
    def std_mean(
        self,
        axis: Axes = None,
        correction: float | None = 1,
        keepdim: bool = False,
        unbiased: bool | None = None,
    ) -> tuple[Self, Self]:
        """(std, mean)."""
        axis, correction = _correction("std_mean", axis, correction, unbiased)
        return self.std(axis, correction, keepdim), self.mean(axis, keepdim)

    def norm(
        self, p: float | str = 2, axis: Axes = None, keepdim: bool = False, dtype: Any = None
    ) -> Self:
        """The p-norm, (sum |x|**p)**(1/p); p may be inf, -inf, 0 (how many are not 0).

        The gradient of the 2-norm of zeros is 0.
        """
        return (self if dtype is None else self.cast(dtype))._norm(p, axis, keepdim)

    @rounded_once()
    def _norm(self, p: float | str, axis: Axes, keepdim: bool) -> Self:
        self._float_only("norm")
        x = self
        p = 2 if p == "fro" else p
        if isinstance(p, str):
            raise ArgumentError(f"norm: p is a number or 'fro', not {p!r}")
        if p == math.inf:
            made = x.abs().amax(axis, keepdim)
        elif p == -math.inf:
            made = x.abs().amin(axis, keepdim)
        elif p == 0:
            made = x.ne(0).where(1, x * 0).sum(axis, keepdim)  # whose gradient is 0
        elif p == 1:
            made = x.abs().sum(axis, keepdim)
        elif p == 2:
            made = x.square().sum(axis, keepdim)._root()
        else:
            made = x.abs().pow(p).sum(axis, keepdim).pow(1 / p)
        return made

    def _root(self) -> Self:
        """The square root, with the gradient 0 at 0, where the slope of the root is infinite."""
        none = self.eq(0)
        return none.where(0, none.where(1, self).sqrt())

    @rounded_once(2)
    def dist(self, y: TensorCore, p: float = 2) -> Self:
        """The p-norm of x - y."""
        return (self - y).norm(p)

    @rounded_once()
    def logsumexp(self, axis: Axes = None, keepdim: bool = False) -> Self:
        """log(sum(e**x)) without overflow: the maximum is taken out first."""
        x = self._real("logsumexp")
        top = x._top("logsumexp", axis)
        top = top.isfinite().where(top, 0)  # the difference of two infinities is nan
        total = (x - top).exp().sum(axis, keepdim=True).log() + top
        if not keepdim:
            axes = normalized_axes("logsumexp", axis, self.ndim)
            total = total.reshape(tuple(n for i, n in enumerate(self.shape) if i not in axes))
        return total

    def _top(self, name: str, axis: Axes) -> Self:
        """The maximum as a constant for gradients, kept in place; -inf of nothing."""
        axes = normalized_axes(name, axis, self.ndim)
        if any(self.shape[i] == 0 for i in axes):
            return self._from_node(
                Const(
                    -math.inf,
                    self.dtype,
                    tuple(1 if i in axes else n for i, n in enumerate(self.shape)),
                )
            )
        return self._from_node(Detach(self._node)).amax(axis, keepdim=True)

    # ------------------------------------------------------------------- scans

    def _scan(self, name: str, op: str, axis: int) -> Self:
        """Element i is elements 0 to i combined by op."""
        axis = normalized_axis(name, axis, self.ndim)
        if self.ndim == 0 or self.shape[axis] <= 1:
            return self.clone()
        x = self.movedim(axis, -1)
        return x._derived(scan_in_blocks(x._node, op)).movedim(-1, axis)

    def cumsum(self, axis: int = 0, dtype: Any = None) -> Self:
        """The sum of the elements up to each one, itself included; of integers as int64."""
        return self.cast(dtype or _accumulator(self.dtype))._cumulative("sum", axis)

    @rounded_once()
    def _cumulative(self, op: str, axis: int) -> Self:
        axis = normalized_axis(f"cum{op}", axis, self.ndim)
        if self.ndim == 0 or self.shape[axis] <= 1:
            return self.clone()
        return self._derived(Scan(self._node, axis, op))

    def cumprod(self, axis: int = 0, dtype: Any = None) -> Self:
        """The product of the elements up to each one, itself included; of integers as int64."""
        return self.cast(dtype or _accumulator(self.dtype))._cumulative("prod", axis)

    @rounded_once()
    def logcumsumexp(self, axis: int = 0) -> Self:
        """log(cumsum(e**x)) without overflow, by doubling: element i of step k is of the 2**k
        elements up to i."""
        place = normalized_axis("logcumsumexp", axis, self.ndim)
        made, reach = self._real("logcumsumexp").clone(), 1
        while self.shape and reach < self.shape[place]:
            widths = [(reach, -reach) if i == place else (0, 0) for i in range(self.ndim)]
            made, reach = made.logaddexp(made.pad(widths, value=-math.inf)), 2 * reach
        return made


def _correction(name: str, axis: Any, correction: Any, unbiased: bool | None) -> tuple[Axes, float]:
    """The axes and the correction, of PyTorch's forms old and new: `var(dim, correction=1)`,
    `var(unbiased)`, `var(dim, unbiased)`."""
    if isinstance(axis, bool):
        axis, unbiased = None, axis
    if isinstance(correction, bool):
        unbiased = correction
    if unbiased is not None:
        correction = int(unbiased)
    return axis, 1 if correction is None else correction


def _ties(axis: Axes) -> str:
    """Who gets the gradient of a maximum along `axis` where values are equal."""
    return "first" if isinstance(axis, (int, np.integer)) else "all"


def _accumulator(dtype: DType) -> DType:
    """The dtype that sums and products of `dtype` have."""
    return dtype if dtype.is_float else int64

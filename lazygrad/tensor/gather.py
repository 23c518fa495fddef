"""Gathering and scattering along one axis, sorting, and what is made of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Self, overload

import numpy as np

from ..dtypes import bool_, int64
from ..errors import ArgumentError, DTypeError, ShapeError, check_integers, check_numbers
from ..graph import build
from ..graph.ir import Const, Gather, Node, Scatter, Sort, identity
from .arguments import normalized_axis, plain
from .core import Operand, TensorCore
from .indexing import Indexing
from .operands import broadcast_node, broadcast_shape, cast_node, class_numbers
from .precision import rounded_once
from .ranges import checked, declared, integer_range
from .recall import recalled
from .results import Found

_REDUCTIONS = {"sum": "sum", "add": "sum", "prod": "prod", "multiply": "prod", "amax": "max",
               "amin": "min", "mean": "sum"}  # fmt: skip


class Gathering(Indexing):
    """`index` holds integers. One that is out of range raises IndexError: here, where its value is
    known, else when values are read that were computed with it (it reads 0, and writes nothing)."""

    __slots__ = ()

    def _index_nodes(self, name: str, axis: int, index: TensorCore) -> tuple[Node, ...]:
        """The index nodes that follow `index` along the axis and walk every other one."""
        if not index.dtype.is_int:
            raise DTypeError(f"{name}: indices are integers, not {index.dtype}")
        if index.numel() == 0:
            return tuple(Const(0, int64, index.shape) for _ in range(self.ndim))
        if index.ndim != self.ndim:
            raise ShapeError(f"{name}: index {index.shape} has another rank than {self.shape}")
        for i, (n, m) in enumerate(zip(self.shape, index.shape, strict=True)):
            if m > n and i != axis:
                raise ShapeError(f"{name}: index {index.shape} exceeds {self.shape} on axis {i}")
        n = self.shape[axis]
        node = checked(name, index._node, 0, n, f"axis {axis} of size {n} ({self.shape})")
        return tuple(node if i == axis else build.walk(index.shape, i) for i in range(index.ndim))

    @recalled
    def _embedding(self, index: Operand) -> Self:
        """Rows by their numbers, which do not count from the end."""
        return self._at(0, self._checked("embedding", 0, index))

    @recalled
    def gather(self, axis: int, index: TensorCore) -> Self:
        """out[i][j] = x[index[i][j]][j], for axis 0; of the index's shape."""
        axis = normalized_axis("gather", axis, self.ndim)
        if not (self.shape and index.shape):  # a single value is a vector of one
            vector = self._as_tensor("gather", index).atleast_1d()
            return self.atleast_1d().gather(axis, vector).reshape(index.shape)
        return self._derived(Gather(self._node, self._index_nodes("gather", axis, index)))

    @recalled
    def take_along_dim(self, index: TensorCore, axis: int | None = None) -> Self:
        """`gather` with the other axes broadcast; with no axis, from the flattened tensor."""
        if axis is not None and index.ndim != self.ndim:
            raise ShapeError(f"index {index.shape} has another rank than {self.shape}")
        if axis is None:
            return self.flatten().gather(0, self._as_tensor("take_along_dim", index).flatten())
        axis = normalized_axis("take_along_dim", axis, self.ndim)
        n = self.shape[axis]
        index = self._checked("take_along_dim", axis, index, -n)
        index = index if integer_range(index._node)[0] >= 0 else index.lt(0).where(index + n, index)
        own = tuple(1 if i == axis else n for i, n in enumerate(self.shape))
        other = tuple(1 if i == axis else n for i, n in enumerate(index.shape))
        common = list(broadcast_shape("take_along_dim", own, other))
        x = self.expand(*common[:axis], self.shape[axis], *common[axis + 1 :])
        full = (*common[:axis], index.shape[axis], *common[axis + 1 :])
        return x.gather(axis, self._as_tensor("take_along_dim", index).expand(full))

    def take(self, index: TensorCore) -> Self:
        """The elements of the flattened tensor that `index` names, in its shape."""
        flat = self.flatten()
        return flat[flat._checked("take", 0, index, -flat.shape[0])]

    def repeat_interleave(
        self,
        repeats: int | TensorCore,
        axis: int | None = None,
        output_size: int | None = None,
    ) -> Self:
        """Each element `repeats` times in a row, along an axis, or of the flattened tensor. A
        vector has a number for each element; it is realized, as the size depends on it."""
        if not isinstance(repeats, TensorCore):
            return super().repeat_interleave(repeats, axis)
        if axis is None:
            return self.flatten().repeat_interleave(repeats, 0)
        axis = normalized_axis("repeat_interleave", axis, self.ndim)
        times, n = repeats.numpy(), self.shape[axis]
        if times.shape not in ((), (1,), (n,)) or not repeats.dtype.is_int or (times < 0).any():
            raise ShapeError(
                f"repeat_interleave: {repeats.dtype}{times.shape} holds no number of repeats for "
                f"each of the {n} elements of axis {axis}"
            )
        index = np.repeat(np.arange(n), times.astype(np.int64))
        if output_size not in (None, len(index)):
            raise ShapeError(
                f"repeat_interleave: output_size {output_size}, but the repeats sum to {len(index)}"
            )
        return self[((slice(None),) * axis + (index,))]

    # ------------------------------------------------------------------- scatter

    def index_fill(self, axis: int, index: TensorCore, value: Operand) -> Self:
        """x with `value` in the slices of an axis that a vector of integers names."""
        if isinstance(value, TensorCore) and value.shape:
            raise ShapeError(f"index_fill: the value is one number, not of shape {value.shape}")
        if not self.shape:
            return self.reshape(1).index_fill(axis, index, value).reshape(())
        axis = normalized_axis("index_fill", axis, self.ndim)
        index = self._checked("index_fill", axis, index, -self.shape[axis])
        return self._with_part((slice(None),) * axis + (index,), value)

    def index_copy(self, axis: int, index: TensorCore, source: TensorCore) -> Self:
        """x with slice i of the source as slice index[i] of the axis."""
        if not self.shape:
            vector = self._as_tensor("index_copy", source).reshape(-1)
            return self.reshape(1).index_copy(axis, index, vector).reshape(())
        axis = normalized_axis("index_copy", axis, self.ndim)
        self._check_slices("index_copy", axis, index, source)
        index = self._checked("index_copy", axis, index)
        return self._with_part((slice(None),) * axis + (index,), source)

    def _check_slices(self, name: str, axis: int, index: TensorCore, source: TensorCore) -> None:
        """Raise ShapeError unless the source has this tensor's shape, and one slice an index."""
        expected = (*self.shape[:axis], index.numel(), *self.shape[axis + 1 :])
        if index.ndim > 1 or (self.shape and source.shape != expected):
            raise ShapeError(
                f"{name}: source {source.shape} and index {index.shape} for {self.shape}"
            )

    @recalled
    def _scattered(self, name: str, axis: int, index: TensorCore, source: Operand, op: str) -> Self:
        axis = normalized_axis(name, axis, self.ndim)
        if not (self.shape and index.shape):  # a single value is a vector of one
            vector = self._as_tensor(name, index).atleast_1d()
            if isinstance(source, TensorCore):
                source = self._as_tensor(name, source).atleast_1d()
            return self.atleast_1d()._scattered(name, axis, vector, source, op).reshape(self.shape)
        nodes = self._index_nodes(name, axis, index)
        if isinstance(source, TensorCore) and source.shape != index.shape:
            if source.ndim != index.ndim or any(
                m > n for m, n in zip(index.shape, source.shape, strict=True)
            ):
                raise ShapeError(
                    f"{name}: source {source.shape} is smaller than index {index.shape}"
                )
            source = self._as_tensor(name, source).shrink([(0, n) for n in index.shape])
        values = self._as_tensor(name, source)
        if isinstance(source, TensorCore) and values.dtype != self.dtype:
            raise DTypeError(f"{name}: a source of {values.dtype} into {self.dtype}")
        node = broadcast_node(name, cast_node(values._node, self.dtype), index.shape)
        return self._derived(Scatter(self._node, nodes, node, op), values)

    def scatter(
        self, axis: int, index: TensorCore, source: Operand, reduce: str | None = None
    ) -> Self:
        """x with x[index[i][j]][j] = source[i][j], for axis 0; `reduce` "add" or "multiply"
        combines instead. Of several values for one place the last stays."""
        if reduce not in (None, "add", "multiply"):
            raise ArgumentError(f"scatter: reduce {reduce!r} is none of None, 'add', 'multiply'")
        op = "set" if reduce is None else _REDUCTIONS[reduce]
        return self._scattered("scatter", axis, index, source, op)

    def scatter_add(self, axis: int, index: TensorCore, source: TensorCore) -> Self:
        """x with source[i][j] added to x[index[i][j]][j], for axis 0."""
        return self._scattered("scatter_add", axis, index, source, "sum")

    @rounded_once()
    def scatter_reduce(
        self,
        axis: int,
        index: TensorCore,
        source: TensorCore,
        reduce: str,
        include_self: bool = True,
    ) -> Self:
        """Like `scatter_add`, by "sum", "prod", "mean", "amax" or "amin"; without `include_self`,
        what was there before does not count where something arrives."""
        if reduce not in _REDUCTIONS:
            valid = "sum, prod, mean, amax, amin"
            raise ArgumentError(f"scatter_reduce: reduce {reduce!r} is none of {valid}")
        op = _REDUCTIONS[reduce]
        x = self
        if not include_self:
            touched = self.zeros_like(bool_)._scattered("scatter_reduce", axis, index, True, "set")
            nothing = Const(identity(op, self.dtype), self.dtype)
            x = touched.where(self._from_node(nothing), self)
        made = x._scattered("scatter_reduce", axis, index, source, op)
        if reduce == "mean":
            kind = self.dtype if self.dtype.is_float else int64
            counts = self._from_node(Const(int(include_self), kind, self.shape))
            counts = counts._scattered("scatter_reduce", axis, index, 1, "sum")
            divisor = counts.maximum(1)
            made = made / divisor if kind.is_float else (made // divisor).cast(self.dtype)
        return made

    @rounded_once()
    def index_add(self, axis: int, index: TensorCore, source: TensorCore, alpha: float = 1) -> Self:
        """x with slice i of the source added to slice index[i] of the axis."""
        if not self.shape:
            vector = self._as_tensor("index_add", source).reshape(-1)
            return self.reshape(1).index_add(axis, index, vector, alpha).reshape(())
        axis = normalized_axis("index_add", axis, self.ndim)
        self._check_slices("index_add", axis, index, source)
        shape = [1] * self.ndim
        shape[axis] = -1
        places = self._checked("index_add", axis, index).reshape(shape).expand(source.shape)
        values = self._as_tensor("index_add", source)
        return self.scatter_add(axis, places, values if alpha == 1 else values * alpha)

    def one_hot(self, num_classes: int = -1) -> Self:
        """1 at each value's class along a new last axis, 0 elsewhere, as int64. Without a number
        of classes the tensor is realized to find its largest value."""
        if not self.dtype.is_int:
            raise DTypeError(f"one_hot: classes are integers, not {self.dtype}")
        check_integers(num_classes=num_classes)
        num_classes = plain(num_classes)
        if num_classes < 0:
            num_classes = int(self.max().item()) + 1 if self.numel() else 0
        node = checked("one_hot", self._node, 0, num_classes, f"the {num_classes} classes")
        number = self._from_node(class_numbers(self._from_node(node), num_classes))
        classes = self._positions(num_classes, number.dtype)
        return (number.unsqueeze(-1) == classes).cast(int64)

    # ------------------------------------------------------------------- order

    def argsort(self, axis: int = -1, descending: bool = False, stable: bool = True) -> Self:
        """The indices (int64) that sort an axis; equal values keep their order, nan is largest."""
        axis = normalized_axis("argsort", axis, self.ndim)
        if not self.shape:
            return self._from_node(Const(0, int64))
        return self._from_node(Sort(self._node, axis, descending))

    @recalled
    def sort(self, axis: int = -1, descending: bool = False, stable: bool = True) -> Found[Self]:
        """(the values in order along an axis, their indices before); always stable."""
        order = self.argsort(axis, descending)
        return Found(self.gather(axis, order), order)

    def msort(self) -> Self:
        """The values in order along the first axis."""
        return self.sort(0).values

    @recalled
    def topk(
        self, k: int, axis: int = -1, largest: bool = True, sorted: bool = True
    ) -> Found[Self]:
        """(the k largest or smallest values along an axis, best first, their indices)."""
        place = normalized_axis("topk", axis, self.ndim)
        n = self.shape[place] if self.shape else 1
        check_integers(k=k)
        if not 0 <= k <= n:
            raise ShapeError(f"topk: {k} of the {n} values along axis {axis}")
        order = self.argsort(place, descending=largest)
        order = order.narrow(place, 0, k) if self.shape else order
        return Found(self.gather(place, order), order)

    def kthvalue(self, k: int, axis: int = -1, keepdim: bool = False) -> Found[Self]:
        """(the k-th smallest value along an axis, counted from 1; its index)."""
        place = normalized_axis("kthvalue", axis, self.ndim)
        n = self.shape[place] if self.shape else 1
        check_integers(k=k)
        if not 1 <= k <= n:
            raise ShapeError(f"kthvalue: {k} is none of 1 to {n}, the size of axis {axis}")
        order = self.argsort(place)
        return self._found(place, order.narrow(place, k - 1, 1) if self.shape else order, keepdim)

    @recalled
    def _found(self, place: int, index: Self, keepdim: bool) -> Found[Self]:
        """The values at an index of one place along an axis, which stays if `keepdim`."""
        found = Found(self.gather(place, index), index)
        return found if keepdim else Found(*(x.squeeze(place) for x in found))

    @overload
    def median(self, axis: None = None, keepdim: bool = False) -> Self: ...

    @overload
    def median(self, axis: int, keepdim: bool = False) -> Found[Self]: ...

    def median(self, axis: int | None = None, keepdim: bool = False) -> Self | Found[Self]:
        """The middle of all values, the lower of two; with an axis, (the middle values along it,
        their indices). nan where there is one."""
        return self._middle("median", axis, keepdim)

    @overload
    def nanmedian(self, axis: None = None, keepdim: bool = False) -> Self: ...

    @overload
    def nanmedian(self, axis: int, keepdim: bool = False) -> Found[Self]: ...

    def nanmedian(self, axis: int | None = None, keepdim: bool = False) -> Self | Found[Self]:
        """`median` of what is not nan; nan where nothing is."""
        return self._middle("nanmedian", axis, keepdim)

    @recalled
    def _middle(self, name: str, axis: int | None, keepdim: bool) -> Self | Found[Self]:
        x = self.flatten() if axis is None else self
        place = normalized_axis(name, 0 if axis is None else axis, x.ndim)
        n = x.shape[place] if x.shape else 1
        if not n:
            raise ShapeError(f"{name}: axis {place} of {x.shape} is empty")
        index = order = x.argsort(place)
        if x.shape:
            index = order.narrow(place, (n - 1) // 2, 1)
        if x.shape and x.dtype.is_float:
            nan = x.isnan()
            if name == "median":
                first = nan.argmax(place, keepdim=True)
                index = nan.any(place, keepdim=True).where(first, index)
            else:  # nan is last in order
                count = nan.logical_not().sum(place, keepdim=True)
                index = order.gather(place, ((count - 1) // 2).maximum(0))
        found = x._found(place, index, keepdim and axis is not None)
        return found.values if axis is None else found

    @recalled
    def mode(self, axis: int = -1, keepdim: bool = False) -> Found[Self]:
        """(the most frequent value along an axis, the smallest of several; its last index)."""
        place = normalized_axis("mode", axis, self.ndim)
        order = self.argsort(place)
        if not self.shape:
            return Found(self.clone(), order)
        if not self.shape[place]:
            raise ShapeError(f"mode: axis {axis} of {self.shape} is empty")
        ordered, position = self.detach().gather(place, order), self._places(place, int64)
        # a run of equal values begins where the one before differs (or at 0, whatever that says)
        start = ordered.ne(ordered.roll(1, place)).where(position, 0)._scan("mode", "max", place)
        longest = (position - start).argmax(place, keepdim=True)
        return self._found(place, order.gather(place, longest), keepdim)

    @rounded_once()
    def quantile(
        self,
        q: float | Sequence[float] | TensorCore,
        axis: int | None = None,
        keepdim: bool = False,
        interpolation: str = "linear",
    ) -> Self:
        """The value below which a share q of the values along an axis (or of all) lies; several
        shares are a new first axis. Between two values it is in proportion, or the "lower", the
        "higher", the "nearest" or the "midpoint". nan where there is one."""
        self._float_only("quantile")
        if interpolation not in ("linear", "lower", "higher", "nearest", "midpoint"):
            raise ArgumentError(f"quantile: interpolation {interpolation!r} is not known")
        q = q.tolist() if isinstance(q, TensorCore) else q
        assert not isinstance(q, TensorCore)
        shares = [q] if isinstance(q, (int, float)) else list(q)
        for share in shares:
            check_numbers(q=share)
        if not all(0 <= share <= 1 for share in shares):
            raise ArgumentError(f"quantile: {q} is not in [0, 1]")
        x = self.flatten() if axis is None else self
        place = normalized_axis("quantile", 0 if axis is None else axis, x.ndim)
        if not x.shape:
            return self.reshape(1).quantile(q, 0, False, interpolation)
        n = x.shape[place]
        if not n:
            raise ShapeError(f"quantile: axis {place} of {x.shape} is empty")
        values = x.sort(place)[0]
        nan = x.isnan().any(place, keepdim=True)
        found = []
        for share in shares:
            rank = share * (n - 1)
            low = int(rank)
            below, above = (values.narrow(place, i, 1) for i in (low, math.ceil(rank)))
            between = rank - low
            way = {
                "linear": between, "lower": 0, "higher": math.ceil(between),
                "nearest": round(rank) - low, "midpoint": math.ceil(between) / 2,
            }[interpolation]  # fmt: skip
            part = nan.where(float("nan"), below.lerp(above, way))
            if axis is None:
                part = part.reshape((1,) * self.ndim if keepdim else ())
            found.append(part if keepdim or axis is None else part.squeeze(place))
        return found[0] if isinstance(q, (int, float)) else found[0].stack(*found[1:])

    @recalled
    def _running(self, op: str, axis: int) -> Found[Self]:
        """The best of the elements up to each one, and the last place of it."""
        place = normalized_axis(f"cum{op}", axis, self.ndim)
        x = self.detach()
        if not self.shape:
            return Found(self.clone(), self._from_node(Const(0, int64)))
        best = x._scan(f"cum{op}", op, place)
        own = self._from_node(build.walk(self.shape, place))
        index = (x.eq(best) | x.isnan()).where(own, 0)._scan(f"cum{op}", "max", place)
        declared[index._node] = 0, max(self.shape[place] - 1, 0)
        return Found(self.gather(place, index), index)

    def cummax(self, axis: int = 0) -> Found[Self]:
        """(the largest of the elements up to each one, the last place of it up to there)."""
        return self._running("max", axis)

    def cummin(self, axis: int = 0) -> Found[Self]:
        """(the smallest of the elements up to each one, the last place of it up to there)."""
        return self._running("min", axis)

"""`x[...]` and `x[...] = value`, in all the forms that NumPy and PyTorch have.

Integers, slices, None and Ellipsis are movement: no element is copied to look one up. Integer
arrays and tensors are a `Gather` (or a `Scatter`, for assignment); a bool mask counts as the
integer arrays of where it holds. How many those are depends on values, so a mask is realized.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, overload

import numpy as np

from ..cache import remember
from ..dtypes import bool_, int32, int64, uint8
from ..errors import DTypeError, KindError, RangeError, ShapeError, warn
from ..graph import build, ir
from ..graph.ir import Node, Shape
from ..questions import depends_on
from .activations import Activations
from .arguments import normalized_axis
from .core import Array, Operand, TensorCore
from .operands import broadcast_node, broadcast_shape
from .ranges import checked, integer_range
from .recall import recalled
from .views import Path, path_between

MAX_PATHS = 4096  # to parts of tensors, that are remembered

_paths: dict[Hashable, Path] = {}
"""By shape and index."""


@dataclass(frozen=True, slots=True)
class _Step:
    """What one axis of the indexed tensor becomes: `size` elements from `start`, `step` apart,
    and no axis at all if `dropped`."""

    start: int
    size: int
    step: int
    dropped: bool = False


@dataclass(frozen=True, slots=True)
class _Plan:
    """An index, taken apart: slices of every axis, then new axes, then arrays."""

    steps: list[_Step]
    sliced_shape: Shape  # after slicing: dropped axes gone, new axes there
    arrays: dict[int, TensorCore]  # by axis of `sliced_shape`


class Indexing(Activations):
    """Integers select, slices and None move, arrays and tensors gather.

    An integer beside arrays, or a tensor of one, selects first, as in PyTorch; arrays that stand
    together put their axes in their place, arrays apart put them in front, as in NumPy. An index
    that is out of range raises IndexError: here, where its value is known, else when values are
    read that were computed with it.
    """

    __slots__ = ()

    def __getitem__(self, index: Any) -> Self:
        key = _basic(index)
        if key is not None:
            return self._viewed_along(_path_to(self, index, key))
        if _is_single_bool(index):
            return self.unsqueeze(0) if index else self.unsqueeze(0)[:0]
        plan = _plan(self, index)
        part = self._viewed(_sliced(self._node, plan))
        if not plan.arrays:
            return part
        return part._derived(ir.Gather(part._node, _gather_indices(plan)))

    def __setitem__(self, index: Any, value: Operand) -> None:
        """Give a part of this tensor other values, which are broadcast and cast. Like every change
        in place, it leaves the expressions built before as they were."""
        self._put(index, value, "set")

    def _put(self, index: Any, value: Operand, op: str) -> None:
        """`x[index] = value` by "set", `x[index] += value` by "sum", of equal indices too."""
        new = self._as_value("setitem", value)
        if _is_single_bool(index):
            if not index:
                return
            index = Ellipsis
        mask = _whole_mask(self, index) if op == "set" else None
        if mask is not None and new.ndim <= self.ndim - mask.ndim:
            kept = self._from_node(mask._node)
            kept = kept.reshape(mask.shape + (1,) * (self.ndim - mask.ndim))
            self._update(kept.where(new, self))
            return
        plan = _plan(self, index)
        part = self._viewed(_sliced(self._node, plan))
        if op == "set" and not plan.arrays and new._node is part._node:
            return  # `x[i] += y` has written to x already
        if plan.arrays:
            indices = _gather_indices(plan)
            shape = indices[0].shape
            values = broadcast_node("setitem", _without_ones(new._node, shape), shape)
            part._update(part._derived(ir.Scatter(part._node, indices, values, op), new))
        else:
            fitted = _without_ones(new._node, plan.sliced_shape)
            values = broadcast_node("setitem", fitted, plan.sliced_shape)
            part._update(new._derived(values) if op == "set" else part + new._derived(values))

    def _with_part(self, index: Any, value: Operand) -> Self:
        """A copy of this tensor with `value` where `index` points."""
        made = self.clone()
        made[index] = value
        return made

    def __iter__(self) -> Any:
        if not self.shape:
            raise KindError("a tensor of shape () cannot be iterated over")
        depends_on(self.shape[0])
        return (self[i] for i in range(self.shape[0]))

    def __contains__(self, value: Operand) -> bool:
        return bool(self.eq(value).any().item())

    # ------------------------------------------------------------------- named forms

    def masked_select(self, mask: TensorCore) -> Self:
        """The values where the mask, broadcast, holds, in one axis. Realizes the mask."""
        if mask.dtype != bool_:
            raise DTypeError(f"masked_select: the mask is bool, not {mask.dtype}")
        if not (self.shape or mask.shape):
            return self.reshape(1).masked_select(mask)
        shape = broadcast_shape("masked_select", self.shape, mask.shape)
        kept = self._from_node(broadcast_node("masked_select", mask._node, shape))
        return self.expand(shape)[kept]

    @overload
    def nonzero(self, as_tuple: Literal[False] = False) -> Self: ...

    @overload
    def nonzero(self, as_tuple: Literal[True]) -> tuple[Self, ...]: ...

    def nonzero(self, as_tuple: bool = False) -> Self | tuple[Self, ...]:
        """The indices of what is not 0, one a row, as int64; or one vector an axis, which can
        be an index. Realizes this tensor."""
        values = self.numpy()
        if as_tuple:
            found = np.nonzero(np.atleast_1d(values))
            return tuple(self._from_data(x.astype(np.int64)) for x in found)
        return self._from_data(np.argwhere(values).astype(np.int64))

    def argwhere(self) -> Self:
        """The indices of what is not 0, one a row, as int64. Realizes this tensor."""
        return self.nonzero()

    def index_put(self, indices: Sequence[Any], values: Operand, accumulate: bool = False) -> Self:
        """x with `x[indices] = values`; with `accumulate` the values are added, all of an index."""
        made = self.clone()
        made._put(tuple(indices), values, "sum" if accumulate else "set")
        return made

    def _checked(self, name: str, axis: int, index: Operand, low: int = 0) -> Self:
        """The index of an operation along an axis, checked: from `low` to the last."""
        given, n = self._as_tensor(name, index), self.shape[axis] if self.shape else 1
        if not given.dtype.is_int:
            raise DTypeError(f"{name}: indices are integers, not {given.dtype}")
        where = f"axis {axis} of size {n} ({self.shape})"
        wide = given.cast(int32) if given.dtype == uint8 else given  # no mask is meant here
        return given._from_node(checked(name, wide._node, low, n, where))

    @recalled
    def index_select(self, axis: int, index: TensorCore) -> Self:
        """The slices of an axis that a vector of integers names."""
        if index.ndim > 1:
            raise ShapeError(f"index_select: the index has shape {index.shape}, not one axis")
        if not self.shape:
            return self.reshape(1).index_select(axis, index).reshape(())
        axis = normalized_axis("index_select", axis, self.ndim)
        return self._at(axis, self._checked("index_select", axis, index).reshape(-1))

    def _at(self, axis: int, index: TensorCore) -> Self:
        """The slices of an axis that integers name; none of these is negative."""
        shape = (*self.shape[:axis], *index.shape, *self.shape[axis + 1 :])
        own = build.reshape(index._node, (*index.shape, *[1] * (self.ndim - axis - 1)))
        walked = [build.walk(shape, i) for i in range(len(shape))]
        named = broadcast_node("index", own, shape)
        nodes = (*walked[:axis], named, *walked[axis + index.ndim :])
        return self._derived(ir.Gather(self._node, nodes))


# --------------------------------------------------------------------------- reading an index


def _plan(x: Indexing, index: Any) -> _Plan:
    """Take an index apart. Raises IndexError, naming the axis, for one that does not fit."""
    items = list(index) if isinstance(index, tuple) else [index]
    items = _without_ellipsis([_prepared(x, item) for item in items], x.ndim)
    steps: list[_Step] = []
    shape: list[int] = []
    arrays: dict[int, TensorCore] = {}
    for item in items:
        if item is None:
            shape.append(1)
            continue
        axis = len(steps)
        n = x.shape[axis]
        if isinstance(item, slice):
            start, size, step = _slice_of(item, n)
            steps.append(_Step(start, size, step))
            shape.append(size)
        elif isinstance(item, int):
            if not -n <= item < n:
                raise RangeError(f"index {item} is outside axis {axis} of size {n} ({x.shape})")
            steps.append(_Step(item % n, 1, 1, dropped=True))
        else:
            steps.append(_Step(0, n, 1))
            arrays[len(shape)] = _wrapped(x, item, axis, n)
            shape.append(n)
    return _Plan(steps, tuple(shape), arrays)


def _basic(index: Any) -> Hashable | None:
    """An index of plain integers, slices, None and Ellipsis, as a key; None for any other."""
    key: list[Hashable] = []
    for item in index if isinstance(index, tuple) else (index,):
        parts = (item.start, item.stop, item.step) if type(item) is slice else (item,)
        for part in parts:
            if not (part is None or type(part) is int or part is Ellipsis):
                return None
        key.append(parts)
    return tuple(key)


def _path_to(x: Indexing, index: Any, key: Hashable) -> Path:
    """The path from x to x[index], which follows from x's shape."""
    shape = x._node.shape
    path = _paths.get((shape, key))
    if path is None:
        path = path_between(_sliced(x._node, _plan(x, index)), x._node)
        remember(_paths, (shape, key), path, MAX_PATHS)
    return path


def _is_single_bool(index: Any) -> bool:
    """Whether an index is one bool: all elements, or none, along a new first axis."""
    if isinstance(index, TensorCore):
        return index.dtype == bool_ and not index.shape
    if isinstance(index, np.ndarray):
        return index.dtype == np.bool_ and not index.shape
    return isinstance(index, (bool, np.bool_))


def _prepared(x: Indexing, item: Any) -> Any:
    """One part of an index as None, Ellipsis, a slice, an int, an array or a tensor of integers,
    or a list of arrays (a mask)."""
    if item is None or item is Ellipsis or isinstance(item, slice):
        return item
    if isinstance(item, (bool, np.bool_)):
        return _mask_places(np.array(item))
    if isinstance(item, (int, np.integer)):
        return int(item)
    if isinstance(item, (list, tuple, range)):
        item = np.array(item) if len(item) else np.zeros(0, np.int64)
    if isinstance(item, TensorCore):
        if item.dtype == bool_:
            return _mask_places(item.numpy())
        if item.dtype == uint8:
            warn(
                "an index of uint8 is made of integers, as in NumPy, where PyTorch takes it as a "
                "mask; write .bool() for a mask, .long() for integers"
            )
        if item.dtype.is_int:
            return item
    elif isinstance(item, np.ndarray):
        if item.dtype == np.bool_:
            return _mask_places(item)
        if item.dtype.kind in "iu":
            return item if item.ndim else int(item)
    kind = getattr(item, "dtype", type(item).__name__)
    raise RangeError(f"an index is made of integers, slices, None, ... and bools, not {kind}")


def _mask_places(mask: Array) -> tuple[list[Array], Shape]:
    """Where a mask holds, axis by axis, and its shape."""
    if not mask.shape:
        raise RangeError("a single bool is no index; use a tensor of bools with an axis or more")
    return list(np.nonzero(mask)), mask.shape


def _without_ellipsis(items: list[Any], rank: int) -> list[Any]:
    """The items with a mask as one array an axis, and every axis named."""
    flat: list[Any] = []
    at = 0
    for item in items:
        if isinstance(item, tuple):
            flat.extend(_Mask(array, n) for array, n in zip(*item, strict=True))
        else:
            flat.append(item)
    used = sum(1 for item in flat if item is not None and item is not Ellipsis)
    if used > rank:
        raise RangeError(f"{used} indices for the {rank} axes that there are")
    places = [at for at, item in enumerate(flat) if item is Ellipsis]
    if len(places) > 1:
        raise RangeError("an index has at most one ...")
    at = places[0] if places else len(flat)
    return flat[:at] + [slice(None)] * (rank - used) + flat[at + 1 :]


@dataclass(frozen=True, slots=True)
class _Mask:
    """Where a bool mask holds along one of its axes, which has `size` elements."""

    array: Array
    size: int


def _slice_of(item: slice, n: int) -> tuple[int, int, int]:
    """(start, size, step) of a slice of an axis of n elements."""
    try:
        start, stop, step = item.indices(n)
    except (TypeError, ValueError) as error:
        raise RangeError(f"slice {item.start}:{item.stop}:{item.step}: {error}") from None
    size = len(range(start, stop, step))
    return (start, size, step) if size else (0, 0, 1)


def _wrapped(x: Indexing, item: Any, axis: int, n: int) -> TensorCore:
    """An index array with its negative entries counted from the end."""
    if isinstance(item, _Mask):
        if item.size != n:
            raise RangeError(
                f"a mask of {item.size} elements for axis {axis} of size {n} ({x.shape})"
            )
        return x._from_data(item.array.astype(np.int64), None, x._node.device)
    if isinstance(item, np.ndarray):
        if item.size and not -n <= item.min() <= item.max() < n:
            bad = item.max() if item.max() >= n else item.min()
            raise RangeError(f"index {bad} is outside axis {axis} of size {n} ({x.shape})")
        item = item.astype(np.int64)
        return x._from_data(np.where(item < 0, item + n, item), None, x._node.device)
    node = checked("index", item._node, -n, n, f"axis {axis} of size {n} ({x.shape})")
    index = x._from_node(node)
    if integer_range(node)[0] >= 0:
        return index
    index = index.cast(int64)
    return (index < 0).where(index + n, index)


def _whole_mask(x: Indexing, index: Any) -> TensorCore | None:
    """The mask, where the index is one bool tensor or array of x's leading axes; else None."""
    if isinstance(index, np.ndarray) and index.dtype == np.bool_:
        index = x._from_data(index, None, x._node.device)
    if isinstance(index, TensorCore) and index.dtype == bool_:
        if index.shape != x.shape[: index.ndim]:
            raise RangeError(f"a mask of shape {index.shape} does not fit {x.shape}")
        return index
    return None


# --------------------------------------------------------------------------- applying one


def _sliced(node: Node, plan: _Plan) -> Node:
    """The slices taken, dropped axes gone, new axes there."""
    for axis, step in enumerate(plan.steps):
        node = build.slice_axis(node, axis, step.start, step.size, step.step)
    return build.reshape(node, plan.sliced_shape)


def _gather_indices(plan: _Plan) -> tuple[Node, ...]:
    """One index node an axis of the sliced tensor, all of the result's shape."""
    shape = plan.sliced_shape
    common = broadcast_shape("index", *(array.shape for array in plan.arrays.values()))
    # an array of shape () selects first, so its axis neither joins nor parts the others
    rest = [axis for axis in range(len(shape)) if axis not in plan.arrays or plan.arrays[axis].ndim]
    axes = [at for at, axis in enumerate(rest) if axis in plan.arrays]
    place = axes[0] if axes and axes == list(range(axes[0], axes[-1] + 1)) else 0
    walked = [axis for axis in range(len(shape)) if axis not in plan.arrays]
    sizes = [shape[axis] for axis in walked]
    result = (*sizes[:place], *common, *sizes[place:])
    nodes = []
    for axis, n in enumerate(shape):
        if axis in plan.arrays:
            own = plan.arrays[axis]._node
            aligned = own.shape + (1,) * (len(sizes) - place)
        else:
            own = ir.Iota(n)
            at = walked.index(axis)
            after = len(sizes) - 1 - at + (len(common) if at < place else 0)
            aligned = (n,) + (1,) * after
        nodes.append(broadcast_node("index", build.reshape(own, aligned), result))
    return tuple(nodes)


def _without_ones(node: Node, shape: Shape) -> Node:
    """The node without leading axes of size 1 that `shape` has no room for."""
    extra = len(node.shape) - len(shape)
    if extra > 0 and math.prod(node.shape[:extra]) == 1:
        return build.reshape(node, node.shape[extra:])
    if extra > 0:
        raise ShapeError(f"setitem: values of shape {node.shape} into a part of shape {shape}")
    return node

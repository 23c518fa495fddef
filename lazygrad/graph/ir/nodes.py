"""Leaves, reductions, reads and writes at indices, and marks. The other nodes: elementwise.py,
movement.py, random.py, winograd.py."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from ...dtypes import DType, int64
from ...errors import DTypeError, ShapeError
from ...interned import entered
from .elementwise import Add, Binary, Maximum, Minimum, Mul
from .movement import window_count
from .node import Known, Node, Shape

# --------------------------------------------------------------------------- leaves
# Memory, constants, and the numbers 0, 1, 2, ...


class Storage(Protocol):
    """The memory of a Buffer node, on a device (runtime.buffer.DeviceBuffer)."""

    size: int
    dtype: DType
    device: str


class Buffer(Node):
    """The elements of a storage, in row-major order. One for each storage and shape."""

    storage: Storage
    shape_: Shape

    @classmethod
    def _keyed(cls, args: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return (cls, id(args[0]), args[1]), args  # a node keeps its storage: ids stay unique

    @classmethod
    def of(cls, node: Node, storage: Storage) -> Buffer:
        """A node's elements, which a storage holds."""
        made = cls.new(storage, node.shape, ((), node.shape, node.dtype, storage.device))
        return entered((cls, id(storage), node.shape), made)  # type: ignore[no-any-return]

    def _infer(self) -> tuple[Shape, DType]:
        if math.prod(self.shape_) != self.storage.size:
            raise ShapeError(
                f"buffer: {self.storage.size} elements cannot have shape {self.shape_}"
            )
        return self.shape_, self.storage.dtype

    def _infer_device(self) -> str | None:
        return self.storage.device


_BITS = struct.Struct("<d").pack


def _as_element(value: bool | int | float, dtype: DType) -> bool | int | float:
    """A number as the bool, int or float of a dtype; integers wrap, as in casts of NumPy and C."""
    if dtype.is_float:
        return float(value)
    if not dtype.is_int:
        return bool(value)
    bits = 8 * dtype.itemsize
    wrapped = int(value) & ((1 << bits) - 1)
    return wrapped - (1 << bits) if dtype.kind == "int" and wrapped >> (bits - 1) else wrapped


class Const(Node):
    """One value in every element. Keyed by bits: 0.0 is not -0.0, nan is itself, 1 is not True."""

    value: bool | int | float
    dtype_: DType
    shape_: Shape = ()

    @classmethod
    def _keyed(cls, args: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        value, dtype, shape = args
        value = _as_element(value, dtype)
        bits = _BITS(value) if dtype.is_float else value
        return (cls, bits, dtype, shape), (value, dtype, shape)

    def _infer(self) -> tuple[Shape, DType]:
        return self.shape_, self.dtype_


class Iota(Node):
    """0, 1, ..., size - 1."""

    size_: int
    dtype_: DType = int64

    def _infer(self) -> tuple[Shape, DType]:
        return (self.size_,), self.dtype_

    @property
    def attributes(self) -> dict[str, Any]:
        return {}


def is_leaf(node: Node, known: Known) -> bool:
    """Whether a walk ends at a node: at a Buffer, or a node in `known`. A node without a device is
    no leaf: it is made of constants, and is computed again on the device where it is used."""
    return isinstance(node, Buffer) or (node.device is not None and node in known)


# --------------------------------------------------------------------------- reduce
# Many elements are combined into one: along axes, or where windows overlap.


REDUCTIONS: dict[str, type[Binary]] = {"sum": Add, "prod": Mul, "max": Maximum, "min": Minimum}
"""The operation by which each reduction combines two elements."""


def identity(op: str, dtype: DType) -> bool | int | float:
    """The value that changes nothing when a reduction combines it with another."""
    return {"sum": 0, "prod": 1, "max": dtype.min, "min": dtype.max}[op]


class Reduce(Node):
    """x's elements along the axes (sorted, distinct) combined with op; the axes are removed. No
    elements give the identity of op.

    float16 and bfloat16 are accumulated in float32 and rounded once. max and min give nan where an
    element is nan. Of bools, sum is `or` and prod is `and`. `ties` concerns only the gradient of
    max and min: of equal elements, "all" get equal parts, or the "first" in row-major order gets
    everything.
    """

    x: Node
    op: str
    axes: tuple[int, ...]
    ties: str = "all"

    @property
    def attributes(self) -> dict[str, Any]:
        notes = {"op": self.op, "axes": self.axes}
        return notes if self.ties == "all" else {**notes, "ties": self.ties}

    @property
    def kept(self) -> list[int]:
        """The axes of x that the result has, in order."""
        return [axis for axis in range(len(self.x.shape)) if axis not in self.axes]

    def _infer(self) -> tuple[Shape, DType]:
        if self.op not in REDUCTIONS:
            raise ValueError(f"reduce: op {self.op!r} is none of {tuple(REDUCTIONS)}")
        if self.ties not in ("all", "first"):
            raise ValueError(f"reduce: ties {self.ties!r} is neither 'all' nor 'first'")
        rank = len(self.x.shape)
        if list(self.axes) != sorted(set(self.axes)) or any(not 0 <= a < rank for a in self.axes):
            raise ShapeError(f"reduce: axes {self.axes} do not fit shape {self.x.shape}")
        return tuple([self.x.shape[axis] for axis in self.kept]), self.x.dtype


class Scan(Node):
    """Running sums or products along an axis: element i combines x's elements 0 to i, in order.

    float32 is accumulated in float64, float16 and bfloat16 in float32. Each result is rounded once.
    """

    x: Node
    axis: int
    op: str = "sum"

    def _infer(self) -> tuple[Shape, DType]:
        if self.op not in ("sum", "prod"):
            raise ValueError(f"scan: op {self.op!r} is neither 'sum' nor 'prod'")
        if not 0 <= self.axis < len(self.x.shape):
            raise ShapeError(f"scan: axis {self.axis} is outside shape {self.x.shape}")
        return self.x.shape, self.x.dtype


class Fold(Node):
    """The adjoint of Window: out[..., i, ...] = sum of x[..., o, ..., k] with
    o * stride + k * dilation = i. o is x's `axis`, which becomes i, of `size_` elements; k is x's
    last axis.
    """

    x: Node
    axis: int
    size_: int
    stride: int = 1
    dilation: int = 1

    def _infer(self) -> tuple[Shape, DType]:
        *kept, window = self.x.shape
        if not 0 <= self.axis < len(kept):
            raise ShapeError(f"fold: axis {self.axis} is outside shape {self.x.shape}")
        if kept[self.axis] != window_count(self.size_, window, self.stride, self.dilation):
            raise ShapeError(
                f"fold: {kept[self.axis]} windows of {window} do not tile {self.size_} elements"
            )
        kept[self.axis] = self.size_
        return tuple(kept), self.x.dtype


# --------------------------------------------------------------------------- indexed
# Elements are read or written at computed indices; and the indices that sort.


def _check_indices(name: str, x: Node, indices: tuple[Node, ...]) -> Shape:
    if len(indices) != len(x.shape) or not indices:
        raise ShapeError(f"{name}: {len(indices)} indices for shape {x.shape}")
    for index in indices:
        if not index.dtype.is_int:
            raise DTypeError(f"{name}: indices must be integers, got {index.dtype}")
        if index.shape != indices[0].shape:
            raise ShapeError(f"{name}: index shapes {indices[0].shape} and {index.shape} differ")
    return indices[0].shape


class Source(NamedTuple):
    """The operation that made a node, and the program's line that called it."""

    operation: str
    file: str
    line: int

    def outside(self, index: int, low: int, high: int) -> IndexError:
        """The error to raise for an index that is not in low .. high - 1."""
        at = f"{self.operation} ({self.file}:{self.line})"
        return IndexError(f"{at}: index {index} is outside {low} to {high - 1}")


class InRange(Node):
    """x, a check that its integers are in low .. high - 1 or equal to `ignored`. If one is not,
    reading values raises IndexError.

    `source` is the line that the error names. It is no part of the node's key: two lines that make
    the same check share a node, which names the first.
    """

    x: Node
    low: int
    high: int
    ignored: int | None
    source: Source

    @classmethod
    def _keyed(cls, args: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return (cls, *args[:-1]), args

    def _infer(self) -> tuple[Shape, DType]:
        if not self.x.dtype.is_int:
            raise DTypeError(f"inrange: indices are integers, not {self.x.dtype}")
        if not self.low <= 0 < self.high:
            raise ShapeError(f"inrange: no index is in {self.low} .. {self.high - 1}")
        return self.x.shape, self.x.dtype


class Gather(Node):
    """out[i] = x[indices[0][i], indices[1][i], ...]: one index node for each axis of x, all of the
    output's shape. An index outside its axis gives 0.

    An axis that is read in order has an expanded Iota as its index; lowering makes it a plain loop.
    """

    x: Node
    indices: tuple[Node, ...]

    def _infer(self) -> tuple[Shape, DType]:
        return _check_indices(self.name, self.x, self.indices), self.x.dtype


class Scatter(Node):
    """x, with x[indices[0][i], ...] combined with values[i] for every i, in row-major order of i.

    op "set" overwrites (the last value stays), "sum" "prod" "max" "min" combine. An index outside
    its axis is skipped.
    """

    x: Node
    indices: tuple[Node, ...]
    values: Node
    op: str = "sum"

    def _infer(self) -> tuple[Shape, DType]:
        shape = _check_indices(self.name, self.x, self.indices)
        if self.op not in ("set", *REDUCTIONS):
            raise ValueError(f"scatter: op {self.op!r} is none of {('set', *REDUCTIONS)}")
        if self.values.shape != shape:
            raise ShapeError(f"scatter: values {self.values.shape} for indices {shape}")
        if self.values.dtype != self.x.dtype:
            raise DTypeError(f"scatter: values {self.values.dtype} into {self.x.dtype}")
        return self.x.shape, self.x.dtype


class Sort(Node):
    """The indices (int64) that sort x along axis, stable; nan counts as the largest. Only the first
    `count` of them; None for all.
    """

    x: Node
    axis: int
    descending: bool = False
    count: int | None = None

    def _infer(self) -> tuple[Shape, DType]:
        if not 0 <= self.axis < len(self.x.shape):
            raise ShapeError(f"sort: axis {self.axis} is outside shape {self.x.shape}")
        n = self.x.shape[self.axis]
        if self.count is None:
            return self.x.shape, int64
        if not 0 <= self.count <= n:
            raise ShapeError(f"sort: {self.count} of the {n} elements along axis {self.axis}")
        return (*self.x.shape[: self.axis], self.count, *self.x.shape[self.axis + 1 :]), int64


# --------------------------------------------------------------------------- placement
# The elements of x, on another device, in memory of their own, or with another gradient.


class Copy(Node):
    """x on another device."""

    x: Node
    device_: str

    def _infer(self) -> tuple[Shape, DType]:
        return self.x.shape, self.x.dtype

    def _infer_device(self) -> str | None:
        return self.device_


class Contiguous(Node):
    """x, stored in memory of its own: a kernel boundary that the user asked for."""

    x: Node

    def _infer(self) -> tuple[Shape, DType]:
        return self.x.shape, self.x.dtype


class Token:
    """An object that is equal only to itself."""

    __slots__ = ("__weakref__",)

    def __repr__(self) -> str:
        return "·"


class Detach(Node):
    """x as a new variable: no gradient flows through it. Different tokens make two variables of
    equal expressions. Simplify removes it."""

    x: Node
    token: Token | None = None

    def _infer(self) -> tuple[Shape, DType]:
        return self.x.shape, self.x.dtype


class Overwritten(Node):
    """The elements of `value`, which were written over x while no gradient was recorded: gradients
    flow to x as if nothing were written. Simplify removes it."""

    x: Node
    value: Node

    def _infer(self) -> tuple[Shape, DType]:
        if (self.x.shape, self.x.dtype) != (self.value.shape, self.value.dtype):
            raise ShapeError(f"overwritten: {self.value} for {self.x}")
        return self.x.shape, self.x.dtype


class Custom(Node):
    """The elements of `value`, computed from `primals` in any way, with a user's derivative:
    `rule(g, node)` returns the cotangents of the primals. No gradient flows to `value`. Simplify
    removes it."""

    value: Node
    primals: tuple[Node, ...]
    rule: Rule

    def _infer(self) -> tuple[Shape, DType]:
        return self.value.shape, self.value.dtype

    def _infer_device(self) -> str | None:
        return self.value.device


Rule = Callable[[Node, Custom], tuple[Node | None, ...]]
"""rule(g, node): the cotangents of the node's primals, from the node's cotangent g."""

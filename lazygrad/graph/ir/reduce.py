"""Many elements combined into one: along axes, or where windows overlap."""

from __future__ import annotations

from typing import Any

from ...dtypes import DType
from ...errors import ShapeError
from .elementwise import Add, Binary, Maximum, Minimum, Mul
from .movement import window_count
from .node import Node, Shape

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

    def _infer(self) -> tuple[Shape, DType]:
        if self.op not in REDUCTIONS:
            raise ValueError(f"reduce: op {self.op!r} is none of {tuple(REDUCTIONS)}")
        if self.ties not in ("all", "first"):
            raise ValueError(f"reduce: ties {self.ties!r} is neither 'all' nor 'first'")
        rank = len(self.x.shape)
        if list(self.axes) != sorted(set(self.axes)) or any(not 0 <= a < rank for a in self.axes):
            raise ShapeError(f"reduce: axes {self.axes} do not fit shape {self.x.shape}")
        kept = tuple(n for axis, n in enumerate(self.x.shape) if axis not in self.axes)
        return kept, self.x.dtype


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

"""Nodes that move elements and compute nothing."""

from __future__ import annotations

import math
import struct
from itertools import accumulate
from typing import Any

from ...dtypes import DType
from ...errors import DTypeError, ShapeError
from .node import Node, Shape


class Movement(Node):
    """Each element of the output is an element of x, or a padding value."""

    x: Node


class Reshape(Movement):
    """The same elements in row-major order, in another shape."""

    shape_: Shape

    def _infer(self) -> tuple[Shape, DType]:
        if math.prod(self.shape_) != self.x.size:
            raise ShapeError(
                f"reshape: {self.x.shape} has {self.x.size} elements, "
                f"{self.shape_} has {math.prod(self.shape_)}"
            )
        return self.shape_, self.x.dtype


class Permute(Movement):
    """out.shape[i] = x.shape[order[i]]."""

    order: tuple[int, ...]

    def _infer(self) -> tuple[Shape, DType]:
        if sorted(self.order) != list(range(len(self.x.shape))):
            raise ShapeError(f"permute: {self.order} is no order of the axes of {self.x.shape}")
        return tuple(self.x.shape[axis] for axis in self.order), self.x.dtype


class Expand(Movement):
    """Axes of size 1 repeated to their size in `shape_`, which has the same rank."""

    shape_: Shape

    def _infer(self) -> tuple[Shape, DType]:
        if len(self.shape_) != len(self.x.shape) or any(
            old not in (1, new) for old, new in zip(self.x.shape, self.shape_, strict=True)
        ):
            raise ShapeError(f"expand: {self.x.shape} cannot be expanded to {self.shape_}")
        return self.shape_, self.x.dtype


class Pad(Movement):
    """`padding[axis] = (before, after)`, each >= 0, filled with value (of x's dtype)."""

    padding: tuple[tuple[int, int], ...]
    value: bool | int | float = 0

    @classmethod
    def _keyed(cls, args: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        x, padding, value = args
        return (cls, x, padding, struct.pack("<d", value) if x.dtype.is_float else value), args

    def _infer(self) -> tuple[Shape, DType]:
        if len(self.padding) != len(self.x.shape) or any(min(p) < 0 for p in self.padding):
            raise ShapeError(f"pad: padding {self.padding} does not fit shape {self.x.shape}")
        sizes = zip(self.x.shape, self.padding, strict=True)
        return tuple(n + before + after for n, (before, after) in sizes), self.x.dtype


class Slice(Movement):
    """out[i] = x[start + i * step] along each axis, for i < size; step may be negative, not 0."""

    starts: tuple[int, ...]
    sizes: tuple[int, ...]
    steps: tuple[int, ...]

    def _infer(self) -> tuple[Shape, DType]:
        rank = len(self.x.shape)
        fits = len(self.starts) == len(self.sizes) == len(self.steps) == rank
        if fits:
            for n, start, size, step in zip(
                self.x.shape, self.starts, self.sizes, self.steps, strict=True
            ):
                last = start + (size - 1) * step
                fits = fits and step != 0 and size >= 0
                fits = fits and (size == 0 or (0 <= start < n and 0 <= last < n))
        if not fits:
            raise ShapeError(
                f"slice: starts {self.starts}, sizes {self.sizes}, steps {self.steps} "
                f"do not fit shape {self.x.shape}"
            )
        return self.sizes, self.x.dtype


class Join(Node):
    """The parts side by side along an axis, in order; they agree in dtype and on other axes."""

    parts: tuple[Node, ...]
    axis: int

    def _infer(self) -> tuple[Shape, DType]:
        first = self.parts[0]
        if not 0 <= self.axis < len(first.shape):
            raise ShapeError(f"join: axis {self.axis} is outside shape {first.shape}")
        rest = _without(first.shape, self.axis)
        for part in self.parts:
            if len(part.shape) != len(first.shape) or _without(part.shape, self.axis) != rest:
                raise ShapeError(f"join: shapes {first.shape} and {part.shape} differ")
            if part.dtype != first.dtype:
                raise DTypeError(f"join: dtypes {first.dtype} and {part.dtype} differ")
        size = sum(part.shape[self.axis] for part in self.parts)
        return (*first.shape[: self.axis], size, *first.shape[self.axis + 1 :]), first.dtype

    @property
    def starts(self) -> list[int]:
        """Where each part begins along the axis."""
        sizes = [part.shape[self.axis] for part in self.parts]
        return list(accumulate(sizes, initial=0))[:-1]


def _without(shape: Shape, axis: int) -> Shape:
    return (*shape[:axis], *shape[axis + 1 :])


def window_count(n: int, size: int, stride: int, dilation: int) -> int:
    """How many windows of `size` elements, `dilation` apart, start in n at steps of `stride`."""
    return max(0, (n - (size - 1) * dilation - 1) // stride + 1)


class Window(Movement):
    """Sliding windows: out[..., o, ..., k] = x[..., o * stride + k * dilation, ...].

    `axis` becomes the windows' axis; the position inside a window is a new last axis.
    """

    axis: int
    size_: int
    stride: int = 1
    dilation: int = 1

    def _infer(self) -> tuple[Shape, DType]:
        if not 0 <= self.axis < len(self.x.shape):
            raise ShapeError(f"window: axis {self.axis} is outside shape {self.x.shape}")
        if min(self.size_, self.stride, self.dilation) < 1:
            raise ShapeError(
                f"window: size {self.size_}, step {self.stride} and dilation {self.dilation} "
                "should be at least 1"
            )
        shape = list(self.x.shape)
        count = window_count(shape[self.axis], self.size_, self.stride, self.dilation)
        if count < 1:
            raise ShapeError(
                f"window: {self.size_} elements {self.dilation} apart do not fit axis {self.axis} "
                f"of shape {self.x.shape}"
            )
        shape[self.axis] = count
        return (*shape, self.size_), self.x.dtype

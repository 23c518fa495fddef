"""Pooling over the last spatial axes of (N, C, size..)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, Self, overload

import numpy as np

from ..errors import ArgumentError, ShapeError, check_integers
from ..graph.ir import Const, Node, Reduce, window_count
from .arguments import per_axis, plain
from .convolution import Convolution, windowed
from .core import TensorCore
from .joining import pad_node
from .precision import rounded_once

Sizes = int | Sequence[int]


class Pooling(Convolution):
    """Windows of `kernel_size`, `stride` apart (the kernel's size if not given), PyTorch's way."""

    __slots__ = ()

    @overload
    def max_pool2d(
        self,
        kernel_size: Sizes = 2,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        ceil_mode: bool = False,
        return_indices: Literal[False] = False,
    ) -> Self: ...

    @overload
    def max_pool2d(
        self,
        kernel_size: Sizes = 2,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        ceil_mode: bool = False,
        *,
        return_indices: Literal[True],
    ) -> tuple[Self, Self]: ...

    def max_pool2d(
        self,
        kernel_size: Sizes = 2,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Self | tuple[Self, Self]:
        """The largest value of each window; padding never wins. `ceil_mode` keeps a last window
        that only partly fits. The gradient goes to the first of equal values.

        With `return_indices` also where each was, as int64, in the flattened spatial axes.
        """
        options = (2, kernel_size, stride, padding, dilation, ceil_mode)
        values = self._max_pool("max_pool2d", *options)
        return (values, self._max_pool_indices(values, *options)) if return_indices else values

    def max_pool1d(
        self,
        kernel_size: Sizes = 2,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        """`max_pool2d` with one spatial axis."""
        options = (1, kernel_size, stride, padding, dilation, ceil_mode)
        values = self._max_pool("max_pool1d", *options)
        return (values, self._max_pool_indices(values, *options)) if return_indices else values

    def max_pool3d(
        self,
        kernel_size: Sizes = 2,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        """`max_pool2d` with three spatial axes."""
        options = (3, kernel_size, stride, padding, dilation, ceil_mode)
        values = self._max_pool("max_pool3d", *options)
        return (values, self._max_pool_indices(values, *options)) if return_indices else values

    def avg_pool2d(
        self,
        kernel_size: Sizes = 2,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Self:
        """The mean of each window, with the padding's zeros unless `count_include_pad` is off; or
        its sum over `divisor_override`."""
        return self._avg_pool(
            "avg_pool2d",
            2,
            kernel_size,
            stride,
            padding,
            ceil_mode,
            count_include_pad,
            divisor_override,
        )

    def avg_pool1d(
        self,
        kernel_size: Sizes = 2,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> Self:
        """`avg_pool2d` with one spatial axis."""
        return self._avg_pool(
            "avg_pool1d", 1, kernel_size, stride, padding, ceil_mode, count_include_pad
        )

    def avg_pool3d(
        self,
        kernel_size: Sizes = 2,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Self:
        """`avg_pool2d` with three spatial axes."""
        return self._avg_pool(
            "avg_pool3d",
            3,
            kernel_size,
            stride,
            padding,
            ceil_mode,
            count_include_pad,
            divisor_override,
        )

    def _max_pool(
        self,
        name: str,
        spatial: int,
        kernel_size: Sizes,
        stride: Sizes | None,
        padding: Sizes,
        dilation: Sizes,
        ceil_mode: bool,
    ) -> Self:
        window = _Window(name, spatial, kernel_size, stride, padding, dilation)
        widths = window.padding(self.shape, ceil_mode)
        node = window.over(self._node, widths, self.dtype.min)
        rank = len(node.shape)
        return self._derived(Reduce(node, "max", tuple(range(rank - spatial, rank)), "first"))

    def _max_pool_indices(
        self,
        values: Self,
        spatial: int,
        kernel_size: Sizes,
        stride: Sizes | None,
        padding: Sizes,
        dilation: Sizes,
        ceil_mode: bool,
    ) -> Self:
        """The place of the first maximum of each window in the flattened spatial axes."""
        window = _Window("max_pool", spatial, kernel_size, stride, padding, dilation)
        widths = window.padding(self.shape, ceil_mode)
        x = self._from_node(window.over(self._node, widths, self.dtype.min))
        sizes = self.shape[-spatial:]
        places = self._positions(math.prod(sizes)).reshape((1,) * (self.ndim - spatial) + sizes)
        none = math.prod(sizes)
        where = self._from_node(window.over(places._node, widths, none)).expand(x.shape)
        best = self._from_node(values._node).reshape(*values.shape, *(1,) * spatial)
        axes = tuple(range(-spatial, 0))
        return (x.eq(best) | x.isnan()).where(where, none).amin(axes)

    def max_unpool2d(
        self,
        indices: TensorCore,
        kernel_size: Sizes = 2,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        output_size: Sequence[int] | None = None,
    ) -> Self:
        """The values put back where `max_pool2d` found them, 0 elsewhere. The spatial size is the
        last two of `output_size`, or the smallest that the pooling fits."""
        window = _Window("max_unpool2d", 2, kernel_size, stride, padding, 1)
        if self.ndim < 3 or indices.shape != self.shape:
            raise ShapeError(f"values {self.shape} and indices {indices.shape} do not fit")
        if output_size is not None:
            sizes = tuple(output_size[-2:])
        else:
            sizes = tuple(
                (n - 1) * s + k - 2 * p
                for n, k, s, p in zip(
                    self.shape[-2:], window.kernel, window.strides, window.pads, strict=True
                )
            )
        flat = self._from_node(Const(0, self.dtype, (*self.shape[:-2], math.prod(sizes)))).scatter(
            -1, self._as_tensor("max_unpool2d", indices).flatten(-2), self.flatten(-2)
        )
        return flat.unflatten(-1, sizes)

    @rounded_once()
    def _avg_pool(
        self,
        name: str,
        spatial: int,
        kernel_size: Sizes,
        stride: Sizes | None,
        padding: Sizes,
        ceil_mode: bool,
        count_include_pad: bool,
        override: int | None = None,
    ) -> Self:
        self._float_only(name)
        window = _Window(name, spatial, kernel_size, stride, padding, 1)
        widths = window.padding(self.shape, ceil_mode)
        node = window.over(self._node, widths, 0)
        rank = len(node.shape)
        axes = tuple(range(rank - spatial, rank))
        total = self._derived(Reduce(node, "sum", axes))
        if override is not None:
            if override == 0:
                raise ArgumentError(f"{name}: divisor_override is 0")
            return total / override
        counts = window.counts(self.shape[-spatial:], widths, count_include_pad)
        if counts.min() == counts.max():
            return total / float(counts.flat[0])
        divisor = self._from_data(counts.astype(self.dtype.numpy), None, self._node.device)
        return total / divisor

    def adaptive_avg_pool2d(self, output_size: int | Sequence[int | None] | None) -> Self:
        """Means over windows that divide each spatial axis into `output_size` parts, as equal as
        can be; None keeps an axis."""
        return self._adaptive("mean", 2, output_size)

    def adaptive_avg_pool1d(self, output_size: int) -> Self:
        """`adaptive_avg_pool2d` with one spatial axis."""
        return self._adaptive("mean", 1, output_size)

    def adaptive_avg_pool3d(self, output_size: int | Sequence[int | None] | None) -> Self:
        """`adaptive_avg_pool2d` with three spatial axes."""
        return self._adaptive("mean", 3, output_size)

    def adaptive_max_pool2d(self, output_size: int | Sequence[int | None] | None) -> Self:
        """Maxima over the windows of `adaptive_avg_pool2d`."""
        return self._adaptive("max", 2, output_size)

    def adaptive_max_pool1d(self, output_size: int) -> Self:
        """`adaptive_max_pool2d` with one spatial axis."""
        return self._adaptive("max", 1, output_size)

    @rounded_once()
    def _adaptive(
        self, op: str, spatial: int, output_size: int | Sequence[int | None] | None
    ) -> Self:
        """The spatial axes, the last one first, in parts combined by "mean" or "max": so the first
        of equal maxima in row-major order is the one with the gradient."""
        name = f"adaptive_{op}_pool"
        if isinstance(output_size, Sequence):
            sizes = list(output_size)
        else:
            sizes = [output_size] * spatial
        if len(sizes) != spatial or self.ndim not in (spatial + 1, spatial + 2):
            raise ShapeError(
                f"{name}: input {self.shape} needs {spatial} axes after (N, C) or C, and "
                f"output_size {output_size} as many numbers"
            )
        x: Self = self
        for axis, size in reversed(list(enumerate(sizes, self.ndim - spatial))):
            if size is not None:
                x = x._in_parts(name, op, axis, size)
        return x

    def _in_parts(self, name: str, op: str, axis: int, count: int) -> Self:
        n = self.shape[axis]
        check_integers(output_size=count)
        if count < 1 or n < 1:
            raise ShapeError(f"output_size {count} and the axis of size {n} should be 1 or more")

        def combined(x: Self, place: int, keepdim: bool) -> Self:
            return x.mean(place, keepdim) if op == "mean" else x.max(axis=place, keepdim=keepdim)

        if n % count == 0:
            return combined(self.unflatten(axis, (count, n // count)), axis + 1, False)
        starts = [i * n // count for i in range(count)]
        ends = [-(-(i + 1) * n // count) for i in range(count)]
        parts = [
            combined(self.narrow(axis, start, end - start), axis, True)
            for start, end in zip(starts, ends, strict=True)
        ]
        return parts[0].cat(*parts[1:], axis=axis)


class _Window:
    """The windows of one pooling operation."""

    def __init__(
        self,
        name: str,
        spatial: int,
        kernel_size: Sizes,
        stride: Sizes | None,
        padding: Sizes,
        dilation: Sizes,
    ) -> None:
        self.name = name
        self.kernel = per_axis(name, "kernel_size", kernel_size, spatial)
        stride = plain(stride)
        self.strides = per_axis(
            name, "stride", self.kernel if stride in (None, (), []) else stride, spatial
        )
        self.pads = per_axis(name, "padding", padding, spatial, least=0)
        self.dilations = per_axis(name, "dilation", dilation, spatial)
        if any(2 * p > k for p, k in zip(self.pads, self.kernel, strict=True)):
            raise ShapeError(f"{name}: padding {self.pads} is more than half of {self.kernel}")

    def padding(self, shape: tuple[int, ...], ceil_mode: bool) -> list[tuple[int, int]]:
        """(before, after) of each spatial axis; ceil_mode adds what its last window lacks."""
        spatial = len(self.kernel)
        if len(shape) not in (spatial + 1, spatial + 2):
            raise ShapeError(f"{self.name}: input {shape} needs {spatial} axes after N and C")
        widths = []
        for n, k, s, p, d in zip(
            shape[-spatial:], self.kernel, self.strides, self.pads, self.dilations, strict=True
        ):
            after = p
            reach = d * (k - 1) + 1
            if ceil_mode:
                count = math.ceil((n + 2 * p - reach) / s) + 1
                if (count - 1) * s >= n + p:  # a window must start inside the input or its padding
                    count -= 1
                if count > 0:
                    after = max(p, (count - 1) * s + reach - n - p)
            widths.append((p, after))
        return widths

    def over(self, node: Node, widths: list[tuple[int, int]], value: bool | int | float) -> Node:
        """The windows of a node padded with `value`, the positions inside them last."""
        around = [(0, 0)] * (len(node.shape) - len(widths)) + widths
        padded = pad_node(node, around, value)
        return windowed(self.name, padded, self.kernel, self.strides, self.dilations)

    def counts(
        self, sizes: tuple[int, ...], widths: list[tuple[int, int]], include_pad: bool
    ) -> np.ndarray:
        """How many elements each window's mean is over. What `ceil_mode` added never counts."""
        counts = np.ones(())
        for n, k, s, p, (before, after) in zip(
            sizes, self.kernel, self.strides, self.pads, widths, strict=True
        ):
            low, high = (-p, n + p) if include_pad else (0, n)
            starts = np.arange(window_count(n + before + after, k, s, 1)) * s - p
            inside = np.minimum(starts + k, high) - np.maximum(starts, low)
            counts = np.multiply.outer(counts, inside)
        return counts

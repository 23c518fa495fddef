"""Pooling and resampling over the last spatial axes of (N, C, size..)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Self

import numpy as np

from ..errors import ShapeError
from ..graph.ir import Node, Reduce, window_count
from .arguments import normalized_axis, per_axis
from .convolution import Convolution, windowed
from .movement import pad_node

Sizes = int | Sequence[int]


class Pooling(Convolution):
    """Windows of `kernel_size`, `stride` apart (the kernel's size if not given), PyTorch's way."""

    __slots__ = ()

    def max_pool2d(
        self,
        kernel_size: Sizes = 2,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        ceil_mode: bool = False,
    ) -> Self:
        """The largest value of each window; padding never wins. `ceil_mode` keeps a last window
        that only partly fits."""
        return self._max_pool("max_pool2d", 2, kernel_size, stride, padding, dilation, ceil_mode)

    def max_pool1d(
        self,
        kernel_size: Sizes = 2,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        ceil_mode: bool = False,
    ) -> Self:
        """`max_pool2d` with one spatial axis."""
        return self._max_pool("max_pool1d", 1, kernel_size, stride, padding, dilation, ceil_mode)

    def max_pool3d(
        self,
        kernel_size: Sizes = 2,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        ceil_mode: bool = False,
    ) -> Self:
        """`max_pool2d` with three spatial axes."""
        return self._max_pool("max_pool3d", 3, kernel_size, stride, padding, dilation, ceil_mode)

    def avg_pool2d(
        self,
        kernel_size: Sizes = 2,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> Self:
        """The mean of each window, with the padding's zeros unless `count_include_pad` is off."""
        return self._avg_pool(
            "avg_pool2d", 2, kernel_size, stride, padding, ceil_mode, count_include_pad
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
    ) -> Self:
        """`avg_pool2d` with three spatial axes."""
        return self._avg_pool(
            "avg_pool3d", 3, kernel_size, stride, padding, ceil_mode, count_include_pad
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

    def _avg_pool(
        self,
        name: str,
        spatial: int,
        kernel_size: Sizes,
        stride: Sizes | None,
        padding: Sizes,
        ceil_mode: bool,
        count_include_pad: bool,
    ) -> Self:
        self._float_only(name)
        window = _Window(name, spatial, kernel_size, stride, padding, 1)
        widths = window.padding(self.shape, ceil_mode)
        x = self._widened()
        node = window.over(x._node, widths, 0)
        rank = len(node.shape)
        axes = tuple(range(rank - spatial, rank))
        total = x._derived(Reduce(node, "sum", axes))
        counts = window.counts(self.shape[-spatial:], widths, count_include_pad)
        if counts.min() == counts.max():
            return self._narrowed(total / float(counts.flat[0]))
        divisor = self._from_data(counts.astype(x.dtype.numpy), None, self._node.device)
        return self._narrowed(total / divisor)

    def adaptive_avg_pool2d(self, output_size: int | Sequence[int | None] | None) -> Self:
        """Means over windows that divide each spatial axis into `output_size` parts, as equal as
        can be; None keeps an axis."""
        sizes = [output_size] * 2 if not isinstance(output_size, Sequence) else list(output_size)
        x: Self = self
        for axis, size in zip((-2, -1), sizes, strict=True):
            if size is not None:
                x = x._adaptive_mean(axis, size)
        return x

    def adaptive_avg_pool1d(self, output_size: int) -> Self:
        """`adaptive_avg_pool2d` with one spatial axis."""
        return self._adaptive_mean(-1, output_size)

    def _adaptive_mean(self, axis: int, count: int) -> Self:
        axis = normalized_axis("adaptive_avg_pool", axis, self.ndim)
        n = self.shape[axis]
        if count < 1 or n < 1:
            raise ShapeError(f"adaptive_avg_pool: {count} parts of an axis of {n}")
        if n % count == 0:
            return self.unflatten(axis, (count, n // count)).mean(axis + 1)
        starts = [i * n // count for i in range(count)]
        ends = [-(-(i + 1) * n // count) for i in range(count)]
        parts = [
            self.narrow(axis, start, end - start).mean(axis, keepdim=True)
            for start, end in zip(starts, ends, strict=True)
        ]
        return parts[0].cat(*parts[1:], axis=axis)

    # ------------------------------------------------------------------- resampling

    def interpolate(
        self,
        size: Sizes | None = None,
        scale_factor: float | Sequence[float] | None = None,
        mode: str = "nearest",
        align_corners: bool = False,
    ) -> Self:
        """The spatial axes resampled to `size`, or by `scale_factor`.

        mode "nearest" takes the element below; "linear", "bilinear" and "trilinear" weigh the two
        neighbours along each axis. `align_corners` makes first and last elements correspond.
        """
        spatial = self.ndim - 2
        if mode not in ("nearest", "linear", "bilinear", "trilinear"):
            raise ValueError(f"interpolate: mode {mode!r} is none of nearest, linear, bilinear")
        if (size is None) == (scale_factor is None):
            raise ValueError("interpolate: give either size or scale_factor")
        scales: list[float | None] = [None] * spatial
        if size is not None:
            sizes = per_axis("interpolate", "size", size, spatial)
        else:
            one = isinstance(scale_factor, (int, float))
            factors = [scale_factor] * spatial if one else list(scale_factor)  # type: ignore
            sizes = tuple(int(n * f) for n, f in zip(self.shape[2:], factors, strict=True))  # type: ignore
            scales = [1 / f for f in factors]  # type: ignore[operator]
        x = self
        for i, (new, scale) in enumerate(zip(sizes, scales, strict=True)):
            x = x._resampled(2 + i, new, scale, mode != "nearest", align_corners)
        return x

    def _resampled(
        self, axis: int, size: int, scale: float | None, linear: bool, align_corners: bool
    ) -> Self:
        n = self.shape[axis]
        step = n / size if scale is None else scale
        place = np.arange(size)
        whole = (slice(None),) * axis
        if not linear:
            nearest = np.minimum((place * np.float32(step)).astype(np.int64), n - 1)
            return self[(*whole, nearest)]
        if align_corners:
            position = place * ((n - 1) / max(size - 1, 1))
        else:
            position = np.maximum((place + 0.5) * step - 0.5, 0)
        low = np.minimum(position.astype(np.int64), n - 1)
        high = np.minimum(low + 1, n - 1)
        wide = self._widened()
        share = self._from_data((position - low).astype(wide.dtype.numpy), None, self._node.device)
        share = share.reshape(-1, *(1,) * (self.ndim - 1 - axis))
        below, above = wide[(*whole, low)], wide[(*whole, high)]
        return self._narrowed(below + share * (above - below))


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
        self.strides = per_axis(name, "stride", self.kernel if stride is None else stride, spatial)
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
            if ceil_mode and n + 2 * p >= reach:
                count = math.ceil((n + 2 * p - reach) / s) + 1
                if (count - 1) * s >= n + p:  # a window must start inside the input or its padding
                    count -= 1
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

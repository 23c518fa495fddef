"""Pooling, resampling and padding as layers."""

from __future__ import annotations

from collections.abc import Sequence

from ..tensor import Tensor
from .module import UnaryLayer

Sizes = int | Sequence[int]


class MaxPool2d(UnaryLayer):
    """`Tensor.max_pool2d`."""

    _spatial = 2

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        ceil_mode: bool = False,
    ) -> None:
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.dilation, self.ceil_mode = dilation, ceil_mode

    def forward(self, x: Tensor) -> Tensor:
        pool = (x.max_pool1d, x.max_pool2d, x.max_pool3d)[self._spatial - 1]
        return pool(self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)


class MaxPool1d(MaxPool2d):
    """`Tensor.max_pool1d`."""

    _spatial = 1


class MaxPool3d(MaxPool2d):
    """`Tensor.max_pool3d`."""

    _spatial = 3


class AvgPool2d(UnaryLayer):
    """`Tensor.avg_pool2d`."""

    _spatial = 2

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, x: Tensor) -> Tensor:
        pool = (x.avg_pool1d, x.avg_pool2d, x.avg_pool3d)[self._spatial - 1]
        return pool(
            self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad
        )


class AvgPool1d(AvgPool2d):
    """`Tensor.avg_pool1d`."""

    _spatial = 1


class AvgPool3d(AvgPool2d):
    """`Tensor.avg_pool3d`."""

    _spatial = 3


class AdaptiveAvgPool1d(UnaryLayer):
    """`Tensor.adaptive_avg_pool1d`."""

    def __init__(self, output_size: int) -> None:
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        return x.adaptive_avg_pool1d(self.output_size)


class AdaptiveAvgPool2d(UnaryLayer):
    """`Tensor.adaptive_avg_pool2d`."""

    def __init__(self, output_size: int | Sequence[int | None] | None) -> None:
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        return x.adaptive_avg_pool2d(self.output_size)


class AdaptiveMaxPool1d(UnaryLayer):
    """`Tensor.adaptive_max_pool1d`."""

    def __init__(self, output_size: int) -> None:
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        return x.adaptive_max_pool1d(self.output_size)


class AdaptiveMaxPool2d(UnaryLayer):
    """`Tensor.adaptive_max_pool2d`."""

    def __init__(self, output_size: int | Sequence[int | None] | None) -> None:
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        return x.adaptive_max_pool2d(self.output_size)


class Upsample(UnaryLayer):
    """`Tensor.interpolate` to a size or by a factor."""

    def __init__(
        self,
        size: Sizes | None = None,
        scale_factor: float | Sequence[float] | None = None,
        mode: str = "nearest",
        align_corners: bool = False,
    ) -> None:
        self.size, self.scale_factor = size, scale_factor
        self.mode, self.align_corners = mode, align_corners

    def forward(self, x: Tensor) -> Tensor:
        return x.interpolate(self.size, self.scale_factor, self.mode, self.align_corners)


class PixelShuffle(UnaryLayer):
    """`Tensor.pixel_shuffle`."""

    def __init__(self, upscale_factor: int) -> None:
        self.upscale_factor = upscale_factor

    def forward(self, x: Tensor) -> Tensor:
        return x.pixel_shuffle(self.upscale_factor)


class PixelUnshuffle(UnaryLayer):
    """`Tensor.pixel_unshuffle`."""

    def __init__(self, downscale_factor: int) -> None:
        self.downscale_factor = downscale_factor

    def forward(self, x: Tensor) -> Tensor:
        return x.pixel_unshuffle(self.downscale_factor)


class ConstantPad2d(UnaryLayer):
    """`Tensor.pad` of the last two axes with one value: a width, or (left, right, top, bottom)."""

    def __init__(self, padding: Sizes, value: float) -> None:
        self.padding = (padding,) * 4 if isinstance(padding, int) else tuple(padding)
        self.value = value

    def forward(self, x: Tensor) -> Tensor:
        return x.pad(self.padding, value=self.value)


class ZeroPad2d(ConstantPad2d):
    """`Tensor.pad` of the last two axes with 0."""

    def __init__(self, padding: Sizes) -> None:
        super().__init__(padding, 0)

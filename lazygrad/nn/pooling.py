"""Pooling as layers, over one, two or three spatial axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from ..errors import ArgumentError
from ..tensor import Tensor
from . import functional as F
from .functional import windows
from .module import Layer, UnaryLayer

Sizes = int | Sequence[int]
Output = int | Sequence[int | None] | None


class _MaxPool(UnaryLayer):
    """The largest elements of windows; with `return_indices` also their places."""

    _spatial: ClassVar[int]
    _extra_repr = (
        "kernel_size={kernel_size}, stride={stride}, padding={padding}, dilation={dilation}, "
        "ceil_mode={ceil_mode}"
    )

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def forward(self, x: Tensor) -> Any:
        return windows.max_pool(
            f"max_pool{self._spatial}d",
            self._spatial,
            x,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )


class _AvgPool(UnaryLayer):
    """The means of windows, or their sums over `divisor_override`."""

    _spatial: ClassVar[int]
    _extra_repr = "kernel_size={kernel_size}, stride={stride}, padding={padding}"

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.ceil_mode = padding, ceil_mode
        if self._spatial == 1:  # PyTorch shows these as tuples
            self.kernel_size, self.stride, self.padding = (
                (size,) if isinstance(size, int) else size
                for size in (self.kernel_size, self.stride, padding)
            )
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override

    def forward(self, x: Tensor) -> Tensor:
        pool = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[self._spatial - 1]
        divisor = (
            {} if self.divisor_override is None else {"divisor_override": self.divisor_override}
        )
        return pool(
            x,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            **divisor,
        )


class _LPPool(UnaryLayer):
    """(sum of x**norm_type)**(1 / norm_type) of windows."""

    _spatial: ClassVar[int]
    _extra_repr = (
        "norm_type={norm_type}, kernel_size={kernel_size}, stride={stride}, ceil_mode={ceil_mode}"
    )

    def __init__(
        self,
        norm_type: float,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.norm_type, self.kernel_size = norm_type, kernel_size
        self.stride, self.ceil_mode = stride, ceil_mode

    def forward(self, x: Tensor) -> Tensor:
        options = (self.norm_type, self.kernel_size, self.stride, self.ceil_mode)
        return windows.lp_pool(self._spatial, x, *options)


class _AdaptiveAvgPool(UnaryLayer):
    """The means of `output_size` parts of each spatial axis."""

    _spatial: ClassVar[int]
    _extra_repr = "output_size={output_size}"

    def __init__(self, output_size: Output) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        return x._adaptive("mean", self._spatial, self.output_size)


class _AdaptiveMaxPool(UnaryLayer):
    """The largest elements of `output_size` parts of each spatial axis; with `return_indices` also
    their places."""

    _spatial: ClassVar[int]
    _extra_repr = "output_size={output_size}"

    def __init__(self, output_size: Output, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size, self.return_indices = output_size, return_indices

    def forward(self, x: Tensor) -> Any:
        return windows.adaptive_max_pool(self._spatial, x, self.output_size, self.return_indices)


class _MaxUnpool(Layer):
    """The inverse of a maximum pooling: 0 but for the largest elements, at `indices`."""

    _spatial: ClassVar[int]
    _extra_repr = "kernel_size={kernel_size}, stride={stride}, padding={padding}"

    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0) -> None:
        super().__init__()
        self.kernel_size, self.padding = kernel_size, padding
        self.stride = kernel_size if stride is None else stride

    def forward(
        self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None
    ) -> Tensor:
        return windows.max_unpool(
            f"max_unpool{self._spatial}d",
            self._spatial,
            input,
            indices,
            self.kernel_size,
            self.stride,
            self.padding,
            output_size,
        )


class _FractionalMaxPool(UnaryLayer):
    """The largest elements of windows that begin at pseudo-random places (Graham 2014)."""

    _spatial: ClassVar[int]
    _random_samples: Tensor | None

    def __init__(
        self,
        kernel_size: Sizes,
        output_size: Sizes | None = None,
        output_ratio: float | Sequence[float] | None = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if output_size is None and output_ratio is None:
            raise ArgumentError(
                f"{name} requires specifying either an output size, or a pooling ratio"
            )
        if output_size is not None and output_ratio is not None:
            raise ArgumentError("only one of output_size and output_ratio may be specified")
        ratios = [output_ratio] if isinstance(output_ratio, float) else output_ratio or []
        if not all(0 < ratio < 1 for ratio in ratios):
            raise ArgumentError(f"output_ratio must be between 0 and 1 (got {output_ratio})")
        self.kernel_size, self.output_size = kernel_size, output_size
        self.output_ratio, self.return_indices = output_ratio, return_indices
        self.register_buffer("_random_samples", _random_samples, persistent=False)

    def forward(self, x: Tensor) -> Any:
        return windows.fractional_max_pool(
            f"fractional_max_pool{self._spatial}d",
            self._spatial,
            x,
            self.kernel_size,
            self.output_size,
            self.output_ratio,
            self.return_indices,
            self._random_samples,
        )


class MaxPool1d(_MaxPool):
    """The largest elements of windows of (batch, channels, length).

    MaxPool1d(2)(Tensor([[[1.0, 3.0, 2.0, 0.0]]])).tolist() == [[[3.0, 2.0]]]
    """

    _spatial = 1


class MaxPool2d(_MaxPool):
    """The largest elements of windows of (batch, channels, height, width).

    MaxPool2d(2)(Tensor.ones(1, 3, 4, 6)).shape == (1, 3, 2, 3)
    """

    _spatial = 2


class MaxPool3d(_MaxPool):
    """The largest elements of windows of (batch, channels, depth, height, width).

    MaxPool3d(2)(Tensor.ones(1, 3, 4, 4, 4)).shape == (1, 3, 2, 2, 2)
    """

    _spatial = 3


class AvgPool1d(_AvgPool):
    """The means of windows of (batch, channels, length).

    AvgPool1d(2)(Tensor([[[1.0, 3.0, 2.0, 0.0]]])).tolist() == [[[2.0, 1.0]]]
    """

    _spatial = 1


class AvgPool2d(_AvgPool):
    """The means of windows of (batch, channels, height, width).

    AvgPool2d(2)(Tensor.ones(1, 3, 4, 6)).shape == (1, 3, 2, 3)
    """

    _spatial = 2


class AvgPool3d(_AvgPool):
    """The means of windows of (batch, channels, depth, height, width).

    AvgPool3d(2)(Tensor.ones(1, 3, 4, 4, 4)).shape == (1, 3, 2, 2, 2)
    """

    _spatial = 3


class LPPool1d(_LPPool):
    """Power means of windows, but for their size of (batch, channels, length).

    LPPool1d(2, 2)(Tensor([[[3.0, 4.0]]])).tolist() == [[[5.0]]]
    """

    _spatial = 1


class LPPool2d(_LPPool):
    """Power means of windows, but for their size of (batch, channels, height, width).

    LPPool2d(2, 2)(Tensor.ones(1, 3, 4, 6)).shape == (1, 3, 2, 3)
    """

    _spatial = 2


class LPPool3d(_LPPool):
    """Power means of windows, but for their size of (batch, channels, depth, height, width).

    LPPool3d(2, 2)(Tensor.ones(1, 3, 4, 4, 4)).shape == (1, 3, 2, 2, 2)
    """

    _spatial = 3


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """The means of `output_size` parts of (batch, channels, length).

    AdaptiveAvgPool1d(1)(Tensor([[[1.0, 3.0]]])).tolist() == [[[2.0]]]
    """

    _spatial = 1


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """The means of `output_size` parts of (batch, channels, height, width).

    AdaptiveAvgPool2d((1, 2))(Tensor.ones(1, 3, 5, 4)).shape == (1, 3, 1, 2)
    """

    _spatial = 2


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """The means of `output_size` parts of (batch, channels, depth, height, width).

    AdaptiveAvgPool3d(2)(Tensor.ones(1, 3, 4, 4, 4)).shape == (1, 3, 2, 2, 2)
    """

    _spatial = 3


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """The largest elements of `output_size` parts of (batch, channels, length).

    AdaptiveMaxPool1d(1)(Tensor([[[1.0, 3.0]]])).tolist() == [[[3.0]]]
    """

    _spatial = 1


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """The largest elements of `output_size` parts of (batch, channels, height, width).

    AdaptiveMaxPool2d((1, 2))(Tensor.ones(1, 3, 5, 4)).shape == (1, 3, 1, 2)
    """

    _spatial = 2


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """The largest elements of `output_size` parts of (batch, channels, depth, height, width).

    AdaptiveMaxPool3d(2)(Tensor.ones(1, 3, 4, 4, 4)).shape == (1, 3, 2, 2, 2)
    """

    _spatial = 3


class MaxUnpool1d(_MaxUnpool):
    """The inverse of `MaxPool1d` of (batch, channels, length).

    values, places = MaxPool1d(2, return_indices=True)(Tensor([[[1.0, 3.0]]]))
    MaxUnpool1d(2)(values, places).tolist() == [[[0.0, 3.0]]]
    """

    _spatial = 1


class MaxUnpool2d(_MaxUnpool):
    """The inverse of `MaxPool2d` of (batch, channels, height, width).

    values, places = MaxPool2d(2, return_indices=True)(Tensor.ones(1, 1, 4, 4))
    MaxUnpool2d(2)(values, places).sum().item() == 4.0
    """

    _spatial = 2


class MaxUnpool3d(_MaxUnpool):
    """The inverse of `MaxPool3d` of (batch, channels, depth, height, width).

    values, places = MaxPool3d(2, return_indices=True)(Tensor.ones(1, 1, 4, 4, 4))
    MaxUnpool3d(2)(values, places).sum().item() == 8.0
    """

    _spatial = 3


class FractionalMaxPool2d(_FractionalMaxPool):
    """The largest elements of windows at pseudo-random places, over two axes.

    FractionalMaxPool2d(2, output_size=3)(Tensor.ones(1, 1, 5, 5)).shape == (1, 1, 3, 3)
    """

    _spatial = 2


class FractionalMaxPool3d(_FractionalMaxPool):
    """The largest elements of windows at pseudo-random places, over three axes.

    FractionalMaxPool3d(2, output_size=2)(Tensor.ones(1, 1, 4, 4, 4)).shape == (1, 1, 2, 2, 2)
    """

    _spatial = 3

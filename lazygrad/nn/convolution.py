"""Convolutions as layers, over one, two or three spatial axes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..errors import ShapeError
from ..tensor import Tensor
from . import weights
from .module import UnaryLayer

Sizes = int | Sequence[int]


def _kernel(name: str, kernel_size: Sizes, spatial: int) -> tuple[int, ...]:
    """The kernel's size along each spatial axis. Raises ShapeError for another number of them."""
    sizes = (kernel_size,) * spatial if isinstance(kernel_size, int) else tuple(kernel_size)
    if len(sizes) != spatial or min(sizes) < 1:
        raise ShapeError(f"{name}: kernel_size {kernel_size} is not {spatial} sizes of at least 1")
    return sizes


def _check_groups(name: str, groups: int, in_channels: int, out_channels: int) -> None:
    if groups < 1 or in_channels % groups or out_channels % groups:
        raise ShapeError(
            f"{name}: {groups} groups do not divide {in_channels} and {out_channels} channels"
        )


def _check_padding(name: str, padding: Sizes | str, stride: Sizes) -> None:
    """Raise ValueError for a word that says no padding, or none with this stride."""
    if isinstance(padding, str) and padding not in ("same", "valid"):
        raise ValueError(f"{name}: padding {padding!r} is neither 'same' nor 'valid'")
    if padding == "same" and (stride if isinstance(stride, int) else max(stride)) > 1:
        raise ValueError(f"{name}: padding 'same' needs stride 1, not {stride}")


class Conv2d(UnaryLayer):
    """`Tensor.conv2d` with a weight (out_channels, in_channels / groups, height, width).

    `padding_mode` other than "zeros" pads with the input's own elements, as `Tensor.pad` does.
    """

    _spatial = 2

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes | str = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: str | None = None,
    ) -> None:
        name = type(self).__name__
        _check_groups(name, groups, in_channels, out_channels)
        if padding_mode not in ("zeros", "reflect", "replicate", "circular"):
            raise ValueError(
                f"{name}: padding_mode {padding_mode!r} is none of zeros, reflect, replicate, "
                "circular"
            )
        self.kernel_size = _kernel(name, kernel_size, self._spatial)
        _check_padding(name, padding, stride)
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        fan_in = math.prod(shape[1:])
        self.weight, self.bias = weights.weight_and_bias(shape, fan_in, out_channels, bias, device)
        self.stride, self.padding, self.dilation, self.groups = stride, padding, dilation, groups
        self.padding_mode = padding_mode

    def forward(self, x: Tensor) -> Tensor:
        convolve = (x.conv1d, x.conv2d, x.conv3d)[self._spatial - 1]
        padding = self.padding
        if self.padding_mode != "zeros":
            x, padding = x.pad(self._widths(), mode=self.padding_mode), 0
            convolve = (x.conv1d, x.conv2d, x.conv3d)[self._spatial - 1]
        return convolve(self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def _widths(self) -> list[int]:
        """What `padding` comes to, as `Tensor.pad` takes it: from the last axis back."""
        each: list[tuple[int, int]] = []
        for axis, size in enumerate(self.kernel_size):
            if self.padding == "same":
                dilation = self.dilation
                step = dilation if isinstance(dilation, int) else dilation[axis]
                total = step * (size - 1)
                each.append((total // 2, total - total // 2))
            elif isinstance(self.padding, str):
                each.append((0, 0))
            else:
                width = self.padding if isinstance(self.padding, int) else self.padding[axis]
                each.append((width, width))
        return [width for pair in reversed(each) for width in pair]


class Conv1d(Conv2d):
    """`Tensor.conv1d` with a weight (out_channels, in_channels / groups, length)."""

    _spatial = 1


class Conv3d(Conv2d):
    """`Tensor.conv3d` with a weight (out_channels, in_channels / groups, depth, height, width)."""

    _spatial = 3


class ConvTranspose2d(UnaryLayer):
    """`Tensor.conv_transpose2d`, with a weight (in_channels, out_channels / groups, KH, KW)."""

    _spatial = 2

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        output_padding: Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Sizes = 1,
        device: str | None = None,
    ) -> None:
        name = type(self).__name__
        _check_groups(name, groups, in_channels, out_channels)
        self.kernel_size = _kernel(name, kernel_size, self._spatial)
        shape = (in_channels, out_channels // groups, *self.kernel_size)
        fan_in = math.prod(shape[1:])
        self.weight, self.bias = weights.weight_and_bias(shape, fan_in, out_channels, bias, device)
        self.stride, self.padding, self.output_padding = stride, padding, output_padding
        self.groups, self.dilation = groups, dilation

    def forward(self, x: Tensor) -> Tensor:
        ways = (x.conv_transpose1d, x.conv_transpose2d, x.conv_transpose3d)
        return ways[self._spatial - 1](
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self.output_padding,
            self.groups,
            self.dilation,
        )


class ConvTranspose1d(ConvTranspose2d):
    """`Tensor.conv_transpose1d`, with a weight (in_channels, out_channels / groups, K)."""

    _spatial = 1


class ConvTranspose3d(ConvTranspose2d):
    """`Tensor.conv_transpose3d`, with a weight (in_channels, out_channels / groups, KD, KH, KW)."""

    _spatial = 3

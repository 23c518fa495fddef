"""Convolutions as layers, over one, two or three spatial axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from ..errors import ArgumentError, ShapeError, check_integers
from ..tensor import Tensor
from ..tensor.arguments import plain
from . import functional as F
from . import weights
from .module import UnaryLayer
from .parameter import Parameter

Sizes = int | Sequence[int]


class _Convolution(UnaryLayer):
    """The settings and the weights of a convolution."""

    _spatial: ClassVar[int]
    _is_transposed: ClassVar[bool] = False
    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes,
        padding: Sizes | str,
        dilation: Sizes,
        groups: int,
        bias: bool,
        padding_mode: str,
        output_padding: Sizes,
        device: str | None,
        dtype: Any,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        check_integers(in_channels=in_channels, out_channels=out_channels, groups=groups)
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ShapeError(
                f"{name}: {groups} groups do not divide {in_channels} and {out_channels} channels"
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = self._each("kernel_size", kernel_size, 1)
        self.stride = self._each("stride", stride, 1)
        self.dilation = self._each("dilation", dilation, 1)
        self.padding = padding if isinstance(padding, str) else self._each("padding", padding, 0)
        self.output_padding = self._each("output_padding", output_padding, 0)
        self.padding_mode = padding_mode
        self._check_padding(name)
        ins, outs = in_channels // groups, out_channels
        lead = (in_channels, outs // groups) if self._is_transposed else (outs, ins)
        shape = (*lead, *self.kernel_size)
        self.weight, self.bias = weights.weight_and_bias(
            shape, math.prod(shape[1:]), outs, bias, device, dtype
        )

    def _each(self, what: str, value: Sizes, least: int) -> tuple[int, ...]:
        """One value a spatial axis. Raises ShapeError for another number of them."""
        value = plain(value)
        sizes = (value,) * self._spatial if isinstance(value, int) else tuple(value)
        for size in sizes:
            check_integers(**{what: size})
        if len(sizes) != self._spatial or min(sizes) < least:
            raise ShapeError(
                f"{type(self).__name__}: {what} {value} is not {self._spatial} sizes of at least "
                f"{least}"
            )
        return sizes

    def _check_padding(self, name: str) -> None:
        """Raise ValueError for a word that says no padding, or none with this stride."""
        if isinstance(self.padding, str) and self.padding not in ("same", "valid"):
            raise ArgumentError(f"{name}: padding {self.padding!r} is neither 'same' nor 'valid'")
        if self.padding == "same" and max(self.stride) > 1:
            raise ArgumentError(f"{name}: padding 'same' needs stride 1, not {max(self.stride)}")
        modes = ("zeros", "reflect", "replicate", "circular")
        if self.padding_mode not in modes[: 1 if self._is_transposed else 4]:
            raise ArgumentError(
                f"{name}: padding_mode {self.padding_mode!r} is none of {', '.join(modes)}"
                + "; a transposed convolution pads with zeros" * self._is_transposed
            )

    def extra_repr(self) -> str:
        shown = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"]
        shown.append(f"stride={self.stride}")
        for name, usual in (("padding", 0), ("dilation", 1), ("output_padding", 0)):
            value = getattr(self, name)
            if value != (usual,) * self._spatial:
                shown.append(f"{name}={value}")
        if self.groups != 1:
            shown.append(f"groups={self.groups}")
        if self.bias is None:
            shown.append("bias=False")
        if self.padding_mode != "zeros":
            shown.append(f"padding_mode={self.padding_mode}")
        return ", ".join(shown)


class _Conv(_Convolution):
    """A convolution; `padding_mode` other than "zeros" pads with the input's own elements."""

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
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias,
            padding_mode, 0, device, dtype,
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        convolve = (F.conv1d, F.conv2d, F.conv3d)[self._spatial - 1]
        padding: Sizes | str = self.padding
        if self.padding_mode != "zeros":
            x, padding = x.pad(self._widths(), mode=self.padding_mode), 0
        return convolve(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def _widths(self) -> list[int]:
        """What `padding` comes to, as `Tensor.pad` takes it: from the last axis back."""
        each: list[tuple[int, int]] = []
        for axis, size in enumerate(self.kernel_size):
            if self.padding == "same":
                total = self.dilation[axis] * (size - 1)
                each.append((total // 2, total - total // 2))
            elif isinstance(self.padding, str):
                each.append((0, 0))
            else:
                each.append((self.padding[axis],) * 2)
        return [width for pair in reversed(each) for width in pair]


class Conv1d(_Conv):
    """`functional.conv1d` with a weight (out_channels, in_channels / groups, length).

    Conv1d(3, 8, 3)(Tensor.ones(1, 3, 10)).shape == (1, 8, 8)
    """

    _spatial = 1


class Conv2d(_Conv):
    """`functional.conv2d` with a weight (out_channels, in_channels / groups, height, width).

    Conv2d(3, 8, 3, padding=1)(Tensor.ones(1, 3, 6, 5)).shape == (1, 8, 6, 5)
    """

    _spatial = 2


class Conv3d(_Conv):
    """`functional.conv3d` with a weight (out_channels, in_channels / groups, KD, KH, KW).

    Conv3d(3, 8, 3)(Tensor.ones(1, 3, 5, 5, 5)).shape == (1, 8, 3, 3, 3)
    """

    _spatial = 3


class _ConvTranspose(_Convolution):
    """The gradient of a convolution as a layer."""

    _is_transposed = True

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
        padding_mode: str = "zeros",
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias,
            padding_mode, output_padding, device, dtype,
        )  # fmt: skip

    def forward(self, x: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        convolve = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[self._spatial - 1]
        assert not isinstance(self.padding, str)
        return convolve(
            x,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self.output_padding if output_size is None else self._added(x, output_size),
            self.groups,
            self.dilation,
        )

    def _added(self, x: Tensor, output_size: Sequence[int]) -> tuple[int, ...]:
        """The output padding that gives an output of this size. Raises ValueError for none."""
        wanted = tuple(output_size)[-self._spatial :]
        assert not isinstance(self.padding, str)
        least = [
            (n - 1) * s - 2 * p + d * (k - 1) + 1
            for n, s, p, d, k in zip(
                x.shape[-self._spatial :],
                self.stride,
                self.padding,
                self.dilation,
                self.kernel_size,
                strict=True,
            )
        ]
        found = tuple(a - b for a, b in zip(wanted, least, strict=True))
        if any(not 0 <= n < max(s, 2) for n, s in zip(found, self.stride, strict=True)):
            raise ArgumentError(
                f"requested an output size of {wanted}, but valid sizes begin at {least}"
            )
        return found


class ConvTranspose1d(_ConvTranspose):
    """`functional.conv_transpose1d`, with a weight (in_channels, out_channels / groups, K).

    ConvTranspose1d(3, 8, 2, stride=2)(Tensor.ones(1, 3, 5)).shape == (1, 8, 10)
    """

    _spatial = 1


class ConvTranspose2d(_ConvTranspose):
    """`functional.conv_transpose2d`, with a weight (in_channels, out_channels / groups, KH, KW).

    ConvTranspose2d(3, 8, 2, stride=2)(Tensor.ones(1, 3, 5, 4)).shape == (1, 8, 10, 8)
    """

    _spatial = 2


class ConvTranspose3d(_ConvTranspose):
    """`functional.conv_transpose3d`, with a weight (in, out_channels / groups, KD, KH, KW).

    ConvTranspose3d(3, 8, 2)(Tensor.ones(1, 3, 2, 2, 2)).shape == (1, 8, 3, 3, 3)
    """

    _spatial = 3

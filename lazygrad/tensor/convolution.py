"""Convolution as a contraction: sliding windows of the input times the weight.

The windows are a view (`Window`), never memory. A product has the axes (batch, group, output
channel of the group, position.., input channel of the group, kernel..) and is summed over the
last ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from ..errors import ArgumentError, DTypeError, ShapeError
from ..graph import build
from ..graph.ir import Add, Fold, Node, Shape, Window, window_count
from .arguments import per_axis, plain
from .contraction import Contraction, summed_product
from .core import TensorCore
from .joining import pad_node
from .operands import broadcast_node, cast_node, result_dtype
from .precision import rounded_once


class Convolution(Contraction):
    """Shapes, padding and errors are PyTorch's; a missing batch axis is added and taken away."""

    __slots__ = ()

    def conv2d(
        self,
        weight: TensorCore,
        bias: TensorCore | None = None,
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] | str = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
    ) -> Self:
        """The cross-correlation of (N, C, H, W) with a weight of (O, C / groups, KH, KW).

        `padding` is one width, one a spatial axis, (before, after) of each from the last axis
        back, "valid" (none), or "same" (the output's size is the input's; stride 1).
        """
        return self._convolve("conv2d", 2, weight, bias, stride, padding, dilation, groups)

    def conv1d(
        self,
        weight: TensorCore,
        bias: TensorCore | None = None,
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] | str = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
    ) -> Self:
        """`conv2d` with one spatial axis: (N, C, L) with (O, C / groups, K)."""
        return self._convolve("conv1d", 1, weight, bias, stride, padding, dilation, groups)

    def conv3d(
        self,
        weight: TensorCore,
        bias: TensorCore | None = None,
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] | str = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
    ) -> Self:
        """`conv2d` with three spatial axes: (N, C, D, H, W) with (O, C / groups, KD, KH, KW)."""
        return self._convolve("conv3d", 3, weight, bias, stride, padding, dilation, groups)

    @rounded_once(2, autocast="product")
    def _convolve(
        self,
        name: str,
        spatial: int,
        weight: TensorCore,
        bias: TensorCore | None,
        stride: int | Sequence[int],
        padding: int | Sequence[int] | str,
        dilation: int | Sequence[int],
        groups: int,
    ) -> Self:
        if self.ndim == spatial + 1:
            one = self.unsqueeze(0)
            made = one._convolve(name, spatial, weight, bias, stride, padding, dilation, groups)
            return made.squeeze(0)
        groups = plain(groups)
        _check_convolution(name, spatial, self.shape, weight.shape, groups, transposed=False)
        strides = per_axis(name, "stride", stride, spatial)
        dilations = per_axis(name, "dilation", dilation, spatial)
        kernel = weight.shape[2:]
        widths = _convolution_padding(name, padding, kernel, strides, dilations)
        dtype = result_dtype((self, weight))
        x_node = pad_node(cast_node(self._node, dtype), [(0, 0), (0, 0), *widths])
        windows = windowed(name, x_node, kernel, strides, dilations)
        out, inner = weight.shape[0], weight.shape[1]
        batch, sizes = self.shape[0], windows.shape[2 : 2 + spatial]
        full = (batch, groups, out // groups, *sizes, inner, *kernel)
        # windows: (n, g c, y x, ky kx) -> (n, g, 1, y x, c, ky kx)
        windows = build.reshape(windows, (batch, groups, inner, *sizes, *kernel))
        order = (0, 1, *range(3, 3 + spatial), 2, *range(3 + spatial, 3 + 2 * spatial))
        windows = build.permute(windows, order)
        windows = build.reshape(windows, (batch, groups, 1, *sizes, inner, *kernel))
        w = cast_node(weight._node, dtype)
        w = build.reshape(w, (1, groups, out // groups, *(1,) * spatial, inner, *kernel))
        node = summed_product(
            broadcast_node(name, windows, full), broadcast_node(name, w, full), 1 + spatial
        )
        return self._with_channel_bias(
            name, build.reshape(node, (batch, out, *sizes)), weight, bias
        )

    def conv_transpose2d(
        self,
        weight: TensorCore,
        bias: TensorCore | None = None,
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
        output_padding: int | Sequence[int] = 0,
        groups: int = 1,
        dilation: int | Sequence[int] = 1,
    ) -> Self:
        """The gradient of `conv2d` as an operation: (N, C, H, W) with (C, O / groups, KH, KW).

        Each input element adds its weighted kernel to the output, `stride` apart; `padding` is
        cropped from the border and `output_padding` added at its end.
        """
        return self._convolve_transposed(
            "conv_transpose2d", 2, weight, bias, stride, padding, output_padding, groups, dilation
        )

    def conv_transpose1d(
        self,
        weight: TensorCore,
        bias: TensorCore | None = None,
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
        output_padding: int | Sequence[int] = 0,
        groups: int = 1,
        dilation: int | Sequence[int] = 1,
    ) -> Self:
        """`conv_transpose2d` with one spatial axis."""
        return self._convolve_transposed(
            "conv_transpose1d", 1, weight, bias, stride, padding, output_padding, groups, dilation
        )

    def conv_transpose3d(
        self,
        weight: TensorCore,
        bias: TensorCore | None = None,
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
        output_padding: int | Sequence[int] = 0,
        groups: int = 1,
        dilation: int | Sequence[int] = 1,
    ) -> Self:
        """`conv_transpose2d` with three spatial axes."""
        return self._convolve_transposed(
            "conv_transpose3d", 3, weight, bias, stride, padding, output_padding, groups, dilation
        )

    @rounded_once(2, autocast="product")
    def _convolve_transposed(
        self,
        name: str,
        spatial: int,
        weight: TensorCore,
        bias: TensorCore | None,
        stride: int | Sequence[int],
        padding: int | Sequence[int],
        output_padding: int | Sequence[int],
        groups: int,
        dilation: int | Sequence[int],
    ) -> Self:
        if self.ndim == spatial + 1:
            one = self.unsqueeze(0)
            return one._convolve_transposed(
                name, spatial, weight, bias, stride, padding, output_padding, groups, dilation
            ).squeeze(0)
        groups = plain(groups)
        _check_convolution(name, spatial, self.shape, weight.shape, groups, transposed=True)
        strides = per_axis(name, "stride", stride, spatial)
        dilations = per_axis(name, "dilation", dilation, spatial)
        crops = per_axis(name, "padding", padding, spatial, least=0)
        extra = per_axis(name, "output_padding", output_padding, spatial, least=0)
        for more, stride_, dilation_ in zip(extra, strides, dilations, strict=True):
            if more >= max(stride_, dilation_):
                raise ShapeError(
                    f"{name}: output_padding {extra} is not below stride {strides} or dilation "
                    f"{dilations}"
                )
        kernel, per_group = weight.shape[2:], weight.shape[1]
        batch, channels = self.shape[:2]
        sizes, inner = self.shape[2:], channels // groups
        dtype = result_dtype((self, weight))
        # (n, g, o, y x, ky kx, c): what each input element adds to its window of the output
        full = (batch, groups, per_group, *sizes, *kernel, inner)
        x = build.reshape(cast_node(self._node, dtype), (batch, groups, inner, *sizes))
        x = build.permute(x, (0, 1, *range(3, 3 + spatial), 2))
        x = build.reshape(x, (batch, groups, 1, *sizes, *(1,) * spatial, inner))
        w = build.reshape(cast_node(weight._node, dtype), (groups, inner, per_group, *kernel))
        w = build.permute(w, (0, 2, *range(3, 3 + spatial), 1))
        w = build.reshape(w, (1, groups, per_group, *(1,) * spatial, *kernel, inner))
        node = summed_product(broadcast_node(name, x, full), broadcast_node(name, w, full), 1)
        node = build.reshape(node, (batch, groups * per_group, *sizes, *kernel))
        widths: list[tuple[int, int]] = []
        for axis in reversed(range(spatial)):  # a Fold takes the last axis for its windows
            reach = (sizes[axis] - 1) * strides[axis] + dilations[axis] * (kernel[axis] - 1) + 1
            node = Fold(node, 2 + axis, reach, strides[axis], dilations[axis])
            widths.insert(0, (-crops[axis], extra[axis] - crops[axis]))
            if reach + sum(widths[0]) < 1:
                raise ShapeError(f"{name}: padding {crops} leaves nothing of input {self.shape}")
        node = pad_node(node, [(0, 0), (0, 0), *widths])
        return self._with_channel_bias(name, node, weight, bias)

    def _with_channel_bias(
        self, name: str, node: Node, weight: TensorCore, bias: TensorCore | None
    ) -> Self:
        """A convolution's result, with a bias a channel (axis 1)."""
        if bias is None:
            return self._derived(node, weight)
        if bias.shape != (node.shape[1],):
            raise ShapeError(f"{name}: bias {bias.shape} for {node.shape[1]} output channels")
        if bias.dtype.is_float and not node.dtype.is_float:
            raise DTypeError(f"{name}: a bias of {bias.dtype} for an input of {node.dtype}")
        b = build.reshape(bias._node, (1, node.shape[1], *(1,) * (len(node.shape) - 2)))
        b = cast_node(b, node.dtype)
        return self._derived(Add(node, broadcast_node(name, b, node.shape)), weight, bias)


def windowed(
    name: str, node: Node, kernel: Shape, strides: Sequence[int], dilations: Sequence[int]
) -> Node:
    """(n, c, size..) as windows (n, c, position.., kernel..)."""
    spatial = len(kernel)
    for n, k, dilation in zip(node.shape[-spatial:], kernel, dilations, strict=True):
        if window_count(n, k, 1, dilation) < 1:
            sizes = node.shape[-spatial:]
            raise ShapeError(f"{name}: kernel {kernel} does not fit the padded input's {sizes}")
    first = len(node.shape) - spatial
    for i in range(spatial):
        node = Window(node, first + i, kernel[i], strides[i], dilations[i])
    return node


def _check_convolution(
    name: str, spatial: int, x: Shape, weight: Shape, groups: int, transposed: bool
) -> None:
    """Raise ShapeError, saying what does not fit, for shapes that cannot be convolved."""
    if len(x) != spatial + 2 or len(weight) != spatial + 2:
        raise ShapeError(
            f"{name}: input {x} and weight {weight} need {spatial + 2} axes each (batch, channel, "
            f"{spatial} spatial)"
        )
    if groups < 1 or x[1] % groups or weight[0] % groups:
        raise ShapeError(f"{name}: {groups} groups divide neither input {x} nor weight {weight}")
    expected = weight[0] if transposed else weight[1] * groups
    if x[1] != expected:
        raise ShapeError(f"{name}: input has {x[1]} channels, weight {weight} expects {expected}")


def _convolution_padding(
    name: str,
    padding: int | Sequence[int] | str,
    kernel: Shape,
    strides: Sequence[int],
    dilations: Sequence[int],
) -> list[tuple[int, int]]:
    """(before, after) of each spatial axis."""
    spatial = len(kernel)
    if isinstance(padding, str):
        if padding == "valid":
            return [(0, 0)] * spatial
        if padding != "same":
            raise ArgumentError(f"{name}: padding {padding!r} is neither 'same' nor 'valid'")
        if max(strides) > 1:
            raise ShapeError(f"{name}: padding 'same' needs stride 1, not {tuple(strides)}")
        totals = [d * (k - 1) for k, d in zip(kernel, dilations, strict=True)]
        return [(total // 2, total - total // 2) for total in totals]
    padding = plain(padding)
    if not isinstance(padding, int) and len(padding) == 2 * spatial and spatial > 0:
        widths = per_axis(name, "padding", padding, 2 * spatial, least=0)
        return [(widths[2 * i], widths[2 * i + 1]) for i in reversed(range(spatial))]
    return [(n, n) for n in per_axis(name, "padding", padding, spatial, least=0)]

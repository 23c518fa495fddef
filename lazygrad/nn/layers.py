"""Layers: objects that are called with a tensor and hold their parameters as attributes.

Batch normalisation and dropout behave as in training inside `with Tensor.train():` (or where
`Tensor.training` is set), and as in use elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ..errors import ShapeError
from ..tensor import Tensor
from . import init

Layer = Callable[[Tensor], Tensor]
Sizes = int | Sequence[int]


def _sizes(value: Sizes, count: int) -> tuple[int, ...]:
    return (value,) * count if isinstance(value, int) else tuple(value)


class Linear:
    """y = x @ weight.T + bias: (..., in_features) -> (..., out_features)."""

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: str | None = None
    ) -> None:
        shape = (out_features, in_features)
        self.weight, self.bias = init.weight_and_bias(
            shape, in_features, out_features, bias, device
        )

    def __call__(self, x: Tensor) -> Tensor:
        return x.linear(self.weight, self.bias)


class Conv2d:
    """`Tensor.conv2d` with a weight (out_channels, in_channels / groups, height, width)."""

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
        device: str | None = None,
    ) -> None:
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ShapeError(
                f"{type(self).__name__}: {groups} groups do not divide {in_channels} and "
                f"{out_channels} channels"
            )
        kernel = _sizes(kernel_size, self._spatial)
        shape = (out_channels, in_channels // groups, *kernel)
        fan_in = math.prod(shape[1:])
        self.weight, self.bias = init.weight_and_bias(shape, fan_in, out_channels, bias, device)
        self.stride, self.padding, self.dilation, self.groups = stride, padding, dilation, groups

    def __call__(self, x: Tensor) -> Tensor:
        convolve = x.conv2d if self._spatial == 2 else x.conv1d
        return convolve(
            self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )


class Conv1d(Conv2d):
    """`Tensor.conv1d` with a weight (out_channels, in_channels / groups, length)."""

    _spatial = 1


class ConvTranspose2d:
    """`Tensor.conv_transpose2d`, with a weight (in_channels, out_channels / groups, KH, KW)."""

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
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ShapeError(
                f"ConvTranspose2d: {groups} groups do not divide {in_channels} and "
                f"{out_channels} channels"
            )
        shape = (in_channels, out_channels // groups, *_sizes(kernel_size, 2))
        fan_in = math.prod(shape[1:])
        self.weight, self.bias = init.weight_and_bias(shape, fan_in, out_channels, bias, device)
        self.stride, self.padding, self.output_padding = stride, padding, output_padding
        self.groups, self.dilation = groups, dilation

    def __call__(self, x: Tensor) -> Tensor:
        return x.conv_transpose2d(
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self.output_padding,
            self.groups,
            self.dilation,
        )


class Embedding:
    """Rows of a weight (num_embeddings, embedding_dim) by index; an index out of range gives 0.

    The row `padding_idx` starts as 0 and gets no gradient.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        device: str | None = None,
    ) -> None:
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        weight = Tensor.randn(num_embeddings, embedding_dim, device=device)
        if self.padding_idx is not None:
            weight = self._is_padding(num_embeddings).where(0, weight)
        self.weight = weight.detach().requires_grad_()

    def _is_padding(self, count: int) -> Tensor:
        return Tensor._positions(count).unsqueeze(1).eq(self.padding_idx or 0)

    def __call__(self, indices: Tensor) -> Tensor:
        weight = self.weight
        if self.padding_idx is not None:
            weight = self._is_padding(weight.shape[0]).where(weight.detach(), weight)
        return weight[indices]


class Dropout:
    """In training, zeroes each element with probability p and scales the others by 1 / (1 - p)."""

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"Dropout: p is a probability, not {p}")
        self.p = p

    def __call__(self, x: Tensor) -> Tensor:
        return x.dropout(self.p)


class Flatten:
    """The axes from start to end, both included, as one."""

    def __init__(self, start_axis: int = 1, end_axis: int = -1) -> None:
        self.start_axis, self.end_axis = start_axis, end_axis

    def __call__(self, x: Tensor) -> Tensor:
        return x.flatten(self.start_axis, self.end_axis)


class Identity:
    """x itself."""

    def __call__(self, x: Tensor) -> Tensor:
        return x


class MaxPool2d:
    """`Tensor.max_pool2d`."""

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

    def __call__(self, x: Tensor) -> Tensor:
        return x.max_pool2d(
            self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode
        )


class AvgPool2d:
    """`Tensor.avg_pool2d`."""

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

    def __call__(self, x: Tensor) -> Tensor:
        return x.avg_pool2d(
            self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad
        )


class AdaptiveAvgPool2d:
    """`Tensor.adaptive_avg_pool2d`."""

    def __init__(self, output_size: int | Sequence[int | None] | None) -> None:
        self.output_size = output_size

    def __call__(self, x: Tensor) -> Tensor:
        return x.adaptive_avg_pool2d(self.output_size)


class Sequential(list[Layer]):
    """Layers, or any functions of a tensor, one after the other: a list that can be called."""

    def __init__(self, *layers: Layer) -> None:
        super().__init__(layers)

    def __call__(self, x: Tensor) -> Tensor:
        return x.sequential(self)


# --------------------------------------------------------------------------- activations


class ReLU:
    """`Tensor.relu`."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.relu()


class LeakyReLU:
    """`Tensor.leaky_relu`."""

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope

    def __call__(self, x: Tensor) -> Tensor:
        return x.leaky_relu(self.negative_slope)


class GELU:
    """`Tensor.gelu`."""

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = approximate

    def __call__(self, x: Tensor) -> Tensor:
        return x.gelu(self.approximate)


class SiLU:
    """`Tensor.silu`."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.silu()


class Sigmoid:
    """`Tensor.sigmoid`."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.sigmoid()


class Tanh:
    """`Tensor.tanh`."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.tanh()


class Softmax:
    """`Tensor.softmax` along an axis."""

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def __call__(self, x: Tensor) -> Tensor:
        return x.softmax(self.axis)

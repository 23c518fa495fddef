"""Pooling as functions, over one, two or three spatial axes.

An input is (batch, channels, spatial axes), or without batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...errors import ArgumentError
from ...tensor import Tensor
from .windows import (
    Output,
    Sizes,
    adaptive_max_pool,
    fractional_max_pool,
    given_stride,
    lp_pool,
    max_pool,
    max_unpool,
    window_sums,
)


def max_pool1d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest elements of windows; with `return_indices` also their places, as int64.

    max_pool1d(Tensor([[[1.0, 3.0, 5.0, 7.0]]]), 2).tolist() == [[[3.0, 7.0]]]
    """
    options = (kernel_size, stride, padding, dilation, ceil_mode, return_indices)
    return max_pool("max_pool1d", 1, input, *options)


def max_pool1d_with_indices(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Tensor, Tensor]:
    """`max_pool1d` with indices.

    max_pool1d_with_indices(Tensor([[[1.0, 3.0]]]), 2)[1].tolist() == [[[1]]]
    """
    options = (kernel_size, stride, padding, dilation, ceil_mode, True)
    return max_pool("max_pool1d", 1, input, *options)  # type: ignore[no-any-return]


def avg_pool1d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The means of windows.

    avg_pool1d(Tensor([[[1.0, 3.0, 5.0, 7.0]]]), 2).tolist() == [[[2.0, 6.0]]]
    """
    return input.avg_pool1d(
        kernel_size, given_stride(stride), padding, ceil_mode, count_include_pad
    )


def max_pool2d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest elements of windows; with `return_indices` also their places, as int64.

    max_pool2d(Tensor([[[[1.0, 2.0], [3.0, 6.0]]]]), 2).tolist() == [[[[6.0]]]]
    """
    options = (kernel_size, stride, padding, dilation, ceil_mode, return_indices)
    return max_pool("max_pool2d", 2, input, *options)


def max_pool2d_with_indices(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Tensor, Tensor]:
    """`max_pool2d` with indices.

    max_pool2d_with_indices(Tensor([[[[1.0, 2.0], [3.0, 6.0]]]]), 2)[1].tolist() == [[[[3]]]]
    """
    options = (kernel_size, stride, padding, dilation, ceil_mode, True)
    return max_pool("max_pool2d", 2, input, *options)  # type: ignore[no-any-return]


def avg_pool2d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The means of windows, or their sums over `divisor_override`.

    avg_pool2d(Tensor([[[[1.0, 2.0], [3.0, 6.0]]]]), 2).tolist() == [[[[3.0]]]]
    """
    if divisor_override is None:
        return input.avg_pool2d(
            kernel_size, given_stride(stride), padding, ceil_mode, count_include_pad
        )
    if divisor_override == 0:
        raise ArgumentError("divisor_override is not 0: sums are divided by it")
    options = (kernel_size, stride, padding, ceil_mode)
    return window_sums("avg_pool2d", 2, input, *options) / divisor_override


def max_pool3d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest elements of windows; with `return_indices` also their places, as int64.

    max_pool3d(Tensor.ones(1, 1, 2, 2, 2), 2).tolist() == [[[[[1.0]]]]]
    """
    options = (kernel_size, stride, padding, dilation, ceil_mode, return_indices)
    return max_pool("max_pool3d", 3, input, *options)


def max_pool3d_with_indices(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Tensor, Tensor]:
    """`max_pool3d` with indices.

    max_pool3d_with_indices(Tensor.ones(1, 1, 2, 2, 2), 2)[1].flatten().tolist() == [0]
    """
    options = (kernel_size, stride, padding, dilation, ceil_mode, True)
    return max_pool("max_pool3d", 3, input, *options)  # type: ignore[no-any-return]


def avg_pool3d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The means of windows, or their sums over `divisor_override`.

    avg_pool3d(Tensor.ones(1, 1, 2, 2, 2), 2).tolist() == [[[[[1.0]]]]]
    """
    if divisor_override is None:
        return input.avg_pool3d(
            kernel_size, given_stride(stride), padding, ceil_mode, count_include_pad
        )
    if divisor_override == 0:
        raise ArgumentError("divisor_override is not 0: sums are divided by it")
    options = (kernel_size, stride, padding, ceil_mode)
    return window_sums("avg_pool3d", 3, input, *options) / divisor_override


def adaptive_avg_pool1d(input: Tensor, output_size: int) -> Tensor:
    """`Tensor.adaptive_avg_pool1d`: the means of `output_size` parts of each spatial axis.

    adaptive_avg_pool1d(Tensor([[[1.0, 3.0]]]), 1).tolist() == [[[2.0]]]
    """
    return input._adaptive("mean", 1, output_size)


def adaptive_max_pool1d(input: Tensor, output_size: int, return_indices: bool = False) -> Any:
    """The largest elements of `output_size` parts of each spatial axis; with `return_indices` also
    their places, as int64, in the flattened spatial axes.

    adaptive_max_pool1d(Tensor([[[1.0, 3.0]]]), 1).tolist() == [[[3.0]]]
    """
    return adaptive_max_pool(1, input, output_size, return_indices)


def adaptive_max_pool1d_with_indices(
    input: Tensor, output_size: int, return_indices: bool = False
) -> tuple[Tensor, Tensor]:
    """`adaptive_max_pool1d` with indices.

    adaptive_max_pool1d_with_indices(Tensor([[[1.0, 3.0]]]), 1)[1].tolist() == [[[1]]]
    """
    return adaptive_max_pool(1, input, output_size, True)  # type: ignore[no-any-return]


def lp_pool1d(
    input: Tensor,
    norm_type: float,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """(sum of x**norm_type)**(1 / norm_type) of windows.

    lp_pool1d(Tensor([[[3.0, 4.0]]]), 2, 2).tolist() == [[[5.0]]]
    """
    return lp_pool(1, input, norm_type, kernel_size, stride, ceil_mode)


def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """The inverse of `max_pool1d`, with its indices: 0 but for the largest elements.

    max_unpool1d(Tensor([[[3.0]]]), Tensor([[[1]]]), 2).tolist() == [[[0.0, 3.0]]]
    """
    options = (kernel_size, stride, padding, output_size)
    return max_unpool("max_unpool1d", 1, input, indices, *options)


def adaptive_avg_pool2d(input: Tensor, output_size: Output) -> Tensor:
    """`Tensor.adaptive_avg_pool2d`: the means of `output_size` parts of each spatial axis.

    adaptive_avg_pool2d(Tensor.ones(1, 2, 4, 4), 2).shape == (1, 2, 2, 2)
    """
    return input._adaptive("mean", 2, output_size)


def adaptive_max_pool2d(input: Tensor, output_size: Output, return_indices: bool = False) -> Any:
    """The largest elements of `output_size` parts of each spatial axis; with `return_indices` also
    their places, as int64, in the flattened spatial axes.

    adaptive_max_pool2d(Tensor.ones(1, 2, 4, 4), 2).shape == (1, 2, 2, 2)
    """
    return adaptive_max_pool(2, input, output_size, return_indices)


def adaptive_max_pool2d_with_indices(
    input: Tensor, output_size: Output, return_indices: bool = False
) -> tuple[Tensor, Tensor]:
    """`adaptive_max_pool2d` with indices.

    adaptive_max_pool2d_with_indices(Tensor.ones(1, 1, 2, 2), 1)[1].tolist() == [[[[0]]]]
    """
    return adaptive_max_pool(2, input, output_size, True)  # type: ignore[no-any-return]


def lp_pool2d(
    input: Tensor,
    norm_type: float,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """(sum of x**norm_type)**(1 / norm_type) of windows.

    lp_pool2d(Tensor([[[[3.0, 4.0]]]]), 2, (1, 2)).tolist() == [[[[5.0]]]]
    """
    return lp_pool(2, input, norm_type, kernel_size, stride, ceil_mode)


def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """The inverse of `max_pool2d`, with its indices: 0 but for the largest elements.

    max_unpool2d(Tensor([[[[3.0]]]]), Tensor([[[[3]]]]), 2).tolist() == [[[[0.0, 0.0], [0.0, 3.0]]]]
    """
    options = (kernel_size, stride, padding, output_size)
    return max_unpool("max_unpool2d", 2, input, indices, *options)


def adaptive_avg_pool3d(input: Tensor, output_size: Output) -> Tensor:
    """`Tensor.adaptive_avg_pool3d`: the means of `output_size` parts of each spatial axis.

    adaptive_avg_pool3d(Tensor.ones(1, 2, 4, 4, 4), 2).shape == (1, 2, 2, 2, 2)
    """
    return input._adaptive("mean", 3, output_size)


def adaptive_max_pool3d(input: Tensor, output_size: Output, return_indices: bool = False) -> Any:
    """The largest elements of `output_size` parts of each spatial axis; with `return_indices` also
    their places, as int64, in the flattened spatial axes.

    adaptive_max_pool3d(Tensor.ones(1, 2, 4, 4, 4), 2).shape == (1, 2, 2, 2, 2)
    """
    return adaptive_max_pool(3, input, output_size, return_indices)


def adaptive_max_pool3d_with_indices(
    input: Tensor, output_size: Output, return_indices: bool = False
) -> tuple[Tensor, Tensor]:
    """`adaptive_max_pool3d` with indices.

    adaptive_max_pool3d_with_indices(Tensor.ones(1, 1, 2, 2, 2), 1)[1].flatten().tolist() == [0]
    """
    return adaptive_max_pool(3, input, output_size, True)  # type: ignore[no-any-return]


def lp_pool3d(
    input: Tensor,
    norm_type: float,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """(sum of x**norm_type)**(1 / norm_type) of windows.

    lp_pool3d(Tensor([[[[[3.0, 4.0]]]]]), 2, (1, 1, 2)).tolist() == [[[[[5.0]]]]]
    """
    return lp_pool(3, input, norm_type, kernel_size, stride, ceil_mode)


def max_unpool3d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """The inverse of `max_pool3d`, with its indices: 0 but for the largest elements.

    max_unpool3d(Tensor([[[[[3.0]]]]]), Tensor([[[[[7]]]]]), 2).sum().item() == 3.0
    """
    options = (kernel_size, stride, padding, output_size)
    return max_unpool("max_unpool3d", 3, input, indices, *options)


def fractional_max_pool2d(
    input: Tensor,
    kernel_size: Sizes,
    output_size: Sizes | None = None,
    output_ratio: float | Sequence[float] | None = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """The largest elements of windows that begin at pseudo-random places (Graham 2014).

    fractional_max_pool2d(Tensor.ones(1, 1, 4, 4), 2, output_size=2).shape == (1, 1, 2, 2)
    """
    options = (kernel_size, output_size, output_ratio, return_indices, _random_samples)
    return fractional_max_pool("fractional_max_pool2d", 2, input, *options)


def fractional_max_pool2d_with_indices(
    input: Tensor,
    kernel_size: Sizes,
    output_size: Sizes | None = None,
    output_ratio: float | Sequence[float] | None = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """`fractional_max_pool2d` with indices.

    fractional_max_pool2d_with_indices(Tensor.ones(1, 1, 4, 4), 2, 2)[0].shape == (1, 1, 2, 2)
    """
    options = (kernel_size, output_size, output_ratio, True, _random_samples)
    name = "fractional_max_pool2d"
    return fractional_max_pool(name, 2, input, *options)  # type: ignore[no-any-return]


def fractional_max_pool3d(
    input: Tensor,
    kernel_size: Sizes,
    output_size: Sizes | None = None,
    output_ratio: float | Sequence[float] | None = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """The largest elements of windows that begin at pseudo-random places (Graham 2014).

    fractional_max_pool3d(Tensor.ones(1, 1, 4, 4, 4), 2, output_size=2).shape == (1, 1, 2, 2, 2)
    """
    options = (kernel_size, output_size, output_ratio, return_indices, _random_samples)
    return fractional_max_pool("fractional_max_pool3d", 3, input, *options)


def fractional_max_pool3d_with_indices(
    input: Tensor,
    kernel_size: Sizes,
    output_size: Sizes | None = None,
    output_ratio: float | Sequence[float] | None = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """`fractional_max_pool3d` with indices.

    x = Tensor.ones(1, 1, 4, 4, 4)
    fractional_max_pool3d_with_indices(x, 2, 2)[0].shape == (1, 1, 2, 2, 2)
    """
    options = (kernel_size, output_size, output_ratio, True, _random_samples)
    name = "fractional_max_pool3d"
    return fractional_max_pool(name, 3, input, *options)  # type: ignore[no-any-return]

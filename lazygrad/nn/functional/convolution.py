"""Convolutions as functions, over one, two or three spatial axes."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import ShapeError
from ...tensor import Tensor

Sizes = int | Sequence[int]


def _batched(name: str, x: Tensor, spatial: int) -> tuple[Tensor, bool]:
    """The input with a batch axis, and whether that is new."""
    if x.ndim not in (spatial + 1, spatial + 2):
        raise ShapeError(
            f"{name}: input {x.shape} should be (batch, channels, {spatial} spatial axes), or "
            "without batch"
        )
    is_single = x.ndim == spatial + 1
    return (x.unsqueeze(0) if is_single else x), is_single


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """`Tensor.conv1d`; an input without a batch gives a result without.

    conv1d(Tensor([[[1.0, 2.0, 3.0]]]), Tensor([[[1.0, 1.0]]])).tolist() == [[[3.0, 5.0]]]
    """
    x, is_single = _batched("conv1d", input, 1)
    made = x.conv1d(weight, bias, stride, padding, dilation, groups)
    return made.squeeze(0) if is_single else made


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """`Tensor.conv2d`; an input without a batch gives a result without.

    conv2d(Tensor.ones(1, 1, 3, 3), Tensor.ones(1, 1, 3, 3)).tolist() == [[[[9.0]]]]
    """
    x, is_single = _batched("conv2d", input, 2)
    made = x.conv2d(weight, bias, stride, padding, dilation, groups)
    return made.squeeze(0) if is_single else made


def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """`Tensor.conv3d`; an input without a batch gives a result without.

    conv3d(Tensor.ones(1, 1, 2, 2, 2), Tensor.ones(1, 1, 2, 2, 2)).tolist() == [[[[[8.0]]]]]
    """
    x, is_single = _batched("conv3d", input, 3)
    made = x.conv3d(weight, bias, stride, padding, dilation, groups)
    return made.squeeze(0) if is_single else made


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Tensor:
    """`Tensor.conv_transpose1d`; an input without a batch gives a result without.

    conv_transpose1d(Tensor([[[1.0, 2.0]]]), Tensor([[[1.0, 1.0]]])).tolist() == [[[1.0, 3.0, 2.0]]]
    """
    x, is_single = _batched("conv_transpose1d", input, 1)
    made = x.conv_transpose1d(weight, bias, stride, padding, output_padding, groups, dilation)
    return made.squeeze(0) if is_single else made


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Tensor:
    """`Tensor.conv_transpose2d`; an input without a batch gives a result without.

    conv_transpose2d(Tensor.ones(1, 1, 2, 2), Tensor.ones(1, 1, 2, 2)).shape == (1, 1, 3, 3)
    """
    x, is_single = _batched("conv_transpose2d", input, 2)
    made = x.conv_transpose2d(weight, bias, stride, padding, output_padding, groups, dilation)
    return made.squeeze(0) if is_single else made


def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Tensor:
    """`Tensor.conv_transpose3d`; an input without a batch gives a result without.

    x, weight = Tensor.ones(1, 1, 2, 2, 2), Tensor.ones(1, 8, 1, 1, 1)
    conv_transpose3d(x, weight).shape == (1, 8, 2, 2, 2)
    """
    x, is_single = _batched("conv_transpose3d", input, 3)
    made = x.conv_transpose3d(weight, bias, stride, padding, output_padding, groups, dilation)
    return made.squeeze(0) if is_single else made


def conv_tbc(input: Tensor, weight: Tensor, bias: Tensor, pad: int = 0) -> Tensor:
    """`conv1d` of (time, batch, channels) with a weight (length, in, out).

    conv_tbc(Tensor.ones(5, 1, 2), Tensor.ones(3, 2, 4), Tensor.zeros(4)).shape == (3, 1, 4)
    """
    if not input.ndim == weight.ndim == 3:
        raise ShapeError(f"conv_tbc: input {input.shape} and weight {weight.shape} need 3 axes")
    made = input.permute(1, 2, 0).conv1d(weight.permute(2, 1, 0), bias, padding=pad)
    return made.permute(2, 0, 1)

"""Windows of the spatial axes: what poolings have in common, over any number of axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ...errors import ArgumentError, ShapeError
from ...graph.ir import Reduce
from ...tensor import Tensor
from ...tensor.arguments import per_axis
from ...tensor.pooling import _Window

Sizes = int | Sequence[int]
Output = int | Sequence[int | None] | None


def given_stride(stride: Sizes | None) -> Sizes | None:
    """The stride, or None where it is that of the kernel: an empty tuple says so, too."""
    return None if isinstance(stride, Sequence) and not stride else stride


def max_pool(
    name: str,
    spatial: int,
    x: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None,
    padding: Sizes,
    dilation: Sizes,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    """The largest elements of windows, and, if asked for, their places in the flattened spatial
    axes."""
    if x.ndim == spatial + 1 and not x.shape[0]:
        raise ShapeError(f"{name}: an input without batch has channels, and {x.shape} has none")
    options = (kernel_size, given_stride(stride), padding, dilation, ceil_mode)
    values = x._max_pool(name, spatial, *options)
    return (values, x._max_pool_indices(values, spatial, *options)) if return_indices else values


def window_sums(
    name: str,
    spatial: int,
    x: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None,
    padding: Sizes,
    ceil_mode: bool,
) -> Tensor:
    """The sums of windows; what is around counts as 0."""
    window = _Window(name, spatial, kernel_size, given_stride(stride), padding, 1)
    node = window.over(x._node, window.padding(x.shape, ceil_mode), 0)
    rank = len(node.shape)
    return x._derived(Reduce(node, "sum", tuple(range(rank - spatial, rank))))


def largest_at(x: Tensor, places: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """The largest elements of windows, and where they are in the flattened spatial axes.

    `places` has, for each spatial axis, the windows' places on it: (..., windows, size), where the
    axes in front are those of x, or 1.
    """
    spatial = len(places)
    lead, sizes = x.shape[: x.ndim - spatial], x.shape[x.ndim - spatial :]
    counts = tuple(along.shape[-2] for along in places)
    kernel = tuple(along.shape[-1] for along in places)
    flat = Tensor.zeros(1, dtype="int64", device=x.device)
    for axis, along in enumerate(places):
        shape = [*along.shape[:-2], *(1,) * (2 * spatial)]
        shape[len(along.shape) - 2 + axis] = counts[axis]
        shape[len(along.shape) - 2 + spatial + axis] = kernel[axis]
        flat = flat * sizes[axis] + along.reshape(shape)
    flat = flat.expand(*lead, *counts, *kernel).reshape(*lead, *counts, -1)
    taken = x.flatten(-spatial).gather(-1, flat.flatten(len(lead))).reshape(flat.shape)
    which = taken.argmax(-1, keepdim=True)
    return taken.gather(-1, which).squeeze(-1), flat.gather(-1, which).squeeze(-1)


def adaptive_max_pool(spatial: int, x: Tensor, output_size: Output, return_indices: bool) -> Any:
    """The largest elements of `output_size` parts of each spatial axis, which are as equal as can
    be, and, if asked for, their places in the flattened spatial axes."""
    values = x._adaptive("max", spatial, output_size)
    if not return_indices:
        return values
    places = []
    for n, m in zip(x.shape[-spatial:], values.shape[-spatial:], strict=True):
        part = Tensor._positions(m)
        start, end = part * n // m, -(-(part + 1) * n // m)
        most = max(-(-(i + 1) * n // m) - i * n // m for i in range(m))
        # a part that is smaller than others has its last place several times
        along = start.unsqueeze(1) + Tensor._positions(most)
        places.append(along.minimum(end.unsqueeze(1) - 1))
    return largest_at(x, places)


def lp_pool(
    spatial: int,
    x: Tensor,
    norm_type: float,
    kernel_size: Sizes,
    stride: Sizes | None,
    ceil_mode: bool,
) -> Tensor:
    """The sums of the powers of windows, to the power of 1 / norm_type."""
    kernel = per_axis("lp_pool", "kernel_size", kernel_size, spatial)
    mean = x.pow(norm_type)._avg_pool(
        "lp_pool", spatial, kernel, given_stride(stride), 0, ceil_mode, True
    )
    total = mean.sign() * mean.abs().relu() * math.prod(kernel)
    return total.pow(1 / norm_type)


def max_unpool(
    name: str,
    spatial: int,
    x: Tensor,
    indices: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None,
    padding: Sizes,
    output_size: Sequence[int] | None,
) -> Tensor:
    """0 but for the values of x at `indices`, which a maximum pooling of such windows gave."""
    if x.ndim not in (spatial + 1, spatial + 2) or indices.shape != x.shape:
        raise ShapeError(f"{name}: values {x.shape} and indices {indices.shape} do not fit")
    kernel = per_axis(name, "kernel_size", kernel_size, spatial)
    strides = per_axis(name, "stride", kernel if stride is None else stride, spatial)
    pads = per_axis(name, "padding", padding, spatial, least=0)
    sizes = tuple(
        (n - 1) * s - 2 * p + k
        for n, s, p, k in zip(x.shape[-spatial:], strides, pads, kernel, strict=True)
    )
    if output_size is not None:
        given = tuple(output_size)[-spatial:]
        if any(abs(a - b) >= s for a, b, s in zip(given, sizes, strides, strict=True)):
            raise ArgumentError(f"{name}: output_size {given} is not within a stride of {sizes}")
        sizes = given
    lead = x.shape[: x.ndim - spatial]
    flat = Tensor.zeros(*lead, math.prod(sizes), dtype=x.dtype, device=x.device)
    made = flat.scatter(-1, indices.flatten(-spatial), x.flatten(-spatial))
    return made.reshape(*lead, *sizes)


def fractional_max_pool(
    name: str,
    spatial: int,
    x: Tensor,
    kernel_size: Sizes,
    output_size: Sizes | None,
    output_ratio: float | Sequence[float] | None,
    return_indices: bool,
    samples: Tensor | None,
) -> Any:
    """The largest elements of windows that begin at pseudo-random places (Graham 2014).

    `samples` (batch, channels, spatial) has the random numbers, in [0, 1).
    """
    if x.ndim not in (spatial + 1, spatial + 2):
        raise ShapeError(f"{name}: input {x.shape} has not {spatial} spatial axes")
    batched = x.unsqueeze(0) if x.ndim == spatial + 1 else x
    sizes, lead = batched.shape[2:], batched.shape[:2]
    kernel = per_axis(name, "kernel_size", kernel_size, spatial)
    if (output_size is None) == (output_ratio is None):
        raise ArgumentError(f"{name} requires specifying either an output_size or an output_ratio")
    if output_ratio is None:
        outputs = per_axis(name, "output_size", output_size or 0, spatial)
    else:
        one = isinstance(output_ratio, (int, float))
        ratios: Any = [output_ratio] * spatial if one else output_ratio
        outputs = tuple(int(n * ratio) for n, ratio in zip(sizes, ratios, strict=True))
    drawn = Tensor.rand(*lead, spatial, device=x.device) if samples is None else samples
    places = []
    for axis, (n, m, k) in enumerate(zip(sizes, outputs, kernel, strict=True)):
        if m + k - 1 > n:
            raise ArgumentError(f"{name}: windows of {k} and {m} outputs do not fit {n} places")
        # PyTorch gives the first number to the last of two axes, and to the first of three
        u = drawn[..., 1 - axis if spatial == 2 else axis].unsqueeze(-1)
        number, alpha = Tensor._positions(m), (n - k) / (m - 1) if m > 1 else 0.0
        start = ((number + u) * alpha).cast("int64") - (u * alpha).cast("int64")
        start = number.eq(m - 1).where(n - k, start)
        places.append(start.unsqueeze(-1) + Tensor._positions(k))
    values, found = largest_at(batched, places)
    if x.ndim == spatial + 1:
        values, found = values.squeeze(0), found.squeeze(0)
    return (values, found) if return_indices else values

"""Padding, resampling, windows and rearrangements as functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...errors import ArgumentError, ShapeError, check_integers
from ...tensor import Tensor
from ...tensor.arguments import per_axis

Sizes = int | Sequence[int]


def pad(
    input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Tensor:
    """`Tensor.pad`: widths from the last axis back, (left, right, top, bottom, ...).

    pad(Tensor([1.0]), (1, 2)).tolist() == [0.0, 1.0, 0.0, 0.0]
    """
    return input.pad(tuple(pad), mode, 0 if value is None else value)


def interpolate(
    input: Tensor,
    size: Sizes | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """`Tensor.interpolate`: the spatial axes of (batch, channels, ...) at another size.

    interpolate(Tensor([[[1.0, 2.0]]]), scale_factor=2).tolist() == [[[1.0, 1.0, 2.0, 2.0]]]
    """
    if antialias:
        raise NotImplementedError("interpolate: antialias is not supported")
    if align_corners is not None and mode in ("nearest", "nearest-exact", "area"):
        raise ArgumentError(
            "align_corners option can only be set with the interpolating modes: "
            "linear | bilinear | bicubic | trilinear"
        )
    if recompute_scale_factor and scale_factor is not None:
        one = isinstance(scale_factor, (int, float))
        factors: Any = [scale_factor] * (input.ndim - 2) if one else scale_factor
        size = [int(n * f) for n, f in zip(input.shape[2:], factors, strict=True)]
        scale_factor = None
    return input.interpolate(size, scale_factor, mode, bool(align_corners))


def upsample(
    input: Tensor,
    size: Sizes | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """`interpolate`, by its old name.

    upsample(Tensor([[[1.0, 2.0]]]), scale_factor=2).tolist() == [[[1.0, 1.0, 2.0, 2.0]]]
    """
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(
    input: Tensor, size: Sizes | None = None, scale_factor: float | Sequence[float] | None = None
) -> Tensor:
    """`interpolate` in mode "nearest".

    upsample_nearest(Tensor([[[1, 2]]]), scale_factor=2).tolist() == [[[1, 1, 2, 2]]]
    """
    return interpolate(input, size, scale_factor, "nearest")


def upsample_bilinear(
    input: Tensor, size: Sizes | None = None, scale_factor: float | Sequence[float] | None = None
) -> Tensor:
    """`interpolate` in mode "bilinear", with corners that correspond.

    upsample_bilinear(Tensor.ones(1, 1, 2, 2), scale_factor=2).shape == (1, 1, 4, 4)
    """
    return interpolate(input, size, scale_factor, "bilinear", True)


def unfold(
    input: Tensor, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1
) -> Tensor:
    """Every window of the last two axes as a column: (N, C, H, W) -> (N, C * KH * KW, windows).

    unfold(Tensor.ones(1, 1, 3, 3), (2, 2)).shape == (1, 4, 4)
    """
    if input.ndim not in (3, 4):
        raise ShapeError(f"unfold: input {input.shape} should be (C, H, W) or (N, C, H, W)")
    x = input.unsqueeze(0) if input.ndim == 3 else input
    kernel, dilations, pads, strides = _windows("unfold", kernel_size, dilation, padding, stride)
    x = x.pad((pads[1], pads[1], pads[0], pads[0]))
    for axis in (2, 3):
        k, d, s = kernel[axis - 2], dilations[axis - 2], strides[axis - 2]
        if x.shape[axis] < d * (k - 1) + 1:
            raise ShapeError(f"unfold: a window of {kernel} does not fit input {input.shape}")
        x = x.unfold(axis, d * (k - 1) + 1, s)[..., ::d]
    made = x.permute(0, 1, 4, 5, 2, 3).flatten(4).flatten(1, 3)
    return made.squeeze(0) if input.ndim == 3 else made


def fold(
    input: Tensor,
    output_size: Sizes,
    kernel_size: Sizes,
    dilation: Sizes = 1,
    padding: Sizes = 0,
    stride: Sizes = 1,
) -> Tensor:
    """Columns of windows added into an image: (N, C * KH * KW, windows) -> (N, C, H, W).

    What `unfold` takes apart is put together, and where windows overlap they are summed.

    fold(Tensor.ones(1, 4, 1), (2, 2), (2, 2)).shape == (1, 1, 2, 2)
    """
    if input.ndim not in (2, 3):
        raise ShapeError(f"fold: input {input.shape} should be (C * KH * KW, L), or with a batch")
    height, width = per_axis("fold", "output_size", output_size, 2)
    kernel, dilations, pads, strides = _windows("fold", kernel_size, dilation, padding, stride)
    x = input.unsqueeze(0) if input.ndim == 2 else input
    each = kernel[0] * kernel[1]
    counts = tuple(
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, p, d, k, s in zip((height, width), pads, dilations, kernel, strides, strict=True)
    )
    if x.shape[1] % each or min(counts) < 1 or x.shape[2] != counts[0] * counts[1]:
        raise ShapeError(
            f"fold: input {input.shape} should have a multiple of {each} rows and "
            f"{counts[0]} * {counts[1]} columns"
        )
    padded = [n + 2 * p for n, p in zip((height, width), pads, strict=True)]
    rows, columns = (
        (Tensor._positions(k) * d).unsqueeze(1) + Tensor._positions(count) * s
        for k, d, count, s in zip(kernel, dilations, counts, strides, strict=True)
    )
    # (KH, 1, LH, 1) and (1, KW, 1, LW): where each element of a window lies
    place = rows.reshape(kernel[0], 1, counts[0], 1) * padded[1]
    place = (place + columns.reshape(1, kernel[1], 1, counts[1])).flatten()
    values = x.reshape(x.shape[0], -1, place.shape[0])
    flat = Tensor.zeros(*values.shape[:2], padded[0] * padded[1], dtype=x.dtype, device=x.device)
    flat = flat.scatter_add(2, place.expand(values.shape), values)
    made = flat.unflatten(2, padded)[:, :, pads[0] : pads[0] + height, pads[1] : pads[1] + width]
    return made.squeeze(0) if input.ndim == 2 else made


def _windows(
    name: str, kernel_size: Sizes, dilation: Sizes, padding: Sizes, stride: Sizes
) -> tuple[tuple[int, ...], ...]:
    """The four settings of windows over two axes, one a axis each."""
    return (
        per_axis(name, "kernel_size", kernel_size, 2),
        per_axis(name, "dilation", dilation, 2),
        per_axis(name, "padding", padding, 2, least=0),
        per_axis(name, "stride", stride, 2),
    )


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """`Tensor.pixel_shuffle`: channels become pixels.

    pixel_shuffle(Tensor.ones(1, 4, 2, 2), 2).shape == (1, 1, 4, 4)
    """
    return input.pixel_shuffle(upscale_factor)


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """`Tensor.pixel_unshuffle`: pixels become channels.

    pixel_unshuffle(Tensor.ones(1, 1, 4, 4), 2).shape == (1, 4, 2, 2)
    """
    return input.pixel_unshuffle(downscale_factor)


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """The channels (axis 1) in another order: the first of each group, then the second, ...

    channel_shuffle(Tensor([[[0], [1], [2], [3]]]), 2).flatten().tolist() == [0, 2, 1, 3]
    """
    if input.ndim < 3:
        raise ShapeError(f"channel_shuffle: input {input.shape} needs 3 axes or more")
    check_integers(groups=groups)
    if groups < 1 or input.shape[1] % groups:
        raise ShapeError(f"channel_shuffle: {groups} groups do not divide input {input.shape}")
    return input.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)


native_channel_shuffle = channel_shuffle


def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """Where `grid_sample` finds each pixel of an image that an affine map moves.

    theta (N, 2, 3) and size (N, C, H, W) -> (N, H, W, 2); or (N, 3, 4) and (N, C, D, H, W) ->
    (N, D, H, W, 3). Coordinates are x, y(, z), from -1 to 1.

    affine_grid(Tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]), (1, 1, 4, 4)).shape == (1, 4, 4, 2)
    """
    spatial = len(size) - 2
    if spatial not in (2, 3) or theta.shape[1:] != (spatial, spatial + 1):
        raise ShapeError(f"affine_grid: theta {theta.shape} does not fit size {tuple(size)}")
    axes = []
    for axis, n in enumerate(size[2:]):
        places = Tensor._positions(n).cast(theta.dtype)
        places = places * (2 / max(n - 1, 1)) - 1 if align_corners else (places * 2 + 1) / n - 1
        places = places * 0 if align_corners and n == 1 else places
        shape = [1] * spatial
        shape[axis] = n
        axes.append(places.reshape(shape).expand(tuple(size[2:])))
    grid = Tensor.stack(*reversed(axes), Tensor.ones(*size[2:], dtype=theta.dtype), axis=-1)
    made = grid.flatten(0, spatial - 1) @ theta.mT
    return made.unflatten(1, tuple(size[2:]))


def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """The image at given places: (N, C, H, W) at (N, h, w, 2) -> (N, C, h, w); or with depth.

    Places are x, y(, z), from -1 to 1. Between pixels, `mode` "bilinear", "nearest" or (without
    depth) "bicubic"; outside, `padding_mode` "zeros", "border" or "reflection".

    grid_sample(Tensor.ones(1, 1, 2, 2), Tensor.zeros(1, 1, 1, 2)).tolist() == [[[[1.0]]]]
    """
    spatial = input.ndim - 2
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ArgumentError(
            f"grid_sample: mode {mode!r} is none of 'bilinear', 'nearest', 'bicubic'"
        )
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ArgumentError(
            f"grid_sample: padding_mode {padding_mode!r} is none of 'zeros', 'border', 'reflection'"
        )
    if spatial not in (2, 3) or grid.ndim != input.ndim or grid.shape[-1] != spatial:
        raise ShapeError(f"grid_sample: grid {grid.shape} does not fit input {input.shape}")
    if mode == "bicubic" and spatial == 3:
        raise NotImplementedError("grid_sample: bicubic needs an input of 4 axes")
    return _Sampler(input, padding_mode, bool(align_corners)).at(grid, mode)


class _Sampler:
    """An image that is read at places between its pixels."""

    def __init__(self, image: Tensor, padding_mode: str, align_corners: bool) -> None:
        self.image, self.flat = image, image.flatten(2)
        self.sizes = image.shape[2:]
        self.padding_mode, self.align_corners = padding_mode, align_corners

    def at(self, grid: Tensor, mode: str) -> Tensor:
        """The image at the places of a grid."""
        places = []  # in pixels, one tensor an axis, the first axis first
        for axis, n in enumerate(self.sizes):
            x = grid[..., len(self.sizes) - 1 - axis]
            x = (x + 1) * ((n - 1) / 2) if self.align_corners else ((x + 1) * n - 1) / 2
            places.append(x if mode == "bicubic" else self._inside(x, n))
        if mode == "nearest":
            return self._pixels([x.round() for x in places])
        steps = range(-1, 3) if mode == "bicubic" else range(2)
        total: Tensor | None = None
        lows = [x.floor() for x in places]
        weights = [
            [(_cubic if mode == "bicubic" else _linear)(x - low, step) for step in steps]
            for x, low in zip(places, lows, strict=True)
        ]
        for corner in _corners(len(self.sizes), list(steps)):
            weight = weights[0][corner[0] - steps[0]]
            for axis in range(1, len(self.sizes)):
                weight = weight * weights[axis][corner[axis] - steps[0]]
            at = [low + step for low, step in zip(lows, corner, strict=True)]
            if mode == "bicubic":
                at = [self._inside(x, n) for x, n in zip(at, self.sizes, strict=True)]
            part = self._pixels(at) * weight.unsqueeze(1)
            total = part if total is None else total + part
        assert total is not None
        return total

    def _inside(self, x: Tensor, n: int) -> Tensor:
        """A place outside of an axis brought inside, as the padding mode says."""
        if self.padding_mode == "zeros":
            return x
        if self.padding_mode == "reflection":
            low, span = (0.0, float(n - 1)) if self.align_corners else (-0.5, float(n))
            if span == 0:
                x = x * 0
            else:
                away = (x - low).abs()
                turns = (away / span).floor()
                rest = away - turns * span
                x = (turns % 2).eq(0).where(rest + low, span - rest + low)
        return x.clamp(0, n - 1)

    def _pixels(self, places: list[Tensor]) -> Tensor:
        """The pixels at whole places (N, ...), and 0 outside: (N, C, ...)."""
        index = Tensor.zeros(1, dtype="int64", device=self.image.device)
        is_inside: Tensor | None = None
        for x, n in zip(places, self.sizes, strict=True):
            x = x.detach()
            here = (x >= 0) & (x <= n - 1)
            is_inside = here if is_inside is None else is_inside & here
            index = index * n + here.where(x, 0).cast("int64")
        assert is_inside is not None
        shape = (*self.flat.shape[:2], places[0].numel() // places[0].shape[0])
        where = index.flatten(1).unsqueeze(1).expand(shape)
        found = self.flat.gather(2, where).reshape(*shape[:2], *places[0].shape[1:])
        return is_inside.unsqueeze(1).where(found, 0)


def _corners(axes: int, steps: list[int]) -> list[tuple[int, ...]]:
    """All combinations of one step an axis."""
    found: list[tuple[int, ...]] = [()]
    for _ in range(axes):
        found = [(*corner, step) for corner in found for step in steps]
    return found


def _linear(t: Tensor, step: int) -> Tensor:
    """The weight of the pixel below (step 0) or above (1), for a place t above the one below."""
    return t if step else 1 - t


def _cubic(t: Tensor, step: int) -> Tensor:
    """The weight of a pixel by Keys' kernel with a = -0.75."""
    a = -0.75
    x = (t - step).abs()
    if step in (0, 1):
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

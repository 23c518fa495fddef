"""Resampling of the spatial axes of (N, C, size..)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from ..errors import ArgumentError, ShapeError, check_integers, check_numbers
from .arguments import per_axis
from .core import Array
from .pooling import Pooling
from .precision import rounded_once

Sizes = int | Sequence[int]
_MODES = (
    "nearest", "nearest-exact", "linear", "bilinear", "trilinear", "bicubic", "area",
)  # fmt: skip


_SPATIAL = {"linear": 1, "bilinear": 2, "trilinear": 3, "bicubic": 2}  # axes after N and C


class Resampling(Pooling):
    """Pictures at another size, PyTorch's way."""

    __slots__ = ()

    @rounded_once()
    def interpolate(
        self,
        size: Sizes | None = None,
        scale_factor: float | Sequence[float] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> Self:
        """The spatial axes resampled to `size`, or by `scale_factor`.

        mode "nearest" takes the element below, "nearest-exact" the nearest centre; "linear",
        "bilinear" and "trilinear" weigh the two neighbours along each axis, "bicubic" four, by
        Keys' kernel with a = -0.75; "area" is `adaptive_avg_pool2d`. `align_corners` makes first
        and last elements correspond. `recompute_scale_factor` takes the ratio of the sizes, which
        are whole, for the factor.
        """
        spatial = self.ndim - 2
        if mode not in _MODES:
            raise ArgumentError(f"interpolate: mode {mode!r} is none of {', '.join(_MODES)}")
        if spatial != _SPATIAL.get(mode, spatial) or spatial < 1:
            raise ShapeError(f"interpolate: mode {mode!r} does not fit input {self.shape}")
        if align_corners and mode in ("nearest", "nearest-exact", "area"):
            raise ArgumentError(f"interpolate: mode {mode!r} has no corners to align")
        if (size is None) == (scale_factor is None):
            raise ArgumentError("interpolate: give either size or scale_factor")
        scales: list[float | None] = [None] * spatial
        if size is not None:
            sizes = per_axis("interpolate", "size", size, spatial)
        else:
            one = isinstance(scale_factor, (int, float, np.number))
            factors: list[Any] = [scale_factor] * spatial if one else list(scale_factor)  # type: ignore[arg-type]
            for factor in factors:
                check_numbers(scale_factor=factor)
            sizes = tuple(int(n * f) for n, f in zip(self.shape[2:], factors, strict=True))
            if not recompute_scale_factor:
                scales = [1 / f for f in factors]
        if min(sizes, default=1) < 1 or 0 in self.shape[2:]:
            raise ShapeError(f"interpolate: input {self.shape} to a size of {sizes}")
        if mode == "area":
            return self._adaptive("mean", spatial, sizes)
        x = self
        for i, (new, scale) in enumerate(zip(sizes, scales, strict=True)):
            x = x._resampled(2 + i, new, scale, mode, bool(align_corners))
        return x

    def _resampled(
        self, axis: int, size: int, scale: float | None, mode: str, align_corners: bool
    ) -> Self:
        """One axis at another size."""
        n = self.shape[axis]
        step = n / size if scale is None else scale
        place = np.arange(size)
        if mode in ("nearest", "nearest-exact"):
            # in float32, as PyTorch has it: a place that is almost whole may be rounded up
            half = np.float32(0.5 if mode == "nearest-exact" else 0)
            nearest = ((place.astype(np.float32) + half) * np.float32(step)).astype(np.int64)
            if mode == "nearest" and self.ndim == 4 and size in (n, 2 * n):
                nearest = place * n // size  # PyTorch's pictures are so, whatever the factor
            return self._along_index(axis, np.minimum(nearest, n - 1))
        if align_corners:
            position = place * ((n - 1) / max(size - 1, 1))
        else:
            position = (place + 0.5) * step - 0.5
        if mode == "bicubic":
            low = np.floor(position)
            taps = _cubic_weights(position - low)
            offsets = range(-1, 3)
        else:
            position = np.maximum(position, 0)
            low = np.minimum(position.astype(np.int64), n - 1)
            taps = [1 - (position - low), position - low]
            offsets = range(2)
        made: Self | None = None
        for offset, weights in zip(offsets, taps, strict=True):
            index = np.clip(low.astype(np.int64) + offset, 0, n - 1)
            share = self._from_data(weights.astype(self.dtype.numpy), None, self._node.device)
            share = share.reshape(-1, *(1,) * (self.ndim - 1 - axis))
            part = self._along_index(axis, index) * share
            made = part if made is None else made + part
        assert made is not None
        return made

    def _along_index(self, axis: int, index: Array) -> Self:
        """The slices of an axis that `index` names."""
        return self[((slice(None),) * axis + (index,))]

    def pixel_shuffle(self, upscale_factor: int) -> Self:
        """(.., C r r, H, W) -> (.., C, H r, W r): each r*r channels become a square (Shi 2016)."""
        r = upscale_factor
        check_integers(upscale_factor=r)
        if self.ndim < 3 or r < 1 or self.shape[-3] % (r * r):
            raise ShapeError(f"pixel_shuffle: {r * r} does not divide the channels of {self.shape}")
        *outer, channels, height, width = self.shape
        k = len(outer)
        apart = self.reshape(*outer, channels // (r * r), r, r, height, width)
        order = (*range(k), k, k + 3, k + 1, k + 4, k + 2)
        return apart.permute(order).reshape(*outer, channels // (r * r), height * r, width * r)

    def pixel_unshuffle(self, downscale_factor: int) -> Self:
        """(.., C, H r, W r) -> (.., C r r, H, W): the inverse of `pixel_shuffle`."""
        r = downscale_factor
        check_integers(downscale_factor=r)
        if self.ndim < 3 or r < 1 or self.shape[-1] % r or self.shape[-2] % r:
            raise ShapeError(f"pixel_unshuffle: {r} does not divide the picture of {self.shape}")
        *outer, channels, height, width = self.shape
        k = len(outer)
        apart = self.reshape(*outer, channels, height // r, r, width // r, r)
        order = (*range(k), k, k + 2, k + 4, k + 1, k + 3)
        return apart.permute(order).reshape(*outer, channels * r * r, height // r, width // r)


def _cubic_weights(t: Array) -> list[Array]:
    """The weights of the four neighbours at distances 1 + t, t, 1 - t, 2 - t (Keys 1981)."""
    a = -0.75

    def near(x: Array) -> Array:
        return np.asarray(((a + 2) * x - (a + 3)) * x * x + 1)

    def far(x: Array) -> Array:
        return np.asarray(((a * x - 5 * a) * x + 8 * a) * x - 4 * a)

    return [far(1 + t), near(t), near(1 - t), far(2 - t)]

"""Layers that resample images, take them apart into windows, and rearrange them."""

from __future__ import annotations

from collections.abc import Sequence

from ..tensor import Tensor
from . import functional as F
from .module import UnaryLayer

Sizes = int | Sequence[int]


class Upsample(UnaryLayer):
    """`functional.interpolate` to a size or by a factor.

    Upsample(scale_factor=2)(Tensor([[[1.0, 2.0]]])).tolist() == [[[1.0, 1.0, 2.0, 2.0]]]
    """

    def __init__(
        self,
        size: Sizes | None = None,
        scale_factor: float | Sequence[float] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        super().__init__()
        self.size, self.mode = size, mode
        self.scale_factor: float | Sequence[float] | None = scale_factor
        if isinstance(scale_factor, (int, float)):
            self.scale_factor = float(scale_factor)
        self.align_corners, self.recompute_scale_factor = align_corners, recompute_scale_factor

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(
            x,
            self.size,
            self.scale_factor,
            self.mode,
            self.align_corners,
            self.recompute_scale_factor,
        )

    def extra_repr(self) -> str:
        is_sized = self.scale_factor is None
        what = f"size={self.size}" if is_sized else f"scale_factor={self.scale_factor}"
        return f"{what}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """`Upsample` in mode "nearest".

    UpsamplingNearest2d(scale_factor=2)(Tensor.ones(1, 1, 2, 3)).shape == (1, 1, 4, 6)
    """

    def __init__(
        self,
        size: Sizes | None = None,
        scale_factor: float | Sequence[float] | None = None,
    ) -> None:
        super().__init__(size, scale_factor, "nearest")


class UpsamplingBilinear2d(Upsample):
    """`Upsample` in mode "bilinear", with corners that correspond.

    UpsamplingBilinear2d(scale_factor=2)(Tensor.ones(1, 1, 2, 3)).shape == (1, 1, 4, 6)
    """

    def __init__(
        self,
        size: Sizes | None = None,
        scale_factor: float | Sequence[float] | None = None,
    ) -> None:
        super().__init__(size, scale_factor, "bilinear", True)


class PixelShuffle(UnaryLayer):
    """`Tensor.pixel_shuffle`: channels become pixels.

    PixelShuffle(2)(Tensor.ones(1, 8, 3, 3)).shape == (1, 2, 6, 6)
    """

    _extra_repr = "upscale_factor={upscale_factor}"

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        self.upscale_factor = upscale_factor

    def forward(self, x: Tensor) -> Tensor:
        return x.pixel_shuffle(self.upscale_factor)


class PixelUnshuffle(UnaryLayer):
    """`Tensor.pixel_unshuffle`: pixels become channels.

    PixelUnshuffle(2)(Tensor.ones(1, 1, 4, 6)).shape == (1, 4, 2, 3)
    """

    _extra_repr = "downscale_factor={downscale_factor}"

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        self.downscale_factor = downscale_factor

    def forward(self, x: Tensor) -> Tensor:
        return x.pixel_unshuffle(self.downscale_factor)


class ChannelShuffle(UnaryLayer):
    """`functional.channel_shuffle`: the first channel of each group, then the second, ...

    x = Tensor([1, 2, 3, 4]).reshape(1, 4, 1)
    ChannelShuffle(2)(x).flatten().tolist() == [1, 3, 2, 4]
    """

    _extra_repr = "groups={groups}"

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        return F.channel_shuffle(x, self.groups)


class Unfold(UnaryLayer):
    """`functional.unfold`: every window of the last two axes as a column.

    Unfold(2)(Tensor.ones(1, 3, 3, 3)).shape == (1, 12, 4)
    """

    _extra_repr = (
        "kernel_size={kernel_size}, dilation={dilation}, padding={padding}, stride={stride}"
    )

    def __init__(
        self, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1
    ) -> None:
        super().__init__()
        self.kernel_size, self.dilation = kernel_size, dilation
        self.padding, self.stride = padding, stride

    def forward(self, x: Tensor) -> Tensor:
        return F.unfold(x, self.kernel_size, self.dilation, self.padding, self.stride)


class Fold(UnaryLayer):
    """`functional.fold`: columns of windows added into an image.

    Fold((3, 3), 2)(Tensor.ones(1, 4, 4))[0, 0, 1].tolist() == [2.0, 4.0, 2.0]
    """

    _extra_repr = (
        "output_size={output_size}, kernel_size={kernel_size}, dilation={dilation}, "
        "padding={padding}, stride={stride}"
    )

    def __init__(
        self,
        output_size: Sizes,
        kernel_size: Sizes,
        dilation: Sizes = 1,
        padding: Sizes = 0,
        stride: Sizes = 1,
    ) -> None:
        super().__init__()
        self.output_size, self.kernel_size, self.dilation = output_size, kernel_size, dilation
        self.padding, self.stride = padding, stride

    def forward(self, x: Tensor) -> Tensor:
        return F.fold(
            x, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride
        )

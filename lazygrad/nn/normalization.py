"""Layers that normalise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ShapeError, check_integers
from ..tensor import Tensor
from ..tensor.arguments import shape_of
from ..tensor.mode import note_evaluation
from . import functional as F
from . import weights
from .module import UnaryLayer
from .parameter import Buffer


class _Tracking(UnaryLayer):
    """A normalisation that can keep running statistics of its channels, and an affine map."""

    _extra_repr = (
        "{num_features}, eps={eps}, momentum={momentum}, affine={affine}, bias={_has_bias}, "
        "track_running_stats={track_running_stats}"
    )

    def __init__(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        device: str | None,
        dtype: Any,
        bias: bool,
    ) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        placed: dict[str, Any] = {"device": device, "dtype": dtype}
        self.weight = weights.filled(1, num_features, **placed) if affine else None
        self.bias = weights.filled(0, num_features, **placed) if affine and bias else None
        self.running_mean: Tensor | None = None
        self.running_var: Tensor | None = None
        self.num_batches_tracked: Tensor | None = None
        if track_running_stats:  # in memory, no constants: the first step is a program for all
            zeros, ones = np.zeros(num_features, np.float32), np.ones(num_features, np.float32)
            self.running_mean = Buffer(Tensor(zeros, **placed))
            self.running_var = Buffer(Tensor(ones, **placed))
            self.num_batches_tracked = Buffer(Tensor(0, device=device))

    def reset_running_stats(self) -> None:
        """Set the running statistics back to what they were in the beginning."""
        if self.running_mean is not None and self.running_var is not None:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            assert self.num_batches_tracked is not None
            self.num_batches_tracked.zero_()


class BatchNorm(_Tracking):
    """Each channel (axis 1) brought to mean 0 and variance 1 over the batch and all positions, then
    scaled and shifted (Ioffe and Szegedy 2015).

    In training the batch's own statistics serve, and the running ones move towards them:
    running += momentum * (batch - running), with the batch's unbiased variance; a momentum of None
    averages over all batches. Elsewhere the running statistics serve.

        BatchNorm(3).train()(Tensor.ones(2, 3, 4)).sum().item() == 0.0
    """

    _ranks = range(2, 99)  # how many axes an input may have

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: str | None = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias
        )

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim < 2 or x.shape[1] != self.num_features:
            raise ShapeError(f"BatchNorm: input {x.shape} should have {self.num_features} channels")
        if x.ndim not in self._ranks:
            raise ShapeError(f"input {x.shape} should not have {x.ndim} axes")
        is_tracked = self.running_mean is not None
        training = self.training
        if not training and is_tracked:
            note_evaluation(type(self).__name__)
        momentum: float | Tensor = 0.0 if self.momentum is None else self.momentum
        if training and self.num_batches_tracked is not None:
            with Tensor.no_grad():
                self.num_batches_tracked.assign(self.num_batches_tracked + 1)
            if self.momentum is None:
                momentum = 1 / self.num_batches_tracked
        moved = training and is_tracked
        return F.batch_norm(
            x,
            self.running_mean if moved or not training else None,
            self.running_var if moved or not training else None,
            self.weight,
            self.bias,
            training or not is_tracked,
            momentum,
            self.eps,
        )


class BatchNorm1d(BatchNorm):
    """`BatchNorm` of (batch, channels) or (batch, channels, length).

    BatchNorm1d(3).train()(Tensor.ones(2, 3)).sum().item() == 0.0
    """

    _ranks = range(2, 4)


class BatchNorm2d(BatchNorm):
    """`BatchNorm` of (batch, channels, height, width).

    BatchNorm2d(3).train()(Tensor.ones(2, 3, 4, 4)).shape == (2, 3, 4, 4)
    """

    _ranks = range(4, 5)


class BatchNorm3d(BatchNorm):
    """`BatchNorm` of (batch, channels, depth, height, width).

    BatchNorm3d(3).train()(Tensor.ones(2, 3, 2, 2, 2)).shape == (2, 3, 2, 2, 2)
    """

    _ranks = range(5, 6)


class SyncBatchNorm(BatchNorm):
    """`BatchNorm`: there is one process, whose batch is the whole batch.

    SyncBatchNorm(3).train()(Tensor.ones(2, 3, 4)).sum().item() == 0.0
    """


class LayerNorm(UnaryLayer):
    """The last axes, of `normalized_shape`, brought to mean 0 and variance 1, then scaled and
    shifted (Ba, Kiros and Hinton 2016).

        LayerNorm(2)(Tensor([[1.0, 3.0]])).round().tolist() == [[-1.0, 1.0]]
    """

    _extra_repr = (
        "{normalized_shape}, eps={eps}, elementwise_affine={elementwise_affine}, bias={_has_bias}"
    )

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = shape = shape_of(type(self).__name__, normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        placed: dict[str, Any] = {"device": device, "dtype": dtype}
        self.weight = weights.filled(1, *shape, **placed) if elementwise_affine else None
        self.bias = weights.filled(0, *shape, **placed) if elementwise_affine and bias else None

    def forward(self, x: Tensor) -> Tensor:
        return x.layer_norm(self.normalized_shape, self.weight, self.bias, self.eps)


class LayerNorm2d(LayerNorm):
    """`LayerNorm` of the channels (axis 1) of (batch, channels, height, width).

    LayerNorm2d(3)(Tensor.ones(2, 3, 4, 4)).sum().item() == 0.0
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 4:
            raise ShapeError(f"LayerNorm2d: input {x.shape} is not (batch, channels, H, W)")
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class RMSNorm(UnaryLayer):
    """The last axes over their root mean square, then scaled (Zhang and Sennrich 2019).

    RMSNorm(2, eps=0.0)(Tensor([[3.0, -3.0]])).tolist() == [[1.0, -1.0]]
    """

    _extra_repr = "{normalized_shape}, eps={eps}, elementwise_affine={elementwise_affine}"

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = shape = shape_of(type(self).__name__, normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self.weight = (
            weights.filled(1, *shape, device=device, dtype=dtype) if elementwise_affine else None
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)


class GroupNorm(UnaryLayer):
    """The channels (axis 1) in groups, each sample's group brought to mean 0 and variance 1, then
    scaled and shifted a channel (Wu and He 2018).

        GroupNorm(2, 4)(Tensor.ones(3, 4, 5)).shape == (3, 4, 5)
    """

    _extra_repr = "{num_groups}, {num_channels}, eps={eps}, affine={affine}, bias={_has_bias}"

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: str | None = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        check_integers(num_groups=num_groups, num_channels=num_channels)
        if num_groups < 1 or num_channels % num_groups:
            raise ShapeError(
                f"GroupNorm: {num_groups} groups do not divide {num_channels} channels"
            )
        self.num_groups, self.num_channels = num_groups, num_channels
        self.eps, self.affine = eps, affine
        placed: dict[str, Any] = {"device": device, "dtype": dtype}
        self.weight = weights.filled(1, num_channels, **placed) if affine else None
        self.bias = weights.filled(0, num_channels, **placed) if affine and bias else None

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim < 2 or x.shape[1] != self.num_channels:
            raise ShapeError(f"GroupNorm: input {x.shape} should have {self.num_channels} channels")
        if x.numel() and x.numel() == self.num_groups:
            raise ShapeError(f"GroupNorm: input {x.shape} has one value a group, and no variance")
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)


class InstanceNorm(_Tracking):
    """Each sample's channel brought to mean 0 and variance 1 (Ulyanov et al. 2016).

    With `track_running_stats`, running statistics are kept, which serve in evaluation.

        InstanceNorm(3)(Tensor.ones(2, 3, 4)).sum().item() == 0.0
    """

    _spatial: int | None = None  # how many axes there are after the channels; None for any number

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: str | None = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias
        )

    def forward(self, x: Tensor) -> Tensor:
        is_single = x.ndim - 1 == self._spatial
        x = x.unsqueeze(0) if is_single else x
        name = type(self).__name__
        if x.ndim < 2 or (self._spatial is not None and x.ndim != self._spatial + 2):
            raise ShapeError(f"{name}: input {x.shape} should not have {x.ndim} axes")
        if x.shape[1] != self.num_features:
            raise ShapeError(f"{name}: input {x.shape} should have {self.num_features} channels")
        uses_input = self.training or self.running_mean is None
        made = F.instance_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            uses_input,
            self.momentum or 0.0,
            self.eps,
        )
        return made.squeeze(0) if is_single else made


class InstanceNorm1d(InstanceNorm):
    """`InstanceNorm` of (batch, channels, length), or without batch.

    InstanceNorm1d(3)(Tensor.ones(2, 3, 4)).sum().item() == 0.0
    """

    _spatial = 1


class InstanceNorm2d(InstanceNorm):
    """`InstanceNorm` of (batch, channels, height, width), or without batch.

    InstanceNorm2d(3)(Tensor.ones(2, 3, 4, 4)).shape == (2, 3, 4, 4)
    """

    _spatial = 2


class InstanceNorm3d(InstanceNorm):
    """`InstanceNorm` of (batch, channels, depth, height, width), or without batch.

    InstanceNorm3d(3)(Tensor.ones(2, 3, 2, 2, 2)).shape == (2, 3, 2, 2, 2)
    """

    _spatial = 3


class LocalResponseNorm(UnaryLayer):
    """`functional.local_response_norm`: over the squares of neighbouring channels.

    LocalResponseNorm(1, alpha=0.0)(Tensor.ones(1, 2, 3)).sum().item() == 6.0
    """

    _extra_repr = "{size}, alpha={alpha}, beta={beta}, k={k}"

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: Tensor) -> Tensor:
        return F.local_response_norm(x, self.size, self.alpha, self.beta, self.k)


class CrossMapLRN2d(LocalResponseNorm):
    """`LocalResponseNorm`, with the arguments of Torch 7.

    CrossMapLRN2d(1, alpha=0.0)(Tensor.ones(1, 2, 3, 3)).sum().item() == 18.0
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1) -> None:
        super().__init__(size, alpha, beta, k)

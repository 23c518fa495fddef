"""Layers that normalise."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..errors import ShapeError
from ..tensor import Tensor
from ..tensor.mode import note_evaluation
from ..tensor.precision import rounded_once
from . import init


class BatchNorm:
    """Each channel (axis 1) brought to mean 0 and variance 1 over the batch and all positions, then
    scaled and shifted (Ioffe and Szegedy 2015).

    In training the batch's own statistics serve, and the running ones move towards them:
    running += momentum * (batch - running), with the batch's unbiased variance; a momentum of None
    averages over all batches. Elsewhere the running statistics serve.
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
    ) -> None:
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.weight = init.ones(num_features, device=device) if affine else None
        self.bias = init.zeros(num_features, device=device) if affine else None
        self.track_running_stats = track_running_stats
        if track_running_stats:  # in memory, no constants: the first step is a program for all
            self.running_mean = Tensor(np.zeros(num_features, np.float32), device=device)
            self.running_var = Tensor(np.ones(num_features, np.float32), device=device)
            self.num_batches_tracked = Tensor(0, device=device)

    @rounded_once()
    def __call__(self, x: Tensor) -> Tensor:
        if x.ndim < 2 or x.shape[1] != self.num_features:
            raise ShapeError(f"BatchNorm: input {x.shape} should have {self.num_features} channels")
        if x.ndim not in self._ranks:
            raise ShapeError(f"{type(self).__name__}: input {x.shape} has {x.ndim} axes")
        if not (Tensor.training or not self.track_running_stats):
            note_evaluation(Tensor, type(self).__name__)
            invstd = (self.running_var.cast(x.dtype) + self.eps).rsqrt()
            return x.batchnorm(self.weight, self.bias, self.running_mean, invstd)
        count = x.numel() // x.shape[1]
        if count < 2:
            raise ShapeError(
                f"BatchNorm: a batch's statistics need more than one value a channel; input "
                f"{x.shape} has {count}"
            )
        axes = (0, *range(2, x.ndim))
        mean = x.mean(axes)
        centered = x - mean.reshape(1, -1, *(1,) * (x.ndim - 2))
        var = centered.square().mean(axes)
        if Tensor.training and self.track_running_stats:
            self._track(mean, var, count)
        return x.batchnorm(self.weight, self.bias, mean, (var + self.eps).rsqrt())

    def _track(self, mean: Tensor, var: Tensor, count: int) -> None:
        """Move the running statistics towards a batch's, of `count` elements a channel."""
        with Tensor.no_grad():
            self.num_batches_tracked.assign(self.num_batches_tracked + 1)
            share: Tensor | float
            share = 1 / self.num_batches_tracked if self.momentum is None else self.momentum
            unbiased = var * (count / (count - 1))
            for running, batch in ((self.running_mean, mean), (self.running_var, unbiased)):
                before = running.cast(batch.dtype)
                running.assign(before * (1 - share) + batch.detach() * share)


class BatchNorm1d(BatchNorm):
    """`BatchNorm` of (batch, channels) or (batch, channels, length)."""

    _ranks = range(2, 4)


class BatchNorm2d(BatchNorm):
    """`BatchNorm` of (batch, channels, height, width)."""

    _ranks = range(4, 5)


class BatchNorm3d(BatchNorm):
    """`BatchNorm` of (batch, channels, depth, height, width)."""

    _ranks = range(5, 6)


class LayerNorm:
    """The last axes, of `normalized_shape`, brought to mean 0 and variance 1, then scaled and
    shifted (Ba, Kiros and Hinton 2016)."""

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: str | None = None,
    ) -> None:
        if isinstance(normalized_shape, int):
            normalized_shape = (normalized_shape,)
        self.normalized_shape = tuple(normalized_shape)
        self.eps = eps
        shape = self.normalized_shape
        self.weight = init.ones(*shape, device=device) if elementwise_affine else None
        self.bias = init.zeros(*shape, device=device) if elementwise_affine and bias else None

    def __call__(self, x: Tensor) -> Tensor:
        return x.layer_norm(self.normalized_shape, self.weight, self.bias, self.eps)


class RMSNorm:
    """The last axis over its root mean square, then scaled (Zhang and Sennrich 2019)."""

    def __init__(self, dim: int, eps: float | None = None, device: str | None = None) -> None:
        self.eps = eps
        self.weight = init.ones(dim, device=device)

    def __call__(self, x: Tensor) -> Tensor:
        return x.rms_norm(-1, self.weight, self.eps)


class GroupNorm:
    """The channels (axis 1) in groups, each sample's group brought to mean 0 and variance 1, then
    scaled and shifted a channel (Wu and He 2018)."""

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: str | None = None,
    ) -> None:
        if num_groups < 1 or num_channels % num_groups:
            raise ShapeError(
                f"GroupNorm: {num_groups} groups do not divide {num_channels} channels"
            )
        self.num_groups, self.num_channels, self.eps = num_groups, num_channels, eps
        self.weight = init.ones(num_channels, device=device) if affine else None
        self.bias = init.zeros(num_channels, device=device) if affine else None

    @rounded_once()
    def __call__(self, x: Tensor) -> Tensor:
        if x.ndim < 2 or x.shape[1] != self.num_channels:
            raise ShapeError(f"GroupNorm: input {x.shape} should have {self.num_channels} channels")
        self._check_counts(x)
        grouped = x.unflatten(1, (self.num_groups, -1)).flatten(2).layernorm(-1, eps=self.eps)
        made = grouped.reshape(x.shape)
        along = (-1, *(1,) * (x.ndim - 2))
        made = made if self.weight is None else made * self.weight.reshape(along)
        return made if self.bias is None else made + self.bias.reshape(along)

    def _check_counts(self, x: Tensor) -> None:
        """Raise ShapeError where nothing is left of what is normalised: one value a group."""
        if x.numel() and x.numel() == self.num_groups:
            raise ShapeError(f"GroupNorm: input {x.shape} has one value a group, and no variance")


class InstanceNorm(GroupNorm):
    """Each sample's channel brought to mean 0 and variance 1 (Ulyanov et al. 2016)."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        affine: bool = False,
        device: str | None = None,
    ) -> None:
        super().__init__(num_features, num_features, eps, affine, device)

    def _check_counts(self, x: Tensor) -> None:
        if math.prod(x.shape[2:]) == 1:
            raise ShapeError(f"InstanceNorm: input {x.shape} has one value a channel")


InstanceNorm1d = InstanceNorm2d = InstanceNorm3d = InstanceNorm

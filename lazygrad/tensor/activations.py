"""Activations and normalisations.

Each is written so that neither its value nor its gradient overflows, cancels or becomes nan
where the true one is an ordinary number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from ..errors import ArgumentError, ShapeError
from ..graph.ir import Const, LessEqual, Where
from .arguments import normalized_axes, normalized_axis, shape_of
from .core import TensorCore
from .precision import rounded_once
from .reduce import Axes, Reduction


class Activations(Reduction):
    """Functions that networks are made of."""

    __slots__ = ()

    # ------------------------------------------------------------------- rectifiers

    def relu(self) -> Self:
        """x where it is positive, else 0; nan stays nan. The gradient at 0 is 0."""
        node = self._node
        zero = Const(0, node.dtype, node.shape)
        return self._derived(Where(LessEqual(node, zero), zero, node))

    def relu6(self) -> Self:
        """x brought into [0, 6]."""
        return self.hardtanh(0, 6)

    def leaky_relu(self, negative_slope: float = 0.01) -> Self:
        """x where it is positive, else negative_slope * x."""
        return (self > 0).where(self, self * negative_slope)

    def prelu(self, weight: TensorCore) -> Self:
        """x where it is positive, else weight * x; one weight, or one a channel (axis 1)."""
        scale = self._as_tensor("prelu", weight)
        if scale.ndim > 1:
            raise ShapeError(f"prelu: weight {scale.shape} is neither one number nor a vector")
        scale = scale.reshape(()) if scale.numel() == 1 else scale
        if scale.numel() != 1:
            if self.ndim < 2 or scale.shape != (self.shape[1],):
                raise ShapeError(f"prelu: weight {scale.shape} does not fit input {self.shape}")
            scale = scale.reshape(-1, *(1,) * (self.ndim - 2))
        return (self > 0).where(self, self * scale)

    @rounded_once()
    def elu(self, alpha: float = 1.0) -> Self:
        """x where it is positive, else alpha * (e**x - 1)."""
        positive = self > 0
        return positive.where(self, positive.where(0, self).expm1() * alpha)

    @rounded_once()
    def celu(self, alpha: float = 1.0) -> Self:
        """x where it is positive, else alpha * (e**(x / alpha) - 1)."""
        if alpha == 0:
            raise ArgumentError("celu: alpha is not 0: x is divided by it")
        positive = self > 0
        return positive.where(self, (positive.where(0, self) / alpha).expm1() * alpha)

    @rounded_once()
    def selu(self) -> Self:
        """scale * elu(x, alpha), with the constants that keep mean 0 and variance 1
        (Klambauer et al. 2017, Self-Normalizing Neural Networks)."""
        return self.elu(1.6732632423543772) * 1.0507009873554805

    def hardtanh(self, min_value: float = -1, max_value: float = 1) -> Self:
        """x brought into [min_value, max_value]."""
        if min_value > max_value:
            raise ArgumentError(f"hardtanh: min_value {min_value} is above max_value {max_value}")
        return self._held((self <= min_value) | (self >= max_value), min_value, max_value)

    def _held(self, fixed: Self, least: float, most: float) -> Self:
        """x brought into [least, most], without a gradient where `fixed` holds."""
        return fixed.where(self._from_node(self.clamp(least, most).detach()._node), self)

    @rounded_once()
    def hardsigmoid(self) -> Self:
        """relu6(x + 3) / 6. The gradient at nan is 0."""
        x = self + 3
        return x._held(((x > 0) & (x < 6)).logical_not(), 0, 6) / 6

    @rounded_once()
    def hardswish(self) -> Self:
        """x * relu6(x + 3) / 6."""
        return self * (self + 3).hardtanh(0, 6) / 6

    @rounded_once()
    def softsign(self) -> Self:
        """x / (1 + |x|)."""
        return self / (self.abs() + 1)

    def softshrink(self, lambd: float = 0.5) -> Self:
        """x moved by lambd towards 0, and 0 within lambd of it."""
        if lambd < 0:
            raise ArgumentError(f"softshrink: lambd {lambd} is negative")
        moved = (self > 0).where(self - lambd, self + lambd)
        return (self.abs() <= lambd).where(0, moved)

    def hardshrink(self, lambd: float = 0.5) -> Self:
        """0 within lambd of 0, x elsewhere."""
        return (self.abs() <= lambd).where(0, self)

    @rounded_once()
    def tanhshrink(self) -> Self:
        """x - tanh(x)."""
        return self - self.tanh()

    @rounded_once()
    def threshold(self, threshold: float, value: float) -> Self:
        """x where it is above the threshold, else value."""
        return (self <= threshold).where(value, self)

    # ------------------------------------------------------------------- smooth ones

    @rounded_once()
    def sigmoid(self) -> Self:
        """1 / (1 + e**-x): as e / (1 + e) with e = e**x for negative x, so nothing overflows."""
        x = self._real("sigmoid")
        negative = x < 0
        e = negative.where(x, -x).exp()
        return negative.where(e, 1) / (e + 1)

    @rounded_once()
    def logsigmoid(self) -> Self:
        """log(sigmoid(x)) = -softplus(-x)."""
        return -(-self).softplus()

    @rounded_once()
    def softplus(self, beta: float = 1.0, threshold: float = 20.0) -> Self:
        """log(1 + e**(beta x)) / beta; x itself where beta x > threshold, as PyTorch has it."""
        x = self._real("softplus")
        scaled = x if beta == 1 else x * beta
        negative = scaled < 0
        made = negative.where(0, scaled) + negative.where(scaled, -scaled).exp().log1p()
        made = made if beta == 1 else made / beta
        return (scaled > threshold).where(x, made)

    @rounded_once(any_size=True)
    def silu(self) -> Self:
        """x * sigmoid(x)."""
        x = self._real("silu")
        return x * x.sigmoid()

    swish = silu

    @rounded_once()
    def mish(self) -> Self:
        """x * tanh(softplus(x))."""
        x = self._real("mish")
        return x * x.softplus().tanh()

    @rounded_once(any_size=True)
    def gelu(self, approximate: str = "none") -> Self:
        """x times the normal distribution's cumulative probability at x, by erf; or, with
        approximate="tanh", by tanh (Hendrycks and Gimpel 2016)."""
        x = self._real("gelu")
        if approximate == "tanh":
            inner = (x + x * x * x * 0.044715) * math.sqrt(2 / math.pi)
            return x * 0.5 * (inner.tanh() + 1)
        if approximate != "none":
            raise ArgumentError(f"gelu: approximate {approximate!r} is neither 'none' nor 'tanh'")
        return x * 0.5 * ((x * math.sqrt(0.5)).erf() + 1)

    @rounded_once()
    def quick_gelu(self) -> Self:
        """x * sigmoid(1.702 x)."""
        x = self._real("quick_gelu")
        return x * (x * 1.702).sigmoid()

    @rounded_once()
    def glu(self, axis: int = -1) -> Self:
        """The first half of an axis times the sigmoid of the second."""
        n = self.shape[normalized_axis("glu", axis, self.ndim)] if self.shape else 1
        if n % 2 or not n:
            raise ShapeError(f"glu: axis {axis} of {self.shape} has no two halves")
        a, b = self.chunk(2, axis)
        return a * b.sigmoid()

    # ------------------------------------------------------------------- normalisation

    def softmax(self, axis: int = -1, dtype: Any = None) -> Self:
        """e**x over the sum of e**x along an axis."""
        return (self if dtype is None else self.cast(dtype))._softmax(axis)

    def log_softmax(self, axis: int = -1, dtype: Any = None) -> Self:
        """log(softmax(x)), without the detour."""
        return (self if dtype is None else self.cast(dtype))._log_softmax(axis)

    @rounded_once(any_size=True)
    def _softmax(self, axis: int) -> Self:
        x = self._real("softmax")
        e = (x - x._top("softmax", axis)).exp()
        return e / e.sum(axis, keepdim=True)

    @rounded_once(any_size=True)
    def _log_softmax(self, axis: int) -> Self:
        x = self._real("log_softmax")
        shifted = x - x._top("log_softmax", axis)
        return shifted - shifted.exp().sum(axis, keepdim=True).log()

    def softmin(self, axis: int = -1) -> Self:
        """softmax(-x)."""
        return (-self).softmax(axis)

    @rounded_once()
    def normalize(self, p: float = 2, axis: int = 1, eps: float = 1e-12) -> Self:
        """x over its p-norm along an axis (or over eps, if that is larger)."""
        return self / self.norm(p, axis, keepdim=True).maximum(eps)

    @rounded_once(any_size=True)
    def layernorm(
        self,
        axis: Axes = -1,
        weight: TensorCore | None = None,
        bias: TensorCore | None = None,
        eps: float = 1e-5,
    ) -> Self:
        """(x - mean) / sqrt(variance + eps) over the axes, then scaled and shifted."""
        x = self._real("layernorm")
        centered = x - x.mean(axis, keepdim=True)
        made = centered * (centered.square().mean(axis, keepdim=True) + eps).rsqrt()
        return made._affine(weight, bias)

    @rounded_once(any_size=True)
    def layer_norm(
        self,
        normalized_shape: int | Sequence[int],
        weight: TensorCore | None = None,
        bias: TensorCore | None = None,
        eps: float = 1e-5,
    ) -> Self:
        """`layernorm` over the last axes, which must have `normalized_shape`."""
        shape = shape_of("layer_norm", normalized_shape)
        return self.layernorm(self._last_axes("layer_norm", shape, weight, bias), weight, bias, eps)

    def rms_norm(
        self,
        normalized_shape: int | Sequence[int] | None = None,
        weight: TensorCore | None = None,
        eps: float | None = None,
        *,
        axis: Axes = None,
    ) -> Self:
        """x / sqrt(mean(x*x) + eps) over the last axes, which must have `normalized_shape`, then
        scaled (Zhang and Sennrich 2019). With `axis`, or with no shape at all, over those axes or
        the last. eps is the dtype's machine epsilon unless given."""
        if normalized_shape is not None:
            shape = shape_of("rms_norm", normalized_shape)
            axis = self._last_axes("rms_norm", shape, weight)
        axis = -1 if axis is None else axis
        return self._rms_norm(axis, weight, eps)

    def _last_axes(
        self, name: str, shape: Sequence[int], *own: TensorCore | None
    ) -> tuple[int, ...]:
        """The last axes, which have this shape, as do what is scaled and shifted by."""
        if not shape or self.shape[self.ndim - len(shape) :] != tuple(shape):
            raise ShapeError(f"{name}: input {self.shape} does not end in {tuple(shape)}")
        for what, values in zip(("weight", "bias"), own, strict=False):
            if values is not None and values.shape != tuple(shape):
                raise ShapeError(f"{name}: {what} {values.shape} is not of shape {tuple(shape)}")
        return tuple(range(-len(shape), 0))

    @rounded_once(any_size=True)
    def _rms_norm(self, axis: Axes, weight: TensorCore | None, eps: float | None) -> Self:
        x = self._real("rms_norm")
        small = float(np.finfo(x.dtype.numpy).eps) if eps is None else eps
        made = x * (x.square().mean(axis, keepdim=True) + small).rsqrt()
        return made._affine(weight, None)

    def _affine(self, weight: TensorCore | None, bias: TensorCore | None) -> Self:
        made = self if weight is None else self * weight
        return made if bias is None else made + bias

    @rounded_once()
    def batchnorm(
        self,
        weight: TensorCore | None,
        bias: TensorCore | None,
        mean: TensorCore,
        invstd: TensorCore,
        axis: int | Sequence[int] = 1,
    ) -> Self:
        """(x - mean) * invstd * weight + bias, with one of each a channel, along `axis`; along
        several axes, with one of each for all their places."""
        axes = normalized_axes("batchnorm", axis, self.ndim)
        made = (self - self._channels(mean, axes)) * self._channels(invstd, axes)
        made = made if weight is None else made * self._channels(weight, axes)
        return made if bias is None else made + self._channels(bias, axes)

    def _channels(self, values: TensorCore, axes: tuple[int, ...]) -> Self:
        """Values laid along some axes of this tensor's rank; as they are where they have it."""
        if values.ndim == self.ndim:
            return self._as_tensor("batchnorm", values)
        shape = tuple(self.shape[i] if i in axes else 1 for i in range(self.ndim))
        if values.numel() != math.prod(shape):
            raise ShapeError(
                f"batchnorm: {values.shape} is not one value for each of the {math.prod(shape)} "
                f"channels of {self.shape}"
            )
        return self._as_tensor("batchnorm", values).reshape(shape)

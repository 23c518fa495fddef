"""Parameters with PyTorch's default initial values."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from .parameter import Parameter


def uniform(
    shape: tuple[int, ...], bound: float, device: str | None = None, dtype: Any = None
) -> Parameter:
    """A parameter, uniform in [-bound, bound)."""
    drawn = Tensor.uniform(*shape, low=-bound, high=bound, device=device)
    return Parameter(drawn if dtype is None else drawn.cast(dtype))


def weight_and_bias(
    shape: tuple[int, ...],
    fan_in: int,
    outputs: int,
    bias: bool,
    device: str | None = None,
    dtype: Any = None,
) -> tuple[Parameter, Parameter | None]:
    """A linear layer's or convolution's parameters, uniform within 1 / sqrt(fan in).

    That is `init.kaiming_uniform_` for a slope of sqrt(5), which PyTorch has by default.
    """
    bound = max(fan_in, 1) ** -0.5
    weight = uniform(shape, bound, device, dtype)
    return weight, uniform((outputs,), bound, device, dtype) if bias else None


def filled(value: float, *shape: int, device: str | None = None, dtype: Any = None) -> Parameter:
    """A parameter of one value."""
    return Parameter(Tensor.full(shape, float(value), dtype=dtype, device=device))

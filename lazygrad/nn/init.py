"""PyTorch's default initial weights."""

from __future__ import annotations

from ..tensor import Tensor


def uniform(shape: tuple[int, ...], bound: float, device: str | None = None) -> Tensor:
    """A parameter, uniform in [-bound, bound)."""
    return Tensor.uniform(*shape, low=-bound, high=bound, device=device, requires_grad=True)


def weight_and_bias(
    shape: tuple[int, ...], fan_in: int, outputs: int, bias: bool, device: str | None = None
) -> tuple[Tensor, Tensor | None]:
    """A linear layer's or convolution's parameters, uniform within 1 / sqrt(fan in).

    That is `kaiming_uniform` for a rectifier of slope sqrt(5), which PyTorch has by default.
    """
    bound = max(fan_in, 1) ** -0.5
    weight = uniform(shape, bound, device)
    return weight, uniform((outputs,), bound, device) if bias else None


def ones(*shape: int, device: str | None = None) -> Tensor:
    """A parameter of ones."""
    return Tensor.ones(*shape, device=device, requires_grad=True)


def zeros(*shape: int, device: str | None = None) -> Tensor:
    """A parameter of zeros."""
    return Tensor.zeros(*shape, device=device, requires_grad=True)

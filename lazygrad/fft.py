"""`lazygrad.fft`: the frequencies and the orders of Fourier transforms.

The transforms themselves give complex numbers, which there are none of: an error says what to
write instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .absent import FFT, absent_from
from .errors import ArgumentError, check_integers
from .tensor import Tensor
from .tensor.arguments import normalized_axis

__all__ = ["fftfreq", "fftshift", "ifftshift", "rfftfreq"]

Axes = int | Sequence[int] | None


def fftfreq(
    n: int, d: float = 1.0, *, dtype: Any = None, device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The frequency of each of n places of a transform of samples at distance d: first those from 0
    on, then the negative ones.

    lazygrad.fft.fftfreq(4).tolist() == [0.0, 0.25, -0.5, -0.25]
    """
    _verify("fftfreq", n)
    places = Tensor.arange(n, dtype=dtype or float, device=device)
    signed = (places < (n + 1) // 2).where(places, places - n)
    return (signed / (n * d)).requires_grad_(requires_grad)


def rfftfreq(
    n: int, d: float = 1.0, *, dtype: Any = None, device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The frequencies from 0 on: those of a transform of n real samples at distance d.

    lazygrad.fft.rfftfreq(4).tolist() == [0.0, 0.25, 0.5]
    """
    _verify("rfftfreq", n)
    places = Tensor.arange(n // 2 + 1, dtype=dtype or float, device=device)
    return (places / (max(n, 1) * d)).requires_grad_(requires_grad)


def fftshift(input: Tensor, dim: Axes = None) -> Tensor:
    """The frequency 0 moved from the beginning to the middle of the axes; of all, if none is given.

    lazygrad.fft.fftshift(lazygrad.fft.fftfreq(4)).tolist() == [-0.5, -0.25, 0.0, 0.25]
    """
    axes = _axes(input, dim)
    return input.roll([input.shape[axis] // 2 for axis in axes], axes)


def ifftshift(input: Tensor, dim: Axes = None) -> Tensor:
    """What undoes `fftshift`.

    lazygrad.fft.ifftshift(Tensor([-1.0, 0.0, 1.0])).tolist() == [0.0, 1.0, -1.0]
    """
    axes = _axes(input, dim)
    return input.roll([-(input.shape[axis] // 2) for axis in axes], axes)


def _axes(input: Tensor, dim: Axes) -> list[int]:
    if dim is None:
        return list(range(input.ndim))
    given = [dim] if isinstance(dim, int) else list(dim)
    return [normalized_axis("fft", axis, input.ndim) for axis in given] if input.ndim else []


def _verify(name: str, n: int) -> None:
    check_integers(n=n)
    if n < 0:
        raise ArgumentError(f"fft.{name}: {n} is no number of samples")


if not TYPE_CHECKING:
    __getattr__ = absent_from(__name__, FFT)

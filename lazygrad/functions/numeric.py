"""Functions of NumPy's kind: differences, integrals, distances, windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import dtypes
from ..errors import ArgumentError, ShapeError, check_integers, check_numbers
from ..tensor import Tensor
from ..tensor.arguments import normalized_axis, plain

# --------------------------------------------------------------------------- distances


def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str | None = None) -> Tensor:
    """The p-norm distance of each row of x1 to each of x2: (..., n, d), (..., m, d) -> (..., n, m).

    `compute_mode` says nothing here: differences are taken before they are squared.

        lazygrad.cdist(Tensor([[0.0, 0.0]]), Tensor([[3.0, 4.0]])).tolist() == [[5.0]]
    """
    if x1.ndim < 2 or x2.ndim < 2 or x1.shape[-1] != x2.shape[-1]:
        raise ShapeError(f"cdist: rows of {x1.shape} and {x2.shape} do not fit")
    if p < 0:
        raise ArgumentError(f"cdist: p {p} is negative")
    return (x1.unsqueeze(-2) - x2.unsqueeze(-3)).norm(p, -1)


def chain_matmul(*matrices: Tensor) -> Tensor:
    """The product of matrices, from left to right; `linalg.multi_dot` finds a cheap order.

    lazygrad.chain_matmul(Tensor([[1, 2]]), Tensor([[3], [4]])).tolist() == [[11]]
    """
    made = matrices[0]
    for matrix in matrices[1:]:
        made = made.mm(matrix)
    return made


# --------------------------------------------------------------------------- differences, integrals


def gradient(
    input: Tensor, *, spacing: Any = None, dim: Any = None, edge_order: int = 1
) -> tuple[Tensor, ...]:
    """The derivative along each axis, by central differences, and one-sided ones at the edges.

    `spacing` is the distance of neighbours, one for all axes or one each, or the coordinates along
    each axis (vectors). `edge_order` is 1 or 2.

        lazygrad.gradient(Tensor([1.0, 4.0, 9.0]))[0].tolist() == [3.0, 4.0, 5.0]
    """
    if edge_order not in (1, 2):
        raise ArgumentError(f"gradient: edge_order is 1 or 2, not {edge_order}")
    dim = plain(dim)
    axes = list(range(input.ndim)) if dim is None else [dim] if isinstance(dim, int) else list(dim)
    several = isinstance(spacing, (list, tuple))
    steps = list(spacing) if several else [1.0 if spacing is None else spacing] * len(axes)
    if len(steps) != len(axes):
        raise ArgumentError(f"gradient: {len(steps)} spacings for {len(axes)} axes")
    found = []
    for step, axis in zip(steps, axes, strict=True):
        at = normalized_axis("gradient", axis, input.ndim)
        n = input.shape[at]
        if n <= edge_order:
            raise ShapeError(f"gradient: axis {axis} of size {n} is too short for {edge_order=}")
        given = step if isinstance(step, Tensor) else Tensor.arange(n) * step
        if given.shape != (n,):
            raise ShapeError(f"gradient: {given.shape} coordinates for axis {axis} of size {n}")
        moved = input.movedim(at, -1)
        found.append(_along_last(moved, given.cast(moved.dtype), edge_order).movedim(-1, at))
    return tuple(found)


def _along_last(y: Tensor, x: Tensor, edge_order: int) -> Tensor:
    """dy/dx along the last axis, at coordinates that need not be evenly spaced."""
    h = x[1:] - x[:-1]
    slope = (y[..., 1:] - y[..., :-1]) / h
    total = h[1:] + h[:-1]
    inner = (slope[..., :-1] * h[1:] + slope[..., 1:] * h[:-1]) / total
    first, last = slope[..., :1], slope[..., -1:]
    if edge_order == 2:
        first = first + (first - slope[..., 1:2]) * h[0] / total[0]
        last = last + (last - slope[..., -2:-1]) * h[-1] / total[-1]
    return first.cat(inner, last, axis=-1)


def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: Any = 1.0, dim: int = -1) -> Tensor:
    """The integral along an axis by the trapezoidal rule, at coordinates x, or dx apart.

    lazygrad.trapezoid(Tensor([1.0, 2.0, 3.0])).tolist() == 4.0
    """
    return _areas("trapezoid", y, x, dx, dim).sum(-1)


trapz = trapezoid


def cumulative_trapezoid(
    y: Tensor, x: Tensor | None = None, *, dx: Any = 1.0, dim: int = -1
) -> Tensor:
    """The integrals from the first element to each later one, by the trapezoidal rule.

    lazygrad.cumulative_trapezoid(Tensor([1.0, 2.0, 3.0])).tolist() == [1.5, 4.0]
    """
    return _areas("cumulative_trapezoid", y, x, dx, dim).cumsum(-1).movedim(-1, dim)


def _areas(name: str, y: Tensor, x: Tensor | None, dx: Any, axis: int) -> Tensor:
    """The areas between neighbours, along the last axis."""
    axis = normalized_axis(name, axis, y.ndim)
    moved = y.movedim(axis, -1)
    width: Tensor | float = dx
    if x is not None:
        along = x if x.ndim == 1 else x.movedim(axis - y.ndim, -1)
        width = along[..., 1:] - along[..., :-1]
    return (moved[..., 1:] + moved[..., :-1]) * 0.5 * width


# --------------------------------------------------------------------------- indices


def unravel_index(indices: Tensor, shape: Sequence[int]) -> tuple[Tensor, ...]:
    """Indices of a flattened array of a shape as one index an axis.

    [i.tolist() for i in lazygrad.unravel_index(Tensor([5]), (2, 3))] == [[1], [2]]
    """
    found = []
    for n in reversed(shape):
        found.append(indices % n)
        indices = indices // n
    return tuple(reversed(found))


# --------------------------------------------------------------------------- windows


def hann_window(window_length: int, periodic: bool = True, **options: Any) -> Tensor:
    """sin(pi n / N)**2. Periodic windows have N = their length, others one less.

    lazygrad.hann_window(4).tolist() == [0.0, 0.5, 1.0, 0.5]
    """
    return hamming_window(window_length, periodic, 0.5, 0.5, **options)


def hamming_window(
    window_length: int,
    periodic: bool = True,
    alpha: float = 0.54,
    beta: float = 0.46,
    **options: Any,
) -> Tensor:
    """alpha - beta cos(2 pi n / N).

    lazygrad.hamming_window(1).tolist() == [1.0]
    """
    return _cosines(window_length, periodic, (alpha, -beta), options)


def blackman_window(window_length: int, periodic: bool = True, **options: Any) -> Tensor:
    """0.42 - 0.5 cos(2 pi n / N) + 0.08 cos(4 pi n / N).

    lazygrad.blackman_window(1).tolist() == [1.0]
    """
    return _cosines(window_length, periodic, (0.42, -0.5, 0.08), options)


def bartlett_window(window_length: int, periodic: bool = True, **options: Any) -> Tensor:
    """A triangle: 1 - |2 n / N - 1|.

    lazygrad.bartlett_window(4).tolist() == [0.0, 0.5, 1.0, 0.5]
    """
    places = _places(window_length, periodic)
    return _window(1 - np.abs(2 * places - 1), window_length, options)


def kaiser_window(
    window_length: int, periodic: bool = True, beta: float = 12.0, **options: Any
) -> Tensor:
    """I0(beta sqrt(1 - (2 n / N - 1)**2)) / I0(beta), with the Bessel function I0.

    lazygrad.kaiser_window(3, periodic=False, beta=0.0).tolist() == [1.0, 1.0, 1.0]
    """
    check_numbers(beta=beta)
    inside = 1 - (2 * _places(window_length, periodic) - 1) ** 2
    values = np.i0(beta * np.sqrt(np.maximum(inside, 0))) / np.i0(beta)
    return _window(values, window_length, options)


def _places(length: int, periodic: bool) -> Any:
    """n / N for n = 0, 1, ..., length - 1."""
    check_integers(window_length=length)
    if length < 0:
        raise ArgumentError(f"window: window_length {length} is negative")
    return np.arange(length) / max(length if periodic else length - 1, 1)


def _cosines(length: int, periodic: bool, parts: Sequence[float], options: Any) -> Tensor:
    places = _places(length, periodic)
    values = sum(c * np.cos(2 * np.pi * k * places) for k, c in enumerate(parts))
    return _window(values, length, options)


def _window(values: Any, length: int, options: dict[str, Any]) -> Tensor:
    """The values as a tensor; a window of one element is 1."""
    dtype = options.pop("dtype", None) or dtypes.default_float
    return Tensor(np.ones(1) if length == 1 else np.asarray(values), dtype, **options)


__all__ = [
    "bartlett_window", "blackman_window", "cdist", "chain_matmul", "cumulative_trapezoid",
    "gradient", "hamming_window", "hann_window", "kaiser_window", "trapezoid", "trapz",
    "unravel_index",
]  # fmt: skip

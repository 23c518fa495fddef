"""Convolution with 3x3 filters by Winograd's minimal filtering, F(2x2, 3x3).

    y = A^T [ sum over c of (G w G^T) * (B^T d B) ] A

w are filters, d tiles of 4x4 pixels of the input, two pixels apart, and y tiles of 2x2 pixels of
the output. A tile takes 16 products a channel instead of 36. (Lavin and Gray 2016, "Fast Algorithms
for Convolutional Neural Networks", section 4.1.) A pass makes these nodes; tensors do not.
"""

from __future__ import annotations

from ...dtypes import DType
from ...errors import DTypeError, ShapeError
from .node import Node, Shape

Matrix = tuple[tuple[float, ...], ...]

FILTER: Matrix = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))  # G
INPUT: Matrix = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))  # B^T
OUTPUT: Matrix = ((1, 1, 1, 0), (0, 1, -1, -1))  # A^T

TAPS, POINTS, TILE = 3, 4, 2  # of a filter, of an input's tile and of an output's, along one axis


class WinogradFilter(Node):
    """G w G^T of every filter of w (O, C, 3, 3): (4, 4, C, O)."""

    w: Node

    def _infer(self) -> tuple[Shape, DType]:
        shape = self.w.shape
        if len(shape) != 4 or shape[2:] != (TAPS, TAPS):
            raise ShapeError(f"winogradfilter: {shape} is not (O, C, {TAPS}, {TAPS})")
        if not self.w.dtype.is_float:
            raise DTypeError(f"winogradfilter: filters of {self.w.dtype}")
        return (POINTS, POINTS, shape[1], shape[0]), self.w.dtype


class Winograd(Node):
    """The cross-correlation of x (N, C, H + 2, W + 2) with filters w (O, C, 3, 3): (N, O, H, W),
    for even H and W. u is WinogradFilter(w)."""

    x: Node
    u: Node
    w: Node

    def _infer(self) -> tuple[Shape, DType]:
        x, u = self.x.shape, self.u.shape
        if len(x) != 4 or len(u) != 4 or u[:2] != (POINTS, POINTS) or x[1] != u[2]:
            raise ShapeError(f"winograd: input {x} and filters {u} do not fit")
        if self.w.shape != (u[3], u[2], TAPS, TAPS) or self.w.dtype != self.u.dtype:
            raise ShapeError(f"winograd: filters {u} are not those of {self.w}")
        if any(n < POINTS or n % TILE for n in x[2:]):
            raise ShapeError(f"winograd: input {x} has no whole tiles")
        if self.x.dtype != self.u.dtype or not self.x.dtype.is_float:
            raise DTypeError(f"winograd: input {self.x.dtype} and filters {self.u.dtype}")
        return (x[0], u[3], x[2] - TAPS + 1, x[3] - TAPS + 1), self.x.dtype

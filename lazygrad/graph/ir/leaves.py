"""Nodes without inputs: memory, constants, and the numbers 0, 1, 2, ..."""

from __future__ import annotations

import math
import struct
from typing import Any, Protocol

from ...dtypes import DType, int64
from ...errors import ShapeError
from .node import Node, Shape


class Storage(Protocol):
    """The memory of a Buffer node, on a device (runtime.buffer.DeviceBuffer)."""

    size: int
    dtype: DType
    device: str


class Buffer(Node):
    """The elements of a storage, in row-major order. One for each storage and shape."""

    storage: Storage
    shape_: Shape

    @classmethod
    def _keyed(cls, args: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return (cls, id(args[0]), args[1]), args  # a node keeps its storage: ids stay unique

    def _infer(self) -> tuple[Shape, DType]:
        if math.prod(self.shape_) != self.storage.size:
            raise ShapeError(
                f"buffer: {self.storage.size} elements cannot have shape {self.shape_}"
            )
        return self.shape_, self.storage.dtype

    def _infer_device(self) -> str | None:
        return self.storage.device


_BITS = struct.Struct("<d").pack


def _as_element(value: bool | int | float, dtype: DType) -> bool | int | float:
    """A number as the bool, int or float of a dtype; integers wrap, as in casts of NumPy and C."""
    if dtype.is_float:
        return float(value)
    if not dtype.is_int:
        return bool(value)
    bits = 8 * dtype.itemsize
    wrapped = int(value) & ((1 << bits) - 1)
    return wrapped - (1 << bits) if dtype.kind == "int" and wrapped >> (bits - 1) else wrapped


class Const(Node):
    """One value in every element. Keyed by bits: 0.0 is not -0.0, nan is itself, 1 is not True."""

    value: bool | int | float
    dtype_: DType
    shape_: Shape = ()

    @classmethod
    def _keyed(cls, args: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        value, dtype, shape = args
        value = _as_element(value, dtype)
        bits = _BITS(value) if dtype.is_float else value
        return (cls, bits, dtype, shape), (value, dtype, shape)

    def _infer(self) -> tuple[Shape, DType]:
        return self.shape_, self.dtype_


class Iota(Node):
    """0, 1, ..., size - 1."""

    size_: int
    dtype_: DType = int64

    def _infer(self) -> tuple[Shape, DType]:
        return (self.size_,), self.dtype_

    @property
    def attributes(self) -> dict[str, Any]:
        return {}

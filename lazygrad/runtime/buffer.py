"""Storage: the memory that realized tensors refer to."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import dtypes
from ..dtypes import DType, to_dtype
from ..graph.ir import Node, NodeDict
from .device import Device
from .flags import look
from .room import Roomy

Array = np.ndarray[Any, Any]

_NUMBERS: dict[DType, Any] = {
    dtypes.bool_: ctypes.c_bool, dtypes.float32: ctypes.c_float, dtypes.float64: ctypes.c_double,
    dtypes.int8: ctypes.c_int8, dtypes.int16: ctypes.c_int16, dtypes.int32: ctypes.c_int32,
    dtypes.int64: ctypes.c_int64, dtypes.uint8: ctypes.c_uint8, dtypes.uint16: ctypes.c_uint16,
    dtypes.uint32: ctypes.c_uint32, dtypes.uint64: ctypes.c_uint64,
}  # fmt: skip
"""The types of C for dtypes that it has."""


@dataclass(eq=False, repr=False, slots=True, weakref_slot=True)
class DeviceBuffer:
    """`size` elements of `dtype` in the memory of `device`.

    `memory` is the device's own handle; the device takes the memory back when nothing refers to the
    handle. Memory is overwritten only when nothing else can see its elements. `is_shared`: a NumPy
    array has the same memory, and its owner may write to it. `held` is the handle, or a Roomy
    (room.py), which the first read of `memory` replaces by a handle.
    """

    size: int
    dtype: DType
    device: str
    held: Any
    is_shared: bool = False

    @property
    def memory(self) -> Any:
        """The device's handle of memory with these elements, in row-major order."""
        held = self.held  # read once: another thread may ask, too
        if held.__class__ is Roomy:
            held = self.held = held.plain()
        return held

    @memory.setter
    def memory(self, memory: Any) -> None:
        self.held = memory

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    @classmethod
    def from_numpy(cls, array: Array, device: str) -> DeviceBuffer:
        """The elements of `array` in row-major order.

        On the CPU they stay where they are, if the array is contiguous and aligned as the device
        wants it. Raises OutOfMemoryError.
        """
        array = np.ascontiguousarray(array)
        memory = Device.get(device).upload(array)
        return cls(array.size, to_dtype(array.dtype), device, memory, is_shared=True)

    @classmethod
    def of_number(cls, value: bool | int | float, dtype: DType, device: str) -> DeviceBuffer:
        """One element."""
        return cls.from_numpy(np.array(value, dtype.numpy), device)

    def item(self) -> bool | int | float:
        """The only element as a number of Python. Raises as `numpy` does."""
        kind = _NUMBERS.get(self.dtype)
        number: bool | int | float
        if kind is not None and hasattr(memory := self.memory, "__array_interface__"):
            # the host's own memory: to make an array of it would take three times as long
            number = kind.from_address(memory.__array_interface__["data"][0]).value
        else:
            element = self.numpy()[0]
            number = float(element) if self.dtype.is_float else element.item()
        return number

    def extremes(self) -> tuple[int, int]:
        """The least and the largest of some integers or bools. Raises as `numpy` does."""
        if self.size == 1:
            only = int(self.item())
            return only, only
        values = self.numpy()
        return int(values.min()), int(values.max())

    def numpy(self) -> Array:
        """The elements in one dimension: on the CPU a view that keeps the memory alive; from any
        other device a copy, made when the device has finished its work. Raises IndexError for an
        index that was out of range on that device."""
        if hasattr(self.memory, "__array_interface__"):  # a block of the host's own memory
            return np.asarray(self.memory)[: self.nbytes].view(self.dtype.numpy)
        copy = np.empty(self.size, self.dtype.numpy)
        Device.get(self.device).download(self.memory, copy)
        look(self.device)
        return copy


realized: NodeDict[DeviceBuffer] = NodeDict()
"""The storage of computed nodes that are still alive; such a node is a leaf of the next graph."""

interceptor: ContextVar[Callable[[Sequence[Node]], list[DeviceBuffer]] | None] = ContextVar(
    "interceptor", default=None
)
"""While `jit` captures a function: what `compile.realize` calls instead of computing; else None."""

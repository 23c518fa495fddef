"""Storage: the memory that realized tensors refer to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any
from weakref import ref

import numpy as np

from ..dtypes import DType, to_dtype
from ..graph.ir import Node
from .device import Device
from .flags import look
from .room import Roomy

Array = np.ndarray[Any, Any]


class DeviceBuffer:
    """`size` elements of `dtype` in the memory of `device`.

    `memory` is the device's own handle; it goes back to the device when nothing refers to it. Its
    elements never change while anything else can see them. `is_shared` says that they are a NumPy
    array's too, whose owner may write to it. `held` is the memory, or a Roomy in its place, until
    somebody asks for the memory.
    """

    __slots__ = ("__weakref__", "device", "dtype", "held", "is_shared", "size")

    def __init__(
        self, size: int, dtype: DType, device: str, memory: Any, is_shared: bool = False
    ) -> None:
        self.size = size
        self.dtype = dtype
        self.device = device
        self.held = memory
        self.is_shared = is_shared

    @property
    def memory(self) -> Any:
        """The device's handle of these elements alone."""
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

    def numpy(self) -> Array:
        """The elements in one dimension: on the CPU a view that keeps the memory alive, else a
        copy, for which the device's work is waited for; then an index that was out of range there
        raises IndexError."""
        if hasattr(self.memory, "__array_interface__"):  # a block of the host's own memory
            return np.asarray(self.memory)[: self.nbytes].view(self.dtype.numpy)
        copy = np.empty(self.size, self.dtype.numpy)
        Device.get(self.device).download(self.memory, copy)
        look(self.device)
        return copy


class _Reference(ref[Node]):
    """A weak reference that knows its node's id."""

    __slots__ = ("id",)
    id: int


class Storages:
    """The memory of nodes, as long as they are alive. In effect a WeakKeyDictionary whose look-ups
    make no reference: nodes are asked for by the thousand."""

    def __init__(self) -> None:
        self._found: dict[int, tuple[_Reference, DeviceBuffer]] = {}  # by the nodes' ids

    def __contains__(self, node: Node, /) -> bool:
        return id(node) in self._found

    def __getitem__(self, node: Node) -> DeviceBuffer:
        return self._found[id(node)][1]

    def __setitem__(self, node: Node, storage: DeviceBuffer) -> None:
        reference = _Reference(node, self._gone)
        reference.id = id(node)
        self._found[id(node)] = reference, storage

    def __iter__(self) -> Iterator[Node]:
        found = [reference() for reference, _ in list(self._found.values())]
        return iter([node for node in found if node is not None])

    def get(self, node: Node) -> DeviceBuffer | None:
        """The memory of a node; None if it has none."""
        found = self._found.get(id(node))
        return None if found is None else found[1]

    def forget(self, node: Node) -> None:
        """Forget the memory of a node, if it has any."""
        self._found.pop(id(node), None)

    def isdisjoint(self, nodes: Iterable[Node], /) -> bool:
        """Whether none of the nodes has memory."""
        return self._found.keys().isdisjoint(map(id, nodes))

    def _gone(self, reference: Any) -> None:
        """Drop the entry of a node that is gone; unless it has a new one."""
        found = self._found.get(reference.id)
        if found is not None and found[0] is reference:
            del self._found[reference.id]


realized = Storages()
"""The memory of computed nodes that are still alive; such a node is a leaf of the next graph."""

interceptor: ContextVar[Callable[[Sequence[Node]], list[DeviceBuffer]] | None] = ContextVar(
    "interceptor", default=None
)
"""The function that `compile.realize` calls in its place while `jit` captures; else None."""

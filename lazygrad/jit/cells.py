"""Tensors from outside that a captured function reads and sets, without building a graph.

A tensor that a call sets keeps its node and storage, and only the memory is replaced or
overwritten, as long as nobody else holds them. Reference counts tell: whoever holds an older value
(an expression, another tensor, a NumPy view) holds its node, storage or memory. In that case the
tensor gets a new node and storage, and the older value stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from sys import getrefcount
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from ..dtypes import DType
from ..graph.ir import Buffer, Node, Shape
from ..runtime.buffer import DeviceBuffer, realized
from ..runtime.device import Device
from ..runtime.execute import Output
from ..tensor.core import TensorCore
from ..tensor.views import HELD_ONCE
from .structure import Mismatch

HELD_TWICE = HELD_ONCE + 1


class Cell:
    """A tensor from outside the function, and the node and storage that it was last seen with.

    All replays share one cell a tensor. Beside the tensor, only the cell holds node and storage.
    """

    __slots__ = ("__weakref__", "node", "storage", "tensor", "version")

    node: Node
    storage: DeviceBuffer

    def __init__(self, tensor: TensorCore) -> None:
        self.tensor = tensor
        self.version = 0
        self._follow()

    @classmethod
    def of(cls, tensor: TensorCore) -> Cell:
        """The cell of a tensor."""
        cell = _cells.get(id(tensor))
        if cell is None or cell.tensor is not tensor:
            cell = _cells[id(tensor)] = cls(tensor)
        return cell

    def look(self) -> DeviceBuffer:
        """The storage of the tensor's value now."""
        if self.tensor._node is not self.node:
            self._follow()
        return self.storage

    def _follow(self) -> None:
        """Note the node and the storage that the tensor has now; compute it if need be."""
        tensor = self.tensor
        if tensor.storage is None:
            tensor.realize()
        self.node = tensor._node
        storage = tensor.storage
        assert storage is not None
        self.storage = storage
        self.version += 1

    def is_alone(self) -> bool:
        """Whether nobody else can see the tensor's node and storage."""
        return getrefcount(self.node) == HELD_TWICE and getrefcount(self.storage) == HELD_TWICE

    def writable(self) -> Any:
        """Memory that holds the tensor's value and that nobody else can see: its own, or a copy.

        Requires: `look` would find nothing new.
        """
        if (
            not self.is_alone()
            or self.storage.is_shared
            or getrefcount(self.storage.memory) != HELD_ONCE
        ):
            self.set(_copied(self.storage))
        return self.storage.memory

    def set(self, memory: Any) -> None:
        """Give the tensor the value that is in `memory`."""
        self.tensor._version += 1  # for its views
        if self.tensor._node is self.node and self.is_alone():
            self.storage.memory = memory
            self.storage.is_shared = False
            return
        old = self.storage
        storage = DeviceBuffer(old.size, old.dtype, old.device, memory)
        self.tensor.node = Buffer(storage, self.node.shape)
        self._follow()


_cells: WeakValueDictionary[int, Cell] = WeakValueDictionary()


def _copied(storage: DeviceBuffer) -> Any:
    return Device.get(storage.device).upload(np.array(storage.numpy()))


@dataclass(eq=False, slots=True)
class GradientCell:
    """Sets the gradient of a tensor from outside."""

    owner: TensorCore
    cell: Cell | None = None

    def set(self, memory: Any, output: Output, shape: Shape) -> None:
        """Set the gradient: in the tensor that was the gradient, if nobody else holds it; else in a
        new one."""
        cell = self.cell
        if (
            cell is not None
            and self.owner._grad is cell.tensor
            and getrefcount(cell.tensor) == HELD_TWICE
        ):
            cell.set(memory)
            return
        self.owner._grad = type(self.owner)._from_storage(output.storage(memory), shape)
        self.cell = Cell(self.owner._grad)


Kind = tuple[Shape, DType, str]


def kind_of(tensor: TensorCore) -> Kind:
    """The kind of a tensor: what must stay the same while its value may change."""
    node = tensor._node
    return node.shape, node.dtype, node.device or Device.DEFAULT


def _told(kind: Kind) -> str:
    """A kind, for users."""
    shape, dtype, device = kind
    return f"a tensor of {dtype} {shape} on {device}"


@dataclass(eq=False, slots=True)
class Read:
    """A tensor from outside that the function reads, and what kind of tensor it was."""

    place: int  # among the plan's leaves; -1 where only its kind is read
    cell: Cell
    is_taken: bool  # whether an output overwrites it
    requires_grad: bool
    kind: Kind
    version: int = -1

    def use(self) -> tuple[Any, ...]:
        """All but the cell: what captures compare."""
        return self.place, self.is_taken, self.requires_grad, self.kind

    def at(self, shape: Shape) -> Read:
        """The read of the tensor where it has another shape."""
        if shape == self.kind[0]:
            return self
        return replace(self, kind=(shape, *self.kind[1:]), version=-1)

    def look(self) -> None:
        """Follow the tensor to a node set elsewhere. Raises Mismatch if its kind is another."""
        self.cell.look()
        tensor = self.cell.tensor
        if self.cell.version != self.version:
            if (kind := kind_of(tensor)) != self.kind:
                raise Mismatch(f"{_told(self.kind)} became {_told(kind)}")
            if tensor._requires_grad and not tensor.is_leaf:
                raise Mismatch
            self.version = self.cell.version


def gather(
    reads: Sequence[Read], memories: list[Any], handle: Callable[[DeviceBuffer], Any]
) -> None:
    """Put the memory of every tensor that is read into `memories`, as the plan's `handle` gives it.
    Raises Mismatch where a tensor is of another kind."""
    for read in reads:
        cell = read.cell
        tensor = cell.tensor
        is_view = tensor._base is not None  # its node may be out of date until it is read
        if is_view or tensor._own is not cell.node or cell.version != read.version:
            read.look()
        if tensor._requires is not read.requires_grad:
            raise Mismatch
        if read.is_taken:
            memories[read.place] = cell.writable()
        elif read.place >= 0:
            memories[read.place] = handle(cell.storage)


def storage_of(tensor: TensorCore) -> DeviceBuffer:
    """The storage of a tensor's value, which is computed now if it was not yet."""
    node = tensor._node
    if isinstance(node, Buffer):
        return node.storage  # type: ignore[return-value]
    storage = realized.get(node)
    if storage is None:
        storage = tensor.realize().storage
        assert storage is not None
    return storage


def gradient_of(tensor: TensorCore, kind: Kind) -> DeviceBuffer:
    """The storage of a tensor's gradient. Raises Mismatch where it has none of this kind."""
    grad = tensor._grad
    if grad is None or kind_of(grad) != kind:
        raise Mismatch
    return storage_of(grad)

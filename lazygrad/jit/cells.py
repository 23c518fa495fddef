"""Tensors from outside that a captured function reads and sets, without building a graph.

Tensors that a call sets keep their node and storage from call to call, and only the memory is
exchanged or overwritten, as long as nobody else holds them. That is known by counting references:
whoever holds an older value (an expression, another tensor, a NumPy view) holds the node, the
storage or the memory. Then the tensor gets new ones, and the older value stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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

    There is one cell a tensor, whoever replays; it holds node and storage once, beside the tensor.
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
        """Take up what the tensor was bound to elsewhere."""
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
        """Memory with the tensor's value, that nobody else can see: its own, or a copy."""
        self.look()
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


class GradientCell:
    """Sets the gradient of a tensor from outside."""

    __slots__ = ("cell", "owner")

    def __init__(self, owner: TensorCore) -> None:
        self.owner = owner
        self.cell: Cell | None = None

    def set(self, memory: Any, output: Output, shape: Shape) -> None:
        """Give the tensor a gradient: the object that it had, if nobody else holds that."""
        cell = self.cell
        if (
            cell is not None
            and self.owner._grad is cell.tensor
            and getrefcount(cell.tensor) == HELD_TWICE
        ):
            cell.set(memory)
            return
        storage = DeviceBuffer(output.size, output.dtype, output.device, memory)
        self.owner._grad = type(self.owner)._from_storage(storage, shape)
        self.cell = Cell(self.owner._grad)


Kind = tuple[Shape, DType, str]


def kind_of(tensor: TensorCore) -> Kind:
    """What must stay the same of a tensor whose value may change."""
    node = tensor._node
    return node.shape, node.dtype, node.device or Device.DEFAULT


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
        """What is read of the tensor, and where to."""
        return self.place, self.is_taken, self.requires_grad, self.kind

    def look(self) -> None:
        """Take up what the tensor was bound to elsewhere. Raises Mismatch for another kind."""
        self.cell.look()
        tensor = self.cell.tensor
        if self.cell.version != self.version:
            if kind_of(tensor) != self.kind or (tensor._requires_grad and not tensor.is_leaf):
                raise Mismatch
            self.version = self.cell.version


def gather(
    reads: Sequence[Read], memories: list[Any], handle: Callable[[DeviceBuffer], Any]
) -> None:
    """What a plan takes of every tensor that is read (its `handle`). Raises Mismatch where one is
    of another kind."""
    for read in reads:
        cell = read.cell
        tensor = cell.tensor
        is_view = tensor._base is not None  # whose slots follow when it is looked at
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

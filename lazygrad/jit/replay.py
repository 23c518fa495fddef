"""A captured function: a plan, what it reads, and where its outputs go. No graph is built.

Tensors that a call sets keep their node and storage from call to call, and only the memory is
exchanged or overwritten, as long as nobody else holds them. That is known by counting references:
whoever holds an older value (an expression, another tensor, a NumPy view) holds the node, the
storage or the memory. Then the tensor gets new ones, and the older value stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from sys import getrefcount
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from ..errors import JitError, OutOfMemoryError
from ..graph.ir import Buffer, Node, Shape
from ..runtime.buffer import DeviceBuffer, realized
from ..runtime.device import Device
from ..runtime.execute import Output, Plan
from ..tensor import Tensor
from ..tensor.core import TensorCore
from ..tensor.realize import written


class Mismatch(Exception):
    """State is not what it was when the function was captured: another capture is needed."""


class _Holder:
    """Holds one object, to learn what getrefcount says of an object held once."""

    __slots__ = ("item",)

    def __init__(self) -> None:
        self.item = object()


_holder = _Holder()
HELD_ONCE = getrefcount(_holder.item)
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
        self.tensor._version += 1
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
            and self.owner.grad is cell.tensor
            and getrefcount(cell.tensor) == HELD_TWICE
        ):
            cell.set(memory)
            return
        storage = DeviceBuffer(output.size, output.dtype, output.device, memory)
        self.owner.grad = type(self.owner)._from_storage(storage, shape)
        self.cell = Cell(self.owner.grad)


@dataclass(eq=False, slots=True)
class Read:
    """A tensor from outside that the function reads, as it was at the capture."""

    place: int  # among the plan's leaves
    cell: Cell
    is_taken: bool  # whether an output overwrites it
    shape: Shape
    requires_grad: bool
    version: int = 0

    def memory(self) -> Any:
        """The memory of the tensor's value. Raises Mismatch if it is another kind of value."""
        cell = self.cell
        memory = cell.look().memory
        if cell.version != self.version:
            if cell.node.shape != self.shape:
                raise Mismatch
            self.version = cell.version
        if cell.tensor._requires_grad is not self.requires_grad:
            raise Mismatch
        if self.is_taken:
            del memory  # or it would be counted
            return cell.writable()
        return memory


@dataclass(eq=False, slots=True)
class Effects:
    """What a call does beside computing its result; numbers count the plan's outputs."""

    cells: list[tuple[Cell, int]] = field(default_factory=list)
    arguments: list[tuple[int, int]] = field(default_factory=list)  # argument, output
    gradients: list[tuple[GradientCell, int | None]] = field(default_factory=list)
    argument_gradients: list[tuple[int, int | None]] = field(default_factory=list)
    attributes: list[tuple[TensorCore, str, Any]] = field(default_factory=list)
    kept: list[tuple[TensorCore, int]] = field(default_factory=list)  # made, and kept outside


@dataclass(eq=False, slots=True)
class Replay:
    """Calls a captured function.

    `memories` are those of the plan's leaves, where they are constant; `constants` keeps them
    alive. The result is what `result` makes of fresh tensors' makers and the arguments.
    """

    plan: Plan
    memories: list[Any]
    constants: list[DeviceBuffer]
    arguments: list[tuple[int, int]]  # place, argument
    argument_gradients: list[tuple[int, int]]  # place, argument
    reads: list[Read]
    gradients: list[tuple[int, TensorCore]]  # place, the tensor whose gradient is read
    has_gradient: list[tuple[TensorCore, bool]]  # whose gradient decided, and if there was one
    effects: Effects
    shapes: list[Shape]  # of the outputs
    result: Callable[[Callable[[int], TensorCore], Sequence[TensorCore]], Any]
    set_ids: frozenset[int] = frozenset()  # of the tensors that a call sets

    def __call__(self, tensors: Sequence[TensorCore]) -> Any:
        """Compute, set what the function sets, and return what it returns.

        Raises Mismatch, before anything is done, where the function must be captured anew.
        """
        memories = self._gather(tensors)
        try:
            found = self.plan.execute(memories)
        except OutOfMemoryError as error:
            raise error.with_traceback(None) from error.__cause__  # as realize() tells it
        del memories  # what is set below must not be counted as held here
        self._apply(found, tensors)
        outputs, shapes = self.plan.outputs, self.shapes

        def fresh(n: int) -> TensorCore:
            output = outputs[n]
            storage = DeviceBuffer(output.size, output.dtype, output.device, found[n])
            return Tensor._from_storage(storage, shapes[n])

        return self.result(fresh, tensors)

    def _gather(self, tensors: Sequence[TensorCore]) -> list[Any]:
        """The memory of every leaf."""
        for tensor, had in self.has_gradient:
            if (tensor.grad is not None) is not had:
                raise Mismatch
        if self.set_ids:
            for tensor in tensors:
                if id(tensor) in self.set_ids:
                    raise JitError(
                        f"jit: an argument of shape {tensor.shape} is also a tensor that the "
                        "function sets by another name; pass it, or use it from outside, not both"
                    )
        memories = self.memories.copy()
        for read in self.reads:
            memories[read.place] = read.memory()
        for place, n in self.arguments:
            memories[place] = memory_of(tensors[n])
        for place, n in self.argument_gradients:
            memories[place] = memory_of(_gradient(tensors[n]))
        for place, tensor in self.gradients:
            memories[place] = memory_of(_gradient(tensor))
        return memories

    def _apply(self, found: Sequence[Any], tensors: Sequence[TensorCore]) -> None:
        """Set what the function sets."""
        effects, outputs, shapes = self.effects, self.plan.outputs, self.shapes
        for cell, n in effects.cells:
            if found[n] is cell.storage.memory:
                cell.tensor._version += 1  # for its views
            else:
                cell.set(found[n])
            written.pop(id(cell.tensor), None)
        for argument, n in effects.arguments:
            tensor = tensors[argument]
            if tensor._base is None:
                Cell.of(tensor).set(found[n])
            else:
                output = outputs[n]
                storage = DeviceBuffer(output.size, output.dtype, output.device, found[n])
                tensor.assign(type(tensor)._from_storage(storage, shapes[n]))
        for gradient, at in effects.gradients:
            if at is None:
                gradient.owner.grad = None
            else:
                gradient.set(found[at], outputs[at], shapes[at])
        for argument, at in effects.argument_gradients:
            owner = tensors[argument]
            if at is None:
                owner.grad = None
            else:
                GradientCell(owner).set(found[at], outputs[at], shapes[at])
        for tensor, name, value in effects.attributes:
            setattr(tensor, name, value)
        for tensor, n in effects.kept:
            output = outputs[n]
            storage = DeviceBuffer(output.size, output.dtype, output.device, found[n])
            tensor.node = Buffer(storage, shapes[n])


def memory_of(tensor: TensorCore) -> Any:
    """The memory of a tensor's value, which is computed now if it was not yet."""
    node = tensor._node
    if isinstance(node, Buffer):
        return node.storage.memory  # type: ignore[attr-defined]
    storage = realized.get(node)
    if storage is None:
        storage = tensor.realize().storage
        assert storage is not None
    return storage.memory


def _gradient(tensor: TensorCore) -> TensorCore:
    grad = tensor.grad
    if grad is None:
        raise Mismatch
    return grad

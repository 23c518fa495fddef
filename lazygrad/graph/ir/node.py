"""Node, the base class of the graph's operations; walks through a graph; dictionaries by node."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any, Generic, Protocol, TypeVar, dataclass_transform
from weakref import ref

from ...dtypes import DType
from ...errors import DeviceError
from ...interned import Interned

Shape = tuple[int, ...]
_NOT_SHOWN = ("shape_", "dtype_", "storage", "token")


@dataclass_transform(frozen_default=True, eq_default=False)
class Node(Interned):
    """One operation of the graph. A subclass adds fields, and `_infer`: its shape and dtype."""

    # origin.py sets label and origins; deferred.py says what call and description are
    __slots__ = ("call", "description", "device", "dtype", "inputs", "label", "origins", "shape")
    _derived = ("inputs", "shape", "dtype", "device")
    shape: Shape
    dtype: DType
    device: str | None
    inputs: tuple[Node, ...]
    call: Any
    description: Any

    @classmethod
    def _derivation(cls) -> str:
        nodes = [(x, kind) for x, kind in cls._kinds.items() if "Node" in kind]
        inputs = "".join(f"*{x}, " if "tuple" in kind else f"{x}, " for x, kind in nodes)
        device = "made._infer_device()"
        if nodes and "*" not in inputs and cls._infer_device is Node._infer_device:
            first, *rest = (f"{x}.device" for x, _ in nodes)
            same = " and ".join(f"{first} is {each}" for each in rest) or "True"
            device = f"{first} if {same} else {device}"
        return (
            f"made.inputs = ({inputs}); "
            "made.shape, made.dtype = made._infer(); "
            f"made.device = {device}"
        )

    def _infer(self) -> tuple[Shape, DType]:
        raise NotImplementedError

    def _infer_device(self) -> str | None:
        device: str | None = None
        for node in self.inputs:
            if node.device is None or node.device is device or node.device == device:
                continue
            if device is not None:
                raise DeviceError(
                    f"{self.name}: inputs are on {device} and {node.device}; "
                    f'move one with .to("{device}") or .to("{node.device}")'
                )
            device = node.device
        return device

    @property
    def name(self) -> str:
        """The operation's name in lower case, as messages and pictures show it."""
        return type(self).__name__.lower()

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    @property
    def cost(self) -> float:
        """The arithmetic of one element, given the inputs; an addition costs 1."""
        return 1.0

    @property
    def attributes(self) -> dict[str, Any]:
        """The fields that a printed node shows in brackets, by name: not its inputs, shape or
        dtype."""
        shown = [name for name in self._fields if name not in _NOT_SHOWN]
        return {name: value for name in shown if not holds_nodes(value := getattr(self, name))}

    def with_inputs(self, inputs: Sequence[Node]) -> Node:
        """The same operation on other inputs (as many as `self.inputs`)."""
        if len(inputs) != len(self.inputs):
            raise ValueError(f"{self.name}: {len(inputs)} inputs for {len(self.inputs)}")
        return self.with_parts(Node, inputs)

    def __repr__(self) -> str:
        notes = ", ".join(f"{name}={value}" for name, value in self.attributes.items())
        shape = ", ".join(map(str, self.shape))
        return f"{self.name}[{notes}] {self.dtype}({shape})"


def holds_nodes(value: Any) -> bool:
    """Whether a field's value is a node, or a tuple of nodes."""
    return isinstance(value[0] if isinstance(value, tuple) and value else value, Node)


def topological(
    outputs: Iterable[Node], inputs: Callable[[Node], Sequence[Node]] = attrgetter("inputs")
) -> list[Node]:
    """Every node that the outputs need, each after its inputs. Iterative: depth is no limit.

    `inputs` may stop the walk: a node for which it returns () counts as a leaf.
    """
    order: list[Node] = []
    done: set[Node] = set()
    stack: list[tuple[Node | None, Iterator[Node]]] = [(None, iter(outputs))]
    while stack:
        node, remaining = stack[-1]
        for x in remaining:
            if x not in done:
                done.add(x)
                stack.append((x, iter(inputs(x))))
                break
        else:
            stack.pop()
            if node is not None:
                order.append(node)
    return order


def computed(outputs: Iterable[Node], known: Container[Node]) -> list[Node]:
    """The nodes that compute the outputs from `known` ones, each after its inputs."""
    order = topological(outputs, lambda node: () if node in known else node.inputs)
    return [node for node in order if node not in known]


def use_counts(outputs: Iterable[Node], order: Iterable[Node]) -> Counter[Node]:
    """How often each node of a topological order is an output, or an input of another."""
    return Counter((*outputs, *(x for node in order for x in node.inputs)))


# --------------------------------------------------------------------------- dictionaries

V = TypeVar("V")


class Known(Protocol):
    """A set of nodes that count as leaves, although they have inputs."""

    def __contains__(self, node: Node, /) -> bool: ...

    def isdisjoint(self, nodes: Iterable[Node], /) -> bool:
        """Whether none of the nodes is among them."""
        ...


class _Reference(ref[Node]):
    """A weak reference that knows its node's id."""

    __slots__ = ("id",)
    id: int


class NodeDict(Generic[V]):
    """Values by node, each as long as its node is alive: a WeakKeyDictionary whose look-ups make no
    weak reference, because nodes are looked up by the thousand.

    Ctrl-C may keep `_gone` from running. A new node may then have the id of one that is gone, so a
    look-up compares the node as well as the id.
    """

    def __init__(self) -> None:
        self._found: dict[int, tuple[_Reference, V]] = {}  # by the nodes' ids

    def __contains__(self, node: Node, /) -> bool:
        found = self._found.get(id(node))
        return found is not None and found[0]() is node

    def __getitem__(self, node: Node) -> V:
        reference, value = self._found[id(node)]
        if reference() is not node:
            raise KeyError(node)
        return value

    def __setitem__(self, node: Node, value: V) -> None:
        reference = _Reference(node, self._gone)
        reference.id = id(node)
        self._found[id(node)] = reference, value

    def __iter__(self) -> Iterator[Node]:
        found = [reference() for reference, _ in list(self._found.values())]
        return iter([node for node in found if node is not None])

    def get(self, node: Node) -> V | None:
        """The value of a node; None if it has none."""
        found = self._found.get(id(node))
        return found[1] if found is not None and found[0]() is node else None

    def forget(self, node: Node) -> None:
        """Forget the value of a node, if it has one."""
        self._found.pop(id(node), None)

    def isdisjoint(self, nodes: Iterable[Node], /) -> bool:
        """Whether none of the nodes has a value."""
        return self._found.keys().isdisjoint(map(id, nodes))

    def _gone(self, reference: Any) -> None:
        """Drop the entry of a node that is gone, unless its id has a new one."""
        found = self._found.get(reference.id)
        if found is not None and found[0] is reference:
            del self._found[reference.id]

"""Dictionaries from nodes to values, each kept as long as its node is alive."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Generic, Protocol, TypeVar
from weakref import ref

from .ir import Buffer, Node

V = TypeVar("V")


class Known(Protocol):
    """A set of nodes that count as leaves, although they have inputs."""

    def __contains__(self, node: Node, /) -> bool: ...

    def isdisjoint(self, nodes: Iterable[Node], /) -> bool:
        """Whether none of the nodes is among them."""
        ...


def is_leaf(node: Node, known: Known) -> bool:
    """Whether a walk ends at a node: at a Buffer, or a node in `known`. A node without a device is
    no leaf: it is made of constants, and is computed again on the device where it is used."""
    return isinstance(node, Buffer) or (node.device is not None and node in known)


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

"""The structure of a graph, with the buffers it reads abstracted: the key of cached plans."""

from __future__ import annotations

import struct
from collections.abc import Callable, Container, Hashable, Sequence
from dataclasses import dataclass
from operator import attrgetter

from ..dtypes import DType
from .ir import Buffer, Const, Custom, Detach, InRange, Node, Pad, holds_nodes

Key = tuple[Hashable, ...]


class Structure:
    """A walk through a graph that gives its key, in which buffers are numbered slots.

    `number` has every walked node, inputs first, and its position in that order; `leaves` has the
    buffers, in the order of their slots. Nodes in `known` count as buffers, and the walk stops at
    them, except for constants, which fit any device and are computed again where they are used.
    """

    __slots__ = ("_key", "_known", "leaves", "number")

    def __init__(self, known: Container[Node] = frozenset()) -> None:
        self.number: dict[Node, int] = {}
        self.leaves: list[Node] = []
        self._known = known
        self._key: list[Hashable] = []

    def key(self, outputs: Sequence[Node]) -> Key:
        """The key: graphs with these outputs share it if they differ only in buffers. All nodes
        walked so far are part of it."""
        number = self.number
        return (*self._key, tuple([number[output] for output in outputs]))

    def walk(self, outputs: Sequence[Node]) -> None:
        """Number the nodes that these need and that have no number yet. Depth is no limit."""
        number, leaves, key, known = self.number, self.leaves, self._key, self._known
        stack = list(reversed(outputs))
        while stack:
            node = stack[-1]
            if node in number:
                stack.pop()
                continue
            if isinstance(node, Buffer) or (node.device is not None and node in known):
                key.append((Buffer, len(leaves), node.shape, node.dtype, node.device))
                leaves.append(node)
                number[node] = len(number)
                stack.pop()
                continue
            depth, places = len(stack), []
            for x in node.inputs:
                place = number.get(x)
                if place is None:
                    stack.append(x)
                else:
                    places.append(place)
            if len(stack) > depth:
                continue  # the inputs come first
            stack.pop()
            cls = node.__class__
            describe = _DESCRIBE.get(cls) or _describer(node)
            key.append((cls, describe(node), *places))
            number[node] = len(number)


def structure(
    outputs: Sequence[Node], known: Container[Node] = frozenset()
) -> tuple[Key, list[Node]]:
    """A key that graphs share if they differ only in buffers, and the buffers by slot.

    The key has each node's class, fields and inputs (by their number); of a Buffer it has the slot,
    shape, dtype and device. Tokens of Detach and rules of Custom are not part of it. Buffers of a
    second graph with the same key can replace the buffers of the first, slot by slot. Linear in the
    graph. `known` is as in `Structure`.

        structure([Add(a, Mul(a, b))])[0] == structure([Add(c, Mul(c, d))])[0]
    """
    walked = Structure(known)
    walked.walk(outputs)
    return walked.key(outputs), walked.leaves


@dataclass(eq=False, slots=True)
class Slot:
    """Stands for the storage of a leaf while a graph is compiled: a plan runs on any buffer of this
    size, dtype and device."""

    size: int
    dtype: DType
    device: str

    @classmethod
    def of(cls, x: Node) -> Slot:
        """A slot for a node's value."""
        return cls(x.size, x.dtype, str(x.device))


def described(node: Node) -> Hashable:
    """The fields of a node that are not nodes."""
    return (_DESCRIBE.get(node.__class__) or _describer(node))(node)


_DESCRIBE: dict[type[Node], Callable[[Node], Hashable]] = {}  # the fields that are not nodes


def _describer(node: Node) -> Callable[[Node], Hashable]:
    """A function that gives the fields of a node of this class that are not nodes."""
    names = [name for name in node._fields if not holds_nodes(getattr(node, name))]
    _DESCRIBE[type(node)] = attrgetter(*names) if names else lambda node: None
    return _DESCRIBE[type(node)]


def _bits(value: bool | int | float, node: Node) -> Hashable:
    """A value by its bits: 0.0 is not -0.0, and nan is itself."""
    return struct.pack("<d", value) if node.dtype.is_float else value


_DESCRIBE[Const] = lambda node: (_bits(node.value, node), node.dtype, node.shape)  # type: ignore[attr-defined]
_DESCRIBE[Pad] = lambda node: (_bits(node.value, node), node.padding)  # type: ignore[attr-defined]
_DESCRIBE[Detach] = _DESCRIBE[Custom] = lambda node: None
_DESCRIBE[InRange] = lambda node: (node.low, node.high, node.ignored)  # type: ignore[attr-defined]

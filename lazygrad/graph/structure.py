"""The key of a graph, under which its plan is cached: its structure, with slots for its buffers."""

from __future__ import annotations

import struct
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from typing import Any, cast

from ..dtypes import DType
from .ir import (
    Buffer,
    Const,
    Custom,
    Detach,
    InRange,
    Known,
    Node,
    Pad,
    building,
    deferred,
    is_leaf,
    topological,
)
from .skeleton import Fields, Places, Read, Sizes, Skeleton, Structure

Key = tuple[Hashable, ...]

_met = Skeleton()  # the skeleton without nodes, where all walks begin


class Hashed(tuple[Hashable, ...]):
    """A key that keeps its hash: it is looked up in every step of a program."""

    _hash: int

    def __new__(cls, key: Key) -> Hashed:
        """A key with the elements and the hash of `key`."""
        made = super().__new__(cls, key)
        made._hash = hash(key)
        return made

    def __hash__(self) -> int:
        return self._hash


class Walk:
    """A walk through a graph, which finds its key. In the key, numbered slots stand for buffers.

    `nodes` are the walked nodes, inputs first; `number` maps each to its place among them. `leaves`
    are the buffers, in the order of their slots. The walk stops at nodes in `known`: they count as
    buffers, except for constants (see `is_leaf`). `structure` is the structure that the graph
    shares with earlier ones, and `sizes` are the graph's sizes there. Calls are not built:
    `has_calls` says that some nodes are deferred, so that the walk is too coarse for a key.
    """

    def __init__(self, known: Known = frozenset(), begin: Skeleton | None = None) -> None:
        """`begin` is the skeleton that remembers walks; None: the one that all walks share."""
        self.number: dict[Node, int] = {}
        self.nodes: list[Node] = []
        self.leaves: list[Node] = []
        self.fields: Fields = []
        self.sizes: Sizes = ()
        self.has_calls = False
        self._known = known
        self._skeletons = [_met if begin is None else begin]
        self._structure: Structure | None = None
        self._whole: Walk | None = None

    def walk(self, outputs: Sequence[Node]) -> None:
        """Number the nodes that the outputs need and that have no number yet. Depth is no limit."""
        with building:  # no other thread builds a call meanwhile
            self._walk(outputs)

    def _walk(self, outputs: Sequence[Node]) -> None:
        start = len(self.nodes)
        if start:
            outputs = [output for output in outputs if output not in self.number]
        if not outputs:
            return
        before = self._skeletons[-1]
        followed = before.follow(self.nodes, self.number, outputs, self._known)
        if followed is not None:
            skeleton, self.nodes, places = followed
            self.number.update(places)
        else:
            skeleton = self._search(outputs)
            before.remember(outputs, skeleton)
        self.leaves += skeleton.leaves(self.nodes)
        # a new list: the structure of the walk so far has the old one
        self.fields = self.fields + skeleton.fields(self.nodes[start:] if start else self.nodes)
        self.has_calls = self.has_calls or skeleton.has_calls
        self._skeletons.append(skeleton)
        self._structure = None

    def _search(self, outputs: Sequence[Node]) -> Skeleton:
        """Number the nodes where no earlier walk had this skeleton. Returns the skeleton."""
        number, known, start = self.number, self._known, len(self.nodes)
        classes: list[type[Node]] = []
        inputs: list[Places] = []
        describe: list[Read] = []
        read: dict[Node, Sequence[Node]] = {}  # the inputs of nodes that wait for theirs
        stack = list(reversed(outputs))
        while stack:
            node = stack[-1]
            if node in number:
                stack.pop()
                continue
            cls = node.__class__
            if node not in read:
                if is_leaf(node, known):
                    classes.append(Buffer)
                    inputs.append(())
                    describe.append(_of_leaf)
                    number[node] = len(number)
                    stack.pop()
                    continue
                read[node] = node.call.inputs if cls in deferred else node.inputs
                new = [x for x in read[node] if x not in number]
                if new:
                    stack += new
                    continue  # the inputs come first
            stack.pop()
            classes.append(cls)
            inputs.append(tuple([number[x] for x in read[node]]))
            is_call = cls in deferred
            describe.append(_of_call if is_call else _DESCRIBE.get(cls) or _describer(node))
            number[node] = len(number)
        self.nodes = list(number)
        wiring = classes, inputs, describe
        return Skeleton(start, wiring, tuple([number[output] for output in outputs]))

    def places(self, outputs: Sequence[Node]) -> Places:
        """The places of the outputs."""
        return tuple(map(self.number.__getitem__, outputs))

    def key(self, outputs: Sequence[Node]) -> Key:
        """The key of a graph with these outputs: graphs that differ only in buffers share it. All
        nodes walked so far are part of it."""
        classes = chain.from_iterable([skeleton.classes for skeleton in self._skeletons])
        inputs = chain.from_iterable([skeleton.inputs for skeleton in self._skeletons])
        entries: list[Hashable] = []
        slot = 0
        for cls, places, fields in zip(classes, inputs, self.fields, strict=True):
            if cls is Buffer:
                entries.append((cls, slot, *cast("tuple[Hashable, ...]", fields)))
                slot += 1
            else:
                entries.append((cls, fields, *places))
        return (*entries, self.places(outputs))

    @property
    def skeleton(self) -> Skeleton:
        """The skeleton of the whole walk: it belongs to that of the walk before the last step."""
        return self._skeletons[-1]

    def whole(self, outputs: Sequence[Node]) -> Walk:
        """A walk to the same outputs and whatever lies behind: every call is built."""
        if not self.has_calls:
            return self
        if self._whole is None:
            for node in self.nodes:
                if type(node) in deferred and not is_leaf(node, self._known):
                    _ = node.inputs  # which are built
            self._whole = Walk(self._known)
            self._whole.walk(outputs)
        return self._whole.whole(outputs)  # there may be calls in calls

    # ------------------------------------------------------------------- what is remembered

    @property
    def structure(self) -> Structure:
        """The structure of the graph; it remembers decisions for graphs like this one."""
        if self._structure is None:
            self._structure, self.sizes = self._skeletons[-1].structure_of(self.fields)
        return self._structure

    def exact(self) -> Structure:
        """The structure with exactly the graph's fields, in which nothing varies."""
        return self._skeletons[-1].add_exact(self.fields)

    def note_varying(self, structure: Structure) -> Structure:
        """Note a structure of the graph in which fields vary. Returns it, or one like it that was
        noted before."""
        return self._skeletons[-1].add_varying(structure)


def structure(outputs: Sequence[Node], known: Known = frozenset()) -> tuple[Key, list[Node]]:
    """A simple `Walk`: a key that graphs share if they differ only in buffers; the buffers by slot.

    The key has each node's class, fields and inputs (by their number); of a Buffer it has the slot,
    shape, dtype and device. Tokens of Detach and rules of Custom are not part of it. Buffers of a
    second graph with the same key can replace the buffers of the first, slot by slot. Linear in the
    graph. `known` is as in `Walk`.

        structure([Add(a, Mul(a, b))])[0] == structure([Add(c, Mul(c, d))])[0]
    """
    order = topological(outputs, lambda node: () if is_leaf(node, known) else node.inputs)
    leaves = [node for node in order if is_leaf(node, known)]
    number = {node: n for n, node in enumerate(leaves)}
    entries: list[Hashable] = [(Buffer, _of_leaf(leaf)) for leaf in leaves]
    for node in order:
        if node not in number:
            number[node] = len(number)
            entries.append((type(node), described(node), *[number[x] for x in node.inputs]))
    return (*entries, *[number[output] for output in outputs]), leaves


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


def with_described(node: Node, fields: Any, inputs: Sequence[Node]) -> Node:
    """A node of the same class, which `described` describes by `fields`, on other inputs. `fields`
    differ from the node's in integers and floats alone."""
    if fields == described(node):
        return node.with_inputs(inputs) if inputs else node
    if isinstance(node, (Const, Pad)):
        value, *rest = fields
        if node.dtype.is_float:  # it is bytes
            (value,) = struct.unpack("<d", value)
        if isinstance(node, Const):
            return Const(value, *rest)
        (x,), (padding,) = inputs, rest
        return Pad(x, padding, value)
    if isinstance(node, InRange):
        (x,), (low, high, ignored) = inputs, fields
        return InRange(x, low, high, ignored, node.source)
    names = _own_fields(type(node))
    new = dict(zip(names, fields if len(names) > 1 else (fields,), strict=True))
    rest = iter(inputs)
    for name in node._fields:
        if name not in new:
            value = getattr(node, name)
            many = isinstance(value, tuple)
            new[name] = tuple([next(rest) for _ in value]) if many else next(rest)
    return type(node)(**new)


_of_call: Read = attrgetter("description")
_of_leaf: Read = attrgetter("shape", "dtype", "device")
_DESCRIBE: dict[type[Node], Read] = {}  # the fields that are not nodes


def _describer(node: Node) -> Read:
    """A function that gives the fields of a node of this class that are not nodes."""
    names = _own_fields(type(node))
    _DESCRIBE[type(node)] = attrgetter(*names) if names else lambda node: None
    return _DESCRIBE[type(node)]


def _own_fields(cls: type[Node]) -> list[str]:
    """The fields of a class that are not nodes."""
    return [name for name, kind in cls._kinds.items() if "Node" not in kind]


def _bits(value: bool | int | float, node: Node) -> Hashable:
    """A value by its bits: 0.0 is not -0.0, and nan is itself."""
    return struct.pack("<d", value) if node.dtype.is_float else value


_DESCRIBE[Const] = lambda node: (_bits(node.value, node), node.dtype, node.shape)  # type: ignore[attr-defined]
_DESCRIBE[Pad] = lambda node: (_bits(node.value, node), node.padding)  # type: ignore[attr-defined]
_DESCRIBE[Detach] = _DESCRIBE[Custom] = lambda node: None
_DESCRIBE[InRange] = lambda node: (node.low, node.high, node.ignored)  # type: ignore[attr-defined]

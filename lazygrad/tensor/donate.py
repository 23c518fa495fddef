"""Memory that a tensor's next value may take over, as nobody else can see it.

`x[i] = v` gives x another value as a whole: the graph has no writes. Where nothing but that value
reads the old one, it is computed in the old one's memory, and only the elements that differ are
touched. This is decided when the value is computed: by then the views and expressions that the
statement made for itself are gone. Who still holds the old value is told by counting references: an
expression, another tensor, a view or a NumPy array holds a node, the storage or the memory.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from sys import getrefcount
from typing import TYPE_CHECKING, Any
from weakref import ref

from ..cache import remember
from ..graph.ir import Buffer, Detach, Node, Reshape, Scatter, deferred
from ..graph.structure import Walk
from ..runtime.buffer import DeviceBuffer, interceptor, realized
from .views import HELD_ONCE

if TYPE_CHECKING:
    from .sharing import Sharing


@dataclass(frozen=True, eq=False, slots=True)
class Offer:
    """What the value `node` of a tensor may take: the memory of a Buffer."""

    tensor: ref[Any]  # with it the offer ends
    node: ref[Node]
    buffer: ref[Node]


_offers: dict[int, Offer] = {}  # by the tensor's id

MAX_LITTLE = 1024  # results of calls that are remembered
_little: dict[Hashable, bool] = {}
"""By the descriptions of calls' results (graph/ir/deferred.py): see `_makes_little`."""


def offer(tensor: Sharing, node: Node) -> None:
    """Offer the memory of the tensor's value to `node`, which is to be its next one; or what was
    offered to that value, if it is not computed."""
    if interceptor.get() is not None:
        return
    former = tensor._own
    earlier = _offers.get(id(tensor))
    if isinstance(former, Buffer):
        key = id(tensor)
        ended = ref(tensor, lambda _: _offers.pop(key, None))
        _offers[key] = Offer(ended, ref(node), ref(former))
    elif earlier is not None and earlier.node() is former:
        _offers[id(tensor)] = Offer(earlier.tensor, ref(node), earlier.buffer)


def accepted(
    tensors: Iterable[Sharing], nodes: Sequence[Node], walked: Walk | None
) -> tuple[dict[int, Node], Walk | None]:
    """What is offered to those of the nodes, by place, that are values of these tensors; and a
    walk to the nodes, if one was begun or needed."""
    found: dict[int, Node] = {}
    for tensor in tensors if _offers else ():
        given = _offers.pop(id(tensor), None)
        node = None if given is None else given.node()
        if given is None or node is None or node is not tensor._own:
            continue  # it has another value by now
        if not _touches_little(node):
            continue  # which memory it is in makes no difference, but would make another program
        if node not in nodes or (tensor._requires and not isinstance(node, Detach)):
            continue  # a gradient may yet flow through it
        if walked is None:
            walked = Walk(realized)
            walked.walk(nodes)
        walked = walked.whole(nodes)
        if _is_read_inside(given.buffer, node, nodes, walked):
            found[nodes.index(node)] = given.buffer()  # type: ignore[assignment]
    return found, walked


def _touches_little(node: Node) -> bool:
    """Whether a value is an earlier one with some elements changed."""
    while isinstance(node, (Detach, Reshape)):
        if type(node) in deferred:
            return _makes_little(node)
        node = node.x
    return isinstance(node, Scatter)


def _makes_little(node: Node) -> bool:
    """`_touches_little` of a call's result. Of calls that agree in what they make of their inputs,
    one alone is built to tell."""
    name, inputs = node.description, node.call.inputs
    found = _little.get(name)
    if found is None:
        while isinstance(node, (Detach, Reshape)):
            node = node.x
            if node in inputs:
                return _touches_little(node)
        found = isinstance(node, Scatter)
        remember(_little, name, found, MAX_LITTLE)
    return found


def _is_read_inside(offered: ref[Node], own: Node, outputs: Collection[Node], walked: Walk) -> bool:
    """Whether nobody can ask for a Buffer's elements once a walk's outputs, `own` among them, are
    computed: nothing else holds a node that reads them, nor their storage or memory."""
    buffer = offered()
    if buffer is None or buffer not in walked.number or not _holds_alone(buffer):
        return False
    readers = _readers(buffer, own, walked)
    for node in outputs:  # in memory of their own; but a gradient may yet flow through one
        is_reader = readers.pop(node, None) is not None
        if is_reader and node.dtype.is_float and not isinstance(node, Detach):
            return False
    del node  # or it would be counted
    readers[buffer] += 2  # in this function, and among the leaves of the walk
    return _references(readers) == [known + _IN_A_WALK for known in readers.values()]


def _readers(buffer: Node, own: Node, walked: Walk) -> dict[Node, int]:
    """A Buffer and the nodes that are made of it, but for `own` and what is made of that; each
    with the references to it from the others' fields, inputs, and keys that intern them."""
    readers = {buffer: 0}
    for node in walked.number:
        read = [x for x in node.inputs if x in readers]
        for x in read:
            readers[x] += 1
        for name in node._fields if read else ():
            field = getattr(node, name)
            if isinstance(field, tuple):  # the key has the same one
                for x in field:
                    if x in readers:
                        readers[x] += 1
            elif field in readers:
                readers[field] += 2
        if read and node is not own:
            readers[node] = 0
    return readers


def _holds_alone(buffer: Node) -> bool:
    """Whether nobody but this node holds its storage and memory."""
    assert isinstance(buffer, Buffer)
    return (
        isinstance(buffer.storage, DeviceBuffer)
        and not buffer.storage.is_shared
        and getrefcount(buffer.storage) == HELD_ONCE
        and getrefcount(buffer.storage.memory) == HELD_ONCE
    )


def _references(nodes: Iterable[object]) -> list[int]:
    return [getrefcount(node) for node in nodes]


def _references_in_a_walk() -> int:
    """What `_references` says of a node that a walk's list and dictionary hold, and the one
    given."""
    nodes = [object()]
    number = dict.fromkeys(nodes, 0)
    return _references(dict(number))[0]


_IN_A_WALK = _references_in_a_walk()


def moved(storages: Sequence[DeviceBuffer], donated: Mapping[int, Node]) -> list[DeviceBuffer]:
    """The storages of outputs, where one that is a leaf's is another with its memory, which has
    other elements now: who knows the old one must not take it for its value."""
    taken = {
        id(storages[n]): _moved(storages[n])
        for n, leaf in donated.items()
        if storages[n] is leaf.storage  # type: ignore[attr-defined]
    }
    return [taken.get(id(storage), storage) for storage in storages]  # some may be one place


def _moved(storage: DeviceBuffer) -> DeviceBuffer:
    made = DeviceBuffer(storage.size, storage.dtype, storage.device, storage.memory)
    storage.memory = None
    return made

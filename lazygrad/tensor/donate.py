"""Memory that a tensor's next value may take over, as nobody else can see it.

`x[i] = v` gives x another value as a whole: the graph has no writes. Where x alone holds its
memory, that value is computed in it, and only the elements that differ are touched. References are
counted before the new value is built: an expression, another tensor, a view or a NumPy array of
these elements holds the node, the storage or the memory. Afterwards nobody can come to hold them
but through the new value, which is computed before anything that reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from sys import getrefcount
from typing import TYPE_CHECKING
from weakref import ref

from ..graph.ir import Buffer, Node
from ..runtime.buffer import DeviceBuffer, interceptor, realized
from .views import HELD_ONCE

if TYPE_CHECKING:
    from .core import TensorCore


@dataclass(frozen=True, eq=False, slots=True)
class Offer:
    """What the value `node` of a tensor may take: the memory of a Buffer."""

    tensor: ref[TensorCore]
    node: ref[Node]
    buffer: ref[Node]


_offers: dict[int, Offer] = {}  # by the tensor's id


def held_alone(tensor: TensorCore) -> ref[Node] | None:
    """The Buffer whose memory the tensor's next value may take, as it is its alone: that of its
    value, or, if this is not computed, the one that was offered to it."""
    if interceptor.get() is not None or tensor._base is not None or tensor._requires:
        return None
    if getrefcount(tensor._own) != HELD_ONCE:
        return None
    if isinstance(tensor._own, Buffer):
        return ref(tensor._own) if _is_alone(tensor) else None
    offer = _offers.get(id(tensor))
    return None if offer is None or offer.node() is not tensor._own else offer.buffer


def _is_alone(tensor: TensorCore) -> bool:
    """Whether nobody but the node of the tensor holds its storage and memory."""
    buffer, past = tensor._own, tensor._history
    assert isinstance(buffer, Buffer)
    if not isinstance(buffer.storage, DeviceBuffer) or buffer.storage.is_shared:
        return False
    # What the tensor was before it was computed has this storage too. It ends with the write.
    times = HELD_ONCE + (past is not None and past in realized)
    del past  # or it would be counted
    is_past_alone = tensor._history is None or getrefcount(tensor._history) == HELD_ONCE
    return (
        is_past_alone
        and getrefcount(buffer.storage) == times
        and getrefcount(buffer.storage.memory) == HELD_ONCE
    )


def offer(tensor: TensorCore, buffer: ref[Node] | None) -> None:
    """Offer the tensor's new value memory that was its alone before it was written to."""
    if buffer is not None and tensor._base is None and not isinstance(tensor._own, Buffer):
        _offers[id(tensor)] = Offer(ref(tensor), ref(tensor._own), buffer)


def accepted(tensors: Sequence[TensorCore], nodes: Sequence[Node]) -> dict[int, Node]:
    """What is offered to those of the nodes, by place, that are values of these tensors."""
    found: dict[int, Node] = {}
    for tensor in tensors if _offers else ():
        offer = _offers.pop(id(tensor), None)
        if offer is not None and offer.tensor() is tensor and offer.node() is tensor._own:
            buffer = offer.buffer()
            if buffer is not None and tensor._own in nodes:
                found[nodes.index(tensor._own)] = buffer
    return found


def moved(storage: DeviceBuffer) -> DeviceBuffer:
    """Another storage with the memory, which has other elements now: who knows the old one must not
    take it for its value."""
    made = DeviceBuffer(storage.size, storage.dtype, storage.device, storage.memory)
    storage.memory = None
    return made

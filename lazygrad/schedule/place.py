"""Divide a graph at its copies between devices, into parts that each run on one device, in order.

cpu: a = x + 1;  gpu: b = copy(a) * 2;  cpu: out = copy(b) + a
->  part CPU: a    part GPU: arrival of a, b    part CPU: arrivals of b and a, out

An *arrival* is a Buffer of a part that stands for a node of an earlier part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..graph.ir import Buffer, Copy, Node, topological
from ..graph.structure import Slot
from ..origin import inherit

Located = tuple[Node, str]  # a node, and the device that computes it


@dataclass(frozen=True, eq=False, slots=True)
class Part:
    """The nodes that one device computes without waiting for another.

    `arrivals` maps each arrival to its node, and to the device that computes the node. If that is
    another device, the elements are copied.
    """

    device: str
    outputs: tuple[Node, ...]
    arrivals: dict[Buffer, Located] = field(default_factory=dict)


Stretch = tuple[int, str]  # a part: the number of copies between devices before it, and the device


def place(outputs: Sequence[Located]) -> tuple[list[Part], list[Located]]:
    """The parts in order, and for each output its node in its part, and the device.

    The device given with an output is where its value is wanted; it matters where the node has
    none, such as a constant. Ensures: no part has a Copy, or nodes of two devices.
    """
    order = topological(node for node, _ in outputs)
    if not any(isinstance(node, Copy) for node in order):
        nodes_on: dict[str, list[Node]] = {}
        for node, device in outputs:
            nodes_on.setdefault(device, []).append(node)
        return [Part(device, tuple(nodes)) for device, nodes in nodes_on.items()], list(outputs)
    return _Placing(order).parts(outputs)


class _Placing:
    """Rewrites a graph with copies into parts."""

    def __init__(self, order: Sequence[Node]) -> None:
        self.stretches: dict[Node, Stretch] = {}
        self.new: dict[Node, Node] = {}  # each node, as rewritten for its part
        self.arrivals: dict[Stretch, dict[Buffer, Located]] = {}
        self.arrived: dict[tuple[Node, Stretch], Buffer] = {}
        self.needed: dict[Stretch, dict[Node, None]] = {}  # outputs, and nodes that parts exchange
        for node in order:
            self._add(node)

    def parts(self, outputs: Sequence[Located]) -> tuple[list[Part], list[Located]]:
        placed = []
        for node, device in outputs:
            where = self.stretches.get(node, (0, device))
            self.needed.setdefault(where, {})[self.new[node]] = None
            placed.append((self.new[node], where[1]))
        parts = [
            Part(where[1], tuple(self.needed[where]), self.arrivals.get(where, {}))
            for where in sorted(self.needed)
        ]
        return parts, placed

    def _add(self, node: Node) -> None:
        if node.device is None or not node.inputs:
            self.new[node] = node
            if node.device is not None:
                self.stretches[node] = (0, node.device)
            return
        level = 0
        for x in node.inputs:
            if x in self.stretches:
                before, device = self.stretches[x]
                level = max(level, before + (device != node.device))
        where = self.stretches[node] = (level, node.device)
        inputs = [self._at(x, where) for x in node.inputs]
        self.new[node] = inputs[0] if isinstance(node, Copy) else node.with_inputs(inputs)
        inherit(self.new[node], node)

    def _at(self, x: Node, where: Stretch) -> Node:
        """An input, as rewritten for the part `where`: an arrival if another part computes it."""
        source = self.stretches.get(x)
        new = self.new[x]
        if source is None or source == where or (isinstance(x, Buffer) and x.device == where[1]):
            return new
        arrival = self.arrived.get((new, where))
        if arrival is None:
            arrival = Buffer(Slot(x.size, x.dtype, where[1]), x.shape)
            inherit(arrival, x)
            self.arrived[new, where] = arrival
            self.arrivals.setdefault(where, {})[arrival] = (new, source[1])
            self.needed.setdefault(source, {})[new] = None
        return arrival

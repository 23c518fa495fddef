"""Divide a graph among devices: into parts that each run on one device, in order.

cpu: a = x + 1;  gpu: b = copy(a) * 2;  cpu: out = copy(b) + a
->  part CPU: a    part GPU: arrival of a, b    part CPU: arrivals of b and a, out
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..dtypes import DType
from ..graph.ir import Buffer, Copy, Node, topological
from ..origin import inherit


@dataclass(eq=False, slots=True)
class Arrival:
    """The storage of a node that an earlier part computes and a later part reads."""

    size: int
    dtype: DType
    device: str


Located = tuple[Node, str]  # a node, and the device that computes it


@dataclass(frozen=True, eq=False, slots=True)
class Part:
    """What one device computes between two exchanges.

    Some Buffers of a part stand for nodes of earlier parts: `arrivals` has the node and the device
    of each. From another device, the elements are copied.
    """

    device: str
    outputs: tuple[Node, ...]
    arrivals: dict[Buffer, Located] = field(default_factory=dict)


Stretch = tuple[int, str]  # how many copies between devices come before, and the device


def place(outputs: Sequence[Located]) -> tuple[list[Part], list[Located]]:
    """The parts in order, and each output as its part has it.

    The device of an output is where its value is wanted. A node that fits any device, such as a
    constant, is computed where it is needed. Ensures: no part has a Copy, or nodes of two devices.
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
        self.new: dict[Node, Node] = {}  # each node as its part has it
        self.arrivals: dict[Stretch, dict[Buffer, Located]] = {}
        self.arrived: dict[tuple[Node, Stretch], Buffer] = {}
        self.needed: dict[Stretch, dict[Node, None]] = {}  # outputs, and what other parts read
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
        """An input as the part at `where` has it."""
        source = self.stretches.get(x)
        new = self.new[x]
        if source is None or source == where or (isinstance(x, Buffer) and x.device == where[1]):
            return new
        arrival = self.arrived.get((new, where))
        if arrival is None:
            arrival = Buffer(Arrival(x.size, x.dtype, where[1]), x.shape)
            inherit(arrival, x)
            self.arrived[new, where] = arrival
            self.arrivals.setdefault(where, {})[arrival] = (new, source[1])
            self.needed.setdefault(source, {})[new] = None
        return arrival

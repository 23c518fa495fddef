"""Divide a graph among devices: parts that each run on one, in order, and what passes between.

cpu: a = x + 1;  gpu: b = copy(a) * 2;  cpu: out = copy(b) + a
->  part CPU: a    part GPU: arrival of a, b    part CPU: arrivals of b and a, out
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..dtypes import DType
from ..graph.ir import Buffer, Copy, Node, topological


@dataclass(eq=False, slots=True)
class Arrival:
    """The storage of what an earlier part computes and a later one reads."""

    size: int
    dtype: DType
    device: str


@dataclass(frozen=True, eq=False, slots=True)
class Part:
    """What one device computes between two exchanges.

    `arrivals` has, for each Buffer that stands for an earlier part's node, that node; where its
    device is another one, its elements are copied.
    """

    device: str
    outputs: tuple[Node, ...]
    arrivals: dict[Buffer, Node] = field(default_factory=dict)


Place = tuple[int, str]  # how many copies between devices come before, and the device


def place(outputs: Sequence[Node], default: str) -> tuple[list[Part], list[Node]]:
    """The parts in order, and each output's node in its part (or a Buffer, or an arrival).

    Nodes that fit any device are computed wherever they are needed; outputs among them, on the
    `default` device. Ensures: no part has a Copy, or nodes of two devices.
    """
    order = topological(outputs)
    if not any(isinstance(node, Copy) for node in order):
        devices = dict.fromkeys(node.device or default for node in outputs)
        parts = [
            Part(device, tuple(n for n in outputs if (n.device or default) == device))
            for device in devices
        ]
        return parts, list(outputs)
    return _Placing(order, default).parts(outputs)


class _Placing:
    """Rewrites a graph with copies into parts."""

    def __init__(self, order: Sequence[Node], default: str) -> None:
        self.default = default
        self.places: dict[Node, Place] = {}
        self.new: dict[Node, Node] = {}  # each node as its part has it
        self.arrivals: dict[Place, dict[Buffer, Node]] = {}
        self.arrived: dict[tuple[Node, Place], Buffer] = {}
        self.needed: dict[Place, dict[Node, None]] = {}  # what other parts read
        for node in order:
            self._add(node)

    def parts(self, outputs: Sequence[Node]) -> tuple[list[Part], list[Node]]:
        for node in outputs:
            where = self.places.get(node, (0, self.default))
            self.needed.setdefault(where, {})[self.new[node]] = None
        parts = [
            Part(where[1], tuple(self.needed[where]), self.arrivals.get(where, {}))
            for where in sorted(self.needed)
        ]
        return parts, [self.new[node] for node in outputs]

    def _add(self, node: Node) -> None:
        if node.device is None or not node.inputs:
            self.new[node] = node
            if node.device is not None:
                self.places[node] = (0, node.device)
            return
        level = 0
        for x in node.inputs:
            if x in self.places:
                before, device = self.places[x]
                level = max(level, before + (device != node.device))
        where = self.places[node] = (level, node.device)
        inputs = [self._at(x, where) for x in node.inputs]
        self.new[node] = inputs[0] if isinstance(node, Copy) else node.with_inputs(inputs)

    def _at(self, x: Node, where: Place) -> Node:
        """An input as the part at `where` has it."""
        source = self.places.get(x)
        new = self.new[x]
        if source is None or source == where or (isinstance(x, Buffer) and x.device == where[1]):
            return new
        arrival = self.arrived.get((new, where))
        if arrival is None:
            arrival = Buffer(Arrival(x.size, x.dtype, where[1]), x.shape)
            self.arrived[new, where] = arrival
            self.arrivals.setdefault(where, {})[arrival] = new
            self.needed.setdefault(source, {})[new] = None
        return arrival

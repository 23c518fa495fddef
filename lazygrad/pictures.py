"""Pictures of what tensors are computed from: `lazygrad.draw` and `Tensor.graph`.

x1, w1 = Tensor(2.0, requires_grad=True), Tensor(-3.0, requires_grad=True)
o = (x1 * w1).tanh()
lazygrad.draw(o, x1=x1, w1=w1)        # in a notebook: each node with its value and gradient
o.graph("kernels")                    # what the compiler makes of it
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .dump import Watcher, places
from .dump.drawing import Drawing
from .dump.folder import Compilation, numbers
from .dump.graphs import graph_picture
from .dump.record import Record, Sources
from .dump.report import Report, report_data
from .dump.roles import role_of
from .errors import ArgumentError
from .graph.evaluate import evaluate
from .graph.gradient import gradient
from .graph.ir import Buffer, Const, Detach, Node, RandomBits, topological
from .origin import name_of
from .realize import plan_for

ELEMENTS = 1 << 18  # of all nodes together, up to which values and gradients are computed
FOLDED = 100  # nodes above which it helps to know the layers
WRITTEN = 4  # elements of a value that are written out


class Tensor(Protocol):
    """What is needed of a tensor."""

    _history: Node | None

    @property
    def node(self) -> Node: ...
    def _nodes(self) -> list[Node]: ...


def draw(*outputs: Tensor, **named: Tensor) -> Drawing:
    """A picture of how tensors are computed: each node with its name, value and gradient.

    `outputs` are what is drawn. `named` are names for tensors on the way: `draw(o, x1=x1, w1=w1)`;
    without outputs, they are what is drawn. A tensor of random numbers, such as the weight of a
    new layer, is one box. A gradient is that of the sum of all elements of the outputs. Nodes of
    many elements have the mean and the extremes of their values; graphs of more than 2**18
    elements have shapes alone. What is too much for one picture is folded: by layers, where
    `ORIGINS=1` was set when the tensors were made.

    Raises TypeError without a tensor. Warns of each named tensor that is no part of the picture.

        x = Tensor(2.0, requires_grad=True)
        lazygrad.draw(x * x, x=x).save("square.html").name == "square.html"
    """
    drawn = outputs or tuple(named.values())
    if not drawn or not all(hasattr(t, "_nodes") for t in (*drawn, *named.values())):
        raise TypeError("draw: give at least one tensor: draw(o), or draw(o, x=x)")
    nodes = [_expression(t) for t in drawn]
    names = {node: name for name, tensor in named.items() for node in tensor._nodes()}
    random = _random_tensors(nodes)
    order = topological(nodes, lambda node: () if node in random else node.inputs)
    for node in order:  # names are known of what was made with ORIGINS=1
        if isinstance(node, (Buffer, Detach)) and (name := name_of(node)) is not None:
            names.setdefault(node, name)
    for own in [node for node in names if isinstance(node, Detach) and node not in random]:
        names.setdefault(own.x, names[own])  # a variable, and what it is made of
    for name in named.keys() - {names[node] for node in order if node in names}:
        warnings.warn(f"draw: {name} is no part of what is drawn", stacklevel=2)
    notes: Mapping[Node, list[str]] = {}
    if sum(node.size for node in order) <= ELEMENTS:
        notes = _notes(order, nodes)
    record = Record("draw", Path("draw"), 0.0, Sources())
    record.names.update(names)
    record.random = random
    record.graph("graph", nodes)
    for node, lines in notes.items():
        record.nodes[record.node(node)]["notes"] = lines
    dot, _ = graph_picture(nodes, role_of(nodes), names, notes, random)
    data = report_data(record.sources, [record.json()], stage="graph")
    told = f"{len(order)} nodes"
    if len(order) > FOLDED and not record.sources.origins:
        told += " (made with ORIGINS=1, it is folded by layers)"
    return Drawing(told, data, dot)


def graph_of(tensor: Tensor, stage: str = "graph") -> Drawing:
    """A picture of a stage of the tensor's compilation; see Tensor.graph."""
    node = _expression(tensor)
    report = Report(None)
    watcher = Compilation(None, report)
    place = _Place(watcher)
    places.append(place)
    try:
        plan_for([node])
    finally:
        places.remove(place)
    names = [*watcher.pictures]
    if stage not in watcher.pictures:
        raise ArgumentError(f"graph: {stage!r} is none of the stages {', '.join(names)}")
    data = report_data(report.sources, [watcher.record.json()], stage=stage)
    return Drawing(f"stage {stage}", data, watcher.pictures[stage])


class _Place:
    """Shows one compilation to one watcher (dump.Place)."""

    def __init__(self, watcher: Watcher) -> None:
        self.number = next(numbers)  # a plan that is kept for another would not be made again
        self._watcher = watcher

    def watcher(self) -> Watcher:
        return self._watcher


def _expression(tensor: Tensor) -> Node:
    """What a tensor is computed from, whether it has been computed or not."""
    return tensor.node if tensor._history is None else tensor._history


def _random_tensors(outputs: Sequence[Node]) -> set[Node]:
    """Random bits, and what randn and the like made of them and is not computed yet: of random bits
    and constants alone, and of a Detach at the end, which makes it equal to no other."""
    found: set[Node] = set()
    constant: set[Node] = set()
    drawn: set[Node] = set()  # random bits, and what is made of them and constants
    for node in topological(outputs):
        if isinstance(node, RandomBits):
            drawn.add(node)
            found.add(node)
        elif not isinstance(node, Buffer) and constant.issuperset(node.inputs):
            constant.add(node)
        elif node.inputs and all(x in drawn or x in constant for x in node.inputs):
            (found if isinstance(node, Detach) else drawn).add(node)
    return found


def _notes(order: Sequence[Node], outputs: Sequence[Node]) -> dict[Node, list[str]]:
    """The value of each node, and its gradient if it has one."""
    values = dict(zip(order, evaluate(order), strict=True))
    notes = {node: [f"value {_number_text(values[node])}"] for node in order}
    wanted = [node for node in order if node.dtype.is_float and not isinstance(node, Const)]
    found: dict[Node, Any] = {}
    for output in outputs:
        if not output.dtype.is_float:
            continue
        parts = zip(wanted, gradient(output, wanted), strict=True)
        known = [(node, part) for node, part in parts if part is not None]
        arrays = evaluate([part for _, part in known])
        for (node, _), array in zip(known, arrays, strict=True):
            found[node] = found[node] + array if node in found else array
    for node, array in found.items():
        notes[node].append(f"gradient {_number_text(array)}")
        if isinstance(node, Detach) and node.x in notes:  # it is drawn as what it is made of
            notes[node.x] = notes[node]
    return notes


def _number_text(array: np.ndarray[Any, Any]) -> str:
    """`0.8814`, `[1, 2]`, or of many elements `mean 0.5, 0 to 1`."""
    flat = array.ravel()
    if array.ndim == 0 or flat.size == 1:
        return f"{flat[0]:.4g}"
    if flat.size <= WRITTEN:
        return f"[{', '.join(f'{x:.4g}' for x in flat)}]"
    if not flat.size:
        return "no elements"
    numbers = flat.astype(np.float64) + 0.0  # -0 becomes 0
    return f"mean {numbers.mean():.4g}, {numbers.min():.4g} to {numbers.max():.4g}"

"""One example's graph, as a graph of a batch of examples.

The graph is rewritten from its inputs on: a node of a batched input gets a first axis more, by the
rule of its class. A node none of whose inputs is batched stays as it is.

    relu(x[64] @ w)  ->  relu(X[B, 64] @ w)
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import Any

from ..dtypes import int64
from . import build, ir
from .ir import Node, Shape, topological

Rule = Callable[["Batch", Any, list[Node]], Node]
RULES: dict[type[Node], Rule] = {}


class Batch:
    """A rewriting: `size` examples, and what stands for each node so far. The nodes in `same` are
    the same for all examples, whatever they were computed from."""

    def __init__(self, size: int, known: Mapping[Node, Node], same: Container[Node] = ()) -> None:
        self.size = size
        self.found: dict[Node, Node] = dict(known)
        self._same = same

    def of(self, node: Node) -> Node | None:
        """The batched node that stands for a node; None where it is the same for all examples."""
        found, same = self.found, self._same
        for part in topological([node], lambda x: () if x in found or x in same else x.inputs):
            if part in found or part in same:
                continue
            if any(x in found for x in part.inputs):
                found[part] = self._rewritten(part)
        return self.found.get(node)

    def whole(self, node: Node) -> Node:
        """The batched node, repeated where it is the same for all examples."""
        found = self.of(node)
        return self.repeated(node) if found is None else found

    def repeated(self, node: Node) -> Node:
        """The node once for each example."""
        return build.broadcast_to(node, (self.size, *node.shape))

    def _rewritten(self, node: Node) -> Node:
        rule = next((RULES[cls] for cls in type(node).__mro__ if cls in RULES), None)
        if rule is None:
            raise RuntimeError(f"vmap: {node.name} has no rule")
        inputs = [self.found.get(x) for x in node.inputs]
        full = [
            self.repeated(x) if batched is None else batched
            for x, batched in zip(node.inputs, inputs, strict=True)
        ]
        made = rule(self, node, full)
        assert made.shape == (self.size, *node.shape), f"{node} became {made}"
        return made


def rule(*classes: type[Node]) -> Callable[[Rule], Rule]:
    """Decorator: the function gives the batched node of these classes, of its batched inputs."""

    def register(function: Rule) -> Rule:
        for cls in classes:
            RULES[cls] = function
        return function

    return register


@rule(ir.Elementwise, ir.Contiguous, ir.Copy, ir.Detach, ir.Overwritten, ir.InRange)
def _same(batch: Batch, node: Node, inputs: list[Node]) -> Node:
    """f(x)[b] = f(x[b]), element by element"""
    return node.with_inputs(inputs)


@rule(ir.Scan)
def _scan(batch: Batch, node: ir.Scan, inputs: list[Node]) -> Node:
    """scan(x, axis)  ->  scan(x, axis + 1)"""
    return ir.Scan(inputs[0], node.axis + 1, node.op)


@rule(ir.Recurrence)
def _recurrence(batch: Batch, node: ir.Recurrence, inputs: list[Node]) -> Node:
    """states, and what a step reads, with a first axis more; a series has it after the steps"""
    first, last = len(node.starts), len(node.starts) + len(node.series)
    constants = [batch.found.get(x) or x for x in node.constants]
    every = [*inputs[:last], *constants]
    every[first:last] = [build.move_axis(x, 0, 1) for x in every[first:last]]
    parts = tuple(every[:first]), tuple(every[first:last]), tuple(constants)
    new = ir.step_inputs(*parts, str(node.device))
    pairs = zip(node.arguments, new, strict=True)
    known: dict[Node, Node] = {old: x for old, x in pairs if old.shape != x.shape}
    inner = Batch(batch.size, known)
    step = ir.Step.of(map(inner.whole, node.step.roots))
    made = node.like(*parts, step)
    return build.move_axis(made, 1, 0)


@rule(ir.Reduce)
def _reduce(batch: Batch, node: ir.Reduce, inputs: list[Node]) -> Node:
    """reduce(x, axes)  ->  reduce(x, axes + 1)"""
    return ir.Reduce(inputs[0], node.op, tuple(axis + 1 for axis in node.axes), node.ties)


@rule(ir.Reshape)
def _reshape(batch: Batch, node: ir.Reshape, inputs: list[Node]) -> Node:
    """reshape(x, shape)  ->  reshape(x, (B, *shape))"""
    return build.reshape(inputs[0], (batch.size, *node.shape))


@rule(ir.Expand)
def _expand(batch: Batch, node: ir.Expand, inputs: list[Node]) -> Node:
    """expand(x, shape)  ->  expand(x, (B, *shape))"""
    return build.expand(inputs[0], (batch.size, *node.shape))


@rule(ir.Permute)
def _permute(batch: Batch, node: ir.Permute, inputs: list[Node]) -> Node:
    """permute(x, order)  ->  permute(x, (0, order + 1))"""
    return ir.Permute(inputs[0], (0, *(axis + 1 for axis in node.order)))


@rule(ir.Pad)
def _pad(batch: Batch, node: ir.Pad, inputs: list[Node]) -> Node:
    """pad(x, widths)  ->  pad(x, (none, widths))"""
    return ir.Pad(inputs[0], ((0, 0), *node.padding), node.value)


@rule(ir.Slice)
def _slice(batch: Batch, node: ir.Slice, inputs: list[Node]) -> Node:
    """slice(x, starts, sizes, steps)  ->  the same of each example"""
    return ir.Slice(inputs[0], (0, *node.starts), (batch.size, *node.sizes), (1, *node.steps))


@rule(ir.Window, ir.Fold)
def _window(batch: Batch, node: Any, inputs: list[Node]) -> Node:
    """window(x, axis)  ->  window(x, axis + 1), and fold the same"""
    return type(node)(inputs[0], node.axis + 1, node.size_, node.stride, node.dilation)  # type: ignore[no-any-return]


@rule(ir.Join)
def _join(batch: Batch, node: ir.Join, inputs: list[Node]) -> Node:
    """join(parts, axis)  ->  join(parts, axis + 1)"""
    return ir.Join(tuple(inputs), node.axis + 1)


@rule(ir.Sort)
def _sort(batch: Batch, node: ir.Sort, inputs: list[Node]) -> Node:
    """sort(x, axis)  ->  sort(x, axis + 1)"""
    return ir.Sort(inputs[0], node.axis + 1, node.descending, node.count)


def _examples(batch: Batch, shape: Shape) -> Node:
    """Each element's example: (B, *shape) of 0 to B - 1."""
    numbers = build.reshape(ir.Iota(batch.size, int64), (batch.size, *(1,) * len(shape)))
    return build.expand(numbers, (batch.size, *shape))


@rule(ir.Gather)
def _gather(batch: Batch, node: ir.Gather, inputs: list[Node]) -> Node:
    """x[i, j]  ->  x[b, i, j]; or x[i, j] with batched i and j, of an x that is the same for all"""
    if batch.of(node.x) is None:
        return ir.Gather(node.x, tuple(inputs[1:]))
    return ir.Gather(inputs[0], (_examples(batch, node.shape), *inputs[1:]))


@rule(ir.Scatter)
def _scatter(batch: Batch, node: ir.Scatter, inputs: list[Node]) -> Node:
    """x[i, j] = v  ->  x[b, i, j] = v"""
    x, *indices, values = inputs
    places = (_examples(batch, node.values.shape), *indices)
    return ir.Scatter(x, places, values, node.op)

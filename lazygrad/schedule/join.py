"""Joined tensors: compute each part directly into its place in the whole.

join(a * 2, slice(b), ..., axis 0)   ->   a launch for each part, at its own offset into one buffer;
                                          equal parts are launches of one function
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from math import prod

from ..graph.build import selected
from ..graph.ir import Const, Contiguous, Join, Node, topological
from ..rewrite import Rules, rewrite
from .ir import Kernel, Member, Region, own_position


def select_joined(outputs: Sequence[Node]) -> list[Node]:
    """Replace joins by selections, for machines whose kernels cannot write at an offset.

    Requires: a simplified graph. Ensures: no Join.
    """
    rules = Rules[Node]()

    @rules.rule(Join)
    def select_parts(node: Join) -> Node:
        """join(a, b)  ->  a where i < n else b"""
        return selected(node.parts, node.axis)

    return rewrite(outputs, rules)


CONSTANTS = 16  # neighbouring constants, at most, that one function writes


@dataclass(frozen=True, eq=False, slots=True)
class Piece:
    """One launch of a kernel. For a part of a join, its output begins `start` bytes into the memory
    of `whole`, the join."""

    kernel: Kernel
    whole: Node | None = None
    start: int = 0


def pieces(kernel: Kernel) -> list[Piece]:
    """The launches of a kernel: the kernel itself, or a map for each part of a join."""
    if kernel.kind != "join":
        return [Piece(kernel)]
    (member,) = kernel.members
    join = member.node
    assert isinstance(join, Join)
    step = prod(join.shape[join.axis + 1 :]) * join.dtype.itemsize
    found, start = [], 0
    for part in _with_constants_together(join):
        found.append(Piece(_part(kernel, join, part), join, start * step))
        start += part.shape[join.axis]
    return found


def _with_constants_together(join: Join) -> list[Node]:
    """The parts of a join. Neighbouring constants become one part: each alone would need its own
    function."""
    parts: list[Node] = []
    for is_constant, run in groupby(join.parts, lambda part: isinstance(part, Const)):
        same = list(run)
        many = CONSTANTS if is_constant else 1
        parts += [selected(same[n : n + many], join.axis) for n in range(0, len(same), many)]
    return parts


def _part(kernel: Kernel, join: Join, part: Node) -> Kernel:
    """The map that computes a part."""
    inputs = set(kernel.inputs)
    node = Contiguous(part) if part in inputs else part
    order = topological([node], lambda n: () if n in inputs else n.inputs)
    reads = tuple(x for x in order if x in inputs)
    layouts = {x: kernel.layouts[x] for x in reads if x in kernel.layouts}
    if prod(join.shape[: join.axis]) > 1:
        layouts[node] = Region(join.shape)
    member = Member(node, own_position(node), True)
    return Kernel("map", node.size, (member,), reads, layouts=layouts)

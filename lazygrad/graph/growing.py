"""Find tensors that grow: `cat(old, new)` where the size of old varies, as a cache of a GPT.

A plan for all sizes up to a bound (at_bound.py) keeps old in memory of the bound's size, so there
is room after its elements. The joined tensor takes this memory over, and only the new elements are
written.

    where(i < n, pad(old[n, 64]), pad(new[1, 64]))   ->   scatter(old[128, 64], n + i, new)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .build import selected
from .ir import Const, Contiguous, Detach, Expand, Iota, Less, Node, Pad, Reshape, Where
from .lines import Line, varies
from .sizes import Family


@dataclass(frozen=True)
class Growth:
    """An output of a family (sizes.py) that is a leaf with new elements after it along an axis.

    `output` and `leaf` number the outputs and the leaves. `place` and `new` are the places of the
    joined tensor and of the new elements among the nodes. `size` is the leaf's size along the axis.
    """

    output: int
    leaf: int
    place: int
    new: int
    axis: int
    size: Line


def growths(family: Family, nodes: Sequence[Node]) -> list[Growth]:
    """The outputs that grow from leaves, at most one from each leaf. `nodes` are those of any graph
    of the family, in order."""
    places = {node: place for place, node in enumerate(nodes)}
    found: dict[int, Growth] = {}  # by leaf
    for output, place in enumerate(family.outputs):
        growth = _growth(family, places, output, nodes[place])
        if growth is not None:
            found.setdefault(growth.leaf, growth)
    by_place = {growth.place: growth for growth in found.values()}
    return list(by_place.values())


def _growth(family: Family, places: dict[Node, int], output: int, node: Node) -> Growth | None:
    """How an output grows from a leaf; None if it does not."""
    while isinstance(node, (Contiguous, Detach)) and places[node] not in family.leaves:
        node = node.x
    if places[node] in family.leaves:  # its inputs may not be among the nodes
        return None
    match node:
        case Where(Expand(Reshape(Less(Iota(), Const() as count))), Pad() as old, Pad() as new):
            leaf, added = places[old.x], places[new.x]
        case _:
            return None
    shape = family.shapes[leaf]
    axes = [axis for axis, line in enumerate(shape) if varies(line)]
    if leaf not in family.leaves or len(axes) != 1 or varies(family.shapes[added]):
        return None
    (axis,), number = axes, family.leaves.index(leaf)
    size = shape[axis]
    is_joined = node is selected((old.x, new.x), axis) and family.fields[places[count]][0] == size
    if is_joined and isinstance(size, Line) and size.slope == 1:
        return Growth(output, number, places[node], added, axis, size)
    return None

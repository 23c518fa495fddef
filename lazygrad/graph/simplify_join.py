"""Rules for joined tensors: joins that are not needed, and slices of a single part."""

from __future__ import annotations

from bisect import bisect_right

from ..rewrite import Rules
from .ir import Const, Join, Node, Slice
from .simplify_movement import slice_by, slice_parts

RULES = Rules[Node]()
rule = RULES.rule


@rule(Join)
def join_together(node: Join) -> Node | None:
    """join(join(a, b), c)  ->  join(a, b, c);   join(x[:2], x[2:])  ->  x;   join(a)  ->  a;
    equal constants that are neighbours are one
    """
    parts: list[Node] = []
    for part in node.parts:
        flat = part.parts if isinstance(part, Join) and part.axis == node.axis else (part,)
        for piece in flat:
            both = _beside(parts[-1], piece, node.axis) if parts else None
            if both is None:
                parts.append(piece)
            else:
                parts[-1] = both
    if len(parts) == 1:
        return parts[0]
    return None if tuple(parts) == node.parts else Join(tuple(parts), node.axis)


def _beside(x: Node, y: Node, axis: int) -> Node | None:
    """Two neighbouring parts as one node, if they are equal constants or neighbouring slices of one
    node; else None."""
    size = x.shape[axis] + y.shape[axis]
    match x, y:
        case Const(value, dtype), Const() if y is Const(value, dtype, y.shape):
            return Const(value, dtype, (*x.shape[:axis], size, *x.shape[axis + 1 :]))
        case Slice(), Slice() if x.x is y.x:
            first, second = slice_parts(x), slice_parts(y)
            (start, n, step), (follows, _, by) = first[axis], second[axis]
            first[axis] = second[axis] = (start, size, step)
            if first == second and step == by and follows == start + n * step:
                return slice_by(x.x, first)
    return None


@rule(Slice, of=Join)
def slice_of_join(node: Slice, inner: Join) -> Node | None:
    """slice(join(a, b))  ->  slice(a), where nothing of b is taken"""
    if node.size == 0:
        return None
    parts, axis = slice_parts(node), inner.axis
    start, size, step = parts[axis]
    first, last = sorted((start, start + (size - 1) * step))
    at = bisect_right(inner.starts, first) - 1
    part, before = inner.parts[at], inner.starts[at]
    if last >= before + part.shape[axis]:
        return None
    parts[axis] = (start - before, size, step)
    return slice_by(part, parts)

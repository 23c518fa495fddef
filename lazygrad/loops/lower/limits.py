"""How much of a kernel's outputs is defined, where their sizes vary (graph/sizes.py).

out0[i, j] = relu(within(sum(x * w), i < n))   ->   out0 is needed below n along axis 0
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ...dtypes import int64
from ...expr import Expr, Literal, Load
from ...graph.ir import (
    Contiguous,
    Elementwise,
    Movement,
    Node,
    Reduce,
    Where,
    Within,
)
from ...index import conjuncts, strides, upper_limit
from ...schedule.access import MultiIndex, movement_index, reduce_index, reduced_variables
from ...schedule.ir import axis_variables
from ..ir import Limit
from ..ir.rebuild import variables
from . import Lowered
from .value import Values


def note_limits(made: Lowered) -> Lowered:
    """The function with the limits of its outputs that lie in row-major order.

    Requires: a lowered kernel, whose arguments are its outputs and inputs.
    """
    kernel = made.kernel
    counts = {x for x in kernel.inputs if x.shape == () and x.dtype == int64}
    if not counts or kernel.parts:
        return made
    arrays = dict(zip(made.nodes, made.arrays, strict=True))

    def read(node: Node, index: MultiIndex, guard: Expr | None) -> Expr | None:
        return Load(arrays[node], Literal(0), guard) if node in counts else None

    values = Values(read)
    found: list[Limit] = []
    for node in kernel.outputs:
        if node in kernel.layouts:
            continue
        axes = axis_variables(node.shape)
        for condition in _insides(node, axes, set(kernel.inputs), values):
            for axis, step in zip(axes, strides(node.shape), strict=True):
                end = upper_limit(condition, axis)
                if end is not None and not variables(end):
                    found.append(Limit(arrays[node], step, axis.extent, end))
    function = replace(made.function, limits=tuple(dict.fromkeys(found)))
    return replace(made, function=function)


def _insides(node: Node, index: MultiIndex, boundary: set[Node], values: Values) -> Iterator[Expr]:
    """Conditions without which node[index] is undefined, as what it is computed of is undefined."""
    stack, seen = [(node, index)], set()
    while stack:
        top = stack.pop()
        x, at = top
        if top in seen or x in boundary:
            continue
        seen.add(top)
        match x:
            case Within():
                yield from conjuncts(values.of(x.inside, at, ()))
                stack.append((x.x, at))
            case Where():  # it may choose what is defined
                pass
            case Elementwise() | Contiguous():
                stack += [(each, at) for each in x.inputs]
            case Reduce():
                stack.append((x.x, reduce_index(x, at, reduced_variables(x))))
            case Movement():
                place, guards = movement_index(x, at)
                if not guards:
                    stack.append((x.x, place))

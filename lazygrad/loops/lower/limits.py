"""How much of a kernel's outputs is defined, where their sizes vary (graph/sizes.py).

out0[i, j] = relu(within(sum(x * w), i < n))   ->   out0 is needed below n along axis 0
"""

from __future__ import annotations

from collections.abc import Iterator

from ...expr import Array, Expr, Var
from ...graph.ir import (
    Bitcast,
    Cast,
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
from ...schedule.ir import Kernel, axis_variables
from ..ir import Limit
from ..ir.rebuild import variables
from .value import Values


def limits(kernel: Kernel, arrays: dict[Node, Array], values: Values) -> tuple[Limit, ...]:
    """The limits of the outputs that lie in row-major order."""
    found: list[Limit] = []
    for node in kernel.outputs:
        if node in kernel.layouts:
            continue
        axes = axis_variables(node.shape)
        steps = strides(node.shape)
        for condition in _insides(node, axes, set(kernel.inputs), values):
            for axis, step in zip(axes, steps, strict=True):
                end = upper_limit(condition, axis) if isinstance(axis, Var) else None
                if end is not None and not variables(end):
                    found.append(Limit(arrays[node], step, axis.extent, end))
    return tuple(dict.fromkeys(found))


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
            case Elementwise() | Cast() | Bitcast() | Contiguous():
                stack += [(each, at) for each in x.inputs]
            case Reduce():
                stack.append((x.x, reduce_index(x, at, reduced_variables(x))))
            case Movement():
                place, guards = movement_index(x, at)
                if not guards:
                    stack.append((x.x, place))

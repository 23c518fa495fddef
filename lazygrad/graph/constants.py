"""Make constants that differ from graph to graph arguments of one plan.

    x * 0.9, then x * 0.81, then x * 0.729, ...   ->   x * a: the third compiles nothing

Two graphs have the same *form* if they differ only in the values of constants. The first graph of a
form is compiled with its constants. A constant whose value differs in a later graph becomes an
argument of plans from then on. The other constants stay in the graph, where rules can use them.

A plan must give the same bits whether a constant is an argument or not. So these are never
arguments: integers (shapes and bounds depend on them); 0, 1, -1, infinity and nan (rules match
them); exponents; and operands of most operations on constants alone (rules compute with
them).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

from ..cache import remember
from .ir import Cast, Const, Div, Iota, Movement, Mul, Neg, Node, Pow
from .structure import Key

MAX_FORMS = 1024  # forms that are remembered; those used longest ago are dropped


class VaryingConstants:
    """The forms of earlier graphs, and which constants of each form have differed."""

    def __init__(self) -> None:
        self._forms: dict[Key, tuple[list[Hashable], set[int]]] = {}

    def clear(self) -> None:
        """Forget everything."""
        self._forms.clear()

    def __call__(self, key: Key, nodes: Sequence[Node]) -> tuple[Key, list[Const]]:
        """The key of a graph without the values of its varying constants, and these constants.

        `key` is the graph's key (structure.Walk); `nodes` are its nodes, in the key's order.
        """
        form = list(key)
        places = free_constants(nodes)
        for place in places:
            form[place] = Const, None, nodes[place].dtype, nodes[place].shape
        values = [key[place] for place in places]
        masked = tuple(form)
        first, varying = self._forms.pop(masked, (values, set()))
        remember(self._forms, masked, (first, varying), MAX_FORMS)
        varying.update(n for n, value in enumerate(values) if value != first[n])
        for n, place in enumerate(places):
            if n not in varying:
                form[place] = key[place]
        return tuple(form), [nodes[places[n]] for n in sorted(varying)]  # type: ignore[misc]


def free_constants(nodes: Sequence[Node]) -> list[int]:
    """The places of the constants that may vary, among nodes in topological order."""
    fixed: set[Node] = set()  # nodes whose value a rule needs
    counted: set[Node] = set()  # nodes computed from constants alone
    for node in nodes:
        is_counted = bool(node.inputs) and counted.issuperset(node.inputs)
        if is_counted or isinstance(node, (Const, Iota)):
            counted.add(node)
        if isinstance(node, Pow) or (is_counted and not _is_exact(node)):
            fixed.update(node.inputs)
    for node in reversed(nodes):
        if node in fixed and node in counted:
            fixed.update(node.inputs)
    floats = ((n, x) for n, x in enumerate(nodes) if isinstance(x, Const) and x.dtype.is_float)
    return [n for n, node in floats if may_vary(node.value) and node not in fixed]


def _is_exact(node: Node) -> bool:
    """Whether every device computes the bits that the rules compute. So the weight of a loss may
    vary, although it is multiplied and divided by constants on the way back."""
    if isinstance(node, (Cast, Mul, Div, Neg)):
        return node.dtype.is_float
    return isinstance(node, Movement)


def may_vary(value: float) -> bool:
    """Whether a float may be an argument: no rule matches it."""
    return math.isfinite(value) and value not in (0, 1, -1)

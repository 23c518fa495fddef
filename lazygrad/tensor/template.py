"""What an operation of several nodes builds, kept so that it can be built again on other inputs.

The first call of `layernorm` on some shapes builds its nodes one by one: each is checked, and its
shape and dtype are inferred. A call on inputs of the same shapes, dtypes and devices gives
the same nodes but for the inputs. A *template* has what was found out then, and no node.

    template = Template.of(results, inputs)     # None where they do not depend on these alone
    template.build(others)                      # the results on other inputs, of the same shapes
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..graph.ir import Buffer, Custom, Detach, InRange, Node, Overwritten, topological
from ..graph.ir.node import holds_nodes

_OWN = (Buffer, Custom, InRange, Overwritten)
"""Nodes that stand for one tensor, one line or one function: what holds them is built anew."""


@dataclass(eq=False, slots=True)
class _Step:
    """One node: its fields, those that are nodes by the place of the node among those before."""

    cls: type[Node]
    fields: list[Any]  # None where a node comes
    nodes: list[tuple[int, int]]  # which field is which node
    lists: list[tuple[int, list[int]]]  # which field is a tuple of which nodes
    inputs: list[int]
    derived: tuple[tuple[str, Any], ...]


@dataclass(eq=False, slots=True)
class Template:
    """How nodes are built on inputs, and which of them, the inputs first, are the results."""

    steps: list[_Step]
    results: list[int]

    @classmethod
    def of(cls, results: Sequence[Node], inputs: Sequence[Node]) -> Template | None:
        """The template of `results`; None if they need memory beside the inputs, or what belongs to
        one call: a variable, an index check. Linear in what lies between."""
        given = set(inputs)
        order = topological(results, lambda node: () if node in given else node.inputs)
        place = {node: i for i, node in enumerate(inputs)}
        steps: list[_Step] = []
        for node in order:
            if node in place:
                continue
            if isinstance(node, _OWN) or (isinstance(node, Detach) and node.token is not None):
                return None
            steps.append(_step(node, place))
            place[node] = len(place)
        return cls(steps, [place[node] for node in results])

    def build(self, inputs: Sequence[Node]) -> tuple[list[Node], list[Node]]:
        """The results on these inputs, which are as those of the template but for their values; and
        all nodes, the inputs first."""
        made = list(inputs)
        for step in self.steps:
            fields = step.fields
            if step.nodes or step.lists:
                fields = fields.copy()
                for field, place in step.nodes:
                    fields[field] = made[place]
                for field, places in step.lists:
                    fields[field] = tuple([made[place] for place in places])
            operands = tuple([made[place] for place in step.inputs])
            made.append(step.cls.again(fields, (("inputs", operands), *step.derived)))
        return [made[place] for place in self.results], made


def _step(node: Node, place: dict[Node, int]) -> _Step:
    fields = [getattr(node, name) for name in node._fields]
    nodes = [(i, place[x]) for i, x in enumerate(fields) if isinstance(x, Node)]
    lists = [
        (i, [place[x] for x in value])
        for i, value in enumerate(fields)
        if isinstance(value, tuple) and holds_nodes(value)
    ]
    for field in (*[i for i, _ in nodes], *[i for i, _ in lists]):
        fields[field] = None
    derived = tuple((name, getattr(node, name)) for name in ("shape", "dtype", "device"))
    return _Step(type(node), fields, nodes, lists, [place[x] for x in node.inputs], derived)

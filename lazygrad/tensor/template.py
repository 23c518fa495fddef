"""What an operation of several nodes builds, kept so that it can be built again on other inputs.

The first call of `layernorm` on some shapes builds its nodes one by one: each is checked, and its
shape and dtype are inferred. A call on inputs of the same shapes, dtypes and devices gives
the same nodes but for the inputs. A *template* has what was found out then, and no node.

    template = Template.of(results, inputs)     # None where they do not depend on these alone
    template.build(others)                      # the results on other inputs, of the same shapes
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..graph.ir import Buffer, Custom, Detach, InRange, Node, Overwritten, topological
from ..graph.ir.node import holds_nodes
from ..graph.skeleton import picker

_OWN = (Buffer, Custom, InRange, Overwritten)
"""Nodes that stand for one tensor, one line or one function: what holds them is built anew."""

Pick = Callable[[Sequence[Any]], tuple[Any, ...]]


@dataclass(eq=False, slots=True)
class _Step:
    """How to make one node, or a tuple of nodes, of what is known before."""

    cls: type[Node] | None  # None for a tuple, which is its own key
    key: Pick
    fields: Pick = tuple
    inputs: Pick = tuple
    derived: tuple[Any, ...] = ()


@dataclass(eq=False, slots=True)
class Template:
    """How nodes are built on inputs, and which of them are the results. Each value has a place: the
    inputs come first, then the constants, then what each step makes."""

    constants: list[Hashable]
    steps: list[_Step]
    results: Pick

    @classmethod
    def of(
        cls, results: Sequence[Node], inputs: Sequence[Node]
    ) -> tuple[Template, Mapping[Node, int]] | None:
        """The template of `results`, and the places of the inputs and of what it makes; None if the
        results need memory beside the inputs, or what belongs to one call: a variable, an index
        check. Linear in what lies between."""
        given = set(inputs)
        order = topological(results, lambda node: () if node in given else node.inputs)
        new = [node for node in order if node not in given]
        for node in new:
            if isinstance(node, _OWN) or (isinstance(node, Detach) and node.token is not None):
                return None
        entries = [_entry(node) for node in new]
        values = [x for entry in entries for part in entry for x in part]
        constants = list({id(x): x for x in values if not holds_nodes(x)}.values())
        place = {id(x): n for n, x in enumerate((*inputs, *constants))}

        def pick(values: Sequence[Any]) -> Pick:
            return picker([place[id(x)] for x in values])

        steps: list[_Step] = []
        for node, (key, fields) in zip(new, entries, strict=True):
            for x in fields:
                if id(x) not in place:  # a tuple of nodes
                    steps.append(_Step(None, pick(x)))
                    place[id(x)] = len(place)
            known = node.shape, node.dtype, node.device
            steps.append(_Step(type(node), pick(key), pick(fields), pick(node.inputs), known))
            place[id(node)] = len(place)
        made = cls(constants, steps, pick(results))
        return made, {node: place[id(node)] for node in (*inputs, *new)}

    def build(self, inputs: Sequence[Node]) -> list[Any]:
        """The values at all places, on these inputs, which are as those that the template was made
        of."""
        made = [*inputs, *self.constants]
        for step in self.steps:
            key = step.key(made)
            if step.cls is not None:
                derived = (step.inputs(made), *step.derived)
                key = step.cls.again(key, step.fields(made), derived)
            made.append(key)
        return made


def _entry(node: Node) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """What a node is interned by, and its fields."""
    fields = tuple([getattr(node, name) for name in node._fields])
    keyed = type(node)._keyed
    return ((type(node), *fields), fields) if keyed is None else keyed(fields)

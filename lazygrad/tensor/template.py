"""What an operation of several nodes builds, kept so that it can be built again on other inputs.

The first call of `layernorm` on some shapes builds its nodes one by one: each is checked, and its
shape and dtype are inferred. A call on inputs of the same shapes, dtypes and devices gives
the same nodes but for the inputs. A *template* has what was found out then, and no node
that reads an input.

    template = Template.of(results, inputs)     # None where they do not depend on these alone
    template.build(others)                      # all values on other inputs, of the same shapes
    template.defer(others)                      # the results, to be built when somebody looks
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar
from weakref import ref

from ..dtypes import DType
from ..graph.ir import (
    Buffer,
    Const,
    Custom,
    Detach,
    InRange,
    Node,
    Overwritten,
    Shape,
    Token,
    become,
    building,
    deferred,
    deferred_class,
    topological,
)
from ..graph.ir.node import holds_nodes
from ..graph.skeleton import picker
from ..graph.structure import Hashed, Slot, described
from ..interned import entered, interned

trial: ContextVar[Trial | None] = ContextVar("trial", default=None)
"""What an operation is tried on; None where operations are called as the program calls them."""


class NoValuesError(Exception):
    """An operation asks for more than the shapes and dtypes of its inputs."""


class Trial:
    """Leaves without memory that an operation is called on, to see what it builds. What is done
    anew with each call of it, as checking an index, gives further leaves."""

    def __init__(self, inputs: Iterable[Node]) -> None:
        self.places = {_leaf(x.shape, x.dtype, x.device): n for n, x in enumerate(inputs)}
        self.calls: list[Callable[[Sequence[Node]], Sequence[Node]]] = []

    def anew(
        self, call: Callable[[Any], Sequence[Node]], leaf: Node | None, like: Sequence[Node]
    ) -> list[Node]:
        """Leaves that stand for what `call` gives of a leaf, if of any, each time; they are `like`
        these nodes."""
        place = None if leaf is None else self.places[leaf]
        self.calls.append(lambda nodes: call(None if place is None else nodes[place]))
        made = [_leaf(x.shape, x.dtype, x.device) for x in like]
        self.places |= {x: n for n, x in enumerate(made, len(self.places))}
        return made


def _leaf(shape: Shape, dtype: DType, device: str | None) -> Node:
    """A leaf of its own."""
    if device is None:
        return Detach(Const(0, dtype, shape), Token())
    return Buffer(Slot(math.prod(shape), dtype, device), shape)


def need_values(node: Node | None = None) -> None:
    """Say that values of a node are read here, or that some are written. Raises NoValuesError
    where an operation is tried."""
    tried = trial.get()
    if tried is not None and (node is None or node in tried.places):
        raise NoValuesError


_OWN = (Buffer, Custom, InRange, Overwritten)
"""Nodes that stand for one tensor, one line or one function: what holds them is built anew."""

T = TypeVar("T")
Pick = Callable[[Sequence[Any]], tuple[Any, ...]]


_NONE: Mapping[int, Node] = {}

_Step = tuple[Callable[..., Any] | None, Pick, Pick, Pick, tuple[Any, ...]]
"""How to make a node of the values before it: its constructor, and what picks its key, its fields
and its inputs; and its shape, dtype and device. No constructor: the key is all, a tuple of nodes.
"""


Gives = Sequence[tuple[int, type[Node], Sequence[Any], Hashable]]
"""Of each result of a call: its place; its class; its shape, dtype and device; and all that tells
it from other results of calls on the same inputs."""


class Recipe:
    """How the results of a call are made of its inputs."""

    gives: Gives
    """Empty where the results are to be built at once."""
    description: Hashable
    """All that tells what two recipes make of the same inputs apart."""

    def tell_apart(self, results: Sequence[T]) -> list[tuple[T, Hashable]]:
        """What is known of each result, with the description of the result."""
        if len(results) == 1:
            return [(results[0], self.description)]
        return [(each, (self.description, n)) for n, each in enumerate(results)]

    def build(self, inputs: Sequence[Node], given: Mapping[int, Node]) -> list[Any]:
        """The values at all places. Deferred nodes that are `given` for some results, by number,
        become these."""
        raise NotImplementedError

    def defer(self, inputs: Sequence[Node]) -> list[Node]:
        """The results, to be built when somebody looks."""
        key = (self, *inputs)
        reference = interned.get(key)
        call: Any = None if reference is None else reference()
        if call is None:
            made = _Call(key)
            results = made.first_results()
            call = entered(key, made)
            if call is made:
                return results
        return call.results()  # type: ignore[no-any-return]


@dataclass(eq=False)
class Template(Recipe):
    """How nodes are built on inputs, and which of them are the results. Each value has a place: the
    inputs come first, then the constants, then what each step makes."""

    constants: list[Any]  # fields; and nodes that read no input, which are made once
    steps: list[_Step]
    results: Pick
    gives: Gives = ()
    description: Hashable = None
    note: Callable[[Sequence[Any]], None] = lambda made: None
    """Notes what is known of the values at all places, when they are built."""

    @classmethod
    def of(
        cls, results: Sequence[Node], inputs: Sequence[Node], can_defer: bool = False
    ) -> tuple[Template, Mapping[Node, int]] | None:
        """The template of `results`, and the places of the inputs and of what it makes; None if the
        results need memory beside the inputs, or what belongs to one call: a variable, an index
        check. `can_defer`: they need not be built at once. Linear in what lies between."""
        given = dict.fromkeys(inputs)
        new: dict[Node, None] = {}
        order = topological(results, lambda node: () if node in given else node.inputs)
        for node in order:
            if node in given:
                continue
            if isinstance(node, _OWN) or (isinstance(node, Detach) and node.token is not None):
                return None
            if node.device is not None or any(x in new or x in given for x in node.inputs):
                new[node] = None
        entries = [_entry(node) for node in new]
        parts = [x for entry in entries for part in entry for x in part]
        values = [x for part in (*parts, tuple(results)) for x in _values(part)]
        place = {id(x): n for n, x in enumerate(inputs)}
        made = {*place, *map(id, new)}
        constants = list({id(x): x for x in values if id(x) not in made}.values())
        place |= {id(x): n for n, x in enumerate(constants, len(place))}

        def pick(values: Sequence[Any]) -> Pick:
            return picker([place[id(x)] for x in values])

        steps: list[_Step] = []
        for node, (key, fields) in zip(new, entries, strict=True):
            for x in fields:
                if id(x) not in place:  # a tuple of nodes
                    steps.append((None, pick(x), tuple, tuple, ()))
                    place[id(x)] = len(place)
            known = node.shape, node.dtype, node.device
            steps.append((type(node).new, pick(key), pick(fields), pick(node.inputs), known))
            place[id(node)] = len(place)
        template = cls(constants, steps, pick(results))
        if can_defer and all(x in new for x in results) and len({*results}) == len(results):
            template.description = _description(results, given, order)
            template.gives = [
                (place[id(x)], deferred_class(type(x)), (x.shape, x.dtype, x.device), description)
                for x, description in template.tell_apart(results)
            ]
        return template, {x: place[id(x)] for x in (*given, *new)}

    def build(self, inputs: Sequence[Node], given: Mapping[int, Node] = _NONE) -> list[Any]:
        """As Recipe's. The inputs are as those that the template was made of."""
        made = [*inputs, *self.constants]
        at = {self.gives[n][0]: node for n, node in given.items()}
        for new, key_of, fields_of, inputs_of, known in self.steps:
            key = key_of(made)
            if new is None:
                made.append(key)
            elif at and len(made) in at:
                node = at[len(made)]
                become(node, fields_of(made), inputs_of(made))
                entered(key, node)  # unless an equal node was made meanwhile
                made.append(node)
            else:
                reference = interned.get(key)
                found = None if reference is None else reference()
                made.append(found or entered(key, new(*fields_of(made), (inputs_of(made), *known))))
        self.note(made)
        return made


class _Call:
    """A recipe on inputs, with results that are not built. They hold it, not it them."""

    __slots__ = ("__weakref__", "_alive", "inputs", "key", "recipe")

    def __init__(self, key: tuple[Any, ...]) -> None:
        """`key` is what the call is interned by: the recipe and the inputs."""
        self.key = key
        self.recipe: Recipe = key[0]
        self.inputs: tuple[Node, ...] = key[1:]

    def first_results(self) -> list[Node]:
        """The results of a call that no other thread knows."""
        made = list(map(self._made, self.recipe.gives))
        self._alive = list(map(ref, made))
        return made

    def results(self) -> list[Node]:
        """The results. Those that nobody holds are made anew."""
        found = []
        with building:
            for n, reference in enumerate(self._alive):
                node = reference()
                if node is None:
                    node = self._made(self.recipe.gives[n])
                    self._alive[n] = ref(node)
                found.append(node)
        return found

    def _made(self, gives: tuple[int, type[Node], Sequence[Any], Hashable]) -> Node:
        """A result that is not built."""
        _, cls, known, description = gives
        node = object.__new__(cls)
        node.shape, node.dtype, node.device = known
        node.call, node.description = self, description
        return node

    def alive(self) -> list[Node]:
        """As Call's (graph/ir/deferred.py)."""
        return [node for reference in self._alive if (node := reference()) is not None]

    def build(self) -> None:
        """As Call's."""
        interned.pop(self.key, None)
        alive = [reference() for reference in self._alive]
        held = {n: node for n, node in enumerate(alive) if type(node) in deferred}
        self.recipe.build(self.inputs, held)  # type: ignore[arg-type]
        for node in held.values():
            object.__delattr__(node, "call")
            object.__delattr__(node, "description")


def _description(
    results: Sequence[Node], inputs: Mapping[Node, None], order: Sequence[Node]
) -> Hashed:
    """All that tells results from others that are made of the same inputs: the classes, fields and
    inputs of the nodes between them, which are in this order."""
    number = {node: n for n, node in enumerate(dict.fromkeys((*inputs, *order)))}
    entries = [
        (type(node), described(node), *[number[x] for x in node.inputs])
        for node in order
        if node not in inputs
    ]
    return Hashed((*entries, *[number[x] for x in results]))


def _entry(node: Node) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """What a node is interned by, and its fields."""
    fields = tuple([getattr(node, name) for name in node._fields])
    keyed = type(node)._keyed
    return ((type(node), *fields), fields) if keyed is None else keyed(fields)


def _values(field: Any) -> tuple[Any, ...]:
    """A field's value; of a tuple of nodes these."""
    return field if isinstance(field, tuple) and holds_nodes(field) else (field,)

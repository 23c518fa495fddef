"""Recognise a graph by an earlier one of the same structure, without a search.

In each step a program makes the same graph again, of new nodes. A *walk* puts the nodes in order,
inputs first; a node's number there is its *place*. The *skeleton* of a walk has the class of each
node and the places of its inputs. Everything else that tells graphs apart, such as shapes and
constants, is in the *fields* of nodes. A skeleton also knows for each node one that reads it, so it
finds the nodes of a new graph in one pass from the outputs. It then compares classes and inputs as
whole lists.

    relu(x @ w)   ->   skeleton   0: Buffer, 1: Buffer, 2: Expand(0), 3: Expand(1), 4: Mul(2, 3)
                       fields     (8, 4), (4, 16), (8, 4, 16), ...

A *structure* is a skeleton with fields. Decisions about a graph are remembered in its structure.

A walk does not look into calls that are not built (ir/deferred.py): a result of one is a node with
the inputs of the call, and its field is the call's description.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from itertools import chain, count, repeat
from operator import attrgetter, call, itemgetter
from typing import Any

from ..cache import remember
from .ir import Buffer, Known, Node, deferred, is_leaf

MAX_NEXT = 12  # skeletons of one kind that are tried; the latest comes first
MAX_KINDS = 128  # kinds that are remembered; the oldest are dropped
MAX_NODES = 20_000  # nodes of a skeleton that is remembered
MAX_STRUCTURES = 8  # structures of a skeleton that are remembered, the newest

Places = tuple[int, ...]  # of nodes in a walk's order
Fields = list[Hashable]  # of each node, in a walk's order
Sizes = tuple[int, ...]  # the sizes n and m of a graph in which one or two sizes vary (sizes.py)
Read = Callable[[Node], Hashable]  # the fields of a node
Wiring = tuple[Sequence[type[Node]], Sequence[Places], Sequence[Read]]
"""Of each node of a walk its class (Buffer for a leaf), its inputs, and what reads its fields."""

Ways = tuple[list[int], list[int], list[int], list[type[Node]], list[bool]]  # `_find_ways`
Kind = tuple[type, type | None, int]

inputs_of = attrgetter("inputs")


class Structure:
    """The structure of graphs that differ in their leaves alone.

    `keys` maps the places of outputs to the key by which plans are found, and the places of the
    leaves and of the constants that are arguments of these plans. `is_too_coarse`: decisions are
    about nodes inside calls, which are to be built. `runs`: how often copies in a graph were
    computed together (together.py), by the places of its outputs; None: it is computed as it is.
    """

    __slots__ = ("fields", "is_too_coarse", "keys", "runs")

    def __init__(self, fields: Fields) -> None:
        same: dict[Hashable, Hashable] = {}
        self.fields = [same.setdefault(x, x) for x in fields]  # many nodes have equal ones
        self.keys: dict[Places, tuple[Hashable, Places, Places]] = {}
        self.is_too_coarse = False
        self.runs: dict[Places, int | None] = {}

    def sizes_of(self, fields: Fields) -> Sizes | None:
        """The sizes of a graph with these fields, in this structure; () if no size varies. None if
        the graph has another structure."""
        return () if self.fields == fields else None

    def is_like(self, other: Structure) -> bool:
        """Whether the same graphs have the other structure."""
        return self.fields == other.fields


class Skeleton:
    """The classes and inputs of the nodes that a walk adds to earlier ones, and the skeletons of
    walks that go on from there. Walks begin at a skeleton without nodes."""

    def __init__(self, start: int = 0, wiring: Wiring = ((), (), ()), outputs: Places = ()) -> None:
        """`wiring` is that of the nodes from place `start` on, inputs first; `outputs` are the
        places of the outputs that the walk went to."""
        # lists of what is alike: Python's collector would look at a tuple for each node
        self.classes, self.inputs, self._describe = wiring
        self._next: dict[Kind, tuple[Skeleton, ...]] = {}
        self._exact: tuple[Structure, ...] = ()
        self._varying: tuple[Structure, ...] = ()
        self.has_calls = not deferred.isdisjoint(self.classes)
        self._start = start
        inner = [place for place, cls in enumerate(self.classes, start) if cls is not Buffer]
        index = {place: n for n, place in enumerate(inner)}
        self._blank: list[Any] = [None] * len(inner)
        self._arities = [len(self.inputs[place - start]) for place in inner]
        self._ways = self._find_ways(index)
        self._roots = [
            (n, index[place], cls := self.classes[place - start], cls in deferred)
            for n, place in enumerate(outputs)
            if place in index
        ]
        read = [*chain.from_iterable(self.inputs), *outputs]
        at = dict(zip(reversed(read), range(len(read) - 1, -1, -1), strict=True))
        count = len(self.classes)
        self._read = picker(read)
        self._order = picker([at[place] for place in range(start, start + count)])
        leaves = [place for place, cls in enumerate(self.classes, start) if cls is Buffer]
        self.leaves = picker(leaves)
        """The leaves that are added, from all nodes of a walk."""

    def _find_ways(self, index: Mapping[int, int]) -> Ways:
        """For each node that is read and no leaf: its index, that of a reader, which input of the
        reader it is, its class, and whether it is deferred. `index` has the nodes that are no
        leaves, by their places. Readers come first."""
        start = self._start
        places, readers, slots = [], [], []
        seen = set()
        for reader in reversed(index):
            for slot, place in enumerate(self.inputs[reader - start]):
                if place in index and place not in seen:
                    seen.add(place)
                    places.append(place)
                    readers.append(index[reader])
                    slots.append(slot)
        classes = [self.classes[place - start] for place in places]
        are_calls = [cls in deferred for cls in classes]
        return [index[place] for place in places], readers, slots, classes, are_calls

    # ------------------------------------------------------------------- recognising

    def follow(
        self,
        nodes: list[Node],
        number: Mapping[Node, int],
        outputs: Sequence[Node],
        known: Known,
    ) -> tuple[Skeleton, list[Node], dict[Node, int]] | None:
        """The skeleton of a walk that goes on from `nodes`, with these numbers, to the outputs; all
        nodes of the walk, in order; and the places of the new ones. None if no earlier walk had
        that skeleton. The caller holds `building`."""
        kind = _kind(outputs)
        candidates = self._next.get(kind, ())
        for skeleton in candidates:
            found = skeleton._found(nodes, outputs, known)
            if found is None:
                continue
            start = skeleton._start
            places = dict(zip(found[start:] if start else found, count(start)))
            if len(places) == len(found) - start and number.keys().isdisjoint(places):
                if skeleton is not candidates[0]:
                    rest = [each for each in candidates if each is not skeleton]
                    self._next[kind] = (skeleton, *rest)
                return skeleton, found, places
            # else two nodes are one here
        return None

    def _found(self, nodes: list[Node], outputs: Sequence[Node], known: Known) -> list[Node] | None:
        """The nodes of the walk, in order, if it has this skeleton."""
        readers = self._blank.copy()  # for a deferred node its call, as nobody may look
        try:
            for n, place, cls, is_call in self._roots:
                node = outputs[n]
                if type(node) is not cls:
                    return None
                readers[place] = node.call if is_call else node
            for place, reader, slot, cls, is_call in zip(*self._ways, strict=True):
                node = readers[reader].inputs[slot]
                if type(node) is not cls:
                    return None
                readers[place] = node.call if is_call else node
        except (IndexError, AttributeError):
            return None
        inputs = list(map(inputs_of, readers))
        if list(map(len, inputs)) != self._arities:
            return None
        read = (*chain.from_iterable(inputs), *outputs)
        new = self._order(read)
        is_plain = list(map(type, new)) == self.classes and known.isdisjoint(new)
        if not (is_plain or all(map(_is_as, self.classes, new, repeat(known)))):
            return None
        found = [*nodes, *new]
        return found if self._read(found) == read else None

    def fields(self, nodes: Sequence[Node]) -> Fields:
        """The fields of `nodes`, the nodes that the walk adds."""
        return list(map(call, self._describe, nodes))

    # ------------------------------------------------------------------- remembering

    def remember(self, outputs: Sequence[Node], skeleton: Skeleton) -> None:
        """Note the skeleton of a walk that went on from here to the outputs."""
        if len(skeleton.classes) <= MAX_NODES:
            kind = _kind(outputs)
            before = self._next.pop(kind, ())
            remember(self._next, kind, (skeleton, *before)[:MAX_NEXT], MAX_KINDS)

    def structure_of(self, fields: Fields) -> tuple[Structure, Sizes]:
        """The structure of a walk with these fields, and its sizes (see Structure.sizes_of)."""
        for structure in self._exact:
            if structure.fields == fields:
                return structure, ()
        for structure in self._varying:
            sizes = structure.sizes_of(fields)
            if sizes is not None:
                return structure, sizes
        return self.add_exact(fields), ()

    def add_exact(self, fields: Fields) -> Structure:
        """The structure with exactly these fields, in which nothing varies."""
        made = Structure(fields)
        for known in self._exact:
            if known.is_like(made):
                return known
        self._exact = (made, *self._exact)[:MAX_STRUCTURES]
        return made

    def add_varying(self, structure: Structure) -> Structure:
        """Note a structure in which fields vary. Returns it, or one like it that was noted
        before."""
        for known in self._varying:
            if known.is_like(structure):
                return known
        self._varying = (structure, *self._varying)[:MAX_STRUCTURES]
        return structure


def _is_as(cls: type[Node], node: Node, known: Known) -> bool:
    """Whether a node is of the class; with Buffer, whether it is a leaf."""
    return is_leaf(node, known) if cls is Buffer else type(node) is cls and not is_leaf(node, known)


def _kind(outputs: Sequence[Node]) -> Kind:
    """A cheap key that graphs of one skeleton share: two classes at the first output, and the
    number of outputs."""
    first = outputs[0]
    inputs = first.call.inputs if type(first) in deferred else first.inputs
    return first.__class__, inputs[0].__class__ if inputs else None, len(outputs)


def picker(places: Sequence[int]) -> Callable[[Sequence[Node]], tuple[Node, ...]]:
    """A function that returns the nodes at these places."""
    if len(places) > 1:
        return itemgetter(*places)
    if places:
        only = places[0]
        return lambda found: (found[only],)
    return lambda found: ()

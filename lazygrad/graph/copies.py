"""Copies of one subgraph, computed together.

A loop in Python over examples builds the same operations for each of them:

    loss = sum(-policy(x).log_prob(a) * r for x, a, r in episode)       200 copies

The kernels of each copy would be launched, and a loop of another length compiled anew. Where like
terms are added, or like parts joined, one of the copies becomes that of a batch (batching.py). It
reads the leaves of all, side by side:

    f(a) + f(b) + f(c) + ...       ->  sum over axis 0 of f(stack of a, b, c, ...)
    join(f(a), f(b), f(c), ...)    ->  f(stack of a, b, c, ...), with its first axes merged

Outputs that are copies are rows of one output. The number of copies is then a size like others, and
may vary (sizes.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from .. import config, dtypes
from ..origin import inherit
from . import build
from .batching import Batch
from .ir import (
    Add,
    Buffer,
    Const,
    Custom,
    Div,
    Join,
    Known,
    Mul,
    Node,
    Slice,
    Sub,
    is_leaf,
    topological,
    use_counts,
)
from .structure import Walk, described

MIN_COPIES = 8  # that pay
MIN_NODES = 2  # of a copy
COPIED = 4096  # bytes of leaves, for each node of a copy, that are copied side by side at most
MAX_BYTES = 1 << 24  # of an output, and of the leaves of all copies
MAX_NESTED = 4  # loops within loops

Stack = Callable[[Sequence[Node], "str | None"], Node]
"""Leaves, or constants, of one shape side by side in memory of a device: (copies, *shape)."""

_VALUED = (Add, Sub, Mul, Div)
"""Operations whose constants may differ from copy to copy, as the weights of terms."""


Row = tuple[int, int | None]
"""The number of an output, and which of its rows along axis 0; None: the whole."""


Count = tuple[int, int]
"""A hash of what a copy computes, whatever it is computed of; and how many copies there are."""


def batch_copies(
    outputs: Sequence[Node], walked: Walk, known: Known, stack: Stack
) -> tuple[list[Node], list[Row], list[Count]]:
    """Outputs with copies computed together; where each of the given outputs is among them; and the
    copies of each kind. `known` nodes are leaves, as all Buffers are; `walked` is a whole walk to
    the outputs.

    Ensures: equal values, but for the order of summation. Linear in the graph.
    """
    found, rows, counts = list(outputs), None, []
    order, fields = walked.nodes, walked.fields
    for _ in range(MAX_NESTED):
        copies = _Copies(found, order, fields, known, stack)
        if rows is None:
            found, rows = copies.rows()
        replaced = dict(copies.replaced())
        if not copies.counts:
            break
        found = copies.substituted(found, replaced)
        counts += copies.counts
        order = topological(found, lambda node: () if is_leaf(node, known) else node.inputs)
        fields = list(map(described, order))
    return found, rows or [], counts


@dataclass(frozen=True, eq=False, slots=True)
class _Group:
    """Nodes that are alike, and where their copies differ: of the first one's nodes, the leaves,
    constants and slices that others have instead."""

    parts: Sequence[Node]
    ends: Mapping[Node, Sequence[Node]]
    same: Container[Node]

    def form(self) -> int:
        """A hash of what a copy computes."""
        first, found = self.parts[0], dict[Node, Hashable]()

        def inputs(node: Node) -> Sequence[Node]:
            return () if node in self.ends or node in self.same else node.inputs

        for node in topological([first], inputs):
            own = (type(node), described(node)) if inputs(node) else (node.shape, node.dtype)
            found[node] = hash((*own, *[found[x] for x in inputs(node)]))
        return hash(found[first])


class _Copies:
    """The copies in one graph."""

    def __init__(
        self,
        outputs: Sequence[Node],
        order: Sequence[Node],
        fields: Sequence[Hashable],
        known: Known,
        stack: Stack,
    ) -> None:
        """`order` has all nodes up to the leaves, inputs first; `fields` describe them."""
        self._outputs, self._known, self._stack = outputs, known, stack
        self._order = order
        self._number = {node: n for n, node in enumerate(order)}
        self._slices = self._regular_slices()
        self._kind: dict[Node, int] = {}
        numbers: dict[Hashable, int] = {}
        for node, own in zip(order, fields, strict=True):
            self._kind[node] = numbers.setdefault(self._key(node, own), len(numbers))
        self._stacks: dict[tuple[Node, ...], Node] = {}
        self.counts: list[Count] = []

    def _inputs(self, node: Node) -> Sequence[Node]:
        return () if is_leaf(node, self._known) else node.inputs

    # ------------------------------------------------------------------ kinds

    def _regular_slices(self) -> set[Node]:
        """The slices of one node that differ in their starts alone, where there are many: copies
        read one each, as a loop over a tensor does."""
        slices = [x for x in self._order if isinstance(x, Slice) and self._inputs(x)]
        counts = Counter((x.x, x.sizes, x.steps) for x in slices)
        return {x for x in slices if counts[x.x, x.sizes, x.steps] >= MIN_COPIES}

    def _key(self, node: Node, fields: Hashable) -> Hashable:
        """What copies of a node with these fields have in common."""
        if is_leaf(node, self._known):
            return (Buffer, node.shape, node.dtype, node.device)
        if isinstance(node, Slice) and node in self._slices:
            return (Slice, self._number[node.x], node.sizes, node.steps)
        if isinstance(node, Custom):  # its rule is not compared
            return (Custom, self._number[node])
        kind = self._kind
        if not isinstance(node, _VALUED):
            return (type(node), fields, *[kind[x] for x in node.inputs])
        inputs = [
            (Const, x.dtype, x.shape) if isinstance(x, Const) and x.dtype.is_float else kind[x]
            for x in node.inputs
        ]
        return (type(node), fields, *inputs)

    # ------------------------------------------------------------------ groups

    def rows(self) -> tuple[list[Node], list[Row]]:
        """The outputs, with those that are copies in one; and where each is."""
        alike: dict[int, list[Node]] = {}
        for node in dict.fromkeys(self._outputs):
            alike.setdefault(self._kind[node], []).append(node)
        found: list[Node] = []
        places: dict[Node, Row] = {}
        for parts in alike.values():
            made = self._batched(parts) if _nbytes(parts) <= MAX_BYTES else None
            if made is None:
                for node in parts:
                    places[node] = len(found), None
                    found.append(node)
            else:
                batched, order = made
                for row, copy in enumerate(order):
                    places[parts[copy]] = len(found), row
                found.append(batched)
        return found, [places[node] for node in self._outputs]

    def replaced(self) -> Iterator[tuple[Node, Node]]:
        """The sums and joins of many copies, and what computes them together."""
        for node, terms in self._sums():
            rest, sums = self._summed(terms)
            if sums:
                total, *others = [*sums, *rest]
                for other in others:
                    total = Add(total, other)
                yield node, total
        for node in self._order:
            if isinstance(node, Join) and self._inputs(node):
                joined = self._joined(node)
                if joined is not None:
                    yield node, joined

    def _sums(self) -> Iterator[tuple[Node, list[Node]]]:
        """Each sum of many terms, and its terms."""
        uses = use_counts(self._outputs, self._order)
        inner: set[Node] = set()  # sums that are terms of another
        for node in reversed(self._order):
            is_sum = isinstance(node, Add) and node.dtype is not dtypes.bool_
            if not is_sum or node in inner or not self._inputs(node):
                continue
            terms, waiting = [], list(reversed(node.inputs))
            while waiting:
                term = waiting.pop()
                if isinstance(term, Add) and uses[term] == 1 and self._inputs(term):
                    inner.add(term)
                    waiting += reversed(term.inputs)
                else:
                    terms.append(term)
            if len(terms) >= MIN_COPIES:
                yield node, terms

    def _summed(self, terms: Sequence[Node]) -> tuple[list[Node], list[Node]]:
        """Terms that are left, and sums of the others."""
        alike: dict[int, list[Node]] = {}
        for term in terms:
            alike.setdefault(self._kind[term], []).append(term)
        rest, sums = [], []
        for parts in alike.values():
            made = self._batched(parts)
            if made is None:
                rest += parts
            else:
                sums.append(build.reduce(made[0], "sum", (0,)))
        return rest, sums

    def _joined(self, node: Join) -> Node | None:
        """A join whose neighbouring parts are computed together where they are alike."""
        found: list[Node] = []
        for _, alike in groupby(node.parts, self._kind.__getitem__):
            parts = list(alike)
            made = self._batched(parts, in_order=True)
            found += parts if made is None else [_merged(made[0], node.axis)]
        return build.joined(found, node.axis) if len(found) < len(node.parts) else None

    def _batched(
        self, parts: Sequence[Node], in_order: bool = False
    ) -> tuple[Node, Sequence[int]] | None:
        """Like nodes, computed together: (copies, *shape), and which of the nodes each row is.
        Unless `in_order`, rows are in an order that all nodes of the copies have. None where that
        is not possible, or does not pay."""
        group = self._group(parts) if len(parts) >= MIN_COPIES else None
        if group is None:
            return None
        order = range(len(parts)) if in_order else self._sorted(group.ends)
        known: dict[Node, Node] = {}
        for node, column in group.ends.items():
            stacked = self._stacked(tuple([column[n] for n in order]), parts[0].device)
            if stacked is None:
                return None
            known[node] = stacked
        try:
            made = Batch(len(parts), known, group.same).of(parts[0])
        except RuntimeError:  # a node without a rule
            return None
        if made is None:
            return None
        self.counts.append((group.form(), len(parts)))
        return made, order

    def _group(self, parts: Sequence[Node]) -> _Group | None:
        """Where copies differ. None where they are no copies, or do not pay."""
        columns: dict[Node, tuple[Node, ...]] = {}
        ends: dict[Node, tuple[Node, ...]] = {}
        same: set[Node] = set()
        waiting = [tuple(parts)]
        while waiting:
            column = waiting.pop()
            first = column[0]
            if first in columns:
                if columns[first] != column:
                    return None  # one node stands for several of another copy
                continue
            columns[first] = column
            if all(node is first for node in column):
                same.add(first)
            elif isinstance(first, Const) or first in self._slices or not self._inputs(first):
                ends[first] = column
            else:
                waiting += zip(*[node.inputs for node in column], strict=True)
        count = len(columns) - len(same) - len(ends)
        nbytes = sum(_nbytes(column) for x, column in ends.items() if x not in self._slices)
        most = min(COPIED * count * len(parts), MAX_BYTES)
        if not ends or count < MIN_NODES or nbytes > most:
            return None
        return _Group(parts, ends, same)

    def _sorted(self, ends: Mapping[Node, Sequence[Node]]) -> Sequence[int]:
        """The copies in the order of the elements that they read of a tensor, if they do, else of
        their leaves. So sums, joins and outputs have one order, and share what they compute."""
        slices = [column for x, column in ends.items() if x in self._slices]
        columns = [*ends.values()]

        def place(copy: int) -> tuple[int, ...]:
            if slices:
                first = slices[0][copy]
                assert isinstance(first, Slice)
                return first.starts
            return (min(self._number[column[copy]] for column in columns),)

        return sorted(range(len(columns[0])), key=place)

    # ------------------------------------------------------------------ stacks

    def _stacked(self, column: tuple[Node, ...], device: str | None) -> Node | None:
        """What the copies have in one place, side by side: (copies, *shape)."""
        if column not in self._stacks:
            first = column[0]
            if isinstance(first, Slice) and first in self._slices:
                made = _sliced([x for x in column if isinstance(x, Slice)])
                if made is None:
                    return None
                self._stacks[column] = made
            else:
                self._stacks[column] = self._stack(column, device)
        return self._stacks[column]

    def substituted(self, outputs: Sequence[Node], replaced: Mapping[Node, Node]) -> list[Node]:
        """The outputs with what computes sums and joins together."""
        new: dict[Node, Node] = {}

        def inputs(node: Node) -> Sequence[Node]:
            return (replaced[node],) if node in replaced else self._inputs(node)

        for node in topological(outputs, inputs):
            if node in replaced:
                new[node] = new[replaced[node]]
                if config.ORIGINS:
                    inherit(new[node], node)
                continue
            found = tuple([new[x] for x in self._inputs(node)])
            is_old = not found or found == node.inputs
            new[node] = node if is_old else node.with_inputs(found)
            if config.ORIGINS:
                inherit(new[node], node)
        return [new[output] for output in outputs]


def _sliced(slices: Sequence[Slice]) -> Node | None:
    """Slices of one node that follow each other at equal distances along one axis, as one slice:
    (copies, *shape). None for others."""
    first, count = slices[0], len(slices)
    differ = [
        axis
        for axis, starts in enumerate(zip(*(x.starts for x in slices), strict=True))
        if len(set(starts)) > 1
    ]
    if len(differ) != 1:
        return None
    (axis,) = differ
    starts = [x.starts[axis] for x in slices]
    distance = starts[1] - starts[0]
    if any(b - a != distance for a, b in pairwise(starts)):
        return None
    size, step = first.sizes[axis], first.steps[axis]
    if size > 1 and distance != size * step:
        return None
    sizes, steps = list(first.sizes), list(first.steps)
    sizes[axis], steps[axis] = count * size, distance if size == 1 else step
    whole = Slice(first.x, first.starts, tuple(sizes), tuple(steps))
    parts = build.reshape_axes(whole, axis, 1, (count, size))
    rest = [n for n in range(len(parts.shape)) if n != axis]
    return build.permute(parts, (axis, *rest))


def _nbytes(column: Sequence[Node]) -> int:
    """The bytes of nodes of one shape, side by side."""
    return column[0].nbytes * len(column)


def _merged(batched: Node, axis: int) -> Node:
    """Parts (copies, *shape) side by side along an axis of theirs."""
    count, *shape = batched.shape
    order = [*range(1, axis + 1), 0, *range(axis + 1, len(batched.shape))]
    shape[axis] *= count
    return build.reshape(build.permute(batched, order), tuple(shape))

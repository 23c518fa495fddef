"""Which values a computation keeps, besides those that are asked for.

Candidates are the values that live tensors stand for, and parts of them. Later computations may
read them again, so it is a choice between memory and work:

    h = x @ w                           kept at once: computing it again costs more than keeping it
    x = (x - x.mean(0)) / x.std(0)      the mean and the deviation are kept; what each batch reads
                                        of x is computed in the batch's own kernels
    x = avg_pool2d(x, 3)                kept when it has been computed again so often that computing
                                        and writing it once would have cost no more
    m = x.max()                         the sums in x are kept with m, whatever they cost: `x == m`
                                        must find it, and a sum is rounded otherwise in another
                                        kernel
    mask = Tensor.ones(n, n).tril()     never kept: computing it costs no more than reading it

Costs are counted in arithmetic instructions, as the scheduler counts them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import log2
from threading import RLock
from weakref import WeakKeyDictionary

from .. import config
from ..cache import remember
from ..dtypes import bool_
from ..graph.ir import (
    Arithmetic,
    Bitcast,
    Buffer,
    Cast,
    Contiguous,
    Copy,
    Detach,
    Elementwise,
    Fold,
    Gather,
    Join,
    Movement,
    Node,
    RandomBits,
    Recurrence,
    Reduce,
    Scan,
    Scatter,
    Sort,
)
from ..graph.skeleton import Skeleton
from ..graph.structure import Walk
from ..runtime.buffer import realized
from ..runtime.report import report_kept

KEEPING = 40.0  # instructions an element: to write it to memory now, and to read it later
DEAR = 100.0  # instructions an element from which a value that nobody holds is kept
BYTE = 5.0  # instructions for each byte that is read from memory, or written
MAX_PASSED = 512  # nodes that are remembered, the newest
MAX_CHOICES = 1024  # graphs of which is remembered what of them is kept

_passed: WeakKeyDictionary[Node, float] = WeakKeyDictionary()
"""Nodes of live tensors that computations passed and did not keep; and the work that keeping them
would have spared, so far. Whoever looks at it or changes it holds the lock: threads share it."""

_lock = RLock()


@dataclass(frozen=True, slots=True)
class Rent:
    """What a value that is not kept costs in one computation, and what keeping it costs once."""

    place: int  # of its node
    again: float  # to compute what is read of it, beyond reading that from memory
    keeping: float  # to compute and write all of it


@dataclass(frozen=True, slots=True)
class Choice:
    """The places of nodes that are kept, and the rents of some that are not."""

    places: tuple[int, ...]
    rents: tuple[Rent, ...] = ()


_choices: dict[object, Choice] = {}

_before: WeakKeyDictionary[Skeleton, dict[object, frozenset[int]]] = WeakKeyDictionary()
"""The places that were kept, by the skeleton of a graph. What is kept at one size of a loop that
grows is kept at all: else the loop would be compiled anew where a cost passes a limit. Whoever
looks a skeleton up holds the lock."""


def kept(
    walked: Walk,
    pending: Sequence[Node],
    held: Collection[Node],
    roots: Sequence[Node],
    done: Sequence[Node],
) -> list[Node]:
    """The nodes that are kept besides the pending ones.

    Candidates are the nodes that live tensors hold, sums in them, and sums in the `roots` of later
    backward passes, except for what is in the roots `done`, whose backward pass is computed.

    The choice is remembered by the structure of the graph: of one that grows, until its size has
    doubled.
    """
    found, rents = _chosen(walked, pending, held, roots, done)
    bought = _bought(rents)
    if config.DEBUG and bought:
        report_kept(bought)
    return found + bought


Rents = list[tuple[Node, Rent]]


def _chosen(
    walked: Walk,
    pending: Sequence[Node],
    held: Collection[Node],
    roots: Sequence[Node],
    done: Sequence[Node],
) -> tuple[list[Node], Rents]:
    """The nodes that are kept, and the rents of others."""
    number, nodes = walked.number, walked.nodes
    places = sorted(number[node] for node in held if node in number)
    at = sorted({number[root] for root in roots if root in number})
    if not places and not at:
        return [], []
    with _lock:
        passed = [node for node in _passed if node in number]
    # passed before, and held no more: a chain that grows from one computation to the next
    growing = sorted(number[node] for node in passed if node not in held)
    again = sorted(number[node] for node in passed if node in held)
    done = done if at else ()
    done_at = [number.get(node, -1) for node in done]
    rest = (walked.places(pending), *map(tuple, (places, growing, again, at, done_at)))
    name = walked.structure, tuple(map(int.bit_length, walked.sizes)), rest
    choice = _choices.get(name)
    if choice is not None and -1 not in done_at:
        return [nodes[n] for n in choice.places], [(nodes[x.place], x) for x in choice.rents]
    if walked.has_calls:
        found, rents = _chosen(walked.whole(pending), pending, held, roots, done)
        if all(node in number for node in (*found, *dict(rents))):
            there = [replace(rent, place=number[node]) for node, rent in rents]
            choice = Choice(walked.places(found), tuple(there))
            remember(_choices, name, choice, MAX_CHOICES)
        else:
            walked.structure.is_too_coarse = True
        return found, rents
    passed_by = set(_differentiable(done))
    wanted = [nodes[n] for n in at if nodes[n] not in passed_by]
    dear = [node for node in _differentiable(wanted) if _is_sum(node)]
    grown = {nodes[n] for n in growing}
    with _lock:
        sizes = _before.setdefault(walked.skeleton, {})
    before = sizes.get(rest, frozenset())
    known = [node for node in held if node in number]  # a call may ignore an input
    choice = _choose(walked, pending, known, dear, grown, {nodes[n] for n in again}, before)
    remember(sizes, rest, before.union(choice.places), MAX_CHOICES)
    remember(_choices, name, choice, MAX_CHOICES)
    found = [nodes[n] for n in choice.places]
    if config.DEBUG and found:
        report_kept(found)
    return found, [(nodes[rent.place], rent) for rent in choice.rents]


def note_passed(nodes: Iterable[Node]) -> None:
    """Remember nodes of live tensors that a computation passed and did not keep."""
    with _lock:
        for node in nodes:
            _passed[node] = _passed.pop(node, 0.0)  # the newest come last
        while len(_passed) > MAX_PASSED:
            del _passed[next(iter(_passed))]


def _bought(rents: Rents) -> list[Node]:
    """The first node whose rents amount to what keeping it costs. The rent of the computation that
    passed it first is taken to be that of the second."""
    for node, rent in rents:
        with _lock:
            spent = _passed[node] = (_passed.get(node) or rent.again) + rent.again
        if spent >= rent.keeping:
            return [node]
    return []


# --------------------------------------------------------------------------- what is worth it


def _choose(
    walked: Walk,
    pending: Sequence[Node],
    held: Collection[Node],
    dear: Iterable[Node],
    growing: Collection[Node],
    again: Collection[Node],
    before: Collection[int],
) -> Choice:
    """What is kept of the `held` nodes, of the sums in those, and of the `dear` ones; and the rents
    of those held nodes that computations have passed `again`. The places `before` were kept in
    graphs of this form."""
    nodes, memory = walked.nodes, {*pending, *walked.leaves}
    detached = dict.fromkeys(x for node in pending for x in _detached(node) if x in held)
    memory.update(detached)  # in the memory of a pending node
    candidates = {**dict.fromkeys(dear, DEAR), **dict.fromkeys(held, KEEPING)}
    chosen = _worth(nodes, memory, candidates, growing, before)
    left = [node for node in held if node not in memory]
    sums = [node for node in _reached(left, memory.__contains__) if _is_sum(node)]
    chosen += _worth(nodes, memory, dict.fromkeys(sums, DEAR), growing, before)
    values = [*pending, *(nodes[n] for n in chosen if nodes[n] in held)]
    compared = _compared(values, held, memory)
    chosen += [walked.number[x] for x in compared]
    memory.update(compared)
    places = (*(walked.number[x] for x in detached), *chosen)
    return Choice(places, tuple(_rents(nodes, memory, again)))


def _worth(
    nodes: Sequence[Node],
    memory: set[Node],
    candidates: Mapping[Node, float],
    growing: Collection[Node],
    before: Collection[int],
) -> list[int]:
    """The places of the candidates that are kept. They are added to `memory`, which has the nodes
    that are there anyway.

    `candidates` says for a node how many instructions an element are worth keeping it.
    """
    chosen = []
    for n, node in enumerate(nodes):
        worth = candidates.get(node)
        if worth is None or node in memory:
            continue
        limit = worth * node.size
        if n in before or total_work([node], memory, growing, limit) > limit:
            chosen.append(n)
            memory.add(node)
    return chosen


def _compared(
    values: Sequence[Node], held: Container[Node], memory: Container[Node]
) -> dict[Node, None]:
    """What has to be kept with these values, as they were chosen from `held` nodes: sums in such a
    node, or the node if that takes less memory. Elementwise operations are rounded alike in every
    kernel."""
    found: dict[Node, None] = {}
    extremes = [x for x in _reached(values, lambda x: not _is_exact(x)) if _is_extreme(x)]
    inner = [x for each in extremes for x in each.inputs if not _is_leaf(x)]
    for node in _reached(inner, lambda x: x in held or x in memory or _is_rounded_sum(x)):
        if node in held and not (node in memory or _is_leaf(node)):
            below = _reached([node], lambda x: x in memory or _is_rounded_sum(x))
            sums = [x for x in below if _is_rounded_sum(x) and x not in memory and not _is_leaf(x)]
            is_less = sum(x.nbytes for x in sums) <= node.nbytes
            found.update(dict.fromkeys(sums if is_less else [node]))
    return found


def _rents(
    nodes: Sequence[Node], memory: Container[Node], candidates: Container[Node]
) -> Iterator[Rent]:
    """The rents of the candidates that are not in memory, where there is something to spare."""
    wanted = [n for n, node in enumerate(nodes) if node in candidates and node not in memory]
    read, computed = _counts(nodes, memory) if wanted else ({}, {})
    for place in wanted:
        node = nodes[place]
        again, keeping = -BYTE * node.dtype.itemsize * read[node], BYTE * node.nbytes
        for x in _reached([node], memory.__contains__):
            if x in memory or _is_leaf(x):
                again += BYTE * x.dtype.itemsize * read[x]
                keeping += BYTE * x.nbytes
            else:
                again += work(x) * computed[x] / max(1, x.size)
                keeping += work(x)
        if again > 0:
            yield Rent(place, again, keeping)


def _counts(
    nodes: Sequence[Node], memory: Container[Node]
) -> tuple[dict[Node, int], dict[Node, int]]:
    """How many elements of each node a computation reads, and how many it computes: all of a sum,
    and of what is written to memory."""
    read, computed = dict.fromkeys(nodes, 0), dict.fromkeys(nodes, 0)
    for node in reversed(nodes):  # what reads a node comes first
        if _is_leaf(node):
            continue
        is_sum = _is_sum(node)
        computed[node] = node.size if is_sum or node in memory else read[node]
        for x in node.inputs:
            read[x] = max(read[x], x.size if is_sum else min(x.size, computed[node]))
    return read, computed


# --------------------------------------------------------------------------- parts of the graph


def _detached(node: Node) -> Iterator[Node]:
    """What a node is without gradient, with the same elements."""
    while isinstance(node, Detach):
        node = node.x
        yield node


def _differentiable(roots: Sequence[Node]) -> list[Node]:
    """The roots and what they are computed from, as far as gradients flow."""
    begin = [node for node in roots if not isinstance(node, Detach)]
    return _reached(begin, lambda node: isinstance(node, Detach))


def _reached(roots: Iterable[Node], is_end: Callable[[Node], bool]) -> list[Node]:
    """The roots and what they are computed from, up to leaves and other ends, which are among
    them."""
    seen = dict.fromkeys(roots)
    stack = [x for x in seen if not is_end(x)]
    while stack:
        for x in stack.pop().inputs:
            if x not in seen:
                seen[x] = None
                if not (_is_leaf(x) or is_end(x)):
                    stack.append(x)
    return list(seen)


def _is_leaf(node: Node) -> bool:
    """Whether a node's value is there already."""
    return isinstance(node, Buffer) or node in realized


def _is_sum(node: Node) -> bool:
    """Whether a node has memory in any schedule, so that keeping it stores nothing more."""
    return isinstance(node, (Reduce, Recurrence, Scan, Fold, Scatter, Sort))


def _is_rounded_sum(node: Node) -> bool:
    """Whether a node's value depends on the order in which a kernel adds, or multiplies."""
    if isinstance(node, Reduce) and node.op in ("max", "min"):
        return False
    return node.dtype.is_float and isinstance(node, (Reduce, Scan, Fold, Scatter))


def _is_exact(node: Node) -> bool:
    """Whether a node has elements of its inputs, or what follows from them without rounding."""
    if isinstance(node, Arithmetic):
        is_rounded = node.dtype.is_float and not node.operation.is_exact
        return not (is_rounded or node.operation.is_comparison)
    return isinstance(node, (Movement, Join, Detach, Contiguous, Copy, Cast, Bitcast, Gather))


def _is_extreme(node: Node) -> bool:
    """Whether a node's elements are chosen from those of its input, or are the places of those."""
    is_extreme = isinstance(node, Reduce) and node.op in ("max", "min")
    return isinstance(node, Sort) or (is_extreme and node.dtype is not bool_)


# --------------------------------------------------------------------------- costs


def total_work(
    nodes: Iterable[Node], memory: Container[Node], growing: Container[Node], limit: float
) -> float:
    """What it costs to compute the nodes from memory; any number above `limit` if it is above.
    What is `growing` costs more than anything."""
    total = 0.0
    seen = set(nodes)
    stack = list(seen)
    while stack and total <= limit:
        node = stack.pop()
        if node in growing:
            return float("inf")
        total += work(node)
        for x in node.inputs:
            if x not in seen and x not in memory and not isinstance(x, Buffer):
                seen.add(x)
                if x not in realized:
                    stack.append(x)
    return total


def work(node: Node) -> float:
    """What a node costs, given its inputs."""
    if isinstance(node, (Reduce, Scan, Fold)):
        return float(node.x.size)
    if isinstance(node, (Elementwise, RandomBits)):
        return node.size * node.cost
    if isinstance(node, Recurrence):
        return node.steps * node.cost
    if isinstance(node, Gather):
        return 4.0 * node.size
    if isinstance(node, Scatter):
        return node.size + 4.0 * node.values.size
    if isinstance(node, Sort):
        return 8.0 * node.x.size * log2(node.x.size + 2)
    return 0.0

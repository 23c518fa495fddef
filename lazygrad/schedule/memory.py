"""Give every stored node memory, in a few allocations that nodes share one after another.

    k0: a = ...   k1: b = f(a)   k2: c = g(b)   k3: out = h(c)
    ->  a and c share a slot (a's last reader runs before c is made); b = f(a) takes over the memory
        of a, if each element of b reads only the same element of a

A *slot* is one allocation. The outputs' slots come first; until an output is written, other nodes
may use its slot. The other slots are scratch. The largest nodes are placed first, because a slot
never grows.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import groupby

from ..graph.ir import Contiguous, Detach, Node, Reshape, Scatter, topological
from ..index import flatten
from .access import accesses
from .ir import Kernel, MemoryPlan, Schedule, aligned, outputs_of, own_position

MAX_TRIES = 64  # larger slots that are tried for a node, so that placing stays linear
_IN_PLACE_KINDS = ("map", "row", "scatter")


@dataclass(eq=False, slots=True)
class _Block:
    """Nodes that take over memory from one another, in order. It is in use from kernel `birth` to
    kernel `death`."""

    nodes: list[Node]
    nbytes: int
    birth: int
    death: int


def plan_memory(
    schedule: Schedule, donated: Mapping[Node, Node] | None = None, in_contractions: bool = False
) -> MemoryPlan:
    """Choose slots for all stored nodes of a schedule.

    `donated` maps an output to the Buffer whose memory it may take over after the Buffer's last
    read. With `in_contractions`, results of contractions may take over memory, too: their tiles
    then do not overlap, so that each element is computed once.

    Requires: a verified schedule. Ensures: nodes share a slot only if their lifetimes do not
    overlap, or if one takes over the memory of an input. It may do so in a map, row or scatter
    kernel in which only this node's member reads the input, and only the element that it writes.
    """
    last = len(schedule.kernels)
    births = {n: k for k, kernel in enumerate(schedule.kernels) for n in kernel.outputs}
    deaths = dict(births)
    for k, kernel in enumerate(schedule.kernels):
        deaths.update(dict.fromkeys(kernel.inputs, k))
    outputs = outputs_of(schedule)
    deaths.update(dict.fromkeys(schedule.outputs, last))  # Buffers among them, too
    kinds = (*_IN_PLACE_KINDS, "contraction") if in_contractions else _IN_PLACE_KINDS
    kernels = {k: kernel for k, kernel in enumerate(schedule.kernels) if kernel.kind in kinds}
    in_place = _choose_in_place(kernels, births, deaths, donated or {})
    blocks = _blocks(births, deaths, in_place)
    own = [blocks[node] for node in outputs if node in blocks]
    slots, slot_of = _place(own, list(dict.fromkeys(blocks.values())))
    by_node = {n: slot_of[id(block)] for n, block in blocks.items()}
    return MemoryPlan(slots, len(own), by_node, in_place, _least(blocks.values(), last))


# --------------------------------------------------------------------------- in place


def _choose_in_place(
    kernels: Mapping[int, Kernel],
    births: Mapping[Node, int],
    deaths: Mapping[Node, int],
    donated: Mapping[Node, Node],
) -> dict[Node, Node]:
    """The nodes that take over the memory of an input, whose last reader is their kernel; and the
    input."""
    chosen: dict[Node, Node] = {}
    donations = dict(donated)
    for k, kernel in sorted(kernels.items(), reverse=True):
        dying = [x for x in kernel.inputs if deaths[x] == k]
        # intermediates: the program needs its own Buffers. A list: equal kernels choose alike.
        mine = [x for x in dying if x in births]
        wanted = [m for m in kernel.members if m.stored and _candidates(m.node, mine, donations)]
        if not wanted:
            continue
        readers = _readers(kernel)
        free = set(dying)
        for member in wanted:
            node = member.node
            for x in _candidates(node, mine, donations):
                if x in free and readers.get(x) == {node: True}:
                    chosen[node] = x
                    free.discard(x)
                    if node in donations and x in births:
                        donations[x] = donations[node]  # so x itself may be in donated memory
                    break
    return chosen


def _candidates(node: Node, dying: Sequence[Node], donated: Mapping[Node, Node]) -> list[Node]:
    """Inputs whose memory fits a node: the donated input, and inputs that die."""
    donation = donated.get(node)
    donations = [] if donation is None else [donation]
    return [x for x in (*donations, *dying) if x.dtype == node.dtype and x.size == node.size]


def _readers(kernel: Kernel) -> dict[Node, dict[Node, bool]]:
    """The readers of each input, and whether a reader reads only the position that it writes."""
    boundary = {*kernel.inputs, *(m.node for m in kernel.members)}
    readers: dict[Node, dict[Node, bool]] = {}
    for member in kernel.members:
        node = member.node
        own = own_position(node)
        for access in accesses(node, boundary.__contains__):
            x = access.node
            if isinstance(node, Scatter):  # its values are read after the whole base is written
                same = _is_base_alone(node, x, boundary)
            else:
                same = x.size == node.size and flatten(access.index, x.shape) is own
            same = same and kernel.layouts.get(x) == kernel.layouts.get(node)
            of_x = readers.setdefault(x, {})
            of_x[node] = of_x.get(node, True) and same
    return readers


def _is_base_alone(node: Scatter, x: Node, boundary: set[Node]) -> bool:
    """Whether a scatter reads x as its base, and neither as indices nor as values. The walk stops
    at nodes of the boundary, which are in memory."""
    base = node.x
    while isinstance(base, (Reshape, Contiguous, Detach)) and base is not x:
        base = base.x
    rest = topological([*node.indices, node.values], lambda n: () if n in boundary else n.inputs)
    return base is x and x not in rest


# --------------------------------------------------------------------------- placing


def _blocks(
    births: Mapping[Node, int], deaths: Mapping[Node, int], in_place: Mapping[Node, Node]
) -> dict[Node, _Block]:
    """Each stored node's block; a node in donated memory has none."""
    blocks: dict[Node, _Block] = {}
    for node, birth in births.items():  # in order of birth: an input's block is there already
        source = in_place.get(node)
        if source is None:
            blocks[node] = _Block([node], aligned(node.nbytes), birth, deaths[node])
        elif source in blocks:
            block = blocks[node] = blocks[source]
            block.nodes.append(node)
            block.death = deaths[node]
    return blocks


def _place(
    own: Sequence[_Block], blocks: Sequence[_Block]
) -> tuple[tuple[int, ...], dict[int, int]]:
    """Sizes of the slots, and each block's slot (by id). The first slots are the outputs'.

    Blocks are placed from the largest, each in the smallest slot that is free for all its life. A
    scratch slot of exactly a block's size has held only blocks of that size that were born earlier:
    of such slots, the one that becomes free first is taken.
    """
    sizes = [block.nbytes for block in own]
    slot_of = {id(block): slot for slot, block in enumerate(own)}
    busy = [[(block.birth, block.death)] for block in own]
    by_size = sorted((size, slot) for slot, size in enumerate(sizes))
    rest = [block for block in blocks if id(block) not in slot_of]
    rest.sort(key=lambda block: (-block.nbytes, block.birth))
    for nbytes, equal in groupby(rest, lambda block: block.nbytes):
        larger = by_size[bisect_left(by_size, (nbytes, 0)) :][:MAX_TRIES]
        ends: list[tuple[int, int]] = []  # when scratch slots of this size become free; the slots
        for block in equal:
            if ends and ends[0][0] < block.birth:
                _, slot = heappop(ends)
            else:
                slot = next((n for _, n in larger if _is_free(busy[n], block)), -1)
            if slot < 0:
                slot = len(sizes)
                sizes.append(nbytes)
                busy.append([])
                by_size.append((nbytes, slot))
            insort(busy[slot], (block.birth, block.death))
            if sizes[slot] == nbytes and slot >= len(own):
                heappush(ends, (block.death, slot))
            slot_of[id(block)] = slot
        by_size.sort()
    return tuple(sizes), slot_of


def _is_free(busy: Sequence[tuple[int, int]], block: _Block) -> bool:
    """Whether the lifetime of a block overlaps none of a slot's lifetimes, which are sorted."""
    after = bisect_left(busy, (block.birth, block.death))
    if after < len(busy) and busy[after][0] <= block.death:
        return False
    return after == 0 or busy[after - 1][1] < block.birth


def _least(blocks: Iterable[_Block], last: int) -> int:
    """The most bytes that are alive at once."""
    change = [0] * (last + 2)
    for block in dict.fromkeys(blocks):
        change[block.birth] += block.nbytes
        change[block.death + 1] -= block.nbytes
    alive = most = 0
    for difference in change:
        alive += difference
        most = max(most, alive)
    return most

"""Make chains: kernels whose intermediates the caches cannot hold share their outermost loops.

    scores = q @ k.mT                   | for 64 rows of one of many matrices:
    shares = exp(scores - max(scores))  |     scores, shares = ... of these, in L2
    out = shares @ v / sum(shares)      |     out = ...

An intermediate of a chain is not stored. A later kernel that reads it (for a gradient) computes it
again, where that is cheaper than memory: the parts that make it become parts of that kernel's
chain, too. (Attention then is FlashAttention, Dao et al. 2022, except that a row's maximum is known
before its sums begin.)

This pass over schedules is not in schedule/, because it lowers kernels to see whether their loops
can be shared.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

from ..graph.ir import Fold, Node, Reduce, Within
from ..index import divisors
from ..rewrite import bottom_up
from ..schedule.ir import Kernel, Schedule
from ..targets import (
    CHAIN_LARGE,
    CHAIN_READERS,
    CHAIN_SLICE,
    CHAIN_SPAN,
    FLOPS_A_BYTE,
    FLOPS_AGAIN,
    Machine,
)
from .ir import Function
from .ir.rebuild import body_loads, peel, variables
from .lower import lower
from .lower.share import share_loops

_KINDS = ("map", "row", "contraction")


def chain(schedule: Schedule, machine: Machine) -> Schedule:
    """Join kernels into chains where that saves more memory traffic than it costs.

    Requires: kernels as `fuse` makes them, with their layouts. Ensures: the outputs are written as
    before; kernels come in an order that respects what they read.
    """
    finder = _Finder(schedule, machine)
    for number in range(len(schedule.kernels)):
        finder.grow(number)
    return finder.schedule_with_chains() if finder.found else schedule


@dataclass(eq=False)
class _Chain:
    """Kernels, by number; those in `again` are computed by another chain, too.

    Each intermediate is `matrices` matrices of `rows` rows, in slices of `size` rows.
    """

    own: frozenset[int]
    again: frozenset[int]
    matrices: int
    rows: int
    size: int

    @property
    def count(self) -> int:
        """How many iterations they share."""
        return self.matrices * self.rows // self.size

    @cached_property
    def all(self) -> list[int]:
        return sorted(self.own | self.again)


class _Finder:
    """The chains of a schedule so far."""

    def __init__(self, schedule: Schedule, machine: Machine) -> None:
        self.schedule, self.kernels, self.machine = schedule, schedule.kernels, machine
        self.maker = {node: n for n, k in enumerate(self.kernels) for node in k.outputs}
        self.readers: dict[Node, list[int]] = {}
        for number, kernel in enumerate(self.kernels):
            for node in kernel.inputs:
                self.readers.setdefault(node, []).append(number)
        self.wanted = set(schedule.outputs)
        self.found: list[_Chain] = []
        self.found_in: dict[int, _Chain] = {}
        self.functions: dict[tuple[int, tuple[Node, ...]], Function] = {}

    def is_large(self, node: Node) -> bool:
        """Whether a node is worth a chain: caches do not hold it, and it is not an output."""
        return (
            node not in self.wanted
            and node in self.maker
            and node in self.readers
            and self._bytes(node) >= CHAIN_LARGE * self.machine.l2_bytes
            and self._is_fit(self.maker[node])
            and node not in self.kernels[self.maker[node]].layouts
        )

    def _bytes(self, node: Node) -> int:
        """The bytes of a node in memory; a quarter of them, where it ends at a size known at run
        time: its own kernel ends there along all axes, those of a chain only along rows."""
        ends = isinstance(node, Within) or node in self.kernels[self.maker[node]].limits
        return node.nbytes // 4 if ends else node.nbytes

    def _is_fit(self, number: int) -> bool:
        return self.kernels[number].kind in _KINDS

    # ------------------------------------------------------------------ growing

    def grow(self, seed: int) -> None:
        """The largest chain that begins with a kernel, if there is one that pays."""
        passing = [n for n in self.kernels[seed].outputs if self._may_pass(n)]
        first = max(passing, key=lambda n: n.size, default=None)
        if first is None or not self._is_worth(seed, first) or len(first.shape) < 2:
            return
        matrices, rows = prod(first.shape[:-2]), first.shape[-2]
        least = next((n for n in range(2, rows) if rows % n == 0), rows)
        for size in dict.fromkeys((rows, least)):  # slices of whole matrices, or of few rows
            grown = self._grown(_Chain(frozenset([seed]), frozenset(), matrices, rows, size))
            if len(grown.own) > 1 and self._pays(grown):
                self.found.append(grown)
                self.found_in.update((number, grown) for number in grown.own)
                return

    def _grown(self, chain: _Chain) -> _Chain:
        """A chain with every kernel that can be added, one after another."""
        while True:
            for larger in self._larger(chain):
                if self._is_possible(larger):
                    chain = larger
                    break
            else:
                return chain

    def _larger(self, chain: _Chain) -> Iterable[_Chain]:
        """Chains with one kernel more: a reader of an intermediate, with the kernels between; or
        the maker of another input of such a reader."""
        for number in chain.all:
            for node in filter(self._may_pass, self.kernels[number].outputs):
                for reader in self.readers.get(node, ()):
                    if reader not in chain.own and self._is_worth(reader, node):
                        yield replace(chain, own=self._with_between(chain.own | {reader}))
        for number in chain.all:
            for node in filter(self._may_pass, self.kernels[number].inputs):
                maker = self.maker[node]
                if maker in chain.all:
                    continue
                if maker not in self.found_in and self._is_worth(maker, node):
                    yield replace(chain, own=chain.own | {maker})
                elif maker in self.found_in and self._is_cheap(node):
                    yield replace(chain, again=chain.again | {maker})

    def _may_pass(self, node: Node) -> bool:
        """Whether a large node need not be stored: its readers are near, or it is cheap to compute
        again."""
        if not self.is_large(node) or len(self.readers[node]) > CHAIN_READERS:
            return False
        near = all(reader < self.maker[node] + CHAIN_SPAN for reader in self.readers[node])
        return near or self._is_cheap(node)

    def _is_cheap(self, node: Node) -> bool:
        """Whether computing a node again costs less than keeping it in memory."""
        return self._work(self.maker[node]) <= FLOPS_AGAIN * self._traffic(node)

    def _is_worth(self, number: int, node: Node) -> bool:
        """Whether memory bounds a kernel that makes or reads a node, and it is in no chain yet."""
        worth = self._work(number) <= FLOPS_A_BYTE * 2 * node.nbytes
        return worth and number not in self.found_in

    def _is_possible(self, chain: _Chain) -> bool:
        numbers = sorted(chain.own)
        if numbers[-1] - numbers[0] >= CHAIN_SPAN or not all(map(self._is_fit, chain.all)):
            return False
        largest = max(node.nbytes for number in numbers for node in self.kernels[number].outputs)
        if (
            chain.count < self.machine.cores
            or largest > CHAIN_SLICE * self.machine.l2_bytes * chain.count
        ):
            return False
        if not self._is_convex(chain.own):
            return False
        return self._loops(chain) is not None

    def _loops(self, chain: _Chain) -> Function | None:
        """A chain's function, with every output stored; None if its parts cannot share loops."""
        stored = {node for number in chain.own for node in self.kernels[number].outputs}
        return self._shared(self._kernel(chain, stored), chain)

    def _with_between(self, own: frozenset[int]) -> frozenset[int]:
        """Kernels of a chain, and every kernel on a path of dependencies between two of them."""
        span = range(min(own), max(own) + 1)
        if len(span) > CHAIN_SPAN:
            return own
        after, before = set(own), set(own)
        for number in span:
            if any(self.maker.get(x) in after for x in self.kernels[number].inputs):
                after.add(number)
        for number in reversed(span):
            outputs = self.kernels[number].outputs
            if any(reader in before for x in outputs for reader in self.readers.get(x, ())):
                before.add(number)
        return frozenset(after & before)

    def _is_convex(self, own: frozenset[int]) -> bool:
        """Whether no path of dependencies leaves these kernels and comes back, when each chain
        found before runs as one kernel."""
        stack, seen = list(own), set(own)
        while stack:
            for node in self.kernels[stack.pop()].outputs:
                for reader in self.readers.get(node, ()):
                    if reader in seen or reader > max(own) + CHAIN_SPAN:
                        continue
                    other = self.found_in.get(reader)
                    together = {reader} if other is None else other.own
                    if any(
                        self.maker.get(x) in together for n in own for x in self.kernels[n].inputs
                    ):
                        return False
                    stack += together
                    seen |= together
        return True

    # ------------------------------------------------------------------ costs

    def _work(self, number: int) -> int:
        """Operations of a kernel's reductions: two a term."""
        nodes = [m.node for m in self.kernels[number].members]
        return sum(2 * n.x.size for n in nodes if isinstance(n, (Reduce, Fold)))

    def _traffic(self, node: Node) -> int:
        """Bytes that are written and read because a node is in memory."""
        return node.nbytes * (1 + len(self.readers.get(node, ())))

    def _pays(self, chain: _Chain) -> bool:
        saved = 0
        for node in (node for number in chain.own for node in self.kernels[number].outputs):
            if self._may_pass(node):
                within = chain.own.issuperset(self.readers[node])
                saved += self._traffic(node) if within or self._is_cheap(node) else 0
        again = chain.count * self._shared_bytes(chain)
        return sum(map(self._work, chain.all)) <= FLOPS_A_BYTE * saved and again <= saved

    def _shared_bytes(self, chain: _Chain) -> int:
        """The bytes of the arrays that every iteration reads as a whole."""
        function = self._loops(chain)
        assert function is not None
        loops, inside = peel(function.body)
        own = {loop.var for loop in loops}
        reads = body_loads(inside)
        sliced = {x.array for x in reads if own & variables(x.index)}
        shared = {x.array for x in reads if x.array.scope == "global"} - sliced
        return sum(array.size * array.dtype.itemsize for array in shared)

    # ------------------------------------------------------------------ results

    def schedule_with_chains(self) -> Schedule:
        """The schedule with one kernel for each chain, without kernels whose outputs are not
        stored."""
        needed = self._needed_outside()
        units = list(self.kernels)
        for chain in self.found:
            kernel = self._divided(chain, needed)
            for number in chain.own:
                units[number] = kernel
        ordered: dict[int, Kernel] = {}  # by number, makers before readers

        def makers(number: int) -> list[int]:
            return [self.maker[x] for x in units[number].inputs if x in self.maker]

        for number in range(len(units)):
            bottom_up(number, ordered, makers, units.__getitem__)
        kernels = (kernel for kernel in dict.fromkeys(ordered.values()) if kernel.outputs)
        return replace(self.schedule, kernels=tuple(kernels))

    def _needed_outside(self) -> set[Node]:
        """The nodes to store: the outputs, and the inputs that a kernel or chain does not make."""
        needed = set(self.wanted)
        for number, kernel in enumerate(self.kernels):
            if number not in self.found_in:
                needed.update(kernel.inputs)
        for chain in self.found:
            needed.update(self._kernel(chain, set()).inputs)
        return needed

    def _divided(self, chain: _Chain, needed: set[Node]) -> Kernel:
        """The chain's kernel, in the largest slices that L2 holds."""
        stored = {x for n in chain.own for x in self.kernels[n].outputs if x in needed}
        made = [n for k in chain.all for n in self.kernels[k].outputs if self.is_large(n)]
        total = sum(node.nbytes for node in made)
        held = self.machine.l2_bytes // 2
        sizes = divisors(chain.rows)
        fitting = [n for n in sizes if total * n // (chain.matrices * chain.rows) <= held]
        for size in sizes[max(len(fitting) - 1, 0) :]:
            kernel = self._kernel(replace(chain, size=size), stored)
            if self._shared(kernel, chain) is not None:
                return kernel
        raise AssertionError("a chain's parts cannot share the loops that they could")

    def _shared(self, kernel: Kernel, chain: _Chain) -> Function | None:
        """The function of a chain's kernel; None if its parts cannot share loops."""
        functions = []
        for number, part in zip(chain.all, kernel.parts, strict=True):
            key = number, part.outputs
            if key not in self.functions:
                self.functions[key] = lower(part, "part")
            functions.append(self.functions[key])
        return share_loops(kernel, "chain", functions)

    def _kernel(self, chain: _Chain, stored: set[Node]) -> Kernel:
        parts = [self.kernels[n] for n in chain.all]
        inputs = {x for part in parts for x in part.inputs}
        needed = stored | {node for part in parts for node in part.outputs if node in inputs}
        parts = [_with_stored(part, needed) for part in parts]
        made = {node for part in parts for node in part.outputs}
        members = tuple(replace(m, stored=m.node in stored) for part in parts for m in part.members)
        outside = dict.fromkeys(x for part in parts for x in part.inputs if x not in made)
        return Kernel("chain", chain.count, members, tuple(outside), parts=tuple(parts))


def _with_stored(kernel: Kernel, stored: set[Node]) -> Kernel:
    members = tuple(replace(m, stored=m.stored and m.node in stored) for m in kernel.members)
    return replace(kernel, members=members)

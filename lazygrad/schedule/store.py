"""Choose the nodes to store in memory: the cost model of inlining against storing.

A node that is not stored is inlined: computed again wherever it is used. With one use, that is
free. With more, its arithmetic and its loads are repeated. The unit of cost is one arithmetic
instruction on one element.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..decisions import Memory
from ..graph.build import in_memory
from ..graph.ir import (
    Buffer,
    Const,
    Contiguous,
    Elementwise,
    Expand,
    Fold,
    Gather,
    Iota,
    Join,
    Movement,
    Node,
    Pad,
    Recurrence,
    Reduce,
    Reshape,
    Scatter,
    Sort,
    Winograd,
    topological,
)
from ..graph.product import compares_places, ends_at_size, factors, reuse
from ..looking import looking
from .ir import KIND_OF

MEMORY = 20.0  # to move an element to or from memory
BROADCAST = 2.0  # to load an element that stays in a register or in L1
GUARD = 3.0  # to test whether an index is inside
MIN_REUSE = 3  # a contraction uses each element of both factors at least so often
KERNEL_NODES = 400  # inlined nodes of a kernel, at most: compile time and registers are limited
NODE_COST = 4.0  # a costlier node is more code: it counts as cost / NODE_COST nodes
FEW = 4  # a scatter has few values if they are at most 1 / FEW of the elements it writes into
MAX_USES = 8  # a node that more kernels would compute again is stored

_MUST_STORE: tuple[type[Node], ...] = (*KIND_OF, Contiguous)
_LEAVES = (Buffer, Const, Iota)

Use = tuple[Node, int]  # the stored node whose kernel evaluates it, and which index map


def choose_stored(order: Sequence[Node], outputs: Sequence[Node]) -> set[Node]:
    """The nodes to store: those that must be, and those that cost less to store than to compute at
    each use.

    Requires: `order` is topological. Ensures: outputs, and the nodes of KIND_OF, are stored; linear
    in the number of nodes and their uses.
    """
    record = looking.get()
    noted = None if record is None else record.compilation.parts[-1].memory
    asked = set(outputs)
    whole: set[Node] = set()  # nodes that a reader needs in memory as a whole
    for node in order:
        if isinstance(node, Sort):
            whole.update(node.inputs)
        elif isinstance(node, Recurrence):
            whole.update(map(in_memory, node.inputs))
        elif isinstance(node, Reduce):
            whole.update(_reused_factors(node))
        elif isinstance(node, Scatter) and _reads_its_base(node):
            whole.add(node.values)
    must = {n for n in order if n in asked or n in whole or isinstance(n, _MUST_STORE)}
    costs = _costs(order, must)
    stored: set[Node] = set()
    uses: dict[Node, dict[Use, float]] = {node: {} for node in order}
    inlined: dict[Node, int] = {}
    for node in reversed(order):
        if isinstance(node, _LEAVES):
            if (node in asked or node in whole) and not isinstance(node, Buffer):
                stored.add(node)
            continue
        mine = uses[node]
        if node in must or _costs_more_inline(node, mine, costs[node], inlined):
            stored.add(node)
        if noted is not None:
            whole_why = "it is read in another order, or again and again" if node in whole else ""
            why = "the program asks for it" if node in asked else whole_why
            noted[node] = _choice(node, mine, costs[node], node in stored, node in must, why)
        if node in stored:
            # Winograd's tiles overlap, but they read a copy that has each element once
            work = float(node.x.size if isinstance(node, (Reduce, Fold, Winograd)) else node.size)
            mine = {(node, 0): work}
        for root, _ in mine:
            inlined[root] = inlined.get(root, 0) + _code(node)
        is_loop = isinstance(node, Recurrence)
        for x in map(in_memory, node.inputs) if is_loop else node.inputs:
            if isinstance(node, Join):  # each part is computed on its own
                mine = {(x, hash(node)): float(x.size)}
            _add_uses(node, x, mine, uses[x])
    return stored


def _code(node: Node) -> int:
    """How many nodes' worth of code a node is in a kernel."""
    return max(1, int(node.cost / NODE_COST))


def _reads_its_base(node: Scatter) -> bool:
    """Whether a scatter's values are few and computed from its base, as in x[i] *= 2. Stored before
    the scatter runs, they let the scatter take over the memory of x."""
    base = node.x
    while isinstance(base, Reshape):
        base = base.x
    return (
        isinstance(base, (Buffer, Scatter))
        and node.values.size * FEW <= base.size
        and base in topological([node.values])
    )


def _reused_factors(node: Reduce) -> list[Node]:
    """The computed sources of a sum of products, if it reads each element of both several times."""
    sources = [factor.source for factor in factors(node)] if reuse(node) >= MIN_REUSE else []
    return [x for x in sources if not isinstance(x, _LEAVES)]


def _add_uses(node: Node, x: Node, mine: dict[Use, float], theirs: dict[Use, float]) -> None:
    for (root, at), evaluations in mine.items():
        if isinstance(node, (Movement, Gather, Reduce, Fold)) and not isinstance(node, Elementwise):
            at = hash((node, at))  # read at another index: not the same computation
        theirs[(root, at)] = evaluations


def _costs(order: Sequence[Node], stored: set[Node]) -> dict[Node, float]:
    """The cost of one evaluation of each node, if all nodes but the stored ones are inlined."""
    costs: dict[Node, float] = {}
    for node in order:
        if isinstance(node, (Const, Iota)):
            costs[node] = 1.0
        elif isinstance(node, Buffer) or node in stored:
            costs[node] = MEMORY
        elif isinstance(node, Expand) and node.x.size * 8 <= node.size:
            costs[node] = BROADCAST
        elif ends_at_size(node):  # loops end at the size: nothing is tested
            costs[node] = costs[node.inputs[1]]
        else:
            own = 0.0 if isinstance(node, Movement) else node.cost
            own = GUARD if isinstance(node, Pad) else own
            costs[node] = min(own + sum(costs[x] for x in node.inputs), 1e6)
    return costs


def _costs_more_inline(
    node: Node, mine: dict[Use, float], cost: float, inlined: dict[Node, int]
) -> bool:
    # Kernels end their loops at a size that they compare with, and could not at a stored answer.
    is_everywhere = len(mine) > MAX_USES and not compares_places(node)
    if is_everywhere or any(inlined.get(root, 0) >= KERNEL_NODES for root, _ in mine):
        return not isinstance(node, Movement) or not is_everywhere
    if len(mine) == 1 and sum(mine.values()) <= node.size:
        return False
    inline, store = _prices(node, mine, cost)
    return inline > store


def _prices(node: Node, mine: dict[Use, float], cost: float) -> tuple[float, float]:
    """The costs of computing a node at each use, and of storing it and reading it at each use."""
    evaluations = sum(mine.values())
    return evaluations * cost, node.size * (cost + MEMORY) + evaluations * MEMORY


def _choice(
    node: Node, mine: dict[Use, float], cost: float, is_stored: bool, is_must: bool, why: str
) -> Memory:
    """The choice for a node in words, and both costs."""
    if is_must:
        return Memory(True, why or f"a {node.name} is computed once", len(mine))
    inline, store = _prices(node, mine, cost)
    if is_stored and inline <= store:
        why = f"{len(mine)} kernels would compute it again, or one would be too long"
    elif is_stored:
        why = "storing it costs less than computing it again"
    else:
        why = "computing it again costs less than storing it"
    return Memory(is_stored, why, len(mine), inline, store)

"""Make a schedule without fusion: a kernel, and memory, for each step.

    softmax(x)  ->  max(x); exp(x - max); sum(exp); exp / sum     four kernels, three intermediates
    a @ b       ->  sum over k of a[i, k] * b[k, j]               one kernel: the product is inlined

Movement is index arithmetic, so it is never a step of its own. An elementwise node whose only
reader is a sum or an elementwise node is computed there. So each element is computed once, and the
nodes of a kernel form a tree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..graph.ir import Buffer, Const, Elementwise, Fold, Iota, Movement, Node, Reduce, topological
from .ir import KIND_OF, Kernel, Member, MemoryPlan, Schedule, aligned, outputs_of, own_position


def separate(outputs: Sequence[Node]) -> Schedule:
    """Make a kernel for each node that has memory.

    Requires: a normalized graph. Ensures: exactly one kernel writes each output that is no Buffer;
    each kernel comes after the kernels that it reads.
    """
    order = topological(outputs)
    stored = _stored(order, set(outputs))
    kernels = [_kernel(node, stored) for node in order if node in stored]
    return Schedule(tuple(kernels), tuple(outputs))


def _stored(order: Sequence[Node], outputs: set[Node]) -> set[Node]:
    """The nodes that get memory."""
    users = Counter(x for node in order for x in node.inputs)
    inlining = {
        x for node in order if isinstance(node, (Elementwise, Reduce, Fold)) for x in node.inputs
    }

    def is_inline(node: Node) -> bool:
        if isinstance(node, (Const, Iota, Movement)):
            return True
        return isinstance(node, Elementwise) and users[node] == 1 and node in inlining

    computed = [node for node in order if not isinstance(node, Buffer)]
    return {node for node in computed if node in outputs or not is_inline(node)}


def _kernel(node: Node, stored: set[Node]) -> Kernel:
    """The kernel that computes a node from nodes that have memory."""

    def is_read(x: Node) -> bool:
        return x is not node and (isinstance(x, Buffer) or x in stored)

    order = topological([node], lambda x: () if is_read(x) else x.inputs)
    kind = KIND_OF.get(type(node), "map")
    inputs = tuple(x for x in order if is_read(x))
    return Kernel(kind, node.size, (Member(node, own_position(node), True),), inputs)


def own_memory(schedule: Schedule) -> MemoryPlan:
    """Give each stored node a slot of its own.

    Requires: a verified schedule. Ensures: no two nodes share memory.
    """
    outputs = outputs_of(schedule)
    written = [node for kernel in schedule.kernels for node in kernel.outputs]
    slot_of = {node: n for n, node in enumerate(dict.fromkeys([*outputs, *written]))}
    slots = tuple(aligned(node.nbytes) for node in slot_of)
    return MemoryPlan(slots, len(outputs), slot_of, {}, sum(slots))

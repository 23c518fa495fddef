"""Keep values that a row kernel would compute twice in memory for one row.

    softmax:  m = max(x);  s = sum(exp(x - m));  out = exp(x - m) / s
    ->        m = max(x);  e = exp(x - m), kept;  s = sum(e);  out = e / s

The memory has the length of one row, so it stays in L1. Where the rows of the kernel are columns of
a matrix, LANES neighbouring columns are computed together: it then has the length of LANES rows.
"""

from __future__ import annotations

from dataclasses import replace

from ..expr import Expr, leaves
from ..graph.ir import Arithmetic, Elementwise, Node, computed
from ..index import substitute
from .access import accesses
from .ir import Kernel, Member, Schedule, axis_variables

ROW_BYTES = 16 << 10  # a longer row leaves L1 anyway
LANES = 16  # columns that are computed together


def materialize(schedule: Schedule) -> Schedule:
    """Make a costly node that two members of a row kernel evaluate a member of its own.

    Requires: a fused schedule. Ensures: kernels write the same nodes as before.
    """
    return replace(schedule, kernels=tuple(map(_materialize, schedule.kernels)))


def _materialize(kernel: Kernel) -> Kernel:
    if kernel.kind != "row":
        return kernel
    boundary = {*kernel.inputs, *(m.node for m in kernel.members)}
    for node in _costly_nodes(kernel, boundary):
        position = _position(node, kernel, boundary)
        if position is not None and _fits(node, position, kernel):
            first = next(n for n, m in enumerate(kernel.members) if _reads(m, node, boundary))
            member = Member(node, position, stored=False)
            members = (*kernel.members[:first], member, *kernel.members[first:])
            kernel = replace(kernel, members=members)
            boundary.add(node)
    return kernel


def _fits(node: Node, position: Expr, kernel: Kernel) -> bool:
    """Whether the elements of a node that belong to one position stay in L1."""
    columns = axis_variables(node.shape)[-1] in leaves(position)
    nbytes = node.nbytes // kernel.outer * (LANES if columns else 1)
    return nbytes <= ROW_BYTES


def _costly_nodes(kernel: Kernel, boundary: set[Node]) -> list[Node]:
    """Costly nodes that are inlined and have more than one element a row, inputs first."""
    roots = [x for m in kernel.members for x in m.node.inputs]
    return [n for n in computed(roots, boundary) if _is_costly(n) and kernel.outer < n.size]


def _is_costly(node: Node) -> bool:
    return isinstance(node, Arithmetic) and node.operation.is_approximate


def _reads(member: Member, node: Node, boundary: set[Node]) -> bool:
    return any(a.node is node for a in accesses(member.node, {*boundary, node}.__contains__))


def _position(node: Node, kernel: Kernel, boundary: set[Node]) -> Expr | None:
    """The position of each element of a node, if several members read it, all at their own
    positions, and one of them element by element; else None."""
    axes = axis_variables(node.shape)
    stops = {*boundary, node}.__contains__
    reads = [
        (member, access.index)
        for member in kernel.members
        for access in accesses(member.node, stops)
        if access.node is node
    ]
    if len({member.node for member, _ in reads}) < 2:
        return None
    own = [m.position for m, i in reads if i == axes and isinstance(m.node, Elementwise)]
    for position in own[:1]:
        if all(
            substitute(position, dict(zip(axes, index, strict=True))) is member.position
            for member, index in reads
        ):
            return position
    return None

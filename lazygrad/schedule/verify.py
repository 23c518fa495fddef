"""Verify that a schedule is legal. Runs after every pass, in tests and with DEBUG."""

from __future__ import annotations

from ..errors import CompilerError
from ..graph.ir import Buffer, Node
from .access import accesses, is_bijection, reduced_variables
from .ir import KINDS, ONE_NODE, Kernel, Member, Schedule, axis_variables


def verify(schedule: Schedule) -> None:
    """Check every kernel and the order of the kernels.

    A kernel's kind is one of KINDS. The position of each member takes each value 0 .. outer - 1
    once, in terms of the member's own axes. A member reads other members at its own position. A
    kernel's inputs are Buffers, or written by earlier kernels. Each output is written once. Raises
    CompilerError, naming the kernel.
    """
    written: dict[Node, int] = {}
    for number, kernel in enumerate(schedule.kernels):
        cause = _fault(kernel, written)
        if cause:
            raise CompilerError(f"verify: kernel {number} ({kernel.kind}): {cause}")
        written.update(dict.fromkeys(kernel.outputs, number))
    for node in schedule.outputs:
        if node not in written and not isinstance(node, Buffer):
            raise CompilerError(f"verify: no kernel writes the output {node}")


def _fault(kernel: Kernel, written: dict[Node, int]) -> str | None:
    """What is wrong with a kernel, or None."""
    if kernel.kind not in KINDS:
        return f"its kind is none of {KINDS}"
    if not kernel.outputs:
        return "it writes nothing"
    if kernel.kind == "chain":
        return _chain_fault(kernel, written)
    if kernel.kind in ONE_NODE and len(kernel.members) != 1:
        return f"it has {len(kernel.members)} members, and may have one"
    seen: set[Node] = set()
    for member in kernel.members:
        if member.node in seen:
            return f"{member.node} is a member twice"
        seen.add(member.node)
        if member.node in written:
            return f"{member.node} is written by kernel {written[member.node]} too"
        cause = _member_fault(member, kernel)
        if cause:
            return f"{member.node}: {cause}"
    cause = _order_fault(kernel)
    if cause:
        return cause
    for x in kernel.inputs:
        if x in seen:
            return f"its input {x} is one of its members"
        if x not in written and not isinstance(x, Buffer):
            return f"its input {x} was not written before"
    return None


def _chain_fault(kernel: Kernel, written: dict[Node, int]) -> str | None:
    """What is wrong with a chain, or None. Its parts are verified as a schedule of their own."""
    local = {m.node for part in kernel.parts for m in part.members} - set(kernel.outputs)
    before = {node: number for node, number in written.items() if node not in local}
    for number, part in enumerate(kernel.parts):
        if part.kind not in ("map", "row", "contraction"):
            return f"its part {number} is of kind {part.kind}"
        cause = _fault(part, before)
        if cause:
            return f"part {number} ({part.kind}): {cause}"
        before.update(dict.fromkeys(part.outputs, number))
    return None


def _member_fault(member: Member, kernel: Kernel) -> str | None:
    digits = is_bijection(member.position, kernel.outer)
    if digits is None:
        return f"its position {member.position} does not run over 0 .. {kernel.outer - 1}"
    foreign = set(digits) - set(axis_variables(member.node.shape))
    if foreign:
        return f"its position {member.position} uses {foreign}, which are no axes of it"
    covers = len(digits) == sum(v.extent != 1 for v in axis_variables(member.node.shape))
    if kernel.kind in ("map", "contraction") and not covers:
        return "it has inner loops, which a kernel of this kind may not"
    if kernel.kind == "map" and reduced_variables(member.node):
        return "it reduces, which a map may not"
    return None


def _order_fault(kernel: Kernel) -> str | None:
    """A member that reads another one at another position, which may not be computed yet."""
    positions = {member.node: member.position for member in kernel.members}
    known = {*positions, *kernel.inputs}
    for member in kernel.members:
        for access in accesses(member.node, known.__contains__):
            x = access.node
            if x in positions and access.position(positions[x]) is not member.position:
                at = access.position(positions[x])
                return f"{member.node} at {member.position} reads {x} at {at}"
    return None

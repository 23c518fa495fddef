"""Store what is known to be undefined as such: where sizes vary, kernels then end at the size.

v = sum(x * w), stored;  next kernel: relu(within(v, i < n))
->   v = within(sum(x * w), i < n), stored;  next kernel: relu(v)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..graph.ir import Buffer, Node, Within, topological
from .ir import ONE_NODE, Kernel, Member, Schedule


def limit_outputs(schedule: Schedule) -> Schedule:
    """The schedule with each stored node that is read through one Within alone stored as that.

    Requires: a fused schedule without chains. Ensures: the same values where they are defined.
    """
    users: dict[Node, set[Node]] = {}
    for node in topological(schedule.outputs):
        for x in node.inputs:
            users.setdefault(x, set()).add(node)
    writer = {node: kernel for kernel in schedule.kernels for node in kernel.outputs}
    limited: dict[Node, Node] = {}
    for kernel in schedule.kernels:
        if kernel.parts or kernel.kind in ONE_NODE:
            continue
        for node in kernel.outputs:
            last = node
            while last not in schedule.outputs and len(users[last]) == 1:
                (user,) = users[last]
                if not (isinstance(user, Within) and user.x is last):
                    break
                last = user
            if last is not node and (last not in writer or writer[last].outputs == (last,)):
                limited[node] = last
    if not limited:
        return schedule
    copies = {id(writer[last]) for last in limited.values() if last in writer}
    kernels = [_limited(kernel, limited) for kernel in schedule.kernels if id(kernel) not in copies]
    return replace(schedule, kernels=tuple(kernels))


def _limited(kernel: Kernel, limited: Mapping[Node, Node]) -> Kernel:
    """A kernel that stores, and reads, the limited nodes."""
    if limited.keys().isdisjoint((*kernel.outputs, *kernel.inputs)):
        return kernel
    own = {m.node for m in kernel.all_members}

    def members(before: tuple[Member, ...]) -> tuple[Member, ...]:
        result: list[Member] = []
        for member in before:
            last = limited.get(member.node)
            if member.stored and last is not None and last not in own:
                result += [replace(member, stored=False), Member(last, member.position, True)]
            else:
                result.append(member)
        return tuple(result)

    inputs = dict.fromkeys(limited.get(x, x) for x in kernel.inputs)
    for node in kernel.outputs:
        x = limited.get(node, node)
        while isinstance(x, Within) and x is not node:
            counts = topological([x.inside])
            inputs.update(dict.fromkeys(n for n in counts if isinstance(n, Buffer)))
            x = x.x
    return replace(
        kernel, members=members(kernel.members), end=members(kernel.end), inputs=tuple(inputs)
    )

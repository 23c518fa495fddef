"""Let kernels end at a size that varies: find the outputs that are undefined beyond it.

A Within that the next kernel reads moves into the kernel that writes its input:

v = sum(x * w), stored;  next kernel: relu(within(v, i < n))
->   v = within(sum(x * w), i < n), stored;  next kernel: relu(v)

Results from undefined elements are undefined, too. The kernel then has *limits* for its outputs:

t = within(..., i < n), stored;  u = t + 1, stored   ->   u ends at n, too

Kernels of scans and sorts store one node; they have the limits of the Within that reads it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from ..expr import Expr, Literal, Var
from ..graph.ir import (
    Buffer,
    Contiguous,
    Elementwise,
    Less,
    Movement,
    Node,
    Reduce,
    Where,
    Within,
    topological,
)
from ..index import bounds, mod
from .access import MultiIndex, iota_index, movement_index, reduce_index
from .ir import ALONE, Kernel, Member, Schedule, axis_variables

Limits = dict[tuple[int, int], Node]
"""By an axis, and how many elements each of its blocks has (the axis may be one block): the size,
an int64 in memory, beyond which all elements of a block are undefined."""


ENDING = ("scan", "sort")
"""The kinds of kernels that nothing joins, but that end at a size."""


def limit_outputs(schedule: Schedule) -> Schedule:
    """Store each Within instead of its input, and note the limits of other outputs.

    Requires: a fused schedule without chains. Ensures: the same values where they are defined.
    """
    writer = {node: kernel for kernel in schedule.kernels for node in kernel.outputs}
    ends = _read_within(schedule)
    limited = {
        node: last
        for node, last in ends.items()
        if writer[node].kind not in ALONE
        if last not in writer or writer[last].outputs == (last,)
    }
    copies = {id(writer[last]) for last in limited.values() if last in writer}
    known: dict[Node, Limits] = {last: _own_limits(last) for last in limited.values()}
    known |= {node: _own_limits(last) for node, last in ends.items() if writer[node].kind in ENDING}
    kernels: list[Kernel] = []
    for before in schedule.kernels:
        if id(before) in copies:
            continue
        kernel = _limited(before, limited)
        if not kernel.parts and (kernel.kind not in ALONE or kernel.kind in ENDING):
            kernel = _with_limits(kernel, known)
        kernels.append(kernel)
    return replace(schedule, kernels=tuple(kernels))


def _with_limits(kernel: Kernel, known: dict[Node, Limits]) -> Kernel:
    """The kernel with the limits of its outputs, which follow from those of its inputs and are
    added to `known`. The sizes become inputs."""
    limits: dict[Node, Limits] = {}
    for node in kernel.outputs:
        own = known.setdefault(node, _own_limits(node) or _limits(node, kernel.inputs, known))
        if own and not isinstance(node, Within):
            limits[node] = own
    sizes = [size for own in limits.values() for size in own.values()]
    counts = dict.fromkeys(x for x in topological(sizes) if isinstance(x, Buffer))
    inputs = dict.fromkeys((*kernel.inputs, *counts))
    return replace(kernel, inputs=tuple(inputs), limits=limits) if limits else kernel


def _read_within(schedule: Schedule) -> dict[Node, Node]:
    """Each stored node whose only reader is a Within, or a chain of them, and the last Within."""
    users: dict[Node, set[Node]] = {}
    for node in topological(schedule.outputs):
        for x in node.inputs:
            users.setdefault(x, set()).add(node)
    found: dict[Node, Node] = {}
    for kernel in schedule.kernels:
        for node in () if kernel.parts else kernel.outputs:
            last = node
            while last not in schedule.outputs and len(users.get(last, ())) == 1:
                (user,) = users[last]
                if not (isinstance(user, Within) and user.x is last):
                    break
                last = user
            if last is not node:
                found[node] = last
    return found


# ------------------------------------------------------------------ undefined elements


def undefined_with(
    node: Node, index: MultiIndex, boundary: Collection[Node]
) -> Iterator[tuple[Node, MultiIndex]]:
    """The elements of Withins and of boundary nodes: where one is undefined, node[index] is."""
    stack, seen = [(node, index)], set()
    while stack:
        top = stack.pop()
        x, at = top
        if top in seen:
            continue
        seen.add(top)
        if x in boundary and x is not node:
            yield top
            continue
        match x:
            case Within():
                yield top
                stack.append((x.x, at))
            case Where():  # it may choose the defined operand
                stack.append((x.condition, at))
            case Elementwise() | Contiguous():
                stack += [(each, at) for each in x.inputs]
            case Reduce():  # the first term stands for all: it is defined wherever all are
                first = (Literal(0),) * len(x.axes)
                stack.append((x.x, reduce_index(x, at, first)))
            case Movement():  # padding after undefined elements lies beyond the same end
                stack.append((x.inputs[0], movement_index(x, at)[0]))


def _limits(node: Node, inputs: Collection[Node], known: Mapping[Node, Limits]) -> Limits:
    """The limits of a node, from those of its kernel's inputs and of Withins in the kernel."""
    axes = axis_variables(node.shape)
    found: Limits = {}
    for x, index in undefined_with(node, axes, set(inputs)):
        limits = _own_limits(x) if isinstance(x, Within) and x not in inputs else known.get(x, {})
        for (axis, block), size in limits.items():
            place = _place(mod(index[axis], block), block, axes)
            if place is not None:
                found[place] = size
    return found


def _place(index: Expr, block: int, axes: Sequence[Var]) -> tuple[int, int] | None:
    """The axis along whose blocks, of this many elements or one for all, an index walks."""
    for axis, var in enumerate(axes):
        if index is var:
            return axis, var.extent
        if index is mod(var, block) and var.extent % block == 0:
            return axis, block
    return None


def _own_limits(node: Node) -> Limits:
    """The limits of a Within, from its condition; none for other nodes."""
    axes = axis_variables(node.shape)
    found: Limits = {}
    while isinstance(node, Within):
        inside: Node = node.inside
        at: MultiIndex = axes
        while isinstance(inside, Movement):
            inside, at = inside.inputs[0], movement_index(inside, at)[0]
        if isinstance(inside, Less):
            walked, size = iota_index(inside.x, at), inside.y
            while isinstance(size, Movement):
                size = size.inputs[0]
            place = None if walked is None else _place(walked, bounds(walked)[1] + 1, axes)
            if place is not None and size.size == 1:
                found[place] = size
        node = node.x
    return found


# ------------------------------------------------------------------ the kernels


def _limited(kernel: Kernel, limited: Mapping[Node, Node]) -> Kernel:
    """The kernel, storing and reading the Withins in `limited` instead of their inputs."""
    if limited.keys().isdisjoint((*kernel.outputs, *kernel.inputs)):
        return kernel
    own = {m.node for m in kernel.members}

    members: list[Member] = []
    for member in kernel.members:
        last = limited.get(member.node)
        if member.stored and last is not None and last not in own:
            members += [replace(member, stored=False), Member(last, member.position, True)]
        else:
            members.append(member)
    inputs = dict.fromkeys(limited.get(x, x) for x in kernel.inputs)
    for node in kernel.outputs:
        x = limited.get(node, node)
        while isinstance(x, Within) and x is not node:
            counts = topological([x.inside])
            inputs.update(dict.fromkeys(n for n in counts if isinstance(n, Buffer)))
            x = x.x
    return replace(kernel, members=tuple(members), inputs=tuple(inputs))

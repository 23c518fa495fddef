"""A key that kernels share which compute the same on other memory: such kernels are lowered once.

    t1 = tanh(slice(in0, start 3) + t0)    a step of a recurrent network
    t2 = tanh(slice(in0, start 4) + t1)    the next: the same function, its first input a row on

So that steps are equal, what is sliced from an input begins with that input, as after `rebase`.
"""

from __future__ import annotations

from collections.abc import Container, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import gcd, prod

from ...graph.ir import Buffer, Gather, Node, Slice, topological
from ...graph.structure import Slot, described
from ...schedule.ir import Kernel
from ...targets import LINE

_KINDS = ("map", "row", "contraction")

Shift = tuple[int, ...]  # of a multi-index


@dataclass(frozen=True, eq=False, slots=True)
class Canonical:
    """A kernel's key, and by how much what it slices from some inputs is to begin earlier."""

    kernel: Kernel
    key: tuple[Hashable, ...]
    shifts: Mapping[Node, Shift]

    def shifted(self) -> Kernel:
        """The kernel with the slices of those inputs moved to their beginning."""
        return _shifted(self.kernel, self.shifts) if self.shifts else self.kernel

    def offsets(self, offsets: Sequence[int], inputs: Sequence[Node]) -> tuple[int, ...]:
        """How many bytes into its memory each argument of the kernel begins, given where each of
        the shifted one does. The last arguments are these inputs."""
        outputs = len(offsets) - len(inputs)
        return (*offsets[:outputs], *map(self._offset, offsets[outputs:], inputs))

    def _offset(self, offset: int, x: Node) -> int:
        shift = self.shifts.get(x, ())
        moved = sum(n * stride for n, stride in zip(shift, _strides(x), strict=False))
        return offset + moved * x.dtype.itemsize


def canonical(kernel: Kernel, fixed: Container[Node] | None = None) -> Canonical:
    """The key of a kernel, that is no chain.

    `fixed` are inputs that must begin where they do; None: all. Ensures: shifted kernels with equal
    keys are equal but for their inputs, and whole cache lines stay whole.
    """
    inputs = set(kernel.inputs)
    roots = [m.node for m in kernel.all_members]
    nodes = [
        node
        for node in topological(roots, lambda n: () if n in inputs else n.inputs)
        if node not in inputs
    ]
    is_plain = fixed is not None and kernel.kind in _KINDS
    shifts = _shifts(kernel, nodes, fixed or ()) if is_plain else {}
    return Canonical(kernel, _key(kernel, nodes, shifts), shifts)


def _key(
    kernel: Kernel, nodes: Sequence[Node], shifts: Mapping[Node, Shift]
) -> tuple[Hashable, ...]:
    """What lowering sees of a kernel: nodes by their numbers, the inputs first."""
    number = {x: n for n, x in enumerate(kernel.inputs)}
    key: list[Hashable] = [(Buffer, x.shape, x.dtype, kernel.layouts.get(x)) for x in kernel.inputs]
    for node in nodes:
        own = described(node)
        if isinstance(node, Slice) and node.x in shifts:
            own = (_earlier(node, shifts[node.x]), node.sizes, node.steps)
        key.append((type(node), own, *[number[x] for x in node.inputs]))
        number[node] = len(number)
    for members in (kernel.members, kernel.end):
        key.append(tuple((number[m.node], m.position, m.stored) for m in members))
    made = [m.node for m in kernel.all_members if m.node in kernel.layouts]
    key.append(tuple((number[node], kernel.layouts[node]) for node in made))
    return (kernel.kind, kernel.outer, *key)


def _shifts(kernel: Kernel, nodes: Sequence[Node], fixed: Container[Node]) -> dict[Node, Shift]:
    """For inputs of which nothing but slices is read: where the first of these begins, as nearly
    as whole cache lines allow."""
    slices: dict[Node, list[Slice]] = {}
    whole: set[Node] = set()
    for node in nodes:
        if isinstance(node, Gather):
            return {}
        if isinstance(node, Slice):
            slices.setdefault(node.x, []).append(node)
        else:
            whole.update(node.inputs)
    found = {}
    for x in kernel.inputs:
        if x in slices and x not in whole and x not in fixed and x not in kernel.layouts:
            shift = _least(x, slices[x])
            if any(shift):
                found[x] = shift
    return found


def _least(x: Node, slices: Sequence[Slice]) -> Shift:
    """The least start of the slices along each axis, rounded so that lines stay whole."""
    line = max(1, LINE // x.dtype.itemsize)
    shift = []
    for axis, stride in enumerate(_strides(x)):
        start = min(s.starts[axis] + min(0, (s.sizes[axis] - 1) * s.steps[axis]) for s in slices)
        shift.append(start - start % (line // gcd(line, stride)))
    return tuple(shift)


def _strides(x: Node) -> list[int]:
    return [prod(x.shape[axis + 1 :]) for axis in range(len(x.shape))]


def _earlier(node: Slice, shift: Shift) -> tuple[int, ...]:
    return tuple(start - n for start, n in zip(node.starts, shift, strict=True))


def _shifted(kernel: Kernel, shifts: Mapping[Node, Shift]) -> Kernel:
    """The kernel with slices moved to the beginning of inputs that stand for the old ones."""
    new = {x: Buffer(Slot.of(x), x.shape) if x in shifts else x for x in kernel.inputs}
    inputs = tuple(new.values())
    roots = [m.node for m in kernel.all_members]
    for node in topological(roots, lambda n: () if n in new else n.inputs):
        if node in new:
            continue
        if isinstance(node, Slice) and node.x in shifts:
            new[node] = Slice(new[node.x], _earlier(node, shifts[node.x]), node.sizes, node.steps)
        else:
            changed = any(new[x] is not x for x in node.inputs)
            new[node] = node.with_inputs([new[x] for x in node.inputs]) if changed else node
    return replace(
        kernel,
        members=tuple(replace(m, node=new[m.node]) for m in kernel.members),
        inputs=inputs,
        end=tuple(replace(m, node=new[m.node]) for m in kernel.end),
        layouts={new.get(node, node): layout for node, layout in kernel.layouts.items()},
    )

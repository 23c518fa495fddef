"""A key that kernels share if they compute the same function, on other memory: it is lowered once.

    t1 = tanh(slice(in0, start 3) + t0)    a step of a recurrent network
    t2 = tanh(slice(in0, start 4) + t1)    the next: the same function, its first input a row on

To make the steps equal, the base pointer of an input moves to the first element that is read, or
to its cache line. Slices then start at or near 0, and the launch passes the offset. The updates of
equal parameters share a function likewise: each reads scalars of the optimizer, such as a bias
correction, at its own offset in one input.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import gcd

from ...graph.ir import Buffer, Gather, Node, Pad, Slice, computed
from ...graph.structure import Slot, described
from ...index import strides
from ...schedule.ir import Kernel
from ...targets import LINE
from ..ir import Function
from .needed import moved_zeros

_KINDS = ("map", "row", "contraction")

Shift = tuple[int, ...]  # how far the base pointer of an input moves, as a multi-index


@dataclass(frozen=True, eq=False, slots=True)
class Canonical:
    """A kernel with its key, and the shift of each input whose base pointer moves."""

    kernel: Kernel
    key: tuple[Hashable, ...]
    shifts: Mapping[Node, Shift]

    def offsets(self, function: Function, overwritten: Collection[Node]) -> tuple[int, ...]:
        """The offset, in bytes, of each argument of the kernel's function; none where all are 0.
        Inputs that are overwritten are no arguments."""
        inputs = [x for x in self.kernel.inputs if x not in overwritten]
        others = len(function.arguments) - len(inputs)
        return (*(0,) * others, *map(self._offset, inputs)) if self.shifts else ()

    def _offset(self, x: Node) -> int:
        shift = self.shifts.get(x, ())
        moved = sum(n * stride for n, stride in zip(shift, strides(x.shape), strict=False))
        return moved * x.dtype.itemsize


def canonical(kernel: Kernel, fixed: Container[Node] | None = None) -> Canonical:
    """The key of a kernel that is not a chain.

    `fixed`: inputs whose base pointers must not move (None: all). Ensures: shifted kernels with
    equal keys are equal but for their inputs; the base pointer of an input that vectors are read
    from moves by whole cache lines.
    """
    roots = [m.node for m in kernel.members]
    roots += [size for own in kernel.limits.values() for size in own.values()]
    nodes = computed(roots, set(kernel.inputs))
    is_plain = fixed is not None and kernel.kind in _KINDS
    shifts = _shifts(kernel, nodes, fixed or ()) if is_plain else {}
    return Canonical(kernel, _key(kernel, nodes, shifts), shifts)


def _key(
    kernel: Kernel, nodes: Sequence[Node], shifts: Mapping[Node, Shift]
) -> tuple[Hashable, ...]:
    """What lowering sees of a kernel: nodes by their numbers, the inputs first."""
    number = {x: n for n, x in enumerate(kernel.inputs)}
    padded = _padding if kernel.kind == "contraction" else lambda x: ()
    key: list[Hashable] = [
        (Buffer, x.shape, x.dtype, kernel.layouts.get(x), padded(x)) for x in kernel.inputs
    ]
    for node in nodes:
        own = described(node)
        if isinstance(node, Slice) and node.x in shifts:
            own = (_earlier(node, shifts[node.x]), node.sizes, node.steps)
        key.append((type(node), own, *[number[x] for x in node.inputs]))
        number[node] = len(number)
    key.append(tuple((number[m.node], m.position, m.stored) for m in kernel.members))
    made = [m.node for m in kernel.members if m.node in kernel.layouts]
    key.append(tuple((number[node], kernel.layouts[node]) for node in made))
    for node, own in kernel.limits.items():
        key.append((number[node], *((axis, number[size]) for axis, size in own.items())))
    return (kernel.kind, kernel.outer, *key)


def _padding(x: Node) -> tuple[Hashable, ...]:
    """How an input was padded with zeros: a contraction leaves out their terms (needed.py), so one
    of an input that was not padded is another function."""
    found: tuple[Hashable, ...] = ()
    moved: list[Hashable] = []
    for node in moved_zeros(x):
        moved.append((type(node), described(node), node.inputs[0].shape))
        if isinstance(node, Pad):
            found = tuple(moved)
    return found


def _shifts(kernel: Kernel, nodes: Sequence[Node], fixed: Container[Node]) -> dict[Node, Shift]:
    """The shift of each input that only slices read: to where the first of them begins."""
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
    """The least start of the slices along each axis. Rounded down to whole cache lines where a
    slice has more than one element: vectors that cross a cache line are slower."""
    line = max(1, LINE // x.dtype.itemsize) if any(s.size > 1 for s in slices) else 1
    shift = []
    for axis, stride in enumerate(strides(x.shape)):
        start = min(s.starts[axis] + min(0, (s.sizes[axis] - 1) * s.steps[axis]) for s in slices)
        shift.append(start - start % (line // gcd(line, stride)))
    return tuple(shift)


def _earlier(node: Slice, shift: Shift) -> tuple[int, ...]:
    return tuple(start - n for start, n in zip(node.starts, shift, strict=True))


def shifted(kernel: Kernel, shifts: Mapping[Node, Shift]) -> Kernel:
    """The kernel with its slices moved by the shifts, of new inputs in place of the old ones."""
    # values of constants alone are of no device, those beside them are
    device = next((x.device for x in kernel.inputs if x.device is not None), "")
    new = {
        x: Buffer(Slot(x.size, x.dtype, device), x.shape) if x in shifts else x
        for x in kernel.inputs
    }
    inputs = tuple(new.values())
    roots = [m.node for m in kernel.members]
    for node in computed(roots, new):
        if isinstance(node, Slice) and node.x in shifts:
            new[node] = Slice(new[node.x], _earlier(node, shifts[node.x]), node.sizes, node.steps)
        else:
            changed = any(new[x] is not x for x in node.inputs)
            new[node] = node.with_inputs([new[x] for x in node.inputs]) if changed else node
    return replace(
        kernel,
        members=tuple(replace(m, node=new[m.node]) for m in kernel.members),
        inputs=inputs,
        layouts={new.get(node, node): layout for node, layout in kernel.layouts.items()},
        limits={new[node]: own for node, own in kernel.limits.items()},
    )

"""Where an operation reads: which element of an input, for each element of the output.

permute (1, 0)  out[i, j]  reads  x[j, i]
pad (2, 0)      out[i]     reads  x[i - 2]  where i >= 2
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ..dtypes import int64
from ..expr import Expr, Literal, Local, Var
from ..graph.build import in_memory, reshape_groups
from ..graph.ir import (
    Buffer,
    Cast,
    Const,
    Contiguous,
    Elementwise,
    Expand,
    Fold,
    Gather,
    Iota,
    Join,
    Node,
    Pad,
    Permute,
    RandomBits,
    Recurrence,
    Reduce,
    Reshape,
    Scan,
    Scatter,
    Shape,
    Slice,
    Sort,
    Window,
    Winograd,
    WinogradFilter,
)
from ..index import (
    TRUE,
    add,
    all_of,
    at_least,
    equal,
    flatten,
    floordiv,
    less,
    linear,
    mod,
    mul,
    sub,
    substitute,
    unflatten,
)
from .ir import axis_variables

MultiIndex = tuple[Expr, ...]


def movement_index(node: Node, index: MultiIndex) -> tuple[MultiIndex, tuple[Expr, ...]]:
    """The index into a movement node's input, and the conditions under which it is read."""
    match node:
        case Reshape(x, shape):
            return reshape_index(x.shape, shape, index), ()
        case Permute(x, order):
            source = dict(zip(order, index, strict=True))
            return tuple(source[axis] for axis in range(len(order))), ()
        case Expand(x):
            zero = Literal(0)
            return tuple(zero if n == 1 else i for n, i in zip(x.shape, index, strict=True)), ()
        case Slice(_, starts, _, steps):
            return _slice_index(starts, steps, index), ()
        case Pad(x, padding):
            return _pad_index(x.shape, padding, index)
        case Window(_, axis, _, stride, dilation):
            *rest, k = index
            rest[axis] = add(mul(rest[axis], stride), mul(k, dilation))
            return tuple(rest), ()
    raise TypeError(f"{node.name} is no movement")


# Cached: repeated layers and time steps need the same indices in every pass.


@lru_cache(maxsize=1 << 14)
def _slice_index(starts: Shape, steps: Shape, index: MultiIndex) -> MultiIndex:
    moved = zip(index, starts, steps, strict=True)
    return tuple(add(mul(i, step), start) for i, start, step in moved)


@lru_cache(maxsize=1 << 14)
def _pad_index(
    shape: Shape, padding: tuple[tuple[int, int], ...], index: MultiIndex
) -> tuple[MultiIndex, tuple[Expr, ...]]:
    moved_index = []
    guards = []
    for i, n, (before, after) in zip(index, shape, padding, strict=True):
        j = sub(i, before)
        moved_index.append(j)
        if before:
            guards.append(at_least(j, 0))
        if after:
            guards.append(less(j, n))
    return tuple(moved_index), tuple(g for g in guards if g is not TRUE)


@lru_cache(maxsize=1 << 14)
def reshape_index(old: tuple[int, ...], new: tuple[int, ...], index: MultiIndex) -> MultiIndex:
    """The index into x for an index into a reshape of it. Axes that the reshape neither merges nor
    splits keep their index."""
    if old == new:
        return index
    found: list[Expr] = [Literal(0)] * len(old)
    for olds, news in reshape_groups(old, new) or ():
        position = flatten([index[axis] for axis in news], [new[axis] for axis in news])
        digits = unflatten(position, [old[axis] for axis in olds])
        for axis, digit in zip(olds, digits, strict=True):
            found[axis] = digit
    return tuple(found)


def reduce_index(node: Reduce, index: MultiIndex, inner: MultiIndex) -> MultiIndex:
    """The index into a reduction's input, `inner` running over the reduced axes."""
    kept, reduced = iter(index), iter(inner)
    return tuple(
        next(reduced) if axis in node.axes else next(kept) for axis in range(len(node.x.shape))
    )


def fold_index(node: Fold, index: MultiIndex, k: Expr) -> tuple[MultiIndex, tuple[Expr, ...]]:
    """The index into a fold's input for position k in the window, and the conditions under which
    that element exists."""
    offset = sub(index[node.axis], mul(k, node.dilation))
    guards = [at_least(offset, 0)]
    if node.stride > 1:
        guards.append(equal(mod(offset, node.stride), 0))
    window = floordiv(offset, node.stride)
    guards.append(less(window, node.x.shape[node.axis]))
    moved = list(index)
    moved[node.axis] = window
    return (*moved, k), tuple(g for g in guards if g is not TRUE)


def reduced_variables(node: Node) -> tuple[Var, ...]:
    """The variables over which a Reduce or Fold sums (none for other nodes)."""
    match node:
        case Reduce(x, _, axes):
            return axis_variables(tuple([x.shape[axis] for axis in axes]), "r")
        case Fold(x):
            return axis_variables(x.shape[-1:], "r")
    return ()


@dataclass(eq=False, slots=True)
class Access:
    """One read of a node in memory: the index of the element, and the condition under which it is
    read (None: always). Both are in terms of the axes of the node that is computed."""

    node: Node
    index: MultiIndex
    guard: Expr | None

    def position(self, of_element: Expr) -> Expr:
        """The position in a kernel of the element that is read, where the node's elements have
        these positions, in terms of its axes."""
        return _at(of_element, self.node.shape, self.index)


@lru_cache(maxsize=1 << 14)
def _at(position: Expr, shape: Shape, index: MultiIndex) -> Expr:
    values: dict[Expr, Expr] = dict(zip(axis_variables(shape), index, strict=True))
    return substitute(position, values)


def accesses(root: Node, is_boundary: Callable[[Node], bool]) -> list[Access]:
    """Every read of a boundary node in the computation of root[a0, a1, ...]. Nodes down to the
    boundary are inlined. r0, r1, ... are the reduced axes. Each inlined node is visited once for
    each distinct index. Depth is no limit.
    """
    found: list[Access] = []
    seen: set[tuple[Node, MultiIndex]] = set()
    stack = list(_inputs(root, axis_variables(root.shape), ()))
    while stack:
        node, at, guards = stack.pop()
        if (node, at) in seen:
            continue
        seen.add((node, at))
        if is_boundary(node):
            found.append(Access(node, at, all_of(guards)))
        else:
            stack.extend(_inputs(node, at, guards))
    found.reverse()
    return found


def _inputs(
    node: Node, index: MultiIndex, guards: tuple[Expr, ...]
) -> Iterator[tuple[Node, MultiIndex, tuple[Expr, ...]]]:
    match node:
        case Const() | Iota() | Buffer():
            return
        case Elementwise() | Contiguous():
            for x in node.inputs:
                yield x, index, guards
        case Reduce(x):
            yield x, reduce_index(node, index, reduced_variables(node)), guards
        case Fold(x):
            at, more = fold_index(node, index, reduced_variables(node)[0])
            yield x, at, guards + more
        case Gather(x, indices):
            for i in indices:
                yield i, index, guards
            yield x, tuple(gather_axis(node, axis, index) for axis in range(len(indices))), guards
        case RandomBits(state):
            for word in range(3):
                yield state, (Literal(word),), guards
        case Recurrence():
            for x in map(in_memory, node.inputs):
                yield x, axis_variables(x.shape, "s"), guards
        case Join() | Scatter() | Sort() | Scan() | Winograd() | WinogradFilter():
            # They read in an order of their own: each input counts as read as a whole.
            for x in node.inputs:
                yield x, axis_variables(x.shape, "s"), guards
        case _:
            at, more = movement_index(node, index)
            yield node.inputs[0], at, guards + more


def gather_axis(node: Gather, axis: int, index: MultiIndex) -> Expr:
    """The index along one axis: an index expression if the index node only counts (`iota_index`),
    else a symbol of its own."""
    walked = iota_index(node.indices[axis], index)
    if walked is not None:
        return walked
    inner = ",".join(repr(i) for i in index)
    return Local(f"gathered_{axis}_{id(node)}[{inner}]", int64)


def iota_index(node: Node, index: MultiIndex) -> Expr | None:
    """The value of an integer node as an index expression, if it is a constant or a moved Iota;
    else None."""
    while True:
        match node:
            case Const(value):
                return Literal(int(value)) if not node.dtype.is_float else None
            case Iota():
                return index[0]
            case Cast(x) if node.dtype.is_int and x.dtype.is_int:
                node = x
            case Reshape() | Permute() | Expand() | Slice() | Window():
                index, _ = movement_index(node, index)
                node = node.inputs[0]
            case _:
                return None


def walked_axes(node: Scatter, loops: Sequence[Var]) -> dict[int, Var]:
    """The axes that a scatter indexes by a loop variable alone, with that variable: for x[rows[i],
    j] += v[i, j] axis 1 with j. Different iterations of such a loop write different elements."""
    walked: dict[int, Var] = {}
    for axis, i in enumerate(node.indices):
        at = iota_index(i, tuple(loops))
        if isinstance(at, Var) and at.extent == node.shape[axis] and at not in walked.values():
            walked[axis] = at
    return walked


@lru_cache(maxsize=1 << 14)
def is_bijection(position: Expr, size: int) -> tuple[Var, ...] | None:
    """The variables of a position, outermost first, if it takes each value 0 .. size - 1 exactly
    once; else None.

    Such a position is a mixed-radix number: each variable's coefficient is the product of the
    extents of the variables after it.
    """
    constant, terms = linear(position)
    expected, digits = 1, []
    for atom, k in sorted(terms, key=lambda t: t[1]):
        if not isinstance(atom, Var) or k != expected:
            return None
        digits.append(atom)
        expected *= atom.extent
    if constant or expected != size:
        return None
    return tuple(reversed(digits))

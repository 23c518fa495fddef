"""The schedule IR: which operations share a kernel.

Grammar:

    schedule ::= kernel ...                     each after the kernels that it reads
    kernel   ::= kind, outer size, member ...   kind: one of KINDS
               | "chain", outer size, kernel ...
    member   ::= node, position, stored

Semantics:

- A kernel loops over positions 0 .. outer - 1. At each position it computes its members in order; a
  member may read elements that earlier members computed at the same position.
- `position` maps each element of a member's node to the position at which it is computed: an index
  expression over the node's axis variables (`axis_variables`). Axes that do not occur in it are
  inner loops. In a softmax over rows of x (r, c), the row's maximum and sum have position r, and so
  has the result, whose axis c is an inner loop.
- Nodes between the members are inlined: they are computed where they are read, and not listed.
- A stored member is written to memory. Other members live in registers, or, where a row has many
  of their elements, in memory for one row.
- A stored node that is no output of the schedule may have another layout than row-major
  (`Blocked`).
- A chain consists of parts: kernels that run one after another, once for each of `outer` equal
  slices of the intermediates between them. An intermediate has memory for one slice, unless a
  kernel outside of the chain reads it.
- Kinds:
    map           no reduction and no inner loops
    row           the general form
    contraction   a sum of products that reads each element of both factors several times, and
                  elementwise members on its result
    winograd      a convolution by tiles, and elementwise members on its result
    filter        the transform of the filters for "winograd"
    join, scatter, sort, scan   one node of that class each
    recurrence    values of one loop; each member is a row for each step, at position 0
    chain         see above
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from ..expr import Expr, Var
from ..graph.ir import (
    Fold,
    Join,
    Node,
    Recurrence,
    Reduce,
    Scan,
    Scatter,
    Sort,
    Winograd,
    WinogradFilter,
)
from ..index import add, flatten, floordiv, mod, mul, strides

KINDS = (
    "map", "row", "contraction", "winograd", "filter", "join", "scatter", "sort", "scan",
    "recurrence", "chain",
)  # fmt: skip
ONE_NODE = ("join", "scatter", "sort", "scan", "filter")
ALONE = (*ONE_NODE, "recurrence")  # kinds of kernels that nothing joins
KIND_OF: dict[type[Node], str] = {
    Reduce: "row", Fold: "row", Join: "join", Scatter: "scatter", Sort: "sort", Scan: "scan",
    Winograd: "winograd", WinogradFilter: "filter", Recurrence: "recurrence",
}  # fmt: skip
"""The kind of kernel that a node starts, by its class; "map" for all other classes. (A sum of
products may start a "contraction" instead.)"""

# Kernels of these kinds are lowered to loop nests of other kinds.
_NESTS = {
    "filter": ("map",),
    "winograd": ("transform", "contraction", "map", "total", "contraction"),
}


@lru_cache(maxsize=1 << 12)
def axis_variables(shape: tuple[int, ...], prefix: str = "a") -> tuple[Var, ...]:
    """A variable for each axis of a shape: the index of an element."""
    return tuple(Var(f"{prefix}{axis}", n) for axis, n in enumerate(shape))


def own_position(node: Node) -> Expr:
    """The `position` of a node of which each position has one element: the element's row-major
    number, in terms of the node's axis variables."""
    return flatten(axis_variables(node.shape), node.shape)


@dataclass(frozen=True, slots=True)
class Blocked:
    """A layout in which `size` neighbours along the first axis are innermost.

    Shape (N, C, H, W) is laid out as (N / size, C, H, W, size): full, aligned vectors at any image
    size.
    """

    size: int

    def offset(self, index: Sequence[Expr], shape: Sequence[int]) -> Expr:
        """The offset of an element, in elements."""
        block, lane = floordiv(index[0], self.size), mod(index[0], self.size)
        rows = (shape[0] // self.size, *shape[1:])
        return add(mul(flatten((block, *index[1:]), rows), self.size), lane)


@dataclass(frozen=True, slots=True)
class Region:
    """The layout of a part of a row-major tensor of shape `whole`."""

    whole: tuple[int, ...]

    def offset(self, index: Sequence[Expr], shape: Sequence[int]) -> Expr:
        """The offset of an element from the part's first one, in elements."""
        return flatten(index, self.whole)

    def span(self, shape: Sequence[int]) -> int:
        """How many elements of memory the part spans, from its first to its last."""
        return sum((n - 1) * step for n, step in zip(shape, strides(self.whole), strict=True)) + 1


@dataclass(frozen=True, eq=False, slots=True)
class Member:
    """One node that a kernel computes; see the module's semantics."""

    node: Node
    position: Expr
    stored: bool


@dataclass(frozen=True, eq=False, slots=True)
class Kernel:
    """Members computed together, and the nodes that they read from memory.

    A chain has the members of its `parts`; a member is stored if the chain writes it. `limits` maps
    an output to the sizes beyond which it is undefined (limit_outputs.py).
    """

    kind: str
    outer: int
    members: tuple[Member, ...]
    inputs: tuple[Node, ...]
    layouts: Mapping[Node, Blocked | Region] = field(default_factory=dict)
    parts: tuple[Kernel, ...] = ()
    limits: Mapping[Node, Mapping[tuple[int, int], Node]] = field(default_factory=dict)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of the kernel's loop nests; of a chain, the kind of each part."""
        return tuple(part.kind for part in self.parts) or _NESTS.get(self.kind, (self.kind,))

    @property
    def outputs(self) -> tuple[Node, ...]:
        return tuple(m.node for m in self.members if m.stored)


@dataclass(frozen=True, eq=False, slots=True)
class Schedule:
    """Kernels in order, and the output nodes."""

    kernels: tuple[Kernel, ...]
    outputs: tuple[Node, ...]


def outputs_of(schedule: Schedule) -> list[Node]:
    """The outputs that a kernel writes, each once."""
    written = {n for kernel in schedule.kernels for n in kernel.outputs}
    return [n for n in dict.fromkeys(schedule.outputs) if n in written]


ALIGNMENT = 64  # bytes: a cache line, and the widest vector


def aligned(nbytes: int) -> int:
    """The size rounded up to whole cache lines."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True, eq=False, slots=True)
class MemoryPlan:
    """Where a schedule's stored nodes are kept.

    A slot is one allocation; `slots` are their sizes in bytes. The first `outputs` slots hold the
    schedule's outputs, in the order of `outputs_of`. `slot_of` maps each stored node to its slot; a
    node in the memory of a donated buffer has none. `in_place` maps a node to the input whose
    memory it takes over. `least` is the most bytes that are alive at once: no plan needs fewer.
    """

    slots: tuple[int, ...]
    outputs: int
    slot_of: Mapping[Node, int]
    in_place: Mapping[Node, Node]
    least: int

    @property
    def nbytes(self) -> int:
        """The bytes of all slots together."""
        return sum(self.slots)

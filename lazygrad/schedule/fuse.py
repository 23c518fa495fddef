"""Group the stored nodes into kernels, so that the fewest bytes move.

    relu(sum(a * b) + c)   ->  one contraction: relu and + c on the sum before it is stored
    exp(x - max(x)) / sum  ->  one row kernel: maximum, sum and result while the row is in cache
    p - lr * m, m          ->  one map with two outputs

Stored nodes are chosen first (store.py), and then visited in topological order. Each joins the last
kernel that it reads from, or a kernel over the same elements, or starts a kernel of its own. A
kernel reads only kernels that started before it, so kernels can run in the order in which they
started, and no cycle can arise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

from ..decisions import Joined
from ..expr import Expr, Literal, Op, Var, leaves
from ..graph.ir import Buffer, Fold, Node, Recurrence, Reduce, Shape, topological
from ..graph.product import product
from ..index import flatten, linear, substitute
from ..looking import looking
from .access import Access, MultiIndex, accesses, is_bijection
from .ir import ALONE, KIND_OF, Kernel, Member, Schedule, axis_variables, own_position
from .store import MIN_REUSE, choose_stored

SMALL = 1 << 15  # elements that one thread computes before others are awake to share the work
MAX_MEMBERS = 24
MAX_INPUTS = 48
_MANY = "each of its elements reads several elements of that"
_ELEMENTWISE_AFTER = ("map", "row", "contraction", "winograd")


@dataclass(eq=False)
class _Group:
    """A kernel in the making. Kernels run in the order of `number`."""

    number: int
    kind: str
    outer: int
    members: dict[Node, Expr] = field(default_factory=dict)  # node -> position
    reads: dict[Node, None] = field(default_factory=dict)  # in a reproducible order
    work: int = 0

    def add(self, node: Node, position: Expr, reads: Sequence[Access], work: int) -> None:
        self.members[node] = position
        self.reads.update(dict.fromkeys(a.node for a in reads))
        self.work += work


def fuse(outputs: Sequence[Node], cores: int) -> Schedule:
    """Group graph nodes into kernels so that the fewest bytes move.

    Requires: a simplified graph. Ensures: exactly one kernel writes each output that is no Buffer;
    each kernel comes after the kernels that it reads.
    """
    order = topological(outputs)
    stored = choose_stored(order, outputs)
    fuser = _Fuser(stored, cores)
    for node in order:
        if node in stored:
            fuser.place(node)
    return fuser.schedule(outputs)


class _Fuser:
    """The groups so far, and indexes to find a group that a node can join."""

    def __init__(self, stored: set[Node], cores: int) -> None:
        self.stored = stored
        self.cores = cores
        self.groups: list[_Group] = []  # by number, in the order of running
        self.group_of: dict[Node, _Group] = {}
        self.loops: dict[object, _Group] = {}  # the values of one loop
        self.latest: dict[tuple[object, ...], _Group] = {}  # over the same elements
        self._refusal = ""  # why the last node joined no kernel
        record = looking.get()
        self.noted = None if record is None else record.compilation.parts[-1].joined

    def place(self, node: Node) -> None:
        """Put a node into the best group."""
        if isinstance(node, Recurrence):
            self._place_loop(node)
            return
        reads = accesses(node, self._is_boundary)
        sources = [self.group_of[a.node] for a in reads if a.node in self.group_of]
        last = max(sources, key=lambda g: g.number, default=None)
        kind = KIND_OF.get(type(node), "map")
        if kind == "row" and _reuses_both_factors(node, reads):
            kind = "contraction"
        self._refusal = f"a {kind} begins a kernel"
        way = self._join(node, kind, last, reads) if kind in ("map", "row") else ""
        if self.noted is not None:
            own = [a.node for a in reads if last and self.group_of.get(a.node) is last]
            source = own[0] if own else None
            self.noted[node] = Joined(not way, way or self._refusal, source)
        if way:
            return
        group = _Group(len(self.groups), kind, node.size)
        self.groups.append(group)
        self._add(group, node, own_position(node), reads)

    def _place_loop(self, node: Recurrence) -> None:
        """Put a value of a loop beside its other values. All states are stored: the next step reads
        them."""
        group = self.loops.get(node.loop)
        if group is None:
            group = self.loops[node.loop] = _Group(len(self.groups), "recurrence", 1)
            self.groups.append(group)
        for value in (*map(node.giving, node.step.states), node):
            if value not in group.members:
                self._add(group, value, Literal(0), accesses(value, self._is_boundary))
        if self.noted is not None:
            self.noted[node] = Joined(True, "a loop is a kernel of its own", None)

    def _join(self, node: Node, kind: str, last: _Group | None, reads: Sequence[Access]) -> str:
        """Put a node into an existing kernel. Returns the reason, "" where it fits none."""
        self._refusal = "no kernel computes what it reads"
        if last is not None:
            self._refusal = self._join_source(node, kind, last, reads)
            if not self._refusal:
                return "reads the results of the kernel element by element"
        if self._join_sibling(node, kind, last, reads):
            return "reads what the kernel reads, over the same elements"
        if self._join_map(node, last, reads):
            return "sums rows of what the kernel reads anyway"
        return ""

    def schedule(self, outputs: Sequence[Node]) -> Schedule:
        """The groups as kernels; a member that only its own kernel reads needs no memory."""
        read_elsewhere: set[Node] = set(outputs)
        for group in self.groups:
            read_elsewhere.update(n for n in group.reads if self.group_of.get(n) is not group)
        kernels = []
        for group in self.groups:
            is_loop = group.kind == "recurrence"
            members = tuple(
                Member(n, p, is_loop or n in read_elsewhere or n.size != group.outer)
                for n, p in group.members.items()
            )
            inputs = tuple(n for n in group.reads if n not in group.members)
            kernels.append(Kernel(group.kind, group.outer, members, inputs))
        return Schedule(tuple(kernels), tuple(outputs))

    # ------------------------------------------------------------------ joining

    def _is_boundary(self, node: Node) -> bool:
        return isinstance(node, Buffer) or node in self.stored

    def _add(self, group: _Group, node: Node, position: Expr, reads: Sequence[Access]) -> None:
        group.add(node, position, reads, _work(node))
        self.group_of[node] = group
        for key in _domains(node, group.kind):
            self.latest[key] = group

    def _join_source(self, node: Node, kind: str, group: _Group, reads: Sequence[Access]) -> str:
        """Join the last kernel that a node reads, if elements at a position read only elements at
        that position. Returns "" if the node has joined, else why it cannot."""
        if group.kind in ALONE:
            return f"a {group.kind} is a kernel of its own"
        if len(group.members) >= MAX_MEMBERS or len(group.reads) >= MAX_INPUTS:
            return f"that has {len(group.members)} members and {len(group.reads)} inputs already"
        position = self._position_in(group, reads)
        digits = None if position is None else is_bijection(position, group.outer)
        mine = {a for a in axis_variables(node.shape) if a.extent > 1}
        if position is None or digits is None or not mine.issuperset(digits):
            return "" if kind == "row" and self._reroot(node, group, reads) else _MANY
        epilogue = len(mine) == len(digits)  # one element a position
        if kind == "map" and epilogue and group.kind in _ELEMENTWISE_AFTER:
            self._add(group, node, position, reads)
            return ""
        if group.kind in ("contraction", "winograd") or (kind == "row" and not epilogue):
            return f"a {group.kind} takes only elementwise operations on its results"
        if group.kind == "map" and kind == "map":
            return "it repeats each element of that"
        work = group.work + _work(node)
        if not self._is_worth_rows(group.outer, work):
            return (
                f"its {group.outer} rows would be too few for {self.cores} cores, "
                f"and its {work} operations too many for one"
            )
        group.kind = "row"
        self._add(group, node, position, reads)
        return ""

    def _position_in(self, group: _Group, reads: Sequence[Access]) -> Expr | None:
        """The position of the group's members that these reads need; None if there are several."""
        found: Expr | None = None
        for access in reads:
            if access.node not in group.members:
                continue
            position = access.position(group.members[access.node])
            if found is not None and position is not found:
                return None
            found = position
        return found

    def _reroot(self, node: Node, group: _Group, reads: Sequence[Access]) -> bool:
        """Join a map, as a reduction of its results. The map becomes rows: the axes that the
        reduction keeps become outer loops, the axes that it sums inner loops."""
        if group.kind != "map" or not self._is_worth_rows(node.size, _work(node)):
            return False
        shape = next(iter(group.members)).shape
        indices = {a.index for a in reads if a.node in group.members}
        if len(indices) != 1 or not _is_in_order(group, shape):
            return False
        (index,) = indices
        axes = [(i, axis) for i, axis in zip(index, axis_variables(shape), strict=True)]
        axes = [(i, axis) for i, axis in axes if axis.extent > 1]
        if any(not isinstance(i, Var) or i.extent != axis.extent for i, axis in axes):
            return False
        back = dict(axes)  # from the reduction's axes to the map's
        kept = {v for v in axis_variables(node.shape) if v.extent > 1}
        if len(back) < len(axes) or not back.keys() >= kept:
            return False
        self._add_rows(group, substitute(own_position(node), back), node, reads)
        return True

    def _add_rows(self, group: _Group, position: Expr, node: Node, reads: Sequence[Access]) -> None:
        """Turn a map into rows, one for each element of the reduction `node`, and add the
        reduction. `position` is the row of an element of the map's members."""
        group.members = dict.fromkeys(group.members, position)
        group.kind, group.outer = "row", node.size
        self._add(group, node, own_position(node), reads)

    def _join_sibling(
        self, node: Node, kind: str, last: _Group | None, reads: Sequence[Access]
    ) -> bool:
        """Join a kernel over the same elements that shares an input."""
        mine = {a.node for a in reads}
        for key in _domains(node, kind):
            group = self.latest.get(key)
            if group is None or (group.kind, group.outer) != (kind, node.size):
                continue
            if last is not None and last.number >= group.number:
                continue
            if len(group.reads.keys() | mine) > MAX_INPUTS or mine.isdisjoint(group.reads):
                continue
            if len(group.members) >= MAX_MEMBERS:
                continue
            self._add(group, node, own_position(node), reads)
            return True
        return False

    def _join_map(self, node: Node, last: _Group | None, reads: Sequence[Access]) -> bool:
        """Join a map over the elements that this reduction of rows reads. The map must read the
        same nodes."""
        if not isinstance(node, Reduce):
            return False
        rank, shape = len(node.shape), node.x.shape
        group = self.latest.get(("map", shape))
        if group is None or group.kind != "map" or node.axes != tuple(range(rank, len(shape))):
            return False
        if last is not None and last.number >= group.number:
            return False
        if len(group.members) >= MAX_MEMBERS or not self._is_worth_rows(node.size, group.work):
            return False
        if not reads or not group.reads.keys() >= {a.node for a in reads}:
            return False
        if not _is_in_order(group, shape):
            return False
        del self.latest["map", shape]
        row = flatten(axis_variables(shape)[:rank], node.shape)
        self._add_rows(group, row, node, reads)
        return True

    def _is_worth_rows(self, outer: int, work: int) -> bool:
        """Whether a kernel with `outer` rows keeps all cores busy, or is too small to matter."""
        return outer >= 4 * self.cores or work <= SMALL


def _is_in_order(group: _Group, shape: Shape) -> bool:
    """Whether all members have this shape, and none is transposed."""
    members = group.members.items()
    return all(n.shape == shape and place is own_position(n) for n, place in members)


def _work(node: Node) -> int:
    return node.x.size if isinstance(node, (Reduce, Fold)) else node.size


def _domains(node: Node, kind: str) -> list[tuple[object, ...]]:
    """Keys under which nodes with the same loops find one another."""
    if isinstance(node, Reduce):
        return [("row", node.x.shape, node.axes)]
    if kind == "map":
        return [("map", node.shape)]
    return []


def _reuses_both_factors(node: Node, reads: Sequence[Access]) -> bool:
    """Whether a sum of products reads each element of both factors for MIN_REUSE outputs or more.
    Index expressions give the exact number: overlapping windows of one output count once."""
    reads = [read for read in reads if read.node.shape]  # without sizes that vary
    if product(node) is None or len(reads) != 2 or node.dtype.kind == "bool":
        return False
    axes = axis_variables(node.shape)
    return all(prod(_reuse(read.index, a) for a in axes) >= MIN_REUSE for read in reads)


def _reuse(index: MultiIndex, axis: Var) -> int:
    """How many iterations of an output's axis read the same element: all, if the index does not
    depend on the axis; extent / n, if it depends only on the remainder modulo n; else one."""
    terms = {atom for i in index for atom, _ in linear(i)[1] if axis in leaves(atom)}
    divisors = [1]
    for term in terms:
        match term:
            case Op(op="mod", args=(_, Literal(value=divisor))):
                divisors.append(int(divisor))
            case _:
                return 1
    return max(1, axis.extent // max(divisors))

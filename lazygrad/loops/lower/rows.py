"""Lower kernels of one node or several: rows of a tensor, maps that are computed together, and what
is computed from a sum. For speed (OPT=1): stores and terms of sums say where they are needed.

    row kernel, members max (r), sum (r), softmax (r, c)
    ->
    serial r:
        m[0] = -inf;  serial c:  m[0] max= x[r*C + c]
        s[0] = 0;     serial c:  s[0] += exp(x[r*C + c] - m[0])
        serial c:     out[r*C + c] = exp(x[r*C + c] - m[0]) / s[0]

The values of one position are in register arrays of one element; later passes widen these arrays
when they tile and vectorize.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ...expr import Array, Expr, Literal, Load, Var, cast
from ...graph.ir import Fold, Node, Reduce, identity, topological
from ...index import all_of, flatten
from ...schedule.access import MultiIndex, is_bijection, reduced_variables, reshape_index
from ...schedule.ir import Kernel, Member, axis_variables
from ..ir import Accumulate, Alloc, Body, Stmt, Store
from ..ir.rebuild import nest
from .needed import Needed, below_size, masked_once, outside_padding
from .nodes import Lowering


@dataclass(eq=False)
class _Stage:
    """Members that share their inner loops."""

    extents: tuple[int, ...]
    members: list[Member] = field(default_factory=list)


@dataclass(frozen=True)
class Position:
    """An iteration of the outer loops: the digits of its number, the highest first, and their
    extents."""

    index: MultiIndex
    extents: tuple[int, ...]


class RowLowering(Lowering):
    """Builds the loops of a kernel of one node or several.

    Nodes that have been computed: `registers` have their element at a position, `kept` their
    elements in a row.
    """

    def __init__(self, kernel: Kernel, skips: bool = False, ends: bool = False) -> None:
        """`skips`, `ends`: as in `lower`."""
        super().__init__(kernel)
        self.skips = skips
        self.needed = Needed(kernel, super().read) if ends else None
        self.registers: dict[Node, Array] = {}
        self.read_again = _read_again(kernel)
        self.kept: dict[Node, tuple[Array, list[int]]] = {}  # with the node's axes along the row

    def read(self, node: Node, index: MultiIndex, guard: Expr | None) -> Expr | None:
        """Load a node that is already in memory or in a register; None if it must be computed."""
        if node in self.registers:
            return cast(Load(self.registers[node], Literal(0)), node.dtype)
        if node in self.kept:
            return Load(self.kept[node][0], self._place_in_row(node, index), guard)
        return super().read(node, index, guard)

    def store(self, node: Node, index: MultiIndex, value: Expr) -> Store:
        """Store an element of an output, where it is needed."""
        needed = None if self.needed is None else self.needed.of(node, index)
        return replace(super().store(node, index, value), needed=needed)

    def reduce(
        self, node: Reduce | Fold, index: MultiIndex, inner: Sequence[Expr]
    ) -> tuple[Array, Body, Accumulate]:
        """As `Lowering.reduce`; the term says where it is needed."""
        total, first, term = super().reduce(node, index, inner)
        if self.skips or self.needed is not None:  # passes look for its end
            term = replace(term, value=masked_once(term.value))
        if not self.skips:
            return total, first, term
        needed = below_size(term.value, identity(term.op, total.dtype))
        if self.kernel.kind == "contraction":
            outside, inside_padding = outside_padding(node, index, inner, self.arrays)
            term = replace(term, guard=all_of((term.guard, *outside)))
            needed = all_of((inside_padding, needed))
        return total, first, replace(term, needed=needed)

    def _place_in_row(self, node: Node, index: MultiIndex) -> Expr:
        """Where an element of a kept node lies in the memory of its row."""
        _, axes = self.kept[node]
        return flatten([index[axis] for axis in axes], [node.shape[axis] for axis in axes])

    def elements(self) -> Body:
        """The outer loops, and inside of them one loop nest for each stage."""
        digits, order = self._outer_digits()
        names = {d: Var(self.names.new(f"i{n}"), d.extent) for n, d in enumerate(order)}
        position = Position(tuple(names[d] for d in digits), tuple(d.extent for d in digits))
        outer = [names[d] for d in order]
        body: list[Stmt] = []
        for stage in self._stages():
            body.extend(self._emit(stage, position))
        return nest(outer, tuple(body))

    def _outer_digits(self) -> tuple[tuple[Var, ...], list[Var]]:
        """The outer loops, which are digits of the position: by weight, and in the order in which
        they nest. That is the order of the axes, and so of the memory, of the member with the most
        digits; of such members, a stored one."""
        members = sorted(self.kernel.members, key=lambda m: m.stored, reverse=True)
        digits = [is_bijection(m.position, self.kernel.outer) or () for m in members]
        most = max(range(len(members)), key=lambda n: len(digits[n]))
        axes = axis_variables(members[most].node.shape)
        return digits[most], sorted(digits[most], key=axes.index)

    def _stages(self) -> list[_Stage]:
        """Group consecutive members whose inner loops are equal. A member that reads a result of
        the stage's finished loops begins a new stage."""
        stages: list[_Stage] = []
        for member in self.kernel.members:
            extents = tuple(v.extent for v in self._inner(member))
            last = stages[-1] if stages else None
            if last is None or last.extents != extents or not self._may_share(member, last):
                last = _Stage(extents)
                stages.append(last)
            last.members.append(member)
        return stages

    def _may_share(self, member: Member, stage: _Stage) -> bool:
        reduced = {m.node for m in stage.members if isinstance(m.node, (Reduce, Fold))}
        written = {m.node for m in stage.members} - reduced
        stack, seen = list(member.node.inputs), set()
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            seen.add(node)
            if node in reduced or (node in written and stage.extents):
                return False
            if node not in self.arrays and node not in written:
                stack.extend(node.inputs)
        return True

    def _inner(self, member: Member) -> list[Var]:
        """A member's inner loops: its reduced axes, or the axes of the row that it writes."""
        node = member.node
        if isinstance(node, (Reduce, Fold)):
            return list(reduced_variables(node))
        digits = set(is_bijection(member.position, self.kernel.outer) or ())
        return [v for v in axis_variables(node.shape) if v.extent != 1 and v not in digits]

    def _emit(self, stage: _Stage, position: Position) -> list[Stmt]:
        inner = [Var(self.names.new(f"k{n}"), extent) for n, extent in enumerate(stage.extents)]
        before: list[Stmt] = []
        inside: list[Stmt] = []
        after: list[Stmt] = []
        for member in stage.members:
            node = member.node
            index = self._index(member, position, inner)
            if isinstance(node, (Reduce, Fold)):
                self.registers[node], first, term = self.reduce(node, index, inner)
                before += first
                inside.append(term)
                if member.stored:
                    value = cast(Load(self.registers[node], Literal(0)), node.dtype)
                    after.append(self.store(node, index, value))
            elif not inner:
                inside += self.emit_value(member, index, self.values.inside(node, index))
            else:
                value = self.values.inside(node, index)
                if member.stored:
                    inside.append(self.store(node, index, value))
                else:
                    inside.append(self._keep(member, index, value, before))
        return [*before, *nest(inner, tuple(inside)), *after]

    def emit_member(self, member: Member, position: Position) -> Body:
        """Compute a member that has one element a position."""
        index = self._index(member, position, ())
        return self.emit_value(member, index, self.values.inside(member.node, index))

    def emit_value(self, member: Member, index: MultiIndex, value: Expr) -> Body:
        """Put a member's element in a register, if another member reads it, and in memory, if it is
        stored."""
        node = member.node
        body: Body = ()
        if node in self.read_again or not member.stored:
            register = Array(self.names.new("v"), node.dtype, 1, "register")
            self.registers[node] = register
            body = (Alloc(register), Store(register, Literal(0), value))
            value = Load(register, Literal(0))
        return (*body, self.store(node, index, value)) if member.stored else body

    def _keep(self, member: Member, index: MultiIndex, value: Expr, before: list[Stmt]) -> Stmt:
        """Store an element of a member in an array for one row, which `before` allocates."""
        node = member.node
        along = {v.name for v in self._inner(member)}
        axes = [n for n, v in enumerate(axis_variables(node.shape)) if v.name in along]
        size = math.prod(node.shape[axis] for axis in axes)
        array = Array(self.names.new("row"), node.dtype, size, "local")
        before.append(Alloc(array))
        self.kept[node] = (array, axes)
        return Store(array, self._place_in_row(node, index), value)

    def _index(self, member: Member, position: Position, inner: Sequence[Var]) -> MultiIndex:
        """A member's multi-index at an outer position, `inner` running over its other axes."""
        digits = is_bijection(member.position, self.kernel.outer)
        assert digits is not None, f"{member.node} has no digits in {member.position}"
        extents = tuple(d.extent for d in digits)
        values = reshape_index(extents, position.extents, position.index)
        known, rest = dict(zip(digits, values, strict=True)), iter(inner)
        return tuple(
            known.get(v) or (Literal(0) if v.extent == 1 else next(rest))
            for v in axis_variables(member.node.shape)
        )


def _read_again(kernel: Kernel) -> set[Node]:
    """The members that other members read."""
    made, inputs = {m.node for m in kernel.members}, set(kernel.inputs)
    read = [x for m in kernel.members for x in m.node.inputs]
    return made & set(topological(read, lambda n: () if n in made or n in inputs else n.inputs))

"""Lower maps, rows, contractions, scatters and scans to plain loops.

    row kernel, members max (r), sum (r), softmax (r, c)
    ->
    serial r:
        m[0] = -inf;  serial c:  m[0] max= x[r*C + c]
        s[0] = 0;     serial c:  s[0] += exp(x[r*C + c] - m[0])
        serial c:     out[r*C + c] = exp(x[r*C + c] - m[0]) / s[0]

Movement becomes index arithmetic (value.py). The values of one position are in register arrays of
one element; later passes widen these arrays when they tile and vectorize.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from ...dtypes import DType, bfloat16, bool_, float16, float32, float64
from ...expr import Array, Cast, Expr, Literal, Load, Op, Var, cast
from ...graph.ir import Fold, Movement, Node, Pad, Reduce, Scan, Scatter, identity, topological
from ...index import Substitution, all_of, at_least, flatten, less
from ...schedule.access import (
    MultiIndex,
    accesses,
    fold_index,
    is_bijection,
    movement_index,
    reduce_index,
    reduced_variables,
    reshape_index,
    walked_axes,
)
from ...schedule.ir import Kernel, Member, Region, axis_variables
from ..end_loops import end_of
from ..ir import Accumulate, Alloc, Body, Stmt, Store
from ..ir.rebuild import Names, begin, nest
from .needed import Needed
from .value import Values


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


class Lowering:
    """Builds the loops of one kernel.

    Nodes that have been computed: `registers` have their element at a position, `kept` their
    elements in a row.
    """

    def __init__(self, kernel: Kernel, skips: bool = False, ends: bool = False) -> None:
        """`skips`, `ends`: as in `lower`."""
        self.kernel, self.skips = kernel, skips
        names = Names()
        self.arrays: dict[Node, Array] = {}
        for n, node in enumerate(kernel.outputs):
            layout = kernel.layouts.get(node)
            size = layout.span(node.shape) if isinstance(layout, Region) else node.size
            self.arrays[node] = Array(names.new(f"out{n}"), node.dtype, size)
        for n, node in enumerate(kernel.inputs):
            self.arrays[node] = Array(names.new(f"in{n}"), node.dtype, node.size)
        self.names = names
        self.registers: dict[Node, Array] = {}
        self.read_again = _read_again(kernel)
        self.kept: dict[Node, tuple[Array, list[int]]] = {}  # with the node's axes along the row
        self.values = Values(self._read)
        self.needed = Needed(kernel, self.read_argument) if ends else None

    def arguments(self) -> tuple[Array, ...]:
        nodes = (*self.kernel.outputs, *self.kernel.inputs)
        return tuple(self.arrays[node] for node in nodes)

    def _read(self, node: Node, index: MultiIndex, guard: Expr | None) -> Expr | None:
        """Load a node that is already in memory or in a register; None if it must be computed."""
        if node in self.registers:
            return cast(Load(self.registers[node], Literal(0)), node.dtype)
        if node in self.kept:
            return Load(self.kept[node][0], self._place_in_row(node, index), guard)
        return self.read_argument(node, index, guard)

    def read_argument(self, node: Node, index: MultiIndex, guard: Expr | None) -> Expr | None:
        """Load an output or input; None for any other node."""
        if node in self.arrays:
            return Load(self.arrays[node], self.place(node, index), guard)
        return None

    def _place_in_row(self, node: Node, index: MultiIndex) -> Expr:
        """Where an element of a kept node lies in the memory of its row."""
        _, axes = self.kept[node]
        return flatten([index[axis] for axis in axes], [node.shape[axis] for axis in axes])

    def place(self, node: Node, index: MultiIndex) -> Expr:
        """Where an element of a stored node lies in its memory."""
        layout = self.kernel.layouts.get(node)
        return flatten(index, node.shape) if layout is None else layout.offset(index, node.shape)

    # ------------------------------------------------------------------ map, row, contraction

    def rows(self) -> Body:
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
        if isinstance(node, Reduce):
            return list(axis_variables([node.x.shape[a] for a in node.axes], "r"))
        if isinstance(node, Fold):
            return list(axis_variables([node.x.shape[-1]], "r"))
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
                self._reduce(node, index, inner, before, inside)
                after += self._stored_sum(member, index)
            elif not inner:
                inside += self.emit_value(member, index, self.values.inside(node, index))
            else:
                value = self.values.inside(node, index)
                if member.stored:
                    inside.append(self._stored(node, index, value))
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
        if member.stored and node not in self.read_again:
            return (self._stored(node, index, value),)
        register = Array(self.names.new("v"), node.dtype, 1, "register")
        self.registers[node] = register
        body = (Alloc(register), Store(register, Literal(0), value))
        if not member.stored:
            return body
        return (*body, self._stored(node, index, Load(register, Literal(0))))

    def _stored(self, node: Node, index: MultiIndex, value: Expr) -> Store:
        """The store of an element of an output."""
        needed = None if self.needed is None else self.needed.of(node, index)
        return Store(self.arrays[node], self.place(node, index), value, needed=needed)

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

    def _stored_sum(self, member: Member, index: MultiIndex) -> Body:
        """The store of a finished sum, if its member is stored."""
        if not member.stored:
            return ()
        value = self._read(member.node, index, None)
        assert value is not None, f"{member.node} has no accumulator"
        return (self._stored(member.node, index, value),)

    def _digits(self, member: Member, position: Position) -> dict[Expr, Expr]:
        """The value, at an outer position, of each digit of a member's position."""
        digits = is_bijection(member.position, self.kernel.outer)
        assert digits is not None, f"{member.node} has no digits in {member.position}"
        extents = tuple(d.extent for d in digits)
        values = reshape_index(extents, position.extents, position.index)
        return dict(zip(digits, values, strict=True))

    def _index(self, member: Member, position: Position, inner: Sequence[Var]) -> MultiIndex:
        """A member's multi-index at an outer position, `inner` running over its other axes."""
        known = self._digits(member, position)
        rest = iter(inner)
        result: list[Expr] = []
        for var in axis_variables(member.node.shape):
            if var in known:
                result.append(known[var])
            elif var.extent == 1:
                result.append(Literal(0))
            else:
                result.append(next(rest))
        return tuple(result)

    def _reduce(
        self,
        node: Reduce | Fold,
        index: MultiIndex,
        inner: Sequence[Expr],
        before: list[Stmt],
        inside: list[Stmt],
    ) -> None:
        op = _bool_op(node.op if isinstance(node, Reduce) else "sum", node.dtype)
        dtype = accumulator_dtype(node.dtype)
        register = Array(self.names.new("acc"), dtype, 1, "register")
        before += begin(register, op)
        guards: tuple[Expr, ...] = ()
        if isinstance(node, Reduce):
            at = reduce_index(node, index, tuple(inner))
        else:
            at, guards = fold_index(node, index, inner[0])
        value = self.values.of(node.x, at, guards)
        if dtype != node.dtype:
            value = _widened(value, dtype)
        value = _masked_once(value)
        needed = _below_size(value, identity(op, dtype)) if self.skips else None
        if self.skips and self.kernel.kind == "contraction":
            outside, inside_padding = self._outside_padding(node, index, inner)
            guards += outside
            needed = all_of((inside_padding, needed))
        inside.append(Accumulate(register, Literal(0), op, value, all_of(guards), needed=needed))
        self.registers[node] = register

    def _outside_padding(
        self, node: Reduce | Fold, index: MultiIndex, inner: Sequence[Expr]
    ) -> tuple[tuple[Expr, ...], Expr | None]:
        """The conditions under which a term of a sum lies outside of its factors' padding with
        zeros: guards of the term, and a condition under which it is needed.

        Guards are for a padded factor in memory, along its padded axes but the last. That axis,
        which is for vectors or a tile, and views of a padded tensor only say what is needed."""
        axes = (*axis_variables(node.shape), *reduced_variables(node))
        values: dict[Expr, Expr] = dict(zip(axes, (*index, *inner), strict=True))
        guards: list[Expr] = []
        needed: list[Expr] = []
        for access in accesses(node, self.arrays.__contains__):
            x = access.node
            at: MultiIndex = tuple(map(Substitution(values).of, access.index))
            while isinstance(x, Movement) and not (isinstance(x, Pad) and x.value != 0):
                if isinstance(x, Pad):
                    padded = [axis for axis, amounts in enumerate(x.padding) if any(amounts)]
                    for axis in padded:
                        before, after = x.padding[axis]
                        decides = x is access.node and axis != padded[-1]
                        (guards if decides else needed).extend(
                            (at_least(at[axis], before), less(at[axis], x.shape[axis] - after))
                        )
                at, _ = movement_index(x, at)
                x = x.inputs[0]
        return tuple(guards), all_of(needed)

    # ------------------------------------------------------------------ scatter

    def scatter(self) -> Body:
        """Copy the base, then combine the values one after another, in row-major order.

        The loops of axes that are merely walked (x[rows[i], j] += v[i, j] walks j) are outermost:
        their iterations write different elements, so threads can share them.
        """
        (member,) = self.kernel.members
        node = member.node
        assert isinstance(node, Scatter)
        out = self.arrays[node]
        loops = [Var(self.names.new(f"k{n}"), e) for n, e in enumerate(node.values.shape)]
        walked = walked_axes(node, loops)
        base_loops = [
            walked.get(axis) or Var(self.names.new(f"b{axis}"), n)
            for axis, n in enumerate(node.shape)
        ]
        base = Store(
            out, flatten(base_loops, node.shape), self.values.of(node.x, tuple(base_loops), ())
        )
        target, guards = self.values.gathered(node.indices, node.shape, tuple(loops))
        value = self.values.of(node.values, tuple(loops), ())
        place = flatten(target, node.shape)
        guard = all_of(guards)
        combine: Stmt = (
            Store(out, place, value, guard)
            if node.op == "set"
            else Accumulate(out, place, _bool_op(node.op, node.dtype), value, guard)
        )
        shared = [v for v in base_loops if v in walked.values()]
        init = nest([v for v in base_loops if v not in shared], (base,))
        update = nest([v for v in loops if v not in shared], (combine,))
        return nest(shared, (*init, *update))

    # ------------------------------------------------------------------ scan

    def scan(self) -> Body:
        """The sum (or product) so far, stored at each step of a row. float32 is summed in float64
        and rounded once an element, as PyTorch does it.

        cumsum(x, 1)  ->  serial i0: acc[0] = 0
                                     serial i1: acc[0] += x[i0, i1]; out[i0, i1] = acc[0]
        """
        (member,) = self.kernel.members
        node = member.node
        assert isinstance(node, Scan)
        index = tuple(Var(f"i{axis}", n) for axis, n in enumerate(node.shape))
        rows = [v for axis, v in enumerate(index) if axis != node.axis]
        dtype = float64 if node.dtype == float32 else accumulator_dtype(node.dtype)
        total, first = Array("acc", dtype, 1, "register"), Literal(0)
        term = cast(self.values.of(node.x, index, ()), dtype)
        step = (
            Accumulate(total, first, node.op, term),
            Store(self.arrays[node], self.place(node, index), cast(Load(total, first), node.dtype)),
        )
        return nest(rows, (*begin(total, node.op), *nest([index[node.axis]], step)))


def _read_again(kernel: Kernel) -> set[Node]:
    """The members that other members read."""
    made, inputs = {m.node for m in kernel.members}, set(kernel.inputs)
    read = [x for m in kernel.members for x in m.node.inputs]
    return made & set(topological(read, lambda n: () if n in made or n in inputs else n.inputs))


def accumulator_dtype(dtype: DType) -> DType:
    """The dtype in which values of a dtype are summed: float32 for 16-bit floats, else its own."""
    return float32 if dtype in (float16, bfloat16) else dtype


def _widened(value: Expr, dtype: DType) -> Expr:
    """A 16-bit term of a sum in the sum's dtype; a product of two is exact there."""
    if isinstance(value, Op) and value.op == "mul":
        return Op("mul", tuple(Cast(factor, dtype) for factor in value.args))
    return Cast(value, dtype)


def _bool_op(op: str, dtype: DType) -> str:
    """The reduction by its name among loops: of bools a sum is "any", a product "all"."""
    if dtype == bool_ and op in ("sum", "prod"):
        return "max" if op == "sum" else "min"
    return op


def _masked_once(value: Expr) -> Expr:
    """A term with the ends (end_loops.py) of its two factors merged, and outermost.

    where(c, x, 0) * where(c, y, 0)  ->  where(c, x * y, 0);  cast(where(c, x, 0))  likewise
    """
    match value:
        case Cast(x, dtype):
            x = _masked_once(x)
            if end_of(x) is not None and isinstance(x, Op):
                condition, inside, neutral = x.operands
                assert isinstance(neutral, Literal)
                return Op("where", (condition, Cast(inside, dtype), Literal(neutral.value, dtype)))
        case Op(op="mul", args=(Op() as a, Op() as b)):
            if end_of(a) is not None and a.operands[::2] == b.operands[::2]:
                condition, x, zero = a.operands
                if zero == Literal(0, zero.dtype):
                    return Op("where", (condition, Op("mul", (x, b.operands[1])), zero))
    return value


def _below_size(value: Expr, neutral: bool | int | float) -> Expr | None:
    """The condition below which a term is not neutral, where it ends at a size that is known only
    at run time."""
    match value:
        case Op(op="where", args=(_, _, Literal(value=other))) if other == neutral:
            return end_of(value)
    return None

"""Sums of rows and columns that work-items share: each item (a helper) sums a part, then all add up
the parts.

    serial row:                          workgroup: workitem row: workitem helper in 64:
        acc[0] = 0                           acc[0] = 0
        serial k: acc[0] += x[row*K + k]     serial k_o: acc[0] += x[row*K + k_o*64 + helper]
        out[row] = acc[0]           ->       local acc_items[helper] = acc[0]
                                         barrier; workitem: the total of acc_items, in two steps
                                         workitem: if helper < 1: out[row] = acc[0]

The helpers of a row are neighbours, and read neighbouring elements, in vectors where these are
aligned. The terms of a column are no neighbours in memory, so neighbouring items take neighbouring
columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...expr import Array, Expr, Literal, Load, Var
from ...index import add, flatten, less, mul, sub
from ...targets import COLUMNS_TOGETHER, SHORT_TREE
from ..contraction import extent_of
from ..ir import Accumulate, Alloc, Body, For, If, Stmt, Store
from ..ir.rebuild import (
    body_loads,
    nest,
    nest_all,
    peel,
    rewrite_body,
    stride,
    substitute_body,
    variables,
    written,
)
from ..lanes import split_lanes
from ..primitives import (
    Schedule,
    at_loop,
    digits_of,
    fuse,
    merge,
    merge_all,
    primitive,
    serial_nest,
)
from ..rows import is_independent
from ..sums import register_sums
from .synchronize import synchronize
from .vectors import vector_width


def longest_sum(body: Body) -> int:
    """The iterations of the longest of a body's nests; 1 where it has none."""
    nests = [peel((s,))[0] for s in body if isinstance(s, For)]
    return max((extent_of([loop.var for loop in loops]) for loops in nests), default=1)


def share_rows(s: Schedule, items: int) -> str:
    """Give each work-group a row, or several where its items are enough for more. Returns the
    reason for the plan.

    Requires: the loops of a lowered kernel. Ensures: workgroup loops outermost; workitem and
    vector loops inside.
    """
    loops, body = s.outer()
    steps = [shared.steps for stmt in body if (shared := _Nest.of(stmt)) is not None]
    most = max(steps, default=1)
    helpers = 1 << min((most - 1).bit_length(), items.bit_length() - 1)  # a power of two
    rows = min(items // helpers, extent_of(loops))
    s.do(fuse, "position", *(v.name for v in loops))
    s.do(share, "position", f"row:{rows}", f"helper:{helpers}")
    s.do(synchronize)
    return f"{helpers} items a row"


def share_columns(s: Schedule, items: int, cores: int) -> str:
    """Give each work-group some neighbouring columns, and each column an equal share of the group's
    items. Returns the reason for the plan.

    Requires and ensures: as share_rows.
    """
    loops, _ = s.outer()
    fitting = [n for n in COLUMNS_TOGETHER if n * cores <= extent_of(loops)]
    width = min(fitting[0] if fitting else COLUMNS_TOGETHER[-1], items)
    helpers = 1 << (items // width).bit_length() - 1
    s.do(fuse, "position", *(v.name for v in loops))
    s.do(share, "position", f"column:{width}", f"helper:{helpers}")
    s.do(synchronize)
    return f"{width} columns a group, {helpers} items each"


@primitive
def share(body: Body, var: str, parts: str, helpers: str) -> Body:
    """rfactor for work-items: a group computes some iterations of a loop, and several items, the
    helpers, share the sums of each. `parts` and `helpers` are the names and sizes of the two loops:
    row:4 helper:32, or column:32 where neighbouring items are to take neighbouring columns.

        serial p in 8: acc = 0;  serial k in 96: acc += x[p, k];  out[p] = acc
        share p row:4 helper:32
        ->
        workgroup group in 2:
            workitem row in 4: workitem helper in 32: acc = 0;  serial k_o in 3: acc += x[..]
            the total of each row's accumulators, by way of local memory
            workitem row in 4: workitem helper in 32: if helper < 1: out[p] = acc

    Requires: independent iterations; `synchronize` afterwards, which adds the barriers.
    """
    (part, count), (helper, helper_count) = digits_of([parts, helpers])
    inner, other = Var(part, count), Var(helper, helper_count)
    order = (other, inner) if part == "column" else (inner, other)

    def change(loop: For) -> Body:
        position = loop.var
        group = Var("group", -(-position.extent // count))
        index = add(mul(group, count), inner)
        guard = less(index, position.extent) if position.extent % count else None
        row = substitute_body(loop.body, {position: index})
        return (For(group, group.extent, "workgroup", _Sharing(order, other, guard).spread(row)),)

    return at_loop(body, var, change)


@dataclass(frozen=True)
class _Nest:
    """A loop nest of a row that helpers share: of n helpers each computes every n-th iteration of
    the last loop.

    `sums` are the accumulators, with their operations. Where the nest sums in vectors, `before`
    initializes them, and `after` adds up their lanes.
    """

    before: Body
    loops: tuple[Var, ...]
    body: Body
    after: Body
    sums: dict[Array, str]

    @staticmethod
    def of(stmt: Stmt) -> _Nest | None:
        """A statement as such a nest. None where the statement is no loop, or the iterations of the
        last loop depend on one another."""
        if not isinstance(stmt, For):
            return None
        loops, inside = peel((stmt,))
        names, inside = merge([loop.var for loop in loops], inside)
        if not names or not is_independent(inside, names[-1]):
            return None
        sums = register_sums(inside)
        width = vector_width(inside, names[-1])
        if width == 1 or names[-1].extent == width:
            return _Nest((), tuple(names), inside, (), sums)
        parts = split_lanes(names, inside, width, 1)
        at = next(n for n, s in enumerate(parts) if isinstance(s, For) and s.kind == "serial")
        names, inside = serial_nest((parts[at],))
        return _Nest(parts[:at], tuple(names), inside, parts[at + 1 :], sums)

    @property
    def steps(self) -> int:
        return extent_of(self.loops)

    def taken_by(self, helper: Var) -> Body:
        """The part of one of n helpers. Where n does not divide the last loop's extent, all loops
        become one, if they may, so that fewer helpers are idle."""
        *outer, k = self.loops
        body = self.body
        if k.extent % helper.extent and all(is_independent(body, v) for v in self.loops):
            k, body = merge_all(self.loops, body)
            outer = []
        step = Var(f"{k.name}_o", -(-k.extent // helper.extent))
        index = add(mul(step, helper.extent), helper)
        body = substitute_body(body, {k: index})
        if k.extent % helper.extent:
            body = (If(less(index, k.extent), body),)
        return (*self.before, *nest([*outer, step], body), *self.after)


@dataclass(frozen=True)
class _Sharing:
    """Distributes the statements of a row over its helpers. Registers are private to an item.

    `order` are the loops over rows (or columns) and helpers; neighbouring items are neighbours
    along the last. `guard` is the condition that a row exists; None: all do.
    """

    order: tuple[Var, Var]
    helper: Var
    guard: Expr | None

    def spread(self, body: Body) -> Body:
        """The body of a row for its helpers: they share each loop nest; each of them executes the
        statements between two nests; one of them executes the statements after the last nest."""
        allocs: list[Stmt] = []
        result: list[Stmt] = []
        pending: list[Stmt] = []
        for stmt in body:
            shared = _Nest.of(stmt)
            if isinstance(stmt, Alloc):
                allocs.append(stmt)
            elif shared is None:
                pending.append(stmt)
            else:
                mine = shared.taken_by(self.helper)
                allocs += [s for s in mine if isinstance(s, Alloc)]
                pending += [s for s in mine if not isinstance(s, Alloc)]
                for run in _runs(_write_once(tuple(pending), self.helper)):
                    result += self._segment(run)
                pending = []
                for array, op in shared.sums.items():
                    result += self._total(array, op)
        # No other helper needs the results of these, or still reads what they overwrite.
        if pending and self.helper.extent > 1:
            pending = [If(less(self.helper, 1), tuple(pending))]
        return (*allocs, *result, *self._segment(pending))

    def _segment(self, body: Sequence[Stmt]) -> list[Stmt]:
        """Statements in loops over all items, executed for the rows that exist."""
        if not body:
            return []
        return self._each_item(
            tuple(body) if self.guard is None else (If(self.guard, tuple(body)),)
        )

    def _each_item(self, body: Body) -> list[Stmt]:
        loops = [v for v in self.order if v.extent > 1] or [self.helper]
        return list(nest_all(loops, body, "workitem"))

    def _total(self, array: Array, op: str) -> list[Stmt]:
        """acc of each item  ->  the total of its row, in each item: a tree of two levels.

        First some helpers add up several accumulators each; then each helper adds up these sums.
        """
        count, zero = self.helper.extent, Literal(0)
        if count == 1:
            return []
        place = flatten(self.order, [v.extent for v in self.order])
        apart = stride(place, self.helper) or 1
        local = Array(f"{array.name}_items", array.dtype, extent_of(self.order), "local")
        result = [Alloc(local), *self._each_item((Store(local, place, Load(array, zero)),))]
        left = count
        if count > SHORT_TREE:
            left = 1 << (count.bit_length() - 1) // 2
            more = Var("more", count // left - 1)
            other = Load(local, add(place, mul(add(more, 1), left * apart)))
            update = Accumulate(array, zero, op, other)
            few: Body = (
                For(more, more.extent, "serial", (update,)),
                Store(local, place, Load(array, zero)),
            )
            result += self._each_item((If(less(self.helper, left), few),))
        start = sub(place, mul(self.helper, apart))
        more = Var("more", left - 1)
        update = Accumulate(array, zero, op, Load(local, add(start, mul(add(more, 1), apart))))
        total = (
            Store(array, zero, Load(local, start)),
            For(more, more.extent, "serial", (update,)),
        )
        return [*result, *self._each_item(total)]


def _write_once(body: Body, helper: Var) -> Body:
    """A body in which one helper makes each store to global memory whose index is the same for all
    helpers."""

    def by_one(stmt: Stmt) -> Body | None:
        match stmt:
            case Store(array, index) | Accumulate(array, index):
                if array.scope == "global" and helper not in variables(index):
                    return (If(less(helper, 1), (stmt,)),)
        return None

    return rewrite_body(body, by_one)


def _runs(body: Sequence[Stmt]) -> list[list[Stmt]]:
    """Statements in runs, with a barrier between two of them: no store by one helper is to an array
    that statements before it in the run read or write.

    v = a[row] + 1;  if helper < 1: a[row] = v   ->   two runs
    """
    runs: list[list[Stmt]] = [[]]
    for stmt in body:
        if isinstance(stmt, If):
            changed = {array for array in written((stmt,)) if array.scope == "global"}
            used = written(runs[-1]) | {load.array for load in body_loads(runs[-1])}
            if not changed.isdisjoint(used):
                runs.append([])
        runs[-1].append(stmt)
    return runs

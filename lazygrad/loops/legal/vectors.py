"""Vectors of any number of lanes as pieces of the widths that a target has.

out[i : i+6] = x[i : i+6] * 2   ->   out[i : i+4] = x[i : i+4] * 2
                                     out[i+4 : i+6] = x[i+4 : i+6] * 2
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import count

from ...dtypes import bool_
from ...expr import (
    COMBINE,
    Broadcast,
    Expr,
    Lanes,
    Literal,
    Load,
    Local,
    Op,
    Pack,
    Ramp,
    ReduceLanes,
    Zip,
    rewrite,
    walk,
)
from ...index import FALSE, TRUE, add, conjuncts, normalize, substitute
from ...targets import Native
from ..ir import Body, For, If, Let, Prefetch, Stmt, Store
from ..ir.rebuild import loads, map_expressions
from .memory import as_ramp, over_lanes, wide
from .rules import Rules


@lru_cache(maxsize=256)
def pieces(lanes: int, widths: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """(start, width) of each vector that `lanes` lanes are split into: 11 are 4 + 4 + 2 + 1."""
    found, start = [], 0
    for width in widths:
        while lanes - start >= width:
            found.append((start, width))
            start += width
    return tuple(found)


def split_vectors(body: Body, widths: tuple[int, ...]) -> Body:
    """Split vectors into pieces, accesses that are not of consecutive elements into lanes, and put
    stores with a scalar guard under an If.

    Requires: no Accumulate. Ensures: vectors of these widths only; they are loaded and stored where
    elements are consecutive, and stored without a guard; other accesses are of single lanes.
    """
    return _Splitter(widths).body(body)


class _Splitter:
    def __init__(self, widths: tuple[int, ...]) -> None:
        self.widths = widths
        self.memo: dict[tuple[Expr, int, int], Expr] = {}
        self.seen: dict[Expr, None] = {}
        self.numbers = count()

    # ------------------------------------------------------------------ statements

    def body(self, body: Body) -> Body:
        return tuple(new for stmt in body for new in self.statement(stmt))

    def statement(self, stmt: Stmt) -> Iterator[Stmt]:
        match stmt:
            case For(extent=extent):
                extent = self.piece(extent) if isinstance(extent, Expr) else extent
                yield replace(stmt, extent=extent, body=self.body(stmt.body))
            case If(Literal(value=holds), then, otherwise):
                yield from self.body(then if holds else otherwise)
            case If(condition, then, otherwise):
                inside = _assuming(then, condition)
                yield If(self.piece(condition), self.body(inside), self.body(otherwise))
            case Let(local, value):
                for name, (start, width) in zip(
                    self.names(local), pieces(local.lanes, self.widths), strict=True
                ):
                    yield Let(name, self.piece(value, start, width))
            case Store():
                yield from self.store(stmt)
            case Prefetch():  # what a driver makes of it cannot be known
                pass
            case _:
                yield stmt

    def names(self, local: Local) -> list[Local]:
        """The names of a vector's pieces."""
        split = pieces(local.lanes, self.widths)
        if len(split) == 1:
            return [local]
        widths = [width for _, width in split]
        return [Local(f"{local.name}.{n}", local.dtype, w) for n, w in enumerate(widths)]

    def store(self, stmt: Store) -> Iterator[Stmt]:
        array, index, value, guard = stmt.array, stmt.index, stmt.value, stmt.guard
        lanes = max(index.lanes, value.lanes, 1 if guard is None else guard.lanes)
        if guard is not None and guard.lanes == 1:
            yield from self.statement(If(guard, (replace(stmt, guard=None),)))
            return
        index = over_lanes(index, lanes)
        ramp = as_ramp(index)
        together = guard is None and lanes > 1 and ramp is not None and ramp[1] == 1
        split = pieces(lanes, self.widths if together else (1,))
        reads_others = array in value.mentions and any(
            load.array == array and load.index is not index for load in loads(value)
        )
        if value.lanes > 1 and (reads_others or not together) and not isinstance(value, Local):
            local = Local(f"lanes.{next(self.numbers)}", value.dtype, value.lanes)
            yield from self.statement(Let(local, value))
            value = local
        for start, width in split:
            on = TRUE if guard is None else rewrite(self.piece(guard, start, width), normalize)
            if on is FALSE:
                continue
            at = self.piece(index, start, width)
            part = wide(self.piece(value, start, width), width)
            store = Store(array, at, part)
            yield store if on is TRUE else If(on, (store,))

    # ------------------------------------------------------------------ expressions

    def piece(self, e: Expr, start: int = 0, width: int = 1) -> Expr:
        """`width` lanes of an expression, or all of a scalar."""
        if e not in self.seen:
            walk(e, self.prepare, self.seen)
        key = (e, start if e.lanes > 1 else 0, width if e.lanes > 1 else 1)
        found = self.memo.get(key)
        if found is None:
            found = self.memo[key] = self.split(*key)
        return found

    def prepare(self, e: Expr, _: object) -> None:
        """Split an expression after its operands, so that recursion stays shallow."""
        self.seen[e] = None
        for start, width in pieces(e.lanes, self.widths):
            self.piece(e, start, width)

    def split(self, e: Expr, start: int, width: int) -> Expr:
        match e:
            case ReduceLanes():
                tree = combine_as_tree(e, Native(lanes=self.widths))
                assert tree is not None
                return self.piece(tree)
            case Lanes():
                return self.piece(e.x, e.start + start, width)
            case Broadcast():
                return wide(self.piece(e.x), width)
            case Ramp():
                base = add(self.piece(e.base), start * e.stride)
                return base if width == 1 else Ramp(base, e.stride, width)
            case Zip():
                sides = [(e.x, n) for n in range(e.lanes)] + [(e.y, n) for n in range(e.lanes)]
                picked = [sides[n] for n in e.picks[start : start + width]]
                return self.packed([self.piece(x, n) for x, n in picked])
            case Local() if e.lanes > 1:
                return self.local(e, start, width)
            case Load() if e.lanes > 1 or e.guard is not None:
                return self.load(e, start, width)
            case Op(op="where", args=(Literal(value=holds), x, y)):
                return self.piece(x if holds else y, start, width)
        return e.with_operands(tuple(self.piece(x, start, width) for x in e.operands))

    def packed(self, parts: Sequence[Expr]) -> Expr:
        return parts[0] if len(parts) == 1 else Pack(tuple(parts))

    def local(self, e: Local, start: int, width: int) -> Expr:
        """Lanes of a vector that a Let has named, piece by piece."""
        names = self.names(e)
        for name, (at, lanes) in zip(names, pieces(e.lanes, self.widths), strict=True):
            if (at, lanes) == (start, width):
                return name
            if at <= start and start + width <= at + lanes:
                return Lanes(name, start - at, width)
        return self.packed([self.local(e, start + n, 1) for n in range(width)])

    def load(self, e: Load, start: int, width: int) -> Expr:
        """Consecutive elements at once, others one by one."""
        ramp, guard = as_ramp(e.index), e.guard
        same = guard is None or guard.lanes == 1
        if width == 1:
            return Load(e.array, self.piece(e.index, start), self.guard(guard, start))
        if same and ramp is not None and ramp[1] == 0:
            return Broadcast(Load(e.array, self.piece(ramp[0]), self.guard(guard, 0)), width)
        if same and ramp is not None and ramp[1] == 1:
            at = Ramp(add(self.piece(ramp[0]), start), 1, width)
            return Load(e.array, at, self.guard(guard, 0))
        return Pack(tuple(self.load(e, start + n, 1) for n in range(width)))

    def guard(self, guard: Expr | None, lane: int) -> Expr | None:
        on = None if guard is None else self.piece(guard, lane)
        return None if isinstance(on, Literal) and on.value else on


def _assuming(body: Body, condition: Expr) -> Body:
    """The body where a condition is known to hold."""
    true = Literal(True, bool_)
    known: dict[Expr, Expr] = dict.fromkeys((condition, *conjuncts(condition)), true)
    memo: dict[Expr, Expr] = {}

    def change(e: Expr) -> Expr:
        return substitute(e, known, memo)

    return map_expressions(body, change)


REDUCTIONS = Rules()


@REDUCTIONS.rule(ReduceLanes)
def combine_as_tree(e: ReduceLanes, native: Native) -> Expr | None:
    """lanes_sum(x)  ->  lanes_sum(lower half of x + upper half of x), until one lane is left; an
    odd lane out is added last. Of bools only "max" (any) and "min" (all) are left."""
    if e.dtype == bool_ and e.x.lanes > 1 and not native.lanes:
        op = "max" if e.op in ("sum", "max") else "min"
        return None if op == e.op else ReduceLanes(op, e.x)
    x, left = e.x, []
    while x.lanes > 1:
        half = x.lanes // 2
        if x.lanes % 2:
            left.append(Lanes(x, x.lanes - 1, 1))
        x = Op(COMBINE[e.op], (Lanes(x, 0, half), Lanes(x, half, half)))
    for lane in left:
        x = Op(COMBINE[e.op], (x, lane))
    return x

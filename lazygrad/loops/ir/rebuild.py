"""Small tools that the loop passes share: peeling nests, substituting, collecting, counting."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache, partial
from typing import TypeVar

from ...expr import (
    OPERATIONS,
    Array,
    Cast,
    Expr,
    Literal,
    Load,
    Local,
    Op,
    Ramp,
    Var,
    parts,
    rewrite,
)
from ...graph.ir import identity
from ...index import TRUE, Substitution, linear, substitute
from . import (
    Accumulate,
    Alloc,
    Body,
    For,
    If,
    Let,
    Prefetch,
    Stmt,
    Store,
    bodies,
    expressions,
    statements,
)

T = TypeVar("T")


def _with_bodies(own: Callable[[Stmt], Iterable[T]]) -> Callable[[Stmt], frozenset[T]]:
    """From a query of one statement alone, the query of a statement and all in its bodies. Answers
    are cached by statement."""

    @lru_cache(maxsize=1 << 16)
    def query(stmt: Stmt) -> frozenset[T]:
        inner = [query(s) for body in bodies(stmt) for s in body]
        return frozenset(own(stmt)).union(*inner) if inner else frozenset(own(stmt))

    return query


def _own_mentions(stmt: Stmt) -> Iterable[Expr | Array]:
    match stmt:
        case For():
            yield stmt.var
        case Alloc() | Store() | Accumulate() | Prefetch():
            yield stmt.array
        case Let():
            yield stmt.local
    if isinstance(stmt, (Store, Accumulate)) and stmt.needed is not None:
        yield from stmt.needed.mentions
    for e in expressions(stmt):
        yield from e.mentions


mentions = _with_bodies(_own_mentions)
"""The variables, locals and arrays that occur in a statement and in its bodies."""


def _own_traits(stmt: Stmt) -> Iterable[str]:
    match stmt:
        case For():
            yield stmt.kind
        case Accumulate():
            yield "sum"
    if isinstance(stmt, (Store, Accumulate)) and stmt.needed is not None:
        yield "needed"
    if any(isinstance(index, Ramp) and abs(index.stride) > 1 for _, index in accesses(stmt)):
        yield "strided"


traits = _with_bodies(_own_traits)
"""What passes look for in a statement and its bodies: kinds of loops; "sum", an Accumulate;
"needed", a statement with a `needed` condition; "strided", a vector access whose elements are not
adjacent."""


def has_trait(body: Body, trait: str) -> bool:
    """Whether a statement of a body, at any depth, has a trait.

    has_trait(body, "parallel")  ->  whether there is a parallel loop in it
    """
    return any(trait in traits(stmt) for stmt in body)


def map_bodies(stmt: Stmt, change: Callable[[Body], Body]) -> Stmt:
    """The statement with `change` applied to the bodies that it holds."""
    match stmt:
        case For(var, extent, kind, body):
            new = change(body)
            return stmt if new == body else For(var, extent, kind, new)
        case If(condition, body, otherwise):
            return If(condition, change(body), change(otherwise) if otherwise else ())
    return stmt


def change_expressions(stmt: Stmt, change: Callable[[Expr], Expr]) -> Stmt:
    """The statement with `change` applied to the expressions that stand in it, its bodies aside."""
    match stmt:
        case For(var, Expr() as extent, kind, body):
            return For(var, change(extent), kind, body)
        case If(condition, body, otherwise):
            return If(change(condition), body, otherwise)
        case Let(local, value):
            return Let(local, change(value))
        case Store(array, index, value, guard, needed):
            guard, needed = _condition(guard, change), _condition(needed, change)
            return Store(array, change(index), change(value), guard, needed)
        case Accumulate(array, index, op, value, guard, needed):
            guard, needed = _condition(guard, change), _condition(needed, change)
            return Accumulate(array, change(index), op, change(value), guard, needed)
        case Prefetch(array, index):
            return Prefetch(array, change(index))
    return stmt


def _condition(guard: Expr | None, change: Callable[[Expr], Expr]) -> Expr | None:
    new = None if guard is None else change(guard)
    return None if new is TRUE else new


def map_expressions(body: Body, change: Callable[[Expr], Expr]) -> Body:
    """The body with `change` applied to every whole expression in it."""
    return rewrite_body(body, lambda stmt: (change_expressions(stmt, change),))


def replace_expressions(body: Body, values: Mapping[Expr, Expr]) -> Body:
    """The body with sub-expressions replaced; what contains them is not brought into normal form
    (`substitute_body` does that)."""
    return map_expressions(body, lambda e: rewrite(e, values.get))


def rewrite_body(body: Body, rule: Callable[[Stmt], Sequence[Stmt] | None]) -> Body:
    """The body with a rule applied to every statement, inner ones first.

    The rule gives the statements that take the place of one, or None where it does not apply.
    """
    result: list[Stmt] = []
    for stmt in body:
        if isinstance(stmt, (For, If)):
            stmt = map_bodies(stmt, lambda inner: rewrite_body(inner, rule))
        made = rule(stmt)
        result += (stmt,) if made is None else made
    return tuple(result)


def map_runs(
    body: Body, kinds: tuple[type[Stmt], ...], change: Callable[[list[Stmt]], Sequence[Stmt]]
) -> Body:
    """The body with `change` applied to every sequence of statements of these kinds, in loops and
    branches too."""
    result: list[Stmt] = []
    run: list[Stmt] = []
    for stmt in body:
        if isinstance(stmt, kinds):
            run.append(stmt)
            continue
        if run:
            result += change(run)
            run = []
        result.append(map_bodies(stmt, lambda inner: map_runs(inner, kinds, change)))
    return (*result, *change(run)) if run else tuple(result)


def substitute_body(body: Body, values: Mapping[Expr, Expr]) -> Body:
    """The body with variables and locals replaced, and indices in normal form again. An If whose
    condition becomes a constant becomes the branch that it takes. A local that is replaced by a
    local changes in its Let, too."""
    return _substituted(body, Substitution(values))


def _substituted(body: Body, substitution: Substitution) -> Body:
    result: list[Stmt] = []
    for stmt in body:
        if mentions(stmt).isdisjoint(substitution.replaced):
            result.append(stmt)
            continue
        changed = change_expressions(stmt, substitution.of)
        match changed:
            case If(Literal(value=holds), then, otherwise):
                result += _substituted(then if holds else otherwise, substitution)
            case Let(local, value) if isinstance(new := substitution.memo.get(local), Local):
                result.append(Let(new, value))
            case _:
                inner = partial(_substituted, substitution=substitution)
                result.append(map_bodies(changed, inner))
    return tuple(result)


def nest(loops: Sequence[Var], body: Body, kind: str = "serial") -> Body:
    """The body inside loops, the first outermost; loops of one iteration are left out."""
    return nest_all([var for var in loops if var.extent != 1], body, kind)


def nest_all(loops: Sequence[Var], body: Body, kind: str = "serial") -> Body:
    """As `nest`, with a loop for each variable, those of one iteration too."""
    for var in reversed(loops):
        body = (For(var, var.extent, kind, body),)
    return body


def begin(accumulator: Array, op: str) -> Body:
    """Allocate an accumulator, and store the neutral element of `op` in its first element.

    begin(acc, "sum")  ->  register acc: float32[1];  acc[0] = 0
    """
    nothing = Literal(identity(op, accumulator.dtype), accumulator.dtype)
    return (Alloc(accumulator), Store(accumulator, Literal(0), nothing))


def peel(body: Body) -> tuple[list[For], Body]:
    """The loops of a perfect nest, outermost first, and what stands inside the last."""
    loops: list[For] = []
    while len(body) == 1 and isinstance(body[0], For):
        loops.append(body[0])
        body = body[0].body
    return loops, body


@lru_cache(maxsize=1 << 15)
def variables(e: Expr) -> frozenset[Var]:
    """The loop variables that an expression depends on."""
    return frozenset(x for x in e.mentions if isinstance(x, Var))


@lru_cache(maxsize=1 << 15)
def loads(e: Expr) -> tuple[Load, ...]:
    """Every distinct load in an expression."""
    if not e.has_loads:
        return ()
    found: list[Load] = []
    stack, seen = [e], {e}
    while stack:
        top = stack.pop()
        if isinstance(top, Load):
            found.append(top)
        new = [x for x in top.operands if x.has_loads and x not in seen]
        seen.update(new)
        stack += new
    return tuple(found)


@lru_cache(maxsize=1 << 15)
def reads(stmt: Stmt) -> tuple[Load, ...]:
    """Every distinct load that stands in a statement itself, not in its bodies."""
    return tuple(dict.fromkeys(x for e in expressions(stmt) for x in loads(e)))


def accesses(stmt: Stmt) -> list[tuple[Array, Expr]]:
    """The array and the index of each access that a statement itself makes, loads first."""
    stores = [(stmt.array, stmt.index)] if isinstance(stmt, (Store, Accumulate)) else []
    return [*((load.array, load.index) for load in reads(stmt)), *stores]


def nested(body: Body, outside: Body = ()) -> Iterator[tuple[Stmt, Body]]:
    """Every statement of a body, outer before inner, each with the loops and branches around it,
    outermost first."""
    for stmt in body:
        yield stmt, outside
        for inner in bodies(stmt):
            yield from nested(inner, (*outside, stmt))


def around(body: Body, e: Expr) -> Body:
    """The loops and branches around the first statement in which an expression occurs."""
    found = (outside for stmt, outside in nested(body) if e in parts(*expressions(stmt)))
    return next(found, ())


def body_loads(body: Sequence[Stmt]) -> list[Load]:
    """Every distinct load in a body."""
    return list(dict.fromkeys(x for stmt in body for x in _all_reads(stmt)))


@lru_cache(maxsize=1 << 15)
def _all_reads(stmt: Stmt) -> tuple[Load, ...]:
    """Every distinct load in a statement and in its bodies."""
    inner = (x for body in bodies(stmt) for s in body for x in _all_reads(s))
    return tuple(dict.fromkeys((*reads(stmt), *inner)))


def written(body: Sequence[Stmt]) -> set[Array]:
    """The arrays that a body writes."""
    return set[Array]().union(*map(_written, body))


_written = _with_bodies(lambda s: (s.array,) if isinstance(s, (Store, Accumulate)) else ())


ArrayChanges = Mapping[Array, tuple[Array, Callable[[Expr], Expr]]]
"""Arrays, what replaces each, and a function that maps its indices."""


def array_change(changes: ArrayChanges) -> Callable[[Expr], Expr]:
    """The function that replaces arrays in expressions."""
    memo: dict[Expr, Expr] = {}

    def change(x: Expr) -> Expr | None:
        if isinstance(x, Load) and x.array in changes:
            new, index = changes[x.array]
            return Load(new, index(x.index), x.guard)
        return None

    def known(x: Expr) -> Expr | None:
        return x if x.mentions.isdisjoint(changes) else None

    return lambda e: rewrite(e, change, memo, known)


def replace_arrays(body: Body, changes: ArrayChanges) -> Body:
    """The body with arrays replaced by others."""
    change = array_change(changes)

    def replaced(stmt: Stmt) -> Body | None:
        if mentions(stmt).isdisjoint(changes):
            return None
        stmt = change_expressions(stmt, change)
        match stmt:
            case Alloc(array) if array in changes:
                stmt = Alloc(changes[array][0])
            case Store() | Accumulate() | Prefetch() if stmt.array in changes:
                new, index = changes[stmt.array]
                stmt = replace(stmt, array=new, index=index(stmt.index))
        return (stmt,)

    return rewrite_body(body, replaced)


def rename_arrays(body: Body, arrays: Mapping[Array, Array]) -> Body:
    """The body with arrays replaced by others that have the same elements at the same indices."""
    return replace_arrays(body, {old: (new, same_index) for old, new in arrays.items()})


def same_index(index: Expr) -> Expr:
    """The index: an array that is replaced by one of equal order is read there."""
    return index


class Names:
    """Hands out names that are used nowhere else."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = taken  # not looked at before a name is wanted
        self.count: dict[str, int] = {}

    @cached_property
    def taken(self) -> set[str]:
        """The names that are used, those handed out among them."""
        return set(self._taken)

    def new(self, base: str) -> str:
        """`base`, or if that is taken `base_1`, `base_2`, ..."""
        name = base
        while name in self.taken:
            self.count[base] = self.count.get(base, 0) + 1
            name = f"{base}_{self.count[base]}"
        self.taken.add(name)
        return name


def names_in(body: Iterable[Stmt], kind: type[Var] | type[Local] | type[Array]) -> Names:
    """Names that no variable (or local, or array) of a body has."""
    return Names(x.name for stmt in body for x in mentions(stmt) if isinstance(x, kind))


def apart(body: Body, *others: Body) -> Body:
    """The body with those of its allocated arrays renamed whose names occur in the other bodies."""
    own = list(dict.fromkeys(s.array for s in statements(body) if isinstance(s, Alloc)))
    names = names_in((stmt for other in others for stmt in other), Array)
    names.taken |= names_in(body, Array).taken - {array.name for array in own}
    renamed = {array: names.new(array.name) for array in own}
    changed = {a: replace(a, name=name) for a, name in renamed.items() if name != a.name}
    return rename_arrays(body, changed)


def stride(index: Expr, var: Var) -> int | None:
    """How far an index moves for a step of var; None where that varies."""
    step = 0
    for atom, k in linear(index)[1]:
        if atom is var:
            step = k
        elif var in variables(atom):
            return None
    return step


def in_order_of_memory(loops: Sequence[Var], places: Sequence[Expr]) -> list[Var]:
    """The loop variables, sorted by how far one step of each moves the indices: furthest first."""

    def reach(var: Var) -> int:
        return sum(abs(_first_step(index, var)) for index in places)

    return sorted(loops, key=reach, reverse=True)


def _first_step(index: Expr, var: Var) -> int:
    """How far an index moves for the first step of var, with all other variables 0. Its steps may
    vary: those of min(o*4, 6), where the last of overlapping blocks begins, do."""
    if (step := stride(index, var)) is not None:
        return step
    ends = []
    for n in (0, 1):
        place = substitute(index, {x: Literal(n if x is var else 0) for x in variables(index)})
        ends.append(int(place.value) if isinstance(place, Literal) else 0)  # 0: a loaded index
    return ends[1] - ends[0]


def updates_in_place(body: Body) -> bool:
    """Whether a body reads a global array that it writes: then no iteration may run twice."""
    changed = {array for array in written(body) if array.scope == "global"}
    return any(load.array in changed for load in body_loads(body))


# --------------------------------------------------------------------------- products
# acc[0] += cast(a[i*K + k] * b[k*N + j])   has the factors a[i*K + k] and b[k*N + j].
# graph/product.py decides which kernels are contractions.


def factors_of(term: Accumulate) -> tuple[Expr, Expr] | None:
    """The factors of a term, below casts and below a selection that makes it 0 (from a size on that
    is known at run time); None for a term that is no product."""
    value = term.value
    while True:
        match value:
            case Cast(x) | Op(op="where", args=(_, x, Literal(value=0))):
                value = x
            case _:
                break
    if not (isinstance(value, Op) and value.op == "mul"):
        return None
    a, b = value.args
    return a, b


def factors(body: Body, swap: bool = False) -> tuple[Expr, Expr]:
    """The factors of the first product that a body sums into a register; with `swap`, the second
    factor first. Raises TypeError for a body without one."""
    for stmt in statements(body):
        if isinstance(stmt, Accumulate) and stmt.array.scope == "register":
            found = factors_of(stmt)
            if found is not None:
                return found[::-1] if swap else found
    raise TypeError("no sum of products in the body")


# --------------------------------------------------------------------------- counts of arithmetic


@lru_cache(maxsize=1 << 15)
def operations(e: Expr) -> int:
    """How many distinct operations an expression has, of any kind. A vector operation counts once;
    the index of a load does not count."""
    return sum(isinstance(x, Op) for x in parts(e, closed=(Load,)))


def flops(body: Body) -> int:
    """Floating-point operations of one run. An arithmetic operation counts as one, a fused
    multiply-add as two, a comparison or selection as none. Each distinct sub-expression of an
    expression counts once, as it is computed once.

    Exact for loops of constant extent. The body of another loop counts once, and so do both
    branches of an If.
    """
    total = 0
    for stmt in body:
        for x in (x for e in expressions(stmt) for x in parts(e)):
            if isinstance(x, Op) and x.dtype.is_float:
                total += x.lanes * OPERATIONS[x.op].flops
        match stmt:
            case Accumulate(value=value) if value.dtype.is_float:
                total += value.lanes
            case For(extent=extent, body=inside):
                total += flops(inside) * (extent if isinstance(extent, int) else 1)
            case If(body=then, otherwise=otherwise):
                total += flops(then) + flops(otherwise)
    return total

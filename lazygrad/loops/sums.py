"""Primitives for partial sums, and the blocks that keep long sums accurate: cascade summation.

    acc = 0                                acc = 0
    serial k in 1024: acc += x[k]    ->    serial k_c in 32:
                                               acc_part = 0
                                               serial k_d in 32: acc_part += x[k_c*32 + k_d]
                                               acc += acc_part

Each addition rounds the sum so far: the error grows with the number of terms n, and in blocks of
blocks only with log n. The blocks depend on shapes alone, and so does the result.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod

from ..errors import ScheduleError
from ..expr import Array, Expr, Literal, Load
from ..graph.ir import identity
from ..index import add, at_least, less
from ..targets import Machine
from .cpu.traffic import window
from .end_loops import in_some_iteration
from .ir import Accumulate, Alloc, Body, For, If, Stmt, Store, statements
from .ir.rebuild import (
    body_loads,
    has_trait,
    loads,
    map_bodies,
    names_in,
    nested,
    rename_arrays,
    variables,
)
from .primitives import Schedule, at_loop, primitive, split

# --------------------------------------------------------------------------- primitives


def partial_sum(
    total: Array,
    op: str,
    part: Array,
    loops: Sequence[For],
    index: Expr,
    place: Expr,
    needed: Expr | None = None,
) -> tuple[Body, Body]:
    """The statements that initialize a partial sum, and those that add it to the total, where that
    is `needed`.

    Element `place` of the part is for element `index` of the total, in each iteration of the
    `loops`, outermost first.
    """
    empty = Store(part, place, Literal(identity(op, part.dtype), part.dtype))
    whole = Accumulate(total, index, op, Load(part, place), needed=needed)
    return (Alloc(part), _inside(loops, empty)), (_inside(loops, whole),)


def _inside(loops: Sequence[For], stmt: Stmt) -> Stmt:
    for loop in reversed(loops):
        stmt = replace(loop, body=(stmt,))
    return stmt


@primitive
def rfactor(body: Body, var: str) -> Body:
    """Give each iteration of a loop a partial sum of its terms, which it then adds to the total.

    serial c in 4: serial d in 16: acc += a[c*16 + d]    rfactor c
    ->  serial c in 4: part = 0;  serial d in 16: part += a[c*16 + d];  acc += part
    """
    names = names_in(body, Array)
    shared = has_trait(body, "workitem")
    done = False

    def change(loop: For) -> Body:
        nonlocal done
        sums = sums_over(loop, shared)
        done = done or bool(sums)
        before: Body = ()
        after: Body = ()
        parts: dict[Array, Array] = {}
        for total, place in sums.items():
            parts[total] = part = replace(total, name=names.new(f"{total.name}_part"))
            needed = _needed(loop.body, total, place.loops)
            at = place.index
            made, added = partial_sum(total, "sum", part, place.loops, at, at, needed)
            before, after = (*before, *made), (*after, *added)
        inside = rename_arrays(loop.body, parts)
        return (replace(loop, body=(*before, *inside, *after)),)

    body = at_loop(body, var, change)
    if not done:
        raise ScheduleError(f"rfactor {var}: no sum over {var}")
    return body


def _needed(body: Body, total: Array, loops: Sequence[For]) -> Expr | None:
    """The condition, known only at run time, under which some term that a body adds to the total
    is needed, in an iteration of these loops; None if one always is."""
    outside = {loop.var for loop in loops}
    found = set()
    for stmt, around in nested(body):
        if isinstance(stmt, Accumulate) and stmt.array is total:
            inner = (x.var for x in around if isinstance(x, For) and x.var not in outside)
            found.add(in_some_iteration(stmt.needed, inner))
    return found.pop() if len(found) == 1 else None


@primitive
def perfect(body: Body, var: str) -> Body:
    """Move what stands before a loop into its first iteration, and what stands after it into its
    last: the nest around it becomes perfect, and `reorder` can move the loop outside. Registers
    that are allocated before the loop become local memory.

    acc = 0;  serial c in 4: acc += S(c);  T    perfect c
    ->  serial c in 4: { if c < 1: acc = S(c) else: acc += S(c);  if c >= 3: T }
    """
    for at, stmt in enumerate(body):
        if isinstance(stmt, For) and stmt.var.name == var:
            made = [s.array for s in body[:at] if isinstance(s, Alloc)]
            before = tuple(s for s in body[:at] if not isinstance(s, Alloc))
            last = at_least(add(stmt.var, 1), stmt.extent)
            after = (If(last, body[at + 1 :]),) if body[at + 1 :] else ()
            inside = (*_begun(before, stmt), *after)
            whole: Body = (*map(Alloc, made), replace(stmt, body=inside))
            return rename_arrays(whole, {old: replace(old, scope="local") for old in made})
    return tuple(map_bodies(stmt, lambda inside: perfect(inside, var)) for stmt in body)


def _begun(before: Body, loop: For) -> Body:
    """A loop's body, with the statements before the loop in its first iteration. Where they set a
    sum to 0, the first iteration stores its term instead."""
    first, inside = less(loop.var, 1), loop.body
    match (*before[-1:], *inside[-1:]):
        case (Store(value=Literal(value=0)) as zero, Accumulate(op="sum") as term):
            if (zero.array, zero.index) == (term.array, term.index):
                start = Store(term.array, term.index, term.value)
                before, inside = before[:-1], (*inside[:-1], If(first, (start,), (term,)))
    return (If(first, before), *inside) if before else inside


# --------------------------------------------------------------------------- sums over a loop


@dataclass(frozen=True)
class Place:
    """The elements of an accumulator that a loop adds to: `index`, in the `loops` inside of it,
    which have empty bodies here."""

    loops: tuple[For, ...]
    index: Expr

    @property
    def count(self) -> int:
        """How many elements they are, for one work-item."""
        return prod(loop.var.extent for loop in self.loops if loop.kind != "workitem")


def sums_over(loop: For, shared: bool) -> dict[Array, Place]:
    """The accumulators from outside of a loop that it adds to, and does not use otherwise.

    `shared`: work-items share local memory, so no accumulator is in it.
    """
    places: dict[Array, dict[Place, None]] = {}
    other = {x.array for x in body_loads((loop,))}
    for stmt, around in nested((loop,)):
        match stmt:
            case Accumulate(array, index, "sum"):
                inner = (x for x in around[1:] if isinstance(x, For))
                own = (x for x in inner if x.kind == "workitem" or x.var in variables(index))
                place = Place(tuple(replace(x, body=()) for x in own), index)
                places.setdefault(array, {})[place] = None
            case Accumulate() | Store() | Alloc():
                other.add(stmt.array)
    scopes = ("register",) if shared else ("register", "local")
    found: dict[Array, Place] = {}
    for array, ways in places.items():
        whole = [place for place in ways if place.count == array.size]
        if array.scope in scopes and array not in other and (whole or len(ways) == 1):
            found[array] = (whole or list(ways))[0]
    return found


def register_sums(body: Body) -> dict[Array, str]:
    """The registers from outside in which a body sums (or finds a maximum), with the operations."""
    made = {s.array for s in statements(body) if isinstance(s, Alloc)}
    sums = [s for s in statements(body) if isinstance(s, Accumulate) and s.array not in made]
    return {s.array: s.op for s in sums if s.array.scope == "register"}


# --------------------------------------------------------------------------- long sums

_Terms = Mapping[tuple[Array, Expr], int]  # how many terms an element gets, one after another


def cascade(s: Schedule, machine: Machine) -> None:
    """Add up in blocks each sum of floats that adds too many terms one after another.

    Ensures: the same sums, in another order.
    """
    while (found := _first_long(s.body, machine)) is not None:
        name, size = found
        if size > 1:
            s.do(split, name, "short", f"{name}_c", f"{name}_d:{size}")
            name = f"{name}_c"
        s.do(rfactor, name)


def _first_long(body: Body, machine: Machine) -> tuple[str, int] | None:
    """An innermost loop that adds up too many terms, and how many iterations make a block."""
    limits, shared = machine.thresholds, has_trait(body, "workitem")
    for loop in reversed(list(statements(body))):
        if not (isinstance(loop, For) and loop.kind == "serial"):
            continue
        terms = _terms(loop.body)
        repeated = _repeated(terms, loop)
        if max(repeated.values(), default=0) <= limits.sum_terms:
            continue
        # A tile of sums uses what it reads several times, and leaves no registers for the sums of
        # all blocks: each block reloads and stores them.
        longest, block = limits.tile_terms, limits.tile_block
        if _reads_each_term(loop):  # memory takes the time
            longest, block = limits.sum_terms, limits.sum_block
        sums = [a for a in sums_over(loop, shared) if a.dtype.is_float]
        ones = [terms[key] for key, n in repeated.items() if n > longest and key[0] in sums]
        if ones:
            return loop.var.name, _size(loop.var.extent, block // max(ones))
    return None


def _size(extent: int, most: int) -> int:
    """How many iterations make a block: a divisor of their number, if there is one near `most`."""
    exact = (n for n in range(most, most // 2, -1) if extent % n == 0)
    return next(exact, max(1, most))


@lru_cache(maxsize=1 << 12)
def _terms(body: Body) -> _Terms:
    """How many terms a body adds to each element of the arrays that it does not allocate."""
    total: dict[tuple[Array, Expr], int] = {}
    for stmt in body:
        found: Iterable[tuple[tuple[Array, Expr], int]] = ()
        match stmt:
            case Accumulate(array, index, "sum"):
                found = (((array, index), 1),)
            case For():
                found = _repeated(_terms(stmt.body), stmt).items()
            case If():
                found = (*_terms(stmt.body).items(), *_terms(stmt.otherwise).items())
        for key, count in found:
            total[key] = total.get(key, 0) + count
    ended = {s.array for s in body if isinstance(s, Alloc)}
    return {key: n for key, n in total.items() if key[0] not in ended}


def _repeated(terms: _Terms, loop: For) -> _Terms:
    """The counts for all iterations of a loop. Where the loop's variable is in the index, an
    element gets the terms of one iteration; and work-items and lanes have sums of their own."""
    if loop.kind not in ("serial", "unroll"):
        return terms
    return {
        (array, index): count if loop.var in variables(index) else count * loop.var.extent
        for (array, index), count in terms.items()
    }


def _reads_each_term(loop: For) -> bool:
    """Whether a loop reads at least as many values from memory as it adds terms. Each copy of the
    body of an unroll or vector loop counts."""
    reads: dict[Load, int] = {}
    sums = 0
    for stmt, around in nested((loop,)):
        if isinstance(stmt, Accumulate):
            loops = (x for x in around if isinstance(x, For))
            copies = {x.var: x.var.extent for x in loops if x.kind in ("unroll", "vector")}
            found = [x for x in loads(stmt.value) if x.array.scope in ("global", "local")]
            reads.update((x, window(x, False, copies) // x.dtype.itemsize) for x in found)
            sums += prod(copies.values()) if found else 0
    return sum(reads.values()) >= sums

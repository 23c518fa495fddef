"""Add up long sums in blocks, and those in blocks again: cascade summation.

    serial k in 60000:             serial k_b in 3750:
        acc[0] += x[k]      ->         acc_part0[0] = 0
                                       serial k_p in 16: acc_part0[0] += x[k_b*16 + k_p]
                                       acc[0] += acc_part0[0]

and likewise for k_b. Each term that is added to a number is rounded to the last place of the sum
so far: the error grows with the count of terms n, and in blocks of blocks only with log n. The
blocks depend on shapes alone, and so does the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..expr import Array, Broadcast, Expr, Literal, Load, Ramp, Var
from ..index import add, minimum, mul, sub, substitute
from ..targets import Machine
from .ir import Accumulate, Alloc, Body, For, If, Stmt, Store, expressions, statements
from .ir.rebuild import Names, loads, names_in, replace_arrays, substitute_body, variables


@dataclass(frozen=True)
class _Limits:
    """Sums of more than `longest` terms are added up in blocks of at most `block` terms."""

    longest: int
    block: int


# Where each term is read for itself, memory takes the time.
READ = _Limits(32, 16)

_Preceding = tuple[Body, ...]  # the statements before one in each body around it, innermost last
_Terms = dict[tuple[Array, Expr], int]  # terms that an element gets, one after another


def cascade(body: Body, machine: Machine) -> Body:
    """The body without sums of floats of more terms, one after another, than the limits allow.

    Requires: loops that are vectorized and unrolled. Ensures: equal values, sums in another order.
    """
    return _Cascade(machine, names_in(body, Array)).body(body, (), frozenset())[0]


class _Cascade:
    """The pass for one machine."""

    def __init__(self, machine: Machine, names: Names) -> None:
        self.gpu, self.names = machine.gpu, names
        # A tile of sums uses what it reads several times, and leaves no registers for the sums of
        # all blocks: each block reloads and stores them.
        self.tile = _Limits(machine.thresholds.tile_terms, machine.thresholds.tile_block)

    def body(self, body: Body, before: _Preceding, around: frozenset[Var]) -> tuple[Body, _Terms]:
        """A body inside of the loops `around`, and the terms that it adds."""
        result: list[Stmt] = []
        total: _Terms = {}
        for stmt in body:
            match stmt:
                case For():
                    made, terms = self.loop(stmt, (*before, tuple(result)), around)
                    result += made
                    _add(total, terms)
                case If():
                    preceding = (*before, tuple(result))
                    then, terms = self.body(stmt.body, preceding, around)
                    otherwise, more = self.body(stmt.otherwise, preceding, around)
                    result.append(replace(stmt, body=then, otherwise=otherwise))
                    _add(total, terms)
                    _add(total, more)
                case _:
                    result.append(stmt)
                    if isinstance(stmt, Accumulate) and self.is_own_sum(stmt):
                        _add(total, {(stmt.array, stmt.index): 1})
        ended = {s.array for s in body if isinstance(s, Alloc)}
        return tuple(result), {key: n for key, n in total.items() if key[0] not in ended}

    def is_own_sum(self, stmt: Accumulate) -> bool:
        """Whether a statement adds to floats that no other thread or item knows."""
        scopes = ("register",) if self.gpu else ("register", "local")
        return stmt.op == "sum" and stmt.array.dtype.is_float and stmt.array.scope in scopes

    def loop(self, loop: For, before: _Preceding, around: frozenset[Var]) -> tuple[Body, _Terms]:
        """A loop in blocks where it is long, and before it the arrays for the blocks' sums."""
        body, terms = self.body(loop.body, before, around | {loop.var})
        loop = replace(loop, body=body)
        allocs: list[Stmt] = []
        while loop.kind == "serial":
            long, block = self.long(loop, terms)
            starts = {a: _start(a, before, around) for a in long if _is_only_added_to(a, loop)}
            starts = {a: start for a, start in starts.items() if start}
            if not starts:
                break
            size = _size(loop.var.extent, block // max(long[a] for a in starts))
            parts = {a: replace(a, name=self.names.new(f"{a.name}_part")) for a in starts}
            allocs += [Alloc(part) for part in parts.values()]
            loop, terms = _in_blocks(loop, terms, size, starts, parts)
        own = loop.kind in ("serial", "unroll", "vector")  # of others each item has its own sums
        return (*allocs, loop), _repeated(terms, loop.var) if own else terms

    def long(self, loop: For, terms: _Terms) -> tuple[dict[Array, int], int]:
        """The accumulators whose sums are too long, with the terms of an iteration, and how many
        terms make a block."""
        repeated = _repeated(terms, loop.var)
        if max(repeated.values(), default=0) <= READ.longest:
            return {}, 1
        limits = READ if _reads_each_term(loop) else self.tile
        found: dict[Array, int] = {}
        for (array, index), count in repeated.items():
            if count > limits.longest:
                found[array] = max(found.get(array, 0), terms[array, index])
        return found, limits.block


def _size(extent: int, most: int) -> int:
    """How many iterations make a block: a divisor of their number, if there is one near `most`."""
    exact = (n for n in range(most, most // 2, -1) if extent % n == 0)
    return next(exact, max(1, most))


def _reads_each_term(loop: For) -> bool:
    """Whether a loop reads as many values from memory as it adds up, or more."""
    sums = [s for s in statements(loop.body) if isinstance(s, Accumulate)]
    reads = [[x for x in loads(s.value) if x.array.scope in ("global", "local")] for s in sums]
    return len({x for found in reads for x in found}) >= sum(map(bool, reads))


def _add(total: _Terms, terms: _Terms) -> None:
    for key, count in terms.items():
        total[key] = total.get(key, 0) + count


def _repeated(terms: _Terms, var: Var) -> _Terms:
    """The terms of all iterations of a loop: a place that the loop moves gets those of one."""
    return {
        (array, index): count if var in variables(index) else count * var.extent
        for (array, index), count in terms.items()
    }


def _is_only_added_to(array: Array, loop: For) -> bool:
    """Whether a loop does nothing with an array but add to it."""
    for stmt in statements((loop,)):
        match stmt:
            case Accumulate(op="sum"):
                pass
            case Accumulate() | Store() | Alloc() if stmt.array == array:
                return False
        if any(load.array == array for e in expressions(stmt) for load in loads(e)):
            return False
    return True


# --------------------------------------------------------------------------- blocks


def _in_blocks(
    loop: For, terms: _Terms, size: int, starts: Mapping[Array, Body], parts: Mapping[Array, Array]
) -> tuple[For, _Terms]:
    """A loop of blocks of `size` iterations, and the terms that one adds.

    Each block adds to its `parts`, and these then to the arrays. `starts` are the statements that
    store what the sums start with, each element once.
    """
    var, extent = loop.var, loop.extent
    inside = replace_arrays(loop.body, {a: (part, lambda i: i) for a, part in parts.items()})
    if size > 1:
        block, part = Var(f"{var.name}_b", -(-var.extent // size)), Var(f"{var.name}_p", size)
        place = add(mul(block, size), part)
        if isinstance(extent, Expr) or extent % size:
            left = sub(extent, mul(block, size))
            inside = (For(part, minimum(left, Literal(size)), "serial", _at(inside, var, place)),)
        else:
            inside = (For(part, size, "serial", _at(inside, var, place)),)
        terms = {(array, substitute(index, {var: place})): n for (array, index), n in terms.items()}
        terms, var, extent = _repeated(terms, part), block, block.extent
    zeros = tuple(_zeros(s, parts[a]) for a, start in starts.items() for s in start)
    sums = tuple(_added(s, parts[a]) for a, start in starts.items() for s in start)
    terms = {key: 1 if key[0] in parts else n for key, n in terms.items()}
    return For(var, extent, "serial", (*zeros, *inside, *sums)), terms


def _at(body: Body, var: Var, place: Expr) -> Body:
    return substitute_body(body, {var: place})


def _start(array: Array, before: _Preceding, around: frozenset[Var]) -> Body:
    """The statements that store the first values of an array, if they store each element once."""
    for body in reversed(before):
        found = tuple(s for stmt in body for s in _stores(stmt, array, around))
        if found:
            return found if sum(map(_count, found)) == array.size else ()
    return ()


def _stores(stmt: Stmt, array: Array, around: frozenset[Var]) -> Body:
    """What a statement stores to an array, without the loops in which we are."""
    match stmt:
        case Store(guard=None) if stmt.array == array:
            return (stmt,)
        case For() | If():
            inside = tuple(s for inner in stmt.body for s in _stores(inner, array, around))
            if not inside or (isinstance(stmt, For) and stmt.var in around):
                return inside
            other = replace(stmt, otherwise=()) if isinstance(stmt, If) else stmt
            return (replace(other, body=inside),)
    return ()


def _count(stmt: Stmt) -> int:
    """How many elements a statement stores, for one work-item."""
    match stmt:
        case Store():
            return max(stmt.index.lanes, stmt.value.lanes)
        case For():
            times = 1 if stmt.kind == "workitem" else stmt.var.extent
            return times * sum(map(_count, stmt.body))
        case If():
            return sum(map(_count, stmt.body))
    return 0


def _zeros(stmt: Stmt, part: Array) -> Stmt:
    """A statement that stores 0 in the elements of a part that `stmt` stores in its array."""
    match stmt:
        case Store(_, index, value):
            zero = Literal(0, part.dtype)
            return Store(part, index, zero if value.lanes == 1 else Broadcast(zero, value.lanes))
        case For() | If():
            return replace(stmt, body=tuple(_zeros(s, part) for s in stmt.body))
    raise TypeError(type(stmt).__name__)


def _added(stmt: Stmt, part: Array) -> Stmt:
    """A statement that adds a part to the elements of the array that `stmt` stores."""
    match stmt:
        case Store(array, index, value):
            wide = Ramp(index, 1, value.lanes) if value.lanes > index.lanes else index
            return Accumulate(array, index, "sum", Load(part, wide))
        case For() | If():
            return replace(stmt, body=tuple(_added(s, part) for s in stmt.body))
    raise TypeError(type(stmt).__name__)

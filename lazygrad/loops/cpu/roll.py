"""Roll up long epilogues: a loop over the rows of a tile, where unrolling would make much code.

    unroll i, j: v[i*8 + j] = acc[i*8 + j] * s    ->    unroll i, j: tile[i*8 + j] = acc[i*8 + j]
    unroll i, j: out[i*72 + j*9] = v[i*8 + j]           serial i:
                                                            unroll j: v[j] = tile[i*8 + j] * s
                                                            unroll j: out[i*72 + j*9] = v[j]

A tile's sums are in registers, which only unrolled code can tell apart. An epilogue (an optimizer's
step, say) takes little of a kernel's time, but unrolled it can be most of its code, and of the time
to compile it. To pass the sums to it through the cache costs next to nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from math import prod

from ...expr import Array, Expr, Load, Var, rewrite
from ...index import bounds, mul, sub
from ..cost import operations
from ..ir import Accumulate, Alloc, Body, For, Stmt, Store, expressions
from ..ir.rebuild import (
    Names,
    change_expressions,
    loads,
    map_bodies,
    names_in,
    peel,
    replace_arrays,
    stride,
)

MUCH = 256  # instructions


def roll(body: Body) -> Body:
    """The body with the outer unroll loops of long sequences of them made one serial loop.

    Requires: unroll and vector loops as `sink` leaves them, around single statements. Ensures: the
    same values; registers that were made before are read at constant places only.
    """
    return _in_body(body, names_in(body, Array))


def _in_body(body: Body, names: Names) -> Body:
    result: list[Stmt] = []
    for is_nests, run in groupby(body, lambda s: isinstance(s, Alloc) or _is_unrolled(s)):
        stmts = list(run)
        if is_nests:
            result += _rolled(stmts, names)
        else:
            result += [map_bodies(stmt, partial(_in_body, names=names)) for stmt in stmts]
    return tuple(result)


def _is_unrolled(stmt: Stmt) -> bool:
    return isinstance(stmt, For) and stmt.kind == "unroll"


def _rolled(stmts: list[Stmt], names: Names) -> list[Stmt]:
    """Consecutive nests, and the arrays made between them, in one loop if that is worth it."""
    nests = [_Nest.of(stmt) for stmt in stmts if not isinstance(stmt, Alloc)]
    parts = [nest for nest in nests if nest is not None]
    outer = {nest.loops[0].var for nest in parts}
    if len(outer) != 1 or len(parts) < len(nests):
        return stmts
    if sum(nest.instructions for nest in parts) <= MUCH:
        return stmts
    (var,) = outer
    own = {s.array for s in stmts if isinstance(s, Alloc)}
    if not all(_is_apart(array, var, parts, own) for array in {n.stmt.array for n in parts}):
        return stmts
    tiles, copies, inside = _from_memory(var, parts, own, stmts, names)
    inside = tuple(s.body[0] if isinstance(s, For) else s for s in inside)
    inside = _shrunk(inside, var, parts, own)
    return [*tiles, *copies, For(var, var.extent, "serial", tuple(_rolled(list(inside), names)))]


@dataclass(frozen=True)
class _Nest:
    """Unroll and vector loops around one statement."""

    loops: list[For]
    stmt: Store | Accumulate

    @classmethod
    def of(cls, stmt: Stmt) -> _Nest | None:
        """The nest that a statement is, if its outermost loop is to be written out."""
        loops, inside = peel((stmt,))
        match inside:
            case (Store() | Accumulate(needed=None) as only,):
                kinds = [loop.kind for loop in loops]
                is_nest = kinds[:1] == ["unroll"] and set(kinds) <= {"unroll", "vector"}
                return cls(loops, only) if is_nest else None
        return None

    @property
    def places(self) -> list[tuple[Array, Expr]]:
        """What is read and written."""
        read = [(x.array, x.index) for e in expressions(self.stmt) for x in loads(e)]
        return [(self.stmt.array, self.stmt.index), *read]

    @property
    def instructions(self) -> int:
        """How many there are when it is written out."""
        lane = self.loops[-1].var if self.loops[-1].kind == "vector" else None
        count = sum(operations(e) for e in expressions(self.stmt))
        for array, index in self.places:
            apart = lane is not None and stride(index, lane) not in (0, 1)
            count += lane.extent if apart and lane is not None else array.scope != "register"
        return count * prod(loop.var.extent for loop in self.loops if loop.var is not lane)


def _is_apart(array: Array, var: Var, nests: Sequence[_Nest], own: set[Array]) -> bool:
    """Whether what iterations of a loop write to an array, no other iteration reads or writes."""
    if array.scope == "register" and array not in own:
        return False  # it would be written at places that vary
    found = [(index, nest.loops) for nest in nests for a, index in nest.places if a is array]
    index = found[0][0]
    if any(other is not index for other, _ in found):
        return False

    def step(of: Var) -> int:
        return abs(stride(index, of) or 0)

    loops = {loop.var: loop.kind for _, nested in found for loop in nested}
    reach = 0
    for v in sorted(loops, key=step):
        if step(v) <= reach:
            return False
        reach += step(v) * (v.extent - 1)
    # what lies between a vector's elements is written with them (see interleave.py)
    return step(var) > 1 or all(step(v) != 2 for v, kind in loops.items() if kind == "vector")


def _from_memory(
    var: Var, nests: Sequence[_Nest], own: set[Array], stmts: Sequence[Stmt], names: Names
) -> tuple[list[Stmt], list[Stmt], Body]:
    """Arrays for the registers that are read at places that vary, the copies, and the statements
    that read these."""
    moved: dict[Expr, Expr] = {}
    tiles: dict[Array, Array] = {}
    copies: list[Stmt] = []
    for nest in nests:
        for load in (x for e in expressions(nest.stmt) for x in loads(e)):
            array, index = load.array, load.index
            if array.scope != "register" or array in own or load in moved:
                continue
            if not stride(index, var):
                continue
            if array not in tiles:
                name = names.new(f"{array.name}_tile")
                tiles[array] = replace(array, name=name, scope="local")
            tile = tiles[array]
            moved[load] = Load(tile, index)
            body: Body = (Store(tile, index, load),)
            for loop in reversed(nest.loops):
                body = (replace(loop, body=body),)
            copies += body

    def moved_in(stmt: Stmt) -> Stmt:
        stmt = map_bodies(stmt, lambda body: tuple(map(moved_in, body)))
        return change_expressions(stmt, lambda e: rewrite(e, moved.get))

    return [Alloc(tile) for tile in tiles.values()], copies, tuple(map(moved_in, stmts))


def _shrunk(inside: Body, var: Var, nests: Sequence[_Nest], own: set[Array]) -> Body:
    """The body with one iteration's part of each array that is made in it."""
    changes = {}
    for array in own:
        index = next((i for nest in nests for a, i in nest.places if a is array), None)
        step = None if index is None else stride(index, var)
        if index is not None and step is not None:
            size = bounds(sub(index, mul(var, step)))[1] + 1
            changes[array] = replace(array, size=size), lambda i, n=step: sub(i, mul(var, n))
    return replace_arrays(inside, changes)

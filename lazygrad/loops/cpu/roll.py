"""Keep loops that, written out, would be long sequences of accesses to single elements.

    unroll i in 8:                                   local tile:  tile[n] = acc[n] for all n
        out[ramp(i, 9, 16)] =                ->      serial i in 8:
            acc[ramp(i*16, 1, 16)]                       out[ramp(i, 9, 16)] =
                                                             tile[ramp(i*16, 1, 16)]

A vector whose elements are not adjacent in memory is loaded or stored element by element. LLVM's
time grows with the square of such a sequence's length, and the longer code is no faster.
"""

from __future__ import annotations

from dataclasses import replace
from math import gcd, prod

from ...expr import Array, Literal, Load, Ramp, Var
from ...targets import ELEMENTS_APART
from ..ir import Accumulate, Alloc, Body, Stmt, Store, statements
from ..ir.rebuild import (
    accesses,
    map_bodies,
    names_in,
    nest_all,
    peel,
    rename_arrays,
    stride,
    variables,
    written,
)


def roll(body: Body) -> Body:
    """Make unroll loops around stores serial, outer ones first, until the others access at most
    ELEMENTS_APART single elements. Not those around sums: neighbouring sums share loads.

    Requires: no vector loop is left. Ensures: the same values. Registers that a serial loop indexes
    are in local memory then: those that it writes are moved there, others are copied.
    """
    rolling = _Rolling(body)
    made = rolling.body(body)
    return rename_arrays(made, {x: replace(x, scope="local") for x in rolling.moved})


class _Rolling:
    def __init__(self, body: Body) -> None:
        self.names = names_in(body, Array)
        self.sums = {s.array for s in statements(body) if isinstance(s, Accumulate)}
        self.moved = set[Array]()

    def body(self, body: Body) -> Body:
        result: list[Stmt] = []
        copies: dict[Array, Array] = {}
        for stmt in body:
            loops, inside = peel((stmt,))
            is_nest = len(inside) == 1 and {loop.kind for loop in loops} == {"unroll"}
            if is_nest and isinstance(inside[0], Store):
                result += self.rolled([loop.var for loop in loops], inside[0], copies)
            else:
                result.append(map_bodies(stmt, self.body))
            for array in copies.keys() & written((stmt,)):
                del copies[array]
        return tuple(result)

    def rolled(self, loops: list[Var], stmt: Store, copies: dict[Array, Array]) -> Body:
        """A store in unroll loops, the outer ones serial, after new copies of registers.
        `copies` has those that are valid already."""
        nest, serial, unrolled = nest_all(loops, (stmt,), "unroll"), list[Var](), list(loops)
        apart = _elements_apart(stmt, loops)
        while unrolled and apart * prod(var.extent for var in unrolled) > ELEMENTS_APART:
            serial.append(unrolled.pop(0))
        indexed = {
            array: index
            for array, index in accesses(stmt)
            if array.scope == "register" and not variables(index).isdisjoint(serial)
        }
        if not serial or stmt.array in self.sums & indexed.keys():
            return nest
        if stmt.array in indexed:
            self.moved.add(stmt.array)
        made: list[Stmt] = []
        for array, index in indexed.items():
            if array not in self.moved and array not in copies:
                name, lanes = self.names.new(f"{array.name}_tile"), gcd(array.size, index.lanes)
                copies[array] = copy = replace(array, name=name, scope="local")
                places = [Ramp(Literal(n), 1, lanes) for n in range(0, array.size, lanes)]
                made += (Alloc(copy), *(Store(copy, at, Load(array, at)) for at in places))
        inside = nest_all(unrolled, (stmt,), "unroll")
        inside = rename_arrays(inside, {x: copies[x] for x in indexed if x in copies})
        return (*made, *nest_all(serial, inside))


def _elements_apart(stmt: Store, loops: list[Var]) -> int:
    """How many elements a store accesses one by one. Vectors of columns are not counted where
    one of the unroll loops walks along the rows: the pass transpose loads the rows."""
    return sum(
        index.lanes
        for array, index in accesses(stmt)
        if array.scope != "register" and isinstance(index, Ramp) and abs(index.stride) > 1
        if not any(stride(index.base, var) == 1 and var.extent >= index.lanes for var in loops)
    )

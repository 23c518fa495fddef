"""Tiles in a GPU's local memory, which the items of a group fill together.

    serial k in 16: serial m in 128: tile[k*132 + m] = a[m*K + k]
    ->
    workitem filler in 256: unroll round in 2: vector lane in 4:     p = round*256 + filler
        tile[(p % 4 * 4 + lane)*132 + p // 4] = a[p // 4 * K + p % 4 * 4 + lane]

Neighbouring items read neighbouring memory, a vector at once where all of them are aligned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...errors import ScheduleError
from ...expr import Array, Expr, Load, Var
from ...index import add, all_of, flatten, mul, substitute
from ..contraction import extent_of, operand_stride
from ..ir import Alloc, Body, For, If, Store, statements
from ..ir.rebuild import (
    around,
    body_loads,
    factors,
    nest_all,
    peel,
    replace_expressions,
    variables,
)
from ..mask import guarded
from ..primitives import Schedule, at_loop, bind, fuse, loops_of, primitive, reorder, split
from ..sink import sink
from .synchronize import synchronize
from .vectors import vector_width


@primitive
def stage_local(body: Body, operand: str, name: str, place: str, padding: int, *axes: str) -> Body:
    """Copy an operand that work-items read into local memory, in each iteration of the loop
    `place`. The operand is a factor (a, the first, or b), or a load: in0:1 is the second of in0.

    `axes` are loops; some may stand outside of `place`. The copy has an element for each iteration
    of the axes that the operand depends on. `padding` elements follow those of each iteration of
    the first of these axes, so that a column lies in different banks of local memory.

        serial m in 8: serial k in 4: acc[m] += a[m*K + k]    stage_local a tile k 1 k m
        ->
        serial m in 8: serial k in 4:
            serial tile_k in 4: serial tile_m in 8: tile[tile_k*9 + tile_m] = a[tile_m*K + tile_k]
            acc[m] += tile[k*9 + m]

    Requires: as `pack`, and that all items reach `place` together.
    """
    loops = loops_of(body)
    if missing := [axis for axis in axes if axis not in loops]:
        raise ScheduleError(f"stage_local {operand}: no loop {missing[0]}")

    def change(loop: For) -> Body:
        found = _operand(loop.body, operand)
        used = [loops[axis] for axis in axes if loops[axis] in variables(found)]
        if not used:
            raise ScheduleError(f"stage_local {operand}: it depends on none of {' '.join(axes)}")
        row = extent_of(used[1:])
        step = row + padding if row > 1 and used[0].extent > 1 else row

        def at(places: Sequence[Var]) -> Expr:
            inner = flatten(places[1:], [v.extent for v in places[1:]])
            return add(mul(places[0], step), inner)

        tile = Array(name, found.dtype, used[0].extent * step, "local")
        own = [Var(f"{name}_{v.name}", v.extent) for v in used]
        values: dict[Expr, Expr] = dict(zip(used, own, strict=True))
        branches = [s.condition for s in around(loop.body, found) if isinstance(s, If)]
        value = guarded(found, all_of(branches))
        fill = Store(tile, at(own), substitute(value, values))
        inside = replace_expressions(loop.body, {found: Load(tile, at(used))})
        return (replace(loop, body=(Alloc(tile), *nest_all(own, (fill,)), *inside)),)

    return at_loop(body, place, change)


def _operand(body: Body, operand: str) -> Expr:
    if operand in ("a", "b"):
        return factors(body)["ab".index(operand)]
    array, _, number = operand.partition(":")
    found = [x for x in body_loads(body) if x.array.name == array]
    if not number.isdigit() or int(number) >= len(found):
        raise ScheduleError(f"stage_local {operand}: {array} is read in {len(found)} ways")
    return found[int(number)]


def share_fill(s: Schedule, array: str, items: int) -> None:
    """Let a group's items share the loops that fill a tile. Neighbouring items take neighbouring
    elements of memory, in vectors where possible."""
    loops, store = fill_of(s.body, array)
    near = next((v for v in reversed(loops) if operand_stride(store.value, v) == 1), None)
    order = [v.name for v in loops if v is not near] + ([near.name] if near else [])
    if order != [v.name for v in loops]:
        s.do(reorder, *order)
    # the elements that can be loaded at once, wherever they are stored
    width = vector_width((Store(store.array, near, store.value),), near) if near else 1
    if width > 1:
        lane = f"{array}_near"
        s.do(split, order[-1], "exact", f"{order[-1]}_o", f"{lane}:{width}")
        s.do(sink, lane, "vector")
        order[-1] = f"{order[-1]}_o"
    filler, rounds = f"{array}_filler", f"{array}_round"
    s.do(fuse, array, *order)
    s.do(split, array, "guard", rounds, f"{filler}:{items}")
    s.do(reorder, filler, rounds)
    s.do(bind, filler, "workitem")
    s.do(bind, rounds, "unroll")


def fill_of(body: Body, array: str) -> tuple[list[Var], Store]:
    """The loops that fill a tile, and the store inside."""
    for stmt in statements(body):
        nested, inside = peel((stmt,))
        match inside:
            case (Store() as store,) if store.array.name == array:
                return [loop.var for loop in nested], store
    raise ScheduleError(f"no loops fill {array}")


def bind_groups_and_items(s: Schedule, groups: Sequence[str], items: Sequence[str]) -> None:
    """Make loops work-groups and work-items, with the barriers that the items need. Loops of one
    iteration stay serial, but for one work-group loop where there is no longer one."""
    for name in reversed(items):
        if s.loop(name).extent > 1:
            s.do(sink, name, "workitem")
    large = [name for name in groups if s.loop(name).extent > 1]
    for name in large or groups[-1:]:
        s.do(bind, name, "workgroup")
    s.do(synchronize)

"""Maps that read across what they write (a transpose): squares that go through local memory.

serial y: serial x: out[y*X + x] = f(a[x*Y + y])
->
workgroup squares of y and x:
    local tile
    workitem: tile[y_i*33 + x_i] = a[x*Y + y]     neighbouring items, neighbouring y
    barrier
    workitem: out[y*X + x] = f(tile[y_i*33 + x_i])     neighbouring items, neighbouring x
"""

from __future__ import annotations

from functools import partial

from ...errors import ScheduleError
from ...expr import Expr, Load, Var, rewrite
from ...index import add, all_of, less, mul
from ..ir import Alloc, Barrier, Body, For, If, Store, statements
from ..ir.rebuild import body_loads, map_expressions, nest, peel, stride, substitute_body
from ..pack import pack
from ..primitives import Schedule, primitive, sunk
from .tiles import guarded, pad_rows, share_fill

SIDE = 32  # of a square
PADDING = 1  # elements after a tile's row: a column then lies in all banks of local memory


def across_loop(loops: list[Var], body: Body, items: int) -> Var | None:
    """The loop along which memory is read where the last of `loops` writes it; None where all is
    read as it is written."""
    if len(loops) < 2 or items < SIDE or loops[-1].extent < SIDE // 2:
        return None
    x = loops[-1]
    stores = [s for s in statements(body) if isinstance(s, Store) and s.array.scope == "global"]
    if any(stride(s.index, x) != 1 for s in stores):
        return None
    for y in loops[:-1]:
        if y.extent >= SIDE // 2 and _across(body, x, y):
            return y
    return None


def _across(body: Body, x: Var, y: Var) -> list[Load]:
    """The loads that are contiguous along y, and not along x."""
    return [
        load
        for load in body_loads(body)
        if load.array.scope == "global"
        and stride(load.index, y) == 1
        and stride(load.index, x) not in (0, 1)
    ]


def schedule_squares(s: Schedule, y: Var, items: int) -> str:
    """A group a square of y and the last loop; the reason for the plan."""
    loops, _ = s.outer()
    s.do(squares, y.name, loops[-1].name, items)
    return f"squares of {SIDE} x {SIDE}, transposed in local memory"


@primitive
def squares(body: Body, var: str, last: str, items: int) -> Body:
    """A work-group a square of two loops of the outermost nest; what is contiguous along the first
    of them and not along the last, which is innermost, is read through local memory.

    Requires: a map; its iterations are independent. Ensures: workgroup loops outermost; workitem,
    vector and unroll loops inside.
    """
    nested, body = peel(body)
    loops = [loop.var for loop in nested]
    names = [v.name for v in loops]
    if var not in names or names[-1] != last:
        raise ScheduleError(f"squares {var} {last}: the outermost nest has {', '.join(names)}")
    y, x = loops[names.index(var)], loops[-1]
    square_y, square_x = (Var(f"{v.name}_square", -(-v.extent // SIDE)) for v in (y, x))
    in_y, in_x = Var(f"{y.name}_i", SIDE), Var(f"{x.name}_i", SIDE)
    at_y, at_x = add(mul(square_y, SIDE), in_y), add(mul(square_x, SIDE), in_x)
    inside = all_of((less(at_y, y.extent), less(at_x, x.extent)))
    body = substitute_body(body, {y: at_y, x: at_x})
    tiled = nest([in_y, in_x], body)
    for n, load in enumerate(_across(body, in_x, in_y)):
        kept = guarded(load, inside)
        tiled = map_expressions(tiled, partial(_replaced, load, kept))
        tiled = pack(tiled, kept, f"tile_{n}")
        (alloc, *_) = tiled
        assert isinstance(alloc, Alloc)
        tiled = pad_rows(tiled, alloc.array, SIDE, PADDING)
    *before, square = tiled
    rows = items // SIDE
    item_y, item_x, step = Var("item_y", rows), Var("item_x", SIDE), Var("step", SIDE // rows)
    body = peel((square,))[1]
    if inside is not None:
        body = (If(inside, body),)
    body = substitute_body(body, {in_y: add(mul(step, rows), item_y), in_x: item_x})
    if step.extent > 1:
        body = sunk(body, step, "unroll")
    group: Body = (
        *(s for s in before if isinstance(s, Alloc)),
        *(share_fill(s, rows * SIDE) for s in before if isinstance(s, For)),
        Barrier(),
        *nest([item_y, item_x], body, "workitem"),
    )
    others = [square_y if v is y else v for v in loops[:-1]]
    groups = [v for v in (*others, square_x) if v.extent > 1] or [square_x]
    for v in reversed(groups):
        group = (For(v, v.extent, "workgroup", group),)
    return group


def _replaced(old: Expr, new: Expr, e: Expr) -> Expr:
    """e with new in the place of old."""
    return rewrite(e, lambda x: new if x is old else None)

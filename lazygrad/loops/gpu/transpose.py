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

from ...expr import Load, Var
from ...targets import SQUARE, SQUARE_PADDING
from ..ir import Body, Store, statements
from ..ir.rebuild import body_loads, stride
from ..primitives import Schedule, inside_of, reorder, split
from ..sink import sink
from .tiles import bind_groups_and_items, share_fill, stage_local


def across_loop(loops: list[Var], body: Body, items: int) -> Var | None:
    """The loop along which a load is contiguous that is not contiguous along the last of `loops`,
    as the stores are; None without such a load."""
    if len(loops) < 2 or items < SQUARE or loops[-1].extent < SQUARE // 2:
        return None
    x = loops[-1]
    stores = [s for s in statements(body) if isinstance(s, Store) and s.array.scope == "global"]
    if any(stride(s.index, x) != 1 for s in stores):
        return None
    for y in loops[:-1]:
        if y.extent >= SQUARE // 2 and _across(body, x, y):
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
    """A group computes a square of y and the last loop, an item some of its rows. Loads that are
    contiguous along y, and not along the last loop, go by way of local memory. Returns the reason
    for the plan.

    Requires: a map; its iterations are independent. Ensures: workgroup loops outermost; workitem,
    vector and unroll loops inside.
    """
    loops, _ = s.outer()
    x = loops[-1]
    for v in (x, y):
        s.do(split, v.name, "mask", f"{v.name}_square", f"{v.name}_i:{SQUARE}")
    groups = [f"{v.name}_square" if v in (x, y) else v.name for v in loops]
    in_y, in_x = f"{y.name}_i", f"{x.name}_i"
    s.do(reorder, *groups, in_y, in_x)
    *_, body = s.outer()
    for n, load in enumerate(_across(body, s.loop(in_x), s.loop(in_y))):
        place = inside_of(s.body, groups[-1])
        ways = [x for x in body_loads(place) if x.array is load.array]
        operand = f"{load.array.name}:{ways.index(load)}"
        s.do(stage_local, operand, f"tile_{n}", groups[-1], SQUARE_PADDING, in_y, in_x)
        share_fill(s, f"tile_{n}", items // SQUARE * SQUARE)
    s.do(split, in_y, "exact", "step", f"item_y:{items // SQUARE}")
    s.do(reorder, "item_y", in_x, "step")
    s.do(sink, "step", "unroll")
    bind_groups_and_items(s, groups, ["item_y", in_x])
    return f"squares of {SQUARE} x {SQUARE}, transposed in local memory"

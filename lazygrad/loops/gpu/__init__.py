"""Give the loops of a map, a row reduction or a scatter to a GPU's work-groups and work-items.

    map       an item computes a vector of neighbouring elements; where a map reads across what it
              writes, a group computes a square, by way of local memory (transpose.py)
    rows      a group computes a row, or some: each item sums every n-th vector, and then the sums
              of all items are added up (rows.py)
    columns   an item computes a column (pooling, sums over rows); where columns are few and long,
              several items share one, as they do a row

Contractions are in contract.py. The primitives are those of the CPU, and three for what items
share: `stage_local` (tiles in local memory), `synchronize` (barriers), `share` (a row or a column).
"""

from __future__ import annotations

from ...targets import COLUMN_TERMS, CORE_ITEMS, GROUP_ITEMS, NEIGHBOUR_BYTES, Machine
from ..contraction import extent_of
from ..ir import For, statements
from ..primitives import Schedule, bind, fuse, split
from ..rows import plan_rows
from .rows import longest_sum, share_columns, share_rows
from .transpose import across_loop, schedule_squares
from .vectors import bind_vectors


def schedule_rows(s: Schedule, machine: Machine) -> str:
    """Schedule maps, rows, columns and scatters. Returns the reason for the plan.

    Requires: the loops of a lowered kernel, merged. Ensures: workgroup loops outermost; workitem,
    vector and unroll loops inside.
    """
    items = min(GROUP_ITEMS, machine.group_limit)
    loops, body = s.outer()
    along = plan_rows(loops, body, NEIGHBOUR_BYTES).along
    if along == "inner":
        return share_rows(s, items)
    if along == "outer" and not any(isinstance(x, For) for x in statements(body)):
        across = across_loop(loops, body, items)
        if across is not None:
            return schedule_squares(s, across, items)
        width = bind_vectors(s)
        _each_position(s, items)
        return f"a work-item {width} neighbours, {items} items a group"
    few = extent_of(loops) < machine.cores * CORE_ITEMS
    if along == "outer" and few and longest_sum(body) >= COLUMN_TERMS:
        return share_columns(s, items, machine.cores)
    return schedule_elements(s, machine)


def schedule_elements(s: Schedule, machine: Machine) -> str:
    """One work-item for each outer position, whatever stands inside. Returns the reason for the
    plan."""
    items = min(GROUP_ITEMS, machine.group_limit)
    _each_position(s, items)
    return f"a work-item each position, {items} a group"


def _each_position(s: Schedule, items: int) -> None:
    loops, _ = s.outer()
    s.do(fuse, "position", *(v.name for v in loops))
    s.do(split, "position", "guard", "group", f"local_id:{items if loops else 1}")
    s.do(bind, "group", "workgroup")
    s.do(bind, "local_id", "workitem")

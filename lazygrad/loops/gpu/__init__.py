"""Give the loops of a map, a row reduction or a scatter to a GPU's work-groups and work-items.

    map       a work-item a vector of elements, neighbours side by side in memory; where some of
              what it reads lies the other way, a group a square, by local memory (gpu_turn.py)
    rows      a group a row, or some: items sum every n-th vector, then each other's sums
    columns   a work-item a column (pooling, sums over rows); where they are few and long, items
              share them as they do rows (gpu_rows.py)

Contractions are in gpu_contract.py. The tools are those of the CPU: merge, sink (a vector, a
register tile), split_lanes, pack (a tile in local memory), unroll.
"""

from __future__ import annotations

from ...expr import Var
from ...index import add, less, mul
from ...targets import Machine
from ..contraction import extent_of
from ..ir import Body, For, If, statements
from ..ir.rebuild import substitute_body
from ..merge import merge_all
from ..rows import plan_rows
from .rows import longest_sum, share_columns, share_rows
from .transpose import spread_turned, turned_loop
from .vectors import in_vectors

ITEMS = 256  # work-items a group
CORE_ITEMS = 1024  # work-items that keep a core busy
LONG = 32  # terms of a column's sum from which it is worth sharing
ROW_BYTES = 128  # what neighbouring items read together, if they can


def spread_rows(loops: list[Var], body: Body, machine: Machine) -> tuple[Body, str]:
    """Maps, rows, columns, scatters.

    Requires: the outer loops of a lowered kernel and what stands inside. Ensures: workgroup loops
    outermost; workitem, vector and unroll loops inside.
    """
    items = min(ITEMS, machine.group_limit)
    along = plan_rows(loops, body, ROW_BYTES).along
    if along == "inner":
        return share_rows(loops, body, items)
    if along == "outer" and not any(isinstance(s, For) for s in statements(body)):
        turned = turned_loop(loops, body, items)
        if turned is not None:
            return spread_turned(loops, body, turned, items)
        width, loops, body = in_vectors(loops, body)
        reason = f"a work-item {width} neighbours, {items} items a group"
        return _each_position(loops, body, items), reason
    few = extent_of(loops) < machine.cores * CORE_ITEMS
    if along == "outer" and few and longest_sum(body) >= LONG:
        return share_columns(loops, body, items, machine.cores)
    return spread_elements(loops, body, machine)


def spread_elements(loops: list[Var], body: Body, machine: Machine) -> tuple[Body, str]:
    """One work-item an outer position, whatever it does inside."""
    items = min(ITEMS, machine.group_limit)
    return _each_position(loops, body, items), f"a work-item each position, {items} a group"


def _each_position(loops: list[Var], body: Body, items: int) -> Body:
    if not loops:
        one = Var("one", 1)
        return (For(one, 1, "workgroup", (For(Var("local_id", 1), 1, "workitem", body),)),)
    position, body = merge_all(loops, body)
    group = Var("group", -(-position.extent // items))
    item = Var("local_id", items)
    index = add(mul(group, items), item)
    body = substitute_body(body, {position: index})
    if position.extent % items:
        body = (If(less(index, position.extent), body),)
    return (For(group, group.extent, "workgroup", (For(item, items, "workitem", body),)),)

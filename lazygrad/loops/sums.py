"""Primitives for sums: in blocks that are added up, and in memory for what follows them."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

from ..dtypes import float32
from ..errors import ScheduleError
from ..expr import Array, Literal, Load, Var
from ..index import add, at_least, less, minimum, mod, sub
from .ir import Accumulate, Alloc, Body, For, If, Store, statements
from .ir.rebuild import map_bodies, peel, rename_array
from .primitives import primitive, reorder, split

LONGEST_SUM = 64  # blocks whose sums are added one after another
GROUP = 16  # such blocks, or groups of them, that are added up first where there are more


@primitive
def rfactor(body: Body, var: str, outer: str, *digits: str) -> Body:
    """A sum in blocks: each block of a summed loop is summed by itself, then added to the others.

        acc = 0;  serial k in 64: acc += a[k];  out = f(acc)    rfactor k c d:16
        ->
        local part
        serial c in 4:
            acc = 0;  serial d in 16: acc += a[c*16 + d]
            if c < 1: part = acc  else: part += acc
            if c >= 3: out = f(part)

    So the loop over blocks can go outside of the loops around the sum (`reorder`). Where the nest
    has more summed loops, that over blocks becomes the outermost.
    """
    done = False

    def visit(body: Body) -> Body:
        nonlocal done
        for at, stmt in enumerate(body):
            loops, _ = peel((stmt,))
            if all(loop.var.name != var for loop in loops):
                continue
            if any(s.array.scope == "register" for s in body[:at] if isinstance(s, Alloc)):
                done = True
                return _in_blocks(body[:at], (stmt,), body[at + 1 :], (var, outer, *digits))
        return tuple(map_bodies(stmt, visit) for stmt in body)

    body = visit(body)
    if not done:
        raise ScheduleError(f"rfactor {var}: no sum over {var} in a register")
    return body


def _in_blocks(before: Body, sums: Body, after: Body, loop: tuple[str, ...]) -> Body:
    var, outer, *digits = loop
    sums = split(sums, var, "exact", outer, *digits)
    loops, _ = peel(sums)
    names = [x.var.name for x in loops]
    (blocks,) = reorder(sums, outer, *(name for name in names if name != outer))
    assert isinstance(blocks, For)
    (acc,) = {s.array for s in statements(sums) if isinstance(s, Accumulate)}
    parts, rest = _added(blocks.var, 1, acc, rename_array(after, acc, _TOTAL, lambda i: i))
    return (*map(Alloc, parts), replace(blocks, body=(*before, *blocks.body, *rest)))


@primitive
def spill_sums(body: Body) -> Body:
    """What follows a sum reads it from memory, so that `sink` leaves it a loop over the tile.

    acc = 0;  serial k: acc += a[k];  out = f(acc)
    ->  acc = 0;  serial k: acc += a[k];  local sums;  sums = acc;  out = f(sums)
    """
    for at, stmt in enumerate(body):
        sums = [s.array for s in statements((stmt,)) if isinstance(s, Accumulate)]
        if isinstance(stmt, For) and sums and Alloc(sums[0]) in body[:at]:
            acc, zero = sums[0], Literal(0)
            kept = replace(acc, name="sums", scope="local")
            after = rename_array(body[at + 1 :], acc, kept, lambda i: i)
            return (*body[: at + 1], Alloc(kept), Store(kept, zero, Load(acc, zero)), *after)
    return tuple(map_bodies(stmt, spill_sums) for stmt in body)


_TOTAL = Array("total", float32, 1, "local")  # stands for the sum of all blocks


def _added(block: Var, size: int, term: Array, after: Body) -> tuple[list[Array], Body]:
    """What adds the sums of `size` blocks each to a part of their own, and then continues; where
    the blocks are very many, groups of them are added up first. The arrays of the parts, too."""
    last = ceil(block.extent / size) <= LONGEST_SUM
    group = block.extent if last else GROUP * size
    name = "part" if size == 1 else f"{term.name}_of_part"
    part, zero = Array(name, term.dtype, 1, "local"), Literal(0)
    if last:
        more: list[Array] = []
        rest = rename_array(after, _TOTAL, part, lambda i: i)
    else:
        more, rest = _added(block, group, part, after)
    within, total = mod(block, group), Load(term, zero)
    end = minimum(add(sub(block, within), group), Literal(block.extent))
    first = Store(part, zero, total), Accumulate(part, zero, "sum", total)
    return [part, *more], (
        If(less(within, size), first[:1], first[1:]),
        If(at_least(add(block, 1), end), rest),
    )

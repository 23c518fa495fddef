"""A contraction's loops: a tile of sums in registers, operands packed where that pays.

    serial i: serial j:                        parallel blocks of j:
        acc[0] = 0                                 local panel of b
        serial k: acc[0] += a[i,k] * b[k,j]  ->    serial blocks of i: local panel of a
        out[i,j] = acc[0]                              serial j tile, i tile:
                                                           acc[0..96) = 0
                                                           serial k: 6 x 16 products, in registers
                                                           out[i tile, j tile] = acc

Which tile, and what is packed, a Plan says (plan.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from math import ceil

from ...backends.base import Machine
from ...expr import Array, Literal, Load, Var
from ...index import add, at_least, flatten, less, minimum, mod, mul, sub
from ..contraction import Contraction, by_factor, bytes_of, extent_of, factors
from ..ir import Accumulate, Alloc, Body, For, If, Stmt, Store, statements
from ..ir.rebuild import (
    nest,
    peel,
    rename_array,
    substitute_body,
    updates_in_place,
)
from ..lanes import split_lanes
from ..pack import pack
from ..tile import shift, split_loop, tile, unroll_innermost
from .plan import Plan
from .traffic import window

LONGEST_SUM = 64  # blocks whose sums are added one after another
GROUP = 16  # such blocks, or groups of them, that are added up first where there are more
A_SHARE = 1 / 2  # of the second cache for a block of the broadcast operand
B_SHARE = 1 / 2  # for a block of the other operand, where that leaves the last cache
ROWS_SHARE = 5 / 8  # of it for what a block of rows reads of that, and its partial sums
B_BYTES = 4 << 20  # of the last cache for the other operand, packed whole


def contract(c: Contraction, plan: Plan, machine: Machine) -> Body:
    """The contraction's loops by a plan: tasks, packed operands, blocks, and the tile.

    Requires: the plan is for this contraction. Ensures: parallel tasks outermost; vector and
    unroll loops innermost, for the later passes to widen and write out.

        tasks > loops of both factors > blocks of the sum > pack > blocks of the output > tile
    """
    body = c.body
    if plan.lanes is not None:
        body = _vectorize_sum(body, plan.width)
    if plan.sum_block is not None:
        body = _keep_partial_sums(body, _levels(plan.sum_block[1]))
    blocks: dict[Var, Var] = {}
    for t in reversed(plan.tiles):
        blocks[t.var], body = tile(body, t, overlap=not c.once)
    a, b = (c.b, c.a) if plan.swap else (c.a, c.b)
    tasks: list[Var] = []
    if plan.shared is not None and machine.cores > 1:
        # One task a core: whatever a task packs for itself is packed as few times as can be.
        whole = blocks.get(plan.shared, plan.shared)
        task, blocks[plan.shared], body = split_loop(whole, machine.cores, "t", body)
        tasks.append(task)
    groups = by_factor(c.outer, a, b)
    both, columns, rows = ([blocks.get(v, v) for v in group] for group in groups)
    inside = _in_blocks(body, columns, rows, plan, machine.l2_bytes)
    return nest(tasks, nest(both, inside), "parallel")


def _levels(count: int) -> int:
    """How many arrays of partial sums `count` blocks take: each but the last adds up groups of
    what is in the one before, as in cascade.py."""
    return 1 if count <= LONGEST_SUM else 1 + _levels(ceil(count / GROUP))


def _keep_partial_sums(body: Body, levels: int) -> Body:
    """Add each block's sums to `part`, and let the epilogue read that.

    acc = 0; sum loops; epilogue(acc)  ->  acc = 0; sum loops; part += acc;  epilogue(part)

    With more levels the parts are added to parts of parts, and the epilogue reads the last.
    """
    sums = next(n for n, s in enumerate(body) if isinstance(s, For) and _is_sum(s))
    after = sums + 1
    while after < len(body) and isinstance(body[after], Accumulate):
        after += 1  # the lanes' total
    (acc,) = {s.array for s in body[:sums] if isinstance(s, Alloc) and s.array.size == 1}
    parts = [Array("part" + "_of_part" * n, acc.dtype, 1, "local") for n in range(levels)]
    updates = [
        Accumulate(part, Literal(0), "sum", Load(term, Literal(0)))
        for term, part in pairwise((acc, *parts))
    ]
    epilogue = rename_array(body[after:], acc, parts[-1], lambda i: i)
    return (*map(Alloc, parts), *body[:after], *updates, *epilogue)


def _is_sum(stmt: For) -> bool:
    return stmt.kind == "serial"


# What is inside of what, the outermost first; inside of all are the tiles of columns and of rows.
# A block of rows is what the second cache holds for all columns, whether it is packed or not.
A_IN_BLOCKS = ("sums", "pack b", "blocks", "pack a")
# Where the second cache does not hold the partial sums, but the last one all of b: each block of
# rows is finished before the next.
ROWS_FINISHED = ("pack b", "blocks", "sums", "pack a")
# Where the second cache holds all of a, and not even the last one all of b, which may be many
# windows of little memory: blocks of columns, packed, that stay in the second.
B_IN_BLOCKS = ("sums", "pack a", "blocks", "pack b")


def _in_blocks(body: Body, columns: list[Var], rows: list[Var], plan: Plan, l2_bytes: int) -> Body:
    """Loops over blocks of the rows or columns and of the sum, operands packed outside of their
    reuse."""
    sums: list[Var] = []
    if plan.sum_block is not None:
        block, body = _in_sum_blocks(body, *plan.sum_block)
        sums.append(block)
    order, blocks, columns, rows, body = _blocks(body, columns, rows, sums, plan, l2_bytes)
    kept = [] if order is ROWS_FINISHED else blocks
    arrays, body = _with_partial_sums(body, [*kept, *columns, *rows])
    body = unroll_innermost(body)
    a, b = factors(body, plan.swap)
    body = nest([*columns, *rows], body)
    for level in reversed(order):
        match level:
            case "sums":
                body = (*arrays, *nest(sums, body))
            case "blocks":
                body = nest(blocks, body)
            case "pack a" if plan.pack_a:
                body = pack(body, a, "panel_a", vectors=True)
            case "pack b" if plan.pack_b:
                body = pack(body, b, "panel_b")
    return body


def _blocks(
    body: Body, columns: list[Var], rows: list[Var], sums: list[Var], plan: Plan, l2_bytes: int
) -> tuple[tuple[str, ...], list[Var], list[Var], list[Var], Body]:
    """One of the orders above; the loops over its blocks, those over columns and rows inside of
    them, and the body with these."""
    once = updates_in_place(body)
    # of the first level: the others are seldom touched
    partial_bytes = sum(s.array.size * s.array.dtype.itemsize for s in _partial_sums(body)[:1])
    a, b = factors(body, plan.swap)
    inner = _sizes_inside(body)

    def bytes_of_rows(loops: Sequence[Var]) -> int:
        return window(a, plan.pack_a, {v: v.extent for v in (*loops, *inner)})

    def with_partial_sums(loops: Sequence[Var]) -> int:
        return bytes_of_rows(loops) + partial_bytes * extent_of([*columns, *loops])

    def bytes_of_columns(loops: Sequence[Var]) -> int:
        return bytes_of(b, [*loops, *inner])

    too_many = partial_bytes * extent_of([*columns, *rows]) > ROWS_SHARE * l2_bytes
    if too_many and bytes_of_columns([*columns, *sums]) <= B_BYTES:
        blocks, rows, body = _fitting(rows, with_partial_sums, ROWS_SHARE * l2_bytes, once, body)
        return ROWS_FINISHED, blocks, columns, rows, body
    blocks = []
    if plan.pack_a or extent_of(columns) > 1:
        blocks, rows, body = _fitting(rows, bytes_of_rows, A_SHARE * l2_bytes, once, body)
    if plan.pack_b and not blocks and bytes_of_columns(columns) > B_BYTES:
        limit = B_SHARE * l2_bytes
        blocks, columns, body = _fitting(columns, bytes_of_columns, limit, once, body)
        return B_IN_BLOCKS, blocks, columns, rows, body
    return A_IN_BLOCKS, blocks, columns, rows, body


def _partial_sums(body: Body) -> list[Alloc]:
    """The arrays of a tile's partial sums, a level each; none where a sum is not in blocks."""
    return [s for s in body if isinstance(s, Alloc) and s.array.scope == "local"]


def _fitting(
    loops: Sequence[Var],
    size_of: Callable[[Sequence[Var]], int],
    limit: float,
    evenly: bool,
    body: Body,
) -> tuple[list[Var], list[Var], Body]:
    """Loops to take outside, and those that are left, so that what the latter have fits: whole
    loops, then a part of one. `evenly`: no two parts may overlap."""
    blocks, inside = [], list(loops)
    while len(inside) > 1 and size_of(inside) > limit:
        blocks.append(inside.pop(0))
    if inside and size_of(inside) > limit:
        extent = inside[0].extent
        count = min(ceil(size_of(inside) / limit), extent)
        if evenly:
            count = next(n for n in range(count, extent + 1) if extent % n == 0)
        block, inside[0], body = split_loop(inside[0], count, "s", body)
        blocks.append(block)
    return blocks, inside, body


def _in_sum_blocks(body: Body, var: Var, count: int) -> tuple[Var, Body]:
    """One block of the sum, and the variable that counts them.

    part += acc;  epilogue(part)
    ->  if first block: part = acc  else: part += acc;  if last block: epilogue(part)

    With more levels, "first" and "last" are those of a group, but for the last level.
    """
    parts = [alloc.array for alloc in _partial_sums(body)]
    sums = next(n for n, s in enumerate(body) if isinstance(s, For) and _is_sum(s))
    updates = [next(n for n, s in enumerate(body) if _accumulates(s, part)) for part in parts]
    block, inside = _split_sum(body[sums], var, count)
    rest: Body = body[updates[-1] + 1 :]
    for level in reversed(range(len(parts))):
        update, size = body[updates[level]], GROUP**level
        group = GROUP * size if level < len(parts) - 1 else block.extent
        within = mod(block, group)
        end = minimum(add(sub(block, within), group), Literal(block.extent))
        rest = (
            If(less(within, size), (_stored(update),), (update,)),
            If(at_least(add(block, 1), end), rest),
        )
    return block, (
        *body[:sums],
        *inside,
        *body[sums + 1 : updates[0]],
        *rest,
    )


def _with_partial_sums(body: Body, loops: Sequence[Var]) -> tuple[Body, Body]:
    """The array for the partial sums of all iterations of the loops, and the body that uses it."""
    arrays: list[Stmt] = []
    for alloc in _partial_sums(body):
        old = alloc.array
        new = replace(old, size=old.size * extent_of(loops))
        position = mul(flatten(loops, [v.extent for v in loops]), old.size)
        body = tuple(s for s in body if s is not alloc)
        body = rename_array(body, old, new, partial(shift, offset=position))
        arrays.append(Alloc(new))
    return tuple(arrays), body


def _stored(stmt: Stmt) -> Stmt:
    """A statement that stores what `stmt` accumulates."""
    if isinstance(stmt, For):
        return replace(stmt, body=tuple(map(_stored, stmt.body)))
    assert isinstance(stmt, Accumulate)
    return Store(stmt.array, stmt.index, stmt.value, stmt.guard)


def _accumulates(stmt: Stmt, array: Array) -> bool:
    return any(isinstance(s, Accumulate) and s.array == array for s in statements((stmt,)))


def _split_sum(sums: Stmt, var: Var, count: int) -> tuple[Var, Body]:
    """Take a loop, or `count` blocks of it, out of the nest of sum loops."""
    loops, inside = peel((sums,))
    others = [loop for loop in loops if loop.var is not var]
    if count == var.extent:
        block, body = var, inside
    else:
        size = var.extent // count
        block, part = Var(f"{var.name}_c", count), Var(f"{var.name}_d", size)
        body = substitute_body(inside, {var: add(mul(block, size), part)})
        kept = next(loop for loop in loops if loop.var is var)
        others.insert(loops.index(kept), replace(kept, var=part, extent=size))
    for loop in reversed(others):
        body = (replace(loop, body=body),)
    return block, body


def _sizes_inside(body: Body) -> list[Var]:
    return list(dict.fromkeys(s.var for s in statements(body) if isinstance(s, For)))


def _vectorize_sum(body: Body, width: int) -> Body:
    """The sum loops vectorized along the innermost one, a vector of sums for each output."""
    result: list[Stmt] = []
    for stmt in body:
        if isinstance(stmt, For):
            loops, inside = peel((stmt,))
            result.extend(split_lanes([loop.var for loop in loops], inside, width, 1))
        else:
            result.append(stmt)
    return tuple(result)

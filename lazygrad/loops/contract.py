"""A contraction's loops: a tile of sums in registers, operands packed where that pays.

    serial i: serial j:                        parallel blocks of j:
        acc[0] = 0                                 local panel of b
        serial k: acc[0] += a[i,k] * b[k,j]  ->    serial blocks of i: local panel of a
        out[i,j] = acc[0]                              serial j tile, i tile:
                                                           acc[0..96) = 0
                                                           serial k: 6 x 16 products, in registers
                                                           out[i tile, j tile] = acc

Which tile, and what is packed, a Plan says (contraction.py).
"""

from __future__ import annotations

from dataclasses import replace

from ..expr import Array, Literal, Load, Var
from ..index import add, all_of, at_least, flatten, less, minimum, mul
from .contraction import Contraction, Plan, by_factor, extent_of, factors, shared_loop
from .ir import Accumulate, Alloc, Body, For, If, Stmt, Store, statements
from .lanes import split_lanes
from .pack import pack
from .rebuild import (
    nest,
    peel,
    rename_array,
    substitute_body,
    updates_in_place,
    variables,
)
from .tile import shift, split_loop, tile, unroll_innermost

A_BLOCK_BYTES = 192 << 10  # the packed block of the broadcast operand: most of a second cache
B_BLOCK_BYTES = 4 << 20  # the packed part of the other: it streams from the last cache


def contract(c: Contraction, plan: Plan, cores: int) -> Body:
    """The contraction's loops by a plan: tasks, packed operands, blocks, and the tile.

    Requires: the plan is for this contraction. Ensures: parallel tasks outermost; vector and
    unroll loops innermost, for the later passes to widen and write out.

        tasks > loops of both factors > blocks of the sum > pack > blocks of the output > tile
    """
    body = c.body
    if plan.lanes is not None:
        body = _vectorize_sum(body, plan.width)
    if plan.sum_block is not None:
        body = _keep_partial_sums(body)
    blocks: dict[Var, Var] = {}
    for t in reversed(plan.tiles):
        blocks[t.var], body = tile(body, t, overlap=not c.once)
    a, b = (c.b, c.a) if plan.swap else (c.a, c.b)
    groups = [[blocks.get(v, v) for v in group] for group in by_factor(c.outer, a, b)]
    task, (both, columns, rows), body = _split_tasks(groups, body, cores, c.once)
    if plan.sum_block is None:
        inside = _packed(unroll_innermost(body), columns, rows, plan)
    else:
        inside = _by_sum_blocks(body, columns, rows, plan)
    return nest(task, nest(both, inside), "parallel")


def _keep_partial_sums(body: Body) -> Body:
    """Add each block's sums to `part`, and let the epilogue read that.

    acc = 0; sum loops; epilogue(acc)  ->  acc = 0; sum loops; part += acc;  epilogue(part)
    """
    (sums,) = (n for n, s in enumerate(body) if isinstance(s, For) and _is_sum(s))
    after = sums + 1
    while after < len(body) and isinstance(body[after], Accumulate):
        after += 1  # the lanes' total
    (acc,) = {s.array for s in body[:sums] if isinstance(s, Alloc) and s.array.size == 1}
    part = Array("part", acc.dtype, 1, "local")
    update = Accumulate(part, Literal(0), "sum", Load(acc, Literal(0)))
    epilogue = rename_array(body[after:], acc, part, lambda i: i)
    return (Alloc(part), *body[:after], update, *epilogue)


def _is_sum(stmt: For) -> bool:
    return stmt.kind == "serial"


def _by_sum_blocks(body: Body, columns: list[Var], rows: list[Var], plan: Plan) -> Body:
    """Loop over blocks of the sum outside of the output's blocks, so that what a block of the sum
    reads stays in the cache for all of them; the partial sums of all of them are in `part`.

    part += acc;  epilogue(part)
    ->  if first block: part = acc  else: part += acc;  if last block: epilogue(part)
    """
    assert plan.sum_block is not None
    assert isinstance(body[0], Alloc)
    old = body[0].array
    loops = [*columns, *rows]
    part = Array(old.name, old.dtype, old.size * extent_of(loops), old.scope)
    position = mul(flatten(loops, [v.extent for v in loops]), old.size)
    body = rename_array(body, old, part, lambda i: shift(i, position))
    (sums,) = (n for n, s in enumerate(body) if isinstance(s, For) and _is_sum(s))
    (update,) = (n for n, s in enumerate(body) if _accumulates(s, part))
    block, inside = _split_sum(body[sums], *plan.sum_block)
    tile = (
        *body[1:sums],
        *inside,
        *body[sums + 1 : update],
        If(less(block, 1), (_stored(body[update]),), (body[update],)),
        If(at_least(block, block.extent - 1), body[update + 1 :]),
    )
    tiles = _packed(unroll_innermost(tile), columns, rows, plan)
    return (Alloc(part), *nest([block], tiles))


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


def _packed(body: Body, columns: list[Var], rows: list[Var], plan: Plan) -> Body:
    """Loops over blocks of columns and rows, with the operands packed outside of their reuse."""
    a, b = factors(body, plan.swap)
    inner = _sizes_inside(body)

    def a_bytes(loops: list[Var]) -> int:
        return 4 * extent_of([v for v in (*loops, *inner) if v in variables(a)])

    pack_a = plan.pack_a and a_bytes(rows) <= 2 * A_BLOCK_BYTES
    if not plan.pack_b:
        body = nest([*columns, *rows], body)
        return pack(body, a, "panel_a") if pack_a else body
    outside: list[Var] = []
    inside = list(columns)
    while len(inside) > 1 and 4 * extent_of([*inside, *inner]) > B_BLOCK_BYTES:
        outside.append(inside.pop(0))
    if pack_a or not plan.pack_a:
        body = nest(outside, pack(nest([*inside, *rows], body), b, "panel_b"))
        return pack(body, a, "panel_a") if pack_a else body
    row_blocks: list[Var] = []
    part = list(rows)
    while len(part) > 1 and a_bytes(part) > A_BLOCK_BYTES:
        row_blocks.append(part.pop(0))
    if a_bytes(part) > 2 * A_BLOCK_BYTES:
        extent = part[0].extent
        count = -(-extent // max(1, A_BLOCK_BYTES * extent // a_bytes(part)))
        if updates_in_place(body):
            count = next(n for n in range(count, extent + 1) if extent % n == 0)
        blocks, part[0], body = split_loop(part[0], count, "s", body)
        body = _add_once(body, blocks, part[0], extent)
        row_blocks.append(blocks)
        a, b = factors(body, plan.swap)
    body = pack(nest([*inside, *part], body), a, "panel_a")
    return nest(outside, pack(nest(row_blocks, body), b, "panel_b"))


def _add_once(body: Body, blocks: Var, part: Var, extent: int) -> Body:
    """Where the last of a loop's blocks overlaps the one before, what is added to memory outside
    of registers is added by one of them only."""
    size = part.extent
    if extent % size == 0:
        return body
    start = minimum(mul(blocks, size), Literal(extent - size))
    first = at_least(add(start, part), mul(blocks, size))

    def once(stmt: Stmt) -> Stmt:
        if isinstance(stmt, For):
            return replace(stmt, body=tuple(map(once, stmt.body)))
        if isinstance(stmt, If):
            return replace(stmt, otherwise=tuple(map(once, stmt.otherwise)))
        if isinstance(stmt, Accumulate) and stmt.array.scope != "register":
            guards = () if stmt.guard is None else (stmt.guard,)
            return replace(stmt, guard=all_of((*guards, first)))
        return stmt

    return tuple(map(once, body))


def _sizes_inside(body: Body) -> list[Var]:
    return list(dict.fromkeys(s.var for s in statements(body) if isinstance(s, For)))


def _split_tasks(
    groups: list[list[Var]], body: Body, cores: int, evenly: bool
) -> tuple[list[Var], list[list[Var]], Body]:
    """Share one loop among the threads.

    One task a core: whatever a task packs for itself is packed as few times as can be.
    """
    if cores == 1:
        return [], groups, body
    chosen = shared_loop({v: v.extent for group in groups for v in group}, cores, evenly)
    if chosen is None:
        return [], groups, body
    task, part, body = split_loop(chosen, cores, "t", body)
    return [task], [[part if v is chosen else v for v in group] for group in groups], body


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

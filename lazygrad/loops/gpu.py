"""Give a kernel's loops to a GPU's work-groups and work-items.

    map           a work-item an element, neighbours side by side in memory
    rows          a work-item a row where rows are contiguous across (column sums, pooling), else
                  a group a row: items sum every n-th element, then a tree in local memory
    contraction   a group a block of the output, an item a register tile in it; both factors go
                  through local memory, a slice of the sum at a time

The tools are those of the CPU: merge, tile (the register tile), unroll; a local-memory tile is what
a packed panel is on a CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..expr import Array, Expr, Literal, Load, Op, Var, rewrite
from ..index import add, all_of, floordiv, less, mod, mul
from .contraction import Contraction, factors, operand_stride
from .ir import Accumulate, Alloc, Barrier, Body, For, If, Stmt, Store, statements
from .lower import identity
from .merge import merge, merge_all
from .rebuild import body_loads, nest, peel, rename_array, substitute_body, variables
from .rows import is_independent, plan_rows
from .tile import sink

ITEMS = 256  # work-items a group
ROW_ITEMS = 32  # rows of fewer elements share a group


def spread_rows(loops: list[Var], body: Body, group_limit: int) -> tuple[Body, str]:
    """Maps, rows, scatters: one work-item an outer position, or a group a row.

    Requires: the outer loops of a lowered kernel and what stands inside. Ensures: workgroup loops
    outermost, workitem loops inside.
    """
    items = min(ITEMS, group_limit)
    plan = plan_rows(loops, body, 128)
    if plan.along == "inner":
        return _group_rows(loops, body, items), f"{items} items share rows"
    return spread_elements(loops, body, group_limit)


def spread_elements(loops: list[Var], body: Body, group_limit: int) -> tuple[Body, str]:
    """One work-item an outer position, whatever it does inside."""
    items = min(ITEMS, group_limit)
    return _item_rows(loops, body, items), f"a work-item each position, {items} a group"


def _item_rows(loops: list[Var], body: Body, items: int) -> Body:
    if not loops:
        one = Var("one", 1)
        return (For(one, 1, "workgroup", (For(Var("item", 1), 1, "workitem", body),)),)
    position, body = merge_all(loops, body)
    group = Var("group", -(-position.extent // items))
    item = Var("item", items)
    index = add(mul(group, items), item)
    body = substitute_body(body, {position: index})
    inside = less(index, position.extent)
    if position.extent % items:
        body = (If(inside, body),)
    return (For(group, group.extent, "workgroup", (For(item, items, "workitem", body),)),)


# --------------------------------------------------------------------------- rows


def _group_rows(loops: list[Var], body: Body, items: int) -> Body:
    """`rows` rows a group, `across` items for each."""
    longest = max((_length(s) for s in body if isinstance(s, For)), default=1)
    across = 1
    while across < items and across < longest:
        across *= 2
    rows = items // across
    position, body = merge_all(loops, body) if loops else (Var("row", 1), body)
    rows = min(rows, position.extent)
    group = Var("group", -(-position.extent // rows))
    row, item = Var("row_i", rows), Var("item", across)
    index = add(mul(group, rows), row)
    guard: Expr | None = None
    if position.extent % rows:
        guard = less(index, position.extent)
    body = substitute_body(body, {position: index})
    spread = _RowSpread(row, item, guard).spread(body)
    return (For(group, group.extent, "workgroup", spread),)


def _length(stmt: For) -> int:
    loops, _ = peel((stmt,))
    length = 1
    for loop in loops:
        length *= loop.var.extent
    return length


class _RowSpread:
    """Spreads a row's statements over items; private values stay with their item."""

    def __init__(self, row: Var, item: Var, guard: Expr | None) -> None:
        self.row, self.item, self.guard = row, item, guard

    def spread(self, body: Body) -> Body:
        """Loops are shared among the row's items; what is between them every item does for
        itself, what is after the last of them one item does."""
        allocs = tuple(s for s in body if isinstance(s, Alloc))
        result: list[Stmt] = []
        pending: list[Stmt] = []
        for stmt in body:
            if isinstance(stmt, Alloc):
                continue
            if isinstance(stmt, For):
                loops, inside = peel((stmt,))
                names, inside = merge([loop.var for loop in loops], inside)
                if names and is_independent(inside, names[-1]):
                    shared, totals = self._share(names, inside)
                    result += self._segment(result, [*pending, *shared])
                    pending = []
                    result += totals
                    continue
            pending.append(stmt)
        if pending and self.item.extent > 1:
            # Nothing follows that every item would have to know; and what this overwrites, no
            # other item still reads.
            pending = [If(less(self.item, 1), tuple(pending))]
        result += self._segment(result, pending)
        return (*allocs, *result)

    def _segment(self, before: Sequence[Stmt], body: Sequence[Stmt]) -> list[Stmt]:
        """Statements for each item; they wait where they use what other items have written."""
        items = self._each_item(body)
        waits = not _written(before).isdisjoint(_used(items))
        return [Barrier(), *items] if waits else items

    def _each_item(self, body: Sequence[Stmt]) -> list[Stmt]:
        if not body:
            return []
        inside = tuple(_write_once(s, self.item) for s in body)
        if self.guard is not None:
            inside = (If(self.guard, inside),)
        items: Body = (For(self.item, self.item.extent, "workitem", inside),)
        return [For(self.row, self.row.extent, "workitem", items)]

    def _share(self, names: list[Var], inside: Body) -> tuple[list[Stmt], list[Stmt]]:
        """One nest: each item takes every n-th iteration; sums are combined in local memory."""
        *outer, k = names
        across = self.item.extent
        count = -(-k.extent // across)
        step = Var(f"{k.name}_o", count)
        index = add(mul(step, across), self.item)
        sums = {
            s.array: s.op
            for s in statements(inside)
            if isinstance(s, Accumulate) and s.array.scope == "register"
        }
        body = substitute_body(inside, {k: index})
        if k.extent % across:
            body = (If(less(index, k.extent), body),)
        shared = list(nest([*outer, step], body))
        totals: list[Stmt] = []
        for array, op in sums.items():
            totals += self._combine(array, op)
        return shared, totals

    def _combine(self, array: Array, op: str) -> list[Stmt]:
        """acc of every item  ->  their total, in every item: a tree in local memory."""
        across = self.item.extent
        local = Array(f"{array.name}_items", array.dtype, self.row.extent * across, "local")
        place = add(mul(self.row, across), self.item)
        zero = Literal(0)
        result: list[Stmt] = [Alloc(local)]
        result += self._all_items(Store(local, place, Load(array, zero)))
        width = across
        while width > 1:
            width //= 2
            half = Var(f"{self.item.name}_{width}", width)
            near = add(mul(self.row, across), half)
            add_far = Accumulate(local, near, op, Load(local, add(near, width)))
            result += [Barrier(), *self._loops(half, (add_far,))]
        total = Load(local, mul(self.row, across))
        return [*result, Barrier(), *self._all_items(Store(array, zero, total))]

    def _all_items(self, stmt: Stmt) -> list[Stmt]:
        return self._loops(self.item, (stmt,))

    def _loops(self, item: Var, body: Body) -> list[Stmt]:
        if item.extent != 1:
            body = (For(item, item.extent, "workitem", body),)
        else:
            body = (For(item, 1, "workitem", body),)
        return [For(self.row, self.row.extent, "workitem", body)]


def _write_once(stmt: Stmt, item: Var) -> Stmt:
    """A store that does not depend on the item is one item's to make."""
    match stmt:
        case For():
            return replace(stmt, body=tuple(_write_once(s, item) for s in stmt.body))
        case If(condition, body, otherwise):
            once = [tuple(_write_once(s, item) for s in part) for part in (body, otherwise)]
            return If(condition, *once)
        case Store(array, index) | Accumulate(array, index):
            if array.scope == "global" and item not in variables(index):
                return If(less(item, 1), (stmt,))
    return stmt


def _written(body: Sequence[Stmt]) -> set[Array]:
    """The global arrays that statements write."""
    return {
        s.array
        for s in statements(tuple(body))
        if isinstance(s, Store | Accumulate) and s.array.scope == "global"
    }


def _used(body: Sequence[Stmt]) -> set[Array]:
    """The global arrays that statements read or write."""
    return _written(body) | {load.array for load in body_loads(tuple(body))}


# --------------------------------------------------------------------------- contractions


def spread_contraction(c: Contraction, group_limit: int) -> tuple[Body, str]:
    """A block of the output a group, a register tile an item, both factors by local memory.

    The output's loops are merged to (batch, m, n) and the summed ones to k, so that a convolution
    is the same as a matrix product: its windows are in the index of the loads that fill the tiles.
    """
    in_a, in_b = variables(c.a), variables(c.b)
    m_loops = [v for v in c.outer if v in in_a and v not in in_b]
    n_loops = [v for v in c.outer if v not in in_a]
    both = [v for v in c.outer if v in in_a and v in in_b]
    body = c.body
    m, body = _merged(m_loops, "m", body)
    n, body = _merged(n_loops, "n", body)
    batch, body = _merged(both, "batch", body)
    tile_m, tile_n, items_m, items_n, depth = _block(m.extent, n.extent, group_limit)
    return _blocks(body, c, (batch, m, n), (tile_m, tile_n), (items_m, items_n), depth)


def _merged(loops: list[Var], name: str, body: Body) -> tuple[Var, Body]:
    if not loops:
        return Var(name, 1), body
    joined, body = merge_all(loops, body)
    renamed = Var(name, joined.extent)
    return renamed, substitute_body(body, {joined: renamed})


def _block(m: int, n: int, group_limit: int) -> tuple[int, int, int, int, int]:
    """(tile m, tile n, items m, items n, depth): the largest block that still fills a GPU."""
    items = 16 if group_limit >= 256 else 8
    for size in (8, 4, 2):
        block = size * items
        if m >= block // 2 and n >= block // 2 and (m // block + 1) * (n // block + 1) >= 64:
            return size, size, items, items, 8 if size == 8 else 16
    size_m = 1 if m < 2 * items else 2
    size_n = 1 if n < 2 * items else 2
    return size_m, size_n, items, items, 16


def _blocks(
    body: Body,
    c: Contraction,
    loops: tuple[Var, Var, Var],
    tiles: tuple[int, int],
    items: tuple[int, int],
    depth: int,
) -> tuple[Body, str]:
    batch, m, n = loops
    (sums,) = (s for s in body if isinstance(s, For))
    at = body.index(sums)
    inner, inside = peel((sums,))
    k, update = merge_all([loop.var for loop in inner], inside)
    (acc,) = {s.array for s in statements(update) if isinstance(s, Accumulate)}
    a, b = factors(update, swap=False)
    block_m, block_n = tiles[0] * items[0], tiles[1] * items[1]
    group_m = Var("group_m", -(-m.extent // block_m))
    group_n = Var("group_n", -(-n.extent // block_n))
    item = Var("item", items[0] * items[1])
    item_m, item_n = floordiv(item, items[1]), mod(item, items[1])
    step = Var("k_o", -(-k.extent // depth))
    part = Var("k_i", depth)
    count = item.extent

    def filled(e: Expr, array: Array, axis: Var, group: Var, block: int) -> list[Stmt]:
        """Fill array[k_i, 0 .. block) with e: neighbouring items, neighbouring elements."""
        total = block * depth
        turn = Var(f"{axis.name}_f", -(-total // count))
        position = add(mul(turn, count), item)
        along, across = mod(position, block), floordiv(position, block)
        if _steps_faster(e, k, axis):
            along, across = floordiv(position, depth), mod(position, depth)
        axis_index = add(mul(group, block), along)
        k_index = add(mul(step, depth), across)
        value = substitute_body((Store(array, Literal(0), e),), {axis: axis_index, k: k_index})[0]
        assert isinstance(value, Store)
        inside = all_of((less(axis_index, axis.extent), less(k_index, k.extent)))
        loaded = value.value
        if inside is not None:
            loaded = _guard_all(loaded, inside)
        place = add(mul(across, block + PADDING), along)
        store: Body = (Store(array, place, loaded),)
        if total % count:
            store = (If(less(position, total), store),)
        return [For(item, count, "workitem", nest([turn], store, "unroll"))]

    tile_a = Array("tile_a", a.dtype, depth * (block_m + PADDING), "local")
    tile_b = Array("tile_b", b.dtype, depth * (block_n + PADDING), "local")
    row, column = Var("row", tiles[0]), Var("column", tiles[1])
    m_inside = add(item_m, mul(row, items[0]))
    n_inside = add(item_n, mul(column, items[1]))
    register = Array(acc.name, acc.dtype, tiles[0] * tiles[1], "register")
    position = add(mul(row, tiles[1]), column)
    product = Op(
        "mul",
        (
            Load(tile_a, add(mul(part, block_m + PADDING), m_inside)),
            Load(tile_b, add(mul(part, block_n + PADDING), n_inside)),
        ),
    )
    multiply = Accumulate(register, position, "sum", product)
    compute: Body = (For(part, depth, "serial", nest([row, column], (multiply,), "unroll")),)
    zero = Store(register, position, identity("sum", acc.dtype))
    values: dict[Expr, Expr] = {
        m: add(mul(group_m, block_m), m_inside),
        n: add(mul(group_n, block_n), n_inside),
    }
    epilogue = rename_array(body[at + 1 :], acc, register, lambda _: position)
    epilogue = substitute_body(epilogue, values)
    within = all_of((less(values[m], m.extent), less(values[n], n.extent)))
    if within is not None:
        epilogue = nest([row, column], (If(within, epilogue),), "unroll")
    else:
        epilogue = sink(sink(epilogue, column, "unroll"), row, "unroll")

    def every_item(body: Body) -> For:
        return For(item, count, "workitem", body)

    slices: Body = (
        *filled(a, tile_a, m, group_m, block_m),
        *filled(b, tile_b, n, group_n, block_n),
        Barrier(),
        every_item(compute),
        Barrier(),
    )
    group_body: Body = (
        Alloc(tile_a),
        Alloc(tile_b),
        Alloc(register),
        every_item(nest([row, column], (zero,), "unroll")),
        For(step, step.extent, "serial", slices),
        every_item(epilogue),
    )
    groups = nest([batch, group_m, group_n], group_body, "workgroup") or group_body
    if groups is group_body:
        groups = (For(Var("group", 1), 1, "workgroup", group_body),)
    reason = f"{block_m} x {block_n} a group, {tiles[0]} x {tiles[1]} an item, {depth} deep"
    return groups, reason


PADDING = 1  # elements after each row of a local tile, so that a column spreads over the banks


def _steps_faster(e: Expr, k: Var, axis: Var) -> bool:
    """Whether neighbouring k are nearer in memory than neighbouring elements of the other axis."""
    by_k, by_axis = operand_stride(e, k), operand_stride(e, axis)
    return by_k == 1 and by_axis != 1


def _guard_all(e: Expr, condition: Expr) -> Expr:
    def change(x: Expr) -> Expr | None:
        if isinstance(x, Load):
            old = () if x.guard is None else (x.guard,)
            return Load(x.array, x.index, all_of((*old, condition)))
        return None

    return rewrite(e, change)

"""A contraction's loops: a tile of sums in registers, operands packed where that pays.

    serial i: serial j:                        parallel blocks of j:
        acc[0] = 0                                 local panel of b
        serial k: acc[0] += a[i,k] * b[k,j]  ->    serial blocks of i: local panel of a
        out[i,j] = acc[0]                              serial j tile, i tile:
                                                           acc[0..96) = 0
                                                           serial k: 6 x 16 products, in registers
                                                           out[i tile, j tile] = acc

`plan_contraction` chooses, by counting what the tile costs; `contract` carries it out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

from ..expr import Array, Cast, Expr, Literal, Load, Op, Var
from ..index import add, all_of, at_least, flatten, linear, minimum, mul
from .ir import Accumulate, Alloc, Body, For, Stmt, Store, statements
from .lanes import split_lanes
from .pack import pack
from .rebuild import loads, nest, peel, rename_array, substitute_body, variables
from .tile import Tile, block_count, shift, tile

PACK_BYTES = 32 << 10  # an operand that is smaller stays in the first cache by itself
A_BLOCK_BYTES = 192 << 10  # the packed block of the broadcast operand: most of a second cache
B_BLOCK_BYTES = 4 << 20  # the packed part of the other: it streams from the last cache
SUM_BLOCK_BYTES = 1 << 20  # factors that are smaller stay in the caches anyway
SUM_BLOCK_LENGTH = 512  # terms of a sum between two visits to its partial result
UNROLL_WHOLE = 7  # sum loops up to so long are written out, longer ones by four
UNROLL_BY = 4


@dataclass(frozen=True)
class Contraction:
    """The parts of a lowered contraction."""

    outer: tuple[Var, ...]
    inner: tuple[Var, ...]  # the summed loops
    a: Expr  # the factor whose elements are broadcast
    b: Expr  # the factor whose elements fill vectors
    body: Body  # accumulator, sum loops, epilogue


@dataclass(frozen=True)
class Plan:
    """How to compute a contraction."""

    tiles: tuple[Tile, ...]  # outermost first; a vector tile last
    lanes: Var | None  # a summed loop to vectorize, instead of an outer one
    width: int
    swap: bool  # the second factor is the one to broadcast
    pack_a: bool
    pack_b: bool
    sum_block: tuple[Var, int] | None  # a summed loop to take outside, in so many blocks
    cost: float  # cycles a useful vector multiply-add
    reason: str


def recognise(body: Body) -> Contraction | None:
    """The parts of a contraction; None where a body is not of that form."""
    outer, inside = peel(body)
    sums = [s for s in inside if isinstance(s, For)]
    if len(sums) != 1:
        return None
    inner, update = peel((sums[0],))
    if len(update) != 1 or not isinstance(update[0], Accumulate) or update[0].guard is not None:
        return None
    value = update[0].value
    while isinstance(value, Cast):
        value = value.x
    if not (isinstance(value, Op) and value.op == "mul"):
        return None
    a, b = value.args
    at = inside.index(sums[0])
    loops = sorted((loop.var for loop in inner), key=lambda v: -_reach(v, a, b))
    body = (*inside[:at], *nest(loops, update), *inside[at + 1 :])
    return Contraction(tuple(loop.var for loop in outer), tuple(loops), a, b, body)


def _reach(var: Var, a: Expr, b: Expr) -> int:
    """How far apart a summed loop's terms lie: those that are near go innermost."""
    return max(abs(operand_stride(e, var) or 0) for e in (a, b))


# --------------------------------------------------------------------------- choosing


def stride(index: Expr, var: Var) -> int | None:
    """How far an index moves for a step of var; None where that varies."""
    step = 0
    for atom, k in linear(index)[1]:
        if atom is var:
            step = k
        elif var in variables(atom):
            return None
    return step


def operand_stride(e: Expr, var: Var) -> int | None:
    steps = {stride(load.index, var) for load in loads(e)}
    return steps.pop() if len(steps) == 1 else (0 if not steps else None)


def plan_contraction(c: Contraction, lanes: int, registers: int) -> Plan | None:
    """The cheapest tile, by counting loads, idle lanes and packing; None if there is none."""
    plans = [*_outer_plans(c, lanes, registers), *_lane_plans(c, lanes, registers)]
    return min(plans, key=lambda p: p.cost, default=None)


def _outer_plans(c: Contraction, lanes: int, registers: int) -> list[Plan]:
    """Plans whose vectors run along an outer loop that is contiguous in the output."""
    stores = [s for s in statements(c.body) if isinstance(s, Store) and s.array.scope == "global"]
    plans = []
    sum_block = _sum_block(c)
    for x in c.outer:
        scattered = sum(stride(s.index, x) != 1 for s in stores)
        if scattered == len(stores) or x.extent < lanes // 2:
            continue
        swap = x not in variables(c.b)
        a, b = (c.b, c.a) if swap else (c.a, c.b)
        if x in variables(a):
            continue
        only_a = [v for v in c.outer if v in variables(a) and v not in variables(b)]
        only_b = [v for v in c.outer if v in variables(b) and v not in variables(a) and v is not x]
        contiguous = operand_stride(b, x) == 1
        reuse = _extent(only_a)
        inner = c.inner[-1]
        step = operand_stride(b, inner)
        pack_b = not contiguous or (
            step is not None
            and abs(step) >= lanes
            and not _slides(b, [*only_b, x], c.inner)
            and _distinct(b, c) * 4 > PACK_BYTES
            and reuse >= 4 * 6
        )
        for copies, rows, other, count in _tile_sizes(only_a, only_b, registers):
            size = lanes * copies
            if size > _round_up(x.extent, lanes):
                continue
            vector = Tile(x, size, lanes)
            tiles = [Tile(v, n) for v, n in (rows, (other, count)) if v]
            tiles.append(vector)
            useful = 1.0
            for t in tiles:
                useful *= t.var.extent / (block_count(t) * t.size)
            products = copies * rows[1] * count
            loaded = float(count)
            if other and inner.extent <= UNROLL_WHOLE and operand_stride(b, other) == step:
                # windows overlap: what one place loads serves its neighbour in the next term
                loaded = (count + inner.extent - 1) / inner.extent
            cycles = _cycles(products, rows[1] + copies * loaded)
            cost = cycles / products / useful
            if pack_b:
                cost += (0.15 if contiguous else 1.2) * lanes / max(reuse, 1)
            elif not contiguous:
                cost += lanes
            cost += scattered * lanes / _extent(c.inner)  # an element at a time
            pack_a = _extent(only_b) * x.extent >= 8 * size and rows[0] is not None
            reason = f"{' x '.join(f'{t.var.name}:{t.size}' for t in tiles)} sums in registers"
            plans.append(
                Plan(tuple(tiles), None, lanes, swap, pack_a, pack_b, sum_block, cost, reason)
            )
    return plans


def _slides(e: Expr, outer: Sequence[Var], inner: Sequence[Var]) -> bool:
    """Whether e looks at overlapping windows: then a copy would be several times its size."""
    steps = {operand_stride(e, k) for k in inner} - {0, None}
    return any(operand_stride(e, v) in steps for v in outer)


def _lane_plans(c: Contraction, lanes: int, registers: int) -> list[Plan]:
    """Plans whose vectors run along a summed loop that is contiguous in both factors."""
    plans = []
    k = c.inner[-1]
    if operand_stride(c.a, k) != 1 or operand_stride(c.b, k) != 1 or k.extent < lanes // 2:
        return []
    only_a = [v for v in c.outer if v in variables(c.a) and v not in variables(c.b)]
    only_b = [v for v in c.outer if v in variables(c.b) and v not in variables(c.a)]
    sum_block = _sum_block(c)
    whole = _extent(c.inner) // (sum_block[1] if sum_block else 1)
    for v, w in product(only_a, only_b):
        for rows, columns in product(range(1, 9), range(1, 9)):
            products = rows * columns
            if products > registers - 4 or rows > v.extent or columns > w.extent:
                continue
            tiles = (Tile(v, rows), Tile(w, columns))
            useful = k.extent / _round_up(k.extent, lanes)
            for t in tiles:
                useful *= t.var.extent / (block_count(t) * t.size)
            cycles = _cycles(products, rows + columns)
            cost = cycles / products / useful + 8.0 * lanes / whole
            reason = f"{v.name}:{rows} x {w.name}:{columns} sums, {lanes} lanes of {k.name} each"
            plans.append(Plan(tiles, k, lanes, False, False, False, sum_block, cost, reason))
    return plans


def _tile_sizes(
    only_a: Sequence[Var], only_b: Sequence[Var], registers: int
) -> list[tuple[int, tuple[Var | None, int], Var | None, int]]:
    """(vectors, (row loop, rows), (other loop of b, count)) that fit in the registers."""
    rows: list[tuple[Var | None, int]]
    rows = [(v, n) for v in only_a for n in range(1, min(v.extent, 14) + 1)] or [(None, 1)]
    others: list[tuple[Var | None, int]] = [(None, 1)]
    others += [(v, n) for v in only_b for n in range(2, min(v.extent, 6) + 1)]
    sizes = []
    for copies, row, (other, count) in product(range(1, 5), rows, others):
        # accumulators, the vectors of b, and one broadcast element
        if copies * row[1] * count + copies * count + 1 <= registers:
            sizes.append((copies, row, other, count))
    return sizes


def _cycles(products: int, loaded: float) -> float:
    """Cycles for one step of a tile: two multiply-adds and two loads a cycle, eight in flight."""
    return max(products / 2, loaded / 2, 4.0) + 0.1 * loaded


def _sum_block(c: Contraction) -> tuple[Var, int] | None:
    """The summed loop to block, and into how many parts, where one pass reads too much.

    Taken outside of the output's loops, each part's share of both factors is read from memory
    once and then from the second cache by every tile.
    """
    nbytes = 4 * (_distinct(c.a, c) + _distinct(c.b, c))
    k = c.inner[0]
    if nbytes <= SUM_BLOCK_BYTES or _extent(c.inner) < 2 * SUM_BLOCK_LENGTH:
        return None
    rest = _extent(c.inner[1:])
    wanted = max(1, SUM_BLOCK_LENGTH // rest)
    counts = [n for n in range(1, k.extent + 1) if k.extent % n == 0 and k.extent // n <= wanted]
    return (k, counts[0]) if counts and counts[0] > 1 else None


def _extent(loops: Sequence[Var]) -> int:
    result = 1
    for v in loops:
        result *= v.extent
    return result


def _distinct(e: Expr, c: Contraction) -> int:
    return _extent([v for v in (*c.outer, *c.inner) if v in variables(e)])


def _round_up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple


# --------------------------------------------------------------------------- carrying out


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
        blocks[t.var], body = tile(body, t, overlap=True)
    a, b = (c.b, c.a) if plan.swap else (c.a, c.b)
    in_a, in_b = variables(a), variables(b)
    both = [blocks.get(v, v) for v in c.outer if v in in_a and v in in_b]
    rows = [blocks.get(v, v) for v in c.outer if v in in_a and v not in in_b]
    columns = [blocks.get(v, v) for v in c.outer if v not in in_a]
    task, (both, columns, rows), body = _split_tasks([both, columns, rows], body, cores)
    if plan.sum_block is None:
        inside = _packed(_unroll_innermost(body), columns, rows, plan)
    else:
        inside = _by_sum_blocks(body, columns, rows, plan)
    return nest(task, nest(both, inside), "parallel")


def _keep_partial_sums(body: Body) -> Body:
    """Add each block's sums to `part`, and let the epilogue read that.

    acc = 0; sum loops; epilogue(acc)
    ->  part = 0;  acc = 0; sum loops; part += acc;  epilogue(part)
    """
    (sums,) = (n for n, s in enumerate(body) if isinstance(s, For) and _is_sum(s))
    after = sums + 1
    while after < len(body) and isinstance(body[after], Accumulate):
        after += 1  # the lanes' total
    (acc,) = {s.array for s in body[:sums] if isinstance(s, Alloc) and s.array.size == 1}
    part = Array("part", acc.dtype, 1, "local")
    zero = Store(part, Literal(0), Literal(0, acc.dtype))
    update = Accumulate(part, Literal(0), "sum", Load(acc, Literal(0)))
    epilogue = rename_array(body[after:], acc, part, lambda i: i)
    return (Alloc(part), zero, *body[:after], update, *epilogue)


def _is_sum(stmt: For) -> bool:
    return stmt.kind == "serial"


def _by_sum_blocks(body: Body, columns: list[Var], rows: list[Var], plan: Plan) -> Body:
    """Loop over blocks of the sum outside of the output's blocks, so that what a block of the sum
    reads stays in the cache for all of them; the partial sums of all of them are in `part`."""
    assert plan.sum_block is not None
    assert isinstance(body[0], Alloc)
    old = body[0].array
    loops = [*columns, *rows]
    part = Array(old.name, old.dtype, old.size * _extent(loops), old.scope)
    position = mul(flatten(loops, [v.extent for v in loops]), old.size)
    body = rename_array(body, old, part, lambda i: shift(i, position))
    zero = next(n for n, s in enumerate(body[1:], 1) if isinstance(s, Alloc))
    (sums,) = (n for n, s in enumerate(body) if isinstance(s, For) and _is_sum(s))
    last = max(n for n, s in enumerate(body) if _accumulates(s, part))
    block, inside = _split_sum(body[sums], *plan.sum_block)
    update = (*body[zero:sums], *inside, *body[sums + 1 : last + 1])
    tiles = _packed(_unroll_innermost(update), columns, rows, plan)
    return (
        Alloc(part),
        *nest(loops, body[1:zero]),
        *nest([block], tiles),
        *nest(loops, body[last + 1 :]),
    )


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
    a_bytes = 4 * _extent([v for v in (*rows, *inner) if v in variables(a)])
    pack_a = plan.pack_a and a_bytes <= 2 * A_BLOCK_BYTES
    if not plan.pack_b:
        body = nest([*columns, *rows], body)
        return pack(body, a, "panel_a") if pack_a else body
    outside: list[Var] = []
    inside = list(columns)
    while len(inside) > 1 and 4 * _extent([*inside, *inner]) > B_BLOCK_BYTES:
        outside.append(inside.pop(0))
    if pack_a or not plan.pack_a:
        body = nest(outside, pack(nest([*inside, *rows], body), b, "panel_b"))
        return pack(body, a, "panel_a") if pack_a else body
    count = max(1, A_BLOCK_BYTES * rows[-1].extent // a_bytes)
    row_blocks, part, body = _split(rows[-1], -(-rows[-1].extent // count), "s", body)
    body = _add_once(body, row_blocks, part, rows[-1].extent)
    a, b = factors(body, plan.swap)
    body = pack(nest([*inside, part], body), a, "panel_a")
    return nest(outside, pack(nest([*rows[:-1], row_blocks], body), b, "panel_b"))


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
        if isinstance(stmt, Accumulate) and stmt.array.scope != "register":
            guards = () if stmt.guard is None else (stmt.guard,)
            return replace(stmt, guard=all_of((*guards, first)))
        return stmt

    return tuple(map(once, body))


def _sizes_inside(body: Body) -> list[Var]:
    return list(dict.fromkeys(s.var for s in statements(body) if isinstance(s, For)))


def _split_tasks(
    groups: list[list[Var]], body: Body, cores: int
) -> tuple[list[Var], list[list[Var]], Body]:
    """Share one loop among the threads: the first that divides evenly enough, else the largest.

    One task a core: whatever a task packs for itself is packed as few times as can be.
    """
    if cores == 1:
        return [], groups, body
    loops = [v for group in groups for v in group if v.extent >= cores]
    if not loops:
        return [], groups, body
    even = [v for v in loops if _round_up(v.extent, cores) / v.extent <= 1.07]
    chosen = even[0] if even else max(loops, key=lambda v: v.extent)
    task, part, body = _split(chosen, cores, "t", body)
    return [task], [[part if v is chosen else v for v in group] for group in groups], body


def _split(var: Var, count: int, suffix: str, body: Body) -> tuple[Var, Var, Body]:
    """A loop in `count` parts; where they do not come out even, the last ones overlap."""
    size = -(-var.extent // count)
    part_number = Var(f"{var.name}_{suffix}", -(-var.extent // size))
    part = Var(f"{var.name}_b", size)
    start = mul(part_number, size)
    if var.extent % size:
        start = minimum(start, Literal(var.extent - size))
    return part_number, part, substitute_body(body, {var: add(start, part)})


def factors(body: Body, swap: bool) -> tuple[Expr, Expr]:
    for stmt in statements(body):
        if isinstance(stmt, Accumulate) and stmt.array.scope == "register":
            value = stmt.value
            while isinstance(value, Cast):
                value = value.x
            if isinstance(value, Op) and value.op == "mul":
                a, b = value.args
                return (b, a) if swap else (a, b)
    raise TypeError("no sum of products in the body")


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


def _unroll_innermost(body: Body) -> Body:
    """Write out the innermost sum loop, whole if it is short, else by four."""
    result: list[Stmt] = []
    for stmt in body:
        if isinstance(stmt, For) and stmt.kind == "serial":
            if any(isinstance(s, For) and s.kind == "serial" for s in stmt.body):
                stmt = replace(stmt, body=_unroll_innermost(stmt.body))
            elif stmt.var.extent <= UNROLL_WHOLE:
                stmt = replace(stmt, kind="unroll")
            elif stmt.var.extent % UNROLL_BY == 0:
                blocks, part, inside = _split(
                    stmt.var, stmt.var.extent // UNROLL_BY, "u", stmt.body
                )
                unrolled = For(part, part.extent, "unroll", inside)
                stmt = For(blocks, blocks.extent, "serial", (unrolled,))
        result.append(stmt)
    return tuple(result)

"""Load square blocks along their rows, and transpose them in registers.

    out[ramp(0, 1, 4)] = x[ramp(0, S, 4)]         row0 = x[ramp(0, 1, 4)]
    out[ramp(4, 1, 4)] = x[ramp(1, S, 4)]   ->    row1 = x[ramp(S, 1, 4)] ...
    out[ramp(8, 1, 4)] = x[ramp(2, S, 4)]         col0, col1, col2, col3 = zips of the rows
    out[ramp(12, 1, 4)] = x[ramp(3, S, 4)]        out[ramp(0, 1, 4)] = col0 ...

Sixteen elements, each loaded by itself, become four loads and eight shuffles.
"""

from __future__ import annotations

from ...expr import Array, Expr, Load, Local, Ramp, Var, Zip
from ...index import add, linear
from ...targets import SHUFFLE_BYTES
from ..ir import Accumulate, Alloc, Body, Let, Stmt, Store
from ..ir.rebuild import (
    Names,
    map_runs,
    names_in,
    reads,
    replace_expressions,
    stride,
    updates_in_place,
    written,
)

Family = tuple[Array, int, int, tuple[tuple[Expr, int], ...]]  # loads that differ by a constant


def transposable(body: Body, lane: Var, loops: list[Var], lanes: int) -> Var | None:
    """The loop to unroll by `lanes`, so that `transpose` finds square blocks to transpose.

    Every load that is strided along `lane`, the vector loop, is contiguous along it. None where no
    load is strided, or there is no such loop.
    """
    if not all(isinstance(stmt, (Alloc, Store)) for stmt in body):
        return None
    apart = [
        load
        for stmt in body
        for load in reads(stmt)
        if load.guard is None and abs(stride(load.index, lane) or 0) >= lanes
    ]
    once = updates_in_place(body)
    for var in reversed(loops):
        if var.extent < lanes or (once and var.extent % lanes):
            continue
        if apart and all(stride(x.index, var) == 1 for x in apart):
            return var
    return None


def transpose(body: Body) -> Body:
    """Replace strided loads that form square blocks by contiguous loads and shuffles.

    Requires: no vector or unroll loop is left. Ensures: the same values.
    """
    names = names_in(body, Local)
    return map_runs(body, (Store, Accumulate, Let), lambda run: _transposed(run, names))


def _transposed(stmts: list[Stmt], names: Names) -> list[Stmt]:
    """A sequence of statements with each whole block transposed before its first use."""
    changed = written(stmts)
    families: dict[Family, dict[int, Load]] = {}
    for load in (load for stmt in stmts for load in reads(stmt)):
        found = _family(load)
        if found is not None and load.array not in changed:
            families.setdefault(found[0], {})[found[1]] = load
    columns_of: dict[Expr, Expr] = {}
    before: dict[Load, list[Stmt]] = {}
    for (_, step, lanes, _), members in families.items():
        at = min(members)
        while at <= max(members):
            block = [members[n] for n in range(at, at + lanes) if n in members]
            if len(block) == lanes:
                lets, columns = _block(block, step, names)
                columns_of.update(zip(block, columns, strict=True))
                before.update(dict.fromkeys(block, lets))
            at = min((n for n in members if n >= at + lanes), default=max(members) + 1)
    if not columns_of:
        return stmts
    result: list[Stmt] = []
    done: set[int] = set()
    for stmt in stmts:
        for load in reads(stmt):
            lets = before.get(load, [])
            if lets and id(lets) not in done:
                done.add(id(lets))
                result += lets
        result += replace_expressions((stmt,), columns_of)
    return result


def _family(load: Load) -> tuple[Family, int] | None:
    """What the loads of a block have in common, and the constant by which this one differs; None
    for a load that cannot be in a block."""
    index = load.index
    if load.guard is not None or load.array.scope == "register" or not isinstance(index, Ramp):
        return None
    lanes = index.lanes
    if abs(index.stride) < lanes or lanes & (lanes - 1):
        return None
    if load.dtype.is_float and load.dtype.itemsize == 2:
        return None  # LLVM 22 mixes up the lanes where halves are widened and then shuffled
    constant, terms = linear(index.base)
    return (load.array, index.stride, lanes, terms), constant


def _block(block: list[Load], step: int, names: Names) -> tuple[list[Stmt], list[Local]]:
    """Statements that load a block along its rows and transpose it, and its columns' locals."""
    first, n = block[0], len(block)
    dtype = first.dtype
    assert isinstance(first.index, Ramp)
    lets: list[Stmt] = []

    def named(name: str, value: Expr) -> Local:
        local = Local(names.new(name), dtype, n)
        lets.append(Let(local, value))
        return local

    registers = [
        named(f"row{r}", Load(first.array, Ramp(add(first.index.base, r * step), 1, n)))
        for r in range(n)
    ]
    holds = [[(r, c) for c in range(n)] for r in range(n)]  # the element in each lane
    grain = 1
    while grain < n:
        width = max(2 * grain, min(n, SHUFFLE_BYTES // dtype.itemsize))
        for x in range(n):
            y = x | grain
            if x == y:
                continue
            lower = Zip(registers[x], registers[y], grain, width, False)
            upper = Zip(registers[x], registers[y], grain, width, True)
            both = holds[x] + holds[y]
            for place, value in ((x, lower), (y, upper)):
                registers[place] = named(f"zip{grain}_{place}", value)
                holds[place] = [both[pick] for pick in value.picks]
        grain *= 2
    column = {held[0][1]: register for held, register in zip(holds, registers, strict=True)}
    return lets, [column[c] for c in range(n)]

"""Which loops of a GPU's kernel can be vectorized: 16 bytes a load.

An item loads 16 bytes at once only from a multiple of 16. All else it loads in single elements, and
then neighbouring items should take neighbouring elements. So a loop becomes vectors only where all
of them are whole and aligned.
"""

from __future__ import annotations

from collections.abc import Iterable

from ...expr import Expr, Literal, Op, Var
from ...index import linear
from ...targets import ITEM_BYTES
from ..ir import Accumulate, Body, Store, expressions, statements
from ..ir.rebuild import loads, stride
from ..primitives import Schedule, split
from ..sink import sink


def vector_width(body: Body, var: Var) -> int:
    """How many iterations of var a vector can hold: a power of two, 1 for no vectors.

    Every access to memory must have stride 0 or 1 along var, the latter in aligned blocks, and a
    guard must be the same within a block. Registers do not count.
    """
    accesses = [*_accesses(body)]
    steps = [stride(index, var) for _, index, _ in accesses]
    if 1 not in steps or any(step not in (0, 1) for step in steps):
        return 1
    moving = [a for a, step in zip(accesses, steps, strict=True) if step == 1]
    width = ITEM_BYTES // max(itemsize for itemsize, _, _ in moving)
    while width > 1:
        whole = var.extent % width == 0
        aligned = all(_in_blocks(index, var, width) for _, index, _ in moving)
        if whole and aligned and all(_is_shared(g, var, width) for _, _, g in accesses):
            return width
        width //= 2
    return 1


def bind_vectors(s: Schedule) -> int:
    """Vectorize the last loop of a map where possible. Returns the width, 1 for no vectors."""
    loops, body = s.outer()
    width = vector_width(body, loops[-1]) if loops else 1
    if width > 1:
        x = loops[-1].name
        s.do(split, x, "exact", f"{x}_o", f"lane:{width}")
        s.do(sink, "lane", "vector")
    return width


def _accesses(body: Body) -> Iterable[tuple[int, Expr, Expr | None]]:
    """(bytes an element, index, guard) of every access to memory."""
    for stmt in statements(body):
        if isinstance(stmt, Store | Accumulate) and stmt.array.scope != "register":
            yield stmt.array.dtype.itemsize, stmt.index, stmt.guard
        for e in expressions(stmt):
            for load in loads(e):
                if load.array.scope != "register":
                    yield load.array.dtype.itemsize, load.index, load.guard


def _in_blocks(index: Expr, var: Var, width: int) -> bool:
    """Whether index is a multiple of width wherever var is."""
    constant, terms = linear(index)
    return constant % width == 0 and all(k % width == 0 for atom, k in terms if atom is not var)


def _is_shared(guard: Expr | None, var: Var, width: int) -> bool:
    """Whether a guard holds for all or none of the values of var in an aligned block."""
    match guard:
        case None | Literal():
            return True
        case Op(op="and", args=args):
            return all(_is_shared(arg, var, width) for arg in args)
        case Op(op="lt", args=(x, Literal(value=limit))):
            step = stride(x, var)
            return step == 0 or (step == 1 and limit % width == 0 and _in_blocks(x, var, width))
    return False

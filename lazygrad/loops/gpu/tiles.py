"""Tiles in a GPU's local memory: `pack` makes them, here a group's items share the filling.

    serial k in 16: serial m in 128: tile[k*128 + m] = a[m*K + k]
    ->
    workitem filler in 256: unroll round in 2: vector lane in 4:     p = round*256 + filler
        tile[(p % 4 * 4 + lane)*132 + p // 4] = a[p // 4 * K + p % 4 * 4 + lane]

Neighbouring items read neighbouring memory, a vector at once where all of them are aligned.
"""

from __future__ import annotations

import math

from ...expr import Array, Expr, Literal, Load, Op, Var, rewrite
from ...index import add, all_of, floordiv, less, mul, unflatten
from ..contraction import operand_stride
from ..ir import Body, For, If, Stmt, Store
from ..ir.rebuild import nest, peel, rename_array, substitute_body
from .vectors import take_vectors, vector_width


def pad_rows(body: Body, array: Array, row: int, padding: int) -> Body:
    """The body with `padding` elements after each `row` elements of a tile, so that the elements
    of a column lie in different banks of local memory."""
    if row <= 1 or array.size <= row:
        return body
    padded = Array(array.name, array.dtype, array.size // row * (row + padding), array.scope)
    return rename_array(body, array, padded, lambda i: add(i, mul(floordiv(i, row), padding)))


def share_fill(fill: Stmt, items: int) -> For:
    """A nest that fills a tile by one store, shared among a group's items.

    Requires: serial loops with one Store inside. Ensures: a workitem loop over `items`, with
    unroll and vector loops inside.
    """
    loops, (store,) = peel((fill,))
    assert isinstance(store, Store)
    names = [loop.var for loop in loops]
    near = next((v for v in reversed(names) if operand_stride(store.value, v) == 1), None)
    width = 1
    if near is not None:  # what memory has side by side, neighbouring items take
        names = [*(v for v in names if v is not near), near]
        width = load_width(store, near)
    extents = [v.extent for v in names]
    if names:
        extents[-1] //= width
    count = math.prod(extents)
    filler, rounds = Var("filler", items), Var("round", -(-count // items))
    lane = Var("lane", width)
    position = add(mul(rounds, items), filler)
    values: dict[Expr, Expr] = dict(zip(names, unflatten(position, extents), strict=True))
    body: Body = (store,)
    if near is not None and width > 1:
        body = take_vectors(body, near, mul(values.pop(near), width), lane)
        body = nest([lane], body, "vector")
    body = substitute_body(body, values)
    if count % items:
        body = (If(less(position, count), body),)
    return For(filler, items, "workitem", nest([rounds], body, "unroll"))


def load_width(store: Store, var: Var) -> int:
    """How many elements along var can be loaded at once, wherever they are stored."""
    return vector_width((Store(store.array, var, store.value),), var)


def guarded(e: Expr, condition: Expr | None) -> Expr:
    """e where the condition holds, else 0; nothing is loaded where it does not hold."""
    if condition is None:
        return e

    def change(x: Expr) -> Expr | None:
        if isinstance(x, Load):
            old = () if x.guard is None else (x.guard,)
            return Load(x.array, x.index, all_of((*old, condition)))
        return None

    loaded = rewrite(e, change)
    if isinstance(e, Load):
        return loaded
    return Op("where", (condition, loaded, Literal(0, e.dtype)))

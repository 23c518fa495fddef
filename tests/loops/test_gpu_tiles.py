"""Tiles in local memory, filled by all items."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lazygrad.dtypes import float32
from lazygrad.expr import Array, Expr, Literal, Load, Op, Var
from lazygrad.index import add, less, mul
from lazygrad.loops.gpu.tiles import guarded, pad_rows, share_fill
from lazygrad.loops.ir import Alloc, Barrier, Body, For, Function, Store, show
from lazygrad.loops.ir.evaluate import evaluate
from lazygrad.loops.ir.rebuild import nest
from lazygrad.loops.unroll import unroll
from lazygrad.loops.vectorize import vectorize

K, M = Var("k", 6), Var("m", 8)
TILE = Array("tile", float32, 48, "local")


def fill(index: Expr, size: int = 48) -> For:
    """tile[k * 8 + m] = x[index]"""
    (loop,) = nest(
        [K, M], (Store(TILE, add(mul(K, 8), M), Load(Array("x", float32, size), index)),)
    )
    assert isinstance(loop, For)
    return loop


@pytest.mark.parametrize("items", [4, 7, 64])
@pytest.mark.parametrize(
    ("index", "place"),
    [
        (add(mul(K, 8), M), lambda k, m: k * 8 + m),
        (add(mul(M, 6), K), lambda k, m: m * 6 + k),
        (add(mul(M, 5), mul(K, 2)), lambda k, m: m * 5 + k * 2),
    ],
)
def test_every_element_is_filled(index: Expr, place: Any, items: int) -> None:
    out, n = Array("out", float32, 48), Var("n", 48)
    copy = For(n, 48, "serial", (Store(out, n, Load(TILE, n)),))
    body = (Alloc(TILE), *vectorize((share_fill(fill(index), items),)), Barrier(), copy)
    function = Function("f", (out, Array("x", float32, 48)), 1, unroll(body))
    x, found = np.arange(48, dtype=np.float32), np.zeros(48, np.float32)
    evaluate(function, {"out": found, "x": x})
    assert found.tolist() == [place(k, m) for k in range(6) for m in range(8)]


def test_neighbouring_items_read_vectors_side_by_side() -> None:
    along = show(Function("f", (), 0, (share_fill(fill(add(mul(K, 8), M)), 12),)))
    assert "tile[((filler * 4) + lane)] = x[((filler * 4) + lane)]" in along
    across = show(Function("f", (), 0, (share_fill(fill(add(mul(M, 8), K), 64), 24),)))
    assert "x[(((%0 * 8) + (%1 * 2)) + lane)]" in across


def test_padding_goes_after_each_row() -> None:
    body: Body = (Alloc(TILE), fill(add(mul(K, 8), M)))
    padded = pad_rows(body, TILE, 8, 1)
    assert isinstance(padded[0], Alloc)
    assert padded[0].array.size == 54
    assert "tile[((k * 9) + m)]" in show(Function("f", (), 0, padded))
    assert pad_rows(body, TILE, 48, 1) == body


def test_a_guarded_expression_is_0_and_loads_nothing_outside() -> None:
    x = Load(Array("x", float32, 8), K)
    inside = less(K, 3)
    assert guarded(x, None) is x
    assert guarded(x, inside) is Load(x.array, K, inside)
    exp = guarded(Op("exp", (x,)), inside)
    assert exp is Op("where", (inside, Op("exp", (guarded(x, inside),)), Literal(0, float32)))

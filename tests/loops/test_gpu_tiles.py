"""Tiles in local memory, filled by all items."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lazygrad.dtypes import float32
from lazygrad.errors import ScheduleError
from lazygrad.expr import Array, Expr, Literal, Load, Op, Var
from lazygrad.index import add, less, mul
from lazygrad.loops.gpu.tiles import share_fill, stage_local
from lazygrad.loops.ir import Alloc, Barrier, Body, Function, Store, show, statements
from lazygrad.loops.ir.rebuild import nest
from lazygrad.loops.mask import guarded
from lazygrad.loops.primitives import Schedule
from lazygrad.loops.unroll import unroll
from lazygrad.loops.vectorize import vectorize
from tests.loops.evaluate import evaluate

K, M = Var("k", 6), Var("m", 8)
TILE = Array("tile", float32, 48, "local")


def fill(index: Expr, items: int, size: int = 48) -> Body:
    """tile[k * 8 + m] = x[index], shared among items"""
    loaded = Load(Array("x", float32, size), index)
    s = Schedule(nest([K, M], (Store(TILE, add(mul(K, 8), M), loaded),)))
    share_fill(s, "tile", items)
    return s.done()


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
    copy = nest([n], (Store(out, n, Load(TILE, n)),))
    body = (Alloc(TILE), *vectorize(fill(index, items)), Barrier(), *copy)
    function = Function("f", (out, Array("x", float32, 48)), 1, unroll(body))
    x, found = np.arange(48, dtype=np.float32), np.zeros(48, np.float32)
    evaluate(function, {"out": found, "x": x})
    assert found.tolist() == [place(k, m) for k in range(6) for m in range(8)]


def test_neighbouring_items_read_vectors_side_by_side() -> None:
    along = show(Function("f", (), 0, fill(add(mul(K, 8), M), 12)))
    assert "tile[((tile_filler * 4) + tile_near)] = x[((tile_filler * 4) + tile_near)]" in along
    across = show(Function("f", (), 0, fill(add(mul(M, 8), K), 24, 64)))
    assert "x[(((%0 * 8) + (%1 * 2)) + tile_near)]" in across


def test_padding_goes_after_each_row() -> None:
    out = Array("out", float32, 48)
    place = add(mul(K, 8), M)
    group = Var("group", 2)
    body = nest([group, K, M], (Store(out, place, Load(Array("x", float32, 48), place)),))
    staged = stage_local(body, "x:0", "tile", "group", 1, "k", "m")
    (tile,) = (s.array for s in statements(staged) if isinstance(s, Alloc))
    assert tile.size == 54
    text = show(Function("f", (), 0, staged))
    assert "tile[((tile_k * 9) + tile_m)] = x[((tile_k * 8) + tile_m)]" in text
    assert "out[((k * 8) + m)] = tile[((k * 9) + m)]" in text
    for operand in ("x", "x:1", "y:0"):
        with pytest.raises(ScheduleError, match=f"stage_local {operand}"):
            stage_local(body, operand, "tile", "group", 1, "k", "m")


def test_a_guarded_expression_is_0_and_loads_nothing_outside() -> None:
    x = Load(Array("x", float32, 8), K)
    inside = less(K, 3)
    assert guarded(x, None) is x
    assert guarded(x, inside) is Load(x.array, K, inside)
    exp = guarded(Op("exp", (x,)), inside)
    assert exp is Op("where", (inside, Op("exp", (guarded(x, inside),)), Literal(0, float32)))
    both = Op("and", (inside, less(K, M)))
    assert guarded(exp, less(K, M)) is guarded(Op("exp", (x,)), both)

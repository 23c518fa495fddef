"""Blocks of loops, sunk to the innermost statements."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lazygrad.dtypes import float32
from lazygrad.expr import Array, Literal, Load, Var
from lazygrad.index import add, mul
from lazygrad.loops.ir import Accumulate, Alloc, For, Function, Store, show
from lazygrad.loops.ir.evaluate import evaluate
from lazygrad.loops.ir.rebuild import nest, peel
from lazygrad.loops.ir.verify import verify
from lazygrad.loops.tile import Tile, block_count, sink, tile
from lazygrad.loops.vectorize import vectorize


def _tiled(sample: Any, size: int, width: int, overlap: bool) -> Any:
    loops, inside = peel(sample.function.body)
    *outer, last = [loop.var for loop in loops]
    blocks, body = tile(inside, Tile(last, size, width), overlap)
    return sample.with_body(nest([*outer, blocks], body))


@pytest.mark.parametrize("size", [1, 2, 4, 7, 13, 16])
@pytest.mark.parametrize("overlap", [True, False])
def test_any_block_size_keeps_values(sample: Any, size: int, overlap: bool) -> None:
    matmul = sample("matmul")
    matmul.agrees(_tiled(matmul, size, 1, overlap))


@pytest.mark.parametrize("overlap", [True, False])
def test_vectors_in_a_block_keep_values(sample: Any, overlap: bool) -> None:
    matmul = sample("matmul")
    matmul.agrees(_tiled(matmul, 8, 4, overlap))


def test_blocks_cover_the_loop(sample: Any) -> None:
    last = peel(sample("matmul").function.body)[0][-1].var
    assert [block_count(Tile(last, size)) for size in (1, 8, 13, 14)] == [13, 2, 1, 1]


def test_what_an_unrolled_loop_makes_grows_too() -> None:
    """A register for each iteration of both loops, though one of them is unrolled already."""
    i, j = Var("i", 4), Var("j", 2)
    out, x = Array("out", float32, 8), Array("x", float32, 8)
    own = Array("own", float32, 1, "register")
    zero, place = Literal(0), add(mul(i, 2), j)
    inside = (Alloc(own), Store(own, zero, Load(x, place)), Store(out, place, Load(own, zero)))
    body = vectorize(sink((For(j, 2, "unroll", inside),), i, "vector"))
    function = Function("f", (out, x), 1, body)
    verify(function)
    arrays = {"out": np.zeros(8, np.float32), "x": np.arange(8, dtype=np.float32)}
    evaluate(function, arrays)
    np.testing.assert_array_equal(arrays["out"], arrays["x"])


def test_an_epilogue_of_sums_in_memory_is_a_loop() -> None:
    """Sums in registers are written out; what reads them from memory, by way of a register of its
    own, is one loop, and its register does not grow."""
    i, k = Var("i", 4), Var("k", 3)
    out, x, part = Array("out", float32, 4), Array("x", float32, 12), Array("part", float32, 4)
    acc, own = (Array(name, float32, 1, "register") for name in ("acc", "own"))
    zero, place = Literal(0), add(mul(i, 3), k)
    term = Accumulate(acc, zero, "sum", Load(x, place))
    inside = (
        Alloc(acc), Store(acc, zero, Literal(0.0, float32)), For(k, 3, "serial", (term,)),
        Store(part, i, Load(acc, zero)),
        Alloc(own), Store(own, zero, Load(part, i)), Store(out, i, Load(own, zero)),
    )  # fmt: skip
    body = sink(inside, i, "unroll")
    (epilogue,) = (s for s in body if isinstance(s, For) and Alloc(own) in s.body)
    assert epilogue.kind == "serial"
    function = Function("f", (out, part, x), 2, body)
    verify(function)
    arrays = {"out": np.zeros(4, np.float32), "part": np.zeros(4, np.float32)}
    arrays["x"] = np.arange(12, dtype=np.float32)
    evaluate(function, arrays)
    np.testing.assert_array_equal(arrays["out"], arrays["x"].reshape(4, 3).sum(1))


def test_text(sample: Any, golden: Any) -> None:
    golden("tile.txt", show(_tiled(sample("matmul"), 8, 4, True)))

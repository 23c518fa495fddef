"""Schedule primitives: each keeps values, and says what it does not allow."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import pytest

from lazygrad.dtypes import float32, int64
from lazygrad.errors import ScheduleError
from lazygrad.expr import Array, Expr, Literal, Load, Op, Var
from lazygrad.index import add, mul
from lazygrad.loops.ir import Alloc, Body, For, Function, Store, show, statements
from lazygrad.loops.ir.rebuild import nest, peel
from lazygrad.loops.ir.verify import verify
from lazygrad.loops.primitives import (
    Schedule,
    bind,
    fuse,
    loops_of,
    merge,
    merge_all,
    reorder,
    split,
    with_own_names,
)
from lazygrad.loops.sink import sink, sunk
from lazygrad.loops.sums import perfect, rfactor
from lazygrad.loops.vectorize import vectorize
from tests.loops.evaluate import evaluate


def _tiled(sample: Any, size: int, width: int, tail: str) -> Any:
    s = Schedule(sample.function.body)
    last = s.outer()[0][-1].name
    s.do(split, last, tail, "blocks", f"unrolled:{size // width}", f"lane:{width}")
    s.do(sink, "lane", "vector")
    s.do(sink, "unrolled", "unroll")
    return sample.with_body(s.done())


@pytest.mark.parametrize("size", [1, 2, 4, 7, 13, 16])
@pytest.mark.parametrize("tail", ["overlap", "guard", "peel"])
def test_any_block_size_keeps_values(sample: Any, size: int, tail: str) -> None:
    matmul = sample("matmul")
    if tail == "overlap" and size > 13:
        with pytest.raises(ScheduleError, match="13 iterations in blocks of 16"):
            _tiled(matmul, size, 1, tail)
    else:
        matmul.agrees(_tiled(matmul, size, 1, tail))


@pytest.mark.parametrize("tail", ["overlap", "guard", "peel"])
@pytest.mark.parametrize("width", [4, 5])
def test_vectors_in_a_block_keep_values(sample: Any, tail: str, width: int) -> None:
    matmul = sample("matmul")
    matmul.agrees(_tiled(matmul, 2 * width, width, tail))


def test_an_exact_split_needs_a_divisor(sample: Any) -> None:
    with pytest.raises(ScheduleError, match="13 iterations in blocks of 4"):
        _tiled(sample("matmul"), 4, 1, "exact")


def test_a_loop_that_is_not_there_is_named(sample: Any) -> None:
    with pytest.raises(ScheduleError, match="no loop i7; there are i0, i1, k0"):
        bind(sample("matmul").function.body, "i7", "parallel")


def test_loops_of_two_kinds_are_not_fused() -> None:
    i, j = Var("i", 4), Var("j", 6)
    s = Schedule(nest([i, j], (Store(Array("out", float32, 24), add(mul(i, 6), j), Literal(1.0)),)))
    s.do(bind, "j", "vector")
    assert s.outer()[0] == [i]
    with pytest.raises(ScheduleError, match="fuse i j: j is not the next serial loop inside"):
        s.do(fuse, "n", "i", "j")


@pytest.mark.parametrize("order", [("i1", "i0", "c"), ("c", "i1", "i0"), ("i0", "c", "i1")])
def test_blocks_of_a_sum_go_outside_of_the_outputs(sample: Any, order: tuple[str, ...]) -> None:
    """Partial sums then have a place for each output inside."""
    matmul = sample("matmul")
    body = rfactor(split(matmul.function.body, "k0", "exact", "c", "d:2"), "c")
    body = reorder(perfect(body, "c"), *order)
    matmul.agrees(matmul.with_body(body))
    (part,) = [s.array for s in statements(body) if isinstance(s, Alloc) and s.array.name == "acc"]
    inside = order[order.index("c") + 1 :]
    assert part.size == prod(loops_of(body)[name].extent for name in inside)


def test_loops_of_one_name_get_their_own() -> None:
    i, out = Var("i", 4), Array("out", float32, 8)
    loop = For(i, 4, "serial", (Store(out, i, Literal(1.0, float32)),))
    other = For(i, 4, "serial", (Store(out, add(i, 4), Literal(2.0, float32)),))
    body = with_own_names((loop, other))
    assert list(loops_of(body)) == ["i", "i_1"]
    arrays = {"out": np.zeros(8, np.float32)}
    evaluate(Function("f", (out,), 1, body), arrays)
    np.testing.assert_array_equal(arrays["out"], [1, 1, 1, 1, 2, 2, 2, 2])


def test_what_an_unrolled_loop_makes_grows_too() -> None:
    """A register for each iteration of both loops, though one of them is unrolled already."""
    i, j = Var("i", 4), Var("j", 2)
    out, x = Array("out", float32, 8), Array("x", float32, 8)
    own = Array("own", float32, 1, "register")
    zero, place = Literal(0), add(mul(i, 2), j)
    inside = (Alloc(own), Store(own, zero, Load(x, place)), Store(out, place, Load(own, zero)))
    body = vectorize(sunk((For(j, 2, "unroll", inside),), i, "vector"))
    function = Function("f", (out, x), 1, body)
    verify(function)
    arrays = {"out": np.zeros(8, np.float32), "x": np.arange(8, dtype=np.float32)}
    evaluate(function, arrays)
    np.testing.assert_array_equal(arrays["out"], arrays["x"])


def test_text(sample: Any, golden: Any) -> None:
    golden("tile.txt", show(_tiled(sample("matmul"), 8, 4, "overlap")))


def test_merge_keeps_values(any_sample: Any) -> None:
    loops, inside = peel(any_sample.function.body)
    merged, body = merge([loop.var for loop in loops], inside)
    any_sample.agrees(any_sample.with_body(nest(merged, body)))


def test_merge_all_keeps_values(sample: Any) -> None:
    transpose = sample("transpose")
    loops, inside = peel(transpose.function.body)
    joined, body = merge_all([loop.var for loop in loops], inside)
    assert joined.extent == 55
    transpose.agrees(transpose.with_body(nest([joined], body)))


def test_merge_leaves_what_memory_tells_apart(sample: Any) -> None:
    loops, inside = peel(sample("transpose").function.body)
    variables = [loop.var for loop in loops]
    assert merge(variables, inside) == (variables, inside)


def test_loops_merge_around_divided_values() -> None:
    i, j = Var("i", 4), Var("j", 6)
    x, out = (Array(name, int64, 24) for name in ("x", "out"))

    def body(index: Expr) -> Body:
        return (Store(out, index, Op("floordiv", (Load(x, index), Literal(7)))),)

    merged, inside = merge([i, j], body(add(mul(i, 6), j)))
    (joined,) = merged
    assert joined.extent == 24
    assert inside == body(joined)


def test_text_of_a_merged_nest(sample: Any, golden: Any) -> None:
    """relu(x * 2 + b): b tells rows from columns; the pooling's batch and channels are one."""
    pool = sample("pool")
    loops, inside = peel(pool.function.body)
    merged, body = merge([loop.var for loop in loops], inside)
    assert [v.extent for v in merged] == [12, 2]
    golden("merge.txt", show(pool.with_body(nest(merged, body))))

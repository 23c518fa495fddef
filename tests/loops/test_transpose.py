"""Blocks that are read along their rows and turned in registers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lazygrad.dtypes import DType, float16, float32, float64, int8
from lazygrad.expr import Array, Load, Op, Ramp, Var, Zip
from lazygrad.index import add, less, mul
from lazygrad.loops.cpu.transpose import transposable, transpose
from lazygrad.loops.ir import Body, For, Function, Let, Store, show, statements
from lazygrad.loops.ir.verify import verify
from tests.loops.evaluate import evaluate

N = 8
X, OUT = Array("x", float32, 4 * N * N), Array("out", float32, 4 * N * N)


def columns(dtype: DType, lanes: int, count: int, step: int, start: int = 0) -> Function:
    """Store `count` columns of a block, each loaded lane by lane, twice."""
    size = 2 * (start + count + step * lanes + lanes * count)
    x, out, i = Array("x", dtype, size), Array("out", dtype, size), Var("i", 2)
    body = tuple(
        Store(
            out,
            Ramp(add(mul(i, lanes * count), lanes * n), 1, lanes),
            Load(x, Ramp(add(mul(i, start + count), start + n), step, lanes)),
        )
        for n in range(count)
    )
    return Function("columns", (out, x), 1, (For(i, 2, "serial", body),))


def values(function: Function) -> np.ndarray[Any, Any]:
    out, x = function.arguments
    source = (np.arange(x.size) % 100).astype(x.dtype.numpy)
    arrays = {"x": source, "out": np.zeros(out.size, out.dtype.numpy)}
    evaluate(function, arrays)
    return arrays["out"]


def turned(function: Function) -> Function:
    result = Function("turned", function.arguments, 1, transpose(function.body))
    verify(result)
    return result


def gathers(body: Body) -> int:
    """How many loads jump from lane to lane."""
    found = 0
    for stmt in statements(body):
        value = stmt.value if isinstance(stmt, (Store, Let)) else None
        found += (
            isinstance(value, Load) and isinstance(value.index, Ramp) and value.index.stride > 1
        )
    return found


@pytest.mark.parametrize("dtype", [float32, float64, int8], ids=str)
@pytest.mark.parametrize("lanes", [2, 4, 8, 16])
def test_whole_blocks_are_turned(dtype: DType, lanes: int) -> None:
    function = columns(dtype, lanes, lanes, step=lanes + 3)
    result = turned(function)
    assert gathers(result.body) == 0
    np.testing.assert_array_equal(values(result), values(function))


@pytest.mark.parametrize(("count", "left"), [(3, 3), (11, 3), (16, 0)])
def test_what_is_left_of_a_block_is_loaded_as_before(count: int, left: int) -> None:
    function = columns(float32, 8, count, step=32, start=1)
    result = turned(function)
    assert gathers(result.body) == left
    np.testing.assert_array_equal(values(result), values(function))


def test_what_is_written_in_between_is_not_read_early() -> None:
    function = columns(float32, 8, 8, step=9)
    (loop,) = function.body
    assert isinstance(loop, For)
    out, x = function.arguments
    after = Store(x, Ramp(Var("i", 2), 1, 8), Load(out, Ramp(Var("i", 2), 1, 8)))
    body = transpose((For(loop.var, 2, "serial", (after, *loop.body)),))
    assert gathers(body) == 8


def test_halves_stay() -> None:
    function = columns(float16, 8, 8, step=11)
    assert transpose(function.body) == function.body


def test_guarded_loads_stay() -> None:
    i = Var("i", N)
    body: Body = tuple(
        Store(OUT, Ramp(mul(i, 8), 1, 8), Load(X, Ramp(add(i, n), 16, 8), less(add(i, n), 9)))
        for n in range(8)
    )
    assert transpose(body) == body


def test_the_loop_to_take_blocks_of_is_contiguous_where_the_lanes_are_not() -> None:
    i, j = Var("i", 16), Var("j", 16)
    across = (Store(OUT, add(mul(i, 16), j), Load(X, add(mul(j, 16), i))),)
    assert transposable(across, j, [i], 8) is i
    assert transposable(across, j, [i], 32) is None  # it is too short
    along = (Store(OUT, add(mul(i, 16), j), Load(X, add(mul(i, 16), j))),)
    assert transposable(along, j, [i], 8) is None  # nothing jumps


def test_zip_picks_as_it_says() -> None:
    x, y = Load(X, Ramp(Var("i", 1), 1, 8)), Load(OUT, Ramp(Var("i", 1), 1, 8))
    assert Zip(x, y, 1, 4, False).picks == [0, 8, 1, 9, 4, 12, 5, 13]
    assert Zip(x, y, 2, 8, True).picks == [4, 5, 12, 13, 6, 7, 14, 15]


def test_text(golden: Any) -> None:
    golden("transpose.txt", show(turned(columns(float32, 4, 4, step=16))))


def test_what_is_updated_in_place_is_not_done_twice() -> None:
    i, j = Var("i", 12), Var("j", 16)
    value = Op("add", (Load(OUT, add(mul(i, 16), j)), Load(X, add(mul(j, 12), i))))
    update = (Store(OUT, add(mul(i, 16), j), value),)
    assert transposable(update, j, [i], 8) is None  # blocks of 8 would overlap
    assert transposable(update, j, [i], 4) is i

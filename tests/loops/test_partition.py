"""Loops split where a condition on their index changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lazygrad.dtypes import float32
from lazygrad.expr import Array, Literal, Load, Op, Var
from lazygrad.index import add, all_of, less, mul
from lazygrad.loops.cpu.partition import partition_loops
from lazygrad.loops.ir import Alloc, Function, Store, expressions, show, statements
from lazygrad.loops.ir.rebuild import nest, peel
from lazygrad.loops.primitives import Schedule
from tests.loops.evaluate import evaluate


def _padded(rows: int, columns: int) -> Function:
    """out = x with a border of one element around."""
    i, j = Var("i", rows + 2), Var("j", columns + 2)
    x, out = Array("x", float32, rows * columns), Array("out", float32, i.extent * j.extent)
    inside = all_of([less(0, i), less(i, rows + 1), less(0, j), less(j, columns + 1)])
    value = Load(x, add(mul(i, columns), j, -columns - 1), inside)
    store = Store(out, add(mul(i, j.extent), j), value)
    return Function("pad", (out, x), 1, nest([i, j], (store,)))


def _split(function: Function, lanes: int = 4) -> Function | None:
    s = Schedule(function.body)
    found = partition_loops(s, lanes)
    return None if found is None else replace(function, body=s.done())


def test_a_padding_asks_nothing_inside(golden: Any) -> None:
    split = _split(_padded(6, 8))
    assert split is not None
    golden("partition.txt", show(split))
    conditions = [
        e
        for stmt in statements(split.body)
        for e in expressions(stmt)
        if isinstance(e, Load) and e.guard is not None
    ]
    assert not conditions


def test_split_keeps_values(any_sample: Any) -> None:
    loops, _ = peel(any_sample.function.body)
    if not all(isinstance(loop.extent, int) for loop in loops):
        pytest.skip("a loop of varying length is not split")
    s = Schedule(any_sample.function.body)
    if partition_loops(s, 2) is not None:
        any_sample.agrees(any_sample.with_body(s.done()))


def test_short_rows_and_scattered_ones_stay() -> None:
    assert _split(_padded(6, 3)) is None
    function = _padded(6, 8)
    loops, inside = peel(function.body)
    turned = [loop.var for loop in reversed(loops)]
    assert partition_loops(Schedule(nest(turned, inside)), 4) is None


def test_what_changes_often_stays() -> None:
    j = Var("j", 32)
    out = Array("out", float32, 32)
    x = Array("x", float32, 32)
    value = Load(x, j)
    for end in (4, 8, 16, 24):
        value = Op("where", (less(j, end), value, Load(x, add(j, -end), less(end, j))))  # type: ignore[assignment]
    assert partition_loops(Schedule(nest([j], (Store(out, j, value),))), 4) is None


def test_copies_keep_the_names_of_many_arrays_apart() -> None:
    """v, v_1 and v_2 of one dtype, as in a kernel of several results."""
    j = Var("j", 17)
    x, out = Array("x", float32, 17), Array("out", float32, 17)
    v, w = Array("v", float32, 1, "register"), Array("v_1", float32, 1, "register")
    zero = Literal(0)
    body = (
        Alloc(v),
        Store(v, zero, Load(x, add(j, -1), less(0, j))),
        Alloc(w),
        Store(w, zero, Op("mul", (Load(v, zero), Literal(2.0, float32)))),
        Store(out, j, Op("sub", (Load(w, zero), Load(v, zero)))),
    )
    function = Function("shifted", (out, x), 1, nest([j], body))
    split = _split(function)
    assert split is not None
    values = np.arange(1.0, 18.0, dtype=np.float32)
    for each in (function, split):
        result = np.zeros(17, np.float32)
        evaluate(each, {"out": result, "x": values})
        assert result.tolist() == [0.0, *values[:-1]]

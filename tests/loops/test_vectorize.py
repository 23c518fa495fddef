"""Widening vector loops."""

from __future__ import annotations

from typing import Any

from lazygrad.dtypes import float32, int64
from lazygrad.expr import Array, Literal, Load, Op, Ramp, Var
from lazygrad.index import add, mul
from lazygrad.loops.ir import For, show, statements
from lazygrad.loops.ir.rebuild import peel
from lazygrad.loops.primitives import Schedule
from lazygrad.loops.rows import RowPlan, vectorize_rows
from lazygrad.loops.vectorize import vectorize, widen


def _vectorized(sample: Any, along: str) -> Any:
    loops, _ = peel(sample.function.body)
    lane = loops[-1].var if along == "outer" else None
    s = Schedule(sample.function.body)
    vectorize_rows(s, RowPlan(along, 4, 1, "", lane), [loop.var.name for loop in loops])
    return sample.with_body(vectorize(s.done()))


def test_vectors_keep_values(sample: Any) -> None:
    for name, along in (("softmax", "inner"), ("map", "outer"), ("transpose", "outer")):
        function = _vectorized(sample(name), along)
        assert not [s for s in statements(function.body) if getattr(s, "kind", "") == "vector"]
        assert any(isinstance(s, For) for s in statements(function.body))
        sample(name).agrees(function)


def test_an_index_becomes_a_ramp() -> None:
    i, v = Var("i", 9), Var("v", 4)
    assert widen(add(mul(i, 8), mul(v, 2)), v) is Ramp(mul(i, 8), 2, 4)
    assert widen(i, v) is i


def test_a_table_is_read_lane_by_lane() -> None:
    v = Var("v", 4)
    table, x = Array("table", int64, 4), Array("x", float32, 9)
    lanes = Ramp(Literal(0), 1, 4)
    assert widen(Load(x, Load(table, v)), v) is Load(x, Load(table, lanes))
    assert widen(Op("neg", (Load(x, Literal(1)),)), v).lanes == 1


def test_text(sample: Any, golden: Any) -> None:
    golden("vectorize.txt", show(_vectorized(sample("map"), "outer")))

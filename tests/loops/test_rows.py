"""Vectors for rows: along the row, or across rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lazygrad import Tensor
from lazygrad.dtypes import float32
from lazygrad.expr import Array, Cast, Literal, Load, Op, Var
from lazygrad.index import add, mul
from lazygrad.loops.ir import Accumulate, Alloc, Body, For, Function, Store, show
from lazygrad.loops.ir.rebuild import nest, peel, substitute_body
from lazygrad.loops.primitives import Schedule, merge
from lazygrad.loops.rows import (
    RowPlan,
    count_in_vectors,
    interleave_rows,
    is_independent,
    plan_rows,
)
from lazygrad.loops.rows import vectorize_rows as schedule_rows
from lazygrad.loops.unroll import unroll
from lazygrad.loops.vectorize import vectorize
from tests.loops.evaluate import evaluate


def _parts(sample: Any) -> Any:
    loops, inside = peel(sample.function.body)
    return merge([loop.var for loop in loops], inside)


def vectorize_rows(loops: list[Var], body: Body, plan: RowPlan) -> Body:
    """The loops of a kernel by a plan."""
    s = Schedule(nest(loops, body))
    schedule_rows(s, plan, [v.name for v in loops])
    return s.done()


@pytest.mark.parametrize(
    ("name", "along"),
    [("softmax", "inner"), ("column sum", "outer"), ("map", "outer"), ("matmul", "outer")],
)
def test_vectors_run_along_memory(sample: Any, name: str, along: str) -> None:
    assert plan_rows(*_parts(sample(name)), 32).along == along


@pytest.mark.parametrize("along", ["inner", "outer"])
def test_both_ways_keep_values(any_sample: Any, along: str) -> None:
    loops, inside = _parts(any_sample)
    if along == "outer" and not (loops and is_independent(inside, loops[-1])):
        return
    if any_sample.kernel.kind in ("sort", "scan"):  # its steps depend on each other
        return
    body = vectorize_rows(
        loops, inside, RowPlan(along, 4, 2, "", loops[-1] if along == "outer" else None)
    )
    any_sample.agrees(any_sample.with_body(body))


@pytest.mark.parametrize("width", [2, 8])
def test_places_in_a_sorted_row_are_counted_in_vectors(sample: Any, width: int) -> None:
    sort = sample("sort")
    s = Schedule(sort.function.body)
    assert count_in_vectors(s, width) == "the places of 4 elements at once"
    sort.agrees(sort.with_body(s.done()))
    few = Schedule(sample("first of a sort").function.body)
    assert count_in_vectors(few, width) == "each step depends on the keys"


def test_text(sample: Any, golden: Any) -> None:
    loops, inside = _parts(sample("column sum"))
    body = vectorize_rows(loops, inside, plan_rows(loops, inside, 32))
    golden("rows.txt", show(sample("column sum").with_body(body)))


def test_rows_of_little_work_are_taken_together() -> None:
    x, out = Array("x", float32, 40 * 9), Array("out", float32, 40)
    acc = Array("acc", float32, 1, "register")
    r, k = Var("r", 40), Var("k", 9)
    total = Accumulate(acc, Literal(0), "sum", Load(x, add(mul(r, 9), k)))
    body = (
        Alloc(acc),
        Store(acc, Literal(0), Literal(0.0, float32)),
        For(k, 9, "serial", (total,)),
        Store(out, r, Load(acc, Literal(0))),
    )
    plan = plan_rows([r], body, 32)
    assert (plan.along, plan.rows) == ("inner", 4)
    in_place = (*body[:-1], Store(out, r, Op("add", (Load(out, r), Load(acc, Literal(0))))))
    assert plan_rows([r], in_place, 32).rows == 4  # 40 is a multiple of 4
    few = Var("r", 39)
    moved = substitute_body(in_place, {r: few})
    assert plan_rows([few], moved, 32).rows == 1  # the last rows would be done twice


@pytest.mark.parametrize("columns", [2048, 2051])
@pytest.mark.parametrize("op", ["sum", "max"])
def test_sums_down_long_columns_are_in_an_array(columns: int, op: str) -> None:
    x, out = Array("x", float32, 9 * columns), Array("out", float32, columns)
    acc = Array("acc", float32, 1, "register")
    c, k = Var("c", columns), Var("k", 9)
    total = Accumulate(acc, Literal(0), op, Load(x, add(mul(k, columns), c)))
    body = (
        Alloc(acc),
        Store(acc, Literal(0), Literal(-9.0, float32)),
        For(k, 9, "serial", (total,)),
        Store(out, c, Load(acc, Literal(0))),
    )
    plan = plan_rows([c], body, 32)
    assert plan.panel
    values = np.arange(x.size, dtype=np.float32).reshape(9, columns) % 97
    arrays = {"x": values.ravel(), "out": np.zeros(columns, np.float32)}
    function = Function("columns", (out, x), 1, vectorize_rows([c], body, plan))
    evaluate(function, arrays)
    wanted = values.sum(0) - 9 if op == "sum" else values.max(0)
    np.testing.assert_array_equal(arrays["out"], wanted)


def test_several_passes_down_long_columns_are_in_arrays() -> None:
    """The first of the largest elements of each column: a maximum, and a minimum after it."""
    columns = 2051
    x, out = Array("x", float32, 3 * columns), Array("out", float32, columns)
    best, first = Array("best", float32, 1, "register"), Array("first", float32, 1, "register")
    c, k, n, zero = Var("c", columns), Var("k", 3), Var("n", 3), Literal(0)

    def element(row: Var) -> Load:
        return Load(x, add(mul(row, columns), c))

    is_best = Op("eq", (element(n), Load(best, zero)))
    found = Op("where", (is_best, Cast(n, float32), Literal(3.0, float32)))
    body = (
        Alloc(best),
        Store(best, zero, Literal(-9.0, float32)),
        For(k, 3, "serial", (Accumulate(best, zero, "max", element(k)),)),
        Alloc(first),
        Store(first, zero, Literal(3.0, float32)),
        For(n, 3, "serial", (Accumulate(first, zero, "min", found),)),
        Store(out, c, Load(first, zero)),
    )
    plan = plan_rows([c], body, 32)
    assert plan.panel
    values = np.random.default_rng(0).integers(0, 5, (3, columns)).astype(np.float32)
    arrays = {"x": values.ravel(), "out": np.zeros(columns, np.float32)}
    evaluate(Function("columns", (out, x), 1, vectorize_rows([c], body, plan)), arrays)
    np.testing.assert_array_equal(arrays["out"], values.argmax(0))


@pytest.mark.parametrize(("columns", "rows"), [(1024, 32), (1000, 8), (1028, 8)])
def test_more_blocks_are_turned_together_where_rows_are_pages_apart(
    columns: int, rows: int
) -> None:
    """Rows of 4096 bytes compete for the same places of a cache; those of 4000 and 4112 do not."""
    x, out = Array("x", float32, 64 * columns), Array("out", float32, 64 * columns)
    i, j = Var("i", columns), Var("j", 64)
    body = (Store(out, add(mul(i, 64), j), Load(x, add(mul(j, columns), i))),)
    plan = plan_rows([i, j], body, 32)
    assert (plan.lane, plan.transposed, plan.rows) == (j, i, rows)
    values = np.arange(x.size, dtype=np.float32).reshape(64, columns)
    arrays = {"x": values.ravel(), "out": np.zeros(x.size, np.float32)}
    whole = Function("turn", (out, x), 1, unroll(vectorize(vectorize_rows([i, j], body, plan))))
    evaluate(whole, arrays)
    np.testing.assert_array_equal(arrays["out"].reshape(columns, 64), values.T)


@pytest.mark.parametrize("columns", [2048, 2051])
def test_passes_down_long_columns_agree_with_numpy(columns: int) -> None:
    values = np.random.default_rng(0).standard_normal((5, columns)).astype(np.float32)
    x = Tensor(values)
    shares = np.exp(values - values.max(0))
    shares /= shares.sum(0)
    for found, wanted in (
        (x.softmax(0), shares),
        (x.log_softmax(0), np.log(shares)),
        (x - x.mean(0, keepdim=True), values - values.mean(0)),
        (x.var(0), values.var(0, ddof=1)),
        (x.argmax(0), values.argmax(0)),
    ):
        np.testing.assert_allclose(found.numpy(), wanted, 1e-4, 1e-5)


def test_iterations_that_write_one_place_are_not_independent() -> None:
    i, k = Var("i", 4), Var("k", 8)
    out, row = Array("out", float32, 4), Array("row", float32, 8, "local")
    write, read = Store(row, k, Literal(1.0, float32)), Store(out, i, Load(row, k))
    assert not is_independent((write, read), i)
    assert is_independent((Alloc(row), write, read), i)  # each iteration has a row of its own
    assert is_independent((write,), k)
    acc = Array("acc", float32, 1, "register")
    term = Accumulate(acc, Literal(0), "sum", Literal(1.0, float32))
    assert is_independent((term,), i)  # a sum
    assert not is_independent((term, Store(out, i, Load(acc, Literal(0)))), i)  # a sum so far


@pytest.mark.parametrize(
    ("name", "reason"),
    [("scan", "4 rows at once"), ("scan of columns", "12 sums along i2 in an array")],
)
def test_rows_are_taken_together(sample: Any, name: str, reason: str) -> None:
    scan = sample(name)
    s = Schedule(scan.function.body)
    assert interleave_rows(s, 4) == reason
    scan.agrees(scan.with_body(s.done()))


def test_text_of_a_scan(sample: Any, golden: Any) -> None:
    scan = sample("scan")
    s = Schedule(scan.function.body)
    interleave_rows(s, 4)
    golden("scan.txt", show(scan.with_body(s.done())))

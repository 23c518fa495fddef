"""Writing out loops, and leaving out what is then known not to be needed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lazygrad import Tensor
from lazygrad.dtypes import float32, int64
from lazygrad.expr import Array, Expr, Literal, Load, Local, Var
from lazygrad.graph.simplify import simplify
from lazygrad.index import FALSE, TRUE, add, all_of, at_least, less, mul, substitute
from lazygrad.loops.contraction import recognise
from lazygrad.loops.cpu.contract import contract
from lazygrad.loops.cpu.plan import ranked_plans
from lazygrad.loops.ir import Accumulate, Body, For, Function, If, Let, Store, show, statements
from lazygrad.loops.ir.rebuild import nest, peel
from lazygrad.loops.ir.verify import verify
from lazygrad.loops.lower import lower
from lazygrad.loops.primitives import Schedule
from lazygrad.loops.unroll import skip_padding, unroll
from lazygrad.loops.vectorize import vectorize
from lazygrad.schedule.fuse import fuse
from lazygrad.targets import Machine, Native, Target
from tests.loops.evaluate import evaluate

from .conftest import Sample

SMALL = Machine(
    name="a CPU", target=Target.CPU, cores=2, vector_bytes=16, registers=16, l1_bytes=32 << 10,
    l2_bytes=256 << 10, native=Native(),
)  # fmt: skip
N, I, K = Var("n", 2), Var("i", 8), Var("k", 3)
OUT, X = Array("out", float32, 8), Array("x", float32, 24)


def _unrolled(sample: Any) -> Any:
    """Every loop inside the outer ones written out."""
    loops, inside = peel(sample.function.body)

    def marked(stmt: Any) -> Any:
        if not isinstance(stmt, For):
            return stmt
        return replace(stmt, kind="unroll", body=tuple(map(marked, stmt.body)))

    body = nest([loop.var for loop in loops], tuple(map(marked, inside)))
    return sample.with_body(unroll(body))


def test_unrolling_keeps_values(sample: Any) -> None:
    for name in ("pool", "softmax"):
        function = _unrolled(sample(name))
        sample(name).agrees(function)
        assert not [s for s in statements(function.body) if getattr(s, "kind", "") == "unroll"]


def test_only_the_branch_that_is_taken_is_written_out() -> None:
    i, out = Var("i", 4), Array("out", int64, 4)
    branch = If(less(i, 2), (Store(out, i, Literal(1)),), (Store(out, i, Literal(2)),))
    body = unroll((For(i, 4, "unroll", (branch,)),))
    assert [s.value.value for s in body if isinstance(s, Store)] == [1, 1, 2, 2]  # type: ignore[attr-defined]


def test_each_copy_names_its_own_values() -> None:
    i, out, x = Var("i", 3), Array("out", int64, 3), Local("x", int64)
    inner = If(less(i, 2), (Let(x, add(i, 5)), Store(out, i, x)))
    for body in ((Let(x, add(i, 5)), Store(out, i, x)), (inner,)):
        function = Function("f", (out,), 1, unroll((For(i, 3, "unroll", body),)))
        verify(function, final=True)
        values = {"out": np.zeros(3, np.int64)}
        evaluate(function, values)
        assert values["out"].tolist() == [5, 6, 7 if body[-1] is not inner else 0]


def test_text(sample: Any, golden: Any) -> None:
    golden("unroll.txt", show(_unrolled(sample("pool"))))


def sums(needed: Expr | None) -> Body:
    """out[i] = the sum over k of x[3 i + k], zeros there where a term is not needed; twice."""
    place = add(mul(I, 3), K)
    term = Accumulate(OUT, I, "sum", Load(X, place), needed=needed)
    body = (Store(OUT, I, Literal(0.0, float32)), For(K, 3, "unroll", (term,)))
    return unroll((For(N, 2, "serial", (For(I, 8, "serial", body),)),))


def terms(body: Body) -> int:
    """How many sums a body computes."""
    count = 0
    for stmt in body:
        if isinstance(stmt, For):
            assert isinstance(stmt.extent, int)
            count += stmt.extent * terms(stmt.body)
        elif isinstance(stmt, If):
            count += terms(stmt.body) + terms(stmt.otherwise)
        else:
            count += isinstance(stmt, Accumulate)
    return count


@pytest.mark.parametrize(
    ("needed", "left"),
    [
        (None, 24),
        (TRUE, 24),
        (FALSE, 0),
        (at_least(K, 1), 16),  # known without the loop
        (at_least(add(I, K), 2), 22),  # two terms of the first iteration; one more is too few
        (less(add(I, K), 8), 22),  # of the last one
        (all_of([at_least(add(I, K), 2), less(add(I, K), 8)]), 20),
        (all_of([at_least(I, 3), less(I, 4)]), 3),
        (all_of([at_least(add(I, K), 2), at_least(K, 1)]), 16),
    ],
    ids=repr,
)
def test_what_is_left_out(needed: Expr | None, left: int) -> None:
    body = skip_padding(sums(needed))
    assert terms(body) == 2 * left
    assert isinstance(body[0], For)
    assert len(body) == 1  # the outermost is whole
    assert all(s.needed is None for s in statements(body) if isinstance(s, Accumulate))
    wanted = np.arange(24, dtype=np.float32).reshape(8, 3)
    for i, k in np.ndindex(8, 3):  # the claim: what is not needed is 0
        values: dict[Expr, Expr] = {I: Literal(i), K: Literal(k)}
        if needed is not None and substitute(needed, values) is FALSE:
            wanted[i, k] = 0
    out = np.full(8, np.nan, np.float32)
    function = Function("sums", (OUT, X), 1, body)
    verify(function)
    evaluate(function, {"out": out, "x": wanted.ravel()})
    np.testing.assert_array_equal(out, wanted.sum(1))


@pytest.mark.parametrize(
    ("width", "tiles", "left_out"),
    [(4, 1, 2), (4, 2, 2), (7, 1, 2), (8, 2, 0)],
)
def test_products_at_the_ends_of_rows(width: int, tiles: int, left_out: int) -> None:
    """Each row of points meets the padding twice; that is left out where a row is one tile, or few
    small ones."""
    random = np.random.default_rng(0)
    image, weight = (
        Tensor(random.standard_normal(shape).astype("float32"))
        for shape in ((2, 2, 3, width), (12, 2, 3, 3))
    )
    node = simplify([image.conv2d(weight, padding=1).node])
    kernel = fuse(node, 2).kernels[-1]
    function = lower(kernel, "convolution", skips=True)
    padded = Sample(kernel, function)
    found = recognise(function.body)
    assert found is not None
    channel, column = (next(v for v in found.outer if v.extent == n) for n in (12, width))
    plan = next(
        plan
        for plan in ranked_plans(found, SMALL)
        if plan.width == 4
        and [(t.var, t.size) for t in plan.tiles] == [(column, width // tiles), (channel, 4)]
    )
    s = Schedule(nest(found.outer, found.body))
    contract(s, found, replace(plan, sum_block=None), SMALL)
    whole = unroll(vectorize(s.done()))
    body = skip_padding(whole)
    padded.agrees(padded.with_body(body))
    assert terms(body) * 3 * width == terms(whole) * (3 * width - left_out)

"""Writing out loops."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from lazygrad.dtypes import int64
from lazygrad.expr import Array, Literal, Local, Var
from lazygrad.index import add, less
from lazygrad.loops.ir import For, Function, If, Let, Store, show, statements
from lazygrad.loops.ir.evaluate import evaluate
from lazygrad.loops.ir.rebuild import nest, peel
from lazygrad.loops.ir.verify import verify
from lazygrad.loops.unroll import unroll


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

"""Writing out loops."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lazygrad.dtypes import int64
from lazygrad.expr import Array, Literal, Var
from lazygrad.index import less
from lazygrad.loops.ir import For, If, Store, show, statements
from lazygrad.loops.ir.rebuild import nest, peel
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


def test_text(sample: Any, golden: Any) -> None:
    golden("unroll.txt", show(_unrolled(sample("pool"))))

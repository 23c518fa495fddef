"""Merging loops that memory does not tell apart."""

from __future__ import annotations

from typing import Any

from lazygrad.loops.ir import show
from lazygrad.loops.ir.rebuild import nest, peel
from lazygrad.loops.merge import merge, merge_all


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


def test_text(sample: Any, golden: Any) -> None:
    """relu(x * 2 + b): b tells rows from columns; the pooling's batch and channels are one."""
    pool = sample("pool")
    loops, inside = peel(pool.function.body)
    merged, body = merge([loop.var for loop in loops], inside)
    assert [v.extent for v in merged] == [12, 2]
    golden("merge.txt", show(pool.with_body(nest(merged, body))))

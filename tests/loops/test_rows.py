"""Vectors for rows: along the row, or across rows."""

from __future__ import annotations

from typing import Any

import pytest

from lazygrad.loops.ir import show
from lazygrad.loops.merge import merge
from lazygrad.loops.rebuild import peel
from lazygrad.loops.rows import RowPlan, is_independent, plan_rows, vectorize_rows


def _parts(sample: Any) -> Any:
    loops, inside = peel(sample.function.body)
    return merge([loop.var for loop in loops], inside)


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
    if any_sample.kernel.kind == "sort":  # its steps depend on each other
        return
    body = vectorize_rows(
        loops, inside, RowPlan(along, 4, 2, "", loops[-1] if along == "outer" else None)
    )
    any_sample.agrees(any_sample.with_body(body))


def test_text(sample: Any, golden: Any) -> None:
    loops, inside = _parts(sample("column sum"))
    body = vectorize_rows(loops, inside, plan_rows(loops, inside, 32))
    golden("rows.txt", show(sample("column sum").with_body(body)))

"""Work-groups and work-items."""

from __future__ import annotations

from typing import Any

import pytest

from lazygrad.loops.contraction import recognise
from lazygrad.loops.gpu import spread_contraction, spread_elements, spread_rows
from lazygrad.loops.ir import For, show, statements
from lazygrad.loops.lower import lower
from lazygrad.loops.merge import merge
from lazygrad.loops.rebuild import peel


def _parts(body: Any) -> Any:
    loops, inside = peel(body)
    return merge([loop.var for loop in loops], inside)


def test_rows_keep_values(any_sample: Any) -> None:
    if any_sample.kernel.kind != "sort":
        body, _ = spread_rows(*_parts(any_sample.function.body), 16)
        any_sample.agrees(any_sample.with_body(body))


def test_each_item_finds_the_place_of_one_element(sample: Any) -> None:
    sort = sample("sort")
    body, _ = spread_elements(*_parts(lower(sort.kernel, "sort", 0).body), 16)
    sort.agrees(sort.with_body(body))


@pytest.mark.parametrize("name", ["matmul transposed", "batched matmul"])
def test_contractions_keep_values(sample: Any, name: str) -> None:
    found = recognise(sample(name).function.body)
    assert found is not None
    body, _ = spread_contraction(found, 64)
    kinds = {s.kind for s in statements(body) if isinstance(s, For)}
    assert {"workgroup", "workitem"} <= kinds
    sample(name).agrees(sample(name).with_body(body))


@pytest.mark.parametrize("name", ["softmax", "map"])
def test_text(sample: Any, golden: Any, name: str) -> None:
    body, _ = spread_rows(*_parts(sample(name).function.body), 16)
    golden(f"gpu_{name}.txt", show(sample(name).with_body(body)))

"""Sums with one accumulator a lane."""

from __future__ import annotations

from typing import Any

import pytest

from lazygrad.loops.ir import For, Function, show
from lazygrad.loops.ir.rebuild import nest, peel
from lazygrad.loops.lanes import split_lanes


def _in_lanes(sample: Any, width: int, copies: int) -> Function:
    """Every inner loop nest of a row kernel in lanes."""
    loops, inside = peel(sample.function.body)
    body: list[Any] = []
    for stmt in inside:
        if isinstance(stmt, For):
            inner, update = peel((stmt,))
            body += split_lanes([loop.var for loop in inner], update, width, copies)
        else:
            body.append(stmt)
    return sample.with_body(nest([loop.var for loop in loops], tuple(body)))


@pytest.mark.parametrize(("width", "copies"), [(1, 1), (4, 1), (8, 1), (4, 4), (32, 1)])
@pytest.mark.parametrize("name", ["softmax", "bool any", "half sum", "matmul transposed"])
def test_lanes_keep_values(sample: Any, name: str, width: int, copies: int) -> None:
    kernel = sample(name)
    kernel.agrees(_in_lanes(kernel, width, copies))


def test_text(sample: Any, golden: Any) -> None:
    golden("lanes.txt", show(_in_lanes(sample("softmax"), 8, 1)))

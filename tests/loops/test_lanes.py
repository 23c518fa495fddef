"""Sums with one accumulator a lane."""

from __future__ import annotations

from typing import Any

import pytest

from lazygrad.dtypes import float32
from lazygrad.expr import Array, Load, Var
from lazygrad.loops.ir import For, Function, Store, show, statements
from lazygrad.loops.ir.rebuild import nest, peel
from lazygrad.loops.lanes import skip, split_lanes


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


@pytest.mark.parametrize(("extent", "lanes"), [(96, 32), (48, 32), (80, 64), (64, 64), (16, 16)])
def test_lanes_are_a_power_of_two_that_leaves_few_vectors_over(extent: int, lanes: int) -> None:
    k, x = Var("k", extent), Array("x", float32, extent)
    nest = split_lanes([k], (Store(x, k, Load(x, k)),), 16, 4)
    vectors = [s for s in statements(nest) if isinstance(s, For) and s.kind == "vector"]
    assert vectors[0].extent == lanes


@pytest.mark.parametrize(("size", "width"), [(1, 1), (16, 8), (39, 4), (64, 16), (195, 16)])
def test_skipped_blocks_keep_values(sample: Any, size: int, width: int) -> None:
    kernel = sample("first of a long sort")
    kernel.agrees(kernel.with_body(skip(kernel.function.body, "rest", size, width)))


def test_text(sample: Any, golden: Any) -> None:
    golden("lanes.txt", show(_in_lanes(sample("softmax"), 8, 1)))

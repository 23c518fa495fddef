"""Large reductions in two steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lazygrad.dtypes import float32
from lazygrad.graph.evaluate import evaluate
from lazygrad.graph.ir import Add, Const, Gather, Neg, Reduce, Reshape, topological
from lazygrad.graph.show import show
from lazygrad.schedule.split import split_reductions


@pytest.mark.parametrize("op", ["sum", "max"])
@pytest.mark.parametrize(
    ("shape", "axes"), [((1 << 17,), (0,)), ((70_001,), (0,)), ((3, 150, 401), (1, 2))]
)
def test_values_are_kept(leaf: Any, op: str, shape: Any, axes: Any) -> None:
    x = leaf(np.random.default_rng(0).integers(-9, 9, shape))
    node = Reduce(x, op, axes)
    (split,) = split_reductions([node])
    assert sum(isinstance(n, Reduce) for n in topological([split])) == 2
    np.testing.assert_array_equal(*evaluate([node, split]))


@pytest.mark.parametrize("shape", [(1000,), (1 << 10, 1 << 10), (0,)])
def test_small_ones_and_many_results_stay(leaf: Any, shape: Any) -> None:
    node = Reduce(leaf(np.ones(shape)), "sum", (len(shape) - 1,))
    assert split_reductions([node]) == [node]


def test_outputs_over_the_same_elements_get_the_rows(leaf: Any) -> None:
    rng = np.random.default_rng(0)
    table, numbers = leaf(rng.random(50, np.float32)), leaf(rng.integers(0, 50, 1 << 17))
    found = Add(Gather(table, (numbers,)), Const(1.0, float32, (1 << 17,)))
    outputs = [found, Reduce(numbers, "max", (0,)), Neg(leaf(np.ones(5, np.float32)))]
    in_rows, most, other = split_reductions(outputs)
    assert isinstance(in_rows, Reshape)
    assert in_rows.x.shape == (64, 1 << 11)
    assert other is outputs[2]
    for expected, given in zip(evaluate(outputs), evaluate([in_rows, most, other]), strict=True):
        np.testing.assert_array_equal(expected, given)
    again = [found, Reduce(numbers, "max", (0,)), Neg(found)]
    assert split_reductions(again)[0] is found  # it is read again


def test_text(leaf: Any, golden: Any) -> None:
    x = leaf(np.ones(70_001, np.float32))
    golden("split.txt", show(split_reductions([Reduce(x, "sum", (0,))])))

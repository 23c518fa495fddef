"""Large reductions in two steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lazygrad.graph.evaluate import evaluate
from lazygrad.graph.ir import Reduce, topological
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


def test_text(leaf: Any, golden: Any) -> None:
    x = leaf(np.ones(70_001, np.float32))
    golden("split.txt", show(split_reductions([Reduce(x, "sum", (0,))])))

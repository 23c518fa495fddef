"""Long sums with few results in two steps, for GPUs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lazygrad import Tensor
from lazygrad.dtypes import float16, float32
from lazygrad.graph.evaluate import evaluate
from lazygrad.graph.ir import Node, Reduce, topological
from lazygrad.graph.simplify import simplify
from lazygrad.schedule.split import split_for_groups
from lazygrad.targets import Machine, Native, Target

TWO_CORES = Machine("a GPU", Target.GPU, 2, 16, 64, 32 << 10, 1 << 20, native=Native())


def sums(node: Node) -> list[tuple[int, ...]]:
    """The shapes of the reductions, in order."""
    return [n.shape for n in topological([node]) if isinstance(n, Reduce)]


def values(*shape: int) -> Tensor:
    return Tensor(np.random.default_rng(shape).integers(-4, 5, shape).astype(np.float32))


@pytest.mark.parametrize("op", ["sum", "max"])
@pytest.mark.parametrize(
    ("shape", "axes", "first"),
    [
        ((1 << 14,), (0,), (8,)),
        ((3, 1 << 13), (1,), (2, 3)),
        ((64, 3, 200), (0, 2), (2, 3)),
    ],
)
def test_values_are_kept(leaf: Any, op: str, shape: Any, axes: Any, first: Any) -> None:
    node = Reduce(leaf(np.random.default_rng(0).integers(-9, 9, shape), float32), op, axes)
    (split,) = split_for_groups([node], TWO_CORES)
    assert sums(split) == [first, tuple(n for a, n in enumerate(shape) if a not in axes)]
    np.testing.assert_array_equal(*evaluate([node, split]))


def test_a_weight_gradient_is_shared_among_groups() -> None:
    x, w = values(16, 2, 12, 12), values(4, 2, 3, 3)
    w.requires_grad = True
    x.conv2d(w).relu().sum().backward()
    assert w.grad is not None
    (node,) = simplify([w.grad.node])
    (split,) = split_for_groups([node], TWO_CORES)
    assert len(sums(split)) == len(sums(node)) + 1
    np.testing.assert_array_equal(*evaluate([node, split]))


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((1000,), float32), ((64, 1 << 13), float32), ((1 << 14,), float16), ((0,), float32)],
)
def test_others_stay(leaf: Any, shape: Any, dtype: Any) -> None:
    """Short ones, those with results enough, and 16 bits, which are too rough for partial sums."""
    node = Reduce(leaf(np.ones(shape), dtype), "sum", (len(shape) - 1,))
    assert split_for_groups([node], TWO_CORES) == [node]


def test_a_product_large_enough_stays() -> None:
    (node,) = simplify([(values(128, 600) @ values(600, 128)).node])
    assert split_for_groups([node], TWO_CORES) == [node]

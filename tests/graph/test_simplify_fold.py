"""Folds of few terms are sums of what is padded; others stay."""

import numpy as np
import pytest

from lazygrad.dtypes import int64
from lazygrad.graph import build
from lazygrad.graph.evaluate import evaluate
from lazygrad.graph.ir import (
    Exp,
    Fold,
    Less,
    Mul,
    Node,
    Permute,
    Reduce,
    Where,
    Window,
    Within,
    topological,
)
from lazygrad.graph.simplify import simplify
from lazygrad.graph.simplify_fold import fold_of_few_terms


@pytest.mark.parametrize(("count", "dilation"), [(1, 1), (2, 1), (2, 2)])
@pytest.mark.parametrize("axis", [0, 1])
def test_few_terms_need_no_loop(leaf, count, dilation, axis):
    x = Exp(leaf(np.arange(12.0 * count).reshape(3, 4, count) / 8))
    node = Fold(x, axis, x.shape[axis] + dilation * (count - 1), 1, dilation)
    simpler = fold_of_few_terms(node)
    assert simpler is not None
    assert not any(isinstance(n, Fold) for n in topological([simpler]))
    np.testing.assert_array_equal(evaluate([simpler])[0], evaluate([node])[0])


def test_folds_of_both_axes_are_one_kernel(leaf):
    x = Exp(leaf(np.arange(48.0).reshape(3, 4, 2, 2) / 8))
    rows = Fold(Permute(x, (0, 1, 2, 3)), 1, 5)
    node = Fold(Permute(rows, (0, 1, 2)), 0, 4)
    (simpler,) = simplify([node])
    assert not any(isinstance(n, Fold) for n in topological([simpler]))
    np.testing.assert_allclose(evaluate([simpler])[0], evaluate([node])[0])


@pytest.mark.parametrize("is_joined", [False, True])
def test_folds_of_convolutions_of_varying_size_are_one_sum(leaf, is_joined):
    """The gradient of images of up to 6 x 7 pixels, of which 4 x 5 are defined."""
    r = np.random.default_rng(0)
    values = r.standard_normal((6, 7, 2))
    values[4:] = values[:, 5:] = np.nan
    shape = (6, 7, 2, 3, 3)  # rows, columns, channels, and the filter's
    g = build.expand(build.reshape(leaf(values), (6, 7, 2, 1, 1)), shape)
    w = build.expand(build.reshape(leaf(r.standard_normal((2, 3, 3))), (1, 1, 2, 3, 3)), shape)
    x: Node = Reduce(Mul(g, w), "sum", (2,))
    counts = leaf(4, int64), leaf(5, int64)

    def ended(x: Node, axis: int) -> Node:
        end = build.broadcast_to(counts[axis], x.shape)
        inside = Less(build.walk(x.shape, axis), end)
        return Where(inside, Within(x, inside), build.zeros_like(x))

    if is_joined:
        x = ended(x, 0)
    columns = Fold(Permute(ended(x, 1), (0, 1, 3, 2)), 1, 9)
    node = Fold(ended(columns, 0), 0, 8)
    (simpler,) = simplify([node])
    assert not any(isinstance(n, Fold) for n in topological([simpler]))
    assert any(isinstance(n, Window) for n in topological([simpler]))
    found, wanted = (evaluate([each])[0] for each in (simpler, node))
    assert np.isfinite(wanted).all()
    np.testing.assert_allclose(found, wanted)


def test_other_folds_stay(leaf):
    x = leaf(np.arange(12.0).reshape(3, 4))
    wide = Exp(x)
    summed = Reduce(leaf(np.arange(24.0).reshape(3, 2, 4)), "sum", (2,))
    product = Mul(wide, wide)
    for node in (
        Fold(wide, 0, 6),  # four terms
        Fold(summed, 0, 4),  # which is computed by a loop anyway
        Fold(Exp(summed), 0, 6, 2),  # steps of two
        Fold(Permute(product, (1, 0)), 0, 6),
    ):
        assert fold_of_few_terms(node) is None

"""Folds of few terms are sums of what is padded; others stay."""

import numpy as np
import pytest

from lazygrad.graph.evaluate import evaluate
from lazygrad.graph.ir import Exp, Fold, Mul, Permute, Reduce, topological
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

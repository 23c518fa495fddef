"""Each rule for sliding windows does what its equation says, and gives the same elements."""

import itertools

import numpy as np
import pytest

from lazygrad.dtypes import float64
from lazygrad.graph import simplify_window as rules
from lazygrad.graph.evaluate import evaluate
from lazygrad.graph.ir import (
    Fold,
    Pad,
    Permute,
    Reshape,
    Slice,
    Window,
    topological,
    window_count,
)
from lazygrad.graph.simplify import simplify
from lazygrad.graph.verify import verify


@pytest.fixture
def cases(leaf):
    """(rule, a node, what the rule makes of it or None)"""
    x = leaf(np.arange(24.0).reshape(2, 6, 2))
    w = leaf(np.arange(48.0).reshape(2, 3, 2, 4))  # 3 windows of 4
    one = leaf(np.arange(8.0).reshape(2, 4))  # 2 windows of 4
    thin = leaf(np.arange(6.0).reshape(6, 1))
    halves = Slice(w, (0, 0, 0, 0), (1, 3, 2, 4), (1, 1, 1, 1))
    return [
        (rules.window_once, Window(x, 1, 3, 2, 2),
         Reshape(Permute(Slice(x, (0, 0, 0), (2, 3, 2), (1, 2, 1)), (0, 2, 1)), (2, 1, 2, 3))),
        (rules.window_once, Window(x, 1, 3, 1, 2), None),
        (rules.window_of_one, Window(x, 1, 1, 2),
         Reshape(Slice(x, (0, 0, 0), (2, 3, 2), (1, 2, 1)), (2, 3, 2, 1))),
        (rules.window_side_by_side, Window(x, 1, 2, 2),
         Permute(Reshape(x, (2, 3, 2, 2)), (0, 1, 3, 2))),
        (rules.window_side_by_side, Window(x, 1, 4, 4),
         Permute(Reshape(Slice(x, (0, 0, 0), (2, 4, 2), (1, 1, 1)), (2, 1, 4, 2)), (0, 1, 3, 2))),
        (rules.window_side_by_side, Window(x, 1, 2, 1), None),
        (rules.fold_apart, Fold(w, 1, 12, 4), Reshape(Permute(w, (0, 1, 3, 2)), (2, 12, 2))),
        (rules.fold_apart, Fold(thin, 0, 12, 2), Reshape(Pad(thin, ((0, 0), (0, 1))), (12,))),
        (rules.fold_apart, Fold(thin, 0, 11, 2),
         Slice(Reshape(Pad(thin, ((0, 0), (0, 1))), (12,)), (0,), (11,), (1,))),
        (rules.fold_apart, Fold(one, 0, 8, 1, 2), Reshape(Permute(one, (1, 0)), (8,))),
        (rules.fold_apart, Fold(w, 1, 6), None),
        (rules.fold_below_reshape, Fold(Reshape(w, (2, 1, 3, 2, 4)), 2, 6),
         Reshape(Fold(w, 1, 6), (2, 1, 6, 2))),
        (rules.fold_below_reshape, Fold(Reshape(w, (6, 2, 4)), 0, 9), None),
        (rules.fold_below_reshape, Fold(Reshape(w, (2, 3, 2, 2, 2)), 1, 4), None),
        (rules.fold_below_pad, Fold(Pad(w, ((1, 0), (0, 0), (0, 2), (0, 0))), 1, 6),
         Pad(Fold(w, 1, 6), ((1, 0), (0, 0), (0, 2)))),
        (rules.fold_below_pad, Fold(Pad(w, ((1, 0), (0, 0), (0, 2), (0, 0)), 1.0), 1, 6), None),
        (rules.fold_below_pad, Fold(Pad(w, ((0, 0), (0, 0), (0, 0), (0, 1))), 1, 7), None),
        (rules.fold_below_slice, Fold(halves, 1, 6),
         Slice(Fold(w, 1, 6), (0, 0, 0), (1, 6, 2), (1, 1, 1))),
        (rules.fold_below_slice,
         Fold(Slice(w, (0, 0, 0, 0), (1, 3, 1, 4), (1, 1, 1, 1)), 1, 6), None),
        (rules.fold_below_slice,
         Fold(Slice(w, (0, 0, 0, 0), (2, 3, 2, 3), (1, 1, 1, 1)), 1, 5), None),
        (rules.fold_strided, Fold(w, 1, 8, 2),
         Reshape(Permute(Fold(Permute(Reshape(w, (2, 3, 2, 2, 2)), (0, 1, 2, 4, 3)), 1, 4),
                         (0, 1, 3, 2)), (2, 8, 2))),
        (rules.fold_strided, Fold(w, 1, 6), None),
        (rules.fold_strided, Fold(w, 1, 11, 2, 2), None),
    ]  # fmt: skip


def test_rules_do_what_their_equations_say(cases):
    for rule, before, after in cases:
        assert rule(before) is after, (rule.__name__, before)


def test_rules_keep_every_element(cases):
    for rule, before, after in cases:
        old, new, simple = evaluate([before, after or before, *simplify([before])])
        assert np.array_equal(old, new), rule.__name__
        assert np.array_equal(old, simple), rule.__name__


def test_every_rule_has_a_case(cases):
    assert {rule for rule, _, after in cases if after is not None} == set(rules.RULES)


GEOMETRIES = [  # (n, size, stride, dilation)
    given
    for given in itertools.product((5, 8, 9), (1, 2, 3, 4), (1, 2, 3), (1, 2, 3))
    if window_count(*given) >= 1
]


def test_windows_and_folds_of_every_geometry_keep_their_elements(leaf):
    rng = np.random.default_rng(0)
    nodes = []
    for n, size, stride, dilation in GEOMETRIES:
        window = Window(leaf(rng.normal(size=(n, 2))), 0, size, stride, dilation)
        nodes += [window, Fold(leaf(rng.normal(size=window.shape)), 0, n, stride, dilation)]
    simpler = simplify(nodes)
    verify(simpler)
    for node, old, new in zip(nodes, evaluate(nodes), evaluate(simpler), strict=True):
        np.testing.assert_allclose(new, old, 1e-13, 1e-13, err_msg=repr(node))


def test_what_does_not_overlap_or_has_no_dilation_needs_no_strided_fold(leaf):
    for n, size, stride, dilation in GEOMETRIES:
        count = window_count(n, size, stride, dilation)
        (node,) = simplify([Fold(leaf(np.ones((count, size))), 0, n, stride, dilation)])
        folds = [inner for inner in topological([node]) if isinstance(inner, Fold)]
        apart = stride > (size - 1) * dilation or dilation > (count - 1) * stride
        assert bool(folds) != apart
        assert all(fold.stride == 1 or dilation > 1 for fold in folds)


def test_a_strided_fold_in_two_directions_keeps_its_elements(leaf):
    x = leaf(np.random.default_rng(0).normal(size=(2, 4, 5, 3, 3)))
    node = Fold(Fold(x, 2, 11, 2), 1, 9, 2)
    (simpler,) = simplify([node])
    verify([simpler])
    old, new = evaluate([node, simpler])
    assert new.dtype == float64.numpy
    np.testing.assert_allclose(new, old, 1e-13)

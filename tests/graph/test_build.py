"""The short constructors leave out what does nothing, and split reshapes as finely as can be."""

import numpy as np
import pytest

from lazygrad.graph import build
from lazygrad.graph.evaluate import evaluate


def test_what_does_nothing_is_left_out(leaf):
    x = leaf(np.ones((2, 3)))
    same = [
        build.reshape(x, (2, 3)),
        build.permute(x, (0, 1)),
        build.expand(x, (2, 3)),
        build.broadcast_to(x, (2, 3)),
        build.pad(x, [(0, 0), (0, 0)]),
        build.slice_axis(x, 1, 0, 3),
        build.spread_axis(x, 1, 1),
        build.reduce(x, "sum", ()),
        build.sum_to(x, (2, 3)),
        build.move_axis(x, 1, 1),
    ]
    assert all(node is x for node in same)


def test_sum_to_is_the_adjoint_of_broadcast_to(leaf):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(3, 1)), rng.normal(size=(2, 3, 4))
    (forth,) = evaluate([build.broadcast_to(leaf(x), (2, 3, 4))])
    (back,) = evaluate([build.sum_to(leaf(y), (3, 1))])
    assert np.isclose((forth * y).sum(), (x * back).sum())


def test_spread_axis_puts_zeros_between(leaf):
    (value,) = evaluate([build.spread_axis(leaf([[1, 2, 3]]), 1, 3)])
    assert value.tolist() == [[1, 0, 0, 2, 0, 0, 3]]


def test_resize_axis_cuts_or_fills(leaf):
    x = leaf([1, 2, 3])
    cut, filled = evaluate([build.resize_axis(x, 0, 2), build.resize_axis(x, 0, 5)])
    assert cut.tolist() == [1, 2]
    assert filled.tolist() == [1, 2, 3, 0, 0]


@pytest.mark.parametrize(
    ("old", "new", "groups"),
    [
        ((6, 1, 4, 5), (2, 3, 20), [((0,), (0, 1)), ((2, 3), (2,))]),
        ((2, 3), (3, 2), [((0, 1), (0, 1))]),
        ((1, 1), (1,), []),
        ((4, 1), (1, 4), [((0,), (1,))]),
        ((0, 3), (3, 0), None),
    ],
)
def test_reshape_groups(old, new, groups):
    assert build.reshape_groups(old, new) == groups

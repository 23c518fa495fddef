"""What loops are never written for is gone, by rules that simplify has too."""

from __future__ import annotations

import numpy as np
import pytest

from lazygrad.dtypes import float64, int64
from lazygrad.graph import normalize as rules
from lazygrad.graph import simplify
from lazygrad.graph.evaluate import evaluate
from lazygrad.graph.ir import (
    Const,
    Custom,
    Detach,
    Exp,
    Fold,
    Gather,
    Neg,
    Overwritten,
    Pad,
    Pow,
    Reduce,
    Scatter,
    Sqrt,
    Token,
)
from lazygrad.graph.normalize import normalize


def cases(leaf):
    """(rule, a node, what the rule makes of it or None)"""
    x, one, nothing = leaf(np.ones((2, 3))), leaf([1.0]), leaf(np.ones((0, 3)))
    no_index = Const(0, int64, (0,))
    return [
        (rules.value_of_nothing, Exp(nothing), Const(0.0, float64, (0, 3))),
        (rules.value_of_nothing, Exp(x), None),
        (rules.reduce_nothing, Reduce(nothing, "prod", (0,)), Const(1.0, float64, (3,))),
        (rules.reduce_nothing, Reduce(x, "prod", (0,)), None),
        (rules.read_nothing, Fold(leaf(np.ones((0, 2))), 0, 1), Const(0.0, float64, (1,))),
        (rules.read_nothing, Gather(leaf(np.ones(0)), (leaf([0, 1]),)), Const(0.0, float64, (2,))),
        (rules.pad_nothing, Pad(nothing, ((1, 1), (0, 0)), 7.0), Const(7.0, float64, (2, 3))),
        (rules.scatter_nothing, Scatter(one, (no_index,), Const(0.0, float64, (0,))), one),
        (rules.power_of_a_half, Pow(x, Const(0.5, float64, (2, 3))), Sqrt(x)),
        (rules.power_of_a_half, Pow(x, Const(1.5, float64, (2, 3))), None),
        (rules.drop_detach, Detach(x, Token()), x),
        (rules.drop_overwritten, Overwritten(x, Exp(x)), Exp(x)),
        (rules.drop_custom, Custom(Exp(x), (x,), lambda g, node: (g,)), Exp(x)),
    ]


def test_each_rule(leaf):
    for rule, node, expected in cases(leaf):
        assert rule(node) is expected
    assert {rule for rule, _, _ in cases(leaf)} == set(rules.RULES) <= set(simplify.RULES)


@pytest.mark.parametrize("n", range(13))
def test_values_stay(leaf, n):
    _, node, _ = cases(leaf)[n]
    np.testing.assert_array_equal(*evaluate([node, *normalize([node])]))


def test_marks_within_a_graph_are_gone(leaf):
    x = leaf(np.ones(3))
    (found,) = normalize([Neg(Detach(Overwritten(x, Exp(Detach(x, Token()))), Token()))])
    assert found is Neg(Exp(x))


def test_other_graphs_stay(leaf):
    node = Reduce(Exp(leaf(np.ones((2, 3)))), "sum", (1,))
    assert normalize([node]) == [node]

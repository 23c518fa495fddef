"""Joins: what needs none, and what reads of them."""

from __future__ import annotations

import numpy as np
import pytest

from lazygrad import Tensor
from lazygrad.dtypes import float64
from lazygrad.graph import simplify_join as rules
from lazygrad.graph.evaluate import evaluate
from lazygrad.graph.ir import Const, Join, Neg, Node, Slice
from lazygrad.graph.simplify import simplify


@pytest.fixture
def cases(leaf):
    """(rule, a node, what the rule makes of it or None)"""
    x = leaf(np.arange(12.0).reshape(4, 3))
    y = leaf(np.arange(6.0).reshape(2, 3))

    def rows(start: int, count: int, step: int = 1, of: Node = x) -> Node:
        return Slice(of, (start, 0), (count, 3), (step, 1))

    def number(value: float, count: int) -> Node:
        return Const(value, float64, (count, 3))

    join = Join((x, y, Neg(y)), 0)
    return [
        (rules.join_together, Join((x,), 0), x),
        (rules.join_together, Join((Join((x, y), 0), y), 0), Join((x, y, y), 0)),
        (rules.join_together, Join((Join((x, x), 1), Join((x, x), 1)), 0), None),
        (rules.join_together, Join((rows(0, 1), rows(1, 3)), 0), rows(0, 4)),
        (rules.join_together, Join((rows(3, 2, -1), rows(1, 2, -1)), 0), rows(3, 4, -1)),
        (rules.join_together, Join((rows(0, 1), rows(2, 1)), 0), None),
        (rules.join_together, Join((rows(0, 1), rows(1, 1)), 1), None),
        (rules.join_together, Join((rows(0, 2), rows(2, 2, of=Neg(x))), 0), None),
        (
            rules.join_together,
            Join((number(2.0, 1), number(2.0, 3), number(-2.0, 1)), 0),
            Join((number(2.0, 4), number(-2.0, 1)), 0),
        ),
        (rules.join_together, Join((number(0.0, 1), number(-0.0, 1)), 0), None),
        (rules.slice_of_join, rows(1, 2, of=join), rows(1, 2)),
        (rules.slice_of_join, rows(5, 2, -1, join), rows(1, 2, -1, y)),
        (rules.slice_of_join, rows(6, 1, of=join), rows(0, 1, of=Neg(y))),
        (rules.slice_of_join, rows(3, 2, of=join), None),
        (rules.slice_of_join, Slice(join, (0, 0), (0, 3), (1, 1)), None),
    ]


def test_rules_do_what_their_equations_say(cases):
    for rule, node, wanted in cases:
        assert rule(node) is wanted, f"{rule.__name__}({node})"


def test_rules_keep_the_values(cases):
    for _, node, wanted in cases:
        if wanted is not None:
            old, new = evaluate([node, wanted])
            assert old.tobytes() == new.tobytes()


def test_every_rule_has_a_case(cases):
    assert {rule for rule, *_ in cases} == set(rules.RULES)


def test_taking_apart_and_joining_again_is_nothing(leaf):
    x = leaf(np.arange(24.0).reshape(12, 2))
    t = Tensor._from_node(x)
    joined = Tensor.stack([t[i] for i in range(12)])
    assert simplify([joined.node]) == [x]

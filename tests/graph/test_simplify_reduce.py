"""Each rule for reductions does what its equation says, and gives the same sums."""

import numpy as np
import pytest

from lazygrad.dtypes import bfloat16, bool_, float16, float32, float64, int8, int64
from lazygrad.graph import simplify_reduce as rules
from lazygrad.graph.evaluate import evaluate
from lazygrad.graph.ir import (
    Cast,
    Const,
    Expand,
    Fold,
    Mul,
    Permute,
    Reduce,
    Reshape,
    Scatter,
)
from lazygrad.graph.simplify import simplify


@pytest.fixture
def cases(leaf):
    """(rule, a node, what the rule makes of it or None)"""
    rng = np.random.default_rng(0)
    x = leaf(rng.normal(size=(2, 3, 4)))
    thin = leaf(rng.normal(size=(2, 1, 4)))  # repeated along its middle axis
    wide = Expand(thin, (2, 5, 4))
    half, brain = leaf(np.ones((2, 1)), float16), leaf(np.ones((2, 1)), bfloat16)
    truths, yes = leaf([[True], [False]]), Const(True, bool_, (3,))
    c = Const(3.0, float64, (2, 5))
    places = (leaf([[0], [0]], int64), leaf([[0], [0]], int64))
    brain_windows = leaf(np.ones((2, 2)), bfloat16)
    third, n5 = Const(1 / 3, float16, (5,)), Const(5.0, float64, (2, 4))
    return [
        (rules.reduce_ones, Reduce(x, "sum", ()), x),
        (rules.reduce_ones, Reduce(thin, "max", (1,)), Reshape(thin, (2, 4))),
        (rules.reduce_ones, Reduce(thin, "max", (0, 1)), None),
        (rules.reduce_a_constant, Reduce(c, "sum", (1,)), Const(15.0, float64, (2,))),
        (rules.reduce_a_constant, Reduce(c, "prod", (1,)), Const(243.0, float64, (2,))),
        (rules.reduce_a_constant, Reduce(c, "min", (0, 1)), Const(3.0, float64, ())),
        (rules.reduce_a_constant, Reduce(Const(100, int8, (3,)), "sum", (0,)), Const(44, int8)),
        (rules.reduce_a_constant, Reduce(Const(-3, int8, (7,)), "prod", (0,)), Const(117, int8)),
        (rules.reduce_a_constant, Reduce(yes, "sum", (0,)), Const(True, bool_)),
        (rules.reduce_a_constant, Reduce(third, "sum", (0,)),
         Const(float(np.float16(5 * float(np.float16(1 / 3)))), float16)),
        (rules.reduce_a_constant, Reduce(Const(1e30, float32, (9,)), "prod", (0,)),
         Const(float("inf"), float32)),
        (rules.reduce_below_expand, Reduce(wide, "sum", (1,)), Mul(Reduce(thin, "sum", (1,)), n5)),
        (rules.reduce_below_expand, Reduce(wide, "sum", (0,)),
         Expand(Reduce(thin, "sum", (0,)), (5, 4))),
        (rules.reduce_below_expand, Reduce(wide, "max", (0, 1)), Reduce(thin, "max", (0, 1))),
        (rules.reduce_below_expand, Reduce(wide, "prod", (1,)), None),
        (rules.reduce_below_expand, Reduce(Expand(truths, (2, 3)), "prod", (1,)),
         Reduce(truths, "prod", (1,))),
        (rules.reduce_below_expand, Reduce(Expand(half, (2, 2048)), "sum", (1,)),
         Mul(Reduce(half, "sum", (1,)), Const(2048, float16, (2,)))),
        (rules.reduce_below_expand, Reduce(Expand(half, (2, 2049)), "sum", (1,)), None),
        (rules.reduce_below_expand, Reduce(Expand(half, (2, 4)), "sum", (0, 1)), None),
        (rules.reduce_below_expand, Reduce(Expand(brain, (2, 257)), "sum", (1,)), None),
        (rules.reduce_below_reshape, Reduce(Reshape(x, (2, 12)), "sum", (1,)),
         Reduce(x, "sum", (1, 2))),
        (rules.reduce_below_reshape, Reduce(Reshape(x, (1, 2, 3, 2, 2)), "max", (0, 1, 3, 4)),
         Reduce(x, "max", (0, 2))),
        (rules.reduce_below_reshape, Reduce(Reshape(x, (6, 4)), "sum", (1,)), None),
        (rules.reduce_below_reshape, Reduce(Reshape(x, (6, 2, 2)), "sum", (2,)), None),
        (rules.reduce_below_permute, Reduce(Permute(x, (2, 0, 1)), "sum", (0,)),
         Reduce(x, "sum", (2,))),
        (rules.reduce_below_permute, Reduce(Permute(x, (2, 1, 0)), "sum", (1,)), None),
        (rules.accumulate_in_float32, Reduce(half, "sum", (1,)),
         Cast(Reduce(Cast(half, float32), "sum", (1,)), float16)),
        (rules.accumulate_in_float32, Reduce(Mul(half, half), "sum", (1,)),
         Cast(Reduce(Mul(Cast(half, float32), Cast(half, float32)), "sum", (1,)), float16)),
        (rules.accumulate_in_float32, Reduce(half, "max", (1,)), None),
        (rules.accumulate_in_float32, Reduce(x, "sum", (1,)), None),
        (rules.accumulate_in_float32, Fold(brain_windows, 0, 3),
         Cast(Fold(Cast(brain_windows, float32), 0, 3), bfloat16)),
        (rules.accumulate_in_float32, Scatter(brain, places, brain, "sum"),
         Cast(Scatter(Cast(brain, float32), places, Cast(brain, float32), "sum"), bfloat16)),
        (rules.accumulate_in_float32, Scatter(brain, places, brain, "set"), None),
    ]  # fmt: skip


def test_rules_do_what_their_equations_say(cases):
    for rule, before, after in cases:
        assert rule(before) is after, (rule.__name__, before)


def test_rules_keep_the_value(cases):
    for rule, before, after in cases:
        old, new, simple = evaluate([before, after or before, *simplify([before])])
        for value in (new, simple):
            np.testing.assert_allclose(
                value.astype(float), old.astype(float), 1e-13, err_msg=rule.__name__
            )


def test_every_rule_has_a_case(cases):
    assert {rule for rule, _, after in cases if after is not None} == set(rules.RULES)


@pytest.mark.parametrize("dtype", [float16, bfloat16])
def test_a_sum_of_equal_16_bit_floats_is_the_same_bit_for_bit(leaf, dtype):
    x = leaf(np.random.default_rng(0).normal(size=(200, 1)), dtype)
    for n in (2, 3, 100, 255):
        node = Reduce(Expand(x, (200, n)), "sum", (1,))
        old, new = evaluate([node, *simplify([node])])
        assert not any(isinstance(inner, Expand) for inner in simplify([node])[0].inputs)
        assert old.tobytes() == new.tobytes()


def test_a_sum_of_a_broadcast_sum_is_a_multiplication(leaf):
    """The cotangent of a mean: nothing of the mean's size is left."""
    x = leaf(np.ones((3, 4)), float32)
    mean = Mul(Reduce(x, "sum", (0, 1)), Const(1 / 12, float32))
    again = Reduce(Expand(Reshape(mean, (1, 1)), (3, 4)), "sum", (0, 1))
    (node,) = simplify([again])
    assert node is Mul(mean, Const(12, float32))


def test_integer_sums_wrap_alike(leaf):
    x = leaf([[100], [-7]], int8)
    node = Reduce(Expand(x, (2, 300)), "sum", (0, 1))
    old, new = evaluate([node, *simplify([node])])
    assert old == new
    assert evaluate(simplify([Reduce(Const(3, int64, (50,)), "prod", (0,))]))[0] == np.int64(
        pow(3, 50, 2**64) - (2**64 if pow(3, 50, 2**64) >= 2**63 else 0)
    )

"""gradient() walks what lies between loss and targets, and extends the graph."""

import numpy as np
import pytest

from lazygrad.dtypes import float32, float64
from lazygrad.errors import CompilerError, DTypeError, ShapeError
from lazygrad.graph import vjp_rules
from lazygrad.graph.evaluate import evaluate
from lazygrad.graph.gradient import gradient
from lazygrad.graph.ir import (
    Add,
    Const,
    Detach,
    Equal,
    Exp,
    Expand,
    Mul,
    Neg,
    Reduce,
    Sin,
    Slice,
    Sub,
    Token,
    Where,
    topological,
)


def test_the_example_of_the_docstring(leaf):
    x, y = leaf([2.0]), leaf([3.0])
    ones = Const(1, float64, (1,))
    assert gradient(Mul(x, y), [x, y]) == [Mul(ones, y), Mul(ones, x)]


def test_cotangents_of_several_uses_are_added(leaf):
    x = leaf([2.0])
    (g,) = gradient(Add(Mul(x, x), Neg(x)), [x])
    assert evaluate([g])[0].tolist() == [3.0]


def test_a_target_that_the_loss_does_not_depend_on_gives_none(leaf):
    x, y = leaf([2.0]), leaf([2.0])
    g, nothing = gradient(Exp(x), [x, y])
    assert g is not None
    assert nothing is None
    assert gradient(Const(1.0, float64), [x]) == [None]


def test_the_loss_itself_can_be_a_target(leaf):
    x = leaf([2.0])
    seed = Const(5.0, float64, (1,))
    assert gradient(x, [x], seed) == [seed]
    y = Exp(x)
    assert gradient(y, [y, x], seed) == [seed, Mul(seed, y)]


def test_inner_nodes_are_targets_and_gradients_flow_on_through_them(leaf):
    x = leaf([2.0])
    y = Mul(x, x)
    gy, gx = evaluate(gradient(Mul(y, y), [y, x]))
    assert gy.tolist() == [8.0]
    assert gx.tolist() == [32.0]


def test_repeated_targets_have_one_gradient(leaf):
    x = leaf([2.0])
    first, second = gradient(Exp(x), [x, x])
    assert first is second


def test_a_detach_stops_the_gradient(leaf):
    x = leaf([3.0])
    loss = Mul(x, Detach(x, Token()))
    (g,) = gradient(loss, [x])
    assert evaluate([g])[0].tolist() == [3.0]
    assert gradient(Detach(x), [x]) == [None]


def test_what_arrives_at_a_detach_that_is_a_target_is_its_gradient(leaf):
    x = leaf([3.0])
    first, second = Detach(x, Token()), Detach(x, Token())
    got = evaluate(gradient(Sub(Mul(first, first), second), [first, second]))
    assert [g.tolist() for g in got] == [[6.0], [-1.0]]
    assert gradient(Mul(first, first), [x]) == [None]


def test_only_what_lies_between_loss_and_targets_needs_rules(leaf, monkeypatch):
    x, other = leaf([3.0]), leaf([1.0])
    monkeypatch.delitem(vjp_rules.VJP_RULES, Sin)
    loss = Mul(Exp(x), Sin(other))
    assert gradient(loss, [x])[0] is not None
    with pytest.raises(CompilerError, match="sin"):
        gradient(loss, [other])


def test_a_rule_that_gives_another_shape_is_a_compiler_error(leaf, monkeypatch):
    x = leaf([[3.0]])
    monkeypatch.setitem(vjp_rules.VJP_RULES, Exp, lambda g, out: (Reduce(g, "sum", (0,)),))
    with pytest.raises(CompilerError, match="rule of exp"):
        gradient(Exp(x), [x])


def test_conditions_carry_no_gradient(leaf):
    x = leaf([1.0, 3.0])
    three = Const(3.0, float64, (2,))
    (g,) = gradient(Where(Equal(x, three), Exp(x), Neg(x)), [x])
    np.testing.assert_allclose(evaluate([g])[0], [-1.0, np.exp(3.0)])


def test_third_derivatives(leaf):
    x = leaf([0.5])
    y = Mul(Mul(x, x), Mul(x, x))
    for _ in range(3):
        (y,) = gradient(y, [x])
    np.testing.assert_allclose(evaluate([y])[0], [12.0])


def test_a_loss_or_cotangent_that_does_not_fit_is_refused(leaf):
    x = leaf([1.0])
    with pytest.raises(DTypeError, match="int64"):
        gradient(leaf([1]), [x])
    with pytest.raises(ShapeError, match=r"\(2,\)"):
        gradient(x, [x], Const(1, float64, (2,)))
    with pytest.raises(DTypeError, match="float32"):
        gradient(x, [x], Const(1, float32, (1,)))


def test_a_chain_of_100_000_nodes_is_differentiated(deep):
    x, y = deep
    assert gradient(y, [x]) == [Const(1, float64, (1,))]


def test_a_weight_of_many_steps_gets_one_contraction(leaf):
    w = leaf([[[2.0, 3.0]]])  # (1, 1, 2), used in (3, 2, 2)
    wide = Expand(w, (3, 2, 2))
    inputs = [leaf(np.arange(6.0).reshape(3, 2, 1) + i) for i in range(3)]
    slopes = [leaf(np.arange(6.0).reshape(3, 1, 2) * i) for i in range(3)]
    products = [
        Mul(Expand(x, wide.shape), Expand(y, wide.shape))
        for x, y in zip(inputs, slopes, strict=True)
    ]
    expected = sum(evaluate(products)).sum((0, 1), keepdims=True)
    (g,) = gradient(wide, [w], Add(Add(products[0], products[1]), products[2]))
    assert evaluate([g])[0].tolist() == expected.tolist()
    (total,) = [node for node in topological([g]) if isinstance(node, Reduce)]
    assert total.x.shape == (9, 2, 2)
    (g,) = gradient(wide, [w], Add(products[1], products[1]))  # one product, twice
    twice = 2 * evaluate(products)[1].sum((0, 1), keepdims=True)
    assert evaluate([g])[0].tolist() == twice.tolist()


def test_the_gradients_of_slices_side_by_side_are_joined(leaf):
    x = leaf(np.arange(8.0))
    parts = [Slice(x, (start,), (2,), (1,)) for start in (4, 0, 6)]  # 2 and 3 are left out
    total = Add(Add(Mul(parts[0], parts[0]), Neg(parts[1])), parts[2])
    (g,) = gradient(total, [x])
    assert evaluate([g])[0].tolist() == [-1.0, -1.0, 0.0, 0.0, 8.0, 10.0, 1.0, 1.0]
    assert not any(isinstance(node, Add) and node.shape == (8,) for node in topological([g]))
    overlapping = Add(Slice(x, (0,), (4,), (1,)), Slice(x, (2,), (4,), (1,)))
    (g,) = gradient(overlapping, [x])
    assert evaluate([g])[0].tolist() == [1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 0.0, 0.0]

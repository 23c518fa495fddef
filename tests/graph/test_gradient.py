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


def test_a_weight_of_many_steps_gets_a_contraction_from_each(leaf):
    w = leaf([[2.0, 3.0]])
    wide = Expand(w, (3, 2))
    xs = [Expand(leaf([[1.0 + i], [2.0], [3.0]]), (3, 2)) for i in range(3)]
    columns = [Expand(leaf([[1.0, float(i)]]), (3, 2)) for i in range(3)]
    products = [Mul(x, column) for x, column in zip(xs, columns, strict=True)]
    seed = Add(Add(products[0], products[1]), products[2])
    (g,) = gradient(wide, [w], seed)
    assert evaluate([g])[0].tolist() == [[21.0, 23.0]]
    sums = [node for node in topological([g]) if isinstance(node, Reduce)]
    assert [node.x for node in sums] == products
    (g,) = gradient(wide, [w], Add(products[0], products[0]))  # one product, twice
    assert evaluate([g])[0].tolist() == [[12.0, 0.0]]

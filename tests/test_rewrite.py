"""The driver reaches a fixed point, in linear time, at any depth."""

import pytest

from lazygrad.dtypes import float32
from lazygrad.errors import CompilerError
from lazygrad.graph.ir import Abs, Add, Const, Elementwise, Exp, Log, Mul, Neg, Node, Sub, Unary
from lazygrad.rewrite import Rules, rewrite

X = Const(2.0, float32)


def rules_of(*pairs):
    rules = Rules[Node]()
    for cls, function in pairs:
        rules.rule(cls)(function)
    return rules


def drop_double_negation(node):
    """-(-x)  ->  x"""
    match node.x:
        case Neg(x):
            return x
    return None


def test_rules_apply_until_none_does():
    rules = rules_of((Neg, drop_double_negation), (Sub, lambda n: Add(n.x, Neg(n.y))))
    assert rewrite([Sub(X, Neg(X))], rules) == [Add(X, X)]


def test_what_a_rule_returns_is_rewritten_at_every_depth():
    rules = rules_of((Neg, drop_double_negation), (Abs, lambda n: Exp(Log(Neg(Neg(n.x))))))
    assert rewrite([Abs(X)], rules) == [Exp(Log(X))]


def test_outputs_keep_their_number_and_order():
    rules = rules_of((Neg, drop_double_negation))
    assert rewrite([Neg(X), X, Neg(Neg(X)), Neg(X)], rules) == [Neg(X), X, X, Neg(X)]


def test_an_untouched_graph_is_the_same_object():
    graph = Mul(Exp(X), Neg(X))
    assert rewrite([graph], rules_of((Neg, drop_double_negation)))[0] is graph


def test_rules_hold_for_subclasses_and_in_order_of_registration():
    seen = []
    rules = rules_of(
        (Unary, lambda n: seen.append(("unary", n.name))),
        (Neg, lambda n: seen.append(("neg", n.name))),
        (Elementwise, lambda n: seen.append(("elementwise", n.name))),
    )
    rewrite([Neg(X)], rules)
    assert seen == [("unary", "neg"), ("neg", "neg"), ("elementwise", "neg")]


def test_a_rule_of_a_first_input_is_tried_on_such_nodes_alone():
    rules, seen = Rules[Node](), []

    @rules.rule(Neg, of=Unary)
    def note(node, inner):
        """-f(x)  ->  f(x)"""
        seen.append((node, inner))
        return inner

    assert rewrite([Neg(X), Abs(Exp(X)), Neg(Exp(X))], rules) == [Neg(X), Abs(Exp(X)), Exp(X)]
    assert seen == [(Neg(Exp(X)), Exp(X))]
    assert note(Neg(X)) is None
    assert note(Neg(Abs(X))) is Abs(X)
    assert note.__doc__ == "-f(x)  ->  f(x)"


def test_sets_of_rules_add_up():
    first, second = rules_of((Neg, drop_double_negation)), rules_of((Abs, lambda n: n.x))
    assert rewrite([Abs(Neg(Neg(X)))], Rules(first, second)) == [X]
    assert list(Rules(first, second)) == [*first, *second]


def test_a_rule_sees_each_node_once_however_often_it_is_used():
    seen = []
    x = X
    for _ in range(50):  # 2**50 paths
        x = Add(x, x)
    rewrite([x, x], rules_of((Add, seen.append)))
    assert len(seen) == len(set(seen)) == 50


def test_given_replacements_come_first_and_are_rewritten_too():
    inner = Exp(X)
    rules = rules_of((Neg, drop_double_negation), (Exp, lambda n: pytest.fail("was replaced")))
    assert rewrite([Abs(inner)], rules, {inner: Neg(Neg(X))}) == [Abs(X)]


def test_a_chain_of_100_000_nodes_is_rewritten():
    x = X
    for _ in range(50_000):
        x = Neg(Exp(x))
    (y,) = rewrite([x], rules_of((Neg, lambda n: n.x)))
    depth = 0
    while y is not X:
        y, depth = y.x, depth + 1
    assert depth == 50_000


def test_rules_that_go_in_circles_are_a_compiler_error():
    circle = rules_of((Neg, lambda n: Abs(n.x)), (Abs, lambda n: Neg(n.x)))
    with pytest.raises(CompilerError, match="neg"):
        rewrite([Neg(X)], circle)


def test_rules_that_grow_without_end_are_a_compiler_error():
    with pytest.raises(CompilerError, match="needs it"):
        rewrite([Neg(X)], rules_of((Neg, lambda n: Exp(n))))

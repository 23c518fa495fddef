"""A loop that asks of its index whether to do anything runs over the indices that pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lazygrad.dtypes import float32
from lazygrad.expr import Array, Expr, Literal, Load, Op, Var
from lazygrad.index import add, all_of, at_least, equal, less, mod, mul, sub
from lazygrad.loops.cpu.tighten import tighten_bounds
from lazygrad.loops.ir import Accumulate, Body, For, Function, If, Store, statements
from lazygrad.loops.ir.evaluate import evaluate
from lazygrad.loops.ir.rebuild import variables

I, K = Var("i", 6), Var("k", 5)
OUT, X = Array("out", float32, 6), Array("x", float32, 30)


def sums(condition: Expr | None, kind: str = "serial") -> Body:
    """out[i] = the sum over k of x[i * 5 + k] where the condition holds."""
    assert condition is not None
    term = Accumulate(OUT, I, "sum", Load(X, add(mul(I, 5), K)))
    over_k = For(K, 5, kind, (If(condition, (term,)),))
    return (For(I, 6, "serial", (Store(OUT, I, Literal(0.0, float32)), over_k)),)


def values(body: Body) -> Any:
    out = np.full(6, np.nan, np.float32)
    x = np.arange(1, 31, dtype=np.float32)
    evaluate(Function("sums", (OUT, X), 1, body), {"out": out, "x": x})
    return out


def asked(body: Body) -> list[If]:
    return [s for s in statements(body) if isinstance(s, If)]


@pytest.mark.parametrize(
    "condition",
    [
        less(K, 3),
        at_least(K, 2),
        less(add(I, K), 4),  # nothing passes for i >= 4
        at_least(add(I, K), 4),
        less(K, I),
        less(sub(I, K), 2),
        all_of([at_least(add(I, K), 3), less(add(I, K), 7)]),
        all_of([less(I, 4), less(K, 2)]),
    ],
    ids=repr,
)
def test_the_indices_that_pass(condition: Expr) -> None:
    body = sums(condition)
    short = tighten_bounds(body)
    np.testing.assert_array_equal(values(short), values(body))
    assert all(K not in variables(test.condition) for test in asked(short))


@pytest.mark.parametrize(
    "condition",
    [
        less(mul(K, 2), I),  # two steps at a time
        equal(mod(K, 2), 0),  # no bound
        Op("or", (less(K, 1), at_least(K, 4))),
        all_of([less(mod(add(I, K), 3), 2), at_least(K, 1)]),  # in part
    ],
    ids=repr,
)
def test_other_conditions_are_tested_inside(condition: Expr) -> None:
    body = sums(condition)
    short = tighten_bounds(body)
    np.testing.assert_array_equal(values(short), values(body))
    assert any(K in variables(test.condition) for test in asked(short))


def test_only_serial_loops_are_shortened() -> None:
    body = sums(less(K, 3), "parallel")
    assert tighten_bounds(body) == body


def test_a_loop_that_does_more_than_ask_stays() -> None:
    store = Store(OUT, I, Literal(1.0, float32))
    body = (For(K, 5, "serial", (If(less(K, 3), (store,)), store)),)
    assert tighten_bounds(body) == body


def test_two_sides_stay() -> None:
    store = Store(OUT, K, Literal(1.0, float32))
    other = Store(OUT, K, Literal(2.0, float32))
    body = (For(K, 5, "serial", (If(less(K, 3), (store,), (other,)),)),)
    assert tighten_bounds(body) == body


def test_a_condition_that_the_loop_may_change_is_asked_each_time() -> None:
    """for k in 5: if out[0] < 3: out[0] += 1"""
    more = Accumulate(OUT, Literal(0), "sum", Literal(1.0, float32))
    again = Op("lt", (Load(OUT, Literal(0)), Literal(3.0, float32)))
    body = (For(K, 5, "serial", (If(again, (more,)),)),)
    assert tighten_bounds(body) == body

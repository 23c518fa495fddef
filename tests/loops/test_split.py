"""Splitting loops whose index is used in two digits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lazygrad.dtypes import float32, int64
from lazygrad.expr import Array, Literal, Load, Var
from lazygrad.index import add, floordiv, mod, mul
from lazygrad.loops.ir import Accumulate, For, Function, Store, show
from lazygrad.loops.ir.rebuild import nest
from lazygrad.loops.split import split_divided


def test_split_keeps_values(any_sample: Any) -> None:
    body = split_divided(any_sample.function.body)
    any_sample.agrees(any_sample.with_body(body))


def _blocked() -> Function:
    n, c = Var("n", 16), Var("c", 3)
    out, x = Array("out", float32, 48), Array("x", float32, 48)
    place = add(mul(floordiv(n, 8), 24), mul(c, 8), mod(n, 8))
    store = Store(out, place, Load(x, add(mul(n, 3), c)))
    return Function("copy", (out, x), 1, (For(n, 16, "serial", (For(c, 3, "serial", (store,)),)),))


def test_blocked_memory_makes_the_low_digit_innermost(golden: Any) -> None:
    function = _blocked()
    golden("split.txt", show(replace(function, body=split_divided(function.body))))


def test_loops_of_varying_length_stay() -> None:
    """serial i: serial j in i + 1: the length is no part of what is split."""
    i, j = Var("i", 6), Var("j", 6)
    out = Array("out", int64, 36)
    body = nest([i], (For(j, add(i, 1), "serial", (Store(out, add(mul(i, 6), j), j),)),))
    assert split_divided(body) == body


def test_the_loops_of_a_row_are_in_the_order_of_memory() -> None:
    """out[i] = sum over n, c of x[i, c, n], lowered with n outermost."""
    i, n, c = Var("i", 2), Var("n", 8), Var("c", 3)
    out, x = Array("out", float32, 2), Array("x", float32, 48)
    term = Accumulate(out, i, "sum", Load(x, add(mul(i, 24), mul(c, 8), n)))
    start = Store(out, i, Literal(0.0, float32))
    (row,) = split_divided(nest([i], (start, *nest([n, c], (term,)))))
    assert isinstance(row, For)
    assert row.body == (start, *nest([c, n], (term,)))


def test_loops_that_read_what_they_write_keep_their_order() -> None:
    i, n, c = Var("i", 2), Var("n", 8), Var("c", 3)
    out = Array("out", float32, 48)
    place = add(mul(i, 24), mul(c, 8), n)
    store = Store(out, place, Load(out, place))
    start = Store(out, i, Literal(0.0, float32))
    body = nest([i], (start, *nest([n, c], (store,))))
    assert split_divided(body) == body

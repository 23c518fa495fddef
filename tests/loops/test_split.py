"""Splitting loops whose index is used in two digits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lazygrad.dtypes import float32, int64
from lazygrad.expr import Array, Load, Var
from lazygrad.index import add, floordiv, mod, mul
from lazygrad.loops.ir import For, Function, Store, show
from lazygrad.loops.rebuild import nest
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

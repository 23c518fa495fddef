"""Vectors, where all are whole and aligned."""

from __future__ import annotations

from typing import Any

import pytest

from lazygrad.dtypes import float16, float32, float64, uint8
from lazygrad.expr import Array, Load, Var
from lazygrad.index import add, all_of, floordiv, less, mul
from lazygrad.loops.gpu.vectors import bind_vectors, vector_width
from lazygrad.loops.ir import Function, Store, show
from lazygrad.loops.ir.rebuild import nest
from lazygrad.loops.primitives import Schedule

OUT, X = Array("out", float32, 4096), Array("x", float32, 4096)
R, I = Var("r", 8), Var("i", 64)


def copy(index: Any, read: Any = None, guard: Any = None) -> tuple[Store]:
    """out[index] = x[read], where the guard holds"""
    return (Store(OUT, index, Load(X, index if read is None else read, guard)),)


@pytest.mark.parametrize(
    ("body", "width"),
    [
        (copy(I), 4),
        (copy(add(mul(R, 64), I)), 4),
        (copy(add(mul(R, 66), I)), 2),
        (copy(add(mul(R, 65), I)), 1),
        (copy(add(I, 4)), 4),
        (copy(add(I, 1)), 1),
        (copy(I, R), 4),
        (copy(I, mul(I, 2)), 1),
        (copy(I, floordiv(I, 4)), 1),
        (copy(R, R), 1),
        (copy(I, I, less(I, 60)), 4),
        (copy(I, I, less(I, 58)), 2),
        (copy(I, I, all_of((less(R, 3), less(add(mul(R, 8), I), 40)))), 4),
    ],
)
def test_width(body: Any, width: int) -> None:
    assert vector_width(body, I) == width


@pytest.mark.parametrize(
    ("dtypes", "width"),
    [
        ((float64, float64), 2),
        ((float16, float16), 8),
        ((float32, uint8), 4),
        ((uint8, uint8), 16),
    ],
)
def test_a_vector_is_16_bytes_of_the_widest(dtypes: Any, width: int) -> None:
    out, x = (Array(name, dtype, 64) for name, dtype in zip(("out", "x"), dtypes, strict=True))
    assert vector_width((Store(out, I, Load(x, I)),), I) == width


def test_loops_that_do_not_divide_are_no_vectors() -> None:
    assert vector_width(copy(Var("n", 63)), Var("n", 63)) == 1


def test_guards_are_those_of_the_first_lane() -> None:
    s = Schedule(nest([I], copy(I, I, less(I, 60))))
    assert bind_vectors(s) == 4
    text = show(Function("f", (), 0, s.done()))
    assert "out[((i_o * 4) + lane)] = x[((i_o * 4) + lane) if (i_o < 15)]" in text


def test_a_map_in_vectors() -> None:
    s = Schedule(nest([R, I], copy(add(mul(R, 64), I))))
    assert bind_vectors(s) == 4
    assert [v.extent for v in s.outer()[0]] == [8, 16]
    assert "vector lane in 4:" in show(Function("f", (), 0, s.done()))

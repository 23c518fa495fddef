"""Expressions: interning, types and lanes, walking, rewriting, text."""

from __future__ import annotations

import gc
import math

import pytest

from lazygrad import interned
from lazygrad.dtypes import bool_, float32, float64, int8, int32, uint32
from lazygrad.expr import (
    Array,
    Bitcast,
    Broadcast,
    Cast,
    Expr,
    Literal,
    Load,
    Local,
    Op,
    Ramp,
    ReduceLanes,
    Var,
    leaves,
    rewrite,
    show,
    walk,
)

X = Array("x", float32, 16)
I = Var("i", 16)


def test_equal_expressions_are_one_object() -> None:
    assert Op("add", (I, Literal(1))) is Op("add", (I, Literal(1)))
    assert Load(X, I) is Load(Array("x", float32, 16), I)
    assert Var("i", 16) is I
    assert Var("i", 17) is not I
    assert Load(X, I, None) is Load(X, I)
    assert Local("v", float64, 1) is Local("v", float64)


def test_literals_are_told_apart_by_their_bits() -> None:
    assert Literal(0.0, float32) is not Literal(-0.0, float32)
    assert Literal(math.nan, float32) is Literal(math.nan, float32)
    assert Literal(1) is not Literal(1, int32)
    assert Literal(1.0, float32) is not Literal(1.0, float64)
    assert Literal(True, bool_) is Literal(1, bool_)


def test_unused_expressions_are_forgotten() -> None:
    def entries() -> int:
        living = [ref() for ref in list(interned.interned.values())]
        marked = {e for e in living if isinstance(e, Literal) and e.value == 12345.5}
        users = [e for e in living if isinstance(e, Op) and not marked.isdisjoint(e.operands)]
        return len(marked) + len(users)

    kept = Op("neg", (Literal(12345.5, float32),))
    assert entries() == 2
    del kept
    gc.collect()
    assert entries() == 0


@pytest.mark.parametrize(
    ("e", "dtype", "lanes"),
    [
        (Load(X, I), float32, 1),
        (Load(X, Ramp(I, 1, 8)), float32, 8),
        (Load(X, I, Op("lt", (Ramp(I, 1, 4), I))), float32, 4),
        (Op("lt", (Load(X, I), Load(X, I))), bool_, 1),
        (Op("where", (Op("lt", (I, I)), Load(X, I), Load(X, I))), float32, 1),
        (Op("add", (Broadcast(Load(X, I), 8), Load(X, I))), float32, 8),
        (Cast(Ramp(I, 2, 4), int8), int8, 4),
        (Bitcast(Load(X, I), uint32), uint32, 1),
        (ReduceLanes("sum", Load(X, Ramp(I, 1, 8))), float32, 1),
        (Local("v", float64, 2), float64, 2),
    ],
    ids=repr,
)
def test_dtypes_and_lanes(e: Expr, dtype: object, lanes: int) -> None:
    assert (e.dtype, e.lanes) == (dtype, lanes)


@pytest.mark.parametrize(
    ("e", "text"),
    [
        (Op("add", (Op("mul", (I, Literal(4))), Literal(3))), "((i * 4) + 3)"),
        (Load(X, I, Op("lt", (I, Literal(9)))), "x[i if (i < 9)]"),
        (Op("exp", (Literal(1.5, float32),)), "exp(1.5:float32)"),
        (Cast(I, float32), "float32(i)"),
        (Bitcast(Load(X, I), uint32), "bits_uint32(x[i])"),
        (Broadcast(Load(X, Literal(0)), 8), "x8(x[0])"),
        (ReduceLanes("max", Load(X, Ramp(I, 2, 4))), "lanes_max(x[ramp(i, 2, 4)])"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_text(e: Expr, text: str) -> None:
    assert show(e) == repr(e) == text


def test_walk_visits_each_part_once_and_needs_no_stack() -> None:
    e: Expr = I
    for _ in range(5000):
        e = Op("add", (e, e))  # a tree of 2**5000 leaves
    visited: list[Expr] = []

    def visit(x: Expr, depths: tuple[int, ...]) -> int:
        visited.append(x)
        return 1 + max(depths, default=0)

    assert walk(e, visit) == 5001
    assert len(visited) == 5001


def test_rewrite_rebuilds_from_the_leaves() -> None:
    e = Op("add", (Load(X, I), Op("neg", (Load(X, I),))))
    j = Var("j", 16)
    assert rewrite(e, lambda x: j if x is I else None) is Op(
        "add", (Load(X, j), Op("neg", (Load(X, j),)))
    )
    assert rewrite(e, lambda x: None) is e


@pytest.mark.parametrize(
    "e",
    [
        Op("where", (Op("lt", (I, I)), I, Literal(2))),
        Load(X, I, Op("lt", (I, Literal(3)))),
        Ramp(I, 3, 4),
        Broadcast(I, 4),
        Cast(I, float32),
        ReduceLanes("sum", Ramp(I, 1, 4)),
    ],
    ids=repr,
)
def test_with_operands(e: Expr) -> None:
    j = Var("j", 16)
    changed = e.with_operands(tuple(j if x is I else x for x in e.operands))
    assert type(changed) is type(e)
    assert changed.with_operands(e.operands) is e
    assert e.with_operands(e.operands) is e


def test_leaves() -> None:
    e = Op("add", (Load(X, Op("mul", (I, Literal(4)))), Cast(I, float32)))
    assert leaves(e) == {I, Literal(4)}

"""Loops stay where, written out, they would access very many single elements."""

from __future__ import annotations

import numpy as np
import pytest

from lazygrad.dtypes import float32
from lazygrad.expr import Array, Expr, Literal, Load, Op, Ramp, Var
from lazygrad.index import add, mul
from lazygrad.loops.cpu.roll import roll
from lazygrad.loops.ir import Accumulate, Alloc, Body, For, Function, Store, statements
from lazygrad.loops.ir.rebuild import nest_all
from lazygrad.loops.ir.verify import verify
from lazygrad.loops.unroll import unroll
from tests.loops.evaluate import evaluate

I, J, LANES = Var("i", 16), Var("j", 3), 16
OUT, X = Array("out", float32, 16 * 48), Array("x", float32, 16 * 48)
ACC, V = Array("acc", float32, 16 * 48, "register"), Array("v", float32, 16 * 48, "register")
TILE = Ramp(add(mul(I, 48), mul(J, 16)), 1, LANES)  # of registers
APART = Ramp(add(mul(I, 48), J), 3, LANES)  # the same elements, by columns


def tiled(*stmts: Store | Accumulate) -> Body:
    """Each statement in unroll loops of its own."""
    return tuple(nest for stmt in stmts for nest in nest_all([I, J], (stmt,), "unroll"))


def kinds(body: Body) -> list[str]:
    return [s.kind for s in statements(body) if isinstance(s, For)]


def agrees(body: Body) -> Body:
    """Roll the body: the values are those of all loops written out, to the bit."""
    made = roll(body)
    found = []
    for each in (unroll(body), unroll(made)):
        function = Function("f", (OUT, X), 1, each)
        verify(function, unrolled=True)
        values = {"out": np.zeros(OUT.size, np.float32), "x": np.arange(X.size, dtype=np.float32)}
        evaluate(function, values)
        found.append(values["out"])
    assert found[0].any()
    np.testing.assert_array_equal(*found)
    return made


def sums(target: Array, index: Expr, value: Expr) -> Body:
    zero = Store(target, index, Literal(0.0, float32))
    return (Alloc(target), *tiled(zero, Accumulate(target, index, "sum", value)))


def test_a_tile_of_sums_is_copied_once_and_stored_by_loops() -> None:
    total, twice = Load(ACC, TILE), Op("add", (Load(ACC, TILE), Load(OUT, APART)))
    body = agrees(
        (
            *sums(ACC, TILE, Load(X, TILE)),
            *tiled(Store(OUT, APART, total), Store(OUT, APART, twice)),
        )
    )
    assert kinds(body) == ["unroll"] * 4 + ["serial", "unroll"] * 2
    assert [s.array.name for s in statements(body) if isinstance(s, Alloc)] == ["acc", "acc_tile"]


def test_a_copy_that_is_out_of_date_is_made_anew() -> None:
    put = tiled(Store(OUT, APART, Op("add", (Load(ACC, TILE), Load(OUT, APART)))))
    more = tiled(Accumulate(ACC, TILE, "sum", Load(X, TILE)))
    body = agrees((*sums(ACC, TILE, Load(X, TILE)), *put, *more, *put))
    allocated = [s.array.name for s in statements(body) if isinstance(s, Alloc)]
    assert allocated == ["acc", "acc_tile", "acc_tile_1"]


def test_registers_that_such_loops_write_are_in_local_memory() -> None:
    value = Op("mul", (Load(X, APART), Load(X, APART)))
    body = agrees((Alloc(V), *tiled(Store(V, TILE, value), Store(OUT, TILE, Load(V, TILE)))))
    assert kinds(body) == ["serial", "unroll", "unroll", "unroll"]
    assert {s.array.scope for s in statements(body) if isinstance(s, Alloc)} == {"local"}


@pytest.mark.parametrize(
    "stmt",
    [
        Store(OUT, TILE, Load(X, TILE)),
        Store(OUT, TILE, Load(X, Ramp(add(I, mul(J, 256)), 16, LANES))),
        Accumulate(ACC, TILE, "sum", Load(X, APART)),
        Accumulate(OUT, APART, "sum", Load(X, TILE)),
    ],
    ids=["vectors", "columns to transpose", "a tile of sums", "sums"],
)
def test_what_is_written_out_as_ever(stmt: Store | Accumulate) -> None:
    body = tiled(stmt)
    assert roll(body) == body

"""Long epilogues stay loops."""

from __future__ import annotations

import numpy as np
import pytest

from lazygrad.dtypes import float32
from lazygrad.expr import Array, Expr, Literal, Load, Op, Var
from lazygrad.index import Index, add, mul
from lazygrad.loops.cpu import roll as module
from lazygrad.loops.cpu.roll import roll
from lazygrad.loops.ir import Accumulate, Alloc, Body, For, Function, Store, statements
from lazygrad.loops.ir.evaluate import evaluate
from lazygrad.loops.ir.verify import verify
from lazygrad.loops.unroll import unroll
from lazygrad.loops.vectorize import vectorize

I, J, LANE = Var("i", 4), Var("j", 2), Var("lane", 4)
IN, OUT, MORE = (Array(n, float32, 4 * 8 * 9) for n in ("in0", "out0", "out1"))
ACC, V = Array("acc", float32, 32, "register"), Array("v", float32, 32, "register")
SUM = add(mul(I, 8), mul(J, 4), LANE)


@pytest.fixture(autouse=True)
def _much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MUCH", 40)


def tiled(stmt: Store | Accumulate) -> For:
    return For(I, 4, "unroll", (For(J, 2, "unroll", (For(LANE, 4, "vector", (stmt,)),)),))


def epilogue(place: Index) -> Body:
    """Sums of what is read; out0 += v and out1 = v for v = 2 * sum."""
    doubled = Op("mul", (Load(ACC, SUM), Literal(2.0, float32)))
    index = add(place)
    kept = Op("add", (Load(OUT, index), Load(V, SUM)))
    return (
        Alloc(ACC), tiled(Store(ACC, SUM, Load(IN, SUM))),
        For(Var("k", 3), 3, "serial", (tiled(Accumulate(ACC, SUM, "sum", Load(IN, SUM))),)),
        Alloc(V), tiled(Store(V, SUM, doubled)),
        tiled(Store(OUT, index, kept)), tiled(Store(MORE, index, Load(V, SUM))),
    )  # fmt: skip


def values(body: Body) -> list[list[float]]:
    function = Function("f", (OUT, MORE, IN), 2, unroll(vectorize(body)))
    verify(function, final=True, unrolled=True)
    arrays = {a.name: np.arange(a.size, dtype=np.float32) for a in function.arguments}
    evaluate(function, arrays)
    return [arrays[a.name].tolist() for a in (OUT, MORE)]


APART = add(mul(I, 72), mul(J, 36), mul(LANE, 9))


def rolled(body: Body) -> bool:
    return any(isinstance(s, For) and s.var is I and s.kind == "serial" for s in statements(body))


@pytest.mark.parametrize("place", [SUM, APART, add(I, mul(J, 16), mul(LANE, 32))])
def test_values_are_kept_and_the_code_is_less(place: Expr) -> None:
    body = epilogue(place)
    shorter = roll(body)
    assert rolled(shorter)
    assert values(shorter) == values(body)
    count = [len(list(statements(unroll(b)))) for b in (body, shorter)]
    assert count[1] < count[0]


def test_sums_stay_in_registers() -> None:
    body = roll(epilogue(APART))
    assert body[:3] == epilogue(APART)[:3]


def test_little_code_is_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MUCH", 10_000)
    assert roll(epilogue(APART)) == epilogue(APART)


def test_what_iterations_share_is_written_out() -> None:
    shared = epilogue(add(mul(J, 4), LANE))  # every i adds to the same elements
    assert roll(shared) == shared
    apart = Store(OUT, APART, Load(MORE, SUM)), Store(MORE, APART, Load(IN, SUM))
    body = tuple(map(tiled, apart))  # the first reads what the second writes elsewhere
    assert roll(body) == body


def test_vectors_that_lie_between_one_another_are_written_out() -> None:
    between = epilogue(add(I, mul(J, 16), mul(LANE, 2)))
    assert roll(between) == between

"""An output takes the memory of an input."""

from __future__ import annotations

import numpy as np
import pytest

from lazygrad import Tensor
from lazygrad.compile import plan_for
from lazygrad.dtypes import float32, int64
from lazygrad.expr import Array, Cast, Expr, Load, Op, Var
from lazygrad.index import FALSE, add, at_least, mod, mul
from lazygrad.loops.ir import Body, For, Function, Store
from lazygrad.loops.ir.evaluate import evaluate
from lazygrad.loops.ir.verify import verify
from lazygrad.loops.lower.arguments import overwrite, rebase

I = Var("i", 4)
ARRAYS = tuple(Array(name, float32, 4) for name in ("out0", "out1", "in0", "in1", "in2"))
OUT0, OUT1, IN0, IN1, IN2 = ARRAYS
BODY = (
    Store(OUT0, I, Op("add", (Load(IN0, I), Load(IN1, I)))),
    Store(OUT1, I, Op("mul", (Load(IN1, I), Load(IN2, I)))),
)
FUNCTION = Function("f", ARRAYS, 2, (For(I, 4, "serial", BODY),))


def test_without_pairs_nothing_changes() -> None:
    assert overwrite(FUNCTION, []) == (FUNCTION, ARRAYS)


def test_an_input_is_one_with_its_output_and_the_others_are_numbered_anew() -> None:
    function, arrays = overwrite(FUNCTION, [(0, 2), (1, 4)])
    verify(function)
    assert [a.name for a in function.arguments] == ["out0", "out1", "in0"]
    assert [a.name for a in arrays] == ["out0", "out1", "out0", "in0", "out1"]
    x, y, z = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    memory = {"out0": x.copy(), "in0": y, "out1": z.copy()}
    evaluate(function, memory)
    np.testing.assert_array_equal(memory["out0"], x + y)
    np.testing.assert_array_equal(memory["out1"], y * z)


I = Var("i", 10)
OUT, X = Array("out0", float32, 10), Array("in0", float32, 1000)


def reads(*indices: Expr, guard: Expr | None = None) -> Function:
    """out0[i] = the product of in0 at these indices."""
    value: Expr = Load(X, indices[0], guard)
    for index in indices[1:]:
        value = Op("mul", (value, Load(X, index, guard)))
    body: Body = (For(I, 10, "serial", (Store(OUT, I, value),)),)
    return Function("f", (OUT, X), 1, body)


@pytest.mark.parametrize(
    ("indices", "start", "size"),
    [
        ((I,), 0, 10),
        ((add(I, 640),), 640, 10),
        ((add(I, 645),), 640, 15),  # on a whole line
        ((add(I, 5),), 0, 15),
        ((add(mul(I, 50), 320),), 320, 451),
        ((add(mul(I, -1), 649),), 640, 10),
        ((add(mul(I, -1), 656),), 640, 17),
        ((add(mul(I, 2), 640), add(I, 656)), 640, 26),
        ((add(I, 640), I), 0, 650),
        ((add(mod(mul(I, 3), 4), 320),), 320, 4),
        ((add(mul(I, 100), 90),), 80, 911),
    ],
    ids=repr,
)
def test_where_an_input_begins(indices: tuple[Expr, ...], start: int, size: int) -> None:
    function = reads(*indices)
    based, offsets = rebase(function)
    verify(based)
    assert (offsets, based.arguments[1].size) == ((0, 4 * start), size)
    x = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    wanted, found = np.zeros(10, np.float32), np.zeros(10, np.float32)
    evaluate(function, {"out0": wanted, "in0": x})
    evaluate(based, {"out0": found, "in0": x[start : start + size]})
    np.testing.assert_array_equal(found, wanted)


def test_what_is_read_before_the_beginning_is_guarded() -> None:
    function = reads(add(I, -2), guard=at_least(I, 2))
    based, offsets = rebase(function)
    verify(based)
    assert (offsets, based.arguments[1].size) == ((0, 0), 8)


@pytest.mark.parametrize("apart", [-2000, 2000])
def test_what_is_never_read_may_lie_anywhere(apart: int) -> None:
    based, offsets = rebase(reads(add(I, apart), guard=FALSE))
    verify(based)
    assert 0 <= offsets[1] < 4000
    assert based.arguments[1].size >= 1


def test_computed_places_may_be_anywhere() -> None:
    place = Cast(Load(X, add(I, 640)), int64)
    function = reads(place)
    assert rebase(function) == (function, (0, 0))


@pytest.mark.usefixtures("own_plans")
def test_parts_of_a_tensor_share_their_code() -> None:
    values = np.random.default_rng(0).standard_normal((6, 48)).astype(np.float32)
    rows = Tensor(values).realize()
    totals = [(rows[n] * 2 + 1).contiguous() for n in range(6)]
    plans = [plan_for([t.node])[0] for t in totals]
    launches = [launch for plan in plans for run in plan.programs() for launch in run.launches]
    assert [launch.offsets for launch in launches] == [(0, 4 * 48 * n) for n in range(6)]
    assert len({launch.function for launch in launches}) == 1
    for n, total in enumerate(totals):
        np.testing.assert_array_equal(total.numpy(), values[n] * 2 + 1)


@pytest.mark.usefixtures("own_plans")
def test_parts_that_are_joined_begin_where_they_do() -> None:
    """A guarded read has the bounds of all of the array: it is not rebased, but shifted."""
    values = np.arange(24 * 8, dtype=np.float32).reshape(24, 8)
    x = Tensor(values).realize()
    for first, second in ((16, 8), (8, 0), (16, 0)):
        made = Tensor.cat(x[first : first + 8], x[second : second + 8]).contiguous()
        expected = np.concatenate([values[first : first + 8], values[second : second + 8]])
        np.testing.assert_array_equal(made.numpy(), expected)

"""An output takes the memory of an input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lazygrad import Tensor
from lazygrad.compile import plan_for
from lazygrad.dtypes import float32, int64
from lazygrad.expr import Array, Literal, Load, Op, Var
from lazygrad.index import less
from lazygrad.loops.ir import For, Function, Store, statements
from lazygrad.loops.ir.verify import verify
from lazygrad.loops.lower.arguments import overwrite
from tests.loops.evaluate import evaluate

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


def test_a_condition_reads_the_input_that_it_read() -> None:
    count = Array("in3", int64, 1)
    first, second = BODY
    first = replace(first, needed=less(I, Load(count, Literal(0))))
    body = (For(I, 4, "serial", (first, second)),)
    function = replace(FUNCTION, arguments=(*ARRAYS, count), body=body)
    function, arrays = overwrite(function, [(0, 2)])
    assert [a.name for a in function.arguments] == ["out0", "out1", "in0", "in1", "in2"]
    first, _ = (s for s in statements(function.body) if isinstance(s, Store))
    assert first.needed is less(I, Load(arrays[-1], Literal(0)))


@pytest.mark.usefixtures("own_plans")
def test_parts_of_a_tensor_share_their_code() -> None:
    values = np.random.default_rng(0).standard_normal((6, 48)).astype(np.float32)
    rows = Tensor(values).realize()
    totals = [(rows[n] * 2 + 1).contiguous() for n in range(6)]
    plans = [plan_for([t.node])[0] for t in totals]
    launches = [launch for plan in plans for run in plan.programs() for launch in run.launches]
    assert [x.offsets or (0, 0) for x in launches] == [(0, 4 * 48 * n) for n in range(6)]
    assert len({launch.function for launch in launches}) == 1
    for n, total in enumerate(totals):
        np.testing.assert_array_equal(total.numpy(), values[n] * 2 + 1)


@pytest.mark.usefixtures("own_plans")
def test_parts_that_are_joined_begin_where_they_do() -> None:
    values = np.arange(24 * 8, dtype=np.float32).reshape(24, 8)
    x = Tensor(values).realize()
    for first, second in ((16, 8), (8, 0), (16, 0)):
        made = Tensor.cat(x[first : first + 8], x[second : second + 8]).contiguous()
        expected = np.concatenate([values[first : first + 8], values[second : second + 8]])
        np.testing.assert_array_equal(made.numpy(), expected)

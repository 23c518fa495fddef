"""An output takes the memory of an input."""

from __future__ import annotations

import numpy as np

from lazygrad.dtypes import float32
from lazygrad.expr import Array, Load, Op, Var
from lazygrad.loops.ir import For, Function, Store
from lazygrad.loops.ir.evaluate import evaluate
from lazygrad.loops.ir.verify import verify
from lazygrad.loops.lower.overwrite import overwrite

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

"""What loops mean: the interpreter's own cases, which no sample of a kernel reaches."""

from __future__ import annotations

import numpy as np
import pytest

from lazygrad.dtypes import ALL, DType, bool_, float32
from lazygrad.expr import EVERY_OPERATION, Array, Broadcast, Literal, Load, Local, Op, Ramp, Var
from lazygrad.graph.evaluate import operate
from lazygrad.loops.ir import Accumulate, Body, For, Function, Let, Stmt, Store
from tests.loops.evaluate import Value, evaluate, operation

Y, X = Array("y", float32, 4), Array("x", float32, 4)
FIRST = Literal(0)
LANES = Ramp(FIRST, 1, 4)
HALF = Op("lt", (LANES, Literal(2)))
SAME = Op("mul", (LANES, Literal(0)))  # each lane the same element
ONE = Literal(1.0, float32)


def run(*body: Stmt) -> list[float]:
    """y, which begins as zeros, after these statements; x is 1, 2, 3, 4."""
    arrays = {"y": np.zeros(4, np.float32), "x": np.arange(1, 5, dtype=np.float32)}
    evaluate(Function("f", (Y, X), 1, body), arrays)
    return arrays["y"].tolist()


@pytest.mark.parametrize(
    ("stmt", "wanted"),
    [
        (Store(Y, LANES, Load(X, LANES)), [1, 2, 3, 4]),
        (Store(Y, FIRST, Load(X, LANES)), [1, 2, 3, 4]),
        (Store(Y, FIRST, Load(X, Literal(9), Literal(False, bool_))), [0, 0, 0, 0]),
        (Store(Y, LANES, Load(X, LANES, HALF)), [1, 2, 0, 0]),
        (Store(Y, LANES, Load(X, LANES), HALF), [1, 2, 0, 0]),
        (Store(Y, LANES, Load(X, Op("add", (LANES, Literal(2))), HALF)), [3, 4, 0, 0]),
        (Store(Y, Literal(9), ONE, Literal(False, bool_)), [0, 0, 0, 0]),
        (Store(Y, Op("add", (LANES, Literal(2))), Load(X, LANES), HALF), [0, 0, 1, 2]),
        (Store(Y, LANES, Load(X, LANES), Literal(False, bool_)), [0, 0, 0, 0]),
        (Store(Y, SAME, Load(X, LANES)), [4, 0, 0, 0]),
        (Accumulate(Y, SAME, "sum", Load(X, LANES)), [10, 0, 0, 0]),
        (Accumulate(Y, SAME, "sum", ONE), [4, 0, 0, 0]),
        (Accumulate(Y, SAME, "sum", Load(X, LANES), HALF), [3, 0, 0, 0]),
        (Accumulate(Y, LANES, "sum", Op("mul", (ONE, Load(X, LANES)))), [1, 2, 3, 4]),
        (Accumulate(Y, LANES, "max", Broadcast(ONE, 4), HALF), [1, 1, 0, 0]),
    ],
)
def test_lanes(stmt: Store | Accumulate, wanted: list[float]) -> None:
    assert run(stmt) == wanted


@pytest.mark.parametrize(
    ("stmt", "place"),
    [
        (Store(Y, Literal(4), ONE), r"y\[4\]"),
        (Store(Y, Literal(-1), ONE), r"y\[-1\]"),
        (Store(Y, Literal(1), Load(X, LANES)), r"y\[4\]"),
        (Store(Y, FIRST, Load(X, Literal(-1))), r"x\[-1\]"),
        (Store(Y, LANES, Load(X, Op("sub", (LANES, Literal(2))))), r"x\[-2\]"),
        (Accumulate(Y, Literal(7), "sum", Load(X, Literal(9))), r"y\[7\]"),
    ],
)
def test_an_access_outside_its_array_raises(stmt: Store | Accumulate, place: str) -> None:
    with pytest.raises(IndexError, match=rf"{place} is outside its 4 elements"):
        run(stmt)


def test_values_are_those_of_the_iteration_and_of_the_memory_at_the_time() -> None:
    i, j, v = Var("i", 2), Var("j", 2), Local("v", float32)
    place = Op("add", (Op("mul", (i, Literal(2))), j))
    inner: Body = (
        Let(v, Load(Y, FIRST)),
        Accumulate(Y, place, "sum", Op("add", (v, ONE))),
        Store(Y, FIRST, Op("add", (Load(Y, FIRST), v))),
    )
    # y[0]: 0 -> 1 -> 1; then y[1] += 2, y[0] = 2; y[2] += 3, y[0] = 4; y[3] += 5, y[0] = 8
    assert run(For(i, 2, "serial", (For(j, 2, "serial", inner),))) == [8, 2, 3, 5]


def test_a_name_without_value_and_one_with_two_are_refused() -> None:
    v = Local("v", float32)
    with pytest.raises(NameError, match="v has no value here"):
        run(Store(Y, FIRST, v))
    with pytest.raises(ValueError, match="v is defined twice"):
        run(Let(v, ONE), Let(v, ONE))


SPECIAL = [0, 1, 2, 3, 7, 63, 127, -1, -2, -128, 2**31 - 1, -(2**31), 2**62]
FLOATS = [*SPECIAL, -0.0, 0.5, -2.5, 1e30, 3e-39, float("inf"), float("-inf"), float("nan")]


@pytest.mark.parametrize("dtype", ALL, ids=str)
@pytest.mark.parametrize("name", EVERY_OPERATION)
def test_every_operation_has_the_bits_that_operate_gives(name: str, dtype: DType) -> None:
    op = EVERY_OPERATION[name]
    if not op.accepts(dtype):
        pytest.skip("not defined for the dtype")
    with np.errstate(all="ignore"):
        values = np.array(FLOATS if dtype.is_float else SPECIAL).astype(dtype.numpy)
        x = np.repeat(values, len(values))
        operands = [x, np.tile(values, len(values)), x[::-1]][: op.arity]
        if name == "where":
            operands[0] = operands[0].astype(bool)
        compute = operation(op, dtype)
        each = [tuple(map(np.asarray, xs)) for xs in zip(*operands, strict=True)]
        for found, wanted in (
            (compute(*operands), operate(op, *operands)),
            ([compute(*(x[()] for x in xs)) for xs in each], [operate(op, *xs) for xs in each]),
        ):
            assert _bits(found) == _bits(wanted)


def _bits(values: list[Value]) -> tuple[object, ...]:
    """Dtypes, values, and where there are nans: which of its operands' nans a sum is, varies."""
    is_nan = [bool(x != x) for x in values]
    bits = [np.zeros_like(x).tobytes() if x != x else x.tobytes() for x in values]
    return {x.dtype for x in values}, bits, is_nan

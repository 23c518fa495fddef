"""Every operation and cast, scalar and vector, computes what loops.evaluate says."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lazygrad.dtypes import ALL, DType, bfloat16, bool_, float16, float32, float64, int64
from lazygrad.expr import (
    COMPARISONS,
    OPERATIONS,
    Array,
    Bitcast,
    Broadcast,
    Cast,
    Expr,
    Literal,
    Load,
    Op,
    Ramp,
    ReduceLanes,
    Var,
    Zip,
)
from lazygrad.index import add, mul
from lazygrad.loops.ir import For, Function, Store
from tests.loops.evaluate import evaluate

if TYPE_CHECKING:
    from .conftest import Runner

FLOATS = (float16, bfloat16, float32, float64)
LANES = 4
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, 2.5, np.inf, -np.inf, np.nan, 1e-40, 6e-8, 65504.0, -3e38]
CLOSE = {
    name for name, known in OPERATIONS.items() if known.is_approximate
}  # within some ULP, tested in test_math


def samples(dtype: DType, count: int, seed: str) -> np.ndarray:
    """Values of a dtype, its extremes among them."""
    rng = np.random.default_rng(zlib.crc32(seed.encode()))
    if dtype == bool_:
        return rng.integers(0, 2, count).astype(bool)
    if dtype.is_float:
        values = rng.standard_normal(count) * 2.0 ** rng.integers(-4, 5, count)
        values[: count // 3] = rng.choice(SPECIAL, count // 3)
        return rng.permutation(values).astype(dtype.numpy)
    low, high = int(dtype.min), int(dtype.max)
    values = rng.integers(max(low, -20), 20, count).astype(dtype.numpy)
    values[: count // 3] = rng.choice([low, low + 1, high, high - 1, 1, 0], count // 3)
    return rng.permutation(values)


def elementwise(name: str, values: Expr, out: Array, inputs: list[Array], lanes: int) -> Function:
    i = next(v for v in _variables(values))
    index = Ramp(mul(i, lanes), 1, lanes) if lanes > 1 else i
    store = Store(out, index, values)
    return Function(name, (out, *inputs), 1, (For(i, i.extent, "parallel", (store,)),))


def _variables(e: Expr) -> list[Var]:
    return [e] if isinstance(e, Var) else [v for x in e.operands for v in _variables(x)]


def loads(arrays: list[Array], lanes: int) -> list[Expr]:
    i = Var("i", arrays[0].size // lanes)
    index = Ramp(mul(i, lanes), 1, lanes) if lanes > 1 else i
    return [Load(array, index) for array in arrays]


def assert_same(got: np.ndarray, want: np.ndarray, context: object) -> None:
    """Equal bit for bit but for nan's payload and, of max and min, the sign of zero."""
    if got.dtype.kind not in "iub":
        got, want = got.astype(np.float64), want.astype(np.float64)
    np.testing.assert_array_equal(got, want, err_msg=str(context))


CASES = [
    (op, dtype)
    for op in OPERATIONS
    for dtype in ALL
    if op not in CLOSE and OPERATIONS[op].accepts(dtype)
]


@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_operations(dtype: DType, run: Runner) -> None:
    """All operations of a dtype in one function: compiling, not computing, takes the time."""
    names = [op for op, supported in CASES if supported == dtype]
    for lanes in (1, LANES):
        count = 96
        inputs = [Array(name, dtype, count) for name in "xyz"]
        condition = Array("condition", bool_, count)
        i = Var("i", count // lanes)
        index: Expr = Ramp(mul(i, lanes), 1, lanes) if lanes > 1 else i
        x, y, z = (Load(array, index) for array in inputs)
        body, outputs = [], []
        for op in names:
            operands = (
                (x, y, z)[: OPERATIONS[op].arity]
                if op != "where"
                else (Load(condition, index), x, y)
            )
            outputs.append(Array(f"out_{op}", bool_ if op in COMPARISONS else dtype, count))
            body.append(Store(outputs[-1], index, Op(op, operands)))
        function = Function(
            f"all_{dtype}_{lanes}",
            (*outputs, *inputs, condition),
            len(outputs),
            (For(i, i.extent, "parallel", tuple(body)),),
        )
        arrays = {a.name: samples(a.dtype, count, a.name) for a in (*inputs, condition)}
        arrays |= {a.name: np.zeros(count, a.dtype.numpy) for a in outputs}
        got = run(function, arrays)
        evaluate(function, arrays)
        for op in names:
            assert_same(got[f"out_{op}"], arrays[f"out_{op}"], (op, dtype, lanes))


@pytest.mark.parametrize("source", ALL, ids=str)
def test_casts(source: DType, run: Runner) -> None:
    for lanes in (1, LANES):
        count = 64
        array = Array("x", source, count)
        i = Var("i", count // lanes)
        index: Expr = Ramp(mul(i, lanes), 1, lanes) if lanes > 1 else i
        outputs = [Array(f"out_{dtype}", dtype, count) for dtype in ALL]
        body = tuple(Store(out, index, Cast(Load(array, index), out.dtype)) for out in outputs)
        function = Function(
            f"casts_{source}_{lanes}",
            (*outputs, array),
            len(outputs),
            (For(i, i.extent, "parallel", body),),
        )
        x = samples(source, count, "casts")
        if source.is_float:  # what no integer holds has no meaning
            x = np.where(np.abs(np.nan_to_num(x.astype(np.float64), posinf=1e9)) < 100, x, 7)
            x = np.where(np.isnan(x.astype(np.float64)), 3, x).astype(source.numpy)
        arrays = {"x": x, **{a.name: np.zeros(count, a.dtype.numpy) for a in outputs}}
        got = run(function, arrays)
        evaluate(function, arrays)
        for out in outputs:
            assert_same(got[out.name], arrays[out.name], (source, out.dtype, lanes))


@pytest.mark.parametrize("dtype", [float16, bfloat16], ids=str)
def test_every_16_bit_float_survives_and_rounding_is_to_even(dtype: DType, run: Runner) -> None:
    count = 1 << 16
    x, out = Array("x", dtype, count), Array("out", dtype, count)
    wide, narrow = Array("wide", float32, count), Array("narrow", dtype, count)
    i = Var("i", count // 8)
    index = Ramp(mul(i, 8), 1, 8)
    body = (
        Store(out, index, Op("mul", (Load(x, index), Literal(1.0, dtype)))),
        Store(narrow, index, Cast(Load(wide, index), dtype)),
    )
    function = Function(
        "round_trip", (out, narrow, x, wide), 2, (For(i, count // 8, "parallel", body),)
    )
    rng = np.random.default_rng(0)
    every = np.arange(count, dtype=np.uint16).view(dtype.numpy)
    floats = rng.integers(0, 1 << 32, count, dtype=np.uint32)
    floats[::2] = every[::2].astype(np.float32).view(np.uint32) + rng.choice(  # near ties
        [0, 0x1000, 0x1001, 0x0FFF, 0x8000, 0x7FFF, 0x8001], count // 2
    ).astype(np.uint32)
    wide_values = floats.view(np.float32)
    zeros = np.zeros(count, dtype.numpy)
    got = run(function, {"x": every, "wide": wide_values, "out": zeros, "narrow": zeros})
    assert_same(got["out"], every, dtype)
    with np.errstate(all="ignore"):
        assert_same(got["narrow"], wide_values.astype(dtype.numpy), dtype)


@pytest.mark.parametrize("c", [1, 3, 8, 10, -7])
@pytest.mark.parametrize(
    "dtype", [int64, *(d for d in ALL if d.name in ("int32", "uint8"))], ids=str
)
def test_division_by_a_constant(c: int, dtype: DType, run: Runner) -> None:
    if c < 0 and dtype.kind == "uint":
        pytest.skip("no such constant")
    count = 32
    x = Array("x", dtype, count)
    (value,) = loads([x], LANES)
    for op in ("floordiv", "mod"):
        out = Array("out", dtype, count)
        function = elementwise(f"{op}_c", Op(op, (value, Literal(c, dtype))), out, [x], LANES)
        arrays = {"x": samples(dtype, count, op), "out": np.zeros(count, dtype.numpy)}
        got = run(function, arrays)
        evaluate(function, arrays)
        assert_same(got["out"], arrays["out"], (op, c))


@pytest.mark.parametrize("dtype", [bool_, int64, float16, float32], ids=str)
@pytest.mark.parametrize("lanes", [4, 7])
def test_reduce_lanes(dtype: DType, lanes: int, run: Runner) -> None:
    count = 8
    x = Array("x", dtype, count * lanes)
    i = Var("i", count)
    for op in ("sum", "prod", "max", "min"):
        out = Array("out", dtype, count)
        value = ReduceLanes(op, Load(x, Ramp(mul(i, lanes), 1, lanes)))
        function = Function(
            f"lanes_{op}", (out, x), 1, (For(i, count, "parallel", (Store(out, i, value),)),)
        )
        arrays = {"x": samples(dtype, x.size, op), "out": np.zeros(count, dtype.numpy)}
        got = run(function, arrays)
        evaluate(function, arrays)
        assert_same(got["out"], arrays["out"], (op, dtype))


@pytest.mark.parametrize("dtype", [bool_, int64, float32], ids=str)
def test_zips(dtype: DType, run: Runner) -> None:
    count, lanes = 4, 8
    x, out = Array("x", dtype, 2 * count * lanes), Array("out", dtype, count * lanes)
    i = Var("i", count)
    halves = [Load(x, Ramp(add(mul(i, 2 * lanes), n * lanes), 1, lanes)) for n in range(2)]
    for grain, block, upper in ((1, 4, False), (2, 4, True), (4, 8, True), (1, 8, False)):
        store = Store(out, Ramp(mul(i, lanes), 1, lanes), Zip(*halves, grain, block, upper))
        function = Function("zips", (out, x), 1, (For(i, count, "parallel", (store,)),))
        arrays = {"x": samples(dtype, x.size, "zip"), "out": np.zeros(out.size, dtype.numpy)}
        got = run(function, arrays)
        evaluate(function, arrays)
        assert_same(got["out"], arrays["out"], (dtype, grain, block, upper))


def test_bitcasts(run: Runner) -> None:
    for source in ALL:
        for dtype in (d for d in ALL if d.itemsize == source.itemsize and bool_ not in (source, d)):
            x, out = Array("x", source, 16), Array("out", dtype, 16)
            (value,) = loads([x], LANES)
            function = elementwise("bits", Bitcast(value, dtype), out, [x], LANES)
            arrays = {"x": samples(source, 16, "bits"), "out": np.zeros(16, dtype.numpy)}
            got = run(function, arrays)
            if source != dtype:
                assert_same(got["out"], arrays["x"].view(dtype.numpy), (source, dtype))


def test_vector_indices_as_values(run: Runner) -> None:
    out = Array("out", float32, 24)
    i = Var("i", 3)
    ramp = Ramp(add(mul(i, 8), 0), 1, 8)
    value = Op(
        "where", (Op("lt", (ramp, Literal(10))), Cast(ramp, float32), Literal(-1.0, float32))
    )
    function = Function("iota", (out,), 1, (For(i, 3, "parallel", (Store(out, ramp, value),)),))
    got = run(function, {"out": np.zeros(24, np.float32)})
    np.testing.assert_array_equal(got["out"], [*range(10), *[-1] * 14])


def test_a_scalar_beside_vectors_is_broadcast(run: Runner) -> None:
    out, x = Array("out", float32, 8), Array("x", float32, 8)
    i = Var("i", 1)
    ramp = Ramp(Literal(0), 1, 8)
    value = Op("mul", (Load(x, ramp), Load(x, add(i, 3))))
    function = Function("scaled", (out, x), 1, (For(i, 1, "parallel", (Store(out, ramp, value),)),))
    x_values = np.arange(8, dtype=np.float32)
    got = run(function, {"out": np.zeros(8, np.float32), "x": x_values})
    np.testing.assert_array_equal(got["out"], x_values * 3)
    splat = Function(
        "splat",
        (out, x),
        1,
        (For(i, 1, "parallel", (Store(out, ramp, Broadcast(Load(x, add(i, 5)), 8)),)),),
    )
    got = run(splat, {"out": np.zeros(8, np.float32), "x": x_values})
    np.testing.assert_array_equal(got["out"], np.full(8, 5))

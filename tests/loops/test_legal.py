"""Legalised expressions mean what they meant, and only operations of the target are left."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lazygrad.dtypes import ALL, DType, bool_, float16, float32, float64, int32, int64, uint8
from lazygrad.errors import CompilerError
from lazygrad.expr import (
    COMPARISONS,
    OPERATIONS,
    Array,
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
    Zip,
)
from lazygrad.index import add, mul
from lazygrad.loops.ir import Accumulate, For, Function, Let, Stmt, Store, expressions, statements
from lazygrad.loops.ir.verify import verify
from lazygrad.loops.legal import legalise
from lazygrad.loops.legal.final import LLVM, verify_legal
from lazygrad.loops.legal.functions import Real, exp
from lazygrad.targets import Machine, Native, Target
from tests.loops.evaluate import evaluate
from tests.loops.passes import legal, transform

from .conftest import CPU, GPU, Sample

N = 64
MACHINES = {
    "all": replace(CPU, native=Native()),
    "no_fma": replace(CPU, native=Native(fma=False)),
    "no_half": replace(CPU, native=Native(fma=False, half=False)),
    "c": replace(GPU, native=Native(half=False, lanes=(4, 2, 1))),
    "scalar_c": replace(GPU, native=Native(half=False, lanes=(1,))),
}
INEXACT = {op for op, known in OPERATIONS.items() if known.is_approximate}


def samples(dtype: DType, seed: int) -> np.ndarray:
    """Random values and the special ones of a dtype."""
    random = np.random.default_rng(seed)
    if dtype == bool_:
        return random.integers(0, 2, N).astype(bool)
    if dtype.is_float:
        special = [0.0, -0.0, 1.0, -1.0, 0.5, 2.5, np.inf, -np.inf, np.nan, 6e-8, 65504.0]
        values = random.standard_normal(N) * 2.0 ** random.integers(-4, 5, N)
        values[: N // 2] = random.choice(special, N // 2)
        return values.astype(dtype.numpy)
    values = random.integers(-20 if dtype.kind == "int" else 0, 20, N).astype(dtype.numpy)
    extremes = np.array([dtype.min, dtype.max, 1, 0], dtype.numpy)
    values[: N // 3] = random.choice(extremes, N // 3)
    return values


def function_of(*values: Expr, lanes: int = 1) -> Function:
    """A function that stores each value of its inputs' elements."""
    inputs = {
        part.array.name: part.array for value in values for part in parts(value)
        if isinstance(part, Load)
    }  # fmt: skip
    outputs = [Array(f"out{n}", value.dtype, N) for n, value in enumerate(values)]
    body = tuple(Store(out, at(lanes), value) for out, value in zip(outputs, values, strict=True))
    return Function("f", (*outputs, *inputs.values()), len(outputs), body)


def parts(e: Expr) -> list[Expr]:
    return [e, *(part for x in e.operands for part in parts(x))]


def at(lanes: int) -> Expr:
    return Ramp(Literal(0), 1, lanes) if lanes > 1 else Literal(0)


def outputs(function: Function, given: dict[str, np.ndarray]) -> list[np.ndarray]:
    arrays = {a.name: np.zeros(a.size, a.dtype.numpy) for a in function.arguments}
    for argument in function.arguments[function.outputs :]:
        arrays[argument.name] = given[argument.name].view(argument.dtype.numpy).copy()
    evaluate(function, arrays)
    return [arrays[argument.name] for argument in function.arguments[: function.outputs]]


def check(
    function: Function, machine: Machine, given: dict[str, np.ndarray], ulps: int = 0
) -> None:
    """The legalised function is legal, and gives what the function gives."""
    made = legal(function, machine)
    verify(made, final=True)
    verify_legal(made, machine.target)
    for got, want in zip(outputs(made, given), outputs(function, given), strict=True):
        got = got.view(want.dtype)
        if want.dtype.kind not in "iub":
            got, want = got.astype(np.float64), want.astype(np.float64)
        np.testing.assert_allclose(got, want, rtol=ulps * 2.0**-22, atol=0)


@pytest.mark.parametrize("machine", [CPU, GPU], ids=lambda machine: machine.name)
def test_kernels_mean_the_same(any_sample: Sample, machine: Machine) -> None:
    made = transform(any_sample.function, any_sample.kernel.kinds, machine)
    verify_legal(legal(made, machine), machine.target)
    any_sample.agrees(legal(made, machine))


@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_operations_mean_the_same(dtype: DType, machine: Machine) -> None:
    x, y, z = (Load(Array(name, dtype, N), at(N)) for name in "xyz")
    condition = Load(Array("c", bool_, N), at(N))
    given = {name: samples(dtype, n) for n, name in enumerate("xyz")} | {"c": samples(bool_, 3)}
    exact = [
        op
        for op, known in OPERATIONS.items()
        if known.accepts(dtype) and op not in INEXACT | {"where"}
    ]
    if dtype in (float32, float64) and not machine.native.fma:
        exact.remove("fma")  # NumPy rounds the product of float64 twice
    values = [Op(op, (x, y, z)[: OPERATIONS[op].arity]) for op in exact] + [
        Op("where", (condition, x, y))
    ]
    check(function_of(*values, lanes=N), machine, given)


@pytest.mark.parametrize("dtype", [float16, float32, float64], ids=str)
def test_functions_mean_the_same(dtype: DType) -> None:
    x, y = (Load(Array(name, dtype, N), at(N)) for name in "xy")
    given = {"x": samples(dtype, 0) / 4, "y": samples(dtype, 1) / 4}
    values = [Op(op, (x, y)[: OPERATIONS[op].arity]) for op in sorted(INEXACT)]
    check(
        function_of(*values, lanes=N),
        MACHINES["all"],
        given,
        ulps=16 if dtype != float16 else 1 << 14,
    )


@pytest.mark.parametrize("dtype", [float32, float64], ids=str)
def test_the_exponential_of_minus_infinity_is_a_product_of_zeros(dtype: DType) -> None:
    result = exp(Real(dtype, True), Load(Array("x", dtype, N), at(N)))
    x = np.array([-np.inf, -1e30, -2000.0, -1500.0], dtype.numpy).repeat(N // 4)
    for factor in outputs(function_of(*result.operands, lanes=N), {"x": x}):
        assert not factor.any()  # a product of others would round to 0, which takes long


@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_casts_mean_the_same(dtype: DType, machine: Machine) -> None:
    given = {f"x{n}": samples(source, n) for n, source in enumerate(ALL)}
    for name, x in given.items():  # what not every dtype holds has no meaning
        wide = x.astype(np.float64)
        given[name] = np.where((wide >= 0) & (wide <= 100), wide, 7).astype(x.dtype)
    loads = [Load(Array(f"x{n}", source, N), at(N)) for n, source in enumerate(ALL)]
    check(function_of(*(Cast(x, dtype) for x in loads), lanes=N), machine, given)


@pytest.mark.parametrize("machine", [MACHINES["all"], MACHINES["c"]], ids=["cpu", "c"])
@pytest.mark.parametrize("dtype", [bool_, int64, float16, float32], ids=str)
@pytest.mark.parametrize("lanes", [1, 7, 8])
def test_reductions_mean_the_same(dtype: DType, lanes: int, machine: Machine) -> None:
    x = Load(Array("x", dtype, N), at(lanes))
    values = [ReduceLanes(op, x) for op in ("sum", "prod", "max", "min")]
    check(function_of(*values), machine, {"x": samples(dtype, 0)})


@pytest.mark.parametrize("machine", [MACHINES["all"], MACHINES["c"]], ids=["cpu", "c"])
@pytest.mark.parametrize("dtype", [bool_, uint8, int32, float16, float32], ids=str)
def test_sums_in_place_mean_the_same(dtype: DType, machine: Machine) -> None:
    out, x = Array("out", dtype, N), Load(Array("x", dtype, N), at(8))
    body: list[Stmt] = [Store(out, at(8), x)]
    body += [Accumulate(out, at(8), op, Op("mul", (x, x))) for op in ("sum", "prod", "max", "min")]
    check(Function("f", (out, x.array), 1, tuple(body)), machine, {"x": samples(dtype, 0)})


def test_vectors_are_split_whatever_their_access() -> None:
    """Strided, reversed, gathered, guarded and broadcast loads, and stores lane by lane."""
    x, where_to = Array("x", float32, N), Array("places", int64, N)
    i = Var("i", 2)
    seven = Ramp(mul(i, 7), 1, 7)
    values: list[Expr] = [
        Load(x, seven),
        Load(x, Ramp(mul(i, 14), 2, 7)),
        Load(x, Ramp(add(mul(i, 7), 6), -1, 7)),
        Load(x, Op("mod", (Load(where_to, seven), Literal(N)))),
        Load(x, seven, Op("lt", (seven, Literal(5)))),
        Load(x, seven, Op("lt", (i, Literal(1)))),
        Broadcast(Load(x, i), 7),
        Op("where", (Op("lt", (seven, Literal(9))), Load(x, seven), Broadcast(Load(x, i), 7))),
    ]
    outs = [Array(f"out{n}", float32, N) for n in range(len(values) + 1)]
    body: list[Stmt] = [Store(out, seven, value) for out, value in zip(outs, values, strict=False)]
    body.append(Store(outs[-1], Ramp(mul(i, 14), 2, 7), values[0], Op("lt", (seven, Literal(9)))))
    zipped = Zip(Load(x, Ramp(mul(i, 8), 1, 8)), Load(x, Ramp(mul(i, 8), 1, 8)), 1, 4, True)
    outs.append(Array("zipped", float32, N))
    body.append(Store(outs[-1], Ramp(mul(i, 8), 1, 8), zipped))
    loop = For(i, 2, "serial", tuple(body))
    function = Function("f", (*outs, x, where_to), len(outs), (loop,))
    given = {"x": samples(float32, 0), "places": samples(int64, 1)}
    for target in ("c", "scalar_c"):
        check(function, MACHINES[target], given)


def test_a_vector_moved_within_its_array_is_read_before_it_is_written() -> None:
    out, x = Array("out", float32, N), Array("x", float32, N)
    at = Ramp(Literal(0), 1, 8)
    body = (Store(out, at, Load(x, at)), Store(out, Ramp(Literal(1), 1, 8), Load(out, at)))
    check(Function("f", (out, x), 1, body), MACHINES["c"], {"x": samples(float32, 0)})


def test_indices_of_32_bits_keep_their_bounds_under_names() -> None:
    x, out = Array("x", float32, N), Array("out", float32, N)
    i, row = Var("i", 4), Local("row", int64)
    body = (Let(row, mul(i, 8)), Store(out, i, Load(x, Op("add", (row, Literal(1))))))
    function = Function("f", (out, x), 1, (For(i, 4, "serial", body),))
    (loop,) = legal(function, MACHINES["c"]).body
    assert isinstance(loop, For)
    assert [str(e) for stmt in loop.body for e in expressions(stmt)] == [
        "(int32(i) * 8:int32)", "int32(i)", "x[(row + 1:int32)]"
    ]  # fmt: skip
    check(function, MACHINES["c"], {"x": samples(float32, 0)})


@pytest.mark.parametrize("machine", [CPU, GPU], ids=lambda machine: machine.name)
def test_loops_by_hand_take_the_pipeline_s_way(any_sample: Sample, machine: Machine) -> None:
    assert legalise(any_sample.function, machine) == legal(any_sample.function, machine)


def test_lanes_that_are_never_stored_go() -> None:
    """Nothing is written outside of an array, not even where that is never reached."""
    out, x, lanes = Array("out", float32, 3), Array("x", float32, 3), Ramp(Literal(0), 1, 4)
    inside = Op("lt", (lanes, Literal(3)))
    function = Function("f", (out, x), 1, (Store(out, lanes, Load(x, lanes, inside), inside),))
    made = legal(function, MACHINES["c"])
    verify(made, final=True)
    assert len([s for s in statements(made.body) if isinstance(s, Store)]) == 3


def text(value: Expr, machine: Machine = MACHINES["all"]) -> str:
    (store,) = legal(function_of(value), machine).body
    assert isinstance(store, Store)
    return str(store.value)


def x_of(dtype: DType) -> Expr:
    return Load(Array("x", dtype, N), Literal(0))


@pytest.mark.parametrize(
    ("value", "legal"),
    [
        (Op("floordiv", (x_of(int32), Literal(8, int32))), "(x[0] >> 3:int32)"),
        (Op("shl", (x_of(uint8), Literal(3, uint8))), "(x[0] << 3:uint8)"),
        (Op("max", (x_of(bool_), x_of(bool_))), "uint8(((x[0] != 0:uint8) | (x[0] != 0:uint8)))"),
        (Op("add", (x_of(float16), x_of(float16))), "float16((float32(x[0]) + float32(x[0])))"),
        (Op("neg", (Op("neg", (x_of(float16),)),)), "float16(--float32(x[0]))"),
        (Cast(x_of(float32), bool_), "uint8((x[0] != 0.0:float32))"),
    ],
)  # fmt: skip
def test_text_of_rules(value: Expr, legal: str) -> None:
    assert text(value) == legal


def test_without_fma_sums_of_products_are_two_operations() -> None:
    value = Op("erf", (x_of(float32),))
    assert "fma" in text(value)
    assert text(value, MACHINES["no_fma"]).count("fma") < text(value).count("fma")


def test_a_square_is_one_multiplication() -> None:
    value = Op("pow", (x_of(float64), Literal(2.0, float64)))
    assert text(value) == "(x[0] * x[0])"


def test_what_no_code_is_written_for_is_told() -> None:
    with pytest.raises(CompilerError, match="verify: f: exp"):
        verify_legal(function_of(Op("exp", (x_of(float32),))), Target.CPU)


def test_comparisons_are_those_of_the_language() -> None:
    assert COMPARISONS <= set(LLVM)

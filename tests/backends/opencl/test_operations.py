"""Every operation on every dtype, as scalars and as vectors, against the graph's evaluate()."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from lazygrad import dtypes
from lazygrad.backends.base import Launch
from lazygrad.backends.opencl.device import OpenCLDevice
from lazygrad.dtypes import (
    DType,
    bfloat16,
    bool_,
    float16,
    float32,
    float64,
    int32,
    int64,
    uint8,
)
from lazygrad.expr import (
    OPERATIONS,
    Array,
    Bitcast,
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
from lazygrad.graph import evaluate as oracle
from lazygrad.graph import ir
from lazygrad.index import add, mul
from lazygrad.loops.ir import Accumulate, Alloc, For, Function, Stmt, Store
from tests.loops.passes import legal

N = 120  # elements; a multiple of 1 and of 15
# 15 lanes are made of vectors of 8, 4 and 2 lanes and one scalar: quick runs test those alone.
LANES = [pytest.param(1, marks=pytest.mark.slow), 15]

NODES = {cls.operation.name: cls for cls in ir.NODE_CLASSES if issubclass(cls, ir.Arithmetic)}


def every(*quick: DType, but: DType | None = None) -> pytest.MarkDecorator:
    """A test for every dtype (`but` one), slow for those that are not `quick`: kernels that do so
    much take a compiler seconds."""
    params = [
        pytest.param(dtype, id=str(dtype), marks=() if dtype in quick else pytest.mark.slow)
        for dtype in dtypes.ALL
        if dtype != but
    ]
    return pytest.mark.parametrize("dtype", params)


Device = OpenCLDevice
Leaf = Callable[..., ir.Buffer]


@pytest.fixture(scope="module")
def device() -> OpenCLDevice:
    return OpenCLDevice("GPU")


def run(device: Device, function: Function, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The outputs of a function whose first arguments are outputs, filled with 0."""
    outputs = [
        np.zeros(array.size, array.dtype.numpy) for array in function.arguments[: function.outputs]
    ]
    memories = [device.upload(array) for array in (*outputs, *inputs)]
    device.compile([Launch(legal(function, device.machine), tuple(range(len(memories))))]).run(
        memories
    )
    for memory, output in zip(memories, outputs, strict=False):
        device.download(memory, output)
    return outputs


def elementwise(
    lanes: int, inputs: Sequence[DType], results: Sequence[Callable[..., Expr]]
) -> Function:
    """A kernel that writes each result of the inputs' elements."""
    i = Var("i", N // lanes)
    at: Expr = i if lanes == 1 else Ramp(mul(i, lanes), 1, lanes)
    arrays = [Array(f"x{n}", dtype, N) for n, dtype in enumerate(inputs)]
    values = [result(*(Load(array, at) for array in arrays)) for result in results]
    outputs = [Array(f"out{n}", value.dtype, N) for n, value in enumerate(values)]
    stores = tuple(Store(out, at, value) for out, value in zip(outputs, values, strict=True))
    body = For(i, i.extent, "workitem", stores)
    return Function("elementwise", (*outputs, *arrays), len(outputs), (body,))


def operation(name: str) -> Callable[..., Expr]:
    """The operation of as many of the operands as it takes; where's condition is the last."""
    if name == "where":
        return lambda x, y, c: Op("where", (c, x, y))
    return lambda *operands: Op(name, operands[: OPERATIONS[name].arity])


def operands(dtype: DType) -> list[np.ndarray]:
    """Two arrays of N elements: each special value with each other, then random ones."""
    random = np.random.default_rng(0)
    if dtype == bool_:
        special: list[float] = [0, 1]
        values = random.integers(0, 2, (2, N))
    elif dtype.is_float:
        special = [
            0.0,
            -0.0,
            1.0,
            -1.5,
            2.5,
            float("inf"),
            float("-inf"),
            float("nan"),
            1e-3,
            300.0,
        ]
        values = random.standard_normal((2, N)) * 4
    else:
        low, high = int(dtype.min), int(dtype.max)
        special = [0, 1, 2, low, low + 1, high, 7, 8 * dtype.itemsize, max(-1, low), max(-3, low)]
        values = random.integers(max(low, -(2**62)), min(high, 2**62), (2, N), endpoint=True)
        values = np.where(random.random((2, N)) < 0.5, values % 11, values)
    pairs = np.array([(x, y) for x in special for y in special], object)
    result = values.astype(object)
    result[:, : len(pairs)] = pairs.T
    return [row.astype(dtype.numpy) for row in result]


def assert_close(got: np.ndarray, expected: np.ndarray, name: str, dtype: DType) -> None:
    """Equal; where inexact, within the built-in functions' error or a 16-bit float's last place."""
    __tracebackhide__ = True
    if not dtype.is_float or got.dtype == bool:
        np.testing.assert_array_equal(got, expected, name)
        return
    digits = {"float16": 10, "bfloat16": 7, "float32": 23, "float64": 52}[dtype.name]
    tolerance = (
        (16 if dtype.itemsize >= 4 else 1) * 2.0**-digits if OPERATIONS[name].is_approximate else 0
    )
    tiny = 2.0**-126 if dtype.itemsize < 8 else 2.0**-1022
    np.testing.assert_allclose(
        got.astype("float64"), expected.astype("float64"), rtol=tolerance, atol=tiny, err_msg=name
    )


@pytest.mark.parametrize("lanes", LANES)
@every(bool_, uint8, int32, bfloat16, float32)
def test_operations_agree_with_the_graph(
    dtype: DType, lanes: int, device: Device, leaf: Leaf
) -> None:
    names = [name for name in NODES if OPERATIONS[name].accepts(dtype)]
    x, y = operands(dtype)
    condition = np.arange(N) % 3 == 0
    function = elementwise(lanes, (dtype, dtype, bool_), [operation(name) for name in names])
    results = run(device, function, (x, y, condition))
    nodes = [leaf(x), leaf(y)]
    for name, got in zip(names, results, strict=True):
        inputs = [leaf(condition), *nodes] if name == "where" else nodes[: OPERATIONS[name].arity]
        (expected,) = oracle.evaluate([NODES[name](*inputs)])
        assert_close(got, expected, name, dtype)


@pytest.mark.parametrize("lanes", LANES)
@every(int32, float32, float64, but=bool_)
def test_fma_rounds_once(dtype: DType, lanes: int, device: Device) -> None:
    if dtype.is_float:
        x = (1 + np.arange(N) * 2.0**-6).astype(dtype.numpy)
    else:
        x = np.arange(N).astype(dtype.numpy)
    z = (-(x.astype("float64") ** 2)).astype(dtype.numpy) if dtype.is_float else x[::-1].copy()
    function = elementwise(lanes, (dtype,) * 3, [lambda *xyz: Op("fma", xyz)])
    (got,) = run(device, function, (x, x, z))
    exact = x.astype(np.longdouble) ** 2 + z.astype(np.longdouble)
    np.testing.assert_array_equal(got, exact.astype(np.float64).astype(dtype.numpy))


@pytest.mark.parametrize("dtype", [float32, float64], ids=str)
def test_a_sum_of_products_is_not_fused(dtype: DType, device: Device) -> None:
    """x * x - x * x, where fusing one product would leave its rounding error."""
    x = (1 + np.random.default_rng(0).random(N)).astype(dtype.numpy)
    function = elementwise(
        1, (dtype, dtype), [lambda x, y: Op("add", (Op("mul", (x, x)), Op("mul", (x, y))))]
    )
    (got,) = run(device, function, (x, -x))
    np.testing.assert_array_equal(got, 0)


@pytest.mark.parametrize("lanes", LANES)
@every(int64, float32)
def test_casts_agree_with_the_graph(dtype: DType, lanes: int, device: Device, leaf: Leaf) -> None:
    if dtype.is_float:
        x = np.random.default_rng(0).uniform(-3000, 3000, N).astype(dtype.numpy)
        x[:8] = np.array([0.0, -0.0, 0.5, -0.5, 2.5, 255.0, -128.0, 1e-3]).astype(dtype.numpy)
    else:
        x = operands(dtype)[0]
    function = elementwise(
        lanes, (dtype,), [lambda x, to=target: Cast(x, to) for target in dtypes.ALL]
    )
    for target, got in zip(dtypes.ALL, run(device, function, (x,)), strict=True):
        (expected,) = oracle.evaluate([ir.Cast(leaf(x), target)])
        np.testing.assert_array_equal(got, expected, f"{dtype} to {target}")


@pytest.mark.parametrize("lanes", LANES)
@every(float16, float32, but=bool_)
def test_bitcasts_keep_the_bits(dtype: DType, lanes: int, device: Device) -> None:
    targets = [d for d in dtypes.ALL if d.itemsize == dtype.itemsize and d != bool_]
    finite = np.arange(N * dtype.itemsize, dtype=np.uint8) % 112  # no nan, whose bits may change
    x = finite.view(dtype.numpy)
    function = elementwise(
        lanes, (dtype,), [lambda x, to=target: Bitcast(x, to) for target in targets]
    )
    for target, got in zip(targets, run(device, function, (x,)), strict=True):
        np.testing.assert_array_equal(got.view(np.uint8), x.view(np.uint8), f"{dtype} to {target}")


@every(bool_, bfloat16, float32)
def test_zips(dtype: DType, device: Device) -> None:
    lanes = 8
    x, y, out = (Array(name, dtype, lanes) for name in ("x", "y", "out"))
    at = Ramp(Literal(0), 1, lanes)
    values = [np.array([3, 1, 0, 5, 1, 0, 7, 2]), np.array([0, 1, 4, 0, 6, 1, 0, 9])]
    values = [v.astype(dtype.numpy) for v in values]
    for grain, block, upper in ((1, 4, False), (2, 4, True), (4, 8, True)):
        zipped = Zip(Load(x, at), Load(y, at), grain, block, upper)
        function = Function("zips", (out, x, y), 1, (Store(out, at, zipped),))
        (got,) = run(device, function, values)
        np.testing.assert_array_equal(got, np.concatenate(values)[zipped.picks])


@every(bool_, bfloat16, float32)
def test_reductions_agree_however_they_are_done(dtype: DType, device: Device) -> None:
    """Into a register, into local memory, and across lanes."""
    size = 6
    i, zero, one, two = Var("i", size), Literal(0), Literal(1), Literal(2)
    x = Array("x", dtype, size)
    element = Load(x, i)
    outputs: list[Array] = []
    body: list[Stmt] = []
    starts = {"sum": 0, "prod": 1, "max": dtype.min, "min": dtype.max}
    for op, start in starts.items():
        first = Literal(start, dtype)
        out = Array(f"out_{op}", dtype, 3)
        register = Array(f"register_{op}", dtype, 1, "register")
        shared = Array(f"shared_{op}", dtype, 3, "local")
        body += [
            Alloc(register),
            Alloc(shared),
            Store(register, zero, first),
            Store(shared, one, first),
            For(i, size, "serial", (Accumulate(register, zero, op, element),)),
            For(i, size, "serial", (Accumulate(shared, one, op, element),)),
            Store(out, zero, Load(register, zero)),
            Store(out, one, ReduceLanes(op, Load(x, Ramp(zero, 1, size)))),
            Store(out, two, Load(shared, one)),
        ]
        outputs.append(out)
    values = np.array([3, 1, 2, 5, 1, 2] if dtype != bool_ else [1, 0, 1, 1, 0, 1])
    values = values.astype(dtype.numpy)
    function = Function("reductions", (*outputs, x), 4, tuple(body))
    combine = {"sum": np.add, "prod": np.multiply, "max": np.maximum, "min": np.minimum}
    for op, got in zip(starts, run(device, function, [values]), strict=True):
        expected = combine[op].reduce(values.astype("float64")).astype(dtype.numpy)
        np.testing.assert_array_equal(got, [expected] * 3, op)


def test_index_arithmetic_beyond_32_bits(device: Device) -> None:
    """Large intermediate values need long, and negative ones round down in divisions."""
    i = Var("i", N)
    out = Array("out", int64, 3 * N)
    values = [
        Op("floordiv", (add(mul(i, 1 << 33), 5), Literal(1 << 30))),
        Op("floordiv", (add(i, -50), Literal(7))),
        Op("mod", (add(i, -50), Literal(8))),
    ]
    stores = tuple(Store(out, add(i, n * N), value) for n, value in enumerate(values))
    function = Function("indices", (out,), 1, (For(i, N, "workitem", stores),))
    (got,) = run(device, function, ())
    k = np.arange(N)
    expected = [(k * (1 << 33) + 5) // (1 << 30), (k - 50) // 7, (k - 50) % 8]
    np.testing.assert_array_equal(got, np.concatenate(expected))


def test_masks_of_every_size_meet(device: Device) -> None:
    """Comparisons of 1, 4 and 8 bytes a lane, scalars and bools from memory, in one expression."""
    lanes = 15
    i = Var("i", N // lanes)
    at = Ramp(mul(i, lanes), 1, lanes)
    arrays = [Array(f"x{n}", dtype, N) for n, dtype in enumerate((uint8, float32, float64, bool_))]
    small, single, double = (
        Op("lt", (Load(array, at), Literal(2, array.dtype))) for array in arrays[:3]
    )
    stored, one = Load(arrays[3], at), Op("lt", (i, Literal(4)))
    results = [
        Op("where", (double, Literal(True, bool_), small)),
        Op("where", (one, single, double)),
        Op("where", (stored, one, Op("not", (double,)))),
        Op("or", (Op("and", (one, double)), Op("xor", (small, stored)))),
    ]
    outputs = [Array(f"out{n}", bool_, N) for n in range(len(results))]
    stores = tuple(Store(out, at, value) for out, value in zip(outputs, results, strict=True))
    body = For(i, i.extent, "workitem", stores)
    function = Function("masks", (*outputs, *arrays), len(outputs), (body,))
    random = np.random.default_rng(0)
    inputs = [random.integers(0, 4, N).astype(array.dtype.numpy) for array in arrays[:3]]
    inputs.append(random.integers(0, 2, N).astype(bool))
    a, b, c = (x < 2 for x in inputs[:3])
    d, e = inputs[3], np.arange(N) // lanes < 4
    expected = [c | a, np.where(e, b, c), np.where(d, e, ~c), (e & c) | (a ^ d)]
    for got, want in zip(run(device, function, inputs), expected, strict=True):
        np.testing.assert_array_equal(got, want)

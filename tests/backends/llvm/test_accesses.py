"""Loads and stores of every stride and guard, and that none touches memory outside its array."""

from __future__ import annotations

import ctypes
import mmap
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lazygrad.backends.base import Launch
from lazygrad.backends.memory import HostMemory
from lazygrad.dtypes import DType, bool_, float16, float32, float64, int8, int32, int64
from lazygrad.expr import Array, Broadcast, Cast, Expr, Literal, Load, Local, Op, Ramp, Var
from lazygrad.index import add, at_least, less, mul, sub
from lazygrad.loops.ir import Accumulate, Alloc, Body, For, Function, If, Let, Store
from tests.loops.evaluate import evaluate
from tests.loops.passes import legal

if TYPE_CHECKING:
    from lazygrad.backends.llvm.device import CPU

    from .conftest import Runner

I = Var("i", 6)
LANES = 8


def check(run: Runner, function: Function, **arrays: np.ndarray) -> None:
    """The device computes what evaluate does."""
    got = run(function, arrays)
    evaluate(function, arrays)
    for argument in function.arguments:
        np.testing.assert_array_equal(
            got[argument.name].astype(np.float64), arrays[argument.name].astype(np.float64)
        )


def over_i(name: str, arguments: tuple[Array, ...], *body: object, outputs: int = 1) -> Function:
    loop = For(I, I.extent, "parallel", body)  # type: ignore[arg-type]
    return Function(name, arguments, outputs, (loop,))


def numbers(array: Array, start: int = 1) -> np.ndarray:
    return (np.arange(array.size) + start).astype(array.dtype.numpy)


@pytest.mark.parametrize("stride", [-4, -3, -2, -1, 0, 1, 2, 3, 4, 5, -7])
@pytest.mark.parametrize("dtype", [float32, float16, int8, float64], ids=str)
def test_strided_loads(stride: int, dtype: DType, run: Runner) -> None:
    first = max(0, -stride * (LANES - 1))
    x = Array("x", dtype, 5 + abs(stride) * (LANES - 1) + 1)  # the last element is the last read
    out = Array("out", dtype, 6 * LANES)
    load = Load(x, Ramp(add(I, first), stride, LANES))
    function = over_i("strided", (out, x), Store(out, Ramp(mul(I, LANES), 1, LANES), load))
    check(run, function, x=numbers(x), out=np.zeros(out.size, dtype.numpy))


@pytest.mark.parametrize("stride", [-3, -1, 0, 1, 2])
@pytest.mark.parametrize("scalar", [True, False])
def test_guarded_loads(stride: int, scalar: bool, run: Runner) -> None:
    x, out = Array("x", float32, 40), Array("out", float32, 6 * LANES)
    place = Ramp(mul(I, LANES), 1, LANES)
    index = Ramp(add(mul(I, 12), -10), stride, LANES)
    if scalar:  # the whole vector is inside, or not loaded
        guard = Op("and", (Op("lt", (I, Literal(3))), Op("lt", (Literal(1), I))))
        index = Ramp(add(mul(I, 12), 0), stride, LANES)
    else:
        guard = Op("and", (Op("le", (Literal(0), index)), Op("lt", (index, Literal(x.size)))))
    function = over_i("guarded", (out, x), Store(out, place, Load(x, index, guard)))
    check(run, function, x=numbers(x), out=np.zeros(out.size, np.float32))


@pytest.mark.parametrize("stride", [-2, -1, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("dtype", [float32, float16, int8, float64], ids=str)
@pytest.mark.parametrize("guard", ["none", "scalar", "vector"])
@pytest.mark.parametrize("accumulates", [False, True])
def test_stores(stride: int, dtype: DType, guard: str, accumulates: bool, run: Runner) -> None:
    out, x = Array("out", dtype, 6 * 40), Array("x", dtype, 6 * LANES)
    index = Ramp(add(mul(I, 40), 21 if stride < 0 else 0), stride, LANES)
    value = Load(x, Ramp(mul(I, LANES), 1, LANES))
    condition = {
        "none": None,
        "scalar": less(I, 4),
        "vector": Op("lt", (Op("mod", (index, Literal(5))), Literal(3))),
    }[guard]
    stmt: Store | Accumulate = Store(out, index, value, condition)
    if accumulates:
        stmt = Accumulate(out, index, "sum", value, condition)
    check(run, over_i("stores", (out, x), stmt), x=numbers(x), out=numbers(out, -50))


def test_gather_and_scatter(run: Runner) -> None:
    x, at = Array("x", float32, 100), Array("at", int32, 6 * LANES)
    out = Array("out", float32, 100)
    index = Cast(Load(at, Ramp(mul(I, LANES), 1, LANES)), int64)
    guard = Op("and", (Op("le", (Literal(0), index)), Op("lt", (index, Literal(100)))))
    function = over_i("scatter", (out, x, at), Store(out, index, Load(x, index, guard), guard))
    rng = np.random.default_rng(0)
    places = rng.permutation(np.arange(-10, 110))[: at.size].astype(np.int32)
    check(run, function, x=numbers(x), at=places, out=np.zeros(100, np.float32))


def test_a_guard_by_lane_of_one_element(run: Runner) -> None:
    x, out = Array("x", float32, 6), Array("out", float32, 6 * LANES)
    place = Ramp(mul(I, LANES), 1, LANES)
    guard = Op("lt", (place, Literal(29)))
    function = over_i("one", (out, x), Store(out, place, Load(x, I, guard)))
    check(run, function, x=numbers(x), out=np.zeros(out.size, np.float32))


def test_a_vector_at_a_scalar_index_means_the_elements_from_there(run: Runner) -> None:
    x, out = Array("x", float32, 6 * LANES), Array("out", float32, 6 * LANES)
    value = Load(x, Ramp(mul(I, LANES), 1, LANES))
    function = over_i("whole", (out, x), Store(out, mul(I, LANES), value))
    check(run, function, x=numbers(x), out=np.zeros(out.size, np.float32))


def test_bools_in_memory_are_bytes(run: Runner) -> None:
    x, out = Array("x", bool_, 48), Array("out", bool_, 48)
    place = Ramp(mul(I, LANES), 1, LANES)
    function = over_i("flip", (out, x), Store(out, place, Op("not", (Load(x, place),))))
    values = np.random.default_rng(0).integers(0, 2, 48).astype(bool)
    check(run, function, x=values, out=np.zeros(48, bool))


def in_a_page(size: int, at_end: bool) -> tuple[np.ndarray, mmap.mmap]:
    """`size` floats before, or after, pages that must not be touched."""
    page = mmap.PAGESIZE
    pages = mmap.mmap(-1, 3 * page)
    array = np.frombuffer(pages, np.float32)
    address = array.ctypes.data
    libc = ctypes.CDLL(None)
    for n in (0, 2):
        assert libc.mprotect(ctypes.c_void_p(address + n * page), page, 0) == 0
    start = (2 * page if at_end else page) // 4 - (size if at_end else 0)
    return array[start : start + size], pages


@pytest.mark.parametrize("at_end", [True, False])
@pytest.mark.parametrize("stride", [-3, -1, 1, 2, 3, 5])
@pytest.mark.parametrize("guarded", [False, True])
def test_nothing_outside_is_touched(at_end: bool, stride: int, guarded: bool, cpu: CPU) -> None:
    size = abs(stride) * (LANES - 1) + 1
    x, out = Array("x", float32, size), Array("out", float32, LANES)
    start, guard = max(0, -stride * (LANES - 1)), None
    if guarded:  # half of the lanes are outside, at the one end or the other
        start += (1 if at_end else -1) * abs(stride) * (LANES // 2)
    index: Expr = Ramp(Literal(start), stride, LANES)
    if guarded:
        guard = Op("and", (Op("le", (Literal(0), index)), Op("lt", (index, Literal(size)))))
    i = Var("i", 1)
    store = Store(out, Ramp(i, 1, LANES), Load(x, index, guard))
    program = cpu.compile(
        [Launch(legal(Function("edge", (out, x), 1, (store,)), cpu.machine), (0, 1))]
    )
    array, pages = in_a_page(size, at_end)
    array[:] = np.arange(size)
    result = np.zeros(LANES, np.float32)
    memory = cpu.upload(result)
    program.run([memory, HostMemory.shared(array.ctypes.data, array.nbytes, pages)])
    cpu.download(memory, result)
    places = start + stride * np.arange(LANES)
    np.testing.assert_array_equal(result, np.where((places >= 0) & (places < size), places, 0))


@pytest.mark.parametrize("at_end", [True, False])
@pytest.mark.parametrize("stride", [1, 2, 3, 4, 5])
def test_no_store_touches_what_is_outside(at_end: bool, stride: int, cpu: CPU) -> None:
    size = stride * (LANES - 1) + 1
    x, out = Array("x", float32, LANES), Array("out", float32, size)
    i = Var("i", 1)
    store = Store(out, Ramp(i, stride, LANES), Load(x, Ramp(i, 1, LANES)))
    function = Function("edge", (out, x), 1, (For(i, 1, "serial", (store,)),))
    program = cpu.compile([Launch(legal(function, cpu.machine), (0, 1))])
    array, pages = in_a_page(size, at_end)
    array[:] = -1
    memory = cpu.upload(numbers(x))
    program.run([HostMemory.shared(array.ctypes.data, array.nbytes, pages), memory])
    expected = np.full(size, -1.0)
    expected[::stride] = numbers(x)
    np.testing.assert_array_equal(array, expected)


def test_loads_see_what_was_stored_before(run: Runner) -> None:
    """The same expression before and after a write is two loads."""
    out, x = Array("out", float32, 6), Array("x", float32, 6)
    k = Var("k", 3)
    double = Op("add", (Load(out, I), Load(out, I)))
    body = (
        Store(out, I, Load(x, I)),
        Store(out, I, double),
        For(k, 3, "serial", (Store(out, I, double), Accumulate(out, I, "sum", Load(x, I)))),
        If(less(I, 3), (Store(out, I, double),), (Store(out, I, Op("neg", (double,))),)),
        Store(out, I, double),
    )
    check(run, over_i("again", (out, x), *body), x=numbers(x), out=np.zeros(6, np.float32))


def test_a_let_keeps_its_value(run: Runner) -> None:
    out = Array("out", float32, 6)
    old = Local("old", float32)
    body = (
        Let(old, Load(out, I)),
        Store(out, I, Literal(7.0, float32)),
        Accumulate(out, I, "sum", old),
    )
    check(run, over_i("kept", (out,), *body), out=numbers(out))


@pytest.mark.parametrize("scope", ["register", "local"])
def test_private_arrays(scope: str, run: Runner) -> None:
    """A sum in a private array, with a guard by lane, of 16 and of 20,000 elements."""
    for size in (16, 20_000):
        out, x = Array("out", float32, 6), Array("x", float32, 6 * LANES)
        total = Array("total", float32, size, scope)
        k = Var("k", LANES)
        lanes = Ramp(Literal(0), 1, LANES)
        body: Body = (
            Alloc(total),
            Store(total, lanes, Broadcast(Literal(0.0, float32), LANES)),
            Accumulate(
                total, lanes, "sum", Load(x, Ramp(mul(I, LANES), 1, LANES)), Op("lt", (lanes, I))
            ),
            Store(out, I, Literal(0.0, float32)),
            For(k, LANES, "serial", (Accumulate(out, I, "sum", Load(total, k)),)),
        )
        check(run, over_i(scope, (out, x), *body), x=numbers(x), out=numbers(out))


def test_private_arrays_do_not_overlap(run: Runner) -> None:
    out = Array("out", float32, 6)
    first, second = Array("a", float32, 5, "local"), Array("b", int8, 3, "local")
    body: Body = (
        Alloc(first),
        Alloc(second),
        Store(first, Literal(4), Literal(1.5, float32)),
        Store(second, Literal(0), Literal(3, int8)),
        Store(
            out, I, Op("add", (Load(first, Literal(4)), Cast(Load(second, Literal(0)), float32)))
        ),
    )
    check(run, over_i("two", (out,), *body), out=numbers(out))


def test_extents_that_are_computed(run: Runner) -> None:
    """A triangle: the inner loop runs to i, which may be 0."""
    out, x = Array("out", float32, 6), Array("x", float32, 6)
    k = Var("k", 6)
    body: Body = (
        Store(out, I, Literal(0.0, float32)),
        For(k, I, "serial", (Accumulate(out, I, "sum", Load(x, k)),)),
    )
    check(run, over_i("triangle", (out, x), *body), x=numbers(x), out=numbers(out))


def test_conditions_skip_what_must_not_run(run: Runner) -> None:
    """A load moves out of no If that guards its index."""
    out, x = Array("out", float32, 6), Array("x", float32, 4)
    k = Var("k", 2)
    inner = For(k, 2, "serial", (Accumulate(out, I, "sum", Load(x, sub(I, 1))),))
    inside = Op("and", (at_least(I, 1), less(I, 5)))
    check(run, over_i("inside", (out, x), If(inside, (inner,))), x=numbers(x), out=numbers(out))


def test_every_iteration_runs_once_whatever_the_threads(cpu: CPU) -> None:
    from lazygrad import config

    for extent in (1, 2, 3, 7, 64):
        i = Var("i", extent)
        out = Array("out", int64, extent)
        body = (For(i, extent, "parallel", (Accumulate(out, i, "sum", add(i, 1)),)),)
        program = cpu.compile(
            [Launch(legal(Function("count", (out,), 1, body), cpu.machine), (0,))]
        )
        for threads in (1, 2, 3, 5):
            with config.override(THREADS=threads):
                result = np.zeros(extent, np.int64)
                memory = cpu.allocate(result.nbytes)
                ctypes.memset(memory.address, 0, result.nbytes)
                program.run([memory])
                cpu.download(memory, result)
                np.testing.assert_array_equal(result, np.arange(extent) + 1)

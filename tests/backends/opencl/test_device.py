"""Kernels and memory on a real OpenCL device: PoCL's, where there is no GPU."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lazygrad import config
from lazygrad.backends.base import Launch, joined
from lazygrad.backends.memory import Memory
from lazygrad.backends.opencl.device import OpenCLDevice
from lazygrad.backends.opencl.program import Builder, Call
from lazygrad.dtypes import bfloat16, float32
from lazygrad.errors import CompilerError, OutOfMemoryError
from lazygrad.expr import Array, Cast, Literal, Load, Op, Var
from lazygrad.index import add, mul
from lazygrad.loops.ir import Alloc, For, Function, Store
from tests.loops.passes import legal


@pytest.fixture(scope="module")
def device() -> OpenCLDevice:
    return OpenCLDevice("GPU")


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Path]:
    """An empty cache."""
    with config.override(LAZYGRAD_CACHE=tmp_path):
        yield tmp_path


def add_one(n: int = 64) -> Function:
    """out[i] = x[i] + 1"""
    i = Var("i", n)
    out, x = Array("out", float32, n), Array("x", float32, n)
    value = Op("add", (Load(x, i), Literal(1.0, float32)))
    return Function("add_one", (out, x), 1, (For(i, n, "workitem", (Store(out, i, value),)),))


def f32(value: float) -> Literal:
    return Literal(value, float32)


def downloaded(device: OpenCLDevice, memory: object, n: int = 64) -> np.ndarray:
    array = np.empty(n, np.float32)
    device.download(memory, array)  # type: ignore[arg-type]
    return array


def test_threads_may_run_one_program(device: OpenCLDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each sets the arguments of the same kernel to memories of its own, and enqueues it."""
    own = Call.set_arguments

    def slowly(call: Call, memories: Sequence[Memory], scratch: Memory | None) -> None:
        own(call, memories, scratch)
        time.sleep(0.005)  # others have their turn

    monkeypatch.setattr(Call, "set_arguments", slowly)
    program = device.compile([Launch(add_one(), (0, 1))])

    def computed(value: float) -> float:
        x, out = device.upload(np.full(64, value, np.float32)), device.allocate(256)
        program.run([out, x])
        return float(downloaded(device, out)[0])

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(computed, range(12))) == list(range(1, 13))


def test_kernel_computes_what_it_should(kernel_case, device) -> None:
    function = kernel_case.function
    made = kernel_case.make(np.random.default_rng(0))
    memories = [device.upload(array) for array in made]
    program = device.compile([Launch(legal(function, device.machine), tuple(range(len(made))))])
    program.run(memories)
    expected = kernel_case.expected(*(array.copy() for array in made))
    for memory, array, right in zip(memories, made, expected, strict=False):
        got = np.empty_like(array)
        device.download(memory, got)
        np.testing.assert_allclose(
            got.astype("float64"),
            np.asarray(right, "float64").reshape(got.shape),
            rtol=kernel_case.tolerance,
            atol=kernel_case.tolerance,
        )


# --------------------------------------------------------------------------- memory


@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 3)])
def test_arrays_come_back_as_they_went(shape: tuple[int, ...], device: OpenCLDevice) -> None:
    array = np.arange(np.prod(shape), dtype="int64").reshape(shape).astype(bfloat16.numpy)
    back = np.empty_like(array)
    device.download(device.upload(array), back)
    np.testing.assert_array_equal(back, array)


def test_many_uploads_do_not_wait_and_all_arrive(device: OpenCLDevice) -> None:
    memories = [device.upload(np.full(1 << 18, n, np.float32)) for n in range(20)]
    for n, memory in enumerate(memories):
        assert (downloaded(device, memory, 1 << 18) == n).all()
    assert not device._uploads


def test_too_much_memory_is_refused_with_sizes(device: OpenCLDevice) -> None:
    with pytest.raises(OutOfMemoryError, match=r"GPU: .*1024\.0 TiB asked for, .*; one piece"):
        device.allocate(1 << 50)


def test_memory_goes_back_to_the_pool(device: OpenCLDevice) -> None:
    before = device.pool.used
    memory = device.allocate(1 << 20)
    assert device.pool.used == before + (1 << 20)
    del memory
    assert device.pool.used == before


# --------------------------------------------------------------------------- programs


def test_launches_run_in_order_on_their_slots(device: OpenCLDevice) -> None:
    memories = [device.upload(np.zeros(64, np.float32)) for _ in range(3)]
    launches = [Launch(add_one(), (1, 0)), Launch(add_one(), (2, 1))]
    device.compile(launches).run(memories)
    assert [downloaded(device, memory)[0] for memory in memories] == [0, 1, 2]


def test_arguments_are_set_again_only_where_memory_changed(device: OpenCLDevice) -> None:
    program = device.compile([Launch(add_one(), (0, 1))])
    (call,) = program._calls
    set_arguments: list[int] = []
    kernel, call.kernel = call.kernel, None

    class Recording:
        def set_arg(self, n: int, buffer: object) -> None:
            set_arguments.append(n)
            kernel.set_arg(n, buffer)

    out, x, y = (device.upload(np.full(64, n, np.float32)) for n in range(3))
    call.kernel = Recording()
    for memories in ([out, x], [out, x], [out, y]):
        call.set_arguments(memories, None)
    assert set_arguments == [0, 1, 1]


def test_nothing_is_launched_for_no_iterations(device: OpenCLDevice) -> None:
    out = Array("out", float32, 0)
    group = Var("group", 0)
    body = (For(group, 0, "workgroup", (Store(out, group, Literal(0.0, float32)),)),)
    program = device.compile([Launch(Function("none", (out,), 1, body), (0,))], timing=True)
    program.run([device.allocate(0)])
    assert program.times() == [0.0]


def test_times_are_those_of_the_last_run(device: OpenCLDevice) -> None:
    program = device.compile([Launch(add_one(), (0, 1))] * 2, timing=True)
    memories = [device.upload(np.zeros(64, np.float32)) for _ in range(2)]
    program.run(memories)
    program.run(memories)
    times = program.times()
    assert len(times) == 2
    assert all(0 < seconds < 1 for seconds in times)


def test_a_kernel_that_does_not_build_leaves_its_source(device: OpenCLDevice, cache: Path) -> None:
    with pytest.raises(CompilerError, match="kernel nonsense does not build on") as error:
        device.builder.kernel("nonsense", "__kernel void nonsense() { this is not C; }")
    path = Path(str(error.value).split("its source is in ")[1].splitlines()[0])
    assert "this is not C" in path.read_text()


def test_local_memory_above_the_group_s_is_refused(device: OpenCLDevice) -> None:
    big, i = Array("big", float32, device.machine.local_bytes, "local"), Var("i", 8)
    body = (Alloc(big), For(i, 8, "workitem", (Store(big, i, Literal(0.0, float32)),)))
    with pytest.raises(CompilerError, match="its local arrays take"):
        device.compile([Launch(Function("big", (), 0, body), ())])


def test_groups_of_one_item_have_local_arrays_of_any_size(device: OpenCLDevice) -> None:
    """They go to memory of the group's own: here each group writes all of its before it reads."""
    size = device.machine.local_bytes
    big, small = Array("big", float32, size, "local"), Array("small", float32, 3, "local")
    out = Array("out", float32, 6)
    g, h, i = Var("g", 2), Var("h", 3), Var("i", size)
    number = add(mul(g, 3), h)
    writes = (Store(big, i, Cast(add(number, i), float32)), Store(small, Literal(2), f32(0.0)))
    body = (Alloc(big), Alloc(small), For(i, size, "serial", writes))
    body = (*body, Store(out, number, Load(big, Literal(1000))))
    groups = For(g, 2, "workgroup", (For(h, 3, "workgroup", body),))
    program = device.compile(
        [Launch(legal(Function("big", (out,), 1, (groups,)), device.machine), (0,))]
    )
    memory = device.allocate(24)
    program.run([memory])
    assert downloaded(device, memory, 6).tolist() == [1000, 1001, 1002, 1003, 1004, 1005]
    assert f"scratch + {4 * size});" in joined(program.codes())["opencl"]


# --------------------------------------------------------------------------- code on disk


def test_code_is_found_by_its_key_without_loops(device: OpenCLDevice, cache: Path) -> None:
    def text(launch: Launch) -> str:
        program = device.compile([launch])
        memories = [device.upload(np.zeros(64, np.float32)) for _ in range(2)]
        program.run(memories)
        assert (downloaded(device, memories[0]) == 1).all()
        return joined(program.codes())["opencl"]

    assert not device.cached("one")
    launch = Launch(add_one(), (0, 1), key="one")
    first = text(launch)
    without = replace(launch, function=replace(launch.function, body=()))
    device.builder._codes.clear()  # as in another process
    assert device.cached("one")
    assert text(without) == first
    assert not device.cached("other")


# --------------------------------------------------------------------------- binaries on disk

SOURCE = "__kernel void one(__global float *x) { x[0] = 1.0f; }"


@pytest.fixture
def builder(device: OpenCLDevice, cache: Path) -> Builder:
    """A builder with nothing built, that keeps binaries whatever the platform."""
    builder = Builder(device._cl, device._context, device._device, device.machine)
    builder.keeps_binaries = True
    return builder


def again(builder: Builder) -> Builder:
    """As in a later process."""
    later = Builder(builder.cl, builder.context, builder.device, builder._machine)
    later.keeps_binaries = True
    return later


def runs(device: OpenCLDevice, kernel: object) -> bool:
    memory = device.upload(np.zeros(1, np.float32))
    kernel.set_arg(0, memory.block.buffer)  # type: ignore[attr-defined]
    device._cl.enqueue_nd_range_kernel(device.queue, kernel, (1,), (1,))
    return bool(downloaded(device, memory, 1)[0] == 1)


def test_a_binary_is_built_once_and_loaded_later(
    builder: Builder, device: OpenCLDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert runs(device, builder.kernel("one", SOURCE))
    later = again(builder)
    monkeypatch.setattr(later, "_from_source", None)  # is not to be called
    assert runs(device, later.kernel("one", SOURCE))


def test_a_binary_that_the_driver_refuses_is_built_again(
    builder: Builder, device: OpenCLDevice
) -> None:
    builder.cache.put(builder._key(SOURCE), b"this is no binary")
    assert runs(device, builder.kernel("one", SOURCE))
    assert builder.cache.get(builder._key(SOURCE)) != b"this is no binary"


def test_every_kernel_object_is_its_own(builder: Builder) -> None:
    assert builder.kernel("one", SOURCE) is not builder.kernel("one", SOURCE)

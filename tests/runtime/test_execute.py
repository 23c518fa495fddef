"""Plans: what they allocate, what they report, and memory that outlives everything."""

from __future__ import annotations

import gc
import re

import numpy as np
import pytest

from lazygrad import Tensor, config
from lazygrad.compile import plan_for, realize
from lazygrad.dtypes import float32
from lazygrad.graph.ir import Add, Buffer, Const, Neg, Node, Permute, Reduce
from lazygrad.runtime.buffer import DeviceBuffer, realized
from lazygrad.runtime.device import Device
from lazygrad.runtime.report import bytes_text
from lazygrad.runtime.timings import seconds_text

pytestmark = pytest.mark.usefixtures("own_plans")


def buffer(values: object, dtype: object = np.float32) -> Buffer:
    array = np.asarray(values, dtype)
    return Buffer(DeviceBuffer.from_numpy(array, Device.DEFAULT), array.shape)


def value(node: Node) -> np.ndarray:
    return realize([node])[0].numpy().reshape(node.shape)


def test_one_plan_serves_graphs_that_differ_in_buffers_only():
    first, leaves = plan_for([Neg(buffer([1.0, 2.0]))])
    second, others = plan_for([Neg(buffer([3.0, 4.0]))])
    assert first is second
    assert leaves != others
    assert value(Neg(buffer([3.0, 4.0]))).tolist() == [-3.0, -4.0]


def test_a_plan_keeps_no_memory_alive():
    x = buffer(np.arange(1000))
    memory = x.storage.memory  # type: ignore[attr-defined]
    out = realize([Add(x, x), Reduce(Permute(Reduce(x, "sum", ()), (0,)), "max", (0,))])
    counted = len(gc.get_referrers(memory))
    del x, out
    assert len(gc.get_referrers(memory)) < counted


def test_what_was_computed_and_is_alive_is_a_leaf_of_the_next_graph():
    x = Add(buffer([1.0, 2.0]), buffer([3.0, 4.0]))
    y = Neg(x)
    assert len(plan_for([y])[1]) == 2
    realized[x] = realize([x])[0]
    plan, leaves = plan_for([y])
    assert leaves == [x]
    assert plan.run([realized[x]])[0].numpy().tolist() == [-4.0, -6.0]


def test_an_output_that_is_a_leaf_is_that_very_buffer():
    x = buffer([1.0, 2.0])
    assert realize([x, x]) == [x.storage, x.storage]


def test_a_donated_leaf_is_overwritten():
    p, g = buffer(np.array([1.0, 2.0])), buffer([10.0, 20.0])
    plan, leaves = plan_for([Add(p, g)], {0: p})
    assert [leaves[n] for n in plan.taken] == [p]
    memories = [leaf.storage.memory for leaf in leaves]  # type: ignore[attr-defined]
    (memory,), _ = plan.attempt(list(memories))
    assert memory is memories[leaves.index(p)]
    assert p.storage.numpy().tolist() == [11.0, 22.0]  # type: ignore[attr-defined]


@pytest.mark.parametrize("size", [1, 5, 31, 1000, 4097])
def test_in_place_computes_each_element_once(size):
    """Odd sizes have tails, which must not be computed twice over their own results."""
    values = np.arange(size, dtype=np.float32)
    p = buffer(values.copy())
    plan, leaves = plan_for([Add(Add(p, p), Const(1.0, float32, (size,)))], {0: p})
    assert plan.taken
    (memory,), _ = plan.attempt([leaves[0].storage.memory])  # type: ignore[attr-defined]
    found = DeviceBuffer(size, float32, Device.DEFAULT, memory).numpy()
    np.testing.assert_array_equal(found, 2 * values + 1)


def test_a_view_keeps_its_memory():
    found = realize([Add(buffer(np.ones(5000)), buffer(np.ones(5000)))])[0].numpy()
    for _ in range(3):  # would reuse the memory, were it free
        realize([Neg(buffer(np.ones(5000)))])
    assert (found == 2).all()


@pytest.mark.skipif(Device.DEFAULT != "CPU", reason="other devices have memory of their own")
def test_on_the_cpu_a_large_aligned_array_is_shared_and_values_are_views():
    array = np.zeros(1 << 20, np.float32)
    shared = DeviceBuffer.from_numpy(array, "CPU")
    assert shared.is_shared
    assert np.shares_memory(shared.numpy(), array)
    assert np.shares_memory(shared.numpy(), shared.numpy())


def test_memory_is_used_again():
    def address() -> int:
        made = realize([Neg(buffer(np.ones(777_777)))])[0]
        return made.numpy().__array_interface__["data"][0]

    if Device.DEFAULT == "CPU":
        assert address() == address()


# --------------------------------------------------------------------------- reports


def test_debug_1_tells_a_line_a_schedule(capfd):
    with config.override(DEBUG=1):
        value(Neg(buffer([1.0, 2.0, 3.0])))
    lines = [line for line in capfd.readouterr().err.splitlines() if "schedule" in line]
    assert len(lines) == 1
    assert re.match(
        r"schedule \d+: value \(\S+py:\d+\), 1 kernel on \w+ in [\d.]+ [mu]?s, 64 B allocated",
        lines[0],
    )


def test_debug_2_tells_a_line_a_kernel_with_its_rates(capfd):
    with config.override(DEBUG=2):
        value(Neg(buffer(np.ones(12345))))
    assert re.search(
        r"neg_12345_\w+ +[\d.]+ us +[\d.]+ GFLOPS +[\d.]+ GB/s", capfd.readouterr().err
    )


def test_debug_3_and_4_tell_reasons_and_code(capfd):
    with config.override(DEBUG=4):
        value(Neg(buffer(np.ones(12321))))
    told = capfd.readouterr().err
    assert "out0 = -in0" in told
    assert "    - " in told
    assert "--- " in told


def test_units_are_readable():
    assert [seconds_text(t) for t in (3.1e-6, 0.012, 1.5)] == ["3.1 us", "12.0 ms", "1.50 s"]
    assert [bytes_text(n) for n in (512, 3200, 4_500_000, 7_250_000_000)] == [
        "512 B", "3.2 kB", "4.5 MB", "7.25 GB",
    ]  # fmt: skip


def test_a_tensor_beyond_memory_is_refused_with_its_size():
    with pytest.raises(MemoryError, match=r"\d+(\.\d+)? (GiB|TiB)"):
        Tensor.ones(1 << 44).contiguous().realize()

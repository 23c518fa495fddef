"""The kernels that peaks are measured with compute what they say, for each target."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lazygrad.loops.ir.verify import verify
from lazygrad.runtime import peaks
from lazygrad.runtime.device import Device
from lazygrad.targets import Machine, Target
from tests.loops.evaluate import evaluate


@pytest.fixture(params=["CPU", "GPU"])
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setattr(peaks, "ROUNDS", 3)
    monkeypatch.setattr(peaks, "COPIED", 1 << 12)
    monkeypatch.setattr(peaks, "GROUP", 4)
    monkeypatch.setattr(peaks, "GROUPS", 2)
    on_cpu = replace(Device["CPU"].machine, cores=2)
    return on_cpu if request.param == "CPU" else replace(on_cpu, target=Target.GPU)


def test_multiply_adds(machine: Machine) -> None:
    function = peaks.multiply_adds(machine)
    verify(function)
    size = function.arguments[0].size
    out = np.zeros(size, np.float32)
    evaluate(function, {"out0": out, "in0": np.array([0.5], np.float32)})
    lanes = 1 if machine.gpu else machine.lanes
    first = np.repeat(np.arange(peaks.SUMS), lanes)
    np.testing.assert_allclose(out, np.tile(first, size // len(first)) * 1.5**3)
    assert function.flops == 2 * 3 * size


def test_copied(machine: Machine) -> None:
    function = peaks.copied(machine)
    verify(function)
    x = np.arange(1 << 12, dtype=np.float32)
    out = np.zeros_like(x)
    evaluate(function, {"out0": out, "in0": x})
    np.testing.assert_array_equal(out, x)
    assert function.bytes == 2 * x.nbytes


def test_a_cpu_through_opencl_has_the_rates_of_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peaks, "COPIED", 1 << 16)
    monkeypatch.setattr(peaks, "ROUNDS", 1 << 10)
    peaks._measured.cache_clear()
    found = peaks.peaks(Device["CPU"])
    assert found.flops > 1e6
    assert found.bytes > 1e6
    if Device["GPU"].machine.target is Target.OPENCL_CPU:
        assert peaks.peaks(Device["GPU"]) is found
    peaks._measured.cache_clear()


@pytest.mark.slow
def test_the_kernels_of_a_gpu_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peaks, "COPIED", 1 << 16)
    monkeypatch.setattr(peaks, "ROUNDS", 1 << 10)
    device = Device["GPU"]
    machine = replace(device.machine, target=Target.GPU)
    for function in (peaks.multiply_adds(machine), peaks.copied(machine)):
        assert peaks._seconds(function, device) > 0

"""The choice of an OpenCL device, and what is said where there is none."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from lazygrad import config
from lazygrad.backends.opencl.platforms import choose_device, find_devices, import_pyopencl
from lazygrad.errors import DeviceError

GPU, CPU, ALL = 4, 2, 7


class FakeError(Exception):
    pass


def fake_device(name: str, kind: int) -> SimpleNamespace:
    platform = SimpleNamespace(name="Fake platform")
    return SimpleNamespace(name=name, type=kind, platform=platform, driver_version="1.0")


def fake_opencl(*platforms: list[SimpleNamespace]) -> Any:
    """pyopencl as far as the choice of a device needs it, with these platforms' devices."""

    def get_devices(devices: list[SimpleNamespace], kind: int) -> list[SimpleNamespace]:
        found = [device for device in devices if device.type & kind]
        if not found:
            raise FakeError("DEVICE_NOT_FOUND")
        return found

    def get_platforms() -> list[SimpleNamespace]:
        if not platforms:
            raise FakeError("PLATFORM_NOT_FOUND_KHR")
        return [
            SimpleNamespace(
                name=f"platform {n}", get_devices=lambda kind, d=devices: get_devices(d, kind)
            )
            for n, devices in enumerate(platforms)
        ]

    def create_some_context(interactive: bool) -> SimpleNamespace:
        raise RuntimeError("input did not match any platform")

    return SimpleNamespace(
        Error=FakeError,
        device_type=SimpleNamespace(GPU=GPU, CPU=CPU, ALL=ALL),
        get_platforms=get_platforms,
        create_some_context=create_some_context,
    )


@pytest.fixture(autouse=True)
def no_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYOPENCL_CTX", raising=False)


def test_gpus_of_all_platforms_come_first() -> None:
    cpu, one, two = fake_device("c", CPU), fake_device("a", GPU), fake_device("b", GPU)
    assert find_devices(fake_opencl([cpu, one], [two])) == [one, two]


def test_cpus_stand_in_where_there_is_no_gpu() -> None:
    cpu = fake_device("c", CPU)
    assert find_devices(fake_opencl([], [cpu])) == [cpu]


def test_the_number_counts_devices() -> None:
    one, two = fake_device("a", GPU), fake_device("b", GPU)
    cl = fake_opencl([one, two])
    assert choose_device(cl, "GPU") is one
    assert choose_device(cl, "GPU:1") is two
    with pytest.raises(DeviceError, match=r"GPU:2: there is no such device; .* GPU:1 \(b\)"):
        choose_device(cl, "GPU:2")


def test_debug_tells_the_choice(capsys: pytest.CaptureFixture[str]) -> None:
    cl = fake_opencl([fake_device("a", GPU)])
    choose_device(cl, "GPU")
    assert capsys.readouterr().err == ""
    with config.override(DEBUG=1):
        choose_device(cl, "GPU")
    assert capsys.readouterr().err == "lazygrad: GPU is a (Fake platform, driver 1.0)\n"
    cl = fake_opencl([fake_device("b", CPU)])
    with config.override(DEBUG=1):
        choose_device(cl, "GPU")
    assert capsys.readouterr().err.endswith("driver 1.0), a CPU: there is no GPU\n")


def test_without_pyopencl_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyopencl", None)
    with pytest.raises(DeviceError, match=r"pyopencl cannot be imported .* pip install") as error:
        import_pyopencl()
    assert "\n" not in str(error.value)


def test_without_a_platform_it_is_said_what_to_install() -> None:
    with pytest.raises(DeviceError, match=r"no OpenCL platform; .* pip install") as error:
        find_devices(fake_opencl())
    assert "\n" not in str(error.value)


def test_without_a_device_the_platforms_are_named() -> None:
    with pytest.raises(DeviceError, match=r"platform 0, platform 1\) have no device") as error:
        find_devices(fake_opencl([], []))
    assert "pip install" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_choice_that_names_nothing_is_told_with_what_there_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYOPENCL_CTX", "nonesuch")
    with pytest.raises(DeviceError, match=r"PYOPENCL_CTX=nonesuch names no .* 0:0 \(a\)"):
        find_devices(fake_opencl([fake_device("a", GPU)]))


def test_pyopencl_chooses_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    cl = import_pyopencl()
    try:
        (first, *_) = cl.get_platforms()[0].get_devices()
    except cl.Error:
        pytest.skip("no OpenCL device")
    monkeypatch.setenv("PYOPENCL_CTX", "0:0")
    assert find_devices(cl) == [first]

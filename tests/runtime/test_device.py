"""Devices by name."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from lazygrad import config
from lazygrad.errors import DeviceError
from lazygrad.runtime import device as module
from lazygrad.runtime.device import Devices


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> Iterator[Devices]:
    """A registry of its own, whose devices are their names."""
    monkeypatch.setattr(module, "_open", lambda name: f"opened {name}")
    with config.override(BACKEND="CPU"):
        yield Devices()


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("CPU", "CPU"),
        ("cpu", "CPU"),
        ("cpu:0", "CPU"),
        ("gpu", "GPU"),
        ("GPU:0", "GPU"),
        (" Gpu:1 ", "GPU:1"),
        ("gpu:01", "GPU:1"),
    ],
)
def test_names_have_one_spelling(devices: Devices, name: str, canonical: str) -> None:
    assert devices.canonical(name) == canonical


@pytest.mark.parametrize("name", ["", "TPU", "cuda", "CPU:1", "GPU:", "GPU:-1", "GPU:x", "GPU 1"])
def test_unknown_names_are_refused_with_what_is_valid(devices: Devices, name: str) -> None:
    with pytest.raises(DeviceError, match=r'is unknown; valid are "CPU", "GPU", "GPU:1"'):
        devices.canonical(name)


def test_the_default_is_the_backend_until_it_is_set(devices: Devices) -> None:
    assert devices.DEFAULT == "CPU"
    with config.override(BACKEND="GPU"):
        assert devices.DEFAULT == "GPU"
        devices.DEFAULT = "gpu:1"
        assert devices.DEFAULT == "GPU:1"
    assert devices.DEFAULT == "GPU:1"


def test_the_default_is_checked_when_it_is_set(devices: Devices) -> None:
    with pytest.raises(DeviceError, match="'cuda' is unknown"):
        devices.DEFAULT = "cuda"
    assert devices.DEFAULT == "CPU"


def test_a_device_is_opened_once(devices: Devices, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(module, "_open", lambda name: opened.append(name) or object())
    assert devices["gpu"] is devices.get("GPU:0") is devices.get("GPU")
    assert devices["GPU:1"] is not devices["GPU"]
    assert opened == ["GPU", "GPU:1"]


def test_threads_that_open_a_device_at_once_get_one(
    devices: Devices, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(name: str) -> object:
        time.sleep(0.05)
        return object()

    monkeypatch.setattr(module, "_open", slowly)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(devices.get, ["GPU"] * 4))
    assert len(set(map(id, found))) == 1


def test_a_device_that_cannot_be_opened_is_tried_again(
    devices: Devices, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str) -> object:
        raise DeviceError("not there")

    monkeypatch.setattr(module, "_open", refuse)
    for _ in range(2):
        with pytest.raises(DeviceError, match="not there"):
            devices.get("GPU")

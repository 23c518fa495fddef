"""`lazygrad.device`: names of devices, and the module that tinygrad has there.

device = lazygrad.device("cuda" if lazygrad.cuda.is_available() else "cpu")
from lazygrad.device import Device
"""

from __future__ import annotations

import sys
from types import ModuleType

from .runtime.device import Device


class DeviceName(str):
    """The name of a device, as `x.device` has it. It is a text, so it stands wherever a device's
    name does.

    lazygrad.device("cpu") == "CPU"

    Raises DeviceError for a name that is unknown.
    """

    def __new__(cls, type: str, index: int | None = None) -> DeviceName:
        name = type if index is None else f"{type}:{index}"
        return super().__new__(cls, Device.canonical(name))

    @property
    def type(self) -> str:
        """ "cpu" or "gpu"."""
        return self.partition(":")[0].lower()

    @property
    def index(self) -> int | None:  # type: ignore[override]
        """The number of the GPU; None for the CPU."""
        name, _, number = self.partition(":")
        return None if name == "CPU" else int(number or 0)


class _Package(ModuleType):
    """This module, which stands for its class."""

    def __call__(self, type: str, index: int | None = None) -> DeviceName:
        """`DeviceName`: `device("cpu")`, `device("GPU:1")`, `device("GPU", 1)`."""
        return DeviceName(type, index)

    def __instancecheck__(self, value: object) -> bool:
        return isinstance(value, DeviceName)


sys.modules[__name__].__class__ = _Package

__all__ = ["Device", "DeviceName"]

"""`lazygrad.device`: names of devices, and the module that tinygrad has there.

device = lazygrad.device("cuda" if lazygrad.cuda.is_available() else "cpu")
from lazygrad.device import Device
"""

from __future__ import annotations

import sys
from types import ModuleType

from .runtime.device import Device, DeviceName


class DeviceModule(ModuleType):
    """This module, which stands for its class."""

    def __call__(self, type: str, index: int | None = None) -> DeviceName:
        """`DeviceName`: `device("cpu")`, `device("GPU:1")`, `device("GPU", 1)`."""
        return DeviceName(type, index)

    def __instancecheck__(self, value: object) -> bool:
        return isinstance(value, DeviceName)


sys.modules[__name__].__class__ = DeviceModule

__all__ = ["Device", "DeviceName"]

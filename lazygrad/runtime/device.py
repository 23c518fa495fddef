"""Devices by name: the valid names, the default, and the opened devices.

Device.DEFAULT              "CPU", or what BACKEND says; may be set
Device.canonical("gpu:1")   "GPU:1"
Device["GPU"]               the backend's device, opened at the first use
"""

from __future__ import annotations

import re
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING

from .. import config
from ..errors import DeviceError

if TYPE_CHECKING:  # not needed to run, and takes long to import
    from ..backends.base import Device as BackendDevice


class DeviceName(str):
    """The name of a device, as `x.device` gives it: a str, accepted wherever a name of a device is.

    lazygrad.device("cpu") == "CPU"

    Raises DeviceError for a name that is unknown.
    """

    __slots__ = ()

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


@cache
def named(name: str) -> DeviceName:
    """The `DeviceName` of a canonical name."""
    return DeviceName(name)


def _open(name: str) -> BackendDevice:
    """Open the device of a canonical name. Backends are imported here, when one is asked for."""
    if name == "CPU":
        from ..backends.llvm.device import CPU

        return CPU()
    from ..backends.opencl.device import OpenCLDevice

    return OpenCLDevice(name)


class Devices:
    """The registry of devices; `Device` is the only one. See the module's examples."""

    def __init__(self) -> None:
        self._default: str | None = None
        self._opened: dict[str, BackendDevice] = {}
        self._lock = Lock()

    @property
    def DEFAULT(self) -> str:
        """The device of tensors that name none: the one set here, else BACKEND's."""
        return self._default or config.BACKEND

    @DEFAULT.setter
    def DEFAULT(self, name: str) -> None:
        self._default = self.canonical(name)

    def canonical(self, name: str) -> str:
        """The name as it is written everywhere: "cpu" is "CPU", "gpu:0" is "GPU".

        Says nothing about whether the device is there. Raises DeviceError, naming what is valid.
        """
        found = re.fullmatch(r"(CPU|GPU)(?::(\d+))?", str(name).strip().upper(), re.ASCII)
        if found is None or (found[1] == "CPU" and int(found[2] or 0)):
            cuda = "; a CUDA device is reached by OpenCL, as GPU" if "cuda" in str(name) else ""
            raise DeviceError(
                f'device {name!r} is unknown; valid are "CPU", "GPU", "GPU:1", ...{cuda}'
            )
        number = int(found[2] or 0)
        return f"{found[1]}:{number}" if number else found[1]

    def present(self, name: str) -> str:
        """The canonical name of a device that is there: a GPU is opened for it.

        Raises DeviceError where it is unknown, absent or cannot be used.
        """
        name = self.canonical(name)
        if name != "CPU":
            self.get(name)
        return name

    def get(self, name: str) -> BackendDevice:
        """The opened device. Raises DeviceError where it is unknown, absent or cannot be used."""
        device = self._opened.get(name)
        if device is None:
            name = self.canonical(name)
            with self._lock:  # threads that ask at once get one device
                device = self._opened[name] = self._opened.get(name) or _open(name)
        return device

    def __getitem__(self, name: str) -> BackendDevice:
        """Device["GPU"]: as get()."""
        return self.get(name)


Device = Devices()

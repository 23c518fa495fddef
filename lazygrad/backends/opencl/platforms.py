"""The OpenCL devices that "GPU", "GPU:1" and so on name.

PYOPENCL_CTX chooses, in pyopencl's own way. Without it they are the GPUs of all platforms, in the
platforms' order; where there is no GPU, the OpenCL devices that are CPUs.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from ... import config
from ...errors import DeviceError

_INSTALL = 'pip install "lazygrad[pocl]" gives an OpenCL device anywhere, the CPU itself'


def import_pyopencl() -> Any:
    """The module pyopencl. Raises DeviceError where it is not installed."""
    try:
        import pyopencl
    except ImportError as error:
        raise DeviceError(f"GPU: pyopencl cannot be imported ({error}); {_INSTALL}") from None
    return pyopencl


def find_devices(cl: Any) -> list[Any]:
    """The OpenCL devices that GPU, GPU:1, ... name. Raises DeviceError where there are none."""
    if chosen := os.environ.get("PYOPENCL_CTX"):
        try:
            return list(cl.create_some_context(interactive=False).devices)
        except (cl.Error, RuntimeError, ValueError, IndexError) as error:
            raise DeviceError(
                f"GPU: PYOPENCL_CTX={chosen} names no OpenCL device ({error}); there are "
                f"{_known(cl) or 'none'}"
            ) from None
    try:
        platforms = cl.get_platforms()
    except cl.Error:
        platforms = []
    if not platforms:
        raise DeviceError(
            f"GPU: there is no OpenCL platform; install your GPU's OpenCL driver, or {_INSTALL}"
        )
    for kind in (cl.device_type.GPU, cl.device_type.CPU):
        if devices := [device for platform in platforms for device in _of_kind(cl, platform, kind)]:
            return devices
    names = ", ".join(platform.name for platform in platforms)
    raise DeviceError(
        f"GPU: the OpenCL platforms here ({names}) have no device; check that the GPU's driver is "
        f"loaded and that you may use it, or {_INSTALL}"
    )


def choose_device(cl: Any, name: str) -> Any:
    """The OpenCL device of "GPU" or "GPU:n"; printed with DEBUG=1. Raises DeviceError."""
    index = int(name.partition(":")[2] or 0)
    devices = find_devices(cl)
    if index >= len(devices):
        there = ", ".join(f"GPU:{n} ({device.name.strip()})" for n, device in enumerate(devices))
        raise DeviceError(f"{name}: there is no such device; there are {there}")
    device = devices[index]
    if config.DEBUG >= 1:
        kind = ", a CPU: there is no GPU" if is_cpu(cl, device) else ""
        print(f"lazygrad: {name} is {describe(device)}{kind}", file=sys.stderr)
    return device


def is_cpu(cl: Any, device: Any) -> bool:
    """Whether a device is a processor that OpenCL drives, as PoCL's are."""
    return bool(device.type & cl.device_type.CPU and not device.type & cl.device_type.GPU)


def describe(device: Any) -> str:
    """The device, its platform and its driver, for people."""
    return f"{device.name.strip()} ({device.platform.name.strip()}, driver {device.driver_version})"


def _of_kind(cl: Any, platform: Any, kind: int) -> list[Any]:
    try:
        return list(platform.get_devices(kind))
    except cl.Error:  # a platform without devices of the kind
        return []


def _known(cl: Any) -> str:
    """The choices that PYOPENCL_CTX has: platform:device."""
    try:
        platforms = cl.get_platforms()
    except cl.Error:
        return ""
    return ", ".join(
        f"{p}:{d} ({device.name.strip()})"
        for p, platform in enumerate(platforms)
        for d, device in enumerate(_of_kind(cl, platform, cl.device_type.ALL))
    )

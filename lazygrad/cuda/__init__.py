"""What scripts for PyTorch ask about CUDA, and about any accelerator: there is none here.

    device = "cuda" if lazygrad.cuda.is_available() else "cpu"

GPUs are reached by OpenCL: `x.to("GPU")`.
"""

from __future__ import annotations

from ..tensor import Tensor
from . import amp


def is_available() -> bool:
    """False."""
    return False


def current_accelerator(check_available: bool = False) -> None:
    """None: of `lazygrad.accelerator`, which is this module."""


def is_bf16_supported() -> bool:
    """False."""
    return False


def device_count() -> int:
    """0."""
    return 0


def manual_seed(seed: int) -> None:
    """`Tensor.manual_seed`, which counts for all devices."""
    Tensor.manual_seed(seed)


manual_seed_all = manual_seed


def empty_cache() -> None:
    """Nothing: memory that no tensor uses is free already."""


def synchronize(device: object = None) -> None:
    """Nothing: values are there when they are read."""


__all__ = [
    "amp", "current_accelerator", "device_count", "empty_cache", "is_available",
    "is_bf16_supported", "manual_seed", "manual_seed_all", "synchronize",
]  # fmt: skip

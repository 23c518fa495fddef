"""The backends: llvm for the CPU; c (the text of kernels) and opencl (devices) for GPUs.

base has the protocol that a device follows, memory what devices reuse.

`cudnn`, `cuda` and `mps` are here for scripts that set PyTorch's switches; they do nothing.
"""

from __future__ import annotations

from types import SimpleNamespace


class _Absent(SimpleNamespace):
    """A library that is not used: its settings may be set, and change nothing."""

    def is_available(self) -> bool:
        """False."""
        return False

    is_built = is_available


cudnn, cuda, mps = _Absent(enabled=False), _Absent(matmul=SimpleNamespace()), _Absent()

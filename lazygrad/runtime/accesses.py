"""Read what kernels report of accesses outside of their arrays (CHECK=bounds)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..backends.base import Device, Launch
from ..errors import AccessError
from ..loops.check_accesses import REPORT, described
from ..origin import kernel_origins
from ..schedule.ir import Kernel
from .execute import Memories


@dataclass(frozen=True, eq=False, slots=True)
class CheckAccesses:
    """Raises AccessError where a launch reports an access outside of its arrays. `lines[n]` is the
    line of the program that launch n computes; "" where it is not known."""

    device: Device
    launches: tuple[Launch, ...]
    lines: tuple[str, ...]

    @classmethod
    def of(
        cls, device: Device, kernels: Sequence[Kernel], launches: Sequence[Launch]
    ) -> CheckAccesses:
        """A check of the launches that report; `launches[n]` runs `kernels[n]`."""
        tested = [
            (launch, str(next(iter(kernel_origins(kernel)), "")))
            for kernel, launch in zip(kernels, launches, strict=True)
            if REPORT in launch.function.arguments
        ]
        return cls(device, tuple([x for x, _ in tested]), tuple([line for _, line in tested]))

    def __call__(self, memories: Memories, share: float) -> None:
        for launch, line in zip(self.launches, self.lines, strict=True):
            report = np.zeros(REPORT.size, REPORT.dtype.numpy)
            place = launch.slots[launch.function.arguments.index(REPORT)]
            self.device.download(memories[place], report)
            if report[0]:
                access = described(launch.function, int(report[0]))
                at = f"{line}: " if line else ""
                raise AccessError(f"{at}{launch.function.name}: {access}")

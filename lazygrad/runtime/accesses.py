"""What launches report of their accesses, where these are tested (CHECK=bounds)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..backends.base import Device, Launch
from ..errors import AccessError
from ..loops.check_accesses import REPORT, described
from .execute import Memories


@dataclass(frozen=True, eq=False, slots=True)
class CheckAccesses:
    """Raises AccessError where a launch reports an access outside of its arrays. `lines` says for
    each launch which line of the program it serves; "" where that is not known."""

    device: Device
    launches: tuple[Launch, ...]
    lines: tuple[str, ...]

    def __call__(self, memories: Memories) -> None:
        for launch, line in zip(self.launches, self.lines, strict=True):
            report = np.zeros(REPORT.size, REPORT.dtype.numpy)
            place = launch.slots[launch.function.arguments.index(REPORT)]
            self.device.download(memories[place], report)
            if report[0]:
                access = described(launch.function, int(report[0]))
                at = f"{line}: " if line else ""
                raise AccessError(f"{at}{launch.function.name}: {access}")

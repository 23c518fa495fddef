"""Compile launches. One that a fault of the compiler stops is compiled from plain loops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ..backends.base import Device, Launch, Program
from ..errors import CompilerError, DeviceError
from ..targets import Machine

Plain = Callable[[Launch, Machine], Launch]
"""What makes of a launch the one with plain loops."""


class Observer(Protocol):
    """Runs and shows a pass, and may go on after its fault (lazygrad.stages.Stages)."""

    @property
    def are_watched(self) -> bool: ...

    def run(self, stage: str, work: Callable[..., Any], value: Any, *rest: Any) -> Any: ...

    def go_on_after(self, stage: str, error: CompilerError) -> None: ...


def compile_all(
    device: Device, launches: Sequence[Launch], timing: bool, plain: Plain, stages: Observer
) -> tuple[Program, Sequence[Launch]]:
    """The launches as a program, and as they are in it.

    Raises CompilerError where plain loops fail, too.
    """
    try:
        return stages.run("program", device.compile, launches, timing), launches
    except CompilerError as error:
        stages.go_on_after("program", error)
    launches = [
        each if _compiles(device, each) else plain(each, device.machine) for each in launches
    ]
    return stages.run("program", device.compile, launches, timing), launches


def _compiles(device: Device, launch: Launch) -> bool:
    """Whether there is code for a launch by itself."""
    try:
        device.compile([launch])
    except (MemoryError, DeviceError):
        raise
    except Exception:  # whatever it is: a pass, code generation or the driver at fault
        return False
    return True

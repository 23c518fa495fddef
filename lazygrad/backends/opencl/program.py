"""Compile OpenCL C to kernels, set their arguments, and enqueue them."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...cache import DiskCache, remember
from ...errors import CompilerError
from ...loops.ir import Function
from ...progress import counted
from ...targets import Machine
from ..base import Launch
from ..c.items import launch as launch_sizes
from ..c.kernel import codegen, kernel_name
from ..c.shared import scratch_total
from ..memory import Memory
from .platforms import describe

if TYPE_CHECKING:
    from .device import OpenCLDevice

KEPT_BUILDS = 1024  # programs kept in memory for launches with the same source


@dataclass(frozen=True, slots=True)
class Code:
    """A launch in OpenCL C, with its sizes; `scratch` is in bytes, for all groups."""

    name: str
    text: str
    global_size: tuple[int, ...]
    local_size: tuple[int, ...]
    scratch: int


def generate(function: Function, machine: Machine) -> Code:
    """The code of a function."""
    return Code(
        kernel_name(function),
        codegen(function, machine),
        *launch_sizes(function, machine.group_limit),
        scratch_total(function, machine),
    )


class Builder:
    """Writes and builds sources for one device. The cache on disk has sources by the keys of
    launches, and binaries by source, device and driver."""

    def __init__(self, cl: Any, context: Any, device: Any, machine: Machine) -> None:
        self.cl = cl
        self.context = context
        self.device = device
        self.options = ["-cl-std=CL1.2", "-w"]
        if device.single_fp_config & cl.device_fp_config.CORRECTLY_ROUNDED_DIVIDE_SQRT:
            self.options.append("-cl-fp32-correctly-rounded-divide-sqrt")
        self.cache = DiskCache("opencl")
        # PoCL keeps kernels on disk itself, for the group sizes they are run with; asked for a
        # binary it would compile everything once more, for any group size.
        self.keeps_binaries = "Portable Computing Language" not in device.platform.name
        self._built: dict[str, Any] = {}
        self._machine = machine
        self._about = str(machine)
        self._codes: dict[str, Code] = {}  # by key

    def known(self, key: str) -> Code | None:
        """The code under a key, from memory or disk."""
        code = self._codes.get(key)
        if code is None and (kept := self.cache.get(self._about + key)) is not None:
            name, text, global_size, local_size, scratch = json.loads(kept)
            code = Code(name, text, tuple(global_size), tuple(local_size), scratch)
            remember(self._codes, key, code, KEPT_BUILDS)
        return code

    def code(self, launch: Launch) -> Code:
        """The code of a launch: cached under its key, or new."""
        key = launch.code_key
        code = self.known(key)
        if code is None:
            code = generate(launch.loops, self._machine)
            self.cache.put(self._about + key, json.dumps(astuple(code)).encode())
            remember(self._codes, key, code, KEPT_BUILDS)
        return code

    def kernel(self, name: str, source: str) -> Any:
        """A new kernel object, so that the arguments set on it stay."""
        program = self._built.get(source)
        if program is None:
            program = self._from_disk(source) if self.keeps_binaries else None
            program = program or self._from_source(name, source)
            remember(self._built, source, program, KEPT_BUILDS)
        return self.cl.Kernel(program, name)

    def _key(self, source: str) -> str:
        device = self.device
        about = [device.platform.version, device.version, describe(device), *self.options]
        return json.dumps([*about, source])

    def _from_disk(self, source: str) -> Any:
        """A program from its kept binary; None where there is none or the driver refuses it."""
        binary = self.cache.get(self._key(source))
        if binary is None:
            return None
        try:
            return self._build(self.cl.Program(self.context, [self.device], [binary]))
        except self.cl.Error:
            return None

    def _from_source(self, name: str, source: str) -> Any:
        try:
            program = self._build(self.cl.Program(self.context, source))
        except self.cl.Error as error:
            path = Path(tempfile.mkdtemp(prefix="lazygrad-")) / f"{name}.cl"
            path.write_text(source)
            raise CompilerError(
                f"opencl: kernel {name} does not build on {describe(self.device)}; its source is "
                f"in {path}\n{error}"
            ) from None
        if self.keeps_binaries:
            (binary,) = program.get_info(self.cl.program_info.BINARIES)
            if binary:
                self.cache.put(self._key(source), binary)
        return program

    def _build(self, program: Any) -> Any:
        with warnings.catch_warnings():  # pyopencl warns of every remark that a compiler makes
            warnings.simplefilter("ignore")
            return program.build(options=self.options, devices=[self.device], cache_dir=False)


@dataclass(slots=True)
class Call:
    """One enqueue: a kernel, its sizes, and the slots of its arguments."""

    kernel: Any
    global_size: tuple[int, ...]
    local_size: tuple[int, ...]
    slots: tuple[int, ...]
    scratch: int  # bytes; where they are not 0 they are a last argument
    serials: list[int]  # of the blocks that the arguments are set to

    def set_arguments(self, memories: Sequence[Memory], scratch: Memory | None) -> None:
        """Set the arguments whose blocks differ from those of the last run."""
        blocks = [memories[slot].block for slot in self.slots]
        if self.scratch and scratch is not None:
            blocks.append(scratch.block)
        for n, block in enumerate(blocks):
            if self.serials[n] != block.serial:
                self.kernel.set_arg(n, block.buffer)
                self.serials[n] = block.serial


class OpenCLProgram:
    """Launches, compiled. See backends.base.Program."""

    def __init__(self, device: OpenCLDevice, launches: Sequence[Launch], timing: bool) -> None:
        builder = device.builder
        self._enqueue = builder.cl.enqueue_nd_range_kernel
        self._device = device
        self._timing = timing
        self._events: list[Any] = []
        self._sources: list[str] = []
        self._calls: list[Call] = []
        for each in counted("program of kernel", launches):
            code = builder.code(each)
            kernel = builder.kernel(code.name, code.text)
            serials = [-1] * (len(each.slots) + 1)
            self._calls.append(
                Call(kernel, code.global_size, code.local_size, each.slots, code.scratch, serials)
            )
            self._sources.append(code.text)
        self._scratch = max((call.scratch for call in self._calls), default=0)

    def run(self, memories: Sequence[Memory], share: float = 1.0) -> None:
        """Enqueue every launch; nothing waits."""
        with self._device.lock:  # from setting a kernel's arguments until it is enqueued
            self._events = self._run(memories)

    def _run(self, memories: Sequence[Memory]) -> list[Any]:
        """Enqueue every launch, and give their events; None for one without work-items."""
        scratch = self._device.scratch(self._scratch) if self._scratch else None
        queue = self._device.queue
        events: list[Any] = []
        for call in self._calls:
            if 0 in call.global_size:
                events.append(None)
                continue
            call.set_arguments(memories, scratch)
            events.append(self._enqueue(queue, call.kernel, call.global_size, call.local_size))
        queue.flush()
        return events if self._timing else []

    def times(self) -> list[float]:
        """Seconds on the device for each launch of the last run; waits for it to end."""
        self._device.queue.finish()
        return [
            (event.profile.end - event.profile.start) * 1e-9 if event is not None else 0.0
            for event in self._events
        ]

    def threads(self) -> list[int]:
        """One queue runs all launches."""
        return [1] * len(self._calls)

    def codes(self) -> list[dict[str, str]]:
        """The source of each launch."""
        return [{"opencl": source} for source in self._sources]

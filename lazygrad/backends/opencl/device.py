"""An OpenCL device: memory, an in-order queue, programs. Opening one imports pyopencl."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import partial
from threading import RLock
from typing import Any

import numpy as np

from ...errors import DeviceError
from ...targets import Machine, Native, Target
from ..base import Box, Launch
from ..c.dialect import OPENCL
from ..memory import Memory, Pool
from .platforms import choose_device, describe, import_pyopencl, is_cpu
from .program import Builder, OpenCLProgram

UPLOADS_UNDER_WAY = 256 << 20  # bytes of host arrays kept alive for uploads that have not ended
KEPT_SHARE = 4  # freed memory is kept up to this part of the device's memory


class OpenCLDevice:
    """See backends.base.Device; `name` is "GPU" or "GPU:n". Raises DeviceError where it is absent.

    All work goes through one queue, in order, so a buffer that is freed and used again is safe
    while kernels that read it still wait; only downloads, synchronize and times() wait. Threads
    enqueue one after another, as a kernel's arguments are set before it is enqueued.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._cl = cl = import_pyopencl()
        self._device = device = choose_device(cl, name)
        try:
            self._context = cl.Context([device])
            self.queue = cl.CommandQueue(self._context, device)
        except cl.Error as error:
            raise DeviceError(f"{name}: {describe(device)} cannot be used: {error}") from None
        self._is_profiled = False
        self.machine = machine_of(cl, device)
        self.builder = Builder(cl, self._context, device, self.machine)
        self.lock = RLock()
        self._scratch: Memory | None = None
        self._uploads: deque[tuple[Any, int]] = deque()  # event, bytes
        self._upload_bytes = 0
        capacity = int(device.global_mem_size)
        largest = int(device.max_mem_alloc_size)
        self.pool = Pool(name, self._new_buffer, largest, capacity, capacity // KEPT_SHARE, Memory)

    def allocate(self, nbytes: int) -> Memory:
        """Memory for nbytes, its contents undefined. Raises OutOfMemoryError with the sizes."""
        return self.pool.take(nbytes)

    def upload(self, array: np.ndarray[Any, Any]) -> Memory:
        """Memory with the array's bytes. The copy may end later: do not change the array before
        synchronize() or a download; it is kept alive until then."""
        memory = self.allocate(array.nbytes)
        if array.nbytes:
            with self.lock:
                event = self._cl.enqueue_copy(
                    self.queue, memory.block.buffer, _bytes(array), is_blocking=False
                )
                self._uploads.append((event, array.nbytes))
                self._upload_bytes += array.nbytes
            self._forget_uploads()
        return memory

    def download(self, memory: Memory, array: np.ndarray[Any, Any]) -> None:
        """Copy the first array.nbytes bytes of memory into array, which is contiguous; waits."""
        if array.nbytes:
            self._guarded(self._cl.enqueue_copy, self.queue, _bytes(array), memory.block.buffer)
            self._forget_uploads()

    def copy_box(self, source: Memory, target: Memory, box: Box) -> None:
        """Copy a box between memories of two shapes."""
        width, height, depth = (*reversed(box), (1, 1, 1), (1, 1, 1))[:3]
        copy = partial(
            self._cl.enqueue_copy,
            src_origin=(0, 0, 0),
            dst_origin=(0, 0, 0),
            region=(width[2], height[2], depth[2]),
            src_pitches=(width[0], width[0] * height[0]),
            dst_pitches=(width[1], width[1] * height[1]),
        )
        self._guarded(copy, self.queue, target.block.buffer, source.block.buffer)

    def blank(self, memory: Memory, start: int, end: int) -> None:
        """Set bytes start .. end - 1 to 0."""
        fill, zero = self._cl.enqueue_fill_buffer, np.zeros(1, np.uint8)
        if start < end:
            self._guarded(fill, self.queue, memory.block.buffer, zero, start, end - start)

    def cached(self, key: str) -> bool:
        """Whether there is OpenCL C under a key, in this process or on disk."""
        return self.builder.known(key) is not None

    def compile(self, launches: Sequence[Launch], timing: bool = False) -> OpenCLProgram:
        """Kernels for the launches. With timing, the queue records times from now on."""
        with self.lock:
            if timing and not self._is_profiled:
                self.synchronize()
                profiling = self._cl.command_queue_properties.PROFILING_ENABLE
                self.queue = self._cl.CommandQueue(self._context, self._device, profiling)
                self._is_profiled = True
        return OpenCLProgram(self, launches, timing)

    def held(self) -> int:
        """Bytes that the pool has given out."""
        return self.pool.used

    def synchronize(self) -> None:
        """Wait until all that was enqueued is done."""
        self._guarded(self.queue.finish)
        self._forget_uploads()

    def scratch(self, nbytes: int) -> Memory:
        """Memory that kernels use one after another; it grows to the largest need."""
        if self._scratch is None or self._scratch.nbytes < nbytes:
            self._scratch = None
            self._scratch = self.allocate(nbytes)
        return self._scratch

    def _guarded(self, wait: Any, *args: Any) -> None:
        """Wait. Raises DeviceError where the device reports a fault of an earlier kernel."""
        try:
            wait(*args)
        except self._cl.Error as error:
            raise DeviceError(
                f"{self.name}: {describe(self._device)} reports {error}; "
                "the results of kernels before are lost"
            ) from None

    def _new_buffer(self, nbytes: int) -> Any:
        """A buffer, allocated now: a driver may put that off to the first use, and fail there."""
        flags = self._cl.mem_flags.READ_WRITE
        undefined = self._cl.mem_migration_flags.CONTENT_UNDEFINED
        try:
            buffer = self._cl.Buffer(self._context, flags, nbytes)
            self._cl.enqueue_migrate_mem_objects(self.queue, [buffer], undefined)
        except self._cl.Error as error:
            raise MemoryError(str(error)) from None
        return buffer

    def _forget_uploads(self) -> None:
        """Drop the arrays whose upload has ended; wait for some if too many bytes are under way."""
        complete = self._cl.command_execution_status.COMPLETE
        with self.lock:
            while self._uploads:
                event, nbytes = self._uploads[0]
                if event.command_execution_status != complete:
                    if self._upload_bytes <= UPLOADS_UNDER_WAY:
                        break
                    event.wait()
                self._uploads.popleft()
                self._upload_bytes -= nbytes


def _bytes(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The array's memory as bytes: pyopencl does not know all dtypes."""
    return array.reshape(-1).view(np.uint8)


def machine_of(cl: Any, device: Any) -> Machine:
    """The facts that passes and codegen decide by."""
    has_half = "cl_khr_fp16" in device.extensions.split()
    on_cpu = is_cpu(cl, device)
    return Machine(
        name=f"{describe(device)}{', a CPU' if on_cpu else ''}",
        target=Target.OPENCL_CPU if on_cpu else Target.GPU,
        cores=int(device.max_compute_units),
        vector_bytes=16,  # four floats: GPUs load no more at once, and see the dialect
        # Vector registers; of a work-item, where there is no way to ask, what CUDA hardware has.
        registers=16 if on_cpu else 255,
        l1_bytes=32 << 10 if on_cpu else int(device.local_mem_size),
        l2_bytes=int(device.global_mem_cache_size),
        native=Native(half=has_half, half_arithmetic=has_half, lanes=OPENCL.widths),
        group_limit=min(int(device.max_work_group_size), 1024),
        local_bytes=int(device.local_mem_size),
        float64="cl_khr_fp64" in device.extensions,
    )

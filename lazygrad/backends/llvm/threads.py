"""The threads that run programs: the caller, and workers that wait for the next program."""

from __future__ import annotations

import atexit
import ctypes
import os
import threading
from functools import cache
from typing import Any

from ..memory import allocate
from . import driver
from .build import load_text
from .machine_code import native
from .target import Target, host


@cache
def team() -> Team:
    """The team of this process. It is never freed, since its workers run native code of its own."""
    return Team(host())


class Team:
    """Runs programs, one at a time, on any number of threads.

    Workers are Python threads that stay in one native call, without the interpreter's lock; they
    start with the first program that is shared, and end with the process. After a fork the child
    has none, and starts its own.
    """

    def __init__(self, target: Target) -> None:
        text = driver.driver(target.triple)
        address, self._engine = load_text(text, driver.FUNCTIONS, target)
        self._run = native(address["run"], 3)
        self._work = native(address["work"], 2)
        self.copy = native(address["copy"], 8)  # by the caller alone
        self._prepare = native(address["prepare"], 0)
        self._dismiss = native(address["dismiss"], 0)
        self._control, self._control_owner = allocate(8 * driver.CONTROL_WORDS)
        self.reset()
        atexit.register(self.stop)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.reset)

    def reset(self) -> None:
        """No workers, and a fresh control block: as at the start, and after a fork."""
        self.lock = threading.Lock()
        self._workers: list[threading.Thread] = []
        self._scratch: Any = None  # which keeps the threads' blocks alive
        self._scratch_step = self._scratch_threads = 0
        ctypes.memset(self._control, 0, 8 * driver.CONTROL_WORDS)
        self._prepare(self._control)

    def run(self, program: int, memories: int, threads: int, scratch: int) -> None:
        """Run the program at that address on `threads` threads, each with `scratch` bytes of
        scratch memory. `memories` is the address of the pointers to the program's slots.

        Requires: the caller holds `lock`, and has held it while it wrote those pointers.
        """
        if threads > 1 and len(self._workers) != threads - 1:
            self._start(threads)
        if scratch and (scratch > self._scratch_step or threads > self._scratch_threads):
            self._make_scratch(scratch, threads)
        self._run(self._control, program, memories, threads)

    def stop(self) -> None:
        """End the workers."""
        with self.lock:
            self._stop()

    def _stop(self) -> None:
        if self._workers:
            self._dismiss(self._control)
            for worker in self._workers:
                if worker.ident is not None:
                    worker.join()
            self._workers = []

    def _start(self, threads: int) -> None:
        self._stop()
        generation = self._word(driver.GENERATION).value
        for thread in range(1, threads):
            worker = threading.Thread(
                target=self._work,
                args=(self._control, thread, generation),
                name=f"lazygrad-{thread}",
                daemon=True,
            )
            self._workers.append(worker)  # before it starts, lest an interrupt lose it
            worker.start()

    def _make_scratch(self, nbytes: int, threads: int) -> None:
        # Whole pages and one cache line, so that the threads' blocks begin in different cache sets.
        step = max(-(-nbytes // 4096) * 4096 + 64, self._scratch_step)
        threads = max(threads, self._scratch_threads)
        address, scratch = allocate(step * threads)
        self._word(driver.SCRATCH).value = address
        self._word(driver.SCRATCH_STEP).value = step
        self._scratch, self._scratch_step, self._scratch_threads = scratch, step, threads

    def _word(self, n: int) -> ctypes.c_int64:
        """A word of the control block."""
        return ctypes.c_int64.from_address(self._control + 8 * n)

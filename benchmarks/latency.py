"""What lazygrad costs besides its kernels: `python -m benchmarks.latency`.

How long a warm call takes, how long a first step takes with and without code on disk, and how
compile time grows with the graph. Every figure is of a process of its own, and the median of
three; NAME runs one here and prints its seconds.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial

import numpy as np

ROUNDS = 3


def _per_call(work: Callable[[], object], calls: int) -> float:
    for _ in range(20):
        work()
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def realize() -> float:
    from lazygrad import Tensor

    x = Tensor([1.0, 2.0]).realize()
    return _per_call(lambda: (x + 1).realize(), 2000)


def captured(kernels: int) -> float:
    """A captured function of so many small kernels, each of which needs the one before."""
    from lazygrad import Tensor, TinyJit

    @TinyJit
    def function(x: Tensor) -> Tensor:
        for _ in range(kernels):
            x = (x + 1).contiguous()
        return x

    x = Tensor([1.0, 2.0]).realize()
    return _per_call(lambda: function(x), 2000)


def first_step(row: str) -> float:
    """From a built model to the end of its first step."""
    from .libraries import library
    from .rows import ROWS

    work = ROWS[row].build(library("lazygrad"))
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def chain(nodes: int) -> float:
    """Kernels for a graph of so many operations, every hundredth of them a sum."""
    from lazygrad import Tensor
    from lazygrad.graph.simplify import simplify
    from lazygrad.runtime.device import Device
    from lazygrad.stages import Stages
    from lazygrad.targets import At

    x = y = Tensor(np.ones(64, np.float32)).realize()
    for n in range(nodes // 2):
        y = y + y.sum() if n % 100 == 99 else y * 0.5 + x
    start = time.perf_counter()
    with Stages() as stages:
        at = At(Device.get("CPU").machine)
        stages.level("schedule", stages.level("part", simplify([y.node]), at), at)
    return time.perf_counter() - start


CNN, RESNET = "MNIST cnn step, batch 128", "ResNet-18 step, batch 8"
CASES: dict[str, tuple[Callable[[], float], bool]] = {  # and whether code may be on disk
    "(x + 1).realize(), warm": (realize, True),
    "captured function of 1 kernel": (partial(captured, 1), True),
    "captured function of 101 kernels": (partial(captured, 101), True),
    "first step of the MNIST cnn, nothing on disk": (partial(first_step, CNN), False),
    "first step of the MNIST cnn, code on disk": (partial(first_step, CNN), True),
    "first step of ResNet-18, nothing on disk": (partial(first_step, RESNET), False),
    "first step of ResNet-18, code on disk": (partial(first_step, RESNET), True),
    **{
        f"simplify and schedule {n} operations": (partial(chain, n), True)
        for n in (1000, 3000, 10000, 30000, 100000)
    },
}


def table() -> str:
    """A line a case, in Markdown."""
    lines = ["| what | time |", "|---|---:|"]
    with tempfile.TemporaryDirectory() as filled:
        for name, (_, may_be_on_disk) in CASES.items():
            if may_be_on_disk:
                _measured(name, filled)
            times = []
            for _ in range(ROUNDS):
                with tempfile.TemporaryDirectory() as empty:
                    times.append(_measured(name, filled if may_be_on_disk else empty))
            lines.append(f"| {name} | {_text(statistics.median(times))} |")
            print(lines[-1], file=sys.stderr, flush=True)
    return "\n".join(lines) + "\n"


def _measured(name: str, cache: str) -> float:
    command = [sys.executable, "-m", "benchmarks.latency", name]
    environment = {**os.environ, "XDG_CACHE_HOME": cache}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return float(json.loads(done.stdout))


def _text(seconds: float) -> str:
    if seconds < 1e-3:
        return f"{1e6 * seconds:.1f} µs"
    return f"{1e3 * seconds:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(CASES[sys.argv[1]][0]()))
    else:
        print(table())

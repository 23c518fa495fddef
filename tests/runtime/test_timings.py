"""Where time went: the table of kernels, what bounds each, and the passes of a compilation."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

import lazygrad
from lazygrad import Tensor, TinyJit, config
from lazygrad.runtime import timings
from lazygrad.runtime.timings import bound, kernel_table, passes_text


@pytest.fixture(autouse=True)
def nothing_counted() -> Iterator[None]:
    timings.reset()
    yield
    timings.reset()


@pytest.mark.parametrize(
    ("arithmetic", "memory", "word"),
    [(0.8, 0.3, "compute"), (0.1, 0.7, "memory"), (0.1, 0.1, "latency"), (0.1, 2.0, "caches")],
)
def test_what_bounds_a_kernel(arithmetic: float, memory: float, word: str) -> None:
    assert bound(arithmetic, memory) == word


def test_kernels_are_counted_under_debug_2() -> None:
    assert kernel_table() == "no kernel was timed: DEBUG=2 times them"
    x = Tensor(np.ones((3, 1001), np.float32)).realize()

    @TinyJit
    def step(x: Tensor) -> Tensor:
        return (x + 1).sum(1)

    with config.override(DEBUG=2):
        for _ in range(3):
            step(x)
    head, peak, _, *rows = lazygrad.kernel_table().splitlines()
    assert re.match(rf"{len(rows)} costliest of {len(rows)} kernels; [\d.]+ [um]?s in all", head)
    assert re.match(r"measured peak of \w+: \d+ GFLOPS, [\d.]+ GB/s", peak)
    (row,) = (row for row in rows if "add_sum_" in row)
    assert re.search(
        r"\d+%      3  add_sum_\w+ +[\d.]+ +\(\d+%\) +[\d.]+ +\(\d+%\)  (latency|caches|memory)"
        r" +test_timings.py:\d+  return ",
        row,
    )


def test_few_rows_are_shown_of_many() -> None:
    with config.override(DEBUG=2):
        for n in range(3):
            (Tensor(np.ones(100 + n, np.float32)) * 2).realize()
    assert len(kernel_table(rows=2).splitlines()) == 5


def test_passes_are_told_by_their_seconds() -> None:
    timings.passes.update(fuse=1.0, program=3.0, tile=0.5)
    text = passes_text({"fuse": 0.5, "tile": 0.5}, seconds=4.0)
    assert text == "code generation 3.00 s, fuse 500.0 ms, between passes 500.0 ms"


PROGRAM = """
import numpy as np
from lazygrad import Tensor, TinyJit
@TinyJit
def double(x):
    return x * 2
double(Tensor(np.ones(7, np.float32)))
"""


def run(**variables: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        env={**os.environ, **variables},
    )
    assert done.returncode == 0, done.stderr
    return done.stderr.splitlines()


def test_a_process_ends_with_the_table() -> None:
    lines = run(DEBUG="2", BACKEND="CPU")
    assert re.match(r"lazygrad: CPU is .*, \d+ bits a vector, \d+ threads?$", lines[0])
    assert " mul_" in lines[-1]
    assert lines[-4].startswith("1 costliest of 1 kernels")


def test_debug_1_tells_where_a_first_step_goes() -> None:
    lines = run(DEBUG="1", BACKEND="CPU")
    assert any(re.match(r"captured double: its Python took [\d.]+ [um]?s$", x) for x in lines)
    (line,) = (x for x in lines if x.startswith("compiling took"))
    assert re.search(r"code generation [\d.]+ [um]?s", line)
    assert re.search(r"between passes [\d.]+ [um]?s$", line)
    assert not any("costliest" in x for x in lines)

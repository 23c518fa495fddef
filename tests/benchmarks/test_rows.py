"""The benchmarks: every library does the same work, and the table tells what was measured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import heading, line
from benchmarks.latency import CASES
from benchmarks.libraries import library
from benchmarks.machine import copy_rate, flop_rate
from benchmarks.rows import ROWS

ROOT = Path(__file__).parent.parent.parent
SMALL = [
    "matmul 512x512x512",
    "topk 10 of 256x4096",
    "mlp step, batch 32",
    "GRU 2x256 step, 128x16",
]
SAME = [  # small enough to compare
    "softmax 4096x1024",
    "argmax rows 4096x4096",
    "embedding 32x512 of 50257x768",
    "conv 8x512x7x7 512x3x3 and gradients",
    "avg pool 2 8x64x112x112, both ways",
    "attention 4x8x512x64, both ways",
]


@pytest.mark.parametrize("name", SMALL)
def test_a_row_runs(name: str) -> None:
    work = ROWS[name].build(library("lazygrad"))
    work()
    work()


@pytest.mark.parity
@pytest.mark.parametrize("name", SAME)
def test_the_work_is_the_same(name: str) -> None:
    import numpy as np

    ours, theirs = (ROWS[name].build(library(n))() for n in ("lazygrad", "PyTorch"))
    pairs = zip(ours, theirs, strict=True) if isinstance(ours, tuple | list) else [(ours, theirs)]
    for a, b in pairs:
        scale = float(abs(b).max())
        np.testing.assert_allclose(a.numpy() / scale, b.numpy() / scale, atol=1e-4)


@pytest.mark.parity
@pytest.mark.parametrize("name", ["lazygrad", "PyTorch"])
def test_a_process_tells_its_figures(name: str) -> None:
    command = [sys.executable, "-m", "benchmarks.measure", name, SMALL[0], "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    first, median, least, peak = json.loads(done.stdout)
    assert 0 < least <= median
    assert first > 0
    assert peak > 1 << 20


def test_a_line_tells_ratios_and_share() -> None:
    row = ROWS["matmul 512x512x512"]
    figures = {"lazygrad": [[1.0, 2e-3, 1e-3, 5e6]], "PyTorch": [[1.0, 4e-3, 3e-3, 5e6]], "JAX": []}
    text = line(row, figures, 2 * row.flops / 1e-3, 1.0, ["JAX"])
    assert text.split(" | ")[1:7] == ["2.000", "4.000", "2.00", "3.00", "—", "50%"]
    assert heading(1e11, 1e10, ["JAX"]).splitlines()[-1].count("|") == text.count("|")


def test_the_machine_is_measured() -> None:
    assert flop_rate(1 << 12) > 1e9
    assert copy_rate(1 << 20) > 1e8


@pytest.mark.parametrize(
    "name", ["captured function of 101 kernels", "simplify and schedule 1000 operations"]
)
def test_a_latency_is_measured(name: str) -> None:
    assert CASES[name][0]() > 0

"""The benchmarks' rows: the same work in both libraries."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import line
from benchmarks.libraries import Lazygrad
from benchmarks.rows import ROWS

ROOT = Path(__file__).parent.parent.parent
SMALL = ["matmul 512x512x512", "topk 10 of 256x4096", "mlp step, batch 32"]


@pytest.mark.parametrize("name", SMALL)
def test_a_row_runs(name: str) -> None:
    work = ROWS[name].build(Lazygrad())
    work()
    work()


@pytest.mark.parity
@pytest.mark.parametrize("library", ["lazygrad", "torch"])
def test_a_process_tells_its_figures(library: str) -> None:
    command = [sys.executable, "-m", "benchmarks.measure", library, SMALL[0], "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    first, median, least, peak = json.loads(done.stdout)
    assert 0 < least <= median
    assert first > 0
    assert peak > 1 << 20


def test_a_line_tells_ratio_and_share() -> None:
    row = ROWS["matmul 512x512x512"]
    figures = {"lazygrad": [[1.0, 2e-3, 1e-3, 5e6]], "torch": [[1.0, 4e-3, 3e-3, 5e6]]}
    text = line(row, figures, 2 * row.flops / 1e-3, 0.0)
    assert text.split(" | ")[1:6] == ["2.000", "4.000", "2.00", "3.00", "50%"]
    assert "nan" in line(row, {"lazygrad": figures["lazygrad"], "torch": []}, 0.0, 0.0)

"""The benchmark of GPUs runs on any OpenCL device."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.gpu import computed_peak

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_every_row_is_measured() -> None:
    command = [sys.executable, "-m", "benchmarks.gpu", "--size", "64", "--peak", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert " of the peak of 1.0" in next(line for line in lines if line.startswith("matmul 64"))
    assert sum(line.endswith("of copy") for line in lines) == 8
    assert lines[-1].startswith("cnn step")


def test_an_unknown_row_is_refused() -> None:
    command = [sys.executable, "-m", "benchmarks.gpu", "fft"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "unknown: fft; valid are matmul, memory, cnn" in done.stderr


@pytest.mark.parametrize(
    ("capability", "units", "megahertz", "peak"),
    [((9, 0), 132, 1980, 66.9), ((8, 0), 108, 1410, 19.5), ((7, 5), 68, 1545, 13.4)],
)
def test_peaks_are_those_of_data_sheets(
    capability: tuple[int, int], units: int, megahertz: int, peak: float
) -> None:
    """H100 SXM, A100 and RTX 2080 Ti, in float32 TFLOP/s."""
    card = SimpleNamespace(
        compute_capability_major_nv=capability[0],
        compute_capability_minor_nv=capability[1],
        max_compute_units=units,
        max_clock_frequency=megahertz,
    )
    assert computed_peak(card) == pytest.approx(peak, rel=0.01)
    assert computed_peak(SimpleNamespace()) is None

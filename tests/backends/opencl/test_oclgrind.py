"""Kernels of every kind under oclgrind, which finds data races and accesses out of bounds.

oclgrind is an OpenCL device that simulates each work-item (Debian: apt install oclgrind). Kernels
are built without optimization: its version 21.10 takes vectors of bool, which optimizers make of
two conditions, for -1 where they should be 1.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("oclgrind") is None, reason="oclgrind is not installed"),
]

# A transpose without its barrier, and one that reads beyond its input.
FAULTY = """
import sys
sys.path.insert(0, {folder!r})
from dataclasses import replace
import numpy as np
import conftest
from lazygrad.backends.base import Launch
from lazygrad.backends.opencl.device import OpenCLDevice
from lazygrad.loops.ir import Barrier
from tests.loops.passes import legal

case = conftest.KERNELS["transpose_through_local_memory"]
function = case.function
arrays = case.make(np.random.default_rng(0))
if {fault!r} == "race":
    def without_barriers(body):
        return tuple(
            replace(s, body=without_barriers(s.body)) if hasattr(s, "body") else s
            for s in body
            if not isinstance(s, Barrier)
        )
    function = replace(function, body=without_barriers(function.body))
else:
    arrays[1] = arrays[1].reshape(-1)[:100]
device = OpenCLDevice("GPU")
memories = [device.upload(array) for array in arrays]
device.compile([Launch(legal(function, device.machine), (0, 1))]).run(memories)
device.synchronize()
"""


# Random programs, whose values are compared with the oracle's too.
PROGRAMS = """
from tests.fuzz.generate import generate
from tests.fuzz.run import Mode, check

for seed in range({first}, {first} + 6):
    told = check(generate(seed), [Mode("OpenCL", "GPU")])
    assert not told, (seed, told)
"""


def under_oclgrind(tmp_path: Path, *arguments: str) -> str:
    """What oclgrind has to say of `python arguments`, which has to end well."""
    log = tmp_path / "log"
    environment = {**os.environ, "LAZYGRAD_CACHE": str(tmp_path), "PYTHONPATH": str(ROOT)}
    environment.pop("PYOPENCL_CTX", None)
    run = subprocess.run(
        [
            "oclgrind", "--build-options", "-cl-opt-disable", "--data-races", "--log", str(log),
            sys.executable, *arguments,
        ],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    return log.read_text() if log.exists() else ""


@pytest.mark.parametrize(
    "tests",
    [
        "test_device.py::test_kernel_computes_what_it_should",
        "test_operations.py",
        "test_graphs.py",
    ],
)
def test_kernels_have_no_races_and_stay_in_bounds(tests: str, tmp_path: Path) -> None:
    """Those written by hand, and those that tensors are compiled to: oclgrind counts as a GPU."""
    arguments = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow")
    assert not under_oclgrind(tmp_path, *arguments, f"{FOLDER}/{tests}")


@pytest.mark.parametrize("first", range(0, 24, 6))
def test_random_programs_have_no_races_and_stay_in_bounds(first: int, tmp_path: Path) -> None:
    assert not under_oclgrind(tmp_path, "-c", PROGRAMS.format(first=first))


@pytest.mark.parametrize(
    ("fault", "message"), [("race", "data race"), ("bounds", "Invalid read of size 4")]
)
def test_faults_are_found(fault: str, message: str, tmp_path: Path) -> None:
    assert message in under_oclgrind(tmp_path, "-c", FAULTY.format(folder=str(FOLDER), fault=fault))

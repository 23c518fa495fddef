"""Kernels on a real OpenCL device: PoCL's, where there is no GPU."""

from __future__ import annotations

import numpy as np
import pytest

from lazygrad.backends.base import Launch
from lazygrad.backends.opencl.device import OpenCLDevice


@pytest.fixture(scope="module")
def device() -> OpenCLDevice:
    return OpenCLDevice("GPU")


def test_kernel_computes_what_it_should(kernel_case, device) -> None:
    function = kernel_case.function
    made = kernel_case.make(np.random.default_rng(0))
    memories = [device.upload(array) for array in made]
    program = device.compile([Launch(function, tuple(range(len(made))))])
    program.run(memories)
    expected = kernel_case.expected(*(array.copy() for array in made))
    for memory, array, right in zip(memories, made, expected, strict=False):
        got = np.empty_like(array)
        device.download(memory, got)
        np.testing.assert_allclose(
            got.astype("float64"),
            np.asarray(right, "float64").reshape(got.shape),
            rtol=kernel_case.tolerance,
            atol=kernel_case.tolerance,
        )

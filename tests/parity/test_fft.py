"""Frequencies and orders of Fourier transforms are PyTorch's; the transforms are refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import lazygrad
from lazygrad import Tensor


@pytest.mark.parametrize("n", [1, 4, 7])
def test_frequencies(n: int) -> None:
    for name in ("fftfreq", "rfftfreq"):
        for spacing in (1.0, 0.25):
            ours = getattr(lazygrad.fft, name)(n, spacing)
            theirs = getattr(torch.fft, name)(n, spacing)
            assert str(ours.dtype) == str(theirs.dtype)[6:]
            np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6)
    with pytest.raises(RuntimeError, match="no number of samples"):
        lazygrad.fft.fftfreq(-1)


def test_shifts() -> None:
    x = np.random.rand(4, 5, 3)
    for name in ("fftshift", "ifftshift"):
        for dim in (None, 1, (0, 2), -1):
            ours = getattr(lazygrad.fft, name)(Tensor(x), dim)
            assert ours.tolist() == getattr(torch.fft, name)(torch.tensor(x), dim).tolist()


def test_transforms_say_that_there_are_no_complex_numbers() -> None:
    for name in ("fft", "ifft", "rfft", "irfft2", "fftn", "hfft"):
        with pytest.raises(AttributeError, match="no complex numbers"):
            getattr(lazygrad.fft, name)

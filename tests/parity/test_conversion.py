"""Floats that no integer holds: what PyTorch makes of them on this kind of processor."""

from __future__ import annotations

import platform

import numpy as np
import pytest
import torch

from lazygrad import Tensor

INF, NAN = float("inf"), float("nan")
VALUES = [1e10, -1e10, INF, -INF, NAN, 300.7, -300.7, -1.5, 3e9, -3e9, 1e19, -1e19, 1.8e19,
          2.0**63, 2.0**31, 65535.9, 70000.0, 255.9, 256.0]  # fmt: skip


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="others convert otherwise"
)
@pytest.mark.parametrize("target", ["int8", "uint8", "int16", "int32", "int64"])
@pytest.mark.parametrize("source", ["float16", "bfloat16", "float32", "float64"])
def test_casts_out_of_range_agree(source: str, target: str) -> None:
    wide = torch.tensor(VALUES, dtype=torch.float64).to(getattr(torch, source))
    expected = wide.to(getattr(torch, target)).tolist()
    x = Tensor(np.array(VALUES)).cast(source)
    assert x.cast(target).tolist() == expected
    assert x.contiguous().realize().cast(target).tolist() == expected

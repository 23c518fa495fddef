"""What programs of varying sizes are made of."""

from __future__ import annotations

import numpy as np

from lazygrad import Tensor

Random = np.random.Generator


def normal(r: Random, *shape: int) -> Tensor:
    """A tensor of numbers from a normal distribution."""
    return Tensor(r.standard_normal(shape, dtype=np.float32))


def flat(*tensors: Tensor) -> Tensor:
    """All elements, one tensor after the other."""
    return Tensor.cat(*[t.float().reshape(-1) for t in tensors])

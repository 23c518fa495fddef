"""Schedules of Tensor expressions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from lazygrad import Tensor
from lazygrad.graph.simplify import simplify
from lazygrad.schedule.fuse import fuse
from lazygrad.schedule.ir import Schedule
from lazygrad.schedule.verify import verify


@pytest.fixture(scope="session")
def values() -> Callable[..., Tensor]:
    """`values(*shape)`: a tensor in memory."""
    return lambda *shape: Tensor(np.ones(shape, np.float32))


@pytest.fixture(scope="session")
def scheduled() -> Callable[..., Schedule]:
    """`scheduled(tensor, ...)`: the verified schedule of the simplified graph, for one core."""

    def make(*tensors: Tensor) -> Schedule:
        schedule = fuse(simplify([t._node for t in tensors]), cores=1)
        verify(schedule)
        return schedule

    return make

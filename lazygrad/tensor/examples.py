"""Functions that are called once, on stand-ins: of one example (vmap), of one step (recurrence.py).

The graph that the function gives is then rewritten. Random numbers and results of LAPACK are not
functions of nodes alone, so they ask `examples` what to do.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from math import prod
from typing import Any

import numpy as np

from ..dtypes import DType
from ..graph.ir import Buffer, Node, Shape
from ..runtime.device import Device

Bits = tuple[Node, Node]
Draw = Callable[[Shape], Bits]
Compute = Callable[..., "np.ndarray[Any, Any]"]


class Stand:
    """The storage of a stand-in, which has a shape and no values: a function is called on it to see
    what it computes. `refusal` is what to raise where it reads values."""

    tensor = None  # it is no argument of `jit`

    def __init__(self, size: int, dtype: DType, device: str, refusal: str) -> None:
        self.size, self.dtype, self.device = size, dtype, device
        self._refusal = refusal

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise RuntimeError(self._refusal)


def stand_in(like: Node, shape: Shape, refusal: str) -> Buffer:
    """A stand-in of a shape, with the dtype and device of a node."""
    device = like.device or Device.DEFAULT
    return Buffer(Stand(prod(shape), like.dtype, device, refusal), shape)


class Examples(ABC):
    """What a function runs for that is called once: a batch of examples, or all steps of a loop."""

    @abstractmethod
    def draw(self, draw: Draw, shape: Shape) -> Bits:
        """Two words of random bits for each element of one example of a shape."""

    @abstractmethod
    def call(self, compute: Compute, inputs: Sequence[Node]) -> Node:
        """One array, which `compute` makes of the arrays of one example's inputs."""


examples: ContextVar[Examples | None] = ContextVar("examples", default=None)
"""The innermost; None outside of vmap and loops."""

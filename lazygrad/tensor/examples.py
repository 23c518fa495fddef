"""What vmap tells operations that are no nodes of the graph: drawing, and calling the host.

`vmap` runs a function once, on a stand-in for one example, and rewrites the graph. Random numbers
and results of LAPACK are not functions of nodes alone, so they ask `examples` what to do.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

import numpy as np

from ..graph.ir import Node, Shape

Bits = tuple[Node, Node]
Draw = Callable[[Shape], Bits]
Compute = Callable[..., "np.ndarray[Any, Any]"]


class Examples(ABC):
    """The batch that a function of one example runs for."""

    @abstractmethod
    def draw(self, draw: Draw, shape: Shape) -> Bits:
        """Two words of random bits for each element of one example of a shape."""

    @abstractmethod
    def call(self, compute: Compute, inputs: Sequence[Node]) -> Node:
        """One array, which `compute` makes of the arrays of one example's inputs."""


examples: ContextVar[Examples | None] = ContextVar("examples", default=None)
"""The innermost batch; None outside of vmap."""

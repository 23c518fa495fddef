"""Nodes that read or write elements at computed indices, and the indices that sort."""

from __future__ import annotations

from typing import Any, NamedTuple

from ...dtypes import DType, int64
from ...errors import DTypeError, ShapeError
from .node import Node, Shape
from .reduce import REDUCTIONS


def _check_indices(name: str, x: Node, indices: tuple[Node, ...]) -> Shape:
    if len(indices) != len(x.shape) or not indices:
        raise ShapeError(f"{name}: {len(indices)} indices for shape {x.shape}")
    for index in indices:
        if not index.dtype.is_int:
            raise DTypeError(f"{name}: indices must be integers, got {index.dtype}")
        if index.shape != indices[0].shape:
            raise ShapeError(f"{name}: index shapes {indices[0].shape} and {index.shape} differ")
    return indices[0].shape


class Source(NamedTuple):
    """The operation that made a node, and the program's line that called it."""

    operation: str
    file: str
    line: int

    def outside(self, index: int, low: int, high: int) -> IndexError:
        """The error to raise for an index that is not in low .. high - 1."""
        at = f"{self.operation} ({self.file}:{self.line})"
        return IndexError(f"{at}: index {index} is outside {low} to {high - 1}")


class InRange(Node):
    """x, a check that its integers are in low .. high - 1 or equal to `ignored`. If one is not,
    reading values raises IndexError.

    `source` is the line that the error names. It is no part of the node's key: two lines that make
    the same check share a node, which names the first.
    """

    x: Node
    low: int
    high: int
    ignored: int | None
    source: Source

    @classmethod
    def _keyed(cls, args: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return (cls, *args[:-1]), args

    def _infer(self) -> tuple[Shape, DType]:
        if not self.x.dtype.is_int:
            raise DTypeError(f"inrange: indices are integers, not {self.x.dtype}")
        if not self.low <= 0 < self.high:
            raise ShapeError(f"inrange: no index is in {self.low} .. {self.high - 1}")
        return self.x.shape, self.x.dtype


class Gather(Node):
    """out[i] = x[indices[0][i], indices[1][i], ...]: one index node for each axis of x, all of the
    output's shape. An index outside its axis gives 0.

    An axis that is read in order has an expanded Iota as its index; lowering makes it a plain loop.
    """

    x: Node
    indices: tuple[Node, ...]

    def _infer(self) -> tuple[Shape, DType]:
        return _check_indices(self.name, self.x, self.indices), self.x.dtype


class Scatter(Node):
    """x, with x[indices[0][i], ...] combined with values[i] for every i, in row-major order of i.

    op "set" overwrites (the last value stays), "sum" "prod" "max" "min" combine. An index outside
    its axis is skipped.
    """

    x: Node
    indices: tuple[Node, ...]
    values: Node
    op: str = "sum"

    def _infer(self) -> tuple[Shape, DType]:
        shape = _check_indices(self.name, self.x, self.indices)
        if self.op not in ("set", *REDUCTIONS):
            raise ValueError(f"scatter: op {self.op!r} is none of {('set', *REDUCTIONS)}")
        if self.values.shape != shape:
            raise ShapeError(f"scatter: values {self.values.shape} for indices {shape}")
        if self.values.dtype != self.x.dtype:
            raise DTypeError(f"scatter: values {self.values.dtype} into {self.x.dtype}")
        return self.x.shape, self.x.dtype


class Sort(Node):
    """The indices (int64) that sort x along axis, stable; nan counts as the largest. Only the first
    `count` of them; None for all.
    """

    x: Node
    axis: int
    descending: bool = False
    count: int | None = None

    def _infer(self) -> tuple[Shape, DType]:
        if not 0 <= self.axis < len(self.x.shape):
            raise ShapeError(f"sort: axis {self.axis} is outside shape {self.x.shape}")
        n = self.x.shape[self.axis]
        if self.count is None:
            return self.x.shape, int64
        if not 0 <= self.count <= n:
            raise ShapeError(f"sort: {self.count} of the {n} elements along axis {self.axis}")
        return (*self.x.shape[: self.axis], self.count, *self.x.shape[self.axis + 1 :]), int64

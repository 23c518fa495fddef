"""Decompositions by NumPy's LAPACK, with gradients as graphs.

Factoring a matrix is a loop whose steps depend on one another and on values (pivots, convergence):
LAPACK does it well on the host, and a graph of it would be long and slow. So the input is computed
when a decomposition is asked for, as `unique` does, and the results are constants to the compiler.
Their gradients are ordinary expressions (`rule`), lazy, and differentiable again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..dtypes import float32, is_low_precision
from ..errors import DTypeError, KindError, ShapeError, told
from ..graph.ir import Custom, Node
from ..tensor import Tensor
from ..tensor.examples import Compute, examples
from ..tensor.realize import compute_alone

Array = np.ndarray[Any, Any]
Results = Sequence[Tensor]
Rule = Callable[[Results, Results, Results], Sequence[Tensor | None]]
"""From the results' cotangents, the results and the inputs to the inputs' cotangents."""


def matrices(name: str, x: Tensor, square: bool = False) -> Tensor:
    """x, as float32 where it has 16 bits. Raises ShapeError unless it is a matrix or a batch of
    them (square ones, if so asked), DTypeError unless it is of floats."""
    if not isinstance(x, Tensor):
        raise KindError(f"linalg.{name}: the input is a tensor, not {told(x)}")
    if x.ndim < 2:
        raise ShapeError(f"linalg.{name}: needs matrices, shape is {x.shape}")
    if square and x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"linalg.{name}: needs square matrices, shape is {x.shape}")
    if not x.dtype.is_float:
        raise DTypeError(f"linalg.{name}: needs floats, this is {x.dtype}; cast it first")
    return x.cast(float32) if is_low_precision(x.dtype) else x


def call(compute: Compute, inputs: Sequence[Node]) -> Node:
    """The array that `compute` makes of the inputs' values; in vmap, one for each example."""
    batch = examples.get()
    if batch is not None:
        return batch.call(compute, inputs)
    storages = [compute_alone(x) for x in inputs]
    values = [s.numpy().reshape(x.shape) for s, x in zip(storages, inputs, strict=True)]
    return Tensor(compute(*values), device=storages[0].device).node


def on_host(
    name: str,
    compute: Callable[..., Array | tuple[Array, ...]],
    inputs: Sequence[Tensor],
    rule: Rule,
) -> list[Tensor]:
    """What `compute` makes of the inputs' values, differentiable by `rule`.

    A node has one value, so several results are packed into one vector and taken out again.
    Raises numpy.linalg.LinAlgError, naming the function, where LAPACK does.
    """
    dtype = inputs[0].dtype.numpy
    shapes: list[tuple[int, ...]] = []

    def compute_packed(*values: Array) -> Array:
        try:
            made = compute(*values)
        except np.linalg.LinAlgError as error:
            raise np.linalg.LinAlgError(f"linalg.{name}: {error}") from None
        several = made if isinstance(made, tuple) else (made,)
        arrays = [np.asarray(array, dtype) for array in several]
        shapes[:] = [array.shape for array in arrays]
        return np.concatenate([array.reshape(-1) for array in arrays])

    packed = call(compute_packed, [x.node for x in inputs])

    def unpack(node: Node) -> list[Tensor]:
        flat, results, start = Tensor._from_node(node), [], 0
        for shape in shapes:
            size = math.prod(shape)
            results.append(flat[start : start + size].reshape(shape))
            start += size
        return results

    def node_rule(g: Node, node: Custom) -> tuple[Node | None, ...]:
        given = [Tensor._from_node(primal) for primal in node.primals]
        cotangents = rule(unpack(g), unpack(node), given)
        return tuple(None if part is None else part.node for part in cotangents)

    node = Custom(packed, tuple(x.node for x in inputs), node_rule)
    whole = inputs[0]._derived(node, *inputs[1:])
    results, start = [], 0
    for shape in shapes:
        size = math.prod(shape)
        results.append(whole[start : start + size].reshape(shape))
        start += size
    return results

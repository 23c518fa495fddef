"""Making operands fit: broadcasting and promotion, by PyTorch's rules, on nodes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeGuard

import numpy as np

from .. import dtypes
from ..dtypes import DType, bool_, int64, promote
from ..errors import DTypeError, ShapeError, told
from ..graph import build
from ..graph.ir import Cast, Const, Node, Shape
from .core import Number, Operand, TensorCore


def cast_node(node: Node, dtype: DType) -> Node:
    """The node in another dtype."""
    return node if node.dtype == dtype else Cast(node, dtype)


def class_numbers(index: TensorCore, count: int) -> Node:
    """Integers in a dtype that holds all of 0 to `count`: their own, if it does."""
    fits = count <= index.dtype.max
    return index._node if fits else Cast(index._node, int64)


def broadcast_shape(name: str, *shapes: Shape) -> Shape:
    """The shape that all the shapes broadcast to, aligned at the last axis.

    Raises ShapeError, naming the operation and the axis.
    """
    rank = max(map(len, shapes))
    result = [1] * rank
    for shape in shapes:
        for axis, n in enumerate(shape, rank - len(shape)):
            if n != 1 and n != result[axis]:
                if result[axis] != 1:
                    raise ShapeError(
                        f"{name}: shapes {' and '.join(map(str, shapes))} do not broadcast "
                        f"(axis {axis - rank}: {result[axis]} and {n})"
                    )
                result[axis] = n
    return tuple(result)


def broadcast_node(name: str, node: Node, shape: Shape) -> Node:
    """The node repeated to `shape`. Raises ShapeError where it cannot be."""
    own = node.shape
    if own == shape:
        return node
    if isinstance(node, Const):
        return Const(node.value, node.dtype, shape)
    return expand_node(name, node, shape)


def expand_node(name: str, node: Node, shape: Shape) -> Node:
    """The node repeated to `shape` by movement. Raises ShapeError where it cannot be."""
    own = node.shape
    aligned = (1,) * (len(shape) - len(own)) + own
    if len(own) > len(shape) or any(n not in (1, m) for n, m in zip(aligned, shape, strict=True)):
        raise ShapeError(f"{name}: shape {own} does not broadcast to {shape}")
    return build.expand(build.reshape(node, aligned), shape)


def number(value: Any) -> Number | None:
    """`value` as a Python number if it is one, or NumPy's; None for anything else."""
    if isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, np.generic) and value.dtype.kind in "biuf":
        return value.item()  # type: ignore[no-any-return]
    return None


def number_dtype(value: Number) -> DType:
    """The dtype of a Python number where no tensor decides it."""
    if isinstance(value, bool):
        return bool_
    return dtypes.default_int if isinstance(value, int) else dtypes.default_float


def check_fits(name: str, value: Number, dtype: DType) -> None:
    """Raise DTypeError for a number beyond what a dtype holds. Whole negative ones may stand for
    unsigned ones, as in PyTorch, where -1 is the largest."""
    if dtype.is_float:
        with np.errstate(over="ignore"):
            rounded = float(np.asarray(value, np.float64).astype(dtype.numpy))
        fits = abs(rounded) < np.inf or not abs(value) < np.inf
    else:
        wraps = dtype.kind == "uint" and isinstance(value, int)
        fits = dtype == bool_ or (-dtype.max if wraps else dtype.min) <= value <= dtype.max
    if not fits:
        raise DTypeError(f"{name}: {value} does not fit {dtype}")


def _combine(higher: DType | None, lower: DType | None) -> DType | None:
    """Operands of the higher priority decide, unless only the lower's kind holds the result."""
    if higher is None or lower is None:
        return higher or lower
    if not higher.is_float and (higher == bool_ or lower.is_float):
        return promote(higher, lower)
    return higher


def result_dtype(operands: Iterable[Operand]) -> DType:
    """The common dtype, as torch.result_type: tensors with axes first, then those of shape (),
    then Python numbers; a lower group decides only where its kind is higher.
    """
    groups: list[DType | None] = [None, None, None]
    for operand in operands:
        value = None if isinstance(operand, TensorCore) else number(operand)
        if value is not None:
            dtype, priority = number_dtype(value), 2
        else:
            assert isinstance(operand, TensorCore)
            dtype, priority = operand.dtype, 0 if operand.shape else 1
        known = groups[priority]
        groups[priority] = dtype if known is None else promote(known, dtype)
    found = _combine(groups[0], _combine(groups[1], groups[2]))
    assert found is not None
    return found


def as_operand(name: str, value: Any, like: TensorCore) -> TensorCore | Number:
    """`value` as a tensor or a Python number. Raises DTypeError for anything else."""
    if isinstance(value, TensorCore):
        return value
    plain = number(value)
    if plain is not None:
        return plain
    if isinstance(value, np.ndarray):
        return like._from_data(value, None, like.device)
    raise DTypeError(f"{name}: an operand is a tensor, an array or a number, not {told(value)}")


def is_operand(value: object) -> TypeGuard[Operand]:
    """Whether `value` can stand beside a tensor in an operation."""
    return isinstance(value, (TensorCore, np.ndarray)) or number(value) is not None


def operand_node(name: str, value: TensorCore | Number, dtype: DType, shape: Shape) -> Node:
    """The operand as a node of exactly this dtype and shape."""
    if isinstance(value, TensorCore):
        return broadcast_node(name, cast_node(value._node, dtype), shape)
    return Const(value, dtype, shape)


def tensors_in(values: Sequence[Any]) -> list[TensorCore]:
    """The tensors among some operands."""
    return [value for value in values if isinstance(value, TensorCore)]

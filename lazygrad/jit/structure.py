"""Nested arguments and results: which tensors are in them, and of which kind they are."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

from ..errors import JitError
from ..tensor.core import TensorCore


def describe(value: Any, tensors: list[TensorCore]) -> Hashable:
    """What a capture depends on of an argument; the tensors in it are appended to `tensors`.

    Of a tensor: shape, dtype, device, whether it requires gradient and has one, and which earlier
    argument it is, if any. Of a list, tuple or dict: that of its items. Of anything else: its type
    and value. Raises JitError for what cannot be compared by value.
    """
    if isinstance(value, TensorCore):
        node = value._node
        same = next((n for n, t in enumerate(tensors) if t is value), -1)
        tensors.append(value)
        grad = value._requires_grad and (value.grad is None)
        return (node.shape, node.dtype.name, node.device, value._requires_grad, grad, same)
    if isinstance(value, (list, tuple)):
        return (type(value), *[describe(item, tensors) for item in value])
    if isinstance(value, dict):
        return (dict, *[(key, describe(item, tensors)) for key, item in value.items()])
    if isinstance(value, np.ndarray):
        raise JitError(
            f"jit: an argument is a NumPy array of shape {value.shape}, which would stay what it "
            "is in this call; pass Tensor(array)"
        )
    try:
        hash(value)
    except TypeError:
        raise JitError(
            f"jit: an argument is a {type(value).__name__}, which cannot be compared by value; "
            "pass tensors, numbers, strings, or lists, tuples and dicts of them"
        ) from None
    return (type(value), value)


def replaced(value: Any, change: Callable[[Any], Any], kind: type = TensorCore) -> Any:
    """A nested value with all of a kind in its lists, tuples and dicts replaced, in order."""
    if isinstance(value, kind):
        return change(value)
    if isinstance(value, tuple):
        items = [replaced(item, change, kind) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if isinstance(value, list):
        return [replaced(item, change, kind) for item in value]
    if isinstance(value, dict):
        return {key: replaced(item, change, kind) for key, item in value.items()}
    return value

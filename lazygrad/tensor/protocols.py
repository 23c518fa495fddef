"""How tensors meet NumPy and other libraries: `np.exp(tensor)`, DLPack, the array API standard.

A function of NumPy's that has the same meaning as a method of Tensor builds the graph; any other
gets the values as arrays, and gives what NumPy gives. Where that would lose a gradient, it raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Self

import numpy as np

from ..errors import DTypeError
from .core import Array, TensorCore, grad_enabled
from .inplace import InPlace
from .numpy_forms import FORMS, LINALG, LINALG_NAMES

# NumPy's name of a ufunc: the method's, where it is another
_UFUNCS = {
    "power": "pow", "absolute": "abs", "fabs": "abs", "negative": "neg", "true_divide": "div",
    "divide": "div", "rint": "round", "floor_divide": "floor_divide", "subtract": "sub",
    "multiply": "mul", "less": "lt", "less_equal": "le", "greater": "gt", "greater_equal": "ge",
    "equal": "eq", "not_equal": "ne", "arctan2": "atan2", "arcsin": "asin", "arccos": "acos",
    "arctan": "atan", "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh",
    "invert": "bitwise_not", "left_shift": "bitwise_left_shift",
    "right_shift": "bitwise_right_shift", "conjugate": "clone",
}  # fmt: skip
_SAME_UFUNCS = frozenset([
    "add", "remainder", "fmod", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt",
    "square", "reciprocal", "sin", "cos", "tan", "sinh", "cosh", "tanh", "sign", "floor",
    "ceil", "trunc", "isnan", "isinf", "isfinite", "logical_not", "logical_and", "logical_or",
    "logical_xor", "bitwise_and", "bitwise_or", "bitwise_xor", "maximum", "minimum", "fmax",
    "fmin", "matmul", "copysign", "hypot", "logaddexp", "heaviside", "deg2rad", "rad2deg",
    "signbit", "float_power", "positive",
])  # fmt: skip
_FUNCTIONS = frozenset([
    "concatenate", "stack", "hstack", "vstack", "dstack", "column_stack", "sum",
    "prod", "mean", "std", "var", "cumsum", "cumprod", "argmax", "argmin", "reshape",
    "transpose", "squeeze", "ravel", "flip", "fliplr", "flipud", "roll", "rot90", "swapaxes",
    "moveaxis", "tril", "triu", "diagonal", "trace", "dot", "tensordot", "inner", "outer",
    "kron", "einsum", "clip", "zeros_like", "ones_like", "full_like", "expand_dims",
    "broadcast_to", "any", "all", "tile", "count_nonzero", "nan_to_num", "diff",
])  # fmt: skip
_RENAMED = {"expand_dims": "unsqueeze", "amax": "amax", "amin": "amin", "max": "amax",
            "min": "amin", "transpose": "permute", "round": "round"}  # fmt: skip
_REFUSED = {"out", "where", "initial", "casting", "order", "subok", "like", "mode"}


class Protocols(InPlace):
    """NumPy's `__array_ufunc__` and `__array_function__`, DLPack, `__array_namespace__`."""

    __slots__ = ()

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **named: Any) -> Any:
        name = ufunc.__name__
        found = _UFUNCS.get(name) or (name if name in _SAME_UFUNCS else None)
        if method != "__call__" or named or found is None:
            made = getattr(ufunc, method)(*_arrays(inputs), **_arrays(named))
            return _with_gradient_or_none(name, made, inputs)
        first = inputs[0]
        if not isinstance(first, TensorCore):
            first = self._from_data(np.asarray(first), None, self._node.device)
            if not np.ndim(inputs[0]) and first.dtype.is_float and self.dtype.is_float:
                first = first.cast(self.dtype)  # a single number adapts to the tensor's dtype
        return getattr(first, found)(*inputs[1:])

    def __array_function__(
        self, function: Callable[..., Any], types: Iterable[type], args: Any, named: Any
    ) -> Any:
        name = function.__name__
        given = {key: x for key, x in named.items() if x is not np._NoValue and x is not None}
        if not _REFUSED & given.keys():
            if function.__module__ == "numpy.linalg":
                if name in LINALG:
                    given = {LINALG_NAMES.get(key, key): x for key, x in given.items()}
                    linalg = self.__array_namespace__().linalg
                    return getattr(linalg, name)(*_tensors(args, self), **_tensors(given, self))
            elif name in FORMS:
                return FORMS[name](*_tensors(args, self), **_tensors(given, self))
            elif name in _RENAMED or name in _FUNCTIONS:
                return self._as_numpy_would(name, args, given)
        return _with_gradient_or_none(name, function(*_arrays(args), **_arrays(named)), args)

    def _as_numpy_would(self, name: str, args: Any, named: dict[str, Any]) -> Any:
        """What NumPy's function of this name means, as a tensor."""
        if name == "einsum":
            return self.einsum(*args)
        if name == "transpose" and len(args) == 1 and not named.get("axes"):
            return args[0].T
        if name in ("std", "var"):
            named = {"correction": named.pop("ddof", 0), **named}
        method = getattr(type(self), _RENAMED.get(name, name))
        return method(*_tensors(args, self), **_tensors(named, self))

    # ------------------------------------------------------------------- other libraries

    def __dlpack__(self, **options: Any) -> Any:
        """The values as a DLPack capsule, of the memory that they are in: no copy on the CPU."""
        self.realize()
        storage = self.storage
        assert storage is not None
        if self.dtype.name == "bfloat16":
            raise DTypeError("dlpack: NumPy, which makes the capsule, has no bfloat16; cast first")
        return storage.numpy().reshape(self.shape).__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        """(1, 0): what `__dlpack__` gives is in the CPU's memory."""
        return 1, 0

    @classmethod
    def from_dlpack(cls, other: Any) -> Self:
        """A tensor that shares the memory of an array of another library, such as PyTorch."""
        return cls.from_numpy(np.from_dlpack(other))

    def __array_namespace__(self, api_version: str | None = None) -> Any:
        """The module with the array API's functions: lazygrad itself."""
        import sys

        return sys.modules[__name__.partition(".")[0]]


def _with_gradient_or_none(name: str, made: Any, inputs: Any) -> Any:
    """What NumPy made of the inputs' values. Raises RuntimeError where these are floats and an
    input requires gradient: the gradient would be lost."""
    if grad_enabled.get() and _has_floats(made) and _requires_grad(inputs):
        raise RuntimeError(
            f"np.{name}: NumPy computes this on values, and the gradient of a tensor that requires "
            "one would be lost; use a function of lazygrad, or give it x.detach()"
        )
    return made


def _has_floats(value: Any) -> bool:
    """Whether there is an array of floats, or a NumPy float, in nested tuples and lists."""
    if isinstance(value, (list, tuple)):
        return any(map(_has_floats, value))
    return isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind == "f"


def _requires_grad(value: Any) -> bool:
    """Whether a tensor in nested tuples and lists requires gradient."""
    if isinstance(value, (list, tuple)):
        return any(map(_requires_grad, value))
    return isinstance(value, TensorCore) and value._requires_grad


def _arrays(value: Any) -> Any:
    """The arguments with the values of tensors in place of the tensors."""
    if isinstance(value, TensorCore):
        return np.asarray(value)
    if isinstance(value, (list, tuple)):
        return type(value)(map(_arrays, value))
    if isinstance(value, dict):
        return {key: _arrays(x) for key, x in value.items()}
    return value


def _tensors(value: Any, like: InPlace) -> Any:
    """The arguments with tensors in place of arrays."""
    if isinstance(value, np.ndarray):
        array: Array = value
        return like._from_data(array, None, like._node.device)
    if isinstance(value, (list, tuple)):
        return type(value)(_tensors(x, like) for x in value)
    if isinstance(value, dict):
        return {key: _tensors(x, like) for key, x in value.items()}
    return value

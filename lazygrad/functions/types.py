"""Functions that tell of dtypes: what operations give, which values fit, which is the default."""

from __future__ import annotations

from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from ..dtypes import DType, get_default_dtype, promote, set_default_dtype, to_dtype
from ..errors import DTypeError
from ..tensor import Tensor
from ..tensor.operands import result_dtype


def result_type(*operands: Any) -> DType:
    """The dtype of an operation on tensors and numbers; of dtypes, the one they promote to.

    str(lazygrad.result_type(Tensor([1]), 2.0)) == "float32"
    """
    kinds = [x for x in operands if not isinstance(x, (Tensor, float, int))]
    values = [x for x in operands if isinstance(x, (Tensor, float, int))]
    found = [to_dtype(kind) for kind in kinds] + ([result_dtype(values)] if values else [])
    made = found[0]
    for dtype in found[1:]:
        made = promote(made, dtype)
    return made


def promote_types(a: Any, b: Any) -> DType:
    """The dtype of an operation on tensors of these dtypes.

    str(lazygrad.promote_types(lazygrad.int8, lazygrad.uint8)) == "int16"
    """
    return promote(to_dtype(a), to_dtype(b))


def can_cast(source: Any, target: Any) -> bool:
    """Whether values of a dtype may become another: not floats integers, nor integers bools.

    (lazygrad.can_cast(lazygrad.int32, lazygrad.float32)) == True
    """
    kinds = {"bool": 0, "uint": 1, "int": 2, "float": 3}
    a, b = to_dtype(source), to_dtype(target)
    return kinds[a.kind] <= kinds[b.kind]


class FloatLimits(NamedTuple):
    """What `finfo` gives."""

    dtype: str
    bits: int
    eps: float
    max: float
    min: float
    tiny: float
    smallest_normal: float
    resolution: float


class IntegerLimits(NamedTuple):
    """What `iinfo` gives."""

    dtype: str
    bits: int
    max: int
    min: int


def finfo(dtype: Any = None) -> FloatLimits:
    """The limits of a dtype of floats, the default one unless given, as Python's numbers.

    lazygrad.finfo(lazygrad.float32).eps == 2.0**-23

    Raises TypeError for a dtype of integers.
    """
    own = dtype.dtype if isinstance(dtype, Tensor) else to_dtype(dtype or get_default_dtype())
    if not own.is_float:
        raise DTypeError(f"finfo: {own} is no float; use iinfo")
    found = ml_dtypes.finfo(own.numpy)  # type: ignore[no-untyped-call]
    normal = float(found.smallest_normal)
    return FloatLimits(
        own.name, int(found.bits), float(found.eps), float(found.max), float(found.min),
        normal, normal, float(found.resolution),
    )  # fmt: skip


def iinfo(dtype: Any) -> IntegerLimits:
    """The limits of a dtype of integers, as Python's numbers. Raises TypeError for floats.

    lazygrad.iinfo(lazygrad.int8).max == 127
    """
    own = dtype.dtype if isinstance(dtype, Tensor) else to_dtype(dtype)
    if own.is_float:
        raise DTypeError(f"iinfo: {own} is a float; use finfo")
    found = np.iinfo(own.numpy)
    return IntegerLimits(own.name, int(found.bits), int(found.max), int(found.min))


def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether a dtype is of a kind: "bool", "signed integer", "unsigned integer", "integral",
    "real floating", "numeric", another dtype, or one of several.

    (lazygrad.isdtype(lazygrad.int8, "integral")) == True
    """
    if isinstance(kind, tuple):
        return any(isdtype(dtype, one) for one in kind)
    kinds = {
        "bool": ("bool",), "signed integer": ("int",), "unsigned integer": ("uint",),
        "integral": ("int", "uint"), "real floating": ("float",), "complex floating": (),
        "numeric": ("int", "uint", "float"),
    }  # fmt: skip
    own = to_dtype(dtype)
    return own.kind in kinds[kind] if kind in kinds else own == to_dtype(kind)


__all__ = [
    "can_cast", "finfo", "get_default_dtype", "iinfo", "isdtype", "promote_types", "result_type",
    "set_default_dtype",
]  # fmt: skip

"""Element types and PyTorch's rules for promoting them.

float32.itemsize == 4;  promote(int64, float16) == float16;  promote(int8, uint8) == int16
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from .errors import DTypeError

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class DType:
    """One element type. `kind` is "bool", "int", "uint" or "float"; sizes are in bytes.

    There is one object of each: dtypes are compared with `is`, or `==`, which is the same.

        float32.name == "float32"
    """

    name: str
    kind: str
    itemsize: int

    def __repr__(self) -> str:
        return self.name

    @property
    def is_float(self) -> bool:
        return self.kind == "float"

    @property
    def is_int(self) -> bool:
        """True for signed and unsigned integers, false for bool."""
        return self.kind in ("int", "uint")

    @property
    def is_floating_point(self) -> bool:
        """True for floats, as PyTorch names it."""
        return self.is_float

    @property
    def is_complex(self) -> bool:
        """False: there are no complex numbers."""
        return False

    @property
    def is_signed(self) -> bool:
        """Whether there are negative numbers."""
        return self.kind in ("int", "float")

    @property
    def numpy(self) -> np.dtype:
        """The NumPy dtype of the same name (bfloat16 is ml_dtypes')."""
        return _NUMPY[self.name]

    @property
    def min(self) -> int | float | bool:
        """The smallest value; -inf for floats. The identity of a maximum."""
        if self.is_float:
            return float("-inf")
        if self.kind == "int":
            return -(1 << 8 * self.itemsize - 1)
        return 0 if self.kind == "uint" else False

    @property
    def max(self) -> int | float | bool:
        """The largest value; inf for floats. The identity of a minimum."""
        if self.is_float:
            return float("inf")
        if self.kind == "bool":
            return True
        return (1 << 8 * self.itemsize - (self.kind == "int")) - 1

    def __reduce__(self) -> tuple[Any, ...]:
        return to_dtype, (self.name,)


bool_ = DType("bool", "bool", 1)
int8, int16, int32, int64 = (DType(f"int{8 * n}", "int", n) for n in (1, 2, 4, 8))
uint8, uint16, uint32, uint64 = (DType(f"uint{8 * n}", "uint", n) for n in (1, 2, 4, 8))
float16, float32, float64 = (DType(f"float{8 * n}", "float", n) for n in (2, 4, 8))
bfloat16 = DType("bfloat16", "float", 2)

default_float: DType = float32
"""What Python's floats become, and results that need a float; may be set (`set_default_dtype`)."""
default_int: DType = int64
"""What Python's integers become; may be set."""

ALL: tuple[DType, ...] = (
    bool_, int8, int16, int32, int64, uint8, uint16, uint32, uint64,
    float16, bfloat16, float32, float64,
)  # fmt: skip
_BY_NAME = {dtype.name: dtype for dtype in ALL}
_ALIASES = {
    "bool": bool_, "char": int8, "short": int16, "int": int32, "long": int64, "byte": uint8,
    "half": float16, "float": float32, "double": float64,
}  # fmt: skip
_NUMPY = {
    dtype.name: np.dtype(ml_dtypes.bfloat16) if dtype is bfloat16 else np.dtype(dtype.name)
    for dtype in ALL
}
_FROM_NUMPY = {numpy_dtype: _BY_NAME[name] for name, numpy_dtype in _NUMPY.items()}


if not TYPE_CHECKING:

    def __getattr__(name: str) -> DType:
        """`dtypes.float`, `dtypes.long` and the like: C's and PyTorch's names."""
        if name in _ALIASES:
            return _ALIASES[name]
        raise AttributeError(f"module 'lazygrad.dtypes' has no attribute {name!r}")


def is_float(dtype: DType) -> bool:
    """Whether a dtype is of floats; as tinygrad's `dtypes.is_float`.

    is_float(float32) is True
    """
    return dtype.is_float


def is_int(dtype: DType) -> bool:
    """Whether a dtype is of integers.

    is_int(float32) is False
    """
    return dtype.is_int


def is_unsigned(dtype: DType) -> bool:
    """Whether a dtype is of integers that are not negative.

    is_unsigned(uint8) is True
    """
    return dtype.kind == "uint"


def to_dtype(spec: object) -> DType:
    """The DType that `spec` means: a DType, a name, a NumPy dtype or type, or bool/int/float.

    Python's `float` is `default_float` and `int` is `default_int`, as they are for tensors; names
    are C's and PyTorch's: "int" is int32, "long" int64, "half" float16, "float" float32, "double"
    float64.
    Raises DTypeError, naming what is valid.

        to_dtype("float32") is float32
    """
    if isinstance(spec, DType):
        return spec
    if spec is float:
        return default_float
    if spec is int:
        return default_int
    if isinstance(spec, str) and (named := _BY_NAME.get(spec) or _ALIASES.get(spec)) is not None:
        return named
    try:
        return _FROM_NUMPY[np.dtype(spec)]  # type: ignore[call-overload]
    except (TypeError, KeyError):
        valid = ", ".join(_BY_NAME)
        raise DTypeError(f"dtype {spec!r} is not supported; valid are {valid}") from None


def set_default_dtype(dtype: object) -> None:
    """Let Python's floats become this dtype of floats; it was float32. Raises DTypeError for any
    other.

    lazygrad.set_default_dtype(lazygrad.float64);  lazygrad.tensor(1.0).itemsize == 8
    lazygrad.set_default_dtype(lazygrad.float32);  lazygrad.tensor(1.0).itemsize == 4
    """
    global default_float
    chosen = to_dtype(dtype)
    if not chosen.is_float:
        raise DTypeError(f"set_default_dtype: {chosen} is no dtype of floats")
    default_float = chosen


def get_default_dtype() -> DType:
    """What Python's floats become.

    lazygrad.get_default_dtype() == lazygrad.float32
    """
    return default_float


def __getattr__(name: str) -> DType:
    """`dtypes.long` and the like: PyTorch's other names."""
    if name in _ALIASES:
        return _ALIASES[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@cache
def promote(a: DType, b: DType) -> DType:
    """The dtype of an operation on tensors of dtypes `a` and `b`, as torch.promote_types has it.

    The higher kind (bool < integers < floats) wins; within a kind, the wider. Two facts have no
    wider common type and go up: float16 with bfloat16 gives float32, a signed with an unsigned
    integer gives the signed type that holds both (int64 at most; with uint64 it is float32).

        promote(float16, int64) is float16
    """
    if a == b:
        return a
    rank = {"bool": 0, "int": 1, "uint": 1, "float": 2}
    if rank[a.kind] != rank[b.kind]:
        return a if rank[a.kind] > rank[b.kind] else b
    if a.kind == b.kind:
        if a.itemsize == b.itemsize:
            return float32  # float16 and bfloat16: neither holds the other
        return a if a.itemsize > b.itemsize else b
    signed, unsigned = (a, b) if a.kind == "int" else (b, a)
    if signed.itemsize > unsigned.itemsize:
        return signed
    return float32 if unsigned == uint64 else _BY_NAME[f"int{16 * unsigned.itemsize}"]


def is_low_precision(dtype: DType) -> bool:
    """True for the floats that are computed with in float32.

    is_low_precision(float16) is True
    """
    return dtype.is_float and dtype.itemsize < float32.itemsize


def convert(x: Array, dtype: DType) -> Array:
    """`x` cast to dtype, as PyTorch casts single numbers.

    convert(np.array([1.7]), int32).tolist() == [1]
    """
    target = dtype.numpy
    if x.dtype == target:
        return x
    from_float = x.dtype.kind in "fV"  # V: bfloat16
    if from_float and x.dtype.itemsize < 4:
        x = x.astype(np.float32)
    if dtype.kind == "bool":
        return np.asarray(x != 0)
    if is_low_precision(dtype):
        return x.astype(np.float32).astype(target)
    return _truncated(x, dtype) if from_float and dtype.is_int else x.astype(target)


def _truncated(x: Array, dtype: DType) -> Array:
    """Floats as integers, by way of int32 (of int64 for uint32 and 64 bits), whose smallest value
    stands for what is beyond it, and for nan; smaller types wrap. uint64 holds its own too."""
    wide: Any = np.int64 if dtype.itemsize == 8 or dtype.name == "uint32" else np.int32
    limit = 2.0 ** (8 * np.dtype(wide).itemsize - 1)
    inside = np.abs(x) < limit
    whole = np.where(inside, x, 0).astype(wide)
    small = np.where(inside, whole, np.iinfo(wide).min).astype(dtype.numpy)
    if dtype.name != "uint64":
        return small
    high = np.where((x >= limit) & (x < 2 * limit), x, 0).astype(np.uint64)
    return np.where(x >= limit, high, small)

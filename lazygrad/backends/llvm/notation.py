"""LLVM's notation: types and constants as text."""

from __future__ import annotations

import struct

import numpy as np

from ...dtypes import DType, bool_

MEMORY_TYPES = {
    "bool": "i8", "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64",
    "uint8": "i8", "uint16": "i16", "uint32": "i32", "uint64": "i64",
    "float16": "half", "bfloat16": "i16", "float32": "float", "float64": "double",
}  # fmt: skip
# As values, bools are single bits and the 16-bit floats are floats that hold a rounded value.
VALUE_TYPES = {**MEMORY_TYPES, "bool": "i1", "float16": "float", "bfloat16": "float"}


def vector_of(scalar: str, lanes: int) -> str:
    """LLVM's type of `lanes` scalars."""
    return scalar if lanes == 1 else f"<{lanes} x {scalar}>"


def value_type(dtype: DType, lanes: int = 1) -> str:
    """LLVM's type of a value."""
    scalar = VALUE_TYPES[dtype.name]
    return scalar if lanes == 1 else f"<{lanes} x {scalar}>"


def memory_type(dtype: DType, lanes: int = 1) -> str:
    """LLVM's type of elements as they lie in memory."""
    scalar = MEMORY_TYPES[dtype.name]
    return scalar if lanes == 1 else f"<{lanes} x {scalar}>"


def splat(scalar_type: str, text: str, lanes: int) -> str:
    """A constant in every lane."""
    return text if lanes == 1 else f"splat ({scalar_type} {text})"


def literal(value: bool | int | float, dtype: DType) -> str:
    """A scalar constant as LLVM writes it; floats by their bits, as those of a double."""
    if dtype == bool_:
        return "true" if value else "false"
    if dtype.is_int:
        return str(int(value))
    with np.errstate(over="ignore"):
        rounded = float(np.asarray(value, np.float64).astype(dtype.numpy))
    return f"0x{struct.unpack('<Q', struct.pack('<d', rounded))[0]:016X}"


def constant(value: bool | int | float, dtype: DType, lanes: int) -> str:
    """A constant in every lane."""
    return splat(VALUE_TYPES[dtype.name], literal(value, dtype), lanes)


def suffix(dtype: DType, lanes: int) -> str:
    """How the names of LLVM's intrinsics end: "f32", "v8f32", "i64"."""
    short = "i1" if dtype == bool_ else f"{'f' if dtype.is_float else 'i'}{8 * dtype.itemsize}"
    return short if lanes == 1 else f"v{lanes}{short}"

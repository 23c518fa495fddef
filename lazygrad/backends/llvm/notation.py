"""LLVM's notation: types and constants as text."""

from __future__ import annotations

import struct

import numpy as np

from ...dtypes import DType, bfloat16, bool_

TYPES = {
    "bool": "i1", "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64",
    "uint8": "i8", "uint16": "i16", "uint32": "i32", "uint64": "i64",
    "float16": "half", "bfloat16": "i16", "float32": "float", "float64": "double",
}  # fmt: skip


def vector_of(scalar: str, lanes: int) -> str:
    """LLVM's type of `lanes` scalars."""
    return scalar if lanes == 1 else f"<{lanes} x {scalar}>"


def value_type(dtype: DType, lanes: int = 1) -> str:
    """LLVM's type of a dtype's values, in registers and in memory."""
    return vector_of(TYPES[dtype.name], lanes)


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
        rounded = np.asarray(value, np.float64).astype(dtype.numpy)
    if dtype.itemsize == 2:
        bits = int(rounded.view(np.uint16))
        return str(bits) if dtype == bfloat16 else f"0xH{bits:04X}"
    return f"0x{struct.unpack('<Q', struct.pack('<d', float(rounded)))[0]:016X}"


def suffix(dtype: DType, lanes: int) -> str:
    """How the names of LLVM's intrinsics end: "f32", "v8f32", "i64"."""
    short = "i1" if dtype == bool_ else f"{'f' if dtype.is_float else 'i'}{8 * dtype.itemsize}"
    return short if lanes == 1 else f"v{lanes}{short}"

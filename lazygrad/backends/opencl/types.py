"""OpenCL C's types for lazygrad's dtypes: in registers, in memory, and as literals.

Most dtypes are one C type everywhere. The others:

    dtype       in registers                          in memory
    bool        bool; a vector is char, 0 or -1        uchar, 0 or 1
    float16     half where the device computes with    half (read and written by vload_half and
                it, else float, rounded after each op  vstore_half where it does not)
    bfloat16    float, rounded after each op           ushort
    int64       int where its bounds prove that that   long
                is enough, else long

Vectors have 2 or 4 lanes; other numbers of lanes are split (`pieces`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ...dtypes import DType, bfloat16, bool_, float16, float64
from ...errors import DTypeError


@dataclass(frozen=True, slots=True)
class Facts:
    """What codegen must know of a device. The defaults are those of a usual GPU.

    `float16`: arithmetic (cl_khr_fp16), not only storage; `contract`: the compiler is to fuse the
    sums of products, since fma() is a function call (as on CPUs); `group_limit`: the most items of
    a work-group; `local_bytes`: the most local memory of one.
    """

    name: str = "the device"
    float64: bool = True
    float16: bool = False
    contract: bool = False
    group_limit: int = 256
    local_bytes: int = 48 << 10


SIGNED = {1: "char", 2: "short", 4: "int", 8: "long"}  # by size in bytes
SIZES = {
    **{name: size for size, name in SIGNED.items()},
    **{f"u{name}": size for size, name in SIGNED.items()},
    "bool": 1,
    "half": 2,
    "float": 4,
    "double": 8,
}
FLOATS = ("half", "float", "double")
INT_LOW, INT_HIGH = -(1 << 31), (1 << 31) - 1


def register_type(dtype: DType, facts: Facts) -> str:
    """The C type of one element in a register. Raises DTypeError where the device has none."""
    if dtype == float64 and not facts.float64:
        raise DTypeError(
            f"float64: {facts.name} has no double precision (cl_khr_fp64); use float32"
        )
    if dtype == bfloat16 or (dtype == float16 and not facts.float16):
        return "float"
    return _name(dtype)


def memory_type(dtype: DType) -> str:
    """The C type of one element in memory."""
    if dtype == bool_:
        return "uchar"
    return "ushort" if dtype == bfloat16 else _name(dtype)


def _name(dtype: DType) -> str:
    if dtype == bool_:
        return "bool"
    if dtype.is_float:
        return FLOATS[(2, 4, 8).index(dtype.itemsize)]
    return ("u" if dtype.kind == "uint" else "") + SIGNED[dtype.itemsize]


def is_rounded(dtype: DType, facts: Facts) -> bool:
    """True where registers hold a wider type, so that each operation's result is rounded."""
    return dtype == bfloat16 or (dtype == float16 and not facts.float16)


def vector(element: str, lanes: int) -> str:
    """The type of `lanes` elements: float, float4; bool, but char4 (its masks)."""
    if lanes == 1:
        return element
    return f"{'char' if element == 'bool' else element}{lanes}"


def mask(element: str) -> str:
    """The signed integer type of the same size, which vector comparisons give and select takes."""
    return SIGNED[SIZES[element]]


def unsigned(element: str) -> str:
    """The unsigned type of a signed or unsigned integer type."""
    return element if element.startswith("u") else f"u{element}"


def is_integer(element: str) -> bool:
    return element not in FLOATS and element != "bool"


# OpenCL has vectors of 8 and 16 too, but where a processor has AVX-512, functions of 64 bytes crash
# under PoCL 3.0, which knows those of its library by another convention than the code it compiles.
PIECES = (4, 2, 1)


@lru_cache(maxsize=256)
def pieces(lanes: int) -> tuple[int, ...]:
    """The widths of the C vectors that `lanes` lanes are split into: 11 lanes are (4, 4, 2, 1)."""
    widths: list[int] = []
    for width in PIECES:
        count, lanes = divmod(lanes, width)
        widths += [width] * count
    return tuple(widths)


_LIMITS = {
    (INT_LOW, "int"): "INT_MIN",  # C has no negative literals: -2147483648 is -(2147483648)
    (-(1 << 63), "long"): "LONG_MIN",
}
_SUFFIXES = {"uint": "u", "long": "L", "ulong": "ul"}


def literal(value: bool | int | float, dtype: DType, element: str) -> str:
    """A constant of `dtype`, held in C type `element`, as text; a negative one is not an atom."""
    if dtype == bool_:
        return "true" if value else "false"
    if dtype.is_int:
        return _LIMITS.get((int(value), element)) or f"{int(value)}{_SUFFIXES.get(element, '')}"
    rounded = float(np.asarray(value, np.float64).astype(dtype.numpy))
    if not math.isfinite(rounded):
        text = "NAN" if math.isnan(rounded) else "INFINITY" if rounded > 0 else "-INFINITY"
        return text if element == "float" else f"({element}){text}"  # the macros are floats
    if element == "double":
        return repr(rounded)
    text = np.format_float_positional(np.float32(rounded), trim="0")
    if len(text) > 16:
        text = np.format_float_scientific(np.float32(rounded), trim="0")
    return f"(half){text}f" if element == "half" else f"{text}f"

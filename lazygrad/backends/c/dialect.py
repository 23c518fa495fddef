"""The table of C dialects: one row of strings a dialect, and OpenCL C's row.

In a row's templates {type} is a C type, {element} that of its lanes, {n} their number, {x} and the
like are operands, and {space} is a pointer's address space.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ...dtypes import DType, bool_, float16, float64
from ...errors import DTypeError
from ...expr import Literal
from ...targets import Machine


@dataclass(frozen=True)
class Dialect:
    """A C dialect.

    - `types`: the C type of each dtype, in registers and in memory; 16-bit floats as their bits.
    - `widths`: of vectors, widest first; (1,) where there are none.
    - `mask`: the type of the lanes of compared vectors; "char" is 0 or -1, "bool" a bool.
    - `functions`: the dialect's function for an operation on floats; other operations are expanded.
    - `helpers`: helper functions as text, instead of those that functions.py prints from rules.
    - `suffixes`: of integer literals by type; `bitcasts`: by (from, to), else `bitcast`.
    - `lines`: the first lines of a source; `extensions`: more of them, where a pattern occurs.
    """

    name: str
    types: Mapping[str, str]
    widths: tuple[int, ...]
    functions: Mapping[str, str]
    kernel: str
    parameter: str
    global_space: str
    local_space: str
    restrict: str
    aligned: str
    group_id: str
    group_count: str
    item_id: str
    barrier: str
    global_fence: str
    vector: str
    convert: str
    bitcast: str
    load: str = ""
    load_unaligned: str = ""
    store: str = ""
    store_unaligned: str = ""
    mask: str = "char"
    function: str = "{type}"
    least: Mapping[str, str] = field(default_factory=dict)
    suffixes: Mapping[str, str] = field(default_factory=dict)
    bitcasts: Mapping[tuple[str, str], str] = field(default_factory=dict)
    helpers: Mapping[str, str] = field(default_factory=dict)
    lines: tuple[str, ...] = ()
    last_parameters: tuple[str, ...] = ()
    extensions: Mapping[str, str] = field(default_factory=dict)


FUNCTIONS = {
    **{op: op for op in ("exp", "log", "sqrt", "sin", "cos", "tanh", "erf", "floor", "ceil",
                         "trunc", "pow", "fma")},
    "round": "rint", "abs": "fabs", "remainder": "fmod",
}  # fmt: skip

# Through vectors of bytes, since C lets compilers assume that a half and a ushort never are the
# same memory.
_HALF_VALUE = """\
float{n} {name}(ushort{n} bits) {{
    {bytes} bytes = as_{bytes}(bits);
    return vload_half{n}(0, (const half *)&bytes);
}}"""
_HALF_BITS = """\
ushort{n} {name}(float{n} x) {{  // to nearest even
    {bytes} bytes;
    vstore_half{n}_rte(x, 0, (half *)&bytes);
    return as_ushort{n}(bytes);
}}"""
_MULTIPLY_ADD = """\
{type} {name}({type} x, {type} y, {type} z) {{  // rounded once where the device does so quickly
    #pragma OPENCL FP_CONTRACT ON
    return x * y + z;
}}"""

OPENCL = Dialect(
    name="opencl",
    types={
        "bool": "bool", "int8": "char", "int16": "short", "int32": "int", "int64": "long",
        "uint8": "uchar", "uint16": "ushort", "uint32": "uint", "uint64": "ulong",
        "float16": "ushort", "bfloat16": "ushort", "float32": "float", "float64": "double",
    },
    # OpenCL has vectors of 8 and 16 too. But with AVX-512, functions of 64-byte vectors crash under
    # PoCL 3.0: it calls those of its library by another calling convention.
    widths=(4, 2, 1),
    functions=FUNCTIONS,
    kernel="__kernel __attribute__((reqd_work_group_size({items})))\nvoid {name}(",
    parameter="{space}{const}{type} *{restrict}{name}",
    global_space="__global ",
    local_space="__local ",
    restrict="restrict ",
    aligned=" __attribute__((aligned({bytes})))",
    group_id="get_group_id({d})",
    group_count="get_num_groups({d})",
    item_id="get_local_id({d})",
    barrier="barrier(CLK_LOCAL_MEM_FENCE{more});",
    global_fence=" | CLK_GLOBAL_MEM_FENCE",
    vector="({type})({x})",
    convert="convert_{type}({x})",
    bitcast="as_{type}({x})",
    load="*({space}const {type} *)({at})",
    load_unaligned="vload{n}(0, {at})",
    store="*({space}{type} *)({at}) = {x};",
    store_unaligned="vstore{n}({x}, 0, {at});",
    least={"int": "INT_MIN", "long": "LONG_MIN"},
    suffixes={"uint": "u", "long": "L", "ulong": "ul"},
    helpers={
        "float32_of_float16": _HALF_VALUE, "float16_of_float32": _HALF_BITS,
        "multiply_add": _MULTIPLY_ADD,
    },
    lines=("#pragma OPENCL FP_CONTRACT OFF",),
    extensions={
        "#pragma OPENCL EXTENSION cl_khr_fp64 : enable": "double",
        "#pragma OPENCL EXTENSION cl_khr_fp16 : enable": r"\bhalf\d?\b(?! \*\)&)",
    },
)  # fmt: skip


# --------------------------------------------------------------------------- types and literals


@dataclass(frozen=True)
class Types:
    """The types of a dialect on a machine."""

    dialect: Dialect
    machine: Machine

    def element(self, dtype: DType) -> str:
        """The C type of one element. Raises DTypeError where the machine has none."""
        if dtype == float64 and not self.machine.float64:
            raise DTypeError(
                f"float64: {self.machine.name} has no double precision (cl_khr_fp64); use float32"
            )
        if dtype == float16 and self.machine.native.half_arithmetic:
            return "half"
        return self.dialect.types[dtype.name]

    def type(self, dtype: DType, lanes: int = 1) -> str:
        """The C type of so many lanes."""
        if lanes == 1:
            return self.element(dtype)
        return f"{self.dialect.mask if dtype == bool_ else self.element(dtype)}{lanes}"

    def literal(self, e: Literal) -> str:
        """A constant as text; a negative one is not an atom."""
        dtype, value = e.dtype, e.value
        element = self.element(dtype)
        if dtype == bool_:
            return "true" if value else "false"
        if dtype.is_int:
            number = int(value)
            if dtype.kind == "int" and number == dtype.min and element in self.dialect.least:
                return self.dialect.least[element]  # C has no negative literals
            return f"{number}{self.dialect.suffixes.get(element, '')}"
        rounded = np.asarray(value, np.float64).astype(dtype.numpy)
        if dtype.itemsize == 2 and element != "half":
            return f"0x{int(rounded.view(np.uint16)):04x}"
        return self._float(float(rounded), element)

    def _float(self, value: float, element: str) -> str:
        if not math.isfinite(value):
            text = "NAN" if math.isnan(value) else "INFINITY" if value > 0 else "-INFINITY"
            return text if element == "float" else f"({element}){text}"  # the macros are floats
        if element == "double":
            return repr(value)
        text = np.format_float_positional(np.float32(value), trim="0")
        if len(text) > 16:
            text = np.format_float_scientific(np.float32(value), trim="0")
        return f"(half){text}f" if element == "half" else f"{text}f"

"""CUDA C++ and the Metal Shading Language, as rows of the table. No device runs them yet: their
text can be read, and taken along into other programs.

CUDA is to be compiled with -fmad=false, Metal without fast math: sums of products are fused where
the loops say so, and nowhere else.
"""

from __future__ import annotations

from .dialect import FUNCTIONS, Dialect

_UINT, _LONG, _ULONG = "unsigned int", "long long", "unsigned long long"

CUDA = Dialect(
    name="cuda",
    types={
        "bool": "bool", "int8": "signed char", "int16": "short", "int32": "int", "int64": _LONG,
        "uint8": "unsigned char", "uint16": "unsigned short", "uint32": _UINT, "uint64": _ULONG,
        "float16": "unsigned short", "bfloat16": "unsigned short", "float32": "float",
        "float64": "double",
    },
    widths=(1,),  # its float4 has no arithmetic
    functions=FUNCTIONS,
    kernel='extern "C" __global__ void __launch_bounds__({count})\n{name}(',
    parameter="{const}{type} *{restrict}{name}",
    global_space="",
    local_space="__shared__ ",
    restrict="__restrict__ ",
    aligned="",
    group_id="blockIdx.{axis}",
    group_count="gridDim.{axis}",
    item_id="threadIdx.{axis}",
    barrier="__syncthreads();",
    global_fence="",
    vector="",
    convert="",
    bitcast="",
    function="__device__ {type}",
    least={"int": "(-2147483647 - 1)", _LONG: "(-9223372036854775807LL - 1)"},
    suffixes={_UINT: "u", _LONG: "LL", _ULONG: "ULL"},
    bitcasts={
        ("float", _UINT): "__float_as_uint({x})",
        ("float", "int"): "__float_as_int({x})",
        (_UINT, "float"): "__uint_as_float({x})",
        ("int", "float"): "__int_as_float({x})",
        ("double", _LONG): "__double_as_longlong({x})",
        ("double", _ULONG): "(unsigned long long)__double_as_longlong({x})",
        (_LONG, "double"): "__longlong_as_double({x})",
        (_ULONG, "double"): "__longlong_as_double((long long)({x}))",
    },
    helpers={
        "float32_of_float16": (
            "__device__ float {name}(unsigned short bits) {{\n"
            "    return __half2float(__ushort_as_half(bits));\n}}"
        ),
        "float16_of_float32": (
            "__device__ unsigned short {name}(float x) {{  // to nearest even\n"
            "    return __half_as_ushort(__float2half_rn(x));\n}}"
        ),
    },
    extensions={"#include <cuda_fp16.h>": "__half"},
)  # fmt: skip

_PRECISE = ("exp", "log", "sqrt", "sin", "cos", "tanh", "pow")  # as they are without fast math
_METAL_FUNCTIONS = {op: name for op, name in FUNCTIONS.items() if op != "erf"}
_METAL_FUNCTIONS |= {op: f"precise::{op}" for op in _PRECISE}

METAL = Dialect(
    name="metal",
    types={
        "bool": "bool", "int8": "char", "int16": "short", "int32": "int", "int64": "long",
        "uint8": "uchar", "uint16": "ushort", "uint32": "uint", "uint64": "ulong",
        "float16": "ushort", "bfloat16": "ushort", "float32": "float",
    },
    widths=(4, 2, 1),
    mask="bool",
    functions=_METAL_FUNCTIONS,
    kernel="[[max_total_threads_per_threadgroup({count})]]\nkernel void {name}(",
    parameter="{space}{const}{type} *{name} [[buffer({n})]]",
    last_parameters=(
        "uint3 group_id [[threadgroup_position_in_grid]]",
        "uint3 group_count [[threadgroups_per_grid]]",
        "uint3 item_id [[thread_position_in_threadgroup]]",
    ),
    global_space="device ",
    local_space="threadgroup ",
    restrict="",
    aligned=" __attribute__((aligned({bytes})))",
    group_id="group_id.{axis}",
    group_count="group_count.{axis}",
    item_id="item_id.{axis}",
    barrier="threadgroup_barrier(mem_flags::mem_threadgroup{more});",
    global_fence=" | mem_flags::mem_device",
    vector="{type}({x})",
    convert="{type}({x})",
    bitcast="as_type<{type}>({x})",
    load="*({space}const {type} *)({at})",
    load_unaligned="{type}(*({space}const packed_{type} *)({at}))",
    store="*({space}{type} *)({at}) = {x};",
    store_unaligned="*({space}packed_{type} *)({at}) = packed_{type}({x});",
    function="static inline {type}",
    least={"int": "INT_MIN", "long": "LONG_MIN"},
    suffixes={"uint": "u", "long": "L", "ulong": "ul"},
    helpers={
        "float32_of_float16": (
            "static inline float{n} {name}(ushort{n} bits) {{\n"
            "    return float{n}(as_type<half{n}>(bits));\n}}"
        ),
        "float16_of_float32": (
            "static inline ushort{n} {name}(float{n} x) {{  // to nearest even\n"
            "    return as_type<ushort{n}>(half{n}(x));\n}}"
        ),
    },
    lines=(
        "#include <metal_stdlib>",
        "using namespace metal;",
        "#pragma clang fp contract(off)",
    ),
)  # fmt: skip

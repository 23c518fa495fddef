"""Combining a value into memory that other work-items combine into at the same time.

OpenCL C 1.2 has atomic add, min and max of 32-bit integers only. All else is a loop around
compare-and-exchange: read, combine, and write unless someone else has written meanwhile. A type
of 8 or 16 bits is exchanged as its part of the 32-bit word it lies in (all OpenCL devices that
matter are little-endian, and allocations are whole words).
"""

from __future__ import annotations

from ...dtypes import DType, bfloat16, bool_, float16
from ...errors import DTypeError
from .functions import Functions
from .types import Facts, is_integer, is_rounded, memory_type, register_type

_NATIVE = {"sum": "atomic_add", "max": "atomic_max", "min": "atomic_min"}

_WORD = """\
void {name}(volatile {space} {memory} *place, {value_type} value) {{
    volatile {space} {word} *word = (volatile {space} {word} *)place;
    {word} old, seen = {exchange}(word, 0, 0);  // reads it, atomically
    do {{
        old = seen;
        const {word} new = {new};
        if (new == old)
            break;
        seen = {exchange}(word, old, new);
    }} while (seen != old);
}}"""

_PART_OF_WORD = """\
void {name}(volatile {space} {memory} *place, {value_type} value) {{
    const uint byte = (uint)((size_t)place & 3);
    const uint shift = 8 * byte, kept = ~({ones} << shift);
    volatile {space} uint *word = (volatile {space} uint *)((volatile {space} uchar *)place - byte);
    uint old, seen = atomic_cmpxchg(word, 0, 0);  // reads it, atomically
    do {{
        old = seen;
        const {part} before = ({part})(old >> shift);
        const {part} new = {new};
        if (new == before)
            break;
        seen = atomic_cmpxchg(word, old, (old & kept) | ((uint)new << shift));
    }} while (seen != old);
}}"""


def atomic(functions: Functions, facts: Facts, dtype: DType, op: str, scope: str) -> str:
    """The name of the function (pointer, value) that combines atomically in global or local memory.

    Raises DTypeError where the device cannot.
    """
    element = register_type(dtype, facts)
    if element in ("int", "uint") and op in _NATIVE:
        return _NATIVE[op]
    if dtype.itemsize == 8 and not facts.int64_atomics:
        raise DTypeError(
            f"{dtype}: {facts.name} cannot add up atomically in 64 bits "
            "(cl_khr_int64_base_atomics); use a 32-bit dtype"
        )
    name = f"atomic_{op}_{dtype}_{scope}"
    word = {1: "uchar", 2: "ushort", 4: "uint", 8: "ulong"}[dtype.itemsize]
    seen = "old" if dtype.itemsize >= 4 else "before"
    template = _WORD if dtype.itemsize >= 4 else _PART_OF_WORD
    text = template.format(
        name=name, space=f"__{scope}", memory=_pointee(dtype), value_type=element, word=word,
        part=word, ones={1: "0xffu", 2: "0xffffu"}.get(dtype.itemsize),
        exchange="atomic_cmpxchg" if dtype.itemsize < 8 else "atom_cmpxchg",
        new=_combined(functions, facts, dtype, op, seen, word),
    )  # fmt: skip
    return functions.atomic(name, text)


def _pointee(dtype: DType) -> str:
    """half needs arithmetic to be declared in local memory, so there it is its bits."""
    return "void" if dtype == float16 else memory_type(dtype)


def _combined(
    functions: Functions, facts: Facts, dtype: DType, op: str, seen: str, word: str
) -> str:
    """The bits of op(the bits `seen`, value)."""
    element = register_type(dtype, facts)
    if dtype == bool_:
        return f"{seen} | value" if op in ("sum", "max") else f"{seen} & value"
    if is_integer(element):
        if op in ("max", "min"):
            return f"({word}){op}(({element}){seen}, value)"
        sign = "+" if op == "sum" else "*"
        wide = "ulong" if dtype.itemsize == 8 else "uint"  # unsigned, for overflow to wrap
        return f"({word})({seen} {sign} ({wide})value)"
    if is_rounded(dtype, facts):
        kind = "bfloat" if dtype == bfloat16 else "half"
        x, bits = f"{functions.value16(kind, 1)}({seen})", functions.bits16(kind, 1)
    else:
        x, bits = f"as_{element}({seen})", f"as_{word}"
    if op in ("max", "min"):
        return f"{bits}({functions.extreme(op, element, 1)}({x}, value))"
    return f"{bits}({x} {'+' if op == 'sum' else '*'} value)"

"""Values to and from memory, and to other dtypes.

In memory bools are bytes, and float16 and bfloat16 take two; as values, bools are single bits and
the 16-bit floats are float32 numbers rounded to what 16 bits can hold. Nothing here is ever
undefined: floats too large for an integer, and nan, become what x86 makes of them.
"""

from __future__ import annotations

from ...dtypes import DType, bfloat16, bool_, float16, float32, float64, int32, uint64
from .notation import constant, literal, memory_type, splat, suffix, value_type, vector_of
from .target import Target
from .writer import Writer


def from_memory(w: Writer, target: Target, dtype: DType, lanes: int, x: str) -> str:
    """The value of elements as they lie in memory."""
    if dtype == bool_:
        return w.write("bit", f"icmp ne {memory_type(dtype, lanes)} {x}, {splat('i8', '0', lanes)}")
    if dtype == float16:
        if target.half:
            return w.write(
                "wide", f"fpext {vector_of('half', lanes)} {x} to {value_type(float32, lanes)}"
            )
        return _half_bits_to_float(w, lanes, x)
    if dtype == bfloat16:
        return _bfloat16_to_float(w, lanes, x)
    return x


def to_memory(w: Writer, target: Target, dtype: DType, lanes: int, x: str) -> str:
    """A value as it lies in memory; 16-bit floats are rounded, halves to even."""
    if dtype == bool_:
        return w.write(
            "byte", f"zext {value_type(dtype, lanes)} {x} to {memory_type(dtype, lanes)}"
        )
    if dtype == float16:
        if target.half:
            return w.write(
                "half", f"fptrunc {value_type(float32, lanes)} {x} to {vector_of('half', lanes)}"
            )
        return _float_to_half_bits(w, lanes, x)
    if dtype == bfloat16:
        return _float_to_bfloat16(w, lanes, x)
    return x


class _Bits:
    """Shorthand for arithmetic on the bits of float32 vectors."""

    def __init__(self, w: Writer, lanes: int) -> None:
        self.w, self.lanes = w, lanes
        self.i32, self.f32 = vector_of("i32", lanes), vector_of("float", lanes)
        self.i1, self.i16 = vector_of("i1", lanes), vector_of("i16", lanes)

    def number(self, value: int) -> str:
        return splat("i32", str(value), self.lanes)

    def do(self, instruction: str, x: str, y: str | int) -> str:
        other = self.number(y) if isinstance(y, int) else y
        return self.w.write("bits", f"{instruction} {self.i32} {x}, {other}")

    def pick(self, condition: str, x: str | int, y: str | int) -> str:
        a = self.number(x) if isinstance(x, int) else x
        b = self.number(y) if isinstance(y, int) else y
        return self.w.write("bits", f"select {self.i1} {condition}, {self.i32} {a}, {self.i32} {b}")

    def of_float(self, x: str) -> str:
        return self.w.write("bits", f"bitcast {self.f32} {x} to {self.i32}")

    def to_float(self, bits: str) -> str:
        return self.w.write("real", f"bitcast {self.i32} {bits} to {self.f32}")

    def widen(self, x: str) -> str:
        return self.w.write("bits", f"zext {self.i16} {x} to {self.i32}")

    def narrow(self, x: str) -> str:
        return self.w.write("bits", f"trunc {self.i32} {x} to {self.i16}")


def _bfloat16_to_float(w: Writer, lanes: int, x: str) -> str:
    bits = _Bits(w, lanes)
    return bits.to_float(bits.do("shl", bits.widen(x), 16))


def _float_to_bfloat16(w: Writer, lanes: int, x: str) -> str:
    """Add half of the last place that stays, less one where that place is even; keep nan nan."""
    bits = _Bits(w, lanes)
    b = bits.of_float(x)
    odd = bits.do("and", bits.do("lshr", b, 16), 1)
    up = bits.do("lshr", bits.do("add", bits.do("add", b, 0x7FFF), odd), 16)
    nan = w.write("nan", f"fcmp uno {bits.f32} {x}, {x}")
    return bits.narrow(bits.pick(nan, 0x7FC0, up))


def _half_bits_to_float(w: Writer, lanes: int, x: str) -> str:
    """float16 without the instruction: shift exponent and mantissa into place and scale by 2**112,
    which is exact for subnormals too."""
    bits = _Bits(w, lanes)
    raw = w.write("bits", f"bitcast {vector_of('half', lanes)} {x} to {bits.i16}")
    b = bits.widen(raw)
    sign = bits.do("shl", bits.do("and", b, 0x8000), 16)
    size = bits.do("and", b, 0x7FFF)
    scale = splat("float", literal(2.0**112, float32), lanes)
    real = bits.to_float(bits.do("shl", size, 13))
    scaled = bits.of_float(w.write("real", f"fmul {bits.f32} {real}, {scale}"))
    special = w.write("special", f"icmp uge {bits.i32} {size}, {bits.number(0x7C00)}")
    wide = bits.pick(special, bits.do("or", scaled, 0x7F800000), scaled)
    return bits.to_float(bits.do("or", wide, sign))


def _float_to_half_bits(w: Writer, lanes: int, x: str) -> str:
    """float32 to float16 without the instruction. Normal numbers: as for bfloat16, with the
    exponent moved; subnormal ones: adding 0.5 lets the float unit round at the right place."""
    bits = _Bits(w, lanes)
    b = bits.of_float(x)
    sign = bits.do("lshr", bits.do("and", b, -0x80000000), 16)
    size = bits.do("and", b, 0x7FFFFFFF)
    odd = bits.do("and", bits.do("lshr", size, 13), 1)
    normal = bits.do("add", bits.do("add", size, ((15 - 127) << 23) + 0xFFF), odd)
    normal = bits.do("lshr", normal, 13)
    half = splat("float", literal(0.5, float32), lanes)
    moved = bits.of_float(w.write("real", f"fadd {bits.f32} {bits.to_float(size)}, {half}"))
    tiny = bits.do("sub", moved, 126 << 23)
    is_tiny = w.write("tiny", f"icmp ult {bits.i32} {size}, {bits.number(0x38800000)}")
    is_huge = w.write("huge", f"icmp uge {bits.i32} {size}, {bits.number(0x47800000)}")
    is_nan = w.write("nan", f"icmp ugt {bits.i32} {size}, {bits.number(0x7F800000)}")
    result = bits.pick(is_tiny, tiny, normal)
    result = bits.pick(is_huge, bits.pick(is_nan, 0x7E00, 0x7C00), result)
    narrow = bits.narrow(bits.do("or", result, sign))
    return w.write("half", f"bitcast {bits.i16} {narrow} to {vector_of('half', lanes)}")


def rounded(w: Writer, target: Target, dtype: DType, lanes: int, x: str) -> str:
    """A float32 rounded to what a 16-bit dtype can hold; other dtypes as they are."""
    if dtype == float16:
        return from_memory(w, target, dtype, lanes, to_memory(w, target, dtype, lanes, x))
    if dtype == bfloat16:
        return _bfloat16_to_float(w, lanes, _float_to_bfloat16(w, lanes, x))
    return x


def cast(w: Writer, target: Target, source: DType, dtype: DType, lanes: int, x: str) -> str:
    """x converted: to bool is x != 0, float to integer truncates, integers wrap."""
    if source == dtype:
        return x
    before, after = value_type(source, lanes), value_type(dtype, lanes)
    if dtype == bool_:
        compare = "fcmp une" if source.is_float else "icmp ne"
        return w.write("bit", f"{compare} {before} {x}, {constant(0, source, lanes)}")
    if source.is_float and dtype.is_float:
        return _float_to_float(w, target, source, dtype, lanes, x)
    if source.is_float:
        return _float_to_int(w, source, dtype, lanes, x)
    if dtype.is_float:
        name = "sitofp" if source.kind == "int" else "uitofp"
        result = w.write("real", f"{name} {before} {x} to {after}")
        return rounded(w, target, dtype, lanes, result)
    if source.itemsize == dtype.itemsize and source != bool_:
        return x
    if dtype.itemsize < source.itemsize:
        return w.write("int", f"trunc {before} {x} to {after}")
    return w.write("int", f"{'sext' if source.kind == 'int' else 'zext'} {before} {x} to {after}")


def _float_to_float(
    w: Writer, target: Target, source: DType, dtype: DType, lanes: int, x: str
) -> str:
    """Between floats; float64 becomes a 16-bit float by way of float32."""
    before, after = value_type(source, lanes), value_type(dtype, lanes)
    if dtype == float64:
        return w.write("wide", f"fpext {before} {x} to {after}")
    if source == float64:
        x = w.write("narrow", f"fptrunc {before} {x} to {value_type(float32, lanes)}")
    return rounded(w, target, dtype, lanes, x)


def _float_to_int(w: Writer, source: DType, dtype: DType, lanes: int, x: str) -> str:
    """Beyond int32 or int64, and for nan, that type's smallest value, as x86 converts. Smaller
    types wrap from int32, uint32 from int64."""
    before, after = value_type(source, lanes), value_type(dtype, lanes)
    condition = value_type(bool_, lanes)

    def convert(x: str, bits: int) -> str:
        kind = vector_of(f"i{bits}", lanes)
        limit = constant(2.0 ** (bits - 1), source, lanes)
        name = f"llvm.fabs.{suffix(source if source == float64 else float32, lanes)}"
        size = w.call("size", before, name, (before, x))
        fits = w.write("fits", f"fcmp olt {before} {size}, {limit}")
        cut = w.write("cut", f"fptosi {before} {x} to {kind}")
        least = splat(f"i{bits}", str(-(1 << (bits - 1))), lanes)
        return w.write("int", f"select {condition} {fits}, {kind} {cut}, {kind} {least}")

    if dtype == uint64:
        top = constant(2.0**63, source, lanes)
        is_low = w.write("low", f"fcmp ult {before} {x}, {top}")
        rest = w.write("rest", f"fsub {before} {x}, {top}")
        low, high = convert(x, 64), convert(rest, 64)
        high = w.write("int", f"xor {after} {high}, {splat('i64', str(-(1 << 63)), lanes)}")
        return w.write("int", f"select {condition} {is_low}, {after} {low}, {after} {high}")
    if dtype.itemsize == 8:
        return convert(x, 64)
    if dtype == int32:
        return convert(x, 32)
    bits = 64 if dtype.itemsize == 4 else 32
    return w.write("int", f"trunc {vector_of(f'i{bits}', lanes)} {convert(x, bits)} to {after}")


def bitcast(w: Writer, target: Target, source: DType, dtype: DType, lanes: int, x: str) -> str:
    """x's bits, as they lie in memory, as another dtype of the same size."""
    stored = to_memory(w, target, source, lanes, x)
    before, after = memory_type(source, lanes), memory_type(dtype, lanes)
    if before != after:
        stored = w.write("bits", f"bitcast {before} {stored} to {after}")
    return from_memory(w, target, dtype, lanes, stored)

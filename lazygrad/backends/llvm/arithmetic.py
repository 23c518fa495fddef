"""Operations and casts on values, as LLVM instructions with the graph's exact meaning.

Nothing here is ever poison or undefined: shifts beyond the width, division by zero, the smallest
integer divided by -1 and floats too large for an integer all have a value. Arithmetic on float16
and bfloat16 is done in float32 and rounded after each operation.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence

import numpy as np

from ...dtypes import DType, bfloat16, bool_, float16, float32, float64, int32, uint64
from ...expr import Broadcast, Expr, Literal, Op
from ...index import UNBOUNDED, bounds
from .target import Target
from .writer import VALUE_TYPES, Writer, memory_type, splat, value_type, vector_of


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


def operate(w: Writer, target: Target, e: Op, args: Sequence[str]) -> str:
    """Write an operation on values that are all as wide as e; returns the result's name."""
    dtype = e.args[-1].dtype
    if e.op == "where":
        kind, condition = value_type(dtype, e.lanes), value_type(bool_, e.lanes)
        return w.write("where", f"select {condition} {args[0]}, {kind} {args[1]}, {kind} {args[2]}")
    if dtype == bool_:
        return _operate_bool(w, e.op, e.lanes, args)
    if dtype.is_int:
        return _operate_int(w, e, dtype, args)
    return _operate_float(w, target, e, dtype, args)


# --------------------------------------------------------------------------- bool

_BOOL = {"add": "or", "or": "or", "max": "or", "mul": "and", "and": "and", "min": "and",
         "floordiv": "and", "sub": "xor", "xor": "xor"}  # fmt: skip
_BOOL_COMPARISONS = {"lt": "ult", "le": "ule", "eq": "eq", "ne": "ne"}


def _operate_bool(w: Writer, op: str, lanes: int, args: Sequence[str]) -> str:
    kind = value_type(bool_, lanes)
    if op in _BOOL:
        return w.write(op, f"{_BOOL[op]} {kind} {args[0]}, {args[1]}")
    if op in _BOOL_COMPARISONS:
        return w.write(op, f"icmp {_BOOL_COMPARISONS[op]} {kind} {args[0]}, {args[1]}")
    if op == "not":
        return w.write(op, f"xor {kind} {args[0]}, {constant(True, bool_, lanes)}")
    if op in ("abs", "neg"):
        return args[0]
    if op == "mod":  # x % True is 0, and x % False is 0
        return constant(False, bool_, lanes)
    if op in ("shl", "shr"):  # by 1 is by the width
        stays = w.write("stays", f"xor {kind} {args[1]}, {constant(True, bool_, lanes)}")
        return w.write(op, f"and {kind} {args[0]}, {stays}")
    raise NotImplementedError(f"{op} of bool")


# --------------------------------------------------------------------------- integers

_INT = {"add": "add", "sub": "sub", "mul": "mul", "and": "and", "or": "or", "xor": "xor"}


def _operate_int(w: Writer, e: Op, dtype: DType, args: Sequence[str]) -> str:
    op, lanes = e.op, e.lanes
    kind, signed = value_type(dtype, lanes), dtype.kind == "int"
    if op in _INT:
        low, high = bounds(e)
        # Inside the bounds of 62 bits nothing wraps: LLVM may then widen and reorder addresses.
        exact = " nsw" if e.dtype.itemsize == 8 and -UNBOUNDED < low and high < UNBOUNDED else ""
        flag = exact if op in ("add", "sub", "mul") else ""
        return w.write(op, f"{_INT[op]}{flag} {kind} {args[0]}, {args[1]}")
    if op in ("lt", "le", "eq", "ne"):
        condition = op if op in ("eq", "ne") else ("s" if signed else "u") + op
        return w.write(op, f"icmp {condition} {kind} {args[0]}, {args[1]}")
    if op in ("max", "min"):
        name = f"llvm.{'s' if signed else 'u'}{op}.{suffix(dtype, lanes)}"
        return w.call(op, kind, name, (kind, args[0]), (kind, args[1]))
    if op == "neg":
        return w.write(op, f"sub {kind} {constant(0, dtype, lanes)}, {args[0]}")
    if op == "not":
        return w.write(op, f"xor {kind} {args[0]}, {constant(-1, dtype, lanes)}")
    if op == "abs":
        if not signed:
            return args[0]
        return w.call(
            op, kind, f"llvm.abs.{suffix(dtype, lanes)}", (kind, args[0]), ("i1", "false")
        )
    if op in ("shl", "shr"):
        return _shift(w, op, dtype, lanes, args)
    if op in ("floordiv", "mod"):
        return _divide(w, e, dtype, args)
    raise NotImplementedError(f"{op} of {dtype}")


def _shift(w: Writer, op: str, dtype: DType, lanes: int, args: Sequence[str]) -> str:
    """x << y or x >> y, where a y that is the width or more (as an unsigned number) empties x."""
    kind, signed, bits = value_type(dtype, lanes), dtype.kind == "int", 8 * dtype.itemsize
    inside = w.write("inside", f"icmp ult {kind} {args[1]}, {splat(f'i{bits}', str(bits), lanes)}")
    condition = value_type(bool_, lanes)
    if op == "shr" and signed:  # the last place is all sign bits
        last = splat(f"i{bits}", str(bits - 1), lanes)
        y = w.write("count", f"select {condition} {inside}, {kind} {args[1]}, {kind} {last}")
        return w.write(op, f"ashr {kind} {args[0]}, {y}")
    zero = constant(0, dtype, lanes)
    y = w.write("count", f"select {condition} {inside}, {kind} {args[1]}, {kind} {zero}")
    shifted = w.write(op, f"{'shl' if op == 'shl' else 'lshr'} {kind} {args[0]}, {y}")
    return w.write(op, f"select {condition} {inside}, {kind} {shifted}, {kind} {zero}")


def _divide(w: Writer, e: Op, dtype: DType, args: Sequence[str]) -> str:
    """Division rounded down, and its remainder; 0 where the divisor is 0."""
    x, divisor = e.args
    kind, lanes, op = value_type(dtype, e.lanes), e.lanes, e.op
    if isinstance(divisor, Broadcast):
        divisor = divisor.x
    if isinstance(divisor, Literal) and int(divisor.value) > 0:
        if dtype.kind == "uint" or bounds(x)[0] >= 0:
            return w.write(
                op, f"{'udiv' if op == 'floordiv' else 'urem'} {kind} {args[0]}, {args[1]}"
            )
        c = int(divisor.value)
        if c & (c - 1) == 0:
            amount = c.bit_length() - 1 if op == "floordiv" else c - 1
            text = constant(amount, dtype, lanes)
            return w.write(op, f"{'ashr' if op == 'floordiv' else 'and'} {kind} {args[0]}, {text}")
        return _floor_division(w, op, dtype, lanes, args[0], args[1])
    condition, zero = value_type(bool_, lanes), constant(0, dtype, lanes)
    one = constant(1, dtype, lanes)
    by_zero = w.write("by_zero", f"icmp eq {kind} {args[1]}, {zero}")
    if dtype.kind == "uint":
        safe = w.write("safe", f"select {condition} {by_zero}, {kind} {one}, {kind} {args[1]}")
        name = "udiv" if op == "floordiv" else "urem"
        result = w.write(op, f"{name} {kind} {args[0]}, {safe}")
        return w.write(op, f"select {condition} {by_zero}, {kind} {zero}, {kind} {result}")
    # The processor traps on the smallest integer / -1 as it does on / 0: divide by 1 instead.
    minus = w.write("minus", f"icmp eq {kind} {args[1]}, {constant(-1, dtype, lanes)}")
    trap = w.write("trap", f"or {condition} {by_zero}, {minus}")
    safe = w.write("safe", f"select {condition} {trap}, {kind} {one}, {kind} {args[1]}")
    result = _floor_division(w, op, dtype, lanes, args[0], safe)
    if op == "floordiv":
        negated = w.write("negated", f"sub {kind} {zero}, {args[0]}")
        result = w.write(op, f"select {condition} {minus}, {kind} {negated}, {kind} {result}")
    return w.write(op, f"select {condition} {by_zero}, {kind} {zero}, {kind} {result}")


def _floor_division(w: Writer, op: str, dtype: DType, lanes: int, x: str, y: str) -> str:
    """From the division that rounds towards zero; y is neither 0 nor -1."""
    kind, condition, zero = (
        value_type(dtype, lanes),
        value_type(bool_, lanes),
        constant(0, dtype, lanes),
    )
    remainder = w.write("rest", f"srem {kind} {x}, {y}")
    inexact = w.write("inexact", f"icmp ne {kind} {remainder}, {zero}")
    signs = w.write("signs", f"xor {kind} {remainder}, {y}")
    differ = w.write("differ", f"icmp slt {kind} {signs}, {zero}")
    below = w.write("below", f"and {condition} {inexact}, {differ}")
    if op == "mod":
        step = w.write("step", f"select {condition} {below}, {kind} {y}, {kind} {zero}")
        return w.write(op, f"add {kind} {remainder}, {step}")
    quotient = w.write("quotient", f"sdiv {kind} {x}, {y}")
    step = w.write("step", f"sext {condition} {below} to {kind}")
    return w.write(op, f"add {kind} {quotient}, {step}")


# --------------------------------------------------------------------------- floats

_FLOAT = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
_FLOAT_COMPARISONS = {"lt": "olt", "le": "ole", "eq": "oeq", "ne": "une"}
_INTRINSICS = {"abs": "fabs", "sqrt": "sqrt", "floor": "floor", "ceil": "ceil", "trunc": "trunc",
               "round": "roundeven", "pow": "pow", "fma": "fma"}  # fmt: skip
# Of 16-bit floats these give one of their operands, or a value that needs no rounding.
_EXACT = frozenset(("neg", "abs", "floor", "ceil", "trunc", "round", "max", "min"))


def _operate_float(w: Writer, target: Target, e: Op, dtype: DType, args: Sequence[str]) -> str:
    op, lanes = e.op, e.lanes
    kind = value_type(dtype, lanes)
    if op in _FLOAT_COMPARISONS:
        return w.write(op, f"fcmp {_FLOAT_COMPARISONS[op]} {kind} {args[0]}, {args[1]}")
    if op in _FLOAT:
        result = w.write(op, f"{_FLOAT[op]} {kind} {args[0]}, {args[1]}")
    elif op in ("max", "min"):
        result = _extreme(w, target, e, dtype, args)
    elif op == "neg":
        result = w.write(op, f"fneg {kind} {args[0]}")
    elif op in _INTRINSICS:
        computed = float32 if dtype.itemsize == 2 else dtype
        name = f"llvm.{_INTRINSICS[op]}.{suffix(computed, lanes)}"
        result = w.call(op, kind, name, *((kind, arg) for arg in args))
    elif op in ("floordiv", "mod"):
        result = _divide_floats(w, op, dtype, lanes, args)
    else:
        raise NotImplementedError(f"{op} of {dtype}")
    return result if op in _EXACT else rounded(w, target, dtype, lanes, result)


def rounded(w: Writer, target: Target, dtype: DType, lanes: int, x: str) -> str:
    """A float32 rounded to what a 16-bit dtype can hold; other dtypes as they are."""
    if dtype == float16:
        return from_memory(w, target, dtype, lanes, to_memory(w, target, dtype, lanes, x))
    if dtype == bfloat16:
        return _bfloat16_to_float(w, lanes, _float_to_bfloat16(w, lanes, x))
    return x


def _extreme(w: Writer, target: Target, e: Op, dtype: DType, args: Sequence[str]) -> str:
    """max or min; nan where either is nan. Which of 0.0 and -0.0 is larger is left open."""
    lanes, condition = e.lanes, value_type(bool_, e.lanes)
    kind = value_type(dtype, lanes)
    if not target.x86:
        computed = float32 if dtype.itemsize == 2 else dtype
        name = f"llvm.{'maximum' if e.op == 'max' else 'minimum'}.{suffix(computed, lanes)}"
        return w.call(e.op, kind, name, (kind, args[0]), (kind, args[1]))
    # x86 has max(x, y) = x > y ? x : y, so a nan in y passes; with x a constant that is all.
    x, y = (args[1], args[0]) if _is_number(e.args[1]) else (args[0], args[1])
    compare = "ogt" if e.op == "max" else "olt"
    first = w.write("first", f"fcmp {compare} {kind} {x}, {y}")
    result = w.write(e.op, f"select {condition} {first}, {kind} {x}, {kind} {y}")
    if _is_number(e.args[0]) or _is_number(e.args[1]):
        return result
    nan = w.write("nan", f"fcmp uno {kind} {x}, {x}")
    return w.write(e.op, f"select {condition} {nan}, {kind} {x}, {kind} {result}")


def _is_number(e: Expr) -> bool:
    if isinstance(e, Broadcast):
        e = e.x
    return isinstance(e, Literal) and not math.isnan(e.value)


def _divide_floats(w: Writer, op: str, dtype: DType, lanes: int, args: Sequence[str]) -> str:
    """The remainder exactly, as C's fmod with y added where its sign is not y's, and the quotient
    that belongs to it, as NumPy and Python have them."""
    x, y = args
    kind, condition = value_type(dtype, lanes), value_type(bool_, lanes)
    ending = suffix(float32 if dtype.itemsize == 2 else dtype, lanes)
    zero = constant(0.0, dtype, lanes)
    rest = w.write("rest", f"frem {kind} {x}, {y}")
    some = w.write("some", f"fcmp une {kind} {rest}, {zero}")
    y_below = w.write("below", f"fcmp olt {kind} {y}, {zero}")
    rest_below = w.write("below", f"fcmp olt {kind} {rest}, {zero}")
    differ = w.write("differ", f"xor {condition} {y_below}, {rest_below}")
    moves = w.write("moves", f"and {condition} {some}, {differ}")
    if op == "mod":
        moved = w.write("moved", f"fadd {kind} {rest}, {y}")
        signed = w.call("signed", kind, f"llvm.copysign.{ending}", (kind, zero), (kind, y))
        by_zero = w.write("by_zero", f"fcmp oeq {kind} {y}, {zero}")
        exact = w.write("exact", f"select {condition} {by_zero}, {kind} {rest}, {kind} {signed}")
        inexact = w.write("inexact", f"select {condition} {moves}, {kind} {moved}, {kind} {rest}")
        return w.write(op, f"select {condition} {some}, {kind} {inexact}, {kind} {exact}")
    ratio = w.write("ratio", f"fdiv {kind} {x}, {y}")
    difference = w.write("difference", f"fsub {kind} {x}, {rest}")
    quotient = w.write("quotient", f"fdiv {kind} {difference}, {y}")
    less = w.write("less", f"fsub {kind} {quotient}, {constant(1.0, dtype, lanes)}")
    quotient = w.write("quotient", f"select {condition} {moves}, {kind} {less}, {kind} {quotient}")
    whole = w.call("whole", kind, f"llvm.roundeven.{ending}", (kind, quotient))
    sign = w.call("sign", kind, f"llvm.copysign.{ending}", (kind, zero), (kind, ratio))
    none = w.write("none", f"fcmp oeq {kind} {quotient}, {zero}")
    whole = w.write("whole", f"select {condition} {none}, {kind} {sign}, {kind} {whole}")
    by_zero = w.write("by_zero", f"fcmp oeq {kind} {y}, {zero}")
    return w.write(op, f"select {condition} {by_zero}, {kind} {ratio}, {kind} {whole}")


# --------------------------------------------------------------------------- memory and casts


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
    """What the processor's conversion gives: beyond int32 or int64, that type's smallest value on
    x86. Smaller types wrap from int32, uint32 from int64. `freeze` keeps LLVM from drawing
    conclusions from floats that fit no integer."""
    before, after = value_type(source, lanes), value_type(dtype, lanes)

    def convert(x: str, bits: int) -> str:
        kind = vector_of(f"i{bits}", lanes)
        cut = w.write("cut", f"fptosi {before} {x} to {kind}")
        return w.write("int", f"freeze {kind} {cut}")

    if dtype == uint64:
        top = constant(2.0**63, source, lanes)
        fits = w.write("fits", f"fcmp olt {before} {x}, {top}")
        rest = w.write("rest", f"fsub {before} {x}, {top}")
        low, high = convert(x, 64), convert(rest, 64)
        high = w.write("int", f"xor {after} {high}, {splat('i64', str(-(1 << 63)), lanes)}")
        condition = value_type(bool_, lanes)
        return w.write("int", f"select {condition} {fits}, {after} {low}, {after} {high}")
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


# --------------------------------------------------------------------------- lanes


def reduce_lanes(
    w: Writer, dtype: DType, lanes: int, x: str, combine: Callable[[int, str, str], str]
) -> str:
    """The lanes combined as a tree: the upper half with the lower, until one is left.

    `combine(lanes, x, y)` writes the operation on vectors of so many lanes. An odd lane out is
    carried along.
    """
    scalar = VALUE_TYPES[dtype.name]
    left: list[str] = []  # lanes that had no partner, as scalars
    while lanes > 1:
        kind, half = vector_of(scalar, lanes), lanes // 2
        if lanes % 2:
            left.append(w.write("lane", f"extractelement {kind} {x}, i64 {lanes - 1}"))
        if half == 1:
            low = w.write("lane", f"extractelement {kind} {x}, i64 0")
            high = w.write("lane", f"extractelement {kind} {x}, i64 1")
        else:
            low = shuffle(w, kind, x, "poison", range(half))
            high = shuffle(w, kind, x, "poison", range(half, 2 * half))
        x, lanes = combine(half, low, high), half
    for lane in left:
        x = combine(1, x, lane)
    return x


def shuffle(w: Writer, kind: str, x: str, y: str, lanes: Sequence[int]) -> str:
    """Lanes picked from x and y, counted through both."""
    mask = ", ".join(f"i32 {lane}" for lane in lanes)
    return w.write("lanes", f"shufflevector {kind} {x}, {kind} {y}, <{len(lanes)} x i32> <{mask}>")

"""Floats: 16-bit ones computed in float32, division that rounds down, conversions to integers."""

from __future__ import annotations

from functools import lru_cache

from ...dtypes import (
    DType,
    bfloat16,
    bool_,
    float16,
    float32,
    int32,
    int64,
    is_low_precision,
    uint16,
    uint32,
    uint64,
)
from ...expr import EVERY_OPERATION, OPERATIONS, Bitcast, Cast, Expr, Literal, Op, cast
from ...targets import Native
from .functions import FORMATS
from .rules import Rules, lit, op, where

NARROW, HALVES, DIVISION, CONVERSIONS = Rules(), Rules(), Rules(), Rules()
TRUNCATION, MAXIMA = Rules(), Rules()

# --------------------------------------------------------------------------- 16 bits


def _is_narrow(dtype: DType, native: Native) -> bool:
    """Whether a dtype is only stored, and computed with in float32."""
    return is_low_precision(dtype) and not (dtype == float16 and native.half_arithmetic)


@lru_cache(maxsize=1 << 14)
def _needs_no_rounding(e: Expr, dtype: DType) -> bool:
    """Whether a float32 is surely one of a 16-bit dtype's values."""
    match e:
        case Cast(x=x):
            return x.dtype == dtype
        case Literal(value=value):
            return value != value or float(dtype.numpy.type(value)) == value
        case Op(op="where", args=(_, x, y)):
            return _needs_no_rounding(x, dtype) and _needs_no_rounding(y, dtype)
        case Op():
            return EVERY_OPERATION[e.op].is_exact and all(
                _needs_no_rounding(x, dtype) for x in e.args
            )
    return False


@NARROW.rule(*OPERATIONS, kinds="h")
def compute_in_float32(e: Op, native: Native) -> Expr | None:
    """op(x, y)  ->  float16(op(float32(x), float32(y)))  of a 16-bit float that is only stored"""
    dtype = e.args[-1].dtype
    if not _is_narrow(dtype, native):
        return None
    args = tuple(cast(x, float32) if x.dtype == dtype else x for x in e.args)
    return cast(Op(e.op, args), e.dtype)


@NARROW.rule(Cast)
def widen_what_was_narrowed(e: Cast, native: Native) -> Expr | None:
    """float32(float16(x))  ->  x  where x needs no rounding"""
    match e.x:
        case Cast(x=x) if is_low_precision(e.x.dtype) and e.dtype == x.dtype == float32:
            return x if _needs_no_rounding(x, e.x.dtype) else None
        case Literal(value=value) if _is_narrow(e.x.dtype, native) and e.dtype == float32:
            return Literal(float(e.x.dtype.numpy.type(value)), float32)
    return None


@NARROW.rule(Cast)
def convert_by_way_of_float32(e: Cast, native: Native) -> Expr | None:
    """int32(x)  ->  int32(float32(x)),   float16(n)  ->  float16(float32(n))  and the like"""
    narrow = is_low_precision(e.x.dtype) or is_low_precision(e.dtype)
    return (
        cast(cast(e.x, float32), e.dtype)
        if narrow and float32 not in (e.x.dtype, e.dtype)
        else None
    )


def _bits(e: Expr, name: str, number: int) -> Expr:
    """An operation on bits and a constant."""
    return op(name, e, lit(number, e))


@HALVES.rule(Cast)
def widen_bfloat16(e: Cast, native: Native) -> Expr | None:
    """float32(x)  ->  bits(x) << 16  of a bfloat16"""
    if e.x.dtype != bfloat16:
        return None
    return Bitcast(_bits(cast(Bitcast(e.x, uint16), uint32), "shl", 16), float32)


@HALVES.rule(Cast)
def narrow_to_bfloat16(e: Cast, native: Native) -> Expr | None:
    """bfloat16(x)  ->  (b + 0x7fff + (b >> 16 & 1)) >> 16  of x's bits b, halves to even;
    nan stays nan"""
    if e.dtype != bfloat16:
        return None
    b = Bitcast(e.x, uint32)
    odd = _bits(_bits(b, "shr", 16), "and", 1)
    up = _bits(op("add", _bits(b, "add", 0x7FFF), odd), "shr", 16)
    rounded = where(op("ne", e.x, e.x), lit(0x7FC0, b), up)
    return Bitcast(cast(rounded, uint16), bfloat16)


@HALVES.rule(Cast)
def widen_float16(e: Cast, native: Native) -> Expr | None:
    """float32(x)  ->  x's exponent and fraction moved to where float32 has them, times 2**112,
    which is exact for subnormal numbers too; where no instruction does it"""
    if e.x.dtype != float16 or native.half:
        return None
    b = cast(Bitcast(e.x, uint16), uint32)
    sign, size = _bits(_bits(b, "and", 0x8000), "shl", 16), _bits(b, "and", 0x7FFF)
    scale = Literal(2.0**112, float32)
    scaled = Bitcast(op("mul", Bitcast(_bits(size, "shl", 13), float32), scale), uint32)
    is_special = op("le", lit(0x7C00, b), size)
    wide = where(is_special, _bits(scaled, "or", 0x7F800000), scaled)
    return Bitcast(op("or", wide, sign), float32)


@HALVES.rule(Cast)
def narrow_to_float16(e: Cast, native: Native) -> Expr | None:
    """float16(x)  ->  as bfloat16(x), with the exponent moved; for subnormal results x + 0.5 has
    the float unit round at the right place; where no instruction does it"""
    if e.dtype != float16 or native.half:
        return None
    b = Bitcast(e.x, uint32)
    sign = _bits(_bits(b, "and", 0x80000000), "shr", 16)
    size = _bits(b, "and", 0x7FFFFFFF)
    odd = _bits(_bits(size, "shr", 13), "and", 1)
    moved = _bits(size, "add", ((15 - 127) << 23) + 0xFFF + (1 << 32))
    normal = _bits(op("add", moved, odd), "shr", 13)
    tiny = op("add", Bitcast(size, float32), Literal(0.5, float32))
    subnormal = _bits(Bitcast(tiny, uint32), "sub", 126 << 23)
    result = where(op("lt", size, lit(0x38800000, b)), subnormal, normal)
    special = where(op("lt", lit(0x7F800000, b), size), lit(0x7E00, b), lit(0x7C00, b))
    result = where(op("le", lit(0x47800000, b), size), special, result)
    return Bitcast(cast(op("or", result, sign), uint16), float16)


# --------------------------------------------------------------------------- division


@DIVISION.rule("mod", kinds="f")
def float_modulo(e: Op, native: Native) -> Expr | None:
    """x % y  ->  r + (y if r, y differ in sign else 0)  with r = remainder(x, y) != 0;
    0 with y's sign where r is 0, and r where y is 0, as in NumPy"""
    (_, y), zero = e.args, lit(0.0, e)
    rest = op("remainder", *e.args)
    inexact = where(_differ_in_sign(rest, y), op("add", rest, y), rest)
    exact = where(op("eq", y, zero), rest, _signed_zero(y))
    return where(op("ne", rest, zero), inexact, exact)


@DIVISION.rule("floordiv", kinds="f")
def float_floor_division(e: Op, native: Native) -> Expr | None:
    """x // y  ->  round((x - r) / y - (1 if r != 0 and r, y differ in sign else 0))
    with r = remainder(x, y); x / y where y is 0, as in NumPy"""
    (x, y), zero = e.args, lit(0.0, e)
    rest, ratio = op("remainder", x, y), op("div", x, y)
    quotient = op("div", op("sub", x, rest), y)
    below = op("and", op("ne", rest, zero), _differ_in_sign(rest, y))
    quotient = where(below, op("sub", quotient, lit(1.0, e)), quotient)
    whole = where(op("eq", quotient, zero), _signed_zero(ratio), op("round", quotient))
    return where(op("eq", y, zero), ratio, whole)


def _differ_in_sign(x: Expr, y: Expr) -> Expr:
    return op("ne", op("lt", x, lit(0.0, x)), op("lt", y, lit(0.0, y)))


def _signed_zero(sign: Expr) -> Expr:
    """0.0 with the sign of a number."""
    bits = FORMATS[sign.dtype].bits
    top = Literal(1 << (8 * sign.dtype.itemsize - 1), bits)
    return Bitcast(op("and", Bitcast(sign, bits), top), sign.dtype)


# --------------------------------------------------------------------------- conversions


@CONVERSIONS.rule(Cast)
def leave_same_dtype(e: Cast, native: Native) -> Expr | None:
    """float32(x)  ->  x  of a float32"""
    return e.x if e.dtype == e.x.dtype else None


@CONVERSIONS.rule(Cast)
def convert_to_bool(e: Cast, native: Native) -> Expr | None:
    """bool(x)  ->  x != 0"""
    return op("ne", e.x, lit(0, e.x)) if e.dtype == bool_ else None


@TRUNCATION.rule(Cast, kinds="f")
def truncate_to_integer(e: Cast, native: Native) -> Expr | None:
    """int32(x)  ->  int32(x) if abs(x) < 2**31 else -2**31,  as x86 converts; int64 likewise;
    smaller integers wrap from int32, uint32 from int64; uint64 has its own upper half"""
    x, dtype = e.x, e.dtype
    if not dtype.is_int:
        return None
    if dtype in (int32, int64):
        limit = 2.0 ** (8 * dtype.itemsize - 1)
        return where(op("lt", op("abs", x), lit(limit, x)), e, Literal(dtype.min, dtype))
    if dtype != uint64:
        return cast(cast(x, int64 if dtype.itemsize == 4 else int32), dtype)
    top = lit(2.0**63, x)
    high = cast(cast(op("sub", x, top), int64), uint64)
    flipped = op("xor", high, Literal(1 << 63, uint64))
    return where(op("le", top, x), flipped, cast(cast(x, int64), uint64))


@MAXIMA.rule("max", "min", kinds="fh")
def pass_nan_on(e: Op, native: Native) -> Expr | None:
    """max(x, y)  ->  x if x > y or x is nan else y;   min(x, y) likewise, of floats"""
    x, y = e.args
    outside = op("lt", y, x) if e.op == "max" else op("lt", x, y)
    return where(op("or", outside, op("ne", x, x)), x, y)

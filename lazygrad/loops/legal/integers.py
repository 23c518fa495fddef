"""Integers and bools: division that rounds down, shifts of any count, arithmetic on bools.

Nothing is undefined afterwards: no shift is by the width or more, nothing is divided by 0, and the
smallest integer is not divided by -1.
"""

from __future__ import annotations

from ...dtypes import DType, bool_, uint8, uint16, uint32, uint64
from ...expr import OPERATIONS, Expr, Literal, Op, cast
from ...index import bounds, may_wrap
from ...targets import Native
from .rules import Rules, either, is_equal, lit, op, scalar_of, where

CONSTANTS, DIVISION, SHIFTS, BOOLS = Rules(), Rules(), Rules(), Rules()
SIGNS, OVERFLOW, SIDES = Rules(), Rules(), Rules()
_UNSIGNED = {1: uint8, 2: uint16, 4: uint32, 8: uint64}


def unsigned(dtype: DType) -> DType:
    """The unsigned integer of the same size."""
    return _UNSIGNED[dtype.itemsize]


# --------------------------------------------------------------------------- division


@CONSTANTS.rule("floordiv", "mod", kinds="iu")
def divide_by_constant(e: Op, native: Native) -> Expr | None:
    """x // 2**n  ->  x >> n,  x % 2**n  ->  x & (2**n - 1);
    x // c  ->  quotient(x, c),  x % c  ->  remainder(x, c)  where x >= 0 and c > 0"""
    x, y = e.args
    divisor = scalar_of(y)
    if not (isinstance(divisor, Literal) and divisor.value > 0):
        return None
    c, is_quotient = int(divisor.value), e.op == "floordiv"
    if c & (c - 1) == 0:
        number = lit(c.bit_length() - 1 if is_quotient else c - 1, x)
        return op("shr" if is_quotient else "and", x, number)
    if bounds(x)[0] >= 0:
        return op("quotient" if is_quotient else "remainder", x, y)
    return None


@DIVISION.rule("floordiv", "mod", kinds="iu")
def divide_integers(e: Op, native: Native) -> Expr | None:
    """x % y  ->  r + (y if r != 0 and r, y differ in sign else 0)  with r = remainder(x, y);
    x // y  ->  quotient(x, y) - (1 if r != 0 and r, y differ in sign else 0);
    both 0 where y is 0, and by -1 without dividing"""
    x, y = e.args
    zero, one = lit(0, x), lit(1, x)
    by_zero = is_equal(scalar_of(y), 0)
    if e.dtype.kind == "uint":
        safe = where(by_zero, one, y)
        result = op("quotient" if e.op == "floordiv" else "remainder", x, safe)
        return where(by_zero, zero, result)
    by_minus = is_equal(scalar_of(y), -1)
    safe = where(either(by_zero, by_minus), one, y)
    rest = op("remainder", x, safe)
    below = op("and", op("ne", rest, zero), op("lt", op("xor", rest, safe), zero))
    if e.op == "mod":
        return where(by_zero, zero, op("add", rest, where(below, safe, zero)))
    quotient = op("sub", op("quotient", x, safe), where(below, one, zero))
    return where(by_zero, zero, where(by_minus, op("sub", zero, x), quotient))


# --------------------------------------------------------------------------- shifts


@SHIFTS.rule("shl", "shr", kinds="iu")
def shift_by_any_count(e: Op, native: Native) -> Expr | None:
    """x << y  ->  x << (y & (bits - 1)) if unsigned(y) < bits else 0;
    x >> y  ->  the same for unsigned x,  x >> min(unsigned(y), bits - 1)  for signed"""
    x, y = e.args
    bits, kind = 8 * e.dtype.itemsize, unsigned(e.dtype)
    low, high = bounds(y)
    if 0 <= low and high < bits:
        return None
    count = cast(y, kind)
    if e.op == "shr" and e.dtype.kind == "int":
        return op("shr", x, cast(op("min", count, lit(bits - 1, count)), e.dtype))
    shifted = op(e.op, x, op("and", y, lit(bits - 1, y)))
    return where(op("lt", count, lit(bits, count)), shifted, lit(0, x))


# --------------------------------------------------------------------------- bools

_LOGIC = {name: known.of_bools for name, known in OPERATIONS.items() if known.of_bools}


@BOOLS.rule(*_LOGIC, kinds="b")
def compute_bools_by_logic(e: Op, native: Native) -> Expr | None:
    """x + y, max(x, y)  ->  x | y;   x * y, min(x, y), x // y  ->  x & y;   x - y  ->  x ^ y"""
    logic = _LOGIC[e.op]
    return op(logic, *e.args) if logic != e.op else None


@BOOLS.rule("neg", "abs", kinds="bu")
def leave_signless(e: Op, native: Native) -> Expr | None:
    """-x, abs(x)  ->  x  of bools and, for abs, of unsigned integers"""
    signless = e.dtype == bool_ or (e.op == "abs" and e.dtype.kind == "uint")
    return e.args[0] if signless else None


@BOOLS.rule("mod", "shl", "shr", kinds="b")
def empty_bools(e: Op, native: Native) -> Expr | None:
    """x % y  ->  x & False;   x << y, x >> y  ->  x & ~y  of bools"""
    x, y = e.args
    return op("and", x, Literal(False, bool_) if e.op == "mod" else op("not", y))


@BOOLS.rule("not", kinds="b")
def negate_comparison(e: Op, native: Native) -> Expr | None:
    """~(x != y)  ->  x == y,   ~(x == y)  ->  x != y"""
    match e.args[0]:
        case Op(op="ne" | "eq" as name, args=args) if args[0].dtype != bool_:
            return op("eq" if name == "ne" else "ne", *args)
    return None


@BOOLS.rule("lt", "le", "eq", "ne", kinds="b")
def compare_bools_by_logic(e: Op, native: Native) -> Expr | None:
    """x < y  ->  ~x & y;   x <= y  ->  ~x | y;   x == y  ->  ~(x ^ y);   x != y  ->  x ^ y"""
    x, y = e.args
    if e.op in ("lt", "le"):
        return op("and" if e.op == "lt" else "or", op("not", x), y)
    return op("not", op("xor", x, y)) if e.op == "eq" else op("xor", x, y)


@BOOLS.rule("fma", kinds="biu")
def multiply_then_add(e: Op, native: Native) -> Expr | None:
    """fma(x, y, z)  ->  x * y + z  of integers: there is nothing to round"""
    x, y, z = e.args
    return op("add", op("mul", x, y), z)


# --------------------------------------------------------------------------- signs


@SIGNS.rule("neg", kinds="iu")
def negate_by_subtracting(e: Op, native: Native) -> Expr | None:
    """-x  ->  0 - x  of integers"""
    return op("sub", lit(0, e), e.args[0])


@SIGNS.rule("not")
def invert_by_xor(e: Op, native: Native) -> Expr | None:
    """~x  ->  x ^ -1"""
    ones = True if e.dtype == bool_ else -1 if e.dtype.kind == "int" else int(e.dtype.max)
    return op("xor", e.args[0], lit(ones, e))


@SIDES.rule("lt", kinds="i")
def negate_both_sides(e: Op, native: Native) -> Expr | None:
    """-x < c  ->  -c < x  where -x does not overflow"""
    match e.args:
        case Op(op="mul", args=(x, Literal(value=-1))) as left, Literal(value=c):
            return None if may_wrap(left) else op("lt", lit(-c, x), x)
    return None


@OVERFLOW.rule("add", "sub", "mul", "shl", kinds="i")
def wrap_by_unsigned(e: Op, native: Native) -> Expr | None:
    """x + y  ->  int32(uint32(x) + uint32(y))  of integers whose sum may overflow, and so on: where
    the overflow of signed numbers is undefined"""
    if not may_wrap(e):
        return None
    kind = unsigned(e.dtype)
    return cast(Op(e.op, tuple(cast(x, kind) for x in e.args)), e.dtype)


@OVERFLOW.rule("neg", kinds="i")
def negate_without_overflow(e: Op, native: Native) -> Expr | None:
    """-x  ->  0 - x"""
    return op("sub", lit(0, e), e.args[0])


@SIDES.rule("abs", kinds="i")
def choose_sign(e: Op, native: Native) -> Expr | None:
    """abs(x)  ->  0 - x if x < 0 else x  of integers"""
    (x,), zero = e.args, lit(0, e)
    return where(op("lt", x, zero), op("sub", zero, x), x)

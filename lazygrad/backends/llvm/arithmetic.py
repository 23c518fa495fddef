"""Operations on values, as LLVM instructions with the graph's exact meaning.

Nothing here is ever poison or undefined: shifts beyond the width, division by zero and the smallest
integer divided by -1 all have a value. Arithmetic on float16 and bfloat16 is done in float32 and
rounded after each operation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...dtypes import DType, bool_, float32
from ...expr import OPERATIONS, Broadcast, Literal, Op
from ...index import UNBOUNDED, bounds
from .conversions import rounded
from .notation import VALUE_TYPES, constant, splat, suffix, value_type, vector_of
from .target import Target
from .writer import Writer


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


def _operate_float(w: Writer, target: Target, e: Op, dtype: DType, args: Sequence[str]) -> str:
    op, lanes = e.op, e.lanes
    kind = value_type(dtype, lanes)
    if op in _FLOAT_COMPARISONS:
        return w.write(op, f"fcmp {_FLOAT_COMPARISONS[op]} {kind} {args[0]}, {args[1]}")
    if op in _FLOAT:
        result = w.write(op, f"{_FLOAT[op]} {kind} {args[0]}, {args[1]}")
    elif op in ("max", "min"):
        # nan where either is nan; nsz: which of 0.0 and -0.0 is larger is left open
        computed = float32 if dtype.itemsize == 2 else dtype
        name = f"llvm.{op}imum.{suffix(computed, lanes)}"
        result = w.call(op, kind, name, (kind, args[0]), (kind, args[1]), flags="nsz ")
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
    return result if OPERATIONS[op].is_exact else rounded(w, target, dtype, lanes, result)


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
    mask = (
        "<" + ", ".join(f"i32 {lane}" for lane in lanes) + ">" if any(lanes) else "zeroinitializer"
    )
    return w.write("lanes", f"shufflevector {kind} {x}, {kind} {y}, <{len(lanes)} x i32> {mask}")

"""One operation or conversion of a legalised function as one LLVM instruction."""

from __future__ import annotations

from collections.abc import Sequence

from ...dtypes import DType, bool_
from ...expr import Cast, Op
from ...index import UNBOUNDED, bounds
from .writer import Writer, suffix, value_type, vector_of

_LOGIC = {"and": "and", "or": "or", "xor": "xor"}
_INTEGERS = {**_LOGIC, "add": "add", "sub": "sub", "mul": "mul", "shl": "shl"}
_BY_SIGN = {  # of signed integers, of unsigned ones
    "lt": ("icmp slt", "icmp ult"), "le": ("icmp sle", "icmp ule"),
    "eq": ("icmp eq", "icmp eq"), "ne": ("icmp ne", "icmp ne"),
    "shr": ("ashr", "lshr"), "quotient": ("sdiv", "udiv"), "remainder": ("srem", "urem"),
}  # fmt: skip
_FLOATS = {
    "add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv", "remainder": "frem", "neg": "fneg",
    "lt": "fcmp olt", "le": "fcmp ole", "eq": "fcmp oeq", "ne": "fcmp une",
}  # fmt: skip
# nan where either is nan; nsz: which of 0.0 and -0.0 is larger is left open
_MAXIMA = {"max": "maximum", "min": "minimum"}
_INTRINSICS = {
    **_MAXIMA, "abs": "fabs", "sqrt": "sqrt", "floor": "floor", "ceil": "ceil", "trunc": "trunc",
    "round": "roundeven", "pow": "pow", "fma": "fma", "sin": "sin", "cos": "cos",
}  # fmt: skip


def operate(w: Writer, e: Op, args: Sequence[str]) -> str:
    """Write an operation on values that are all as wide as e; returns the result's name."""
    dtype = e.args[-1].dtype
    kind = value_type(dtype, e.lanes)
    if e.op == "where":
        condition = f"{value_type(bool_, e.lanes)} {args[0]}"
        return w.write("where", f"select {condition}, {kind} {args[1]}, {kind} {args[2]}")
    if dtype.is_float and e.op in _INTRINSICS:
        name = f"llvm.{_INTRINSICS[e.op]}.{suffix(dtype, e.lanes)}"
        flags = "nsz " if e.op in _MAXIMA else ""
        return w.call(e.op, kind, name, *((kind, arg) for arg in args), flags=flags)
    if e.op in ("max", "min"):
        name = f"llvm.{'s' if dtype.kind == 'int' else 'u'}{e.op}.{suffix(dtype, e.lanes)}"
        return w.call(e.op, kind, name, *((kind, arg) for arg in args))
    if e.op == "abs":
        name = f"llvm.abs.{suffix(dtype, e.lanes)}"
        return w.call(e.op, kind, name, (kind, args[0]), ("i1", "false"))
    return w.write(e.op, f"{_instruction(e, dtype)} {kind} {', '.join(args)}")


def _instruction(e: Op, dtype: DType) -> str:
    if dtype.is_float:
        return _FLOATS[e.op]
    if dtype == bool_:
        return _LOGIC[e.op]
    if e.op in _BY_SIGN:
        # Of numbers that are not negative LLVM knows more about unsigned division.
        divides = e.op in ("quotient", "remainder")
        is_natural = divides and all(bounds(arg)[0] >= 0 for arg in e.args)
        is_signed = dtype.kind == "int" and not is_natural
        return _BY_SIGN[e.op][0 if is_signed else 1]
    low, high = bounds(e)
    # Inside the bounds of 62 bits nothing wraps: LLVM may then widen and reorder addresses.
    exact = e.op in ("add", "sub", "mul") and -UNBOUNDED < low and high < UNBOUNDED
    return _INTEGERS[e.op] + (" nsw" if exact and dtype.itemsize == 8 else "")


def convert(w: Writer, e: Cast, x: str) -> str:
    """Write a conversion: float to integer truncates, integers wrap."""
    before, after = value_type(e.x.dtype, e.lanes), value_type(e.dtype, e.lanes)
    instruction = _conversion(e.x.dtype, e.dtype)
    return x if not instruction else w.write("cast", f"{instruction} {before} {x} to {after}")


def _conversion(source: DType, dtype: DType) -> str:
    """The instruction; "" where the bits stay."""
    grows = dtype.itemsize > source.itemsize
    if source.is_float and dtype.is_float:
        return "fpext" if grows else "fptrunc"
    if source.is_float:
        return "fptosi" if dtype.kind == "int" else "fptoui"
    if dtype.is_float:
        return "sitofp" if source.kind == "int" else "uitofp"
    if source == bool_ or grows:
        return "sext" if source.kind == "int" else "zext"
    return "trunc" if dtype.itemsize < source.itemsize else ""


def reinterpret(w: Writer, source: DType, dtype: DType, lanes: int, x: str) -> str:
    """Write a Bitcast."""
    before, after = value_type(source, lanes), value_type(dtype, lanes)
    return x if before == after else w.write("bits", f"bitcast {before} {x} to {after}")


def shuffle(w: Writer, kind: str, x: str, y: str, lanes: Sequence[int]) -> str:
    """Lanes picked from x and y, counted through both."""
    mask = (
        "<" + ", ".join(f"i32 {lane}" for lane in lanes) + ">" if any(lanes) else "zeroinitializer"
    )
    return w.write("lanes", f"shufflevector {kind} {x}, {kind} {y}, <{len(lanes)} x i32> {mask}")


def spread(w: Writer, scalar: str, x: str, lanes: int) -> str:
    """A scalar in every lane."""
    kind = vector_of(scalar, lanes)
    first = w.write("one", f"insertelement {kind} poison, {scalar} {x}, i64 0")
    return shuffle(w, kind, first, "poison", [0] * lanes)

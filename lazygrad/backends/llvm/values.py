"""Expressions as LLVM values: each written once, where it is used first.

An operation or a conversion of a legalised function is one instruction.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial

from ...dtypes import DType, bool_, int32
from ...expr import (
    Array,
    Bitcast,
    Broadcast,
    Cast,
    Choose,
    Expr,
    Lanes,
    Literal,
    Load,
    Local,
    Op,
    Ramp,
    ReduceLanes,
    Var,
    Zip,
)  # fmt: skip
from ...index import UNBOUNDED, bounds
from ...loops.legal.memory import wide
from ...rewrite import bottom_up
from . import accesses
from .writer import Writer, literal, splat, suffix, value_type, vector_of


class Values(Writer):
    """A Writer that can write expressions. `written` are the arrays that the function writes."""

    unchanged = ""  # what ends a load from memory that the function never writes

    def __init__(self, written: set[Array], has_masks: bool = False) -> None:
        super().__init__()
        self.written = written
        self.has_masks = has_masks  # Target.has_masks
        self.bases: dict[Array, str] = {}  # each array's pointer

    def value(self, e: Expr) -> str:
        """The text of e's value; the value is written now if it is not known yet."""
        return bottom_up(e, self.known, needs, self.write_expression)

    def write_expression(self, e: Expr) -> str:
        """Write a value whose operands are known."""
        text = self._text(e)
        self.define(e, text)
        if e.has_loads:
            for array in self.written.intersection(e.mentions):
                self.readers.setdefault(array, []).append(e)
        return text

    def address(self, array: Array, index: Expr) -> str:
        """A pointer to array[index], index a scalar whose `index_parts` are known."""
        return accesses.beyond(self, array, self.bases[array], self.value(index))

    def _text(self, e: Expr) -> str:
        known = self.known
        match e:
            case Op():
                return operate(self, e, [known[x] for x in needs(e)])
            case Load():
                return accesses.load(self, e)
            case Literal():
                return literal(e.value, e.dtype)
            case Cast():
                return convert(self, e, known[e.x])
            case Bitcast():
                return reinterpret(self, e.x.dtype, e.dtype, e.lanes, known[e.x])
            case Choose():
                x, y = partial(self.value, e.x), partial(self.value, e.y)
                ends = ", ".join(self.fork(known[e.condition], x, y))
                return self.write("chosen", f"phi {value_type(e.dtype, e.lanes)} {ends}")
        return _lanes(self, e)


@lru_cache(maxsize=1 << 16)
def needs(e: Expr) -> tuple[Expr, ...]:
    """The expressions whose values must be known before e is written."""
    if isinstance(e, Load):
        guard = () if e.guard is None else (e.guard,)
        return (*accesses.index_parts(e.index), *guard)
    if isinstance(e, Choose):
        return (e.condition,)
    return tuple([wide(x, e.lanes) for x in e.args]) if isinstance(e, Op) else e.operands


# --------------------------------------------------------------------------- vectors


def _lanes(w: Writer, e: Expr) -> str:
    """Write an expression that makes vectors or takes them apart; its operands are known."""
    known = w.known
    match e:
        case Broadcast(x=Literal()):
            return splat(value_type(e.dtype), known[e.x], e.lanes)
        case Broadcast():
            return w.spread(value_type(e.dtype), known[e.x], e.lanes)
        case Ramp():
            return _ramp(w, e, "i64")
        case ReduceLanes():  # of bools: any, or all
            kind, op = value_type(e.x.dtype, e.x.lanes), "or" if e.op == "max" else "and"
            name = f"llvm.vector.reduce.{op}.v{e.x.lanes}i1"
            return w.call(op, "i1", name, (kind, known[e.x]))
        case Lanes(count=1):
            kind = value_type(e.dtype, e.x.lanes)
            return w.write("lane", f"extractelement {kind} {known[e.x]}, i64 {e.start}")
        case Lanes():
            kind, picks = value_type(e.dtype, e.x.lanes), range(e.start, e.start + e.count)
            return w.shuffle(kind, known[e.x], "poison", picks)
        case Zip():
            kind = value_type(e.dtype, e.lanes)
            return w.shuffle(kind, known[e.x], known[e.y], e.picks)
        case Var() | Local():
            raise KeyError(f"{e} is not defined here")
    raise TypeError(type(e).__name__)


def _ramp(w: Writer, e: Ramp, scalar: str) -> str:
    """base, base + stride, ... as integers of the type `scalar`. Requires: they fit that type."""
    offsets = [lane * e.stride for lane in range(e.lanes)]
    if isinstance(e.base, Literal):
        offsets = [int(e.base.value) + offset for offset in offsets]
    steps = "<" + ", ".join(f"{scalar} {offset}" for offset in offsets) + ">"
    if isinstance(e.base, Literal):
        return steps
    base = w.known[e.base]
    if scalar == "i32":
        base = w.write("base", f"trunc i64 {base} to i32")
    every, kind = w.spread(scalar, base, e.lanes), vector_of(scalar, e.lanes)
    return w.write("ramp", f"add nsw {kind} {every}, {steps}")


# --------------------------------------------------------------------------- instructions

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
_INTRINSICS = {  # by the kind of the operands
    "float": {
        "max": "maximum", "min": "minimum", "abs": "fabs", "sqrt": "sqrt", "floor": "floor",
        "ceil": "ceil", "trunc": "trunc", "round": "roundeven", "pow": "pow", "fma": "fma",
        "sin": "sin", "cos": "cos",
    },
    "int": {"max": "smax", "min": "smin", "abs": "abs"},
    "uint": {"max": "umax", "min": "umin"},
}  # fmt: skip
# `maximum` is nan where either operand is nan; with nsz, which of 0.0 and -0.0 is larger is left
# open. The flag of `abs`: the smallest integer stays as it is.
_FLAGS = {"maximum": "nsz ", "minimum": "nsz "}
_MORE_ARGUMENTS = {"abs": (("i1", "false"),)}


def operate(w: Writer, e: Op, args: Sequence[str]) -> str:
    """Write an operation on values that are all as wide as e; returns the result's name."""
    dtype = e.args[-1].dtype
    kind = value_type(dtype, e.lanes)
    if e.op == "where":
        condition = f"{value_type(bool_, e.lanes)} {args[0]}"
        return w.write("where", f"select {condition}, {kind} {args[1]}, {kind} {args[2]}")
    name = _INTRINSICS.get(dtype.kind, {}).get(e.op)
    if name is None:
        return w.write(e.op, f"{_instruction(e, dtype)} {kind} {', '.join(args)}")
    typed = [*((kind, arg) for arg in args), *_MORE_ARGUMENTS.get(name, ())]
    name, flags = f"llvm.{name}.{suffix(dtype, e.lanes)}", _FLAGS.get(name, "")
    return w.call(e.op, kind, name, *typed, flags=flags)


def _instruction(e: Op, dtype: DType) -> str:
    if dtype.is_float:
        return _FLOATS[e.op]
    if dtype == bool_:
        return _LOGIC[e.op]
    if e.op in _BY_SIGN:
        # Without negative numbers both divisions are equal, and LLVM simplifies the unsigned more.
        divides = e.op in ("quotient", "remainder")
        is_natural = divides and all(bounds(arg)[0] >= 0 for arg in e.args)
        is_signed = dtype.kind == "int" and not is_natural
        return _BY_SIGN[e.op][0 if is_signed else 1]
    low, high = bounds(e)
    # Within these bounds nothing wraps: with nsw, LLVM may reorder the arithmetic of addresses.
    exact = e.op in ("add", "sub", "mul") and -UNBOUNDED < low and high < UNBOUNDED
    return _INTEGERS[e.op] + (" nsw" if exact and dtype.itemsize == 8 else "")


def convert(w: Writer, e: Cast, x: str) -> str:
    """Write a conversion: float to integer truncates, integers wrap."""
    if isinstance(e.x, Ramp) and e.dtype == int32:
        return _ramp(w, e.x, "i32")
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

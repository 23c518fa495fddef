"""Index vectors in 32 bits where their bounds allow it: twice the lanes an instruction.

    lt(ramp(b*8, 1, 8), 100)     ->  lt(int32(ramp(b*8, 1, 8)), 100:int32)
    float32(ramp(b*8, 1, 8))     ->  float32(int32(ramp(b*8, 1, 8)))
    int32(x + y)                 ->  int32(x) + int32(y)

Each rule moves a cast inwards until it meets a ramp or a scalar.
"""

from __future__ import annotations

from ...dtypes import int32, int64
from ...expr import COMPARISONS, Broadcast, Cast, Expr, Literal, Op
from ...index import bounds
from .rules import Native, Rules

INDICES = Rules()
_MOVES_INTO = frozenset(("add", "sub", "mul", "quotient", "remainder", "shr", "and", "min", "max"))


@INDICES.rule(*COMPARISONS, kinds="i")
def compare_in_32_bits(e: Op, native: Native) -> Expr | None:
    """x < y  ->  int32(x) < int32(y)  of vectors"""
    x, y = e.args
    if e.lanes == 1 or x.dtype != int64 or not (_fits(x) and _fits(y)):
        return None
    return Op(e.op, (_cast(x), _cast(y)))


@INDICES.rule(Cast, kinds="i")
def convert_in_32_bits(e: Cast, native: Native) -> Expr | None:
    """float32(x)  ->  float32(int32(x)),   int32(x + y)  ->  int32(x) + int32(y)  of vectors"""
    if e.lanes == 1 or e.x.dtype != int64:
        return None
    match e.x:
        case x if e.dtype.is_float:
            return Cast(_cast(x), e.dtype) if _fits(x) else None
        case Op(op=op, args=args) if e.dtype == int32 and op in _MOVES_INTO:
            return Op(op, tuple(map(_cast, args))) if all(map(_fits, args)) else None
        case Broadcast(x=x) if e.dtype == int32:
            return Broadcast(_cast(x), e.lanes)
    return None


def _cast(x: Expr) -> Expr:
    return Literal(int(x.value), int32) if isinstance(x, Literal) else Cast(x, int32)


def _fits(x: Expr) -> bool:
    """Whether x is always one of int32's values."""
    low, high = bounds(x)
    return int(int32.min) <= low and high <= int(int32.max)

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

_MOVES_INTO = frozenset(("add", "sub", "mul", "floordiv", "mod", "min", "max"))


def narrow(e: Expr) -> Expr | None:
    """e with its index vectors in 32 bits; None where nothing is to be gained, or they might not
    fit."""
    if e.lanes == 1:
        return None
    match e:
        case Op(op=op, args=(x, y)) if op in COMPARISONS and x.dtype == int64:
            return Op(op, (_cast(x), _cast(y))) if _fits(x) and _fits(y) else None
        case Cast(x=x) if x.dtype == int64 and e.dtype.is_float:
            return Cast(_cast(x), e.dtype) if _fits(x) else None
        case Cast(x=Op(op=op, args=args)) if e.dtype == int32 and args[-1].dtype == int64:
            if op in _MOVES_INTO and all(map(_fits, args)):
                return Op(op, tuple(map(_cast, args)))
        case Cast(x=Broadcast(x=x)) if e.dtype == int32 and x.dtype == int64:
            return Broadcast(_cast(x), e.lanes)
    return None


def _cast(x: Expr) -> Expr:
    return Literal(int(x.value), int32) if isinstance(x, Literal) else Cast(x, int32)


def _fits(x: Expr) -> bool:
    """Whether x is always one of int32's values."""
    low, high = bounds(x)
    return int(int32.min) <= low and high <= int(int32.max)

"""Index vectors in 32 bits where their bounds allow it: twice the lanes an instruction.

    lt(ramp(b*8, 1, 8), 100)     ->  lt(int32(ramp(b*8, 1, 8)), 100:int32)
    float32(ramp(b*8, 1, 8))     ->  float32(int32(ramp(b*8, 1, 8)))
    int32(x + y)                 ->  int32(x) + int32(y)

Each rule moves a cast inwards until it meets a ramp or a scalar.
"""

from __future__ import annotations

from dataclasses import replace

from ...dtypes import bool_, int32, int64
from ...expr import COMPARISONS, Broadcast, Cast, Expr, Literal, Load, Local, Op, Ramp, Var, rewrite
from ...index import bounds
from ...targets import Native
from ..ir import Body, Let, Stmt, Store
from ..ir.rebuild import change_expressions, rewrite_body
from .rules import Rules

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


# --------------------------------------------------------------------------- every index

_STAYS = frozenset(("add", "sub", "mul", "floordiv", "mod", "min", "max", "and", "shr", "where"))


def narrow_indices(body: Body) -> Body:
    """Compute index expressions in int32 where the bounds of every part allow it.

    Requires: vectors of the target's widths. Ensures: equal values, an index may be an int32.

        x[i * 4 + j]   ->   x[int32(i) * 4 + int32(j)]
        int64 row = i * 8   ->   int32 row = int32(i) * 8
    """
    return rewrite_body(body, _Narrower().statement)


class _Narrower:
    """Makes each index expression that fits an int32 under a cast to int64; casts move outwards."""

    def __init__(self) -> None:
        self.memo: dict[Expr, Expr] = {}
        self.plain: dict[Expr, Expr] = {}  # the values of names, for their bounds

    def statement(self, stmt: Stmt) -> Body:
        stmt = change_expressions(stmt, self.narrow)
        match stmt:
            case Let(local, value):
                return (self.let(local, value),)
            case Store(index=index):
                return (replace(stmt, index=_short(index) or index),)
        return (stmt,)

    def let(self, local: Local, value: Expr) -> Let:
        short = _without_cast(value)
        if local.dtype != int64 or short.dtype != int32:
            return Let(local, value)
        name = Local(local.name, int32, local.lanes)
        self.plain[name] = rewrite(short, self.plain.get)
        self.memo[local] = Cast(name, int64)
        return Let(name, short)

    def narrow(self, e: Expr) -> Expr:
        return rewrite(e, self.change, self.memo)

    def fits(self, e: Expr) -> bool:
        if not self.plain.keys().isdisjoint(e.mentions):
            e = rewrite(e, self.plain.get)
        return _fits(e)

    def change(self, e: Expr) -> Expr | None:
        match e:
            case Var() if _fits(e):
                return Cast(Cast(e, int32), int64)
            case Op(op=op, args=args) if op in COMPARISONS and args[0].dtype == int64:
                short = [_short(x) for x in args]
                return None if None in short else Op(op, tuple(x for x in short if x is not None))
            case Op(op=op, args=args) if op in _STAYS and e.dtype == int64:
                short = [x if x.dtype == bool_ else _short(x) for x in args]
                if None in short or not self.fits(e):
                    return None
                return Cast(Op(op, tuple(x for x in short if x is not None)), int64)
            case Cast(x=Cast(x=x)) if e.x.dtype == int64 and x.dtype == int32:
                return x if e.dtype == int32 else Cast(x, e.dtype)
            case Broadcast(x=Cast(x=x)) if e.dtype == int64 and x.dtype == int32:
                return Cast(Broadcast(x, e.lanes), int64)
            case Ramp(base=base) if (low := _short(base)) is not None and self.fits(e):
                return Cast(Ramp(low, e.stride, e.lanes), int64)
            case Load(index=index) if (at := _short(index)) is not None:
                return Load(e.array, at, e.guard)
        return None


def _without_cast(e: Expr) -> Expr:
    """int64(x)  ->  x  of an int32"""
    return e.x if isinstance(e, Cast) and (e.dtype, e.x.dtype) == (int64, int32) else e


def _short(e: Expr) -> Expr | None:
    """e as an int32, where it is an int32 cast to int64, or a constant; else None."""
    if isinstance(e, Literal) and _fits(e):
        return Literal(int(e.value), int32)
    short = _without_cast(e)
    return None if short is e else short

"""Memory: which elements an index reaches; sums in place become stores, bools become bytes."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from ...dtypes import bool_, uint8
from ...expr import COMBINE, Array, Bitcast, Broadcast, Cast, Expr, Literal, Load, Op, Ramp, rewrite
from ...index import add, bounds, mul
from ...targets import Native
from ..ir import Accumulate, Alloc, Body, Function, Prefetch, Stmt, Store, statements
from ..ir.rebuild import map_expressions, rewrite_body
from .rules import Rules, retyped

BOOLS = Rules()


def is_inside(array: Array, index: Expr, count: int = 1) -> bool:
    """Whether bounds prove that elements index .. index + count - 1 are within the array."""
    low, high = bounds(index)
    return 0 <= low and high + count <= array.size


def is_private(array: Array, index: Expr, count: int = 1) -> bool:
    """Whether elements may be read and written back where a guard is false: no other thread or item
    accesses them."""
    return array.scope != "global" and is_inside(array, index, count)


def over_lanes(index: Expr, lanes: int) -> Expr:
    """The index of a vector access: a scalar one stands for the elements from there on."""
    return Ramp(index, 1, lanes) if index.lanes == 1 and lanes > 1 else index


def wide(e: Expr, lanes: int) -> Expr:
    """e in so many lanes: a scalar is in each."""
    return e if e.lanes == lanes else Broadcast(e, lanes)


@lru_cache(maxsize=1 << 16)
def as_ramp(index: Expr) -> tuple[Expr, int] | None:
    """(base, stride) where an index vector is base + lane * stride; a scalar is its own base."""
    if index.lanes == 1:
        return index, 0
    match index:
        case Ramp(base=base, stride=stride):
            return base, stride
        case Broadcast(x=x):
            return x, 0
        case Op(op="add" | "sub" as op, args=(x, y)):
            left, right = as_ramp(x), as_ramp(y)
            if left is not None and right is not None:
                sign = 1 if op == "add" else -1
                return add(left[0], mul(right[0], sign)), left[1] + sign * right[1]
        case Op(op="mul", args=(x, y)):
            left, c = as_ramp(x), y.x if isinstance(y, Broadcast) else y
            if left is not None and isinstance(c, Literal):
                return mul(left[0], int(c.value)), left[1] * int(c.value)
    return None


def store_sums(stmt: Accumulate, native: Native) -> Store:
    """array[i] += x * y  ->  array[i] = fma(x, y, array[i]),   and  array[i] + x  of any other x"""
    array, value, guard = stmt.array, stmt.value, stmt.guard
    lanes = max(stmt.index.lanes, value.lanes, 1 if guard is None else guard.lanes)
    index = over_lanes(stmt.index, lanes)
    before = Load(array, index, None if is_private(array, index) else guard)
    new = Op(COMBINE[stmt.op], (before, value))
    if native.fma and stmt.op == "sum" and isinstance(value, Op) and value.op == "mul":
        new = Op("fma", (*value.args, before)) if value.dtype.is_float else new
    return Store(array, index, new, guard)


def _in_memory(array: Array) -> Array:
    return retyped(array, uint8) if array.dtype == bool_ else array


@BOOLS.rule(Bitcast)
def read_bools_as_bytes(e: Bitcast, native: Native) -> Expr | None:
    """bits_uint8(x)  ->  uint8(x)  of a bool,   bits_bool(x)  ->  x != 0"""
    return Cast(e.x, e.dtype) if bool_ in (e.dtype, e.x.dtype) else None


def _load_bytes(e: Expr) -> Expr | None:
    """x[i]  ->  bytes of x[i] != 0  of an array of bools"""
    if not isinstance(e, Load) or e.dtype != bool_:
        return None
    return Op("ne", (Load(_in_memory(e.array), e.index, e.guard), Literal(0, uint8)))


def legalise_memory(function: Function, native: Native) -> Function:
    """Turn Accumulate into Store, and arrays of bools into arrays of bytes, which are 0 or 1.

    Requires: no Accumulate that may be left out. Ensures: no Accumulate, no array of bools.

        acc[i] += x[i] * y[i]   ->   acc[i] = fma(x[i], y[i], acc[i])
        out[i] = p[i]           ->   out[i] = uint8(p[i] != 0)          of bools
    """
    allocated = (s.array for s in statements(function.body) if isinstance(s, Alloc))
    has_bools = any(array.dtype == bool_ for array in (*function.arguments, *allocated))

    def legal(stmt: Stmt) -> Body:
        if isinstance(stmt, Accumulate):
            stmt = store_sums(stmt, native)
        match stmt:
            case Store(array=array, value=value) if array.dtype == bool_:
                stmt = replace(stmt, array=_in_memory(array), value=Cast(value, uint8))
            case Alloc(array) | Prefetch(array) if array.dtype == bool_:
                stmt = replace(stmt, array=_in_memory(array))
        return (stmt,)

    body = rewrite_body(function.body, legal)
    if has_bools:
        memo: dict[Expr, Expr] = {}
        body = map_expressions(body, lambda e: rewrite(e, _load_bytes, memo))
    return replace(function, arguments=tuple(map(_in_memory, function.arguments)), body=body)

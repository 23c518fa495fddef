"""The meaning of the loop IR: runs a function in Python and NumPy, one statement at a time.

Slow, and exact about order: the reference for tests of passes and backends. Iterations run one
after another, whatever the kind of their loop.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...dtypes import convert
from ...expr import (
    COMBINE,
    EVERY_OPERATION,
    OPERATIONS,
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
    Pack,
    Ramp,
    ReduceLanes,
    Var,
    Zip,
    walk,
)
from ...graph.evaluate import operate
from . import Accumulate, Alloc, Barrier, Body, For, Function, If, Let, Prefetch, Store

Value = Any  # a NumPy scalar, or an array of as many elements as the expression has lanes
Memory = dict[Array, np.ndarray[Any, Any]]


def evaluate(function: Function, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Run a function on arrays by name; each is one-dimensional, and outputs are written in place.

    Raises IndexError for an access outside its array, unless its guard is false; ValueError for an
    array whose size or dtype is not what the function says, and for a term that is not `needed`
    but would change its sum.
    """
    memory: Memory = {}
    for argument in function.arguments:
        array = arrays[argument.name]
        if array.shape != (argument.size,) or array.dtype != argument.dtype.numpy:
            raise ValueError(
                f"{function.name}: {argument.name} is {argument.dtype}[{argument.size}], "
                f"got {array.dtype}{list(array.shape)}"
            )
        memory[argument] = array
    with np.errstate(all="ignore"):
        _Run(memory).body(function.body, {})


class _Run:
    """One run: the arrays, and the statements on them.

    `item` has the indices of the work-item loops around a statement. A register array allocated
    outside of these loops is private to an item, and keeps its contents from one loop to the next.
    """

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.orders: dict[Expr, list[Expr]] = {}  # an expression's parts, operands first
        self.item: tuple[int, ...] = ()
        self.own: dict[Array, dict[tuple[int, ...], np.ndarray[Any, Any]]] = {}

    def array(self, array: Array) -> np.ndarray[Any, Any]:
        """The memory of an array, for the work-item that runs."""
        made = self.memory[array]
        if not self.item or array.scope != "register":
            return made
        copies = self.own.setdefault(array, {})
        if self.item not in copies:
            copies[self.item] = made.copy()
        return copies[self.item]

    def body(self, body: Body, names: dict[Expr, Value]) -> None:
        """Run statements; `names` are the values of variables and locals."""
        names = dict(names)
        for stmt in body:
            match stmt:
                case For():
                    extent = stmt.extent
                    count = extent if isinstance(extent, int) else int(self.value(extent, names))
                    around = self.item
                    for i in range(count):
                        if stmt.kind == "workitem":
                            self.item = (*around, i)
                        self.body(stmt.body, {**names, stmt.var: np.int64(i)})
                    self.item = around
                case Alloc(array):
                    self.memory[array] = _undefined(array)
                    self.own.pop(array, None)
                case Let(local, value):
                    names[local] = self.value(value, names)
                case Store():
                    self.store(stmt, names)
                case Accumulate():
                    self.accumulate(stmt, names)
                case If(condition, then, otherwise):
                    self.body(then if self.value(condition, names) else otherwise, names)
                case Barrier() | Prefetch():
                    pass
                case _:
                    raise TypeError(type(stmt).__name__)

    def places(self, stmt: Store | Accumulate, names: dict[Expr, Value]) -> list[int | None]:
        """The element that each lane writes; None where the guard is false."""
        guard = stmt.guard
        lanes = max(stmt.index.lanes, stmt.value.lanes, 1 if guard is None else guard.lanes)
        index = self.value(stmt.index, names)
        if stmt.index.lanes == 1:
            index = index + np.arange(lanes)
        on = np.broadcast_to(True if guard is None else self.value(guard, names), lanes)
        return [
            _checked(stmt.array, int(place)) if is_on else None
            for place, is_on in zip(index, on, strict=True)
        ]

    def store(self, stmt: Store, names: dict[Expr, Value]) -> None:
        array = self.array(stmt.array)
        places = self.places(stmt, names)
        values = np.broadcast_to(self.value(stmt.value, names), len(places))
        for place, value in zip(places, values, strict=True):
            if place is not None:
                array[place] = value

    def accumulate(self, stmt: Accumulate, names: dict[Expr, Value]) -> None:
        array, value = self.array(stmt.array), stmt.value
        op = COMBINE[stmt.op]
        operands: tuple[Expr, ...] = (value,)
        is_product = isinstance(value, Op) and value.op == "mul" and value.dtype.is_float
        if is_product and stmt.op == "sum":  # the product is not rounded
            op, operands = "fma", value.operands
        if stmt.needed is not None and not np.any(self.value(stmt.needed, names)):
            _check_left_out(stmt, self.value(value, names))
        places = self.places(stmt, names)
        given = [np.broadcast_to(self.value(e, names), len(places)) for e in operands]
        for lane, place in enumerate(places):
            if place is not None:
                xs = [x[lane] for x in given]
                before = array[place]
                args = (*xs, before) if op == "fma" else (before, *xs)
                array[place] = operate(OPERATIONS[op], *args)[()]

    # ------------------------------------------------------------------ expressions

    def value(self, e: Expr, names: dict[Expr, Value]) -> Value:
        """The value of an expression, without recursion."""
        memo: dict[Expr, Value] = dict(names)
        if e not in self.orders:
            self.orders[e] = []
            walk(e, lambda x, _: self.orders[e].append(x))
        for x in self.orders[e]:
            if x not in memo:
                memo[x] = self.compute(x, [memo[operand] for operand in x.operands])
        return memo[e]

    def compute(self, e: Expr, operands: list[Value]) -> Value:
        match e:
            case Literal():
                return e.dtype.numpy.type(e.value)
            case Op():
                return operate(EVERY_OPERATION[e.op], *map(np.asarray, operands))[()]
            case Cast():
                return convert(np.asarray(operands[0]), e.dtype)[()]
            case Bitcast():
                return np.asarray(operands[0]).view(e.dtype.numpy)[()]
            case Load():
                return self.load(e, operands)
            case Ramp():
                return operands[0] + (e.stride * np.arange(e.lanes)).astype(e.dtype.numpy)
            case Broadcast():
                return np.full(e.lanes, operands[0])
            case ReduceLanes():
                return _reduce_lanes(e, operands[0])
            case Zip():
                return np.concatenate(operands)[e.picks]
            case Lanes(start=start, count=count):
                return operands[0][start : start + count] if count > 1 else operands[0][start]
            case Pack():
                return np.stack(operands)
            case Choose():
                return operands[1] if operands[0] else operands[2]
            case Var() | Local():
                raise NameError(f"{e.name} has no value here")
        raise TypeError(type(e).__name__)

    def load(self, e: Load, operands: list[Value]) -> Value:
        array = self.array(e.array)
        index = np.broadcast_to(operands[0], e.lanes)
        on = np.broadcast_to(operands[1] if e.guard is not None else True, e.lanes)
        result = np.zeros(e.lanes, array.dtype)
        for lane in range(e.lanes):
            if on[lane]:
                result[lane] = array[_checked(e.array, int(index[lane]))]
        return result if e.lanes > 1 else result[0]


def _checked(array: Array, place: int) -> int:
    if not 0 <= place < array.size:
        raise IndexError(f"{array.name}[{place}] is outside its {array.size} elements")
    return place


def _check_left_out(stmt: Accumulate, value: Value) -> None:
    if stmt.op != "sum" or np.any(np.not_equal(value, 0)):
        raise ValueError(f"{stmt.value} may be left out of a {stmt.op}, and is {value}")


def _undefined(array: Array) -> np.ndarray[Any, Any]:
    """Contents that a test would notice: nan, or the byte 0xA5."""
    if array.dtype.is_float:
        return np.full(array.size, math.nan, array.dtype.numpy)
    return np.full(array.size * array.dtype.itemsize, 0xA5, np.uint8).view(array.dtype.numpy)


def _reduce_lanes(e: ReduceLanes, x: Value) -> Value:
    """Combine the lower half with the upper half until one lane is left; then the odd lanes out."""
    op = OPERATIONS[COMBINE[e.op]]
    left = []
    x = np.atleast_1d(x)  # one lane is a scalar
    while len(x) > 1:
        half = len(x) // 2
        left += list(x[2 * half :])
        x = operate(op, x[:half], x[half : 2 * half])
    result = x[0]
    for lane in left:
        result = operate(op, np.asarray(result), np.asarray(lane))[()]
    return result

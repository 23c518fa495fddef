"""The meaning of the loop IR: runs a function in Python and NumPy, one statement at a time.

Exact about order: the reference for tests of passes and backends. Iterations run one after another,
whatever the kind of their loop. The value of an expression is a NumPy scalar, or an array of as
many elements as the expression has lanes.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from lazygrad.dtypes import DType, bool_, convert, float32, is_low_precision
from lazygrad.expr import (
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
from lazygrad.graph.evaluate import operate
from lazygrad.graph.ir import Operation
from lazygrad.index import as_expr
from lazygrad.loops.ir import (
    Accumulate,
    Alloc,
    Barrier,
    Body,
    For,
    Function,
    If,
    Let,
    Prefetch,
    Stmt,
    Store,
)

Value = Any
Memory = dict[Array, np.ndarray[Any, Any]]
Action = Callable[[], Any]
Step = tuple[Expr, Callable[..., Value], tuple[Expr, ...]]  # an expression, its function, operands


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
        _Run(memory).body(function.body)()


class _Run:
    """One run: the arrays, the values of expressions, and what does the statements.

    A statement is made into an action once: a Python function, called as often as the statement
    runs. Most expressions are indices, and change seldom. An expression that reads no memory is
    computed when the last of its names (variables and locals) gets a value, in the scope of that
    name; any other one is computed by the statement in which it stands.

    `item` has the indices of the work-item loops around a statement. A register array allocated
    outside of these loops is private to an item, and keeps its contents from one loop to the next.
    """

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.values: dict[Expr, Value] = {}
        self.scopes: list[list[Step]] = []  # what each scope computes, outer before inner
        self.depth: dict[Expr, int] = {}  # which of the scopes computes an expression
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

    # ------------------------------------------------------------------ statements

    def body(self, body: Body, name: Expr | None = None) -> Action:
        """Run statements; `name` is the variable of their loop."""
        outer, actions = len(self.scopes), [self.scope(name)]
        for stmt in body:
            actions.append(self.statement(stmt))
            if isinstance(stmt, Let):
                actions.append(self.scope(stmt.local))
        del self.scopes[outer:]
        for e in [e for e, depth in self.depth.items() if depth >= outer]:
            del self.depth[e]

        def run() -> None:
            for action in actions:
                action()

        return run

    def scope(self, name: Expr | None) -> Action:
        """Compute what depends on a name that has got a value, and on none inner to it."""
        if name in self.depth:
            raise ValueError(f"{name} is defined twice")
        if name is not None:
            self.depth[name] = len(self.scopes)
        self.scopes.append([])
        return partial(self.compute, self.scopes[-1])

    def statement(self, stmt: Stmt) -> Action:
        match stmt:
            case For():
                return self.loop(stmt)
            case Alloc(array):
                return lambda: self.allocate(array)
            case Let(local, value):
                find = self.value(value)
                return lambda: self.values.update({local: find()})
            case Store():
                return self.store(stmt)
            case Accumulate():
                return self.accumulate(stmt)
            case If(condition, then, otherwise):
                holds, run, run_other = self.value(condition), self.body(then), self.body(otherwise)
                return lambda: run() if holds() else run_other()
            case Barrier() | Prefetch():
                return lambda: None
        raise TypeError(type(stmt).__name__)

    def loop(self, stmt: For) -> Action:
        count, body = self.value(as_expr(stmt.extent)), self.body(stmt.body, stmt.var)

        def run() -> None:
            around = self.item
            for i in range(int(count())):
                if stmt.kind == "workitem":
                    self.item = (*around, i)
                self.values[stmt.var] = np.int64(i)
                body()
            self.item = around

        return run

    def allocate(self, array: Array) -> None:
        self.memory[array] = _undefined(array)
        self.own.pop(array, None)

    def store(self, stmt: Store) -> Action:
        places, find = self.places(stmt), self.value(stmt.value)
        needed = None if stmt.needed is None else self.value(stmt.needed)

        def run() -> None:
            if needed is not None and not needed():
                return
            (place, on), value = places(), find()
            if on is not None:
                self.array(stmt.array)[place] = value[on] if value.ndim else value

        return run

    def accumulate(self, stmt: Accumulate) -> Action:
        value, op = stmt.value, COMBINE[stmt.op]
        operands: tuple[Expr, ...] = (value,)
        is_product = isinstance(value, Op) and value.op == "mul" and value.dtype.is_float
        if is_product and stmt.op == "sum":  # the product is not rounded
            op, operands = "fma", value.operands
        needed = None if stmt.needed is None else self.value(stmt.needed)
        find, places, finds = self.value(value), self.places(stmt), [*map(self.value, operands)]
        combine = operation(OPERATIONS[op], value.dtype)

        def run() -> None:
            if needed is not None and not np.any(needed()):
                _check_left_out(stmt, find())
            (place, on), xs = places(), [find() for find in finds]
            if on is None:
                return
            array = self.array(stmt.array)
            xs = [x[on] if x.ndim else x for x in xs]
            turns: Any = [(place, *xs)]
            if not isinstance(place, int) and len({*place.tolist()}) < len(place):
                turns = np.broadcast(place, *xs)  # some lanes are of one element: in turn
            for place, *xs in turns:
                before = array[place]
                array[place] = combine(*xs, before) if op == "fma" else combine(before, *xs)

        return run

    def places(self, stmt: Store | Accumulate) -> Callable[[], tuple[Any, Any]]:
        """Where a statement writes, and the lanes that do."""
        find, guard = self.value(stmt.index), stmt.guard
        holds = (lambda: None) if guard is None else self.value(guard)
        lanes = max(stmt.index.lanes, stmt.value.lanes, 1 if guard is None else guard.lanes)
        reach = _reach(stmt.array, lanes, step=1)
        return lambda: reach(find(), holds())

    # ------------------------------------------------------------------ expressions

    def compute(self, steps: list[Step]) -> None:
        values = self.values
        for e, compute, operands in steps:
            values[e] = compute(*[values[x] for x in operands])

    def value(self, e: Expr) -> Callable[[], Value]:
        """What gives the value of an expression that stands in a statement."""
        steps: list[Step] = []  # those of parts that read memory are the statement's own

        def visit(x: Expr, depths: tuple[int, ...]) -> int:
            depth = max(depths, default=0)
            own = steps if x.has_loads else self.scopes[depth]
            own.append((x, self.load(x) if isinstance(x, Load) else function(x), x.operands))
            return depth

        walk(e, visit, self.depth)
        for x, _, _ in steps:
            del self.depth[x]

        def find() -> Value:
            self.compute(steps)
            return self.values[e]

        return find if steps else lambda: self.values[e]

    def load(self, e: Load) -> Callable[..., Value]:
        zeros = np.zeros(e.lanes, e.dtype.numpy)
        reach = _reach(e.array, e.lanes, step=0)

        def load(index: Value, guard: Value = None) -> Value:
            place, on = reach(index, guard)
            if on is _ALL:
                return self.array(e.array)[place]
            result = zeros.copy()
            if on is not None:
                result[on] = self.array(e.array)[place]
            return result if e.lanes > 1 else result[0]

        return load


_ALL = slice(None)


def _reach(array: Array, lanes: int, step: int) -> Callable[[Value, Value], tuple[Any, Any]]:
    """From an index and a guard: the places in the array, and the lanes that access them; None
    where none does. A scalar index gives several lanes places that are `step` apart."""
    offsets = step * np.arange(lanes)

    def checked(place: int) -> int:
        if not 0 <= place < array.size:
            raise IndexError(f"{array.name}[{place}] is outside its {array.size} elements")
        return place

    def one(index: Value, guard: Value) -> tuple[int, Any]:
        return (checked(int(index)), _ALL) if guard is None or guard else (0, None)

    def several(index: Value, guard: Value) -> tuple[Value, Any]:
        on = _ALL if guard is None or guard.all() else np.broadcast_to(guard, lanes)
        places = (index if index.ndim else index + offsets)[on]
        for place in places.tolist():
            checked(place)
        return places, on

    return one if lanes == 1 else several


def _check_left_out(stmt: Accumulate, value: Value) -> None:
    if stmt.op != "sum" or np.any(np.not_equal(value, 0)):
        raise ValueError(f"{stmt.value} may be left out of a {stmt.op}, and is {value}")


def _undefined(array: Array) -> np.ndarray[Any, Any]:
    """Contents that a test would notice: nan, or the byte 0xA5."""
    if array.dtype.is_float:
        return np.full(array.size, math.nan, array.dtype.numpy)
    return np.full(array.size * array.dtype.itemsize, 0xA5, np.uint8).view(array.dtype.numpy)


# --------------------------------------------------------------------------- operations


def function(e: Expr) -> Callable[..., Value]:
    """What computes an expression from the values of its operands; a Load needs memory, too."""
    match e:
        case Literal():
            value = e.dtype.numpy.type(e.value)
            return lambda: value
        case Op():
            return operation(EVERY_OPERATION[e.op], e.operands[-1].dtype)
        case Cast():
            return lambda x: convert(np.asarray(x), e.dtype)[()]
        case Bitcast():
            return lambda x: np.asarray(x).view(e.dtype.numpy)[()]
        case Ramp():
            offsets = (e.stride * np.arange(e.lanes)).astype(e.dtype.numpy)
            return lambda base: base + offsets
        case Broadcast():
            return lambda x: np.full(e.lanes, x)
        case ReduceLanes():
            combine = operation(OPERATIONS[COMBINE[e.op]], e.dtype)
            return lambda x: _reduce_lanes(combine, x)
        case Zip():
            picks = np.array(e.picks)
            return lambda x, y: np.concatenate((x, y))[picks]
        case Lanes(start=start, count=count):
            return lambda x: x[start : start + count] if count > 1 else x[start]
        case Pack():
            return lambda *parts: np.array(parts, e.dtype.numpy)
        case Choose():
            return lambda condition, x, y: x if condition else y
        case Var() | Local():
            raise NameError(f"{e.name} has no value here")
    raise TypeError(type(e).__name__)


# Python's operators do what NumPy's functions of the same names do, sooner for scalars.
_OPERATORS: dict[str, Callable[..., Value]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv,
    "floordiv": operator.floordiv, "mod": operator.mod, "neg": operator.neg, "lt": operator.lt,
    "le": operator.le, "eq": operator.eq, "ne": operator.ne, "and": operator.and_,
    "or": operator.or_, "xor": operator.xor,
}  # fmt: skip


def operation(op: Operation, dtype: DType) -> Callable[..., Value]:
    """`operate` for operands of a dtype (but for the condition of `where`), or a faster function
    with the same values."""

    def in_arrays(*operands: Value) -> Value:
        return operate(op, *map(np.asarray, operands))[()]

    def where(condition: Value, x: Value, y: Value) -> Value:
        if condition.ndim or x.ndim or y.ndim:
            return in_arrays(condition, x, y)
        return x if condition else y

    def fma(x: Value, y: Value, z: Value) -> Value:
        if x.ndim or y.ndim or z.ndim:
            return in_arrays(x, y, z)
        return np.float32(float(x) * float(y) + float(z))

    if is_low_precision(dtype) or (dtype is bool_ and op.takes != "bits"):
        return in_arrays
    if op.name == "where":
        return where
    if op.name == "fma" and dtype is float32:
        return fma
    direct = op.numpy if isinstance(op.numpy, np.ufunc) else in_arrays
    return _OPERATORS.get(op.name, direct)


def _reduce_lanes(combine: Callable[..., Value], x: Value) -> Value:
    """Combine the lower half with the upper half until one lane is left; then the odd lanes out."""
    left = []
    x = np.atleast_1d(x)  # one lane is a scalar
    while len(x) > 1:
        half = len(x) // 2
        left += list(x[2 * half :])
        x = combine(x[:half], x[half : 2 * half])
    result = x[0]
    for lane in left:
        result = combine(result, lane)
    return result

"""Elementwise operations: a table with a class as each row.

A class's `operation` has everything that the compiler knows of it: graphs, loops, evaluators,
verifiers, printers, cost models and code generators read it. Only the derivative
(`graph/vjp_rules.py`) and the code (`loops/legal/functions.py`, `backends/c/dialect.py`) are
elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ...dtypes import Array, DType, bool_
from ...errors import DTypeError, ShapeError
from .node import Node, Shape


@dataclass(frozen=True, slots=True)
class Operation:
    """The properties of an elementwise operation.

    - `name`: its name in loops, and in their text.
    - `numpy`: its meaning, on arrays of a dtype that NumPy computes in (`evaluate.operate`).
    - `arity`: how many operands it has.
    - `sign`: written before one operand or between two; "" where it is written as a call.
    - `takes`: the dtypes that it is defined for: "any", "float", or "bits" (bool and integers).
    - `is_comparison`: its value is a bool.
    - `of_bools`: the bitwise operation that it equals on bools; "" for none.
    - `cost`: the time of one operation; an addition takes 1.
    - `flops`: how many floating-point operations it counts as.
    - `is_exact`: on 16-bit floats its value needs no rounding.
    - `is_approximate`: it is computed from a series, and its last digit differs between devices.
    """

    name: str
    numpy: Callable[..., Any]
    arity: int = 2
    sign: str = ""
    takes: str = "any"
    is_comparison: bool = False
    of_bools: str = ""
    cost: float = 1.0
    flops: int = 1
    is_exact: bool = False
    is_approximate: bool = False

    def accepts(self, dtype: DType) -> bool:
        """Whether the operation is defined for operands of a dtype."""
        return self.takes == "any" or (self.takes == "float") == dtype.is_float

    def text(self, operands: Sequence[str]) -> str:
        """The operation on operands, as text: `(x + y)`, `-x`, `exp(x)`."""
        match operands:
            case (x,) if self.sign:
                return f"{self.sign}{x}"
            case (x, y) if self.sign:
                return f"({x} {self.sign} {y})"
        return f"{self.name}({', '.join(operands)})"


class Elementwise(Node):
    """Element i of the output depends on element i of each input; all have one shape."""


class Arithmetic(Elementwise):
    """An elementwise node with an `operation`."""

    operation: ClassVar[Operation]

    @property
    def cost(self) -> float:
        return self.operation.cost

    def _check(self) -> None:
        first = self.inputs[0]
        for other in self.inputs[1:]:
            if other.shape != first.shape:
                raise ShapeError(f"{self.name}: shapes {first.shape} and {other.shape} differ")

    def _check_takes(self, dtype: DType) -> None:
        if not self.operation.accepts(dtype):
            needed = "float" if self.operation.takes == "float" else "bool or integer"
            raise DTypeError(f"{self.name}: needs {needed} inputs, got {dtype}")


class Unary(Arithmetic):
    """An operation on one input, of the same dtype."""

    x: Node

    def _infer(self) -> tuple[Shape, DType]:
        self._check_takes(self.x.dtype)
        return self.x.shape, self.x.dtype


class Binary(Arithmetic):
    """An operation on two inputs of one shape and dtype. Its dtype is theirs, or bool for a
    comparison."""

    x: Node
    y: Node

    def _infer(self) -> tuple[Shape, DType]:
        self._check_takes(self.x.dtype)
        self._check()
        if self.x.dtype != self.y.dtype:
            raise DTypeError(f"{self.name}: dtypes {self.x.dtype} and {self.y.dtype} differ")
        return self.x.shape, bool_ if self.operation.is_comparison else self.x.dtype


# --------------------------------------------------------------------------- arithmetic


class Neg(Unary):
    """-x (wraps for unsigned)."""

    operation = Operation("neg", np.negative, 1, "-", flops=0, is_exact=True)


class Abs(Unary):
    """|x|."""

    operation = Operation("abs", np.abs, 1, flops=0, is_exact=True)


class Add(Binary):
    """x + y; logical or for bool."""

    operation = Operation("add", np.add, sign="+", of_bools="or")


class Sub(Binary):
    """x - y; exclusive or for bool."""

    operation = Operation("sub", np.subtract, sign="-", of_bools="xor")


class Mul(Binary):
    """x * y; logical and for bool."""

    operation = Operation("mul", np.multiply, sign="*", of_bools="and")


class Div(Binary):
    """x / y of floats."""

    operation = Operation("div", np.divide, sign="/", takes="float", cost=5)


class FloorDiv(Binary):
    """floor(x / y); 0 for an integer division by 0."""

    operation = Operation("floordiv", np.floor_divide, sign="//", of_bools="and")


class Mod(Binary):
    """x - y * floor(x / y), with the sign of y; 0 for an integer y of 0."""

    operation = Operation("mod", np.remainder, sign="%", cost=10)


class Maximum(Binary):
    """The larger; nan where either is nan."""

    operation = Operation("max", np.maximum, of_bools="or", is_exact=True)


class Minimum(Binary):
    """The smaller; nan where either is nan."""

    operation = Operation("min", np.minimum, of_bools="and", is_exact=True)


# --------------------------------------------------------------------------- functions of floats


def _series(
    name: str, function: Callable[..., Any], cost: float, arity: int = 1, sign: str = ""
) -> Operation:
    """A function that is computed from a series."""
    return Operation(name, function, arity, sign, "float", cost=cost, is_approximate=True)


def _rounding(name: str, function: Callable[..., Any]) -> Operation:
    """A function that gives a whole number near x."""
    return Operation(name, function, 1, takes="float", is_exact=True)


class Exp(Unary):
    """e**x."""

    operation = _series("exp", np.exp, cost=12)


class Log(Unary):
    """The natural logarithm; nan below 0, -inf at 0."""

    operation = _series("log", np.log, cost=14)


class Sqrt(Unary):
    """The square root, correctly rounded."""

    operation = Operation("sqrt", np.sqrt, 1, takes="float", cost=6)


class Sin(Unary):
    """sin(x), x in radians."""

    operation = _series("sin", np.sin, cost=20)


class Cos(Unary):
    """cos(x), x in radians."""

    operation = _series("cos", np.cos, cost=20)


class Tanh(Unary):
    """The hyperbolic tangent."""

    operation = _series("tanh", np.tanh, cost=16)


class Erf(Unary):
    """2/sqrt(pi) times the integral of exp(-t*t) from 0 to x."""

    operation = _series("erf", np.vectorize(math.erf, otypes=[np.float64]), cost=20)


class Pow(Binary):
    """x ** y of floats, as C's pow. A constant y of 1/2 means the square root, and of -1/2 its
    reciprocal, as in PyTorch: they differ from pow at -0.0 and -inf."""

    operation = _series("pow", np.power, cost=60, arity=2, sign="**")


class Floor(Unary):
    """The largest integer <= x."""

    operation = _rounding("floor", np.floor)


class Ceil(Unary):
    """The smallest integer >= x."""

    operation = _rounding("ceil", np.ceil)


class Trunc(Unary):
    """x without its fraction."""

    operation = _rounding("trunc", np.trunc)


class Round(Unary):
    """The nearest integer, halves to even."""

    operation = _rounding("round", np.rint)


# --------------------------------------------------------------------------- comparisons


def _comparison(name: str, function: Callable[..., Any], sign: str) -> Operation:
    return Operation(name, function, sign=sign, is_comparison=True)


class Less(Binary):
    """x < y; false where either is nan."""

    operation = _comparison("lt", np.less, "<")


class LessEqual(Binary):
    """x <= y; false where either is nan."""

    operation = _comparison("le", np.less_equal, "<=")


class Equal(Binary):
    """x == y; false where either is nan."""

    operation = _comparison("eq", np.equal, "==")


class NotEqual(Binary):
    """x != y; true where either is nan."""

    operation = _comparison("ne", np.not_equal, "!=")


# --------------------------------------------------------------------------- bits


def _shifted_left(x: Array, y: Array) -> Array:
    inside, count = _shift_count(x, y)
    return np.where(inside, x & inside if x.dtype == bool else x << count, np.zeros((), x.dtype))


def _shifted_right(x: Array, y: Array) -> Array:
    inside, count = _shift_count(x, y)
    if x.dtype == bool:
        return np.asarray(x & inside)
    signs = np.where(x < 0, np.array(-1).astype(x.dtype), np.zeros((), x.dtype))
    return np.where(inside, x >> count, signs)


def _shift_count(x: Array, y: Array) -> tuple[Array, Array]:
    """Whether 0 <= y < width of x, so that bits of x are left; and y if so, else 0."""
    bits = 1 if x.dtype == bool else 8 * x.dtype.itemsize
    inside = np.asarray((y >= 0) & (y < bits))
    return inside, np.where(inside, y, 0).astype(y.dtype)


class Not(Unary):
    """Logical not of a bool; every bit flipped of an integer."""

    operation = Operation("not", np.invert, 1, takes="bits")


class And(Binary):
    """x & y, bit by bit."""

    operation = Operation("and", np.bitwise_and, sign="&", takes="bits")


class Or(Binary):
    """x | y, bit by bit."""

    operation = Operation("or", np.bitwise_or, sign="|", takes="bits")


class Xor(Binary):
    """x ^ y, bit by bit."""

    operation = Operation("xor", np.bitwise_xor, sign="^", takes="bits")


class Shl(Binary):
    """x << y; 0 where y is the width or more."""

    operation = Operation("shl", _shifted_left, sign="<<", takes="bits")


class Shr(Binary):
    """x >> y, arithmetic for signed x; all sign bits where y is the width or more."""

    operation = Operation("shr", _shifted_right, sign=">>", takes="bits")


# --------------------------------------------------------------------------- choice


class Where(Arithmetic):
    """x where condition, else y."""

    condition: Node
    x: Node
    y: Node

    operation = Operation("where", np.where, 3, flops=0, is_exact=True)

    def _infer(self) -> tuple[Shape, DType]:
        self._check()
        if self.condition.dtype != bool_ or self.x.dtype != self.y.dtype:
            raise DTypeError(
                f"where: needs (bool, T, T), got "
                f"({self.condition.dtype}, {self.x.dtype}, {self.y.dtype})"
            )
        return self.x.shape, self.x.dtype


OPERATIONS: dict[str, Operation] = {
    cls.operation.name: cls.operation
    for cls in list(globals().values())
    if isinstance(cls, type) and issubclass(cls, Arithmetic) and hasattr(cls, "operation")
}
"""Every operation, by its name."""


# --------------------------------------------------------------------------- other dtypes


class Cast(Elementwise):
    """x in another dtype: to bool is x != 0, float to integer truncates, integers wrap.

    A float outside the range of an integer type is converted to int32 first (to int64 for uint32
    and 64 bits); nan, and floats outside that range too, give the smallest value of int32 (or
    int64). To uint64, floats of 2**64 and more give 0.
    """

    x: Node
    dtype_: DType

    def _infer(self) -> tuple[Shape, DType]:
        return self.x.shape, self.dtype_


class Bitcast(Elementwise):
    """The same bits read as another dtype of the same size."""

    x: Node
    dtype_: DType

    def _infer(self) -> tuple[Shape, DType]:
        if self.x.dtype.itemsize != self.dtype_.itemsize:
            raise DTypeError(f"bitcast: {self.x.dtype} and {self.dtype_} differ in size")
        return self.x.shape, self.dtype_


# --------------------------------------------------------------------------- undefined values


class Within(Elementwise):
    """x where `inside` holds; elsewhere an undefined value, which need not be computed.

    Only graphs that serve many sizes have it (graph/at_bound.py); tensors do not make it.
    """

    x: Node
    inside: Node

    def _infer(self) -> tuple[Shape, DType]:
        if self.inside.dtype != bool_ or self.inside.shape != self.x.shape:
            raise DTypeError(f"within: {self.inside.dtype}{self.inside.shape} for {self.x.shape}")
        return self.x.shape, self.x.dtype

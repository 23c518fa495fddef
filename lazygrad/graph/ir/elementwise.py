"""Operations on elements that stand at one place."""

from __future__ import annotations

from typing import Any

from ...dtypes import DType, bool_
from ...errors import DTypeError, ShapeError
from .node import Node, Shape


class Elementwise(Node):
    """Element i of the output depends on element i of each input; all have one shape."""

    def _check(self) -> None:
        first = self.inputs[0]
        for other in self.inputs[1:]:
            if other.shape != first.shape:
                raise ShapeError(f"{self.name}: shapes {first.shape} and {other.shape} differ")


class Unary(Elementwise):
    """One input, and its dtype."""

    x: Node

    def _infer(self) -> tuple[Shape, DType]:
        return self.x.shape, self.x.dtype


class FloatUnary(Unary):
    """A function of real numbers: floats only."""

    def _infer(self) -> tuple[Shape, DType]:
        if not self.x.dtype.is_float:
            raise DTypeError(f"{self.name}: needs a float input, got {self.x.dtype}")
        return self.x.shape, self.x.dtype


class Neg(Unary):
    """-x (wraps for unsigned)."""


class Abs(Unary):
    """|x|."""


class Exp(FloatUnary):
    """e**x."""


class Log(FloatUnary):
    """The natural logarithm; nan below 0, -inf at 0."""


class Sqrt(FloatUnary):
    """The square root, correctly rounded."""


class Sin(FloatUnary):
    """sin(x), x in radians."""


class Cos(FloatUnary):
    """cos(x), x in radians."""


class Tanh(FloatUnary):
    """The hyperbolic tangent."""


class Erf(FloatUnary):
    """2/sqrt(pi) times the integral of exp(-t*t) from 0 to x."""


class Floor(FloatUnary):
    """The largest integer <= x."""


class Ceil(FloatUnary):
    """The smallest integer >= x."""


class Trunc(FloatUnary):
    """x without its fraction."""


class Round(FloatUnary):
    """The nearest integer, halves to even."""


class Not(Unary):
    """Logical not of a bool; every bit flipped of an integer."""

    def _infer(self) -> tuple[Shape, DType]:
        if self.x.dtype.is_float:
            raise DTypeError(f"not: needs a bool or integer input, got {self.x.dtype}")
        return self.x.shape, self.x.dtype


class Binary(Elementwise):
    """Two inputs of one shape and dtype, and that dtype."""

    x: Node
    y: Node

    def _infer(self) -> tuple[Shape, DType]:
        self._check()
        if self.x.dtype != self.y.dtype:
            raise DTypeError(f"{self.name}: dtypes {self.x.dtype} and {self.y.dtype} differ")
        return self.x.shape, self.x.dtype


class Add(Binary):
    """x + y; logical or for bool."""


class Sub(Binary):
    """x - y."""


class Mul(Binary):
    """x * y; logical and for bool."""


class Div(Binary):
    """x / y of floats."""

    def _infer(self) -> tuple[Shape, DType]:
        if not self.x.dtype.is_float:
            raise DTypeError(f"div: needs float inputs, got {self.x.dtype}")
        return Binary._infer(self)


class FloorDiv(Binary):
    """floor(x / y); 0 for an integer division by 0."""


class Mod(Binary):
    """x - y * floor(x / y), with the sign of y; 0 for an integer y of 0."""


class Pow(Binary):
    """x ** y of floats, as C's pow; a constant y of 1/2 means the root, of -1/2 one over the root,
    which differ from C's at -0.0 and -inf, as they do in PyTorch."""

    def _infer(self) -> tuple[Shape, DType]:
        if not self.x.dtype.is_float:
            raise DTypeError(f"pow: needs float inputs, got {self.x.dtype}")
        return Binary._infer(self)


class Maximum(Binary):
    """The larger; nan where either is nan."""


class Minimum(Binary):
    """The smaller; nan where either is nan."""


class Comparison(Binary):
    """Two inputs of one shape and dtype; a bool."""

    def _infer(self) -> tuple[Shape, DType]:
        return Binary._infer(self)[0], bool_


class Less(Comparison):
    """x < y; false where either is nan."""


class LessEqual(Comparison):
    """x <= y; false where either is nan."""


class Equal(Comparison):
    """x == y; false where either is nan."""


class NotEqual(Comparison):
    """x != y; true where either is nan."""


class Bitwise(Binary):
    """Bit by bit on integers, logical on bool."""

    def _infer(self) -> tuple[Shape, DType]:
        if self.x.dtype.is_float:
            raise DTypeError(f"{self.name}: needs bool or integer inputs, got {self.x.dtype}")
        return Binary._infer(self)


class And(Bitwise):
    """x & y."""


class Or(Bitwise):
    """x | y."""


class Xor(Bitwise):
    """x ^ y."""


class Shl(Bitwise):
    """x << y; 0 where y is the width or more."""


class Shr(Bitwise):
    """x >> y, arithmetic for signed x; all sign bits where y is the width or more."""


class Where(Elementwise):
    """x where condition, else y."""

    condition: Node
    x: Node
    y: Node

    def _infer(self) -> tuple[Shape, DType]:
        self._check()
        if self.condition.dtype != bool_ or self.x.dtype != self.y.dtype:
            raise DTypeError(
                f"where: needs (bool, T, T), got "
                f"({self.condition.dtype}, {self.x.dtype}, {self.y.dtype})"
            )
        return self.x.shape, self.x.dtype


class Cast(Elementwise):
    """x in another dtype: to bool is x != 0, float to integer truncates, integers wrap.

    A float that the integer cannot hold goes by way of int32 (of int64 for uint32 and 64 bits):
    what is beyond that, and nan, is its smallest value. uint64 holds floats up to 2**64, and 0
    beyond.
    """

    x: Node
    dtype_: DType

    def _infer(self) -> tuple[Shape, DType]:
        return self.x.shape, self.dtype_

    @property
    def attributes(self) -> dict[str, Any]:
        return {}


class Bitcast(Elementwise):
    """The same bits read as another dtype of the same size."""

    x: Node
    dtype_: DType

    def _infer(self) -> tuple[Shape, DType]:
        if self.x.dtype.itemsize != self.dtype_.itemsize:
            raise DTypeError(f"bitcast: {self.x.dtype} and {self.dtype_} differ in size")
        return self.x.shape, self.dtype_

    @property
    def attributes(self) -> dict[str, Any]:
        return {}

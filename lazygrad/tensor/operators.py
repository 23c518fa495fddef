"""Python's operators, and the methods named after dtypes.

They stand apart from the methods they call so that `float` or `int` in an annotation there still
means Python's.
"""

from __future__ import annotations

from typing import Self

from ..graph.ir import Add, And, Div, Mul, Or, Shl, Shr, Xor
from .arithmetic import floor_quotient, remainder
from .core import Operand
from .elementwise import Elementwise
from .operands import is_operand


class Operators(Elementwise):
    """`x + y` is `x.add(y)`, `x += y` gives x the result, and so on."""

    __slots__ = ()

    def half(self) -> Self:
        """The values as float16."""
        return self.cast("float16")

    def bfloat16(self) -> Self:
        """The values as bfloat16."""
        return self.cast("bfloat16")

    def float(self) -> Self:
        """The values as float32."""
        return self.cast("float32")

    def double(self) -> Self:
        """The values as float64."""
        return self.cast("float64")

    def char(self) -> Self:
        """The values as int8."""
        return self.cast("int8")

    def byte(self) -> Self:
        """The values as uint8."""
        return self.cast("uint8")

    def short(self) -> Self:
        """The values as int16."""
        return self.cast("int16")

    def int(self) -> Self:
        """The values as int32."""
        return self.cast("int32")

    def long(self) -> Self:
        """The values as int64."""
        return self.cast("int64")

    def bool(self) -> Self:
        """The values as bool: whether they are not 0."""
        return self.cast("bool")

    # ------------------------------------------------------------------- arithmetic

    def __add__(self, y: Operand) -> Self:
        return self._binary("add", Add, y)

    def __radd__(self, y: Operand) -> Self:
        return self._binary("add", Add, y, reverse=True)

    def __sub__(self, y: Operand) -> Self:
        return self._subtract(y, False)

    def __rsub__(self, y: Operand) -> Self:
        return self._subtract(y, True)

    def __mul__(self, y: Operand) -> Self:
        return self._binary("mul", Mul, y)

    def __rmul__(self, y: Operand) -> Self:
        return self._binary("mul", Mul, y, reverse=True)

    def __truediv__(self, y: Operand) -> Self:
        return self._binary("div", Div, y, real=True)

    def __rtruediv__(self, y: Operand) -> Self:
        return self._binary("div", Div, y, reverse=True, real=True)

    def __floordiv__(self, y: Operand) -> Self:
        return self._binary("floor_divide", floor_quotient, y)

    def __rfloordiv__(self, y: Operand) -> Self:
        return self._binary("floor_divide", floor_quotient, y, reverse=True)

    def __mod__(self, y: Operand) -> Self:
        return self._binary("remainder", remainder, y)

    def __rmod__(self, y: Operand) -> Self:
        return self._binary("remainder", remainder, y, reverse=True)

    def __pow__(self, y: Operand) -> Self:
        return self.pow(y)

    def __rpow__(self, y: Operand) -> Self:
        return self.pow(y, reverse=True)

    def __neg__(self) -> Self:
        return self.neg()

    def __pos__(self) -> Self:
        return self

    def __abs__(self) -> Self:
        return self.abs()

    def __invert__(self) -> Self:
        return self.bitwise_not()

    # ------------------------------------------------------------------- bits

    def __and__(self, y: Operand) -> Self:
        return self._binary("bitwise_and", And, y)

    def __rand__(self, y: Operand) -> Self:
        return self._binary("bitwise_and", And, y, reverse=True)

    def __or__(self, y: Operand) -> Self:
        return self._binary("bitwise_or", Or, y)

    def __ror__(self, y: Operand) -> Self:
        return self._binary("bitwise_or", Or, y, reverse=True)

    def __xor__(self, y: Operand) -> Self:
        return self._binary("bitwise_xor", Xor, y)

    def __rxor__(self, y: Operand) -> Self:
        return self._binary("bitwise_xor", Xor, y, reverse=True)

    def __lshift__(self, y: Operand) -> Self:
        return self._binary("bitwise_left_shift", Shl, y)

    def __rlshift__(self, y: Operand) -> Self:
        return self._binary("bitwise_left_shift", Shl, y, reverse=True)

    def __rshift__(self, y: Operand) -> Self:
        return self._binary("bitwise_right_shift", Shr, y)

    def __rrshift__(self, y: Operand) -> Self:
        return self._binary("bitwise_right_shift", Shr, y, reverse=True)

    # ------------------------------------------------------------------- comparisons

    def __eq__(self, y: object) -> Self:  # type: ignore[override]
        return self.eq(y) if is_operand(y) else NotImplemented

    def __ne__(self, y: object) -> Self:  # type: ignore[override]
        return self.ne(y) if is_operand(y) else NotImplemented

    def __lt__(self, y: Operand) -> Self:
        return self.lt(y)

    def __le__(self, y: Operand) -> Self:
        return self.le(y)

    def __gt__(self, y: Operand) -> Self:
        return self.gt(y)

    def __ge__(self, y: Operand) -> Self:
        return self.ge(y)

    __hash__ = object.__hash__  # tensors are keys by identity

    # ------------------------------------------------------------------- in place

    def __iadd__(self, y: Operand) -> Self:
        return self._update(self + y)

    def __isub__(self, y: Operand) -> Self:
        return self._update(self - y)

    def __imul__(self, y: Operand) -> Self:
        return self._update(self * y)

    def __itruediv__(self, y: Operand) -> Self:
        return self._update(self / y)

    def __ifloordiv__(self, y: Operand) -> Self:
        return self._update(self // y)

    def __imod__(self, y: Operand) -> Self:
        return self._update(self % y)

    def __ipow__(self, y: Operand) -> Self:
        return self._update(self**y)

    def __iand__(self, y: Operand) -> Self:
        return self._update(self & y)

    def __ior__(self, y: Operand) -> Self:
        return self._update(self | y)

    def __ixor__(self, y: Operand) -> Self:
        return self._update(self ^ y)

    def __ilshift__(self, y: Operand) -> Self:
        return self._update(self << y)

    def __irshift__(self, y: Operand) -> Self:
        return self._update(self >> y)

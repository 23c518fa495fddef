"""Arithmetic, comparisons, logic and bits: everything that Python's operators mean."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Self

import ml_dtypes

from .. import dtypes
from ..dtypes import DType, bool_, float32, float64, is_low_precision, to_dtype, uint8
from ..errors import ArgumentError, DTypeError, ShapeError
from ..graph import ir
from ..graph.ir import Node
from . import arithmetic
from .autograd import Autograd
from .core import Operand, TensorCore
from .operands import (
    as_operand,
    broadcast_node,
    broadcast_shape,
    cast_node,
    check_fits,
    number,
    number_dtype,
    operand_node,
    result_dtype,
    tensors_in,
)
from .precision import is_exact, rounded_once
from .recall import recalled

UnaryMaker = Callable[[Node], Node]  # a node class of one input


class Elementwise(Autograd):
    """Operations that broadcast their operands and promote their dtypes, as PyTorch does.

    `y` and the like may be tensors, NumPy arrays, or numbers, which adapt to the tensor's dtype.
    """

    __slots__ = ()

    # ------------------------------------------------------------------- how operands meet

    def _unary(self, make: UnaryMaker) -> Self:
        return self._derived(make(self._node))

    def _real(self, name: str) -> Self:
        """This tensor as floats: integers and bools become the default float, as in PyTorch."""
        return self if self._node.dtype.is_float else self.cast(dtypes.default_float)

    def _binary(
        self, name: str, make: Any, y: Operand, reverse: bool = False, real: bool = False
    ) -> Self:
        """`make` of both operands, in their common dtype (a float one, if `real`) and shape.

        A number that a 16-bit float would round is met in float32, and the result rounded.
        """
        a, b, dtype = self._in_one_dtype(name, y, real)
        node = make(b, a) if reverse else make(a, b)
        if a.dtype is not dtype:
            node = ir.Cast(node, dtype)
        if isinstance(y, TensorCore):
            return self._derived(node, y)
        return self._derived(node)

    def _matched(self, name: str, y: Operand, real: bool = False) -> tuple[Node, Node]:
        """Both operands as nodes of their common dtype and shape."""
        a = self._node
        if isinstance(y, TensorCore):
            b = y._node
            dtype = a.dtype if a.dtype is b.dtype else result_dtype((self, y))
            if real and not dtype.is_float:
                dtype = dtypes.default_float
            return arithmetic.alike(name, a, b, dtype)
        other = as_operand(name, y, self)
        if isinstance(other, TensorCore):
            return self._matched(name, other, real)
        dtype = a.dtype
        if not dtype.is_float and (real or dtype is bool_ or isinstance(other, float)):
            dtype = result_dtype((self, other))
            if real and not dtype.is_float:
                dtype = dtypes.default_float
            a = cast_node(a, dtype)
        return a, ir.Const(other, dtype, a.shape)

    def _in_one_dtype(self, name: str, y: Operand, real: bool = False) -> tuple[Node, Node, DType]:
        """`_matched`, and the dtype of the result. The nodes are float32 where that dtype has 16
        bits, in which a number, or a tensor of shape () of another dtype, would be rounded."""
        a = self._node
        if isinstance(y, TensorCore):
            b = y._node
            if a.dtype is not b.dtype and () in (a.shape, b.shape):
                dtype = result_dtype((self, y))
                if is_low_precision(dtype):
                    return *arithmetic.alike(name, a, b, float32), dtype
        elif is_low_precision(a.dtype):
            other = number(y)
            if other is not None and not is_exact(other, a.dtype):
                return cast_node(a, float32), ir.Const(other, float32, a.shape), a.dtype
        a, b = self._matched(name, y, real)
        return a, b, a.dtype

    # ------------------------------------------------------------------- arithmetic

    def add(self, y: Operand, alpha: float = 1) -> Self:
        """x + alpha * y; logical or for bools."""
        if alpha != 1:
            y = self._as_tensor("add", y).mul(alpha)
        return self._binary("add", ir.Add, y)

    def sub(self, y: Operand, alpha: float = 1) -> Self:
        """x - alpha * y. Raises DTypeError for two bools."""
        if alpha != 1:
            y = self._as_tensor("sub", y).mul(alpha)
        return self._subtract(y, False)

    def _subtract(self, y: Operand, reverse: bool) -> Self:
        if self.dtype == bool_ and result_dtype((self, as_operand("sub", y, self))) == bool_:
            raise DTypeError("sub: bools have no difference; use logical_xor")
        return self._binary("sub", ir.Sub, y, reverse)

    def _as_tensor(self, name: str, y: Operand) -> Self:
        """An operand as a tensor (a number as one of shape (), of its default dtype)."""
        other = as_operand(name, y, self)
        if isinstance(other, TensorCore):
            return self._from_node(other._node, other._requires_grad)
        exact = self.dtype == float64 and isinstance(other, float)
        return self._from_node(ir.Const(other, float64 if exact else number_dtype(other)))

    def _as_value(self, name: str, y: Operand) -> Self:
        """An operand as a tensor of this dtype: what is written into this one."""
        if isinstance(y, (bool, int, float)) and self.dtype.is_float:
            return self._from_node(ir.Const(y, self.dtype))
        return self._as_tensor(name, y).cast(self.dtype)

    def mul(self, y: Operand) -> Self:
        """x * y; logical and for bools."""
        return self._binary("mul", ir.Mul, y)

    def div(self, y: Operand, rounding_mode: str | None = None) -> Self:
        """x / y as floats; rounding_mode "floor" or "trunc" rounds, and keeps integers."""
        if rounding_mode is None:
            return self._binary("div", ir.Div, y, real=True)
        if rounding_mode == "floor":
            return self.floor_divide(y)
        if rounding_mode == "trunc":
            return self._binary("div", arithmetic.truncated_quotient, y)
        raise ArgumentError(
            f"div: rounding_mode {rounding_mode!r} is none of None, 'floor', 'trunc'"
        )

    def floor_divide(self, y: Operand) -> Self:
        """floor(x / y). An integer divided by 0 raises DivisionError where the 0 is known when the
        line runs, and is 0 where it comes to light later."""
        return self._binary("floor_divide", arithmetic.floor_quotient, y)

    def remainder(self, y: Operand) -> Self:
        """x - y * floor(x / y), with the sign of y; of an integer by 0 as `floor_divide`."""
        return self._binary("remainder", arithmetic.remainder, y)

    mod = remainder

    def fmod(self, y: Operand) -> Self:
        """x - y * trunc(x / y), with the sign of x, as C's fmod."""
        return self._binary("fmod", arithmetic.fmod, y)

    def pow(self, y: Operand, reverse: bool = False) -> Self:
        """x ** y. Integers to integers give integers (of the low bits, where they overflow).

        Raises ValueError for integers to a negative number, as PyTorch does.
        """
        if not reverse and isinstance(y, (int, float)) and not isinstance(y, bool):
            special = arithmetic.power(self._node, y)
            if special is not None:
                return self._derived(special)
        a, b, dtype = self._in_one_dtype("pow", y)
        if reverse:
            a, b = b, a
        if a.dtype.is_float:
            node = cast_node(ir.Pow(a, b), dtype)
        else:
            if dtype == bool_:
                a, b = cast_node(a, uint8), cast_node(b, uint8)
            node = cast_node(arithmetic.integer_power(a, b), dtype)
        return self._derived(node, *tensors_in((y,)))

    def idiv(self, y: Operand) -> Self:
        """The quotient of integers, rounded towards zero."""
        return self.div(y, rounding_mode="trunc")

    def neg(self) -> Self:
        """-x. Raises DTypeError for bools."""
        if self.dtype == bool_:
            raise DTypeError("neg: bools have no negative; use logical_not")
        return self._unary(ir.Neg)

    def abs(self) -> Self:
        """|x|."""
        if self.dtype == bool_ or self.dtype.kind == "uint":
            return self.clone()
        return self._unary(ir.Abs)

    def maximum(self, y: Operand) -> Self:
        """The larger of each pair; nan where either is nan."""
        return self._binary("maximum", ir.Maximum, y)

    def minimum(self, y: Operand) -> Self:
        """The smaller of each pair; nan where either is nan."""
        return self._binary("minimum", ir.Minimum, y)

    def fmax(self, y: Operand) -> Self:
        """The larger of each pair; where one is nan, the other."""
        return self._without_nan("fmax", y, self.ge(y))

    def fmin(self, y: Operand) -> Self:
        """The smaller of each pair; where one is nan, the other."""
        return self._without_nan("fmin", y, self.le(y))

    def _without_nan(self, name: str, y: Operand, better: Self) -> Self:
        """x where it is `better` or y is nan, else y."""
        other = self._as_tensor(name, y)
        return better.bitwise_or(other.isnan()).where(self, other)

    @recalled
    def clamp(self, min: Operand | None = None, max: Operand | None = None) -> Self:
        """min where x is below it, max where x is above; either may be left out.

        The gradient is 1 from min to max, both included.
        """
        if min is None and max is None:
            raise ArgumentError("clamp: needs min or max")
        x = self
        # selections rather than Minimum and Maximum: x itself stays, with its gradient, at a bound
        if min is not None:
            x = x.lt(min).where(min, x)
        if max is not None:
            x = x.gt(max).where(max, x)
        return x

    clip = clamp

    def clamp_min(self, min: Operand) -> Self:
        """`clamp` from below."""
        return self.clamp(min)

    def clamp_max(self, max: Operand) -> Self:
        """`clamp` from above."""
        return self.clamp(None, max)

    @rounded_once(3)
    def addcmul(self, a: Operand, b: Operand, value: float = 1) -> Self:
        """x + value * a * b."""
        return self.add(self._as_tensor("addcmul", a).mul(b), value)

    @rounded_once(3)
    def addcdiv(self, a: Operand, b: Operand, value: float = 1) -> Self:
        """x + value * a / b."""
        return self.add(self._as_tensor("addcdiv", a).div(b), value)

    def rsub(self, y: Operand, alpha: float = 1) -> Self:
        """y - alpha * x."""
        return (self if alpha == 1 else self.mul(alpha))._subtract(y, True)

    def float_power(self, y: Operand) -> Self:
        """x ** y in float64."""
        exponent = y.cast(float64) if isinstance(y, TensorCore) else y
        return self.cast(float64).pow(exponent)

    def positive(self) -> Self:
        """x itself. Raises DTypeError for bools."""
        if self.dtype == bool_:
            raise DTypeError("positive: bools have no sign")
        return self

    def heaviside(self, values: Operand) -> Self:
        """0 where x is negative, 1 where it is positive, the value given where it is 0."""
        other = self._as_tensor("heaviside", values)
        if other.dtype != self.dtype:
            raise DTypeError(f"heaviside: values of {other.dtype} for {self.dtype}")
        side = self.isnan().where(self, self.gt(0).cast(self.dtype))
        return self.eq(0).where(other, side)

    multiply, subtract, divide, true_divide, negative, absolute = mul, sub, div, div, neg, abs

    @rounded_once(2)
    def lerp(self, end: Operand, weight: Operand) -> Self:
        """x + weight * (end - x), counted from `end` where a number `weight` is nearer to that."""
        other = self._as_tensor("lerp", end)
        way = other.sub(self)
        if isinstance(weight, (int, float)) and weight >= 0.5:
            return other.sub(way.mul(1 - weight))
        return self.add(way.mul(weight))

    # ------------------------------------------------------------------- comparisons

    def _compare(self, name: str, make: Any, y: Operand, reverse: bool = False) -> Self:
        if type(y) is int and self.dtype.is_int and not self.dtype.min <= y <= self.dtype.max:
            # the number is beyond every value: the answer is that for 0 against its sign
            x, bound = ir.Const(0, self.dtype), ir.Const(1 if y > 0 else -1, self.dtype)
            if self.dtype.kind == "uint" and y < 0:
                x, bound = ir.Const(1, self.dtype), ir.Const(0, self.dtype)
            node = make(bound, x) if reverse else make(x, bound)
            return self._from_node(broadcast_node(name, node, self.shape))
        a, b = self._matched(name, y)
        return self._from_node(make(b, a) if reverse else make(a, b))

    def eq(self, y: Operand) -> Self:
        """x == y; false where either is nan."""
        return self._compare("eq", ir.Equal, y)

    def ne(self, y: Operand) -> Self:
        """x != y; true where either is nan."""
        return self._compare("ne", ir.NotEqual, y)

    def lt(self, y: Operand) -> Self:
        """x < y; false where either is nan."""
        return self._compare("lt", ir.Less, y)

    def le(self, y: Operand) -> Self:
        """x <= y; false where either is nan."""
        return self._compare("le", ir.LessEqual, y)

    def gt(self, y: Operand) -> Self:
        """x > y; false where either is nan."""
        return self._compare("gt", ir.Less, y, reverse=True)

    def ge(self, y: Operand) -> Self:
        """x >= y; false where either is nan."""
        return self._compare("ge", ir.LessEqual, y, reverse=True)

    not_equal, less, less_equal, greater, greater_equal = ne, lt, le, gt, ge

    def isnan(self) -> Self:
        """Whether x is nan."""
        return self._from_node(ir.NotEqual(self._node, self._node))

    def isinf(self) -> Self:
        """Whether x is infinity or -infinity."""
        if not self.dtype.is_float:
            return self._from_node(ir.Const(False, bool_, self.shape))
        return self.abs().eq(math.inf)

    def isfinite(self) -> Self:
        """Whether x is neither infinite nor nan."""
        if not self.dtype.is_float:
            return self._from_node(ir.Const(True, bool_, self.shape))
        return self.abs().lt(math.inf)

    @rounded_once(2)
    def isclose(
        self, y: Operand, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
    ) -> Self:
        """|x - y| <= atol + rtol * |y|, or both infinite alike."""
        if rtol < 0 or atol < 0:
            raise ArgumentError(f"isclose: rtol {rtol} or atol {atol} is negative")
        other = self._as_tensor("isclose", y)
        x = self._real("isclose") if other.dtype.is_float else self
        near = x.sub(other).abs().le(other.abs().mul(rtol).add(atol))
        near = near.bitwise_and(other.isfinite()).bitwise_or(x.eq(other))
        return near.bitwise_or(x.isnan().bitwise_and(other.isnan())) if equal_nan else near

    def nan_to_num(
        self, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
    ) -> Self:
        """nan, infinity and -infinity replaced; the infinities by the dtype's extremes unless
        given."""
        if not self.dtype.is_float:
            return self.clone()
        most = float(ml_dtypes.finfo(self.dtype.numpy).max)  # type: ignore[no-untyped-call]
        x = self.eq(math.inf).where(most if posinf is None else posinf, self)
        x = self.eq(-math.inf).where(-most if neginf is None else neginf, x)
        return self.isnan().where(nan, x)

    # ------------------------------------------------------------------- selection

    def where(self, x: Operand, y: Operand) -> Self:
        """x where this condition (a bool tensor) holds, else y. Neither leaks nan into the other's
        gradient.

        PyTorch's order is understood too: `value.where(condition, other)`, of a value that is not
        of bools, and a condition that is.
        """
        if self.dtype != bool_ and isinstance(x, TensorCore) and x.dtype == bool_:
            return self._from_node(x._node).where(self, y)
        if self.dtype != bool_:
            raise DTypeError(f"where: the condition is bool, not {self.dtype}")
        a, b = as_operand("where", x, self), as_operand("where", y, self)
        dtype = result_dtype((a, b))
        shapes = [operand.shape for operand in (self, a, b) if isinstance(operand, TensorCore)]
        shape = broadcast_shape("where", *shapes)
        node = ir.Where(
            broadcast_node("where", self._node, shape),
            operand_node("where", a, dtype, shape),
            operand_node("where", b, dtype, shape),
        )
        return self._derived(node, *tensors_in((a, b)))

    def masked_fill(self, mask: TensorCore, value: Operand) -> Self:
        """`value` where the mask holds, else x, of x's dtype."""
        if mask.dtype != bool_:
            raise DTypeError(f"masked_fill: the mask is bool, not {mask.dtype}")
        other = as_operand("masked_fill", value, self)
        if not isinstance(other, TensorCore):
            check_fits("masked_fill", other, self.dtype)
        elif other.shape:
            raise ShapeError(f"masked_fill: the value is one number, not of shape {other.shape}")
        shape = broadcast_shape("masked_fill", self.shape, mask.shape)
        node = ir.Where(
            broadcast_node("masked_fill", mask._node, shape),
            operand_node("masked_fill", other, self.dtype, shape),
            broadcast_node("masked_fill", self._node, shape),
        )
        return self._derived(node, *tensors_in((other,)))

    # ------------------------------------------------------------------- logic and bits

    def logical_not(self) -> Self:
        """Whether x is zero."""
        return self._from_node(ir.Not(cast_node(self._node, bool_)))

    def _logical(self, name: str, make: Any, y: Operand) -> Self:
        return self.cast(bool_)._binary(name, make, self._as_tensor(name, y).cast(bool_))

    def logical_and(self, y: Operand) -> Self:
        """Whether both are non-zero."""
        return self._logical("logical_and", ir.And, y)

    def logical_or(self, y: Operand) -> Self:
        """Whether either is non-zero."""
        return self._logical("logical_or", ir.Or, y)

    def logical_xor(self, y: Operand) -> Self:
        """Whether exactly one is non-zero."""
        return self._logical("logical_xor", ir.Xor, y)

    def bitwise_not(self) -> Self:
        """Every bit flipped; logical not for bools."""
        return self._unary(ir.Not)

    def bitwise_and(self, y: Operand) -> Self:
        """x & y."""
        return self._binary("bitwise_and", ir.And, y)

    def bitwise_or(self, y: Operand) -> Self:
        """x | y."""
        return self._binary("bitwise_or", ir.Or, y)

    def bitwise_xor(self, y: Operand) -> Self:
        """x ^ y."""
        return self._binary("bitwise_xor", ir.Xor, y)

    def bitwise_left_shift(self, y: Operand) -> Self:
        """x << y; 0 where y is the dtype's width or more."""
        return self._binary("bitwise_left_shift", ir.Shl, y)

    def bitwise_right_shift(self, y: Operand) -> Self:
        """x >> y; the sign is kept."""
        return self._binary("bitwise_right_shift", ir.Shr, y)

    xor = bitwise_xor
    lshift, rshift = bitwise_left_shift, bitwise_right_shift

    def bitcast(self, dtype: Any) -> Self:
        """The same bits read as another dtype of the same size."""
        return self._derived(ir.Bitcast(ir.Detach(self._node), to_dtype(dtype)))

"""Rules for elementwise nodes. All but those for Pow are exact, with nan, infinities and -0.0.

Constants stand on the right of commutative operations, so that rules look for them only there.
A rule belongs here if its result lets other rules apply or saves a read of memory. Other arithmetic
is left to LLVM and the OpenCL compiler, which simplify it within a kernel.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..dtypes import DType, bfloat16, bool_, float16, float32, float64
from ..rewrite import Rules
from . import build, ir
from .build import full_like, in_float32, zeros_like
from .evaluate import CASES
from .ir import (
    Add,
    And,
    Cast,
    Const,
    Div,
    Elementwise,
    Equal,
    Expand,
    Less,
    LessEqual,
    Maximum,
    Minimum,
    Mul,
    Neg,
    Node,
    Not,
    NotEqual,
    Or,
    Pow,
    Shl,
    Shr,
    Sub,
    Where,
    Within,
    Xor,
    identity,
)
from .product import ends_at_size

RULES = Rules[Node]()
rule = RULES.rule

# Significant bits of a float, the implicit one included, and its smallest normal number.
PRECISION = {float16: 11, bfloat16: 8, float32: 24, float64: 53}
SMALLEST_NORMAL = {float16: 2.0**-14, bfloat16: 2.0**-126, float32: 2.0**-126, float64: 2.0**-1022}


def constant(value: np.generic | np.ndarray, dtype: DType, shape: ir.Shape) -> Const:
    """A Const of a value that NumPy computed; all nans become one."""
    if not dtype.is_float:
        return Const(value.item(), dtype, shape)
    number = float(value)
    return Const(math.nan if math.isnan(number) else number, dtype, shape)


def is_positive_zero(value: float) -> bool:
    """True for 0, 0.0 and False, not for -0.0."""
    return value == 0 and math.copysign(1, value) > 0


# --------------------------------------------------------------------------- any operation


@rule(Elementwise)
def fold_constants(node: Elementwise) -> Node | None:
    """op(constants)  ->  a constant, as `evaluate` computes it. Functions such as exp are not
    folded, because their last digit differs between devices.
    """
    if isinstance(node, ir.Arithmetic) and node.operation.is_approximate:
        return None
    for x in node.inputs:
        if not isinstance(x, Const):
            return None
    with np.errstate(all="ignore"):
        values = [np.array(x.value, x.dtype.numpy) for x in node.inputs if isinstance(x, Const)]
        return constant(CASES[type(node)](node, *values), node.dtype, node.shape)


@rule(Elementwise)
def raise_expand(node: Elementwise) -> Node | None:
    """op(expand(x), expand(y))  ->  expand(op(x, y)), over the axes that are repeated in both"""
    smaller = [1] * len(node.shape)
    for x in node.inputs:
        if isinstance(x, Expand):
            smaller = [max(n, m) for n, m in zip(smaller, x.x.shape, strict=True)]
        elif not isinstance(x, Const):
            return None
    shape = tuple(smaller)
    if shape == node.shape:
        return None
    inputs = [
        build.expand(x.x, shape) if isinstance(x, Expand) else Const(x.value, x.dtype, shape)
        for x in node.inputs
        if isinstance(x, (Expand, Const))
    ]
    return Expand(node.with_inputs(inputs), node.shape)


@rule(Add, Mul, And, Or, Xor, Equal, NotEqual)
def constant_to_the_right(node: ir.Binary) -> Node | None:
    """c + x  ->  x + c"""
    if isinstance(node.x, Const) and not isinstance(node.y, Const):
        return node.with_inputs((node.y, node.x))
    return None


# --------------------------------------------------------------------------- one operand

Number = bool | int | float


def all_ones(dtype: DType) -> Number:
    """The value with every bit set; True for bool."""
    return -1 if dtype.kind == "int" else dtype.max


NEUTRAL: dict[type[Node], Callable[[DType], Number]] = {
    Add: lambda dtype: -0.0 if dtype.is_float else 0,  # 0.0 added to -0.0 would be 0.0
    Sub: lambda dtype: 0,
    Mul: lambda dtype: 1,
    And: all_ones,
    Or: lambda dtype: 0,
    Xor: lambda dtype: 0,
    Shl: lambda dtype: 0,
    Shr: lambda dtype: 0,
    Maximum: lambda dtype: identity("max", dtype),
    Minimum: lambda dtype: identity("min", dtype),
}
"""By operation, the y with x op y = x for every x."""

ABSORBING: dict[type[Node], Callable[[DType], Number | None]] = {
    Add: lambda dtype: True if dtype == bool_ else None,
    Mul: lambda dtype: 0,
    And: lambda dtype: 0,
    Or: all_ones,
    Maximum: lambda dtype: identity("min", dtype),
    Minimum: lambda dtype: identity("max", dtype),
}
"""By operation, the y with x op y = y for every x; None where there is none. Floats have none,
because nan op y is nan."""


@rule(*NEUTRAL)
def neutral_operand(node: ir.Binary) -> Node | None:
    """x + 0, x * 1, x & -1, x | 0, x ^ 0, x << 0, max(x, smallest)  ->  x;   x - 0  ->  x;
    for floats x + (-0.0)  ->  x, but not x + 0.0
    """
    x, y, value = node.x, node.y, NEUTRAL[type(node)](node.dtype)
    if isinstance(y, Const) and y is full_like(y, value):
        return x
    is_left = isinstance(x, Const) and isinstance(node, (Maximum, Minimum))
    return y if is_left and x is full_like(x, value) else None


@rule(*ABSORBING)
def absorbing_operand(node: ir.Binary) -> Node | None:
    """x * 0, x & 0  ->  0;   x | -1  ->  -1;   max(x, largest)  ->  largest, not for floats"""
    value = None if node.dtype.is_float else ABSORBING[type(node)](node.dtype)
    if value is None:
        return None
    absorbing = full_like(node, value)
    return absorbing if absorbing in node.inputs else None


@rule(ir.Binary)
def equal_operands(node: ir.Binary) -> Node | None:
    """x & x, x | x, max(x, x)  ->  x;   p + p, p * p  ->  p, for bools;   x < x  ->  false;
    x ^ x, x - x  ->  0;   x == x, x <= x  ->  true;   x != x  ->  false, not for floats (nan)
    """
    x = node.x
    if x is not node.y:
        return None
    match node:
        case And() | Or() | Maximum() | Minimum():
            return x
        case Add() | Mul() if x.dtype == bool_:
            return x
        case Less():
            return Const(False, bool_, node.shape)
        case Sub() | Xor() | NotEqual() if not x.dtype.is_float:
            return zeros_like(node)
        case Equal() | LessEqual() if not x.dtype.is_float:
            return full_like(node, True)
    return None


# --------------------------------------------------------------------------- arithmetic


@rule(Neg, of=Neg)
def negate_twice(node: Neg, inner: Neg) -> Node | None:
    """-(-x)  ->  x"""
    return inner.x


@rule(Add, Sub)
def add_negative(node: Add | Sub) -> Node | None:
    """x + (-y)  ->  x - y;   x - (-y)  ->  x + y, not for bools, where + is or and - is xor"""
    if node.dtype == bool_:
        return None
    match node:
        case Add(x, Neg(y)) | Add(Neg(y), x):
            return Sub(x, y)
        case Sub(x, Neg(y)):
            return Add(x, y)
    return None


@rule(Mul)
def multiply_negatives(node: Mul) -> Node | None:
    """x * -1  ->  -x;   (-x) * (-y)  ->  x * y;   (-x) * c  ->  x * (-c)"""
    match node:
        case Mul(x, Const(-1)):
            return Neg(x)
        case Mul(Neg(x), Neg(y)):
            return Mul(x, y)
        case Mul(Neg(x), Const() as c):
            return Mul(x, Neg(c))
    return None


@rule(Div)
def divide_by_power_of_two(node: Div) -> Node | None:
    """x / c  ->  x * (1/c), where 1/c is exact"""
    match node:
        case Div(x, Const(c)) if c != 0 and abs(math.frexp(c)[0]) == 0.5:
            smallest = SMALLEST_NORMAL[node.dtype]
            if smallest <= abs(c) <= 1 / smallest:
                return Mul(x, full_like(x, 1 / c))
    return None


@rule(Pow)
def power_of_small_integer(node: Pow) -> Node | None:
    """x**0  ->  1;   x**1  ->  x;   x**2  ->  x*x;   x**3  ->  x*x*x;   x**-1  ->  1/x"""
    match node:
        case Pow(x, Const(0)):
            return full_like(x, 1)
        case Pow(x, Const(1)):
            return x
        case Pow(x, Const(2)):
            return Mul(x, x)
        case Pow(x, Const(3)):
            return in_float32(lambda x: Mul(Mul(x, x), x), x)
        case Pow(x, Const(-1)):
            return Div(full_like(x, 1), x)
    return None


# --------------------------------------------------------------------------- comparison and choice


@rule(Not)
def negate_a_truth(node: Not) -> Node | None:
    """not not x  ->  x;   not x == y  ->  x != y;   not x < y  ->  y <= x, not for floats (nan)"""
    match node:
        case Not(Not(x)):
            return x
        case Not(Equal(x, y)):
            return NotEqual(x, y)
        case Not(NotEqual(x, y)):
            return Equal(x, y)
        case Not(Less(x, y)) if not x.dtype.is_float:
            return LessEqual(y, x)
        case Not(LessEqual(x, y)) if not x.dtype.is_float:
            return Less(y, x)
    return None


@rule(Where)
def choose_by_constant(node: Where) -> Node | None:
    """x where true else y  ->  x;   x where c else x  ->  x"""
    if isinstance(node.condition, Const):
        return node.x if node.condition.value else node.y
    return node.x if node.x is node.y else None


@rule(Where, of=Not)
def choose_by_negation(node: Where, negated: Not) -> Node | None:
    """x where not c else y  ->  y where c else x"""
    return Where(negated.x, node.y, node.x)


@rule(Where)
def join_ends(node: Where) -> Node | None:
    """where(i < n, within(where(j < m, x, 0), i < n), 0)  ->  where(i < n and j < m, x, 0)"""
    x = node.x
    while isinstance(x, Within):
        x = x.x
    match x:
        case Where(inside, y, zero) if zero is node.y and ends_at_size(node) and ends_at_size(x):
            return Where(And(node.condition, inside), y, zero)
    return None


# --------------------------------------------------------------------------- types


def holds(wide: DType, narrow: DType) -> bool:
    """Whether every value of `narrow` is one of `wide` too."""
    if wide == narrow or narrow == bool_:
        return True
    if wide == bool_:
        return False
    bits = {"int": 8 * narrow.itemsize - 1, "uint": 8 * narrow.itemsize}.get(narrow.kind)
    if wide.is_float:
        if bits is not None:
            return bits <= PRECISION[wide]
        return wide.itemsize > narrow.itemsize
    if bits is None or (narrow.kind == "int" and wide.kind == "uint"):
        return False
    return bits <= 8 * wide.itemsize - (wide.kind == "int")


@rule(Cast)
def cast_to_its_own_type(node: Cast) -> Node | None:
    """cast(x, T)  ->  x, where x is of T"""
    return node.x if node.x.dtype == node.dtype else None


@rule(Cast)
def cast_twice(node: Cast) -> Node | None:
    """cast(cast(x, T), U)  ->  cast(x, U), where T holds all of x, or both only drop high bits"""
    match node:
        case Cast(Cast(x, middle), last):
            wraps = x.dtype.is_int and middle.is_int and last.is_int
            if holds(middle, x.dtype) or (wraps and last.itemsize <= middle.itemsize):
                return Cast(x, last)
    return None

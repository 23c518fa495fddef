"""Division, remainders and powers of nodes, where they are more than one node."""

from __future__ import annotations

from ..dtypes import DType, bool_, float32, int64, is_low_precision
from ..errors import ArgumentError
from ..graph import ir
from ..graph.ir import Node
from .operands import broadcast_node, broadcast_shape, cast_node
from .ranges import verify_divisor


def alike(name: str, a: Node, b: Node, dtype: DType) -> tuple[Node, Node]:
    """Both nodes in one dtype and their common shape."""
    if a.dtype is not dtype:
        a = cast_node(a, dtype)
    if b.dtype is not dtype:
        b = cast_node(b, dtype)
    if a.shape != b.shape:
        shape = broadcast_shape(name, a.shape, b.shape)
        a, b = broadcast_node(name, a, shape), broadcast_node(name, b, shape)
    return a, b


def floor_quotient(a: Node, b: Node) -> Node:
    """a / b rounded down. Raises DivisionError for an integer over a known 0; one over a 0 that
    comes to light later gives 0."""
    verify_divisor("floor_divide", b)
    return ir.FloorDiv(a, b)


def remainder(a: Node, b: Node) -> Node:
    """a - b * floor(a / b), with the sign of b. Raises as `floor_quotient`."""
    verify_divisor("remainder", b)
    return ir.Mod(a, b)


def truncated_quotient(a: Node, b: Node) -> Node:
    """a / b rounded towards zero. Raises as `floor_quotient`."""
    verify_divisor("div", b)
    if a.dtype.is_float:
        wide = float32 if is_low_precision(a.dtype) else a.dtype  # rounded once, behind the comma
        return cast_node(ir.Trunc(ir.Div(cast_node(a, wide), cast_node(b, wide))), a.dtype)
    floor = ir.FloorDiv(a, b)
    if a.dtype.kind != "int":
        return floor
    # the floor of a negative quotient that is not whole is one too low
    zero = ir.Const(0, a.dtype, a.shape)
    low = ir.And(ir.Less(floor, zero), ir.NotEqual(ir.Mod(a, b), zero))
    return ir.Add(floor, ir.Cast(low, a.dtype))


def fmod(a: Node, b: Node) -> Node:
    """The remainder of the absolute values, with the sign of a. Raises as `floor_quotient`."""
    verify_divisor("fmod", b)
    if a.dtype.kind in ("uint", "bool"):
        return ir.Mod(a, b)
    zero = ir.Const(0, a.dtype, a.shape)
    negative = ir.Less(a, zero)
    if a.dtype.is_int:  # the smallest integer has no absolute value
        rest = ir.Mod(a, b)
        other = ir.And(ir.NotEqual(rest, zero), ir.NotEqual(ir.Less(rest, zero), negative))
        return ir.Where(other, ir.Sub(rest, b), rest)
    # by selection: the gradient of Abs is 0 at 0
    size, by = ir.Where(negative, ir.Neg(a), a), ir.Where(ir.Less(b, zero), ir.Neg(b), b)
    rest = ir.Mod(size, by)
    return ir.Where(negative, ir.Neg(rest), rest)


def power(node: Node, exponent: int | float) -> Node | None:
    """x ** exponent where a few multiplications or a square root give it; else None."""
    if is_low_precision(node.dtype):
        special = power(ir.Cast(node, float32), exponent)
        return None if special is None else ir.Cast(special, node.dtype)
    if node.dtype.is_float:
        one = ir.Const(1, node.dtype, node.shape)
        match exponent:
            case 1:
                return node
            case 2:
                return ir.Mul(node, node)
            case 3:
                return ir.Mul(ir.Mul(node, node), node)
            case -1:
                return ir.Div(one, node)
            case -2:  # not 1 / (x * x), whose gradient at 0 would be nan
                inverse = ir.Div(one, node)
                return ir.Mul(inverse, inverse)
            case 0.5:
                return ir.Sqrt(node)
            case -0.5:  # 1 / sqrt(x), which it is simplified to, would have another slope at -0.0
                return ir.Pow(node, ir.Const(exponent, node.dtype, node.shape))
        return None
    if isinstance(exponent, float):
        return None
    if exponent < 0:
        raise ArgumentError(f"pow: integers have no integer power {exponent}; cast to float first")
    if node.dtype == bool_:
        node = ir.Cast(node, int64)
    result: Node | None = None
    while exponent:
        if exponent & 1:
            result = node if result is None else ir.Mul(result, node)
        exponent >>= 1
        if exponent:
            node = ir.Mul(node, node)
    return ir.Const(1, node.dtype, node.shape) if result is None else result


def integer_power(base: Node, exponent: Node) -> Node:
    """base ** exponent by repeated squaring over the exponent's bits, modulo the dtype's range.

    A negative exponent gives 1 / base ** -exponent rounded to zero: 0 but for bases 1 and -1.
    """
    dtype, shape = base.dtype, base.shape
    zero, one = ir.Const(0, dtype, shape), ir.Const(1, dtype, shape)
    result: Node = one
    square = base
    for bit in range(8 * dtype.itemsize - (dtype.kind == "int")):
        used = ir.NotEqual(ir.And(exponent, ir.Const(1 << bit, dtype, shape)), zero)
        result = ir.Mul(result, ir.Where(used, square, one))
        square = ir.Mul(square, square)
    if dtype.kind == "uint":
        return result
    odd = ir.NotEqual(ir.And(exponent, one), zero)
    minus_one = ir.Const(-1, dtype, shape)
    of_minus_one = ir.Where(odd, minus_one, one)
    negative = ir.Where(
        ir.Equal(base, one), one, ir.Where(ir.Equal(base, minus_one), of_minus_one, zero)
    )
    return ir.Where(ir.Less(exponent, zero), negative, result)

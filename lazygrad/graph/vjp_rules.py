"""Vector-Jacobian products: the derivative of every operation.

A rule takes the cotangent g of a node (the derivative of the final value with respect to it) and
the node, and returns one cotangent for each input, or None for an input without a gradient.
Cotangents are ordinary nodes, so gradients of gradients work. Where a derivative does not exist or
is not unique, the rule agrees with PyTorch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

from ..dtypes import int32
from . import build, ir
from .build import full_like, unreduce, zeros_like
from .ir import (
    Cast,
    Const,
    Cos,
    Div,
    Equal,
    Exp,
    FloorDiv,
    Gather,
    Iota,
    Less,
    LessEqual,
    Log,
    Mul,
    Neg,
    Node,
    NotEqual,
    Permute,
    Pow,
    Reduce,
    Scatter,
    Sin,
    Sub,
    Where,
)
from .scan import scan_in_blocks

Cotangents = tuple[Node | None, ...]
VJP = Callable[[Node, Any], Cotangents]
F = TypeVar("F", bound=VJP)

VJP_RULES: dict[type[Node], VJP] = {}

# Leaves, operations whose results are integers or bools, Detach and Bitcast.
NO_GRADIENT: frozenset[type[Node]] = frozenset(
    {
        ir.Buffer, ir.Const, ir.Iota, ir.Not, ir.Less, ir.LessEqual, ir.Equal, ir.NotEqual,
        ir.And, ir.Or, ir.Xor, ir.Shl, ir.Shr, ir.Sort, ir.RandomBits, ir.Detach, ir.Bitcast,
        ir.InRange,
    }
)  # fmt: skip


def vjp(*classes: type[Node]) -> Callable[[F], F]:
    """Decorator: the function is the rule of these classes."""

    def register(rule: F) -> F:
        VJP_RULES.update(dict.fromkeys(classes, rule))
        return rule

    return register


# --------------------------------------------------------------------------- elementwise


@vjp(ir.Neg)
def vjp_neg(g: Node, out: ir.Neg) -> Cotangents:
    """y = -x:   dx = -g"""
    return (Neg(g),)


@vjp(ir.Abs)
def vjp_abs(g: Node, out: ir.Abs) -> Cotangents:
    """y = |x|:   dx = g * sign(x), 0 at 0"""
    zero = zeros_like(out.x)
    return (Where(Less(zero, out.x), g, Where(Less(out.x, zero), Neg(g), zero)),)


@vjp(ir.Exp)
def vjp_exp(g: Node, out: ir.Exp) -> Cotangents:
    """y = e**x:   dx = g*y"""
    return (Mul(g, out),)


@vjp(ir.Log)
def vjp_log(g: Node, out: ir.Log) -> Cotangents:
    """y = log x:   dx = g/x"""
    return (Div(g, out.x),)


@vjp(ir.Sqrt)
def vjp_sqrt(g: Node, out: ir.Sqrt) -> Cotangents:
    """y = sqrt x:   dx = g / (2*y)"""
    return (Div(g, Mul(full_like(out, 2), out)),)


@vjp(ir.Sin)
def vjp_sin(g: Node, out: ir.Sin) -> Cotangents:
    """y = sin x:   dx = g * cos x"""
    return (Mul(g, Cos(out.x)),)


@vjp(ir.Cos)
def vjp_cos(g: Node, out: ir.Cos) -> Cotangents:
    """y = cos x:   dx = -g * sin x"""
    return (Neg(Mul(g, Sin(out.x))),)


@vjp(ir.Tanh)
def vjp_tanh(g: Node, out: ir.Tanh) -> Cotangents:
    """y = tanh x:   dx = g * (1 - y*y)"""
    return (Mul(g, Sub(full_like(out, 1), Mul(out, out))),)


@vjp(ir.Erf)
def vjp_erf(g: Node, out: ir.Erf) -> Cotangents:
    """y = erf x:   dx = g * 2/sqrt(pi) * e**(-x*x)"""
    slope = Mul(full_like(out, 2 / math.sqrt(math.pi)), Exp(Neg(Mul(out.x, out.x))))
    return (Mul(g, slope),)


@vjp(ir.Floor, ir.Ceil, ir.Trunc, ir.Round)
def vjp_step(g: Node, out: ir.Unary) -> Cotangents:
    """y = floor x and the like, flat between steps:   dx = 0"""
    return (zeros_like(out),)


@vjp(ir.Add)
def vjp_add(g: Node, out: ir.Add) -> Cotangents:
    """z = x + y:   dx = g,   dy = g"""
    return g, g


@vjp(ir.Sub)
def vjp_sub(g: Node, out: ir.Sub) -> Cotangents:
    """z = x - y:   dx = g,   dy = -g"""
    return g, Neg(g)


@vjp(ir.Mul)
def vjp_mul(g: Node, out: ir.Mul) -> Cotangents:
    """z = x*y:   dx = g*y,   dy = g*x"""
    return Mul(g, out.y), Mul(g, out.x)


@vjp(ir.Div)
def vjp_div(g: Node, out: ir.Div) -> Cotangents:
    """z = x/y:   dx = g/y,   dy = -g * z/y"""
    return Div(g, out.y), Neg(Mul(g, Div(out, out.y)))


@vjp(ir.FloorDiv)
def vjp_floordiv(g: Node, out: ir.FloorDiv) -> Cotangents:
    """z = floor(x/y), flat between steps:   dx = 0,   dy = 0"""
    return zeros_like(out), zeros_like(out)


@vjp(ir.Mod)
def vjp_mod(g: Node, out: ir.Mod) -> Cotangents:
    """z = x - y*floor(x/y):   dx = g,   dy = -g * floor(x/y)"""
    return g, Neg(Mul(g, FloorDiv(out.x, out.y)))


@vjp(ir.Pow)
def vjp_pow(g: Node, out: ir.Pow) -> Cotangents:
    """z = x**y:   dx = g * y * x**(y-1), 0 where y = 0
    dy = g * z * log x, 0 where x = 0 and y >= 0
    """
    x, y = out.x, out.y
    zero, one = zeros_like(x), full_like(x, 1)
    # The branch not chosen stays finite: its infinities would reappear in second derivatives.
    flat = Equal(y, zero)
    if isinstance(y, Const):  # a constant exponent stays one: of 1/2 it means the root
        exponent: Node = full_like(y, y.value - 1 if y.value else 1)
    else:
        exponent = Where(flat, one, Sub(y, one))
    power = Pow(x, exponent)
    dx = Where(flat, zero, Mul(g, Mul(y, power)))
    nothing = ir.And(Equal(x, zero), LessEqual(zero, y))
    dy = Where(nothing, zero, Mul(g, Mul(out, Log(Where(nothing, one, x)))))
    return dx, dy


@vjp(ir.Maximum, ir.Minimum)
def vjp_maximum(g: Node, out: ir.Maximum | ir.Minimum) -> Cotangents:
    """z = max(x, y):   g to the larger, g/2 to each of equals (likewise for min)"""
    x, y = out.x, out.y
    x_loses, y_loses = Less(x, y), Less(y, x)
    if isinstance(out, ir.Minimum):
        x_loses, y_loses = y_loses, x_loses
    share = Where(Equal(x, y), Mul(g, full_like(g, 0.5)), g)
    zero = zeros_like(g)
    return Where(x_loses, zero, share), Where(y_loses, zero, share)


@vjp(ir.Where)
def vjp_where(g: Node, out: ir.Where) -> Cotangents:
    """z = x where c, else y:   dx = g where c,   dy = g where not c"""
    zero = zeros_like(g)
    return None, Where(out.condition, g, zero), Where(out.condition, zero, g)


@vjp(ir.Overwritten)
def vjp_overwritten(g: Node, out: ir.Overwritten) -> Cotangents:
    """z = value, where no gradient was recorded:   dx = g"""
    return g, None


@vjp(ir.Custom)
def vjp_custom(g: Node, out: ir.Custom) -> Cotangents:
    """z = value, computed in any way:   dx = rule(g, z), as the user defined it"""
    return None, *out.rule(g, out)


@vjp(ir.Cast)
def vjp_cast(g: Node, out: ir.Cast) -> Cotangents:
    """y = x in another float type:   dx = g in x's type"""
    return (Cast(g, out.x.dtype),)


# --------------------------------------------------------------------------- reduce


@vjp(ir.Reduce)
def vjp_reduce(g: Node, out: ir.Reduce) -> Cotangents:
    """sum:   dx = g, repeated
    prod:   dx_i = g * product of all x_j but x_i
    max, min:   dx = g at the element that equals the result (or is nan); if several do, `out.ties`
    says whether all get equal parts or the first gets g
    """
    x = out.x
    repeated = unreduce(g, x.shape, out.axes)
    if out.op == "sum":
        return (repeated,)
    if out.op == "prod":
        return (Mul(repeated, _product_of_others(x, out.axes)),)
    found = ir.Or(Equal(x, unreduce(_again(out), x.shape, out.axes)), NotEqual(x, x))
    if out.ties == "first":
        return (_to_first(repeated, found, out.axes),)
    count = Reduce(Cast(found, x.dtype), "sum", out.axes)
    return (Where(found, unreduce(Div(g, count), x.shape, out.axes), zeros_like(x)),)


@vjp(ir.Scan)
def vjp_scan(g: Node, out: ir.Scan) -> Cotangents:
    """y_i = sum of x_j for j <= i:   dx_j = sum of g_i for i >= j.  A running product is written
    as multiplications, and these are differentiated: y_i / x_j would fail where x_j = 0."""
    if out.op == "prod":
        return (_of_products(g, out),)
    backwards = ir.Scan(build.flip_axis(g, out.axis), out.axis)
    return (build.flip_axis(backwards, out.axis),)


def _of_products(g: Node, out: ir.Scan) -> Node:
    from .gradient import gradient  # which reads the rules of this file

    last = len(out.shape) - 1
    made = scan_in_blocks(build.move_axis(out.x, out.axis, last), out.op)
    (found,) = gradient(build.move_axis(made, last, out.axis), [out.x], g)
    return zeros_like(out.x) if found is None else found


def _again(out: ir.Reduce | ir.Scatter) -> Node:
    """An extreme that is compared with what it is chosen from. That may be computed once more, with
    other roundings, where only the extreme was kept: then no element would be equal. So the extreme
    is chosen again, from the very same values. Simplify makes the two one where neither is kept."""
    return out.with_inputs([ir.Detach(out.x), *out.inputs[1:]])


def _to_first(g: Node, found: Node, axes: tuple[int, ...]) -> Node:
    """g at the first element along `axes`, in row-major order, where `found` holds; else 0."""
    kept = [n if axis in axes else 1 for axis, n in enumerate(g.shape)]
    number = build.reshape(Iota(math.prod(kept), int32), kept)
    place = build.expand(number, g.shape)
    first = Reduce(Where(found, place, full_like(place, int32.max)), "min", axes)
    return Where(Equal(place, unreduce(first, g.shape, axes)), g, zeros_like(g))


def _product_of_others(x: Node, axes: tuple[int, ...]) -> Node:
    """For each element, the product of all other elements along `axes`.

    It is the product of all elements before times the product of all elements after. A division
    would fail for zeros.
    """
    order = (*(axis for axis in range(len(x.shape)) if axis not in axes), *axes)
    moved = build.permute(x, order)
    last, n = len(x.shape) - len(axes), math.prod(x.shape[axis] for axis in axes)
    flat = build.reshape(moved, (*moved.shape[:last], n))

    def before(y: Node) -> Node:
        shifted = build.pad_axis(build.slice_axis(y, last, 0, n - 1), last, 1, 0, value=1)
        return ir.Scan(shifted, last, "prod")

    after = build.flip_axis(before(build.flip_axis(flat, last)), last)
    others = Mul(before(flat), after) if n > 1 else full_like(flat, 1)
    return build.permute(build.reshape(others, moved.shape), _inverse(order))


# --------------------------------------------------------------------------- movement


@vjp(ir.Reshape)
def vjp_reshape(g: Node, out: ir.Reshape) -> Cotangents:
    """dx = g in x's shape"""
    return (build.reshape(g, out.x.shape),)


@vjp(ir.Permute)
def vjp_permute(g: Node, out: ir.Permute) -> Cotangents:
    """dx = g with its axes in x's order"""
    return (Permute(g, _inverse(out.order)),)


def _inverse(order: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(range(len(order)), key=order.__getitem__))


@vjp(ir.Expand)
def vjp_expand(g: Node, out: ir.Expand) -> Cotangents:
    """dx = g summed over the repeated axes

    Where g is a sum of outer products, as for a weight that is used in every step of a sequence,
    the operands are joined, so that one contraction computes the sum.
    """
    return (build.sum_to(_one_product(g, out.x.shape) or g, out.x.shape),)


def _one_product(total: Node, shape: ir.Shape) -> Node | None:
    """For a sum of two or more outer products: one outer product with the same sum to `shape`. The
    operands are joined along an axis that is summed. None for other nodes."""
    pairs: dict[tuple[Node, Node], None] = {}
    pending = [total]
    while pending:
        term = pending.pop()
        if isinstance(term, ir.Add):
            pending += [term.y, term.x]
            continue
        if not isinstance(term, Mul):
            return None
        x, y = term.inputs
        if not isinstance(x, ir.Expand) or not isinstance(y, ir.Expand) or (x.x, y.x) in pairs:
            return None
        pairs[x.x, y.x] = None
    first, *others = pairs
    axes = [n for n, size in enumerate(shape) if size == 1 != first[0].shape[n]]
    axes = [n for n in axes if first[0].shape[n] == first[1].shape[n]]
    alike = all((x.shape, y.shape) == (first[0].shape, first[1].shape) for x, y in others)
    if not others or not axes or not alike:
        return None
    x, y = (build.joined(operands, axes[0]) for operands in zip(*pairs, strict=True))
    whole = list(total.shape)
    whole[axes[0]] = x.shape[axes[0]]
    return Mul(ir.Expand(x, tuple(whole)), ir.Expand(y, tuple(whole)))


@vjp(ir.Pad)
def vjp_pad(g: Node, out: ir.Pad) -> Cotangents:
    """dx = the inside of g"""
    starts = tuple(before for before, _ in out.padding)
    return (ir.Slice(g, starts, out.x.shape, (1,) * len(starts)),)


@vjp(ir.Slice)
def vjp_slice(g: Node, out: ir.Slice) -> Cotangents:
    """dx = g where x was read, 0 elsewhere"""
    if out.size == 0:
        return (zeros_like(out.x),)
    for axis, (start, n, step) in enumerate(zip(out.starts, out.sizes, out.steps, strict=True)):
        if step < 0:
            g = build.flip_axis(g, axis)
        g = build.spread_axis(g, axis, abs(step))
        first = min(start, start + (n - 1) * step)
        g = build.pad_axis(g, axis, first, out.x.shape[axis] - first - g.shape[axis])
    return (g,)


@vjp(ir.Join)
def vjp_join(g: Node, out: ir.Join) -> Cotangents:
    """each part's dx = its slice of g"""
    places = zip(out.starts, out.parts, strict=True)
    return tuple(build.slice_axis(g, out.axis, n, x.shape[out.axis]) for n, x in places)


@vjp(ir.Window)
def vjp_window(g: Node, out: ir.Window) -> Cotangents:
    """dx = every window's cotangents, added where windows overlap"""
    return (ir.Fold(g, out.axis, out.x.shape[out.axis], out.stride, out.dilation),)


@vjp(ir.Fold)
def vjp_fold(g: Node, out: ir.Fold) -> Cotangents:
    """dx = the windows of g"""
    return (ir.Window(g, out.axis, out.x.shape[-1], out.stride, out.dilation),)


# --------------------------------------------------------------------------- indexed


@vjp(ir.Gather)
def vjp_gather(g: Node, out: ir.Gather) -> Cotangents:
    """y[i] = x[index[i]]:   dx[index[i]] += g[i]"""
    return Scatter(zeros_like(out.x), out.indices, g, "sum"), *(None for _ in out.indices)


@vjp(ir.Scatter)
def vjp_scatter(g: Node, out: ir.Scatter) -> Cotangents:
    """sum:   dx = g,   dv[i] = g[index[i]].  The functions below have the other ops."""
    rule = {
        "sum": lambda g, out: (g, Gather(g, out.indices)),
        "set": _scatter_set,
        "prod": _scatter_prod,
        "max": _scatter_extreme,
        "min": _scatter_extreme,
    }[out.op]
    dx, dv = rule(g, out)
    return dx, *(None for _ in out.indices), dv


def _scatter_set(g: Node, out: ir.Scatter) -> tuple[Node, Node]:
    """dx = g where nothing was written;   dv[i] = g[index[i]], for the last of duplicates only"""
    shape, indices = out.values.shape, out.indices
    zero = zeros_like(out.values)
    dx = Scatter(g, indices, zero, "set")
    number = build.reshape(Iota(out.values.size), shape)
    last = Scatter(Const(-1, number.dtype, out.shape), indices, number, "set")
    stayed = Equal(Gather(last, indices), number)
    return dx, Where(stayed, Gather(g, indices), zero)


def _scatter_extreme(g: Node, out: ir.Scatter) -> tuple[Node, Node]:
    """dx, dv = g at the element that equals the result; if several do, each gets an equal part"""
    indices, extreme = out.indices, _again(out)
    x_found = Equal(out.x, extreme)
    v_found = Equal(out.values, Gather(extreme, indices))
    kind = out.dtype
    count = Scatter(Cast(x_found, kind), indices, Cast(v_found, kind), "sum")
    share = Div(g, count)
    dx = Where(x_found, share, zeros_like(out.x))
    return dx, Where(v_found, Gather(share, indices), zeros_like(out.values))


def _scatter_prod(g: Node, out: ir.Scatter) -> tuple[Node, Node]:
    """dx = g * product of its v;   dv_i = g * x * product of the other v at the same index

    The product of the others is 0 if one of them is 0. Otherwise it is the product of all nonzero
    values, divided by v_i if v_i is nonzero.
    """
    indices, v = out.indices, out.values
    zero, one = zeros_like(v), full_like(v, 1)
    ones = full_like(out.x, 1)
    dx = Mul(g, Scatter(ones, indices, v, "prod"))
    is_zero = Equal(v, zero)
    divisor = Where(is_zero, one, v)
    nonzero_product = Gather(Scatter(ones, indices, divisor, "prod"), indices)
    zero_count = Scatter(zeros_like(out.x), indices, Cast(is_zero, v.dtype), "sum")
    other_zeros = Sub(Gather(zero_count, indices), Cast(is_zero, v.dtype))
    others = Where(NotEqual(other_zeros, zero), zero, Div(nonzero_product, divisor))
    return dx, Mul(Gather(Mul(g, out.x), indices), others)


# --------------------------------------------------------------------------- placement


@vjp(ir.Copy)
def vjp_copy(g: Node, out: ir.Copy) -> Cotangents:
    """dx = g, back on x's device"""
    return (g if out.x.device is None else ir.Copy(g, out.x.device),)


@vjp(ir.Contiguous)
def vjp_contiguous(g: Node, out: ir.Contiguous) -> Cotangents:
    """dx = g"""
    return (g,)

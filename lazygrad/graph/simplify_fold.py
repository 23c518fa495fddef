"""Rules for Fold: a fold of a sum of products becomes one sum of products.

The gradient of a convolution's input is col2im of a product: fold(sum over o of g * w). The product
has K * K times as many elements as the input, for K x K filters. The fold reads each of them once,
so the two sums are one:

    out[i] = sum over k of (sum over o of g[o, i - k] * w[o, k])
           = sum over (k, o) of window(pad(g))[o, i, k] * flip(w)[o, k]

This is a convolution of g with the flipped weights: the loops of a convolution compute it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from ..rewrite import Rules, rewrite
from . import simplify_movement
from .build import (
    expand,
    move_axis,
    pad_axis,
    permute,
    reshape,
    same_axis,
    slice_axis,
    zeros_like,
)
from .ir import (
    Add,
    And,
    Const,
    Elementwise,
    Expand,
    Fold,
    Movement,
    Mul,
    Node,
    Pad,
    Permute,
    Reduce,
    Reshape,
    Slice,
    Where,
    Window,
    Within,
)
from .product import ends_at_size

FEW_TERMS = 2  # terms of a fold: more are summed in a loop

RULES = Rules[Node]()


@RULES.rule(Fold)
def fold_of_sum_of_products(node: Fold) -> Node | None:
    """fold(sum(a * b))  ->  sum(window(pad(a)) * flip(b)), for stride 1, where a depends on the
    number of the window but not on the position in it, and b on the position but not the number.
    Windows whose number varies end at a size: a ends there.
    """
    if node.stride != 1:
        return None
    return _correlate(node.x, node.axis, len(node.x.shape) - 1, node)


@RULES.rule(Fold)
def fold_of_few_terms(node: Fold) -> Node | None:
    """fold(x)  ->  pad(x[..., 0]) + pad(x[..., 1]), for stride 1 and elementwise x: x then needs no
    memory of its own
    """
    x, axis, count = node.x, node.axis, node.x.shape[-1]
    source = x
    while isinstance(source, Movement):
        source = source.inputs[0]
    if not isinstance(source, Elementwise) or isinstance(source, Mul):
        return None
    if node.stride != 1 or not 0 < count <= FEW_TERMS:
        return None
    terms = []
    for k in range(count):
        term = reshape(slice_axis(x, len(x.shape) - 1, k, 1), x.shape[:-1])
        before = k * node.dilation
        terms.append(pad_axis(term, axis, before, node.size_ - term.shape[axis] - before))
    return reduce(Add, terms)


@RULES.rule(Permute, of=Reduce)
def permute_of_reduce(node: Permute, inner: Reduce) -> Node | None:
    """permute(reduce(x))  ->  reduce(permute(x)), which writes results in their readers' order"""
    order = (*(inner.kept[axis] for axis in node.order), *inner.axes)
    return Reduce(permute(inner.x, order), inner.op, tuple(range(len(node.order), len(order))))


def _correlate(x: Node, place: int, k: int, fold: Fold, ended: Node | None = None) -> Node | None:
    """The fold of x as one sum of products, or None. Axis `place` of x, the number of the window,
    becomes an axis of fold.size_ elements; axis k, the position in the window, is removed."""
    match x:
        case Permute(inner, order):
            result = _correlate(inner, order[place], order[k], fold, ended)
            if result is None:
                return None
            kept = [a - (a > order[k]) for a in order if a != order[k]]
            return permute(result, kept)
        case Reshape(inner):
            below, window = (same_axis(inner.shape, x.shape, axis) for axis in (place, k))
            if below is None or window is None or below == window:
                return None
            result = _correlate(inner, below, window, fold, ended)
            if result is None:
                return None
            shape = [fold.size_ if a == place else n for a, n in enumerate(x.shape) if a != k]
            return reshape(result, shape)
        case Reduce(inner, "sum", axes):
            product = _factors(inner)
            if product is None:
                return None
            return _correlate_product(*product, axes, x.kept[place], x.kept[k], fold, ended)
        case Within(inner):  # the fold has a Within of its own
            return _correlate(inner, place, k, fold, ended)
        case Where(inside, inner, _) if ends_at_size(x):
            return _correlate_ended(inside, inner, place, k, fold, ended)
        case Mul(a, b):  # a depthwise convolution: there is no sum over channels
            return _correlate_product(a, b, (), place, k, fold, ended)
    return None


def _correlate_ended(
    inside: Node, x: Node, place: int, k: int, fold: Fold, ended: Node | None
) -> Node | None:
    """As _correlate, of where(inside, x, 0). Of the conditions that all hold inside, each may be
    about the number of the window, or about other axes."""
    others: list[Node] = []
    for condition in _conjuncts(inside):
        along, less = _along(condition, place), without_axis(condition, k)
        other = None if less is None else without_axis(less, place)
        if along is not None:
            ended = along if ended is None else And(ended, along)
        elif other is not None:
            others.append(reshape(other, other.shape[:k] + other.shape[k + 1 :]))
        else:
            return None
    result = _correlate(x, place, k, fold, ended)
    for other in others:
        if result is not None:
            result = Where(expand(other, result.shape), result, zeros_like(result))
    return result


def _conjuncts(condition: Node) -> list[Node]:
    """The conditions that all hold where this one does."""
    match condition:
        case And(x, y):
            return [*_conjuncts(x), *_conjuncts(y)]
        case Expand(x) | Reshape(x) | Permute(x):
            return [condition.with_inputs([each]) for each in _conjuncts(x)]
    return [condition]


def _along(condition: Node, axis: int) -> Node | None:
    """A condition by the index along one axis, if it depends on no other; else None."""
    less: Node | None = condition
    for other in range(len(condition.shape)):
        if less is not None and other != axis:
            less = without_axis(less, other)
    return None if less is None else reshape(less, (condition.shape[axis],))


def _factors(x: Node) -> tuple[Node, Node] | None:
    """The a and b with x = a * b. x may be a view of a product: view(a * b) = view(a) * view(b)."""
    views: list[Node] = []
    while isinstance(x, (Permute, Reshape, Pad, Slice)):
        if isinstance(x, Pad) and x.value != 0:
            return None
        views.append(x)
        x = x.x
    if not isinstance(x, Mul):
        return None
    a, b = x.x, x.y
    for view in reversed(views):
        if isinstance(view, Pad):
            a, b = _pad_product(a, b, view)
        else:
            a, b = view.with_inputs([a]), view.with_inputs([b])
    if views:
        a, b = rewrite([a, b], simplify_movement.RULES)
    return a, b


def _pad_product(a: Node, b: Node, view: Pad) -> tuple[Node, Node]:
    """Factors of pad(a * b). The zeros of one factor are enough: where the other factor does not
    depend on the padded axis, it is repeated there."""
    for axis, amount in enumerate(view.padding):
        if not any(amount):
            continue
        shape = tuple(n if x != axis else view.shape[axis] for x, n in enumerate(a.shape))
        less_a, less_b = without_axis(a, axis), without_axis(b, axis)
        wide_b = pad_axis(b, axis, *amount) if less_a or not less_b else expand(less_b, shape)
        a = expand(less_a, shape) if less_a else pad_axis(a, axis, *amount)
        b = wide_b
    return a, b


def _correlate_product(
    a: Node, b: Node, axes: Sequence[int], place: int, k: int, fold: Fold, ended: Node | None
) -> Node | None:
    moving, fixed = without_axis(a, k), without_axis(b, place)
    if moving is None or fixed is None:
        moving, fixed = without_axis(b, k), without_axis(a, place)
    if moving is None or fixed is None:
        return None
    shape = tuple(fold.size_ if axis == place else n for axis, n in enumerate(a.shape))
    window, reach = shape[k], (shape[k] - 1) * fold.dilation
    for axis in range(len(shape)):  # pad the elements, not their repetitions
        moving = without_axis(moving, axis) or moving if axis != place else moving
        fixed = without_axis(fixed, axis) or fixed if axis != k else fixed
    squeezed = reshape(moving, [n for axis, n in enumerate(moving.shape) if axis != k])
    at = place - (place > k)
    if ended is not None:
        squeezed = end_below(squeezed, at, ended)
    windows = Window(pad_below(squeezed, at, reach), at, window, 1, fold.dilation)
    moving = move_axis(windows, len(windows.shape) - 1, k)
    fixed = slice_axis(fixed, k, window - 1, window, -1)
    product = Mul(expand(moving, shape), expand(fixed, shape))
    return Reduce(product, "sum", tuple(sorted((*axes, k))))


def pad_below(x: Node, axis: int, amount: int) -> Node:
    """x with `amount` zeros on both sides of an axis, added below windows along other axes: images
    padded in two directions are then padded once, before all windows."""
    match x:
        case Permute(inner, order):
            return permute(pad_below(inner, order[axis], amount), order)
        case Window(inner, at, size, stride, dilation) if axis not in (at, len(x.shape) - 1):
            return Window(pad_below(inner, axis, amount), at, size, stride, dilation)
        case Reshape(inner):
            same = same_axis(inner.shape, x.shape, axis)
            if same is not None:
                shape = (n + 2 * amount * (a == axis) for a, n in enumerate(x.shape))
                return reshape(pad_below(inner, same, amount), tuple(shape))
    return pad_axis(x, axis, amount, amount)


def end_below(x: Node, axis: int, inside: Node) -> Node:
    """x with zeros where `inside`, a condition by the index along an axis, does not hold. As with
    `pad_below`, windows along other axes, and their padding, are made after that."""
    match x:
        case Permute(inner, order):
            return permute(end_below(inner, order[axis], inside), order)
        case Window(inner, at, size, stride, dilation) if axis not in (at, len(x.shape) - 1):
            return Window(end_below(inner, axis, inside), at, size, stride, dilation)
        case Pad(inner, padding, 0) if padding[axis] == (0, 0):
            return Pad(end_below(inner, axis, inside), padding, x.value)
        case Reshape(inner):
            same = same_axis(inner.shape, x.shape, axis)
            if same is not None:
                return reshape(end_below(inner, same, inside), x.shape)
    shape = tuple(n if a == axis else 1 for a, n in enumerate(x.shape))
    return Where(expand(reshape(inside, shape), x.shape), x, zeros_like(x))


def without_axis(x: Node, axis: int) -> Node | None:
    """x with size 1 along an axis, if its elements do not depend on that axis; else None."""
    if x.shape[axis] == 1:
        return x
    shape = tuple(1 if a == axis else n for a, n in enumerate(x.shape))
    below: int | None = axis
    match x:
        case Const(value, dtype):
            return Const(value, dtype, shape)
        case Expand(inner) if inner.shape[axis] == 1:
            return expand(inner, shape)
        case Expand(inner):
            pass
        case Permute(inner, order):
            below = order[axis]
        case Reshape(inner):
            below = same_axis(inner.shape, x.shape, axis)
        case Pad(inner, padding) if padding[axis] == (0, 0):
            pass
        case Slice(inner) if inner.shape[axis] == x.shape[axis]:
            pass
        case Window(inner, at) if axis not in (at, len(shape) - 1):
            pass
        case _:
            return None
    less = None if below is None else without_axis(inner, below)
    if less is None:
        return None
    match x:
        case Reshape():
            return reshape(less, shape)
        case Expand():
            return expand(less, shape)
        case Slice(_, starts, _, steps):
            starts = tuple(0 if a == axis else n for a, n in enumerate(starts))
            return Slice(less, starts, shape, steps)
    return x.with_inputs([less])

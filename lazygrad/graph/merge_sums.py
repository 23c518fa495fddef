"""Merge sums of sums, and compute only the parts of sums that are read.

    sum over k of a view of (sum over c of e)  ->  one sum over (k, c) of the view of e

    slice of (sum over c of e)  ->  sum over c of the slice of e

A *view* is a movement node that reads no element twice. If the outer sum is a Fold, the view moves
below the inner sum, and both sums stay: simplify_fold then makes them one contraction.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..rewrite import rewrite
from . import build
from .ir import Fold, Node, Pad, Permute, Reduce, Reshape, Slice, identity, topological, use_counts
from .product import is_contraction
from .simplify import RULES
from .simplify_elementwise import is_positive_zero

View = Reshape | Permute | Pad | Slice
Sum = Reduce | Fold
FEW_REMAINDERS = 4  # of a stride: each remainder gets loops of its own
MAX_NESTED = 4  # nested sums that a view moves through, at most, so that time stays linear


def merge_sums(outputs: Sequence[Node]) -> list[Node]:
    """Merge a reduction or fold with the reduction or fold that it reads, through views.

    The inner sum must have no other reader, or it would be computed twice. A contraction is not
    merged: in a kernel of its own it reuses both factors, so two sums take less time than one.

    Requires: a simplified graph. Ensures: a simplified graph; equal values, but for the order of
    summation. Linear in the graph.

        Reduce(Reshape(Reduce(x, "sum")), "sum")  ->  Reduce(Reshape(x), "sum")
        Fold(Permute(Reduce(x, "sum")))           ->  Fold(Reduce(Permute(x), "sum"))
    """
    order = topological(outputs)
    uses = use_counts(outputs, order)
    merged: dict[Node, Sum] = {}
    for node in order:
        if not isinstance(node, Sum):
            continue
        views, inner = _views(node.x, uses)
        if isinstance(inner, Sum) and uses[inner] == 1:
            found = _merge(node, views, merged.get(inner, inner), uses)
            if found is not None:
                merged[node] = found
    return rewrite(outputs, RULES, merged) if merged else list(outputs)


def crop_sums(outputs: Sequence[Node]) -> list[Node]:
    """Move a slice below the sum that it reads: elements that it leaves out are not computed.

    The sum must have no other reader, and the slice must have fewer elements than the sum: a view
    between them may have added zeros, which need no sums. The gradient of a convolution's input is
    such a slice: it leaves out the elements of the padding. With a stride, the slice is widened so
    that it has equally many places of each remainder: their loops then have the same terms.

    Requires: a simplified graph. Ensures: as merge_sums.

        Slice(Reshape(Reduce(x, "sum")))  ->  Reduce(Slice(Reshape(x)), "sum")
    """
    order = topological(outputs)
    slices = [node for node in order if isinstance(node, Slice) and node.size < node.x.size]
    uses = use_counts(outputs, order)
    cropped: dict[Node, Node] = {}
    for node in slices:
        views, inner = _views(node.x, uses)
        if not isinstance(inner, Reduce) or uses[inner] > 1:
            continue
        wide = _with_equal_remainders(node)
        if not wide.size < min(inner.size, node.x.size):
            continue
        below: Sum | None = inner
        for view in (*reversed(views), wide):
            below = below and _below(view, below, uses)
        if below is not None:
            starts = tuple(a - b for a, b in zip(node.starts, wide.starts, strict=True))
            ones = (1,) * len(starts)
            cropped[node] = below if wide is node else Slice(below, starts, node.sizes, ones)
    return rewrite(outputs, RULES, cropped) if cropped else list(outputs)


def _with_equal_remainders(node: Slice) -> Slice:
    """The smallest slice that contains this one and has each remainder of a stride equally often,
    along axes i = quotient * stride + remainder."""
    starts, sizes = list(node.starts), list(node.sizes)
    for axis, (size, step) in enumerate(zip(node.sizes, node.steps, strict=True)):
        remainders, whole = _remainders(node.x, axis), node.x.shape[axis]
        if step == 1 and size < whole and remainders <= FEW_REMAINDERS:
            sizes[axis] = min(size + -size % remainders, whole)
            starts[axis] = min(starts[axis], whole - sizes[axis])
    if sizes == list(node.sizes):
        return node
    return Slice(node.x, tuple(starts), tuple(sizes), node.steps)


def _remainders(x: Node, axis: int) -> int:
    """The stride, if views merged two axes into this one: i = quotient * stride + remainder. Else
    1."""
    while True:
        match x:
            case Reduce():
                axis = x.kept[axis]
            case Permute(_, order):
                axis = order[axis]
            case Reshape():
                groups = build.reshape_groups(x.x.shape, x.shape) or []
                digits = next((old for old, new in groups if new == (axis,)), ())
                if len(digits) != 1:
                    return x.x.shape[digits[-1]] if digits else 1
                axis = digits[0]
            case Pad():
                pass
            case Slice(steps=steps) if steps[axis] == 1:
                pass
            case _:
                return 1
        x = x.x


def _views(x: Node, uses: dict[Node, int]) -> tuple[list[View], Node]:
    """The views at and below x, outermost first, while each has one reader; and the node below
    them."""
    views: list[View] = []
    while isinstance(x, View) and uses[x] == 1:
        views.append(x)
        x = x.x
    return views, x


def _merge(node: Sum, views: Sequence[View], inner: Sum, uses: dict[Node, int]) -> Sum | None:
    """One sum for `node` over `views` (the last is innermost) of the sum `inner`, or None."""
    if isinstance(node, Reduce):
        if not isinstance(inner, Reduce) or node.op != inner.op or is_contraction(inner):
            return None
    elif not views:
        return None
    for view in reversed(views):
        below = _below(view, inner, uses)
        if below is None:
            return None
        inner = below
    if isinstance(node, Fold):
        return Fold(inner, node.axis, node.size_, node.stride, node.dilation)
    assert isinstance(inner, Reduce)
    axes = sorted((*inner.axes, *(inner.kept[axis] for axis in node.axes)))
    return Reduce(inner.x, node.op, tuple(axes))


# --------------------------------------------------------------------------- moving views


def _below(view: View, inner: Sum, uses: dict[Node, int], depth: int = MAX_NESTED) -> Sum | None:
    """view(sum(x))  ->  sum(view(x)), through nested folds down to a reduction, or None."""
    if isinstance(inner, Reduce):
        return _below_reduce(view, inner)
    found, nested = _below_fold(view, inner), inner.x
    if found is None or not isinstance(nested, Sum) or uses.get(nested, 1) > 1 or depth == 1:
        return None
    x, axis = found
    below = _below(x, nested, uses, depth - 1) if isinstance(x, View) else nested
    return below and Fold(below, axis, inner.size_, inner.stride, inner.dilation)


def _below_reduce(view: View, inner: Reduce) -> Reduce | None:
    """view(reduce(x))  ->  reduce(view(x)), the reduced axes last."""
    kept = inner.kept
    x = build.permute(inner.x, (*kept, *inner.axes))
    sizes = x.shape[len(kept) :]
    match view:
        case Reshape():
            x = build.reshape(x, view.shape + sizes)
        case Permute(_, order):
            x = build.permute(x, (*order, *range(len(kept), len(x.shape))))
        case Pad(_, padding, value):
            if not _pads_with_identity(view, inner.op):
                return None
            x = Pad(x, (*padding, *((0, 0) for _ in sizes)), value)
        case Slice(_, starts, counts, steps):
            zeros, ones = (0,) * len(sizes), (1,) * len(sizes)
            x = Slice(x, starts + zeros, counts + sizes, steps + ones)
    return Reduce(x, inner.op, tuple(range(len(view.shape), len(x.shape))))


def _pads_with_identity(node: Pad, op: str) -> bool:
    """Whether the padding changes no result of op."""
    if op == "sum":
        return is_positive_zero(node.value)
    return node.value == identity(op, node.dtype)


def _below_fold(view: View, inner: Fold) -> tuple[Node, int] | None:
    """view(fold(x))  ->  fold(view(x)), where the view leaves the folded axis whole. Returns
    view(x) and the place of that axis; else None."""
    x, axis, last = inner.x, inner.axis, len(inner.shape)
    match view:
        case Reshape():
            place = build.same_axis(view.shape, inner.shape, axis)
            if place is None:
                return None
            shape = [*view.shape, x.shape[last]]
            shape[place] = x.shape[axis]
            return build.reshape(x, shape), place
        case Permute(_, order):
            return build.permute(x, (*order, last)), order.index(axis)
        case Pad(_, padding, value):
            if padding[axis] != (0, 0) or not _pads_with_identity(view, "sum"):
                return None
            return Pad(x, (*padding, (0, 0)), value), axis
        case Slice(_, starts, sizes, steps):
            if sizes[axis] != inner.size_ or steps[axis] != 1:
                return None
            counts = [*sizes, x.shape[last]]
            counts[axis] = x.shape[axis]
            return Slice(x, (*starts, 0), tuple(counts), (*steps, 1)), axis

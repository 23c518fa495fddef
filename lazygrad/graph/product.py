"""Recognise a sum of products: a matrix product, a convolution, or a gradient of one.

    sum over k of a[i, k] * b[k, j]      Reduce(Mul(Expand(a), Expand(b)), "sum")

A *contraction* is a sum of products in which several results share each element of both factors.
`a @ b` is one operation of tensors; in the graph it is movement, a multiplication and a sum. Passes
over graphs recognise it with the functions here; after `fuse`, its kernel's kind is "contraction".
"""

from __future__ import annotations

from dataclasses import dataclass

from ..dtypes import int64
from .ir import (
    Buffer,
    Cast,
    Const,
    Elementwise,
    Expand,
    Fold,
    Iota,
    Movement,
    Mul,
    Node,
    Pad,
    Reduce,
    Where,
    Window,
)


@dataclass(frozen=True, slots=True)
class Factor:
    """One of two factors: the node `source` below movement, casts and `ends`.

    A Pad counts as a source, because its zeros are elements like others. `is_shared`: an Expand
    repeats the elements, so several results read each. `slides`: a Window reads them.
    """

    source: Node
    is_shared: bool
    slides: bool


def product(node: Node) -> Mul | None:
    """The multiplication below a sum, with at most movement and casts between; None for other
    nodes."""
    if not isinstance(node, (Reduce, Fold)) or (isinstance(node, Reduce) and node.op != "sum"):
        return None
    x = node.x
    while isinstance(x, (Movement, Cast)):
        x = x.inputs[0]
    return x if isinstance(x, Mul) else None


def factors(node: Node) -> tuple[Factor, ...]:
    """The two factors of the products that a node sums; () for any other node."""
    found = product(node)
    return () if found is None else (_factor(found.x), _factor(found.y))


def _factor(x: Node) -> Factor:
    is_shared = slides = False
    while True:
        if ends_at_size(x):
            x = x.inputs[1]
            continue
        if not isinstance(x, (Movement, Cast)) or isinstance(x, Pad):
            return Factor(x, is_shared, slides)
        is_shared = is_shared or isinstance(x, Expand)
        slides = slides or isinstance(x, Window)
        x = x.inputs[0]


def ends_at_size(node: Node) -> bool:
    """Whether a node is x up to a size that is known at run time, and 0 from there on.

    where(arange(128) < n, x, 0), n an int64 in memory   (graph/at_bound.py makes such nodes)
    """
    match node:
        case Where(inside, _, Const(value=0)):
            return compares_places(inside)
    return False


def compares_places(condition: Node) -> bool:
    """Whether a condition compares indices with at least one int64 in memory."""
    stack, counts = [condition], 0
    while stack:
        match stack.pop():
            case Const() | Iota():
                pass
            case Buffer(shape=(), dtype=dtype) if dtype == int64:
                counts += 1
            case Movement() | Elementwise() as node:
                stack += node.inputs
            case _:
                return False
    return counts > 0


def is_contraction(node: Node) -> bool:
    """Whether a node sums products of factors that are both shared by several results."""
    found = factors(node)
    return bool(found) and all(factor.is_shared for factor in found)


def reuse(node: Reduce | Fold) -> int:
    """How many times, at least, a sum of products reads each element of its factors; 0 for other
    nodes. A matrix product (n, k) @ (k, m): min(n, m) times."""
    return min((node.x.size // factor.source.size for factor in factors(node)), default=0)

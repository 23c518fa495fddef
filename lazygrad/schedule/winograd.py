"""Replace convolutions with 3x3 filters by Winograd's algorithm, which needs fewer products.

    sum over c, i, j of w[o, c, i, j] * x[n, c, y + i, x + j]
    ->
    winograd(x, winogradfilter(w), w)

A tile of 2x2 results needs 16 products a channel instead of 36. But tiles and filters are
transformed before the products, and results after them, so the algorithm pays only for many
channels and tiles. The gradient of a convolution's input is such a sum, too, with the filters
flipped. If results of a tile are not finite, they are computed again as the direct sum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from ..dtypes import float32
from ..expr import Var
from ..graph import build, simplify_movement
from ..graph.ir import (
    Movement,
    Node,
    Pad,
    Permute,
    Reduce,
    Reshape,
    Winograd,
    WinogradFilter,
    Within,
)
from ..graph.ir.winograd import TAPS, TILE
from ..graph.product import product
from ..index import linear
from ..rewrite import Rules, rewrite
from .access import Access, accesses, reduced_variables
from .ir import axis_variables

CHANNELS = 16  # channels of the input and of the output, at least
TILES = 48  # tiles, at least: they share the transformed filters
PRODUCTS = 1 << 17  # tiles * channels * filters, at least: they pay for a second kernel


def use_winograd(outputs: Sequence[Node]) -> list[Node]:
    """Replace the convolutions that Winograd's algorithm computes faster.

    Requires: a simplified graph. Ensures: equal values, up to rounding (measured: 0.9 to 2.4 times
    the rounding error of the direct sum).
    """
    result = rewrite(outputs, RULES)
    if result == list(outputs):
        return result
    return rewrite(result, simplify_movement.RULES)  # the movement around new nodes


RULES = Rules[Node]()


@RULES.rule(Reduce)
def convolution_by_tiles(node: Reduce) -> Node | None:
    """sum(window(x) * w)  ->  winograd(x, winogradfilter(w), w)"""
    found = recognise(node)
    if found is None or not found.pays:
        return None
    y = Winograd(found.x, WinogradFilter(found.w), found.w)
    return build.reshape(build.permute(build.reshape(y, found.sizes), found.order), node.shape)


@RULES.rule(Within)
def end_of_tiles(node: Within) -> Node | None:
    """within(reshape(winograd), i < n)  ->  reshape(within(winograd, i < n)), which ends tiles"""
    moves: list[Reshape | Permute] = []
    x, inside = node.x, node.inside
    while isinstance(x, (Reshape, Permute)):
        moves.append(x)
        inside = _moved_back(inside, x)
        x = x.x
    source = x
    while isinstance(source, Within):
        source = source.x
    if not moves or not isinstance(source, Winograd):
        return None
    ended: Node = Within(x, inside)
    for move in reversed(moves):
        ended = move.with_inputs([ended])
    return ended


def _moved_back(inside: Node, move: Reshape | Permute) -> Node:
    """The condition for each element of a node, from that for the elements of the moved node."""
    if isinstance(move, Reshape):
        return build.reshape(inside, move.x.shape)
    return build.permute(inside, tuple(map(move.order.index, range(len(move.order)))))


@dataclass(frozen=True)
class Convolution:
    """A sum of products as a convolution of x (N, C, H + 2, W + 2) with w (O, C, 3, 3).

    Its result (N, O, H, W), reshaped to `sizes` and permuted by `order`, has the axes of the sum,
    but for those of size 1.
    """

    x: Node
    w: Node
    sizes: tuple[int, ...]
    order: tuple[int, ...]

    @property
    def pays(self) -> bool:
        """Whether there are enough channels and tiles, and all tiles are whole."""
        n, channels, *sizes = self.x.shape
        height, width = (size - TAPS + 1 for size in sizes)
        if height % TILE or width % TILE or self.x.dtype != float32:
            return False
        tiles, outputs = n * (height // TILE) * (width // TILE), self.w.shape[0]
        is_deep = min(channels, outputs) >= CHANNELS
        return is_deep and tiles >= TILES and channels * outputs * tiles >= PRODUCTS


def recognise(node: Reduce) -> Convolution | None:
    """A sum of products as a convolution with 3x3 filters, stride 1 and one group; None for other
    nodes."""
    summed_product = product(node)
    if summed_product is None or not all(node.shape):
        return None

    def is_factor(x: Node) -> bool:  # a Pad is a factor: its zeros are pixels
        return x is not summed_product and (isinstance(x, Pad) or not isinstance(x, Movement))

    reads = accesses(node, is_factor)
    if len(reads) != 2 or any(read.guard is not None for read in reads):
        return None
    kept = [v for v in axis_variables(node.shape) if v.extent > 1]
    summed = [v for v in reduced_variables(node) if v.extent > 1]
    for image, weight in (reads, reversed(reads)):
        found = _matched(image, weight, kept, summed)
        if found is not None:
            return found
    return None


def _matched(
    image: Access, weight: Access, kept: Sequence[Var], summed: Sequence[Var]
) -> Convolution | None:
    """The convolution, if one factor has the images and the other the weights; else None."""
    axes = {}  # of the image, by the variables in its index
    windows: list[tuple[Var, Var]] = []
    x = image.node
    for axis, index in enumerate(image.index):
        start, terms = linear(index)
        variables = [atom for atom, step in terms if isinstance(atom, Var) and step == 1]
        if len(variables) != len(terms) or len(variables) > 2:
            return None
        if len(variables) == 2:
            variables.sort(key=kept.__contains__, reverse=True)
            place, tap = variables
            if place not in kept or tap not in summed or tap.extent != TAPS:
                return None
            windows.append((place, tap))
            size = place.extent + TAPS - 1
        else:
            size = variables[0].extent if variables else 1
        x = build.slice_axis(x, axis, start, size)
        for var in variables:
            if var in axes:
                return None
            axes[var] = axis
    if len(windows) != 2:
        return None
    places, taps = zip(*windows, strict=True)
    channels = [v for v in summed if v not in taps]
    batch = [v for v in kept if v in axes and v not in places]
    rest = [v for v in kept if v not in axes]
    if not all(v in axes for v in channels) or not channels or not rest:
        return None
    x = _arranged(x, axes, batch, channels, *([v] for v in places))
    w = _filters(weight, rest, channels, taps)
    if w is None:
        return None
    mine = [*batch, *rest, *places]
    return Convolution(x, w, tuple(v.extent for v in mine), tuple(mine.index(v) for v in kept))


def _filters(
    weight: Access, outputs: Sequence[Var], channels: Sequence[Var], taps: Sequence[Var]
) -> Node | None:
    """The weights as (O, C, 3, 3), read backwards along axes where the sum does; None where they
    depend on further axes."""
    w = weight.node
    axes = {}
    for axis, index in enumerate(weight.index):
        start, terms = linear(index)
        match terms:
            case ():
                w = build.slice_axis(w, axis, start, 1)
            case ((Var() as var, 1 | -1 as step),) if var not in axes:
                w = build.slice_axis(w, axis, start, var.extent, step)
                axes[var] = axis
            case _:
                return None
    if {*outputs, *channels, *taps} != set(axes):
        return None
    return _arranged(w, axes, outputs, channels, *([v] for v in taps))


def _arranged(x: Node, axes: Mapping[Var, int], *groups: Sequence[Var]) -> Node:
    """x with one axis for each group of variables, of which each has an axis of x. The axes of no
    variable have size 1."""
    order = [axes[v] for group in groups for v in group]
    ones = [axis for axis in range(len(x.shape)) if axis not in order]
    sizes = [prod(x.shape[axes[v]] for v in group) for group in groups]
    return build.reshape(build.permute(x, (*ones, *order)), sizes)

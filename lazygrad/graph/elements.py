"""Compute one element of a node, and only the elements that it needs.

    y = log(sum(x * w, axis 1))
    Elements(y, 2, {x: ..., w: ...})    y[2], the sum at 2, the products of row 2, x and w there

`evaluate` computes all elements of all nodes. One element of a matrix product needs a row and a
column. A *place* is the number of an element in row-major order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from ..dtypes import DType
from . import ir
from .evaluate import CASES, evaluate_node
from .ir import Node, computed

Array = np.ndarray[Any, Any]
Read = tuple[Node, Array | None]
"""An input of a node and the places read in it: None for all of them, -1 for padding."""

MAX_PLACES = 1 << 24  # elements read of one node: more would take too long


class TooManyError(Exception):
    """An element needs more than MAX_PLACES elements of one node."""


class Elements:
    """The values from which the element of a node at a place is computed.

    `known` has all elements of some nodes that it needs. Raises TooManyError.
    """

    def __init__(self, node: Node, place: int, known: Mapping[Node, Array]) -> None:
        self.node, self.place, self.known = node, place, known
        order = computed([node], known)
        self._places: dict[Node, Array] = {node: np.array([place])}  # sorted, each once
        for x in reversed(order):
            for below, places in reads(x, self._places[x]):
                self._need(below, places)
        self._values: dict[Node, Array] = {}
        with np.errstate(all="ignore"):
            for x in order:
                at = self._places[x]
                inputs = [self._read(read) for read in reads(x, at)]
                self._values[x] = np.asarray(_value(x, at, inputs), x.dtype.numpy)

    @property
    def value(self) -> Any:
        """The element."""
        return self._values[self.node][0]

    def at(self, node: Node, place: int) -> Any:
        """The value of a node at a place that the element needs."""
        return self._read((node, np.array([place])))[0]

    def cause(
        self, is_bad: Callable[[Array], Array], start: tuple[Node, int] | None = None
    ) -> tuple[Node, int] | None:
        """Where a bad element comes from: a node and a place with a bad value, all of whose inputs
        are good. None where the cause is a constant or padding. The search begins at `start`, by
        default at the element itself."""
        node, place = start or (self.node, self.place)
        while True:
            found = next(self._bad_inputs(node, place, is_bad), None)
            if found is not None:
                node, place = found
                continue
            is_constant = isinstance(node, (ir.Const, ir.Movement, ir.Join))  # or padding
            return None if is_constant else (node, place)

    def inputs(self, node: Node, place: int) -> list[tuple[Node, Array]]:
        """The inputs that an element of a node reads, each with the values read."""
        return [(x, self._read((x, at))) for x, at in self._chosen(node, place)]

    def _chosen(self, node: Node, place: int) -> list[tuple[Node, Array]]:
        """The inputs and places that an element depends on, padding left out."""
        read = reads(node, np.array([place]))
        if isinstance(node, ir.Where):
            is_x = bool(self._read(read[0])[0])
            read = [read[0], read[1 if is_x else 2]]
        flat = [(x, _all(x) if at is None else at.reshape(-1)) for x, at in read]
        return [(x, at[at >= 0]) for x, at in flat]

    def _bad_inputs(
        self, node: Node, place: int, is_bad: Callable[[Array], Array]
    ) -> Iterator[tuple[Node, int]]:
        for x, at in self._chosen(node, place):
            if x not in self.known:
                for n in np.flatnonzero(is_bad(self._read((x, at))))[:1]:
                    yield x, int(at[n])

    def _need(self, node: Node, places: Array | None) -> None:
        if node in self.known:
            return
        if (node.size if places is None else places.size) > MAX_PLACES:
            raise TooManyError
        inside = _all(node) if places is None else places[places >= 0]
        self._places[node] = np.union1d(self._places.get(node, inside), inside)

    def _read(self, read: Read) -> Array:
        """The values that are read; any value for padding."""
        x, places = read
        if x in self.known:
            known = self.known[x].reshape(-1)
            return known if places is None else np.asarray(known[np.maximum(places, 0)])
        values = self._values[x]
        if places is None:
            return values
        if not values.size:
            return np.zeros(places.shape, values.dtype)
        found = np.searchsorted(self._places[x], places)
        return np.asarray(values[np.minimum(found, values.size - 1)])


def _all(node: Node) -> Array:
    return np.arange(node.size)


# --------------------------------------------------------------------------- what is read


def reads(node: Node, places: Array) -> list[Read]:
    """For each input of a node, the places read for some places of the node. Row n is for place n;
    the rows of a reduction have several places each."""
    match node:
        case ir.Elementwise() | ir.Reshape() | ir.Contiguous() | ir.Detach() | ir.Copy():
            return [(x, places) for x in node.inputs]
        case ir.Gather(x, indices):
            return [(x, None), *((index, places) for index in indices)]
        case ir.Reduce(x, _, axes):
            return [(x, _reduced(x, axes, node, places))]
        case ir.Join(parts, axis):
            at = list(np.unravel_index(places, node.shape))
            moved = [[*at[:axis], at[axis] - n, *at[axis + 1 :]] for n in node.starts]
            return [(x, _flat(x, index)) for x, index in zip(parts, moved, strict=True)]
        case ir.Movement(x) if node.shape:
            return [(x, _flat(x, _moved(node, np.unravel_index(places, node.shape))))]
        case ir.Movement(x):
            return [(x, places)]
    return [(x, None) for x in node.inputs]


def _moved(node: Node, at: Sequence[Array]) -> list[Array]:
    """The index into x that a movement reads for an index."""
    match node:
        case ir.Permute(x, order):
            return [at[order.index(axis)] for axis in range(len(order))]
        case ir.Expand(x):
            return [i if n > 1 else i * 0 for i, n in zip(at, x.shape, strict=True)]
        case ir.Slice(_, starts, _, steps):
            return [a + i * s for i, a, s in zip(at, starts, steps, strict=True)]
        case ir.Pad(_, padding):
            return [i - before for i, (before, _) in zip(at, padding, strict=True)]
        case ir.Window(_, axis, _, stride, dilation):
            *index, k = at
            index[axis] = index[axis] * stride + k * dilation
            return index
    raise NotImplementedError(node)


def _flat(x: Node, index: Sequence[Array]) -> Array:
    """Places of x; -1 where an index is outside."""
    place = np.zeros((1,) * np.ndim(index[0]), np.int64)
    is_inside = np.ones_like(place, bool)
    for i, n in zip(index, x.shape, strict=True):
        place = place * n + i
        is_inside = is_inside & (i >= 0) & (i < n)
    return np.where(is_inside, place, -1)


def _reduced(x: Node, axes: Sequence[int], node: Node, places: Array) -> Array:
    """For each place of a reduction, a row of the places of x that it combines."""
    sizes = [x.shape[axis] for axis in axes]
    if len(places) * prod(sizes) > MAX_PLACES:
        raise TooManyError
    kept = iter(np.unravel_index(places, node.shape) if node.shape else ())
    combined = iter(np.unravel_index(np.arange(prod(sizes)), sizes) if sizes else ())
    index = [
        next(combined)[None, :] if axis in axes else next(kept)[:, None]
        for axis in range(len(x.shape))
    ]
    return np.broadcast_to(_flat(x, index), (len(places), prod(sizes)))


# --------------------------------------------------------------------------- values


def _value(node: Node, places: Array, inputs: Sequence[Array]) -> Any:
    """The values of a node at some places, given the values of its `reads`."""
    match node:
        case ir.Const() | ir.Iota():
            whole = evaluate_node(node, [])
            return whole[np.unravel_index(places, node.shape)] if node.shape else whole.reshape(1)
        case ir.Elementwise():
            return CASES[type(node)](node, *inputs)
        case ir.Gather(x):
            return CASES[ir.Gather](node, inputs[0].reshape(x.shape), *inputs[1:])
        case ir.Pad():
            return np.where(
                _is_inside(node, places)[0], inputs[0], np.asarray(node.value, inputs[0].dtype)
            )
        case ir.Movement() | ir.Contiguous() | ir.Detach() | ir.Copy():
            return inputs[0]
        case ir.Join():
            return np.select(_is_inside(node, places), list(inputs))
        case ir.Reduce(x, op):
            rows = ir.Buffer(_Storage(x.dtype, inputs[0].shape), inputs[0].shape)
            return evaluate_node(ir.Reduce(rows, op, (1,)), [inputs[0]])
    values = [v.reshape(x.shape) for v, x in zip(inputs, node.inputs, strict=True)]
    return evaluate_node(node, values).reshape(-1)[places]


def _is_inside(node: Node, places: Array) -> list[Array]:
    """For each input, which places read it rather than padding."""
    return [np.asarray(at) >= 0 for _, at in reads(node, places)]


class _Storage:
    """The storage of a Buffer that stands for an array: dtype and size alone."""

    def __init__(self, dtype: DType, shape: Sequence[int]) -> None:
        self.size, self.dtype, self.device = prod(shape), dtype, "CPU"

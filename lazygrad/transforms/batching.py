"""vmap: a function of one example, as a function of a batch of them.

The function is called once, on stand-ins of one example's shape. Then the graph it gave becomes
that of a batch (graph/batching.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any

import numpy as np

from ..errors import ArgumentError, KindError, ShapeError, told
from ..graph import ir
from ..graph.batching import Batch, rule
from ..graph.ir import Node, Shape
from ..linalg import host
from ..tensor import Tensor
from ..tensor.examples import Bits, Compute, Draw, Examples, examples, stand_in
from . import trees

REFUSAL = (
    "vmap: the function reads values of one example, as by item(), numpy(), bool() or an index of "
    "bools; inside vmap there are none: use where() and the like"
)


class Mapped(Examples):
    """The examples of one vmap, while its function runs."""

    def __init__(self, size: int, known: dict[Node, Node], randomness: str) -> None:
        self._size, self._known, self._randomness = size, known, randomness
        self._outer = examples.get()

    @contextmanager
    def inside(self, batch: Examples | None) -> Iterator[None]:
        """Draws and calls of the host ask `batch`, until the end of the block."""
        token = examples.set(batch)
        try:
            yield
        finally:
            examples.reset(token)

    def stand_in(self, batched: Node) -> Node:
        """One example of a batched node."""
        made = stand_in(batched, batched.shape[1:], REFUSAL)
        self._known[made] = batched
        return made

    def draw(self, draw: Draw, shape: Shape) -> Bits:
        """Numbers of each example's own, or the same for all, as `randomness` says."""
        if self._randomness == "error":
            raise RuntimeError(
                "vmap: the function draws random numbers. Say whether each example gets numbers of "
                'its own, randomness="different", or all the same, randomness="same"'
            )
        with self.inside(self._outer):
            if self._randomness == "same":
                return draw(shape)
            x, y = draw((self._size, *shape))
        return self.stand_in(x), self.stand_in(y)

    def call(self, compute: Compute, inputs: Sequence[Node]) -> Node:
        """`compute` of the values of each example, one after the other."""
        batch = Batch(self._size, self._known)
        with self.inside(self._outer):
            if all(batch.of(x) is None for x in inputs):
                return host.call(compute, inputs)

            def each(*arrays: Any) -> Any:
                return np.stack([compute(*values) for values in zip(*arrays, strict=True)])

            made = host.call(each, [batch.whole(x) for x in inputs])
        return self.stand_in(made)


@rule(ir.Custom)
def _custom(batch: Batch, node: ir.Custom, inputs: list[Node]) -> Node:
    """custom(value, primals, rule)  ->  the rule, batched in its turn"""

    def each(g: Node, out: ir.Custom) -> tuple[Node | None, ...]:
        given = stand_in(g, node.shape, REFUSAL)
        known = dict(zip((given, node, *node.primals), (g, out, *out.primals), strict=True))
        mapped = Mapped(batch.size, known, "error")
        with mapped.inside(mapped):
            parts = node.rule(given, node)
        inner = Batch(batch.size, known)
        return tuple(None if part is None else inner.whole(part) for part in parts)

    value, *primals = inputs
    return ir.Custom(value, tuple(primals), each)


# --------------------------------------------------------------------------- the transform


def vmap(
    function: Callable[..., Any], in_dims: Any = 0, out_dims: Any = 0, randomness: str = "error"
) -> Callable[..., Any]:
    """The function of a batch: f applied to each example of the arguments, all at once.

    `in_dims` says which axis of each argument counts the examples, None for an argument that is the
    same for all; `out_dims` where that axis is in the results. Either may be a tree as the
    arguments or results are. Where f draws random numbers, `randomness` says whether each example
    gets numbers of its own ("different") or all the same ("same").

    Raises RuntimeError where f reads values, and where it draws and `randomness` is "error".

        vmap(lambda x, y: (x * y).sum())(Tensor.ones(5, 3), Tensor.ones(5, 3)).shape == (5,)
    """

    if randomness not in ("error", "different", "same"):
        raise ArgumentError(
            f'vmap: randomness is "error", "different" or "same", not {randomness!r}'
        )

    @wraps(function)
    def batched(*args: Any, **named: Any) -> Any:
        axes = in_dims if isinstance(in_dims, (tuple, list)) else (in_dims,) * len(args)
        places = trees.broadcast(tuple(axes), args)
        given = trees.leaves(args)
        size = _size_of(given, places)
        known: dict[Node, Node] = {}
        mapped = Mapped(size, known, randomness)
        given_one = []
        for x, axis in zip(given, places, strict=True):
            if axis is None:
                given_one.append(x)
                continue
            moved = x.movedim(axis, 0)
            stand = mapped.stand_in(moved.node)
            given_one.append(Tensor._from_node(stand, x.requires_grad))
        with mapped.inside(mapped):
            outputs = function(*trees.filled(args, iter(given_one)), **named)
        batch = Batch(size, known)
        made = []
        for y, axis in zip(trees.leaves(outputs), trees.broadcast(out_dims, outputs), strict=True):
            if not isinstance(y, Tensor):
                raise KindError(f"vmap: the function gives {told(y)}, which is no tensor")
            if axis is None and batch.of(y.node) is not None:
                raise ArgumentError("vmap: out_dims is None for a result that differs by example")
            if axis is None:
                made.append(y)
            else:
                whole = Tensor._from_node(batch.whole(y.node), y.requires_grad)
                made.append(whole.movedim(0, axis))
        return trees.filled(outputs, iter(made))

    return batched


def _size_of(given: Sequence[Any], places: Sequence[int | None]) -> int:
    """The number of examples. Raises ShapeError where arguments differ in it."""
    sizes = set()
    for x, axis in zip(given, places, strict=True):
        if axis is not None:
            if not isinstance(x, Tensor) or not -x.ndim <= axis < x.ndim:
                raise ShapeError(f"vmap: {told(x)} has no axis {axis}")
            sizes.add(x.shape[axis])
    if len(sizes) != 1:
        raise ShapeError(f"vmap: arguments of {sorted(sizes) or 'no'} examples")
    (size,) = sizes
    if not size:
        raise ShapeError("vmap: there are no examples")
    return int(size)

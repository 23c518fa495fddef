"""Loops over time whose step is traced once: the graph has one node for all steps.

The step is called on stand-ins, which have shapes and no values. What it computes without them is
the same in each step: it is computed before the loop, and read in the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from ..errors import DeviceError, ShapeError
from ..graph.build import row, substitute
from ..graph.ir import (
    Copy,
    Detach,
    Expand,
    Node,
    Permute,
    Recurrence,
    Reshape,
    Shape,
    Step,
    step_inputs,
    topological,
)
from .core import TensorCore
from .examples import Bits, Compute, Draw, Examples, examples, stand_in

T = TypeVar("T", bound=TensorCore)

Trace = Callable[[Sequence[T], Sequence[T]], tuple[Sequence[T], Sequence[T]]]
"""One step: from states and rows to the next states and other values."""


def recurrence(
    name: str,
    trace: Trace[T],
    starts: Sequence[T],
    series: Sequence[T],
    steps: int,
    reverse: bool = False,
) -> tuple[list[T], list[T]]:
    """The last states, and the states and other values of all steps: (steps, *shape) each. `trace`
    computes a step; it is called once. `series` have a row for each of the steps, 1 or more.
    `name` is that of the operation, for errors.

    Raises ShapeError where a state changes its shape or dtype, and DeviceError where a step works
    on several devices.
    """
    first = (*starts, *series)[0]
    refusal = (
        f"{name}: the step reads values, as by item(), numpy() or bool(); while it is traced there "
        "are none: use where() and the like, or a loop in Python"
    )
    stands = [stand_in(x._node, x.shape, refusal) for x in starts]
    stands += [stand_in(x._node, x.shape[1:], refusal) for x in series]
    given = [first._from_node(x) for x in stands]
    token = examples.set(_OneStep(name))
    try:
        states, values = trace(given[: len(starts)], given[len(starts) :])
    finally:
        examples.reset(token)
    for old, new in zip(starts, states, strict=True):
        if (old.shape, old.dtype) != (new.shape, new.dtype):
            raise ShapeError(
                f"{name}: a state of {old.dtype}{old.shape} is {new.dtype}{new.shape} after a step"
            )
    made = [x._node for x in (*states, *values)]
    constants = _same(made, set(stands))
    parts = tuple([x._node for x in starts]), tuple([x._node for x in series]), tuple(constants)
    names = zip((*stands, *constants), step_inputs(*parts, first.device), strict=True)
    of_step = substitute(made, dict(names))
    if any(isinstance(x, Copy) for x in topological(of_step)):
        raise DeviceError(f"{name}: the step moves a tensor to another device; move it before")
    loop = Recurrence(*parts, Step(tuple(of_step[: len(starts)]), of_step[0]), steps, reverse)
    others = *starts, *series, *states, *values
    every = [first._derived(loop.giving(x), *others) for x in of_step]
    end = 0 if reverse else steps - 1
    lasts = [first._derived(row(x._node, end), x) for x in every[: len(starts)]]
    return lasts, every


class _OneStep(Examples):
    """What a step may not do: it is traced once, and would draw the same numbers in each step."""

    def __init__(self, name: str) -> None:
        self._name = name

    def draw(self, draw: Draw, shape: Shape) -> Bits:
        raise RuntimeError(
            f"{self._name}: the step draws random numbers, and would draw them once for all steps: "
            "draw them before, and give each step its row"
        )

    def call(self, compute: Compute, inputs: Sequence[Node]) -> Node:
        raise RuntimeError(f"{self._name}: the step calls a function of the host (linear algebra)")


def _same(outputs: Sequence[Node], stands: set[Node]) -> list[Node]:
    """What steps read that is the same in each. An array that is only seen in another order is read
    as it is."""
    depends: set[Node] = set()
    for node in topological(outputs, lambda x: () if x in stands else x.inputs):
        if node in stands or not depends.isdisjoint(node.inputs):
            depends.add(node)
    found: dict[Node, None] = {}

    def inputs(node: Node) -> Sequence[Node]:
        if node in stands:
            return ()
        is_free = node.device is None and not isinstance(node, Detach)  # a Detach is a variable
        if node in depends or is_free or isinstance(node, (Expand, Permute, Reshape)):
            return node.inputs
        found[node] = None
        return ()

    topological(outputs, inputs)
    return list(found)

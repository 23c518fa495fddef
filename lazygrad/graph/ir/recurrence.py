"""A loop over time as one node: each step computes states from the states before it."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any

from ...dtypes import DType
from ...errors import ShapeError
from ...interned import Unique
from .node import Node, Shape, holds_nodes, topological


class StepInput(Node):
    """What a step of a recurrence reads: the `number`-th input of the Recurrence, in this step."""

    number: int
    shape_: Shape
    dtype_: DType
    device_: str

    def _infer(self) -> tuple[Shape, DType]:
        return self.shape_, self.dtype_

    def _infer_device(self) -> str | None:
        return self.device_


@dataclass(frozen=True, eq=False, slots=True, weakref_slot=True)
class Step(metaclass=Unique):
    """One step of a recurrence, a graph over StepInputs: the new states, and one value, which may
    be a state."""

    states: tuple[Node, ...]
    value: Node

    @property
    def roots(self) -> tuple[Node, ...]:
        """The states and the value."""
        return *self.states, self.value

    @classmethod
    def of(cls, roots: Iterable[Node]) -> Step:
        """A step of these states, and last the value."""
        *states, value = roots
        return cls(tuple(states), value)

    def __repr__(self) -> str:
        return f"Step({_digest(self)})"


@lru_cache(maxsize=1 << 10)
def _digest(step: Step) -> str:
    """A digest of what a step computes, the same in any process."""
    order = topological(step.roots)
    number = {node: n for n, node in enumerate(order)}
    lines = []
    for node in order:
        fields = [getattr(node, name) for name in node._fields if name not in _UNSEEN]
        told = [field for field in fields if not holds_nodes(field)]
        lines.append((type(node).__name__, told, [number[x] for x in node.inputs]))
    ends = [number[x] for x in step.roots]
    return sha256(repr((lines, ends)).encode()).hexdigest()


_UNSEEN = ("rule", "source", "token")  # fields that change no values


class Recurrence(Node):
    """The value of `step` in each of `steps` steps: (steps, *value.shape).

    The inputs of a step are its states, a row of each of `series` and the constants, in this order.
    Before the first step the states are `starts`. With `reverse` the last rows come first; the
    value of a step is in the row that the step reads.

    With a `count`, an integer n, and the line (slope, start), there are slope * n + start steps,
    which read as many first rows. Other rows of the values are undefined.

        h = tanh(x[t] + h @ w)   ->   starts (h,), series (x,), constants (w,)
    """

    starts: tuple[Node, ...]
    series: tuple[Node, ...]
    constants: tuple[Node, ...]
    step: Step
    steps: int
    reverse: bool = False
    count: tuple[Node, ...] = ()
    line: tuple[int, int] = (1, 0)

    def _infer(self) -> tuple[Shape, DType]:
        for start, state in zip(self.starts, self.step.states, strict=True):
            if (start.shape, start.dtype) != (state.shape, state.dtype):
                raise ShapeError(f"recurrence: a state begins as {start} and becomes {state}")
        for x in self.series:
            if x.shape[:1] != (self.steps,):
                raise ShapeError(f"recurrence: {x} has not {self.steps} rows")
        return (self.steps, *self.step.value.shape), self.step.value.dtype

    def _infer_device(self) -> str | None:
        return super()._infer_device() or self.step.value.device

    @property
    def attributes(self) -> dict[str, Any]:
        notes = {"steps": self.steps, "reverse": self.reverse}
        return {name: value for name, value in notes.items() if value}

    @property
    def cost(self) -> float:
        """The arithmetic of one step."""
        nodes = topological(self.step.roots)
        return sum(x.cost * max(x.size, *(y.size for y in x.inputs)) for x in nodes if x.inputs)

    @property
    def arguments(self) -> tuple[StepInput, ...]:
        """What stands for the inputs in the step, in their order."""
        inputs = self.starts, self.series, self.constants
        return step_inputs(*inputs, str(self.device))

    @property
    def loop(self) -> tuple[Any, ...]:
        """What the values of one loop have in common: they are computed together."""
        inputs = self.starts, self.series, self.constants, self.count
        return (*inputs, self.step.states, self.steps, self.reverse, self.line)

    def giving(self, value: Node) -> Recurrence:
        """Another value of the same loop."""
        inputs = self.starts, self.series, self.constants
        return self.like(*inputs, Step(self.step.states, value))

    def like(
        self,
        starts: tuple[Node, ...],
        series: tuple[Node, ...],
        constants: tuple[Node, ...],
        step: Step,
    ) -> Recurrence:
        """A loop of as many steps."""
        rest = self.steps, self.reverse, self.count, self.line
        return Recurrence(starts, series, constants, step, *rest)


class Loop:
    """Values of one loop: their steps have the same states. `order` are the nodes of a step that
    they need, inputs first. Where these follow the nodes of a graph and of the loops before, they
    begin at the place `start`."""

    def __init__(self, values: Sequence[Recurrence], start: int) -> None:
        self.values, self.start = values, start
        self.order = topological((*values[0].step.states, *(x.step.value for x in values)))
        self.places = range(start, start + len(self.order))


def loops_of(nodes: Sequence[Node], leaves: Container[int]) -> list[Loop]:
    """The loops among a graph's nodes, in their order. Those at the places `leaves` are computed
    already."""
    every: dict[object, list[Recurrence]] = {}
    for place, node in enumerate(nodes):
        if isinstance(node, Recurrence) and place not in leaves:
            every.setdefault(node.loop, []).append(node)
    found: list[Loop] = []
    for values in every.values():
        found.append(Loop(values, found[-1].places.stop if found else len(nodes)))
    return found


def step_inputs(
    starts: Sequence[Node],
    series: Sequence[Node],
    constants: Sequence[Node],
    device: str,
) -> tuple[StepInput, ...]:
    """What stands for the inputs of a recurrence in its step, in their order."""
    likes = [(x.shape, x.dtype) for x in starts]
    likes += [(x.shape[1:], x.dtype) for x in series]
    likes += [(x.shape, x.dtype) for x in constants]
    return tuple([StepInput(n, *like, device) for n, like in enumerate(likes)])

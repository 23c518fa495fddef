"""Recurrences step by step, and their derivative.

The derivative of a loop is a loop that goes back through the steps. It carries the derivative with
respect to the state before each step:

    h = f(h, x[t], w)       forward: the states of all steps are kept
    dh, dx[t] = ...         backward: they are a series that this loop reads
    dw = sum over t of ...  after the loop, for all steps at once

(Werbos 1990, "Backpropagation through time: what it does and how to do it".)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..dtypes import int64
from ..errors import CompilerError
from ..origin import inherit
from . import build
from .batching import Batch
from .ir import (
    Add,
    Arithmetic,
    Buffer,
    Cast,
    Const,
    Detach,
    Elementwise,
    Iota,
    Less,
    Movement,
    Mul,
    Node,
    Permute,
    Recurrence,
    Reduce,
    Reshape,
    Step,
    StepInput,
    Where,
    topological,
)

PullBack = Callable[[Mapping[Node, Node], Sequence[Node]], list[Node | None]]
"""gradient.pull_back: from nodes and their cotangents to the cotangents of others."""


# --------------------------------------------------------------------------- unrolling


def unroll_steps(outputs: Sequence[Node]) -> list[Node]:
    """The graph with the steps of its recurrences one after the other.

    Ensures: no Recurrence.
    """
    loops: dict[object, _Steps] = {}
    new: dict[Node, Node] = {}
    for node in topological(outputs):
        inputs = tuple([new[x] for x in node.inputs])
        made = node.with_inputs(inputs) if inputs != node.inputs else node
        if isinstance(made, Recurrence):
            if made.loop not in loops:
                loops[made.loop] = _Steps(made)
            made = loops[made.loop].all(made.step.value)
        new[node] = made
    return [new[output] for output in outputs]


class _Steps:
    """What the steps of a loop read, one mapping a step."""

    def __init__(self, node: Recurrence) -> None:
        arguments = node.arguments
        self._read: list[dict[Node, Node]] = []
        self._reverse = node.reverse
        states: Sequence[Node] = node.starts
        of_step = unroll_steps(node.step.states)  # a step may have loops, too
        for t in reversed(range(node.steps)) if node.reverse else range(node.steps):
            rows = [build.row(x, t) for x in node.series]
            read = (*states, *rows, *node.constants)
            known: dict[Node, Node] = dict(zip(arguments, read, strict=True))
            self._read.append(known)
            new = build.substitute(of_step, known)
            states = [_if_done(node, t, *each) for each in zip(new, states, strict=True)]

    def all(self, value: Node) -> Node:
        """A value in all steps, side by side."""
        of_step = unroll_steps([value])
        every = [build.substitute(of_step, known)[0] for known in self._read]
        rows = [build.reshape(x, (1, *x.shape)) for x in every]
        return build.joined(rows[::-1] if self._reverse else rows, 0)


def _if_done(node: Recurrence, t: int, new: Node, old: Node) -> Node:
    """The state after step t, which may be beyond the count."""
    for n in node.count:
        slope, start = node.line
        scaled = Mul(Cast(n, int64), Const(slope, int64))
        inside = Less(Const(t - start, int64), scaled)
        new = Where(build.broadcast_to(inside, new.shape), new, old)
    return new


# --------------------------------------------------------------------------- the derivative


def pull_back_loop(given: Mapping[Recurrence, Node], pull_back: PullBack) -> list[Node | None]:
    """The cotangents of a loop's inputs, in order; None where there is none. `given` are values of
    one loop, with their cotangents.

    Requires: the loop has no count.
    """
    return _Backward(given, pull_back).cotangents()


class _Backward:
    """The loop that goes back through the steps of another.

    Its step is first built over the nodes of the forward step, and over *seeds*: the cotangents of
    the states, which it carries, and of the values. Nodes of the forward step that it reads are
    *saved* by the forward loop, or computed again.
    """

    def __init__(self, given: Mapping[Recurrence, Node], pull_back: PullBack) -> None:
        self._loop = loop = next(iter(given))
        self._arguments = loop.arguments
        self._forward = set(topological((*loop.step.states, *(x.step.value for x in given))))
        ends = [x for x in loop.step.states if x.dtype.is_float]
        values = [x.step.value for x in given]
        seeds = [self._input(len(self._arguments) + n, x) for n, x in enumerate((*ends, *values))]
        self._carried, of_values = seeds[: len(ends)], seeds[len(ends) :]
        self._given: dict[Node, Node] = dict(zip(of_values, given.values(), strict=True))
        total: dict[Node, Node] = {}
        for node, g in zip((*ends, *values), seeds, strict=True):
            total[node] = Add(total[node], g) if node in total else g
        floats = [x for x in self._arguments if x.dtype.is_float]
        self._found = dict(zip(floats, pull_back(total, floats), strict=True))

    def _input(self, number: int, like: Node) -> StepInput:
        return StepInput(number, like.shape, like.dtype, str(self._loop.device))

    def cotangents(self) -> list[Node | None]:
        """The cotangents of the loop's inputs."""
        loop, found = self._loop, self._found
        first, last = len(loop.starts), len(loop.starts) + len(loop.series)
        starts = [x for x in self._arguments[:first] if x.dtype.is_float]
        series = [x for x in self._arguments[first:last] if found.get(x) is not None]
        states = [found[x] or build.zeros_like(x) for x in starts]
        rows = [g for x in series if (g := found[x]) is not None]
        terms = {x: g for x in self._arguments[last:] if (g := found.get(x)) is not None}
        constants: dict[Node, Node] = dict(zip(self._arguments[last:], loop.constants, strict=True))
        every = dict.fromkeys(part for term in terms.values() for part in _parts(term))
        parts = [x for x in every if x not in constants]
        known = {*self._forward, *self._carried, *self._given}
        made = [x for x in parts if x not in known]
        if not (states or rows or made):
            return [None] * len(loop.inputs)
        back, values = self._back(states, [*rows, *made])
        end = loop.steps - 1 if loop.reverse else 0
        of_states = [build.row(back.giving(values[g]), end) for g in states]
        of_rows = [back.giving(values[g]) for g in rows]
        of_input: dict[Node, Node] = dict(
            zip([*starts, *series], [*of_states, *of_rows], strict=True)
        )
        stacks: dict[Node, Node] = {x: back.giving(values[x]) for x in made}
        stacks |= {x: _before(back, n) for n, x in enumerate(self._carried) if x in parts}
        stacks |= {x: self._stack(x) for x in parts if x not in stacks}
        for x, term in terms.items():
            whole = Batch(loop.steps, stacks, constants).whole(term)
            (of_input[x],) = build.substitute([_sum_over_steps(whole)], constants)
        return [*map(of_input.get, self._arguments), *[None] * len(loop.count)]

    def _back(
        self, states: Sequence[Node], values: Sequence[Node]
    ) -> tuple[Recurrence, dict[Node, Node]]:
        """The loop; and from the values that are asked for, the states among them, to those of its
        step."""
        loop = self._loop
        saved, constants = self._read((*states, *values))
        series: dict[Node, Node] = {**self._given, **{x: self._stack(x) for x in saved}}
        inputs: list[Node] = [*self._carried, *series, *constants]
        names: dict[Node, Node] = {x: self._input(n, x) for n, x in enumerate(inputs)}
        asked = [*states, *values]
        new = build.substitute(asked, names)
        step = Step(tuple(new[: len(states)]), new[0])
        starts = tuple([build.zeros_like(x) for x in states])
        rest = tuple(series.values()), tuple(constants.values())
        back = Recurrence(starts, *rest, step, loop.steps, not loop.reverse, loop.count, loop.line)
        return back, dict(zip(asked, new, strict=True))

    def _read(self, outputs: Sequence[Node]) -> tuple[list[Node], dict[Node, Node]]:
        """What the outputs read of the forward loop: nodes that it saves, and its constants."""
        loop = self._loop
        last = len(loop.starts) + len(loop.series)
        constants = dict(zip(self._arguments[last:], loop.constants, strict=True))
        saved: dict[Node, None] = {}
        read: dict[Node, Node] = {}

        def inputs(node: Node) -> Sequence[Node]:
            if node in constants:
                read[node] = constants[node]
            elif node in self._forward and (isinstance(node, StepInput) or _is_saved(node)):
                saved[node] = None
                return ()
            elif isinstance(node, Buffer):
                raise CompilerError(
                    "gradient: a custom derivative in a step of a loop reads a tensor that is no "
                    "input of its function"
                )
            return node.inputs

        topological(outputs, inputs)
        return list(saved), read

    def _stack(self, x: Node) -> Node:
        """A node of the forward step, or the cotangent of a value, in all steps."""
        loop = self._loop
        if x in self._given:
            return self._given[x]
        if x not in self._arguments:
            saved = loop.giving(x)
            inherit(saved, loop)  # it is computed forward
            return saved
        number = self._arguments.index(x)
        count = len(loop.starts)
        return _before(loop, number) if number < count else loop.series[number - count]


def _before(loop: Recurrence, number: int) -> Node:
    """A state before each step."""
    start = build.reshape(loop.starts[number], (1, *loop.starts[number].shape))
    if loop.steps == 1:
        return start
    states = loop.giving(loop.step.states[number])
    rest = build.slice_axis(states, 0, int(loop.reverse), loop.steps - 1)
    return build.joined([rest, start] if loop.reverse else [start, rest], 0)


def _is_saved(node: Node) -> bool:
    """Whether a value is kept from the forward loop: to compute it again takes long."""
    if isinstance(node, Arithmetic):
        return node.operation.is_approximate
    return not isinstance(node, (Elementwise, Movement, Const, Iota, Detach))


def _sum_over_steps(x: Node) -> Node:
    """The sum over x's first axis. It is part of a sum that x is."""
    if isinstance(x, Reduce) and x.op == "sum":
        return build.reduce(x.x, "sum", (0, *x.axes))
    if isinstance(x, Permute) and x.order[0] == 0:
        return build.permute(_sum_over_steps(x.x), [axis - 1 for axis in x.order[1:]])
    if isinstance(x, Reshape) and x.shape[0] == x.x.shape[0]:
        return build.reshape(_sum_over_steps(x.x), x.shape[1:])
    return build.reduce(x, "sum", (0,))


def _parts(term: Node) -> list[Node]:
    """What a term of a sum over all steps is computed of: sums of products are made of all steps'
    factors at once, and the steps compute the factors alone.

    sum(h * dg)  ->  h, dg
    """
    found: list[Node] = []
    waiting = [(term, False, False)]
    while waiting:
        node, is_summed, is_factor = waiting.pop()
        if isinstance(node, Movement):
            waiting.append((node.inputs[0], is_summed, is_factor))
        elif isinstance(node, Reduce) and node.op == "sum" and not is_factor:
            waiting.append((node.x, True, False))
        elif isinstance(node, Mul) and is_summed and not is_factor:
            waiting += [(x, True, True) for x in node.inputs]
        elif isinstance(node, Add) and not is_summed:
            waiting += [(x, False, False) for x in node.inputs]
        elif not isinstance(node, (Const, Iota)):
            found.append(node)
    return found

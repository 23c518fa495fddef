"""The launches of a loop over time: those of one step, for each step with the memory of other rows.

    h[t] = tanh(x[t] + h[t-1] @ w)   ->   step 0: reads x, start, w; writes h
                                          step 1: reads x + a row, h, w; writes h + a row
                                          ...

So a loop is compiled as fast as one step. Where the number of steps is known only when the loop
runs (graph.ir.Recurrence), each launch says in which of the steps it runs (Turn).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from .backends.base import Launch, Turn
from .graph.build import in_memory
from .graph.ir import Node, Recurrence
from .schedule.ir import MemoryPlan, Schedule
from .schedule.join import Piece


@dataclass(frozen=True, eq=False, slots=True)
class Compiled:
    """What one device computes. `launches[n]` runs `pieces[n]`, and has no slots yet. `renamed`
    maps each output that has elements to the schedule's node of equal values."""

    schedule: Schedule
    memory: MemoryPlan
    pieces: Sequence[Piece]
    launches: Sequence[Launch | Steps]
    renamed: Mapping[Node, Node]


@dataclass(frozen=True, eq=False, slots=True)
class Steps:
    """A step of a loop. `inputs` are its leaves, with the number of the loop's input; `values` maps
    its outputs to the values of the loop, in which each has a row."""

    step: Compiled
    inputs: Mapping[Node, int]
    values: Mapping[Node, Recurrence]

    @property
    def loop(self) -> Recurrence:
        """Any of the values."""
        return next(iter(self.values.values()))


@dataclass(frozen=True, slots=True)
class Argument:
    """Where the elements of a node begin: the place of a memory, the first byte in it, and how many
    bytes further for each step that the loop around takes."""

    place: int
    start: int = 0
    move: int = 0

    def row(self, number: int, nbytes: int, from_end: bool) -> Argument:
        """A row of the elements; `from_end`: behind the rows of as many steps as the loop takes."""
        move = self.move + nbytes if from_end else self.move
        return Argument(self.place, self.start + number * nbytes, move)


At = Callable[[Node], Argument]


def all_steps(
    steps: Steps, at: At, allocate: Callable[[int], int], turn: Turn | None = None
) -> Iterator[tuple[Piece, Launch]]:
    """The launches of all steps. `at` says where the loop's inputs and values are; `allocate` gives
    the place of new memory. `turn`: that of a loop around this one, without moves."""
    made, loop = steps.step, steps.loop
    given = [at(x) for x in loop.inputs]
    states = [at(loop.giving(state)) for state in loop.step.states]
    values = {x: at(value) for x, value in steps.values.items()}
    own = {x: Argument(allocate(x.nbytes)) for x in made.memory.slot_of if x not in values}
    first, last = len(loop.starts), len(loop.starts) + len(loop.series)
    # With a count, the last row is known when the loop runs: backward steps have rows -1, -2, ...
    # behind the end.
    from_end = bool(loop.count) and loop.reverse
    end = 0 if from_end else loop.steps

    def argument(number: int, x: Node) -> Argument:
        """Where a node of the step with this number is."""
        row = end - 1 - number if loop.reverse else number
        if x in values:
            return values[x].row(row, x.nbytes, from_end)
        if x in own:
            return own[x]
        n = steps.inputs[x]
        if n < first and number:
            before = row + 1 if loop.reverse else row - 1
            return states[n].row(before, x.nbytes, from_end)
        return given[n].row(row, x.nbytes, from_end) if first <= n < last else given[n]

    for number in range(loop.steps):
        if loop.count:
            turn = Turn(number, given[-1].place, loop.line, ())
        yield from _step(made, partial(argument, number), allocate, turn)


def _step(
    made: Compiled, at: At, allocate: Callable[[int], int], turn: Turn | None
) -> Iterator[tuple[Piece, Launch]]:
    """The launches of one step."""
    for piece, launch in zip(made.pieces, made.launches, strict=True):
        if isinstance(launch, Steps):
            yield from all_steps(launch, lambda x: at(in_memory(x)), allocate, turn)
            continue
        kernel = piece.kernel
        arguments = [at(x) for x in (*(piece.whole or x for x in kernel.outputs), *kernel.inputs)]
        starts = launch.offsets or (0,) * len(arguments)
        yield (
            piece,
            replace(
                launch,
                slots=tuple([each.place for each in arguments]),
                offsets=tuple([each.start + n for each, n in zip(arguments, starts, strict=True)]),
                turn=turn and replace(turn, moves=tuple([each.move for each in arguments])),
            ),
        )

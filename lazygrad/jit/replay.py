"""A captured function: a plan, what it reads, and where its outputs go. No graph is built.

A *template* is a nested value (a result, or a value that the function keeps outside) in which a
Place stands for each tensor and each thing from outside. A call fills in the places.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from ..errors import JitError, OutOfMemoryError
from ..graph.ir import Buffer, Shape
from ..runtime.buffer import DeviceBuffer
from ..runtime.execute import Plan
from ..tensor import Tensor
from ..tensor.core import TensorCore, view_of
from ..tensor.realize import written
from ..tensor.views import Path
from .cells import Cell, GradientCell, Kind, gradient_of, storage_of
from .environment import Environment
from .guard import Changes
from .owner import put
from .structure import Arguments, Mismatch, Replacing


class Place:
    """Stands for a value in a template."""

    __slots__ = ()


@dataclass(eq=False, slots=True)
class Fresh(Place):
    """Stands for a tensor that each call makes."""

    output: int
    is_variable: bool


@dataclass(eq=False, slots=True)
class View(Place):
    """Stands for a view of an argument, or of a tensor from outside."""

    base: Place
    path: Path


@dataclass(eq=False, slots=True)
class Argument(Place):
    """Stands for one of the tensors in the arguments."""

    number: int


@dataclass(eq=False, slots=True)
class Item(Place):
    """Stands for one of the containers and objects in the arguments."""

    number: int


@dataclass(eq=False, slots=True)
class Integer(Place):
    """Stands for an integer that follows from sizes."""

    number: int


@dataclass(eq=False, slots=True)
class State(Place):
    """Stands for a tensor, container or object from outside."""

    value: Any


@dataclass(eq=False, slots=True)
class Held:
    """What a call sets in a container or an object: the value at `key`, made from a template."""

    holder: State | Item
    key: Any
    template: Any


@dataclass(eq=False, slots=True)
class Effects:
    """What a call sets, and to which of the plan's outputs, by number."""

    cells: list[tuple[Cell, int]] = field(default_factory=list)
    arguments: list[tuple[int, int]] = field(default_factory=list)  # argument, output
    gradients: list[tuple[GradientCell, int | None]] = field(default_factory=list)  # None: no grad
    argument_gradients: list[tuple[int, int | None]] = field(default_factory=list)
    attributes: list[tuple[TensorCore | int, str, Any]] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)

    def are_none_but(self, state: TensorCore) -> bool:
        """Whether a call sets nothing, or this tensor alone."""
        rest = [getattr(self, each.name) for each in fields(self) if each.name != "cells"]
        return not any(rest) and all(cell.tensor is state for cell, _ in self.cells)

    def follow(self, changes: Changes) -> None:
        """Refer to the tensors that have replaced others."""
        self.cells = [(Cell.of(changes.get(id(c.tensor), c.tensor)), n) for c, n in self.cells]
        self.gradients = [
            (GradientCell(changes[id(g.owner)]) if id(g.owner) in changes else g, n)
            for g, n in self.gradients
        ]
        self.attributes = [(changes.get(id(t), t), *rest) for t, *rest in self.attributes]


@dataclass(eq=False, slots=True, weakref_slot=True)
class Replay:
    """Calls a captured function.

    `memories` has the memory of the plan's leaves that are constant, and None for the others;
    `constants` keeps them alive. `result` is the template of the result.
    """

    plan: Plan
    memories: list[Any]
    constants: list[DeviceBuffer]
    arguments: list[tuple[int, int]]  # place, argument
    argument_gradients: list[tuple[int, int, Kind]]  # place, argument, kind of its gradient
    effects: Effects
    shapes: list[Shape]  # of the outputs
    result: Any
    states: list[State]  # all that are in templates
    integers: list[int]  # those that Integers in templates stand for
    environment: Environment
    aliases: list[tuple[int, int]] = field(default_factory=list)  # arguments that are from outside
    used: int = 0  # when, in calls of the function

    def __call__(self, arguments: Arguments) -> Any:
        """Compute, set what the function sets, and return what it returns.

        Raises Mismatch, before anything is computed or set, if the function must be captured anew.
        """
        if self.plan.is_outgrown:
            raise Mismatch
        self.environment.verify_integers(False)
        self.follow()
        self.environment.verify_integers(True)
        if self.aliases_in(arguments) != self.aliases:
            raise Mismatch
        return self.run(arguments, None)

    def run(self, arguments: Arguments, kept: Mapping[Fresh, TensorCore] | None) -> Any:
        """As __call__, for an environment that is known to fit. In the call that captures, `kept`
        are the tensors that the function has made and put where it keeps them; else it is None."""
        tensors = arguments.tensors
        if self.environment.guard.written or self.effects.arguments:
            self._verify_apart(tensors)
        memories = self._gather(tensors)
        try:
            found, failed = self.plan.attempt(memories)
        except OutOfMemoryError as error:
            raise error.with_traceback(None) from error.__cause__  # as realize() tells it
        del memories  # what is set below must not be counted as held here
        self._apply(found, tensors)
        if failed is not None:
            raise failed.with_traceback(None) from failed.__cause__
        effects, result = self.effects, self.result
        if type(result) is Fresh and not kept and not effects.held:  # the most common, made quick
            return self._fresh(result, found)
        putting = _Putting(self, arguments, found)
        for fresh, tensor in (kept or {}).items():
            n = fresh.output
            putting.made[n] = tensor
            tensor.node = Buffer(self.plan.outputs[n].storage(found[n]), self.shapes[n])
            if not fresh.is_variable:
                tensor._requires_grad = False  # what it came from is gone
        if kept is None:
            for held in effects.held:
                put(putting.change(held.holder), held.key, putting(held.template))
        return putting(result)

    def _fresh(self, place: Fresh, found: Sequence[Any]) -> TensorCore:
        n = place.output
        made = Tensor._from_storage(self.plan.outputs[n].storage(found[n]), self.shapes[n])
        made._requires_grad = place.is_variable
        return made

    # ------------------------------------------------------------------ what is outside

    def aliases_in(self, arguments: Arguments) -> list[tuple[int, int]]:
        """The arguments that are found outside, too, each with its number among what is found there
        (tensors by n, objects by ~n)."""
        known, seen = self.environment.known, self.environment.guard.seen
        found = [(n, t) for n, t in enumerate(arguments.tensors) if id(t) in known]
        if seen:
            found += [(~n, x) for n, x in enumerate(arguments.objects) if id(x) in seen]
        order = [*known, *seen] if found else []
        return [(n, order.index(id(x))) for n, x in found]

    def _verify_apart(self, tensors: Sequence[TensorCore]) -> None:
        """Raise JitError where the function writes to memory that an argument shares."""
        roots = [_root(tensor) for tensor in tensors]
        known = self.environment.known
        writers = {id(roots[n]): tensors[n] for n, _ in self.effects.arguments}
        read = {id(_root(tensor)) for tensor in known.values()} if writers else set()
        for place, tensor in writers.items():
            if place in read and id(tensor) not in known:
                raise JitError(
                    f"jit: an argument of shape {tensor.shape}, which the function writes to, "
                    "shares its memory with a tensor from outside that it reads; pass its clone()"
                )
        writers |= self.environment.guard.written
        for n, (tensor, root) in enumerate(zip(tensors, roots, strict=True)):
            writer = writers.get(id(root))
            if writer is not None and writer is not tensor:
                raise JitError(
                    f"jit: argument {n}, of shape {tensor.shape}, shares its memory with another "
                    "tensor that the function writes to; pass its clone()"
                )

    def follow(self) -> None:
        """Refer to what is outside now instead of what it has replaced. Raises Mismatch where the
        capture does not fit any more; the shapes of tensors are not compared."""
        changes = self.environment.verify()
        if not changes:
            return
        for state in self.states:
            state.value = changes.get(id(state.value), state.value)
        self.effects.follow(changes)

    def share_environment(self, other: Replay | None) -> None:
        """Share the environment of another capture, if it is the same and both only read.

        A call that finds a tensor replaced changes the environment, and then its own effects and
        states; those of the other capture would still refer to the old tensor.
        """
        if other is None or not (self._is_only_reading() and other._is_only_reading()):
            return
        if other.environment.is_same(self.environment):
            self.environment = other.environment

    def _is_only_reading(self) -> bool:
        """Whether a call sets and returns nothing that is outside."""
        effects = self.effects
        outside = effects.cells, effects.gradients, effects.attributes, effects.held, self.states
        return not any(outside)

    def _gather(self, tensors: Sequence[TensorCore]) -> list[Any]:
        """The memory of every leaf."""
        memories, handle = self.memories.copy(), self.plan.handle
        self.environment.gather(memories, handle)
        for place, n in self.arguments:
            memories[place] = handle(storage_of(tensors[n]))
        for place, n, kind in self.argument_gradients:
            memories[place] = handle(gradient_of(tensors[n], kind))
        return memories

    def _apply(self, found: Sequence[Any], tensors: Sequence[TensorCore]) -> None:
        """Set what the function sets of tensors."""
        effects, outputs, shapes = self.effects, self.plan.outputs, self.shapes
        for cell, n in effects.cells:
            if found[n] is cell.storage.held:
                cell.tensor._version += 1  # for its views
            else:
                cell.set(found[n])
            written.pop(id(cell.tensor), None)
        for argument, n in effects.arguments:
            tensor = tensors[argument]
            if tensor._base is None:
                Cell.of(tensor).set(found[n])
            else:  # which writes to the base
                tensor.assign(Tensor._from_storage(outputs[n].storage(found[n]), shapes[n]))
        passed = [(GradientCell(tensors[n]), at) for n, at in effects.argument_gradients]
        for gradient, at in (*effects.gradients, *passed):
            if at is None:
                gradient.owner._grad = None
            else:
                gradient.set(found[at], outputs[at], shapes[at])
        for subject, name, value in effects.attributes:
            setattr(tensors[subject] if isinstance(subject, int) else subject, name, value)


def _root(tensor: TensorCore) -> TensorCore:
    """The base of a view, the base of that base, and so on to the end."""
    while (base := tensor._base) is not None:
        tensor = base
    return tensor


class _Putting(Replacing):
    """Fills in templates."""

    def __init__(self, replay: Replay, arguments: Arguments, found: Sequence[Any]) -> None:
        super().__init__()
        self.replay, self.arguments, self.found = replay, arguments, found
        self.made: dict[int, TensorCore] = {}

    def change(self, value: Any) -> Any:
        if isinstance(value, Fresh):
            n = value.output
            if n not in self.made:
                self.made[n] = self.replay._fresh(value, self.found)
            return self.made[n]
        if isinstance(value, Argument):
            return self.arguments.tensors[value.number]
        if isinstance(value, Item):
            return self.arguments.objects[value.number]
        if isinstance(value, Integer):
            return self.replay.integers[value.number]
        if isinstance(value, View):
            base = self.change(value.base)
            return view_of(base, value.path)
        return value.value if isinstance(value, State) else NotImplemented

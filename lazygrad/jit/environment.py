"""What a capture depends on outside of its function, apart from the arguments.

Captures of a function that only reads (a model that generates text, at one size after another)
nearly always depend on the very same things. They share one environment, which saves memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from ..graph.ir import Shape
from ..graph.sizes import masked
from ..runtime.buffer import DeviceBuffer
from ..tensor.core import TensorCore
from .cells import Cell, Kind, Read, gather, gradient_of
from .guard import Changes, Guard, flat, identical, moved
from .structure import Mismatch

Outside = tuple[tuple[Shape, ...], tuple[int, ...]]
"""Sizes outside: the shapes of tensors that are read, and integers that were read as sizes."""


@dataclass(frozen=True, slots=True)
class Resized:
    """Other sizes for what is outside: shapes of tensors by id, and integers by the id of
    what holds them and the key."""

    shapes: dict[int, Shape]
    integers: dict[tuple[int, Any], int]


@dataclass(eq=False, slots=True)
class Environment:
    """The tensors and values from outside that a capture found."""

    guard: Guard
    integers: tuple[int, ...]  # what the guard's `integers` must be
    known: dict[int, TensorCore]  # tensors from outside, by id
    views: list[tuple[TensorCore, TensorCore]]  # from outside, and their bases
    has_gradient: list[tuple[TensorCore, bool]]  # whose `grad` was read, and if there was one
    reads: list[Read] = field(default_factory=list)
    gradients: list[tuple[int, TensorCore, Kind]] = field(default_factory=list)
    """Of each gradient that is read: its place among the plan's leaves, the tensor, its kind."""
    gradient_is: list[tuple[TensorCore, TensorCore]] = field(default_factory=list)
    """Tensors, and their gradients that are found outside in another way, too."""

    def is_same(self, other: Environment, but_sizes: bool = False) -> bool:
        """Whether both refer to the very same things, so that one may replace the other.
        `but_sizes`: the sizes of tensors, and integers that are sizes, may differ."""
        pairs = (
            (self.known.values(), other.known.values()),
            (flat(self.views), flat(other.views)),
            (flat(self.has_gradient), flat(other.has_gradient)),
            (flat(self.gradient_is), flat(other.gradient_is)),
            ((read.cell for read in self.reads), (read.cell for read in other.reads)),
            ((tensor for _, tensor, _ in self.gradients), (t for _, t, _ in other.gradients)),
        )
        use, others = (tuple(read.use() for read in each.reads) for each in (self, other))
        return (
            all(identical(a, b) for a, b in pairs)
            and (masked(use) == masked(others) if but_sizes else use == others)
            and [(n, k) for n, _, k in self.gradients] == [(n, k) for n, _, k in other.gradients]
            and self.guard.is_same(other.guard, but_sizes)
        )

    @property
    def sizes(self) -> Outside:
        """The sizes that it must find."""
        return tuple([read.kind[0] for read in self.reads]), self.integers

    def sizes_now(self) -> Outside:
        """The sizes that are there now. Raises Mismatch where one is no integer any more."""
        shapes = tuple([read.cell.tensor._node.shape for read in self.reads])
        return shapes, self.guard.integers_now()

    def at(self, sizes: Outside) -> Environment:
        """The environment where these are the sizes. It holds for one call."""
        if sizes == self.sizes:
            return self
        shapes, integers = sizes
        pairs = zip(self.reads, shapes, strict=True)
        reads = [read.at(shape) for read, shape in pairs]
        return replace(self, reads=reads, integers=integers)

    def resized(self, sizes: Outside) -> Resized:
        """What has another size where these are the sizes."""
        table = self.guard.integers
        names = [(id(x), name) for x, (_, name, _) in zip(table.owners, table.entries, strict=True)]
        shapes, integers = sizes
        return Resized(
            {
                id(read.cell.tensor): shape
                for read, shape in zip(self.reads, shapes, strict=True)
                if read.kind[0] != shape
            },
            dict(zip(names, integers, strict=True)),
        )

    def verify(self) -> Changes | None:
        """Compare with what is outside now. Returns what has replaced what; None where everything
        is as it was. Raises Mismatch where the capture does not fit any more."""
        changes = self.guard.verify(self.known)
        if changes:
            self._follow(changes)
        for view, base in self.views:
            if view._base is not base:
                raise Mismatch
        return changes

    def _follow(self, changes: Changes) -> None:
        """Refer to what is outside now instead of what it has replaced."""
        for read in self.reads:
            new = changes.get(id(read.cell.tensor))
            if new is not None:
                read.cell, read.version = Cell.of(new), -1
        self.gradients = [(n, changes.get(id(t), t), kind) for n, t, kind in self.gradients]
        self.has_gradient = [(changes.get(id(t), t), had) for t, had in self.has_gradient]
        self.gradient_is = [
            (changes.get(id(t), t), changes.get(id(g), g)) for t, g in self.gradient_is
        ]
        self.known = moved(self.known, changes)

    def verify_integers(self, has_followed: bool) -> None:
        """Raise Mismatch where an integer that was read as a size is another one now. Of many
        captures that differ in it, most are told apart by this look, before the environment
        `has_followed` what is there now."""
        if self.integers:
            self.guard.verify_integers(self.integers, has_followed)

    def gather(self, memories: list[Any], handle: Callable[[DeviceBuffer], Any]) -> None:
        """Put the memory of every leaf from outside into `memories`, as the plan's `handle` gives
        it. Raises Mismatch where a tensor is of another kind."""
        for tensor, had in self.has_gradient:
            if (tensor._grad is not None) is not had:
                raise Mismatch
        for tensor, gradient in self.gradient_is:
            if tensor._grad is not gradient:
                raise Mismatch
        gather(self.reads, memories, handle)
        for place, tensor, kind in self.gradients:
            memories[place] = handle(gradient_of(tensor, kind))

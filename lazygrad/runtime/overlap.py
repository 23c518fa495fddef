"""Decide which launches may run beside earlier ones, and which must wait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..backends.base import Launch
from ..graph.ir import Node
from ..schedule.join import Piece


def let_overlap(launches: Sequence[Launch], pieces: Sequence[Piece]) -> list[Launch]:
    """Leave a barrier only before launches that need one.

    A launch must wait if it reads a memory that a launch since the last barrier writes, or writes a
    memory that one of them reads or writes. Parts of one join write different elements: they do not
    wait for one another.

        a = x + 1;  b = x * 2;  c = a + b   ->   a;  b;  barrier;  c
    """
    found = []
    read: set[int] = set()
    written: set[int] = set()
    whole: Node | None = None
    for piece, launch in zip(pieces, launches, strict=True):
        count = launch.function.outputs
        outputs, inputs = launch.slots[:count], launch.slots[count:]
        new = () if whole is not None and whole is piece.whole else outputs
        whole = piece.whole
        barrier = not (
            written.isdisjoint(inputs) and written.isdisjoint(new) and read.isdisjoint(new)
        )
        if barrier:
            read.clear()
            written.clear()
        read.update(inputs)
        written.update(outputs)
        found.append(replace(launch, barrier=barrier))
    return found

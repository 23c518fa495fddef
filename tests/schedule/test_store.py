"""Which nodes get memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from lazygrad.graph.build import broadcast_to
from lazygrad.graph.ir import (
    Add,
    Contiguous,
    Exp,
    Neg,
    Node,
    Permute,
    Reduce,
    Sort,
    topological,
)
from lazygrad.schedule.store import choose_stored


def stored(*outputs: Node) -> set[Node]:
    return choose_stored(topological(outputs), outputs)


def test_what_is_used_once_is_inlined(leaf: Any) -> None:
    x = Exp(leaf(np.ones((4, 5))))
    y = Neg(x)
    assert stored(y) == {y}


def test_what_is_dear_and_read_at_many_places_is_stored(leaf: Any) -> None:
    x = Exp(leaf(np.ones((4, 5))))
    y = Reduce(broadcast_to(x, (100, 4, 5)), "max", (1, 2))
    assert {n.size for n in stored(y)} == {20, 100}


def test_outputs_reductions_and_what_sorts_read_are_stored(leaf: Any) -> None:
    x = Exp(leaf(np.ones((4, 5))))
    total, order, kept = Reduce(x, "sum", (1,)), Sort(x, 1), Contiguous(Neg(x))
    assert {x, total, order, kept} <= stored(Neg(total), order, Neg(kept))


def test_movement_of_a_buffer_is_not_stored(leaf: Any) -> None:
    x = leaf(np.ones((4, 4)))
    y = Add(x, Permute(x, (1, 0)))
    assert stored(y) == {y}

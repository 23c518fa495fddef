"""What loops are never written for is gone: marks for gradients, and nodes without elements."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lazygrad.dtypes import float32, int64
from lazygrad.graph import normalize as rules
from lazygrad.graph.ir import (
    Const,
    Detach,
    Exp,
    Gather,
    Iota,
    Neg,
    Node,
    Overwritten,
    Pad,
    Reduce,
    Scatter,
    topological,
)
from lazygrad.graph.ir.placement import Token
from lazygrad.graph.normalize import normalize


def empty(*shape: int) -> Const:
    return Const(0.0, float32, shape)


@pytest.mark.parametrize(
    ("node", "value"),
    [
        (Reduce(empty(0, 3), "sum", (0,)), 0.0),
        (Reduce(empty(0, 3), "max", (0,)), -np.inf),
        (Pad(empty(0), ((1, 1),), 2.0), 2.0),
        (Gather(empty(0), (Iota(3),)), 0.0),
        (Exp(empty(0, 2)), 0.0),
    ],
    ids=lambda x: getattr(x, "name", None),
)
def test_what_reads_nothing_is_a_constant(node: Node, value: float) -> None:
    assert normalize([node]) == [Const(value, float32, node.shape)]


def test_a_scatter_of_nothing_is_its_base(leaf: Any) -> None:
    x = leaf(np.ones(3, np.float32))
    nothing = Const(0, int64, (0,))
    assert normalize([Scatter(x, (nothing,), empty(0), "sum")]) == [x]


def test_marks_are_gone(leaf: Any) -> None:
    x = leaf(np.ones(3, np.float32))
    assert rules.drop_detach(Detach(x, Token())) is x
    assert rules.drop_overwritten(Overwritten(x, Exp(x))) is Exp(x)
    (found,) = normalize([Neg(Detach(Overwritten(x, Exp(Detach(x, Token()))), Token()))])
    assert found is Neg(Exp(x))


def test_other_graphs_stay(leaf: Any) -> None:
    node = Reduce(Exp(leaf(np.ones((2, 3), np.float32))), "sum", (1,))
    (found,) = normalize([node])
    assert found is node
    assert len(topological([found])) == 3

"""Where operations read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lazygrad.expr import Var
from lazygrad.graph import ir
from lazygrad.graph.build import broadcast_to
from lazygrad.index import add, flatten, mul
from lazygrad.schedule.access import accesses, iota_index, is_bijection
from lazygrad.schedule.ir import axis_variables


def _read(node: ir.Node) -> tuple[str, str]:
    """The index and the guard of the one read of a buffer."""
    (access,) = accesses(node, lambda n: isinstance(n, ir.Buffer))
    return ", ".join(map(str, access.index)), str(access.guard)


@pytest.mark.parametrize(
    ("make", "index", "guard"),
    [
        (lambda x: ir.Permute(x, (1, 0)), "a1, a0", "None"),
        (lambda x: ir.Reshape(x, (24,)), "(a0 // 6), (a0 % 6)", "None"),
        (lambda x: ir.Reshape(x, (4, 2, 3)), "a0, ((a1 * 3) + a2)", "None"),
        (lambda x: ir.Pad(x, ((0, 0), (2, 0))), "a0, (a1 + -2)", "((a1 * -1) < -1)"),
        (lambda x: ir.Slice(x, (3, 1), (4, 2), (-1, 3)), "((a0 * -1) + 3), ((a1 * 3) + 1)", "None"),
        (lambda x: ir.Window(x, 1, 3, 2), "a0, ((a1 * 2) + a2)", "None"),
        (lambda x: ir.Reduce(x, "sum", (0,)), "r0, a0", "None"),
        (lambda x: ir.Expand(ir.Slice(x, (0, 2), (4, 1), (1, 1)), (4, 7)), "a0, 2", "None"),
    ],
)
def test_index(leaf: Any, make: Any, index: str, guard: str) -> None:
    assert _read(make(leaf(np.ones((4, 6))))) == (index, guard)


def test_a_node_read_at_two_places_is_read_twice(leaf: Any) -> None:
    x = leaf(np.ones((4, 4)))
    assert len(accesses(ir.Add(x, ir.Permute(x, (1, 0))), lambda n: n is x)) == 2
    assert len(accesses(ir.Add(x, ir.Neg(x)), lambda n: n is x)) == 1


def test_arithmetic_on_iota_is_an_index() -> None:
    (i, j) = axis_variables((3, 5))
    rows = broadcast_to(ir.Reshape(ir.Iota(3), (3, 1)), (3, 5))
    assert iota_index(rows, (i, j)) is i
    assert iota_index(ir.Neg(rows), (i, j)) is None


def test_bijections() -> None:
    i, j = Var("i", 3), Var("j", 5)
    assert is_bijection(flatten((i, j), (3, 5)), 15) == (i, j)
    assert is_bijection(add(i, mul(j, 3)), 15) == (j, i)
    assert is_bijection(add(i, j), 15) is None
    assert is_bijection(mul(i, 5), 15) is None
    assert is_bijection(add(flatten((i, j), (3, 5)), 1), 15) is None


def test_the_depth_of_a_graph_is_no_limit(deep: Any) -> None:
    x, y = deep
    assert len(accesses(y, lambda n: isinstance(n, ir.Buffer))) == 2
    assert x in [a.node for a in accesses(y, lambda n: isinstance(n, ir.Buffer))]

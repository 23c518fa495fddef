"""Values by node go when their nodes go."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest

from lazygrad.graph.ir import Buffer, Neg, Node
from lazygrad.graph.weak import NodeDict


def test_values_go_with_their_nodes(leaf: Callable[..., Buffer]) -> None:
    known, x = NodeDict[str](), leaf([1.0])
    node: Node | None = Neg(x)
    assert node is not None
    assert known.isdisjoint([node, x])
    known[node] = "first"
    known[node] = "second"
    assert node in known
    assert known[node] == known.get(node) == "second"
    assert not known.isdisjoint([x, node])
    assert list(known) == [node]
    del node
    gc.collect()
    assert list(known) == []
    assert not known._found


def test_a_node_may_be_forgotten(leaf: Callable[..., Buffer]) -> None:
    known, x = NodeDict[int](), leaf([1.0])
    known[x] = 1
    known.forget(x)
    known.forget(x)
    assert x not in known
    assert known.get(x) is None
    with pytest.raises(KeyError):
        known[x]

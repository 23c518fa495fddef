"""Values by node go when their nodes go."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest

from lazygrad.dtypes import int32
from lazygrad.graph.ir import Buffer, Const, Neg, Node, NodeDict


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


def test_what_is_left_of_a_node_that_is_gone_is_not_another_nodes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ctrl-C may keep an entry from being dropped, and another node may get the id."""
    monkeypatch.setattr(NodeDict, "_gone", lambda *_: None)
    values: NodeDict[int] = NodeDict()
    places = set()
    for n in range(100):
        node = Const(10_000 + n, int32)
        places.add(id(node))
        values[node] = n
        del node
    others = [Const(20_000 + n, int32) for n in range(100)]
    same = next(node for node in others if id(node) in places)
    assert same not in values
    assert values.get(same) is None
    with pytest.raises(KeyError):
        values[same]
    values[same] = 1
    assert values[same] == 1

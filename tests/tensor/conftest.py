"""Values by the oracle: what is tested here is which graph a Tensor operation builds, not how the
compiler computes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module

import pytest

from lazygrad.graph.evaluate import evaluate
from lazygrad.graph.ir import Node
from lazygrad.runtime.buffer import DeviceBuffer
from lazygrad.runtime.device import Device


@pytest.fixture(autouse=True)
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many nodes each call of `realize` has computed during the test so far."""
    calls: list[int] = []

    def realize(nodes: Sequence[Node], *_: object) -> list[DeviceBuffer]:
        calls.append(len(nodes))
        values = evaluate(nodes)
        return [
            DeviceBuffer.from_numpy(value, node.device or Device.DEFAULT)
            for node, value in zip(nodes, values, strict=True)
        ]

    monkeypatch.setattr(import_module("lazygrad.realize"), "realize", realize)
    return calls


Depth = Callable[[Node], int]


@pytest.fixture(scope="session")
def size() -> Depth:
    """How many nodes an expression has."""
    from lazygrad.graph.ir import topological

    return lambda node: len(topological([node]))

"""Where nodes come from: lines, operations, layers, and how passes keep them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lazygrad import Tensor, config, nn
from lazygrad.graph.ir import Mul, Node
from lazygrad.graph.simplify import simplify
from lazygrad.origin import Origin, origins


@pytest.fixture(autouse=True)
def recording() -> Iterator[None]:
    with config.override(ORIGINS=1):
        yield


def only(node: Node) -> Origin:
    (origin,) = origins(node)
    return origin


def test_a_node_knows_its_line_and_its_operation() -> None:
    x = Tensor([[1.0, 2.0]])
    y = (x + 1).softmax()
    origin = only(y.node)
    assert origin.file == __file__
    assert origin.source == "y = (x + 1).softmax()"
    assert origin.function == "test_a_node_knows_its_line_and_its_operation"
    assert origin.operation == "softmax"
    assert str(origin) == f"test_origin.py:{origin.line}  y = (x + 1).softmax()"


def test_nothing_is_recorded_where_nobody_looks() -> None:
    with config.override(ORIGINS=0):
        assert origins((Tensor([1.0]) * 3).node) == ()


def test_two_lines_that_make_one_node_are_both_its_origins() -> None:
    x = Tensor([1.0, 2.0])
    first = x * 3
    second = x * 3
    assert first.node is second.node
    assert [o.source for o in origins(first.node)] == ["first = x * 3", "second = x * 3"]


def test_a_layer_is_named_by_its_place_in_the_model() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(2, 3), nn.ReLU())

        def forward(self, x: Tensor) -> Tensor:
            return self.layers(x) + 1

    y = Net()(Tensor([[1.0, 2.0]]))
    origin = only(y.node)
    assert (origin.operation, origin.layers) == ("add", ("Net",))
    relu = only(y.node.inputs[0])
    assert (relu.operation, relu.layers) == ("relu", ("layers (Sequential)", "1 (ReLU)"))


def test_a_gradient_points_to_what_it_is_the_derivative_of() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    y = x.exp().sum()
    (g,) = y.gradient(x)
    origin = only(g.node)
    assert origin.gradient
    assert origin.source == "y = x.exp().sum()"
    assert str(origin).startswith("gradient of test_origin.py:")


def test_what_replaces_a_node_inherits_its_origins() -> None:
    x = Tensor([1.0, 2.0])
    y = (x * 2 * 3).node
    (simpler,) = simplify([y])
    assert isinstance(simpler, Mul)
    assert {o.source for o in origins(simpler)} == {"y = (x * 2 * 3).node"}

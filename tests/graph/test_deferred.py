"""Nodes that are built when somebody looks."""

from __future__ import annotations

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from lazygrad import Tensor, nn, no_grad
from lazygrad.graph.ir import Buffer, Div, Node, deferred, topological
from lazygrad.graph.structure import Walk
from lazygrad.graph.verify import verify
from lazygrad.tensor import recall, template


def rand(*shape: int) -> Tensor:
    values = np.random.default_rng(sum(shape)).random(shape, dtype=np.float32)
    return Tensor(values).realize()


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The calls that are built."""
    recall._templates.clear()
    calls: list[Any] = []
    build = template._Call.build

    def counted(call: Any) -> None:
        calls.append(call)
        build(call)

    monkeypatch.setattr(template._Call, "build", counted)
    return calls


def test_a_result_has_a_class_a_shape_and_a_dtype_before_it_is_built(built: list[Any]) -> None:
    node = rand(3, 4).softmax(-1)._node
    assert type(node) in deferred
    assert isinstance(node, Div)
    assert (node.shape, str(node.dtype), node.device, node.name) == (
        (3, 4),
        "float32",
        "CPU",
        "div",
    )
    assert not built
    top, bottom = node.inputs
    assert len(built) == 1
    assert type(node) is Div
    assert (node.x, node.y) == (top, bottom)
    verify([node])


def test_every_field_and_the_text_build_it(built: list[Any]) -> None:
    for look in (lambda n: n.x, lambda n: n.y, repr, lambda n: n.attributes, lambda n: n.inputs):
        node = rand(3, 4).softmax(-1)._node
        look(node)
        assert type(node) is Div
    with pytest.raises(AttributeError, match="nothing"):
        _ = rand(3, 4).softmax(-1)._node.nothing
    with pytest.raises(AttributeError, match="immutable"):
        node.x = node.y


def test_the_same_call_gives_the_same_node(built: list[Any]) -> None:
    x = rand(3, 4)
    assert x.softmax(-1)._node is x.softmax(-1)._node
    assert not built


def test_results_are_built_together_whoever_is_left(built: list[Any]) -> None:
    x = rand(5, 6)
    variance, mean = x.var_mean(1)
    assert {type(variance._node), type(mean._node)} <= deferred
    _ = mean._node.inputs
    assert type(variance._node) not in deferred
    assert len(built) == 1
    variance, mean = (x + 1).var_mean(1)
    del variance
    gc.collect()
    np.testing.assert_allclose(mean.numpy(), x.numpy().mean(1) + 1, rtol=1e-6)


def test_calls_of_calls_are_built_as_far_as_somebody_looks(built: list[Any]) -> None:
    inner = rand(3, 4).softmax(-1)
    outer = inner.layernorm(-1)
    _ = outer._node.inputs
    assert type(inner._node) in deferred
    assert len(topological([outer._node])) > 10
    assert type(inner._node) not in deferred
    assert len(built) == 2


def test_a_call_holds_no_result_and_a_result_no_more_than_its_inputs() -> None:
    x = rand(3, 4)
    made = x.softmax(-1)
    node, source = weakref.ref(made._node), weakref.ref(x._node)
    gc.disable()
    try:
        del made, x
        assert node() is None
        assert source() is None
    finally:
        gc.enable()


def test_threads_that_look_at_once_find_one_graph() -> None:
    nodes = [rand(n, 4).layernorm(-1)._node for n in range(2, 60)]

    def look(_: int) -> list[tuple[Node, ...]]:
        return [node.inputs for node in nodes]

    with ThreadPoolExecutor(8) as pool:
        first, *rest = pool.map(look, range(8))
    assert all(found == first for found in rest)
    verify(nodes)


def test_threads_that_compute_what_others_look_at(switching: Any) -> None:
    for n in range(2, 12):
        x = rand(n, 4)
        y = x.softmax(-1).layernorm(-1) + 1
        found: list[Any] = [None] * 4

        def work(k: int, y: Tensor = y, found: list[Any] = found) -> None:
            found[k] = y.numpy() if k % 2 else len(topological([y._node]))

        switching(work, 4)
        np.testing.assert_array_equal(found[1], found[3])
        np.testing.assert_allclose(found[1].mean(-1), np.ones(n), rtol=1e-5)


def test_an_interrupted_build_is_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    node = rand(3, 4).softmax(-1)._node
    with monkeypatch.context() as broken:
        broken.setattr(template, "become", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            _ = node.inputs
    assert len(topological([node])) > 5
    assert type(node) is Div


def test_a_walk_does_not_look(built: list[Any]) -> None:
    x = rand(3, 4)
    y = x.softmax(-1).layernorm(-1) + x
    walk = Walk()
    walk.walk([y._node])
    assert walk.has_calls
    assert walk.leaves == [x._node]
    assert not built
    whole = walk.whole([y._node])
    assert not whole.has_calls
    assert len(whole.nodes) > len(walk.nodes)
    assert set(walk.nodes) <= set(whole.nodes)
    assert isinstance(whole.nodes[0], Buffer)


def test_a_program_that_comes_again_builds_nothing(built: list[Any]) -> None:
    model = nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 4))
    with no_grad():
        for n in range(12):
            x = rand(3, 4) * n
            y = model(x) + x
            expected = y.softmax(-1).sum(-1)
            np.testing.assert_allclose(expected.numpy(), np.ones(3), rtol=1e-5)
            if n == 6:
                built.clear()
    assert not built


def test_values_that_are_kept_inside_a_call_are_kept_again(built: list[Any]) -> None:
    """Of a normalized data set the mean and the deviation are kept, which no tensor stands for."""
    for n in range(5):
        x = rand(64, 8) + n
        held = x.layernorm(0)
        assert abs(held[:4].sum().item()) < 40
        np.testing.assert_allclose(held.numpy().mean(0), np.zeros(8), atol=1e-5)


def test_an_input_that_an_operation_ignores() -> None:
    x, mask = rand(3, 4), rand(3, 4) > 2
    for n in range(4):
        y = (x + n).cast("int64")
        total = Tensor.cat(y, mask.cast("int64") * 0 + y).sum()
        assert total.item() == 2 * y.numpy().sum()

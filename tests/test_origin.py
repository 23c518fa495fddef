"""Where nodes come from: lines, operations, layers, and how passes keep them."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from weakref import ref

import pytest

import lazygrad
from lazygrad import Tensor, config, jit, nn
from lazygrad.backends.llvm import program as module
from lazygrad.dump import places
from lazygrad.errors import CompilerError
from lazygrad.graph.ir import Buffer, Mul, Node, topological
from lazygrad.graph.simplify import simplify
from lazygrad.origin import Origin, kernel_origins, name_of, name_of_function, origins
from lazygrad.schedule.ir import Kernel, Schedule
from lazygrad.schedule.show import Names, kernel_nodes, title


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


# --------------------------------------------------------------------------- names


def names(node: Node) -> set[str]:
    return {name for x in topological([node]) if (name := name_of(x)) is not None}


def test_a_leaf_has_the_name_of_its_variable() -> None:
    def scaled(vector: Tensor) -> Tensor:
        return vector * weights["scale"]

    weights = {"scale": Tensor([2.0])}
    y = scaled(Tensor([1.0, 2.0]))
    assert names(y.node) == {"vector", "weights.scale"}


@pytest.mark.parametrize("computed", [False, True])
def test_what_was_computed_before_anybody_looked_has_a_name(computed: bool) -> None:
    """Also where it is the copy of a view, which no leaf stands for, or part of a list."""
    with config.override(ORIGINS=0):
        full = Tensor.full((2, 3), 0.5).contiguous().realize()
        scales = [full * 2, (full + 1).realize()]
        if computed:
            scales[0].realize()
    made = {"full", "scales.1"} if not computed else {"scales.0", "scales.1"}
    assert names((scales[0] * scales[1]).node) >= made


def test_a_temporary_has_no_name() -> None:
    other = Tensor([1.0, 2.0])
    assert names((Tensor([3.0, 4.0]) * other).node) == {"other"}


def test_a_parameter_has_its_name_in_the_state_dict() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(2, 3), nn.ReLU())

        def forward(self, x: Tensor) -> Tensor:
            return self.layers(x)

    net = Net()
    loss = net(Tensor([[1.0, 2.0]])).sum()
    assert names(loss.node) >= {"x", "layers.0.weight", "layers.0.bias"}
    (g,) = loss.gradient(net.layers[0].weight)
    assert name_of(g.node) == "layers.0.weight.grad"


def test_a_plain_object_gives_names_too() -> None:
    class Net:
        def __init__(self) -> None:
            self.parts = [Tensor([1.0]), Tensor([2.0])]

        def __call__(self, x: Tensor) -> Tensor:
            return x * self.parts[0] + self.parts[1]

    assert names(Net()(Tensor([3.0])).node) == {"x", "parts.0", "parts.1"}


def test_layers_that_no_object_holds_are_told_apart() -> None:
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    model = [first, Tensor.relu, nn.Linear(2, 2)]
    weights = {"first.weight", "second.weight", "first.bias", "second.bias"}
    assert names(second(first(Tensor([[3.0, 1.0]]))).node) >= weights
    assert names(Tensor([[3.0, 4.0]]).sequential(model).node) >= {"model.2.weight", "model.2.bias"}


def test_recording_keeps_nothing_alive() -> None:
    class Scale:
        def __init__(self) -> None:
            self.factor = Tensor([2.0])

    scale = Scale()
    alive = ref(scale)
    assert names((Tensor([1.0]) * scale.factor).node) == {"factor"}
    del scale
    gc.collect()
    assert alive() is None


# --------------------------------------------------------------------------- through the passes


class Watcher:
    """Keeps what the passes make."""

    number = -7

    def __init__(self) -> None:
        self.values: set[str] = set()  # that kernels write
        self.nodes: list[tuple[str, Node]] = []
        self.kernels: list[Kernel] = []  # of the last schedules
        self._schedule: Schedule | None = None

    def watcher(self) -> Watcher:
        return self

    def took(self, stage: str, begin: float, end: float) -> None:
        pass

    def saw(self, stage: str, value: Any) -> None:
        if isinstance(value, list):
            self.nodes += [(stage, node) for node in topological(value)]
        elif isinstance(value, Schedule):
            self.nodes += [(stage, n) for kernel in value.kernels for n in kernel_nodes(kernel)]
            self._schedule = value

    def finish(self) -> None:
        if self._schedule is not None:
            self.kernels += self._schedule.kernels
            of = Names(self._schedule.kernels, self._schedule.outputs).of
            self.values |= {of[x] for kernel in self._schedule.kernels for x in kernel.outputs}


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    made = Watcher()
    places.append(made)
    yield made
    places.remove(made)


def test_kernels_are_named_by_what_was_asked_for(watcher: Watcher) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 3, 5)
            self.out = nn.Linear(27, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(self.conv(x).relu().flatten(1)).tanh().softmax()

    net = Net()
    Tensor.realize(*net.parameters())
    optimizer = nn.optim.SGD(net.parameters(), lr=0.1)
    x = Tensor.randn(2, 2, 7, 7).realize()
    watcher.kernels.clear()
    net(x).square().sum().backward()
    optimizer.step()
    named = [title(kernel) for kernel in watcher.kernels]
    assert {
        "conv2d_5x5_relu", "linear_tanh", "softmax_tanh_grad", "conv2d_5x5_grad_weight_sgd_update",
    } <= set(named)  # fmt: skip


def test_values_in_memory_are_called_as_in_the_program(watcher: Watcher) -> None:
    x, w = Tensor.randn(8, 4).realize(), Tensor.randn(4, 4, requires_grad=True).realize()
    optimizer = nn.optim.SGD([w], lr=0.1)
    watcher.values.clear()
    y = (x @ w).softmax()
    y.realize()
    assert watcher.values == {"matmul", "y"}
    watcher.values.clear()
    (x @ w).relu().square().mean().backward()
    optimizer.step()
    assert "w.new" in watcher.values
    assert not [name for name in watcher.values if re.fullmatch(r"(out|t|in)\d+", name)]


def test_what_goes_along_has_the_name_of_its_variable(watcher: Watcher) -> None:
    x, w = Tensor.randn(64, 64).realize(), Tensor.randn(64, 64).realize()
    y = (x @ w).softmax()
    watcher.values.clear()
    y.sum().item()
    assert watcher.values == {"matmul", "y", "sum"}


def test_values_of_one_operation_are_numbered(watcher: Watcher) -> None:
    x = Tensor.randn(64, 64).realize()
    watcher.values.clear()
    ((x @ x) @ x).sum().item()
    assert {"matmul", "matmul_2"} <= watcher.values


def test_an_operation_that_sequential_applies_is_its_own() -> None:
    x = Tensor([[1.0, -2.0]])
    assert only(x.sequential([Tensor.relu]).node).operation == "relu"
    assert only(x.sequential([lambda x: x.exp()]).node).operation == "exp"


def test_a_lambda_is_called_by_its_line() -> None:
    line = (double := lambda x: x * 2).__code__.co_firstlineno
    assert double(1) == 2
    assert name_of_function(double) == f"lambda (test_origin.py:{line})"
    assert name_of_function(only) == "only"


def test_equal_loops_of_two_names_are_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = Tensor([[1.0, 2.0, 4.0]]), Tensor([[3.0, 2.0, 4.0]])
    x.clamp(min=0.25).realize()

    def never(*_: Any) -> Any:
        raise AssertionError("compiled again")

    monkeypatch.setattr(module, "codegen", never)
    z = y.clamp_min(0.25)
    assert only(z.node).operation == "clamp_min"
    z.realize()


def test_a_second_line_has_kernels_of_its_own_name(capfd: pytest.CaptureFixture[str]) -> None:
    """Two lines ask for the same computation of other values: neither is named by the other."""
    x, y = Tensor([1.5, 2.0]).realize(), Tensor([3.5, 5.0]).realize()
    with config.override(DEBUG=2):
        (x * 7).cos().realize()
        (y * 7).cos().realize()
    told = capfd.readouterr().err
    assert re.search(r"  test_origin.py:\d+  \(x \* 7\).cos\(\).realize\(\)", told)
    assert re.search(r"  test_origin.py:\d+  \(y \* 7\).cos\(\).realize\(\)", told)


def test_a_line_of_debug_2_ends_with_what_asked_for_the_kernel(
    capfd: pytest.CaptureFixture[str],
) -> None:
    x = Tensor([[1.0, 2.0], [3.0, 5.0]]).realize()
    with config.override(DEBUG=2):
        (x.relu() * 3).exp().realize()
    lines = capfd.readouterr().err.splitlines()
    function = "test_a_line_of_debug_2_ends_with_what_asked_for_the_kernel"
    assert re.search(rf"{function} \(test_origin.py:\d+\): compiled 1 kernel", "\n".join(lines))
    assert re.match(r"  relu_mul_exp_\w{10} ", lines[-1])
    assert re.search(r"  test_origin.py:\d+  \(x.relu\(\) \* 3\).exp\(\).realize\(\)$", lines[-1])


def test_a_fault_of_the_compiler_names_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(made: Any) -> Any:
        raise ValueError("broken")

    monkeypatch.setattr("lazygrad.pipeline.named", broken)
    y = Tensor([1.0, 2.0]).exp() * 7
    with pytest.raises(CompilerError, match=r"computing test_origin.py:\d+  y = .* \* 7; "):
        y.realize()


class Net(nn.Module):
    """Convolution, normalisation, attention, an embedding, a product."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.embed = nn.Embedding(10, 4)
        self.attn = nn.MultiheadAttention(4, 2, batch_first=True)
        self.norm = nn.LayerNorm(4)
        self.out = nn.Linear(4, 10)

    def forward(self, x: Tensor, i: Tensor) -> Tensor:
        h = self.conv(x).relu().max_pool2d(2)
        h = h.flatten(2).transpose(1, 2) + self.embed(i).unsqueeze(1)
        h = h + self.attn(h, h, h)[0]
        h = self.norm(h)
        return self.out(h.mean(1))


@pytest.mark.slow
@pytest.mark.parametrize("way", [lambda step: step, jit], ids=["eager", "jit"])
def test_every_node_and_every_kernel_of_a_training_step_knows_its_lines(
    watcher: Watcher, way: Any
) -> None:
    net = Net()
    optimizer = nn.optim.Adam(net.parameters(), lr=1e-3)

    def step(x: Tensor, y: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = net(x, y).cross_entropy(y)
        loss.backward()
        optimizer.step()
        return loss

    way(step)(Tensor.randn(2, 1, 6, 6), Tensor([1, 2])).realize()

    unknown = {(stage, node) for stage, node in watcher.nodes if not origins(node)}
    assert {at for at in unknown if not isinstance(at[1], Buffer)} == set()
    lines = {o.source for kernel in watcher.kernels for o in kernel_origins(kernel)}
    assert {
        "h = self.conv(x).relu().max_pool2d(2)",
        "h = h + self.attn(h, h, h)[0]",
        "h = self.norm(h)",
        "return self.out(h.mean(1))",
        "loss = net(x, y).cross_entropy(y)",
        "optimizer.step()",
    } <= lines
    for kernel in watcher.kernels:
        told = kernel_origins(kernel)
        assert told, kernel
        outputs = {o for node in kernel.outputs for o in origins(node)}
        assert set(told[: len(outputs)]) == outputs
    products = [k for k in watcher.kernels if "out.weight" in map(name_of, k.inputs)]
    assert kernel_origins(products[0])[0].layers == ("out (Linear)",)
    assert {name_of(x) for k in watcher.kernels for x in k.inputs} >= {
        "x", "conv.weight", "attn.in_proj_weight", "norm.bias", "out.weight.exp_avg", "lr",
    }  # fmt: skip
    gradients = {name_of(x) for k in watcher.kernels for x in k.outputs}
    assert {"conv.bias.grad", "embed.weight.grad"} <= gradients


@pytest.mark.parametrize("way", ["ORIGINS", "explain", "dump"])
def test_names_are_looked_for_without_a_capture_reading_what_has_them(
    way: str, tmp_path: Path
) -> None:
    """A loss of the caller carries gradient, and a captured function may not read it."""
    weight = Tensor([1.0, 2.0], requires_grad=True)
    loss = (weight * weight).sum()
    means = lazygrad.jit(lambda x: x.cumsum(0) / lazygrad.arange(1, len(x) + 1))
    ones = Tensor.ones(3)
    if way == "explain":
        lazygrad.explain(means, ones)
    with config.override(ORIGINS=1) if way == "ORIGINS" else lazygrad.dump(tmp_path):
        assert means(ones).tolist() == [1.0, 1.0, 1.0]
    loss.backward()
    assert weight.grad.tolist() == [2.0, 4.0]

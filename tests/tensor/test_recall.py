"""Operations that are built from a template give the graph that their code gives."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import lazygrad
from lazygrad import Tensor, config, nn, no_grad
from lazygrad.graph.gradient import cotangents
from lazygrad.graph.ir import Buffer, Const, Detach, Reshape, Scatter, deferred, topological
from lazygrad.graph.structure import structure
from lazygrad.graph.verify import verify
from lazygrad.nn import recurrent
from lazygrad.runtime.buffer import realized
from lazygrad.tensor import donate, recall
from lazygrad.tensor.core import TensorCore


@pytest.fixture(autouse=True)
def no_templates() -> None:
    recall._templates.clear()
    recall._backward.clear()
    recall._passed.clear()


def rand(*shape: int, requires_grad: bool = False) -> Tensor:
    values = np.random.default_rng(sum(shape)).random(shape)
    return Tensor(values.astype(np.float32), requires_grad=requires_grad)


OPERATIONS: dict[str, Callable[..., Any]] = {
    "matmul": lambda x, y: x.matmul(y.T),
    "linear": lambda x, y: x.linear(y),
    "linear and bias": lambda x, y: x.linear(y, y[:, 0]),
    "attention": lambda x, y: x.scaled_dot_product_attention(y, y + 1, is_causal=True),
    "masked attention": lambda x, y: x.scaled_dot_product_attention(y, y + 1, x @ y.T > 0.5),
    "layernorm": lambda x, y: x.layernorm(-1, y[0], y[1]),
    "rms norm": lambda x, y: x.rms_norm(4, y[0]),
    "softmax": lambda x, y: x.softmax(0),
    "log softmax": lambda x, y: x.log_softmax(-1),
    "gelu": lambda x, y: x.gelu(),
    "gelu by tanh": lambda x, y: x.gelu(approximate="tanh"),
    "elu": lambda x, y: x.elu(0.5),
    "mean": lambda x, y: x.mean(1, keepdim=True),
    "mean of all": lambda x, y: x.mean(),
    "var": lambda x, y: x.var(correction=0),
    "norm": lambda x, y: x.norm(3),
    "huber": lambda x, y: x.huber_loss(y[:3], delta=0.5),
    "mse": lambda x, y: x.mse_loss(y[:3], reduction="sum"),
    "cat": lambda x, y: Tensor.cat(x, y),
    "cat of a list": lambda x, y: Tensor.cat([x, y], dim=0),
    "cat of many": lambda x, y: Tensor.cat(*[x + i for i in range(12)], axis=1),
    "convolution": lambda x, y: x.reshape(1, 1, 3, 4).conv2d(y[:2, :2].reshape(1, 1, 2, 2)),
    "argmax": lambda x, y: x.argmax(),
    "largest along an axis": lambda x, y: x.max(1).indices,
    "topk": lambda x, y: y.topk(2).values,
    "median": lambda x, y: y.median(0).values,
    "running maximum": lambda x, y: y.cummax(1).values,
    "logsumexp": lambda x, y: y.logsumexp(1),
    "tril": lambda x, y: y.tril(),
    "clamp": lambda x, y: x.clamp(0.1, 0.7),
    "quantile": lambda x, y: y.quantile(0.3, 1),
    "group norm": lambda x, y: nn.functional.group_norm(y, 2),
    "average pool": lambda x, y: x.reshape(1, 1, 3, 4).avg_pool2d(2),
}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("requires_grad", [False, True])
def test_later_calls_build_the_graph_of_the_first(name: str, requires_grad: bool) -> None:
    operation = OPERATIONS[name]
    for _ in range(2):
        operation(rand(3, 4), rand(5, 4))  # of other tensors, without gradient
    x, y = rand(3, 4, requires_grad=requires_grad), rand(5, 4)
    first = operation(x, y)
    operation(x, y)  # kept now
    assert any(isinstance(kept, recall._Kept) for kept in recall._templates.values())
    again = operation(x, y)
    assert again._node is first._node
    assert again.requires_grad == first.requires_grad
    recall._templates.clear()
    other = operation(x, y)
    assert structure([other._node])[0] == structure([again._node])[0]
    assert other.requires_grad == again.requires_grad
    np.testing.assert_array_equal(other.numpy(), again.numpy())


CLASSES = Tensor([2, 0, 3])

CHECKED: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "gather": lambda x, i: x.gather(1, i.unsqueeze(1)),
    "scatter": lambda x, i: x.scatter(1, i.unsqueeze(1), 5.0),
    "embedding": lambda x, i: nn.functional.embedding(i, x.T),
    "cross entropy": lambda x, i: x.cross_entropy(i),
    "nll": lambda x, i: nn.functional.nll_loss(x, i, ignore_index=-7),
}


@pytest.mark.parametrize("name", CHECKED)
def test_indices_are_checked_with_each_call(name: str) -> None:
    operation, x = CHECKED[name], rand(3, 4)
    for _ in range(3):
        for index in (CLASSES, CLASSES + 0):  # known when the line runs, and later
            with_template = operation(x, index)
            with config.override(CHECK=("nan",)):  # built anew
                alone = operation(x, index)
            assert structure([alone._node])[0] == structure([with_template._node])[0]
        with pytest.raises(IndexError, match=r"4 is outside|-1 is outside"):
            operation(x, Tensor([1, 4, 2]))
        with pytest.raises(IndexError, match="is outside"):
            operation(x, Tensor([1, 4, 2]) + 0).numpy()
    assert any(isinstance(kept, recall._Kept) and kept.anew for kept in recall._templates.values())


def test_an_error_of_a_check_names_the_operation() -> None:
    for _ in range(3):
        with pytest.raises(IndexError, match=r"^cross_entropy: 4 is outside the 4 classes"):
            rand(3, 4).cross_entropy(Tensor([1, 4, 2]))
        assert rand(3, 4).cross_entropy(CLASSES).item() > 0


DRAWING: dict[str, Callable[[Tensor], Tensor]] = {
    "multinomial": lambda x: x.multinomial(3),
    "with replacement": lambda x: x.multinomial(3, replacement=True),
    "bernoulli": lambda x: x.bernoulli(),
    "dropout": lambda x: x.dropout(0.4),
    "normal": lambda x: x.randn_like(),
    "uniform": lambda x: Tensor.rand(3, 4),
}


@pytest.mark.parametrize("name", DRAWING)
@Tensor.train()
def test_numbers_are_drawn_with_each_call(name: str) -> None:
    operation, x = DRAWING[name], rand(3, 4)

    def drawn() -> list[list[float]]:
        Tensor.manual_seed(3)
        return [operation(x).tolist() for _ in range(4)]

    found = drawn()
    assert len({str(each) for each in found}) > 1
    assert any(isinstance(kept, recall._Kept) and kept.anew for kept in recall._templates.values())
    with config.override(CHECK=("nan",)):  # built anew
        assert drawn() == found


def test_weights_to_draw_by_are_verified_with_each_call() -> None:
    for _ in range(3):
        rand(3, 4).multinomial(2)
        with pytest.raises(ValueError, match="finite and not negative"):
            (rand(3, 4) - 1).realize().multinomial(2)
        with pytest.raises(ValueError, match="no probability"):
            (rand(3, 4) + 1).realize().bernoulli()


def test_an_operation_that_writes_or_asks_for_values_is_not_built_from_a_template() -> None:
    @recall.recalled
    def counting(x: Tensor, total: Tensor) -> Tensor:
        total += 1
        return x * 2 + 1

    @recall.recalled
    def deciding(x: Tensor) -> Tensor:
        return x * 2 + 1 if (x.sum() > 0).item() else x * 3

    total = Tensor([0.0])
    for _ in range(3):
        counting(rand(3), total)
        assert deciding(-rand(3)).numpy().max() < 0 < deciding(rand(3)).numpy().min()
    assert total.tolist() == [3.0]


def test_a_result_that_is_an_argument_stays_one() -> None:
    @recall.recalled
    def same(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return x, x * y + 1

    for _ in range(3):
        x = rand(3, 4)
        found, _ = same(x, rand(3, 4) + 1)
        found += 1
        np.testing.assert_array_equal(found.numpy(), x.numpy())


@pytest.mark.parametrize("layer", [nn.GRU, nn.LSTM])
def test_steps_of_recurrent_layers_have_gradients(layer: Any) -> None:
    net, x = layer(4, 5), rand(7, 2, 4)

    def gradients() -> list[Any]:
        net.zero_grad()
        net(x)[0].square().sum().backward()
        return [p.grad.numpy() for p in net.parameters() if p.grad is not None]

    first = gradients()
    assert len(first) == 4
    recall._templates.clear()
    for a, b in zip(first, gradients(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


STEPS: dict[str, Callable[[], nn.Module]] = {
    "rnn": lambda: nn.RNN(4, 5, nonlinearity="relu"),
    "gru": lambda: nn.GRU(4, 5, batch_first=True),
    "gru of two layers": lambda: nn.GRU(4, 5, num_layers=2),
    "lstm in both directions": lambda: nn.LSTM(4, 5, num_layers=2, bidirectional=True),
    "projected lstm": lambda: nn.LSTM(4, 5, bias=False, proj_size=3),
}


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("shape", [(1, 4), (1, 1, 4)])
def test_a_step_of_recurrent_layers_is_one_call(
    name: str, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    net = STEPS[name]()

    def sampled(calls: bool) -> list[Any]:
        values: list[Any] = []
        state: Any = None
        for n in range(5):
            y, state = net(rand(*shape) + n, state)
            states = state if isinstance(state, tuple) else (state,)
            is_call = calls and n > 0
            assert not is_call or all(type(each._node) in deferred for each in (y, *states))
            values.append(y.numpy())
            for each in states:
                goes_along = isinstance(each._node, Buffer) or each._node in realized
                assert goes_along or not is_call
                values.append(each.numpy())
        return values

    with no_grad():
        found = sampled(True)
        monkeypatch.setattr(recurrent, "_run_layers", recurrent._run_layers.__wrapped__)
        for a, b in zip(found, sampled(False), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_layers_drop_other_elements_in_each_step() -> None:
    net, x = nn.GRU(4, 64, num_layers=2, dropout=0.5), rand(1, 1, 4)
    with no_grad():
        net.train()
        drawn = [net(x)[0].numpy() for _ in range(4)]
        assert not any(np.array_equal(a, b) for a, b in pairwise(drawn))
        net.eval()
        drawn = [net(x)[0].numpy() for _ in range(4)]
        assert all(np.array_equal(a, drawn[0]) for a in drawn)


def test_two_results_of_one_node_are_two_tensors() -> None:
    @recall.recalled
    def twice(x: Tensor) -> tuple[Tensor, Tensor]:
        return (x + 1).exp(), (x + 1).exp()

    for _ in range(3):
        a, b = twice(rand(3))
        a += 1
        np.testing.assert_allclose(a.numpy(), b.numpy() + 1, rtol=1e-6)


def test_what_a_call_depends_on_is_told_apart() -> None:
    for _ in range(3):
        x = rand(3, 4)
        w = rand(4, requires_grad=True)
        made = x.layernorm(-1, w)
        with no_grad():
            assert not x.layernorm(-1, w).requires_grad
        assert made.requires_grad
        assert x.layernorm(-1, w).requires_grad
        assert not x.layernorm(-1, w.detach()).requires_grad
        assert x.softmax(0).numpy().sum() == pytest.approx(4)
        assert x.softmax(1).numpy().sum() == pytest.approx(3)
        assert x.elu(1).numpy().shape == x.elu(True).numpy().shape
        negative = Tensor([-1.0, 1.0])
        assert np.signbit(negative.threshold(0, -0.0).numpy()[0])
        assert not np.signbit(negative.threshold(0, 0.0).numpy()[0])
        assert x.half().gelu().dtype == lazygrad.float16
        assert x.double().gelu().dtype == lazygrad.float64
        with pytest.raises(ValueError, match="approximate"):
            x.gelu(approximate="no")
        with pytest.raises(ValueError, match="approximate"):
            x.gelu(approximate="no")


def test_the_parts_of_a_key_tell_where_an_argument_ends() -> None:
    x, y = rand(2), rand(2)
    calls: list[Any] = [
        (x, y), ((x, y),), ((x,), y), (x, (y,)), (x, x), (x,), ((x,),), ([x, y], ()), ((), x, y),
        (1, True), (True, 1), (1.0, True), (1, 1), (-0.0, 1), (0.0, 1), (float("nan"), 1),
        ("nan", 1), ({"nan": 1},), ({"a": 1, "b": 2},), ({"a": 1}, {"b": 2}), (None,), (),
        (int, 1), ("(", 1, ")"), ((1,),), (str, "("), ("(",), (x.detach().requires_grad_(), y),
    ]  # fmt: skip
    keys = set()
    for values in calls:
        parts: list[Any] = []
        recall._note_values(values, parts, {})
        keys.add(tuple(parts))
    assert len(keys) == len(calls)


def test_a_tensor_given_twice_and_constants_are_no_template() -> None:
    x = rand(3, 3)
    ones = Tensor.ones(3, 3)
    for other in (rand(3, 3) + 1, x, ones):
        expected = x.numpy() @ other.numpy()
        np.testing.assert_allclose((x @ other).numpy(), expected, rtol=1e-6)


def test_factors_that_are_computed_from_each_other() -> None:
    """The transposed x, of which the product is computed, is the other factor, too."""
    x, y = rand(3, 4).realize(), rand(4, 3).realize() - 1
    for _ in range(4):
        np.testing.assert_allclose((x.T @ x).numpy(), x.numpy().T @ x.numpy(), rtol=1e-5)
    for _ in range(4):
        np.testing.assert_allclose((y @ x).numpy(), y.numpy() @ x.numpy(), rtol=1e-5)


@pytest.mark.parametrize("name", OPERATIONS)
def test_inputs_that_are_parts_of_the_operation(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    operation = OPERATIONS[name]
    x = rand(3, 4).realize()
    related = [
        x.T.T,
        x - x.mean(-1, keepdim=True),
        (x * 1.0).exp(),
        x.expand(1, 3, 4)[0],
        x.flip(0),
    ]
    for other in related:
        y = Tensor.cat(other, other[:2])
        for _ in range(3):
            operation(other, y)
    y = rand(5, 4).realize() * 2
    made = operation(x, y)

    def unknown(*_: Any) -> Any:
        raise recall._Unknown

    monkeypatch.setattr(recall, "_note_values", unknown)
    assert structure([operation(x, y)._node])[0] == structure([made._node])[0]


def test_variables_that_are_constant_so_far() -> None:
    """The weight and the bias of a new layer."""
    layer, x = nn.LayerNorm(4), rand(3, 4).realize()
    expected = (x - x.mean(-1, keepdim=True)) / (
        x.var(-1, correction=0, keepdim=True) + 1e-5
    ).sqrt()
    for _ in range(4):
        np.testing.assert_allclose(layer(x).numpy(), expected.numpy(), rtol=1e-5)
    assert any(isinstance(kept, recall._Kept) for kept in recall._templates.values())
    for ones in (Tensor.ones(3, 4), Tensor.zeros(3, 4)):
        for _ in range(4):
            np.testing.assert_array_equal(Tensor.cat(x, ones).numpy()[3:], ones.numpy())


def test_a_constant_of_the_same_shape_that_is_computed_changes_nothing() -> None:
    node = Const(0, lazygrad.float32, (3, 4))
    zeros = Tensor._from_node(node).realize()
    assert node not in realized  # the memory is the tensor's alone: a template may hold the node
    for _ in range(3):
        made = Tensor.cat(Tensor.ones(3, 4), Tensor.full((3, 4), 2.0))
        verify([made._node])
        assert made.numpy().sum() == 36
    assert zeros.numpy().sum() == 0


def test_views_are_read_as_they_are() -> None:
    x = rand(4, 4)
    row = x[1:3]
    before = row.softmax(-1).numpy()
    x[1] = 9.0
    after = row.softmax(-1).numpy()
    assert not np.array_equal(before, after)
    np.testing.assert_allclose(after[0], 0.25)


def test_origins_are_those_of_each_call() -> None:
    x = rand(3, 4)
    x.softmax()
    with config.override(ORIGINS=1):
        made = (x + 1).softmax()
    assert made._node.origins[0].operation == "softmax"


def test_autocast_decides_about_products() -> None:
    x, w = rand(3, 4), rand(5, 4)
    assert x.linear(w).dtype == lazygrad.float32
    with lazygrad.autocast("cpu", dtype=lazygrad.bfloat16):
        assert x.linear(w).dtype == lazygrad.bfloat16
    assert x.linear(w).dtype == lazygrad.float32


def test_draws_differ() -> None:
    x = rand(1, 8, 8)
    with Tensor.train():
        first = x.scaled_dot_product_attention(x + 1, x + 2, dropout_p=0.5).numpy()
        second = x.scaled_dot_product_attention(x + 1, x + 2, dropout_p=0.5).numpy()
    assert not np.array_equal(first, second)


def test_templates_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recall, "MAX_TEMPLATES", 8)
    for n in range(1, 30):
        rand(n).softmax()
    assert len(recall._templates) <= 8


def test_a_template_holds_no_memory() -> None:
    import gc
    import weakref

    x = rand(64)
    node = weakref.ref(x._node)
    x.softmax()
    del x
    gc.collect()
    assert node() is None


def test_parts_of_growing_tensors() -> None:
    for n in range(1, 6):
        x = Tensor(np.arange(2 * n).reshape(2, n))
        a, b = x
        np.testing.assert_array_equal(a.numpy(), np.arange(n))
        np.testing.assert_array_equal(x[..., -1].numpy(), x.numpy()[..., -1])
        np.testing.assert_array_equal(x[None, 1, ::2].numpy(), x.numpy()[None, 1, ::2])
        with pytest.raises(IndexError, match=f"index {n}"):
            x[0, n]
        assert isinstance(b, TensorCore)
    part = x[1, 1:3]
    part += 10
    assert x.numpy()[1].tolist() == [5, 16, 17, 8, 9]


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "LAMB", "Muon"])
def test_optimizers_step_as_without_templates(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def trained() -> list[Any]:
        ws = [rand(3, 4, requires_grad=True), rand(4, 3, requires_grad=True), rand(5, 3)]
        optimizer = getattr(nn.optim, name)(ws[:2], lr=0.01)
        schedule = lazygrad.nn.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)
        for _ in range(6):
            optimizer.zero_grad()
            (ws[2] @ (ws[0] @ ws[1])).square().sum().backward()
            optimizer.step()
            schedule.step()
        return [w.numpy() for w in ws]

    built = trained()
    assert any(isinstance(kept, recall._Kept) for kept in recall._templates.values())

    def unknown(*_: Any) -> Any:
        raise recall._Unknown

    monkeypatch.setattr(recall, "_note_values", unknown)
    for a, b in zip(built, trained(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_steps_of_an_optimizer_are_not_built_to_learn_what_they_overwrite() -> None:
    w = rand(3, 2, requires_grad=True)
    optimizer = nn.optim.Adam([w])
    for n in range(3):
        optimizer.zero_grad()
        (rand(4, 3) @ w).square().sum().backward()
        changed = optimizer.schedule_step()
        node: Any = w._node
        assert type(node) is Detach
        assert type(node.x) in deferred
        assert not any(donate._touches_little(tensor._node) for tensor in changed)
        assert n == 0 or type(node.x) in deferred
        Tensor.realize(*changed)


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_what_a_call_overwrites_is_told_by_the_node_beneath_its_result(name: str) -> None:
    for _ in range(2):
        made = OPERATIONS[name](rand(3, 4), rand(5, 4))
        for result in made if isinstance(made, tuple) else (made,):
            found = donate._touches_little(result._node)
            node = result._node
            while isinstance(node, (Detach, Reshape)):
                node = node.x
            assert found is isinstance(node, Scatter)


# --------------------------------------------------------------------------- backward passes


def test_a_backward_pass_of_the_same_structure_gives_the_same_graph() -> None:
    w = rand(4, 4, requires_grad=True)
    unused = rand(4, requires_grad=True)

    def grads(x: Tensor, seed: Tensor) -> tuple[Any, Any]:
        w.grad = None
        y = ((x @ w).relu().softmax() @ w.T + (unused * 0).detach()).log()
        y.backward(seed)
        assert unused.grad is None
        assert w.grad is not None
        return w.grad._node, w.grad.numpy()

    inputs = [((rand(3, 4) + i).realize(), (rand(3, 4) - i).realize()) for i in range(4)]
    for x, seed in inputs:
        node, values = grads(x, seed)
        kept = recall._backward.copy()
        recall._backward.clear()
        again, expected = grads(x, seed)
        recall._backward.update(kept)
        assert structure([node])[0] == structure([again])[0]
        np.testing.assert_array_equal(values, expected)
    assert any(isinstance(each, recall._Backward) for each in recall._backward.values())


def test_hooks_see_every_backward_pass() -> None:
    w = rand(4, requires_grad=True)
    for _ in range(3):
        (w * w).sum().backward()
    seen: list[Any] = []
    handle = w.register_hook(lambda g: seen.append(g.numpy().tolist()))
    (w * w).sum().backward()
    assert len(seen) == 1
    handle.remove()
    w.grad = None
    (w * w).sum().backward()
    assert w.grad is not None
    np.testing.assert_allclose(w.grad.numpy(), 2 * w.numpy())


def test_hooks_of_other_graphs_change_nothing() -> None:
    other, w = rand(3, requires_grad=True), rand(4, requires_grad=True)
    handle = other.register_hook(lambda g: g * 2)
    for _ in range(3):
        (w * w).sum().backward()
    assert any(isinstance(each, recall._Backward) for each in recall._backward.values())
    (other * 3).sum().backward()
    assert other.grad is not None
    assert other.grad.tolist() == [6.0] * 3
    handle.remove()


def test_derivatives_of_ones_own_are_asked_each_time() -> None:
    factor = [1.0]

    class Scaled(lazygrad.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x * 1

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:
            return g * factor[0]

    w = rand(4, requires_grad=True)
    for factor[0] in (1.0, 2.0, 3.0, 4.0):
        w.grad = None
        Scaled.apply(w).sum().backward()
        assert w.grad is not None
        np.testing.assert_allclose(w.grad.numpy(), factor[0])


def test_pictures_know_the_backward_pass_of_a_template() -> None:
    w = rand(4, requires_grad=True)
    marked = []
    for _ in range(4):
        w.grad = None
        (w.exp() * w).sum().backward()
        assert w.grad is not None
        marked.append(sum(node in cotangents for node in topological([w.grad._node])))
    assert len(set(marked)) == 1
    assert marked[0] > 0


def test_second_derivatives() -> None:
    x = rand(4, requires_grad=True)
    for _ in range(4):
        x.grad = None
        (x**3).sum().backward(create_graph=True)
        first, x.grad = x.grad, None
        assert first is not None
        first.sum().backward()
        assert x.grad is not None
        np.testing.assert_allclose(x.grad.numpy(), 6 * x.numpy(), rtol=1e-5)


def test_threads_share_templates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recall, "MAX_TEMPLATES", 3)
    monkeypatch.setattr(recall, "MAX_BACKWARD", 2)

    def work(seed: int) -> None:
        for i in range(40):
            n = 2 + (seed + i) % 5
            w = rand(n, requires_grad=True)
            (w.softmax() * w.gelu()).sum().backward()
            assert w.grad is not None
            assert w.grad.shape == (n,)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert len(recall._templates) <= 3 + 4

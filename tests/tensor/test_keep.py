"""What is kept of values that live on, counted in operations: nothing is computed in every step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

import numpy as np
import pytest

import lazygrad
from lazygrad import Tensor, config, nn
from lazygrad.errors import OutOfMemoryError
from lazygrad.graph.ir import Buffer
from lazygrad.runtime import counters
from lazygrad.tensor import keep
from lazygrad.tensor import realize as realization
from lazygrad.utils.data import DataLoader, TensorDataset

ROWS = 2000
VALUES = np.random.default_rng(0).standard_normal((ROWS, 16)).astype(np.float32)
NORMAL = (VALUES - VALUES.mean(0)) / VALUES.std(0, ddof=1)


@pytest.fixture
def computed() -> None:
    """The compiler itself, in place of the oracle that the other files of this folder use."""


@pytest.fixture(autouse=True)
def _counting() -> Iterator[None]:
    realization.mine.live.clear()  # what other tests hold is theirs
    counters.reset()
    yield
    counters.runs = None


def operations(step: Callable[[int], Any], times: int = 5) -> list[int]:
    """The arithmetic operations of each step."""
    found = []
    for i in range(times):
        counters.reset()
        step(i)
        found.append(counters.total().operations)
    return found


def normalized() -> Tensor:
    x = Tensor(VALUES)
    return (x - x.mean(0)) / x.std(0)


def sliced(x: Tensor, i: int) -> Tensor:
    return x[8 * i : 8 * i + 8]


def gathered(x: Tensor, i: int) -> Tensor:
    return x[Tensor(np.arange(8) + 8 * i)]


@pytest.mark.parametrize("part", [sliced, gathered])
def test_a_data_set_is_normalized_once(part: Callable[[Tensor, int], Tensor]) -> None:
    x = normalized()

    def step(i: int) -> None:
        np.testing.assert_allclose(part(x, i).numpy(), NORMAL[8 * i : 8 * i + 8], atol=1e-5)

    first, *rest = operations(step)
    assert first > 2 * VALUES.size
    assert max(rest) < VALUES.size / 8  # only what the batch reads
    assert not x.is_realized  # the mean and the deviation are


@pytest.mark.parametrize("captured", [False, True])
def test_training_on_a_data_set_that_was_normalized(captured: bool) -> None:
    def train(is_realized: bool) -> tuple[list[int], list[float]]:
        lazygrad.manual_seed(0)
        x, y = normalized(), Tensor(VALUES[:, :1]).square()
        if is_realized:
            Tensor.realize(x, y)
        model = nn.Linear(16, 1)
        optimizer = nn.optim.SGD(model.parameters(), lr=0.1)
        losses = []

        def learn(rows: Tensor) -> Tensor:
            optimizer.zero_grad()
            loss = (model(x[rows]) - y[rows]).square().mean()
            loss.backward()
            optimizer.step()
            return loss

        learn = lazygrad.jit(learn) if captured else learn
        work = operations(lambda i: losses.append(learn(Tensor(np.arange(8) + 8 * i)).item()))
        return work, losses

    lazy, losses = train(False)
    plain, wanted = train(True)
    np.testing.assert_allclose(losses, wanted, rtol=1e-4)
    assert max(lazy[1:]) < max(plain[1:]) + VALUES.size / 8


def test_a_captured_function_is_given_a_value_that_is_not_computed() -> None:
    x = normalized()
    mean = lazygrad.jit(lambda x, i: x[i].mean())
    first, *rest = operations(lambda i: mean(x, Tensor([i, i + 1])).item())
    assert first > VALUES.size > 100 * max(rest)


def test_a_loader_computes_a_data_set_once() -> None:
    x = normalized()
    loader = DataLoader(TensorDataset(x, Tensor(np.arange(ROWS))), batch_size=8)
    batches = iter(loader)

    def step(i: int) -> None:
        rows, places = next(batches)
        assert places.tolist() == list(range(8 * i, 8 * i + 8))
        np.testing.assert_allclose(rows.numpy(), NORMAL[8 * i : 8 * i + 8], atol=1e-5)

    first, *rest = operations(step)
    assert first > VALUES.size
    assert max(rest) == 0
    assert x.is_realized


@pytest.mark.parametrize("part", [sliced, gathered])
@pytest.mark.parametrize(
    "made",
    [lambda x: x.cumsum(0), lambda x: x.softmax(1), lambda x: nn.functional.avg_pool1d(x, 3, 1)],
)
def test_what_each_step_computes_again_is_kept(
    made: Callable[[Tensor], Tensor], part: Callable[[Tensor, int], Tensor]
) -> None:
    x = made(Tensor(VALUES))
    work = operations(lambda i: part(x, i).exp().sum().item(), 8)
    assert x.is_realized
    assert work[0] > VALUES.size
    assert max(work[4:]) < VALUES.size / 8


@pytest.mark.parametrize(
    "made",
    [
        lambda: Tensor.arange(4_000_000).reshape(2000, 2000),
        lambda: Tensor.ones(2000, 2000).tril(),
        lambda: Tensor([[2.0]]).expand(2000, 2000),
        lambda: Tensor.full((2000, 2000), 3.0) * Tensor(np.ones(2000, np.float32)),
    ],
)
def test_what_is_cheap_to_compute_is_never_kept(made: Callable[[], Tensor]) -> None:
    x, w = made(), Tensor(np.ones((8, 2000), np.float32))
    for i in range(12):
        (sliced(x, i) * w).sum().item()
        (x[:1000] * 2).sum().item()
    assert not x.is_realized


def test_what_is_kept_goes_with_what_it_was_kept_for() -> None:
    x = normalized()
    sliced(x, 0).numpy()
    kept = list(realization.realized)
    assert any(node.name == "reduce" for node in kept)
    del x, kept
    assert not any(node.name == "reduce" and node.shape == (16,) for node in realization.realized)


def test_a_value_whose_detached_view_is_read_is_computed() -> None:
    x = Tensor(VALUES) * 2
    work = operations(lambda _: x.detach().numpy(), 2)
    assert work == [VALUES.size, 0]
    assert x.is_realized


def test_without_the_memory_to_keep_a_value_it_is_computed_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compute = realization._compute

    def limited(nodes: Any, *rest: Any) -> None:
        if sum(node.nbytes for node in nodes) > VALUES.nbytes / 2:
            raise OutOfMemoryError("too much")
        compute(nodes, *rest)

    monkeypatch.setattr(realization, "_compute", limited)
    x = Tensor(VALUES) @ Tensor(np.eye(16, dtype=np.float32)) @ Tensor(np.eye(16, dtype=np.float32))
    for i in range(3):
        np.testing.assert_allclose(sliced(x, i).numpy(), VALUES[8 * i : 8 * i + 8], rtol=1e-6)
    assert not x.is_realized


def test_threads_choose_each_for_itself(switching: Callable[..., None]) -> None:
    """What one thread has made, passed and differentiated is no other one's to look at."""
    w = np.linspace(-1, 1, 16, dtype=np.float32).reshape(16, 1)

    def work(k: int) -> None:
        x, weight = Tensor(VALUES), Tensor(w, requires_grad=True)
        for i in range(12):
            passed = [x + float(k + n) for n in range(40)]  # each is held, and not kept
            total = sum(sliced(each, i) for each in passed)
            rows = VALUES[8 * i : 8 * i + 8]
            wanted = 40 * rows + sum(range(k, k + 40))
            np.testing.assert_allclose(total.numpy(), wanted, rtol=1e-4)
            weight.grad = None
            hidden = Tensor(rows) @ weight
            (hidden * hidden).sum().backward()
            assert weight.grad is not None
            slope = 2 * rows.T @ (rows @ w)
            np.testing.assert_allclose(weight.grad.numpy(), slope, rtol=1e-3, atol=1e-3)

    switching(work, 4)


def test_what_one_thread_made_is_kept_by_another() -> None:
    """Workers that read parts of it do not compute it for each part; its tensor stays as it is."""
    x = Tensor(VALUES) @ Tensor(np.eye(16, dtype=np.float32))
    before = x.node

    def step(i: int) -> None:
        with ThreadPoolExecutor(1) as worker:
            values = worker.submit(lambda: sliced(x, i).numpy()).result()
        np.testing.assert_allclose(values, VALUES[8 * i : 8 * i + 8], rtol=1e-6)

    work = operations(step, 8)
    assert work[0] > 1000
    assert work[-1] == 0
    assert x.node is before
    assert operations(lambda _: x.numpy(), 1) == [0]


def test_what_is_kept_at_one_size_is_kept_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop whose cache grows compiles for its first sizes, not where a cost passes a limit."""
    compiler, compiled = import_module("lazygrad.compile"), []
    whole = compiler.compile_graph
    counted = lambda *a: (compiled.append(1), whole(*a))[1]  # noqa: E731
    monkeypatch.setattr(compiler, "compile_graph", counted)
    w = Tensor(np.random.default_rng(0).random((512, 24), np.float32)).realize()
    cache = None
    for i in range(60):
        x = Tensor(np.full((1, 512), i, np.float32))
        cache = x @ w if cache is None else Tensor.cat(cache, x @ w)
        (cache * 2).sum().item()
    assert len(compiled) <= 3


def test_it_is_told_what_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    keep._choices.clear()  # of a graph that was met it is told no more
    with config.override(DEBUG=1):
        x = normalized()
        sliced(x, 0).numpy()
        sliced(x, 0).numpy()
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("kept")]
    assert len(told) == 1  # once, and both
    assert "and 1 other, 128 B  test_keep.py" in told[0]
    with config.override(ORIGINS=1):
        x = normalized()
    explanation = lazygrad.explain(lambda: sliced(x, 1).exp())
    assert "keeps 2 values for later computations, 128 B" in str(explanation)
    text = explanation.details()
    assert "x.mean(0)" in text.partition("kept for later computations")[2]


def test_what_one_line_keeps_is_told_together(capsys):
    model = nn.Sequential(nn.Linear(8, 64), nn.Tanh(), nn.Linear(64, 64))
    with config.override(DEBUG=1):
        model(Tensor.ones(4, 8)).square().sum().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0).item()
    lines = [line for line in capsys.readouterr().err.splitlines() if "kept for later" in line]
    assert len(lines) == 2  # those of the two layers, whose parameters have four gradients
    assert sum("and 2 others, 17.7 kB" in line for line in lines) == 1


def normal_rows(random: np.random.Generator, n: int) -> Tensor:
    leaf = lambda *shape: Tensor(random.standard_normal(shape).astype(np.float32))  # noqa: E731
    x = leaf(5, n) @ leaf(n, n)
    x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True) + 1e-5).sqrt()
    return x * leaf(n) + leaf(n)


def test_an_extreme_is_found_in_what_it_was_chosen_from() -> None:
    """Though that is computed in other kernels: for a size, and for any size."""
    for seed in range(3):
        for n in (3, 5, 8, 17, 33, 64):
            x = normal_rows(np.random.default_rng(100 * seed + n), n)
            most = x.max(-1, keepdim=True)[0]
            most.numpy()
            if seed == 0:
                found = x == most
            elif seed == 1:
                found = x * 3 + 1 == most * 3 + 1
            else:
                found = (x - most).max(-1, keepdim=True)[0] == 0
            assert found.numpy().any(-1).all()


@pytest.mark.parametrize(
    "chosen",
    [
        Tensor.max,
        Tensor.argmin,
        lambda x: x.max(0)[0],
        lambda x: x.abs().min(),
        lambda x: -x.T.half().max(),
        lambda x: x.topk(2)[0],
        lambda x: x.argsort(),
        lambda x: x.median(0)[0],
        lambda x: x.reshape(-1).argmax(),
    ],
)
def test_the_sums_in_what_an_extreme_is_chosen_from_are_kept_with_it(chosen: Any) -> None:
    a, w = Tensor(VALUES[:8, :4]).realize(), Tensor(VALUES[:4, :8]).realize()
    x = (a @ w).relu() + 1
    found = chosen(x)
    found.numpy()
    counted = operations(lambda _: x.numpy(), 1)
    assert counted[0] <= 2 * x.numel()  # no product


@pytest.mark.parametrize(
    "made",
    [
        lambda x: x.sum(0),
        lambda x: x.exp(),
        lambda x: (x > 0).any(),
        lambda x: x.max() > 0,
        lambda x: x.softmax(-1),
        lambda x: x.logsumexp(0),
        lambda x: x - x.max(0)[0],
    ],
)
def test_what_values_are_computed_from_is_not_kept(made: Callable[[Tensor], Tensor]) -> None:
    x = Tensor(VALUES[:8, :4]).realize() @ Tensor(VALUES[:4, :8]).realize()
    made(x).numpy()
    assert not isinstance(x._node, Buffer)

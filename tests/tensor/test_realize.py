"""What is computed along with what is asked for, counted: compilations, kernels, arithmetic."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from threading import Thread
from threading import enumerate as enumerate_threads
from typing import Any
from weakref import ref

import numpy as np
import pytest

from lazygrad import Tensor, nn, no_grad
from lazygrad.graph.ir import Node
from lazygrad.runtime.execute import Plan
from lazygrad.tensor import realize as realization


@dataclass
class Counts:
    """What was compiled and run since the last `take`."""

    compiled: int = 0
    kernels: int = 0
    flops: int = 0

    def take(self) -> Counts:
        taken = Counts(self.compiled, self.kernels, self.flops)
        self.compiled = self.kernels = self.flops = 0
        return taken


@pytest.fixture
def computed() -> None:
    """The compiler itself, in place of the oracle that the other files of this folder use."""


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counts]:
    """Counts what is compiled and run."""
    compiler, counted = import_module("lazygrad.compile"), Counts()
    compile_graph, run_plan = compiler.compile_graph, Plan.run

    def compiling(*args: Any) -> Plan:
        counted.compiled += 1
        return compile_graph(*args)

    def running(plan: Plan, memories: list[Any], *rest: Any) -> list[Any]:
        for run in plan.programs():
            counted.kernels += len(run.launches)
            counted.flops += sum(launch.function.flops for launch in run.launches)
        return run_plan(plan, memories, *rest)

    monkeypatch.setattr(compiler, "compile_graph", compiling)
    monkeypatch.setattr(Plan, "run", running)
    realization.mine.live.clear()  # what other tests hold is theirs
    realization.mine.differentiated.clear()
    return counted


def floats(*shape: int) -> Tensor:
    return Tensor(np.random.default_rng(len(shape)).random(shape, np.float32))


def network(*sizes: int) -> list[Callable[[Tensor], Tensor]]:
    """Linear layers with ReLU between them, their weights computed."""
    layers: list[Any] = []
    for n, m in pairwise(sizes):
        layers += [nn.Linear(n, m), Tensor.relu]
    Tensor.realize(*nn.state.get_parameters(layers))
    return layers[:-1]


# --------------------------------------------------------------------------- losses


@pytest.mark.parametrize(
    "order",
    ["backward step", "backward step loss", "backward step accuracy loss", "loss backward step",
     "backward loss step", "accuracy backward step loss", "loss accuracy backward step"],
)  # fmt: skip
@pytest.mark.parametrize("holds_logits", [True, False])
def test_a_forward_pass_is_computed_once_in_any_order(
    counts: Counts, order: str, holds_logits: bool
) -> None:
    layers = network(64, 128, 10)
    optimizer = nn.optim.SGD(nn.state.get_parameters(layers), lr=0.1)
    x, y = floats(32, 64), Tensor(np.arange(32) % 10)
    forward = 2 * 32 * 128 * (64 + 10)  # operations of the matrix products
    backward = 2 * 32 * 128 * (64 + 10) + 2 * 32 * 10 * 128
    for step in range(3):
        optimizer.zero_grad()
        logits = x.sequential(layers)
        loss, accuracy = logits.cross_entropy(y), (logits.argmax(1) == y).sum()
        if not holds_logits:
            del logits
        counts.take()
        for action in order.split():
            if action == "backward":
                loss.backward()
            elif action == "step":
                optimizer.step()
            else:
                (loss if action == "loss" else accuracy).item()
        taken = counts.take()
        assert forward + backward <= taken.flops < 1.12 * (forward + backward)
        assert taken.compiled == 0 or step == 0 or (step == 1 and not holds_logits)


def test_losses_that_share_a_trunk_share_its_computation(counts: Counts) -> None:
    trunk, left, right = network(64, 256), network(256, 4), network(256, 4)
    product = 2 * 32 * 64 * 256

    def losses() -> tuple[Tensor, Tensor]:
        h = floats(32, 64).sequential(trunk).relu()
        return h.sequential(left).square().mean(), h.sequential(right).abs().mean()

    for first in (0, 1):
        pair = losses()
        counts.take()
        pair[first].item()
        pair[1 - first].item()
        assert product <= counts.take().flops < 1.3 * product
    one, other = losses()
    counts.take()
    (one + other).backward()
    one.item()
    weights = nn.state.get_parameters([trunk, left, right])
    Tensor.realize(*(w.grad for w in weights if w.grad is not None))
    other.item()
    assert 2 * product <= counts.take().flops < 2 * 1.3 * product


def test_a_gradient_is_the_same_whether_the_loss_was_asked_for_or_not() -> None:
    layers = network(20, 30, 10)
    weights = nn.state.get_parameters(layers)
    x, y = floats(16, 20), Tensor(np.arange(16) % 10)
    found = []
    for asks in (False, True):
        for weight in weights:
            weight.grad = None
        loss = x.sequential(layers).cross_entropy(y)
        if asks:
            loss.item()
        loss.backward()
        found.append([w.grad.numpy() for w in weights if w.grad is not None])
    for plain, asked in zip(*found, strict=True):
        np.testing.assert_allclose(plain, asked, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("kept", ["detached before", "detached after", "no_grad", "as it is"])
@pytest.mark.parametrize("asks", [True, False])
def test_losses_that_are_kept_keep_no_weights(kept: str, asks: bool) -> None:
    layers = network(16, 32, 4)
    weights = nn.state.get_parameters(layers)
    optimizer = nn.optim.Adam(weights, lr=0.1)
    x, y = floats(8, 16), Tensor(np.arange(8) % 4)
    losses, storages = [], []
    asks = asks or kept == "no_grad"  # another forward pass: nothing computes it unasked
    for _ in range(5):
        optimizer.zero_grad()
        loss = x.sequential(layers).cross_entropy(y)
        if kept == "detached before":
            losses.append(loss.detach())
        if kept == "no_grad":
            with Tensor.no_grad():
                losses.append(x.sequential(layers).cross_entropy(y))
        loss.backward()
        optimizer.step()
        if kept == "detached after":
            losses.append(loss.detach())
        if kept == "as it is":
            losses.append(loss)
        if asks:
            losses[-1].item()
        storages += [ref(weight.storage) for weight in weights]
    optimizer.zero_grad()
    del loss
    gc.collect()
    alive = sum(storage() is not None for storage in storages)
    assert alive == len(weights)  # those of the last step
    assert losses[0].item() > losses[-1].item() > 0


def test_a_second_backward_pass_needs_the_graph() -> None:
    w = Tensor([1.0, 2.0], requires_grad=True).realize()
    loss = (w * w).sum()
    loss.backward()
    Tensor.realize(loss, w.grad)
    for again in (loss, loss * 2):
        assert again.requires_grad
        assert not again.is_leaf
        with pytest.raises(RuntimeError, match="retain_graph=True"):
            again.backward()
    loss = (w * w).sum()
    loss.backward(retain_graph=True)
    Tensor.realize(loss, w.grad)
    (loss * 2).backward()
    assert w.grad is not None
    assert w.grad.tolist() == [8.0, 16.0]


# --------------------------------------------------------------------------- state


def counted(counts: Counts, step: Callable[[int], Any], times: int = 12) -> list[Counts]:
    """What each step of a loop compiles and runs."""
    found = []
    counts.take()
    for i in range(times):
        step(i)
        found.append(counts.take())
    return found


def assert_flat(steps: list[Counts], period: int = 1) -> None:
    """From the fifth step on nothing is compiled, and each does what one a period before did."""
    assert sum(step.compiled for step in steps[4:]) == 0
    for before, step in zip(steps[4:], steps[4 + period :], strict=False):
        assert step == before


def _fill(x: Tensor, i: int) -> None:
    x[i] = x.shape[1] * i


def _fill_column(x: Tensor, i: int) -> None:
    x[:, i] = i + 1


def _fill_rows(x: Tensor, i: int) -> None:
    x[i : i + 2, 3:5] = i


def _fill_view(x: Tensor, i: int) -> None:
    x[i][2] = i


def _fill_at(x: Tensor, i: int) -> None:
    x[Tensor([i, i + 1])] = float(i)


def _add(x: Tensor, i: int) -> None:
    x += i


def _scale_rows(x: Tensor, i: int) -> None:
    x[i] *= 0.5 + i


def _decay(x: Tensor, i: int) -> None:
    x.assign(x * 0.9 + 0.1)


def _fill_through_transpose(x: Tensor, i: int) -> None:
    x.T[2:5, i].fill_(i)


def _fill_and_reshape(x: Tensor, i: int) -> None:
    x[2 * i : 2 * i + 2, 4:8].view(4, 2).copy_(Tensor([[1.0], [2.0], [3.0], [4.0]]) * i)


@pytest.mark.parametrize(
    "write",
    [_fill, _fill_column, _fill_rows, _fill_view, _fill_at, _add, _scale_rows, _decay,
     _fill_through_transpose, _fill_and_reshape],
)  # fmt: skip
@pytest.mark.parametrize("reads", ["another sum", "itself"])
def test_each_step_of_a_loop_that_writes_does_constant_work(
    counts: Counts, write: Callable[[Tensor, int], None], reads: str
) -> None:
    start = np.random.default_rng(0).random((64, 32), np.float32)
    x, mirror = Tensor(start).clone().realize(), Tensor(start).clone()

    def step(i: int) -> None:
        write(x, i + 3)
        if reads == "itself":
            x.realize()
        else:
            (x * 2).sum().item()

    assert_flat(counted(counts, step))
    for i in range(12):  # the same without a realization in between
        write(mirror, i + 3)
    np.testing.assert_allclose(x.numpy(), mirror.numpy(), rtol=1e-6)


def test_a_recurrent_state_is_computed_once_a_step(counts: Counts) -> None:
    cell, head = nn.GRU(16, 32), nn.Linear(32, 16)
    table = nn.Embedding(16, 16)
    token, h = Tensor([[3]]), None
    graphs = []

    def step(i: int) -> None:
        nonlocal token, h
        y, h = cell(table(token), h)
        token = head(y)[:, -1].softmax(-1).multinomial(1)
        token.item()
        h.realize()  # is there already: what has to be computed is none of it
        graphs.append(size_to_compute(y))

    steps = counted(counts, step)
    assert_flat(steps)
    assert set(graphs[2:]) == {graphs[-1]}


def size_to_compute(tensor: Tensor) -> int:
    """How many nodes a tensor still needs that are not computed."""
    from lazygrad.graph.ir import Buffer, topological
    from lazygrad.runtime.buffer import realized

    def inputs(node: Any) -> Any:
        return () if isinstance(node, Buffer) or node in realized else node.inputs

    return len(topological([tensor.node], inputs))


@pytest.mark.parametrize("step", ["product", "elementwise", "cache"])
def test_values_carried_from_step_to_step_grow_no_chain(counts: Counts, step: str) -> None:
    w = floats(24, 24).realize()
    h = floats(4, 24)
    cache = Tensor.zeros(40, 24).contiguous().realize()
    sizes = []

    def advance(i: int) -> None:
        nonlocal h
        if step == "product":
            h = (h @ w).tanh()
        elif step == "elementwise":
            h = h * 0.9 + 0.1
        else:
            cache[i : i + 1] = h[:1]
            h = h * 0.5 + (cache * 0.25).sum(axis=0)
        (h * 2).sum().item()
        sizes.append(size_to_compute(h))

    steps = counted(counts, advance, 16)
    assert_flat(steps, period=1 if step == "product" else 2)  # cheap ones: every second is kept
    assert max(sizes) <= 12


def test_cheap_values_that_locals_hold_are_not_stored(counts: Counts) -> None:
    x = floats(64, 64).realize()
    a = x * 2
    b = a + 1
    c = b.relu()
    total = c.sum()
    total.item()
    assert not a.is_realized
    assert not b.is_realized
    assert not c.is_realized
    dear = x @ x
    (dear + 1).sum().item()
    assert dear.is_realized


def test_a_value_computed_along_is_no_longer_an_expression(counts: Counts) -> None:
    x = floats(64, 64).realize()
    h = x @ x
    shifted = h + 1
    counts.take()
    shifted.sum().item()
    assert size_to_compute(h) == 1
    counts.take()
    h.sum().item()
    assert counts.take().flops < 64 * 64 * 64


def test_the_same_writes_without_reads_are_one_computation(counts: Counts) -> None:
    x, v = Tensor.zeros(30, 4).contiguous().realize(), floats(30, 4)
    counts.take()
    for i in range(30):
        x[i] = v[i] * 2
    assert counts.take() == Counts()
    np.testing.assert_array_equal(x.numpy(), v.numpy() * 2)
    assert counts.take().compiled == 1


def test_many_writes_to_a_lazy_tensor_are_written_at_once_in_the_end(
    counts: Counts, size: Callable[[Node], int]
) -> None:
    x = Tensor.zeros(300).contiguous()
    largest = 0
    for i in range(300):
        x[i] = float(i)
        largest = max(largest, size(x._own))
    assert largest < 32 * 12  # some ten nodes a write, and no more than 32 writes at one time
    assert x.tolist() == list(range(300))
    assert counts.take().compiled <= 8


@pytest.mark.parametrize("way", ["metric", "count", "buffer", "average"])
def test_what_was_written_of_the_batch_before_is_no_part_of_a_step(
    way: str, counts: Counts
) -> None:
    """Else each pair of sizes would be a program."""

    def trained(reads: bool) -> np.ndarray[Any, Any]:
        rng = np.random.default_rng(0)
        model = nn.Linear(6, 3)
        model.weight.assign(Tensor(rng.random((3, 6), np.float32))).realize()
        model.bias.assign(Tensor.zeros(3)).realize()
        optimizer = nn.optim.SGD(model.parameters(), lr=0.01)
        kept = Tensor.zeros(64, 3).contiguous().realize()
        for step, n in enumerate(map(int, rng.permutation(np.arange(2, 50)))):
            if step == 12:
                counts.take()
            x = Tensor(rng.random((n, 6), np.float32))
            y = model(x)
            optimizer.zero_grad()
            (y * y).mean().backward()
            optimizer.step()
            if way == "buffer":
                kept[:n] = y.detach()
            elif way == "average":
                kept.mul_(0.5).add_(y.detach().mean(0))
            else:
                kept += y.detach().sum() if way == "metric" else (x > 0.5).sum()
            if reads:
                kept.realize()
        return kept.numpy()

    expected = trained(reads=True)
    found = trained(reads=False)
    assert counts.take().compiled <= 6  # in the last 36 steps
    np.testing.assert_allclose(found, expected, rtol=1e-5)


# --------------------------------------------------------------------------- memory


def address(x: Tensor) -> int:
    """Which memory holds the values."""
    return id(x.storage.memory)


def written(at: str, x: Tensor, value: float) -> None:
    """One of the ways to write to a row."""
    if at == "int":
        x[3] = value
    elif at == "slice":
        x[3:4] = value
    elif at == "tensor":
        x[Tensor([3])] = value
    elif at == "view":
        x[3].mul_(0).add_(value)
    elif at == "view of a view":
        x[2:4][1] += value - x[3:4][0]
    elif at == "added rows":
        x.index_add_(0, Tensor([3]), value - x[3:4])
    else:
        x[np.array([3])] = value


ROWS = ["int", "slice", "tensor", "array", "view", "view of a view", "added rows"]


@pytest.mark.parametrize("at", ROWS)
@pytest.mark.usefixtures("own_plans")
def test_a_row_is_written_where_it_lies_if_nobody_else_sees_it(counts: Counts, at: str) -> None:
    x = Tensor.zeros(64, 16).contiguous().realize()
    places = set()
    for i in range(4):
        written(at, x, i)
        x.realize()
        places.add(address(x))
        assert x[3].tolist() == [i] * 16
        assert x.sum().item() == 16 * i
    assert len(places) == 1
    written(at, x, 7)  # several writes before they are computed, too
    written(at, x, 8)
    assert x[3, 0].item() == 8
    assert address(x) in places


def test_rows_of_tables_of_two_sizes_are_written_where_they_lie() -> None:
    """A plan for both sizes would copy the table, for each row."""
    for rows in (20_000, 30_000, 20_000, 30_000):
        x = Tensor.zeros(rows, 16).contiguous().realize()
        place = address(x)
        for n in range(3):
            x[3] = n
            x.realize()
            assert address(x) == place


@pytest.mark.parametrize("at", ROWS)
@pytest.mark.parametrize(
    "holder", ["numpy", "expression", "clone", "view", "detached", "storage", "shared", "value"]
)
@pytest.mark.parametrize("is_late", [False, True])
def test_memory_that_others_see_never_changes(at: str, holder: str, is_late: bool) -> None:
    given = np.ones((64, 16), np.float32)
    x = Tensor(given) if holder == "shared" else Tensor.ones(64, 16).contiguous().realize()
    if is_late:  # held after a first write that is not computed yet
        written(at, x, 1.0)
    held: Any = None
    if holder == "numpy":
        held = x.numpy()
    elif holder == "expression":
        held = x * 1
    elif holder == "clone":
        held = x.clone()
    elif holder == "view":
        held = x[3:5] * 1
    elif holder == "detached":
        held = x.detach().clone()
    elif holder == "storage":
        held = x.realize().storage
    if holder == "value":
        x[3] = x[5] + x[3] + x.sum() * 0
        x.realize()
        assert x[3].tolist() == [2.0] * 16
        return
    written(at, x, 9.0)
    x.realize()
    assert x[3].tolist() == [9.0] * 16
    if holder == "storage":
        held = held.numpy()
    if holder == "shared":
        held = given
    values = held if isinstance(held, np.ndarray) else held.numpy()
    assert values.max() == values.min() == 1.0


def test_a_view_writes_where_its_base_lies() -> None:
    x = Tensor.zeros(64, 16).contiguous().realize()
    row = x[3]
    for _ in range(4):
        row += 1
        x.realize()
    place = address(x)
    row *= 3
    assert x.sum().item() == 12 * 16
    assert address(x) == place
    assert row.tolist() == [12.0] * 16


def test_a_row_of_a_parameter_is_written_where_it_lies() -> None:
    weight = Tensor.ones(64, 16).contiguous().requires_grad_().realize()
    places = set()
    for _ in range(3):
        with no_grad():
            weight[3] *= 2
        places.add(address(weight.realize()))
    assert len(places) == 1
    loss = (weight * weight).sum()
    with no_grad():
        weight[3] = 0
    weight.realize()
    loss.backward()  # of the value that the loss was computed with
    assert weight.grad is not None
    assert weight.grad[3, 0].item() == 16.0


def test_equal_writes_are_computed_again() -> None:
    x = Tensor.zeros(8, 4).contiguous().realize()
    place, one, two = Tensor([3]), Tensor.full((1, 4), 1.0).realize(), Tensor([2.0]).realize()
    kept = []
    for value in (one, two, one, two, one):
        x[place] = value
        kept.append(x * 1)  # an expression of each value, computed later
        x.realize()
        assert x[3, 0].item() == value.numpy().flat[0]
    assert [y[3, 0].item() for y in kept] == [1, 2, 1, 2, 1]


def test_a_failed_computation_leaves_a_written_tensor_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = Tensor.zeros(8, 4).contiguous().realize()
    x[2] = 5.0
    run = Plan.run

    def failing(plan: Plan, memories: list[Any], *_: Any) -> list[Any]:
        raise MemoryError

    monkeypatch.setattr(Plan, "run", failing)
    with pytest.raises(MemoryError):
        x.realize()
    monkeypatch.setattr(Plan, "run", run)
    assert x[2].tolist() == [5.0] * 4
    assert x.sum().item() == 20.0


# --------------------------------------------------------------------------- long runs


def training() -> Callable[[int], Any]:
    """A step of training that keeps its loss and reads its accuracy."""
    layers = network(16, 32, 4)
    optimizer = nn.optim.SGD(nn.state.get_parameters(layers), lr=0.01)
    x, y = floats(8, 16), Tensor(np.arange(8) % 4)
    losses: list[Tensor] = []

    def step(i: int) -> None:
        optimizer.zero_grad()
        logits = x.sequential(layers)
        losses.append(logits.cross_entropy(y).backward())
        optimizer.step()
        (logits.argmax(1) == y).sum().item()

    return step


def replay() -> Callable[[int], Any]:
    """A step of writing to a buffer and reading a batch from it."""
    memory, running = Tensor.zeros(32, 4).contiguous().realize(), Tensor.zeros(4).realize()

    def step(i: int) -> None:
        nonlocal running
        memory[i % 32] = running + 1
        batch = memory[Tensor([i % 7, i % 5, i % 3])]
        running.assign(running * 0.9 + batch.mean(0) * 0.1)
        (batch.sum() + 1).item()

    return step


def recurrence() -> Callable[[int], Any]:
    """A step of a recurrence without gradient."""
    cell, h = nn.GRUCell(8, 8), Tensor.zeros(1, 8)
    x = floats(1, 8)

    def step(i: int) -> None:
        nonlocal h
        with Tensor.no_grad():
            h = cell(x, h)
            h.argmax().item()

    return step


@pytest.mark.parametrize("loop", [training, replay, recurrence])
def test_hundreds_of_steps_do_the_same_and_leave_nothing(
    counts: Counts, loop: Callable[[], Callable[[int], Any]]
) -> None:
    from lazygrad.interned import interned

    step = loop()
    alive = []
    steps = []
    for i in range(300):
        steps += counted(counts, lambda _, i=i: step(i), 1)  # type: ignore[misc]
        if i % 50 == 49:
            gc.collect()
            alive.append(len(interned))
    assert_flat(steps)
    kept = 2 if loop is training else 0  # nodes of a loss that is kept
    assert all(b - a <= 50 * kept + 5 for a, b in pairwise(alive[1:]))
    assert len(realization.mine.older) + len(realization.mine.differentiated) < 50


@pytest.mark.parametrize("read", [lambda x: x.view(4, 4), lambda x: x.view(-1)])
def test_a_view_of_a_value_that_took_over_memory_is_read_first(read: Callable[[Tensor], Tensor]):
    x = (Tensor.zeros(16) + 1).realize()
    x[0] = 5.0
    view = read(x)
    assert view.numpy().reshape(-1).tolist() == [5.0, *[1.0] * 15]
    assert (view + 1).sum().item() == 36.0
    assert x.numpy().tolist() == [5.0, *[1.0] * 15]


def test_threads_do_not_compute_what_others_are_writing():
    failures: list[BaseException] = []

    def work(k: int) -> None:
        try:
            x = (Tensor.zeros(16, 4) + k).realize()
            for i in range(60):
                x[i % 16] = float(i)
                x.numpy()
            assert x.numpy()[:, 0].tolist() == [float(i) for i in [*range(48, 60), *range(44, 48)]]
        except BaseException as error:
            failures.append(error)

    threads = [Thread(target=work, args=(k,)) for k in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_tensors_that_are_gone_wait_for_nothing():
    for _ in range(50):
        Tensor.zeros(3).assign(Tensor.ones(3) * 2)
    (Tensor.ones(2) + 1).realize()
    assert all(reference() is not None for reference, _ in realization.written.values())


def test_a_thread_that_has_ended_is_forgotten() -> None:
    x = Tensor([1.0, 2.0]).realize()
    thread = Thread(target=lambda: (x * 2).numpy())
    thread.start()
    thread.join()
    assert len(realization._threads) > 1
    (x + 1).numpy()
    assert set(realization._threads) <= {each.ident for each in enumerate_threads()}

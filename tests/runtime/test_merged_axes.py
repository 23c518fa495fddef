"""Batches of sentences whose length varies, with batch and length merged into one axis."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
import pytest

import lazygrad
from lazygrad import Tensor, config, nn, optim
from lazygrad.dtypes import float32, int64
from lazygrad.expr import Array, Literal, Load, Op, Var
from lazygrad.index import add, less, mod, mul
from lazygrad.loops.ir import Accumulate, Alloc, For, Function, Store, show
from lazygrad.loops.plans import replay, schedule
from lazygrad.nn import functional as F
from lazygrad.runtime.device import Device
from lazygrad.stages import Stages

from .programs import Random, normal

pytestmark = pytest.mark.usefixtures("compiled")

LENGTHS = (5, 9, 7, 12, 2, 33, 127, 128, 5)
WEIGHT = np.random.default_rng(0).standard_normal((6, 5)).astype(np.float32)

Program = Callable[[int, Random], Sequence[Tensor]]
PROGRAMS: dict[str, Program] = {}


def program(function: Program) -> Program:
    """A program of batches of a length."""
    PROGRAMS[function.__name__] = function
    return function


@program
def elements(n, r):
    rows = normal(r, 3, n, 6).reshape(-1, 6)
    return rows.exp(), rows * rows[0], (rows > 0).where(rows, rows.max())


@program
def products(n, r):
    rows = normal(r, 3, n, 6).reshape(-1, 6)
    return rows @ Tensor(WEIGHT), rows.T @ rows, (rows.T @ rows.exp()).relu()


@program
def reductions(n, r):
    rows = normal(r, 3, n, 6).reshape(-1, 6)
    return rows.sum(0), rows.max(), rows.prod(0), rows.std(0), rows.argmax(0), rows.softmax(0)


@program
def merged_and_split(n, r):
    x = normal(r, 2, 3, n, 4)
    rows = x.reshape(2, -1, 4).exp().reshape(-1, 4)
    centred = rows - rows.mean(0)
    return centred, centred.reshape(2, 3, -1, 4).sum(2), centred.reshape(3, 2, -1, 4).cumsum(2)


@program
def transposed(n, r):
    x = normal(r, 3, n, 4)
    return x.transpose(1, 2).reshape(3, -1) * 3, x.permute(2, 0, 1).reshape(4, -1).softmax(1)


@program
def heads(n, r):
    x = normal(r, 2, n, 8).reshape(2, -1, 2, 4).transpose(1, 2).reshape(4, -1, 4)
    return ((x @ x.transpose(1, 2)).softmax(-1) @ x,)


@program
def rows_joined_side_by_side(n, r):
    rows = normal(r, 3, n, 4).reshape(-1, 4)
    return rows.cat(rows * 2, dim=1), rows[:, 1:], rows.flip(1), rows.cumsum(1), rows.sort(1)[0]


@program
def words(n, r):
    words = Tensor(r.integers(0, 6, (3, n))).reshape(-1)
    table = Tensor(WEIGHT.copy(), requires_grad=True)
    (table[words] * normal(r, 3, n, 5).reshape(-1, 5)).sum().backward()
    return table[words].reshape(3, -1, 5).max(1)[0], table.grad, F.one_hot(words, 6)


@program
def losses(n, r):
    w = Tensor(WEIGHT.copy(), requires_grad=True)
    x = normal(r, 3, n, 6)
    x.requires_grad = True
    labels = r.integers(0, 5, (3, n))
    labels[r.random((3, n)) < 0.3] = -100
    labels[0, 0] = 1
    labels = Tensor(labels).reshape(-1)
    scores = (x @ w).reshape(-1, 5)
    loss = scores.cross_entropy(labels)
    loss.backward()
    return loss, w.grad, x.grad, scores.gather(1, labels.clip(0, 4).reshape(-1, 1))


@program
def drawn(n, r):
    lazygrad.manual_seed(n)
    x = normal(r, 3, n, 6)
    return x.dropout(0.5), x + Tensor.rand(3, n, 1), Tensor.randn(2, n, 3), Tensor.rand(n, 4)


@program
def memory_read_in_order(n, r):
    flat = normal(r, 3 * n * 4)
    return (flat * 2).reshape(3, -1, 4).sum(1), flat.exp().reshape(3, -1, 4).transpose(0, 1)


@program
def rows_moved(n, r):
    rows = normal(r, 3, n, 4).reshape(-1, 4)
    return rows[1:].exp(), rows.flip(0), rows[-4:] * 2, rows.cat(rows + 1), rows.pad((0, 0, 1, 1))


@program
def rows_in_order(n, r):
    rows = normal(r, 3, n, 4).reshape(-1, 4)
    return rows.cumsum(0), rows.sort(0)[0], rows.argsort(0), rows.topk(2, 0)[0]


@program
def rows_and_others(n, r):
    rows = normal(r, 3, n, 4).reshape(-1, 4)
    places = Tensor.arange(3 * n).reshape(-1, 1)
    return rows + normal(r, 3 * n, 4), rows * places, rows[places.reshape(-1) // 2]


def run(function: Program, n: int) -> list[np.ndarray]:
    with Tensor.train():
        results = function(n, np.random.default_rng(n))
    Tensor.realize(*results)
    return [result.numpy() for result in results]


@pytest.mark.parametrize("function", PROGRAMS.values(), ids=PROGRAMS)
def test_merged_axes_give_what_each_length_gives_alone(function):
    for n in LENGTHS:
        with config.override(SIZES=0):
            wanted = run(function, n)
        for found, alone in zip(run(function, n), wanted, strict=True):
            np.testing.assert_allclose(found, alone, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("function", PROGRAMS.values(), ids=PROGRAMS)
def test_all_lengths_share_a_plan(function, compiled):
    run(function, 20), run(function, 21), run(function, 22)
    before = len(compiled)
    for n in (13, 40, 77, 128, 22):
        run(function, n)
    assert len(compiled) == before


def test_a_model_trains_on_sentences_of_any_length(compiled):
    """As PyTorch users write it: scores and labels are reshaped to (-1, vocabulary) and (-1,)."""
    r = np.random.default_rng(0)

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.head = nn.Embedding(11, 16), nn.Linear(16, 11)
            self.layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.1, batch_first=True)

        def forward(self, words):
            return self.head(self.layer(self.embedding(words)))

    def train(sizes: int, captured: bool) -> list[float]:
        with config.override(SIZES=sizes):
            lazygrad.manual_seed(0)
            model = Model()
            optimizer = optim.Adam(model.parameters())

            def step(words, labels):
                optimizer.zero_grad()
                loss = F.cross_entropy(model(words).reshape(-1, 11), labels.reshape(-1))
                loss.backward()
                optimizer.step()
                return loss

            step = lazygrad.jit(step) if captured else step
            return [step(Tensor(words), Tensor((words + 1) % 11)).item() for words in texts]

    texts = [r.integers(0, 11, (4, n)) for n in (17, 25, 21, 33, 17, 60, 18)]
    alone = train(0, False)
    compiled.clear()
    assert train(1, False) == pytest.approx(alone, rel=1e-4)
    assert train(1, True) == pytest.approx(alone, rel=1e-4)
    assert len(compiled) <= 8


W = Tensor(np.random.default_rng(0).standard_normal((48, 40)).astype(np.float32)).realize()


def _with_relu(x):
    """A product and its relu, from one kernel."""
    y = x.reshape(-1, 48) @ W
    z = y.relu()
    Tensor.realize(y, z)
    return y + z


def _in_place(x):
    """A product that is added to an input of its kernel, in its memory."""
    y = (x @ W).exp()
    return y + (y / 2) @ (W.T @ W)


ENDING = {
    "rows of a batch": ("end_loops", any, lambda x: (x @ W).relu()),
    "merged rows": ("end_loops", any, lambda x: (x.reshape(-1, 48) @ W).relu()),
    "two outputs of merged rows": ("end_loops", any, _with_relu),
    "elements of the outermost axis": ("end_loops", all, lambda x: x[0].exp() + 1),
    "rows in an input's memory": ("end_loops", all, _in_place),
    "softmax of merged rows": ("end_loops", any, lambda x: x.reshape(-1, 48).softmax(-1)),
    "product over merged rows": (
        "end_loops",
        any,
        lambda x: x.reshape(-1, 48).T @ (x.reshape(-1, 48) + 1),
    ),
    "sum over merged rows": ("end_loops", any, lambda x: x.reshape(-1, 48).sum(0)),
    "sums of partial sums": ("end_loops", any, lambda x: (x.sum(2) * x.max(2)[0]).sum(1)),
}


@pytest.mark.parametrize("name", ENDING)
def test_loops_end_within_each_block(name, monkeypatch, tmp_path):
    stage, of_kernels, function = ENDING[name]
    made = []
    run_pass = Stages.run

    def run(self, named, work, value, *rest, **more):
        result = run_pass(self, named, work, value, *rest, **more)
        made.extend([result] if named == stage else [])
        return result

    monkeypatch.setattr(Stages, "run", run)
    data = np.random.default_rng(0).standard_normal((6, 128, 48)).astype(np.float32)
    found = {}
    with lazygrad.dump(tmp_path):  # else no pass runs for code that is known
        for n in (20, 41, 1, 6, 127, 128):
            found[n] = function(Tensor(data[:, :n])).numpy()
    for n in found:
        with config.override(SIZES=0):
            expected = function(Tensor(data[:, :n])).numpy()
        np.testing.assert_allclose(found[n], expected, rtol=1e-4, atol=1e-4)
    texts = [show(each) for each in made]
    assert of_kernels([re.search(r"(serial|if) .*\bin\d\[0\]", text) for text in texts])


def test_a_plan_that_keeps_loops_apart_can_be_replayed():
    out, x, w = Array("out", float32, 6144), Array("x", float32, 6144), Array("w", float32, 64)
    n, i, j, k = Array("n", int64, 1), Var("i", 768), Var("j", 8), Var("k", 8)
    acc, below = Array("acc", float32, 1, "register"), less(mod(i, 128), Load(n, Literal(0)))
    term = Op("mul", (Load(x, add(mul(i, 8), k)), Load(w, add(mul(k, 8), j))))
    body = (
        Alloc(acc),
        Store(acc, Literal(0), Literal(0.0, float32)),
        For(k, 8, "serial", (Accumulate(acc, Literal(0), "sum", term),)),
        Store(out, add(mul(i, 8), j), Load(acc, Literal(0)), needed=below),
    )
    loops = (For(i, 768, "serial", (For(j, 8, "serial", body),)),)
    function = Function("rows", (out, x, w, n), 1, loops)
    made = schedule(function, ("contraction",), Device.get("CPU").machine)
    assert any(line.startswith("split i exact") for line in made.plan)
    assert "product" in made.plan
    assert replay(function, "\n".join(made.plan)).body == made.body

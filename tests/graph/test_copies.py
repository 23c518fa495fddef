"""Copies of operations, as a loop in Python makes them, are computed together."""

from __future__ import annotations

import numpy as np
import pytest

import lazygrad.graph.copies
import lazygrad.realize
import lazygrad.together
from lazygrad import Tensor, config, nn, optim, stages
from lazygrad.distributions import Categorical
from lazygrad.errors import CompilerWarning

pytestmark = pytest.mark.skipif(not config.OPT, reason="OPT=0 computes graphs as they are")

COUNT = 20
RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((2 * COUNT, 3)).astype(np.float32)
W = RANDOM.standard_normal((3, 4)).astype(np.float32)


class Others(dict):
    """As if another number of each copy had come before."""

    def __contains__(self, form):
        return True

    def get(self, form, default=None):
        return 0


@pytest.fixture
def counts(monkeypatch):
    """How many copies of each kind were found, of each graph that was looked at."""
    found: list[list[int]] = []
    batch_copies = lazygrad.graph.copies.batch_copies

    def counting(*args):
        nodes, rows, counts = batch_copies(*args)
        found.append([count for _, count in counts])
        return nodes, rows, counts

    monkeypatch.setattr(lazygrad.graph.copies, "batch_copies", counting)
    monkeypatch.setattr(lazygrad.together, "_counts", Others())
    return found


def of_rows(x, w):
    """What each copy computes of its row; NumPy's or ours."""
    y = x @ w
    return (y * y - y).sum(-1) / (1 + abs(y).sum(-1))


def leaves(order=range(COUNT)):
    return [Tensor(X[n]) for n in order]


WEIGHTS = np.arange(COUNT) + 0.5
PROGRAMS = {
    "sum": (lambda w: sum(of_rows(x, w) for x in leaves()), of_rows(X[:COUNT], W).sum()),
    "stack": (lambda w: Tensor.stack([of_rows(x, w) for x in leaves()]), of_rows(X[:COUNT], W)),
    "cat": (
        lambda w: Tensor.cat(*[of_rows(x, w).reshape(1) for x in reversed(leaves())]),
        of_rows(X[:COUNT], W)[::-1],
    ),
    "inner axis": (
        lambda w: Tensor.cat(*[(x @ w).softmax(0).reshape(2, 2) for x in leaves()], axis=1),
        (lambda e: e / e.sum(1, keepdims=True))(np.exp(X[:COUNT] @ W))
        .reshape(COUNT, 2, 2)
        .transpose(1, 0, 2)
        .reshape(2, 2 * COUNT),
    ),
    "weights": (
        lambda w: sum(of_rows(x, w) * (n + 0.5) for n, x in enumerate(leaves())),
        of_rows(X[:COUNT], W) @ WEIGHTS,
    ),
    "rows": (
        lambda w: (lambda x: sum(of_rows(x[n], w) for n in range(COUNT)))(Tensor(X)),
        of_rows(X[:COUNT], W).sum(),
    ),
    "rows backwards": (
        lambda w: (lambda x: Tensor.stack([of_rows(x[COUNT - n], w) for n in range(COUNT)]))(
            Tensor(X).tanh()
        ),
        of_rows(np.tanh(X[COUNT:0:-1]), W),
    ),
    "pairs of rows": (
        lambda w: (lambda x: Tensor.cat(*[of_rows(p, w) for p in x.split(2)]))(Tensor(X)),
        of_rows(X, W),
    ),
    "other terms": (
        lambda w: w.sum() + sum(of_rows(x, w) for x in leaves()) + w[0, 0],
        W.sum() + of_rows(X[:COUNT], W).sum() + W[0, 0],
    ),
    "loops in a loop": (
        lambda w: Tensor.stack([
            sum((x[i] * w[i]).tanh().sum() for i in range(3)) + sum(of_rows(x, w) for _ in range(9))
            for x in leaves()
        ]),
        np.tanh(X[:COUNT, :, None] * W).sum((1, 2)) + 9 * of_rows(X[:COUNT], W),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_copies_are_computed_together(name, counts):
    program, wanted = PROGRAMS[name]
    found = program(Tensor(W))
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-4, atol=1e-5)
    assert max(n for each in counts for n in each) >= COUNT


def test_gradients_of_what_copies_share_and_of_what_each_has(counts):
    w = Tensor(W, requires_grad=True)
    rows = [Tensor(X[n], requires_grad=True) for n in range(COUNT)]
    sum((x @ w).tanh().sum() * (n + 0.5) for n, x in enumerate(rows)).backward()
    slope = (1 - np.tanh(X[:COUNT] @ W) ** 2) * WEIGHTS[:, None]
    np.testing.assert_allclose(w.grad.numpy(), X[:COUNT].T @ slope, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose([x.grad.numpy() for x in rows], slope @ W.T, rtol=1e-4, atol=1e-4)
    assert [COUNT] in counts


def test_one_value_in_a_copy_and_two_in_another():
    w, same = Tensor(W), Tensor(X[0])
    pairs = [(same, same)] + [(Tensor(X[n]), Tensor(X[n + 1])) for n in range(COUNT)]
    found = sum(of_rows(a, w) * of_rows(b, w) for a, b in pairs)
    each = of_rows(X, W)
    wanted = each[0] ** 2 + (each[:COUNT] * each[1 : COUNT + 1]).sum()
    np.testing.assert_allclose(found.item(), wanted, rtol=1e-4)


def test_a_shared_value_that_was_computed_from_what_a_copy_has():
    w, rows = Tensor(W), leaves()
    first = rows[0].exp().realize()
    found = sum(of_rows(x * first, w) for x in rows)
    wanted = of_rows(X[:COUNT] * np.exp(X[0]), W).sum()
    np.testing.assert_allclose(found.item(), wanted, rtol=1e-4)


def test_leaves_of_many_bytes_stay_where_they_are(counts, monkeypatch):
    monkeypatch.setattr(lazygrad.graph.copies, "MAX_BYTES", 4 * 3 * COUNT - 1)
    found = sum(of_rows(x, Tensor(W)).cos() for x in leaves())
    np.testing.assert_allclose(found.item(), np.cos(of_rows(X[:COUNT], W)).sum(), rtol=1e-4)
    assert counts == [[]]


def test_an_index_out_of_range_in_a_copy():
    w = Tensor(W)
    places = [Tensor([n % 3]) + 0 for n in range(COUNT - 1)] + [Tensor([7]) + 0]
    with pytest.raises(IndexError, match="index 7 is outside -3 to 2"):
        sum(of_rows(w[n].reshape(4)[:3], w) for n in places).item()


def test_a_number_of_copies_is_computed_as_it_is_until_there_is_another(monkeypatch):
    ways = []
    together = lazygrad.together.together

    def noted(*args):
        nodes, walked, rows = together(*args)
        ways.append(rows is not None)
        return nodes, walked, rows

    monkeypatch.setattr(lazygrad.realize, "together", noted)
    monkeypatch.setattr(lazygrad.together, "OFTEN", 2)
    w = Tensor(W + 1).realize()
    for count in (17, 17, 19, 17, 19, 19, 19):
        rows = [Tensor(X[n]) for n in range(count)]
        found = sum(of_rows(x, w).exp() for x in rows).item()
        np.testing.assert_allclose(found, np.exp(of_rows(X[:count], W + 1)).sum(), rtol=1e-4)
    assert ways == [False, False, True, False, True, False, False]


def test_many_results_that_are_asked_for_together(counts):
    w = Tensor(W)
    found = [of_rows(x, w) for x in leaves()]
    Tensor.realize(*found)
    np.testing.assert_allclose([x.item() for x in found], of_rows(X[:COUNT], W), rtol=1e-4)
    assert counts == [[COUNT]]


def test_copies_that_differ_in_nothing(counts):
    x = Tensor(X).realize()
    found = sum((x.detach() * 2).exp().sum() for _ in range(COUNT))
    np.testing.assert_allclose(found.item(), COUNT * np.exp(2 * X).sum(), rtol=1e-4)


def test_a_fault_leaves_the_graph_as_it_is(monkeypatch):
    monkeypatch.setattr(lazygrad.graph.copies, "MIN_COPIES", None)
    monkeypatch.setattr(stages, "strict", False)
    rows = [Tensor(X[n] + 2) for n in range(COUNT)]
    with pytest.warns(CompilerWarning, match="copies"):
        found = sum(of_rows(x, Tensor(W)).sin() for x in rows).item()
    np.testing.assert_allclose(found, np.sin(of_rows(X[:COUNT] + 2, W)).sum(), rtol=1e-4)


def test_episodes_of_varying_length_are_compiled_a_few_times(compiled):
    policy = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2), nn.Softmax(dim=-1))
    adam = optim.Adam(policy.parameters(), lr=1e-2)
    for length in (12, 20, 15, 30, 17, 25, 10, 28, 23):
        losses = []
        for n in range(length):
            action = Categorical(policy(Tensor(X[n]).unsqueeze(0)))
            chosen = action.sample()
            chosen.item()
            losses.append(-action.log_prob(chosen))
        returns = Tensor(np.linspace(-1, 1, length, dtype=np.float32))
        loss = Tensor.cat(*[x * r for x, r in zip(losses, returns, strict=True)]).sum()
        adam.zero_grad()
        loss.backward()
        adam.step()
        loss.item()
    assert len(compiled) <= 10

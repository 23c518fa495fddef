"""Integers that a captured function counts up, wherever it keeps them, may follow from a size."""

from __future__ import annotations

import json
from dataclasses import dataclass
from io import StringIO
from typing import Any, NamedTuple

import numpy as np
import pytest

import lazygrad
from lazygrad import Tensor, cat, jit, nn

from .decoders import FEW, STEPS, Decoder, check

pytestmark = pytest.mark.usefixtures("compiled")  # plans of earlier tests are of other families


class Counting(nn.Module):
    """Keeps what it has read, and counts it."""

    def __init__(self, model, has_buffer):
        super().__init__()
        self.model, self.has_buffer = model, has_buffer
        self.start()

    def start(self):
        self.count, self.past = 0, None

    def forward(self, x):
        model, n = self.model, x.shape[1]
        h = model.tokens(x) + model.places(Tensor.arange(self.count, self.count + n))
        q, k, v = model.split(h)
        if self.has_buffer:
            keys, values = model.memory
            keys[:, :, self.count : self.count + n] = k
            values[:, :, self.count : self.count + n] = v
            k, v = keys[:, :, : self.count + n], values[:, :, : self.count + n]
        else:
            if self.past is not None:
                k, v = cat((self.past[0], k), 2), cat((self.past[1], v), 2)
            self.past = (k, v)
        self.count += n
        return model.next(h, q, k, v), self.count


@pytest.mark.parametrize("has_buffer", [False, True])
@pytest.mark.parametrize("is_new", [False, True])
def test_a_counter_that_is_an_attribute(has_buffer, is_new):
    Tensor.manual_seed(0)
    model = Decoder()
    runs = StringIO()

    def run(mark, wrap):
        holder = [Counting(model, has_buffer)]
        f = wrap(lambda x: (mark(), holder[0](x))[1])
        for length in (STEPS, 30):
            x = Tensor([[3]])
            for n in range(length):
                x, count = f(x)
                assert count == holder[0].count == n + 1
                assert type(count) is type(holder[0].count) is int
                yield x.item()
            holder[0].start()
            if is_new:
                holder[0] = Counting(model, has_buffer)

    with lazygrad.no_grad():
        expected = list(run(lambda: None, lambda f: f))
        found = list(run(lambda: runs.write("."), jit))
    assert found == expected
    assert len(set(found)) > 2
    assert len(runs.getvalue()) <= 2 * FEW


def test_the_position_that_a_function_returns():
    def run(model, f):
        x, pos, cache = Tensor([[3]]), 0, None
        for n in range(STEPS):
            x, pos, cache = f(x, pos, cache)
            assert pos == n + 1
            assert type(pos) is int
            yield x.item()

    def step(model):
        def f(x, pos, cache):
            x, cache = model.cached(x, pos, cache)
            return x, pos + 1, cache

        return f

    check(run, step)


COUNTED = {
    "sum": lambda x, count: x + count,
    "remainder": lambda x, count: x * (count % 3),
    "equality": lambda x, count: x * (2 if count == 50 else 3),
    "half": lambda x, count: x * int(0.5 * count),
    "range": lambda x, count: x * len(range(0, count, 3)),
    "JSON": lambda x, count: x * len(json.dumps(count)),
}


@pytest.mark.parametrize("name", COUNTED)
def test_what_is_done_with_a_counter(name):
    class Model:
        count, total, other = 0, 0, 0

        def __call__(self, x):
            self.count += 1
            self.total = self.total + x.shape[0]
            self.other = self.count * 2 - self.other
            return COUNTED[name](x, self.count), [self.total, {"other": self.other}]

    models = Model(), Model()
    f = jit(models[0])
    for n in range(2, 100):
        x = Tensor(np.arange(n, dtype=np.float32))
        (y, rest), (expected, others) = f(x), models[1](x)
        np.testing.assert_allclose(y.numpy(), expected.numpy(), rtol=1e-6)
        assert rest == others
        assert vars(models[0]) == vars(models[1])


@dataclass
class Cache:
    past: Any = None
    count: int = 0


class Pair(NamedTuple):
    past: Any
    count: int


count_of_all = 0  # a counter that is a global


def in_a_dict(model):
    state = {"past": None, "count": 0}

    def step(x):
        x, state["past"] = model.cached(x, state["count"], state["past"])
        state["count"] += 1
        return x

    return step, state


def in_a_list(model):
    state = [None, 0, 7]

    def step(x):
        x, state[0] = model.cached(x, state[1], state[0])
        state[1] += 1
        assert state[2] == 7
        return x

    return step, state


def in_a_variable(model):
    past, count = [None], 0

    def step(x):
        nonlocal count
        x, past[0] = model.cached(x, count, past[0])
        count += 1
        return x, count

    return step, past


def in_a_global(model):
    global count_of_all
    count_of_all, past = 0, [None]

    def step(x):
        global count_of_all
        x, past[0] = model.cached(x, count_of_all, past[0])
        count_of_all += 1
        return x, count_of_all

    return step, past


@pytest.mark.parametrize("make", [in_a_dict, in_a_list, in_a_variable, in_a_global])
def test_a_counter_outside(make):
    Tensor.manual_seed(0)
    model, found = Decoder(), []
    for wrap in (lambda f: f, jit):
        runs = StringIO()
        step, state = make(model)
        f = wrap(lambda x, step=step, runs=runs: (runs.write("."), step(x))[1])
        x, given = Tensor([[3]]), []
        with lazygrad.no_grad():
            for n in range(STEPS):
                result = f(x)
                x, count = result if isinstance(result, tuple) else (result, n + 1)
                assert count == n + 1
                assert type(count) is int
                held = state.values() if isinstance(state, dict) else state
                assert all(type(item) is not int or item in (n + 1, 7) for item in held)
                given.append(x.item())
        found.append(given)
    assert found[0] == found[1]
    assert len(runs.getvalue()) <= FEW


PASSED = {
    "tuple": ((None, 0), lambda c: c, lambda past, count: (past, count)),
    "named tuple": (Pair(None, 0), lambda c: c, Pair),
    "list": ([None, 0], lambda c: c, lambda past, count: [past, count]),
    "nested": (((None,), [0]), lambda c: (c[0][0], c[1][0]), lambda p, count: ((p,), [count])),
    "dict": (
        {"past": None, "count": 0},
        lambda c: (c["past"], c["count"]),
        lambda past, count: {"past": past, "count": count},
    ),
    "object": (Cache(), lambda c: (c.past, c.count), Cache),
}


@pytest.mark.parametrize("name", PASSED)
def test_a_counter_that_is_passed_and_returned(name):
    first, parts, made = PASSED[name]

    def run(model, f):
        x, state = Tensor([[3]]), first
        for n in range(STEPS):
            x, state = f(x, state)
            assert type(state) is type(first)
            assert parts(state)[1] == n + 1
            assert type(parts(state)[1]) is int
            yield x.item()

    def step(model):
        def f(x, state):
            past, count = parts(state)
            x, past = model.cached(x, count, past)
            return x, made(past, count + 1)

        return f

    check(run, step)


@pytest.mark.parametrize("name", ["tuple", "list", "dict", "object"])
@pytest.mark.parametrize("body", ["remainder", "equality", "half", "range", "JSON"])
def test_what_is_done_with_a_counter_that_is_passed(name, body):
    _, parts, made = PASSED[name]
    f = jit(lambda x, state: COUNTED[body](x, parts(state)[1]))
    for n in range(2, 90):
        x = Tensor(np.arange(n, dtype=np.float32))
        state = made(None, n)
        expected = COUNTED[body](x, n)
        np.testing.assert_allclose(f(x, state).numpy(), expected.numpy(), rtol=1e-6)
        assert type(parts(state)[1]) is int


def test_items_that_are_read_at_some_counts_alone():
    def body(x, state):
        if state.count % 5 == 0:
            return x * state.other
        return x * state.count + (state.third if state.count > 20 else 0)

    class State:
        def __init__(self, count):
            self.count, self.other, self.third = count, 3 * count, 7

    f = jit(body)
    for count in range(60):
        for x in (Tensor.ones(4), Tensor.ones(count + 2)):
            state = State(count)
            assert f(x, state).tolist() == body(x, state).tolist()


def test_a_list_that_a_function_moves_items_in():
    state, plain = [1, 2, 3], [1, 2, 3]

    def body(x, state):
        state.append(state.pop(0) + x.shape[0])
        state[0], state[1] = state[1], state[0]
        return x * state[0], list(state)

    f = jit(lambda x: body(x, state))
    for n in range(2, 60):
        (y, found), (expected, wanted) = f(Tensor.ones(n)), body(Tensor.ones(n), plain)
        assert (y.tolist(), found, state) == (expected.tolist(), wanted, plain)
        assert {type(item) for item in (*found, *state)} == {int}


def test_an_exception_leaves_counters_as_they_were():
    state = {"count": 0}

    @jit
    def f(x):
        state["count"] += 1
        if state["count"] == 30:
            raise ValueError("thirty")
        return x * state["count"]

    for n in range(2, 31):
        assert f(Tensor.ones(n)).tolist() == [n - 1] * n
    for _ in range(2):
        with pytest.raises(ValueError, match="thirty"):
            f(Tensor.ones(31))
        assert state == {"count": 29}
        assert type(state["count"]) is int


@pytest.mark.parametrize("varies", [False, True])
def test_counters_of_a_training_step(varies):
    """They follow from no size, or beside sizes."""

    class Trainer:
        def __init__(self):
            Tensor.manual_seed(0)
            self.weight = Tensor(np.ones((4, 3), np.float32), requires_grad=True)
            self.steps, self.seen, self.log = 0, 0, {"calls": 7}

        def step(self, x):
            self.weight.grad = None
            loss = ((x @ self.weight).tanh() * 0.5).square().mean()
            loss.backward()
            with lazygrad.no_grad():
                self.weight.assign(self.weight - 0.1 * self.weight.grad)
            self.steps += 1
            self.seen += x.shape[0] * 2
            self.log["calls"] -= 1
            return loss, self.seen

    plain, captured, runs = Trainer(), Trainer(), StringIO()
    f = jit(lambda x: (runs.write("."), captured.step(x))[1])
    rng = np.random.default_rng(0)
    for n in range(300):
        x = Tensor(rng.standard_normal((2 + n % 200 if varies else 8, 4)).astype(np.float32))
        (loss, seen), (expected, wanted) = f(x), plain.step(x)
        assert (seen, captured.steps, captured.log) == (wanted, plain.steps, plain.log)
        assert abs(loss.item() - expected.item()) < 1e-5
    np.testing.assert_allclose(captured.weight.numpy(), plain.weight.numpy(), rtol=1e-4)
    assert {type(x) for x in (captured.steps, captured.seen, captured.log["calls"])} == {int}
    assert varies or len(runs.getvalue()) <= FEW


def test_what_a_counter_of_calls_decides():
    def body(x, state):
        state["calls"] += 1
        k = state["calls"]
        return x * (2 if k % 10 == 0 else 3) + (100 if k > 37 else 0) + (1 if k == 60 else 0)

    f, states = jit(lambda x: body(x, states[0])), ({"calls": 0}, {"calls": 0})
    x = Tensor([1.0, 2.0])
    for _ in range(150):
        assert f(x).tolist() == body(x, states[1]).tolist()
        assert states[0] == states[1]

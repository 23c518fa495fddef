"""A captured function whose sizes grow is captured at a larger size ahead of the calls, and not run
at the sizes before it."""

from __future__ import annotations

import copy
import json
import math
from datetime import timedelta
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from functools import lru_cache
from io import StringIO

import numpy as np
import pytest

import lazygrad
from lazygrad import Tensor, jit, nn
from lazygrad.nn import functional as F

pytestmark = pytest.mark.usefixtures("compiled")  # plans of earlier tests are of other families

TABLE = [1.0] * 20 + [2.0] * 20 + [1.0] * 200
ARRAY = np.array(TABLE)


@lru_cache
def cached_size(n):
    return 2 if n == 50 else 3


class Sizes(IntEnum):
    FIFTY = 50


TEXT = "a" * 50 + "b" * 3 + "a" * 200

OTHERWISE = {
    "remainder": lambda x, n: x * (2 if n % 16 == 0 else 3),
    "equality": lambda x, n: x * (2 if n == 50 else 3),
    "order": lambda x, n: x * (2 if 50 < n < 60 else 3),
    "member": lambda x, n: x * (2 if n in {50, 90} else 3),
    "bytes": lambda x, n: x * (2 if x.nbytes == 200 else 3),
    "strides": lambda x, n: x * (2 if x.reshape(1, -1).stride()[0] == 50 else 3),
    "of a size": lambda x, n: x * (2 if x.shape[0] == 50 else 3),
    "list": lambda x, n: x * TABLE[n],
    "array": lambda x, n: x * float(ARRAY[n]),
    "tuple": lambda x, n, table=tuple(TABLE): x * table[n],
    "literal": lambda x, n: x * [1, 1, 1, 1, 1, 1, 1, 1, 9, 9, 9, 1, 1][min(n, 12)],
    "bits": lambda x, n: x * n.bit_length(),
    "a letter": lambda x, n: x * (2 if TEXT[n] == "a" else 3),
    "logarithm": lambda x, n: x * (2 if math.log2(x.shape[0]).is_integer() else 3),
    "divisor": lambda x, n: x * math.gcd(n, 7),
    "type": lambda x, n: x * (2 if type(n) is int and n < 90 else 3),
    "percent": lambda x, n: x * (2 if "5" in "%3d" % n else 3),  # noqa: UP031
    "digits": lambda x, n: x * (2 if "11" in bin(n) else 3),
    "root": lambda x, n: x * n**0.5,
    "tenth": lambda x, n: x * (2 if (0.1 * n) % 1 < 1e-6 else 3),
    "range": lambda x, n: x * (2 if len(range(0, n, 4)) == 4 else 3),
    "loop": lambda x, n: x * sum(1 for i in range(n) if i % 7 == 3),
    "short list": lambda x, n: x * [1, 1, 1, 9, 9, 9][min(n // 18, 5)],
    "NumPy": lambda x, n: x * float(np.arange(n).sum() % 3),
    "of NumPy": lambda x, n: x * (2 if np.sqrt(n) == 7 else 3),
    "times NumPy's": lambda x, n: x * (2 if np.float32(0.5) * n == 25 else 3),
    "fraction": lambda x, n: x * (Fraction(n, 6).denominator),
    "decimal": lambda x, n: x * (2 if Decimal(n) / 2 == 25 else 3),
    "memory": lambda x, n: x * len(bytes(n)),
    "JSON": lambda x, n: x * len(json.dumps({"n": n})),
    "time": lambda x, n: x * (2 if timedelta(seconds=n).seconds == 50 else 3),
    "cached": lambda x, n: x * cached_size(n),
    "copy": lambda x, n: x * (2 if copy.deepcopy([n])[0] == 50 else 3),
    "real": lambda x, n: x * (2 if n.real == 50 else 3),
    "enumeration": lambda x, n: x * (2 if n in list(Sizes) else 3),
    "half": lambda x, n: x[: int(0.5 * n)] * 2,
    "quotient": lambda x, n: x[: n // 2] * 2,
    "cut": lambda x, n: x[: min(n, 77)] * 2,
    "clamp": lambda x, n: x[:77] * 2,
    "last": lambda x, n: x[77:] * 2 if n > 77 else x * 3,
    "text": lambda x, n: x * (2 if "5" in f"{n}" else 3),
    "raises": lambda x, n: x * (2 if n < 110 else 1 / 0),
}


@pytest.mark.parametrize("name", OTHERWISE)
def test_what_is_done_otherwise_at_some_sizes(name):
    body = OTHERWISE[name]
    f = jit(body)
    for n in range(2, 108):
        x = Tensor(np.arange(n, dtype=np.float32))
        np.testing.assert_allclose(f(x, n).numpy(), body(x, n).numpy(), rtol=1e-6)


def test_what_is_reached_but_not_asked_with_the_size():
    def body(x, n):
        return x * TABLE[3] * float(ARRAY[2]) + len(TEXT) * n + math.gcd(x.shape[1], 4)

    assert counted(body, [(Tensor.ones(n, 2), n) for n in range(2, 60)]) <= 6


def test_a_size_that_code_in_c_takes_as_an_integer():
    """It is one there; what the function set before is set once."""

    class Model:
        calls = 0

        def __call__(self, x, n):
            self.calls += 1
            return x * len(json.dumps([n])), self.calls

    model = Model()
    f = jit(model)
    for times, n in enumerate(range(2, 40), 1):
        y, calls = f(Tensor.ones(n), n)
        assert (y.tolist(), calls, model.calls) == ([len(f"[{n}]")] * n, times, times)


def test_an_error_of_types_is_the_functions_own():
    f = jit(lambda x, n: x * (n + "1" if n == 7 else n))
    for n in range(2, 7):
        f(Tensor.ones(n), n)
    with pytest.raises(TypeError, match=r"unsupported operand.*'int' and 'str'") as caught:
        f(Tensor.ones(7), 7)
    assert caught.value.__context__ is None
    assert f(Tensor.ones(8), 8).tolist() == [8] * 8


def test_keys_that_are_sizes_stay_integers():
    @jit
    def f(x, n, seen):
        seen[n] = {x.shape[0]: n}
        return x * 2

    for n in range(2, 20):
        seen = {}
        f(Tensor.ones(n), n, seen)
        assert seen == {n: {n: n}}
        assert {type(key) for key in (*seen, *seen[n])} == {int}


def counted(body, calls):
    """How often the Python of `body` ran in these calls, all of them right."""
    runs = StringIO()
    f = jit(lambda *args: (runs.write("."), body(*args))[1])
    for args in calls:
        np.testing.assert_allclose(f(*args).numpy(), body(*args).numpy(), rtol=1e-5)
    return len(runs.getvalue())


def test_numbers_in_the_arguments_that_follow_the_size():
    def calls(number):
        return [(Tensor.full((n, 2), 1.0), number(n)) for n in range(2, 60)]

    assert counted(lambda x, n: x.sum(0) / n, calls(lambda n: n)) <= 6
    assert counted(lambda x, n: x[: n - 3] + n, calls(lambda n: n + 2)) <= 6
    assert counted(lambda x, n: x + n, calls(lambda n: n * n % 7)) == 58  # not on a line
    assert counted(lambda x, n: x + n, calls(lambda n: n % 29)) <= 20  # on two lines, in turn
    counted(lambda x, n: x + n, calls(lambda n: n == 30))  # no number, but a kind


def test_the_type_of_an_integer_in_methods():
    class Inner(nn.Module):
        def forward(self, x, n):
            if type(n) is not int:
                raise TypeError
            return x * n

    class Outer:
        inner = Inner()

        def __call__(self, x, n):
            return self.inner.forward(x, n)

    for model in (Inner(), Outer()):
        f = jit(model)
        for n in range(2, 40):
            assert f(Tensor.ones(n), n).tolist() == [n] * n


def test_keywords_in_any_order():
    runs = StringIO()

    @jit
    def f(**given):
        runs.write(".")
        return given["x"] * given["b"] + given["a"]

    for n in range(2, 60):
        assert f(x=Tensor.ones(n), b=2 * n, a=n).tolist() == [3.0 * n] * n
    assert len(runs.getvalue()) <= 6


def test_a_function_that_sets_something_outside():
    total = Tensor([0.0])
    runs = StringIO()

    @jit
    def f(x):
        runs.write(".")
        total.assign(total + x.sum())
        return x * 3

    for n in range(2, 60):
        assert f(Tensor.ones(n)).tolist() == [3.0] * n
        assert total.item() == sum(range(2, n + 1))  # nothing was set ahead of a call
    assert len(runs.getvalue()) <= 6


def test_what_a_capture_ahead_changes_is_undone():
    class Log:
        sizes = ()
        last = None

    log, seen = Log(), []

    @jit
    def f(x, rows):
        log.sizes = (*x.shape, 1)
        rows["last"] = x.shape[0]
        return x * 2

    for n in range(2, 60):
        rows = {}
        f(Tensor.ones(n), rows)
        seen.append((log.sizes, rows["last"]))
        assert type(log.sizes[0]) is int
    assert seen == [((n, 1), n) for n in range(2, 60)]


def test_random_numbers_are_those_of_the_function_alone():
    def noisy(x):
        return x + Tensor.rand(*x.shape)

    f = jit(noisy)
    Tensor.manual_seed(0)
    found = [f(Tensor.ones(n)).numpy() for n in range(2, 60)]
    Tensor.manual_seed(0)
    for n, x in zip(range(2, 60), found, strict=True):
        np.testing.assert_array_equal(x, noisy(Tensor.ones(n)).numpy())


def test_gradients_and_an_optimizer():
    def trained(wrap):
        Tensor.manual_seed(0)
        net = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 4))
        optimizer = lazygrad.optim.Adam(net.parameters(), lr=0.01)

        def step(x, y):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
            return loss

        rng, runs = np.random.default_rng(0), StringIO()
        marked = step
        step = wrap(lambda *args: (runs.write("."), marked(*args))[1])
        losses = [
            step(Tensor(rng.random((n, 3), np.float32)), Tensor(rng.integers(0, 4, n))).item()
            for n in range(2, 40)
        ]
        return losses, [p.numpy() for p in net.parameters()], len(runs.getvalue())

    losses, weights, runs = trained(jit)
    assert runs <= 8
    expected, targets, _ = trained(lambda step: step)
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    for a, b in zip(weights, targets, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_a_tensor_of_the_arguments_that_is_also_outside():
    kept = [Tensor.ones(2).realize()]
    f = jit(lambda x: x * 2 + kept[0].sum())
    for n in range(2, 40):
        kept[0] = Tensor.ones(n).realize()
        assert f(kept[0]).tolist() == [n + 2.0] * n


def test_views_and_arguments_that_are_one_tensor():
    f = jit(lambda x, y: (x + y).sum() * x)
    whole = Tensor(np.arange(60, dtype=np.float32)).realize()
    for n in range(2, 50):
        x = whole[:n]
        expected = 2 * np.arange(n).sum() * np.arange(n)
        np.testing.assert_allclose(f(x, x).numpy(), expected, rtol=1e-6)
        np.testing.assert_allclose(f(x, whole[:n].clone()).numpy(), expected, rtol=1e-6)


def test_a_write_to_an_argument():
    @jit
    def f(x, pos):
        x[pos - 1 : pos] = 7.0
        return x.sum()

    for n in range(2, 40):
        x = Tensor.ones(n).realize()
        assert f(x, n).item() == n + 6
        assert x.tolist() == [1.0] * (n - 1) + [7.0]


def test_integers_stay_integers():
    class Model:
        pos = -1

        def __call__(self, x, n, *, name="a"):
            assert isinstance(n, int)
            self.pos = n
            return x + n, n

    model = Model()
    f = jit(model)
    for n in range(2, 40):
        y, m = f(Tensor.ones(n), n, name="b")
        assert (y.tolist(), m, model.pos) == ([1.0 + n] * n, n, n)
        assert type(m) is type(model.pos) is int


def test_a_tensor_outside_that_is_replaced_by_one_of_another_size():
    kept = {"x": Tensor.ones(2).realize(), "scale": 2.0}
    runs = StringIO()

    @jit
    def f():
        runs.write(".")
        return kept["x"] * kept["scale"]

    rng = np.random.default_rng(0)
    for n in range(2, 90):
        array = rng.random(n, np.float32)
        kept["x"] = Tensor(array).realize()
        np.testing.assert_allclose(f().numpy(), 2 * array)
    assert len(runs.getvalue()) <= 8
    kept["scale"] = 3.0
    for n in (17, 40, 41, 300):
        array = rng.random(n, np.float32)
        kept["x"] = Tensor(array).realize()
        np.testing.assert_allclose(f().numpy(), 3 * array)
    kept["x"] = Tensor(np.arange(5))  # of another dtype
    assert f().tolist() == [0, 3, 6, 9, 12]
    kept["x"] = Tensor.ones(4, 2)[:3, 0]  # a view
    assert f().tolist() == [3, 3, 3]


def test_two_tensors_outside_that_grow_apart():
    kept = [Tensor.ones(2).realize(), Tensor.ones(2).realize()]
    f = jit(lambda: (kept[0].sum(), kept[1] * 2))
    for n in range(2, 60):
        kept[0], kept[1] = Tensor.ones(n).realize(), Tensor.ones(n * n % 17 + 1).realize()
        total, doubled = f()
        assert total.item() == n
        assert doubled.tolist() == [2.0] * (n * n % 17 + 1)


def test_a_state_that_a_function_trains_and_keeps():
    hidden = {"h": Tensor.zeros(1, 4).realize()}
    weight = Tensor(np.eye(4, dtype=np.float32) * 0.5, requires_grad=True)

    def step(x):
        weight.grad = None
        h = hidden["h"].sum(0, keepdim=True) + x @ weight
        h.square().mean().backward()
        hidden["h"] = h.detach()
        return h.sum()

    def run(f):
        hidden["h"] = Tensor.zeros(1, 4).realize()
        for n in range(2, 50):
            yield f(Tensor.full((n, 4), 1.0 / n)).item(), weight.grad.sum().item()

    expected = list(run(step))
    np.testing.assert_allclose(list(run(jit(step))), expected, rtol=1e-4)


STATES = {
    "made contiguous": lambda: Tensor.zeros(256, 4).contiguous(),
    "half of a tensor": lambda: Tensor(np.zeros((2, 256, 4), np.float32))[1],
    "reshaped": lambda: Tensor(np.zeros(1024, np.float32)).reshape(256, 4),
    "transposed": lambda: Tensor(np.zeros((4, 256), np.float32)).T,
}


@pytest.mark.parametrize("name", STATES)
def test_a_state_that_is_a_view_is_read_outside_as_it_is(name):
    class Model:
        def __init__(self):
            self.rows, self.count = STATES[name](), 0

        def step(self, x):
            self.rows[self.count : self.count + 1] = x
            self.count += 1
            return self.rows[: self.count].sum(0)

    model = Model()
    f = jit(model.step)
    for n in range(40):
        total = f(Tensor(np.full((1, 4), n + 1.0, np.float32)))
        assert total.tolist() == [(n + 1) * (n + 2) / 2] * 4
        assert model.rows.numpy()[:, 0].tolist() == [*range(1, n + 2), *[0] * (255 - n)]


@pytest.mark.parametrize("rows", [40, 64, 100])
def test_a_buffer_that_is_smaller_than_the_bound(rows):
    buffer, runs = Tensor(np.zeros((rows, 4), np.float32)).realize(), StringIO()

    @jit
    def f(x, pos):
        runs.write(".")
        buffer[pos : pos + 1] = x
        return buffer[: pos + 1].sum(0)

    for pos in range(rows):
        assert f(Tensor.ones(1, 4), pos).tolist() == [pos + 1] * 4
    assert len(runs.getvalue()) <= 25


PIECES = {
    "last": lambda k: (k.split(8)[-1].shape[0] == 8) + 1,
    "number": lambda k: (len(k.split(8)) * 8 == k.shape[0]) + 1,
    "rows": lambda k: len(k.unbind(0)) % 8 + 1,
    "loop": lambda k: sum(1 for _ in k) % 8 + 1,
    "halves": lambda k: k.chunk(2)[0].shape[0],
    "thirds": lambda k: k.tensor_split(3)[1].shape[0],
    "steps": lambda k: k[::8].shape[0],
    "arange": lambda k: Tensor.arange(0, k.shape[0], 8).shape[0],
    "windows": lambda k: k.unfold(0, 4, 4).numel() if k.shape[0] >= 4 else 1,
    "shift": lambda k: k.roll(12, 0)[:1].sum(),
    "turns": lambda k: k.rot90(k.shape[0])[:1, :1].sum(),
}


@pytest.mark.parametrize("name", PIECES)
@pytest.mark.parametrize(
    "sizes",
    [range(2, 60), [*range(8, 64, 8), *range(5, 60)], [2, 3, 4, 6, 12, *range(2, 20)]],
    ids=["growing", "multiples first", "divisors first"],
)
def test_sizes_that_are_rounded(name, sizes):
    f = jit(lambda x: x.sum(0) * PIECES[name](x))
    for n in sizes:
        x = Tensor(np.arange(4.0 * n, dtype=np.float32).reshape(n, 4))
        expected = x.sum(0) * PIECES[name](x)
        np.testing.assert_allclose(f(x).numpy(), expected.numpy(), rtol=1e-5)


def test_sizes_of_one_step_are_served():
    runs = StringIO()
    f = jit(lambda x: (runs.write("."), x * 2)[1])
    for n in (16, 80, 40, 24, 64, 32, 48, 56, 72):
        f(Tensor.ones(n))
    assert len(runs.getvalue()) <= 6


def test_a_flag_that_alternates_while_sizes_grow():
    runs = StringIO()
    f = jit(lambda x, flag: (runs.write("."), x * (2 if flag else 3))[1])
    for n in range(2, 100):
        assert f(Tensor.ones(n), n % 2 == 0).tolist() == [3 if n % 2 else 2] * n
    assert len(runs.getvalue()) <= 16


def test_exceptions_and_containers_have_integers():
    class Model:
        seen = None

    model, keys = Model(), {}

    @jit
    def f(x):
        n = x.shape[0]
        model.seen = {n, 1}, slice(0, n)
        keys[n, "rows"] = (n, frozenset({n}))
        if n == 30:
            raise ValueError("too long", n)
        return x * 2, {n}, slice(n)

    for n in range(2, 30):
        _, found, part = f(Tensor.ones(n))
        values = [*found, part.stop, *model.seen[0], model.seen[1].stop, *(k[0] for k in keys)]
        values += [x for rows, held in keys.values() for x in (rows, *held)]
        assert {type(value) for value in values} == {int}
        assert (found, part.stop, max(model.seen[0]), len(keys)) == ({n}, n, n, n - 1)
    with pytest.raises(ValueError, match="too long") as caught:
        f(Tensor.ones(30))
    assert type(caught.value.args[1]) is int


def test_nothing_is_compiled_ahead(compiled):
    """At the bound, 128, the zeros of both relus are one node, so the graph is another one."""
    w = Tensor(np.eye(128, dtype=np.float32))
    run = jit(lambda x: (x.relu() @ w.relu() * x.exp()).sum(0))
    for n in (34, 35, 36, 37, 38, 39):
        x = Tensor(np.full((n, 128), 0.1, np.float32))
        np.testing.assert_allclose(run(x).numpy(), np.full(128, n * 0.1 * np.exp(0.1)), rtol=1e-5)
    assert len(compiled) == 2

"""A captured function is not run at sizes between captured ones, if that cannot be told."""

from __future__ import annotations

import math
import pickle
from io import StringIO

import numpy as np
import pytest

from lazygrad import Tensor, jit, nn, optim
from lazygrad.jit.sizes import WatchedSize, have_one_answer
from lazygrad.nn import functional as F
from lazygrad.questions import questions

pytestmark = pytest.mark.usefixtures("compiled")  # plans of earlier tests are of other families

SIZES = (20, 60, 31, 44, 25, 37, 58, 41, 40, 37, 33, 32, 50, 27)
CAPTURES = 5  # the first has a plan of its own; then the ends, and two between them
W = np.random.default_rng(0).standard_normal((3, 5)).astype(np.float32)
WEIGHT = Tensor(W).realize()

SERVED = {
    "product": lambda x: (x @ WEIGHT).relu(),
    "unpacked": lambda x: (lambda n, m: x.reshape(n, m, 1).sum(2) + 1)(*x.shape),
    "size": lambda x: x.reshape(x.size(0) * x.size(-1)).reshape(-1, 3) * 2,
    "numel": lambda x: x.reshape(x.numel()) * 2,
    "sum of sizes": lambda x: F.pad(x, (0, 0, 1, x.shape[0] - 2)) + x.shape[0],
    "mean": lambda x: x.mean(0) * x.shape[0],
    "scalar": lambda x: x.shape[0] - x,
    "attention": lambda x: (x @ x.T).softmax(-1) @ x,
    "mask": lambda x: Tensor.ones(x.shape[0], len(x.shape)).cumsum(0).sum(1) + x.sum(1),
    "order": lambda x: x * (2 if x.shape[0] > 8 else 3) + min(x.shape[0], 100),
    "equality": lambda x: x * (2 if x.shape == (9, 3) or x.shape[0] == 1 else 3),
    "channels": lambda x: x * (2 if x.shape[1] % 2 else 3),
    "constant slice": lambda x: x[:16] + x[-16:],
}


class Options:
    """Whose attributes are looked up by names made in each call."""

    scale0 = 2.0


OPTIONS = Options()
SERVED["names"] = lambda x: (
    x * getattr(OPTIONS, f"scale{x.ndim - 2}") + getattr(OPTIONS, f"shift{x.ndim - 2}", 1.0)
)
CAPTURED = {
    "remainder": lambda x: x * (2 if x.shape[0] % 2 else 3),
    "of a sum": lambda x: x * (2 if (x.shape[0] + 1) % 2 else 3),
    "quotient": lambda x: x[: x.shape[0] // 2 * 2] + 1,
    "half": lambda x: x[: int(x.shape[0] * 0.5) * 2] + 1,
    "equal": lambda x: x * (2 if x.shape[0] == 37 else 3),
    "shape": lambda x: x * (2 if x.shape == (37, 3) else 3),
    "cut": lambda x: x[: min(x.shape[0], 37)] + 1,
    "clamp": lambda x: x[:37] + 1,
    "length": lambda x: x * (2 if len(x) % 2 else 3),
    "text": lambda x: x * (2 if str(x.shape[0]).endswith("7") else 3),
    "format": lambda x: x * (2 if f"{x.shape[0]}".endswith("7") else 3),
    "table": lambda x: x * {37: 2}.get(x.shape[0], 3),
    "member": lambda x: x * (2 if x.shape[0] in {37, 38} else 3),
    "root": lambda x: x * x.shape[0] ** -0.5,
    "square": lambda x: x + x.shape[0] * x.shape[0],
    "pieces": lambda x: sum(part.sum(0) for part in x.split(16)),
    "steps": lambda x: sum(x[i : i + 16].sum(0) for i in range(0, x.shape[0], 16)),
    "bits": lambda x: x + (x.shape[0] & 1),
    "range": lambda x: x * (2 if len(range(0, x.shape[0], 4)) == 10 else 3),
    "tenth": lambda x: x * (2 if (0.1 * x.shape[0]) % 1 < 1e-6 else 3),
    "short list": lambda x: x * [1, 1, 1, 9, 9, 9][x.shape[0] // 10 - 1],
    "array": lambda x: x @ Tensor(W),  # its memory is another one in each capture
    "NumPy": lambda x: Tensor(np.arange(x.shape[0], dtype=np.float32)) + x.sum(1),
}


IN_PARTS = {
    "less": lambda x: x * (2 if x.shape[0] < 37 else 3),
    "cut": lambda x: x[: min(x.shape[0], 37)] + 1,
    "clamp": lambda x: x[:37] + 1,
}


def counted(body, sizes=SIZES):
    """How often the Python of `body` ran in calls at these sizes, all of them right."""
    runs = StringIO()
    f = jit(lambda x: (runs.write("."), body(x))[1])
    rng = np.random.default_rng(1)
    for n in sizes:
        x = Tensor(rng.standard_normal((n, 3)).astype(np.float32))
        found, expected = f(x), body(x)
        assert found.shape == expected.shape
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-5, atol=1e-5)
    return len(runs.getvalue())


@pytest.mark.parametrize("name", SERVED)
def test_four_captures_tell_of_the_sizes_between_them(name):
    assert counted(SERVED[name]) <= CAPTURES


@pytest.mark.parametrize("name", CAPTURED)
def test_what_has_other_answers_between_sizes_is_captured_at_each(name):
    assert counted(CAPTURED[name]) == len(set(SIZES))


@pytest.mark.parametrize("name", IN_PARTS)
def test_each_part_of_the_sizes_is_served_by_captures_in_it(name):
    assert counted(IN_PARTS[name], [*range(20, 61), *range(20, 61)]) <= 25
    assert counted(IN_PARTS[name], SIZES) <= len(set(SIZES))


def test_a_size_between_captures_that_agree_is_found_to_do_something_else():
    """The sizes about it are then captured as well."""
    runs = StringIO()
    ones = {n: Tensor.ones(n).realize() for n in range(2, 60)}

    def body(x, special):
        runs.write(".")
        return x * (2 if x.shape[0] == special["n"] else 3)

    f, special = jit(body), {"n": 1}
    for n in (20, 50, 31, 40, 25, 26):
        assert f(ones[n], special).tolist() == [3] * n
    assert len(runs.getvalue()) <= CAPTURES
    special["n"] = 27  # another kind of argument
    for n in (20, 50, 30, 40, 25, 26, 27, 28):
        assert f(ones[n], special).tolist() == [2 if n == 27 else 3] * n


def test_sizes_outside_are_captured():
    assert counted(SERVED["product"], (*SIZES[:5], 61, 19, 62, 18, 61, 19, 40)) == CAPTURES + 4


def test_training_on_batches_of_random_length():
    def trained(captured):
        rng = np.random.default_rng(0)
        Tensor.manual_seed(0)
        net = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 4))
        optimizer = optim.Adam(net.parameters(), lr=0.01)
        runs = []

        def step(x, y):
            runs_file.write(".")
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x).reshape(-1, 4), y.reshape(-1))
            loss.backward()
            optimizer.step()
            return loss

        runs_file = StringIO()
        step = jit(step) if captured else step
        for n in SIZES * 2:
            x = Tensor(rng.standard_normal((2, n, 3)).astype(np.float32))
            runs.append(step(x, Tensor(rng.integers(0, 4, (2, n)))).item())
        return runs, [p.numpy() for p in net.parameters()], len(runs_file.getvalue())

    losses, weights, runs = trained(True)
    expected, targets, _ = trained(False)
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    for a, b in zip(weights, targets, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
    assert runs < len(set(SIZES))


def test_what_the_function_finds_outside_is_as_it_is_at_the_call():
    weight, settings = Tensor(W).realize(), {"factor": 2.0}
    runs = StringIO()
    f = jit(lambda x: (runs.write("."), x @ weight * settings["factor"])[1])

    def check(n):
        x = np.full((n, 3), 0.5, np.float32)
        expected = x @ weight.numpy() * settings["factor"]
        np.testing.assert_allclose(f(Tensor(x)).numpy(), expected, rtol=1e-5)

    for n in SIZES[:6]:
        check(n)
    assert len(runs.getvalue()) <= CAPTURES
    weight.assign(weight * 3).realize()
    check(29)
    assert len(runs.getvalue()) <= CAPTURES
    settings["factor"] = 5.0
    check(30)
    check(29)


def test_the_function_sees_integers_and_leaves_integers():
    seen = []

    class Model:
        size = None
        shapes = ()

        def __call__(self, x):
            n = x.shape[0]
            assert isinstance(n, int)
            self.size, self.shapes = n + 1, (x.shape, [n])
            return x + n, n, {"rows": x.shape}

    model = Model()
    f = jit(model)
    for n in (*SIZES[:8], 29):
        y, rows, sizes = f(Tensor.ones(n, 3))
        assert (y.tolist()[0][0], rows, model.size) == (n + 1, n, n + 1)
        kept, (held,) = model.shapes
        seen += [rows, model.size, *sizes["rows"], *kept, held]
        assert (*sizes["rows"], *kept, held) == (n, 3, n, 3, n)
    assert {type(x) for x in seen} == {int}


def test_numbers_in_the_arguments_are_of_no_size():
    table = [1, 2, 3, 4, 10, 6]
    f = jit(lambda x, i: x * table[i])
    for i in (0, 1, 3, 5, 2, 4):
        assert f(Tensor.ones(3), i).tolist() == [table[i]] * 3


def test_questions_at_two_sizes():
    def asked(ask, *sizes):
        token = questions.set(noted := [])
        try:
            ask(*map(WatchedSize, sizes))
        finally:
            questions.reset(token)
        return noted

    for ask, is_one in [
        (lambda n, m: n + m - 3 * n, True),
        (lambda n, m: n == 70, True),
        (lambda n, m: n != 30, False),
        (lambda n, m: n == 20, False),
        (lambda n, m: n == n + 1 - 1, True),
        (lambda n, m: n < 70, True),
        (lambda n, m: 30 <= n, False),
        (lambda n, m: n * m, True),
        (lambda n, m: n * n, False),
        (lambda n, m: m * m % 2, True),
        (lambda n, m: -n % 8, False),
        (lambda n, m: bool(n), True),
        (lambda n, m: bool(n - 20), False),
        (lambda n, m: not n - 30, False),
        (lambda n, m: n / 2, False),
        (lambda n, m: 2 // n, False),
        (lambda n, m: 2**n, False),
        (lambda n, m: divmod(n, 3), False),
        (lambda n, m: [0] * n, False),
        (lambda n, m: n * 0.5, False),
        (lambda n, m: 0.5 * n, False),
        (lambda n, m: 0.5 * m, True),
        (lambda n, m: range(n), False),
        (lambda n, m: "abcd"[m - 1], True),
        (lambda n, m: ("a" * 99)[n], False),
        (lambda n, m: np.zeros(9) * n, False),
        (lambda n, m: np.zeros((n, m)), False),
        (lambda n, m: np.arange(m), True),
        (lambda n, m: np.array([1, n]), False),
        (lambda n, m: np.float32(2) * n, False),
        (lambda n, m: math.gcd(n, m), False),
        (lambda n, m: math.sqrt(m), True),
        (lambda n, m: n.bit_length(), False),
        (lambda n, m: pickle.dumps(n), False),
        (lambda n, m: pow(n, 2, 5), False),
        (lambda n, m: "%d" % n, False),  # noqa: UP031
        (lambda n, m: n == "20", False),
        (lambda n, m: n < 20.5, False),
        (lambda n, m: sorted([n, 100, m]), True),
        (lambda n, m: sorted([n, 30, m]), False),
        (lambda n, m: sum([n, m, 1]), True),
        (lambda n, m: int(n), False),
        (lambda n, m: round(n) + abs(n), False),
    ]:
        assert have_one_answer(asked(ask, 20, 4), asked(ask, 60, 4)) is is_one

"""A captured function is not run at pairs of sizes between captured ones, if that can be told."""

from __future__ import annotations

from io import StringIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lazygrad.nn.functional as F
from lazygrad import Tensor, jit
from lazygrad.jit.area import is_in_hull

pytestmark = pytest.mark.usefixtures("compiled")  # plans of earlier tests are of other families

PAIRS = [(20, 9), (11, 30), (30, 14), (17, 33), (26, 22), (13, 28), (29, 10), (31, 32)]
INSIDE = [(15, 15), (28, 31), (13, 10), (30, 32), (21, 20), (21, 19), (27, 16)]
MEMORY = {"rows": Tensor.ones(5, 3)}
MEAN, VAR = Tensor.zeros(1), Tensor.ones(1)  # running statistics

SERVED = {
    "attention": lambda a, b: (a @ b.T).softmax(-1) @ b,
    "joined": lambda a, b: Tensor.cat(a, b).cumsum(0) + a.shape[0] + b.shape[0],
    "sum of sizes": lambda a, b: a.sum() * (a.shape[0] + 2 * b.shape[0]) - b.sum(),
    "order": lambda a, b: a.sum() + b.sum() * (2 if a.shape[0] + b.shape[0] > 9 else 3),
    "multiple": lambda a, b: b.reshape(b.shape[0] * b.shape[1]).sum() + a,
    "batch norm": lambda a, b: F.batch_norm((a @ b.T)[None, None], MEAN, VAR, training=True),
}
CAPTURED = {
    "order of both": lambda a, b: a.sum() * (2 if a.shape[0] < b.shape[0] else 3) - b.sum(),
    "product": lambda a, b: (a.sum() - b.sum()) * (2 if a.shape[0] * b.shape[0] > 450 else 3),
    "remainder": lambda a, b: (a.sum() - b.sum()) * (2 if (a.shape[0] + b.shape[0]) % 2 else 3),
    "equal": lambda a, b: (a.sum() - b.sum()) * (2 if (a.shape[0], len(b)) == (21, 20) else 3),
}


def rows(n: int, first: float = 0.0) -> Tensor:
    return Tensor(first + np.arange(n * 3, dtype=np.float32).reshape(n, 3) / (n * 3))


def counted(body, first, then):
    """How often a captured function runs at the pairs `then`, after others."""
    runs = StringIO()
    step = jit(lambda a, b: (runs.write("."), body(a, b))[1])
    before = 0
    for number, (n, m) in enumerate([*first, *then]):
        if number == len(first):
            before = len(runs.getvalue())
        a, b = rows(n), rows(m)
        found, wanted = step(a, b), body(a, b)
        assert found.shape == wanted.shape
        np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-4, atol=1e-5)
    return len(runs.getvalue()) - before


@pytest.mark.parametrize("name", SERVED)
def test_captures_tell_of_the_pairs_between_them(name):
    assert counted(SERVED[name], PAIRS, INSIDE) == 0


@pytest.mark.parametrize("name", CAPTURED)
def test_what_has_other_answers_at_other_pairs_gives_what_it_gives_alone(name):
    assert counted(CAPTURED[name], PAIRS, INSIDE) > 0


def test_a_pair_outside_the_captured_ones_is_captured():
    assert counted(SERVED["attention"], PAIRS, [(40, 20), (20, 40), (5, 5)]) >= 3


def test_multiples_of_eight_say_nothing_of_other_sizes():
    pairs = [
        (8 * n, 8 * m) for n, m in ((2, 5), (8, 1), (3, 9), (6, 8), (9, 2), (5, 4), (9, 9), (2, 2))
    ]
    assert counted(SERVED["attention"], pairs, [(56, 24), (24, 32)]) == 0
    assert counted(SERVED["attention"], pairs, [(57, 24)]) == 1


def test_sizes_that_are_returned_and_set():
    class Seen:
        last = 0

    seen = Seen()

    @jit
    def step(a, b):
        seen.last = a.shape[0] + 2 * b.shape[0]
        return (a.sum() + b.sum()).exp(), a.shape[0], (b.shape[0], 1)

    for n, m in PAIRS + INSIDE:
        _, rows_of_a, (rows_of_b, one) = step(rows(n), rows(m))
        assert (rows_of_a, rows_of_b, one) == (n, m, 1)
        assert seen.last == n + 2 * m


def test_a_tensor_outside_of_the_second_size():
    @jit
    def read(a):
        return (a @ MEMORY["rows"].T).sum(0)

    for n, m in PAIRS + INSIDE:
        MEMORY["rows"] = rows(m, 1.0)
        a = rows(n)
        wanted = (a.numpy() @ MEMORY["rows"].numpy().T).sum(0)
        np.testing.assert_allclose(read(a).numpy(), wanted, rtol=1e-5)


points = st.tuples(st.integers(-6, 6), st.integers(-6, 6))


@given(points, st.lists(points, min_size=1, max_size=8))
def test_the_hull_of_points(point, others):
    """A point is outside if a line through it has all others on one side."""
    directions = [(a, b) for a in range(-13, 14) for b in range(-13, 14)]
    is_outside = any(
        all(a * (x - point[0]) + b * (y - point[1]) > 0 for x, y in others) for a, b in directions
    )
    assert is_in_hull(point, others) != is_outside


def test_sizes_that_are_equal_to_other_numbers_of_the_program():
    """Where m is 1, or n is m, the graph is another one. Captures there do not end what others
    tell, nor are these forgotten for them."""
    r = np.random.default_rng(0)
    pairs = [(int(r.integers(1, 40)), int(r.integers(1, 12))) for _ in range(200)]
    assert counted(SERVED["attention"], pairs[:120], pairs[120:]) < 5

"""Constants that vary become arguments: nothing is compiled again, and every bit is the same."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import lazygrad.compile
import lazygrad.plans
from lazygrad import Tensor, TinyJit
from lazygrad.graph.constants import VaryingConstants
from lazygrad.graph.structure import Walk

VALUES = np.random.default_rng(0).standard_normal((5, 12)).astype(np.float32)
SERIES = [0.9, 0.81, -0.729, 3.5, 1e-30, 2.0]
SPECIAL = [0.9, 0.0, -0.0, 1.0, -1.0, float("inf"), float("nan"), 0.5]


@pytest.fixture
def compiled(monkeypatch) -> Callable[[], int]:
    """How many graphs have been compiled since it was last asked, with all plans forgotten."""
    count = 0
    compile_graph = lazygrad.compile.compile_graph

    def counting(*args):
        nonlocal count
        count += 1
        return compile_graph(*args)

    def ask() -> int:
        nonlocal count
        lazygrad.plans._plans.clear()
        lazygrad.plans._varying.clear()
        lazygrad.plans._sizes.clear()
        before, count = count, 0
        return before

    monkeypatch.setattr(lazygrad.compile, "compile_graph", counting)
    ask()
    return ask


def bits(x: Tensor) -> bytes:
    return np.ascontiguousarray(x.numpy()).tobytes()


FORMS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "mul": lambda x, c: x * c,
    "update": lambda x, c: x - x.sin() * c,
    "both": lambda x, c: (x + c) * (c * 2 + 0.25),
    "div": lambda x, c: x / c,
    "divided": lambda x, c: c / x,
    "where": lambda x, c: (x > c).where(x * 0.5, c),
    "clip": lambda x, c: x.minimum(c).relu(),
    "sums": lambda x, c: (x * c).sum(1) + (x + c).mean() * c,
    "scaled product": lambda x, c: (x @ x.T) * c + (x * c) @ x.T,
    "softmax": lambda x, c: (x * c).softmax(1),
    "half": lambda x, c: x.half() * c + c,
    "bfloat16": lambda x, c: (x.bfloat16() * c).sum(0),
    "double": lambda x, c: x.double() * c,
    "of constants": lambda x, c: x * (Tensor.full((12,), c) + 0.3).exp(),
    "summed": lambda x, c: x + Tensor.full((7, 12), c).sum(0),
    "padded": lambda x, c: x.pad(((1, 0), (0, 0)), value=c) * c,
    "loss": lambda x, c: gradient_of(x, lambda w: (w * w).sum() * c),
    "losses": lambda x, c: gradient_of(x, lambda w: (w.sin() * c).mean()),
    "penalty": lambda x, c: gradient_of(x, lambda w: w.exp().mean() + c * (w * w).mean(0).sum()),
    "mixed": lambda x, c: gradient_of(x, lambda w: (1 - c) * w.sin().mean() - c * w.cos().mean()),
    "divided loss": lambda x, c: gradient_of(x, lambda w: (w * w).sum() / c),
}


def gradient_of(x: Tensor, loss: Callable[[Tensor], Tensor]) -> Tensor:
    w = x.clone().realize().requires_grad_()
    return loss(w).gradient(w)[0]


@pytest.mark.parametrize("name", FORMS)
def test_every_bit_is_that_of_the_constant(compiled, name):
    form = FORMS[name]
    x = Tensor(VALUES).realize()
    wanted = []
    with np.errstate(all="ignore"):
        for c in SERIES + SPECIAL:
            compiled()
            wanted.append(bits(form(x, c)))
        compiled()
        assert [bits(form(x, c)) for c in SERIES + SPECIAL] == wanted


@pytest.mark.parametrize(
    "name",
    [
        "mul",
        "update",
        "div",
        "where",
        "sums",
        "scaled product",
        "loss",
        "losses",
        "penalty",
        "mixed",
        "divided loss",
    ],
)
def test_two_values_compile_and_then_none_does(compiled, name):
    x = Tensor(VALUES).realize()
    for c in (0.9, 0.81, 0.729, 0.6561, 0.59049):
        FORMS[name](x, c).realize()
    assert compiled() == 2


def test_a_learning_rate_that_decays(compiled):
    w = Tensor(VALUES).realize()
    wanted = VALUES.copy()
    for step in range(8):
        rate = 0.1 / (1 + step)
        w = (w - w * rate).realize()
        wanted = wanted - wanted * np.float32(rate)
    np.testing.assert_array_equal(w.numpy(), wanted)
    assert compiled() == 2


def test_constants_that_never_differ_stay(compiled):
    x = Tensor(VALUES).realize()
    for c in (0.3, 0.4, 0.6):
        y = (x * 0.25 + 7) * c
        walked = Walk()
        walked.walk([y.node])
        key, nodes = walked.key([y.node]), list(walked.number)
        if c == 0.3:
            varying = VaryingConstants()
            assert varying(key, nodes) == (key, [])
        else:
            assert [constant.value for constant in varying(key, nodes)[1]] == [c]
    for c in (0.3, 0.4, 0.6):
        ((x * 0.25 + 7) * c).realize()
    assert compiled() == 2


def test_exponents_and_what_rules_look_for_are_known():
    x = Tensor(VALUES)
    varying = VaryingConstants()
    for c in (2.5, 3.5, 0.0, 1.0):
        for y in (x**c, x ** (Tensor.full((12,), c) + 1), x + c if c < 2 else x):
            walked = Walk()
            walked.walk([y.node])
            key = walked.key([y.node])
            assert varying(key, list(walked.number)) == (key, [])


@pytest.mark.usefixtures("own_plans")
def test_integers_are_known(compiled):
    x = Tensor(np.arange(6)).realize()
    for c in range(2, 5):
        np.testing.assert_array_equal((x * c % 7).numpy(), np.arange(6) * c % 7)
    assert compiled() == 3


def test_what_was_computed_of_the_same_constant_is_a_leaf(compiled):
    x = Tensor(VALUES).realize()
    for c in (0.3, 0.4, 0.6, 0.7):
        y = (x * c).realize()
        np.testing.assert_array_equal((y - c).numpy(), VALUES * np.float32(c) - np.float32(c))
    assert compiled() == 4


def test_captured_functions_are_kept_by_value():
    f = TinyJit(lambda x, c: (x * c).realize())
    x = Tensor(VALUES).realize()
    for c in (0.3, 0.4, 0.3, 0.4, 0.3, 0.4, 0.5):
        np.testing.assert_array_equal(f(x, c).numpy(), VALUES * np.float32(c))

"""Gradients and training are the same in a captured function as without."""

from __future__ import annotations

import numpy as np
import pytest

from lazygrad import Tensor, jit, nn
from lazygrad.errors import JitError
from lazygrad.nn.optim import SGD, Adam
from lazygrad.nn.state import get_parameters

# --------------------------------------------------------------------------- gradients


def test_gradients_are_left_and_accumulate_as_without_jit():
    def run(wrap, clear):
        w = Tensor([2.0, 3.0], requires_grad=True)

        def f(x):
            if clear:
                w.grad = None
            (w * x).sum().backward()

        g = wrap(f)
        seen = []
        for n in range(5):
            if n == 3:
                w.grad = None
            g(Tensor([1.0 + n, 2.0]))
            seen.append(w.grad.tolist())
        return seen

    for clear in (True, False):
        assert run(jit, clear) == run(lambda f: f, clear)


def test_a_gradient_that_was_taken_stays_as_it_is():
    w = Tensor([2.0], requires_grad=True)

    @jit
    def f(x):
        w.grad = None
        (w * x).sum().backward()

    f(Tensor([1.0]))
    first = w.grad
    f(Tensor([5.0]))
    assert (first.item(), w.grad.item()) == (1.0, 5.0)


def test_gradient_of_an_argument():
    @jit
    def f(x):
        (x * x).sum().backward()
        return x.grad * 2

    for n in (1.0, 2.0):
        x = Tensor([n], requires_grad=True)
        assert f(x).item() == 4 * n
        assert x.grad.item() == 2 * n


def test_gradient_to_outside_the_function_is_refused():
    w = Tensor([2.0], requires_grad=True)
    product = w * 3
    with pytest.raises(JitError, match="carries gradient to what it was computed from"):
        jit(lambda x: (product * x).sum())(Tensor([1.0]))
    constant = product.detach()
    assert jit(lambda x: (constant * x).sum())(Tensor([1.0])).item() == 6.0
    with Tensor.no_grad():
        assert jit(lambda x: (product * x).sum())(Tensor([1.0])).item() == 6.0


def test_freezing_a_parameter_is_seen():
    w = Tensor([2.0], requires_grad=True)
    other = Tensor([1.0], requires_grad=True)

    @jit
    def f(x):
        w.grad = other.grad = None
        (w * other * x).sum().backward()

    f(Tensor([1.0]))
    assert w.grad.item() == 1.0
    w.requires_grad = False
    f(Tensor([1.0]))
    assert w.grad is None
    assert other.grad.item() == 2.0


# --------------------------------------------------------------------------- training


class Model:
    def __init__(self):
        self.layers = [
            nn.Conv2d(1, 4, 3, bias=False),
            nn.BatchNorm2d(4),
            Tensor.relu,
            lambda x: x.dropout(0.25),
            lambda x: x.flatten(1),
            nn.Linear(4 * 36, 5),
        ]

    def __call__(self, x):
        return x.sequential(self.layers)


def train(wrap, make_optimizer, realize_inside=False):
    """Losses, parameters, statistics and gradients of a few steps, and accuracy in between."""
    Tensor.manual_seed(5)
    rng = np.random.default_rng(1)
    model = Model()
    optimizer = make_optimizer(get_parameters(model))

    def step(x, y):
        optimizer.zero_grad()
        loss = model(x).cross_entropy(y)
        if realize_inside:
            loss.realize()
        loss.backward()
        optimizer.step()
        return loss

    step, predict = wrap(step), wrap(lambda x: model(x).argmax(-1))
    seen = []
    for n in range(4):
        x = Tensor(rng.standard_normal((6, 1, 8, 8)).astype(np.float32))
        y = Tensor(rng.integers(0, 5, 6))
        with Tensor.train():
            seen.append(step(x, y).numpy())
        seen.append(predict(x).numpy())
        if n == 1:
            optimizer.lr = 0.02
    norm = model.layers[1]
    seen += [p.numpy() for p in get_parameters(model)] + [p.grad.numpy() for p in optimizer.params]
    return [*seen, norm.running_mean.numpy(), norm.running_var.numpy()]


@pytest.mark.parametrize("realize_inside", [False, True])
@pytest.mark.parametrize(
    "make", [lambda p: Adam(p, 0.01), lambda p: SGD(p, 0.1, momentum=0.9)], ids=["adam", "sgd"]
)
def test_training_is_the_same_with_and_without(make, realize_inside):
    wanted = train(lambda f: f, make, realize_inside)
    found = train(jit, make, realize_inside)
    for a, b in zip(wanted, found, strict=True):
        np.testing.assert_allclose(a, b, 2e-3, 1e-5)

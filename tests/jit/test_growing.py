"""A captured function whose calls all differ in a size runs as it stands, unless captures tell what
it does at the others (test_ahead.py). Here these cannot: the functions ask whether a size is even,
or what they read differs by more than sizes."""

from __future__ import annotations

import gc
from io import StringIO

import numpy as np
import pytest

from lazygrad import Tensor, cat, jit, nn

ENOUGH = 16


def captures(f):
    return sum(map(len, f._replays.values()))


def tripled(x):
    return x * 3 if x.shape[0] % 2 else x + 2 * x


def growing(body, sizes):
    """The function, and a file with a mark for each run of its Python, after calls at these
    sizes."""
    runs = StringIO()
    f = jit(lambda x: (runs.write("."), body(x))[1])
    for n in sizes:
        y = f(Tensor.ones(n))
        np.testing.assert_allclose(y.numpy(), np.full(n, 3.0))
        assert not y.requires_grad
    return f, runs


def test_sizes_that_never_come_again_are_not_captured():
    f, runs = growing(tripled, range(2, 42))
    assert captures(f) == ENOUGH
    assert len(runs.getvalue()) == 40


def test_a_size_that_comes_again_is_captured_and_then_replayed():
    f, runs = growing(tripled, [*range(2, 42), 41, 41, 41])
    assert captures(f) == ENOUGH + 1
    assert len(runs.getvalue()) == 41
    for n in (50, 51, 50, 51):  # sizes come again: each is captured at once
        f(Tensor.ones(n))
    assert len(runs.getvalue()) == 43
    assert captures(f) == ENOUGH + 3


def test_a_function_that_sets_something_is_captured_at_each_size():
    total = Tensor([0.0])

    @jit
    def f(x):
        total.assign(total + x.sum())
        return x * 3

    for n in range(2, 32):
        f(Tensor.ones(n))
    assert captures(f) == 30
    assert total.item() == sum(range(2, 32))


def test_a_function_that_draws_numbers_draws_those_that_it_would_alone():
    def noisy(x):
        return x + Tensor.rand(*x.shape) * (2 if x.shape[0] % 2 else 1)

    f = jit(noisy)
    Tensor.manual_seed(0)
    found = [f(Tensor.ones(n)).numpy() for n in range(2, 42)]
    Tensor.manual_seed(0)
    alone = [noisy(Tensor.ones(n)).numpy() for n in range(2, 42)]
    for x, y in zip(found, alone, strict=True):
        np.testing.assert_array_equal(x, y)
    assert captures(f) == ENOUGH


def test_results_carry_no_gradient_and_have_values():
    weight = Tensor([3.0], requires_grad=True)
    f = jit(lambda x: {"y": x * weight, "both": (x, [tripled(x) * weight / 1.5])})
    for n in range(2, 32):
        x = Tensor.ones(n)
        found = f(x)
        assert found["both"][0] is x
        made = (found["y"], found["both"][1][0])
        assert [t.requires_grad for t in made] == [False, False]
        assert all(t.storage is not None for t in made)
        np.testing.assert_allclose(made[1].numpy(), np.full(n, 6.0))
    assert captures(f) == ENOUGH


def test_what_is_outside_is_read_as_it_is():
    layer = nn.Linear(1, 1)
    f = jit(lambda x: layer(x))
    for n in range(2, 40):
        layer.weight.assign(Tensor([[float(n)]]))
        expected = n + layer.bias.item()
        np.testing.assert_allclose(f(Tensor.ones(n, 1)).numpy(), np.full((n, 1), expected), 1e-6)


def test_numbers_that_change_in_each_call():
    f = jit(lambda x, n: x + n)
    for n in range(50):
        assert f(Tensor([1.0]), n).item() == 1.0 + n
    assert captures(f) == ENOUGH
    assert f(Tensor([1.0]), 3).item() == 4.0


def test_a_cache_that_grows():
    layer = nn.Linear(4, 4)
    f = jit(lambda x, past: cat((past, layer(x)), dim=1))
    for _ in range(3):
        cached = kept = Tensor.ones(1, 2, 4)
        for n in range(30):
            x = Tensor.full((1, 1, 4), float(n))
            cached, kept = f(x, cached), cat((kept, layer(x)), dim=1).detach()
            np.testing.assert_allclose(cached.numpy(), kept.numpy(), rtol=1e-5, atol=1e-5)
    assert captures(f) == 30  # all of these sizes have come again


def test_an_exception_is_that_of_the_function():
    def body(x):
        if len(x) > 30:
            raise KeyError("too long")
        return x

    f = jit(body)
    for n in range(2, 31):
        f(Tensor.ones(n))
    for _ in range(3):
        with pytest.raises(KeyError, match="too long"):
            f(Tensor.ones(31))


def test_what_was_there_before_keeps_its_gradient():
    weight = Tensor([3.0], requires_grad=True)
    g = jit(lambda x: (x * 2, x, np.ones(2)))
    for n in range(2, 32):
        x = (Tensor.ones(n) * weight).detach().requires_grad_()
        y, same, values = g(x)
        assert same is x
        assert x.requires_grad
        assert not y.requires_grad
        assert values.tolist() == [1, 1]
    assert captures(g) == ENOUGH


def test_a_tensor_outside_that_grows_is_told():
    kept = {"rows": Tensor.ones(1, 4).realize()}

    @jit
    def step(row):
        kept["rows"] = cat([kept["rows"], row])
        return tripled(kept["rows"]).sum() / 3

    with pytest.warns(UserWarning, match=r"float32 \(\d, 4\) on CPU became .*float32 \(9, 4\)"):
        totals = [step(Tensor.ones(1, 4).realize()).item() for _ in range(11)]
    assert totals == [4 * n for n in range(2, 13)]


def test_constants_are_of_one_kind_computed_or_not():
    f, runs = growing(tripled, range(2, 42))
    kept = Tensor.ones(3).realize()
    for x in (kept, Tensor.ones(3), Tensor.ones(5).realize()):
        np.testing.assert_allclose(f(x).numpy(), np.full(len(x), 3.0))
    assert captures(f) == ENOUGH
    assert len(runs.getvalue()) == 40


def test_the_garbage_collector_pauses_while_a_function_is_captured():
    seen = StringIO()  # a list would be as it was, after the exception

    def fails(x):
        print(gc.isenabled(), end=" ", file=seen)
        raise KeyError

    f = jit(lambda x: (print(gc.isenabled(), end=" ", file=seen), x * 3)[1])
    f(Tensor.ones(2))
    with pytest.raises(KeyError):
        jit(fails)(Tensor.ones(2))
    assert seen.getvalue() == "False False "
    assert gc.isenabled()


def test_a_cache_that_grows_beside_sizes_that_come_again():
    """In each round the cache is longer by another number, and yet some kernels are one."""
    kept, sums = [], []
    state = {"sums": None}

    @jit
    def f(x):
        new = x.sum().reshape(1)
        state["sums"] = new if state["sums"] is None else cat((state["sums"], new), 0)
        return x.sum() * (x.shape[0] - 1) + state["sums"].sum()

    for step in range(140):
        values = np.arange(2 + step % 25, dtype=np.float32) * 0.1 + step * 0.01
        sums.append(values.sum())
        kept.append(f(Tensor(values)).item())
        assert abs(kept[-1] - (values.sum() * (len(values) - 1) + sum(sums))) < 1e-4 * kept[-1]
    np.testing.assert_allclose(state["sums"].numpy(), sums, rtol=1e-5)

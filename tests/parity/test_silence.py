"""Where PyTorch raises or warns instead of going on in silence, so does lazygrad."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import lazygrad
from lazygrad import Tensor, nn
from lazygrad.transforms import grad, vmap

X = np.array([[3.0, 1.0, 4.0], [1.5, 9.0, 2.6]], np.float32)


def gradient(function: Callable[[Tensor], Any]) -> Any:
    """The gradient of the weighted sum of what a function of NumPy's gives."""
    x = Tensor(X, requires_grad=True)
    made = function(x)
    assert isinstance(made, Tensor)
    (made * Tensor.arange(1, made.numel() + 1).reshape(made.shape)).sum().backward()
    assert x.grad is not None
    return x.grad.numpy()


def difference(function: Callable[[Any], Any]) -> Any:
    """The same by finite differences, of NumPy alone."""
    x = X.astype(np.float64)

    def weighted(x: Any) -> float:
        made = np.asarray(function(x))
        return float((made * np.arange(1, made.size + 1).reshape(made.shape)).sum())

    found = np.zeros_like(x)
    for at in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[at] = 1e-6
        found[at] = (weighted(x + step) - weighted(x - step)) / 2e-6
    return found


WEIGHTS = np.array([1.0, 2.0, 3.0])
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "sort": lambda x: np.sort(x, 0),
    "sort of all": lambda x: np.sort(x, None),
    "repeat": lambda x: np.repeat(x, 2),
    "repeat of rows": lambda x: np.repeat(x, [1, 3], axis=0),
    "percentile": lambda x: np.percentile(x, 30),
    "percentiles": lambda x: np.percentile(x, [10, 60], axis=1),
    "quantile": lambda x: np.quantile(x, 0.3, axis=0, keepdims=True),
    "median": lambda x: np.median(x),
    "average": lambda x: np.average(x, axis=1, weights=WEIGHTS),
    "ptp": lambda x: np.ptp(x, axis=1),
    "take": lambda x: np.take(x, [2, 0], axis=1),
    "append": lambda x: np.append(x, x * 2),
    "pad": lambda x: np.pad(x, ((1, 0), (0, 2)), constant_values=2.0),
    "where": lambda x: np.where(X > 2, x, -x),
    "split": lambda x: np.split(x, 3, axis=1)[1],
    "array_split": lambda x: np.array_split(x, 2, axis=1)[0],
    "linalg.norm": lambda x: np.linalg.norm(x),
    "linalg.norm of rows": lambda x: np.linalg.norm(x, axis=1, keepdims=True),
    "linalg.inv": lambda x: np.linalg.inv(x[:, :2]),
    "linalg.det": lambda x: np.linalg.det(x[:, 1:]),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_numpy_have_gradients(name: str) -> None:
    function = FUNCTIONS[name]
    np.testing.assert_allclose(gradient(function), difference(function), rtol=2e-3, atol=2e-3)
    made = function(Tensor(X.astype(np.float64)))
    np.testing.assert_allclose(made.numpy(), function(X.astype(np.float64)), rtol=1e-6)


def test_what_numpy_computes_on_values_does_not_lose_a_gradient() -> None:
    x = Tensor(X, requires_grad=True)
    for lost in (np.cbrt, np.add.reduce, np.gradient, lambda x: np.histogram(x, 3)):
        with pytest.raises(RuntimeError, match=r"np\.\w+: .* gradient .* x\.detach\(\)"):
            lost(x)
        lost(x.detach())
        with lazygrad.no_grad():
            lost(x)
    assert np.array_equal(x, x)
    assert np.allclose(x, X)
    assert np.shape(x) == (2, 3)
    rows, columns = np.where(x > 3)
    assert (rows.tolist(), columns.tolist()) == ([0, 1], [2, 1])


def test_a_gradient_that_does_not_fit_is_refused() -> None:
    x, u = Tensor([1.0, 2.0], requires_grad=True), torch.tensor([1.0, 2.0], requires_grad=True)
    wrong: list[tuple[Any, Any]] = [
        (Tensor([1.0]), torch.tensor([1.0])),
        (Tensor([1.0, 2.0], "float64"), torch.tensor([1.0, 2.0], dtype=torch.float64)),
        (3.0, 3.0),
        (x, u),
    ]
    for ours, theirs in wrong:
        with pytest.raises((RuntimeError, TypeError)) as expected:
            u.grad = theirs
        with pytest.raises(expected.type, match=r"^grad: "):
            x.grad = ours
    x.grad = Tensor([3.0, 4.0])
    assert x.grad.tolist() == [3.0, 4.0]
    x.grad = None
    assert x.grad is None


def test_a_result_has_no_grad_and_says_so() -> None:
    for library in (lazygrad, torch):
        w = library.tensor([1.0, 2.0], requires_grad=True)
        (w * w).sum().backward()
        moved = w - 0.1 * w.grad
        with pytest.warns(UserWarning, match=r"\.grad .* (variables only|leaf Tensor)") as told:
            assert moved.grad is None
        assert told[0].filename == __file__
        kept = w * 3
        kept.retain_grad()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert w.detach().grad is None
            assert kept.grad is None
            kept.sum().backward()
            assert kept.grad.tolist() == [1.0, 1.0]


def test_a_parameter_given_twice_is_told_of() -> None:
    for library, optim in ((lazygrad, nn.optim), (torch, torch.optim)):
        p = library.tensor([1.0], requires_grad=True)
        with pytest.warns(UserWarning, match=r"duplicate parameters|more than once"):
            optim.SGD([p, p], lr=0.1)
        with pytest.raises(ValueError, match=r"in (more than one parameter|two) group"):
            optim.SGD([{"params": [p]}, {"params": [p]}], lr=0.1)


def test_plain_tensors_beside_parameters_are_told_of() -> None:
    marked = Tensor([1.0], requires_grad=True)
    with pytest.warns(UserWarning, match=r"\[\(2,\)\] require no gradient"):
        optimizer = nn.optim.SGD([marked, Tensor([1.0, 2.0])], lr=0.1)
    assert optimizer.params == [marked]
    frozen = nn.Parameter(Tensor([1.0]), requires_grad=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nn.optim.SGD([marked, frozen], lr=0.1)
        assert len(nn.optim.SGD([Tensor([1.0]), Tensor([2.0])], lr=0.1).params) == 2


def test_an_index_of_bytes_is_told_of() -> None:
    x = Tensor(X)
    with pytest.warns(UserWarning, match="uint8 is made of integers"):
        assert x[Tensor([1, 0, 1], "uint8")].shape == (3, 3)


def test_a_list_in_a_list_is_one_index_as_in_numpy() -> None:
    assert Tensor(X)[[[0, 1], [1, 0]]].numpy().tolist() == X[[[0, 1], [1, 0]]].tolist()


def test_one_bool_is_an_index_as_in_pytorch() -> None:
    x, u = Tensor(X), torch.tensor(X)
    for flag in (True, False):
        assert x[flag].shape == tuple(u[flag].shape)
        assert x[Tensor(flag)].shape == tuple(u[torch.tensor(flag)].shape)
        x[flag] = u[flag] = 5.0
        assert x.tolist() == u.tolist()


# ---------------------------------------------------------------------- vmap


def test_draws_in_vmap_say_whose_they_are() -> None:
    def noisy(x: Tensor) -> Tensor:
        return x + Tensor.rand(2)

    x = Tensor.zeros(3, 2)
    with pytest.raises(RuntimeError, match="randomness="):
        vmap(noisy)(x)
    with pytest.raises(ValueError, match="not 'both'"):
        vmap(noisy, randomness="both")
    same = vmap(noisy, randomness="same")(x).numpy()
    assert (same == same[0]).all()
    different = vmap(noisy, randomness="different")(x).numpy()
    assert len(np.unique(different)) == 6
    dropped = vmap(lambda x: nn.functional.dropout(x, 0.5), randomness="different")
    assert len(np.unique(dropped(Tensor.ones(4, 40)).numpy(), axis=0)) == 4
    nested = vmap(vmap(lambda x: Tensor.rand(), randomness="same"), randomness="different")
    rows = nested(x).numpy()
    assert (rows[:, 0] == rows[:, 1]).all()
    assert len(np.unique(rows)) == 3


def test_vmap_calls_lapack_for_each_example() -> None:
    a = np.random.default_rng(0).standard_normal((4, 3, 3)) + 3 * np.eye(3)
    ours, theirs = Tensor(a), torch.tensor(a)
    for name in ("inv", "det", "svdvals"):
        expected = torch.vmap(getattr(torch.linalg, name))(theirs).numpy()
        found = vmap(getattr(lazygrad.linalg, name))(ours).numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-9)
    solve = vmap(lambda x, y: lazygrad.linalg.solve(x, y))
    expected = torch.linalg.solve(theirs, theirs[:, 0])
    np.testing.assert_allclose(solve(ours, ours[:, 0]).numpy(), expected.numpy(), rtol=1e-9)
    found = vmap(grad(lambda x: lazygrad.linalg.inv(x).sum()))(ours)
    expected = torch.vmap(torch.func.grad(lambda x: torch.linalg.inv(x).sum()))(theirs)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-9)
    logs = vmap(grad(lambda x: lazygrad.linalg.slogdet(x)[1]))(ours)
    expected = torch.linalg.inv(theirs).mT
    np.testing.assert_allclose(logs.numpy(), expected.numpy(), rtol=1e-9)


@pytest.mark.parametrize("make", [
    lambda a, zero: a // zero,
    lambda a, zero: a % zero,
    lambda a, zero: a.fmod(zero),
    lambda a, zero: a.div(zero, rounding_mode="trunc"),
    lambda a, zero: a.div(zero, rounding_mode="floor"),
    lambda a, zero: 7 // (a * 0 if isinstance(a, torch.Tensor) else Tensor([0, 0])),
])  # fmt: skip
def test_an_integer_divided_by_a_known_zero_raises(make: Callable[[Any, Any], Any]) -> None:
    for library in (lazygrad, torch):
        a = library.tensor([1, 2])
        for zero in (0, library.tensor([1, 0]), library.tensor(0)):
            with pytest.raises(RuntimeError, match=r"ZeroDivision|divided by 0"):
                make(a, zero)
    with pytest.raises(ZeroDivisionError):
        make(Tensor([1, 2]), 0)


def test_floats_are_divided_by_zero_and_integers_by_what_is_known_later() -> None:
    assert (Tensor([1.0]) // 0).tolist() == [np.inf]
    assert (Tensor([1]) // 0.0).tolist() == [np.inf]
    assert (Tensor([4, 5]) // Tensor([2, 1])).tolist() == [2, 5]
    assert (Tensor([], dtype="int64") // 0).tolist() == []
    later = Tensor([1, 2]) - 1
    assert (Tensor([4, 5]) // later).tolist() == [0, 5]
    assert lazygrad.jit(lambda a, b: a // b)(Tensor([4]), Tensor([0])).tolist() == [0]


def test_known_values_that_are_no_probabilities_are_refused() -> None:
    half = [0.5, 0.5]
    for values, target in (([1.5, 0.5], half), (half, [0.0, -1.0]), ([np.nan, 0.5], half)):
        for library in (lazygrad, torch):
            x, t = library.tensor(values), library.tensor(target)
            with pytest.raises(RuntimeError, match=r"no probability|between 0 and 1"):
                library.nn.functional.binary_cross_entropy(x, t)
    assert nn.functional.binary_cross_entropy(Tensor([1.5]) * 1, Tensor([1.0])).isnan().item()

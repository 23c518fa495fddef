"""Gamma and Bessel functions, differences and integrals, windows: values are PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import lazygrad
from lazygrad import Tensor

EDGES = [0.0, -0.0, np.inf, -np.inf, np.nan, -1.0, -2.0, 1.0, 2.0]
POINTS = np.concatenate([np.linspace(-30.3, -0.1, 61), np.linspace(0.01, 200, 90), EDGES])
FUNCTIONS = ["lgamma", "digamma", "i0", "i0e", "i1", "i1e", "entr", "ndtr", "log_ndtr"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_as_accurate_as_float64(name: str) -> None:
    function = {"lgamma": "gammaln"}.get(name, name)
    found = getattr(lazygrad.special, function)(Tensor(POINTS)).numpy()
    expected = getattr(torch.special, function)(torch.tensor(POINTS)).numpy()
    np.testing.assert_allclose(found, expected, rtol=5e-13, atol=5e-13)


@pytest.mark.parametrize("n", range(4))
def test_polygamma(n: int) -> None:
    x = POINTS[(POINTS > -12) & (POINTS != np.floor(POINTS))]
    found = lazygrad.polygamma(n, Tensor(x)).numpy()
    expected = torch.polygamma(n, torch.tensor(x)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8)  # PyTorch's trigamma has 9
    with pytest.raises(ValueError, match="the order -1 is negative"):
        lazygrad.polygamma(-1, Tensor(x))


def test_second_derivatives(agree: Any) -> None:
    x = np.array([0.7, 2.5, -1.3], np.float64)

    def slope(x: Any) -> Any:
        library = lazygrad if isinstance(x, Tensor) else torch
        y = x * 1
        return library.autograd.grad(library.lgamma(y).sum(), y, create_graph=True)[0]

    agree(slope, slope, x, rtol=1e-7)


def test_gradient_of_samples(agree: Any, rng: np.random.Generator) -> None:
    y = rng.standard_normal((4, 5)).astype(np.float32)
    places = np.sort(rng.standard_normal(5)).astype(np.float32)

    def of(**options: Any) -> Callable[[Any], Any]:
        def function(y: Any) -> Any:
            library, tensor = (lazygrad, Tensor) if isinstance(y, Tensor) else (torch, torch.tensor)
            named = {
                key: tuple(tensor(x) for x in value) if key == "places" else value
                for key, value in options.items()
            }
            if "places" in named:
                named["spacing"] = named.pop("places")
            return list(library.gradient(y, **named))

        return function

    for options in ({}, {"spacing": 2.0, "edge_order": 2}, {"spacing": (0.5, 2.0)}, {"dim": 1},
                    {"places": (places,), "dim": 1, "edge_order": 2}):  # fmt: skip
        agree(of(**options), None, y, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="axis 0 of size 1 is too short"):
        lazygrad.gradient(Tensor([1.0]))


@pytest.mark.parametrize("name", ["hann", "hamming", "blackman", "bartlett", "kaiser"])
def test_windows(name: str) -> None:
    ours, theirs = (getattr(library, f"{name}_window") for library in (lazygrad, torch))
    for length in (0, 1, 2, 7):
        for periodic in (True, False):
            np.testing.assert_allclose(
                ours(length, periodic, dtype="float64").numpy(),
                theirs(length, periodic, dtype=torch.float64).numpy(),
                atol=1e-6,
            )


def test_divisors_are_of_whole_numbers() -> None:
    assert lazygrad.gcd(Tensor([12, -18, 0]), 8).tolist() == [4, 2, 8]
    assert lazygrad.lcm(Tensor([4, 6], "int32"), Tensor([6, 0])).tolist() == [12, 0]
    with pytest.raises(TypeError, match="gcd: of whole numbers, not float32"):
        lazygrad.gcd(Tensor([1.0]), 2)


def test_parts_of_another_shape_are_refused() -> None:
    x = Tensor.zeros(3, 4)
    with pytest.raises(ValueError, match=r"select_scatter: a source of shape \(3,\)"):
        x.select_scatter(Tensor.ones(3), 0, 1)
    with pytest.raises(ValueError, match=r"diagonal_scatter: \(2,\) for a diagonal of \(3,\)"):
        x.diagonal_scatter(Tensor.ones(2))
    assert x.slice_scatter(Tensor.ones(3, 2), 1, 1, 3).sum().item() == 6
    assert x.sum().item() == 0


def test_results_of_integers_and_of_two_dtypes_are_floats_as_in_pytorch() -> None:
    """Also of numbers beside a tensor, in either place."""
    for dtype in ("float16", "int64"):
        x, u = Tensor([1, 2], dtype), torch.tensor([1, 2], dtype=getattr(torch, dtype))
        for name in ("log_ndtr", "ndtri", "entr"):
            made = getattr(torch.special, name)(u) if dtype != "float16" else u
            assert str(getattr(lazygrad.special, name)(x).dtype) == str(made.dtype)[6:]
    wide, other = Tensor([2.5], "float64"), torch.tensor([2.5], dtype=torch.float64)
    for name in ("xlog1py", "zeta"):
        ours, theirs = getattr(lazygrad.special, name), getattr(torch.special, name)
        for a, b in ((x, wide), (wide, x), (x, 2.5), (2.5, x)):
            c, d = ({id(x): u, id(wide): other}.get(id(value), value) for value in (a, b))
            made, expected = ours(a, b), theirs(c, d)
            assert str(made.dtype) == str(expected.dtype)[6:], name
            np.testing.assert_allclose(made.numpy(), expected.numpy(), rtol=1e-6)
        with pytest.raises(TypeError, match=f"{name}: one of the two is a tensor"):
            ours(1.0, 2.0)

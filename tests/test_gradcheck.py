"""gradcheck finds wrong derivatives, and no other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lazygrad
from lazygrad import Tensor, gradcheck, gradgradcheck, nn
from lazygrad.errors import GradcheckError

RNG = np.random.default_rng(0)


def floats(*shape: int) -> Tensor:
    return Tensor(RNG.uniform(0.5, 1.5, shape).astype(np.float32), requires_grad=True)


RIGHT: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "product": (lambda x, w: (x @ w).tanh(), (floats(2, 3), floats(3, 2))),
    "two outputs": (lambda x: (x.exp(), x.sum()), (floats(3),)),
    "softmax": (lambda x: x.softmax(1), (floats(2, 3),)),
    "an index too": (lambda x, i: x[i] * 2, (floats(4), Tensor([0, 3, 3]))),
    "one output an integer": (lambda x: (x * x, x.argmax()), (floats(3),)),
    "not reached": (lambda x, y: x * 2, (floats(2), floats(2))),
    "a scalar": (lambda x: x**3, (floats(),)),
    "a number": (lambda x, n: x**n, (floats(2), 3)),
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_derivatives(name: str) -> None:
    function, inputs = RIGHT[name]
    assert gradcheck(function, *inputs)
    assert gradcheck(function, inputs)  # as PyTorch takes them
    assert gradgradcheck(function, *inputs)


@lazygrad.transforms.custom_vjp
def wrong(x: Tensor) -> Tensor:
    return x * x


wrong.defvjp(lambda x: (x * x, x), lambda x, g: (g * x,))  # 2 x would be right


def test_a_wrong_derivative_is_named() -> None:
    x = Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    with pytest.raises(
        GradcheckError,
        match=r"^gradcheck: the derivative of the output\[0, 0\] with respect to "
        r'input 0 "x"\[0, 0\] is 1 by backward\(\), 2 by finite differences; '
        r"4 of 16 elements of this Jacobian differ$",
    ):
        gradcheck(lambda x: wrong(x), x)
    assert not gradcheck(lambda x: wrong(x), x, raise_exception=False)
    assert gradcheck(lambda x: wrong(x), x, atol=5.0)


def test_a_wrong_second_derivative_is_named() -> None:
    x = Tensor([1.0], requires_grad=True)
    with pytest.raises(GradcheckError, match=r"^gradgradcheck: of the gradients, the derivative"):
        gradgradcheck(lambda x: wrong(x) * wrong(x), x)


def test_inputs_that_require_no_gradient() -> None:
    with pytest.raises(ValueError, match="no input requires gradient"):
        gradcheck(lambda x: x * 2, Tensor([1.0]))
    assert gradcheck(lambda x, y: x * wrong(y), floats(2), Tensor([1.0, 2.0]))


def test_a_function_that_draws_numbers_is_told_of() -> None:
    with pytest.raises(GradcheckError, match="outputs are others when the function is called ag"):
        gradcheck(lambda x: x * Tensor.rand(3), floats(3))


def test_coarse_outputs_are_told_of() -> None:
    with pytest.raises(GradcheckError, match="the output is float16: too coarse"):
        gradcheck(lambda x: x.half() * 3, floats(2))


def test_a_layer() -> None:
    layer = nn.Linear(3, 2)
    assert gradcheck(lambda x: layer(x).relu(), floats(2, 3))
